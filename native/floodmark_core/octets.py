"""Unsigned integers out of captured octets. Callers test the bounds first; Numba does not."""

import numpy as np

from floodmark_core._jit import step
from floodmark_core.columns import U8


@step
def big16(data: U8, at: int) -> int:
    """Read two octets, big endian."""
    return (np.int64(data[at]) << 8) | np.int64(data[at + 1])


@step
def big32(data: U8, at: int) -> int:
    """Read four octets, big endian."""
    return (np.int64(data[at]) << 24) | (np.int64(data[at + 1]) << 16) | (np.int64(data[at + 2]) << 8) | np.int64(data[at + 3])


@step
def big64(data: U8, at: int) -> np.uint64:
    """Read eight octets, big endian."""
    return (np.uint64(big32(data, at)) << np.uint64(32)) | np.uint64(big32(data, at + 4))


@step
def host16(data: U8, at: int, swapped: int) -> int:
    """Read two octets in the file's byte order: little endian, or big endian where ``swapped``."""
    if swapped:
        return big16(data, at)
    return np.int64(data[at]) | (np.int64(data[at + 1]) << 8)


@step
def host32(data: U8, at: int, swapped: int) -> int:
    """Read four octets in the file's byte order: little endian, or big endian where ``swapped``."""
    if swapped:
        return big32(data, at)
    return np.int64(data[at]) | (np.int64(data[at + 1]) << 8) | (np.int64(data[at + 2]) << 16) | (np.int64(data[at + 3]) << 24)
