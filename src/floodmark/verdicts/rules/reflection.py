"""Reflection: answers that nobody asked for, from many servers to one victim, over UDP or as TCP SYN-ACKs."""

import numpy as np

from floodmark.flows.flowset import FlowSet, distinct, modal_share, top_ports
from floodmark.settings import VolumetricSettings
from floodmark.verdicts.context import Context
from floodmark.verdicts.weighing import (
    CLEAR,
    FAIR,
    SLIGHT,
    STRONG,
    Evidence,
    Finding,
    cap_for_view,
    weigh_magnitude,
)
from floodmark.vocabulary.payloads import PROTOCOL_NAMES, REFLECTION_VECTORS, reply_code
from floodmark.vocabulary.services import REFLECTOR_PORTS
from floodmark_core import kinds
from floodmark_core.flows import payload, shapes

_CLIENT_PORTS = 32_768  # from here on systems number the ports of clients
_DIVERSE_TTLS = 3  # effective TTL values of real hosts
_LARGE_ANSWER_OCTETS = 512  # RFC 1035's limit of a UDP answer; beyond it an answer amplifies
_WELL_SPREAD_SOURCES = 20
_ONE_SIDED_SOURCES = 5
# Protocols whose replies ordinary clients receive from many servers at once.
_NOISY = (
    payload.STUN, payload.DTLS, payload.OPENVPN, payload.GAME, payload.MDNS, payload.NETBIOS, payload.NTP, payload.COAP, payload.QUIC,
    payload.BITTORRENT, payload.TFTP, payload.NATPMP,
)  # fmt: skip
# Protocols by which a host asks all its neighbours at once, and on which ports: each of them answers it alone.
_DISCOVERY = {
    payload.SSDP: (1900,), payload.MDNS: (5353, 5355), payload.NETBIOS: (137,), payload.WSD: (3702,), payload.COAP: (5683,),
    payload.BACNET: (47808,), payload.SLP: (427,), payload.UBIQUITI: (10001,), payload.DHIP: (37810,), payload.MSSQL: (1434,),
    payload.RIP: (520,), payload.GAME: (27015, 27016), payload.PLEX: (32412, 32414), payload.JENKINS: (33848,), payload.XDMCP: (177,),
    payload.PORTMAP: (111,),
}  # fmt: skip
# Protocols that some hosts ask many servers for: a resolver, a VPN gateway.
_ASKED_WIDELY = (*_NOISY, payload.DNS, payload.IKE)
# Linux sends a SYN-ACK at most 1 + 5 times (tcp_synack_retries), Windows 1 + 2: more means someone keeps asking in the victim's name.
_MOST_SYNACKS = 20
_MOSTLY_SYNACKS = 0.5  # of the segments without a connection that the victim receives
_JOINED_NS = 1_000_000_000  # a connection that was open when the capture began shows itself by then, as a rule
# Protocols of which ordinary clients hear from hundreds of hosts, so that only unasked answers say something.
_NEEDS_QUESTIONS = (payload.BITTORRENT,)
_MOST_QUIC_PACKETS = 10.0  # of one server, on average: a download has more
_MANY_QUIC_SERVERS = 100
_ONE_TOOL_SHARE = 0.99  # of the datagrams begin alike and are of one length: servers' answers differ in one or the other
_ONE_NAME_SHARE, _FEW_NAMES = 0.3, 5  # of the names in DNS answers


def udp_reflections(context: Context, settings: VolumetricSettings) -> list[Finding]:
    """Find UDP reflection, protocol by protocol as the payloads say."""
    found = []
    for host in context.hosts_with(shapes.UDP_ANSWER, settings.reflector_packets):
        flows = context.shaped(host, shapes.UDP_ANSWER)
        codes = flows.sent("payload_kind")
        for protocol in sorted({int(code) // 2 for code in np.unique(codes)}):
            finding = _udp_reflection(context, host, protocol, flows.where(codes == reply_code(protocol)), settings)
            if finding is not None:
                found.append(finding)
    for host in context.hosts_with(shapes.UDP, settings.unrecognised_reflector_packets):
        finding = _unrecognised_reflection(context, host, context.shaped(host, shapes.UDP), settings)
        if finding is not None:
            found.append(finding)
    return found


def _solicited_share(context: Context, host: int, code: int, unsolicited: int) -> float:
    """Return the share of a protocol's answers to a host that it asked for."""
    dialogues = context.dialogues_of(host)
    asked = int(dialogues.packets[dialogues.column("responder_payload_kind") == code].sum())
    return asked / max(asked + unsolicited, 1)


def _is_enough(context: Context, host: int, flows: FlowSet, settings: VolumetricSettings) -> bool:
    """Tell whether there are answers enough, from servers enough, and a part of what the host receives that is worth a name."""
    enough = flows.total_packets >= settings.reflector_packets and flows.source_count >= settings.reflector_sources
    return enough and flows.total_packets >= settings.reflector_share * context.received_beside_floods(host)


def _is_ordinary(context: Context, host: int, protocol: int, flows: FlowSet) -> bool:
    """Tell whether answers without questions say nothing: neighbours were asked all at once, or questions would not show."""
    if protocol in _DISCOVERY and context.asked_everyone(host, _DISCOVERY[protocol]):
        return True
    return not context.answers(host) and not _shows_without_questions(protocol, flows)


def _shows_without_questions(protocol: int, flows: FlowSet) -> bool:
    """Tell whether answers of a protocol say anything where the questions would not be in the capture."""
    if protocol in _NEEDS_QUESTIONS:
        return False
    if protocol == payload.DNS:  # a resolver hears of many names, the victim of few
        names = flows.sample.sent("prefix") & np.uint64(0xFFFFFFFF)
        return modal_share(names) >= _ONE_NAME_SHARE or distinct(names) <= _FEW_NAMES
    if protocol == payload.NTP:  # the time, in as many octets as were asked with
        return False
    if protocol == payload.QUIC:
        return flows.source_count >= _MANY_QUIC_SERVERS and flows.total_packets <= _MOST_QUIC_PACKETS * flows.source_count
    return True


def _fewest_sources(protocol: int, settings: VolumetricSettings, *, answers: bool) -> int:
    """Return how many servers must answer before that says something: more where hosts ask many of them and questions cannot be seen."""
    if protocol in _NOISY or (not answers and protocol in _ASKED_WIDELY):
        return _WELL_SPREAD_SOURCES
    return settings.reflector_sources if answers else _ONE_SIDED_SOURCES


def _udp_reflection(context: Context, host: int, protocol: int, flows: FlowSet, settings: VolumetricSettings) -> Finding | None:
    packets, sources, name = flows.total_packets, flows.source_count, PROTOCOL_NAMES[protocol]
    if not _is_enough(context, host, flows, settings) or _is_ordinary(context, host, protocol, flows):
        return None
    evidence = Evidence()
    answers = context.answers(host)
    least = _fewest_sources(protocol, settings, answers=answers)
    noisy = FAIR if sources < 1.5 * least or not answers else CLEAR
    weight = noisy if protocol in _NOISY else CLEAR if not answers and protocol in _ASKED_WIDELY else STRONG
    evidence.add("payload", weight, "R_PAYLOAD_MAGIC", packets, settings.reflector_packets, f"{packets:,} packets carry {name} answers")
    if answers:
        solicited = _solicited_share(context, host, reply_code(protocol), packets)
        if solicited > settings.solicited_share:
            return None
        if sources >= least:
            evidence.add(
                "unsolicited", STRONG, "R_UNSOLICITED", 1 - solicited, 1 - settings.solicited_share,
                f"{1 - solicited:.0%} of the {name} answers, from {sources:,} servers, follow no question from the victim",
            )  # fmt: skip
    elif sources >= least:
        evidence.add(
            "unsolicited", CLEAR if sources >= 5 * least else 2.0, "R_MANY_REFLECTORS", sources, least,
            f"{sources:,} servers answer one host, and no packet to any of them is in the capture",
        )  # fmt: skip
    octets = flows.octets / packets
    if octets >= _LARGE_ANSWER_OCTETS:
        evidence.add("size", SLIGHT, "R_LARGE_ANSWERS", octets, _LARGE_ANSWER_OCTETS, f"the answers are {octets:,.0f} octets on average")
    same = flows.modal_octets_share()
    if same >= settings.modal_share and packets >= settings.flood_packets:
        evidence.add("uniformity", SLIGHT, "R_SAME_SIZE", same, settings.modal_share, f"{same:.0%} of the answers have one size")
    weigh_magnitude(evidence, flows.busiest_rate_pps, settings.flood_rate_pps, f"{name} answers")
    cap_for_view(evidence, answers=answers, packets=packets, span_s=flows.span_s)
    ports = top_ports(flows.sent("port"))
    flows = flows.joined(context.fragments_of(host, flows))
    return Finding(
        REFLECTION_VECTORS[protocol], [context.host(host)], flows, evidence, ports, 0.05, ("icmp-unreachable-flood", "ip-fragment-flood")
    )


def _unrecognised_reflection(context: Context, host: int, flows: FlowSet, settings: VolumetricSettings) -> Finding | None:
    """Judge one-way UDP that comes from one port of many servers with a payload of no known protocol."""
    ports = flows.sent("port")
    port = top_ports(ports, 1)[0]
    flows = flows.where(ports == port)
    packets, sources = flows.total_packets, flows.source_count
    if packets < settings.unrecognised_reflector_packets or sources < settings.unrecognised_reflector_sources:
        return None
    if (
        len(flows) < 0.8 * len(ports)
        or (port >= _CLIENT_PORTS and port not in REFLECTOR_PORTS)
        or flows.effective_ttls() / sources <= settings.ttl_concentration
    ):
        return None  # forged sources that share one port are a direct flood
    codes = flows.sample.sent("payload_kind")
    repeated = float((codes == payload.UNIFORM).mean()) >= settings.modal_share and not context.view.payload_missing
    same = modal_share(flows.sample.sent("prefix"))
    alike = same >= _ONE_TOOL_SHARE and flows.modal_octets_share() >= _ONE_TOOL_SHARE and not context.view.payload_missing
    if repeated or alike or context.asked_everyone(host, (port,)):
        return None  # what no service says, or what one tool says everywhere, or what neighbours were asked for
    evidence = Evidence()
    answers = context.answers(host)
    evidence.add(
        "unsolicited", CLEAR if answers else 2.0, "R_MANY_REFLECTORS", sources, settings.unrecognised_reflector_sources,
        f"{sources:,} hosts send from port {port} and none was asked",
    )  # fmt: skip
    unread = bool(context.view.payload_missing)
    share = len(flows) / len(ports)
    known = CLEAR if unread and port in REFLECTOR_PORTS else FAIR  # the port is all that is left to know a reflector by
    evidence.add("port", known, "R_SAME_SOURCE_PORT", share, 0.8, f"{share:.0%} of the flows come from port {port}")
    if same >= 0.5 and not unread:
        evidence.add("uniformity", FAIR, "R_SAME_PAYLOAD", same, 0.5, f"{same:.0%} of the payloads begin with the same 8 octets")
    weigh_magnitude(evidence, flows.busiest_rate_pps, settings.flood_rate_pps, "packets")
    cap_for_view(evidence, answers=answers, packets=packets, span_s=flows.span_s)
    return Finding("udp-reflection", [context.host(host)], flows, evidence, [port], 0.05, ("icmp-unreachable-flood", "ip-fragment-flood"))


def synack_reflections(context: Context, settings: VolumetricSettings) -> list[Finding]:
    """Find SYN-ACKs from many servers, or from one again and again, that follow no SYN of the victim."""
    found = []
    for host in context.hosts_with(shapes.SYN_ACK, settings.unrecognised_reflector_packets):
        flows = context.shaped(host, shapes.SYN_ACK)
        for part in (flows, flows.where(flows.packets >= _MOST_SYNACKS)):
            finding = _synack_reflection(context, host, part, settings) if len(part) else None
            if finding is not None and finding.is_reported:
                found.append(finding)
                break
    return found


def _synack_reflection(context: Context, host: int, flows: FlowSet, settings: VolumetricSettings) -> Finding | None:
    packets, sources = flows.total_packets, flows.source_count
    others = sum(context.shaped(host, shape).total_packets for shape in (shapes.RST, shapes.FIN, shapes.ACK, shapes.DATA))
    if packets < settings.flood_packets or packets < _MOSTLY_SYNACKS * (packets + others):
        return None  # a flood of all sorts of segments has SYN-ACKs too
    evidence = Evidence()
    answers = context.answers(host)
    if sources >= settings.unrecognised_reflector_sources:
        evidence.add(
            "unsolicited", STRONG if answers else 2.0, "R_UNSOLICITED_SYNACK", sources, settings.unrecognised_reflector_sources,
            f"{sources:,} servers send SYN-ACKs, and no SYN from the victim to them is in the capture",
        )  # fmt: skip
        ttls = flows.effective_ttls()
        if ttls >= _DIVERSE_TTLS:
            evidence.add(
                "diversity",
                SLIGHT,
                "R_TTL_DIVERSITY",
                ttls,
                _DIVERSE_TTLS,
                f"{ttls:.1f} effective TTL values: real servers, not one forger",
            )
    repeats = int(flows.packets.max())
    if repeats >= _MOST_SYNACKS:
        evidence.add(
            "repetition", STRONG, "R_SYNACK_REPEATED", repeats, _MOST_SYNACKS,
            f"one server sends the same SYN-ACK {repeats:,} times; no stack retries so often unless it is asked again and again",
        )  # fmt: skip
    from_service = float((flows.sent("port") < 1024).mean())
    if from_service >= 0.8:
        evidence.add("port", FAIR, "R_SERVICE_PORTS", from_service, 0.8, f"{from_service:.0%} come from well-known service ports")
    connections = len(context.connections_of(context.host(host)))
    followed = connections / (connections + len(flows))
    if followed <= settings.solicited_share:
        evidence.add(
            "completion", FAIR, "R_NO_CONNECTION", followed, settings.solicited_share, f"{followed:.0%} were followed by a connection"
        )
    weigh_magnitude(evidence, flows.busiest_rate_pps, settings.flood_rate_pps, "SYN-ACKs")
    cap_for_view(evidence, answers=answers, packets=packets, span_s=flows.span_s)
    ports = top_ports(flows.sent("port"))
    spread = distinct(flows.received("port"))
    evidence.notes.append(f"SYN-ACKs go to {spread:,} ports of the victim")
    return Finding(
        "tcp-synack-reflection",
        [context.host(host)],
        flows,
        evidence,
        ports,
        0.05,
        ("tcp-rst-flood", "icmp-unreachable-flood"),
    )


def middlebox_reflections(context: Context, settings: VolumetricSettings) -> list[Finding]:
    """Find answers of middleboxes: HTTP that belongs to no connection, from many hosts to one (Bock et al., USENIX Security 2021)."""
    found = []
    if context.view.sampled:
        return []  # what is left of dialogues looks like this
    for host in context.hosts_with(shapes.DATA, settings.unrecognised_reflector_packets):
        answers = _http_answers(context.shaped(host, shapes.DATA))
        if context.answers(host):  # more than a few segments are no stream either where the host says nothing to them
            answers = answers.joined(_http_answers(context.shaped(host, shapes.NO_SHAPE)))
        later = answers.where(answers.column("first_seen_ns") > context.begin_ns + _JOINED_NS)  # not the rest of what began before
        sources = later.source_count if len(later) else 0
        enough = answers.total_packets >= settings.flood_packets and answers.busiest_rate_pps >= settings.sustained_rate_pps
        if sources < settings.unrecognised_reflector_sources or not enough:
            continue
        evidence, packets = Evidence(), answers.total_packets
        text = f"{packets:,} segments from {sources:,} hosts carry HTTP answers, and no connection to any of them is in the capture"
        evidence.add("unsolicited", STRONG, "R_UNSOLICITED_HTTP", sources, settings.unrecognised_reflector_sources, text)
        if sources >= 2 * settings.unrecognised_reflector_sources:
            least = 2 * settings.unrecognised_reflector_sources
            evidence.add("spread", FAIR, "R_MANY_SOURCES", sources, least, f"{sources:,} hosts do so, and none of them was asked")
        prefix = modal_share(answers.sample.sent("payload_octets"))
        if prefix >= 0.3:
            evidence.add("uniformity", SLIGHT, "R_SAME_SIZE", prefix, 0.3, f"{prefix:.0%} of them have one size")
        ports = distinct(answers.sent("port"))
        if ports <= 3:
            evidence.add("port", FAIR, "R_SERVICE_PORTS", ports, 3, "all come from the ports of web servers")
        ttls = answers.effective_ttls()
        if ttls >= _DIVERSE_TTLS:
            text = f"{ttls:.1f} effective TTL values: middleboxes of many networks"
            evidence.add("diversity", SLIGHT, "R_TTL_DIVERSITY", ttls, _DIVERSE_TTLS, text)
        weigh_magnitude(evidence, answers.busiest_rate_pps, settings.flood_rate_pps, "answers")
        cap_for_view(evidence, answers=context.answers(host), packets=packets, span_s=answers.span_s)
        products = ("tcp-rst-flood", "tcp-ack-flood", "tcp-out-of-state-flood", "icmp-unreachable-flood")
        whole = answers.joined(*(part for part in _beside(context, host, answers) if len(part)))
        found.append(
            Finding("tcp-middlebox-reflection", [context.host(host)], whole, evidence, top_ports(answers.sent("port")), 0.05, products)
        )
    return found


def _http_answers(flows: FlowSet) -> FlowSet:
    """Return the flows whose sender begins with an HTTP answer and whose receiver says nothing, or only resets."""
    said = (flows.sent("payload_kind") == 2 * payload.HTTP + payload.REPLY) & (flows.received("payload_octets") == 0)
    return flows.where(said & (flows.column("stage") & kinds.STAGE_ESTABLISHED == 0)) if len(flows) else flows


def _beside(context: Context, host: int, answers: FlowSet) -> list[FlowSet]:
    """Return what comes with middleboxes' answers: other segments of theirs, and resets of those that say nothing else."""
    data = context.also_from(host, shapes.DATA, answers)
    parts = [data.where(~np.isin(data.index, answers.index)) if len(data) else data]
    for shape in (shapes.RST, shapes.ACK, shapes.FIN, shapes.SYN_ACK):
        others = context.shaped(host, shape)
        if len(others):
            begins = others.column("first_seen_ns")
            meanwhile = (begins >= answers.first_ns) & (begins <= answers.last_ns)
            others = others.where(meanwhile & np.isin(others.sent("port"), answers.sent("port")))
        parts.append(others)
    return parts
