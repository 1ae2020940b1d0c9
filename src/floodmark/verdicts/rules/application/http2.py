"""Attacks over cleartext HTTP/2: streams opened only to be cancelled, headers that never end."""

from typing import Any, NamedTuple

import numpy as np

from floodmark.base.thresholds import Checked, declares, threshold
from floodmark.flows.flowset import FlowSet
from floodmark.verdicts.clients import service_host, services
from floodmark.verdicts.declaring import Case, Family, Judge
from floodmark.verdicts.weighing import CLEAR, FAIR, STRONG, Evidence, Finding, Rule
from floodmark_core.flows import payload


@declares
class Http2Thresholds(Checked):
    """Thresholds for floods of HTTP/2 frames."""

    flood_resets: int = threshold(
        100, "streams cancelled, or CONTINUATION frames, of all connections that take part", "Envoy allows 250 resets a second"
    )
    reset_rate_fps: float = threshold(33.0, "such frames, mean over the event", "nghttp2's stream_reset_rate")
    http2_connection_frames: int = threshold(20, "fewest such frames of one connection that takes part")
    http2_reset_share: float = threshold(0.5, "of the streams of one connection that are cancelled", "Envoy's limit")
    http2_head_frames: float = threshold(8.0, "CONTINUATION frames of each head in one connection: more are a flood", "nghttp2's limit")
    http2_shortest_s: float = threshold(0.1, "over which a rate of frames is taken, at least")
    http2_clear_times: float = threshold(3.0, "reset_rate_fps, from which on the rate is clear evidence")
    http2_answered_share: float = threshold(0.5, "responses for each such frame, at most")


STREAMS_RESET = Rule(
    "R_STREAMS_RESET", "frames", "HTTP/2 streams that the clients cancel",
    "the clients open and cancel {measured:,.0f} streams",
    "Each cancelled request costs the server work and the client nothing (rapid reset, CVE-2023-44487).", "flood_resets",
)  # fmt: skip
ENDLESS_HEADS = Rule(
    "R_ENDLESS_HEADS", "frames", "CONTINUATION frames in connections with too many of them for each HEADERS frame",
    "{measured:,.0f} CONTINUATION frames follow, more than {limit:g} for each request",
    "The server has to keep headers that never end in memory.", "flood_resets",
)  # fmt: skip
FRAME_RATE = Rule(
    "R_FRAME_RATE", "magnitude", "such frames a second, mean over the event",
    "the clients send {measured:,.0f} {what} a second",
    "Browsers cancel a stream now and then; only a tool does so at this rate.", "reset_rate_fps",
)  # fmt: skip
FRAMES_UNANSWERED = Rule(
    "R_FRAMES_UNANSWERED", "waste", "responses for each cancelled stream or CONTINUATION frame",
    "the capture holds only {measured:.0%} as many responses as {what}",
    "The server works on requests whose responses nobody receives.", "http2_answered_share",
)  # fmt: skip


class _Kind(NamedTuple):
    """A kind of frame flood: its vector, the column that counts its frames, its rule, and the frames' name in a sentence."""

    vector: str
    column: str
    rule: Rule
    what: str


_RESETS = _Kind("http2-rapid-reset", "resets", STREAMS_RESET, "RST_STREAM frames")
_CONTINUATIONS = _Kind("http2-continuation-flood", "continuations", ENDLESS_HEADS, "CONTINUATION frames")


def http2_floods(case: Case[Any, Http2Thresholds]) -> list[Finding]:
    """Find rapid resets and floods of CONTINUATION frames."""
    context, settings = case.context, case.application
    rows = context.shapes.established[context.shapes.spoken.kind == 2 * payload.HTTP2]
    found = []
    least = settings.http2_connection_frames
    for flows in services(context, 1, rows):
        heads, resets, parts = (flows.column(name).astype(np.int64) for name in ("requests", "resets", "continuations"))
        cancelled = flows.where((resets >= least) & (resets >= settings.http2_reset_share * heads))
        endless = flows.where((parts >= least) & (parts > settings.http2_head_frames * np.maximum(heads, 1)))
        for part, kind in ((cancelled, _RESETS), (endless, _CONTINUATIONS)):
            if len(part) and int(part.column(kind.column).sum()) >= settings.flood_resets:
                found.append(_flood(part, kind, settings))
    return found


def _flood(flows: FlowSet, kind: _Kind, settings: Http2Thresholds) -> Finding:
    """Weigh the connections of one kind of flood."""
    count = int(flows.column(kind.column).sum())
    evidence = Evidence()
    evidence.add(kind.rule, STRONG, count, settings.flood_resets, limit=settings.http2_head_frames)
    rate, floor = count / max(flows.span_s, settings.http2_shortest_s), settings.reset_rate_fps
    if rate >= floor:
        evidence.add(FRAME_RATE, CLEAR if rate >= settings.http2_clear_times * floor else FAIR, rate, floor, what=kind.what)
    answered = float(flows.column("responses").sum()) / count
    if answered <= settings.http2_answered_share:
        evidence.add(FRAMES_UNANSWERED, FAIR, answered, settings.http2_answered_share, what=kind.what)
    return Finding(kind.vector, [service_host(flows)], flows, evidence, [int(flows.column("responder_port")[0])])


FAMILY = Family(
    "http2",
    "application",
    Http2Thresholds,
    (
        Judge(
            "http2-floods",
            http2_floods,
            ("http2-rapid-reset", "http2-continuation-flood"),
            (STREAMS_RESET, ENDLESS_HEADS, FRAME_RATE, FRAMES_UNANSWERED),
            after=("sip-floods",),
        ),
    ),
)
