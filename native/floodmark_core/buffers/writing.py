"""Write integers and ranges of bytes to a buffer. Callers make sure that there is space; Numba does not check it.

There is no function that fills a range: assignment to a slice does.
"""

from floodmark_core._jit import step
from floodmark_core.columns import U8


@step
def put_big16(out: U8, at: int, value: int) -> None:
    """Write two bytes, big endian."""
    out[at], out[at + 1] = (value >> 8) & 0xFF, value & 0xFF


@step
def put_little32(out: U8, at: int, value: int) -> None:
    """Write the low four bytes of a number, little endian."""
    for n in range(4):
        out[at + n] = (value >> (8 * n)) & 0xFF


@step
def put_host32(out: U8, at: int, value: int, swapped: int) -> None:
    """Write the low four bytes of a number in the file's byte order: little endian, or big endian if ``swapped``."""
    for n in range(4):
        out[at + (3 - n if swapped else n)] = (value >> (8 * n)) & 0xFF


@step
def copy_bytes(source: U8, first: int, end: int, out: U8, to: int) -> int:
    """Copy the bytes of ``source`` from ``first`` up to ``end``, none if ``end`` comes before. Returns ``to`` plus ``end - first``."""
    for n in range(end - first):
        out[to + n] = source[first + n]
    return to + end - first
