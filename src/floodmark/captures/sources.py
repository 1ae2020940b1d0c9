"""Names in, captures out: folders and archives replaced by the captures in them."""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from floodmark.captures.archives import Member, members_of
from floodmark.captures.capture import SNIFF_OCTETS, Source, begins_like_capture, reader_of, recognise
from floodmark.captures.unpacking import codec_of
from floodmark.errors import CaptureError

Found: TypeAlias = str | Member | CaptureError  # a capture, or why it is left out

# Names that tools give to captures, rotated or compressed ones too: a.pcap, a.pcapng.gz, a.cap.0042.
_CAPTURE_NAME = re.compile(r"\.(pcap|pcapng|ntar|cap|dmp|snoop|erf)(\d+)?(\.\d+)?(\.(gz|zst|xz|bz2|lz4|zip))?$", re.IGNORECASE)


def can_reread(source: Source) -> bool:
    """Tell whether a capture can be looked at and then be read from where it stands: a regular file, or a file object that seeks."""
    if isinstance(source, Member):
        return True
    if isinstance(source, str):
        return source != "-" and not Path(source).is_fifo() and not Path(source).is_char_device()
    return bool(getattr(source, "seekable", bool)())


def is_compressed(path: str) -> bool:
    """Tell whether a file is compressed, by its first octets; False where it cannot be read."""
    try:
        with Path(path).open("rb") as stream:
            return codec_of(stream.read(SNIFF_OCTETS)) is not None
    except OSError:
        return False


def expand(paths: Iterable[str]) -> list[Found]:
    """Replace each folder and each archive by the captures in it, in order of name.

    A member that should be a capture by its name, or cannot be looked at, is given as the error that says why it is left out.
    Raises CaptureError for a folder or an archive that holds none.
    """
    captures: list[Found] = []
    for path in paths:
        if not path:
            raise CaptureError('""', "an empty name is no capture")
        if path != "-" and Path(path).is_dir():
            found = list(_captures_under(path))
        elif path != "-" and Path(path).is_file() and (members := members_of(path)) is not None:
            found = list(_captures_among(members))
        else:
            captures.append(path)
            continue
        if not found:
            kind = "folder" if Path(path).is_dir() else "archive"
            raise CaptureError(path, f"no capture in this {kind}; expected files that begin like pcap or pcapng")
        captures.extend(found)
    return captures


def _captures_under(folder: str) -> Iterator[Found]:
    unlisted: list[CaptureError] = []

    def refused(error: OSError) -> None:
        unlisted.append(CaptureError(str(error.filename), f"cannot be opened: {error.strerror or error}"))

    files = [Path(where) / name for where, _, names in os.walk(folder, onerror=refused) for name in names]
    yield from unlisted
    for file in sorted(files):
        try:
            if _is_capture(file):
                yield str(file)
            elif file.is_file() and (members := members_of(str(file))) is not None:
                yield from _captures_among(members)
        except CaptureError as error:
            yield error


def _is_capture(file: Path) -> bool:
    """Tell whether a member of a folder is a capture. Raises CaptureError where its name says so and its octets do not."""
    named_so = bool(_CAPTURE_NAME.search(file.name))
    try:
        kind = file.stat().st_mode
        if not stat.S_ISREG(kind):
            return False
        with file.open("rb") as stream:
            head = stream.read(SNIFF_OCTETS)
    except FileNotFoundError as error:  # a link to nothing
        if not named_so:
            return False
        raise CaptureError(str(file), f"cannot be opened: {error.strerror}") from error
    except OSError as error:
        raise CaptureError(str(file), f"cannot be opened: {error.strerror or error}") from error
    if begins_like_capture(head):
        return True
    if codec_of(head):
        return _holds_capture(str(file), named_so)
    if named_so:
        recognise(head, str(file))  # says what it is instead
    return False


def _captures_among(members: Iterable[Member]) -> Iterator[Found]:
    """Yield the captures among the files of an archive."""
    for member in sorted(members, key=lambda member: member.name):
        try:
            if _holds_capture(member, bool(_CAPTURE_NAME.search(member.name))):
                yield member
        except CaptureError as error:
            yield error


def _holds_capture(source: str | Member, named_so: bool) -> bool:
    """Tell whether a compressed file holds a capture. Raises CaptureError where its name says so and its octets do not."""
    try:
        with reader_of(source, SNIFF_OCTETS):
            return True
    except CaptureError:
        if named_so:
            raise
        return False
