"""``floodmark inspect``: describe captures, without a verdict."""

import json
from functools import partial
from typing import TYPE_CHECKING

import click

from floodmark.cli.exits import ANSWERED, UNREADABLE, finish, show, show_error, write
from floodmark.cli.options import CAPTURES, announce_compilation, members
from floodmark.cli.progress import console, progress
from floodmark.errors import CaptureError, FloodmarkError, OutputError

if TYPE_CHECKING:
    from floodmark.result.inspection import Inspection


@click.command()
@CAPTURES
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format; JSON has one line per capture.")
@click.option("--keep-going", is_flag=True, help="After a damaged record, search for the next valid one instead of stopping.")
@click.option("--hash", "hashing", is_flag=True, help="Include the SHA-256 of each capture.")
def inspect(captures: tuple[str, ...], *, form: str, keep_going: bool, hashing: bool) -> None:
    """Describe the contents of each capture, without a verdict.

    Shows container, link types, times, gaps, protocols, tunnels, duplicates, packets dropped by the capture, and damage.

    Exit code: 0 success; 3 a capture could not be read.

    Example: floodmark inspect traces/demo.pcap
    """
    announce_compilation()
    from floodmark.result.inspection import inspect as look

    code = ANSWERED
    for member in members(captures):
        try:
            if isinstance(member, CaptureError):
                raise member
            with progress() as advance:
                tell = None if advance is None else partial(advance, member.name)
                found = look(member, hashing=hashing, keep_going=keep_going, progress=tell)
            _print_inspection(found, form)
        except OutputError:
            raise  # no other capture could be answered either
        except FloodmarkError as error:
            code = UNREADABLE
            show_error(getattr(error, "path", None) or str(member), error, form)
    finish(code=code)


def _print_inspection(found: "Inspection", form: str) -> None:
    if form == "json":
        from floodmark.result.result import SCHEMA_VERSION, tool

        write(json.dumps({"schema_version": SCHEMA_VERSION, "tool": tool()} | found.to_dict()) + "\n")
        return
    from floodmark.report.survey import render_inspection

    show(lambda: render_inspection(found, console()))
