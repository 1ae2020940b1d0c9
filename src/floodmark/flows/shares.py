"""One thread's share of the flows: the state to meter it, and the tables that all shares write to in parallel.

Each share goes through all decoded packets and counts those whose key belongs to it.
Every share has its own rows in the common tables; only between blocks, when no share reads, may the tables move.
"""

import numpy as np

from floodmark.base.memory import GrowingRows, Memory
from floodmark.base.workers import Part, Workers
from floodmark_core import ADDRESSES, BATCH, FLOW, MORE, FlowTable
from floodmark_core.columns import (
    BATCHES_SEEN,
    END_ADDRESSES,
    END_MORE,
    END_ROW,
    I64,
    NEXT_ADDRESSES,
    NEXT_MORE,
    NEXT_ROW,
    TAKEN_SLOTS,
    U8,
    U16,
    U32,
    U64,
    USED_SIZE,
    Rows,
)
from floodmark_core.flows.births import order_by_birth
from floodmark_core.flows.flowtable import FULLEST_EIGHTHS, Matcher, move_index
from floodmark_core.flows.reader import Round, meter_round

FIRST_SLOTS = 1 << 14  # of the index of flows
FIRST_BATCHES = 1 << 11
LARGE_INDEX = 1 << 20  # slots; a smaller index grows fourfold
_GROWTH = 0.25  # kept small: unused room still counts as memory
_FEWEST_BATCHES = 128  # fewest whose flows are worth a thread of their own to order
_LEAST_DONE = 0.05  # of a capture; before that, the rest cannot be estimated


class Room:
    """A growing table that shares write to in parallel: each is given one range after the other, and fills them in order."""

    def __init__(self, dtype: np.dtype[np.void], memory: Memory, places: tuple[int, int], least: int, shares: int) -> None:
        """least: free rows that a share needs before a batch. places: index of the next row and of the end in a share's counters."""
        self._table = GrowingRows(dtype, 0, memory)
        self._next, self._end = places
        self._least = least
        self._given = 0  # rows given to all shares
        self._filled: list[list[tuple[int, int]]] = [[] for _ in range(shares)]  # ranges that each share has filled
        self._begin = [0] * shares  # of each share's current range
        self._waiting: list[list[tuple[int, int]]] = [[] for _ in range(shares)]  # ranges that each share uses next

    @property
    def rows(self) -> Rows:
        """The whole table."""
        return self._table.rows

    def go_on(self, share: int, used: I64) -> bool:
        """Move a share to its next range if too little is left for a batch. Returns whether it moved."""
        if used[self._end] - used[self._next] >= self._least or not self._waiting[share]:
            return False
        first, end = self._waiting[share].pop(0)
        if first != used[self._end]:
            self._filled[share].append((self._begin[share], int(used[self._next])))
            self._begin[share] = used[self._next] = first
        used[self._end] = end
        return True

    def give(self, everyone: list[I64]) -> None:
        """Give every share room for the same number of rows, so that all need more at the same time."""
        filled = max(sum(end - first for first, end in self.filled(share, used)) for share, used in enumerate(everyone))
        enough = max(2 * self._least, int(filled * _GROWTH))
        for share, used in enumerate(everyone):
            left = int(used[self._end] - used[self._next]) + sum(end - first for first, end in self._waiting[share])
            if left < enough:
                self._waiting[share].append((self._given, self._given + enough))
                self._given += enough
        self._table.reach(self._given)
        for share, used in enumerate(everyone):
            self.go_on(share, used)

    def filled(self, share: int, used: I64) -> list[tuple[int, int]]:
        """Return the ranges (first, end) of a share's rows, in order."""
        return [*self._filled[share], (self._begin[share], int(used[self._next]))]

    def trim(self, everyone: list[I64]) -> Rows:
        """Release the room after the last filled row of any share. Returns the rows."""
        ranges = [one for share, used in enumerate(everyone) for one in self.filled(share, used)]
        return self._table.trim(max((end for first, end in ranges if end > first), default=0))


class Tables:
    """The flow tables that shares write to."""

    def __init__(self, memory: Memory, shares: int) -> None:
        """Make room for the first batch of each share."""
        self.rows = Room(FLOW, memory, (NEXT_ROW, END_ROW), BATCH, shares)
        self.more = Room(MORE, memory, (NEXT_MORE, END_MORE), 2 * BATCH, shares)
        self.addresses = Room(ADDRESSES, memory, (NEXT_ADDRESSES, END_ADDRESSES), 2 * BATCH, shares)
        self._births = GrowingRows(np.dtype(np.uint16), 0, memory)
        self._memory = memory

    def make_room(self, shares: "list[Share]") -> None:
        """Make room for every share's next batches. No share may be reading."""
        for room in (self.rows, self.more, self.addresses):
            room.give([share.used for share in shares])
        if len(shares) > 1:
            self._births.reach(len(self.rows.rows))

    def go_on(self, share: "Share") -> bool:
        """Move a share to its next ranges where it needs to. Returns whether it can read on."""
        moved = [room.go_on(share.number, share.used) for room in (self.rows, self.more, self.addresses)]
        return any(moved)

    def of(self, share: "Share") -> FlowTable:
        """Return the tables in the form that a share's kernels take."""
        more = self.more.rows
        words: U64 = more.view(np.uint64)
        births: U16 = self._births.rows.view(np.uint16)
        return FlowTable(
            rows=self.rows.rows,
            more=more,
            more_words=words,
            addresses=self.addresses.rows,
            births=births,
            opened=share.opened,
            slots=share.index,
            used=share.used,
        )

    def in_order(self, shares: "list[Share]", workers: Workers) -> U32:
        """Return the row of every flow, in order of first packets, and release the memory that holds that order."""
        ranges = [self.rows.filled(share.number, share.used) for share in shares]
        counts = [sum(end - first for first, end in own) for own in ranges]
        ends: I64 = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        rows: U32 = self._memory.array(int(ends[-1]), np.uint32)
        at = 0
        for first, end in (one for own in ranges for one in own):
            rows[at : at + end - first] = np.arange(first, end, dtype=np.uint32)
            at += end - first
        if len(shares) == 1:
            return rows
        place: U32 = self._memory.array(len(rows), np.uint32)
        births: U16 = self._births.rows.view(np.uint16)
        batches = int(shares[0].used[BATCHES_SEEN])
        opened: U16 = np.stack([share.opened[:batches] for share in shares])

        def order(part: Part) -> None:
            before = opened[:, : part.first].sum(axis=1, dtype=np.int64)  # rows that each share opened in earlier batches
            cursors = np.stack((ends[:-1] + before, before), axis=1)
            order_by_birth(births, rows, opened, part.first, part.end, cursors, int(before.sum()), place)

        workers.each(order, workers.parts(batches, _FEWEST_BATCHES))
        self._births = GrowingRows(np.dtype(np.uint16), 0, self._memory)
        return place


class Share:
    """The state that one thread needs to meter its share of the flows: the scratch space of lookups, its index and its counters."""

    def __init__(self, number: int, matcher: Matcher, memory: Memory) -> None:
        self.number = number
        self.matcher = matcher
        self.used: I64 = np.zeros(USED_SIZE, np.int64)  # floodmark_core.columns
        self.index: U64 = memory.array(FIRST_SLOTS, np.uint64)
        self._opened = GrowingRows(np.dtype(np.uint16), FIRST_BATCHES, memory)
        self._memory = memory

    @property
    def opened(self) -> U16:
        """Number of flows that this share opened in each batch."""
        counts: U16 = self._opened.rows.view(np.uint16)
        return counts

    def meter(self, tables: Tables, block: U8, round_: Round, batches: range, done: float) -> int:
        """Count this share's flows in some batches of a round. done: share of the capture read.

        Returns the number of the first batch that is not counted, because the tables that all shares write to are full.
        """
        at = batches.start
        while at < batches.stop:
            at = meter_round(block, round_, at, batches.stop, self.matcher, tables.of(self))
            if at < batches.stop and not self.make_way(tables, done):
                break
        return at

    def make_way(self, tables: Tables, done: float) -> bool:
        """Make room for another batch of flows if this share can do so alone. Returns whether it could. done: share of the capture read."""
        if self.used[BATCHES_SEEN] == len(self.opened):
            self._opened.reach(2 * len(self.opened))
        elif self._needs_index():
            self._grow_index(done)
        else:
            return tables.go_on(self)
        return True

    def _needs_index(self) -> bool:
        """Return whether there are too few free slots for a batch."""
        return bool(self.used[TAKEN_SLOTS] + BATCH > len(self.index) * FULLEST_EIGHTHS // 8)

    def _grow_index(self, done: float) -> None:
        """Enlarge the index; a large one at once for the number of flows expected. done: share of the capture read."""
        slots = len(self.index) * (4 if len(self.index) < LARGE_INDEX else 2)
        expected = self.used[TAKEN_SLOTS] / max(done, _LEAST_DONE)
        while slots >= LARGE_INDEX and slots * FULLEST_EIGHTHS // 8 < expected:
            slots *= 2
        index = self._memory.array(slots, np.uint64)
        move_index(self.index, index)
        self.index = index

    def drop_index(self) -> None:
        """Release the memory that only looking up flows needs."""
        self.index = np.zeros(0, np.uint64)
