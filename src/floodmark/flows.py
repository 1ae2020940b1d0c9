"""The flows of a run as columns: one value per flow, whether it has one packet or many.

The tables keep a flow of one packet in one short row, see floodmark_core.columns; here every flow has every column.
"""

import numpy as np

from floodmark_core import FLOW, MORE
from floodmark_core.columns import I64, Rows
from floodmark_core.dialogue import complete

_CHUNK = 4096  # rows completed at a time: the buffer stays in the cache
_WORDS = MORE.itemsize // 8


class Flows:
    """Finished flows in order of their first packets.

    rows: FLOW[n]. more: MORE rows of the flows that have more than one packet. clock_ns: capture clock at the last packet.
    """

    def __init__(self, rows: Rows, more: Rows, clock_ns: int, timeouts: I64) -> None:
        self.rows = rows
        self.more = more
        self._clock_ns = clock_ns
        self._timeouts = timeouts

    def __len__(self) -> int:
        """Return the number of flows."""
        return len(self.rows)

    def complete(self, index: I64) -> Rows:
        """Return the MORE rows of some flows."""
        out = np.empty(len(index), MORE)
        complete(self.rows, _words(self.more), index, self._clock_ns, self._timeouts, out, _words(out))
        return out

    def column(self, name: str, index: I64) -> np.ndarray:
        """Return a column of some flows. name: a field of FLOW or MORE (floodmark_core.columns)."""
        if name in _FIRST:
            return self.rows[name][index]
        values = np.empty(len(index), MORE[name])
        for start in range(0, len(index), _CHUNK):
            values[start : start + _CHUNK] = self.complete(index[start : start + _CHUNK])[name]
        return values


_FIRST = frozenset(FLOW.names or ())


def _words(rows: Rows) -> np.ndarray:
    return rows.view(np.uint64).reshape(len(rows), _WORDS)
