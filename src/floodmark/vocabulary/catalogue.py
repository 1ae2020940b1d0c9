"""What each vector is, how it is recognised, what it is confused with and what to do, out of catalogue.toml."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from floodmark.vocabulary.terms import VECTORS, Verdict


@dataclass(frozen=True)
class Entry:
    """One vector in words; what it leaves out is what its parent says."""

    vector: str
    verdict: Verdict
    parent: str | None
    what: str
    recognised: str
    confused: str
    act: str


@cache
def catalogue() -> dict[str, Entry]:
    """Return the entry of every vector, in the order of the vocabulary."""
    texts = tomllib.loads((files("floodmark.vocabulary") / "catalogue.toml").read_text(encoding="utf-8"))
    entries = {}
    for vector, (verdict, parent) in VECTORS.items():
        words = {**texts[parent], **texts[vector]}
        entries[vector] = Entry(vector, verdict, parent if parent != vector else None, **words)
    return entries


def page(vector: str) -> str:
    """Return a vector's page, as Markdown. Raises KeyError for a name that is none."""
    entry = catalogue()[vector]
    family = f", a kind of [{entry.parent}]({entry.parent}.md)" if entry.parent else ""
    kinds = [f"[{one.vector}]({one.vector}.md)" for one in catalogue().values() if one.parent == vector]
    parts = [
        f"# {vector}",
        f"Class: {entry.verdict}{family}.",
        f"## What it is\n\n{entry.what}",
        f"## How it is recognised\n\n{entry.recognised}",
        f"## What it is confused with\n\n{entry.confused}",
        f"## What to do\n\n{entry.act}",
        *([f"## Its kinds\n\n{', '.join(kinds)}"] if kinds else []),
        "The thresholds with their sources: `floodmark settings`.",
    ]
    return "\n\n".join(parts) + "\n"


def index() -> str:
    """Return the page that lists all vectors, as Markdown."""
    lines = ["# Vectors", "", "The names of answers, by class; a name under another is a kind of it.", ""]
    for verdict in (Verdict.VOLUMETRIC, Verdict.APPLICATION_LAYER):
        lines += [f"## {verdict}", ""]
        for entry in catalogue().values():
            if entry.verdict is verdict:
                lines.append(f"{'  ' if entry.parent else ''}- [{entry.vector}]({entry.vector}.md): {entry.what}")
        lines.append("")
    return "\n".join(lines)
