"""The options that commands share: which captures, how they are read and judged, what must not be overwritten."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from floodmark.base.escaping import shown
from floodmark.base.writing import leftovers
from floodmark.cli.exits import say
from floodmark.cli.progress import progress
from floodmark.cli.starting import quick_imports
from floodmark.errors import CaptureError

if TYPE_CHECKING:
    from floodmark.captures.source import Source
    from floodmark.claims.assets import Asset, AssetSummary
    from floodmark.evidence.sharing import Sharing
    from floodmark.result.pipeline import Options
    from floodmark.result.result import Result
    from floodmark.settings import Settings

VERDICTS = ("volumetric", "application-layer", "benign")
_READ = ("settings_path", "assets_path", "claim_path", "key_path", "shared_key")  # parameters that name other inputs
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


def refuse_overwriting(captures: Sequence[str], path: str | None) -> None:
    """Exit if the output would overwrite an input, whatever its name, or be in a folder that is read.

    Say what a killed process left beside it.
    """
    if path in (None, "-"):
        return
    parameters = click.get_current_context().params
    for read in (*captures, *(parameters[name] for name in _READ if parameters.get(name) is not None)):
        with suppress(OSError, RuntimeError):  # RuntimeError: a loop of symbolic links, which writing reports
            target = Path(str(path)).resolve()
            if target.exists() and target.samefile(read):
                raise click.UsageError(f"{shown(str(path))} is an input; write to another file")
            if Path(read).is_dir() and Path(read).resolve() in target.parents:
                raise click.UsageError(f"{shown(str(path))} is in the input folder {shown(read)}; write elsewhere")
    for left in leftovers(str(path)):
        say(f"{left}: left behind by a process that was killed; nobody writes it any more, remove it")


def assets_of(path: str | None, sources: "Sequence[Source]", how: Reading) -> "tuple[Asset, ...]":
    """Return the assets of a file, with the addresses that captures hold for their names. Raises SettingsError, CaptureError."""
    if path is None:
        return ()
    from floodmark.claims.assets import load_assets, with_learned_addresses

    return with_learned_addresses(load_assets(path), sources, how.settings.flow, keep_going=how.options.keep_going)


def summaries(path: str | None, result: "Result", how: Reading) -> "tuple[AssetSummary, ...]":
    """Return a result's summary of each asset of a file. Raises SettingsError, CaptureError."""
    if path is None:
        return ()
    from floodmark.claims.assets import summarise

    return summarise(result, assets_of(path, result.sources, how))


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
        with quick_imports():
            settings = _settings(settings_path, tunnels)
            from floodmark.result.pipeline import Options
        announce_compilation()

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

    settings = load_settings(path) if path else Settings()
    return replace(settings, flow=replace(settings.flow, tunnels=tunnels)) if tunnels else settings


def members(captures: tuple[str, ...]) -> "Iterator[Source | CaptureError]":
    """Yield captures one by one, with folders expanded; for what cannot be one, the error that says why."""
    from floodmark.captures.sources import expand

    for path in captures:
        try:
            yield from expand([path])
        except CaptureError as error:
            yield error


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
    from floodmark_core import compiled_before, on_cache_fault

    on_cache_fault(say)
    if not compiled_before():
        say("first run on this machine: compiling the core once, 15 to 30 seconds")
        from floodmark.base.warming import warm as compile_core

        compile_core(everything=False)
