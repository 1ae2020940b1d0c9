"""Write a result as one self-contained page: no network, no fonts, no other file.

This module computes plain values; ``assets/page.html`` renders them.
"""

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from floodmark.base.writing import appearing_whole
from floodmark.claims.assets import AssetSummary
from floodmark.events.events import Event
from floodmark.events.makeup import Share
from floodmark.report.templates import asset, policy, template
from floodmark.report.text import sentence
from floodmark.result.distributions import Distribution
from floodmark.result.result import Result, tool
from floodmark.result.timeline import Timeline
from floodmark.settings import settings_text
from floodmark.vocabulary.vectors import RECORDS, Verdict, title_of

_BINS, _ROWS = 480, 24  # bins of the timeline, rows of its table
_MOST_EVENTS = 50  # that are shown in full: those with most packets
_MOST_LISTED, _MOST_CAPTURES = 500, 300  # that have a row
_MOST_SERIES = 7  # vectors in the timeline; the others share one
_BAR_WIDTH, _BAR_HEIGHT = 8, 120  # of a histogram
_MAKEUP = (
    ("prefixes", "Source prefixes"), ("source_ports", "Source ports"), ("ports", "Ports of the victim"), ("payloads", "Payloads"),
    ("packet_octets", "Packet sizes (IP bytes)"), ("ttls", "TTLs of the flows' first packets"),
)  # fmt: skip


def write_page(path: str, result: Result, assets: tuple[AssetSummary, ...] = ()) -> None:
    """Write the page. assets: summaries, if requested. Raises OutputError."""
    text = page_of(result, assets)
    with appearing_whole(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def page_of(result: Result, assets: tuple[AssetSummary, ...] = ()) -> str:
    """Return the page as HTML."""
    library, script = asset("uplot/uPlot.iife.min.js"), asset("page.js")
    style = asset("uplot/uPlot.min.css") + asset("page.css")
    timeline = result.flows.timeline(_BINS)
    return template("page.html").render(
        policy=policy((library, script), style),
        library=library,
        script=script,
        style=style,
        data=json.dumps(_chart(result, timeline), separators=(",", ":")).replace("<", "\\u003c"),
        **_summary(result),
        assets=assets,
        bin_s=timeline.bin_ns / 1e9,
        rows=_rows(timeline) if len(result.flows) else [],
        events=[_event(result, event) for event in _largest(result.events)],
        listed=result.events[:_MOST_LISTED],
        told={event.id for event in _largest(result.events)},
        captures=result.captures[:_MOST_CAPTURES],
    )


def _largest(events: tuple[Event, ...]) -> list[Event]:
    """Return the events that are shown in full, in order."""
    most = sorted(range(len(events)), key=lambda place: -events[place].packets)[:_MOST_EVENTS]
    return [events[place] for place in sorted(most)]


def _summary(result: Result) -> dict[str, Any]:
    """Return the values about the whole result."""
    total = sum(count.packets for count in result.verdicts.values())
    worst = max(result.events, key=lambda event: event.packets, default=None)
    return {
        "result": result,
        "tool": tool(),
        "answer": "No flow to classify" if not result.totals.packets_in_flows else sentence(worst) if worst else "No attack found",
        "is_calm": worst is None,
        "shares": {verdict: count.packets / total if total else 0.0 for verdict, count in result.verdicts.items()},
        "classes": [str(verdict) for verdict in Verdict],
        "profile": asdict(result.profile),
        "settings": settings_text(result.settings),
        "title_of": title_of,
        "first_ns": min((capture.first_seen_ns for capture in result.captures if capture.first_seen_ns is not None), default=None),
        "last_ns": max((capture.last_seen_ns for capture in result.captures if capture.last_seen_ns is not None), default=None),
    }


def _chart(result: Result, timeline: Timeline) -> dict[str, Any]:
    """Return the rates in the timeline: of ordinary traffic, of the vectors with most packets, of all others."""
    vector_of = {event.id: event.vector for event in result.events}
    sums: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for row, event in enumerate(timeline.events):
        packets, nbytes = sums.get(vector_of[event], (0, 0))
        sums[vector_of[event]] = (packets + timeline.packets[row], nbytes + timeline.nbytes[row])
    most = sorted(sums, key=lambda vector: -float(sums[vector][0].sum()))
    chosen, others = most[:_MOST_SERIES], most[_MOST_SERIES:]
    rest = (
        sum((sums[vector][0] for vector in others), timeline.packets[len(timeline.events)]),
        sum((sums[vector][1] for vector in others), timeline.nbytes[len(timeline.events)]),
    )
    series = [("ordinary traffic", timeline.packets[-1], timeline.nbytes[-1])]
    series += [(title_of(vector), *sums[vector]) for vector in chosen]
    if rest[0].any():
        series.append(("other attacks", *rest))
    seconds = timeline.bin_ns / 1e9
    if not len(result.flows):
        return {"t": [], "series": []}
    return {
        "t": [round(timeline.start_ns / 1e9 + place * seconds, 6) for place in range(timeline.packets.shape[1])],
        "series": [
            {"name": name, "pps": (packets / seconds).round(2).tolist(), "bps": (nbytes * 8 / seconds).round(0).tolist()}
            for name, packets, nbytes in series
        ],
    }


def _rows(timeline: Timeline) -> list[dict[str, Any]]:
    """Return the timeline as the rows of a table."""
    bins = timeline.packets.shape[1] // _ROWS
    ordinary, attacks = timeline.packets[-1], timeline.packets[:-1].sum(axis=0)
    return [
        {
            "start_ns": timeline.start_ns + int(row * bins * timeline.bin_ns),
            "ordinary": float(ordinary[row * bins : (row + 1) * bins].sum()),
            "attack": float(attacks[row * bins : (row + 1) * bins].sum()),
        }
        for row in range(_ROWS)
    ]


def _event(result: Result, event: Event) -> dict[str, Any]:
    """Return the values for the section of an event."""
    ttls, sizes = result.flows.distributions(event.id)
    entry = RECORDS[event.vector]
    return {
        "event": event,
        "sentence": sentence(event),
        "entry": entry,
        "parts": [(title, getattr(event.makeup, name)) for name, title in _MAKEUP if getattr(event.makeup, name)],
        "histograms": [
            _histogram(
                "TTLs of the flows' first packets", ttls, "one machine behind forged addresses shows few values; many real hosts show many"
            ),
            _histogram("Packet sizes, IP bytes", sizes, "packets of a tool are of similar size; those of people are not"),
        ],
        "bars": _bars,
    }


def _bars(shares: tuple[Share, ...]) -> list[dict[str, Any]]:
    """Return shares as bars of 200 units: the attack's, and the part of it that ordinary traffic to the victim has too."""
    return [
        {"share": part, "width": round(200 * part.share, 1), "ordinary": round(200 * part.share * (part.ordinary or 0.0), 1)}
        for part in shares
    ]


def _histogram(title: str, distribution: Distribution, about: str) -> dict[str, Any]:
    """Return a distribution as bars, the attack's beside ordinary traffic's."""
    most = max(float(distribution.attack.max()), float(distribution.ordinary.max()), 1e-9)
    last = len(distribution.attack) - 1
    bars = []
    for place, (attack, ordinary) in enumerate(zip(distribution.attack.tolist(), distribution.ordinary.tolist(), strict=True)):
        low = place * distribution.step
        label = f"{low} and more" if place == last and distribution.step > 4 else f"{low} to {low + distribution.step - 1}"
        bars.append(
            {"x": place * _BAR_WIDTH, "attack": round(_BAR_HEIGHT * attack / most, 1), "ordinary": round(_BAR_HEIGHT * ordinary / most, 1),
             "label": label, "attack_share": attack, "ordinary_share": ordinary}
        )  # fmt: skip
    return {"title": title, "about": about, "bars": bars, "width": _BAR_WIDTH * len(bars), "height": _BAR_HEIGHT}
