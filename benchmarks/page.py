"""Write the figures as one page with plots: reliability, recall by vector, degraded captures, comparison with other methods."""

import base64
import html
import io
from collections import Counter, defaultdict
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from judging import Judged

mpl.use("agg")

Figures = tuple[
    list[tuple[float, float, int]], dict[str, Counter[str]], dict[str, tuple[int, int, float]], dict[str, tuple[int, int, int, int]]
]
OUTCOMES = ("right", "not assessable", "missed", "wrong")
COLOURS = ("#2a7f62", "#9bbfae", "#d9a441", "#b3372f")


def write_page(path: Path, judged: list[Judged], figures: Figures) -> None:
    """Write a self-contained page."""
    bins, grid, strengths, others = figures
    parts = [("How much a confidence means", reliability_plot(bins)), ("Attacks named, by vector", vectors_plot(judged))]
    if grid:
        parts.append(("Degraded captures", grid_plot(grid)))
    if strengths:
        parts.append(("From one packet in a hundred to nearly all", strengths_plot(strengths)))
    if others:
        parts.append(("Other methods on the same captures", others_plot(others)))
    body = "".join(f"<h2>{html.escape(title)}</h2><img alt='{html.escape(title)}' src='{_inline(figure)}'>" for title, figure in parts)
    style = "body{font:16px sans-serif;max-width:60em;margin:2em auto;padding:0 1em}img{max-width:100%}"
    page = f"<!doctype html><html lang=en><meta charset=utf-8><title>floodmark, evaluated</title><style>{style}</style>"
    path.write_text(f"{page}<h1>How often floodmark is right</h1>{body}</html>", encoding="utf-8")


def _inline(figure: Figure) -> str:
    out = io.BytesIO()
    figure.savefig(out, format="svg", bbox_inches="tight")
    plt.close(figure)
    return "data:image/svg+xml;base64," + base64.b64encode(out.getvalue()).decode()


def reliability_plot(bins: list[tuple[float, float, int]]) -> Figure:
    """Plot the share of events that are right against the reported confidence."""
    figure, axes = plt.subplots(figsize=(5, 4))
    axes.plot([0.5, 1], [0.5, 1], color="#999999", linewidth=1)
    axes.scatter([said for said, *_ in bins], [right for _, right, _ in bins], s=[20 + events for *_, events in bins], color=COLOURS[0])
    axes.set(xlabel="confidence said", ylabel="share that is right", xlim=(0.5, 1.02), ylim=(0, 1.05))
    return figure


def vectors_plot(judged: list[Judged]) -> Figure:
    """Plot the outcomes of the attacks of each vector."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in judged:
        for vector, outcome in one.outcomes:
            counts[vector][outcome] += 1
    return _stacked({vector: counts[vector] for vector in sorted(counts, reverse=True)})


def grid_plot(grid: dict[str, Counter[str]]) -> Figure:
    """Plot the outcomes of the attacks in each kind of degraded capture."""
    return _stacked(dict(reversed(grid.items())))


def strengths_plot(strengths: dict[str, tuple[int, int, float]]) -> Figure:
    """Plot accuracy against the attack's share of the packets."""
    figure, axes = plt.subplots(figsize=(6, 4))
    percents = [name.removeprefix("strength-") for name in strengths]
    axes.plot(percents, [good / wanted for good, wanted, _ in strengths.values()], "o-", color=COLOURS[0], label="named, or not assessable")
    axes.plot(percents, [score for *_, score in strengths.values()], "s--", color=COLOURS[3], label="macro F1 of the flows")
    axes.set(xlabel="percent of the packets that are the attack's", ylim=(0, 1.05))
    axes.legend()
    return figure


def _stacked(counts: dict[str, Counter[str]]) -> Figure:
    figure, axes = plt.subplots(figsize=(8, 1 + 0.22 * len(counts)))
    left = [0.0] * len(counts)
    for outcome, colour in zip(OUTCOMES, COLOURS, strict=True):
        totals = [max(sum(each[one] for one in OUTCOMES), 1) for each in counts.values()]
        shares = [each[outcome] / total for each, total in zip(counts.values(), totals, strict=True)]
        axes.barh(list(counts), shares, left=left, color=colour, label=outcome)
        left = [before + more for before, more in zip(left, shares, strict=True)]
    axes.set_xlim(0, 1)
    axes.margins(y=0.01)
    axes.tick_params(axis="y", labelsize=8)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.4 / (1 + 0.22 * len(counts))), ncol=4, fontsize=8)
    return figure


def others_plot(others: dict[str, tuple[int, int, int, int]]) -> Figure:
    """Plot attacks found against false positives for each method."""
    figure, axes = plt.subplots(figsize=(6, 4))
    for method, (hits, wanted, alarms, calm) in others.items():
        axes.scatter(alarms / max(calm, 1), hits / max(wanted, 1), s=60)
        axes.annotate(method, (alarms / max(calm, 1), hits / max(wanted, 1)), xytext=(6, 4), textcoords="offset points", fontsize=8)
    axes.set(xlabel="calm captures with an alarm", ylabel="attacks on whose host there is one", xlim=(-0.03, 1.3), ylim=(-0.03, 1.05))
    return figure
