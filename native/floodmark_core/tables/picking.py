"""Read or write per-flow arrays at the positions of listed flows.

NumPy would first convert a list of 32-bit indices to 64 bits, which for ten million flows takes longer than the work.
"""

import numpy as np

from floodmark_core._jit import kernel
from floodmark_core.columns import I32, U8, U32


@kernel
def pick_received(toward: U8, packets: U32, index: U32, first: int, end: int, to_initiator: int, from_responder: U8, picked: U32) -> None:
    """Write for the listed flows in [``first``, ``end``) which end sent (1: the responder) and how many packets."""
    for k in range(first, end):
        flow = index[k]
        from_responder[k] = np.uint8(toward[flow] == to_initiator)
        picked[k] = packets[flow]


@kernel
def pick_free(taken: U8, index: U32, first: int, end: int, free: U8) -> int:
    """Mark which of the listed flows in [``first``, ``end``) are not taken. Returns how many."""
    count = 0
    for k in range(first, end):
        free[k] = taken[index[k]] == 0
        count += np.int64(free[k])
    return count


@kernel
def pick_unnumbered(numbers: I32, index: U32, first: int, end: int, free: U8) -> int:
    """Mark which of the listed flows in [``first``, ``end``) have no number yet (-1). Returns how many."""
    count = 0
    for k in range(first, end):
        free[k] = numbers[index[k]] < 0
        count += np.int64(free[k])
    return count


@kernel
def put_number(numbers: I32, index: U32, first: int, end: int, number: int) -> None:
    """Assign a number to the listed flows in [``first``, ``end``), none of which is listed twice."""
    for k in range(first, end):
        numbers[index[k]] = number
