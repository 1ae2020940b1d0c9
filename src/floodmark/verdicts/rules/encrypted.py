"""Request floods inside TLS, told without what is said: many short connections of one shape, opened faster than people do."""

import numpy as np

from floodmark.flows.flowset import FlowSet, modal_share
from floodmark.settings import ApplicationSettings
from floodmark.verdicts.clients import busiest, duration_s, service_host, services, variation
from floodmark.verdicts.context import Context
from floodmark.verdicts.weighing import CLEAR, FAIR, Evidence, Finding
from floodmark_core.flows import payload

_MOST_EXCHANGE_PACKETS = 8  # client's packets with payload: handshake, a request, the close
_SAME_SIZE_OCTETS = 64  # steps in which sizes are compared
_ALIKE_SHARE = 0.7  # of the connections that carry as much in both directions
_CAP = 0.7  # what is not read can be something else


def https_floods(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Find floods of requests over TLS."""
    greets = 2 * payload.TLS + payload.REQUEST
    rows = context.established[context.spoken.kind == greets]
    found = []
    least = settings.flood_connections // 2  # each of them is several packets of handshake
    for flows in services(context, least, rows):
        said = (flows.column("initiator_payload_packets") >= 2) & (flows.column("responder_payload_octets") > 0)
        brief = flows.where(said & (flows.column("initiator_payload_packets") <= _MOST_EXCHANGE_PACKETS) & (duration_s(flows) <= 30))
        if len(brief) >= least and len(brief) >= 0.5 * len(flows):
            finding = _https_flood(brief, len(flows), settings)
            if finding is not None:
                found.append(finding)
    return found


def _https_flood(flows: FlowSet, all_connections: int, settings: ApplicationSettings) -> Finding | None:
    up, down = (flows.column(f"{end}_payload_octets") // _SAME_SIZE_OCTETS for end in ("initiator", "responder"))
    _, place, counts = np.unique(up.astype(np.uint64) << np.uint64(32) | down, return_inverse=True, return_counts=True)
    alike = float(counts.max()) / len(flows)
    if alike >= _ALIKE_SHARE:
        flows = flows.where(place == counts.argmax())
    groups, clients = flows.sources
    per_client = np.bincount(groups, minlength=len(clients))
    rate = busiest(flows.column("first_seen_ns"), np.ones(len(flows), np.int64), flows.span_s)
    fastest = float(per_client.max()) / max(flows.span_s, 1.0)
    # Machines that do one thing are a flood at a lower rate than visitors are.
    floor = settings.insistent_service_rate_pps if alike >= _ALIKE_SHARE else settings.service_request_rate_pps
    if rate < floor and fastest < settings.request_rate_pps:
        return None
    evidence = Evidence()
    if rate >= floor:
        weight = CLEAR if rate >= 10 * floor else FAIR
        evidence.add("magnitude", weight, "R_CONNECTION_RATE", rate, floor, f"{rate:,.0f} TLS connections a second, each for one exchange")
    if fastest >= settings.request_rate_pps:
        floor = settings.request_rate_pps
        evidence.add("source", FAIR, "R_CONNECTIONS_PER_SOURCE", fastest, floor, f"one client opens {fastest:,.0f} a second")
    if alike >= _ALIKE_SHARE:
        evidence.add("uniformity", CLEAR, "R_SAME_EXCHANGE", alike, _ALIKE_SHARE, f"{alike:.0%} of them carry as much in both directions")
    elif modal_share(up) >= 0.8:
        evidence.add("uniformity", FAIR, "R_SAME_REQUEST", modal_share(up), 0.8, f"{modal_share(up):.0%} of the requests have one size")
    if len(clients) >= 5 and variation(per_client) <= 0.5:
        text = f"{len(clients):,} clients connect equally often"
        evidence.add("clients", FAIR, "R_CLIENTS_ALIKE", variation(per_client), 0.5, text)
    elif per_client.max() >= 0.5 * len(flows):
        share = float(per_client.max()) / len(flows)
        evidence.add("clients", FAIR, "R_ONE_CLIENT", share, 0.5, f"one client opens {share:.0%} of them")
    share = len(flows) / all_connections
    if share >= 0.8:
        evidence.add("share", FAIR, "R_SHARE", share, 0.8, f"{share:.0%} of the service's connections are like this; browsers keep theirs")
    evidence.cap(_CAP, "inside TLS: the requests themselves cannot be read")
    return Finding("https-flood", [service_host(flows)], flows, evidence, [int(flows.column("responder_port")[0])])
