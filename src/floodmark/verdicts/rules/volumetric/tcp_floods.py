"""Floods of TCP segments that belong to no connection, SYNs and all other flags, judged per victim."""

from typing import Any, NamedTuple

import numpy as np

from floodmark.base.thresholds import declares, threshold
from floodmark.flows.flowset import FlowSet, effective_number, modal_share, top_ports
from floodmark.verdicts.context import Context
from floodmark.verdicts.declaring import Case, Family, Judge
from floodmark.verdicts.weighing import (
    AGAINST,
    CLEAR,
    FAIR,
    FROM_ITSELF,
    RATE,
    RATE_PER_SOURCE,
    SLIGHT,
    STRONG,
    TTL_CONCENTRATION,
    Evidence,
    Finding,
    FloodThresholds,
    Rule,
    cap_for_view,
    floor_reached,
    weigh_few_fast_sources,
    weigh_land,
    weigh_magnitude,
    weigh_spoofing,
)
from floodmark_core import kinds
from floodmark_core.flows import shapes

_SIX_FLAGS = 0x3F  # URG ACK PSH RST SYN FIN


@declares
class TcpThresholds(FloodThresholds):
    """Thresholds for floods of segments without a connection."""

    no_options_share: float = threshold(0.9, "of the SYNs to a host that carry no TCP options", "of 1,751 ordinary SYNs, none did")
    syn_repeat_tries: int = threshold(10, "SYNs of one five-tuple", "Linux sends 1 + 6 (tcp_syn_retries)")
    completion_share: float = threshold(0.05, "of the handshakes that such SYNs began and that were completed, at most")
    ordinary_completion_share: float = threshold(0.5, "of those handshakes: from here on they are real clients'")
    same_sequence_share: float = threshold(0.5, "of the SYN flows that begin with the most frequent sequence number")
    mixed_flags: float = threshold(5.0, "effective flag combinations; one flood, one scan or one server's answers show one or two")
    one_kind_share: float = threshold(0.75, "of the segments without a connection: beyond it the flood has the name of that kind")
    mixed_kind_share: float = threshold(0.1, "of those segments: fewer of a kind are no part of a mixture")
    mixed_kinds_times: int = threshold(2, "fewest kinds of a mixture")
    brief_packets: int = threshold(2, "of a five-tuple that has no connection, at most")
    strong_tuples_times: float = threshold(20.0, "flood_packets: from so many five-tuples of a packet or two on they are strong evidence")
    source_tuples: float = threshold(3.0, "five-tuples of each source")
    incoherent_share: float = threshold(0.5, "of the segments whose sequence number is more than 1 MiB off its direction's progress")
    refused_by_victim_share: float = threshold(0.5, "packets that the victim of RSTs sent, for each RST: in a sample it is being refused")


NO_TCP_OPTIONS = Rule(
    "R_NO_TCP_OPTIONS", "options", "share of SYNs without TCP options",
    "{measured:.0%} of the SYNs carry no TCP options; every common system sends some",
    "Every common operating system sends TCP options in its SYNs; simple flood tools send none.", "no_options_share",
)  # fmt: skip
SYN_REPEATED = Rule(
    "R_SYN_REPEATED", "repetition", "SYNs of each five-tuple, on average",
    "each five-tuple sends its SYN {measured:,.0f} times on average; Linux stops at 7",
    "Operating systems repeat an unanswered SYN a few times, ever more slowly; a flood tool goes on.", "syn_repeat_tries",
)  # fmt: skip
NO_COMPLETION = Rule(
    "R_NO_COMPLETION", "completion", "completed handshakes as a share of completed ones and unanswered SYNs",
    "{measured:.1%} of the handshakes that such SYNs began were completed",
    "Real clients complete their handshakes; forged or careless senders never do.", "completion_share",
)  # fmt: skip
COMPLETION = Rule(
    "R_COMPLETION", "completion", "completed handshakes as a share of completed ones and unanswered SYNs",
    "{measured:.0%} of the handshakes that such SYNs began were completed",
    "Clients that complete their handshakes are real and want to talk, so this speaks against a SYN flood.", "ordinary_completion_share",
)  # fmt: skip
SAME_SEQUENCE = Rule(
    "R_SAME_SEQUENCE", "uniformity", "share of SYN flows with the most frequent initial sequence number",
    "{measured:.0%} of the SYN flows begin with the same sequence number",
    "Operating systems draw a new initial sequence number for each connection (RFC 6528); simple tools reuse one.", "same_sequence_share",
)  # fmt: skip
SAME_SYN = Rule(
    "R_SAME_SYN", "uniformity", "smaller of the shares of SYN flows with the most frequent window and the most frequent options",
    "{window:.0%} of the SYN flows offer the same window, {options:.0%} carry the same TCP options",
    "SYNs of many real hosts differ in window and options; those of one tool are copies.", "modal_share",
)  # fmt: skip
MIXED_FLAGS = Rule(
    "R_MIXED_FLAGS", "flags", "effective number of TCP flag combinations, exp(entropy)",
    "the segments use {measured:.0f} TCP flag combinations in effect; real traffic of no connection uses one or two",
    "Real connections, and most floods, use one or two flag combinations; flags drawn at random use many.", "mixed_flags",
)  # fmt: skip
IMPOSSIBLE_FLAGS = Rule(
    "R_IMPOSSIBLE_FLAGS", "flags", "packets in flows that begin with flags that no TCP state sends",
    "{measured:,} segments are in flows that begin with flags that no TCP state sends",
    "No TCP implementation sends these flags, so the packets were crafted.", "flood_packets",
)  # fmt: skip
NO_CONNECTION = Rule(
    "R_NO_CONNECTION", "stateless", "share of five-tuples with one or two packets",
    "{measured:.0%} of {tuples:,} five-tuples show one or two packets and no connection",
    "A real connection exchanges more packets; a flood spends one or two on each five-tuple.", "modal_share",
)  # fmt: skip
TUPLES_PER_SOURCE = Rule(
    "R_TUPLES_PER_SOURCE", "spread", "five-tuples of each source, on average",
    "each source uses {measured:,.0f} five-tuples on average, nearly all of them for one or two packets",
    "A client keeps its connection; a tool changes ports with every packet or two.", "source_tuples",
)  # fmt: skip
INCOHERENT_SEQUENCE = Rule(
    "R_INCOHERENT_SEQUENCE", "stateless", "share of segments whose sequence number is more than 1 MiB off",
    "{measured:.0%} of the segments have sequence numbers that fit no window (more than 1 MiB off)",
    "Segments of a real connection follow each other in sequence; made-up ones jump.", "incoherent_share",
)  # fmt: skip
SAME_WINDOW = Rule(
    "R_SAME_WINDOW", "uniformity", "share of flows with the most frequent TCP window",
    "{measured:.0%} of the flows offer the same TCP window",
    "Real hosts offer different windows; one tool writes the same value everywhere.", "modal_share",
)  # fmt: skip


class _Kind(NamedTuple):
    """A kind of segment flood: its vector, and the segments' name in a sentence."""

    vector: str
    what: str


def syn_floods(case: Case[TcpThresholds, Any]) -> list[Finding]:
    """Find SYN floods."""
    found = []
    context, settings = case.context, case.volumetric
    hosts = {
        *context.hosts.hosts_with(shapes.SYN, settings.flood_packets),
        *context.hosts.hosts_with(shapes.SYN_BARE, settings.flood_packets),
    }
    for host in sorted(hosts):
        bare, ordinary = context.hosts.shaped(host, shapes.SYN_BARE), context.hosts.shaped(host, shapes.SYN)
        bare, ordinary = bare.not_taken(case.explained), ordinary.not_taken(case.explained)
        share = bare.total_packets / max(bare.total_packets + ordinary.total_packets, 1)
        # If nearly all SYNs have no options, one with options is an ordinary SYN that failed beside them.
        flows = bare if share >= settings.no_options_share else bare.joined(ordinary)
        if len(flows) and floor_reached(flows, settings, context.baseline.burst_pps(host, flows)):
            found.append(_syn_flood(context, host, flows, share, settings))
    return found


def _syn_flood(context: Context, host: int, flows: FlowSet, bare: float, settings: TcpThresholds) -> Finding:
    evidence = Evidence()
    answers = context.baseline.answers(host)
    if bare >= settings.no_options_share:
        evidence.add(NO_TCP_OPTIONS, CLEAR, bare, settings.no_options_share)
    _weigh_uniform_syns(evidence, flows, settings)
    repeats = flows.total_packets / len(flows)
    if repeats >= settings.syn_repeat_tries:
        evidence.add(SYN_REPEATED, CLEAR, repeats, settings.syn_repeat_tries)
    # Completing a handshake takes another packet, which would be captured like the SYN; a sample has lost it.
    if not context.view.sampled and context.baseline.settled(flows).total_packets >= settings.flood_packets:
        completed = context.baseline.completions_like(host, flows.sample.column("tcp_options"))
        share = completed / (completed + flows.total_packets)
        if share <= settings.completion_share:
            evidence.add(NO_COMPLETION, CLEAR, share, settings.completion_share)
        elif share >= settings.ordinary_completion_share:
            evidence.add(COMPLETION, AGAINST, share, settings.ordinary_completion_share)
    spoofed = weigh_spoofing(evidence, flows, settings)
    weigh_few_fast_sources(evidence, flows, settings, "SYNs")
    weigh_magnitude(evidence, context.baseline.burst_pps(host, flows), settings.flood_rate_pps, "SYNs", settings.clear_rate_times)
    cap_for_view(evidence, answers=answers, packets=flows.total_packets, span_s=flows.span_s)
    products = ("tcp-rst-flood", "tcp-ack-flood", "tcp-out-of-state-flood", "icmp-unreachable-flood")
    vector = "land" if weigh_land(evidence, flows, settings) else "tcp-syn-flood"
    return Finding(vector, [context.hosts.host(host)], flows, evidence, top_ports(flows.sample.received("port")), spoofed, products)


def _weigh_uniform_syns(evidence: Evidence, flows: FlowSet, settings: TcpThresholds) -> None:
    """Add the uniformity group: one window, one set of options, one sequence number."""
    if flows.total_packets < settings.flood_packets or len(flows) < settings.alike_flows:
        return
    isn = modal_share(flows.sample.column("initiator_isn"))
    if isn >= settings.same_sequence_share:
        evidence.add(SAME_SEQUENCE, FAIR, isn, settings.same_sequence_share)
    window, options = modal_share(flows.sample.column("tcp_window")), modal_share(flows.sample.column("tcp_options"))
    if min(window, options) >= settings.modal_share:
        evidence.add(SAME_SYN, FAIR, min(window, options), settings.modal_share, window=window, options=options)


_FLAG_SHAPES = {
    shapes.RST: _Kind("tcp-rst-flood", "RSTs"),
    shapes.FIN: _Kind("tcp-fin-flood", "FINs"),
    shapes.ACK: _Kind("tcp-ack-flood", "ACKs"),
    shapes.DATA: _Kind("tcp-ack-flood", "data segments"),
    shapes.ODD_FLAGS: _Kind("tcp-flag-flood", "segments with impossible flags"),
}
# Shapes of segments without a connection.
_STATELESS = (shapes.SYN, shapes.SYN_BARE, shapes.SYN_ACK, shapes.RST, shapes.FIN, shapes.ACK, shapes.DATA, shapes.ODD_FLAGS)
# Those with flags that every connection has; one tool sends both data and bare acknowledgements.
_LEGAL = (shapes.SYN_ACK, shapes.RST, shapes.FIN, shapes.ACK, shapes.DATA)


def flag_mixes(case: Case[TcpThresholds, Any]) -> list[Finding]:
    """Find floods whose segments carry mixed flags, before each kind is judged by itself."""
    found = []
    context, settings = case.context, case.volumetric
    for host in context.hosts.hosts_with(shapes.ODD_FLAGS, settings.flood_packets):
        index = np.concatenate([context.hosts.shaped(host, shape).index for shape in _STATELESS])
        flows = context.shapes.flow_set(np.sort(index[~case.explained[index]]))
        if len(flows) == 0 or not floor_reached(flows, settings):
            continue
        mixed = effective_number(flows.sample.column("flags") & _SIX_FLAGS)
        if mixed < settings.mixed_flags:
            continue
        evidence = Evidence()
        evidence.add(MIXED_FLAGS, STRONG, mixed, settings.mixed_flags)
        found.append(_flag_flood(context, host, flows, evidence, _Kind("tcp-flag-flood", "segments"), settings))
    return found


def out_of_state_floods(case: Case[TcpThresholds, Any]) -> list[Finding]:
    """Find floods of several kinds of legal segments mixed, which belong to no connection."""
    found = []
    context, settings = case.context, case.volumetric
    hosts = {host for shape in _LEGAL for host in context.hosts.hosts_with(shape, settings.flood_packets // 2)}
    for host in sorted(hosts):
        parts = [context.hosts.shaped(host, shape).not_taken(case.explained) for shape in _LEGAL]
        packets = [part.total_packets for part in parts]
        kinds_mixed = sum(count >= settings.mixed_kind_share * sum(packets) for count in packets)
        if max(packets) > settings.one_kind_share * sum(packets) or kinds_mixed < settings.mixed_kinds_times:
            continue
        flows = parts[0].joined(*parts[1:])
        if floor_reached(flows, settings):
            kind = _Kind("tcp-out-of-state-flood", "segments of no connection")
            found.append(_flag_flood(context, host, flows, Evidence(), kind, settings))
    return found


def flag_floods(case: Case[TcpThresholds, Any]) -> list[Finding]:
    """Find floods of TCP segments that belong to no connection."""
    found = []
    context, settings = case.context, case.volumetric
    for shape, of_shape in _FLAG_SHAPES.items():
        for host in context.hosts.hosts_with(shape, settings.flood_packets):
            flows = context.hosts.shaped(host, shape).not_taken(case.explained)
            if len(flows) == 0 or not floor_reached(flows, settings):
                continue
            sent = int(context.hosts.sent_packets[host])
            if shape == shapes.RST and context.view.sampled and sent >= settings.refused_by_victim_share * flows.total_packets:
                continue  # refusals of packets that the host sent, which a sample has lost
            evidence, kind = Evidence(), of_shape
            if shape == shapes.ODD_FLAGS:
                evidence.add(IMPOSSIBLE_FLAGS, CLEAR, flows.total_packets, settings.flood_packets)
                if float((flows.sample.column("flags") & _SIX_FLAGS == kinds.FIN).mean()) >= settings.modal_share:
                    kind = _FLAG_SHAPES[shapes.FIN]  # a FIN without ACK
            found.append(_flag_flood(context, host, flows, evidence, kind, settings))
    return found


def _flag_flood(  # noqa: PLR0913, PLR0917 - takes the evidence gathered so far as well
    context: Context, host: int, flows: FlowSet, evidence: Evidence, kind: _Kind, settings: TcpThresholds
) -> Finding:
    """Weigh segments without a connection."""
    settled = context.baseline.settled(flows)
    brief = float((settled.packets <= settings.brief_packets).mean()) if len(settled) else 0.0
    if brief >= settings.modal_share and len(settled) >= settings.flood_packets:
        weight = STRONG if len(flows) >= settings.strong_tuples_times * settings.flood_packets else CLEAR
        evidence.add(NO_CONNECTION, weight, brief, settings.modal_share, tuples=len(flows))
        each = len(flows) / flows.source_count
        if each >= settings.source_tuples:
            evidence.add(TUPLES_PER_SOURCE, FAIR, each, settings.source_tuples)
    wild = float(flows.sample.column("incoherent_packets").sum() / flows.sample.total_packets)
    if wild >= settings.incoherent_share:
        evidence.add(INCOHERENT_SEQUENCE, CLEAR, wild, settings.incoherent_share)
    spoofed = weigh_spoofing(evidence, flows, settings)
    window = modal_share(flows.sample.column("tcp_window"))
    if window >= settings.modal_share and len(flows) >= settings.flood_packets:
        evidence.add(SAME_WINDOW, SLIGHT, window, settings.modal_share)
    weigh_few_fast_sources(evidence, flows, settings, kind.what)
    weigh_magnitude(evidence, flows.busiest_rate_pps, settings.flood_rate_pps, kind.what, settings.clear_rate_times)
    cap_for_view(evidence, answers=context.baseline.answers(host), packets=flows.total_packets, span_s=flows.span_s)
    ports = top_ports(flows.sample.received("port"))
    return Finding(kind.vector, [context.hosts.host(host)], flows, evidence, ports, spoofed, ("tcp-rst-flood",))


_OF_ANY_FLAG = (
    NO_CONNECTION, TUPLES_PER_SOURCE, INCOHERENT_SEQUENCE, TTL_CONCENTRATION, SAME_WINDOW, RATE_PER_SOURCE, RATE,
)  # fmt: skip
_OF_SYNS = (
    NO_TCP_OPTIONS, SAME_SEQUENCE, SAME_SYN, SYN_REPEATED, NO_COMPLETION, COMPLETION, TTL_CONCENTRATION, RATE_PER_SOURCE, RATE, FROM_ITSELF,
)  # fmt: skip
FAMILY = Family(
    "tcp-floods",
    "volumetric",
    TcpThresholds,
    (
        Judge("tcp-flag-mixes", flag_mixes, ("tcp-flag-flood",), (MIXED_FLAGS, *_OF_ANY_FLAG), after=("scans",)),
        Judge("tcp-syn-floods", syn_floods, ("tcp-syn-flood", "land"), _OF_SYNS, after=("query-floods",), over_prefixes=True),
        Judge(
            "tcp-out-of-state-floods",
            out_of_state_floods,
            ("tcp-out-of-state-flood",),
            _OF_ANY_FLAG,
            after=("tcp-syn-floods",),
            over_prefixes=True,
        ),
        Judge(
            "tcp-flag-floods",
            flag_floods,
            ("tcp-rst-flood", "tcp-fin-flood", "tcp-ack-flood", "tcp-flag-flood"),
            (IMPOSSIBLE_FLAGS, *_OF_ANY_FLAG),
            after=("tcp-out-of-state-floods",),
            over_prefixes=True,
        ),
    ),
)
