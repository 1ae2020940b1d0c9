"""What a caller names as captures in, readers out: folders replaced by what they hold, captures that overlap as one."""

from collections.abc import Callable, Iterable
from os import PathLike, fsdecode
from typing import BinaryIO, TypeAlias

from floodmark.captures.archives import Member
from floodmark.captures.capture import BlockReader, Source, reader_of
from floodmark.captures.merging import MergedReader
from floodmark.captures.ordering import Group
from floodmark.captures.sources import expand
from floodmark.errors import CaptureError

Given: TypeAlias = str | PathLike[str] | BinaryIO | Member
Progress: TypeAlias = Callable[[str, int], None]  # told a capture's name and the octets read of it so far


def _is_source(captures: object) -> bool:
    """Tell one capture from several."""
    return isinstance(captures, str | PathLike | Member) or hasattr(captures, "read")


def listed(captures: Given | Iterable[Given]) -> tuple[list[Source], list[CaptureError]]:
    """Return captures one by one, folders replaced by what they hold, and what of it cannot be one.

    Raises TypeError for what names no capture, CaptureError where there is none.
    """
    if not _is_source(captures) and (isinstance(captures, bytes | bytearray) or not isinstance(captures, Iterable)):
        raise TypeError(f"a capture is a path or a binary file object, not {type(captures).__name__}; wrap octets in io.BytesIO")
    given: list[Given] = [captures] if _is_source(captures) else list(captures)  # type: ignore[list-item, arg-type] # told apart above
    sources: list[Source] = []
    left_out: list[CaptureError] = []
    for capture in given:
        if not _is_source(capture):
            raise TypeError(f"a capture is a path or a binary file object, not {type(capture).__name__}")
        if isinstance(capture, str | PathLike):
            for member in expand([fsdecode(capture)]):
                (left_out if isinstance(member, CaptureError) else sources).append(member)  # type: ignore[arg-type] # told apart here
        else:
            sources.append(capture)
    if not sources:
        raise left_out[0] if left_out else CaptureError("", "no capture given")
    return sources, left_out


def opened(group: Group, progress: Progress | None, *, hashing: bool = False, keep_going: bool = False) -> BlockReader | MergedReader:
    """Open a capture, or several that overlap as one. Raises CaptureError."""
    if len(group) == 1:
        return reader_of(group[0][1], hashing=hashing)
    return MergedReader(group, hashing=hashing, keep_going=keep_going, progress=progress)
