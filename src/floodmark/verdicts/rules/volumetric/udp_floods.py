"""Direct UDP floods: datagrams to one victim that are not responses of any protocol and get none."""

from typing import Any

import numpy as np

from floodmark.base.thresholds import declares, threshold
from floodmark.flows.flowset import FlowSet, distinct, modal_share, top_ports
from floodmark.verdicts.context import Context
from floodmark.verdicts.declaring import Case, Family, Judge
from floodmark.verdicts.weighing import (
    AGAINST,
    CLEAR,
    FAIR,
    FROM_ITSELF,
    MANY_SOURCES,
    RATE,
    RATE_PER_SOURCE,
    SOLID,
    STRONG,
    TTL_CONCENTRATION,
    Evidence,
    Finding,
    FloodThresholds,
    Rule,
    cap_for_view,
    floor_reached,
    weigh_land,
    weigh_magnitude,
    weigh_spoofing,
)
from floodmark.vocabulary.payloads import MEDIA_PROTOCOLS
from floodmark.vocabulary.services import ONE_WAY_PORTS
from floodmark_core.flows import payload, shapes


@declares
class UdpThresholds(FloodThresholds):
    """Thresholds for direct UDP floods, and for ordinary one-way traffic that looks like them."""

    one_way_share: float = threshold(0.9, "of the UDP packets to a host that get no answer")
    udp_settled_share: float = threshold(0.5, "of the flows of which it is known what became: with fewer, nothing is said of answers")
    udp_sweep_ports: int = threshold(100, "ports of the victim that are hit")
    udp_sweep_tuples_times: float = threshold(0.5, "udp_sweep_ports: so many five-tuples of each source, on average, are a sweep too")
    udp_sweep_clear_ports: int = threshold(500, "ports of the victim, from which on a sweep is clear evidence")
    udp_sweep_flow_packets: int = threshold(2, "of each five-tuple of such a sweep, on average, at most; calls through a gateway last")
    udp_port_zero_share: float = threshold(0.5, "of the flows that go to port 0")
    udp_refusal_errors: int = threshold(20, "that the victim answers with; systems send few a second, so their share says nothing")
    udp_media_share: float = threshold(0.5, "of the packets that look like media, games, peer-to-peer or VPN traffic: they are no flood")
    udp_collector_share: float = threshold(0.5, "of the flows that go to a port that only listens: they are no flood")
    udp_stream_flows: int = threshold(5, "that hold all datagrams, at most: they are streams, not a flood")


EMPTY_PAYLOAD = Rule(
    "R_EMPTY_PAYLOAD", "payload", "share of datagrams in flows without payload",
    "{measured:.0%} of the datagrams are empty",
    "No application sends only empty datagrams; flood tools do.", "modal_share",
)  # fmt: skip
SAME_PAYLOAD = Rule(
    "R_SAME_PAYLOAD", "payload", "share of flows whose payload begins with the same 8 bytes, or repeats a single byte, whichever is larger",
    "{measured:.0%} of the flows begin with the same 8 bytes or repeat a single byte",
    "Senders that say the same thing to one host run the same tool.", "modal_share",
)  # fmt: skip
NO_ANSWER = Rule(
    "R_NO_ANSWER", "unanswered", "share of the UDP packets to the victim that belong to flows without an answer",
    "{measured:.0%} of the UDP packets to the victim get no answer",
    "Applications over UDP answer each other; a flood gets nothing back.", "one_way_share",
)  # fmt: skip
PORT_SWEEP = Rule(
    "R_PORT_SWEEP", "ports", "ports of the victim that were hit, or five-tuples of each source, whichever is larger",
    "{tuples:,} five-tuples from {sources:,} sources (ports of the victim: {ports:,}); no application uses so many",
    "An application uses a few ports; datagrams to very many are meant for none.", "udp_sweep_ports",
)  # fmt: skip
PORT_ZERO = Rule(
    "R_PORT_ZERO", "target", "share of flows to port 0",
    "{measured:.0%} of the flows go to port 0, where nothing can listen",
    "No service can listen on port 0, so the datagrams are made to load the network only.", "udp_port_zero_share",
)  # fmt: skip
UNREACHABLE = Rule(
    "R_UNREACHABLE", "refusal", "ICMP errors that the victim sent to the busiest sources",
    "the victim rejects the datagrams with {measured:,} ICMP errors",
    "The victim refuses datagrams for which nothing listens; ordinary senders stop, a flood goes on.", "udp_refusal_errors",
)  # fmt: skip
REPETITION = Rule(
    "R_REPETITION", "payload", "share of datagrams that are empty or of flows that begin alike, whichever is larger",
    "{measured:.0%} of the traffic is empty or repeats itself, so it is no media stream",
    "Media and other one-way streams change from packet to packet; repeated content carries nothing.", "modal_share",
)  # fmt: skip
MEDIA = Rule(
    "R_MEDIA", "media", "share of packets in flows recognised as RTP, QUIC, DTLS, STUN, OpenVPN, BitTorrent or game traffic",
    "{measured:.0%} of the packets look like calls, video, games, peer-to-peer or VPN traffic",
    "Calls, video, games and tunnels are one-way in a one-sided capture, so this speaks against a flood.", "udp_media_share",
)  # fmt: skip
COLLECTOR = Rule(
    "R_COLLECTOR", "collector", "share of flows to ports that only listen",
    "{measured:.0%} of the flows go to a port that only listens, such as syslog or NetFlow",
    "Collectors of logs and flow records never answer by design, so this speaks against a flood.", "udp_collector_share",
)  # fmt: skip
FEW_LONG_FLOWS = Rule(
    "R_FEW_LONG_FLOWS", "bulk", "number of flows",
    "a few flows ({measured:,}) hold all datagrams, as in a transfer or a stream",
    "A transfer or a stream is a few long flows, so this speaks against a flood.", "udp_stream_flows",
)  # fmt: skip


def udp_floods(case: Case[UdpThresholds, Any]) -> list[Finding]:
    """Find direct UDP floods."""
    found = []
    context, settings = case.context, case.volumetric
    hosts = sorted(
        {
            *context.hosts.hosts_with(shapes.UDP, settings.flood_packets),
            *context.hosts.hosts_with(shapes.UDP_ANSWER, settings.flood_packets),
        }
    )
    for host in hosts:
        index = np.concatenate((context.hosts.shaped(host, shapes.UDP).index, context.hosts.shaped(host, shapes.UDP_ANSWER).index))
        flows = context.shapes.flow_set(np.sort(index[~case.explained[index]]))
        if len(flows) and floor_reached(flows, settings, context.baseline.burst_pps(host, flows)):
            found.append(_udp_flood(context, host, flows, settings))
    return found


def _udp_flood(context: Context, host: int, flows: FlowSet, settings: UdpThresholds) -> Finding:
    evidence = Evidence()
    packets = flows.total_packets
    answers = context.baseline.answers(host)
    seen = flows.sample
    empty, same, uniform = _sameness(context, flows, settings)
    if empty >= settings.modal_share:
        evidence.add(EMPTY_PAYLOAD, FAIR, empty, settings.modal_share)
    elif uniform:
        evidence.add(SAME_PAYLOAD, FAIR, same, settings.modal_share)
    if answers and len(context.baseline.settled(flows)) >= settings.udp_settled_share * len(flows.sample):
        share = packets / (packets + context.baseline.dialogue_packets(host))
        if share >= settings.one_way_share:
            evidence.add(NO_ANSWER, SOLID, share, settings.one_way_share)
    sweeps = len(flows) / flows.source_count
    ports = distinct(flows.sample.received("port"))
    if sweeps >= settings.udp_sweep_tuples_times * settings.udp_sweep_ports or ports >= settings.udp_sweep_ports:
        # Calls through a gateway use many ports too, but last longer.
        everywhere = ports >= settings.udp_sweep_clear_ports and packets <= settings.udp_sweep_flow_packets * len(flows)
        evidence.add(
            PORT_SWEEP, CLEAR if everywhere else FAIR, max(sweeps, ports), settings.udp_sweep_ports,
            tuples=len(flows), sources=flows.source_count, ports=ports,
        )  # fmt: skip
    nowhere = float((seen.received("port") == 0).mean())
    if nowhere >= settings.udp_port_zero_share:
        evidence.add(PORT_ZERO, FAIR, nowhere, settings.udp_port_zero_share)
    spoofed = weigh_spoofing(evidence, flows, settings)
    if flows.source_count >= settings.many_sources:
        evidence.add(MANY_SOURCES, FAIR, flows.source_count, settings.many_sources, what="datagrams that get no answer")
    if uniform:
        _weigh_repetition(evidence, flows, max(same, empty), settings, rate_pps=context.baseline.burst_pps(host, flows), answers=answers)
    errors = context.baseline.errors_from(host, flows)
    if errors >= settings.udp_refusal_errors:
        evidence.add(UNREACHABLE, CLEAR, errors, settings.udp_refusal_errors)
    _weigh_ordinary(evidence, flows, settings, streaming=not uniform and errors < settings.udp_refusal_errors)
    weigh_magnitude(evidence, context.baseline.burst_pps(host, flows), settings.flood_rate_pps, "datagrams", settings.clear_rate_times)
    cap_for_view(evidence, answers=answers, packets=packets, span_s=flows.span_s)
    return Finding(
        "land" if weigh_land(evidence, flows, settings) else "udp-flood",
        [context.hosts.host(host)],
        flows,
        evidence,
        top_ports(flows.sample.received("port")),
        spoofed,
        ("icmp-unreachable-flood", "ip-fragment-flood"),
    )


def _sameness(context: Context, flows: FlowSet, settings: UdpThresholds) -> tuple[float, float, bool]:
    """Return the share of empty datagrams, the share that begin alike, and whether either shows that one tool sent them."""
    seen = flows.sample
    nbytes, codes = seen.sent("payload_octets"), seen.sent("payload_kind")
    empty = float((seen.packets * (nbytes == 0)).sum() / seen.total_packets)
    if context.view.payload_missing:  # overwriting made the payloads alike
        return empty, 0.0, empty >= settings.modal_share
    same = max(modal_share(seen.sent("prefix")), float((codes == payload.UNIFORM).mean()))
    several = same >= settings.modal_share and len(flows) >= settings.alike_flows
    return empty, same, bool(empty >= settings.modal_share or several or (codes == payload.UNIFORM).all())


def _weigh_repetition(  # noqa: PLR0913 - takes values measured before
    evidence: Evidence, flows: FlowSet, same: float, settings: UdpThresholds, *, rate_pps: float, answers: bool
) -> None:
    """Add evidence of senders that repeat one payload quickly. same: share of the datagrams that are alike."""
    each = rate_pps / flows.source_count
    if each >= settings.source_rate_pps:
        evidence.add(RATE_PER_SOURCE, FAIR, each, settings.source_rate_pps, what="near-identical datagrams")
        if not answers:  # media and streams are one-way too, but do not repeat themselves
            evidence.add(REPETITION, CLEAR, same, settings.modal_share)


def _weigh_ordinary(evidence: Evidence, flows: FlowSet, settings: UdpThresholds, *, streaming: bool) -> None:
    """Add evidence of ordinary one-way traffic: media, collectors of logs and flow records, a few long streams."""
    seen = flows.sample
    codes = seen.sent("payload_kind")
    media = float((seen.packets * np.isin(codes // 2, MEDIA_PROTOCOLS) * (codes > payload.UNIFORM)).sum() / seen.total_packets)
    if media >= settings.udp_media_share and streaming:
        evidence.add(MEDIA, -STRONG, media, settings.udp_media_share)
    collected = float(np.isin(seen.received("port"), ONE_WAY_PORTS).mean())
    if collected >= settings.udp_collector_share:
        evidence.add(COLLECTOR, AGAINST, collected, settings.udp_collector_share)
    if len(flows) <= settings.udp_stream_flows and streaming:
        evidence.add(FEW_LONG_FLOWS, -SOLID, len(flows), settings.udp_stream_flows)


FAMILY = Family(
    "udp-floods",
    "volumetric",
    UdpThresholds,
    (
        Judge(
            "udp-floods",
            udp_floods,
            ("udp-flood", "land"),
            (
                EMPTY_PAYLOAD, SAME_PAYLOAD, NO_ANSWER, PORT_SWEEP, PORT_ZERO, TTL_CONCENTRATION, MANY_SOURCES, RATE_PER_SOURCE,
                REPETITION, UNREACHABLE, MEDIA, COLLECTOR, FEW_LONG_FLOWS, RATE, FROM_ITSELF,
            ),
            after=("tcp-flag-floods",),
            over_prefixes=True,
        ),
    ),
)  # fmt: skip
