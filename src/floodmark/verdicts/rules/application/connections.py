"""Connection floods: connections opened for nothing, abandoned handshakes, repeated attempts at a closed port."""

from typing import Any

import numpy as np

from floodmark.base.thresholds import declares, threshold
from floodmark.flows.flowset import number, split
from floodmark.verdicts.clients import busiest, duration_s, service_host, services, variation
from floodmark.verdicts.context import Context
from floodmark.verdicts.declaring import Case, Family, Judge
from floodmark.verdicts.rules.application.guessing import ALIKE
from floodmark.verdicts.rules.application.requests import RequestThresholds
from floodmark.verdicts.weighing import CLEAR, FAIR, SLIGHT, SOLID, STRONG, Evidence, Finding, Rule
from floodmark_core import kinds
from floodmark_core.flows import payload, shapes


@declares
class ConnectionThresholds(RequestThresholds):
    """Thresholds for connections that lead to nothing."""

    connection_rate_cps: float = threshold(100.0, "connections to one service that carry almost nothing, in the busiest ten seconds")
    handshake_rate_cps: float = threshold(20.0, "TLS handshakes with one service that lead to nothing, in the busiest ten seconds")
    connection_clear_times: float = threshold(10.0, "the floor of a rate of connections or handshakes, from which on it is clear evidence")
    connection_idle_bytes: int = threshold(256, "payload of both sides, at most: less than any useful exchange")
    connection_idle_share: float = threshold(0.8, "of the connections whose SYN was seen: below it there is no flood")
    connection_silent_share: float = threshold(0.9, "of the connections that carry almost nothing, in which not a byte is sent")
    connection_held_share: float = threshold(0.5, "of them that were still open when the capture ended")
    connection_alike_variation: float = threshold(0.3, "of their payload, or of the size of ClientHellos, at most")
    connection_source_rate_cps: float = threshold(10.0, "such connections of each client, mean over the event")
    handshake_hello_packets: int = threshold(1, "payload packets of a client that leaves, at most: its ClientHello")
    handshake_brief_s: float = threshold(30.0, "duration of an abandoned handshake, at most")
    handshake_abandoned_share: float = threshold(0.8, "of the connections that begin with a ClientHello: below it there is no flood")
    connection_attempt_times: float = threshold(2.0, "request_rate_rps: so many attempts a second at one port are a flood")
    connection_attempt_answered_share: float = threshold(0.5, "of the attempts that the host answers, so that it is known to be there")
    connection_attempt_s: float = threshold(10.0, "for which the attempts go on")


CONNECTION_RATE = Rule(
    "R_CONNECTION_RATE", "magnitude", "connections a second that carry almost nothing, in the busiest ten seconds",
    "{measured:,.0f} connections a second carry almost nothing",
    "Clients open a connection to use it; opening many for nothing exhausts the server.", "connection_rate_cps",
)  # fmt: skip
CONNECTIONS_SHARE = Rule(
    "R_CONNECTIONS_SHARE", "share", "share of the connections to the service that are of this kind",
    "{measured:.0%} of the {what} to this service {do}",
    "A few odd clients are normal; most connections of a service being like this is not. "
    "Compared with connection_idle_share or https_connection_share.",
)  # fmt: skip
NOTHING_SAID = Rule(
    "R_NOTHING_SAID", "dialogue", "share of these connections in which neither side sends a byte",
    "in {measured:.0%} of these connections neither side sends a byte",
    "A client that connects wants something; these send nothing at all.", "connection_silent_share",
)  # fmt: skip
HELD_OPEN = Rule(
    "R_HELD_OPEN", "held", "share of these connections that were still open at the end of the capture",
    "{measured:.0%} of these connections were still open when the capture ended",
    "Connections that are held open without use take up the places of real clients.", "connection_held_share",
)  # fmt: skip
CONNECTIONS_PER_SOURCE = Rule(
    "R_CONNECTIONS_PER_SOURCE", "source", "such connections a second of each client, on average",
    "each client opens {measured:,.0f} such connections a second on average",
    "A client needs few connections; only a program opens so many a second.", "connection_source_rate_cps",
)  # fmt: skip
HANDSHAKE_ABANDONED = Rule(
    "R_HANDSHAKE_ABANDONED", "dialogue", "share of TLS connections that soon end after one message of the client",
    "{measured:.0%} of the TLS connections end right after the ClientHello",
    "The server does its costly part of the handshake and the client leaves; real clients go on.", "handshake_abandoned_share",
)  # fmt: skip
HANDSHAKE_RATE = Rule(
    "R_HANDSHAKE_RATE", "magnitude", "abandoned TLS handshakes a second, in the busiest ten seconds",
    "{measured:,.0f} TLS handshakes a second are begun and abandoned",
    "Handshakes that lead to nothing are rare in ordinary traffic.", "handshake_rate_cps",
)  # fmt: skip
ATTEMPTS_FAIL = Rule(
    "R_ATTEMPTS_FAIL", "completion", "share of failed connection attempts that the host answered",
    "the host answers {measured:.0%} of {attempts:,} connection attempts, and none becomes a connection",
    "The host is there and answers, yet no attempt becomes a connection: nobody would go on trying.", "connection_attempt_answered_share",
)  # fmt: skip
ATTEMPTS_PER_SOURCE = Rule(
    "R_ATTEMPTS_PER_SOURCE", "source", "connection attempts a second of one client at one port",
    "one client makes {measured:,.0f} connection attempts a second at one port",
    "An ordinary client waits longer after each failure; a flood tool does not. "
    "Compared with request_rate_rps, connection_attempt_times over.",
)  # fmt: skip
SUSTAINED = Rule(
    "R_SUSTAINED", "persistence", "duration of the attempts in seconds",
    "the attempts go on for {measured:,.0f} s",
    "A client gives up or slows down within seconds.", "connection_attempt_s",
)  # fmt: skip


def connection_floods(case: Case[Any, ConnectionThresholds]) -> list[Finding]:
    """Find many connections opened for nothing, abandoned handshakes, and repeated connection attempts at a closed port."""
    context, settings = case.context, case.application
    return _idle_floods(context, settings) + _handshake_floods(context, settings) + _refused_floods(context, settings)


def _idle_floods(context: Context, settings: ConnectionThresholds) -> list[Finding]:
    """Judge connections that carry almost nothing."""
    found = []
    for flows in services(context, settings.flood_connections):
        began = flows.where(flows.column("stage") & kinds.STAGE_SYN > 0)
        said = began.column("initiator_payload_octets") + began.column("responder_payload_octets")
        is_tls = began.column("initiator_payload_kind") == 2 * payload.TLS + payload.REQUEST  # judged as handshakes
        brief = said <= settings.connection_idle_bytes
        idle = began.where(brief & (began.column("requests") == 0) & ~is_tls)
        if len(idle) < settings.flood_connections or len(idle) < settings.connection_idle_share * len(began):
            continue
        ones = np.ones(len(idle), np.int64)
        rate, floor = busiest(idle.column("first_seen_ns"), ones, idle.span_s), settings.connection_rate_cps
        if rate < floor:
            continue
        evidence = Evidence()
        evidence.add(CONNECTION_RATE, CLEAR if rate >= settings.connection_clear_times * floor else FAIR, rate, floor)
        share = len(idle) / len(began)
        evidence.add(CONNECTIONS_SHARE, FAIR, share, settings.connection_idle_share, what="connections", do="carry almost nothing")
        mute = float((said[brief] == 0).mean())
        if mute >= settings.connection_silent_share:
            evidence.add(NOTHING_SAID, CLEAR, mute, settings.connection_silent_share)
        held = float((idle.column("end_reason") == kinds.END_CAPTURE).mean())
        if held >= settings.connection_held_share:
            evidence.add(HELD_OPEN, FAIR, held, settings.connection_held_share)
        alike = variation((said[brief] + 1).astype(float))
        if alike <= settings.connection_alike_variation:
            evidence.add(ALIKE, FAIR, alike, settings.connection_alike_variation, what="the payload")
        per_source = len(idle) / idle.source_count / max(idle.span_s, 1.0)
        if per_source >= settings.connection_source_rate_cps:
            evidence.add(CONNECTIONS_PER_SOURCE, FAIR, per_source, settings.connection_source_rate_cps)
        found.append(Finding("connection-flood", [service_host(flows)], idle, evidence, [int(flows.column("responder_port")[0])]))
    return found


def _handshake_floods(context: Context, settings: ConnectionThresholds) -> list[Finding]:
    """Judge TLS connections that end after the ClientHello: the server has done its costly part for nothing."""
    found = []
    for flows in services(context, settings.flood_connections):
        greeting = flows.where(flows.column("initiator_payload_kind") == 2 * payload.TLS + payload.REQUEST)
        if len(greeting) < settings.flood_connections:
            continue
        over = np.isin(greeting.column("end_reason"), (kinds.END_FIN, kinds.END_RST, kinds.END_REUSE))
        only_hello = greeting.column("initiator_payload_packets") <= settings.handshake_hello_packets
        left = greeting.where(only_hello & over & (duration_s(greeting) <= settings.handshake_brief_s))
        share = len(left) / len(greeting)
        if len(left) < settings.flood_connections or share < settings.handshake_abandoned_share:
            continue
        rate, floor = busiest(left.column("first_seen_ns"), np.ones(len(left), np.int64), left.span_s), settings.handshake_rate_cps
        if rate < floor:
            continue
        evidence = Evidence()
        evidence.add(HANDSHAKE_ABANDONED, STRONG, share, settings.handshake_abandoned_share)
        evidence.add(HANDSHAKE_RATE, CLEAR if rate >= settings.connection_clear_times * floor else FAIR, rate, floor)
        alike = variation(left.column("initiator_payload_octets").astype(float))
        if alike <= settings.connection_alike_variation:
            evidence.add(ALIKE, SLIGHT, alike, settings.connection_alike_variation, what="the size of the ClientHello")
        brief = greeting.where(only_hello)  # including those that the end of the capture cut off
        found.append(Finding("tls-handshake-flood", [service_host(flows)], brief, evidence, [int(flows.column("responder_port")[0])]))
    return found


def _refused_floods(context: Context, settings: ConnectionThresholds) -> list[Finding]:
    """Judge ordinary-looking connection attempts that one source repeats at one port although none succeeds."""
    found = []
    floor = settings.connection_attempt_times * settings.request_rate_rps
    for host in context.hosts.hosts_with(shapes.SYN, settings.flood_connections):
        flows = context.hosts.shaped(host, shapes.SYN)
        flows = flows.where(flows.column("tcp_options") != 0)
        if len(flows) < settings.flood_connections:
            continue
        ports = flows.column("responder_port").astype(np.uint64)
        groups, leaders = number(flows.column("initiator_hi"), flows.column("initiator_lo"), ports)
        starts, order = split(groups, len(leaders))
        for group in np.nonzero(np.diff(starts) >= settings.flood_connections)[0]:
            tries = flows.take(order[starts[group] : starts[group + 1]])
            rate = len(tries) / max(tries.span_s, 1.0)
            refused = float((tries.column("responder_packets") > 0).mean())
            if rate < floor or refused < settings.connection_attempt_answered_share:
                continue
            evidence = Evidence()
            evidence.add(ATTEMPTS_FAIL, CLEAR, refused, settings.connection_attempt_answered_share, attempts=len(tries))
            evidence.add(ATTEMPTS_PER_SOURCE, SOLID, rate, floor)
            if tries.span_s >= settings.connection_attempt_s:
                evidence.add(SUSTAINED, SLIGHT, tries.span_s, settings.connection_attempt_s)
            found.append(Finding("connection-flood", [context.hosts.host(host)], tries, evidence, [int(tries.column("responder_port")[0])]))
    return found


FAMILY = Family(
    "connections",
    "application",
    ConnectionThresholds,
    (
        Judge(
            "connection-floods",
            connection_floods,
            ("connection-flood", "tls-handshake-flood"),
            (
                CONNECTION_RATE,
                CONNECTIONS_SHARE,
                NOTHING_SAID,
                HELD_OPEN,
                ALIKE,
                CONNECTIONS_PER_SOURCE,
                HANDSHAKE_ABANDONED,
                HANDSHAKE_RATE,
                ATTEMPTS_FAIL,
                ATTEMPTS_PER_SOURCE,
                SUSTAINED,
            ),
            after=("https-floods",),
        ),
    ),
)
