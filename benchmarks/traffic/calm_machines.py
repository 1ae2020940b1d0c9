"""Generate benign captures of machines at work: sensors and their broker, a database connection pool, SSH automation, a plant.

Each scene takes a random generator and a start time and returns packets, as in calm.py; calm_more.py lists these with its own.
"""

import random
import struct

from calm import Scene
from dialects import modbus, mqtt, mqtt_connect, mqtt_publish, mqtt_text
from dialogue import CLIENT, MICROSECOND, MILLISECOND, SECOND, SERVER, Host, Path, Stack, Turn, converse, greet, say
from hosts import API, OFFICE, high_port, local
from messages import WORDS, ssh_keys, ssh_offer
from people import ordinary
from signons import (
    MYSQL_GREETS,
    mysql_asks,
    mysql_fine,
    mysql_greeting,
    mysql_login,
    mysql_packet,
    mysql_rows,
    postgres,
    postgres_asks,
    postgres_fine,
    postgres_password,
    postgres_rows,
    postgres_start,
)
from streams import Shot, pour
from wire import Packet

SMALL = Stack(64, 5840, "m", 1460, 0)
DEVICE = Stack(64, 8192, "m", 1460, 0)
# What sensors measure: a topic, the format of a report, and its quality of service.
KINDS = (("temperature", '{"t":%.1f}', 0), ("climate", '{"t":%.1f,"h":41,"bat":3.01}', 1), ("power", '{"w":%.1f,"v":229.8,"a":0.41}', 0))


def _report(rng: random.Random, at_ns: int, until_ns: int, number: int, kind: tuple[str, str, int]) -> tuple[list[Packet], list[Shot]]:
    """Let one sensor connect and publish until the end; return its packets and what the broker forwards."""
    sensor = Host(OFFICE | 20 + number, SMALL, 0, rng.randrange(900, 6000) * MICROSECOND)
    talk = greet(rng, at_ns, Path(sensor, API, 49152 + rng.randrange(9000), 1883))
    talk = say(rng, talk, Turn(CLIENT, mqtt_connect(f"sensor-{number:03d}", 60), quiet=True))
    talk = say(rng, talk, Turn(SERVER, mqtt(0x20, b"\0\0"), rng.randrange(1, 4) * MILLISECOND))
    period, topic, count = rng.choice((1, 2, 5, 10)), f"site/{number % 6}/{kind[0]}/{number}", 0
    when, shots, passed = talk.clock_ns + int(rng.random() * period * SECOND), [], []
    while when < until_ns:
        count += 1
        body = (kind[1] % rng.uniform(17, 24)).encode()
        shots.append(Shot(when, CLIENT, mqtt_publish(topic, count * kind[2], body)))
        if kind[2]:
            told = when + 2 * API.delay_ns + rng.randrange(200, 2000) * MICROSECOND
            shots.append(Shot(told, SERVER, mqtt(0x40, struct.pack(">H", count))))
        passed.append(Shot(when + rng.randrange(200, 3000) * MICROSECOND, SERVER, mqtt_publish(topic, 0, body)))
        when += int(period * rng.uniform(0.97, 1.03) * SECOND)
    return pour(rng, talk, shots).packets, passed


def sensors(rng: random.Random, at_ns: int) -> list[Packet]:
    """Let fifty sensors publish to a broker, from which one gateway reads everything."""
    until, packets, passed = at_ns + 20 * SECOND, [], []
    for number in range(50):
        begun = at_ns + SECOND + int(rng.random() * 5 * SECOND)
        part, told = _report(rng, begun, until, number, rng.choice(KINDS))
        packets += part
        passed += told
    reader = local(7)
    talk = greet(rng, at_ns, Path(reader, API, high_port(rng), 1883))
    said = [Turn(CLIENT, mqtt_connect("gateway", 30, ("gateway", "secret"))), Turn(SERVER, mqtt(0x20, b"\0\0"), MILLISECOND)]
    said += [Turn(CLIENT, mqtt(0x82, b"\0\1" + mqtt_text("site/#") + b"\0")), Turn(SERVER, mqtt(0x90, b"\0\1\0"), MILLISECOND)]
    for turn in said:
        talk = say(rng, talk, turn)
    pings = [at_ns + 10 * SECOND + number * 8 * SECOND for number in range(2)]
    passed += [Shot(when, CLIENT, mqtt(0xC0)) for when in pings]
    passed += [Shot(when + MILLISECOND, SERVER, mqtt(0xD0)) for when in pings]
    return packets + pour(rng, talk, passed).packets


def _mysql_work(rng: random.Random, version: str, waits: list[int]) -> list[Turn]:
    """Return a connection to MySQL: a successful login, then queries after the given waits."""
    said = [Turn(SERVER, mysql_greeting(rng, version, rng.randrange(100, 9000)), MILLISECOND), Turn(CLIENT, mysql_login(rng, "shop"))]
    said.append(Turn(SERVER, mysql_fine(2), MILLISECOND))
    for wait in waits:
        reads = rng.random() < 0.7
        asked = f"CALL find_items({rng.randrange(90000)}, '{rng.choice(WORDS)}')" if reads else f"CALL note_view({rng.randrange(90000)})"
        told = mysql_rows("name", [rng.choice(WORDS) for _ in range(rng.randint(0, 12))]) if reads else mysql_fine(1)
        said += [Turn(CLIENT, mysql_asks(asked), wait), Turn(SERVER, told, int(rng.lognormvariate(0.3, 0.8) * MILLISECOND))]
    return said


def _postgres_work(rng: random.Random, waits: list[int]) -> list[Turn]:
    """Return a connection to PostgreSQL: a successful login, then queries after the given waits."""
    said = [Turn(CLIENT, postgres_start("shop", "shop")), Turn(SERVER, postgres_asks(rng), MILLISECOND)]
    said += [Turn(CLIENT, postgres_password(rng)), Turn(SERVER, postgres_fine(rng), 2 * MILLISECOND)]
    for wait in waits:
        asked = f"EXECUTE {rng.choice(('find_items', 'list_orders', 'load_account'))} ({rng.randrange(90000)}, '{rng.choice(WORDS)}')\0"
        told = postgres_rows("name", [rng.choice(WORDS) for _ in range(rng.randint(0, 12))])
        said.append(Turn(CLIENT, postgres(b"Q", asked.encode()), wait))
        said.append(Turn(SERVER, told, int(rng.lognormvariate(0.3, 0.8) * MILLISECOND)))
    return said


def database_pool(rng: random.Random, at_ns: int) -> list[Packet]:
    """Start an application that opens a pool of database connections at once and works on them."""
    packets, server, base = ordinary(rng, at_ns, 25, 30_000), local(31), local(32)
    lanes, port, version = rng.randint(8, 16), rng.choice((3306, 5432)), rng.choice(MYSQL_GREETS)
    begun = at_ns + rng.randrange(2, 5) * SECOND
    for lane in range(lanes):
        waits = [int(rng.expovariate(1) * lanes / 18 * SECOND) for _ in range(rng.randint(200, 320) // lanes)]
        halves = [waits] if rng.random() < 0.8 else [waits[: len(waits) // 2], waits[len(waits) // 2 :]]
        when = begun + lane * rng.randrange(3, 30) * MILLISECOND
        for half in halves:
            turns = _mysql_work(rng, version, half) if port == 3306 else _postgres_work(rng, half)
            turns.append(Turn(CLIENT, mysql_packet(0, b"\1") if port == 3306 else postgres(b"X", b""), 2 * SECOND))
            made = converse(rng, when, Path(server, base, high_port(rng), port), turns)
            packets += made
            when = made[-1].time_ns + rng.randrange(5, 90) * MILLISECOND
    return packets


def _task(rng: random.Random) -> list[Turn]:
    """Return one task on an open SSH session: a script is uploaded, and its output comes back."""
    turns = [Turn(CLIENT, rng.randbytes(4 * int(rng.lognormvariate(5.0, 1.2)) + 100), rng.randrange(2, 200) * MILLISECOND)]
    turns.append(Turn(SERVER, rng.randbytes(rng.choice((36, 52, 100))), 2 * MILLISECOND))
    turns.append(Turn(CLIENT, rng.randbytes(rng.choice((100, 148, 196)))))
    return [*turns, Turn(SERVER, rng.randbytes(4 * int(rng.lognormvariate(4.2, 1.0)) + 52), int(rng.lognormvariate(-1.0, 0.8) * SECOND))]


def automation(rng: random.Random, at_ns: int) -> list[Packet]:
    """Let one host configure several over SSH, a few at a time, in sessions of different sizes."""
    packets, control, hosts = (
        ordinary(rng, at_ns, 40, 30_000),
        local(8),
        [local(number) for number in rng.sample(range(100, 150), rng.randint(5, 8))],
    )
    for number, host in enumerate(hosts):
        when = at_ns + 3 * SECOND + number // 5 * 14 * SECOND + number % 5 * rng.randrange(20, 90) * MILLISECOND
        for _ in range(rng.randint(1, 3)):
            offer, reply = ssh_keys(rng)
            turns = [Turn(CLIENT, b"SSH-2.0-OpenSSH_9.6\r\n"), Turn(SERVER, b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", 8 * MILLISECOND)]
            turns += [Turn(CLIENT, ssh_offer(rng)), Turn(SERVER, ssh_offer(rng)), Turn(CLIENT, offer), Turn(SERVER, reply, 2 * MILLISECOND)]
            turns += [Turn(CLIENT, bytes.fromhex("0000000c0a1500000000000000000000") + rng.randbytes(44)), Turn(SERVER, rng.randbytes(44))]
            turns += [Turn(CLIENT, rng.randbytes(372)), Turn(SERVER, rng.randbytes(324), 9 * MILLISECOND)]
            turns += [Turn(CLIENT, rng.randbytes(640)), Turn(SERVER, rng.randbytes(36), 6 * MILLISECOND)]
            for _ in range(rng.choice((1, 2, 4, 7))):
                turns += _task(rng)
            made = converse(rng, when, Path(control, host, high_port(rng), 22), turns)
            packets += made
            when = made[-1].time_ns + rng.randrange(100, 2500) * MILLISECOND
    return packets


def plant(rng: random.Random, at_ns: int) -> list[Packet]:
    """Poll the registers of several controllers, 10 to 20 requests per second, and occasionally set a value."""
    master, count, rate = local(9), rng.randint(3, 6), rng.uniform(10, 20)
    packets = ordinary(rng, at_ns, 25, 30_000)
    for number in range(count):
        device = local(170 + number, DEVICE)._replace(delay_ns=rng.randrange(100, 900) * MICROSECOND)
        blocks = [(rng.choice((3, 3, 4)), rng.randrange(0, 400, 10), rng.choice((2, 10, 20, 60))) for _ in range(rng.randint(1, 4))]
        slow, values, turns = rng.choice((3, 3, 12, 30)), [rng.randrange(4000) for _ in range(60)], []
        for poll in range(int(22 * rate / count)):
            wait = int(max(0.0, count / rate - slow / 1000) * rng.uniform(0.94, 1.06) * SECOND)
            function, place, size = blocks[poll % len(blocks)]
            values[rng.randrange(60)] += rng.randint(-9, 9)
            if poll % 60 == 59:
                body = struct.pack(">BHH", 6, 500, rng.randrange(100))
                asked, told = body, body
            else:
                asked = struct.pack(">BHH", function, place, size)
                told = struct.pack(f">BB{size}H", function, 2 * size, *(value & 0xFFFF for value in values[:size]))
            turns.append(Turn(CLIENT, modbus(poll + 1, 1, asked), wait))
            turns.append(Turn(SERVER, modbus(poll + 1, 1, told), int(slow * rng.uniform(0.7, 1.5) * MILLISECOND)))
        packets += converse(
            rng, at_ns + number * rng.randrange(40, 400) * MILLISECOND, Path(master, device, high_port(rng), 502), turns, "none"
        )
    return packets


SCENES = {
    "mqtt-sensors": Scene(sensors, "ordinary", "fifty sensors, a broker and a gateway; not a flood of messages"),
    "database-pool": Scene(database_pool, "ordinary", "many like connections that all log in; not guessing"),
    "ssh-automation": Scene(automation, "ordinary", "short SSH sessions of different sizes from one host; not guessing"),
    "modbus-master": Scene(plant, "measurement", "steady polls of several controllers; not a flood of commands"),
}
