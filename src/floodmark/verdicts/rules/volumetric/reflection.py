"""Reflection: unsolicited responses from many servers to one victim, over UDP, as TCP SYN-ACKs or from middleboxes."""

from typing import Any

import numpy as np

from floodmark.base.thresholds import declares, threshold
from floodmark.flows.flowset import FlowSet, distinct, modal_share, top_ports
from floodmark.verdicts.context import Context
from floodmark.verdicts.declaring import Case, Family, Judge
from floodmark.verdicts.weighing import (
    CLEAR,
    FAIR,
    RATE,
    SAME_SIZE,
    SLIGHT,
    SOLID,
    STRONG,
    Evidence,
    Finding,
    FloodThresholds,
    Rule,
    cap_for_view,
    weigh_magnitude,
)
from floodmark.vocabulary.payloads import PROTOCOL_NAMES, REFLECTION_VECTORS, reply_code
from floodmark.vocabulary.services import REFLECTOR_PORTS, WELL_KNOWN_END
from floodmark_core import kinds
from floodmark_core.flows import payload, shapes
from floodmark_core.protocols import SECOND_NS

_CLIENT_PORTS = 32_768  # start of the range from which systems choose client ports
# Protocols whose responses ordinary clients receive from many servers at once.
_NOISY = (
    payload.STUN, payload.DTLS, payload.OPENVPN, payload.GAME, payload.MDNS, payload.NETBIOS, payload.NTP, payload.COAP, payload.QUIC,
    payload.BITTORRENT, payload.TFTP, payload.NATPMP,
)  # fmt: skip
# Protocols by which a host queries all its neighbours at once, and their ports: each neighbour replies by unicast.
_DISCOVERY = {
    payload.SSDP: (1900,), payload.MDNS: (5353, 5355), payload.NETBIOS: (137,), payload.WSD: (3702,), payload.COAP: (5683,),
    payload.BACNET: (47808,), payload.SLP: (427,), payload.UBIQUITI: (10001,), payload.DHIP: (37810,), payload.MSSQL: (1434,),
    payload.RIP: (520,), payload.GAME: (27015, 27016), payload.PLEX: (32412, 32414), payload.JENKINS: (33848,), payload.XDMCP: (177,),
    payload.PORTMAP: (111,),
}  # fmt: skip
# Protocols in which some hosts query many servers: a resolver, a VPN gateway.
_ASKED_WIDELY = (*_NOISY, payload.DNS, payload.IKE)
# Protocols in which ordinary clients hear from hundreds of hosts, so that only unsolicited responses are evidence.
_NEEDS_QUESTIONS = (payload.BITTORRENT,)


@declares
class ReflectionThresholds(FloodThresholds):
    """Thresholds for unsolicited responses."""

    reflector_packets: int = threshold(10, "fewest packets of responses whose protocol is recognised in the payload")
    reflector_sources: int = threshold(3, "fewest servers that send such responses; more where hosts ask many of them")
    unrecognised_reflector_packets: int = threshold(
        20, "fewest packets from servers whose protocol is not recognised; also of SYN-ACKs, HTTP"
    )
    unrecognised_reflector_sources: int = threshold(20, "fewest servers that send such packets")
    reflector_share: float = threshold(0.05, "of what the victim got beside floods of other kinds", "ddos_dissector's cut for a vector")
    solicited_share: float = threshold(0.1, "of the responses that were asked for, or of SYN-ACKs and connections that are these, at most")
    reflector_one_sided_sources: int = threshold(5, "fewest servers, where requests would not be in the capture")
    reflector_widely_asked_sources: int = threshold(20, "fewest servers of a protocol that some hosts ask many servers for")
    reflector_noisy_times: float = threshold(1.5, "fewest servers: from here on a protocol that many servers answer at once weighs clear")
    reflector_clear_times: float = threshold(
        5.0, "fewest servers: from here on they weigh clear, where requests would not be in the capture"
    )
    reflector_answer_bytes: float = threshold(512.0, "of a response packet on average; beyond it a response amplifies", "RFC 1035's limit")
    reflector_one_name_share: float = threshold(0.3, "of DNS responses for one name, where requests would not be in the capture")
    reflector_few_names: int = threshold(5, "different names in DNS responses, at most, where requests would not be in the capture")
    reflector_quic_packets: float = threshold(10.0, "of one QUIC server on average, at most; a download has more")
    reflector_quic_sources: int = threshold(100, "fewest QUIC servers, where requests would not be in the capture")
    reflector_one_tool_share: float = threshold(0.99, "of flows that begin alike and have one size; servers' responses differ in either")
    reflector_port_share: float = threshold(0.8, "of a host's one-way UDP flows that come from one port, of a protocol not recognised")
    reflector_same_payload_share: float = threshold(0.5, "of the flows from that port that begin with the same 8 bytes")
    reflector_diverse_ttls: float = threshold(3.0, "effective TTL values of real servers; one machine shows one or two")
    synack_repeat_packets: int = threshold(
        20, "SYN-ACKs of one five-tuple; more than a server sends unless it is asked again", "Linux sends 1 + 5 (tcp_synack_retries)"
    )
    synack_share: float = threshold(0.5, "of the segments without a connection that the victim gets; floods of all sorts have SYN-ACKs too")
    synack_service_port_share: float = threshold(0.8, "of the SYN-ACK flows that come from ports below 1024")
    middlebox_joined_s: float = threshold(1.0, "from the begin of the capture; by then a connection that was open shows itself, as a rule")
    middlebox_sources_times: float = threshold(2.0, "unrecognised_reflector_sources: from here on hosts that send HTTP responses are many")
    middlebox_same_size_share: float = threshold(0.3, "of the flows of HTTP responses that carry the same number of bytes")
    middlebox_source_ports: int = threshold(3, "that all HTTP responses come from, at most")


PAYLOAD_MAGIC = Rule(
    "R_PAYLOAD_MAGIC", "payload", "packets in flows whose payload is a response of the protocol",
    "{measured:,} packets carry {name} responses",
    "The payload, not only the port, shows a response of a protocol that reflectors are used for.", "reflector_packets",
)  # fmt: skip
UNSOLICITED = Rule(
    "R_UNSOLICITED", "unsolicited", "share of the protocol's responses for which the victim sent no request",
    "{measured:.0%} of the {name} responses, from {sources:,} servers, follow no request from the victim",
    "Responses without a request come from servers that somebody asked in the victim's name. Compared with 1 - solicited_share.",
)  # fmt: skip
MANY_REFLECTORS = Rule(
    "R_MANY_REFLECTORS", "unsolicited", "servers that send to the victim",
    "{measured:,} servers send {what} to one host, and the capture holds no request for them",
    "A host that asked nothing hears from many servers only when somebody forges its address. Compared with "
    "reflector_one_sided_sources, reflector_widely_asked_sources or unrecognised_reflector_sources.",
)  # fmt: skip
LARGE_ANSWERS = Rule(
    "R_LARGE_ANSWERS", "size", "IP bytes of a response packet, on average",
    "the responses are {measured:,.0f} bytes on average",
    "Large responses amplify: the attacker sends little and the victim gets much.", "reflector_answer_bytes",
)  # fmt: skip
SAME_SOURCE_PORT = Rule(
    "R_SAME_SOURCE_PORT", "port", "share of flows from the most frequent source port",
    "{measured:.0%} of the flows come from port {port}",
    "Servers of one protocol answer from one port; hosts of an ordinary crowd use many.", "reflector_port_share",
)  # fmt: skip
SAME_PAYLOAD_START = Rule(
    "R_SAME_PAYLOAD_START", "uniformity", "share of flows whose payload begins with the same 8 bytes",
    "{measured:.0%} of the flows begin with the same 8 bytes",
    "Servers that answer the same forged request begin their responses alike.", "reflector_same_payload_share",
)  # fmt: skip
UNSOLICITED_SYNACK = Rule(
    "R_UNSOLICITED_SYNACK", "unsolicited", "servers that send SYN-ACKs without a SYN in the capture",
    "{measured:,} servers send SYN-ACKs, and the capture holds no SYN from the victim for them",
    "Servers that got no SYN from the victim got one from somebody who forged the victim's address.", "unrecognised_reflector_sources",
)  # fmt: skip
TTL_DIVERSITY = Rule(
    "R_TTL_DIVERSITY", "diversity", "effective number of TTL values, exp(entropy)",
    "the sources show {measured:.1f} effective TTL values, as hosts in many networks do",
    "Real servers are many different distances away; one machine with forged addresses shows one or two TTL values.",
    "reflector_diverse_ttls",
)  # fmt: skip
SYNACK_REPEATED = Rule(
    "R_SYNACK_REPEATED", "repetition", "most packets of one SYN-ACK flow",
    "one server sends {measured:,} SYN-ACKs on one five-tuple; Linux stops at 6",
    "A server repeats a SYN-ACK at most five or six times; more means that SYNs in the victim's name keep coming.",
    "synack_repeat_packets",
)  # fmt: skip
SERVICE_PORTS = Rule(
    "R_SERVICE_PORTS", "port", "share of flows from ports below 1024",
    "{measured:.0%} of the flows come from well-known service ports",
    "Reflected SYN-ACKs come from real services; forged floods use arbitrary ports.", "synack_service_port_share",
)  # fmt: skip
NO_CONNECTION_FOLLOWS = Rule(
    "R_NO_CONNECTION_FOLLOWS", "completion", "the victim's own connections as a share of these and the SYN-ACK flows",
    "the victim opened only {connections:,} connections itself, against {flows:,} SYN-ACK flows",
    "A SYN-ACK that the victim asked for is followed by a connection.", "solicited_share",
)  # fmt: skip
UNSOLICITED_HTTP = Rule(
    "R_UNSOLICITED_HTTP", "unsolicited", "hosts that send HTTP responses outside any connection",
    "{packets:,} segments carry HTTP responses from {measured:,} hosts to which the capture shows no connection",
    "Middleboxes that believe a forged request answer a victim that opened no connection (Bock et al., USENIX Security 2021).",
    "unrecognised_reflector_sources",
)  # fmt: skip
MANY_MIDDLEBOXES = Rule(
    "R_MANY_MIDDLEBOXES", "spread", "hosts that send HTTP responses outside any connection",
    "{measured:,} sources send HTTP responses outside any connection to one host",
    "Traffic of this kind comes from one peer or a few; many at the same time were asked in the victim's name. Compared with "
    "middlebox_sources_times * unrecognised_reflector_sources.",
)  # fmt: skip
SAME_ANSWER_SIZE = Rule(
    "R_SAME_ANSWER_SIZE", "uniformity", "share of flows with the most frequent number of payload bytes",
    "{measured:.0%} of the flows carry the same number of bytes",
    "A middlebox sends every client the same block page.", "middlebox_same_size_share",
)  # fmt: skip
FEW_SOURCE_PORTS = Rule(
    "R_FEW_SOURCE_PORTS", "port", "distinct source ports",
    "all responses come from only {measured:,} source ports",
    "Forged requests go to one or two web ports, so the responses come from these.", "middlebox_source_ports",
)  # fmt: skip


def udp_reflections(case: Case[ReflectionThresholds, Any]) -> list[Finding]:
    """Find UDP reflection, one protocol at a time as recognised in the payloads."""
    found = []
    context, settings = case.context, case.volumetric
    for host in context.hosts.hosts_with(shapes.UDP_ANSWER, settings.reflector_packets):
        flows = context.hosts.shaped(host, shapes.UDP_ANSWER)
        codes = flows.sent("payload_kind")
        for protocol in sorted({int(code) // 2 for code in np.unique(codes)}):
            finding = _udp_reflection(context, host, protocol, flows.where(codes == reply_code(protocol)), settings)
            if finding is not None:
                found.append(finding)
    for host in context.hosts.hosts_with(shapes.UDP, settings.unrecognised_reflector_packets, settings.unrecognised_reflector_sources):
        finding = _unrecognised_reflection(context, host, context.hosts.shaped(host, shapes.UDP), settings)
        if finding is not None:
            found.append(finding)
    return found


def _solicited_share(context: Context, host: int, code: int, unsolicited: int) -> float:
    """Return the share of a protocol's responses to a host that were solicited."""
    dialogues = context.baseline.dialogues_of(host)
    asked = int(dialogues.packets[dialogues.column("responder_payload_kind") == code].sum())
    return asked / max(asked + unsolicited, 1)


def _is_enough(context: Context, host: int, flows: FlowSet, settings: ReflectionThresholds) -> bool:
    """Return whether there are enough packets, enough servers and a sufficient share of the host's traffic."""
    enough = flows.total_packets >= settings.reflector_packets and flows.source_count >= settings.reflector_sources
    return enough and flows.total_packets >= settings.reflector_share * context.hosts.received_beside_floods(host)


def _is_ordinary(context: Context, host: int, protocol: int, flows: FlowSet, settings: ReflectionThresholds) -> bool:
    """Return whether responses without requests prove nothing: the host queried all neighbours, or requests would not be captured."""
    if protocol in _DISCOVERY and context.baseline.asked_everyone(host, _DISCOVERY[protocol]):
        return True
    return not context.baseline.answers(host) and not _shows_without_questions(protocol, flows, settings)


def _shows_without_questions(protocol: int, flows: FlowSet, settings: ReflectionThresholds) -> bool:
    """Return whether a protocol's responses are evidence even if requests would not be in the capture."""
    if protocol in _NEEDS_QUESTIONS:
        return False
    if protocol == payload.DNS:  # a resolver gets responses for many names, a victim for few
        names = flows.sample.sent("prefix") & np.uint64(0xFFFFFFFF)
        return modal_share(names) >= settings.reflector_one_name_share or distinct(names) <= settings.reflector_few_names
    if protocol == payload.NTP:  # time responses, as large as the requests
        return False
    if protocol == payload.QUIC:
        sources = flows.source_count
        return sources >= settings.reflector_quic_sources and flows.total_packets <= settings.reflector_quic_packets * sources
    return True


def _fewest_sources(protocol: int, settings: ReflectionThresholds, *, answers: bool) -> int:
    """Return how many servers must respond to be evidence: more if hosts query many of them, or if requests would not be captured."""
    if protocol in _NOISY or (not answers and protocol in _ASKED_WIDELY):
        return settings.reflector_widely_asked_sources
    return settings.reflector_sources if answers else settings.reflector_one_sided_sources


def _udp_reflection(context: Context, host: int, protocol: int, flows: FlowSet, settings: ReflectionThresholds) -> Finding | None:
    packets, sources, name = flows.total_packets, flows.source_count, PROTOCOL_NAMES[protocol]
    if not _is_enough(context, host, flows, settings) or _is_ordinary(context, host, protocol, flows, settings):
        return None
    evidence, what = Evidence(), f"{name} responses"
    answers = context.baseline.answers(host)
    least = _fewest_sources(protocol, settings, answers=answers)
    noisy = FAIR if sources < settings.reflector_noisy_times * least or not answers else CLEAR
    weight = noisy if protocol in _NOISY else CLEAR if not answers and protocol in _ASKED_WIDELY else STRONG
    evidence.add(PAYLOAD_MAGIC, weight, packets, settings.reflector_packets, name=name)
    if answers:
        solicited = _solicited_share(context, host, reply_code(protocol), packets)
        if solicited > settings.solicited_share:
            return None
        if sources >= least:
            evidence.add(UNSOLICITED, STRONG, 1 - solicited, 1 - settings.solicited_share, name=name, sources=sources)
    elif sources >= least:
        weight = CLEAR if sources >= settings.reflector_clear_times * least else SOLID
        evidence.add(MANY_REFLECTORS, weight, sources, least, what=what)
    mean_bytes = flows.nbytes / packets
    if mean_bytes >= settings.reflector_answer_bytes:
        evidence.add(LARGE_ANSWERS, SLIGHT, mean_bytes, settings.reflector_answer_bytes)
    same = flows.modal_size_share()
    if same >= settings.modal_share and packets >= settings.flood_packets:
        evidence.add(SAME_SIZE, SLIGHT, same, settings.modal_share, what=what)
    weigh_magnitude(evidence, flows.busiest_rate_pps, settings.flood_rate_pps, what, settings.clear_rate_times)
    cap_for_view(evidence, answers=answers, packets=packets, span_s=flows.span_s)
    ports = top_ports(flows.sent("port"))
    flows = flows.joined(context.hosts.fragments_of(host, flows))
    return Finding(
        REFLECTION_VECTORS[protocol],
        [context.hosts.host(host)],
        flows,
        evidence,
        ports,
        0.05,
        ("icmp-unreachable-flood", "ip-fragment-flood"),
    )


def _unrecognised_reflection(context: Context, host: int, flows: FlowSet, settings: ReflectionThresholds) -> Finding | None:
    """Judge one-way UDP from one port of many servers, with a payload of no known protocol."""
    ports = flows.sent("port")
    port = top_ports(ports, 1)[0]
    flows = flows.where(ports == port)
    packets = flows.total_packets
    if packets < settings.unrecognised_reflector_packets or len(flows) < settings.unrecognised_reflector_sources:
        return None
    sources = flows.source_count
    if sources < settings.unrecognised_reflector_sources:
        return None
    if (
        len(flows) < settings.reflector_port_share * len(ports)
        or (port >= _CLIENT_PORTS and port not in REFLECTOR_PORTS)
        or flows.effective_ttls() / sources <= settings.ttl_concentration
    ):
        return None  # forged sources that share a port are a direct flood
    codes = flows.sample.sent("payload_kind")
    repeated = float((codes == payload.UNIFORM).mean()) >= settings.modal_share and not context.view.payload_missing
    same, one_tool = modal_share(flows.sample.sent("prefix")), settings.reflector_one_tool_share
    alike = same >= one_tool and flows.modal_size_share() >= one_tool and not context.view.payload_missing
    if repeated or alike or context.baseline.asked_everyone(host, (port,)):
        return None  # no service sends that; or one tool sends it everywhere; or neighbours were queried
    evidence, what = Evidence(), f"datagrams from port {port}"
    answers = context.baseline.answers(host)
    evidence.add(MANY_REFLECTORS, CLEAR if answers else SOLID, sources, settings.unrecognised_reflector_sources, what=what)
    unread = bool(context.view.payload_missing)
    share = len(flows) / len(ports)
    known = CLEAR if unread and port in REFLECTOR_PORTS else FAIR  # without payload only the port identifies a reflector
    evidence.add(SAME_SOURCE_PORT, known, share, settings.reflector_port_share, port=port)
    if same >= settings.reflector_same_payload_share and not unread:
        evidence.add(SAME_PAYLOAD_START, FAIR, same, settings.reflector_same_payload_share)
    weigh_magnitude(evidence, flows.busiest_rate_pps, settings.flood_rate_pps, what, settings.clear_rate_times)
    cap_for_view(evidence, answers=answers, packets=packets, span_s=flows.span_s)
    return Finding(
        "udp-reflection", [context.hosts.host(host)], flows, evidence, [port], 0.05, ("icmp-unreachable-flood", "ip-fragment-flood")
    )


def synack_reflections(case: Case[ReflectionThresholds, Any]) -> list[Finding]:
    """Find SYN-ACKs from many servers, or repeatedly from one, that follow no SYN from the victim."""
    found = []
    context, settings = case.context, case.volumetric
    for host in context.hosts.hosts_with(shapes.SYN_ACK, settings.unrecognised_reflector_packets):
        flows = context.hosts.shaped(host, shapes.SYN_ACK)
        for part in (flows, flows.where(flows.packets >= settings.synack_repeat_packets)):
            finding = _synack_reflection(context, host, part, settings) if len(part) else None
            if finding is not None and finding.is_reported:
                found.append(finding)
                break
    return found


def _synack_reflection(context: Context, host: int, flows: FlowSet, settings: ReflectionThresholds) -> Finding | None:
    packets, sources = flows.total_packets, flows.source_count
    others = sum(context.hosts.shaped(host, shape).total_packets for shape in (shapes.RST, shapes.FIN, shapes.ACK, shapes.DATA))
    if packets < settings.flood_packets or packets < settings.synack_share * (packets + others):
        return None  # a flood of mixed segments has SYN-ACKs too
    evidence = Evidence()
    answers = context.baseline.answers(host)
    if sources >= settings.unrecognised_reflector_sources:
        evidence.add(UNSOLICITED_SYNACK, STRONG if answers else SOLID, sources, settings.unrecognised_reflector_sources)
        ttls = flows.effective_ttls()
        if ttls >= settings.reflector_diverse_ttls:
            evidence.add(TTL_DIVERSITY, SLIGHT, ttls, settings.reflector_diverse_ttls)
    repeats = int(flows.packets.max())
    if repeats >= settings.synack_repeat_packets:
        evidence.add(SYNACK_REPEATED, STRONG, repeats, settings.synack_repeat_packets)
    from_service = float((flows.sent("port") < WELL_KNOWN_END).mean())
    if from_service >= settings.synack_service_port_share:
        evidence.add(SERVICE_PORTS, FAIR, from_service, settings.synack_service_port_share)
    connections = len(context.baseline.connections_of(context.hosts.host(host)))
    followed = connections / (connections + len(flows))
    if followed <= settings.solicited_share:
        evidence.add(NO_CONNECTION_FOLLOWS, FAIR, followed, settings.solicited_share, connections=connections, flows=len(flows))
    weigh_magnitude(evidence, flows.busiest_rate_pps, settings.flood_rate_pps, "SYN-ACKs", settings.clear_rate_times)
    cap_for_view(evidence, answers=answers, packets=packets, span_s=flows.span_s)
    ports = top_ports(flows.sent("port"))
    spread = distinct(flows.received("port"))
    evidence.notes.append(f"SYN-ACKs go to {spread:,} ports of the victim")
    return Finding(
        "tcp-synack-reflection",
        [context.hosts.host(host)],
        flows,
        evidence,
        ports,
        0.05,
        ("tcp-rst-flood", "icmp-unreachable-flood"),
    )


def middlebox_reflections(case: Case[ReflectionThresholds, Any]) -> list[Finding]:
    """Find responses of middleboxes: HTTP outside any connection, from many hosts to one (Bock et al., USENIX Security 2021)."""
    found: list[Finding] = []
    context, settings = case.context, case.volumetric
    if context.view.sampled:
        return []  # sampled dialogues look like this
    joined_ns = round(settings.middlebox_joined_s * SECOND_NS)
    for host in context.hosts.hosts_with(shapes.DATA, settings.unrecognised_reflector_packets):
        answers = _http_answers(context.hosts.shaped(host, shapes.DATA))
        if context.baseline.answers(host):  # even more than a few segments are no stream if the host sends them no payload
            answers = answers.joined(_http_answers(context.hosts.shaped(host, shapes.NO_SHAPE)))
        later = answers.where(
            answers.column("first_seen_ns") > context.baseline.begin_ns + joined_ns
        )  # not the rest of connections from before
        sources = later.source_count if len(later) else 0
        enough = answers.total_packets >= settings.flood_packets and answers.busiest_rate_pps >= settings.sustained_rate_pps
        if sources < settings.unrecognised_reflector_sources or not enough:
            continue
        evidence, packets = Evidence(), answers.total_packets
        evidence.add(UNSOLICITED_HTTP, STRONG, sources, settings.unrecognised_reflector_sources, packets=later.total_packets)
        many = settings.middlebox_sources_times * settings.unrecognised_reflector_sources
        if sources >= many:
            evidence.add(MANY_MIDDLEBOXES, FAIR, sources, many)
        same = modal_share(answers.sample.sent("payload_octets"))
        if same >= settings.middlebox_same_size_share:
            evidence.add(SAME_ANSWER_SIZE, SLIGHT, same, settings.middlebox_same_size_share)
        ports = distinct(answers.sent("port"))
        if ports <= settings.middlebox_source_ports:
            evidence.add(FEW_SOURCE_PORTS, FAIR, ports, settings.middlebox_source_ports)
        ttls = answers.effective_ttls()
        if ttls >= settings.reflector_diverse_ttls:
            evidence.add(TTL_DIVERSITY, SLIGHT, ttls, settings.reflector_diverse_ttls)
        weigh_magnitude(evidence, answers.busiest_rate_pps, settings.flood_rate_pps, "HTTP responses", settings.clear_rate_times)
        cap_for_view(evidence, answers=context.baseline.answers(host), packets=packets, span_s=answers.span_s)
        products = ("tcp-rst-flood", "tcp-ack-flood", "tcp-out-of-state-flood", "icmp-unreachable-flood")
        whole = answers.joined(*(part for part in _beside(context, host, answers) if len(part)))
        found.append(
            Finding(
                "tcp-middlebox-reflection", [context.hosts.host(host)], whole, evidence, top_ports(answers.sent("port")), 0.05, products
            )
        )
    return found


def _http_answers(flows: FlowSet) -> FlowSet:
    """Return the flows without a connection whose sender begins with an HTTP response and whose receiver sends no payload."""
    said = (flows.sent("payload_kind") == 2 * payload.HTTP + payload.REPLY) & (flows.received("payload_octets") == 0)
    return flows.where(said & (flows.column("stage") & kinds.STAGE_ESTABLISHED == 0)) if len(flows) else flows


def _beside(context: Context, host: int, answers: FlowSet) -> list[FlowSet]:
    """Return what accompanies middlebox responses: their other data, and RSTs, ACKs, FINs and SYN-ACKs from the same ports meanwhile."""
    data = context.hosts.also_from(host, shapes.DATA, answers)
    parts = [data.where(~np.isin(data.index, answers.index)) if len(data) else data]
    for shape in (shapes.RST, shapes.ACK, shapes.FIN, shapes.SYN_ACK):
        others = context.hosts.shaped(host, shape)
        if len(others):
            begins = others.column("first_seen_ns")
            meanwhile = (begins >= answers.first_ns) & (begins <= answers.last_ns)
            others = others.where(meanwhile & np.isin(others.sent("port"), answers.sent("port")))
        parts.append(others)
    return parts


_OF_UDP = (
    PAYLOAD_MAGIC, UNSOLICITED, MANY_REFLECTORS, LARGE_ANSWERS, SAME_SIZE, SAME_SOURCE_PORT, SAME_PAYLOAD_START, RATE,
)  # fmt: skip
_OF_SYNACKS = (UNSOLICITED_SYNACK, TTL_DIVERSITY, SYNACK_REPEATED, SERVICE_PORTS, NO_CONNECTION_FOLLOWS, RATE)
_OF_MIDDLEBOXES = (UNSOLICITED_HTTP, MANY_MIDDLEBOXES, SAME_ANSWER_SIZE, FEW_SOURCE_PORTS, TTL_DIVERSITY, RATE)
FAMILY = Family(
    "reflection",
    "volumetric",
    ReflectionThresholds,
    (
        Judge(
            "udp-reflections",
            udp_reflections,
            ("udp-reflection", *dict.fromkeys(REFLECTION_VECTORS.values())),
            _OF_UDP,
            after=("tcp-flag-mixes",),
            over_prefixes=True,
        ),
        Judge(
            "synack-reflections",
            synack_reflections,
            ("tcp-synack-reflection",),
            _OF_SYNACKS,
            after=("udp-reflections",),
            over_prefixes=True,
        ),
        Judge(
            "middlebox-reflections", middlebox_reflections, ("tcp-middlebox-reflection",), _OF_MIDDLEBOXES, after=("synack-reflections",)
        ),
    ),
)
