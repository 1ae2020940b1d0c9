"""Slow dialogues: connections kept open by saying almost nothing."""

import numpy as np

from floodmark.flows.flowset import FlowSet
from floodmark.settings import ApplicationSettings
from floodmark.verdicts.clients import begins_with, connections_where, most_at_once, service_host, service_of, services, variation
from floodmark.verdicts.context import Context
from floodmark.verdicts.weighing import FAIR, SLIGHT, STRONG, Evidence, Finding
from floodmark_core import kinds

# Ways to be slow, the most exact first: the vector, and what such a connection does.
_KINDS = (
    ("http-slow-headers", "send a head line by line and never end it"),
    ("slow-connection", "dribble lines until the server gives up"),  # of a head or a body: where it was joined does not show
    ("http-slow-post", "send a body octet by octet"),
    ("http-slow-read", "ask and then leave no room for the answer"),
    ("slow-connection", "dribble a few octets and get no answer"),
)
# What telling needs of each connection.
_SEEN = (
    "stage",
    "initiator_payload_packets",
    "initiator_payload_octets",
    "max_gap_ns",
    "requests",
    "initiator_small_packets",
    "responses",
    "error_responses",
    "small_window_packets",
    "initiator_packets",
    "responder_payload_octets",
    "responder_port",
    "last_seen_ns",
    "first_seen_ns",
    "initiator_prefix",
)
_POSTED_SHARE = 0.5
_WEB_PORTS = (80, 81, 8000, 8008, 8080, 8081, 8888)


def slow_connections(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Find connections kept open by saying almost nothing, by service."""
    rows = connections_where(context, lambda flows: np.any(_slow_kinds(flows, settings), axis=0))
    totals = {service_of(flows): len(flows) for flows in services(context, settings.slow_connections)} if len(rows) else {}
    found = []
    for flows in services(context, settings.slow_connections, rows):
        for (vector, text), mask in zip(_KINDS, _slow_kinds(flows, settings), strict=True):
            slow = flows.where(mask)
            if vector == "http-slow-headers" and len(slow) and _may_be_bodies(context, slow):
                vector = "slow-connection"  # noqa: PLW2901 - the parent is all that can be said
            finding = _slow(slow, (vector, text), totals[service_of(flows)], settings)
            if finding is not None:
                found.append(finding)
                break
    return found


def _may_be_bodies(context: Context, flows: FlowSet) -> bool:
    """Tell whether heads that seem to stay open may have ended where the capture does not show it, and bodies follow."""
    posted = float(begins_with(flows.column("initiator_prefix"), b"POST").mean()) >= _POSTED_SHARE
    return posted and (context.view.snaplen_cut or context.view.sampled is True)


def _slow(slow: FlowSet, kind: tuple[str, str], all_connections: int, settings: ApplicationSettings) -> Finding | None:
    """Weigh the connections to one service that are slow in one way."""
    vector, text = kind
    least = settings.slow_connections if kind != _KINDS[-1] else 4 * settings.slow_connections
    if len(slow) < least:
        return None
    at_once = most_at_once(slow)
    if at_once < least:
        return None
    evidence = Evidence()
    evidence.add("dialogue", STRONG, f"R_{vector.upper().replace('-', '_')}", len(slow), least, f"{len(slow):,} connections {text}")
    weight = FAIR if at_once < 4 * least else 2.0
    evidence.add("concurrency", weight, "R_OPEN_AT_ONCE", at_once, least, f"{at_once:,} of them were open at the same time")
    share = len(slow) / all_connections
    if share >= settings.slow_share:
        evidence.add("share", FAIR, "R_SHARE", share, settings.slow_share, f"{share:.0%} of the service's connections are like this")
    alike = variation(slow.column("initiator_payload_octets").astype(float))
    if alike <= settings.guessing_variation:
        evidence.add("uniformity", SLIGHT, "R_ALIKE", alike, settings.guessing_variation, "they say the same amount")
    return Finding(vector, [service_host(slow)], slow, evidence, [int(slow.column("responder_port")[0])])


def _slow_kinds(flows: FlowSet, settings: ApplicationSettings) -> list[np.ndarray]:
    """Tell of each connection whether it is slow, for each of _KINDS."""
    seen = flows.flows.columns(flows.index, _SEEN)
    stage, packets = seen["stage"], seen["initiator_payload_packets"]
    octets, age = seen["initiator_payload_octets"], (seen["last_seen_ns"] - seen["first_seen_ns"]) / 1e9
    gap_s = seen["max_gap_ns"] / 1e9
    requests, small = seen["requests"], seen["initiator_small_packets"]
    responses, errors = seen["responses"], seen["error_responses"]
    unanswered = responses == errors
    trickle = (octets * 8 < settings.slow_rate_bps * np.maximum(age, 1.0)) & (gap_s >= 1.0)
    is_post = begins_with(seen["initiator_prefix"], b"POST")
    old = age >= settings.slow_age_s
    half_old = age >= settings.slow_age_s / 4
    few_windows = seen["small_window_packets"] * 2 >= seen["initiator_packets"]
    # A head joined in the middle: header lines and nothing else, to a server that is silent or answers with an error.
    dribble = (requests == 0) & (small == packets) & (packets >= 1) & (octets / np.maximum(packets, 1) <= 64) & trickle & half_old
    silent = seen["responder_payload_octets"] == 0
    given_up = dribble & (((errors > 0) & unanswered) | (silent & (packets >= 2)))
    is_web = (responses > 0) | np.isin(seen["responder_port"], _WEB_PORTS)
    open_head = (requests > 0) & (stage & kinds.STAGE_HEAD_OPEN > 0) & trickle & half_old & unanswered & (packets >= 2)
    body = is_post & (stage & kinds.STAGE_HEAD_DONE > 0) & trickle & half_old & (packets >= 3) & unanswered
    stalled = (requests > 0) & few_windows & half_old & (seen["small_window_packets"] >= 3)
    return [open_head, given_up & is_web, body, stalled, dribble & silent & old & (packets >= 2)]
