"""All rules over one context, findings side by side, one event number per flow: which finding explains which flow.

The most exact rules go first. A finding gives up the flows that an earlier one explains, and falls when most of it is gone: a scan is
not also a SYN flood, a request flood not also a connection flood. What an attack brings with it (the RSTs among reflected SYN-ACKs)
joins it instead of standing beside it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from floodmark.context import Context
from floodmark.flowset import Host
from floodmark.prefixes import prefix_of
from floodmark.settings import Settings, VolumetricSettings
from floodmark.verdicts import (
    carpet,
    commands,
    connections,
    encrypted,
    fuzzing,
    guessing,
    http2,
    ip_floods,
    query_floods,
    reflection,
    requests,
    scans,
    slow,
    tcp_floods,
    tunnel_floods,
    udp_floods,
)
from floodmark.verdicts.evidence import Finding
from floodmark_core.columns import I32

_KEPT_SHARE = 0.5  # a finding that keeps less than this of its packets was another one's shadow


@dataclass(frozen=True)
class Decision:
    """What the rules found; no flow belongs to two findings."""

    findings: list[Finding]


class _Attack:
    """A finding that stands, and what joined it."""

    def __init__(self, number: int, finding: Finding) -> None:
        self.number = number
        self.packets = finding.flows.total_packets
        self.first_ns, self.last_ns = finding.flows.first_ns, finding.flows.last_ns
        self._parts = [finding]

    def take_in(self, part: Finding) -> None:
        """Add what the attack brings with it, or what is the same from another source."""
        self.packets += part.flows.total_packets
        self.first_ns, self.last_ns = min(self.first_ns, part.flows.first_ns), max(self.last_ns, part.flows.last_ns)
        self._parts.append(part)

    def whole(self) -> Finding:
        """Return the finding with the flows of all that joined it, and a note for each vector among them."""
        main, *joined = self._parts
        if not joined:
            return main
        for vector in sorted({part.vector for part in joined}):
            parts = [part for part in joined if part.vector == vector]
            packets, sources = sum(part.flows.total_packets for part in parts), sum(part.flows.source_count for part in parts)
            what = f"of {vector} come with it" if vector != main.vector else f"of the same kind come from {sources:,} more sources"
            main.evidence.notes.append(f"{packets:,} packets {what}")
        return replace(main, flows=main.flows.joined(*(part.flows for part in joined)))


def decide(context: Context, settings: Settings) -> Decision:
    """Run every family of rules and settle which findings stand."""
    finding_of: I32 = context.flows.memory.array(len(context.flows), np.int32)
    finding_of.fill(-1)
    attacks: list[_Attack] = []
    on_victim: dict[tuple[Host, str], list[_Attack]] = {}

    def settle(candidates: list[Finding]) -> None:
        for candidate in sorted((c for c in candidates if c.is_reported), key=_precedence):
            finding = _unexplained(candidate, finding_of)
            if finding is None:
                continue
            main = _main_attack(on_victim.get((finding.victims[0], finding.vector), ()), finding)
            if main is None:
                main = _Attack(len(attacks), finding)
                attacks.append(main)
                for vector in {finding.vector, *finding.by_products} if len(finding.victims) == 1 else ():
                    on_victim.setdefault((finding.victims[0], vector), []).append(main)
            else:
                main.take_in(finding)
            finding.flows.give_number(finding_of, main.number)

    volumetric, application = settings.volumetric, settings.application
    settle(tunnel_floods.tunnel_floods(context, volumetric))
    settle(scans.scans(context, application))
    settle(tcp_floods.flag_mixes(context, volumetric, finding_of >= 0))
    settle(reflection.udp_reflections(context, volumetric))
    settle(reflection.synack_reflections(context, volumetric))
    settle(reflection.middlebox_reflections(context, volumetric))
    settle(slow.slow_connections(context, application))
    settle(fuzzing.fuzzing(context, application))
    settle(guessing.guessing(context, application))
    settle(guessing.distributed_guessing(context, application, finding_of >= 0))
    settle(guessing.credential_stuffing(context, application))
    settle(commands.command_floods(context, application))
    settle(commands.sip_floods(context, application))
    settle(http2.http2_floods(context, application))
    settle(requests.request_floods(context, application))
    settle(encrypted.https_floods(context, application))
    settle(connections.connection_floods(context, application))
    explained = finding_of >= 0
    settle(query_floods.query_floods(context, settings, explained))
    settle(tcp_floods.syn_floods(context, volumetric, explained))
    settle(tcp_floods.out_of_state_floods(context, volumetric, finding_of >= 0))
    explained = finding_of >= 0
    settle(tcp_floods.flag_floods(context, volumetric, explained))
    settle(udp_floods.udp_floods(context, volumetric, explained))
    settle(ip_floods.icmp_floods(context, volumetric, explained))
    settle(ip_floods.ip_floods(context, volumetric, explained))
    settle(carpet.carpet_floods(context, volumetric, finding_of >= 0))
    return Decision(_without_carpets([attack.whole() for attack in attacks], volumetric))


def _without_carpets(findings: list[Finding], settings: VolumetricSettings) -> list[Finding]:
    """Put the findings on neighbours that are one carpet together."""
    gone: set[int] = set()
    for places in carpet.neighbours(findings, settings):
        parts = sorted((findings[place] for place in places), key=lambda part: -part.flows.total_packets)
        flows = parts[0].flows.joined(*(part.flows for part in parts[1:]))
        hosts = sorted(flows.receivers())
        prefix = next((part.victims[0] for part in parts if part.victims[0].bits), None) or prefix_of(parts[0].victims[0])
        main = next((part for part in parts if part.victims[0].bits), parts[0])
        largest = parts[0].flows.total_packets / flows.total_packets if not parts[0].victims[0].bits else 0.0
        findings[min(places)] = carpet.as_carpet(replace(main, flows=flows), prefix, hosts, largest, settings)
        gone |= set(places) - {min(places)}
    return [finding for place, finding in enumerate(findings) if place not in gone]


def _precedence(finding: Finding) -> tuple[float, int]:
    """Order findings of one family: more packets first, earlier first."""
    return -finding.flows.total_packets, finding.flows.first_ns


def _unexplained(finding: Finding, finding_of: I32) -> Finding | None:
    """Return the finding without the flows that others explain, or None where little is left."""
    rest = finding.flows.unnumbered(finding_of)
    if rest is finding.flows:
        return finding
    if rest.total_packets < _KEPT_SHARE * finding.flows.total_packets:
        return None
    return replace(finding, flows=rest)


def _main_attack(attacks: Iterable[_Attack], finding: Finding) -> _Attack | None:
    """Return a larger attack on the same victim at the same time that brings this one with it, or is the same from another source."""
    if len(finding.victims) > 1:
        return None
    packets, first_ns, last_ns = finding.flows.total_packets, finding.flows.first_ns, finding.flows.last_ns
    for attack in attacks:
        if first_ns <= attack.last_ns and last_ns >= attack.first_ns and packets <= attack.packets:
            return attack
    return None
