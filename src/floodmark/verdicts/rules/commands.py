"""Floods of messages inside dialogues that stay open: publications to an MQTT broker, industrial commands, SIP requests."""

import numpy as np

from floodmark.flows.flowset import FlowSet, split, top_ports
from floodmark.settings import ApplicationSettings
from floodmark.verdicts.clients import begins_with, duration_s, most_at_once, service_host, services
from floodmark.verdicts.context import Context
from floodmark.verdicts.weighing import CLEAR, FAIR, SLIGHT, Evidence, Finding
from floodmark.vocabulary.payloads import PROTOCOL_NAMES
from floodmark_core.flows import payload, shapes

_INDUSTRIAL = (payload.MODBUS, payload.S7, payload.IEC104, payload.DNP3, payload.ENIP, payload.OPCUA)
_MQTT_PORT = 1883
_FEW_MESSAGES = 20
_SHORTEST_S = 0.25  # over which a rate is measured
_FEW_CONNECTIONS, _SEVERAL_CONNECTIONS = 3, 5  # of one client to one broker or controller; each device has one
_INDUSTRIAL_TIMES = 2.5  # the floor: a master polls tens of times a second and waits for each answer
_LARGE_MESSAGE_OCTETS = 256
_MODBUS_WRITES = (5, 6, 15, 16, 22, 23)  # function codes


def command_floods(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Find clients that send a broker or a controller more messages than any device does."""
    spoken, found = context.spoken, []
    chosen = np.isin(spoken.kind // 2, (payload.MQTT, *_INDUSTRIAL)) | (spoken.port == _MQTT_PORT)
    for flows in services(context, 1, context.established[chosen]):
        total = int(flows.column("initiator_payload_packets").sum())
        groups, clients = flows.sources
        starts, order = split(groups, len(clients))
        said = np.bincount(groups, weights=flows.column("initiator_payload_packets"), minlength=len(clients))
        each = [flows.take(order[starts[client] : starts[client + 1]]) for client in np.nonzero(said >= _FEW_MESSAGES)[0]]
        findings = [finding for part in each if (finding := _messages_of(part, total, settings)) is not None]
        fast = [part for part in each if _is_fast(part, settings)]
        if not findings and len(fast) > 1:
            together = _messages_of(fast[0].joined(*fast[1:]), total, settings)
            findings = [together] if together is not None else []
        found.extend(findings)
    return found


def _is_fast(flows: FlowSet, settings: ApplicationSettings) -> bool:
    """Tell whether a client takes part in what several do together."""
    messages = int(flows.column("initiator_payload_packets").sum())
    return messages >= _FEW_MESSAGES and messages / max(flows.span_s, _SHORTEST_S) >= settings.command_rate_pps


def _messages_of(flows: FlowSet, total: int, settings: ApplicationSettings) -> Finding | None:
    """Judge what a client, or several that are alike, say to one service. total: messages that it receives of all clients."""
    sent, answered = flows.column("initiator_payload_packets"), flows.column("responder_payload_packets")
    messages = int(sent.sum())
    rate = messages / max(flows.span_s, _SHORTEST_S)
    floor = settings.command_rate_pps
    if messages < settings.flood_commands or rate < floor:
        return None
    protocols = flows.column("initiator_payload_kind") // 2
    industrial = [int(protocol) for protocol in np.unique(protocols) if protocol in _INDUSTRIAL]
    name = PROTOCOL_NAMES[industrial[0]] if industrial else "MQTT"
    evidence = Evidence()
    who = "one client sends" if flows.source_count == 1 else f"{flows.source_count:,} clients send"
    weight = CLEAR if rate >= (_INDUSTRIAL_TIMES if industrial else 5) * floor else FAIR
    evidence.add("magnitude", weight, "R_MESSAGE_RATE", rate, floor, f"{who} {rate:,.0f} {name} messages a second")
    at_once = most_at_once(flows)
    if at_once >= _FEW_CONNECTIONS:
        text = f"{at_once:,} of its connections are open at once, where a device has one"
        weight = CLEAR if at_once >= _SEVERAL_CONNECTIONS else FAIR
        evidence.add("concurrency", weight, "R_OPEN_AT_ONCE", at_once, _FEW_CONNECTIONS, text)
    share = messages / max(total, 1)
    if share >= 0.8:
        evidence.add("share", FAIR, "R_ONE_CLIENT", share, 0.8, f"that is {share:.0%} of all that the service receives")
    octets = float(flows.column("initiator_payload_octets").sum()) / messages
    if not industrial and octets >= _LARGE_MESSAGE_OCTETS:
        text = f"the messages are {octets:,.0f} octets on average"
        evidence.add("size", SLIGHT, "R_LARGE_MESSAGES", octets, _LARGE_MESSAGE_OCTETS, text)
    back = float(answered.sum()) / messages
    if industrial and back <= 0.5 and float(flows.column("responder_packets").sum()) > 0:
        evidence.add("distress", CLEAR, "R_UNANSWERED", back, 0.5, f"{back:.0%} of the commands get an answer")
    if industrial == [payload.MODBUS]:
        writes = float(np.isin(flows.column("initiator_prefix") & np.uint64(0xFF), _MODBUS_WRITES).mean())
        if writes >= 0.9:
            evidence.add("content", FAIR, "R_WRITES", writes, 0.9, f"{writes:.0%} of the connections begin with a command to write")
    port = int(flows.column("responder_port")[0])
    return Finding("industrial-command-flood" if industrial else "mqtt-flood", [service_host(flows)], flows, evidence, [port])


def sip_floods(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Find floods of SIP requests over UDP: calls and registrations that come to nothing."""
    found = []
    least = settings.sip_requests
    for host in context.udp_receivers(least):
        flows = context.shaped(host, shapes.UDP).joined(context.shaped(host, shapes.UDP_DIALOGUE))
        flows = flows.where(flows.sent("payload_kind") == 2 * payload.SIP)
        if len(flows) and int(flows.column("requests").sum()) >= least:
            finding = _sip_flood(context, host, flows, settings)
            if finding is not None:
                found.append(finding)
    return found


def _sip_flood(context: Context, host: int, flows: FlowSet, settings: ApplicationSettings) -> Finding | None:
    requests = flows.column("requests").astype(np.int64)
    groups, clients = flows.sources
    per_client = np.bincount(groups, weights=requests, minlength=len(clients))
    rate = float(requests.sum()) / max(flows.span_s, 1.0)
    if rate < settings.sip_rate_pps:
        return None
    evidence = Evidence()
    floor = settings.sip_rate_pps
    evidence.add("magnitude", CLEAR if rate >= 10 * floor else FAIR, "R_REQUEST_RATE", rate, floor, f"{rate:,.0f} SIP requests a second")
    responses, errors = float(flows.column("responses").sum()), float(flows.column("error_responses").sum())
    if context.answers(host):
        refused = errors / max(responses, 1.0)
        if responses >= 0.1 * float(requests.sum()) and refused >= 0.5:
            evidence.add("refusal", CLEAR, "R_REFUSED", refused, 0.5, f"{refused:.0%} of the answers refuse")
        elif responses < 0.5 * float(requests.sum()):
            answered = responses / float(requests.sum())
            evidence.add("refusal", CLEAR, "R_UNANSWERED", answered, 0.5, f"{answered:.0%} as many answers as requests")
        else:
            evidence.add("refusal", -CLEAR, "R_ANSWERED", 1 - refused, 0.5, f"{1 - refused:.0%} of the answers accept")
    fastest = float(per_client.max()) / max(float(duration_s(flows).max()), 1.0)
    if fastest >= floor:
        evidence.add("source", FAIR, "R_REQUESTS_PER_SOURCE", fastest, floor, f"one source sends {fastest:,.0f} requests a second")
    elif len(clients) >= 20:
        evidence.add("source", FAIR, "R_MANY_SOURCES", len(clients), 20, f"{len(clients):,} sources ask one exchange")
    words = flows.column("initiator_prefix")
    kind = next((kind for word, kind in ((b"INVI", "invite"), (b"REGI", "register")) if begins_with(words, word).mean() >= 0.9), None)
    vector = f"sip-{kind}-flood" if kind else "sip-flood"
    return Finding(vector, [context.host(host)], flows, evidence, top_ports(flows.received("port")))
