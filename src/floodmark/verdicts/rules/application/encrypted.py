"""Request floods inside TLS, detected without plaintext: many short connections of one shape, opened faster than people do."""

from typing import Any

import numpy as np

from floodmark.base.thresholds import declares, threshold
from floodmark.flows.flowset import FlowSet, modal_share
from floodmark.verdicts.clients import busiest, duration_s, service_host, services, variation
from floodmark.verdicts.declaring import Case, Family, Judge
from floodmark.verdicts.rules.application.connections import CONNECTIONS_SHARE, ConnectionThresholds
from floodmark.verdicts.rules.application.requests import CLIENTS_ALIKE, ONE_CLIENT
from floodmark.verdicts.weighing import CLEAR, FAIR, Evidence, Finding, Rule
from floodmark_core.flows import payload

_CAP = 0.7  # of the confidence: unread content can be something else


@declares
class HttpsThresholds(ConnectionThresholds):
    """Thresholds for floods of requests inside TLS."""

    https_connections_times: float = threshold(0.5, "flood_connections: so many are enough, each is several packets of handshake")
    https_client_packets: int = threshold(2, "fewest payload packets of the client: the ClientHello and something after it")
    https_exchange_packets: int = threshold(8, "payload packets of the client, at most: handshake, a request, the close")
    https_exchange_s: float = threshold(30.0, "duration of one short exchange, at most")
    https_brief_share: float = threshold(0.5, "of the service's TLS connections that are short exchanges: below it there is no flood")
    https_step_bytes: int = threshold(64, "steps in which sizes are compared")
    https_same_exchange_share: float = threshold(0.7, "of the connections that carry as much in both directions")
    https_same_request_share: float = threshold(0.8, "of the connections in which the client sends as much")
    https_clear_times: float = threshold(10.0, "the floor of a rate of TLS connections, from which on the rate is clear evidence")
    https_alike_clients: int = threshold(5, "fewest clients of which it says something that they are alike")
    https_clients_variation: float = threshold(0.5, "of the TLS connections of each client, at most")
    https_one_client_share: float = threshold(0.5, "of the TLS connections that one client opens")
    https_connection_share: float = threshold(0.8, "of the service's TLS connections that are alike and short")


TLS_CONNECTION_RATE = Rule(
    "R_TLS_CONNECTION_RATE", "magnitude", "short TLS connections a second, in the busiest ten seconds",
    "{measured:,.0f} TLS connections a second are opened, each for one short exchange",
    "Browsers keep a TLS connection for many requests; a new one for each exchange, at this rate, is a tool. "
    "Compared with service_request_rate_rps, or insistent_service_rate_rps where the exchanges are the same.",
)  # fmt: skip
TLS_CONNECTIONS_PER_SOURCE = Rule(
    "R_TLS_CONNECTIONS_PER_SOURCE", "source", "short TLS connections a second of the busiest client, mean over the event",
    "one client opens {measured:,.0f} short TLS connections a second",
    "A browser opens a handful of connections; only a program opens so many a second.", "request_rate_rps",
)  # fmt: skip
SAME_EXCHANGE = Rule(
    "R_SAME_EXCHANGE", "uniformity", "share of connections with the most frequent sizes in both directions",
    "{measured:.0%} of the connections carry the same number of bytes in both directions, to within {step} bytes",
    "The same request gets the same response; visitors ask for different things.", "https_same_exchange_share",
)  # fmt: skip
SAME_REQUEST = Rule(
    "R_SAME_REQUEST", "uniformity", "share of connections in which the client sends the most frequent number of bytes",
    "in {measured:.0%} of the connections the client sends the same number of bytes, to within {step} bytes",
    "A tool repeats one request; visitors send requests of different sizes.", "https_same_request_share",
)  # fmt: skip


def https_floods(case: Case[Any, HttpsThresholds]) -> list[Finding]:
    """Find floods of requests over TLS."""
    context, settings = case.context, case.application
    greets = 2 * payload.TLS + payload.REQUEST
    rows = context.shapes.established[context.shapes.spoken.kind == greets]
    found = []
    least = int(settings.https_connections_times * settings.flood_connections)
    for flows in services(context, least, rows):
        sent = flows.column("initiator_payload_packets")
        said = (sent >= settings.https_client_packets) & (flows.column("responder_payload_octets") > 0)
        brief = flows.where(said & (sent <= settings.https_exchange_packets) & (duration_s(flows) <= settings.https_exchange_s))
        if len(brief) >= least and len(brief) >= settings.https_brief_share * len(flows):
            finding = _https_flood(brief, len(flows), settings)
            if finding is not None:
                found.append(finding)
    return found


def _https_flood(flows: FlowSet, all_connections: int, settings: HttpsThresholds) -> Finding | None:
    step = settings.https_step_bytes
    up, down = (flows.column(f"{end}_payload_octets") // step for end in ("initiator", "responder"))
    _, place, counts = np.unique(up.astype(np.uint64) << np.uint64(32) | down, return_inverse=True, return_counts=True)
    alike = float(counts.max()) / len(flows)
    same = alike >= settings.https_same_exchange_share
    if same:
        flows = flows.where(place == counts.argmax())
    groups, clients = flows.sources
    per_client = np.bincount(groups, minlength=len(clients))
    rate = busiest(flows.column("first_seen_ns"), np.ones(len(flows), np.int64), flows.span_s)
    fastest = float(per_client.max()) / max(flows.span_s, 1.0)
    # Machines that repeat one thing are a flood at a lower rate than visitors.
    floor = settings.insistent_service_rate_rps if same else settings.service_request_rate_rps
    if rate < floor and fastest < settings.request_rate_rps:
        return None
    evidence = Evidence()
    if rate >= floor:
        evidence.add(TLS_CONNECTION_RATE, CLEAR if rate >= settings.https_clear_times * floor else FAIR, rate, floor)
    if fastest >= settings.request_rate_rps:
        evidence.add(TLS_CONNECTIONS_PER_SOURCE, FAIR, fastest, settings.request_rate_rps)
    if same:
        evidence.add(SAME_EXCHANGE, CLEAR, alike, settings.https_same_exchange_share, step=step)
    elif modal_share(up) >= settings.https_same_request_share:
        evidence.add(SAME_REQUEST, FAIR, modal_share(up), settings.https_same_request_share, step=step)
    _weigh_clients(evidence, per_client, settings)
    share = len(flows) / all_connections
    if share >= settings.https_connection_share:
        do = "are such short exchanges; browsers keep theirs open"
        evidence.add(CONNECTIONS_SHARE, FAIR, share, settings.https_connection_share, what="TLS connections", do=do)
    evidence.cap(_CAP, "inside TLS: the requests themselves cannot be read")
    return Finding("https-flood", [service_host(flows)], flows, evidence, [int(flows.column("responder_port")[0])])


def _weigh_clients(evidence: Evidence, per_client: np.ndarray, settings: HttpsThresholds) -> None:
    """Add the clients group: all clients connect equally often, or one of them makes most connections."""
    clients, share = len(per_client), float(per_client.max()) / float(per_client.sum())
    varies = variation(per_client)
    if clients >= settings.https_alike_clients and varies <= settings.https_clients_variation:
        evidence.add(CLIENTS_ALIKE, FAIR, varies, settings.https_clients_variation, clients=clients, what="TLS connections")
    elif share >= settings.https_one_client_share:
        evidence.add(ONE_CLIENT, FAIR, share, settings.https_one_client_share, what="TLS connections")


FAMILY = Family(
    "encrypted",
    "application",
    HttpsThresholds,
    (
        Judge(
            "https-floods",
            https_floods,
            ("https-flood",),
            (
                TLS_CONNECTION_RATE,
                TLS_CONNECTIONS_PER_SOURCE,
                SAME_EXCHANGE,
                SAME_REQUEST,
                CLIENTS_ALIKE,
                ONE_CLIENT,
                CONNECTIONS_SHARE,
            ),
            after=("request-floods",),
        ),
    ),
)
