"""Write the audit of a claim as one self-contained page: every way of counting over time, against the claimed number."""

from typing import Any

from floodmark.claims.auditing import SUPPORTED, UNDECIDABLE, Audit, Finding
from floodmark.claims.claims import UNITS
from floodmark.report.claim import claim_sentence, sentence, title_of_asset
from floodmark.report.templates import asset, policy, template
from floodmark.result.result import tool

_WIDTH, _HEIGHT = 480, 120  # of a chart, in its own units
_ROOM = 1.08  # headroom above the highest value of a chart
_MARKS = {SUPPORTED: "supported", UNDECIDABLE: "undecidable"}  # CSS classes


def claim_page(found: Audit) -> str:
    """Return the page as HTML."""
    style = asset("page.css") + asset("claim.css")
    return template("claim.html").render(
        policy=policy((), style),
        style=style,
        tool=tool(),
        claim=found.claim,
        said=claim_sentence(found.claim),
        audit=found,
        told=[_told(finding, found) for finding in found.told],
        reasons=list(dict.fromkeys(reason for finding in found.told for reason in finding.reasons)),
        rows=[
            (title_of_asset(name, found), [(finding, _mark(finding)) for finding in found.findings if finding.asset == name])
            for name in dict.fromkeys(finding.asset for finding in found.findings)
        ],
        units={unit: UNITS[unit] for unit in found.claim.units},
    )


def _mark(finding: Finding) -> str:
    return _MARKS.get(finding.verdict, "unsupported")


def _told(finding: Finding, found: Audit) -> dict[str, Any]:
    """Return what is shown of a finding: its sentence, and a chart of the amount in the period before each moment."""
    scale = finding.ratio * found.claim.number / finding.peak if finding.peak else 1.0  # more than 1 for sampled packets
    most = max(finding.peak * scale, found.claim.number) * _ROOM
    step = _WIDTH / max(len(finding.trailing), 1)
    line = [f"{round(place * step, 1)},{round(_HEIGHT * (1 - value * scale / most), 1)}" for place, value in enumerate(finding.trailing)]
    line.append(f"{_WIDTH},{line[-1].split(',')[1]}")
    return {
        "finding": finding,
        "mark": _mark(finding),
        "sentence": sentence(finding, found),
        "line": " ".join(line),
        "area": " ".join((f"0,{_HEIGHT}", *line, f"{_WIDTH},{_HEIGHT}")),
        "claim_y": round(_HEIGHT * (1 - found.claim.number / most), 1),
        "most": most,
        "width": _WIDTH,
        "height": _HEIGHT,
    }
