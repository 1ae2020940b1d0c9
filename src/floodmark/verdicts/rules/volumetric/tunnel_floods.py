"""Floods of tunnel packets with made-up content: GRE and IP in IP with random inner packets, as Mirai's bots send them.

Every inner packet is its own flow to its own host, so only the tunnel endpoint shows the flood. A tunnel in use carries dialogues, and a
mirror of a flood on another host carries a victim that is not the mirror's own endpoint.
"""

from typing import Any

import numpy as np

from floodmark.base.thresholds import declares, threshold
from floodmark.flows.flowset import FlowSet, Host, number, split
from floodmark.verdicts.declaring import Case, Family, Judge
from floodmark.verdicts.weighing import (
    CLEAR,
    MANY_SOURCES,
    RATE,
    SOLID,
    STRONG,
    Evidence,
    Finding,
    FloodThresholds,
    Rule,
    cap_for_view,
    floor_reached,
    weigh_magnitude,
)
from floodmark_core import kinds
from floodmark_core.columns import U64

_VECTORS = {
    kinds.TUNNEL_GRE: ("gre-flood", "GRE packets"),
    kinds.TUNNEL_IP: ("ip-protocol-flood", "packets of IP in IP"),
    kinds.TUNNEL_IPV6: ("ip-protocol-flood", "packets of IPv6 in IP"),
    kinds.TUNNEL_ETHERNET: ("ip-protocol-flood", "packets of Ethernet in IP"),
}


@declares
class TunnelThresholds(FloodThresholds):
    """Thresholds for made-up packets inside a tunnel."""

    tunnel_flow_packets: int = threshold(3, "of a flow inside that is no dialogue, at most")
    tunnel_lonely_share: float = threshold(0.9, "of the flows inside that are so short and that nobody answers")
    tunnel_random_share: float = threshold(0.5, "source addresses for each flow inside: as many are drawn, not used")
    tunnel_scattered_share: float = threshold(0.5, "destination addresses for each flow inside: as many are drawn too")
    tunnel_own_end_share: float = threshold(0.9, "of the flows inside that go to the tunnel's own end, where they do not scatter")


NO_DIALOGUE_INSIDE = Rule(
    "R_NO_DIALOGUE_INSIDE", "inside", "share of inner flows of a few packets that nobody answers",
    "{measured:.0%} of the inner flows have at most {most} packets and no answer",
    "A tunnel in use carries dialogues; made-up inner packets get no answer.", "tunnel_lonely_share",
)  # fmt: skip
RANDOM_INSIDE = Rule(
    "R_RANDOM_INSIDE", "random", "inner source addresses for each inner flow",
    "the {flows:,} inner flows come from {sources:,} addresses and go {aim}: the addresses are made up",
    "Real hosts behind a tunnel open several flows each; addresses that appear once are drawn at random.", "tunnel_random_share",
)  # fmt: skip


def tunnel_floods(case: Case[TunnelThresholds, Any]) -> list[Finding]:
    """Find hosts flooded with tunnel packets."""
    context, settings = case.context, case.volumetric
    index = context.flows.tunnelled
    index = index[np.isin(context.flows.column("tunnel", index), list(_VECTORS))]
    if len(index) < settings.flood_packets:
        return []
    flows = context.shapes.flow_set(index)
    tunnel, is_ipv6 = flows.column("tunnel"), flows.column("outer_ipv6")
    senders, receivers = _outer_ends(flows)
    groups, leaders = number(*receivers, (tunnel.astype(np.uint64) << np.uint64(1)) | is_ipv6)
    starts, order = split(groups, len(leaders))
    found = []
    for group, leader in enumerate(leaders):
        members = order[starts[group] : starts[group + 1]]
        chosen = flows.take(members)
        if not floor_reached(chosen, settings):
            continue
        victim = Host(6 if is_ipv6[leader] else 4, int(receivers[0][leader]), int(receivers[1][leader]))
        evidence = _made_up(victim, chosen, settings)
        if evidence is None:
            continue
        vector, what = _VECTORS[int(tunnel[leader])]
        sources = _count_addresses(senders[0][members], senders[1][members])
        weigh_magnitude(evidence, chosen.busiest_rate_pps, settings.flood_rate_pps, what, settings.clear_rate_times)
        if sources >= settings.many_sources:
            evidence.add(MANY_SOURCES, SOLID, sources, settings.many_sources, what=what)
        evidence.notes.append(f"sources are those of the inner packets; {sources:,} hosts sent the outer packets")
        known = context.hosts.numbers.get(victim)
        answers = known is not None and int(context.hosts.sent_packets[known]) > 0
        cap_for_view(evidence, answers=answers, packets=chosen.total_packets, span_s=chosen.span_s)
        found.append(Finding(vector, [victim], chosen, evidence, []))
    return found


def _outer_ends(flows: FlowSet) -> tuple[tuple[U64, U64], tuple[U64, U64]]:
    """Return the tunnel endpoints of flows, the senders' side first: high and low halves."""
    ends, back = flows.flows.outer_ends(flows.index), flows.from_responder
    initiator, responder = (ends[0], ends[1]), (ends[2], ends[3])
    senders = np.where(back, responder[0], initiator[0]), np.where(back, responder[1], initiator[1])
    receivers = np.where(back, initiator[0], responder[0]), np.where(back, initiator[1], responder[1])
    return senders, receivers


def _count_addresses(hi: U64, lo: U64) -> int:
    return len(number(hi, lo, np.zeros(len(lo), np.uint64))[1])


def _made_up(victim: Host, flows: FlowSet, settings: TunnelThresholds) -> Evidence | None:
    """Weigh the inner packets of the tunnels to one host; None if the tunnel is in use, or its content is meant for others."""
    count, most = len(flows), settings.tunnel_flow_packets
    lonely = float(np.mean((flows.packets <= most) & (flows.received("packets") == 0)))
    forged = flows.source_count / count
    hi, lo = flows.received("hi"), flows.received("lo")
    targets = _count_addresses(hi, lo)
    scattered = targets / count >= settings.tunnel_scattered_share
    own = float(np.mean((hi == victim.hi) & (lo == victim.lo)))
    if lonely < settings.tunnel_lonely_share or forged < settings.tunnel_random_share:
        return None
    if not scattered and own < settings.tunnel_own_end_share:
        return None
    evidence = Evidence()
    evidence.add(NO_DIALOGUE_INSIDE, STRONG, lonely, settings.tunnel_lonely_share, most=most)
    aim = f"to {targets:,} hosts" if scattered else "to the tunnel's own end"
    evidence.add(RANDOM_INSIDE, CLEAR, forged, settings.tunnel_random_share, flows=count, sources=flows.source_count, aim=aim)
    return evidence


FAMILY = Family(
    "tunnel-floods",
    "volumetric",
    TunnelThresholds,
    (
        Judge(
            "tunnel-floods",
            tunnel_floods,
            ("gre-flood", "ip-protocol-flood"),
            (NO_DIALOGUE_INSIDE, RANDOM_INSIDE, RATE, MANY_SOURCES),
        ),
    ),
)
