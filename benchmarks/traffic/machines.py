"""Generate attacks on machine services: malformed messages one after another, and floods of control commands.

Each function takes a random generator, a start time, an extent and a victim, and returns the packets with their label. The
extent counts connections or commands, as each function states.
"""

import random
import struct
from collections.abc import Callable
from typing import NamedTuple

from attack import Attack, Extent, application
from dialects import asdu, iec104, iec104_start, modbus, mqtt, mqtt_connect, mqtt_publish, s7, s7_connect, s7_write
from dialogue import CLIENT, LINUX, MICROSECOND, MILLISECOND, SECOND, SERVER, Host, Path, Talk, Turn, greet, part, reset, say
from hosts import high_port, local, stranger
from messages import WORDS, http_answer
from streams import Shot, pour

ODD_TEXTS = (b"%s%n%x" * 6, b"A" * 600, b"../" * 12 + b"etc/passwd", b"\0" * 24, b"\xff" * 40, b"' OR 1=1--", b"-1", b"4294967296")
DAMAGES = ("cut", "flip", "swell", "repeat", "insert", "shuffle", "noise")


class Service(NamedTuple):
    """Describe a service under test: its port, a valid message, its reply to a malformed one, and its greeting, if any."""

    port: int
    sample: Callable[[], bytes]
    error: Callable[[], bytes]
    greeting: bytes = b""


class Dialect(NamedTuple):
    """Describe a control protocol: its port, how a session opens, a command (by number and count of confirmed ones), a confirmation."""

    port: int
    opening: tuple[Turn, ...]
    command: Callable[[int, int], bytes]
    answer: Callable[[int], bytes]


def damaged(rng: random.Random, sample: bytes, kind: str) -> bytes:
    """Return the sample with one kind of damage, never unchanged."""
    at = rng.randrange(len(sample))
    odd = rng.choice(ODD_TEXTS)
    made = {
        "cut": sample[: max(1, at)],
        "flip": bytes(byte ^ (1 << rng.randrange(8) if rng.random() < 0.08 else 0) for byte in sample),
        "swell": sample[:at] + rng.choice((b"\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0")) + sample[at + 2 :],
        "repeat": sample[:at] + sample[at : at + 8] * rng.randint(8, 60),
        "insert": sample[:at] + odd + sample[at:],
        "shuffle": bytes(rng.sample(sample, len(sample))),
        "noise": rng.randbytes(rng.randint(1, 300)),
    }[kind]
    return made if made != sample else sample + odd


def _services(rng: random.Random) -> tuple[Service, ...]:
    """Return the services that may be tested."""

    def web() -> bytes:
        """Return a request."""
        method = rng.choice(("GET", "POST", "PUT", "OPTIONS", "HEAD"))
        first = f"{method} /{rng.choice(WORDS)}?id={rng.randrange(99)} HTTP/1.1\r\n"
        return f"{first}Host: a\r\nContent-Length: {rng.randrange(9)}\r\n\r\n".encode()

    def plc() -> bytes:
        """Return a read or write of registers."""
        read = struct.pack(">BHH", rng.choice((1, 2, 3, 4)), rng.randrange(100), rng.randint(1, 20))
        write = struct.pack(">BHHBHH", 16, rng.randrange(100), 2, 4, 1, 2)
        return modbus(rng.randrange(65536), 1, rng.choice((read, read, write)))

    def broker() -> bytes:
        """Return a CONNECT followed by a PUBLISH."""
        return mqtt_connect(f"f{rng.randrange(999)}", 30) + mqtt_publish("a/b", rng.randrange(1, 99), b"21.5")

    def files() -> bytes:
        """Return a command to an FTP server."""
        return f"{rng.choice(('USER', 'PASS', 'SITE', 'MKD', 'PORT'))} {rng.choice(WORDS)}\r\n".encode()

    def sorry() -> bytes:
        """Return status 400."""
        return http_answer(rng, 150, "400 Bad Request")

    def exception() -> bytes:
        """Return a Modbus exception."""
        return modbus(0, 1, bytes((0x80 | rng.choice((1, 3, 16)), rng.choice((1, 2, 3)))))

    return (
        Service(80, web, sorry),
        Service(502, plc, exception),
        Service(1883, broker, lambda: mqtt(0x20, b"\0\x01")),
        Service(21, files, lambda: b"500 Unknown command.\r\n", b"220 (vsFTPd 3.0.5)\r\n"),
    )


def _react(rng: random.Random, talk: Talk, service: Service, habits: tuple[int, ...]) -> Talk:
    """Let the service do one of: reset, close, reply with an error and close, reply and wait, or stay silent until the tester leaves."""
    habit = rng.choices(("reset", "close", "error", "told", "silent"), habits)[0]
    if habit == "reset":
        return reset(rng, talk, SERVER)
    if habit == "silent":
        return reset(rng, talk._replace(clock_ns=talk.clock_ns + rng.randrange(200, 1000) * MILLISECOND), CLIENT)
    if habit in {"error", "told"}:
        talk = say(rng, talk, Turn(SERVER, service.error(), rng.randrange(200, 4000) * MICROSECOND))
    return part(rng, talk, CLIENT if habit == "told" else SERVER)


def protocol_fuzzing(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Send a different malformed message to one service on each connection; the extent counts connections."""
    tester, service, packets = stranger(rng, LINUX), rng.choice(_services(rng)), []
    habits = rng.choice(((8, 1, 1, 0, 1), (1, 8, 2, 0, 1), (1, 1, 8, 3, 1), (1, 1, 3, 8, 2), (2, 2, 2, 2, 2)))
    step, sport = extent.seconds / extent.amount, high_port(rng)
    damages = rng.sample(DAMAGES, rng.randint(4, len(DAMAGES)))
    for number in range(extent.amount):
        when = at_ns + int((number + rng.random() * 0.5) * step * SECOND)
        talk = greet(rng, when, Path(tester, victim, 32768 + (sport - 32768 + 2 * number) % 28000, service.port))
        if service.greeting:
            talk = say(rng, talk, Turn(SERVER, service.greeting, 2 * MILLISECOND))
        talk = say(rng, talk, Turn(CLIENT, damaged(rng, service.sample(), rng.choice(damages))))
        packets += _react(rng, talk, service, habits).packets
    return application(packets, "protocol-fuzzing", victim)


def _modbus_dialect(rng: random.Random) -> Dialect:
    """Return writes of coils or registers over Modbus/TCP."""
    function, place, count, unit = rng.choice((5, 5, 6, 15, 16)), rng.randrange(200), rng.choice((2, 8, 16)), rng.choice((0, 1, 1, 255))
    spread, step = rng.choice((1, 1, 10, 60)), rng.choice((0, 1, 7, 4099))

    def command(number: int, _confirmed: int) -> bytes:
        """Return a write."""
        target = place + number % spread
        if function == 5:
            body = struct.pack(">BHH", 5, target, 0xFF00 if number % 2 else 0)
        elif function == 6:
            body = struct.pack(">BHH", 6, target, number * step & 0xFFFF)
        elif function == 15:
            body = struct.pack(">BHHB", 15, target, 8 * count, count) + rng.randbytes(count)
        else:
            body = struct.pack(">BHHB", 16, target, count, 2 * count) + rng.randbytes(2 * count)
        return modbus(number + 1, unit, body)

    def answer(number: int) -> bytes:
        """Return the confirmation."""
        told = {5: 0xFF00 if number % 2 else 0, 6: number * step & 0xFFFF, 15: 8 * count, 16: count}[function]
        return modbus(number + 1, unit, struct.pack(">BHH", function, place + number % spread, told))

    return Dialect(502, (), command, answer)


def _iec104_dialect(rng: random.Random) -> Dialect:
    """Return commands or set points over IEC 60870-5-104."""
    kind, station, place = rng.choice((45, 45, 46, 50)), rng.randint(1, 9), rng.randrange(1, 4000)
    spread = rng.choice((1, 1, 8, 40))
    opening = (Turn(CLIENT, iec104_start(confirmed=False)), Turn(SERVER, iec104_start(confirmed=True), 2 * MILLISECOND))

    def unit(number: int, cause: int) -> bytes:
        """Return the unit of one command, or of its confirmation."""
        element = bytes((number % 2 + (1 if kind == 46 else 0),)) if kind < 50 else struct.pack("<fB", number % 90, 0)
        return asdu(kind, cause, station, place + number % spread, element)

    def command(number: int, confirmed: int) -> bytes:
        """Return the frame of one command."""
        return iec104(number, min(confirmed, max(0, number - 8)), unit(number, 6))

    return Dialect(2404, opening, command, lambda number: iec104(number, number + 1, unit(number, 7)))


def _s7_dialect(rng: random.Random) -> Dialect:
    """Return writes into a data block over S7."""
    block, place, size = rng.randint(1, 60), rng.randrange(200), rng.choice((1, 2, 4, 16))
    setup = bytes.fromhex("f0000001000101e0")
    opening = (
        Turn(CLIENT, s7_connect(confirmed=False)),
        Turn(SERVER, s7_connect(confirmed=True), 2 * MILLISECOND),
        Turn(CLIENT, s7(1, 0, setup)),
        Turn(SERVER, s7(3, 0, setup), 2 * MILLISECOND),
    )

    def command(number: int, _confirmed: int) -> bytes:
        """Return a write."""
        return s7_write(number + 1, block, place + number % 4 * size, rng.randbytes(size))

    return Dialect(102, opening, command, lambda number: s7(3, number + 1, b"\x05\x01", b"\xff"))


def industrial_command_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Send commands to a controller far faster than any plant moves; the extent counts commands."""
    dialect = rng.choice((_modbus_dialect, _modbus_dialect, _iec104_dialect, _s7_dialect))(rng)
    inside = local(rng.randrange(150, 200)) if rng.random() < 0.4 else stranger(rng, LINUX)
    senders = [inside] * rng.choice((1, 1, 3, 6))
    share, lag_ns = rng.choice((0.0, 0.3, 1.0)), rng.randrange(2, 60) * MILLISECOND
    slower_ns, ending, sport = rng.choice((0, 200, 1500)) * MICROSECOND, rng.choice(("none", "rst")), high_port(rng)
    each, packets = max(1, extent.amount // len(senders)), []
    step = extent.seconds / each
    for lane, sender in enumerate(senders):
        talk = greet(rng, at_ns + lane * rng.randrange(1, 20) * MILLISECOND, Path(sender, victim, sport + 2 * lane, dialect.port))
        for turn in dialect.opening:
            talk = say(rng, talk, turn)
        begun, shots = talk.clock_ns + 2 * MILLISECOND, []
        for number in range(each):
            when, confirmed = begun + int((number + rng.random() * 0.7) * step * SECOND), int(share * each)
            shots.append(Shot(when, CLIENT, dialect.command(number, confirmed)))
            if number < confirmed:
                shots.append(Shot(when + 2 * victim.delay_ns + lag_ns + number * slower_ns, SERVER, dialect.answer(number)))
        talk = pour(rng, talk, shots)
        packets += (talk if ending == "none" else reset(rng, talk, CLIENT)).packets
    return application(packets, "industrial-command-flood", victim)
