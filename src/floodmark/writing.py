"""Files that appear whole or not at all."""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from floodmark.errors import OutputError


@contextlib.contextmanager
def appearing_whole(path: str) -> Iterator[BinaryIO]:
    """Open a file beside the one asked for, which takes its name once all is written; a device or a pipe is written to as it is.

    Raises OutputError for what the system refuses, also while the file is being written.
    """
    try:
        with _beside(Path(path)) as file:
            yield file
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[BinaryIO]:
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
