"""Measured values weighed against thresholds: the reasons of a finding, and the confidence they add up to.

Evidence comes in groups that do not depend on each other; within a group only the strongest counts, so that one fact measured twice
cannot pass for two. The weights are log-odds, the base is the odds of an attack before anything is known. They are this project's own
choice, see DESIGN.md, Verdicts; two strong structural groups and a magnitude pass the level at which a finding is reported.
"""

import math
from dataclasses import dataclass, field

from floodmark.flows.flowset import FlowSet, Host
from floodmark.settings import VolumetricSettings

BASE = -4.5
REPORTED = 0.6  # least confidence of a finding that is reported

_LAND_SHARE, _TCP = 0.9, 6
MOST_VICTIMS = 100  # listed by a finding; victim_count has them all
STRONG, CLEAR, FAIR, SLIGHT = 3.0, 2.5, 1.5, 1.0
AGAINST = -2.5


@dataclass(frozen=True)
class Reason:
    """One rule that fired: what was measured, the threshold it passed, and the sentence for a reader."""

    rule: str
    measured: float
    threshold: float
    text: str
    weight: float  # what it adds to the logarithm of the odds where it is its group's strongest; below 0 it speaks against
    group: str = ""  # of reasons that measure one fact; only the strongest of a group counts


@dataclass
class Evidence:
    """Reasons gathered for one finding, by group."""

    weights: dict[str, float] = field(default_factory=dict)
    reasons: list[Reason] = field(default_factory=list)
    caps: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, group: str, weight: float, rule: str, measured: float, threshold: float, text: str) -> None:  # noqa: PLR0913, PLR0917
        """Record a rule that fired; ``weight`` < 0 speaks against the finding."""
        side = group if weight >= 0 else f"{group}, against"
        self.weights[side] = max(self.weights.get(side, weight), weight, key=abs)
        self.reasons.append(Reason(rule, round(float(measured), 6), float(threshold), text, weight, side))

    def cap(self, confidence: float, why: str) -> None:
        """Limit the confidence and say why."""
        self.caps.append(confidence)
        self.notes.append(why)

    @property
    def confidence(self) -> float:
        """Return the probability the evidence adds up to, 0 to 1, after caps."""
        odds = BASE + sum(self.weights.values())
        return min([1 / (1 + math.exp(-odds)), *self.caps])


@dataclass
class Finding:
    """An attack as one rule family sees it, before findings are put side by side."""

    vector: str
    victims: list[Host]
    flows: FlowSet  # seen from the victim
    evidence: Evidence
    ports: list[int]
    spoofed: float | None = None  # probability that source addresses are forged
    by_products: tuple[str, ...] = ()  # vectors that this one brings with it
    victim_count: int = 0  # where not all victims are listed

    @property
    def is_reported(self) -> bool:
        """Tell whether the confidence reaches the level of a report."""
        return self.evidence.confidence >= REPORTED


def floor_reached(flows: FlowSet, settings: VolumetricSettings, rate_pps: float | None = None) -> bool:
    """Tell whether there is enough to be called a flood: a rate, or a number that structure can carry.

    rate_pps: of the busiest stretch, where the flows alone do not show it.
    """
    packets, rate = flows.total_packets, flows.busiest_rate_pps if rate_pps is None else rate_pps
    if packets >= settings.flood_packets and rate >= settings.flood_rate_pps:
        return True
    return packets >= settings.structural_packets and rate >= settings.sustained_rate_pps


def weigh_magnitude(evidence: Evidence, rate_pps: float, floor_pps: float, what: str, clear_at: float = 20) -> None:
    """Add the magnitude group: at the floor fair, at ``clear_at`` times the floor clear."""
    if rate_pps >= floor_pps:
        weight = CLEAR if rate_pps >= clear_at * floor_pps else FAIR
        evidence.add(
            "magnitude", weight, "R_RATE", rate_pps, floor_pps, f"{what} arrive at {rate_pps:,.0f} a second in the busiest stretch"
        )


def weigh_spoofing(evidence: Evidence, flows: FlowSet, settings: VolumetricSettings) -> float | None:
    """Add the spoofing group. Returns how likely the source addresses are forged, or None where that cannot be said."""
    sources, ttl_concentration = flows.source_count, settings.ttl_concentration
    share = sources / flows.total_packets
    if sources < 20:
        return None
    ttls = flows.effective_ttls()
    # In a network of its own hosts have few TTLs too; over TCP their SYNs would have options and answers.
    few = sources >= settings.few_ttls_sources and ttls <= settings.few_ttls and int(flows.sample.column("protocol")[0]) == _TCP
    if share >= settings.spoofed_sources_per_packet and (ttls / sources <= ttl_concentration or few):
        evidence.add(
            "spoofing", CLEAR, "R_TTL_CONCENTRATION", ttls / sources, ttl_concentration,
            f"{sources:,} sources share {ttls:.1f} effective TTL values: the work of few machines behind forged addresses",
        )  # fmt: skip
        return 0.95
    if ttls / sources > 5 * ttl_concentration or ttls >= 8:
        return 0.1
    return None


def weigh_land(evidence: Evidence, flows: FlowSet) -> bool:
    """Tell whether packets seem to come from the host that they go to, and add what that says (LAND, CVE-1999-0016)."""
    seen = flows.sample
    same = (seen.sent("hi") == seen.received("hi")) & (seen.sent("lo") == seen.received("lo"))
    share = float(same.mean())
    if share < _LAND_SHARE:
        return False
    text = f"{share:.0%} of the packets have the victim's own address as their source"
    evidence.add("forged", STRONG, "R_FROM_ITSELF", share, _LAND_SHARE, text)
    return True


def cap_for_view(evidence: Evidence, *, answers: bool, packets: int, span_s: float) -> None:
    """Apply the caps of a view that shows less than the whole."""
    if not answers:
        evidence.cap(0.85, "one-sided: the victim's own packets are not in the capture, so answers and completions cannot be assessed")
    if packets < 100:
        evidence.cap(0.8, "fewer than 100 packets")
    elif span_s < 1.0:
        evidence.cap(0.9, "shorter than a second: the rate is not extrapolated")
