"""``floodmark audit``: check a claim against captures."""

import json
from typing import TYPE_CHECKING

import click

from floodmark.cli.exits import finish, say_problems, show, write
from floodmark.cli.options import ASSETS, CAPTURES, Reading, assets_of, reading
from floodmark.cli.progress import console

if TYPE_CHECKING:
    from floodmark.claims.auditing import Audit


@click.command()
@CAPTURES
@click.option("--claim", "claim_path", type=click.Path(dir_okay=False), required=True, metavar="FILE", help="TOML file with the claim.")
@ASSETS
@click.option("--sampling", type=click.FloatRange(1), default=1, show_default=True, help="Packets on the wire for each captured packet.")
@click.option("--format", "form", type=click.Choice(["text", "json", "html"]), default="text", show_default=True, help="Output format.")
@reading
def audit(
    captures: tuple[str, ...],
    *,
    claim_path: str,
    assets_path: str | None,
    sampling: float,
    form: str,
    how: Reading,
) -> None:
    """Check a claim such as "thirty million attacks a minute" against captures.

    "Attack" has no agreed unit: packets, flows, connection attempts, requests, sources and more are counted side by side, in
    every window of the claim's period. For each unit, the claim is supported, not supported or not decidable.

    Exit code: 0 checked; 2 wrong usage; 3 a capture could not be read, or the results could not be written.

    Example: floodmark audit traces/demo.pcap --claim claim.toml
    """
    from floodmark.claims.assets import load_assets
    from floodmark.claims.auditing import audit as count
    from floodmark.claims.claims import load_claim

    claim = load_claim(claim_path)
    if assets_path is not None:
        load_assets(assets_path)  # raises what is wrong with it before the captures are read
    result = how.answer(list(captures))
    say_problems(result)
    assets = assets_of(assets_path, result.sources, how)
    found = count(result, claim, assets, sampling=sampling)
    _print(found, form)
    finish(result.left_out)


def _print(found: "Audit", form: str) -> None:
    if form == "json":
        write(json.dumps(found.to_dict(), allow_nan=False) + "\n")
        return
    if form == "html":
        from floodmark.report.claim_page import claim_page

        write(claim_page(found))
        return
    from floodmark.report.claim import render_audit

    show(lambda: render_audit(found, console()))
