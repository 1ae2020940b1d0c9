"""What a terminal shows: progress while captures are read, and a console as wide as the terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from floodmark.base.escaping import shown

if TYPE_CHECKING:
    from rich.console import Console

    from floodmark.captures.opening import Progress

_PIPE_WIDTH = 140  # columns of a report that does not go to a terminal


def console() -> "Console":
    """Return a console for reports: as wide as the terminal, or of fixed width for a pipe."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False, emoji=False)


@contextmanager
def progress() -> "Iterator[Progress | None]":
    """Show reading progress on standard error, if it is a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
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
