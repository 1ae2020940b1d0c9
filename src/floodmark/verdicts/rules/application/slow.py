"""Slow attacks: connections kept open by sending almost nothing."""

from typing import Any, NamedTuple

import numpy as np

from floodmark.base.thresholds import Checked, declares, threshold
from floodmark.flows.flowset import FlowSet
from floodmark.verdicts.clients import begins_with, connections_where, most_at_once, number_services, service_host, services, variation
from floodmark.verdicts.context import Context
from floodmark.verdicts.declaring import Case, Family, Judge
from floodmark.verdicts.rules.application.guessing import ALIKE
from floodmark.verdicts.weighing import FAIR, SLIGHT, SOLID, STRONG, Evidence, Finding, Rule
from floodmark_core import kinds
from floodmark_core.protocols import SECOND_NS

# Columns needed to classify a connection.
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
_WEB_PORTS = (80, 81, 8000, 8008, 8080, 8081, 8888)


@declares
class SlowThresholds(Checked):
    """Thresholds for a slow connection, and for how many of them are an attack."""

    slow_connections: int = threshold(5, "fewest to one service that are slow in one way and open at the same time")
    slow_silent_times: float = threshold(4.0, "slow_connections: fewest where the service says nothing, and nothing shows what is sent")
    slow_clear_times: float = threshold(4.0, "the fewest connections: from so many open at the same time on they weigh more")
    slow_age_s: float = threshold(20.0, "least age of a slow connection to a silent service", "Apache mod_reqtimeout header=20, body=20")
    slow_early_age_times: float = threshold(0.25, "slow_age_s: least age where the dialogue shows in which way it is slow")
    slow_rate_bps: float = threshold(
        4000.0, "payload of the client, mean over the connection, below it", "Apache mod_reqtimeout MinRate, 500 bytes a second"
    )
    slow_gap_s: float = threshold(1.0, "longest pause of a slow connection, at least")
    slow_piece_bytes: float = threshold(64.0, "mean payload of the pieces in which a client sends, at most")
    slow_silent_packets: int = threshold(2, "fewest packets with payload to a service that says nothing")
    slow_head_packets: int = threshold(2, "fewest packets with payload of headers that are held back")
    slow_body_packets: int = threshold(3, "fewest packets with payload of a body that is held back")
    slow_window_packets: int = threshold(3, "fewest packets of a client that leave almost no room for the response, 1,024 bytes or less")
    slow_window_share: float = threshold(0.5, "of the client's packets that leave almost no room")
    slow_posted_share: float = threshold(0.5, "of the connections that begin with POST: bodies may follow headers whose end is not seen")
    slow_share: float = threshold(0.5, "of the service's connections that are slow in this way")
    slow_alike_variation: float = threshold(0.3, "of the client's bytes in each connection, at most")


HTTP_SLOW_HEADERS = Rule(
    "R_HTTP_SLOW_HEADERS", "dialogue", "connections that trickle HTTP request headers",
    "{measured:,} connections trickle HTTP request headers and never complete them",
    "A real client sends its request headers at once; held back, they occupy a place in the server.", "slow_connections",
)  # fmt: skip
HTTP_SLOW_POST = Rule(
    "R_HTTP_SLOW_POST", "dialogue", "connections that trickle a POST body",
    "{measured:,} connections trickle the body of an HTTP POST",
    "A real client sends its body as fast as the line allows; a trickle occupies a place in the server.", "slow_connections",
)  # fmt: skip
HTTP_SLOW_READ = Rule(
    "R_HTTP_SLOW_READ", "dialogue", "connections whose client asks and then offers a window of at most 1,024 bytes",
    "{measured:,} connections ask and then leave almost no room for the response",
    "The server has to hold the response while the client leaves no room for it.", "slow_connections",
)  # fmt: skip
SLOW_CONNECTION = Rule(
    "R_SLOW_CONNECTION", "dialogue", "connections that trickle bytes and get no answer, or only errors",
    "{measured:,} connections {does}",
    "A real client says what it wants at once; a trickle occupies a place in the server. "
    "Compared with slow_connections, times slow_silent_times where nothing shows what is sent.",
)  # fmt: skip
OPEN_AT_ONCE = Rule(
    "R_OPEN_AT_ONCE", "concurrency", "slow connections that were open at the same time",
    "{measured:,} of the slow connections were open at the same time",
    "Only connections that are open together exhaust a server. "
    "Compared with slow_connections, times slow_silent_times where nothing shows what is sent.",
)  # fmt: skip
SLOW_SHARE = Rule(
    "R_SLOW_SHARE", "share", "share of the connections to the service that are slow in this way",
    "{measured:.0%} of the connections to this service are this slow",
    "A few odd clients are normal; most connections of a service being like this is not.", "slow_share",
)  # fmt: skip


class _Kind(NamedTuple):
    """A way to be slow: its vector, the rule that describes such connections, and how many of them it takes."""

    vector: str
    rule: Rule
    times: float = 1.0  # fewest connections, as a multiple of slow_connections
    does: str = ""  # fills in the rule's sentence, if that leaves it open


# Headers that may have ended unseen: only the parent vector is certain.
_HEADERS_OR_BODY = _Kind("slow-connection", SLOW_CONNECTION, does="trickle an HTTP POST; the capture does not show whether headers or body")


def _kinds(settings: SlowThresholds) -> tuple[_Kind, ...]:
    """Return the ways to be slow, most exact first."""
    return (
        _Kind("http-slow-headers", HTTP_SLOW_HEADERS),
        # Headers or body: the capture joined in the middle, so which one does not show.
        _Kind("slow-connection", SLOW_CONNECTION, does="trickle small pieces to a web server and get only errors or no answer"),
        _Kind("http-slow-post", HTTP_SLOW_POST),
        _Kind("http-slow-read", HTTP_SLOW_READ),
        _Kind("slow-connection", SLOW_CONNECTION, settings.slow_silent_times, "trickle a few bytes and get no answer"),
    )


def slow_connections(case: Case[Any, SlowThresholds]) -> list[Finding]:
    """Find connections kept open by sending almost nothing, by service."""
    context, settings = case.context, case.application
    rows = connections_where(context, lambda flows: np.any(_slow_kinds(flows, settings), axis=0))
    if len(rows) < settings.slow_connections:
        return []
    groups, leaders = number_services(context, context.shapes.established)
    totals = np.bincount(groups, minlength=len(leaders))
    found = []
    for flows in services(context, settings.slow_connections, rows):
        everyone = int(totals[groups[np.searchsorted(context.shapes.established, flows.index[0])]])
        for kind, mask in zip(_kinds(settings), _slow_kinds(flows, settings), strict=True):
            slow = flows.where(mask)
            unsure = kind.rule is HTTP_SLOW_HEADERS and len(slow) > 0 and _may_be_bodies(context, slow, settings)
            finding = _slow(slow, _HEADERS_OR_BODY if unsure else kind, everyone, settings)
            if finding is not None:
                found.append(finding)
                break
    return found


def _may_be_bodies(context: Context, flows: FlowSet, settings: SlowThresholds) -> bool:
    """Return whether headers that seem to stay open may have ended without the capture showing it, with bodies following."""
    posted = float(begins_with(flows.column("initiator_prefix"), b"POST").mean()) >= settings.slow_posted_share
    return posted and (context.view.snaplen_cut or context.view.sampled is True)


def _slow(slow: FlowSet, kind: _Kind, all_connections: int, settings: SlowThresholds) -> Finding | None:
    """Weigh the connections to one service that are slow in one way."""
    least = kind.times * settings.slow_connections
    if len(slow) < least:
        return None
    at_once = most_at_once(slow)
    if at_once < least:
        return None
    evidence = Evidence()
    evidence.add(kind.rule, STRONG, len(slow), least, does=kind.does)
    evidence.add(OPEN_AT_ONCE, FAIR if at_once < settings.slow_clear_times * least else SOLID, at_once, least)
    share = len(slow) / all_connections
    if share >= settings.slow_share:
        evidence.add(SLOW_SHARE, FAIR, share, settings.slow_share)
    alike = variation(slow.column("initiator_payload_octets").astype(float))
    if alike <= settings.slow_alike_variation:
        evidence.add(ALIKE, SLIGHT, alike, settings.slow_alike_variation, what="what the client sends")
    return Finding(kind.vector, [service_host(slow)], slow, evidence, [int(slow.column("responder_port")[0])])


def _slow_kinds(flows: FlowSet, settings: SlowThresholds) -> list[np.ndarray]:
    """Return for each of _kinds a mask of the connections that are slow in this way."""
    seen = flows.flows.columns(flows.index, _SEEN)
    stage, packets = seen["stage"], seen["initiator_payload_packets"]
    sent_bytes, age = seen["initiator_payload_octets"], (seen["last_seen_ns"] - seen["first_seen_ns"]) / SECOND_NS
    gap_s = seen["max_gap_ns"] / SECOND_NS
    requests, small = seen["requests"], seen["initiator_small_packets"]
    responses, errors = seen["responses"], seen["error_responses"]
    unanswered = responses == errors
    trickle = (sent_bytes * 8 < settings.slow_rate_bps * np.maximum(age, 1.0)) & (gap_s >= settings.slow_gap_s)
    is_post = begins_with(seen["initiator_prefix"], b"POST")
    old = age >= settings.slow_age_s
    aged = age >= settings.slow_early_age_times * settings.slow_age_s
    few_windows = seen["small_window_packets"] >= settings.slow_window_share * seen["initiator_packets"]
    # Headers joined in the middle: header lines and nothing else, to a server that is silent or responds with an error.
    in_pieces = (small == packets) & (packets > 0) & (sent_bytes / np.maximum(packets, 1) <= settings.slow_piece_bytes)
    dribble = (requests == 0) & in_pieces & trickle & aged
    silent = (seen["responder_payload_octets"] == 0) & (packets >= settings.slow_silent_packets)
    given_up = dribble & (((errors > 0) & unanswered) | silent)
    is_web = (responses > 0) | np.isin(seen["responder_port"], _WEB_PORTS)
    open_head = (requests > 0) & (stage & kinds.STAGE_HEAD_OPEN > 0) & trickle & aged & unanswered
    open_head &= packets >= settings.slow_head_packets
    body = is_post & (stage & kinds.STAGE_HEAD_DONE > 0) & trickle & aged & (packets >= settings.slow_body_packets) & unanswered
    stalled = (requests > 0) & few_windows & aged & (seen["small_window_packets"] >= settings.slow_window_packets)
    return [open_head, given_up & is_web, body, stalled, dribble & silent & old]


FAMILY = Family(
    "slow",
    "application",
    SlowThresholds,
    (
        Judge(
            "slow-connections",
            slow_connections,
            ("slow-connection", "http-slow-headers", "http-slow-post", "http-slow-read"),
            (HTTP_SLOW_HEADERS, SLOW_CONNECTION, HTTP_SLOW_POST, HTTP_SLOW_READ, OPEN_AT_ONCE, SLOW_SHARE, ALIKE),
            after=("middlebox-reflections",),
        ),
    ),
)
