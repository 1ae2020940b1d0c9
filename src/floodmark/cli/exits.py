"""The one way out of every command: what is written, what is reported beside it, and the exit code.

A command raises errors and returns; here they become one line on standard error and the documented code, whatever went wrong: a file
that cannot be used, a full disk, a closed stream, an interrupt.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

import click

from floodmark.base.escaping import shown
from floodmark.cli.signals import Ended, ending_in_order
from floodmark.errors import CaptureError, FloodmarkError, NotFoundError, OutputError, SettingsError

if TYPE_CHECKING:
    from floodmark.result.result import Result

ANSWERED, ATTACK_FOUND, WRONG_USAGE, UNREADABLE = 0, 1, 2, 3


class Program(click.Group):
    """The command group. Its commands leave no traceback and no partial file behind."""

    def main(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - click's signature
        """Read the command line and run a command; a signal ends both in order."""
        try:
            with ending_in_order():
                return super().main(*arguments, **named)
        except Ended as ended:
            say(ended)
            sys.exit(ended.code)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command and turn every way in which it can fail into its exit code."""
        try:
            return super().invoke(ctx)
        except Ended as ended:
            say(ended)
            sys.exit(ended.code)
        except (SettingsError, NotFoundError) as error:
            say(error)
            sys.exit(WRONG_USAGE)
        except FloodmarkError as error:
            say(error)
            sys.exit(UNREADABLE)
        except BrokenPipeError:
            raise  # the reader has closed the pipe; click exits without a message
        except OSError as error:
            say(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or error)
            sys.exit(UNREADABLE)
        except MemoryError:
            say("out of memory; a smaller --memory keeps more in temporary files")
            sys.exit(UNREADABLE)
        finally:
            for stream in (sys.stdout, sys.stderr):
                _settle(stream)


def finish(left_out: Iterable[CaptureError] = (), code: int = ANSWERED, *, noted: bool = False) -> None:
    """End a command with its code, or with 3 where captures of a folder were left out. noted: the output names them already."""
    for error in () if noted else left_out:
        say(error)
    sys.exit(UNREADABLE if left_out else code)


def write(text: str) -> None:
    """Write to standard output. Raises OutputError if it cannot be written."""
    show(lambda: click.echo(text, nl=False))


def report(path: str, what: str) -> None:
    """Print what was written to a file; on standard error if the file itself is standard output."""
    line = f"{shown(path)}: {what}"
    if path == "-":
        say(line)
    else:
        write(f"{line}\n")


def show(output: Callable[[], None]) -> None:
    """Call what writes to standard output, and flush it. Raises OutputError if it cannot be written."""
    if sys.stdout is None or sys.stdout.closed:
        raise OutputError("the results cannot be written: standard output is closed")
    try:
        output()
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:  # ValueError: the stream was closed meanwhile
        raise OutputError(f"the results cannot be written: {getattr(error, 'strerror', None) or error}") from error


def _settle(stream: TextIO | None) -> None:
    """Redirect a stream that cannot be written to nowhere: Python flushes the rest at exit, and would fail once more with code 120."""
    if stream is None or stream.closed:
        return
    try:
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):  # a stream without a descriptor
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def say(what: object) -> None:
    """Print a message on standard error, where there is one: an error, or why it takes longer."""
    if sys.stderr is None:
        return
    with suppress(OSError, ValueError):  # a full or closed stream: the exit code still tells
        click.echo(f"floodmark: {shown(str(what))}", err=True)


def say_problems(result: "Result") -> None:
    """Report problems of the captures on standard error, if the output itself does not."""
    for capture in result.captures:
        for problem in capture.problems:
            where = "" if problem.first_offset is None else f", first at byte {problem.first_offset:,}"
            say(f"{capture.path}: {problem.kind}: {problem.count:,}{where}")


def show_error(path: str, error: FloodmarkError, form: str) -> None:
    """Report why a capture has no result: on standard error, and as a document of its own if JSON was requested."""
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
        write(json.dumps(document) + "\n")
    say(error)
