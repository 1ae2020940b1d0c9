"""Turn paths, archives and streams into readers: folders are replaced by the captures in them, overlapping captures read as one."""

from collections.abc import Callable, Iterable
from os import PathLike, fsdecode
from typing import TypeAlias, cast

from floodmark.captures.blocks import BlockReader
from floodmark.captures.merging import MergedReader
from floodmark.captures.ordering import Group
from floodmark.captures.source import Given, Source, is_one, source_of
from floodmark.captures.sources import expand
from floodmark.errors import CaptureError

Progress: TypeAlias = Callable[[str, int], None]  # called with a capture's name and the bytes read of it so far


def listed(captures: Given | Iterable[Given]) -> tuple[list[Source], list[CaptureError]]:
    """Return single captures, with folders replaced by their content, and the errors of members that cannot be read as captures.

    Raises TypeError for an argument that does not name a capture, CaptureError if there is no capture.
    """
    if not is_one(captures) and (isinstance(captures, bytes | bytearray) or not isinstance(captures, Iterable)):
        raise TypeError(f"a capture is a path or a binary file object, not {type(captures).__name__}; wrap bytes in io.BytesIO")
    given = [captures] if is_one(captures) else list(cast(Iterable[Given], captures))
    sources: list[Source] = []
    left_out: list[CaptureError] = []
    for capture in given:
        if not isinstance(capture, str | PathLike):
            sources.append(source_of(capture))
            continue
        for member in expand([fsdecode(capture)]):
            if isinstance(member, CaptureError):
                left_out.append(member)
            else:
                sources.append(member)
    if not sources:
        raise left_out[0] if left_out else CaptureError("", "no capture given")
    return sources, left_out


def opened(group: Group, progress: Progress | None, *, hashing: bool = False, keep_going: bool = False) -> BlockReader | MergedReader:
    """Open a capture, or several overlapping ones as one. Raises CaptureError."""
    if len(group) == 1:
        [(_, source)] = group
        reader = source.reader(hashing=hashing)
        source.read_once(reader)
        return reader
    return MergedReader(group, hashing=hashing, keep_going=keep_going, progress=progress)
