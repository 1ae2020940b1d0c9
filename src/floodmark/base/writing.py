"""Write files atomically: they appear whole or not at all."""

import contextlib
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from floodmark.errors import OutputError

_OF_THE_SYSTEM = (("/", "dev"), ("/", "proc"))  # where a name may refer to an open file
_CODECS = {".zst": "zstd", ".gz": "gzip", ".lz4": "lz4", ".bz2": "bz2"}


@contextlib.contextmanager
def appearing_whole(path: str) -> Iterator[BinaryIO]:
    """Open a temporary file next to the target, which it replaces once complete; devices and pipes are written directly.

    ``-`` is standard output. Raises OutputError for system errors, also while the file is being written.
    """
    try:
        with _beside(Path(path)) as file:
            yield file
    except BrokenPipeError:
        raise  # the reader has closed the pipe
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def packed(path: str) -> Iterator[BinaryIO]:
    """Open a file for atomic writing, compressed according to its suffix: .gz, .zst, .bz2 or .lz4. Raises OutputError."""
    import pyarrow as pa  # noqa: PLC0415 - most files are not compressed

    codec = next((codec for ending, codec in _CODECS.items() if path.endswith(ending)), None)
    with appearing_whole(path) as file:
        if codec is None:
            yield file
            return
        with pa.CompressedOutputStream(pa.PythonFile(file, "w"), codec) as stream:
            yield stream


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[BinaryIO]:
    if str(path) == "-":
        if sys.stdout is None:
            raise OutputError("-: cannot be written: standard output is closed")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with contextlib.suppress(FileNotFoundError):
        path.stat()  # raises OSError for a loop of symbolic links, for which resolve raises another error
    if path.parts[:2] in _OF_THE_SYSTEM or (path.exists() and not path.is_file()):
        with path.open("wb") as file:
            yield file
        return
    path = path.resolve()  # a symbolic link stays one
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def make_folder(path: str) -> None:
    """Make a folder unless it is there. Raises OutputError."""
    try:
        Path(path).mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
