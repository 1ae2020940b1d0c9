"""Floods below the transport layer: ICMP, fragments without the first one, GRE, IPsec and other IP protocols."""

from typing import Any, NamedTuple

from floodmark.base.thresholds import declares, threshold
from floodmark.flows.flowset import FlowSet, distinct
from floodmark.verdicts.context import Context
from floodmark.verdicts.declaring import Case, Family, Judge
from floodmark.verdicts.weighing import (
    CLEAR,
    FAIR,
    MANY_SOURCES,
    RATE,
    SAME_SIZE,
    SLIGHT,
    SOLID,
    TTL_CONCENTRATION,
    Evidence,
    Finding,
    FloodThresholds,
    Rule,
    cap_for_view,
    floor_reached,
    weigh_magnitude,
    weigh_spoofing,
)
from floodmark_core.flows import shapes
from floodmark_core.protocols import SECOND_NS


@declares
class IpThresholds(FloodThresholds):
    """Thresholds for floods of ICMP and of IP packets without ports."""

    icmp_echo_rate_pps: float = threshold(100.0, "echo requests or replies to one host; a hundred times what a monitor sends")
    icmp_error_rate_pps: float = threshold(500.0, "ICMP errors (BlackNurse) or other ICMP messages to one host")
    icmp_clear_times: float = threshold(5.0, "the floor of a rate of ICMP, from which on it is clear evidence: systems limit theirs")
    icmp_monitor_s: float = threshold(5.0, "that a flow of somebody's monitoring lasts, at least")
    icmp_monitor_rate_pps: float = threshold(2.0, "packets of such a flow, at most")
    icmp_source_rate_pps: float = threshold(10.0, "ICMP messages of each source; ten times what ping sends by itself")
    icmp_fast_source_rate_pps: float = threshold(100.0, "ICMP messages of each source: from here on more than slight evidence")
    icmp_fast_source_packets: int = threshold(500, "of such sources that are clear evidence; a person who tests a link stops earlier")
    icmp_cause_times: float = threshold(10.0, "messages for each packet of the victim that could have caused them; beyond it none did")
    icmp_unanswered_share: float = threshold(0.9, "of the echo requests that get no reply, more than")
    ip_clear_sources: int = threshold(50, "sources of fragments, GRE, IPsec or other IP, from which on they are clear evidence")
    ip_one_way_share: float = threshold(0.9, "of the packets that have none in return, more than")
    ip_many_protocols: int = threshold(5, "unusual IP protocol numbers of one flood")
    fragment_orphan_share: float = threshold(0.5, "of the flows of later fragments whose source sends nothing else")
    fragment_tiny_bytes: float = threshold(100.0, "of a fragment, on average, at most; nobody needs to cut packets so small")
    fragment_share: float = threshold(0.5, "of the packets that the victim receives that are later fragments")


ICMP_PER_SOURCE = Rule(
    "R_ICMP_PER_SOURCE", "source", "ICMP messages a second of each source, in the busiest stretch",
    "each source sends {measured:,.0f} {what} a second; systems and monitors limit themselves to few",
    "Systems limit the ICMP messages that they send, and monitors send about one a second.", "icmp_source_rate_pps",
)  # fmt: skip
ICMP_SOURCES = Rule(
    "R_ICMP_SOURCES", "source", "sources of the ICMP messages",
    "{measured:,} sources send {what} to one host",
    "Many senders at once are a botnet, or forged; ordinary ICMP messages to one host come from few.", "many_sources",
)  # fmt: skip
NO_CAUSE = Rule(
    "R_NO_CAUSE", "cause", "packets that the victim sent and that could have caused the messages",
    "the victim sent only {measured:,} packets that could have caused {packets:,} {what}",
    "Replies and errors answer packets that a host sent; without those they are forged or reflected. "
    "Compared with the number of messages divided by icmp_cause_times.",
)  # fmt: skip
ECHOES_UNANSWERED = Rule(
    "R_ECHOES_UNANSWERED", "unanswered", "share of echo requests without a reply",
    "{measured:.0%} of the echo requests get no reply",
    "A host answers ordinary pings; it ignores a flood, or its system limits the replies.", "icmp_unanswered_share",
)  # fmt: skip
ONE_WAY = Rule(
    "R_ONE_WAY", "unanswered", "share of packets that nothing sent back makes up for",
    "{measured:.0%} of the {what} have no packet in return",
    "Both ends of a tunnel in use send; a flood comes from one side only.", "ip_one_way_share",
)  # fmt: skip
MANY_PROTOCOLS = Rule(
    "R_MANY_PROTOCOLS", "protocols", "distinct IP protocol numbers",
    "the packets use {measured} unusual IP protocol numbers",
    "Hosts use a handful of IP protocols; a flood with random protocol numbers shows many.", "ip_many_protocols",
)  # fmt: skip
NO_FIRST_FRAGMENT = Rule(
    "R_NO_FIRST_FRAGMENT", "orphans", "share of fragment flows whose source sends the victim nothing but later fragments",
    "{measured:.0%} of the fragment flows come from sources that send only later fragments",
    "A real sender also sends the first fragments, and other packets; crafted fragments come alone.", "fragment_orphan_share",
)  # fmt: skip
TINY_FRAGMENTS = Rule(
    "R_TINY_FRAGMENTS", "size", "IP bytes of each fragment, on average",
    "the fragments are only {measured:.0f} bytes on average",
    "Systems fragment packets that exceed the link, so fragments are large; tiny ones are crafted.", "fragment_tiny_bytes",
)  # fmt: skip
FRAGMENTS_SHARE = Rule(
    "R_FRAGMENTS_SHARE", "share", "share of the victim's received packets that are later fragments",
    "{measured:.0%} of the packets that the victim receives are later fragments",
    "In ordinary traffic few packets are later fragments.", "fragment_share",
)  # fmt: skip


class _Kind(NamedTuple):
    """A kind of ICMP flood: its vector, the messages' name in a sentence, and the least rate."""

    vector: str
    what: str
    floor_pps: float


def icmp_floods(case: Case[IpThresholds, Any]) -> list[Finding]:
    """Find floods of echo requests, unsolicited echo replies, error messages and other ICMP."""
    found = []
    context, settings = case.context, case.volumetric
    kinds = {
        shapes.ICMP_ECHO: _Kind("icmp-echo-flood", "echo requests", settings.icmp_echo_rate_pps),
        shapes.ICMP_ECHO_REPLY: _Kind("smurf", "echo replies", settings.icmp_echo_rate_pps),
        shapes.ICMP_ERROR: _Kind("icmp-unreachable-flood", "ICMP errors", settings.icmp_error_rate_pps),
        shapes.ICMP_OTHER: _Kind("icmp-flood", "ICMP messages", settings.icmp_error_rate_pps),
    }
    for shape, kind in kinds.items():
        for host in context.hosts.hosts_with(shape, settings.structural_packets):
            flows = context.hosts.shaped(host, shape)
            flows = _without_monitors(flows.not_taken(case.explained), settings)
            rate = context.baseline.burst_pps(host, flows) if len(flows) else 0.0
            if rate < kind.floor_pps or flows.total_packets < settings.structural_packets:
                continue
            found.append(_icmp_flood(context, host, flows, kind, settings))
    return found


def _without_monitors(flows: FlowSet, settings: IpThresholds) -> FlowSet:
    """Drop steady, slow flows: one ping a second is monitoring beside the flood."""
    seconds = (flows.column("last_seen_ns") - flows.column("first_seen_ns")) / SECOND_NS
    return flows.where((seconds < settings.icmp_monitor_s) | (flows.packets > settings.icmp_monitor_rate_pps * seconds))


def _icmp_flood(context: Context, host: int, flows: FlowSet, kind: _Kind, settings: IpThresholds) -> Finding:
    evidence = Evidence()
    packets, sources, rate = flows.total_packets, flows.source_count, context.baseline.burst_pps(host, flows)
    answers = context.baseline.answers(host)
    weigh_magnitude(evidence, rate, kind.floor_pps, kind.what, settings.icmp_clear_times)
    per_source = rate / sources
    if per_source >= settings.icmp_source_rate_pps:
        fast = per_source >= settings.icmp_fast_source_rate_pps
        weight = CLEAR if fast and packets >= settings.icmp_fast_source_packets else SOLID if fast else SLIGHT
        evidence.add(ICMP_PER_SOURCE, weight, per_source, settings.icmp_source_rate_pps, what=kind.what)
    spoofed = weigh_spoofing(evidence, flows, settings)
    if sources >= settings.many_sources:
        evidence.add(ICMP_SOURCES, SOLID, sources, settings.many_sources, what=kind.what)
    back = int(flows.received("packets").sum())
    if kind.vector != "icmp-echo-flood":
        sent, least = int(context.hosts.sent_packets[host]) - back, packets / settings.icmp_cause_times
        if sent < least:
            evidence.add(NO_CAUSE, FAIR, sent, least, packets=packets, what=kind.what)
    elif answers and 1 - back / packets > settings.icmp_unanswered_share:
        evidence.add(ECHOES_UNANSWERED, FAIR, 1 - back / packets, settings.icmp_unanswered_share)
    size = flows.modal_size_share()
    if size >= settings.modal_share:
        evidence.add(SAME_SIZE, SLIGHT, size, settings.modal_share, what=kind.what)
    cap_for_view(evidence, answers=answers or kind.vector != "icmp-echo-flood", packets=packets, span_s=flows.span_s)
    return Finding(kind.vector, [context.hosts.host(host)], flows, evidence, [], spoofed)


_IP_SHAPES = {
    shapes.FRAGMENT: ("ip-fragment-flood", "fragments"),
    shapes.GRE: ("gre-flood", "GRE packets"),
    shapes.IPSEC: ("esp-flood", "ESP and AH packets"),
    shapes.OTHER_IP: ("ip-protocol-flood", "packets of other IP protocols"),
}


def ip_floods(case: Case[IpThresholds, Any]) -> list[Finding]:
    """Find floods of later fragments, GRE, ESP and unusual IP protocols."""
    found = []
    context, settings = case.context, case.volumetric
    for shape, (vector, what) in _IP_SHAPES.items():
        for host in context.hosts.hosts_with(shape, settings.structural_packets):
            flows = context.hosts.shaped(host, shape)
            flows = flows.not_taken(case.explained)
            if len(flows) == 0 or not floor_reached(flows, settings, context.baseline.burst_pps(host, flows)):
                continue
            packets, sources, rate = flows.total_packets, flows.source_count, context.baseline.burst_pps(host, flows)
            evidence = Evidence()
            answers = context.baseline.answers(host)
            weigh_magnitude(evidence, rate, settings.flood_rate_pps, what, settings.clear_rate_times)
            spoofed = weigh_spoofing(evidence, flows, settings)
            if sources >= settings.many_sources:
                weight = CLEAR if sources >= settings.ip_clear_sources else SOLID
                evidence.add(MANY_SOURCES, weight, sources, settings.many_sources, what=what)
            one_way = 1 - int(flows.received("packets").sum()) / packets
            if one_way > settings.ip_one_way_share and answers:
                # Both ends of a tunnel in use send.
                tunnel = shape in (shapes.GRE, shapes.IPSEC) and sources >= settings.many_sources
                evidence.add(ONE_WAY, CLEAR if tunnel else FAIR, one_way, settings.ip_one_way_share, what=what)
            if shape == shapes.FRAGMENT:
                _weigh_fragments(context, evidence, host, flows, settings)
            elif (protocols := distinct(flows.sample.column("protocol"))) >= settings.ip_many_protocols:
                evidence.add(MANY_PROTOCOLS, CLEAR, protocols, settings.ip_many_protocols)
            cap_for_view(evidence, answers=answers, packets=packets, span_s=flows.span_s)
            found.append(Finding(vector, [context.hosts.host(host)], flows, evidence, [], spoofed))
    return found


def _weigh_fragments(context: Context, evidence: Evidence, host: int, flows: FlowSet, settings: IpThresholds) -> None:
    """Add evidence of fragments only: no first fragments, tiny fragments, a large share of the victim's traffic."""
    packets = flows.total_packets
    orphans = 1 - context.baseline.known_source_share(host, flows)
    if orphans >= settings.fragment_orphan_share:
        evidence.add(NO_FIRST_FRAGMENT, CLEAR, orphans, settings.fragment_orphan_share)
    mean_bytes = flows.nbytes / packets
    if mean_bytes <= settings.fragment_tiny_bytes:
        evidence.add(TINY_FRAGMENTS, FAIR, mean_bytes, settings.fragment_tiny_bytes)
    share = packets / int(context.hosts.received_packets[host])
    if share >= settings.fragment_share:
        evidence.add(FRAGMENTS_SHARE, SLIGHT, share, settings.fragment_share)
    same = flows.modal_size_share()
    if same >= settings.modal_share and len(flows) >= settings.flood_packets:
        evidence.add(SAME_SIZE, SLIGHT, same, settings.modal_share, what="fragments")


FAMILY = Family(
    "ip-floods",
    "volumetric",
    IpThresholds,
    (
        Judge(
            "icmp-floods",
            icmp_floods,
            ("icmp-echo-flood", "smurf", "icmp-unreachable-flood", "icmp-flood"),
            (ICMP_PER_SOURCE, TTL_CONCENTRATION, ICMP_SOURCES, NO_CAUSE, ECHOES_UNANSWERED, SAME_SIZE, RATE),
            after=("udp-floods",),
            over_prefixes=True,
        ),
        Judge(
            "ip-floods",
            ip_floods,
            ("ip-fragment-flood", "gre-flood", "esp-flood", "ip-protocol-flood"),
            (
                MANY_SOURCES, TTL_CONCENTRATION, ONE_WAY, MANY_PROTOCOLS, NO_FIRST_FRAGMENT, TINY_FRAGMENTS, FRAGMENTS_SHARE, SAME_SIZE,
                RATE,
            ),
            after=("icmp-floods",),
            over_prefixes=True,
        ),
    ),
)  # fmt: skip
