"""Write the rule registry as text, as JSON and as a documentation page."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from itertools import groupby

from floodmark.verdicts.registry import FAMILIES, Registered, rules

_PAGE_HEAD = (
    "# Rules\n\nEvery reason in an answer names the rule that fired. Of the rules of a group, which measure one fact, only the strongest "
    "counts. Thresholds are [settings](settings.md).\n"
)


def rules_text(chosen: Iterable[Registered]) -> str:
    """Return a description of each rule, one paragraph each."""
    return "\n".join(_paragraph(each) for each in chosen)


def _paragraph(each: Registered) -> str:
    rule = each.rule
    lines = [
        f"{rule.id}: {rule.measures}",
        f"  why        {rule.why}",
        f"  threshold  {_threshold(each)}",
        f"  vectors    {', '.join(each.vectors)}",
        f"  reads      {rule.sentence}",
    ]
    return "\n".join(lines) + "\n"


def _threshold(each: Registered) -> str:
    return "depends, see why" if each.setting is None else f"{each.setting} = {each.value:g}"


def rules_json(chosen: Iterable[Registered]) -> str:
    """Return the rules as a JSON list."""
    documents = [
        {**asdict(each.rule), "threshold": each.setting, "default": each.value, "families": each.families, "vectors": each.vectors}
        for each in chosen
    ]
    return json.dumps(documents, indent=2) + "\n"


def rules_page() -> str:
    """Return the reference page of all rules, by family, as Markdown."""
    order = [family.name for family in FAMILIES]
    parts = [_PAGE_HEAD]
    by_family = sorted(rules(), key=lambda each: (order.index(each.families[0]), each.rule.id))
    for family, group in groupby(by_family, key=lambda each: each.families[0]):
        parts.append(f"\n## {family}\n\n| rule | measures | why it is evidence | threshold | vectors |\n|---|---|---|---|---|\n")
        for each in group:
            threshold = "depends" if each.setting is None else f"`{each.setting}` = {each.value:g}"
            vectors = ", ".join(f"[{vector}](../vectors/{vector}.md)" for vector in each.vectors)
            parts.append(f"| `{each.rule.id}` | {each.rule.measures} | {each.rule.why} | {threshold} | {vectors} |\n")
    return "".join(parts)
