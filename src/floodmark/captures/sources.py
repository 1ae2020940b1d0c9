"""Turn names into sources: folders and archives are replaced by the captures in them."""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from floodmark.captures.archives import Member, members_of
from floodmark.captures.container import SNIFF_BYTES, begins_like_capture, recognise
from floodmark.captures.source import Source
from floodmark.captures.unpacking import codec_of
from floodmark.errors import CaptureError

Found: TypeAlias = Source | CaptureError  # a capture, or why it is left out

# Names that tools give to captures, including rotated and compressed ones: a.pcap, a.pcapng.gz, a.cap.0042.
_CAPTURE_NAME = re.compile(r"\.(pcap|pcapng|ntar|cap|dmp|snoop|erf)(\d+)?(\.\d+)?(\.(gz|zst|xz|bz2|lz4|zip))?$", re.IGNORECASE)


def expand(paths: Iterable[str]) -> list[Found]:
    """Replace each folder and each archive by the captures in it, in name order.

    A member whose name is a capture's but whose content is not, or that cannot be read, is returned as the error that says why it is
    left out. Raises CaptureError for a folder or an archive without captures.
    """
    captures: list[Found] = []
    for path in paths:
        if not path:
            raise CaptureError('""', "the name of a capture is empty; give a path")
        if path != "-" and Path(path).is_dir():
            found = list(_captures_under(path))
        elif path != "-" and Path(path).is_file() and (members := members_of(path)) is not None:
            found = list(_captures_among(members))
        else:
            captures.append(Source.of_path(path))
            continue
        if not found:
            kind = "folder" if Path(path).is_dir() else "archive"
            raise CaptureError(path, f"no capture in this {kind}; expected files that start with a pcap or pcapng header")
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
                yield Source.of_path(str(file))
            elif file.is_file() and (members := members_of(str(file))) is not None:
                yield from _captures_among(members)
        except CaptureError as error:
            yield error


def _is_capture(file: Path) -> bool:
    """Return whether a member of a folder is a capture. Raises CaptureError if its name says so but its content does not."""
    named_so = bool(_CAPTURE_NAME.search(file.name))
    try:
        kind = file.stat().st_mode
        if not stat.S_ISREG(kind):
            return False
        with file.open("rb") as stream:
            head = stream.read(SNIFF_BYTES)
    except FileNotFoundError as error:  # a dangling symlink
        if not named_so:
            return False
        raise CaptureError(str(file), f"cannot be opened: {error.strerror}") from error
    except OSError as error:
        raise CaptureError(str(file), f"cannot be opened: {error.strerror or error}") from error
    if codec_of(head):
        return _holds_capture(Source.of_path(str(file)), named_so)
    if not named_so and not begins_like_capture(head):
        return False
    recognise(head, str(file))  # raises the error that says what it is instead, or that its header is cut
    return True


def _captures_among(members: Iterable[Member]) -> Iterator[Found]:
    """Yield the captures among the files of an archive."""
    for member in sorted(members, key=lambda member: member.name):
        try:
            source = Source.of_member(member)
            if _holds_capture(source, bool(_CAPTURE_NAME.search(member.name))):
                yield source
        except CaptureError as error:
            yield error


def _holds_capture(source: Source, named_so: bool) -> bool:
    """Return whether a compressed file holds a capture. Raises CaptureError if its name says so but its content does not."""
    try:
        with source.reader(SNIFF_BYTES):
            return True
    except CaptureError:
        if named_so:
            raise
        return False
