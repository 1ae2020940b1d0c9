"""Baseline methods, written here from their descriptions and run on the same packets as floodmark.

FastNetMon's rules: packets, bits and flows per second of each host, smoothed over five seconds, against fixed thresholds. The public DDoS
dissector's method: the host that receives more than half of the packets is the victim, of whatever most of them are. An entropy detector:
seconds in which the mix of addresses or ports differs from all others. A random forest over flow columns. The first three detect
attacks on a host, not classes: an alarm on the right host counts as right.
"""

import math
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scenarios import Scenario
from wire import ETHERNET, LINUX_SLL, TCP, UDP

SECOND = 1_000_000_000
LINK_BYTES = {ETHERNET: 14, LINUX_SLL: 16}
VLAN = b"\x81\x00"
SMOOTHING = 1 - math.exp(-1 / 5)  # FastNetMon's average over five seconds, updated once per second


class Seen(NamedTuple):
    """One IPv4 packet as these methods see it."""

    time_ns: int
    src: int
    dst: int
    protocol: int
    sport: int
    dport: int
    octets: int


def parse(scenario: Scenario) -> list[Seen]:
    """Return the IPv4 packets of a scenario."""
    seen = []
    for packet in scenario.packets:
        at = LINK_BYTES.get(scenario.form.link_type, 0)
        if scenario.form.link_type == ETHERNET and packet.frame[12:14] == VLAN:
            at += 4
        frame = packet.frame[at:]
        if len(frame) < 20 or frame[0] >> 4 != 4:
            continue
        start, later = (frame[0] & 15) * 4, struct.unpack_from(">H", frame, 6)[0] & 0x1FFF
        ports = struct.unpack_from(">HH", frame, start) if frame[9] in (TCP, UDP) and not later and len(frame) >= start + 4 else (0, 0)
        src, dst = struct.unpack_from(">II", frame, 12)
        seen.append(Seen(packet.time_ns, src, dst, frame[9], *ports, struct.unpack_from(">H", frame, 2)[0]))
    return seen


def fastnetmon(packets: Iterable[Seen], pps: float = 20_000, mbps: float = 1000, flows: float = 3500) -> int | None:
    """Return the host whose smoothed rates exceed a threshold first, None if none does. Defaults are FastNetMon's own."""
    by_second: dict[int, dict[int, list[Seen]]] = defaultdict(lambda: defaultdict(list))
    for packet in packets:
        by_second[packet.time_ns // SECOND][packet.dst].append(packet)
    averages: dict[int, NDArray[np.float64]] = defaultdict(lambda: np.zeros(3))
    limits = np.array([pps, mbps * 1e6, flows])
    for second in range(min(by_second, default=0), max(by_second, default=-1) + 1):
        now = by_second.get(second, {})
        for host in {*averages, *now}:
            got = now.get(host, ())
            rates = np.array([len(got), 8 * sum(p.octets for p in got), len({(p.src, p.sport, p.dport, p.protocol) for p in got})])
            averages[host] = averages[host] + SMOOTHING * (rates - averages[host])
            if (averages[host] >= limits).any():
                return host
    return None


def dissector(packets: list[Seen]) -> int | None:
    """Return the host that receives more than half of the packets, or most of them: the method assumes that there is an attack."""
    counts = Counter(packet.dst for packet in packets)
    return counts.most_common(1)[0][0] if counts else None


def entropy(packets: list[Seen], deviations: float = 6.0, least: int = 20) -> int | None:
    """Return the host that receives most in the first second whose mix is more than ``deviations`` median deviations from the others'."""
    by_second: dict[int, list[Seen]] = defaultdict(list)
    for packet in packets:
        by_second[packet.time_ns // SECOND].append(packet)
    windows = [window for _, window in sorted(by_second.items()) if len(window) >= least]
    if len(windows) < 3:
        return None
    mixes = np.array([[_entropy(window, field) for field in ("src", "dst", "sport", "dport")] for window in windows])
    middle = np.median(mixes, axis=0)
    spread = np.maximum(1.4826 * np.median(np.abs(mixes - middle), axis=0), 0.02)
    odd = (np.abs(mixes - middle) > deviations * spread).any(axis=1)
    return Counter(packet.dst for packet in windows[int(odd.argmax())]).most_common(1)[0][0] if odd.any() else None


def _entropy(window: list[Seen], field: str) -> float:
    """Return the entropy of a field over a window, as a share of the maximum."""
    counts = np.array(list(Counter(getattr(packet, field) for packet in window).values()))
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum() / math.log(len(window)))


# Columns that a per-flow classifier usually gets; no address and no port.
FEATURES = (
    "protocol", "initiator_packets", "responder_packets", "initiator_octets", "responder_octets", "tcp_flags_initiator",
    "tcp_flags_responder", "syn_packets", "rst_packets", "duration_ns",
)  # fmt: skip


def features(table: object) -> NDArray[np.float64]:
    """Return the forest's inputs from a flow table (pyarrow), one row per flow: the columns above, where present, and bytes per packet."""
    columns = {name: np.asarray(table[name].to_numpy(), np.float64) for name in FEATURES if name in table.column_names}  # type: ignore[attr-defined, index]
    times = [np.asarray(table[name].to_numpy(), np.float64) for name in ("first_seen_ns", "last_seen_ns")]  # type: ignore[index]
    columns["duration_ns"] = times[1] - times[0]
    per_packet = columns["initiator_octets"] / np.maximum(columns["initiator_packets"], 1)
    return np.nan_to_num(np.column_stack([*columns.values(), per_packet]))
