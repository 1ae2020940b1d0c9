"""Findings in, events out: one attack with its vector, victims, time, size, sources and reasons.

A finding that pauses for longer than the gap becomes several events. The numbers count what went toward the victim; octets are those of
IP packets. Rates come from the cells, which hold every packet's second, except where the flows themselves are as exact.
"""

from dataclasses import dataclass, replace

import numpy as np

from floodmark.context import Context
from floodmark.flowset import FlowSet, Host
from floodmark.settings import EventSettings
from floodmark.terms import VECTORS, Verdict
from floodmark.verdicts.decide import Decision
from floodmark.verdicts.evidence import Finding, Reason
from floodmark_core import kinds
from floodmark_core.columns import I32, I64

MOST_VICTIMS = 100  # named in an event; victim_count has them all
_NS = 1_000_000_000
_SAME = 1.05
_FEWEST_PACKETS = 20  # of a part of its own; less stays with the part before


@dataclass(frozen=True)
class Source:
    """One address that took part in an attack."""

    address: str
    packets: int  # toward the victim
    flows: int


@dataclass(frozen=True)
class Event:
    """An attack. Times are nanoseconds since the epoch; packets and bytes count what went toward the victims."""

    id: int
    verdict: Verdict
    vector: str
    victims: tuple[str, ...]  # the first hundred
    victim_count: int
    start_ns: int
    end_ns: int
    peak_pps: float
    peak_bps: float
    peak_window_s: float  # over which the peaks were measured
    packets: int
    bytes: int
    flows: int
    sources: int
    confidence: float
    spoofed: float | None  # probability that source addresses are forged; None where that cannot be said
    start_censored: bool  # already at full rate when the capture begins
    end_censored: bool
    reasons: tuple[Reason, ...]
    top_sources: tuple[Source, ...]
    ports: tuple[int, ...]  # of the victim; for reflections, of the reflectors
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Judged:
    """The events of a run and the event of every flow."""

    events: list[Event]
    event_of: I32  # per flow row: place in events, or -1


def events_of(context: Context, decision: Decision, span_ns: tuple[int, int], settings: EventSettings) -> Judged:
    """Turn what the rules found into events, in order of their starts.

    span_ns: first and last packet of the captures.
    """
    parts: list[tuple[Event, FlowSet]] = []
    for finding in decision.findings:
        is_flood = VECTORS[finding.vector][0] is Verdict.VOLUMETRIC
        least_s = settings.least_gap_s if is_flood else settings.least_application_gap_s
        gap_ns = int(min(max((span_ns[1] - span_ns[0]) * settings.gap_share, least_s * _NS), settings.most_gap_s * _NS))
        parts.extend((_event(context, finding, part, span_ns), part.flows) for part in _split_at_gaps(finding.flows, gap_ns))
    parts.sort(key=lambda part: (part[0].start_ns, part[0].vector, part[0].victims))
    event_of: I32 = np.full(len(context.flows), -1, np.int32)
    for place, (_, flows) in enumerate(parts):
        event_of[flows.index] = place
    return Judged([replace(event, id=place + 1) for place, (event, _) in enumerate(parts)], event_of)


@dataclass(frozen=True)
class _Part:
    """What happened of a finding without a pause."""

    flows: FlowSet
    start_ns: int
    end_ns: int


def _split_at_gaps(flows: FlowSet, gap_ns: int) -> list[_Part]:
    """Cut flows where nothing happens for longer than the gap.

    Few packets apart from the rest, such as those with a wild time stamp, stay with the part before; they move neither start nor end.
    """
    if flows.measure(gap_ns)[3] == 0:
        return [_Part(flows, flows.first_ns, flows.last_ns)]
    begins, ends = flows.column("first_seen_ns"), flows.column("last_seen_ns")
    order = np.argsort(begins, kind="stable")
    begins, reached = begins[order], np.maximum.accumulate(ends[order])
    cuts = np.nonzero(begins[1:] - reached[:-1] > gap_ns)[0] + 1
    starts, stops = np.concatenate(([0], cuts)), np.concatenate((cuts, [len(flows)]))
    packets = np.add.reduceat(flows.packets[order], starts)
    large = np.nonzero(packets >= _FEWEST_PACKETS)[0]
    if not len(large):
        large = np.array([int(packets.argmax())])
    part = np.empty(len(flows), np.int64)
    part[order] = np.maximum(np.searchsorted(starts[large], np.arange(len(flows)), side="right") - 1, 0)
    return [
        _Part(flows.where(part == number), int(begins[starts[which]]), int(ends[order][starts[which] : stops[which]].max()))
        for number, which in enumerate(large)
    ]


def _event(context: Context, finding: Finding, part: _Part, span_ns: tuple[int, int]) -> Event:
    flows, start_ns, end_ns = part.flows, part.start_ns, part.end_ns
    victims = finding.victims
    if len(victims) > 1:
        reached = flows.receivers()
        victims = [host for host in victims if host in reached] or victims  # a part may have reached none but multicast
    peaks, window_s = _peaks(context, finding.vector, victims, part)
    first_rate = _rate_at(context, finding.vector, victims, span_ns[0])
    last_rate = _rate_at(context, finding.vector, victims, span_ns[1])
    return Event(
        id=0,
        verdict=VECTORS[finding.vector][0],
        vector=finding.vector,
        victims=tuple(str(host) for host in victims[:MOST_VICTIMS]),
        victim_count=len(victims),
        start_ns=start_ns,
        end_ns=end_ns,
        peak_pps=round(peaks[0], 3),
        peak_bps=round(peaks[1], 3),
        peak_window_s=window_s,
        packets=flows.total_packets,
        bytes=flows.octets,
        flows=len(flows),
        sources=flows.source_count,
        confidence=round(finding.evidence.confidence, 4),
        spoofed=finding.spoofed,
        start_censored=start_ns - span_ns[0] <= _NS and first_rate >= peaks[0] / 2,
        end_censored=span_ns[1] - end_ns <= _NS and last_rate >= peaks[0] / 2,
        reasons=tuple(finding.evidence.reasons),
        top_sources=tuple(Source(str(source.host), source.packets, source.flows) for source in flows.ranked_sources[1]),
        ports=tuple(finding.ports),
        notes=tuple(finding.evidence.notes),
    )


# Traffic kinds of the cells that a vector's packets are counted in.
_TCP = (kinds.TCP_SYN, kinds.TCP_SYNACK, kinds.TCP_RST, kinds.TCP_FIN, kinds.TCP_ACK, kinds.TCP_DATA, kinds.TCP_ODD)
_ICMP = (kinds.ICMP_ECHO, kinds.ICMP_ECHO_REPLY, kinds.ICMP_ERROR, kinds.ICMP_OTHER)
_VECTOR_KINDS: dict[str, tuple[int, ...]] = {
    "udp-reflection": (kinds.UDP, kinds.UDP_FROM_SERVICE, kinds.FRAGMENT),
    "udp-flood": (kinds.UDP, kinds.UDP_FROM_SERVICE, kinds.FRAGMENT),
    "icmp-flood": _ICMP,
    "ip-flood": (kinds.FRAGMENT, kinds.GRE, kinds.IPSEC, kinds.OTHER_IP),
    "tcp-syn-flood": (kinds.TCP_SYN,),
}


def _cells_of(context: Context, vector: str, victims: list[Host]) -> np.ndarray:
    """Return the cells in which a vector's packets to a single victim are counted; none for several victims."""
    number = context.host_numbers.get(victims[0]) if len(victims) == 1 else None
    if number is None:
        return context.cells[:0]
    wanted = _VECTOR_KINDS.get(vector) or _VECTOR_KINDS.get(VECTORS[vector][1], _TCP)
    cells = context.host_cells(number)
    return cells[np.isin(cells["kind"], wanted)]


def _rate_at(context: Context, vector: str, victims: list[Host], time_ns: int) -> float:
    """Return the packets of the second that a time falls in."""
    cells = _cells_of(context, vector, victims)
    return float(cells["packets"][cells["second"] == time_ns // _NS].sum())


def _peaks(context: Context, vector: str, victims: list[Host], part: _Part) -> tuple[tuple[float, float], float]:
    """Return (most packets, most bits) a second and the window in seconds over which they were measured."""
    flows, span_ns = part.flows, part.end_ns - part.start_ns
    if span_ns < _NS // 10:
        window_s = max(span_ns, 1_000_000) / _NS  # a millisecond at least: fewer packets than that carry no rate
        return (flows.total_packets / window_s, flows.octets * 8 / window_s), window_s
    window_ns = _NS if span_ns >= _NS else _NS // 10
    cells = _cells_of(context, vector, victims)
    cells = cells[(cells["last_ns"] >= part.start_ns) & (cells["first_ns"] <= part.end_ns)]
    alone = int(cells["packets"].sum()) <= _SAME * flows.total_packets  # the cells hold this attack and little else
    if len(cells) and (alone or flows.total_packets > 2 * len(flows)):
        packets, bits = _most_in_cells(cells, window_ns)
        packets, bits = min(packets, flows.total_packets), min(bits, flows.octets * 8)
    else:
        windows = (flows.column("first_seen_ns") - flows.first_ns) // window_ns
        _, window = np.unique(windows, return_inverse=True)  # a wild time stamp makes the range of windows enormous
        packets = float(np.bincount(window, weights=flows.packets).max())
        bits = float(np.bincount(window, weights=flows.sent("octets").astype(np.int64)).max()) * 8
    return (packets * _NS / window_ns, bits * _NS / window_ns), window_ns / _NS


def _most_in_cells(cells: np.ndarray, window_ns: int) -> tuple[float, float]:
    """Return the most packets and bits of any second, or tenth of a second, of the clock."""
    seconds, place = np.unique(cells["second"], return_inverse=True)
    if window_ns == _NS:
        packets: I64 = np.bincount(place, weights=cells["packets"], minlength=len(seconds)).astype(np.int64)
        octets: I64 = np.bincount(place, weights=cells["octets"], minlength=len(seconds)).astype(np.int64)
        return float(packets.max()), float(octets.max()) * 8
    tenths, tenth_octets = np.zeros((len(seconds), 10)), np.zeros((len(seconds), 10))
    np.add.at(tenths, place, cells["tenth_packets"])
    np.add.at(tenth_octets, place, cells["tenth_octets"])
    return float(tenths.max()), float(tenth_octets.max()) * 8
