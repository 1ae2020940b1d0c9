"""Floods below the transport layer: ICMP, fragments without their first, GRE, IPsec and other IP protocols."""

import numpy as np

from floodmark.flows.flowset import FlowSet, distinct
from floodmark.settings import VolumetricSettings
from floodmark.verdicts.context import Context
from floodmark.verdicts.weighing import (
    CLEAR,
    FAIR,
    SLIGHT,
    Evidence,
    Finding,
    cap_for_view,
    floor_reached,
    weigh_magnitude,
    weigh_spoofing,
)
from floodmark_core.flows import shapes

_ECHO_RATE_PPS = 100.0  # a hundred times what a monitor sends
_MONITOR_RATE_PPS = 10.0  # ten times what ping sends by itself
_STEADY_S, _MONITOR_PPS = 5.0, 2.0
_MANY_ECHOES = 500  # a person who floods a link to test it stops earlier
_ERROR_RATE_PPS = 500.0  # BlackNurse


def icmp_floods(context: Context, settings: VolumetricSettings, explained: np.ndarray) -> list[Finding]:
    """Find floods of echo requests, unsolicited echo replies, error messages and other ICMP."""
    found = []
    plan = (
        (shapes.ICMP_ECHO, "icmp-echo-flood", "echo requests", _ECHO_RATE_PPS),
        (shapes.ICMP_ECHO_REPLY, "smurf", "echo replies", _ECHO_RATE_PPS),
        (shapes.ICMP_ERROR, "icmp-unreachable-flood", "ICMP errors", _ERROR_RATE_PPS),
        (shapes.ICMP_OTHER, "icmp-flood", "ICMP messages", _ERROR_RATE_PPS),
    )
    for shape, vector, what, floor_pps in plan:
        for host in context.hosts_with(shape, settings.structural_packets):
            flows = context.shaped(host, shape)
            flows = _without_monitors(flows.not_taken(explained))
            rate = context.burst_pps(host, flows) if len(flows) else 0.0
            if rate < floor_pps or flows.total_packets < settings.structural_packets:
                continue
            found.append(_icmp_flood(context, host, flows, (vector, what, floor_pps, rate), settings))
    return found


def _without_monitors(flows: FlowSet) -> FlowSet:
    """Drop what is steady and slow: a ping a second is somebody's monitoring beside the flood."""
    seconds = (flows.column("last_seen_ns") - flows.column("first_seen_ns")) / 1e9
    return flows.where((seconds < _STEADY_S) | (flows.packets > _MONITOR_PPS * seconds))


def _icmp_flood(context: Context, host: int, flows: FlowSet, plan: tuple[str, str, float, float], settings: VolumetricSettings) -> Finding:
    vector, what, floor_pps, rate = plan
    evidence = Evidence()
    packets, sources = flows.total_packets, flows.source_count
    answers = context.answers(host)
    weigh_magnitude(evidence, rate, floor_pps, what, clear_at=5)  # systems limit what they send by themselves
    per_source = rate / sources
    if per_source >= _MONITOR_RATE_PPS:
        text = f"each source sends {per_source:,.0f} {what} a second; systems and monitors limit themselves to few"
        many = per_source >= _ECHO_RATE_PPS
        weight = CLEAR if many and packets >= _MANY_ECHOES else 2.0 if many else SLIGHT
        evidence.add("source", weight, "R_RATE_PER_SOURCE", per_source, _MONITOR_RATE_PPS, text)
    spoofed = weigh_spoofing(evidence, flows, settings)
    if sources >= 20:
        evidence.add("source", 2.0, "R_MANY_SOURCES", sources, 20, f"{sources:,} sources send {what} to one host")
    back = int(flows.received("packets").sum())
    if vector != "icmp-echo-flood":
        sent = int(context.sent_packets[host]) - back
        if sent < packets / 10:
            evidence.add(
                "cause",
                FAIR,
                "R_NO_CAUSE",
                sent,
                packets / 10,
                f"the victim sent {sent:,} packets that could have caused {packets:,} {what}",
            )
    elif answers and back < packets / 10:
        evidence.add("unanswered", FAIR, "R_NO_ANSWER", 1 - back / packets, 0.9, f"{1 - back / packets:.0%} of them get no reply")
    size = flows.modal_octets_share()
    if size >= settings.modal_share:
        evidence.add("uniformity", SLIGHT, "R_SAME_SIZE", size, settings.modal_share, f"{size:.0%} of the flows carry one size")
    cap_for_view(evidence, answers=answers or vector != "icmp-echo-flood", packets=packets, span_s=flows.span_s)
    return Finding(vector, [context.host(host)], flows, evidence, [], spoofed)


_VERY_MANY_SOURCES = 50  # of tunnels' packets to one host
_IP_SHAPES = {
    shapes.FRAGMENT: ("ip-fragment-flood", "fragments"),
    shapes.GRE: ("gre-flood", "GRE packets"),
    shapes.IPSEC: ("esp-flood", "ESP and AH packets"),
    shapes.OTHER_IP: ("ip-protocol-flood", "packets of other IP protocols"),
}


def ip_floods(context: Context, settings: VolumetricSettings, explained: np.ndarray) -> list[Finding]:
    """Find floods of later fragments, GRE, ESP and unusual IP protocols."""
    found = []
    for shape, (vector, what) in _IP_SHAPES.items():
        for host in context.hosts_with(shape, settings.structural_packets):
            flows = context.shaped(host, shape)
            flows = flows.not_taken(explained)
            if len(flows) == 0 or not floor_reached(flows, settings, context.burst_pps(host, flows)):
                continue
            packets, sources, rate = flows.total_packets, flows.source_count, context.burst_pps(host, flows)
            evidence = Evidence()
            answers = context.answers(host)
            weigh_magnitude(evidence, rate, settings.flood_rate_pps, what)
            spoofed = weigh_spoofing(evidence, flows, settings)
            if sources >= 20:
                weight = CLEAR if sources >= _VERY_MANY_SOURCES else 2.0
                evidence.add("spread", weight, "R_MANY_SOURCES", sources, 20, f"{sources:,} sources send {what} to one host")
            back = int(flows.received("packets").sum())
            if back < packets / 10 and answers:
                tunnel = shape in (shapes.GRE, shapes.IPSEC) and sources >= 20  # of a tunnel in use both ends send
                evidence.add(
                    "unanswered",
                    CLEAR if tunnel else FAIR,
                    "R_ONE_WAY",
                    1 - back / packets,
                    0.9,
                    f"{1 - back / packets:.0%} of them go one way",
                )
            if shape == shapes.FRAGMENT:
                _weigh_fragments(context, evidence, host, flows, settings)
            elif distinct(flows.sample.column("protocol")) >= 5:
                evidence.add(
                    "protocols",
                    CLEAR,
                    "R_MANY_PROTOCOLS",
                    distinct(flows.sample.column("protocol")),
                    5,
                    "many IP protocol numbers that nobody uses",
                )
            cap_for_view(evidence, answers=answers, packets=packets, span_s=flows.span_s)
            found.append(Finding(vector, [context.host(host)], flows, evidence, [], spoofed))
    return found


def _weigh_fragments(context: Context, evidence: Evidence, host: int, flows: FlowSet, settings: VolumetricSettings) -> None:
    """Add what only fragments show: no first fragments, tiny ones, a large part of the victim's traffic."""
    packets = flows.total_packets
    orphans = 1 - context.known_source_share(host, flows)
    if orphans >= 0.5:
        evidence.add(
            "orphans", CLEAR, "R_NO_FIRST_FRAGMENT", orphans, 0.5, f"{orphans:.0%} come from sources that send nothing but fragments"
        )
    octets = flows.octets / packets
    if octets <= 100:
        evidence.add("size", FAIR, "R_TINY_FRAGMENTS", octets, 100, f"{octets:.0f} octets on average: nobody needs to cut packets so small")
    share = packets / int(context.received_packets[host])
    if share >= 0.5:
        evidence.add("share", SLIGHT, "R_SHARE", share, 0.5, f"{share:.0%} of what the victim receives are later fragments")
    same = flows.modal_octets_share()
    if same >= settings.modal_share and len(flows) >= settings.flood_packets:
        evidence.add("uniformity", SLIGHT, "R_SAME_SIZE", same, settings.modal_share, f"{same:.0%} of the fragments have one size")
