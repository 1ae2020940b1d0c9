"""``floodmark classify``: classify the traffic in captures."""

import json
from typing import TYPE_CHECKING

import click

from floodmark.base.escaping import shown
from floodmark.cli.exits import ANSWERED, ATTACK_FOUND, UNREADABLE, finish, show, show_error, write
from floodmark.cli.options import ASSETS, CAPTURES, Reading, assets_of, members, reading, refuse_overwriting, summaries
from floodmark.cli.progress import console
from floodmark.errors import CaptureError, FloodmarkError, OutputError

if TYPE_CHECKING:
    from floodmark.claims.assets import AssetSummary
    from floodmark.result.result import Result


@click.command()
@CAPTURES
@click.option("--each", is_flag=True, help="Analyse each capture separately, instead of all as one timeline.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format.")
@click.option("--flows", "flows_path", type=click.Path(dir_okay=False), metavar="OUT.parquet", help="Also write every flow with its label.")
@ASSETS
@click.option("--hash", "hash_captures", is_flag=True, help="Include the SHA-256 of each capture.")
@click.option(
    "--fail-on", type=click.Choice(["attack", "volumetric", "application-layer"]), help="Exit with code 1 if such an event is found."
)
@reading
def classify(
    captures: tuple[str, ...], *, each: bool, form: str, flows_path: str | None, assets_path: str | None, fail_on: str | None, how: Reading
) -> None:
    """Classify the traffic in captures.

    CAPTURE is a pcap, pcapng or snoop file, compressed or not, a folder or an archive of them, or - for standard input.
    Several captures form one timeline, in order of their first packets.

    Exit code: 0 success; 1 an attack was found that --fail-on asked for; 2 wrong usage; 3 a capture could not be
    read, or the results could not be written.

    Example: floodmark classify traces/demo.pcap
    """
    refuse_overwriting(captures, flows_path)
    if each and flows_path:
        raise click.UsageError("--flows writes one file for all captures; leave out --each")
    if each:
        finish(code=_answer_each(captures, how, form, fail_on, assets_path))
    from floodmark.claims.assets import by_asset, summarise

    result = how.answer(list(captures))
    assets = assets_of(assets_path, result.sources, how)
    told = summarise(result, assets) if assets else ()
    _print(result, form, told)
    if flows_path:
        from floodmark.report.export.parquet import write_flows

        labelled = by_asset(result, assets) if assets else result
        write_flows(flows_path, labelled.flows.batches(), labelled.flows.schema)
    code = ATTACK_FOUND if _asked_for(result, fail_on) else ANSWERED
    finish(result.left_out, code, noted=form == "text")


def _answer_each(captures: tuple[str, ...], how: Reading, form: str, fail_on: str | None, assets_path: str | None) -> int:
    """Classify captures one by one; one that cannot be read does not stop the rest. Returns the exit code."""
    code = ANSWERED
    given = list(members(captures))
    for member in given:
        if isinstance(member, CaptureError):
            code = UNREADABLE
            show_error(member.path, member, form)
            continue
        try:
            result = how.answer([member])
            assets = summaries(assets_path, result, how)
            if form == "text" and len(given) > 1:
                write(f"== {shown(member.name)}\n")
            _print(result, form, assets)
        except OutputError:
            raise  # no other capture could be answered either
        except FloodmarkError as error:
            code = UNREADABLE
            show_error(member.name, error, form)
        else:
            if _asked_for(result, fail_on) and code != UNREADABLE:
                code = ATTACK_FOUND
    return code


def _asked_for(result: "Result", fail_on: str | None) -> bool:
    return fail_on is not None and any(fail_on in ("attack", event.verdict) for event in result.events)


def _print(result: "Result", form: str, assets: "tuple[AssetSummary, ...]") -> None:
    if form == "json":
        from floodmark.claims.assets import document_of

        write(json.dumps(document_of(result, assets), allow_nan=False) + "\n")
        return
    from floodmark.report.text import render

    show(lambda: render(result, console(), assets))
