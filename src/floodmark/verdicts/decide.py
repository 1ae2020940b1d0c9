"""Run all rules over one context, and decide which finding explains which flow: at most one finding holds a flow.

The most exact rules go first. A finding loses the flows that an earlier one explains, and is rejected when most of it is gone: a scan is
not also a SYN flood, a request flood not also a connection flood. By-products of an attack (the RSTs among reflected SYN-ACKs) are merged
into it instead of being reported separately.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from floodmark.flows.flowset import Host
from floodmark.verdicts.context import Context
from floodmark.verdicts.declaring import Case
from floodmark.verdicts.prefixes import prefix_of
from floodmark.verdicts.registry import JUDGES, RuleSettings, VolumetricSettings
from floodmark.verdicts.rules.volumetric import carpet
from floodmark.verdicts.weighing import REPORTED, Finding
from floodmark_core.columns import I32

_COMPARED = 50  # most attacks of one kind on one victim that are compared, the latest ones
_WORTH_NAMING = 0.1  # confidence
_KEPT_SHARE = 0.5  # of its packets; a finding that keeps less is a side effect of another one


@dataclass(frozen=True)
class Considered:
    """A vector that was considered but not reported, and why."""

    vector: str
    confidence: float
    why: str


@dataclass(frozen=True)
class Decision:
    """What the rules found; no flow belongs to two findings."""

    findings: list[Finding]
    considered: dict[Host, list[Considered]]  # by victim


class _Attack:
    """An accepted finding, and the findings merged into it."""

    def __init__(self, number: int, finding: Finding) -> None:
        self.number = number
        self.packets = finding.flows.total_packets
        self.first_ns, self.last_ns = finding.flows.first_ns, finding.flows.last_ns
        self._parts = [finding]

    def take_in(self, part: Finding) -> None:
        """Merge a by-product of the attack, or the same attack from another source."""
        self.packets += part.flows.total_packets
        self.first_ns, self.last_ns = min(self.first_ns, part.flows.first_ns), max(self.last_ns, part.flows.last_ns)
        self._parts.append(part)

    def whole(self) -> Finding:
        """Return the finding with the flows of all merged findings, and a note for each vector among them."""
        main, *joined = self._parts
        if not joined:
            return main
        for vector in sorted({part.vector for part in joined}):
            parts = [part for part in joined if part.vector == vector]
            packets, sources = sum(part.flows.total_packets for part in parts), sum(part.flows.source_count for part in parts)
            what = f"of {vector} are a by-product" if vector != main.vector else f"of the same kind come from {sources:,} more sources"
            main.evidence.notes.append(f"{packets:,} packets {what}")
        return replace(main, flows=main.flows.joined(*(part.flows for part in joined)))


class _Docket:
    """The decisions so far: accepted attacks by number, which of them holds each flow, and rejected findings."""

    def __init__(self, context: Context) -> None:
        self.finding_of: I32 = context.flows.memory.array(len(context.flows), np.int32)
        self.finding_of.fill(-1)
        self.attacks: list[_Attack] = []
        self.considered: dict[Host, list[Considered]] = {}
        self._on_victim: dict[tuple[Host, str], list[_Attack]] = {}

    @property
    def explained(self) -> np.ndarray:
        """For each flow, whether a finding holds it."""
        return self.finding_of >= 0

    def settle(self, candidates: list[Finding]) -> None:
        """Accept, merge or reject each finding of one family."""
        for candidate in sorted(candidates, key=_precedence):
            if not candidate.is_reported:
                self._fell(candidate, f"confidence below {REPORTED}")
                continue
            finding = _unexplained(candidate, self.finding_of)
            if finding is None:
                self._fell(candidate, "most of its packets are explained by reported attacks")
            else:
                self._stands(finding)

    def _stands(self, finding: Finding) -> None:
        main = _main_attack(self._on_victim.get((finding.victims[0], finding.vector), ()), finding)
        if main is None:
            main = _Attack(len(self.attacks), finding)
            self.attacks.append(main)
            for vector in {finding.vector, *finding.by_products} if len(finding.victims) == 1 else ():
                self._on_victim.setdefault((finding.victims[0], vector), []).append(main)
        else:
            main.take_in(finding)
        finding.flows.give_number(self.finding_of, main.number)

    def _fell(self, finding: Finding, why: str) -> None:
        listed = self.considered.setdefault(finding.victims[0], [])
        if finding.evidence.confidence >= _WORTH_NAMING and all(one.vector != finding.vector for one in listed):
            listed.append(Considered(finding.vector, round(finding.evidence.confidence, 4), why))


def decide(context: Context, settings: RuleSettings) -> Decision:
    """Run every family of rules in order and decide which findings to accept; then run the flood rules again with prefixes as victims."""
    docket, volumetric = _Docket(context), settings.volumetric
    for judge in JUDGES:
        docket.settle(judge.find(Case(context, volumetric, settings.application, docket.explained)))
    case = Case(context, volumetric, settings.application, docket.explained)
    for over_prefixes in carpet.carpet_floods(case, [judge for judge in JUDGES if judge.over_prefixes]):
        docket.settle(over_prefixes(docket.explained))
    return Decision(_without_carpets([attack.whole() for attack in docket.attacks], volumetric), docket.considered)


def _without_carpets(findings: list[Finding], settings: VolumetricSettings) -> list[Finding]:
    """Merge the findings on neighbouring hosts that are one carpet attack."""
    gone: set[int] = set()
    for places in carpet.neighbours(findings, settings):
        parts = sorted((findings[place] for place in places), key=lambda part: -part.flows.total_packets)
        flows = parts[0].flows.joined(*(part.flows for part in parts[1:]))
        prefix = next((part.victims[0] for part in parts if part.victims[0].bits), None) or prefix_of(parts[0].victims[0])
        main = next((part for part in parts if part.victims[0].bits), parts[0])
        largest = parts[0].flows.total_packets / flows.total_packets if not parts[0].victims[0].bits else 0.0
        findings[min(places)] = carpet.as_carpet(replace(main, flows=flows), prefix, largest, settings)
        gone |= set(places) - {min(places)}
    return [finding for place, finding in enumerate(findings) if place not in gone]


def _precedence(finding: Finding) -> tuple[float, int]:
    """Return the sort key of findings of one family: more packets first, then earlier ones."""
    return -finding.flows.total_packets, finding.flows.first_ns


def _unexplained(finding: Finding, finding_of: I32) -> Finding | None:
    """Return the finding without the flows that others explain, or None if little is left."""
    rest = finding.flows.unnumbered(finding_of)
    if rest is finding.flows:
        return finding
    if rest.total_packets < _KEPT_SHARE * finding.flows.total_packets:
        return None
    return replace(finding, flows=rest)


def _main_attack(attacks: Iterable[_Attack], finding: Finding) -> _Attack | None:
    """Return a larger attack on the same victim at the same time of which this is a by-product, or the same attack from another source."""
    if len(finding.victims) > 1:
        return None
    packets, first_ns, last_ns = finding.flows.total_packets, finding.flows.first_ns, finding.flows.last_ns
    for attack in list(attacks)[-_COMPARED:]:
        if first_ns <= attack.last_ns and last_ns >= attack.first_ns and packets <= attack.packets:
            return attack
    return None
