"""Floods of tunnel packets whose insides are made up: GRE and IP in IP with random packets inside, as Mirai's bots send them.

Every packet inside is a flow of its own to a host of its own, so that only the tunnel's own end shows the flood. A tunnel in use holds
dialogues, and a mirror of somebody else's flood holds a victim that is not the mirror's own end.
"""

import numpy as np

from floodmark.flows.flowset import FlowSet, Host, number, split
from floodmark.settings import VolumetricSettings
from floodmark.verdicts.context import Context
from floodmark.verdicts.weighing import (
    CLEAR,
    STRONG,
    Evidence,
    Finding,
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
_BRIEF_PACKETS = 3
_LONELY_SHARE = 0.9  # of the flows inside: a packet or two that nobody answers
_RANDOM_SHARE = 0.5  # as many addresses as half of the flows: drawn, not used
_MANY_SOURCES = 20


def tunnel_floods(context: Context, settings: VolumetricSettings) -> list[Finding]:
    """Find hosts that are flooded with tunnel packets."""
    index = context.flows.tunnelled
    index = index[np.isin(context.flows.column("tunnel", index), list(_VECTORS))]
    if len(index) < settings.flood_packets:
        return []
    flows = context.flow_set(index)
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
        evidence = _made_up(victim, chosen)
        if evidence is None:
            continue
        vector, what = _VECTORS[int(tunnel[leader])]
        sources = _count_addresses(senders[0][members], senders[1][members])
        weigh_magnitude(evidence, chosen.busiest_rate_pps, settings.flood_rate_pps, what)
        if sources >= _MANY_SOURCES:
            evidence.add("spread", 2.0, "R_MANY_SOURCES", sources, _MANY_SOURCES, f"{sources:,} sources send {what} to one host")
        evidence.notes.append(f"sources are those of the packets inside; {sources:,} hosts sent the tunnel's own packets")
        known = context.host_numbers.get(victim)
        answers = known is not None and int(context.sent_packets[known]) > 0
        cap_for_view(evidence, answers=answers, packets=chosen.total_packets, span_s=chosen.span_s)
        found.append(Finding(vector, [victim], chosen, evidence, []))
    return found


def _outer_ends(flows: FlowSet) -> tuple[tuple[U64, U64], tuple[U64, U64]]:
    """Return the ends of the tunnels that flows came in, those of the senders' side first: high and low halves."""
    ends, back = flows.flows.outer_ends(flows.index), flows.from_responder
    initiator, responder = (ends[0], ends[1]), (ends[2], ends[3])
    senders = np.where(back, responder[0], initiator[0]), np.where(back, responder[1], initiator[1])
    receivers = np.where(back, initiator[0], responder[0]), np.where(back, initiator[1], responder[1])
    return senders, receivers


def _count_addresses(hi: U64, lo: U64) -> int:
    return len(number(hi, lo, np.zeros(len(lo), np.uint64))[1])


def _made_up(victim: Host, flows: FlowSet) -> Evidence | None:
    """Weigh what is inside the tunnel packets that one host received; None where it is in use, or meant for others."""
    count = len(flows)
    lonely = float(np.mean((flows.packets <= _BRIEF_PACKETS) & (flows.received("packets") == 0)))
    forged = flows.source_count / count
    hi, lo = flows.received("hi"), flows.received("lo")
    scattered = _count_addresses(hi, lo) / count
    own = float(np.mean((hi == victim.hi) & (lo == victim.lo)))
    if lonely < _LONELY_SHARE or forged < _RANDOM_SHARE or (scattered < _RANDOM_SHARE and own < _LONELY_SHARE):
        return None
    evidence = Evidence()
    text = f"{lonely:.0%} of the flows inside are a packet or two that nobody answers"
    evidence.add("inside", STRONG, "R_NO_DIALOGUE_INSIDE", lonely, _LONELY_SHARE, text)
    aim = "go to as many hosts" if scattered >= _RANDOM_SHARE else "go to the tunnel's own end"
    text = f"the packets inside come from {flows.source_count:,} addresses in {count:,} flows and {aim}: they are made up"
    evidence.add("random", CLEAR, "R_RANDOM_INSIDE", forged, _RANDOM_SHARE, text)
    return evidence
