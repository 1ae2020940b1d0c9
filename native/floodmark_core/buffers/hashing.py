"""Hash keys and text.

Keys of flows and destinations: 64 x 64 -> 128-bit multiply, folded, under a seed that is secret, because an attacker chooses the keys.
Text, such as names and paths, whose hash is part of the results: FNV-1a, which needs no seed.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from floodmark_core._jit import step

# Odd constants that spread one seed over the words of a key (fractional digits of sqrt(2), sqrt(3), sqrt(5), sqrt(7)).
SPREAD_1 = np.uint64(0x6A09E667F3BCC909)
SPREAD_2 = np.uint64(0xBB67AE8584CAA73B)
SPREAD_3 = np.uint64(0x3C6EF372FE94F82B)
SPREAD_4 = np.uint64(0xA54FF53A5F1D36F1)


# FNV-1a with 32 bits: the hash of no bytes, and the prime.
FNV_EMPTY = np.uint32(0x811C9DC5)
FNV_PRIME = np.uint32(0x01000193)


@intrinsic
def _fold(typing_context: Any, left: Any, right: Any) -> Any:  # noqa: ANN401, ARG001 - Numba's calling convention
    """Multiply two uint64 to 128 bits and xor the halves; a plain 64-bit product would lose the high half that mixes best."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
        wide, word = ir.IntType(128), ir.IntType(64)
        product = builder.mul(builder.zext(arguments[0], wide), builder.zext(arguments[1], wide))
        return builder.xor(builder.trunc(product, word), builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), word))

    return types.uint64(types.uint64, types.uint64), code


# Called without the typing context that the type stubs of intrinsics count among the arguments.
fold: Any = _fold


@step
def hash_words(seed: np.uint64, a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64, e: np.uint64) -> np.uint64:
    """Hash five words under a seed; every bit of the result depends on every word."""
    first = fold(a ^ seed, b ^ (seed * SPREAD_1))
    second = fold(c ^ (seed * SPREAD_2), d ^ (seed * SPREAD_3))
    return fold(first ^ e ^ (seed * SPREAD_4), second ^ SPREAD_1)


@step
def hash_host(seed: np.uint64, hi: np.uint64, lo: np.uint64, version: int) -> np.uint64:
    """Hash an address under a seed; a seed of zero would hash all IPv4 addresses, whose high half is zero, to the same value."""
    zero = np.uint64(0)
    return hash_words(seed | np.uint64(1), hi ^ np.uint64(version), lo, zero, zero, zero)


@step
def fnv1a(value: np.uint32, byte: int) -> np.uint32:
    """Add a byte to an FNV-1a hash, which begins as FNV_EMPTY."""
    return np.uint32((value ^ np.uint32(byte)) * FNV_PRIME)
