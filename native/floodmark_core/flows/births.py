"""Order the rows of several shares by their flows' first packets.

Every share sees the same batches of packets (reader.py), and its rows are in order. So it keeps only how many rows it began in each
batch, and the position of each row's first packet in its batch: two bytes per row.
"""

import numpy as np

from floodmark_core._jit import kernel
from floodmark_core.columns import I64, U16, U32


@kernel
def order_by_birth(births: U16, rows: U32, opened: U16, first: int, end: int, cursors: I64, at: int, place: U32) -> None:
    """Order the rows that shares began in the batches in [``first``, ``end``).

    births: uint16[rows], positions in their batches. rows: uint32[n], those of each share in order, one share after the other.
    opened: uint16[shares, batches], rows begun. cursors: int64[shares, 2], next position of each share in ``rows``; the second is scratch.
    place: uint32[n], filled from ``at`` on.
    """
    shares = opened.shape[0]
    for batch in range(first, end):
        for share in range(shares):
            cursors[share, 1] = cursors[share, 0] + np.int64(opened[share, batch])
        while True:
            earliest, born = -1, 1 << 16
            for share in range(shares):
                if cursors[share, 0] < cursors[share, 1] and births[rows[cursors[share, 0]]] < born:
                    earliest, born = share, np.int64(births[rows[cursors[share, 0]]])
            if earliest < 0:
                break
            place[at] = rows[cursors[earliest, 0]]
            cursors[earliest, 0] += 1
            at += 1
