"""Read unsigned integers from captured bytes. Callers check the bounds first; Numba does not."""

import numpy as np

from floodmark_core._jit import step
from floodmark_core.columns import U8

ONE, TWO, THREE = np.uint64(1), np.uint64(2), np.uint64(3)


@step
def big16(data: U8, at: int) -> int:
    """Read two bytes, big endian."""
    i = np.uint64(at)
    return (np.int64(data[i]) << 8) | np.int64(data[i + ONE])


@step
def big32(data: U8, at: int) -> int:
    """Read four bytes, big endian."""
    i = np.uint64(at)
    return (np.int64(data[i]) << 24) | (np.int64(data[i + ONE]) << 16) | (np.int64(data[i + TWO]) << 8) | np.int64(data[i + THREE])


@step
def big64(data: U8, at: int) -> np.uint64:
    """Read eight bytes, big endian."""
    return (np.uint64(big32(data, at)) << np.uint64(32)) | np.uint64(big32(data, at + 4))


@step
def little32(data: U8, at: int) -> int:
    """Read four bytes, little endian."""
    i = np.uint64(at)
    return np.int64(data[i]) | (np.int64(data[i + ONE]) << 8) | (np.int64(data[i + TWO]) << 16) | (np.int64(data[i + THREE]) << 24)


@step
def host16(data: U8, at: int, swapped: int) -> int:
    """Read two bytes in the file's byte order: little endian, or big endian if ``swapped``."""
    if swapped:
        return big16(data, at)
    i = np.uint64(at)
    return np.int64(data[i]) | (np.int64(data[i + ONE]) << 8)


@step
def host32(data: U8, at: int, swapped: int) -> int:
    """Read four bytes in the file's byte order: little endian, or big endian if ``swapped``."""
    value = little32(data, at)
    turned = (value >> 24) | ((value >> 8) & 0xFF00) | ((value << 8) & 0xFF0000) | ((value & 0xFF) << 24)
    return turned if swapped else value  # both are computed, one instruction each: cheaper than a branch
