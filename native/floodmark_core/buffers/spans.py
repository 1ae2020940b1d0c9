"""Ranges of bytes: gather them into one row, put them back in place, and mark them."""

from floodmark_core._jit import kernel
from floodmark_core.columns import I64, U8


@kernel
def gather_spans(nbytes: U8, starts: I64, ends: I64, out: U8) -> None:
    """Write ranges of bytes one after the other. out: as long as all of them."""
    at = 0
    for i in range(starts.shape[0]):
        for place in range(starts[i], ends[i]):
            out[at] = nbytes[place]
            at += 1


@kernel
def place_spans(row: U8, starts: I64, ends: I64, out: U8, marks: U8) -> None:
    """Write consecutive bytes back to the ranges they came from, and mark these. row: as long as all of them."""
    at = 0
    for i in range(starts.shape[0]):
        for place in range(starts[i], ends[i]):
            out[place] = row[at]
            marks[place] = 1
            at += 1


@kernel
def mark_spans(starts: I64, ends: I64, marks: U8) -> None:
    """Mark the bytes in ranges, which may begin before and end after ``marks``."""
    for i in range(starts.shape[0]):
        for place in range(max(starts[i], 0), min(ends[i], marks.shape[0])):
            marks[place] = 1
