"""Format addresses as text: dotted decimal, and RFC 5952 for IPv6, as the offsets and bytes of a string column."""

import numpy as np

from floodmark_core._jit import kernel, step
from floodmark_core.columns import I32, U8, U64

LONGEST = 39  # bytes of the longest IPv6 address as text


@step
def put_decimal(value: int, out: U8, at: int) -> int:
    """Write 0 to 255 in decimal. Returns the position after it."""
    if value >= 100:
        out[at] = 48 + value // 100
        at += 1
    if value >= 10:
        out[at] = 48 + value // 10 % 10
        at += 1
    out[at] = 48 + value % 10
    return at + 1


@step
def put_hexadecimal(value: int, out: U8, at: int) -> int:
    """Write 0 to 65,535 in lower-case hexadecimal without leading zeros. Returns the position after it."""
    begun = False
    for shift in (12, 8, 4, 0):
        digit = (value >> shift) & 15
        if digit or begun or shift == 0:
            out[at] = digit + (48 if digit < 10 else 87)
            at += 1
            begun = True
    return at


@step
def group16(hi: int, lo: int, i: int) -> int:
    """Return the i-th of the eight 16-bit groups of an IPv6 address."""
    word = hi if i < 4 else lo
    return np.int64((word >> np.uint64(48 - 16 * (i & 3))) & np.uint64(0xFFFF))


@step
def put_ipv6(hi: int, lo: int, out: U8, at: int) -> int:
    """Write an IPv6 address: the longest run of two or more zero groups (the first if several are equal) becomes a double colon."""
    best, longest = -1, 1
    i = 0
    while i < 8:
        run = 0
        while i + run < 8 and group16(hi, lo, i + run) == 0:
            run += 1
        if run > longest:
            best, longest = i, run
        i += max(run, 1)
    i = 0
    while i < 8:
        if i == best:
            out[at], out[at + 1] = 58, 58
            at += 2
            i += longest
            continue
        if i > 0 and (best < 0 or i != best + longest):
            out[at] = 58
            at += 1
        at = put_hexadecimal(group16(hi, lo, i), out, at)
        i += 1
    return at


@kernel
def write_addresses(hi: U64, lo: U64, version: U8, offsets: I32, out: U8) -> int:
    """Write addresses one after the other. offsets: int32[n + 1]. out: uint8[39 n]. Returns the bytes written."""
    at = 0
    for i in range(lo.shape[0]):
        offsets[i] = at
        if version[i] == 4:
            for shift in (24, 16, 8, 0):
                at = put_decimal(np.int64(lo[i] >> np.uint64(shift)) & 255, out, at)
                if shift:
                    out[at] = 46
                    at += 1
        else:
            at = put_ipv6(hi[i], lo[i], out, at)
    offsets[lo.shape[0]] = at
    return at
