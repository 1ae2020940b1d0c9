"""Splice generated attacks into real captures of ordinary use: at their time, with one of their own hosts as the victim."""

import csv
import random
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cases import CASES
from dialogue import SECOND
from scenarios import attempt, dotted, fact
from wire import ETHERNET, Format, Packet, merge, pcap_bytes

MOST_BYTES = 400_000
LEAST_SPAN_NS = 5 * SECOND


class Splice(NamedTuple):
    """A real capture with an attack in it."""

    name: str
    data: bytes
    facts: list[dict[str, str | int]]


def splices(folder: Path, seed: int, count: int) -> Iterator[Splice]:
    """Yield splices of attacks, one of each kind in turn, into benign captures of a folder with MANIFEST.tsv."""
    with (folder / "MANIFEST.tsv").open(encoding="utf-8", newline="") as file:
        names = [row["file"] for row in csv.DictReader(file, delimiter="\t") if row["class"] == "benign"]
    rng = random.Random(seed)
    rng.shuffle(names)
    kinds = [name for name in CASES if not name.endswith(("-carpet", "-pulse", "-moving", "multi-vector", "-sweep", "horizontal-scan"))]
    made = 0
    for name in names:
        path = folder / name
        packets = _read(path) if path.stat().st_size <= MOST_BYTES else []
        host = _busiest(packets)
        if host is None or packets[-1].time_ns - packets[0].time_ns < LEAST_SPAN_NS:
            continue
        kind = kinds[made % len(kinds)]
        victim = CASES[kind].victim._replace(address=host)
        start = packets[0].time_ns + (packets[-1].time_ns - packets[0].time_ns) // 3
        case = CASES[kind]._replace(make=lambda r, t, e, _, make=CASES[kind].make, victim=victim: make(r, t, e, victim))  # type: ignore[misc]
        attacks, _ = attempt(random.Random(f"{seed} {name}"), start, case, "")
        label = attacks[0].label._replace(victim=dotted(host))
        yield Splice(
            f"{kind} in {path.name}",
            pcap_bytes(merge(packets, attacks[0].packets), Format(ETHERNET, nanoseconds=True)),
            [fact(kind, seed, label, attacks[0].packets)],
        )
        made += 1
        if made == count:
            return


def _read(path: Path) -> list[Packet]:
    """Read a little-endian Ethernet pcap with microsecond timestamps; return no packets for any other file."""
    data = path.read_bytes()
    if data[:4] != b"\xd4\xc3\xb2\xa1" or struct.unpack_from("<I", data, 20)[0] != 1:
        return []
    packets, at = [], 24
    while at + 16 <= len(data):
        seconds, micros, captured, wire = struct.unpack_from("<4I", data, at)
        if at + 16 + captured > len(data):
            break
        packets.append(Packet(seconds * SECOND + micros * 1000, data[at + 16 : at + 16 + captured], wire))
        at += 16 + captured
    return sorted(packets, key=lambda packet: packet.time_ns)


def _busiest(packets: list[Packet]) -> int | None:
    """Return the IPv4 host that receives most over TCP or UDP, None if none receives twenty packets."""
    counts: Counter[int] = Counter()
    for packet in packets:
        if packet.frame[12:14] == b"\x08\x00" and len(packet.frame) >= 34 and packet.frame[23] in (6, 17):
            (address,) = struct.unpack_from(">I", packet.frame, 30)
            if address >> 28 < 0xE:
                counts[address] += 1
    host, received = counts.most_common(1)[0] if counts else (0, 0)
    return host if received >= 20 else None
