"""Direct floods: SYN, other TCP flags, UDP, ICMP, fragments and other IP protocols, judged per victim."""

import numpy as np

from floodmark.context import Context, FlowSet, distinct, modal_share
from floodmark.payloads import MEDIA_PROTOCOLS
from floodmark.services import ONE_WAY_PORTS
from floodmark.settings import VolumetricSettings
from floodmark.verdicts.evidence import (
    AGAINST,
    CLEAR,
    FAIR,
    SLIGHT,
    STRONG,
    Evidence,
    Finding,
    cap_for_view,
    weigh_magnitude,
    weigh_spoofing,
)
from floodmark.verdicts.reflection import top_ports
from floodmark_core import kinds, payload, shapes

_MANY_PORTS = 100
_SYNS_TO_SAMPLE = 20


def _floor_reached(flows: FlowSet, settings: VolumetricSettings) -> bool:
    """Tell whether there is enough to be called a flood: a rate, or a number that structure can carry."""
    packets = flows.total_packets
    if packets >= settings.flood_packets and flows.busiest_rate_pps >= settings.flood_rate_pps:
        return True
    return packets >= settings.structural_packets and flows.busiest_rate_pps >= settings.sustained_rate_pps


def _modal_size(flows: FlowSet) -> float:
    """Return the share of flows with the most frequent octets per packet."""
    seen = flows.sample
    return modal_share(seen.sent("octets") // np.maximum(seen.packets, 1).astype(np.uint64))


def syn_floods(context: Context, settings: VolumetricSettings, explained: np.ndarray) -> list[Finding]:
    """Find SYN floods. explained: bool per flow row, true for flows that another finding holds."""
    found = []
    hosts = {*context.hosts_with(shapes.SYN, settings.flood_packets), *context.hosts_with(shapes.SYN_BARE, settings.flood_packets)}
    for host in sorted(hosts):
        bare, ordinary = context.shaped(host, shapes.SYN_BARE), context.shaped(host, shapes.SYN)
        bare, ordinary = bare.where(~explained[bare.index]), ordinary.where(~explained[ordinary.index])
        share = bare.total_packets / max(bare.total_packets + ordinary.total_packets, 1)
        # Where nearly all SYNs are bare, one with options is an ordinary SYN that failed beside them.
        flows = bare if share >= settings.no_options_share else bare.joined(ordinary)
        if len(flows) and _floor_reached(flows, settings):
            found.append(_syn_flood(context, host, flows, share, settings))
    return found


def _syn_flood(context: Context, host: int, flows: FlowSet, bare: float, settings: VolumetricSettings) -> Finding:
    evidence = Evidence()
    answers = context.answers(host)
    if bare >= settings.no_options_share:
        evidence.add(
            "options", CLEAR, "R_NO_TCP_OPTIONS", bare, settings.no_options_share,
            f"{bare:.0%} of the SYNs carry no TCP options; every common system sends some",
        )  # fmt: skip
    _weigh_uniform_syns(evidence, flows, settings)
    if answers:
        completed = context.completions_like(host, flows.sample.column("tcp_options"))
        share = completed / (completed + len(flows))
        if share <= settings.completion_share:
            evidence.add(
                "completion", CLEAR, "R_NO_COMPLETION", share, settings.completion_share,
                f"{share:.1%} of the handshakes that these SYNs began were completed",
            )  # fmt: skip
        elif share >= 0.5:
            evidence.add("completion", AGAINST, "R_COMPLETION", share, 0.5, f"{share:.0%} of the handshakes were completed")
    spoofed = weigh_spoofing(evidence, flows, settings.spoofed_sources_per_packet, settings.ttl_concentration)
    if flows.source_count < 20 and flows.total_packets / flows.source_count / flows.span_s >= 100:
        rate = flows.total_packets / flows.source_count / flows.span_s
        evidence.add("source", FAIR, "R_RATE_PER_SOURCE", rate, 100, f"each source sends {rate:,.0f} SYNs a second")
    weigh_magnitude(evidence, flows.busiest_rate_pps, settings.flood_rate_pps, "SYNs")
    cap_for_view(evidence, answers=answers, packets=flows.total_packets, span_s=flows.span_s)
    products = ("tcp-rst-flood", "tcp-ack-flood", "tcp-out-of-state-flood", "icmp-unreachable-flood")
    return Finding("tcp-syn-flood", [context.host(host)], flows, evidence, top_ports(flows.sample.received("port")), spoofed, products)


def _weigh_uniform_syns(evidence: Evidence, flows: FlowSet, settings: VolumetricSettings) -> None:
    """Add the uniformity group: one window, one option string, one sequence number."""
    if flows.total_packets < settings.flood_packets:
        return
    isn = modal_share(flows.sample.column("initiator_isn"))
    if isn >= 0.5 and len(flows) >= _SYNS_TO_SAMPLE:
        evidence.add("uniformity", FAIR, "R_SAME_SEQUENCE", isn, 0.5, f"{isn:.0%} of the SYNs carry one sequence number")
    window, options = modal_share(flows.sample.column("tcp_window")), modal_share(flows.sample.column("tcp_options"))
    if min(window, options) >= settings.modal_share and len(flows) >= _SYNS_TO_SAMPLE:
        evidence.add(
            "uniformity", FAIR, "R_SAME_SYN", min(window, options), settings.modal_share,
            f"{min(window, options):.0%} of the SYNs have the same window and options",
        )  # fmt: skip


_FLAG_SHAPES = {
    shapes.RST: ("tcp-rst-flood", "RSTs"),
    shapes.FIN: ("tcp-fin-flood", "FINs"),
    shapes.ACK: ("tcp-ack-flood", "ACKs"),
    shapes.DATA: ("tcp-ack-flood", "data segments"),
    shapes.ODD_FLAGS: ("tcp-flag-flood", "segments with impossible flags"),
}


# Shapes of segments that belong to no connection.
_STATELESS = (shapes.SYN, shapes.SYN_BARE, shapes.SYN_ACK, shapes.RST, shapes.FIN, shapes.ACK, shapes.DATA, shapes.ODD_FLAGS)
_MIXED_FLAGS = 5  # effective combinations; the segments of one flood, one scan or one server's answers show one or two


def flag_mixes(context: Context, settings: VolumetricSettings, explained: np.ndarray) -> list[Finding]:
    """Find floods whose segments carry all sorts of flags, before each sort is judged for itself."""
    found = []
    for host in context.hosts_with(shapes.ODD_FLAGS, settings.flood_packets):
        index = np.concatenate([context.shaped(host, shape).index for shape in _STATELESS])
        flows = context.flow_set(np.sort(index[~explained[index]]))
        if len(flows) == 0 or not _floor_reached(flows, settings):
            continue
        counts = np.bincount(flows.sample.column("flags") & 0x3F, minlength=64)
        shares = counts[counts > 0] / counts.sum()
        mixed = float(np.exp(-(shares * np.log(shares)).sum()))
        if mixed < _MIXED_FLAGS:
            continue
        evidence = Evidence()
        text = f"{mixed:.0f} combinations of flags in effect, most of them impossible"
        evidence.add("flags", STRONG, "R_MIXED_FLAGS", mixed, _MIXED_FLAGS, text)
        found.append(_flag_flood(context, host, flows, evidence, ("tcp-flag-flood", "segments"), settings))
    return found


def flag_floods(context: Context, settings: VolumetricSettings, explained: np.ndarray) -> list[Finding]:
    """Find floods of TCP segments that belong to no connection."""
    found = []
    for shape, (vector, what) in _FLAG_SHAPES.items():
        for host in context.hosts_with(shape, settings.flood_packets):
            flows = context.shaped(host, shape)
            flows = flows.where(~explained[flows.index])
            if len(flows) == 0 or not _floor_reached(flows, settings):
                continue
            evidence, kind = Evidence(), (vector, what)
            if shape == shapes.ODD_FLAGS:
                packets, text = flows.total_packets, "no TCP state sends these flags"
                evidence.add("flags", CLEAR, "R_IMPOSSIBLE_FLAGS", packets, settings.flood_packets, text)
                if float((flows.sample.column("flags") & 0x3F == kinds.FIN).mean()) >= settings.modal_share:
                    kind = _FLAG_SHAPES[shapes.FIN]  # a FIN that acknowledges nothing
            found.append(_flag_flood(context, host, flows, evidence, kind, settings))
    return found


def _flag_flood(  # noqa: PLR0913, PLR0917 - evidence gathered so far goes in with the rest
    context: Context, host: int, flows: FlowSet, evidence: Evidence, kind: tuple[str, str], settings: VolumetricSettings
) -> Finding:
    """Weigh segments without a connection. kind: (vector, what they are)."""
    vector, what = kind
    packets = flows.total_packets
    brief = float((flows.packets <= 2).mean())
    wild = float(flows.sample.column("incoherent_packets").sum() / flows.sample.total_packets)
    if brief >= settings.modal_share and len(flows) >= settings.flood_packets:
        evidence.add(
            "stateless", CLEAR, "R_NO_CONNECTION", brief, settings.modal_share,
            f"{brief:.0%} of {len(flows):,} five-tuples show one or two packets and no connection",
        )  # fmt: skip
    if wild >= 0.5:
        evidence.add("stateless", CLEAR, "R_INCOHERENT_SEQUENCE", wild, 0.5, f"{wild:.0%} of the sequence numbers fit no window")
    spoofed = weigh_spoofing(evidence, flows, settings.spoofed_sources_per_packet, settings.ttl_concentration)
    window = modal_share(flows.sample.column("tcp_window"))
    if window >= settings.modal_share and len(flows) >= settings.flood_packets:
        evidence.add("uniformity", SLIGHT, "R_SAME_WINDOW", window, settings.modal_share, f"{window:.0%} of them offer one window")
    if flows.source_count < 20 and packets / flows.source_count / flows.span_s >= 100:
        rate = packets / flows.source_count / flows.span_s
        evidence.add("source", FAIR, "R_RATE_PER_SOURCE", rate, 100, f"each source sends {rate:,.0f} of them a second")
    weigh_magnitude(evidence, flows.busiest_rate_pps, settings.flood_rate_pps, what)
    cap_for_view(evidence, answers=context.answers(host), packets=packets, span_s=flows.span_s)
    ports = top_ports(flows.sample.received("port"))
    return Finding(vector, [context.host(host)], flows, evidence, ports, spoofed, ("tcp-rst-flood",))


def udp_floods(context: Context, settings: VolumetricSettings, explained: np.ndarray) -> list[Finding]:
    """Find direct UDP floods."""
    found = []
    hosts = sorted(
        {*context.hosts_with(shapes.UDP, settings.flood_packets), *context.hosts_with(shapes.UDP_ANSWER, settings.flood_packets)}
    )
    for host in hosts:
        index = np.concatenate((context.shaped(host, shapes.UDP).index, context.shaped(host, shapes.UDP_ANSWER).index))
        flows = context.flow_set(np.sort(index[~explained[index]]))
        if len(flows) and _floor_reached(flows, settings):
            found.append(_udp_flood(context, host, flows, settings))
    return found


def _udp_flood(context: Context, host: int, flows: FlowSet, settings: VolumetricSettings) -> Finding:
    evidence = Evidence()
    packets = flows.total_packets
    answers = context.answers(host)
    seen = flows.sample
    octets, codes = seen.sent("payload_octets"), seen.sent("payload_kind")
    empty = float((seen.packets * (octets == 0)).sum() / seen.total_packets)
    same = max(modal_share(seen.sent("prefix")), float((codes == payload.UNIFORM).mean()))
    uniform = (
        empty >= settings.modal_share
        or (same >= settings.modal_share and len(flows) >= _SYNS_TO_SAMPLE)
        or (codes == payload.UNIFORM).all()
    )
    if empty >= settings.modal_share:
        evidence.add("payload", FAIR, "R_EMPTY_PAYLOAD", empty, settings.modal_share, f"{empty:.0%} of the datagrams are empty")
    elif uniform:
        evidence.add("payload", FAIR, "R_SAME_PAYLOAD", same, settings.modal_share, f"{same:.0%} of the datagrams begin alike")
    if answers:
        share = packets / (packets + context.dialogue_packets(host))
        if share >= settings.one_way_share:
            evidence.add(
                "unanswered", 2.0, "R_NO_ANSWER", share, settings.one_way_share, f"{share:.0%} of the UDP to the victim gets no answer"
            )
    sweeps = len(flows) / flows.source_count
    if sweeps >= _MANY_PORTS / 2 or distinct(flows.sample.received("port")) >= _MANY_PORTS:
        evidence.add(
            "ports", FAIR, "R_PORT_SWEEP", max(sweeps, distinct(flows.sample.received("port"))), _MANY_PORTS,
            f"{len(flows):,} port pairs from {flows.source_count:,} sources; no application opens so many",
        )  # fmt: skip
    nowhere = float((seen.received("port") == 0).mean())
    if nowhere >= 0.5:
        evidence.add("target", FAIR, "R_PORT_ZERO", nowhere, 0.5, f"{nowhere:.0%} go to port 0, where nothing can listen")
    spoofed = weigh_spoofing(evidence, flows, settings.spoofed_sources_per_packet, settings.ttl_concentration)
    if flows.source_count >= 20:
        evidence.add(
            "spread",
            FAIR,
            "R_MANY_SOURCES",
            flows.source_count,
            20,
            f"{flows.source_count:,} sources send to one host and hear nothing back",
        )
    media = float((seen.packets * np.isin(codes // 2, MEDIA_PROTOCOLS) * (codes > payload.UNIFORM)).sum() / seen.total_packets)
    if media >= 0.5:
        evidence.add("media", -STRONG, "R_MEDIA", media, 0.5, f"{media:.0%} of the packets look like telephony, video, games or a tunnel")
    collected = float(np.isin(seen.received("port"), ONE_WAY_PORTS).mean())
    if collected >= 0.5:
        evidence.add(
            "media", AGAINST, "R_COLLECTOR", collected, 0.5, f"{collected:.0%} go to a port that only listens, such as syslog or NetFlow"
        )
    if len(flows) <= 5 and not uniform:
        evidence.add("bulk", -2.0, "R_FEW_LONG_FLOWS", len(flows), 5, "all of it is a handful of long streams")
    weigh_magnitude(evidence, flows.busiest_rate_pps, settings.flood_rate_pps, "datagrams")
    cap_for_view(evidence, answers=answers, packets=packets, span_s=flows.span_s)
    return Finding(
        "udp-flood",
        [context.host(host)],
        flows,
        evidence,
        top_ports(flows.sample.received("port")),
        spoofed,
        ("icmp-unreachable-flood", "ip-fragment-flood"),
    )


_ECHO_RATE_PPS = 100.0  # a hundred times what a monitor sends
_MONITOR_RATE_PPS = 10.0  # ten times what ping sends by itself
_STEADY_S, _MONITOR_PPS = 5.0, 2.0
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
            flows = _without_monitors(flows.where(~explained[flows.index]))
            rate = max(flows.busiest_rate_pps, flows.mean_rate_pps) if len(flows) else 0.0
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
    per_source = packets / sources / flows.span_s
    if per_source >= _MONITOR_RATE_PPS:
        text = f"each source sends {per_source:,.0f} {what} a second; systems and monitors limit themselves to few"
        weight = 2.0 if per_source >= _ECHO_RATE_PPS else SLIGHT
        evidence.add("source", weight, "R_RATE_PER_SOURCE", per_source, _MONITOR_RATE_PPS, text)
    spoofed = weigh_spoofing(evidence, flows, settings.spoofed_sources_per_packet, settings.ttl_concentration)
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
    size = _modal_size(flows)
    if size >= settings.modal_share:
        evidence.add("uniformity", SLIGHT, "R_SAME_SIZE", size, settings.modal_share, f"{size:.0%} of the flows carry one size")
    cap_for_view(evidence, answers=answers or vector != "icmp-echo-flood", packets=packets, span_s=flows.span_s)
    return Finding(vector, [context.host(host)], flows, evidence, [], spoofed)


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
            flows = flows.where(~explained[flows.index])
            if len(flows) == 0 or not _floor_reached(flows, settings):
                continue
            packets, sources, rate = flows.total_packets, flows.source_count, flows.busiest_rate_pps
            evidence = Evidence()
            answers = context.answers(host)
            weigh_magnitude(evidence, rate, settings.flood_rate_pps, what)
            spoofed = weigh_spoofing(evidence, flows, settings.spoofed_sources_per_packet, settings.ttl_concentration)
            if sources >= 20:
                evidence.add("spread", 2.0, "R_MANY_SOURCES", sources, 20, f"{sources:,} sources send {what} to one host")
            back = int(flows.received("packets").sum())
            if back < packets / 10 and answers:
                evidence.add("unanswered", FAIR, "R_ONE_WAY", 1 - back / packets, 0.9, f"{1 - back / packets:.0%} of them go one way")
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
    octets = float(flows.sent("octets").sum()) / packets
    if octets <= 100:
        evidence.add("size", FAIR, "R_TINY_FRAGMENTS", octets, 100, f"{octets:.0f} octets on average: nobody needs to cut packets so small")
    share = packets / int(context.received_packets[host])
    if share >= 0.5:
        evidence.add("share", SLIGHT, "R_SHARE", share, 0.5, f"{share:.0%} of what the victim receives are later fragments")
    same = _modal_size(flows)
    if same >= settings.modal_share and len(flows) >= settings.flood_packets:
        evidence.add("uniformity", SLIGHT, "R_SAME_SIZE", same, settings.modal_share, f"{same:.0%} of the fragments have one size")
