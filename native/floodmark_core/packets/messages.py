"""Step through messages that the recogniser and the anonymiser must understand alike: HTTP heads, HTTP/2 frames, DNS names."""

import numpy as np

from floodmark_core._jit import step
from floodmark_core.buffers.access import big32
from floodmark_core.columns import U8

HEAD_BYTES = 16_384  # of a payload, searched for the end of an HTTP head
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 section 3.4
FRAME_HEADER = 9  # bytes, RFC 9113 section 4.1
HEADERS_FRAME, RESET_FRAME, CONTINUATION_FRAME = 1, 3, 9  # RFC 9113 section 6; the last is the highest type
_LARGEST_FRAME = 16_384  # RFC 9113 section 4.2: without a setting that allows more


@step
def is_line_end(block: U8, at: int) -> bool:
    """Return whether CR and LF are at ``at``; both bytes are in the block."""
    return bool(block[at] == 13 and block[at + 1] == 10)


@step
def head_end(block: U8, at: int, end: int) -> int:
    """Find the two line ends in a row that end an HTTP head (RFC 9112 section 2.1). Returns the position of the first; -1 if none."""
    for i in range(at, end - 3):
        if is_line_end(block, i) and is_line_end(block, i + 2):
            return i
    return -1


@step
def http2_frame(block: U8, at: int, end: int) -> tuple[int, int]:
    """Read the header of an HTTP/2 frame (RFC 9113 section 4.1). Returns (type, bytes of the whole frame); (-1, 0) if there is none.

    A payload that begins inside a frame usually yields none: its first bytes have a type or a length that no frame header has.
    """
    if at + FRAME_HEADER > end:
        return -1, 0
    length, kind = big32(block, at) >> 8, np.int64(block[at + 3])
    if length > _LARGEST_FRAME or kind > CONTINUATION_FRAME or (kind == RESET_FRAME and length != 4):
        return -1, 0
    return kind, FRAME_HEADER + length


@step
def after_label(block: U8, at: int, end: int) -> int:
    """Step over a label of a DNS name (RFC 1035 section 3.1). Returns the position after it, which may lie beyond ``end``.

    Returns ``at`` if the name ends there: at its root, at a pointer (RFC 1035 section 4.1.4), or at ``end``.
    """
    if at >= end or block[at] == 0 or block[at] >= 64:
        return at
    return at + 1 + np.int64(block[at])
