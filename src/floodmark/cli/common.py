"""What the commands share: exit codes, sizes, progress, error messages, options for reading captures."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from floodmark.base.escaping import shown
from floodmark.errors import CaptureError, FloodmarkError, OutputError, SettingsError

if TYPE_CHECKING:
    from rich.console import Console

    from floodmark.captures.opening import Progress
    from floodmark.captures.source import Source
    from floodmark.claims.assets import Asset, AssetSummary
    from floodmark.evidence.sharing import Sharing
    from floodmark.result.pipeline import Options
    from floodmark.result.result import Result
    from floodmark.settings import Settings

ANSWERED, ATTACK_FOUND, WRONG_USAGE, UNREADABLE = 0, 1, 2, 3
INTERRUPTED = 130  # as in shells: 128 plus the number of SIGINT
VERDICTS = ("volumetric", "application-layer", "benign")
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


class Size(click.ParamType):  # type: ignore[type-arg] # not generic before click 8.2
    """A size such as 500MB or 2GiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401 - click's signature
        """Return a size in bytes."""
        if isinstance(value, int):
            return value
        digits = value.strip().rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
        unit = value.strip()[len(digits) :].strip().lower()
        try:
            nbytes = int(float(digits) * _UNITS[unit])
        except (ValueError, KeyError, OverflowError):
            self.fail(f"{value!r} is not a size; write a number and a unit, such as 500MB or 2GiB", param, ctx)
        if nbytes < 64 << 20:
            self.fail(f"{value!r} is too small; give at least 64MiB", param, ctx)
        return nbytes


CAPTURES = click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")


ASSETS = click.option(
    "--assets", "assets_path", type=click.Path(dir_okay=False), metavar="FILE", help="TOML file with named groups of hosts."
)


@dataclass(frozen=True)
class Reading:
    """How captures are to be read and classified, according to the command line."""

    settings: "Settings"
    options: "Options"

    def answer(self, captures: "Sequence[str | Source]") -> "Result":
        """Classify captures, with progress on a terminal."""
        from floodmark.result.pipeline import classify

        with progress() as advance:
            return classify(captures, self.settings, self.options, advance)


def say_problems(result: "Result") -> None:
    """Print problems of the captures on standard error, where the output itself does not show them."""
    for capture in result.captures:
        for problem in capture.problems:
            where = "" if problem.first_offset is None else f", first at byte {problem.first_offset:,}"
            say(f"{capture.path}: {problem.kind}: {problem.count:,}{where}")


def refuse_overwriting(captures: tuple[str, ...], path: str | None) -> None:
    """Exit if the output would overwrite an input, or be in a folder that is read."""
    if path in (None, "-"):
        return
    target = Path(str(path)).resolve()
    for capture in captures:
        with suppress(OSError):
            if target.exists() and target.samefile(capture):
                raise click.UsageError(f"{shown(capture)} is an input; write to another file")
            if Path(capture).is_dir() and Path(capture).resolve() in target.parents:
                raise click.UsageError(f"{shown(str(path))} is in the input folder {shown(capture)}; write elsewhere")


def assets_of(path: str | None, captures: "Sequence[str | Source]", how: Reading) -> "tuple[Asset, ...]":
    """Return the assets of a file, with the addresses that captures hold for their names. Raises SettingsError, CaptureError."""
    if path is None:
        return ()
    from floodmark.claims.assets import load_assets, with_learned_addresses

    return with_learned_addresses(load_assets(path), captures, how.settings.flow, keep_going=how.options.keep_going)


def summaries(path: str | None, result: "Result", captures: "Sequence[str | Source]", how: Reading) -> "tuple[AssetSummary, ...]":
    """Return a result's summary of each asset of a file. Raises SettingsError, CaptureError."""
    if path is None:
        return ()
    from floodmark.claims.assets import summarise

    return summarise(result, assets_of(path, captures, how))


@contextmanager
def ending() -> "Iterator[None]":
    """Print an error and exit: 2 for a file of settings, assets or claims, 3 for a capture or an output."""
    try:
        yield
    except SettingsError as error:
        say(error)
        sys.exit(WRONG_USAGE)
    except FloodmarkError as error:
        say(error)
        sys.exit(UNREADABLE)


def reading(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options for reading captures to a command, which gets them as one argument ``how``."""

    @click.option("--memory", type=Size(), default="2GiB", show_default=True, help="Memory limit; the rest goes to temporary files.")
    @click.option("--threads", type=click.IntRange(1), help="Maximum number of threads; by default one per processor.")
    @click.option(
        "--settings", "settings_path", type=click.Path(dir_okay=False), metavar="FILE", help="TOML file with time-outs and thresholds."
    )
    @click.option(
        "--tunnels", type=click.Choice(["inner", "outer"]), help="For tunnelled traffic, report inner or outer flows; by default inner."
    )
    @click.option("--keep-going", is_flag=True, help="After a damaged record, search for the next valid one instead of stopping.")
    @wraps(command)
    def with_options(
        *arguments: object,
        memory: int,
        threads: int | None,
        settings_path: str | None,
        tunnels: str | None,
        keep_going: bool,
        **others: Any,  # noqa: ANN401 - the command's own
    ) -> None:
        settings = _settings(settings_path, tunnels)
        announce_compilation()
        from floodmark.result.pipeline import Options

        options = Options(
            memory_octets=memory,
            threads=threads or 0,
            hash_captures=others.pop("hash_captures", False),
            announce=say,
            keep_going=keep_going,
        )
        command(*arguments, how=Reading(settings, options), **others)

    return with_options


def _settings(path: str | None, tunnels: str | None) -> "Settings":
    """Return the settings of a file, or the defaults. Exits if they cannot be used."""
    from floodmark.settings import Settings, load_settings

    try:
        settings = load_settings(path) if path else Settings()
        return replace(settings, flow=replace(settings.flow, tunnels=tunnels)) if tunnels else settings
    except SettingsError as error:
        say(error)
        sys.exit(WRONG_USAGE)


def members(captures: tuple[str, ...]) -> "Iterator[Source | CaptureError]":
    """Yield captures one by one, with folders expanded; for what cannot be one, the error that says why."""
    from floodmark.captures.sources import expand

    for path in captures:
        try:
            yield from expand([path])
        except CaptureError as error:
            yield error


def show(write: Callable[[], None]) -> None:
    """Print a result. Raises OutputError if it cannot be written."""
    try:
        write()
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # the reader has closed the pipe; click exits silently
    except OSError as error:
        discard_output()
        raise OutputError(f"the results cannot be written: {error.strerror or error}") from error


def discard_output() -> None:
    """Discard what standard output still holds: Python writes it at exit, and would fail again with code 120."""
    with suppress(OSError, ValueError):  # a stream without a descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def show_page(text: str) -> None:
    """Print a text that is not the result of a capture, and exit if it cannot be written."""
    try:
        show(lambda: click.echo(text, nl=False))
    except OutputError as error:
        say(error)
        sys.exit(UNREADABLE)


def console() -> "Console":
    """Return a console for reports: as wide as the terminal, or of fixed width for a pipe."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False, emoji=False)


def show_error(path: str, error: FloodmarkError, form: str) -> None:
    """Report why a capture has no result: as a JSON document if JSON is requested, and on standard error."""
    if form == "json":
        from floodmark.result.result import SCHEMA_VERSION, tool, valid_text

        offset = error.offset if isinstance(error, CaptureError) else None
        document = {
            "schema_version": SCHEMA_VERSION,
            "tool": tool(),
            "path": valid_text(path),
            "error": valid_text(str(error)),
            "offset": offset,
        }
        click.echo(json.dumps(document))
    say(error)


def say(what: object) -> None:
    """Print a message on standard error: an error, or why it takes longer."""
    click.echo(f"floodmark: {shown(str(what))}", err=True)


def sharing_of(key_path: str | None, payload: str) -> "Sharing":
    """Return how captures are to be anonymised; without a key file, with a random key that is not kept. Raises SettingsError."""
    import secrets

    from floodmark.anonymising.anonymise import KEY_BYTES, load_key
    from floodmark.anonymising.anonymiser import Anonymiser
    from floodmark.evidence.sharing import Sharing

    key = secrets.token_bytes(KEY_BYTES) if key_path is None else load_key(key_path)
    return Sharing(Anonymiser(key), payload=payload == "sketch")


def ask_passphrase() -> str:
    """Ask for the passphrase of a key, on the terminal."""
    return str(click.prompt("passphrase of the key", hide_input=True, err=True))


def announce_compilation() -> None:
    """Report why the first run takes longer, and compile."""
    from floodmark_core import compiled_before

    if not compiled_before():
        say("first run on this machine: compiling the core once, 15 to 30 seconds")
        from floodmark.base.warming import warm as compile_core

        compile_core(everything=False)


@contextmanager
def progress() -> "Iterator[Progress | None]":
    """Show reading progress on standard error, if it is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def advance(path: str, nbytes: int) -> None:
            if path not in tasks:
                size = Path(path).stat().st_size if Path(path).is_file() else None
                tasks[path] = bar.add_task(shown(Path(path).name), total=size)
            bar.update(tasks[path], completed=nbytes)

        yield advance
