"""``floodmark export``: write results in the formats of other programs."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from floodmark.cli.exits import finish, say_problems
from floodmark.cli.options import ASSETS, CAPTURES, Reading, assets_of, reading, refuse_overwriting

if TYPE_CHECKING:
    from floodmark.claims.assets import AssetSummary
    from floodmark.result.result import Result

FORMS = ("parquet", "arrow", "csv", "ndjson", "json", "stix", "ddosdb", "ecs", "zeek")


@click.command()
@CAPTURES
@click.option("--as", "form", type=click.Choice(FORMS), required=True, help="File format.")
@click.option("--show-victims", is_flag=True, help="With stix and ddosdb: name the victims, which are omitted by default.")
@click.option("-o", "--output", "path", type=click.Path(dir_okay=False), required=True, metavar="OUT", help="File to write.")
@ASSETS
@click.option("--hash", "hash_captures", is_flag=True, help="With json: include the SHA-256 of each capture.")
@reading
def export(captures: tuple[str, ...], *, form: str, show_victims: bool, path: str, assets_path: str | None, how: Reading) -> None:
    """Export flows, events or both for other programs.

    \b
    parquet, arrow, csv, ndjson  every flow with its label, typed columns
    json                         the results without the flows, as classify --format json
    stix                         events as a STIX 2.1 bundle
    ddosdb                       attacks as DDoS fingerprints for DDoSDB
    ecs                          alerts and flows in the Elastic Common Schema, one document per line
    zeek                         flows as Zeek's conn.log, with verdict and vector

    With --assets, each flow has its asset as a column, and each event has its assets as labels or tags.

    Files named .gz, .zst, .bz2 or .lz4 are compressed, except parquet and arrow, which are compressed internally.

    Exit code: 0 written; 2 wrong usage; 3 a capture could not be read, or the file could not be written.

    Example: floodmark export traces/demo.pcap --as csv -o flows.csv
    """  # noqa: D301 - the backspace tells click to keep the lines
    refuse_overwriting(captures, path)
    from floodmark.claims.assets import by_asset, summarise

    result = how.answer(list(captures))
    say_problems(result)
    assets = assets_of(assets_path, result.sources, how)
    found = summarise(result, assets) if assets else ()
    _writer(form, found, victims=show_victims)(path, by_asset(result, assets) if assets else result)
    finish(result.left_out)


def _writer(form: str, found: "tuple[AssetSummary, ...]", *, victims: bool) -> "Callable[[str, Result], object]":
    """Return the function that writes a form. found: summaries of the assets."""
    from floodmark.claims.assets import assets_of_events

    assets = assets_of_events(found)
    if form == "stix":
        from floodmark.report.export.stix import write_stix

        return lambda path, result: write_stix(path, result, victims=victims, assets=assets)
    from floodmark.report.export import columns, ddosdb, ecs, zeek
    from floodmark.report.export.parquet import write_flows

    return {
        "parquet": lambda path, result: write_flows(path, result.flows.batches(), result.flows.schema),
        "arrow": lambda path, result: columns.write_arrow(path, result.flows),
        "csv": lambda path, result: columns.write_csv(path, result.flows),
        "ndjson": lambda path, result: columns.write_ndjson(path, result.flows),
        "json": lambda path, result: columns.write_json(path, result, found),
        "ddosdb": lambda path, result: ddosdb.write_ddosdb(path, result, victims=victims, assets=assets),
        "ecs": lambda path, result: ecs.write_ecs(path, result, assets),
        "zeek": lambda path, result: zeek.write_zeek(path, result.flows),
    }[form]
