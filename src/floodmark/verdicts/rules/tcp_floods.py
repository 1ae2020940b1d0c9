"""Floods of TCP segments that belong to no connection: SYNs, and every other flag, judged per victim."""

import numpy as np

from floodmark.flows.flowset import FlowSet, effective_number, modal_share, top_ports
from floodmark.settings import VolumetricSettings
from floodmark.verdicts.context import Context
from floodmark.verdicts.weighing import (
    AGAINST,
    CLEAR,
    FAIR,
    SLIGHT,
    STRONG,
    Evidence,
    Finding,
    cap_for_view,
    floor_reached,
    weigh_land,
    weigh_magnitude,
    weigh_spoofing,
)
from floodmark_core import kinds
from floodmark_core.flows import shapes

_FLOWS_TO_COMPARE = 20
_MOST_REPEATS = 10  # Linux sends a SYN 1 + 6 times (tcp_syn_retries)


def syn_floods(context: Context, settings: VolumetricSettings, explained: np.ndarray) -> list[Finding]:
    """Find SYN floods. explained: bool per flow row, true for flows that another finding holds."""
    found = []
    hosts = {*context.hosts_with(shapes.SYN, settings.flood_packets), *context.hosts_with(shapes.SYN_BARE, settings.flood_packets)}
    for host in sorted(hosts):
        bare, ordinary = context.shaped(host, shapes.SYN_BARE), context.shaped(host, shapes.SYN)
        bare, ordinary = bare.not_taken(explained), ordinary.not_taken(explained)
        share = bare.total_packets / max(bare.total_packets + ordinary.total_packets, 1)
        # Where nearly all SYNs are bare, one with options is an ordinary SYN that failed beside them.
        flows = bare if share >= settings.no_options_share else bare.joined(ordinary)
        if len(flows) and floor_reached(flows, settings, context.burst_pps(host, flows)):
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
    repeats = flows.total_packets / len(flows)
    if repeats >= _MOST_REPEATS:
        text = f"each five-tuple sends its SYN {repeats:,.0f} times; no system repeats one so often"
        evidence.add("repetition", CLEAR, "R_SYN_REPEATED", repeats, _MOST_REPEATS, text)
    # Who completes a handshake sends once more, which shows where the SYN does; a sample has lost it.
    if not context.view.sampled and context.settled(flows).total_packets >= settings.flood_packets:
        completed = context.completions_like(host, flows.sample.column("tcp_options"))
        share = completed / (completed + flows.total_packets)
        if share <= settings.completion_share:
            evidence.add(
                "completion", CLEAR, "R_NO_COMPLETION", share, settings.completion_share,
                f"{share:.1%} of the handshakes that these SYNs began were completed",
            )  # fmt: skip
        elif share >= 0.5:
            evidence.add("completion", AGAINST, "R_COMPLETION", share, 0.5, f"{share:.0%} of the handshakes were completed")
    spoofed = weigh_spoofing(evidence, flows, settings)
    if flows.source_count < 20 and flows.total_packets / flows.source_count / flows.span_s >= 100:
        rate = flows.total_packets / flows.source_count / flows.span_s
        evidence.add("source", FAIR, "R_RATE_PER_SOURCE", rate, 100, f"each source sends {rate:,.0f} SYNs a second")
    weigh_magnitude(evidence, context.burst_pps(host, flows), settings.flood_rate_pps, "SYNs")
    cap_for_view(evidence, answers=answers, packets=flows.total_packets, span_s=flows.span_s)
    products = ("tcp-rst-flood", "tcp-ack-flood", "tcp-out-of-state-flood", "icmp-unreachable-flood")
    vector = "land" if weigh_land(evidence, flows) else "tcp-syn-flood"
    return Finding(vector, [context.host(host)], flows, evidence, top_ports(flows.sample.received("port")), spoofed, products)


def _weigh_uniform_syns(evidence: Evidence, flows: FlowSet, settings: VolumetricSettings) -> None:
    """Add the uniformity group: one window, one option string, one sequence number."""
    if flows.total_packets < settings.flood_packets:
        return
    isn = modal_share(flows.sample.column("initiator_isn"))
    if isn >= 0.5 and len(flows) >= _FLOWS_TO_COMPARE:
        evidence.add("uniformity", FAIR, "R_SAME_SEQUENCE", isn, 0.5, f"{isn:.0%} of the SYNs carry one sequence number")
    window, options = modal_share(flows.sample.column("tcp_window")), modal_share(flows.sample.column("tcp_options"))
    if min(window, options) >= settings.modal_share and len(flows) >= _FLOWS_TO_COMPARE:
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
# Those whose flags any connection has; data and bare acknowledgements together are what one tool sends.
_LEGAL = (shapes.SYN_ACK, shapes.RST, shapes.FIN, shapes.ACK, shapes.DATA)
_ONE_KIND_SHARE = 0.75  # of the packets: beyond it the flood has the name of that kind
_MIXED_FLAGS = 5  # effective combinations; the segments of one flood, one scan or one server's answers show one or two


def flag_mixes(context: Context, settings: VolumetricSettings, explained: np.ndarray) -> list[Finding]:
    """Find floods whose segments carry all sorts of flags, before each sort is judged for itself."""
    found = []
    for host in context.hosts_with(shapes.ODD_FLAGS, settings.flood_packets):
        index = np.concatenate([context.shaped(host, shape).index for shape in _STATELESS])
        flows = context.flow_set(np.sort(index[~explained[index]]))
        if len(flows) == 0 or not floor_reached(flows, settings):
            continue
        mixed = effective_number(flows.sample.column("flags") & 0x3F)
        if mixed < _MIXED_FLAGS:
            continue
        evidence = Evidence()
        text = f"{mixed:.0f} combinations of flags in effect, most of them impossible"
        evidence.add("flags", STRONG, "R_MIXED_FLAGS", mixed, _MIXED_FLAGS, text)
        found.append(_flag_flood(context, host, flows, evidence, ("tcp-flag-flood", "segments"), settings))
    return found


def out_of_state_floods(context: Context, settings: VolumetricSettings, explained: np.ndarray) -> list[Finding]:
    """Find floods of segments that any connection has, of several kinds mixed, which belong to none."""
    found = []
    hosts = {host for shape in _LEGAL for host in context.hosts_with(shape, settings.flood_packets // 2)}
    for host in sorted(hosts):
        parts = [context.shaped(host, shape).not_taken(explained) for shape in _LEGAL]
        packets = [part.total_packets for part in parts]
        if max(packets) > _ONE_KIND_SHARE * sum(packets) or sum(count >= 0.1 * sum(packets) for count in packets) < 2:
            continue
        flows = parts[0].joined(*parts[1:])
        if floor_reached(flows, settings):
            kind = ("tcp-out-of-state-flood", "segments of no connection")
            found.append(_flag_flood(context, host, flows, Evidence(), kind, settings))
    return found


def flag_floods(context: Context, settings: VolumetricSettings, explained: np.ndarray) -> list[Finding]:
    """Find floods of TCP segments that belong to no connection."""
    found = []
    for shape, (vector, what) in _FLAG_SHAPES.items():
        for host in context.hosts_with(shape, settings.flood_packets):
            flows = context.shaped(host, shape)
            flows = flows.not_taken(explained)
            if len(flows) == 0 or not floor_reached(flows, settings):
                continue
            if shape == shapes.RST and context.view.sampled and context.sent_packets[host] >= flows.total_packets / 2:
                continue  # refusals of what the host sent, which a sample has lost
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
    settled = context.settled(flows)
    wild = float(flows.sample.column("incoherent_packets").sum() / flows.sample.total_packets)
    brief = float((settled.packets <= 2).mean()) if len(settled) else 0.0
    if brief >= settings.modal_share and len(settled) >= settings.flood_packets:
        evidence.add(
            "stateless", STRONG if len(flows) >= 20 * settings.flood_packets else CLEAR, "R_NO_CONNECTION", brief, settings.modal_share,
            f"{brief:.0%} of {len(flows):,} five-tuples show one or two packets and no connection",
        )  # fmt: skip
        tuples = len(flows) / flows.source_count
        if tuples >= 3:
            evidence.add(
                "spread", FAIR, "R_TUPLES_PER_SOURCE", tuples, 3, f"each source spends {tuples:,.0f} five-tuples on a packet or two"
            )
    if wild >= 0.5:
        evidence.add("stateless", CLEAR, "R_INCOHERENT_SEQUENCE", wild, 0.5, f"{wild:.0%} of the sequence numbers fit no window")
    spoofed = weigh_spoofing(evidence, flows, settings)
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
