"""Connection floods: connections opened to carry nothing, handshakes abandoned, attempts repeated at a closed port."""

import numpy as np

from floodmark.flows.flowset import number, split
from floodmark.settings import ApplicationSettings
from floodmark.verdicts.clients import busiest, duration_s, service_host, services, variation
from floodmark.verdicts.context import Context
from floodmark.verdicts.weighing import (
    CLEAR,
    FAIR,
    SLIGHT,
    STRONG,
    Evidence,
    Finding,
)
from floodmark_core import kinds
from floodmark_core.flows import payload, shapes


def connection_floods(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Find connections opened in numbers to carry nothing, and connection attempts repeated against a closed port."""
    found = []
    for flows in services(context, settings.flood_connections):
        began = flows.where(flows.column("stage") & kinds.STAGE_SYN > 0)
        said = began.column("initiator_payload_octets") + began.column("responder_payload_octets")
        is_tls = began.column("initiator_payload_kind") == 2 * payload.TLS + payload.REQUEST  # judged as handshakes
        idle = began.where((said <= 256) & (began.column("requests") == 0) & ~is_tls)  # less than any useful exchange
        if len(idle) < settings.flood_connections or len(idle) < 0.8 * len(began):
            continue
        ones = np.ones(len(idle), np.int64)
        rate = busiest(idle.column("first_seen_ns"), ones, idle.span_s)
        if rate < settings.connection_rate_pps:
            continue
        evidence = Evidence()
        evidence.add(
            "magnitude", CLEAR if rate >= 10 * settings.connection_rate_pps else FAIR,
            "R_CONNECTION_RATE", rate, settings.connection_rate_pps, f"{rate:,.0f} connections a second carry almost nothing",
        )  # fmt: skip
        share = len(idle) / len(began)
        evidence.add("share", FAIR, "R_SHARE", share, 0.8, f"{share:.0%} of the service's connections are like this")
        mute = float((said[said <= 256] == 0).mean())
        if mute >= 0.9:
            evidence.add("dialogue", CLEAR, "R_NOTHING_SAID", mute, 0.9, f"in {mute:.0%} of them not an octet is said")
        held = float((idle.column("end_reason") == kinds.END_CAPTURE).mean())
        if held >= 0.5:
            evidence.add("held", FAIR, "R_HELD_OPEN", held, 0.5, f"{held:.0%} of them were never closed")
        alike = variation((said[said <= 256] + 1).astype(float))
        if alike <= settings.guessing_variation:
            evidence.add("uniformity", FAIR, "R_ALIKE", alike, settings.guessing_variation, "they say the same amount")
        per_source = len(idle) / idle.source_count / max(idle.span_s, 1.0)
        if per_source >= 10:
            evidence.add("source", FAIR, "R_CONNECTIONS_PER_SOURCE", per_source, 10, f"each client opens {per_source:,.0f} a second")
        found.append(Finding("connection-flood", [service_host(flows)], idle, evidence, [int(flows.column("responder_port")[0])]))
    return found + _handshake_floods(context, settings) + _refused_floods(context, settings)


def _handshake_floods(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Judge TLS connections that end after the client's first words: the server has done its costly part for nothing."""
    found = []
    for flows in services(context, settings.flood_connections):
        greeting = flows.where(flows.column("initiator_payload_kind") == 2 * payload.TLS + payload.REQUEST)
        if len(greeting) < settings.flood_connections:
            continue
        over = np.isin(greeting.column("end_reason"), (kinds.END_FIN, kinds.END_RST, kinds.END_REUSE))
        left = greeting.where((greeting.column("initiator_payload_packets") == 1) & over & (duration_s(greeting) <= 30))
        share = len(left) / len(greeting)
        if len(left) < settings.flood_connections or share < 0.8:
            continue
        rate, floor = busiest(left.column("first_seen_ns"), np.ones(len(left), np.int64), left.span_s), settings.handshake_rate_pps
        if rate < floor:
            continue
        evidence = Evidence()
        evidence.add(
            "dialogue", STRONG, "R_HANDSHAKE_ABANDONED", share, 0.8, f"{share:.0%} of the TLS clients leave after their ClientHello"
        )
        weight = CLEAR if rate >= 10 * floor else FAIR
        evidence.add("magnitude", weight, "R_HANDSHAKE_RATE", rate, floor, f"{rate:,.0f} handshakes a second are begun for nothing")
        alike = variation(left.column("initiator_payload_octets").astype(float))
        if alike <= settings.guessing_variation:
            evidence.add("uniformity", SLIGHT, "R_ALIKE", alike, settings.guessing_variation, "the ClientHellos are alike")
        brief = greeting.where(greeting.column("initiator_payload_packets") == 1)  # with those that the capture's end cut
        found.append(Finding("tls-handshake-flood", [service_host(flows)], brief, evidence, [int(flows.column("responder_port")[0])]))
    return found


def _refused_floods(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Judge ordinary-looking connection attempts that one source repeats against one port although none succeeds."""
    found = []
    for host in context.hosts_with(shapes.SYN, settings.flood_connections):
        flows = context.shaped(host, shapes.SYN)
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
            if rate < 2 * settings.request_rate_pps or refused < 0.5:
                continue
            evidence = Evidence()
            evidence.add(
                "completion",
                CLEAR,
                "R_NO_COMPLETION",
                refused,
                0.5,
                f"the host answers {refused:.0%} of {len(tries):,} attempts and none becomes a connection",
            )
            evidence.add(
                "source",
                2.0,
                "R_ATTEMPTS_PER_SOURCE",
                rate,
                20,
                f"one client makes {rate:,.0f} attempts a second at one port; an ordinary one waits longer each time",
            )
            if tries.span_s >= 10:
                evidence.add("persistence", SLIGHT, "R_SUSTAINED", tries.span_s, 10, f"it goes on for {tries.span_s:,.0f} s")
            found.append(Finding("connection-flood", [context.host(host)], tries, evidence, [int(tries.column("responder_port")[0])]))
    return found
