"""Print the audit of a claim, in sentences that can be quoted."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from floodmark.base.escaping import shown
from floodmark.claims.assets import UNMATCHED
from floodmark.claims.auditing import (
    EVERYTHING,
    NOT_SUPPORTED,
    SUPPORTED,
    UNDECIDABLE,
    Audit,
    Finding,
)
from floodmark.claims.claims import UNITS, Claim
from floodmark.report.text import duration, moment

_COLOURS = {SUPPORTED: "green", NOT_SUPPORTED: "red"}
_FEW = 0.001  # share of the claim below which a ratio is not given in figures
_NAMES = {EVERYTHING: "All traffic", UNMATCHED: "Traffic of no asset"}


def render_audit(found: Audit, console: Console) -> None:
    """Print an audit: the claim, a sentence for each way of counting, then every figure."""
    claim = found.claim
    console.print(Text(claim_sentence(claim), style="bold"))
    about = "one capture" if len(found.captures) == 1 else f"{len(found.captures)} captures"
    sampled = f", sampled at one packet in {found.sampling:,g}" if found.sampling > 1 else ""
    console.print(Text(f"Checked against {about} of {duration(found.span_s)}{sampled}.\n"))
    for finding in found.told:
        console.print(Text(f"- {sentence(finding, found)}", style=_COLOURS.get(finding.verdict, "yellow")))
    reasons = dict.fromkeys(reason for finding in found.told for reason in finding.reasons)
    if reasons:
        console.print(Text(f"\nThe true numbers may be higher: {'; '.join(reasons)}."))
    for asset in dict.fromkeys(finding.asset for finding in found.findings):
        console.print(Text(f"\n{title_of_asset(asset, found)}", style="bold"))
        console.print(_table([finding for finding in found.findings if finding.asset == asset], found))
    console.print(Text("\nUnits", style="bold"))
    for unit in claim.units:
        console.print(Text(f"  {unit}: {UNITS[unit]}", style="dim"))


def claim_sentence(claim: Claim) -> str:
    """Return a claim in a sentence."""
    where = f" on {shown(claim.asset)}" if claim.asset else ""
    said = f" ({shown(claim.source)})" if claim.source else ""
    return f"Claimed: {claim.number:,.0f} {claim.unit} in {claim.period}{where}{said}."


def sentence(finding: Finding, found: Audit) -> str:
    """Return a finding as a self-contained sentence."""
    if found.sampling > 1:
        upper = f" and at most {finding.high:,.0f}" if finding.high is not None else ""
        count = f"at least {finding.low:,.0f}{upper} on the wire, {finding.peak:,.0f} of them captured,"
    else:
        count = (
            f"{'' if finding.verdict == SUPPORTED else 'at most ' if finding.verdict == NOT_SUPPORTED else 'at least '}{finding.peak:,.0f}"
        )
    when = f"in the {found.claim.period} from {moment(finding.peak_start_ns)} UTC"
    doubt = "; there may have been more" if finding.verdict == UNDECIDABLE else ""
    return f"Counted as {finding.unit}, the claim is {finding.verdict}: {count} {when}, {_ratio(finding)} the claim{doubt}."


def _ratio(finding: Finding) -> str:
    if 0 < finding.ratio < _FEW:
        return f"less than {_FEW:g} of"
    return f"{finding.ratio:,.3g} times"


def title_of_asset(asset: str, found: Audit) -> str:
    """Return the title of an asset's rows."""
    return _NAMES.get(asset) or shown(found.titles.get(asset, asset))


def _table(findings: list[Finding], found: Audit) -> Table:
    """Return findings as a table, with columns for the bounds if packets were sampled."""
    bounded = found.sampling > 1
    table = Table("counted as", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    names = (f"peak in {found.claim.period}", *(("at least", "at most") if bounded else ()), "median", "total", "/ claim", "time above")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("from (UTC)", no_wrap=not bounded)
    table.add_column("the claim is", no_wrap=True)
    for finding in findings:
        bounds = (f"{finding.low:,.0f}", "-" if finding.high is None else f"{finding.high:,.0f}") if bounded else ()
        table.add_row(
            finding.unit,
            f"{finding.peak:,.0f}",
            *bounds,
            f"{finding.median:,.0f}",
            f"{finding.total:,.0f}",
            f"{finding.ratio:,.3g}",
            duration(finding.above_s),
            moment(finding.peak_start_ns),
            Text(finding.verdict, style=_COLOURS.get(finding.verdict, "yellow")),
        )
    return table
