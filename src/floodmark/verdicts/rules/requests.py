"""HTTP request floods: many requests a second to one service, by clients that behave like machines."""

import numpy as np

from floodmark.flows.flowset import FlowSet, modal_share
from floodmark.settings import ApplicationSettings
from floodmark.verdicts.clients import begins_with, busiest, number_services, service_host, services, variation
from floodmark.verdicts.context import Context
from floodmark.verdicts.weighing import CLEAR, FAIR, SLIGHT, Evidence, Finding
from floodmark_core.columns import I64

_ONE_TARGET_SHARE = 0.9  # of the connections of a client, or of a service, that ask for one path
_SEVERAL_CLIENTS = 5  # that all insist: one alone may be a page that asks for its parts
_FEW_REQUESTS = 50  # fewer different queries are a search


def request_floods(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Find HTTP floods: many requests a second to one service, by clients that behave alike."""
    found = []
    rows = context.established[context.spoken.asked]
    totals = context.flows.column("requests", rows)
    for flows in services(context, 1, _busy(context, rows, totals, settings.flood_requests // 2)):
        asking = _machines(flows)
        requests = asking.column("requests").astype(np.int64)
        rate = busiest(asking.column("first_seen_ns"), requests, asking.span_s)
        groups, clients = asking.sources
        per_client = np.bincount(groups, weights=requests, minlength=len(clients))
        fastest = float(per_client.max()) / asking.span_s
        # Machines that hammer one thing are a flood at a lower rate than visitors are.
        insistent = float(np.median(per_client)) / asking.span_s >= settings.insistent_request_rate_pps
        floor = settings.insistent_service_rate_pps if insistent else settings.service_request_rate_pps
        least = settings.flood_requests // 2 if insistent and len(clients) >= _SEVERAL_CLIENTS else settings.flood_requests
        if requests.sum() < least or (rate < floor and fastest < settings.request_rate_pps):
            continue
        evidence = Evidence()
        _weigh_requests(evidence, asking, requests, per_client, settings)
        if rate >= floor:
            weight = CLEAR if rate >= 10 * floor else FAIR
            evidence.add("magnitude", weight, "R_REQUEST_RATE", rate, floor, f"{rate:,.0f} requests a second reach one service")
        if fastest >= settings.request_rate_pps and asking.span_s >= 1.0:
            weight = CLEAR if fastest >= 10 * settings.request_rate_pps else FAIR
            floor = settings.request_rate_pps
            evidence.add("source", weight, "R_REQUESTS_PER_SOURCE", fastest, floor, f"one client sends {fastest:,.0f} requests a second")
        port = int(flows.column("responder_port")[0])
        vector = "http-flood" if context.view.snaplen_cut else _request_vector(asking)  # of a cut head the target may be cut too
        found.append(Finding(vector, [service_host(flows)], asking, evidence, [port]))
    return found


def _busy(context: Context, rows: I64, requests: np.ndarray, least: int) -> I64:
    """Return those of some connections whose service got at least so many requests."""
    groups, leaders = number_services(context, rows)
    totals = np.bincount(groups, weights=requests, minlength=len(leaders))
    busy: I64 = rows[totals[groups] >= least] if len(rows) else rows
    return busy


def _machines(flows: FlowSet) -> FlowSet:
    """Return the connections of clients that ask for one thing again and again, or all where there are no such clients.

    In a flood beside ordinary visitors only the clients that carry evidence themselves are part of it.
    """
    paths, requests = flows.column("path_hash"), flows.column("requests").astype(np.int64)
    groups, clients = flows.sources
    values, counts = np.unique(paths, return_counts=True)
    same = paths == values[counts.argmax()]
    asked = np.bincount(groups, weights=requests, minlength=len(clients))
    repeated = flows.column("same_path_requests") * same
    alike = np.bincount(groups, weights=repeated, minlength=len(clients)) >= _ONE_TARGET_SHARE * asked
    if not alike.any():
        return flows
    alike &= asked >= max(2.0, 0.1 * float(np.median(asked[alike])))
    return flows.where(alike[groups]) if asked[alike].sum() >= 0.5 * asked.sum() else flows


def _request_vector(flows: FlowSet) -> str:
    """Name a flood by its methods, or by queries that are never the same twice."""
    requests = flows.column("requests").astype(np.int64)
    different = int(flows.column("varied_requests").sum()) + len(np.unique(flows.column("query_hash")))
    one_path = modal_share(flows.column("path_hash")) >= _ONE_TARGET_SHARE
    if one_path and requests.sum() >= _FEW_REQUESTS and different >= _ONE_TARGET_SHARE * requests.sum():
        return "http-cache-busting"
    prefix = flows.column("initiator_prefix")
    if float(begins_with(prefix, b"POST").mean()) >= 0.9:
        return "http-post-flood"
    return "http-get-flood" if float(begins_with(prefix, b"GET ").mean()) >= 0.9 else "http-flood"


def _weigh_requests(
    evidence: Evidence, flows: FlowSet, requests: np.ndarray, per_client: np.ndarray, settings: ApplicationSettings
) -> None:
    """Add what tells a machine's requests from people's: one target, one at a time, alike, without an answer."""
    paths = flows.column("path_hash")
    values, counts = np.unique(paths, return_counts=True)
    same = float(flows.column("same_path_requests")[paths == values[counts.argmax()]].sum() / requests.sum())
    if same >= _ONE_TARGET_SHARE and requests.sum() >= settings.flood_requests // 2:
        text = f"{same:.0%} of the requests are for the same path, and nothing that belongs to it"
        evidence.add("content", CLEAR, "R_ONE_TARGET", same, _ONE_TARGET_SHARE, text)
    clients = len(per_client)
    if (clients >= 10 and variation(per_client) <= 0.5) or (clients >= 5 and variation(per_client) <= 0.3):
        evidence.add("clients", FAIR, "R_CLIENTS_ALIKE", variation(per_client), 0.5, f"{clients:,} clients ask equally often")
    elif clients < 10 or float(per_client.max()) >= 20 * float(np.median(per_client)):
        share = float(per_client.max()) / float(per_client.sum())
        if share >= 0.5:
            evidence.add("clients", FAIR, "R_ONE_CLIENT", share, 0.5, f"one client sends {share:.0%} of the requests")
    answered = float(flows.column("responses").sum()) / float(requests.sum())
    errors = float(flows.column("error_responses").sum()) / max(float(flows.column("responses").sum()), 1.0)
    if answered <= 0.5 and float(flows.column("responder_packets").sum()) > 0:
        evidence.add("distress", FAIR, "R_UNANSWERED", answered, 0.5, f"{answered:.0%} of the requests get an answer")
    elif errors >= 0.5:
        evidence.add("distress", SLIGHT, "R_ERRORS", errors, 0.5, f"{errors:.0%} of the answers are errors")
    once = float((requests == 1).mean())
    if once >= 0.9 and len(flows) >= settings.flood_connections:
        evidence.add(
            "reuse", FAIR, "R_ONE_REQUEST_EACH", once, 0.9, f"{once:.0%} of the connections carry one request; browsers reuse theirs"
        )
