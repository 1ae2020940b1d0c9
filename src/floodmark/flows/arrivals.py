"""What arrived at each destination, by kind of traffic and tenth of a second, in all shares together."""

from typing import NamedTuple

import numpy as np

from floodmark.base.memory import Memory
from floodmark_core import DESTINATION, TENTH, ArrivalTable
from floodmark_core.columns import (
    ARRIVALS_BEGIN_NS,
    ARRIVALS_END_NS,
    ARRIVALS_USED_SIZE,
    I64,
    NEXT_DESTINATION,
    NEXT_TENTH,
    U8,
    U32,
    Rows,
)
from floodmark_core.flows.arrivals import COUNT_BITS, MOST_PACKETS, join_arrivals

_IN_A_SECOND = 10


class Tenths(NamedTuple):
    """What somebody received, by traffic kind and tenth of a second; several lines may tell of the same tenth."""

    tenth: I64  # since the epoch
    kind: U8
    packets: I64
    nbytes: I64

    @property
    def second(self) -> I64:
        """Second since the epoch."""
        seconds: I64 = self.tenth // _IN_A_SECOND
        return seconds

    def where(self, wanted: np.ndarray) -> "Tenths":
        """Return the lines for which something holds."""
        return Tenths(*(column[wanted] for column in self))


class Arrivals:
    """A row for each destination and kind of traffic, in order of first packets, and what each received in every tenth of a second."""

    def __init__(self, rows: Rows, log: Rows, bounds_ns: tuple[int, int]) -> None:
        self.rows = rows
        self._log = log
        self.begin_ns, self.end_ns = bounds_ns  # times of the first and of the last packet to any destination

    @property
    def row_of_line(self) -> U32:
        """The row that each line of :meth:`lines` belongs to: the log's lines, then for each row the tenth that it counted last."""
        rows: U32 = np.concatenate((self._log["row"], np.arange(len(self.rows), dtype=np.uint32)))
        return rows

    def lines(self, numbers: np.ndarray) -> Tenths:
        """Return some lines, by number."""
        logged = numbers < len(self._log)
        log, last = self._log[numbers[logged]], self.rows[numbers[~logged] - len(self._log)]
        return Tenths(
            tenth=np.concatenate((log["when"] >> COUNT_BITS, last["tenth"])),
            kind=np.concatenate((self.rows["kind"][log["row"]], last["kind"])),
            packets=np.concatenate((log["when"] & MOST_PACKETS, last["tenth_packets"].astype(np.int64))),
            nbytes=np.concatenate((log["octets"].astype(np.int64), last["tenth_octets"].astype(np.int64))),
        )


def joined(parts: list[ArrivalTable], seed: np.uint64, memory: Memory) -> Arrivals:
    """Return what arrived in all shares."""
    if len(parts) == 1:
        return _of(parts[0])
    rows, lines = sum(len(part.rows) for part in parts), sum(len(part.log) for part in parts)
    used = np.zeros(ARRIVALS_USED_SIZE, np.int64)
    slots = memory.array(1 << max(2 * rows - 1, 1).bit_length(), np.uint64)
    whole = ArrivalTable(memory.array(rows, DESTINATION), memory.array(rows + lines, TENTH), slots, parts[0].hashes, used)
    for part in parts:
        join_arrivals(part, seed, memory.array(len(part.rows), np.uint32), whole)
    whole = whole._replace(rows=whole.rows[: used[NEXT_DESTINATION]], log=whole.log[: used[NEXT_TENTH]])
    order = np.argsort(whole.rows["birth"], kind="stable")
    rank = np.empty(len(order), np.uint32)
    rank[order] = np.arange(len(order), dtype=np.uint32)
    whole.log["row"] = rank[whole.log["row"]]
    return _of(whole._replace(rows=whole.rows[order]))


def _of(table: ArrivalTable) -> Arrivals:
    return Arrivals(table.rows, table.log, (int(table.used[ARRIVALS_BEGIN_NS]), int(table.used[ARRIVALS_END_NS])))
