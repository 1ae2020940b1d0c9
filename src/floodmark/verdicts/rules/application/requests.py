"""HTTP request floods: many requests a second to one service, by clients that behave like machines."""

from typing import Any

import numpy as np

from floodmark.base.thresholds import Checked, declares, threshold
from floodmark.flows.flowset import FlowSet, modal_share
from floodmark.verdicts.clients import begins_with, busiest, number_services, service_host, services, variation
from floodmark.verdicts.context import Context
from floodmark.verdicts.declaring import Case, Family, Judge
from floodmark.verdicts.weighing import CLEAR, FAIR, SLIGHT, Evidence, Finding, Rule
from floodmark_core.columns import I64


@declares
class RequestThresholds(Checked):
    """Thresholds for floods of requests, in cleartext and inside TLS."""

    request_rate_rps: float = threshold(10.0, "requests, or TLS connections, of one client, mean over the event")
    service_request_rate_rps: float = threshold(50.0, "requests, or TLS connections, to one service in the busiest ten seconds")
    insistent_request_rate_rps: float = threshold(3.0, "requests of the median client; pages and pollers ask in bursts or rarely")
    insistent_service_rate_rps: float = threshold(20.0, "floor of a service whose clients ask that often, or inside TLS all alike")
    flood_requests: int = threshold(100, "fewest requests that can be called a flood")
    flood_connections: int = threshold(100, "fewest connections that can be called a flood")
    http_insistent_times: float = threshold(0.5, "flood_requests: so many are enough where several clients insist")
    http_insistent_clients: int = threshold(5, "clients that all insist; one alone may be a page that asks for its parts")
    http_clear_times: float = threshold(10.0, "the floor of a rate of requests, from which on the rate is clear evidence")
    http_client_rate_s: float = threshold(1.0, "shortest event in which the rate of one client says something")
    http_one_path_share: float = threshold(0.9, "of the requests of a client, or of the requests or connections of a service, for one path")
    http_machine_requests: int = threshold(2, "fewest requests of a client that is part of the flood")
    http_machine_median_share: float = threshold(0.1, "of the median machine's requests: a client that sends fewer is no part of the flood")
    http_machine_share: float = threshold(0.5, "of all requests; where machines send fewer, all clients are judged")
    http_cache_busting_requests: int = threshold(50, "fewest requests whose queries all differ; fewer are a search")
    http_cache_busting_share: float = threshold(0.9, "different queries for each request")
    http_one_method_share: float = threshold(0.9, "of the connections that begin with the method that the flood is called by")
    http_alike_clients: int = threshold(10, "fewest clients that http_clients_variation is asked of")
    http_clients_variation: float = threshold(0.5, "of the requests of each client, at most")
    http_few_alike_clients: int = threshold(5, "fewest clients that http_few_clients_variation is asked of")
    http_few_clients_variation: float = threshold(0.3, "the same, of few clients")
    http_busiest_client_times: float = threshold(20.0, "the median client's requests: one that sends so many more is judged alone")
    http_one_client_share: float = threshold(0.5, "of the requests that one client sends")
    http_answered_share: float = threshold(0.5, "responses for each request, at most")
    http_error_share: float = threshold(0.5, "of the responses that are errors, 4xx or 5xx")
    http_single_request_share: float = threshold(0.9, "of the connections that carry a single request")


REQUEST_RATE = Rule(
    "R_REQUEST_RATE", "magnitude", "requests a second to one service, in the busiest ten seconds",
    "one service gets {measured:,.0f} requests a second, counted at the start of each connection",
    "A service normally gets fewer requests a second; a flood means to exceed what it can answer. "
    "Compared with service_request_rate_rps, or insistent_service_rate_rps where the clients insist.",
)  # fmt: skip
REQUESTS_PER_SOURCE = Rule(
    "R_REQUESTS_PER_SOURCE", "source", "requests a second of the busiest client, mean over the event",
    "one client sends {measured:,.0f} requests a second",
    "A person clicks every few seconds and a browser loads in short bursts; only a program keeps up such a rate.", "request_rate_rps",
)  # fmt: skip
ONE_TARGET = Rule(
    "R_ONE_TARGET", "content", "share of the requests that ask for the most frequent path",
    "{measured:.0%} of the requests are for one path; a browser would also load images and scripts",
    "A browser loads a page with its images and scripts; a tool repeats one path. "
    "Each family compares it with its own setting.",
)  # fmt: skip
CLIENTS_ALIKE = Rule(
    "R_CLIENTS_ALIKE", "clients", "coefficient of variation of the number of requests (inside TLS: connections) of each client",
    "{clients:,} clients make nearly equal numbers of {what} (they vary by {measured:.0%})",
    "Visitors differ widely in how much they ask for; copies of one program do not. "
    "Compared with http_clients_variation (fewer clients have to pass http_few_clients_variation too) or https_clients_variation.",
)  # fmt: skip
ONE_CLIENT = Rule(
    "R_ONE_CLIENT", "clients", "share of the requests (inside TLS: connections) that the busiest client makes",
    "one client makes {measured:.0%} of the {what}",
    "Ordinary load is spread over visitors; here one client makes most of it. "
    "Compared with http_one_client_share or https_one_client_share.",
)  # fmt: skip
REQUESTS_UNANSWERED = Rule(
    "R_REQUESTS_UNANSWERED", "distress", "responses for each request",
    "the capture holds only {measured:.0%} as many responses as HTTP requests",
    "A service that is overloaded, or that is sent senseless requests, answers few of them.", "http_answered_share",
)  # fmt: skip
ERRORS = Rule(
    "R_ERRORS", "distress", "share of responses that are errors",
    "{measured:.0%} of the responses are errors (4xx or 5xx)",
    "A service that fails under load, or is asked for what does not exist, answers with errors.", "http_error_share",
)  # fmt: skip
ONE_REQUEST_EACH = Rule(
    "R_ONE_REQUEST_EACH", "reuse", "share of connections that carry exactly one request",
    "{measured:.0%} of the connections carry a single request; browsers reuse theirs",
    "Browsers send several requests over one connection; simple tools open a new one each time.", "http_single_request_share",
)  # fmt: skip


def request_floods(case: Case[Any, RequestThresholds]) -> list[Finding]:
    """Find HTTP floods: many requests a second to one service, by clients that behave alike."""
    found = []
    context, settings = case.context, case.application
    rows = context.shapes.established[context.shapes.spoken.asked]
    totals = context.flows.column("requests", rows)
    fewest = int(settings.http_insistent_times * settings.flood_requests)
    for flows in services(context, 1, _busy(context, rows, totals, fewest)):
        asking = _machines(flows, settings)
        requests = asking.column("requests").astype(np.int64)
        rate = busiest(asking.column("first_seen_ns"), requests, asking.span_s)
        groups, clients = asking.sources
        per_client = np.bincount(groups, weights=requests, minlength=len(clients))
        fastest = float(per_client.max()) / asking.span_s
        # Machines that insist on one thing are a flood at a lower rate than visitors.
        insistent = float(np.median(per_client)) / asking.span_s >= settings.insistent_request_rate_rps
        floor = settings.insistent_service_rate_rps if insistent else settings.service_request_rate_rps
        least = fewest if insistent and len(clients) >= settings.http_insistent_clients else settings.flood_requests
        if requests.sum() < least or (rate < floor and fastest < settings.request_rate_rps):
            continue
        evidence = Evidence()
        _weigh_requests(evidence, asking, requests, per_client, settings)
        if rate >= floor:
            evidence.add(REQUEST_RATE, CLEAR if rate >= settings.http_clear_times * floor else FAIR, rate, floor)
        if fastest >= settings.request_rate_rps and asking.span_s >= settings.http_client_rate_s:
            weight = CLEAR if fastest >= settings.http_clear_times * settings.request_rate_rps else FAIR
            evidence.add(REQUESTS_PER_SOURCE, weight, fastest, settings.request_rate_rps)
        port = int(flows.column("responder_port")[0])
        # In a truncated request head the target may be truncated too.
        vector = "http-flood" if context.view.snaplen_cut else _request_vector(asking, settings)
        found.append(Finding(vector, [service_host(flows)], asking, evidence, [port]))
    return found


def _busy(context: Context, rows: I64, requests: np.ndarray, least: int) -> I64:
    """Return the connections whose service got at least ``least`` requests."""
    groups, leaders = number_services(context, rows)
    totals = np.bincount(groups, weights=requests, minlength=len(leaders))
    busy: I64 = rows[totals[groups] >= least] if len(rows) else rows
    return busy


def _machines(flows: FlowSet, settings: RequestThresholds) -> FlowSet:
    """Return the connections of clients that request one path repeatedly, or all connections if there are no such clients.

    If a flood mixes with ordinary visitors, only clients that show evidence themselves are part of it.
    """
    paths, requests = flows.column("path_hash"), flows.column("requests").astype(np.int64)
    groups, clients = flows.sources
    values, counts = np.unique(paths, return_counts=True)
    same = paths == values[counts.argmax()]
    asked = np.bincount(groups, weights=requests, minlength=len(clients))
    repeated = flows.column("same_path_requests") * same
    alike = np.bincount(groups, weights=repeated, minlength=len(clients)) >= settings.http_one_path_share * asked
    if not alike.any():
        return flows
    alike &= asked >= max(settings.http_machine_requests, settings.http_machine_median_share * float(np.median(asked[alike])))
    return flows.where(alike[groups]) if asked[alike].sum() >= settings.http_machine_share * asked.sum() else flows


def _request_vector(flows: FlowSet, settings: RequestThresholds) -> str:
    """Return the vector of a flood by its methods, or by query strings that never repeat."""
    requests = flows.column("requests").astype(np.int64)
    different = int(flows.column("varied_requests").sum()) + len(np.unique(flows.column("query_hash")))
    one_path = modal_share(flows.column("path_hash")) >= settings.http_one_path_share
    many = requests.sum() >= settings.http_cache_busting_requests
    if one_path and many and different >= settings.http_cache_busting_share * requests.sum():
        return "http-cache-busting"
    prefix = flows.column("initiator_prefix")
    if float(begins_with(prefix, b"POST").mean()) >= settings.http_one_method_share:
        return "http-post-flood"
    return "http-get-flood" if float(begins_with(prefix, b"GET ").mean()) >= settings.http_one_method_share else "http-flood"


def _weigh_requests(evidence: Evidence, flows: FlowSet, requests: np.ndarray, per_client: np.ndarray, settings: RequestThresholds) -> None:
    """Add what distinguishes a machine's requests from people's: one target, one request per connection, alike, unanswered."""
    paths = flows.column("path_hash")
    values, counts = np.unique(paths, return_counts=True)
    same = float(flows.column("same_path_requests")[paths == values[counts.argmax()]].sum() / requests.sum())
    if same >= settings.http_one_path_share and requests.sum() >= int(settings.http_insistent_times * settings.flood_requests):
        evidence.add(ONE_TARGET, CLEAR, same, settings.http_one_path_share)
    _weigh_clients(evidence, per_client, settings)
    answered = float(flows.column("responses").sum()) / float(requests.sum())
    errors = float(flows.column("error_responses").sum()) / max(float(flows.column("responses").sum()), 1.0)
    if answered <= settings.http_answered_share and float(flows.column("responder_packets").sum()) > 0:
        evidence.add(REQUESTS_UNANSWERED, FAIR, answered, settings.http_answered_share)
    elif errors >= settings.http_error_share:
        evidence.add(ERRORS, SLIGHT, errors, settings.http_error_share)
    once = float((requests == 1).mean())
    if once >= settings.http_single_request_share and len(flows) >= settings.flood_connections:
        evidence.add(ONE_REQUEST_EACH, FAIR, once, settings.http_single_request_share)


def _weigh_clients(evidence: Evidence, per_client: np.ndarray, settings: RequestThresholds) -> None:
    """Add the clients group: all clients send equally many requests, or one of them sends most."""
    clients, varies = len(per_client), variation(per_client)
    many_alike = clients >= settings.http_alike_clients and varies <= settings.http_clients_variation
    few_alike = clients >= settings.http_few_alike_clients and varies <= settings.http_few_clients_variation
    busiest_times = settings.http_busiest_client_times
    if many_alike or few_alike:
        evidence.add(CLIENTS_ALIKE, FAIR, varies, settings.http_clients_variation, clients=clients, what="requests")
    elif clients < settings.http_alike_clients or float(per_client.max()) >= busiest_times * float(np.median(per_client)):
        share = float(per_client.max()) / float(per_client.sum())
        if share >= settings.http_one_client_share:
            evidence.add(ONE_CLIENT, FAIR, share, settings.http_one_client_share, what="requests")


FAMILY = Family(
    "requests",
    "application",
    RequestThresholds,
    (
        Judge(
            "request-floods",
            request_floods,
            ("http-flood", "http-get-flood", "http-post-flood", "http-cache-busting"),
            (
                REQUEST_RATE,
                REQUESTS_PER_SOURCE,
                ONE_TARGET,
                CLIENTS_ALIKE,
                ONE_CLIENT,
                REQUESTS_UNANSWERED,
                ERRORS,
                ONE_REQUEST_EACH,
            ),
            after=("http2-floods",),
        ),
    ),
)
