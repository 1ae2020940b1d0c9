"""Decode captures into batches of packets, and count what arrives at each destination and which packets are duplicates."""

import numpy as np

from floodmark.base.memory import GrowingRows, Memory
from floodmark.captures.reading import LOOKED_AT_BYTES
from floodmark.captures.walking import begin_capture
from floodmark.flows.arrivals import Arrivals
from floodmark_core import BATCH, DESTINATION, TENTH, ArrivalTable, new_tally
from floodmark_core.columns import ARRIVALS_BEGIN_NS, ARRIVALS_END_NS, ARRIVALS_USED_SIZE, I64, NEXT_DESTINATION, NEXT_TENTH, U8, U64
from floodmark_core.flows.arrivals import rebuild_index
from floodmark_core.flows.reader import Decoding, Round, decode_round
from floodmark_core.packets.duplicates import duplicate_share, new_recent
from floodmark_core.packets.walk import Walk
from floodmark_core.records.ahead import CURSORS, touch_records
from floodmark_core.status import STOP_NEEDS_ARRIVALS, STOP_NEEDS_DATA

FIRST_DESTINATIONS = 1 << 11


class Decoder:
    """The state of framing, clock and decoding, and the arrivals; it carries over from block to block and from file to file."""

    def __init__(self, walk: Walk, seed: int, memory: Memory) -> None:
        """seed: of the index of destinations."""
        self.walk = walk
        self.tally = new_tally()
        self._recent = new_recent()
        self._seed = np.uint64(seed)
        self._memory = memory
        self._destinations = GrowingRows(DESTINATION, FIRST_DESTINATIONS, memory)
        self._tenths = GrowingRows(TENTH, FIRST_DESTINATIONS, memory)
        self._index: U64 = memory.array(2 * FIRST_DESTINATIONS, np.uint64)
        self._used: I64 = np.zeros(ARRIVALS_USED_SIZE, np.int64)
        self._hashes: U64 = np.zeros(BATCH, np.uint64)
        self._cursors: I64 = np.zeros(CURSORS, np.int64)
        self._part_end = 0  # of the block, as far as it is in the cache

    def begin(self, layout: I64, last_time_ns: int) -> None:
        """Begin a capture."""
        begin_capture(self.walk, layout, last_time_ns)
        self.tally = new_tally()

    @property
    def state(self) -> Decoding:
        """What kernels decode with, with all the room there is for arrivals."""
        arrivals = ArrivalTable(self._destinations.rows, self._tenths.rows, self._index, self._hashes, self._used)
        return Decoding(self.walk, arrivals, self._recent, self.tally, self._seed)

    def begin_block(self, block: U8, at: int, *, mapped: bool) -> None:
        """Begin a block. mapped: it is not yet in the cache."""
        self._part_end = (at // LOOKED_AT_BYTES + 1) * LOOKED_AT_BYTES if mapped else len(block)
        if mapped:
            touch_records(block[: self._part_end], at, self.walk.layout, self._cursors)

    def fill(self, round_: Round, block: U8, at: int, base: int) -> tuple[int, int, int]:
        """Decode batches until the block ends or the round is full; a mapped block part by part, prefetching the headers of each.

        Returns (batches, position of the first record not read, status.py STOP_ code).
        """
        batches = 0
        while True:
            batches, at, stop = decode_round(block[: self._part_end], at, base, self.state, round_, batches)
            if stop == STOP_NEEDS_ARRIVALS:
                self.make_room()
            elif stop != STOP_NEEDS_DATA or self._part_end >= len(block):
                return batches, at, stop
            else:
                self._part_end += LOOKED_AT_BYTES
                touch_records(block[: self._part_end], at, self.walk.layout, self._cursors)

    def make_room(self) -> None:
        """Make room for another batch of arrivals."""
        used = self._used
        self._tenths.reach(int(used[NEXT_TENTH]) + BATCH)
        if used[NEXT_DESTINATION] + BATCH > len(self._destinations.rows):
            self._destinations.reach(2 * len(self._destinations.rows))
            self._index = self._memory.array(2 * len(self._index), np.uint64)
            rebuild_index(self._destinations.rows, int(used[NEXT_DESTINATION]), self._seed, self._index)

    @property
    def duplicates(self) -> float | None:
        """Share of the IP packets that repeat a packet seen a moment before, byte for byte; None if there are no IP packets."""
        return duplicate_share(self._recent)

    def finish(self) -> Arrivals:
        """Release what only reading needs. Returns what arrived."""
        used = self._used
        self._index = np.zeros(0, np.uint64)
        rows, log = self._destinations.trim(int(used[NEXT_DESTINATION])), self._tenths.trim(int(used[NEXT_TENTH]))
        return Arrivals(rows, log, (int(used[ARRIVALS_BEGIN_NS]), int(used[ARRIVALS_END_NS])))
