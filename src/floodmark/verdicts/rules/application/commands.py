"""Floods of messages inside long-lived dialogues: publications to an MQTT broker, industrial commands, SIP requests."""

from typing import Any

import numpy as np

from floodmark.base.thresholds import Checked, declares, threshold
from floodmark.flows.flowset import FlowSet, number, split, top_ports
from floodmark.verdicts.clients import begins_with, duration_s, most_at_once, number_services, service_host, services
from floodmark.verdicts.context import Context
from floodmark.verdicts.declaring import Case, Family, Judge
from floodmark.verdicts.weighing import CLEAR, FAIR, SLIGHT, Evidence, Finding, Rule
from floodmark.vocabulary.payloads import PROTOCOL_NAMES
from floodmark_core.columns import I64
from floodmark_core.flows import payload, shapes
from floodmark_core.protocols import SECOND_NS

_INDUSTRIAL = (payload.MODBUS, payload.S7, payload.IEC104, payload.DNP3, payload.ENIP, payload.OPCUA)
_MQTT_PORT = 1883
_MODBUS_WRITES = (5, 6, 15, 16, 22, 23)  # function codes


@declares
class CommandThresholds(Checked):
    """Thresholds for floods of messages and of SIP requests."""

    command_rate_mps: float = threshold(100.0, "packets with messages of one client to a broker or a controller, mean over its connections")
    flood_commands: int = threshold(100, "fewest packets with messages that can be called a flood")
    command_client_messages: int = threshold(20, "fewest packets with messages of a client that is judged")
    command_shortest_s: float = threshold(0.25, "over which a rate of messages is measured, at least")
    command_industrial_times: float = threshold(
        2.5, "command_rate_mps: from here on it is clear evidence; a master polls tens of times a second and waits for each answer"
    )
    command_mqtt_times: float = threshold(5.0, "command_rate_mps: from here on it is clear evidence, over MQTT")
    command_open_connections: int = threshold(3, "of one client to one broker or controller, open at the same time; each device has one")
    command_clear_connections: int = threshold(5, "of those: from so many on they are clear evidence")
    command_share: float = threshold(0.8, "of the packets with messages to a service, that a client, or those judged together, send")
    command_large_bytes: float = threshold(256.0, "mean payload of the packets with MQTT messages")
    command_answered_share: float = threshold(0.5, "packets with payload of a controller for each packet with commands, at most")
    command_write_share: float = threshold(0.9, "of the connections that begin with a Modbus command to write")
    sip_requests: int = threshold(50, "fewest SIP requests that can be called a flood")
    sip_rate_rps: float = threshold(10.0, "SIP requests to one host, or of one source; mean over the flood")
    sip_clear_times: float = threshold(10.0, "sip_rate_rps: from here on it is clear evidence")
    sip_heard_share: float = threshold(0.1, "SIP responses for each request: from here on their refusals count")
    sip_refused_share: float = threshold(0.5, "of the SIP responses that are errors (4xx to 6xx)")
    sip_answered_share: float = threshold(0.5, "SIP responses for each request: below it the requests are unanswered")
    sip_sources: int = threshold(20, "that send one host SIP requests")
    sip_method_share: float = threshold(0.9, "of the flows that begin with INVITE or REGISTER: the flood has the name of that method")


MESSAGE_RATE = Rule(
    "R_MESSAGE_RATE", "magnitude", "packets with messages a second of the client or clients",
    "{sends} {measured:,.0f} packets with {protocol} messages a second",
    "Devices report and masters poll at a steady, low rate; a flood sends far more.", "command_rate_mps",
)  # fmt: skip
CLIENT_OPEN_AT_ONCE = Rule(
    "R_CLIENT_OPEN_AT_ONCE", "concurrency", "connections of the client or clients that were open at the same time",
    "{measured:,} connections of {who} were open at the same time; a device has one",
    "A device holds one connection to its broker or controller.", "command_open_connections",
)  # fmt: skip
MESSAGES_SHARE = Rule(
    "R_MESSAGES_SHARE", "share", "share of the messages to the service that the client or clients send",
    "{sends} {measured:.0%} of the messages that the service receives",
    "A service with several clients normally hears from all of them.", "command_share",
)  # fmt: skip
LARGE_MESSAGES = Rule(
    "R_LARGE_MESSAGES", "size", "payload bytes of each packet with messages, on average",
    "the messages are {measured:,.0f} bytes on average",
    "Readings of devices are small; large messages fill the broker's memory and line.", "command_large_bytes",
)  # fmt: skip
COMMANDS_UNANSWERED = Rule(
    "R_COMMANDS_UNANSWERED", "distress", "packets with responses for each packet with commands",
    "the controller sends only {measured:.0%} as many responses as it gets commands",
    "A controller answers each command; it cannot keep up with a flood.", "command_answered_share",
)  # fmt: skip
WRITES = Rule(
    "R_WRITES", "content", "share of connections that begin with a Modbus write command",
    "{measured:.0%} of the connections begin with a Modbus write command",
    "Supervision mostly reads; writing again and again changes the process.", "command_write_share",
)  # fmt: skip
SIP_REQUEST_RATE = Rule(
    "R_SIP_REQUEST_RATE", "magnitude", "SIP requests a second to one host, mean over the flood",
    "{measured:,.0f} SIP requests a second reach one host",
    "An exchange normally gets few calls and registrations a second.", "sip_rate_rps",
)  # fmt: skip
SIP_REFUSED = Rule(
    "R_SIP_REFUSED", "refusal", "share of SIP responses that are errors (4xx to 6xx)",
    "{measured:.0%} of the SIP responses are errors (4xx to 6xx)",
    "Calls and registrations of real users mostly succeed; guessed or forged ones are refused.", "sip_refused_share",
)  # fmt: skip
SIP_UNANSWERED = Rule(
    "R_SIP_UNANSWERED", "refusal", "SIP responses for each request",
    "the capture holds only {measured:.0%} as many SIP responses as requests",
    "A service that is overloaded, or that is sent senseless requests, answers few of them.", "sip_answered_share",
)  # fmt: skip
SIP_ACCEPTED = Rule(
    "R_SIP_ACCEPTED", "refusal", "share of SIP responses that are not errors",
    "{measured:.0%} of the SIP responses are no errors",
    "Calls that are accepted are real ones, so this speaks against a flood. Compared with what sip_refused_share leaves.",
)  # fmt: skip
SIP_REQUESTS_PER_SOURCE = Rule(
    "R_SIP_REQUESTS_PER_SOURCE", "source", "SIP requests of the busiest source for each second of the longest flow",
    "one source sends {measured:,.0f} SIP requests for each second of the longest flow",
    "A telephone sends few requests; only a program sends so many.", "sip_rate_rps",
)  # fmt: skip
SIP_MANY_SOURCES = Rule(
    "R_SIP_MANY_SOURCES", "source", "sources of the SIP requests",
    "{measured:,} sources send SIP requests to one host",
    "An exchange is called by few hosts at a time; many at the same time are a botnet, or forged.", "sip_sources",
)  # fmt: skip


def command_floods(case: Case[Any, CommandThresholds]) -> list[Finding]:
    """Find clients that send a broker or a controller more messages than any device does."""
    context, settings = case.context, case.application
    spoken, found = context.shapes.spoken, []
    chosen = np.isin(spoken.kind // 2, (payload.MQTT, *_INDUSTRIAL)) | (spoken.port == _MQTT_PORT)
    for flows in services(context, 1, _with_fast_clients(context, context.shapes.established[chosen], settings)):
        total = int(flows.column("initiator_payload_packets").sum())
        groups, clients = flows.sources
        starts, order = split(groups, len(clients))
        said = np.bincount(groups, weights=flows.column("initiator_payload_packets"), minlength=len(clients))
        talkers = np.nonzero(said >= settings.command_client_messages)[0]
        each = [flows.take(order[starts[client] : starts[client + 1]]) for client in talkers]
        findings = [finding for part in each if (finding := _messages_of(part, total, settings)) is not None]
        fast = [part for part in each if _is_fast(part, settings)]
        if not findings and len(fast) > 1:
            together = _messages_of(fast[0].joined(*fast[1:]), total, settings)
            findings = [together] if together is not None else []
        found.extend(findings)
    return found


def _with_fast_clients(context: Context, rows: I64, settings: CommandThresholds) -> I64:
    """Return the connections to services to which some client sends messages fast enough to be judged."""
    hosts, _ = number_services(context, rows)
    seen = context.flows.columns(rows, ("initiator_hi", "initiator_lo", "initiator_payload_packets", "first_seen_ns", "last_seen_ns"))
    pairs, leaders = number(seen["initiator_hi"], seen["initiator_lo"], hosts.astype(np.uint64))
    messages = np.bincount(pairs, weights=seen["initiator_payload_packets"], minlength=len(leaders))
    first_ns, last_ns = seen["first_seen_ns"][leaders], seen["last_seen_ns"][leaders]
    np.minimum.at(first_ns, pairs, seen["first_seen_ns"])
    np.maximum.at(last_ns, pairs, seen["last_seen_ns"])
    rates = messages / np.maximum((last_ns - first_ns) / SECOND_NS, settings.command_shortest_s)
    fast = (messages >= settings.command_client_messages) & (rates >= settings.command_rate_mps)
    return rows[np.isin(hosts, hosts[leaders[fast]])]


def _is_fast(flows: FlowSet, settings: CommandThresholds) -> bool:
    """Return whether a client is fast enough to be part of a joint flood."""
    messages = int(flows.column("initiator_payload_packets").sum())
    rate = messages / max(flows.span_s, settings.command_shortest_s)
    return messages >= settings.command_client_messages and rate >= settings.command_rate_mps


def _messages_of(flows: FlowSet, total: int, settings: CommandThresholds) -> Finding | None:
    """Judge the messages of one client, or of several similar ones, to one service. total: messages from all clients to it."""
    sent, answered = flows.column("initiator_payload_packets"), flows.column("responder_payload_packets")
    messages = int(sent.sum())
    rate = messages / max(flows.span_s, settings.command_shortest_s)
    floor = settings.command_rate_mps
    if messages < settings.flood_commands or rate < floor:
        return None
    protocols = flows.column("initiator_payload_kind") // 2
    industrial = [int(protocol) for protocol in np.unique(protocols) if protocol in _INDUSTRIAL]
    name = PROTOCOL_NAMES[industrial[0]] if industrial else "MQTT"
    evidence = Evidence()
    who = "one client" if flows.source_count == 1 else f"{flows.source_count:,} clients"
    sends = f"{who} sends" if flows.source_count == 1 else f"{who} send"
    clear_at = settings.command_industrial_times if industrial else settings.command_mqtt_times
    evidence.add(MESSAGE_RATE, CLEAR if rate >= clear_at * floor else FAIR, rate, floor, sends=sends, protocol=name)
    at_once = most_at_once(flows)
    if at_once >= settings.command_open_connections:
        weight = CLEAR if at_once >= settings.command_clear_connections else FAIR
        evidence.add(CLIENT_OPEN_AT_ONCE, weight, at_once, settings.command_open_connections, who=who)
    share = messages / max(total, 1)
    if share >= settings.command_share:
        evidence.add(MESSAGES_SHARE, FAIR, share, settings.command_share, sends=sends)
    size = float(flows.column("initiator_payload_octets").sum()) / messages
    if not industrial and size >= settings.command_large_bytes:
        evidence.add(LARGE_MESSAGES, SLIGHT, size, settings.command_large_bytes)
    back = float(answered.sum()) / messages
    if industrial and back <= settings.command_answered_share and float(flows.column("responder_packets").sum()) > 0:
        evidence.add(COMMANDS_UNANSWERED, CLEAR, back, settings.command_answered_share)
    if industrial == [payload.MODBUS]:
        writes = float(np.isin(flows.column("initiator_prefix") & np.uint64(0xFF), _MODBUS_WRITES).mean())
        if writes >= settings.command_write_share:
            evidence.add(WRITES, FAIR, writes, settings.command_write_share)
    port = int(flows.column("responder_port")[0])
    return Finding("industrial-command-flood" if industrial else "mqtt-flood", [service_host(flows)], flows, evidence, [port])


def sip_floods(case: Case[Any, CommandThresholds]) -> list[Finding]:
    """Find floods of SIP requests over UDP: calls and registrations that lead to nothing."""
    context, settings = case.context, case.application
    found = []
    hosts = context.hosts.udp_receivers(settings.sip_requests)
    flows, place = context.hosts.shaped_together(hosts, shapes.UDP, shapes.UDP_DIALOGUE)
    said = flows.sent("payload_kind") == 2 * payload.SIP
    requests = np.bincount(place[said], weights=flows.where(said).column("requests"), minlength=len(hosts))
    for host in np.array(hosts, np.int64)[requests >= settings.sip_requests].tolist():
        flows = context.hosts.shaped(host, shapes.UDP).joined(context.hosts.shaped(host, shapes.UDP_DIALOGUE))
        finding = _sip_flood(context, host, flows.where(flows.sent("payload_kind") == 2 * payload.SIP), settings)
        if finding is not None:
            found.append(finding)
    return found


def _sip_flood(context: Context, host: int, flows: FlowSet, settings: CommandThresholds) -> Finding | None:
    requests = flows.column("requests").astype(np.int64)
    groups, clients = flows.sources
    per_client = np.bincount(groups, weights=requests, minlength=len(clients))
    rate, floor = float(requests.sum()) / max(flows.span_s, 1.0), settings.sip_rate_rps
    if rate < floor:
        return None
    evidence = Evidence()
    evidence.add(SIP_REQUEST_RATE, CLEAR if rate >= settings.sip_clear_times * floor else FAIR, rate, floor)
    responses, errors = float(flows.column("responses").sum()), float(flows.column("error_responses").sum())
    if context.baseline.answers(host):
        refused, most = errors / max(responses, 1.0), settings.sip_refused_share
        if responses >= settings.sip_heard_share * float(requests.sum()) and refused >= most:
            evidence.add(SIP_REFUSED, CLEAR, refused, most)
        elif responses < settings.sip_answered_share * float(requests.sum()):
            evidence.add(SIP_UNANSWERED, CLEAR, responses / float(requests.sum()), settings.sip_answered_share)
        else:
            evidence.add(SIP_ACCEPTED, -CLEAR, 1 - refused, 1 - most)
    fastest = float(per_client.max()) / max(float(duration_s(flows).max()), 1.0)
    if fastest >= floor:
        evidence.add(SIP_REQUESTS_PER_SOURCE, FAIR, fastest, floor)
    elif len(clients) >= settings.sip_sources:
        evidence.add(SIP_MANY_SOURCES, FAIR, len(clients), settings.sip_sources)
    words = flows.column("initiator_prefix")
    methods, least = ((b"INVI", "invite"), (b"REGI", "register")), settings.sip_method_share
    kind = next((kind for word, kind in methods if begins_with(words, word).mean() >= least), None)
    vector = f"sip-{kind}-flood" if kind else "sip-flood"
    return Finding(vector, [context.hosts.host(host)], flows, evidence, top_ports(flows.received("port")))


FAMILY = Family(
    "commands",
    "application",
    CommandThresholds,
    (
        Judge(
            "command-floods",
            command_floods,
            ("mqtt-flood", "industrial-command-flood"),
            (MESSAGE_RATE, CLIENT_OPEN_AT_ONCE, MESSAGES_SHARE, LARGE_MESSAGES, COMMANDS_UNANSWERED, WRITES),
            after=("credential-stuffing",),
        ),
        Judge(
            "sip-floods",
            sip_floods,
            ("sip-flood", "sip-invite-flood", "sip-register-flood"),
            (SIP_REQUEST_RATE, SIP_REFUSED, SIP_UNANSWERED, SIP_ACCEPTED, SIP_REQUESTS_PER_SOURCE, SIP_MANY_SOURCES),
            after=("command-floods",),
        ),
    ),
)
