"""Direct UDP floods: datagrams to one victim that are no protocol's answers and get none."""

import numpy as np

from floodmark.flows.flowset import FlowSet, distinct, modal_share, top_ports
from floodmark.settings import VolumetricSettings
from floodmark.verdicts.context import Context
from floodmark.verdicts.weighing import (
    AGAINST,
    CLEAR,
    FAIR,
    STRONG,
    Evidence,
    Finding,
    cap_for_view,
    floor_reached,
    weigh_land,
    weigh_magnitude,
    weigh_spoofing,
)
from floodmark.vocabulary.payloads import MEDIA_PROTOCOLS
from floodmark.vocabulary.services import ONE_WAY_PORTS
from floodmark_core.flows import payload, shapes

_MANY_PORTS = 100
_SENDER_RATE_PPS = 100.0
_EVERYWHERE_PORTS = 500
_REFUSALS = 20  # ICMP errors; systems send few a second, so their share says nothing
_FLOWS_TO_COMPARE = 20


def udp_floods(context: Context, settings: VolumetricSettings, explained: np.ndarray) -> list[Finding]:
    """Find direct UDP floods."""
    found = []
    hosts = sorted(
        {*context.hosts_with(shapes.UDP, settings.flood_packets), *context.hosts_with(shapes.UDP_ANSWER, settings.flood_packets)}
    )
    for host in hosts:
        index = np.concatenate((context.shaped(host, shapes.UDP).index, context.shaped(host, shapes.UDP_ANSWER).index))
        flows = context.flow_set(np.sort(index[~explained[index]]))
        if len(flows) and floor_reached(flows, settings, context.burst_pps(host, flows)):
            found.append(_udp_flood(context, host, flows, settings))
    return found


def _udp_flood(context: Context, host: int, flows: FlowSet, settings: VolumetricSettings) -> Finding:
    evidence = Evidence()
    packets = flows.total_packets
    answers = context.answers(host)
    seen = flows.sample
    empty, same, uniform = _sameness(context, flows, settings)
    if empty >= settings.modal_share:
        evidence.add("payload", FAIR, "R_EMPTY_PAYLOAD", empty, settings.modal_share, f"{empty:.0%} of the datagrams are empty")
    elif uniform:
        evidence.add("payload", FAIR, "R_SAME_PAYLOAD", same, settings.modal_share, f"{same:.0%} of the datagrams begin alike")
    if answers and len(context.settled(flows)) >= 0.5 * len(flows.sample):
        share = packets / (packets + context.dialogue_packets(host))
        if share >= settings.one_way_share:
            evidence.add(
                "unanswered", 2.0, "R_NO_ANSWER", share, settings.one_way_share, f"{share:.0%} of the UDP to the victim gets no answer"
            )
    sweeps = len(flows) / flows.source_count
    ports = distinct(flows.sample.received("port"))
    if sweeps >= _MANY_PORTS / 2 or ports >= _MANY_PORTS:
        everywhere = ports >= _EVERYWHERE_PORTS and packets <= 2 * len(flows)  # a gateway's calls go to many ports too, but last
        evidence.add(
            "ports", CLEAR if everywhere else FAIR, "R_PORT_SWEEP", max(sweeps, ports), _MANY_PORTS,
            f"{len(flows):,} port pairs from {flows.source_count:,} sources; no application opens so many",
        )  # fmt: skip
    nowhere = float((seen.received("port") == 0).mean())
    if nowhere >= 0.5:
        evidence.add("target", FAIR, "R_PORT_ZERO", nowhere, 0.5, f"{nowhere:.0%} go to port 0, where nothing can listen")
    spoofed = weigh_spoofing(evidence, flows, settings)
    if flows.source_count >= 20:
        evidence.add(
            "spread",
            FAIR,
            "R_MANY_SOURCES",
            flows.source_count,
            20,
            f"{flows.source_count:,} sources send to one host and hear nothing back",
        )
    if uniform:
        _weigh_repetition(evidence, flows, max(same, empty), settings, rate_pps=context.burst_pps(host, flows), answers=answers)
    errors = context.errors_from(host, flows)
    if errors >= _REFUSALS:
        text = f"the victim refuses: it answers with {errors:,} ICMP errors"
        evidence.add("refusal", CLEAR, "R_UNREACHABLE", errors, _REFUSALS, text)
    _weigh_ordinary(evidence, flows, streaming=not uniform and errors < _REFUSALS)
    weigh_magnitude(evidence, context.burst_pps(host, flows), settings.flood_rate_pps, "datagrams")
    cap_for_view(evidence, answers=answers, packets=packets, span_s=flows.span_s)
    return Finding(
        "land" if weigh_land(evidence, flows) else "udp-flood",
        [context.host(host)],
        flows,
        evidence,
        top_ports(flows.sample.received("port")),
        spoofed,
        ("icmp-unreachable-flood", "ip-fragment-flood"),
    )


def _sameness(context: Context, flows: FlowSet, settings: VolumetricSettings) -> tuple[float, float, bool]:
    """Return the share of datagrams that are empty, the share that begin alike, and whether either makes them one tool's."""
    seen = flows.sample
    octets, codes = seen.sent("payload_octets"), seen.sent("payload_kind")
    empty = float((seen.packets * (octets == 0)).sum() / seen.total_packets)
    if context.view.payload_missing:  # whoever overwrote the payloads made them alike
        return empty, 0.0, empty >= settings.modal_share
    same = max(modal_share(seen.sent("prefix")), float((codes == payload.UNIFORM).mean()))
    several = same >= settings.modal_share and len(flows) >= _FLOWS_TO_COMPARE
    return empty, same, bool(empty >= settings.modal_share or several or (codes == payload.UNIFORM).all())


def _weigh_repetition(  # noqa: PLR0913 - what was measured before goes in
    evidence: Evidence, flows: FlowSet, same: float, settings: VolumetricSettings, *, rate_pps: float, answers: bool
) -> None:
    """Add what senders say that repeat one thing quickly. same: share of the datagrams that are alike."""
    each = rate_pps / flows.source_count
    if each >= _SENDER_RATE_PPS:
        text = f"each source sends {each:,.0f} datagrams a second that begin alike"
        evidence.add("source", FAIR, "R_RATE_PER_SOURCE", each, _SENDER_RATE_PPS, text)
        if not answers:  # media and streams, which go one way too, do not repeat themselves
            evidence.add("payload", CLEAR, "R_REPETITION", same, settings.modal_share, "what repeats itself is no stream")


def _weigh_ordinary(evidence: Evidence, flows: FlowSet, *, streaming: bool) -> None:
    """Add what speaks for ordinary one-way traffic: media, collectors of logs and flows, a few long streams."""
    seen = flows.sample
    codes = seen.sent("payload_kind")
    media = float((seen.packets * np.isin(codes // 2, MEDIA_PROTOCOLS) * (codes > payload.UNIFORM)).sum() / seen.total_packets)
    if media >= 0.5 and streaming:
        evidence.add("media", -STRONG, "R_MEDIA", media, 0.5, f"{media:.0%} of the packets look like telephony, video, games or a tunnel")
    collected = float(np.isin(seen.received("port"), ONE_WAY_PORTS).mean())
    if collected >= 0.5:
        text = f"{collected:.0%} go to a port that only listens, such as syslog or NetFlow"
        evidence.add("collector", AGAINST, "R_COLLECTOR", collected, 0.5, text)
    if len(flows) <= 5 and streaming:
        evidence.add("bulk", -2.0, "R_FEW_LONG_FLOWS", len(flows), 5, "all of it is a handful of long streams")
