"""Play what ordinary people and machines do: browse, log in, read mail, download, probe, fail, try again.

Functions take a random generator, a time and hosts, and return timed packets. No function here generates an attack.
"""

import random
from collections.abc import Callable
from typing import NamedTuple

from datagrams import ask_around, look_up, tell_time, watch
from dialogue import (
    CLIENT,
    MICROSECOND,
    MILLISECOND,
    SECOND,
    SERVER,
    Host,
    Path,
    Turn,
    converse,
    emit,
    greet,
    knock,
    refuse,
    say,
)
from dialogue import Piece as TcpPiece
from hosts import API, BALANCER, BASTION, CLOCK, FILES, MAIL, MONITOR, RESOLVER, SHOP, SLOW, WEB, high_port, local, stranger
from messages import (
    AGENTS,
    client_hello,
    hash_of,
    http_answer,
    http_get,
    http_post,
    name,
    page_path,
    resource_path,
    sealed,
    server_hello,
    ssh_keys,
    ssh_offer,
    words,
)
from wire import ACK, Packet

SITE6 = 0x20010DB8011300000000000000000000


class Doing(NamedTuple):
    """Describe one kind of ordinary activity: its share among clients, the servers it goes to, and how it is played."""

    weight: float
    servers: tuple[Host, ...]
    play: Callable[[random.Random, int, Host, Host], list[Packet]]


def browse(rng: random.Random, at_ns: int, client: Host, server: Host = WEB, pages: int = 0) -> list[Packet]:
    """Read pages with their sub-resources over one to three persistent connections, with pauses to read."""
    site, agent = name(rng), AGENTS[client.address % len(AGENTS)]
    packets: list[Packet] = []
    for lane in range(rng.choice((1, 1, 2, 3))):
        turns: list[Turn] = []
        for number in range(pages or rng.choice((1, 1, 2, 3))):
            pause = int(rng.lognormvariate(1.0, 0.8) * SECOND) if number else 0
            turns += _page(rng, site, agent, pause, lane)
        ending = rng.choice(("fin", "fin", "server-fin", "rst", "none"))
        path = Path(client, server, high_port(rng), 80)
        packets += converse(rng, at_ns + lane * rng.randrange(60, 240) * MILLISECOND, path, turns, ending)
    return packets


def _page(rng: random.Random, site: str, agent: str, pause_ns: int, lane: int) -> list[Turn]:
    """Return the turns of one page: the page itself on the first connection, then its sub-resources."""
    turns: list[Turn] = []
    wait_ns = pause_ns
    if not lane:
        octets = int(rng.lognormvariate(7.6, 0.5))
        turns += [Turn(CLIENT, http_get(rng, site, page_path(rng), agent), wait_ns), Turn(SERVER, http_answer(rng, octets), _work(rng))]
        wait_ns = 0
    for _ in range(rng.randrange(1, 4)):
        path, octets = resource_path(rng)
        fresh = rng.random() < 0.75
        answer = http_answer(rng, octets, kind="application/octet-stream") if fresh else http_answer(rng, 0, "304 Not Modified")
        turns += [
            Turn(CLIENT, http_get(rng, site, path, agent), wait_ns + rng.randrange(1, 60) * MILLISECOND),
            Turn(SERVER, answer, _work(rng)),
        ]
        wait_ns = 0
    return turns


def _work(rng: random.Random) -> int:
    """Return a server's response time."""
    return int(rng.lognormvariate(1.3, 0.9) * MILLISECOND)


def visit(rng: random.Random, at_ns: int, client: Host, server: Host = SHOP) -> list[Packet]:
    """Use a site over TLS: a handshake, a few requests of varied sizes."""
    turns = [Turn(CLIENT, client_hello(rng, name(rng))), Turn(SERVER, server_hello(rng), _work(rng))]
    turns.append(Turn(CLIENT, b"\x14\x03\x03\x00\x01\x01" + sealed(rng, 53)))
    for _ in range(rng.randrange(1, 5)):
        pause = rng.choice((0, 0, 1, 3)) * int(rng.uniform(0.2, 1) * SECOND)
        turns.append(Turn(CLIENT, sealed(rng, int(rng.lognormvariate(5.6, 0.5))), pause))
        turns.append(Turn(SERVER, sealed(rng, int(rng.lognormvariate(7.4, 1.0))), _work(rng)))
    return converse(rng, at_ns, Path(client, server, high_port(rng), 443), turns, rng.choice(("fin", "rst", "none")))


def log_in(rng: random.Random, at_ns: int, client: Host, server: Host = BASTION, keys: int = 40) -> list[Packet]:
    """Work over SSH: keystrokes with their echoes, and output in bursts."""
    offer, reply = ssh_keys(rng)
    turns = [
        Turn(CLIENT, b"SSH-2.0-OpenSSH_9.6\r\n"),
        Turn(SERVER, b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", 8 * MILLISECOND),
        Turn(CLIENT, ssh_offer(rng)),
        Turn(SERVER, ssh_offer(rng)),
        Turn(CLIENT, offer),
        Turn(SERVER, reply, 2 * MILLISECOND),
        Turn(CLIENT, bytes.fromhex("0000000c0a1500000000000000000000") + rng.randbytes(44)),
        Turn(SERVER, rng.randbytes(44)),
        Turn(CLIENT, rng.randbytes(rng.choice((68, 372)))),
        Turn(SERVER, rng.randbytes(rng.choice((52, 324))), 12 * MILLISECOND),
    ]
    for _ in range(keys):
        turns.append(Turn(CLIENT, rng.randbytes(36), int(rng.lognormvariate(-1.4, 1.0) * SECOND)))
        turns.append(Turn(SERVER, rng.randbytes(36), 2 * MILLISECOND))
        if rng.random() < 0.15:
            turns.append(Turn(SERVER, rng.randbytes(rng.randrange(60, 1300)), 20 * MILLISECOND))
    return converse(rng, at_ns, Path(client, server, high_port(rng), 22), turns, rng.choice(("none", "fin")))


def fetch(rng: random.Random, at_ns: int, client: Host, server: Host = FILES, octets: int = 120_000) -> list[Packet]:
    """Download one large file."""
    turns = [
        Turn(
            CLIENT,
            http_get(rng, "files.example.net", f"/pub/{rng.choice(('backup', 'image', 'set'))}-{rng.randrange(99)}.bin", "curl/8.5.0"),
        ),
        Turn(SERVER, http_answer(rng, octets, kind="application/octet-stream"), _work(rng)),
    ]
    return converse(rng, at_ns, Path(client, server, high_port(rng), 80), turns)


def store(rng: random.Random, at_ns: int, client: Host, server: Host = FILES, octets: int = 120_000) -> list[Packet]:
    """Send one large file, as a backup does."""
    first = http_post("files.example.net", f"/store/{rng.getrandbits(32):08x}", "backup/3.1", rng.randbytes(octets))
    turns = [Turn(CLIENT, first), Turn(SERVER, http_answer(rng, 12, "201 Created"), 30 * MILLISECOND)]
    return converse(rng, at_ns, Path(client, server, high_port(rng), 8080), turns)


def read_mail(rng: random.Random, at_ns: int, client: Host, server: Host = MAIL) -> list[Packet]:
    """Poll a POP3 mailbox."""
    count = rng.choice((0, 0, 0, 1, 2))
    sizes = [rng.randrange(600, 3000) for _ in range(count)]
    lines = [
        ("", "+OK ready"),
        (f"USER {rng.choice(WORDS_OF_USERS)}", "+OK"),
        ("PASS secret", "+OK logged in"),
        ("STAT", f"+OK {count} {sum(sizes)}"),
    ]
    turns = [Turn(SERVER, b"+OK ready\r\n", 5 * MILLISECOND)]
    for asked, told in lines[1:]:
        turns += [Turn(CLIENT, f"{asked}\r\n".encode()), Turn(SERVER, f"{told}\r\n".encode(), _work(rng))]
    for number, size in enumerate(sizes, 1):
        mail = b"+OK\r\nSubject: " + words(rng, size) + b"\r\n.\r\n"
        turns += [Turn(CLIENT, f"RETR {number}\r\n".encode()), Turn(SERVER, mail, _work(rng))]
    turns += [Turn(CLIENT, b"QUIT\r\n"), Turn(SERVER, b"+OK bye\r\n")]
    return converse(rng, at_ns, Path(client, server, high_port(rng), 110), turns, "server-fin")


WORDS_OF_USERS = ("ann", "bob", "carla", "dmitri", "elena", "farid", "grace", "hugo")


def check_health(rng: random.Random, at_ns: int, server: Host = WEB, count: int = 5, period_s: float = 2.0) -> list[Packet]:
    """Probe a server as a load balancer does: the same small request at a fixed interval."""
    packets: list[Packet] = []
    asked = b"GET /healthz HTTP/1.1\r\nHost: web\r\nUser-Agent: HealthChecker/2.0\r\nConnection: close\r\n\r\n"
    for turn in range(count):
        turns = [Turn(CLIENT, asked), Turn(SERVER, http_answer(rng, 2, kind="text/plain"), 1 * MILLISECOND)]
        when = at_ns + int(turn * period_s * SECOND) + rng.randrange(900) * MICROSECOND
        packets += converse(rng, when, Path(BALANCER, server, high_port(rng), 80), turns, "server-fin")
    return packets


def fail(rng: random.Random, at_ns: int, client: Host, server: Host = FILES) -> list[Packet]:
    """Try a closed port once, or a silent one with SYN retransmissions."""
    path = Path(client, server, high_port(rng), rng.choice((8443, 445, 993, 5222)))
    if rng.random() < 0.6:
        return refuse(rng, at_ns, path)
    talk = knock(rng, at_ns, path)
    first = talk.packets[0]
    return [first, *(Packet(at_ns + after * SECOND + rng.randrange(9) * MILLISECOND, first.frame) for after in (1, 3))]


def stumble(rng: random.Random, at_ns: int, client: Host, server: Host = WEB) -> list[Packet]:
    """Lose the first SYN, retransmit it after a second, then load a page."""
    path = Path(client, server, high_port(rng), 80)
    talk = greet(rng, at_ns + SECOND, path)
    again = talk.packets[0]
    site = name(rng)
    turns = _page(rng, site, AGENTS[hash_of(site) % len(AGENTS)], 0, 0)
    for turn in turns:
        talk = say(rng, talk, turn)
    return [Packet(at_ns, again.frame), *talk.packets]


def keep_alive(rng: random.Random, at_ns: int, client: Host, server: Host = WEB, count: int = 6) -> list[Packet]:
    """Hold a used connection idle, with keep-alive probes."""
    talk = greet(rng, at_ns, Path(client, server, high_port(rng), 443))
    for turn in (Turn(CLIENT, client_hello(rng, name(rng))), Turn(SERVER, server_hello(rng)), Turn(CLIENT, sealed(rng, 90))):
        talk = say(rng, talk, turn)
    for _ in range(count):
        when = talk.clock_ns + 10 * SECOND
        talk = emit(talk, CLIENT, when, TcpPiece(ACK, seq=talk.ends[CLIENT].seq - 1 & 0xFFFFFFFF))
        talk = emit(talk, SERVER, when + 2 * server.delay_ns, TcpPiece(ACK))
    return talk.packets


CLIENTS = (
    Doing(3.0, (WEB, WEB, SHOP, SLOW), browse),
    Doing(3.0, (SHOP, SHOP, API, WEB), visit),
    Doing(5.0, (RESOLVER,), look_up),
    Doing(1.5, (CLOCK,), tell_time),
    Doing(0.8, (MAIL,), read_mail),
    Doing(0.5, (FILES, API), fail),
    Doing(0.3, (WEB, SHOP), stumble),
)


def crowd(rng: random.Random, at_ns: int, seconds: float, octets: int) -> list[Packet]:
    """Return a mix of strangers' activities of about that many captured bytes, begun within that many seconds."""
    packets: list[Packet] = []
    spent = 0
    while spent < octets:
        doing = rng.choices(CLIENTS, [each.weight for each in CLIENTS])[0]
        part = doing.play(rng, at_ns + int(rng.random() * seconds * SECOND), stranger(rng), rng.choice(doing.servers))
        size = sum(16 + len(packet.frame) for packet in part)
        if spent + size > 1.1 * octets + 2000:
            continue  # too large for what is left; a query to the resolver always fits
        packets += part
        spent += size
    return packets


def ordinary(rng: random.Random, at_ns: int, seconds: float, octets: int) -> list[Packet]:
    """Return the everyday traffic of the site: the crowd, probes, pings, a session, and the LAN's own traffic."""
    until = at_ns + int(seconds * SECOND)
    packets = crowd(rng, at_ns, seconds * 0.9, int(octets * 0.6))
    start = at_ns + rng.randrange(900) * MILLISECOND
    packets += check_health(rng, start, rng.choice((WEB, API)), max(2, min(int(seconds / 2), octets // 9000)))
    packets += watch(rng, start + 70 * MILLISECOND, MONITOR, rng.choice((SHOP, MAIL)), max(2, min(int(seconds), octets // 2500)))
    packets += log_in(rng, start + 130 * MILLISECOND, stranger(rng), BASTION, max(6, min(int(seconds * 2), octets // 2500)))
    packets += ask_around(rng, at_ns, [BALANCER, MONITOR, local(rng.randrange(150, 200))])
    return [packet for packet in packets if packet.time_ns < until]
