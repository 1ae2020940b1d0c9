"""Generate floods over few or short-lived connections: published messages, HTTP/2 frames, and requests within TLS.

Each function takes a random generator, a start time, an extent and a victim, and returns the packets with their label. The
extent counts messages, streams, frames or connections, as each function states.
"""

import random

from attack import Attack, Extent, application, dotted, moments
from dialects import (
    CALM_DOWN,
    END_HEADERS,
    END_STREAM,
    H2_CONTINUATION,
    H2_HEADERS,
    H2_SETTINGS,
    PREFACE,
    finished,
    flight,
    h2_answer,
    h2_away,
    h2_frame,
    h2_request,
    h2_reset,
    h2_settings,
    h2_widen,
    hpack_text,
    mqtt,
    mqtt_connect,
    mqtt_publish,
    same_hello,
)
from dialogue import CLIENT, MICROSECOND, MILLISECOND, SECOND, SERVER, Host, Path, Talk, Turn, converse, greet, part, reset, say
from hosts import high_port
from messages import AGENTS, WORDS, client_hello, sealed, words
from sessions import herd
from streams import Shot, pour
from wire import Packet

H2_TOOLS = (*AGENTS, "Go-http-client/2.0", "h2load nghttp2/1.52.0", "python-httpx/0.27.0")


def _end(rng: random.Random, talk: Talk, ending: str) -> list[Packet]:
    """End a conversation: fin, server-fin, rst, server-rst or none."""
    if ending == "none":
        return talk.packets
    who = SERVER if ending.startswith("server") else CLIENT
    return (reset if ending.endswith("rst") else part)(rng, talk, who).packets


def _beats(rng: random.Random, at_ns: int, seconds: float, count: int) -> list[int]:
    """Return ``count`` times at a steady rate with some jitter, in order."""
    step = seconds / max(1, count)
    return [at_ns + int((number + rng.random() * 0.8) * step * SECOND) for number in range(count)]


def mqtt_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Publish large messages from a few clients on several connections each; the extent counts messages."""
    clients, lanes = herd(rng, rng.choice((1, 1, 2, 3))), rng.randint(2, 6)
    size, quality, together = rng.choice((150, 300, 600, 1000)), rng.choice((0, 0, 1)), rng.choice((1, 1, 2, 5))
    topic, ending, ports = rng.choice(("load", "sensors/all", "a/b/c", "test")), rng.choice(("none", "rst", "fin")), high_port(rng)
    login = (rng.choice(WORDS), f"{rng.getrandbits(32):x}") if rng.random() < 0.4 else None
    each = max(1, extent.amount // (len(clients) * lanes))
    body = rng.choice((words(rng, size), b"\0" * size, rng.randbytes(size)))
    packets: list[Packet] = []
    for number in range(len(clients) * lanes):
        begun = at_ns + number * rng.randrange(1, 8) * MILLISECOND
        talk = greet(rng, begun, Path(clients[number % len(clients)], victim, ports + number, 1883))
        talk = say(rng, talk, Turn(CLIENT, mqtt_connect(f"{rng.choice(('pub', 'mqtt'))}-{rng.getrandbits(24):06x}", 60, login), quiet=True))
        talk = say(rng, talk, Turn(SERVER, mqtt(0x20, b"\0\0"), rng.randrange(200, 2000) * MICROSECOND))
        lag_ns = 2 * victim.delay_ns + rng.randrange(1, 30) * MILLISECOND
        talk = pour(rng, talk, _messages(rng, talk, Extent(extent.seconds, each), (together, quality * lag_ns), (topic, body)))
        packets += _end(rng, talk if ending != "fin" else say(rng, talk, Turn(CLIENT, mqtt(0xE0), quiet=True)), ending)
    return application(packets, "mqtt-flood", victim)


def _messages(rng: random.Random, talk: Talk, extent: Extent, habit: tuple[int, int], message: tuple[str, bytes]) -> list[Shot]:
    """Return messages, several per write, and their acknowledgements after a lag; a lag of 0 means none."""
    (together, lag_ns), (topic, body), shots = habit, message, []
    times = _beats(rng, talk.clock_ns + MILLISECOND, extent.seconds, -(-extent.amount // together))
    for turn, when in enumerate(times):
        numbers = range(turn * together + 1, min(extent.amount, turn * together + together) + 1)
        shots.append(Shot(when, CLIENT, b"".join(mqtt_publish(topic, number if lag_ns else 0, body) for number in numbers)))
        if lag_ns:
            told = b"".join(mqtt(0x40, (number & 0xFFFF).to_bytes(2, "big")) for number in numbers)
            shots.append(Shot(when + lag_ns + rng.randrange(2000) * MICROSECOND, SERVER, told))
    return shots


def h2_greet(rng: random.Random, at_ns: int, path: Path, settings: bytes, first: bytes) -> Talk:
    """Open a cleartext HTTP/2 connection, with first frames right after the client's settings."""
    talk = say(rng, greet(rng, at_ns, path), Turn(CLIENT, PREFACE + settings + first, quiet=True))
    own = h2_settings(((3, 128), (4, 65536), (5, 16384)))
    told = own + h2_widen(0, 2147418112) + h2_frame(H2_SETTINGS, 1, 0)
    talk = say(rng, talk, Turn(SERVER, told, rng.randrange(100, 2000) * MICROSECOND))
    return say(rng, talk, Turn(CLIENT, h2_frame(H2_SETTINGS, 1, 0)))


def _h2_lanes(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> list[tuple[Talk, int]]:
    """Open the flood's connections; return each with its share of the amount."""
    senders, dport = herd(rng, rng.choice((1, 1, 2, 4, 8))), rng.choice((80, 80, 8080))
    lanes = [sender for sender in senders for _ in range(rng.choice((1, 1, 2, 3)))][: max(1, extent.amount // 60)]
    settings = h2_settings(rng.choice((((3, 100),), ((2, 0), (4, 4194304)), ((1, 65536), (3, 1000), (4, 6291456)))))
    widen = h2_widen(0, 15663105) if rng.random() < 0.5 else b""
    talks: list[Talk] = []
    for sender in lanes:
        begun = at_ns + rng.randrange(100) * MILLISECOND
        talks.append(h2_greet(rng, begun, Path(sender, victim, high_port(rng), dport), settings, widen))
    return [(talk, max(1, extent.amount // len(lanes))) for talk in talks]


def rapid_reset(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Open streams and reset each at once, many in one write; the extent counts streams."""
    host, agent = rng.choice(("www.example.org", dotted(victim.address))), rng.choice(H2_TOOLS)
    path, pairs, told = (
        rng.choice(("/", f"/{rng.choice(WORDS)}", "/search?q=a")),
        rng.choice((8, 20, 50, 100)),
        rng.choice((0.0, 0.02, 0.1)),
    )
    away, ending = rng.random() < 0.3, rng.choice(("none", "none", "server-rst", "rst", "server-fin"))
    packets: list[Packet] = []
    for opened, each in _h2_lanes(rng, at_ns, extent, victim):
        shots: list[Shot] = []
        stream = 1
        for turn, when in enumerate(_beats(rng, opened.clock_ns + MILLISECOND, extent.seconds, -(-each // pairs))):
            made = b""
            for _ in range(min(pairs, each - turn * pairs)):
                block = h2_request(path, host, agent, stream == 1)
                made += h2_frame(H2_HEADERS, END_STREAM | END_HEADERS, stream, block) + h2_reset(stream)
                if rng.random() < told:
                    answer = h2_frame(H2_HEADERS, END_STREAM | END_HEADERS, stream, h2_answer(rng.choice((200, 404, 503)), 0))
                    shots.append(Shot(when + 2 * victim.delay_ns + rng.randrange(200, 9000) * MICROSECOND, SERVER, answer))
                stream += 2
            shots.append(Shot(when, CLIENT, made))
        talk = pour(rng, opened, shots)
        packets += _end(rng, say(rng, talk, Turn(SERVER, h2_away(stream - 2, CALM_DOWN))) if away else talk, ending)
    return application(packets, "http2-rapid-reset", victim)


def _junk(rng: random.Random, octets: int) -> bytes:
    """Return header fields of about that many bytes, none of them indexed."""
    made = b""
    while len(made) < octets:
        room = max(1, min(octets - len(made) - 12, 100))
        made += b"\0" + hpack_text(f"x-{rng.getrandbits(24):06x}") + hpack_text(words(rng, room).decode())
    return made


def continuation_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Begin a header block and continue it without end; the extent counts frames."""
    host, agent = rng.choice(("www.example.org", dotted(victim.address))), rng.choice(H2_TOOLS)
    size, frames = rng.choice((0, 12, 40, 150, 400)), rng.choice((1, 4, 12, 40))
    away, ending = rng.random() < 0.3, rng.choice(("none", "none", "server-rst", "rst", "server-fin"))
    packets: list[Packet] = []
    for opened, each in _h2_lanes(rng, at_ns, extent, victim):
        begun = h2_frame(H2_HEADERS, rng.choice((0, END_STREAM)), 1, h2_request("/", host, agent, first=True))
        shots = [Shot(opened.clock_ns + MILLISECOND, CLIENT, begun)]
        for turn, when in enumerate(_beats(rng, opened.clock_ns + 2 * MILLISECOND, extent.seconds, -(-each // frames))):
            count = min(frames, each - turn * frames)
            made = b"".join(h2_frame(H2_CONTINUATION, 0, 1, _junk(rng, size)) for _ in range(count))
            shots.append(Shot(when, CLIENT, made))
        talk = pour(rng, opened, shots)
        packets += _end(rng, say(rng, talk, Turn(SERVER, h2_away(1, CALM_DOWN))) if away else talk, ending)
    return application(packets, "http2-continuation-flood", victim)


def https_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Send one request within TLS, on a new connection each time; the extent counts connections."""
    senders, hello = herd(rng, rng.choice((1, 3, 12, 25, 40))), client_hello(rng, rng.choice(("www.example.org", "shop.example")))
    certificate, asked, told = rng.choice((230, 230, 640, 900)), rng.choice((90, 160, 240)), rng.choice((120, 260, 480))
    spread, ending = rng.choice((0, 0, 3)), rng.choice(("fin", "server-fin", "rst"))
    packets: list[Packet] = []
    for number, when in enumerate(moments(rng, at_ns, extent)):
        turns = [
            Turn(CLIENT, same_hello(rng, hello)),
            Turn(SERVER, flight(rng, certificate), rng.randrange(500, 4000) * MICROSECOND),
            Turn(CLIENT, finished(rng) + sealed(rng, asked + rng.randint(0, spread))),
            Turn(SERVER, sealed(rng, told + rng.randint(0, spread)), rng.randrange(500, 20000) * MICROSECOND),
        ]
        packets += converse(rng, when, Path(senders[number % len(senders)], victim, high_port(rng), 443), turns, ending)
    return application(packets, "https-flood", victim)
