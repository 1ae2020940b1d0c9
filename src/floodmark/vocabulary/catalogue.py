"""Pages about vectors: what each is, how it is recognised, what it is confused with and what to do."""

from floodmark.vocabulary.vectors import RECORDS, Verdict


def page(vector: str) -> str:
    """Return a vector's page, as Markdown. Raises KeyError for an unknown name."""
    record = RECORDS[vector]
    family = "" if record.is_parent else f", a kind of [{record.parent}]({record.parent}.md)"
    kinds = [f"[{one.name}]({one.name}.md)" for one in RECORDS.values() if one.parent == vector and not one.is_parent]
    technique = record.technique
    parts = [
        f"# {vector}",
        f"Class: {record.verdict}{family}. MITRE ATT&CK: [{technique.id} {technique.name}]({technique.url}), {record.capec}.",
        f"## What it is\n\n{record.what}",
        f"## How it is recognised\n\n{record.recognised}",
        f"## What it is confused with\n\n{record.confused}",
        f"## What to do\n\n{record.act}",
        *([f"## Its kinds\n\n{', '.join(kinds)}"] if kinds else []),
        "The rules that find it: `floodmark rules`; their thresholds with sources: `floodmark settings`.",
    ]
    return "\n\n".join(parts) + "\n"


def index() -> str:
    """Return the page that lists all vectors, as Markdown."""
    lines = ["# Vectors", "", "All vectors, by class; an indented name is a kind of the name above it.", ""]
    for verdict in (Verdict.VOLUMETRIC, Verdict.APPLICATION_LAYER):
        lines += [f"## {verdict}", ""]
        for record in RECORDS.values():
            if record.verdict is verdict:
                lines.append(f"{'' if record.is_parent else '  '}- [{record.name}]({record.name}.md): {record.what}")
        lines.append("")
    return "\n".join(lines)
