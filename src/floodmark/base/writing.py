"""Write files atomically: they appear whole or not at all."""

import contextlib
import errno
import fcntl
import glob
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from floodmark.errors import OutputError

_OF_THE_SYSTEM = (("/", "dev"), ("/", "proc"))  # where a name may refer to an open file
_CODECS = {".zst": "zstd", ".gz": "gzip", ".lz4": "lz4", ".bz2": "bz2"}


@contextlib.contextmanager
def appearing_whole(path: str, *, fresh: bool = False, synced: bool = False) -> Iterator[BinaryIO]:
    """Open a temporary file next to the target, which it replaces once complete; devices and pipes are written directly.

    ``-`` is standard output. fresh: the target must not exist when the file is complete. synced: it is on the disk before it appears.
    Raises OutputError for system errors, also while the file is being written.
    """
    try:
        with _beside(Path(path), fresh=fresh, synced=synced) as file:
            yield file
    except BrokenPipeError:
        raise  # the reader has closed the pipe
    except FileExistsError as error:
        raise OutputError(f"{path}: already exists; choose another path") from error
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
def _beside(path: Path, *, fresh: bool, synced: bool) -> Iterator[BinaryIO]:
    if str(path) == "-":
        if sys.stdout is None:
            raise OutputError("-: cannot be written: standard output is closed")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = resolved(path)  # a symbolic link stays one
    if path.parts[:2] in _OF_THE_SYSTEM or (path.exists() and not path.is_file()):
        with path.open("wb") as file:
            yield file
        return
    part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            mark_as_being_written(file.fileno())
            yield file
            if synced:
                file.flush()
                os.fsync(file.fileno())
        if not fresh or not _linked(part, target):
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def mark_as_being_written(handle: int) -> None:
    """Lock an open file or folder, so that :func:`leftovers` does not list it."""
    with contextlib.suppress(OSError):  # a file system without locks: all that is lost is that others take it for a leftover
        fcntl.flock(handle, fcntl.LOCK_EX)


def resolved(path: Path) -> Path:
    """Return a path without symbolic links. Raises OSError, also for a loop of them."""
    with contextlib.suppress(FileNotFoundError):
        path.stat()  # raises OSError for a loop, for which resolve raises another error
    return path.resolve()


def _linked(part: Path, path: Path) -> bool:
    """Give a file a second name, which never replaces another file, as a rename would. Returns False if there are no links here."""
    try:
        path.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        if path.exists():
            raise FileExistsError(errno.EEXIST, "exists", str(path)) from error
        return False
    return True


def leftovers(path: str) -> list[str]:
    """Return temporary files and folders beside a target that nobody writes any more: a process was killed before it could remove them."""
    target, found = Path(path), []
    with contextlib.suppress(OSError, RuntimeError):
        target = target.resolve()
        for part in sorted(target.parent.glob(f"{glob.escape(target.name)}.????????.part*")):
            handle = os.open(part, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found.append(str(part))
            except BlockingIOError:
                continue
            finally:
                os.close(handle)
    return found


def make_folder(path: str) -> None:
    """Make a folder unless it is there. Raises OutputError."""
    try:
        Path(path).mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
