"""What arrived at each destination, by kind of traffic and tenth of a second."""

from typing import NamedTuple

import numpy as np

from floodmark_core.columns import I64, U8, U32, Rows
from floodmark_core.flows.arrivals import COUNT_BITS, MOST_PACKETS

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
