"""The flows of a run as columns: one value per flow, whether it has one packet or many.

The tables keep a flow of one packet in one short row, see floodmark_core.columns; here every flow has every column.
"""

import secrets
from collections.abc import Iterable
from functools import cached_property

import numpy as np

from floodmark.memory import Memory
from floodmark.workers import Workers
from floodmark_core import FLOW, MORE
from floodmark_core.columns import I64, U64, Rows
from floodmark_core.dialogue import complete
from floodmark_core.ranking import hash_initiators

SEED = np.uint64(secrets.randbits(64))  # the keys are an attacker's choice; no answer depends on it
_FIRST, _SECOND = frozenset(FLOW.names or ()), frozenset(MORE.names or ())
_CHUNK = 4096  # rows completed at a time: the buffer stays in the cache
_WORDS = MORE.itemsize // 8


class Flows:
    """Finished flows in order of their first packets.

    rows: FLOW[n]. more: MORE rows of the flows that have more than one packet. clock_ns: capture clock at the last packet.
    """

    def __init__(self, rows: Rows, more: Rows, clock_ns: int, timeouts: I64, memory: Memory | None = None) -> None:
        self.rows = rows
        self.more = more
        self.workers = Workers()  # one thread; a run with more puts its own here
        self.memory = memory or Memory()
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

    @cached_property
    def initiator_hashes(self) -> U64:
        """Hash of each flow's initiator under the run's secret seed, odd."""
        hashes: U64 = self.memory.array(len(self), np.uint64)
        self.workers.each(lambda _, first, end: hash_initiators(SEED, self.rows, first, end, hashes), self.workers.parts(len(self)))
        return hashes

    def columns(self, index: I64, names: Iterable[str] = (*_FIRST, *_SECOND)) -> dict[str, np.ndarray]:
        """Return several columns of some flows, by default every one: each flow is looked at once for all of them."""
        wanted = {name: (FLOW if name in _FIRST else MORE)[name] for name in names}
        found = {name: np.empty(len(index), kind) for name, kind in wanted.items()}
        needs_more = not _FIRST.issuperset(wanted)
        for start in range(0, len(index), _CHUNK):
            part = index[start : start + _CHUNK]
            more = self.complete(part) if needs_more else None
            for name, values in found.items():
                values[start : start + _CHUNK] = self.rows[name][part] if more is None or name in _FIRST else more[name]
        return found

    def column(self, name: str, index: I64) -> np.ndarray:
        """Return a column of some flows. name: a field of FLOW or MORE (floodmark_core.columns)."""
        if name in _FIRST:
            return self.rows[name][index]
        return self.columns(index, (name,))[name]


def _words(rows: Rows) -> np.ndarray:
    return rows.view(np.uint64).reshape(len(rows), _WORDS)
