"""Merge captures that overlap in time into one stream of records, as if a single capture had been taken.

Each capture is read like any other, with its own counts of damage, losses and packet outcomes. Its records then go, in time order, into
blocks of one container that the meter reads like a file (``floodmark_core.packets.merging``).
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Self

import numpy as np

from floodmark.captures.container import Container
from floodmark.captures.reading import ReadCapture, Reading
from floodmark.captures.settings import FlowSettings
from floodmark.captures.source import Source
from floodmark.captures.walking import walk_with
from floodmark_core import new_tally
from floodmark_core.columns import I64, U8
from floodmark_core.packets.merging import Extracted, extract_block, gather_records
from floodmark_core.records.framing import CONTAINER, MERGED, new_layout

_LANE_BYTES = 1 << 20  # block of each capture; memory holds one for each open capture
_LEAST_RECORD_BYTES = 16  # smallest in any container
MOST_LANES = 64  # open at the same time, 8 MiB each; further ones wait until one has ended


class _Lane:
    """One capture being merged: its records that were read but not yet emitted."""

    def __init__(
        self, source: Source, number: int, *, hashing: bool, keep_going: bool, progress: Callable[[str, int], None] | None
    ) -> None:
        self._number = number
        self.reader = source.reader(_LANE_BYTES, hashing=hashing)
        source.read_once(self.reader)
        layout, self._tally = self.reader.container.layout, new_tally()
        self._walk = walk_with(FlowSettings(), layout)
        tell = None if progress is None else partial(progress, self.reader.path)
        self._reading = Reading(self.reader, self._extract, (layout, self._tally), tell, keep_going)
        self.nbytes: U8 = np.empty(0, np.uint8)
        self.starts: I64 = np.zeros(1, np.int64)  # offset of each record in the bytes, and of the end
        self.keys_ns: I64 = np.empty(0, np.int64)  # times that never decrease, so that a capture's own order is kept
        self.first = 0  # first record not yet emitted
        self.read: ReadCapture | None = None  # set when it has ended
        self._latest_ns = 0

    def _extract(self, block: U8, at: int) -> tuple[int, int]:
        most = len(block) // _LEAST_RECORD_BYTES + 1
        made = Extracted(nbytes=np.empty(2 * len(block), np.uint8), times_ns=np.empty(most, np.int64), starts=np.empty(most + 1, np.int64))
        at, stop, count = extract_block(block, at, self.reader.base, self._number, self._walk, self._tally, made)
        self.nbytes, self.starts, self.first = made.nbytes[: made.starts[count]], made.starts[: count + 1], 0
        self.keys_ns = np.maximum.accumulate(np.maximum(made.times_ns[:count], self._latest_ns))
        self._latest_ns = int(self.keys_ns[-1]) if count else self._latest_ns
        return at, stop

    def fill(self) -> bool:
        """Read on until there is a record to emit. Returns whether there is one."""
        while self.first == len(self.keys_ns) and self.read is None:
            if not self._reading.step():
                self.read = self._reading.finish()
        return self.first < len(self.keys_ns)

    def close(self) -> None:
        """Release what reading needed."""
        self.reader.close()
        self.nbytes, self.keys_ns, self.starts, self.first = np.empty(0, np.uint8), np.empty(0, np.int64), np.zeros(1, np.int64), 0
        del self.reader, self._walk, self._reading, self._tally

    def take(self, until_ns: int) -> tuple[int, int]:
        """Consume the records up to a time. Returns their range (first, end)."""
        first, self.first = self.first, int(np.searchsorted(self.keys_ns, until_ns, side="right"))
        return first, self.first


class MergedReader:
    """Bytes of merged captures, block by block, with the interface of :class:`floodmark.captures.blocks.BlockReader`."""

    is_mapped = False
    nbytes = 0  # length: not known in advance
    sha256 = compression = damage = None  # each capture has its own

    def __init__(
        self,
        captures: Iterable[tuple[int, Source]],
        *,
        hashing: bool = False,
        keep_going: bool = False,
        progress: Callable[[str, int], None] | None = None,
    ) -> None:
        """Open the first capture.

        captures: time of the first packet and source, in order of these times. progress: called with a capture's name and its bytes read.
        """
        self._waiting = list(captures)
        self._hashing, self._keep_going, self._progress = hashing, keep_going, progress
        self._lanes: list[_Lane] = []  # started so far
        self._active: list[_Lane] = []  # those not yet at their end
        self.path = "<merged>"
        layout = new_layout()
        layout[CONTAINER] = MERGED
        self.container = Container("merged", layout, 0)
        self.base, self.at_end = 0, False
        self.block: U8 = np.empty(0, np.uint8)
        try:
            self.next_block(0)
        except BaseException:
            self.__exit__()
            raise

    @property
    def reads(self) -> list[ReadCapture]:
        """The captures that have been read, in order of their first packets; complete only at the end."""
        return [lane.read for lane in self._lanes if lane.read is not None]

    def change(self) -> None:
        """Return None: each capture has its own."""

    def next_block(self, consumed: int) -> U8:
        """Drop the first ``consumed`` bytes and return the remaining ones followed by new bytes."""
        self.base += consumed
        rest, new = self.block[consumed:], self._merge()
        self.block = np.concatenate((rest, new)) if len(rest) else new
        return self.block

    def _merge(self) -> U8:
        """Return the next records of all captures in time order, empty at the end."""
        while True:
            active = [lane for lane in self._active if lane.fill()]
            for lane in self._active:
                if lane not in active:
                    lane.close()
            self._active = active
            if not active and not self._waiting:
                self.at_end = True
                return np.empty(0, np.uint8)
            until_ns = min((int(lane.keys_ns[-1]) for lane in active), default=0)  # all of them are read up to this time
            if self._waiting and (not active or (self._waiting[0][0] <= until_ns and len(active) < MOST_LANES)):
                self._start()
                continue
            return _in_order([(lane, *lane.take(until_ns)) for lane in active])

    def _start(self) -> None:
        _, source = self._waiting.pop(0)
        lane = _Lane(source, len(self._lanes), hashing=self._hashing, keep_going=self._keep_going, progress=self._progress)
        self._lanes.append(lane)
        self._active.append(lane)

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the captures that are open."""
        for lane in self._active:
            lane.reader.close()


def _in_order(taken: Sequence[tuple[_Lane, int, int]]) -> U8:
    """Return records of several captures in time order; at equal times, those of the capture that began first come first."""
    taken = [one for one in taken if one[1] < one[2]]
    nbytes = [lane.nbytes[lane.starts[first] : lane.starts[end]] for lane, first, end in taken]
    if len(taken) == 1:
        return nbytes[0]
    keys = np.concatenate([lane.keys_ns[first:end] for lane, first, end in taken])
    lengths = np.concatenate([np.diff(lane.starts[first : end + 1]) for lane, first, end in taken])
    starts: I64 = np.cumsum(lengths) - lengths
    merged = np.empty(int(lengths.sum()), np.uint8)
    gather_records(np.concatenate(nbytes), starts, lengths, np.argsort(keys, kind="stable"), merged)
    return merged
