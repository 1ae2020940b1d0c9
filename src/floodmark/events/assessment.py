"""Report what cannot be judged in a capture, and why: a rule that lacks data says so instead of staying silent."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from floodmark.events.events import Judged
from floodmark.flows.flowset import SAMPLE
from floodmark.verdicts.context import Context
from floodmark.verdicts.prefixes import FLOOD_SHAPES
from floodmark.verdicts.registry import RuleSettings
from floodmark.vocabulary.vectors import RECORDS, VECTORS, Verdict, family, told_by
from floodmark_core.columns import I64
from floodmark_core.protocols import TCP


@dataclass(frozen=True)
class NotAssessable:
    """Vectors that could be in the traffic without showing, and why."""

    why: str
    vectors: tuple[str, ...]


_VOLUMETRIC = frozenset(name for name, vector in RECORDS.items() if vector.verdict is Verdict.VOLUMETRIC)
_APPLICATION = frozenset(RECORDS) - _VOLUMETRIC
_SCANS = family("port-scan")
_SAID, _ANSWERED, _WHOLE, _RATED = (told_by(what) for what in ("payload", "answers", "dialogues", "rate"))
_HOSTS_LOOKED_AT = 20
_ENOUGH_TCP = 10_000
_UNSETTLED = told_by("outcomes")


def not_assessable(context: Context, settings: RuleSettings, judged: Judged, span_s: float) -> tuple[NotAssessable, ...]:
    """List what this capture cannot show, one entry for each reason; a vector is listed under the first reason that applies."""
    named: set[str] = set()
    found = []
    for why, vectors in _reasons(context, settings, judged, span_s):
        left = tuple(vector for vector in VECTORS if vector in vectors and vector not in named)
        if left:
            named |= set(left)
            found.append(NotAssessable(why, left))
    return tuple(found)


def _reasons(context: Context, settings: RuleSettings, judged: Judged, span_s: float) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield each reason why the capture does not show the traffic in full, and the vectors that it hides."""
    volumetric, view = settings.volumetric, context.view
    most = int(context.hosts.received_packets.max()) if len(context.hosts.received_packets) else 0
    if most < volumetric.flood_packets:
        text = f"no host received more than {most:,} packets; a flood needs at least {volumetric.flood_packets} to be recognised"
        yield text, _VOLUMETRIC | (_APPLICATION - _SCANS)
    if view.sampled:
        covered = f" ({view.coverage:.0%} of the bytes of TCP streams are present)" if view.coverage is not None else ""
        yield f"packets are missing, as in a sample{covered}: dialogues cannot be followed", _WHOLE
        yield "the sampling rate is unknown: traffic below the rate thresholds in the sample may have exceeded them", _RATED
    elif view.sampled is None and (unexplained := _unexplained(context, judged, volumetric.flood_packets)):
        host, packets = unexplained
        text = f"packets may be missing: {packets:,} to {host} are no flood if the capture is complete, but would be one in a sample"
        yield text, _RATED
    if view.payload_missing:
        yield "payload is truncated or overwritten", _SAID
    if context.shapes.one_sided:
        yield "the capture holds one direction only; replies are missing", _ANSWERED
    elif context.shapes.one_sided is None:
        yield "no dialogue shows whether the capture includes replies", _ANSWERED
    yield from _too_little(context, settings, span_s)


def _too_little(context: Context, settings: RuleSettings, span_s: float) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the vectors that a capture is too small or too short for, and why."""
    application, segments = settings.application, _tcp_packets(context)
    if segments < 2 * application.flood_requests:
        text = f"{segments:,} TCP packets: too few for {application.flood_requests} requests or connections"
        yield text, family("http-flood", "connection-flood", "mqtt-flood", "protocol-abuse")
    if span_s < application.slow_age_s / 4:
        yield f"{span_s:.3g} s is too short to recognise slow connections", family("slow-connection")
    if span_s < 1.0:
        yield "shorter than a second: the outcome of connections is not visible", _UNSETTLED
    if span_s < application.guessing_window_s:
        text = f"password guessing slower than {application.guessing_connections} log-ins in {span_s:.3g} s could not be detected"
        yield text, family("bruteforce")


def _unexplained(context: Context, judged: Judged, least: int) -> tuple[str, int] | None:
    """Return the host with most packets of one flood shape that belong to no event, and their number; None if they are few."""
    most: tuple[str, int] | None = None
    for shape in FLOOD_SHAPES:
        for host in context.hosts.hosts_with(shape, least)[:_HOSTS_LOOKED_AT]:
            packets = context.hosts.shaped(host, shape).unnumbered(judged.event_of).total_packets
            if packets >= max(least, most[1] if most else 0):
                most = str(context.hosts.host(host)), packets
    return most


def _tcp_packets(context: Context) -> int:
    """Return the number of packets of all TCP flows, counted no further than needed."""
    flows = context.flows
    total = 0
    for start in range(0, len(flows), SAMPLE):
        rows: I64 = np.arange(start, min(start + SAMPLE, len(flows)), dtype=np.int64)
        seen = flows.columns(rows.astype(np.uint32), ("protocol", "initiator_packets", "responder_packets"))
        total += int((seen["initiator_packets"] + seen["responder_packets"])[seen["protocol"] == TCP].sum())
        if total >= _ENOUGH_TCP:
            break
    return total
