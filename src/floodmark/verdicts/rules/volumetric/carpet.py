"""Carpet bombing: a flood spread over the hosts of a prefix, so that none of them receives much."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from floodmark.base.thresholds import declares, threshold
from floodmark.flows.flowset import Host
from floodmark.verdicts.declaring import Case, Family, Judge
from floodmark.verdicts.prefixes import SpreadThresholds, prefix_of, prefixes_of
from floodmark.verdicts.weighing import MOST_VICTIMS, SLIGHT, Finding, FloodThresholds, Rule
from floodmark.vocabulary.vectors import VECTORS, Verdict

OverPrefixes: TypeAlias = Callable[[np.ndarray], list[Finding]]  # takes a mask of the flows that a finding already holds


@declares
class CarpetThresholds(SpreadThresholds, FloodThresholds):
    """When a flood counts as one on a whole prefix."""

    carpet_reflector_times: float = threshold(0.5, "carpet_packets: so many packets of a protocol are enough for reflection onto a prefix")


CARPET = Rule(
    "R_CARPET", "carpet", "hosts of the prefix that are hit",
    "{measured:,} hosts of {prefix} are hit, none of them by more than {largest:.0%} of the packets",
    "A flood spread evenly over many neighbours stays below the limits for a single host.", "carpet_targets",
)  # fmt: skip


def carpet_floods(case: Case[CarpetThresholds, Any], judges: Sequence[Judge]) -> Iterator[OverPrefixes]:
    """Yield the flood rules with prefixes as victims, most exact first, over the flows that no finding holds yet.

    judges: those that run over prefixes, in order of execution.
    """
    settings = case.volumetric
    prefixes = prefixes_of(case.context, settings, case.explained)
    if not len(prefixes):
        return
    context = case.context.over(prefixes)
    whole: Any = settings  # has the thresholds of all families; the reflector ones are declared by reflection
    # Structure alone is not enough here: every prefix receives a little of everything.
    strict = replace(
        whole,
        flood_packets=settings.carpet_packets,
        structural_packets=settings.carpet_packets,
        sustained_rate_pps=settings.flood_rate_pps,
        reflector_packets=max(int(settings.carpet_reflector_times * settings.carpet_packets), 1),
        reflector_sources=max(whole.reflector_sources, settings.carpet_targets),
    )

    def judged(judge: Judge, taken: np.ndarray) -> list[Finding]:
        found = judge.find(Case(context, strict, case.application, taken))
        return [finding for finding in (_spread(one, taken, settings) for one in found) if finding is not None]

    for judge in judges:
        yield partial(judged, judge)


def _spread(finding: Finding, explained: np.ndarray, settings: CarpetThresholds) -> Finding | None:
    """Return a finding about a prefix with the hosts that were hit as its victims, None if a few hosts received most of it."""
    flows = finding.flows.not_taken(explained)
    if not len(flows):
        return None
    codes = flows.received("lo") ^ flows.received("hi")
    _, place = np.unique(codes, return_inverse=True)
    largest = float(np.bincount(place, weights=flows.packets).max()) / flows.total_packets
    if flows.receiver_count < settings.carpet_targets or largest > settings.carpet_target_share:
        return None
    finding = replace(finding, flows=flows)
    return as_carpet(finding, finding.victims[0], largest, settings)


def as_carpet(finding: Finding, prefix: Host, largest: float, settings: CarpetThresholds) -> Finding:
    """Return a finding with a prefix and its hosts as victims. largest: largest share of the packets that one host received."""
    count, hosts = finding.flows.receiver_count, finding.flows.receivers(MOST_VICTIMS - 1)
    if all(reason.rule != CARPET.id for reason in finding.evidence.reasons):
        finding.evidence.add(CARPET, SLIGHT, count, settings.carpet_targets, prefix=prefix, largest=largest)
    return replace(finding, victims=[prefix, *sorted(hosts)], victim_count=count)


def neighbours(findings: list[Finding], settings: CarpetThresholds) -> list[list[int]]:
    """Return groups of findings, by index, that are one carpet attack: the same flood on many hosts of one prefix at the same time."""
    by_prefix: dict[tuple[Host, str], list[int]] = {}
    for place, finding in enumerate(findings):
        if VECTORS[finding.vector][0] is Verdict.VOLUMETRIC and (len(finding.victims) == 1 or finding.victims[0].bits):
            victim = finding.victims[0]
            by_prefix.setdefault((victim if victim.bits else prefix_of(victim), finding.vector), []).append(place)
    groups = []
    for places in by_prefix.values():
        packets = [findings[place].flows.total_packets for place in places]
        targets = sum(findings[place].victim_count or 1 for place in places)
        apart = max(findings[place].flows.first_ns for place in places) > min(findings[place].flows.last_ns for place in places)
        even = max(packets) <= settings.carpet_target_share * sum(packets) or any(findings[place].victims[0].bits for place in places)
        if len(places) > 1 and targets >= settings.carpet_targets and even and not apart:
            groups.append(places)
    return groups


FAMILY = Family("carpets", "volumetric", CarpetThresholds, (), (CARPET,))
