"""HTTP/2 in the clear: streams that are opened only to be cancelled, heads that never end."""

import numpy as np

from floodmark.flows.flowset import FlowSet
from floodmark.settings import ApplicationSettings
from floodmark.verdicts.clients import service_host, services
from floodmark.verdicts.context import Context
from floodmark.verdicts.weighing import CLEAR, FAIR, STRONG, Evidence, Finding
from floodmark_core.flows import payload

_LEAST_FRAMES = 20  # of one connection that takes part
_RESET_SHARE = 0.5  # of the streams of one connection; Envoy's limit
_CONTINUATIONS_A_HEAD = 8.0  # nghttp2's limit


def http2_floods(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Find rapid resets and floods of CONTINUATION frames."""
    rows = context.established[context.spoken.kind == 2 * payload.HTTP2]
    found = []
    for flows in services(context, 1, rows):
        heads, resets, parts = (flows.column(name).astype(np.int64) for name in ("requests", "resets", "continuations"))
        cancelled = flows.where((resets >= _LEAST_FRAMES) & (resets >= _RESET_SHARE * heads))
        endless = flows.where((parts >= _LEAST_FRAMES) & (parts > _CONTINUATIONS_A_HEAD * np.maximum(heads, 1)))
        for part, column, vector, rule, text in (
            (cancelled, "resets", "http2-rapid-reset", "R_STREAMS_RESET", "streams are opened and cancelled at once"),
            (endless, "continuations", "http2-continuation-flood", "R_ENDLESS_HEADS", "frames continue heads that do not end"),
        ):
            if len(part) and int(part.column(column).sum()) >= settings.flood_resets:
                found.append(_flood(part, column, (vector, rule, text), settings))
    return found


def _flood(flows: FlowSet, column: str, kind: tuple[str, str, str], settings: ApplicationSettings) -> Finding:
    """Weigh the connections that do one of the two. kind: vector, rule and what they do."""
    vector, rule, text = kind
    count = int(flows.column(column).sum())
    evidence = Evidence()
    evidence.add("frames", STRONG, rule, count, settings.flood_resets, f"{count:,} {text}")
    rate, floor = count / max(flows.span_s, 0.1), settings.reset_rate_pps
    if rate >= floor:
        weight = CLEAR if rate >= 3 * floor else FAIR
        evidence.add("magnitude", weight, "R_FRAME_RATE", rate, floor, f"{rate:,.0f} of them a second")
    answered = float(flows.column("responses").sum()) / count
    if answered <= 0.5:
        evidence.add("waste", FAIR, "R_UNANSWERED", answered, 0.5, f"{answered:.0%} as many answers: the work is done for nothing")
    return Finding(vector, [service_host(flows)], flows, evidence, [int(flows.column("responder_port")[0])])
