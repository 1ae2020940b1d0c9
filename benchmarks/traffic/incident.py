"""Generate a minute in which four groups of hosts are attacked in turn, at any size, with its ground truth.

    python benchmarks/traffic/incident.py PACKETS OUT.pcap [--seed N]

The electoral system, the government's portals, electricity, oil and gas each get a spoofed SYN flood for a quarter of a minute, and with
it requests, amplified DNS responses, slow connections or commands to a controller; voters, offices and substations continue meanwhile.
Every spoofed segment has its own source address, so that the truth is known without counting. ``OUT.assets.toml`` names the groups,
``OUT.claim.toml`` what is claimed about the minute; ``OUT.truth.json`` holds packets, flows, requests and sources, and the label of each
flow except the spoofed ones, which go to ``SYN_PORT``.
"""

import argparse
import json
import random
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from attack import Attack, Extent, dotted
from dialogue import SECOND, Host
from hosts import SITE, local
from machines import industrial_command_flood
from numpy.typing import NDArray
from people import ordinary
from reflections import dns_amplification
from scenarios import flow_rows
from sessions import get_flood, slow_headers
from wire import ICMP, SYN, TCP, Head, Packet, Segment, merge, tcp, tuple_of

EPOCH_NS = 1_725_000_000 * SECOND
SECONDS = 60
SYN_PORT = 8443  # only the spoofed floods go there
CHUNK = 200_000  # spoofed segments generated at a time
_FEWEST = 100  # spoofed segments in a minute, at least
_MOST_ANSWERS = 30_000  # of the amplified attack, which are generated one by one
_SPREAD = 0x9E3779B1  # odd: its multiples modulo 2^32 all differ
_PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)
_METHODS = (b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ")


class Group(NamedTuple):
    """A group of hosts, and the first of them, which is attacked."""

    name: str
    title: str
    first: int  # first of sixteen addresses of the site

    @property
    def victim(self) -> Host:
        """Return the host that is attacked."""
        return local(self.first + 1)

    @property
    def prefix(self) -> str:
        """Return the group's prefix."""
        return f"{dotted(SITE + self.first)}/28"


GROUPS = (
    Group("electoral", "Electoral system", 96),
    Group("portals", "Government portals", 112),
    Group("electricity", "Electricity", 128),
    Group("oil-gas", "Oil and gas", 144),
)


class Incident(NamedTuple):
    """The minute's traffic besides the spoofed segments, and the number of those."""

    forged: int
    packets: list[Packet]  # in order of time
    attacks: list[Attack]
    calm: list[Packet]


def plan(packets: int, seed: int) -> Incident:
    """Generate a minute of ``packets`` packets, or a few thousand if that is less than the rest of it needs."""
    rng = random.Random(f"{seed} incident")
    quarter = SECONDS / len(GROUPS)
    starts = [EPOCH_NS + int((number * quarter + 0.5) * SECOND) for number in range(len(GROUPS))]
    attacks = [
        get_flood(rng, starts[0], Extent(quarter - 2, 900), GROUPS[0].victim),
        dns_amplification(rng, starts[1], Extent(quarter - 2, max(800, min(packets // 1000, _MOST_ANSWERS))), GROUPS[1].victim),
        slow_headers(rng, starts[1], Extent(SECONDS - quarter - 3, 120), GROUPS[2].victim),
        industrial_command_flood(rng, starts[3], Extent(quarter - 2, 3000), GROUPS[3].victim),
    ]
    until = EPOCH_NS + SECONDS * SECOND
    attacks = [attack._replace(packets=[packet for packet in attack.packets if packet.time_ns < until]) for attack in attacks]
    calm = ordinary(rng, EPOCH_NS, SECONDS - 1, 400_000)
    small = merge(calm, *(attack.packets for attack in attacks))
    return Incident(max(packets - len(small), _FEWEST), small, attacks, calm)


def truth(incident: Incident) -> dict[str, object]:
    """Return the ground truth of a minute, counted from what was generated."""
    rows = flow_rows(incident.calm, incident.attacks)
    rows = rows[(rows[:, 2] > 0) | (rows[:, 3] > 0) | (rows[:, 4] == ICMP)]  # fragments belong to the flow of their first
    senders = {ends.src for attack in incident.attacks for packet in attack.packets if (ends := tuple_of(packet.frame)) is not None}
    real = senders - {group.victim.address for group in GROUPS}
    both = np.isin(_addresses(np.arange(incident.forged, dtype=np.uint64)), np.array(sorted(real), np.uint32))  # also spoofed
    return {
        "packets": incident.forged + sum(tuple_of(packet.frame) is not None for packet in incident.packets),
        "flows": incident.forged + len(rows),
        "attack flows": incident.forged + int((rows[:, 5] > 0).sum()),
        "requests": sum(_is_request(packet.frame) for packet in incident.packets),
        "sources": incident.forged + len(real) - int(both.sum()),
        "real sources": len(real),
        "forged": incident.forged,
        "rows": rows.tolist(),
    }


def _is_request(frame: bytes) -> bool:
    """Return whether an untagged Ethernet frame holds the start of an HTTP request over IPv4."""
    if frame[12:14] != b"\x08\x00" or frame[23] != TCP:
        return False
    segment = frame[14 + 4 * (frame[14] & 15) :]
    return segment[4 * (segment[12] >> 4) :].startswith(_METHODS)


def _addresses(numbers: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Return the spoofed source of each segment: all differ up to 2^32 segments."""
    return (numbers * np.uint64(_SPREAD)).astype(np.uint32)


def _forged(incident: Incident, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Yield (times in ns, records of the capture) of the spoofed segments, in time order."""
    random_ = np.random.default_rng(seed)
    frames = [
        np.frombuffer(tcp(Head(0, group.victim.address, 243 - 7 * place), Segment(0, SYN_PORT, 0, 0, SYN, 1024)), np.uint8)
        for place, group in enumerate(GROUPS)
    ]
    for first in range(0, incident.forged, CHUNK):
        numbers = np.arange(first, min(first + CHUNK, incident.forged), dtype=np.uint64)
        times = EPOCH_NS + (numbers.astype(np.float64) * (SECONDS * SECOND / incident.forged)).astype(np.int64)
        made = np.stack(frames)[(numbers * np.uint64(len(GROUPS)) // np.uint64(incident.forged)).astype(np.int64)]
        made[:, 26:30] = _addresses(numbers).astype(">u4").view(np.uint8).reshape(len(numbers), 4)
        made[:, 34:36] = random_.integers(4, 256, (len(numbers), 2), np.uint8)
        made[:, 38:42] = random_.integers(0, 256, (len(numbers), 4), np.uint8)
        heads = np.empty((len(numbers), 4), "<u4")
        heads[:, 0], heads[:, 1], heads[:, 2:] = times // SECOND, times % SECOND // 1000, made.shape[1]
        yield times, np.concatenate((heads.view(np.uint8).reshape(len(numbers), 16), made), axis=1)


def _record(packet: Packet) -> bytes:
    seconds, rest = divmod(packet.time_ns, SECOND)
    return struct.pack("<IIII", seconds, rest // 1000, len(packet.frame), len(packet.frame)) + packet.frame


def records(incident: Incident, seed: int) -> Iterator[bytes]:
    """Yield the records of a capture of the minute, in time order."""
    rest = incident.packets
    for times, made in _forged(incident, seed):
        held = sum(packet.time_ns <= times[-1] for packet in rest)
        yield b"".join(_woven(times, made, rest[:held]))
        rest = rest[held:]
    yield b"".join(_record(packet) for packet in rest)


def write(path: Path, packets: int, seed: int = 1) -> dict[str, object]:
    """Write the minute, its groups, a claim about it and its ground truth, which is also returned."""
    incident = plan(packets, seed)
    with path.open("wb") as file:
        file.write(_PCAP_HEADER)
        for some in records(incident, seed):
            file.write(some)
    found = truth(incident)
    claimed = 10 ** (len(str(incident.forged)) - 2)  # rounds the claim down to two digits
    for name, text in (
        ("assets.toml", assets_text()),
        ("claim.toml", claim_text(incident.forged // claimed * claimed)),
        ("truth.json", json.dumps(found)),
    ):
        path.with_suffix(f".{name}").write_text(text, encoding="utf-8")
    return found


def claim_text(number: int) -> str:
    """Return the text of the claim file."""
    return f'[claim]\nnumber = {number:_}\nunit = "attacks"\nperiod = "1 minute"\nsource = "what was said of the minute"\n'


def _woven(times: NDArray[np.int64], records: NDArray[np.uint8], others: Sequence[Packet]) -> Iterator[bytes]:
    """Yield records and other packets in time order."""
    done = 0
    for packet, place in zip(others, np.searchsorted(times, [packet.time_ns for packet in others]).tolist(), strict=True):
        yield records[done:place].tobytes()
        yield _record(packet)
        done = place
    yield records[done:].tobytes()


def assets_text() -> str:
    """Return the text of the assets file."""
    return "".join(f'[{group.name}]\ntitle = "{group.title}"\naddresses = ["{group.prefix}"]\n\n' for group in GROUPS)


def main() -> None:
    """Write one minute as specified on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packets", type=int)
    parser.add_argument("path", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    write(chosen.path, chosen.packets, chosen.seed)


if __name__ == "__main__":
    main()
