"""Weigh measured values against thresholds: the reasons of a finding, and the confidence they add up to.

Evidence comes in independent groups; within a group only the strongest reason counts, so that one fact measured twice does not count
twice. The weights are log-odds; the base is the log-odds of an attack before anything is known. They are this project's own choice, see
DESIGN.md, Verdicts; two strong structural groups and a magnitude reach the level at which a finding is reported.

What most families of floods weigh alike is here too: floors, magnitude, forged sources, limits of the view.
"""

import math
from dataclasses import dataclass, field

from floodmark.base.thresholds import Checked, declares, threshold
from floodmark.flows.flowset import FlowSet, Host
from floodmark_core.protocols import TCP

BASE = -4.5
REPORTED = 0.6  # least confidence of a reported finding
MOST_VICTIMS = 100  # most victims that a finding lists; victim_count counts all
STRONG, CLEAR, SOLID, FAIR, SLIGHT = 3.0, 2.5, 2.0, 1.5, 1.0
AGAINST = -2.5


@dataclass(frozen=True)
class Rule:
    """One fact for or against an attack. Its id is public: it appears in every JSON result in which the rule fired."""

    id: str
    group: str  # of rules that measure one fact; only the strongest of a group counts
    measures: str  # description of the measured value
    sentence: str  # for a reader: format string for the measured value and other facts
    why: str  # why this fact is evidence
    threshold: str = ""  # name of the setting that the value is compared with; empty if it is derived from several


@dataclass(frozen=True)
class Reason:
    """A rule that fired: the measured value, the threshold it passed, and the sentence for a reader."""

    rule: str
    measured: float
    threshold: float
    text: str
    weight: float  # added to the log-odds if it is the strongest of its group; below 0: evidence against
    group: str = ""  # of reasons that measure one fact; only the strongest of a group counts


@dataclass
class Evidence:
    """Reasons gathered for one finding, by group."""

    weights: dict[str, float] = field(default_factory=dict)
    reasons: list[Reason] = field(default_factory=list)
    caps: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, rule: Rule, weight: float, measured: float, threshold: float, **facts: object) -> None:
        """Record a rule that fired; ``weight`` < 0 is evidence against the finding. facts: other values in its sentence."""
        side = rule.group if weight >= 0 else f"{rule.group}, against"
        self.weights[side] = max(self.weights.get(side, weight), weight, key=abs)
        text = rule.sentence.format(measured=measured, threshold=threshold, **facts)
        self.reasons.append(Reason(rule.id, round(float(measured), 6), float(threshold), text, weight, side))

    def cap(self, confidence: float, why: str) -> None:
        """Cap the confidence and note why."""
        self.caps.append(confidence)
        self.notes.append(why)

    @property
    def confidence(self) -> float:
        """Return the probability that the evidence adds up to, 0 to 1, after caps."""
        odds = BASE + sum(self.weights.values())
        return min([1 / (1 + math.exp(-odds)), *self.caps])


@dataclass
class Finding:
    """An attack as one rule family sees it, before findings are compared."""

    vector: str
    victims: list[Host]
    flows: FlowSet  # seen from the victim
    evidence: Evidence
    ports: list[int]
    spoofed: float | None = None  # probability that source addresses are forged
    by_products: tuple[str, ...] = ()  # vectors that this one causes as well
    victim_count: int = 0  # if not all victims are listed

    @property
    def is_reported(self) -> bool:
        """Return whether the confidence is high enough to report."""
        return self.evidence.confidence >= REPORTED


@declares
class FloodThresholds(Checked):
    """Thresholds of all families of floods: is there enough traffic, how fast is it, and are its sources real."""

    flood_packets: int = threshold(50, "fewest packets of a kind that can be called a flood")
    flood_rate_pps: float = threshold(500.0, "mean over the burst; below it, structure must carry the verdict")
    structural_packets: int = threshold(100, "fewest packets when the rate is below the floor")
    sustained_rate_pps: float = threshold(20.0, "lowest mean rate that structure alone can carry", "BT's router limit of 20 SYN/s a host")
    clear_rate_times: float = threshold(20.0, "the floor of a rate, from which on the rate is clear evidence")
    modal_share: float = threshold(0.9, "of a flood's packets or flows that are alike in size, window, options or payload")
    alike_flows: int = threshold(20, "fewest flows of which it says something that they are alike")
    many_sources: int = threshold(20, "sources of one flood")
    source_rate_pps: float = threshold(100.0, "packets that each of a few sources sends")
    spoofed_sources_per_packet: float = threshold(0.5, "sources a packet: from here on most packets have a source of their own")
    ttl_concentration: float = threshold(0.01, "exp(H(TTL)) / sources at or below it: one machine behind many addresses")
    few_ttls: float = threshold(3.3, "effective TTL values of few machines; real sources of the internet show 4.5 to 30", "measured")
    few_ttls_sources: int = threshold(50, "fewest sources of which that is said")
    real_ttls: float = threshold(8.0, "effective TTL values from which on sources are real")
    real_ttls_times: float = threshold(5.0, "the concentration of forged sources, beyond which sources are real")
    own_address_share: float = threshold(0.9, "of the packets that name the victim as their own source", "LAND, CVE-1999-0016")


RATE = Rule(
    "R_RATE", "magnitude", "packets, or what else is counted, a second in the busiest stretch",
    "{what} arrive at {measured:,.0f} a second in the busiest stretch",
    "A flood does its harm by its rate; the floor is what ordinary traffic of this kind stays below.", "flood_rate_pps",
)  # fmt: skip
TTL_CONCENTRATION = Rule(
    "R_TTL_CONCENTRATION", "spoofing", "effective TTL values for each source",
    "{sources:,} sources share {ttls:.1f} effective TTL values: few machines send from forged addresses",
    "Real sources are at many distances, so that their packets arrive with many TTLs; forged ones all come from where the sender is.",
    "ttl_concentration",
)  # fmt: skip
FROM_ITSELF = Rule(
    "R_FROM_ITSELF", "forged", "share of packets whose source is the victim's own address",
    "{measured:.0%} of the packets have the victim's own address as their source",
    "No host sends itself packets over the network: somebody forged them (LAND).", "own_address_share",
)  # fmt: skip
RATE_PER_SOURCE = Rule(
    "R_RATE_PER_SOURCE", "source", "packets a second of each source",
    "each source sends {measured:,.0f} {what} a second",
    "Few sources that each send this fast are not clients of a service.", "source_rate_pps",
)  # fmt: skip
MANY_SOURCES = Rule(
    "R_MANY_SOURCES", "spread", "sources of the packets",
    "{measured:,} sources send {what} to one host",
    "Traffic of this kind comes from one peer or a few; many at the same time are a botnet, or forged.", "many_sources",
)  # fmt: skip
SAME_SIZE = Rule(
    "R_SAME_SIZE", "uniformity", "share of the flows with the most frequent packet size",
    "{measured:.0%} of the flows of {what} have the same packet size",
    "One tool, or one forged request, produces packets of one size; ordinary traffic mixes sizes.", "modal_share",
)  # fmt: skip


def floor_reached(flows: FlowSet, settings: FloodThresholds, rate_pps: float | None = None) -> bool:
    """Return whether there is enough traffic for a flood: a sufficient rate, or enough packets for structural evidence.

    rate_pps: of the busiest stretch, if the flows alone do not show it.
    """
    packets, rate = flows.total_packets, flows.busiest_rate_pps if rate_pps is None else rate_pps
    if packets >= settings.flood_packets and rate >= settings.flood_rate_pps:
        return True
    return packets >= settings.structural_packets and rate >= settings.sustained_rate_pps


def weigh_magnitude(evidence: Evidence, rate_pps: float, floor_pps: float, what: str, clear_at: float) -> None:
    """Add the magnitude group: fair at the floor, clear at ``clear_at`` times the floor."""
    if rate_pps >= floor_pps:
        evidence.add(RATE, CLEAR if rate_pps >= clear_at * floor_pps else FAIR, rate_pps, floor_pps, what=what)


def weigh_few_fast_sources(evidence: Evidence, flows: FlowSet, settings: FloodThresholds, what: str) -> None:
    """Add the rate of each source if there are few."""
    rate = flows.total_packets / flows.source_count / flows.span_s
    if flows.source_count < settings.many_sources and rate >= settings.source_rate_pps:
        evidence.add(RATE_PER_SOURCE, FAIR, rate, settings.source_rate_pps, what=what)


def weigh_spoofing(evidence: Evidence, flows: FlowSet, settings: FloodThresholds) -> float | None:
    """Add the spoofing group. Returns the probability that source addresses are forged, or None if unknown."""
    sources, concentration = flows.source_count, settings.ttl_concentration
    share = sources / flows.total_packets
    if sources < settings.many_sources:
        return None
    ttls = flows.effective_ttls()
    # Hosts of one local network have few TTLs too; over TCP their SYNs would have options and replies.
    few = sources >= settings.few_ttls_sources and ttls <= settings.few_ttls and int(flows.sample.column("protocol")[0]) == TCP
    if share >= settings.spoofed_sources_per_packet and (ttls / sources <= concentration or few):
        evidence.add(TTL_CONCENTRATION, CLEAR, ttls / sources, concentration, sources=sources, ttls=ttls)
        return 0.95
    if ttls / sources > settings.real_ttls_times * concentration or ttls >= settings.real_ttls:
        return 0.1
    return None


def weigh_land(evidence: Evidence, flows: FlowSet, settings: FloodThresholds) -> bool:
    """Return whether packets have their destination as source address, and add that evidence (LAND, CVE-1999-0016)."""
    seen = flows.sample
    same = (seen.sent("hi") == seen.received("hi")) & (seen.sent("lo") == seen.received("lo"))
    share = float(same.mean())
    if share < settings.own_address_share:
        return False
    evidence.add(FROM_ITSELF, STRONG, share, settings.own_address_share)
    return True


def cap_for_view(evidence: Evidence, *, answers: bool, packets: int, span_s: float) -> None:
    """Cap the confidence if the capture does not show all of the traffic."""
    if not answers:
        evidence.cap(0.85, "one-sided: the victim's own packets are not in the capture, so replies and completions cannot be assessed")
    if packets < 100:
        evidence.cap(0.8, "fewer than 100 packets")
    elif span_s < 1.0:
        evidence.cap(0.9, "shorter than a second: rates are measured over less than one")
