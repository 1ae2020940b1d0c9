"""Pack a folder into a zip file and back: one zip file for one content, so that any changed byte shows."""

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path, PurePosixPath

from floodmark.base.faults import is_of_the_machine
from floodmark.base.writing import appearing_whole
from floodmark.errors import CaptureError, OutputError

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can hold: a bundle's own times are in its log
_PIECE_BYTES = 1 << 20
_FAULTS = (zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError, EOFError, OSError, IndexError)


class PackedError(Exception):
    """A zip file is not as it was packed, and where."""


def is_packed(path: str) -> bool:
    """Return whether a bundle's name is that of a zip file."""
    return path.lower().endswith(".zip")


def names_in(folder: Path) -> list[str]:
    """Return the files of a folder, in the order in which they are packed."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def pack(folder: Path, path: str, *, fresh: bool = False) -> None:
    """Write a folder as a zip file without compression. fresh: it must not exist yet. Raises OutputError."""
    with appearing_whole(path, fresh=fresh, synced=True) as out, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in names_in(folder):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system, info.external_attr = 3, 0o100644 << 16
            info.file_size = (folder / name).stat().st_size
            with (folder / name).open("rb") as file, archive.open(info, "w", force_zip64=info.file_size >= 1 << 31) as member:
                while nbytes := file.read(_PIECE_BYTES):
                    member.write(nbytes)


def unpack(path: str, folder: Path) -> None:
    """Unpack a zip file. Raises CaptureError if there is no such file, PackedError if a part of it is not as it was packed."""
    if not Path(path).is_file():
        raise CaptureError(path, "no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > Path(path).stat().st_size:
                raise PackedError("its members are longer than the file, which is impossible without compression")
            for info in archive.infolist():
                _unpack_one(archive, info, folder)
    except _FAULTS as error:
        if isinstance(error, OSError) and is_of_the_machine(error):
            raise CaptureError(path, f"cannot be read: {error.strerror}") from error
        raise PackedError(f"not a valid zip file of a bundle: {error}") from error


@contextmanager
def opened(path: str) -> Iterator[Path]:
    """Yield the folder of a bundle, a temporary one for a zip file. Raises CaptureError if there is none."""
    if Path(path).is_dir():
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="floodmark-") as scratch:
        try:
            unpack(path, Path(scratch))
        except PackedError as error:
            raise CaptureError(path, str(error)) from error
        yield Path(scratch)


def _unpack_one(archive: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path) -> None:
    parts = PurePosixPath(info.filename).parts
    if info.is_dir() or not parts or parts[0] == "/" or ".." in parts or "\\" in info.filename or info.compress_type != zipfile.ZIP_STORED:
        raise PackedError(f"{info.filename!r}: not a valid file of a bundle")
    target = folder.joinpath(*parts)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as member, target.open("xb") as file:
            while nbytes := member.read(_PIECE_BYTES):
                file.write(nbytes)
    except _FAULTS as error:
        if isinstance(error, OSError) and is_of_the_machine(error):
            raise OutputError(f"{folder}: cannot unpack {info.filename} there: {error.strerror}; TMPDIR moves temporary files") from error
        raise PackedError(f"{info.filename}: {error}") from error


def difference(path: str, folder: Path, scratch: Path) -> str | None:
    """Return where a zip file differs from its contents packed again, None if it does not."""
    again = scratch / "again.zip"
    pack(folder, str(again))
    try:
        at = next((at for at, (one, other) in enumerate(zip_longest(_pieces(Path(path)), _pieces(again))) if one != other), None)
        if at is None:
            return None
        one, other = _piece(Path(path), at), _piece(again, at)
        byte = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
        return f"byte {at * _PIECE_BYTES + byte:,} of the zip file, in its metadata, is not what packing the same files gives"
    finally:
        again.unlink()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while nbytes := file.read(_PIECE_BYTES):
            yield nbytes


def _piece(path: Path, number: int) -> bytes:
    with path.open("rb") as file:
        file.seek(number * _PIECE_BYTES)
        return file.read(_PIECE_BYTES)
