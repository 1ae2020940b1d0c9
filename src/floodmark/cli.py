"""The command line: arguments in, exit code out. Whatever needs the compiled core is imported only when a capture is to be read."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from floodmark.errors import CaptureError, FloodmarkError, OutputError, SettingsError
from floodmark.shown import shown

if TYPE_CHECKING:
    from rich.console import Console

    from floodmark.archives import Member
    from floodmark.inspection import Inspection
    from floodmark.opening import Progress
    from floodmark.pipeline import Options
    from floodmark.result import Result
    from floodmark.settings import Settings

ANSWERED, ATTACK_FOUND, WRONG_USAGE, UNREADABLE = 0, 1, 2, 3
_PIPE_WIDTH = 140  # columns of a report that does not go to a terminal
_UNITS = {
    "": 1,
    "b": 1,
    "k": 10**3,
    "kb": 10**3,
    "m": 10**6,
    "mb": 10**6,
    "g": 10**9,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
    "t": 10**12,
    "tb": 10**12,
}


class _Octets(click.ParamType):  # type: ignore[type-arg] # not generic before click 8.2
    """A size such as 500MB or 2GiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401 - click's signature
        if isinstance(value, int):
            return value
        digits = value.strip().rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
        unit = value.strip()[len(digits) :].strip().lower()
        try:
            octets = int(float(digits) * _UNITS[unit])
        except (ValueError, KeyError, OverflowError):
            self.fail(f"{value!r} is not a size; write a number and a unit, such as 500MB or 2GiB", param, ctx)
        if octets < 64 << 20:
            self.fail(f"{value!r} is too little; at least 64MiB are needed", param, ctx)
        return octets


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="floodmark")
def main() -> None:
    """Say which traffic in packet captures was an attack: volumetric, application-layer or benign."""


@main.command()
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@click.option("--each", is_flag=True, help="Answer each capture on its own, instead of all as one timeline.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the answer.")
@click.option("--flows", "flows_path", type=click.Path(dir_okay=False), metavar="OUT.parquet", help="Also write every flow with its label.")
@click.option("--memory", type=_Octets(), default="2GiB", show_default=True, help="Most memory; the rest goes to temporary files.")
@click.option("--threads", type=click.IntRange(1), help="Most threads to use; by default one for each processor.")
@click.option("--settings", "settings_path", type=click.Path(dir_okay=False), metavar="FILE", help="Time-outs and thresholds, as TOML.")
@click.option("--tunnels", type=click.Choice(["inner", "outer"]), help="Whose flows to tell of tunnels over IP; by default inner.")
@click.option("--keep-going", is_flag=True, help="After a damaged record look for the next one, instead of stopping there.")
@click.option("--hash", "hash_captures", is_flag=True, help="Give the SHA-256 of each capture.")
@click.option(
    "--fail-on", type=click.Choice(["attack", "volumetric", "application-layer"]), help="Exit with 1 where such an event is found."
)
def classify(  # noqa: PLR0913 - one parameter for each option of the contract
    captures: tuple[str, ...],
    *,
    each: bool,
    form: str,
    flows_path: str | None,
    memory: int,
    threads: int | None,
    settings_path: str | None,
    tunnels: str | None,
    keep_going: bool,
    hash_captures: bool,
    fail_on: str | None,
) -> None:
    """Classify the traffic in captures.

    CAPTURE is a pcap, pcapng or snoop file, compressed or not, a folder or an archive of them, or - for standard input.
    Several are one timeline, in order of their first packets.

    Exit code: 0 answered; 1 an attack was found and --fail-on asked for it; 2 wrong usage; 3 a capture could not be
    read, or the answer could not be written.
    """
    if each and flows_path:
        raise click.UsageError("--flows writes one file for all captures; leave out --each")
    from floodmark.settings import Settings, load_settings  # noqa: PLC0415 - quick start for --help

    try:
        settings = load_settings(settings_path) if settings_path else Settings()
        if tunnels:
            settings = replace(settings, flow=replace(settings.flow, tunnels=tunnels))
    except SettingsError as error:
        _say(error)
        sys.exit(WRONG_USAGE)
    _announce_compilation()
    from floodmark.pipeline import Options  # noqa: PLC0415 - as above

    options = Options(memory_octets=memory, threads=threads or 0, hash_captures=hash_captures, announce=_say, keep_going=keep_going)
    if each:
        sys.exit(_answer_each(captures, settings, options, form, fail_on))
    try:
        with _progress() as progress:
            result = _classify(list(captures), settings, options, progress)
        _show(lambda: _print(result, form))
        if flows_path:
            from floodmark.report.parquet import write_flows  # noqa: PLC0415 - as above

            write_flows(flows_path, result.flows.batches())
    except FloodmarkError as error:
        _say(error)
        sys.exit(UNREADABLE)
    for skipped in result.left_out if form == "json" else ():  # the text says so among its notes
        _say(skipped)
    sys.exit(UNREADABLE if result.left_out else ATTACK_FOUND if _asked_for(result, fail_on) else ANSWERED)


@main.command()
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the answer; JSON is a line a capture.")
@click.option("--keep-going", is_flag=True, help="After a damaged record look for the next one, instead of stopping there.")
@click.option("--hash", "hashing", is_flag=True, help="Give the SHA-256 of each capture.")
def inspect(captures: tuple[str, ...], *, form: str, keep_going: bool, hashing: bool) -> None:
    """Say what is in captures, each by itself, without judging it.

    Container, link types, times, silences, protocols, tunnels, duplicates, packets that the capture lost, and damage.

    Exit code: 0 answered; 3 a capture could not be read.

    Example: floodmark inspect traces/demo.pcap
    """
    _announce_compilation()
    from floodmark.inspection import inspect as look  # noqa: PLC0415 - as above

    code = ANSWERED
    for member in _members(captures):
        try:
            if isinstance(member, CaptureError):
                raise member
            with _progress() as progress:
                advance = None if progress is None else partial(progress, _name(member))
                found = look(member, hashing=hashing, keep_going=keep_going, progress=advance)
            _show(lambda: _print_inspection(found, form))  # noqa: B023 - called at once
        except FloodmarkError as error:
            code = UNREADABLE
            _show_error(str(getattr(error, "path", _name(member))), error, form)
    sys.exit(code)


@main.command("vectors")
@click.argument("names", nargs=-1, metavar="[VECTOR]...")
def show_vectors(names: tuple[str, ...]) -> None:
    """Say what a vector is, how it is recognised, what it is confused with and what to do; without a name, list all.

    Exit code: 0 printed; 2 there is no such vector; 3 the text cannot be written.

    Example: floodmark vectors tcp-syn-flood
    """
    from floodmark.catalogue import catalogue, page  # noqa: PLC0415 - quick start for --help

    unknown = [name for name in names if name not in catalogue()]
    if unknown:
        _say(FloodmarkError(f"no vector is named {', '.join(map(repr, unknown))}; floodmark vectors lists them"))
        sys.exit(WRONG_USAGE)
    if names:
        _show_page("\n".join(page(name) for name in names))
        return
    _show_page("".join(f"{'  ' if entry.parent else ''}{entry.vector}: {entry.what}\n" for entry in catalogue().values()))


@main.command("settings")
@click.argument("path", required=False, type=click.Path(dir_okay=False), metavar="[FILE]")
def show_settings(path: str | None) -> None:
    """Print every time-out and threshold with its meaning and source, as the TOML that --settings reads.

    FILE is such a file: what it changes is told beside the default.

    Exit code: 0 printed; 2 the file is no settings file; 3 the text cannot be written.

    Example: floodmark settings > settings.toml
    """
    from floodmark.settings import Settings, load_settings, settings_text  # noqa: PLC0415 - quick start for --help

    try:
        settings = load_settings(path) if path else Settings()
    except SettingsError as error:
        _say(error)
        sys.exit(WRONG_USAGE)
    _show_page(settings_text(settings))


@main.command()
def warm() -> None:
    """Compile the core ahead of its first use.

    For images and clusters: set FLOODMARK_CACHE_DIR to a folder that the image keeps. A folder that is not writable later is still read.
    """
    from floodmark.warming import warm as compile_core  # noqa: PLC0415 - as above
    from floodmark_core import cache_folder, compiled_before  # noqa: PLC0415 - as above

    started = time.perf_counter()
    compile_core()
    if not compiled_before():
        _say(f"{cache_folder()} cannot be written; what was compiled is lost")
        sys.exit(UNREADABLE)
    click.echo(f"the core is compiled, in {cache_folder()} ({time.perf_counter() - started:.1f} s)")


def _classify(
    captures: "list[str] | list[str | Member]", settings: "Settings", options: "Options", progress: "Progress | None"
) -> "Result":
    from floodmark.pipeline import classify as run  # noqa: PLC0415 - as above

    return run(captures, settings, options, progress)


def _name(member: "str | Member | CaptureError") -> str:
    """Return the name of a capture: its path, or that of its archive and its own."""
    return member if isinstance(member, str) else str(getattr(member, "name", member))


def _members(captures: tuple[str, ...]) -> "Iterator[str | Member | CaptureError]":
    """Yield captures one by one, folders replaced by what they hold; what cannot be one as the error that says why."""
    from floodmark.sources import expand  # noqa: PLC0415 - as above

    for path in captures:
        try:
            yield from expand([path])
        except CaptureError as error:
            yield error


def _print_inspection(found: "Inspection", form: str) -> None:
    if form == "json":
        from floodmark.result import SCHEMA_VERSION, tool  # noqa: PLC0415 - as above

        click.echo(json.dumps({"schema_version": SCHEMA_VERSION, "tool": tool()} | found.to_dict()))
        return
    from floodmark.report.survey import render_inspection  # noqa: PLC0415 - as above

    render_inspection(found, _console())


def _answer_each(captures: tuple[str, ...], settings: "Settings", options: "Options", form: str, fail_on: str | None) -> int:
    """Answer captures one by one; one that cannot be read does not stop the rest. Returns the exit code."""
    code = ANSWERED
    members = list(_members(captures))
    for member in members:
        if isinstance(member, CaptureError):
            code = UNREADABLE
            _show_error(member.path, member, form)
            continue
        try:
            with _progress() as progress:
                result = _classify([member], settings, options, progress)
            if form == "text" and len(members) > 1:
                click.echo(f"== {shown(_name(member))}")
            _show(lambda: _print(result, form))  # noqa: B023 - called at once
        except FloodmarkError as error:
            code = UNREADABLE
            _show_error(_name(member), error, form)
        else:
            if _asked_for(result, fail_on) and code != UNREADABLE:
                code = ATTACK_FOUND
    return code


def _asked_for(result: "Result", fail_on: str | None) -> bool:
    return fail_on is not None and any(fail_on in ("attack", event.verdict) for event in result.events)


def _show(write: Callable[[], None]) -> None:
    """Print an answer. Raises OutputError where it cannot be written."""
    try:
        write()
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # the reader has had enough; click ends the program without a word
    except OSError as error:
        _discard_output()
        raise OutputError(f"the answer cannot be written: {error.strerror or error}") from error


def _discard_output() -> None:
    """Let what standard output still holds go nowhere: Python writes it at its end, and would fail once more with code 120."""
    with suppress(OSError, ValueError):  # a stream without a descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _show_page(text: str) -> None:
    """Print a text that is no answer to a capture, and end where it cannot be written."""
    try:
        _show(lambda: click.echo(text, nl=False))
    except OutputError as error:
        _say(error)
        sys.exit(UNREADABLE)


def _print(result: "Result", form: str) -> None:
    if form == "json":
        click.echo(result.to_json())
        return
    from floodmark.report.text import render  # noqa: PLC0415 - as above

    render(result, _console())


def _console() -> "Console":
    """Return what prints a report: as wide as the terminal, or as a report for a pipe is."""
    from rich.console import Console  # noqa: PLC0415 - as above

    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


def _show_error(path: str, error: FloodmarkError, form: str) -> None:
    """Say why a capture has no answer: as a document of its own where documents are asked for, and on standard error."""
    if form == "json":
        from floodmark.result import SCHEMA_VERSION, tool, valid_text  # noqa: PLC0415 - as above

        offset = error.offset if isinstance(error, CaptureError) else None
        document = {
            "schema_version": SCHEMA_VERSION,
            "tool": tool(),
            "path": valid_text(path),
            "error": valid_text(str(error)),
            "offset": offset,
        }
        click.echo(json.dumps(document))
    _say(error)


def _say(what: object) -> None:
    """Say something beside the answer: an error, or why it takes longer."""
    click.echo(f"floodmark: {shown(str(what))}", err=True)


def _announce_compilation() -> None:
    """Say why the first run takes longer than those after it, and compile."""
    from floodmark_core import compiled_before  # noqa: PLC0415 - as above

    if not compiled_before():
        _say("first run on this machine: compiling the core, about 15 seconds, once")
        from floodmark.warming import warm as compile_core  # noqa: PLC0415 - as above

        compile_core(everything=False)


@contextmanager
def _progress() -> "Iterator[Progress | None]":
    """Show how far reading is, on standard error when it is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn  # noqa: PLC0415 - as above

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def advance(path: str, octets: int) -> None:
            if path not in tasks:
                size = Path(path).stat().st_size if Path(path).is_file() else None
                tasks[path] = bar.add_task(shown(Path(path).name), total=size)
            bar.update(tasks[path], completed=octets)

        yield advance


if __name__ == "__main__":
    main()
