"""Generate captures without an attack, several of which look like one: crowds, backups, resolvers, calls, one direction only.

Each scene takes a random generator and a start time and returns packets; scenarios.py labels and writes them.
"""

import random
from collections.abc import Callable
from typing import NamedTuple

from attack import Extent, moments
from datagrams import ask_around, call, look_up, tell_time, watch
from dialogue import LINUX, MICROSECOND, MILLISECOND, SECOND, STACKS, Host, option_bytes
from hosts import BALANCER, FILES, MAIL, MONITOR, OFFICE, RESOLVER, SHOP, SITE, WEB, colleague, high_port, local, stranger
from people import browse, check_health, fail, fetch, keep_alive, log_in, ordinary, read_mail, store, visit
from wire import ACK, LOCAL_NET6, RST, SYN, Head, Packet, Segment, one_sided, snap, tcp


class Scene(NamedTuple):
    """Describe a benign capture."""

    play: Callable[[random.Random, int], list[Packet]]
    vector: str
    why: str


def _after(rng: random.Random, at_ns: int, seconds: float) -> int:
    """Return a random time within ``seconds`` of ``at_ns``."""
    return at_ns + int(rng.random() * seconds * SECOND)


def office(rng: random.Random, at_ns: int) -> list[Packet]:
    """Play an office behind its own edge: clients inside, servers outside."""
    team = [colleague(rng) for _ in range(rng.randint(6, 14))]
    resolver = local(2, LINUX, OFFICE)
    mail, clock, phone = (stranger(rng, LINUX) for _ in range(3))
    packets = ask_around(rng, at_ns, team[:5])
    for who in team:
        for _ in range(rng.randint(1, 3)):
            when, there = _after(rng, at_ns, 50), stranger(rng, LINUX)
            packets += look_up(rng, when, who, resolver)
            packets += rng.choice((browse, visit, visit))(rng, when + 30 * MILLISECOND, who, there)
        packets += read_mail(rng, _after(rng, at_ns, 20), who, mail) + read_mail(rng, _after(rng, at_ns + 60 * SECOND, 1), who, mail)
        packets += tell_time(rng, _after(rng, at_ns, 50), who, clock)
    packets += call(rng, _after(rng, at_ns, 20), team[0], phone, rng.uniform(2, 4))
    packets += log_in(rng, at_ns, team[1], stranger(rng, LINUX), rng.randint(20, 60))
    packets += fetch(rng, _after(rng, at_ns, 30), team[2], stranger(rng, LINUX), rng.randint(60_000, 150_000))
    return (
        packets + fail(rng, _after(rng, at_ns, 30), team[3], stranger(rng, LINUX)) + keep_alive(rng, at_ns, team[4], stranger(rng, LINUX))
    )


def server_farm(rng: random.Random, at_ns: int) -> list[Packet]:
    """Play a minute of the site's ordinary traffic."""
    return ordinary(rng, at_ns, rng.uniform(50, 80), rng.randint(250_000, 400_000))


def flash_crowd(rng: random.Random, at_ns: int) -> list[Packet]:
    """Let about 300 real clients arrive within a minute, at a growing rate, to read the same news."""
    packets: list[Packet] = []
    for _ in range(rng.randint(280, 330)):
        who, place = stranger(rng), rng.random() ** rng.uniform(0.5, 0.7)
        when = at_ns + int(place * 60 * SECOND)
        if rng.random() < 0.3:
            packets += look_up(rng, when, who)
        packets += browse(rng, when + 80 * MILLISECOND, who, WEB, 1)
    return snap(packets, 160)


def nightly_backup(rng: random.Random, at_ns: int) -> list[Packet]:
    """Send large files from a few servers to one store while little else happens."""
    packets = ordinary(rng, at_ns, 30, 30_000)
    for number in range(rng.randint(2, 4)):
        source = local(70 + number)._replace(delay_ns=rng.randrange(80, 400) * MICROSECOND)
        packets += store(rng, at_ns + (4 + 6 * number) * SECOND, source, FILES, rng.randint(400_000, 900_000))
    return snap(packets, 400)


def busy_resolver(rng: random.Random, at_ns: int) -> list[Packet]:
    """Let many clients query one resolver, hundreds of queries per second."""
    clients = [stranger(rng) for _ in range(rng.randint(60, 160))]
    packets: list[Packet] = []
    for when in moments(rng, at_ns, Extent(rng.uniform(3, 8), rng.randint(1200, 2000))):
        packets += look_up(rng, when, clients[min(int(rng.expovariate(0.04)), len(clients) - 1)], RESOLVER)
    return packets


def calls(rng: random.Random, at_ns: int) -> list[Packet]:
    """Hold several calls at once."""
    packets = ordinary(rng, at_ns, 15, 30_000)
    for _ in range(rng.randint(2, 5)):
        packets += call(rng, _after(rng, at_ns, 4), stranger(rng), seconds=rng.uniform(4, 9))
    return packets


def one_way(rng: random.Random, at_ns: int) -> list[Packet]:
    """Show only what reaches the site."""
    return one_sided(ordinary(rng, at_ns, 60, 400_000), 0)


def midstream(rng: random.Random, at_ns: int) -> list[Packet]:
    """Begin and end the capture in the middle of conversations."""
    packets = ordinary(rng, at_ns, 60, 400_000)
    packets += fetch(rng, at_ns + int(19.95 * SECOND), stranger(rng), FILES, 150_000)
    return [packet for packet in packets if 20 * SECOND <= packet.time_ns - at_ns < 45 * SECOND]


def downloads(rng: random.Random, at_ns: int) -> list[Packet]:
    """Fetch a few large files, each over one connection."""
    packets = ordinary(rng, at_ns, 20, 30_000)
    for _ in range(rng.randint(2, 4)):
        packets += fetch(rng, _after(rng, at_ns, 12), stranger(rng), FILES, rng.randint(300_000, 700_000))
    return snap(packets, 300)


def probes(rng: random.Random, at_ns: int) -> list[Packet]:
    """Monitor servers: health checks and pings at fixed intervals."""
    packets: list[Packet] = []
    for number, server in enumerate((WEB, SHOP, MAIL)):
        packets += check_health(rng, at_ns + number * 300 * MILLISECOND, server, 30, rng.choice((1.0, 2.0, 5.0)))
        packets += watch(rng, at_ns + number * 100 * MILLISECOND, MONITOR, server, 60)
        packets += watch(rng, at_ns + number * 100 * MILLISECOND, BALANCER, server, 30)
    return packets


def gateway(rng: random.Random, at_ns: int) -> list[Packet]:
    """Let a crowd share one address: many connections, many systems, one source."""
    shared = stranger(rng)
    packets: list[Packet] = []
    for _ in range(rng.randint(25, 45)):
        who = shared._replace(stack=rng.choice(STACKS))
        packets += rng.choice((browse, visit))(rng, _after(rng, at_ns, 40), who, rng.choice((WEB, SHOP)))
    return snap(packets, 256)


def both_protocols(rng: random.Random, at_ns: int) -> list[Packet]:
    """Serve clients over IPv6 as well as over IPv4."""
    server = Host(LOCAL_NET6 << 80 | 0x10, LINUX)
    packets = ordinary(rng, at_ns, 30, 60_000)
    for _ in range(rng.randint(8, 16)):
        who = stranger(rng)._replace(address=0x2A00 << 112 | rng.getrandbits(100))
        packets += rng.choice((browse, visit, look_up, tell_time))(rng, _after(rng, at_ns, 25), who, server)
    return packets


def backscatter(rng: random.Random, at_ns: int) -> list[Packet]:
    """Receive backscatter: replies of a server elsewhere, flooded from spoofed addresses of this site."""
    far, port, options = stranger(rng, LINUX), rng.choice((80, 443, 22)), option_bytes(LINUX, 0, 0, "m")
    packets = ordinary(rng, at_ns, 30, 60_000)
    for when in moments(rng, at_ns, Extent(28, rng.randint(120, 300))):
        target = SITE | rng.randrange(2, 255)
        flags = rng.choice((SYN | ACK, SYN | ACK, RST | ACK))
        segment = Segment(port, high_port(rng), rng.getrandbits(32), rng.getrandbits(32), flags, 64240 if flags & SYN else 0)
        made = segment._replace(options=options) if flags & SYN else segment
        packets.append(Packet(when, tcp(Head(far.address, target, 64 - far.hops, 0), made)))
    return packets


SCENES = {
    "office": Scene(office, "ordinary", "clients inside, the world outside"),
    "server-farm": Scene(server_farm, "ordinary", "the site on an ordinary minute"),
    "flash-crowd": Scene(flash_crowd, "flash-crowd", "300 real clients within a minute; not a request flood"),
    "nightly-backup": Scene(nightly_backup, "bulk-transfer", "few flows carry nearly all octets"),
    "busy-resolver": Scene(busy_resolver, "ordinary", "hundreds of answered questions a second; not a query flood"),
    "voip": Scene(calls, "ordinary", "steady small datagrams both ways; not a UDP flood"),
    "one-sided-ordinary": Scene(one_way, "ordinary", "answers were never captured; not half-open connections"),
    "midstream-ordinary": Scene(midstream, "ordinary", "conversations without a handshake; not an ACK flood"),
    "bulk-download": Scene(downloads, "bulk-transfer", "large files to few clients"),
    "measurement": Scene(probes, "measurement", "health checks and pings at fixed periods"),
    "nat-gateway": Scene(gateway, "ordinary", "many people behind one address; not a connection flood"),
    "dual-stack": Scene(both_protocols, "ordinary", "IPv6 beside IPv4"),
    "backscatter": Scene(backscatter, "backscatter", "answers to a flood elsewhere; not an attack on this site"),
}
