"""Carpet bombing: a flood that is spread over the hosts of a prefix, so that none of them receives much."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from floodmark.flows.flowset import Host
from floodmark.settings import VolumetricSettings
from floodmark.verdicts.context import Context
from floodmark.verdicts.prefixes import PrefixContext, prefix_of
from floodmark.verdicts.rules import ip_floods, reflection, tcp_floods, udp_floods
from floodmark.verdicts.weighing import MOST_VICTIMS, SLIGHT, Finding
from floodmark.vocabulary.terms import VECTORS, Verdict

Family: TypeAlias = Callable[[np.ndarray], list[Finding]]  # told which flows a finding holds already


def carpet_floods(context: Context, settings: VolumetricSettings, explained: np.ndarray) -> Iterator[Family]:
    """Yield the rules of floods with prefixes as the victims, in order of their exactness, over the flows that no finding holds yet."""
    prefixes = PrefixContext(context, settings, explained)
    if not len(prefixes.host_lo):
        return
    # Structure alone carries no verdict here: every prefix receives a little of everything.
    strict = replace(
        settings,
        flood_packets=settings.carpet_packets,
        structural_packets=settings.carpet_packets,
        sustained_rate_pps=settings.flood_rate_pps,
        reflector_packets=max(settings.carpet_packets // 2, 1),
        reflector_sources=max(settings.reflector_sources, settings.carpet_targets),
    )

    def spread(found: list[Finding], taken: np.ndarray) -> list[Finding]:
        return [finding for finding in (_spread(one, taken, settings) for one in found) if finding is not None]

    for reflected in (reflection.udp_reflections, reflection.synack_reflections):
        yield lambda taken, rule=reflected: spread(rule(prefixes, strict), taken)  # type: ignore[misc] # bound for each rule
    for direct in (
        tcp_floods.syn_floods,
        tcp_floods.out_of_state_floods,
        tcp_floods.flag_floods,
        udp_floods.udp_floods,
        ip_floods.icmp_floods,
        ip_floods.ip_floods,
    ):
        yield lambda taken, rule=direct: spread(rule(prefixes, strict, taken), taken)  # type: ignore[misc] # as above


def _spread(finding: Finding, explained: np.ndarray, settings: VolumetricSettings) -> Finding | None:
    """Return a finding about a prefix with the hosts that it hit as its victims, None where a few of them got most of it."""
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


def as_carpet(finding: Finding, prefix: Host, largest: float, settings: VolumetricSettings) -> Finding:
    """Return a finding with a prefix and the hosts in it as its victims. largest: share of the packets that one of them received."""
    count, hosts = finding.flows.receiver_count, finding.flows.receivers(MOST_VICTIMS - 1)
    if all(reason.rule != "R_CARPET" for reason in finding.evidence.reasons):
        text = f"{count:,} hosts of {prefix} are hit, none of them by more than {largest:.0%} of the packets"
        finding.evidence.add("carpet", SLIGHT, "R_CARPET", count, settings.carpet_targets, text)
    return replace(finding, victims=[prefix, *sorted(hosts)], victim_count=count)


def neighbours(findings: list[Finding], settings: VolumetricSettings) -> list[list[int]]:
    """Return groups of findings, by number, that are one carpet: the same flood on many hosts of one prefix at the same time."""
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
