"""Turn findings into events: one attack each, with its vector, victims, time, size, sources and reasons.

A finding with a pause longer than the gap becomes several events. Packets and bytes count the traffic toward the victim; bytes are IP
bytes.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from floodmark.base.thresholds import Checked, threshold
from floodmark.events.makeup import Makeup, Surroundings, makeup_of
from floodmark.events.rates import Rates
from floodmark.flows.flowset import FlowSet, Host, split
from floodmark.verdicts.context import Context
from floodmark.verdicts.decide import Considered, Decision
from floodmark.verdicts.receivers import VICTIM_PACKETS
from floodmark.verdicts.weighing import MOST_VICTIMS, Finding, Reason
from floodmark.vocabulary.vectors import VECTORS, Verdict
from floodmark_core.columns import I32, U8
from floodmark_core.protocols import SECOND_NS

_MOST_PARTS = 100  # that one finding is split into
_FEWEST_PULSES, _EVEN = 3, 0.3  # fewest bursts, and largest coefficient of variation, of a regular pattern
_LEAST_SHARE = 0.01  # of the largest part's packets; a part with fewer, or with a handful, is joined to the part before


@dataclass(frozen=True)
class Source:
    """One address that took part in an attack."""

    address: str
    packets: int  # toward the victim
    flows: int
    ordinary_packets: int = 0  # toward the victim, of no attack


@dataclass(frozen=True)
class EventSettings(Checked):
    """Where one event ends and the next begins: a silence as long as a share of the capture's span, within limits."""

    gap_share: float = threshold(0.1, "of the time that the captures span")
    least_gap_s: float = threshold(5.0, "a shorter silence ends no event")
    most_gap_s: float = threshold(300.0, "a longer one ends every event", "corsaro's expiry of an attack")
    least_application_gap_s: float = threshold(60.0, "guessing, scanning and slow dialogues wait between steps; the window of guessing")


@dataclass(frozen=True)
class Event:
    """An attack. Times are nanoseconds since the epoch; packets and bytes count what went toward the victims."""

    id: int
    verdict: Verdict
    vector: str
    victims: tuple[str, ...]  # the first hundred; if a whole prefix is hit, the prefix before its hosts
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
    spoofed: float | None  # probability that source addresses are forged; None if unknown
    start_censored: bool  # already at full rate when the capture begins
    end_censored: bool
    reasons: tuple[Reason, ...]
    top_sources: tuple[Source, ...]
    ports: tuple[int, ...]  # of the victim; in a reflection, of the reflectors
    notes: tuple[str, ...]
    considered: tuple[Considered, ...] = ()  # other vectors on the same victim that were rejected
    pulses: int = 1  # bursts separated by at least a second of silence
    pulse_period_s: float | None = None  # from one start to the next, if regular
    attack: int = 0  # id of the first event of the attack that this one belongs to
    makeup: Makeup = field(default_factory=Makeup)


@dataclass(frozen=True)
class Judged:
    """The events of a run and the event of every flow."""

    events: list[Event]
    event_of: I32  # per flow row: index into events, or below 0 a label, vectors.BENIGN_VECTORS
    back: U8  # per flow row: 1 if the responder attacks
    considered: dict[str, tuple[Considered, ...]] = field(default_factory=dict)  # by victim: vectors considered but not reported


def events_of(context: Context, decision: Decision, span_ns: tuple[int, int], settings: EventSettings) -> Judged:
    """Turn the findings of the rules into events, in order of their starts.

    span_ns: first and last packet of the captures.
    """
    parts: list[tuple[Event, FlowSet, list[Host]]] = []
    for finding in decision.findings:
        is_flood = VECTORS[finding.vector][0] is Verdict.VOLUMETRIC
        least_s = settings.least_gap_s if is_flood else settings.least_application_gap_s
        gap_ns = int(min(max((span_ns[1] - span_ns[0]) * settings.gap_share, least_s * SECOND_NS), settings.most_gap_s * SECOND_NS))
        stretches = _split_at_gaps(finding.flows, gap_ns)
        if _is_regular(stretches):  # a pulse wave: one attack, not many
            stretches = [_Part(finding.flows, stretches[0].start_ns, stretches[-1].end_ns)]
        notes = tuple(finding.evidence.notes)
        if len(stretches) > 1:
            notes += (f"one of {len(stretches)} bursts of one attack, separated by pauses; the reasons were measured over all of them",)
        for part in stretches:
            event = _event(context, finding, part, notes, span_ns)
            event = replace(event, considered=tuple(decision.considered.get(finding.victims[0], ())))
            parts.append((event, part.flows, finding.victims))
    parts.sort(key=lambda part: (part[0].start_ns, part[0].vector, part[0].victims))
    event_of: I32 = context.flows.memory.array(len(context.flows), np.int32)
    event_of.fill(-1)
    back: U8 = context.flows.memory.array(len(context.flows), np.uint8)
    for place, (_, flows, _) in enumerate(parts):
        flows.give_number(event_of, place)
        back[flows.index[flows.from_responder]] = 1
    surroundings = Surroundings(context, event_of)
    events = [_composed(replace(event, id=place + 1), flows, victims, surroundings) for place, (event, flows, victims) in enumerate(parts)]
    considered = {str(host): tuple(found) for host, found in decision.considered.items()}
    return Judged(events, event_of, back, considered)


def _composed(event: Event, flows: FlowSet, victims: list[Host], surroundings: Surroundings) -> Event:
    """Return an event with its makeup, compared with the ordinary traffic to its victims."""
    sources = [source.host for source in flows.ranked_sources[1]]
    ordinary = surroundings.packets_from(sources, victims)
    named = tuple(replace(source, ordinary_packets=packets) for source, packets in zip(event.top_sources, ordinary, strict=True))
    return replace(event, top_sources=named, makeup=makeup_of(flows, surroundings.around(victims)))


@dataclass(frozen=True)
class _Part:
    """A stretch of a finding without a pause."""

    flows: FlowSet
    start_ns: int
    end_ns: int


def _split_at_gaps(flows: FlowSet, gap_ns: int) -> list[_Part]:
    """Split flows where nothing happens for longer than the gap.

    A few isolated packets, such as those with a wrong time stamp, stay with the part before; they move neither start nor end.
    """
    if flows.measure(gap_ns)[3] == 0:
        return [_Part(flows, flows.first_ns, flows.last_ns)]
    begins, ends = flows.column("first_seen_ns"), flows.column("last_seen_ns")
    order = np.argsort(begins, kind="stable")
    begins, reached = begins[order], np.maximum.accumulate(ends[order])
    cuts = np.nonzero(begins[1:] - reached[:-1] > gap_ns)[0] + 1
    starts, stops = np.concatenate(([0], cuts)), np.concatenate((cuts, [len(flows)]))
    packets = np.add.reduceat(flows.packets[order], starts, dtype=np.int64)
    large = np.nonzero(packets >= max(VICTIM_PACKETS, _LEAST_SHARE * int(packets.max())))[0]
    if not len(large):
        large = np.array([int(packets.argmax())])
    if len(large) > _MOST_PARTS:  # so many recurrences are one attack
        return [_Part(flows, int(begins[starts[large[0]]]), int(ends[order][starts[large[-1]] : stops[large[-1]]].max()))]
    part = np.empty(len(flows), np.int32)
    part[order] = np.maximum(np.searchsorted(starts[large], np.arange(len(flows)), side="right") - 1, 0)
    bounds, listed = split(part, len(large))
    return [
        _Part(
            flows.take(listed[bounds[number] : bounds[number + 1]]),
            int(begins[starts[which]]),
            int(ends[order][starts[which] : stops[which]].max()),
        )
        for number, which in enumerate(large)
    ]


def _is_regular(stretches: list[_Part]) -> bool:
    """Return whether the stretches recur at regular intervals with about the same number of packets each."""
    if len(stretches) < _FEWEST_PULSES:
        return False
    starts, packets = np.array([part.start_ns for part in stretches]), np.array([part.flows.total_packets for part in stretches])
    return _is_even(np.diff(starts)) and float(packets.std()) <= _EVEN * float(packets.mean())


def _is_even(values: np.ndarray) -> bool:
    return len(values) > 0 and float(values.std()) <= _EVEN * float(values.mean())


def _pulses(flows: FlowSet) -> tuple[int, float | None]:
    """Return the number of bursts at least a second apart, and their period in seconds if it is regular."""
    if flows.measure(SECOND_NS)[3] == 0:
        return 1, None
    begins, ends = flows.column("first_seen_ns"), flows.column("last_seen_ns")
    order = np.argsort(begins, kind="stable")
    begins, reached = begins[order], np.maximum.accumulate(ends[order])
    cuts = np.nonzero(begins[1:] - reached[:-1] > SECOND_NS)[0] + 1
    periods = np.diff(begins[np.concatenate(([0], cuts))])
    regular = len(cuts) + 1 >= _FEWEST_PULSES and _is_even(periods)
    return len(cuts) + 1, round(float(periods.mean()) / SECOND_NS, 3) if regular else None


def _event(context: Context, finding: Finding, part: _Part, notes: tuple[str, ...], span_ns: tuple[int, int]) -> Event:
    flows, start_ns, end_ns = part.flows, part.start_ns, part.end_ns
    victims = finding.victims
    count = finding.victim_count or sum(not host.bits for host in victims)
    if len(victims) > 1 and len(flows) < len(finding.flows):  # this part of the finding reached only some of them
        count = flows.receiver_count
        reached = set(flows.receivers(MOST_VICTIMS))
        victims = [host for host in victims if host.bits or host in reached] or victims  # a part may have reached only multicast addresses
    rates = Rates(context, finding.vector, victims, flows, (start_ns, end_ns))
    peaks = rates.peaks()
    pulses, period_s = _pulses(flows) if VECTORS[finding.vector][0] is Verdict.VOLUMETRIC else (1, None)
    starts_with_capture, ends_with_capture = start_ns - span_ns[0] <= SECOND_NS, span_ns[1] - end_ns <= SECOND_NS
    return Event(
        id=0,
        verdict=VECTORS[finding.vector][0],
        vector=finding.vector,
        victims=tuple(str(host) for host in victims[:MOST_VICTIMS]),
        victim_count=count,
        start_ns=start_ns,
        end_ns=end_ns,
        peak_pps=round(peaks.pps, 3),
        peak_bps=round(peaks.bps, 3),
        peak_window_s=peaks.window_s,
        packets=flows.total_packets,
        bytes=flows.nbytes,
        flows=len(flows),
        sources=flows.source_count,
        confidence=round(finding.evidence.confidence, 4),
        spoofed=finding.spoofed,
        start_censored=starts_with_capture and rates.packets_in_second(span_ns[0]) >= peaks.pps / 2,
        end_censored=ends_with_capture and rates.packets_in_second(span_ns[1]) >= peaks.pps / 2,
        reasons=tuple(finding.evidence.reasons),
        top_sources=tuple(Source(str(source.host), source.packets, source.flows) for source in flows.ranked_sources[1]),
        ports=tuple(finding.ports),
        notes=notes,
        pulses=pulses,
        pulse_period_s=period_s,
    )
