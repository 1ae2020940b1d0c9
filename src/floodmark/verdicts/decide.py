"""All rules over one context, findings side by side, one event number per flow: which finding explains which flow.

The most exact rules go first. A finding gives up the flows that an earlier one explains, and falls when most of it is gone: a scan is
not also a SYN flood, a request flood not also a connection flood. What an attack brings with it (the RSTs among reflected SYN-ACKs)
joins it instead of standing beside it.
"""

from dataclasses import dataclass, replace

import numpy as np

from floodmark.context import Context
from floodmark.flowset import Host
from floodmark.settings import Settings
from floodmark.verdicts import connections, guessing, ip_floods, reflection, requests, scans, slow, tcp_floods, udp_floods
from floodmark.verdicts.evidence import Finding
from floodmark_core.columns import I32

_KEPT_SHARE = 0.5  # a finding that keeps less than this of its packets was another one's shadow


@dataclass(frozen=True)
class Decision:
    """What the rules found, and which finding each flow belongs to."""

    findings: list[Finding]
    finding_of: I32  # per flow row; -1: benign


def decide(context: Context, settings: Settings) -> Decision:
    """Run every family of rules and settle which findings stand."""
    finding_of: I32 = np.full(len(context.flows), -1, np.int32)
    findings: list[Finding] = []
    on_victim: dict[Host, list[int]] = {}

    def settle(candidates: list[Finding]) -> None:
        for candidate in sorted((c for c in candidates if c.is_reported), key=_precedence):
            finding = _unexplained(candidate, finding_of)
            if finding is None:
                continue
            others = on_victim.setdefault(finding.victims[0], [])
            main = _main_finding(findings, others, finding)
            if main is None:
                finding_of[finding.flows.index] = len(findings)
                others.append(len(findings))
                findings.append(finding)
            else:
                finding_of[finding.flows.index] = main
                findings[main] = _joined(findings[main], finding)

    volumetric, application = settings.volumetric, settings.application
    settle(scans.scans(context, application))
    settle(tcp_floods.flag_mixes(context, volumetric, finding_of >= 0))
    settle(reflection.udp_reflections(context, volumetric))
    settle(reflection.synack_reflections(context, volumetric))
    settle(slow.slow_connections(context, application))
    settle(guessing.guessing(context, application))
    settle(requests.request_floods(context, application))
    settle(connections.connection_floods(context, application))
    explained = finding_of >= 0
    settle(tcp_floods.syn_floods(context, volumetric, explained))
    settle(tcp_floods.flag_floods(context, volumetric, explained))
    settle(udp_floods.udp_floods(context, volumetric, explained))
    settle(ip_floods.icmp_floods(context, volumetric, explained))
    settle(ip_floods.ip_floods(context, volumetric, explained))
    return Decision(findings, finding_of)


def _precedence(finding: Finding) -> tuple[float, int]:
    """Order findings of one family: more packets first, earlier first."""
    return -finding.flows.total_packets, finding.flows.first_ns


def _unexplained(finding: Finding, finding_of: I32) -> Finding | None:
    """Return the finding without the flows that others explain, or None where little is left."""
    free = finding_of[finding.flows.index] < 0
    if free.all():
        return finding
    rest = finding.flows.where(free)
    if rest.total_packets < _KEPT_SHARE * finding.flows.total_packets:
        return None
    return replace(finding, flows=rest)


def _main_finding(findings: list[Finding], others: list[int], finding: Finding) -> int | None:
    """Return the number of a larger finding on the same victim that brings this one with it, or is the same from another source."""
    for number in others:
        main = findings[number]
        same = finding.vector == main.vector and len(finding.victims) == 1
        if (
            (same or finding.vector in main.by_products)
            and len(main.victims) == 1
            and finding.flows.total_packets <= main.flows.total_packets
            and finding.flows.first_ns <= main.flows.last_ns
            and finding.flows.last_ns >= main.flows.first_ns
        ):
            return number
    return None


def _joined(main: Finding, part: Finding) -> Finding:
    """Return a finding with the flows of what it brought with it."""
    what = (
        f"of {part.vector} come with it"
        if part.vector != main.vector
        else f"of the same kind come from {part.flows.source_count:,} more sources"
    )
    main.evidence.notes.append(f"{part.flows.total_packets:,} packets {what}")
    return replace(main, flows=main.flows.joined(part.flows))
