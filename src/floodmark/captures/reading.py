"""Read one capture from start to end, whatever processes its blocks: skip and count damage, and summarise what was read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from floodmark.captures.container import Container
from floodmark_core import Tally, new_interfaces, new_records, new_tally
from floodmark_core.columns import I64, U8
from floodmark_core.records.ahead import touch_records
from floodmark_core.records.framing import CONTAINER, LINK_TYPE, PCAP, PCAPNG, frame_batch
from floodmark_core.records.resync import next_record
from floodmark_core.status import STOP_DAMAGED, STOP_NEEDS_DATA

_NONE: I64 = np.empty(0, np.int64)
LOOKED_AT_BYTES = 1 << 20  # part of a mapped block that is processed at a time: half of a second-level cache

Progress = Callable[[int], None]  # called with the bytes read so far
ReadBlock = Callable[[U8, int], tuple[int, int]]  # (block, position) -> (position of the first unread record, status.py STOP_)


class Blocks(Protocol):
    """A capture's bytes, block by block; :class:`floodmark.captures.blocks.BlockReader` implements it."""

    path: str
    container: Container
    base: int  # offset of the block's first byte
    block: U8
    at_end: bool

    @property
    def is_mapped(self) -> bool:
        """Return whether the block is memory-mapped."""

    @property
    def nbytes(self) -> int:
        """Length of the capture in bytes, 0 if unknown."""

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the file, if requested."""

    @property
    def compression(self) -> str | None:
        """Name of the file's compression, if any."""

    @property
    def damage(self) -> str | None:
        """Why compressed bytes end early, if they do."""

    def change(self) -> str | None:
        """Return how the file changed while it was read, if it did. Raises CaptureError if it changed after an earlier reading."""

    def next_block(self, consumed: int) -> U8:
        """Drop the first ``consumed`` bytes and return the next block."""


@dataclass(frozen=True)
class ReadCapture:
    """One capture as it was read."""

    path: str
    format: str
    link_type: int  # of the pcap header; -1 for pcapng, where packets have their own
    nbytes: int  # length of the file as far as it was read
    tally: Tally  # without the counts by EtherType and link type, half a MiB each
    ethertypes: dict[int, int]  # non-IP frames by EtherType
    link_type_counts: dict[int, int]  # packets by link type
    truncated_at: int | None  # offset of the record that the end of the file truncates
    damaged_at: int | None  # offset of the first damaged record
    damages: int  # places where reading stopped, or had to look for the next record
    unread_bytes: int  # from each of them to the next record, or to the end
    sha256: str | None  # of the file, if requested
    compression: str | None  # of the file; all offsets refer to the uncompressed bytes
    unpacking_ended: str | None  # why compressed bytes end early
    change: str | None  # how the file changed while it was read

    @property
    def packets(self) -> int:
        """Records read."""
        return int(self.tally.totals[0])

    @property
    def wire_bytes(self) -> int:
        """Total length of the packets on the wire."""
        return int(self.tally.totals[1])

    @property
    def is_timed(self) -> bool:
        """Return whether any packet has a time of its own."""
        return int(self.tally.totals[3]) >= 0

    @property
    def first_ns(self) -> int:
        """Earliest time of any packet; meaningless if none has one."""
        return int(self.tally.totals[2])

    @property
    def last_ns(self) -> int:
        """Latest time of any packet; meaningless if none has one."""
        return int(self.tally.totals[3])

    @property
    def link_types(self) -> list[int]:
        """Link types of the packets, or of the file header if there are none."""
        return list(self.link_type_counts) or ([self.link_type] if self.link_type >= 0 else [])


def first_packet_ns(reader: Blocks) -> int | None:
    """Return the time of a capture's first packet, None if no packet has a time. Reads no further than needed."""
    layout, records, interfaces, tally = reader.container.layout, new_records(), new_interfaces(), new_tally()
    block, at = reader.block, reader.container.header_bytes
    while True:
        _, at, stop = frame_batch(block, at, reader.base, layout, interfaces, records, tally)
        if tally.totals[3] >= 0:
            return int(records.time_ns[0]) or int(tally.totals[2])  # the first may have no time of its own
        if stop == STOP_DAMAGED or reader.at_end:
            return None
        block, at = reader.next_block(at), 0


def mean_record_bytes(reader: Blocks) -> float:
    """Return the mean length of a capture's first records, with their headers; 0 if there are none."""
    layout, first = reader.container.layout.copy(), reader.container.header_bytes
    count, at, _ = frame_batch(reader.block, first, 0, layout, new_interfaces(), new_records(), new_tally())
    return float((at - first) / count) if count else 0.0


def _skip(reader: Blocks, block: U8, at: int, layout: I64 | None) -> tuple[U8, int]:
    """Skip a damaged record. Returns the block that holds the next one, and its position; without a layout, skip to the end.

    The skipped bytes are still read: their number is part of the result.
    """
    found, at = False, at + 1
    while not found:
        found, at = next_record(block, at, layout, reader.at_end) if layout is not None else (False, len(block))
        if found or reader.at_end:
            break
        block, at = reader.next_block(at), 0
    return block, at if found else len(block)


class Reading:
    """One capture being read, to its end or to a damaged record; with ``keep_going``, on from the next valid record."""

    def __init__(
        self,
        reader: Blocks,
        read_block: ReadBlock,
        state: tuple[I64, Tally],
        progress: Progress | None = None,
        keep_going: bool = False,
    ) -> None:
        """state: the layout and the tally that ``read_block`` fills. ``progress`` is called after each block with the bytes read so far."""
        self._reader, self._read_block, self._progress = reader, read_block, progress
        self._layout, self._tally = state
        self._resync = self._layout if keep_going and self._layout[CONTAINER] in (PCAP, PCAPNG) else None
        self._block, self._at = reader.block, reader.container.header_bytes
        self._gaps: list[tuple[int, int]] = []  # offsets of a damaged record and of the next one that is read, or of the end

    def step(self) -> bool:
        """Read one block. Returns whether more may follow."""
        reader = self._reader
        self._at, stop = self._read_block(self._block, self._at)
        if stop == STOP_DAMAGED:
            damaged_at = reader.base + self._at
            self._block, self._at = _skip(reader, self._block, self._at, self._resync)
            self._gaps.append((damaged_at, reader.base + self._at))
        elif reader.at_end:
            return False
        else:
            self._block, self._at = reader.next_block(self._at), 0
        if self._progress is not None:
            self._progress(reader.base + self._at)
        return True

    def finish(self) -> ReadCapture:
        """Summarise what was read. Raises CaptureError if it changed after an earlier reading."""
        reader, gaps = self._reader, self._gaps
        end, left = reader.base + len(self._block), len(self._block) - self._at
        if self._progress is not None:
            self._progress(end)
        return ReadCapture(
            path=reader.path,
            format=reader.container.name,
            link_type=int(self._layout[LINK_TYPE]) if reader.container.name != "pcapng" else -1,
            nbytes=end,
            tally=Tally(*(array.copy() for array in self._tally))._replace(ethertype_count=_NONE, link_type_count=_NONE),
            ethertypes=_counted(self._tally.ethertype_count),
            link_type_counts=_counted(self._tally.link_type_count),
            truncated_at=end - left if left else None,
            damaged_at=gaps[0][0] if gaps else None,
            damages=len(gaps),
            unread_bytes=sum(after - before for before, after in gaps),
            sha256=reader.sha256,
            compression=reader.compression,
            unpacking_ended=reader.damage,
            change=reader.change(),
        )


def _counted(counts: I64) -> dict[int, int]:
    """Return the non-zero counts by their places."""
    return {code: int(counts[code]) for code in counts.nonzero()[0].tolist()}


def read_capture(
    reader: Blocks, read_block: ReadBlock, state: tuple[I64, Tally], progress: Progress | None = None, keep_going: bool = False
) -> ReadCapture:
    """Read one capture to its end; arguments as for :class:`Reading`."""
    reading = Reading(reader, read_block, state, progress, keep_going)
    while reading.step():
        pass
    return reading.finish()


def read_by_parts(read_block: ReadBlock, block: U8, at: int, layout: I64, cursors: I64) -> tuple[int, int]:
    """Read a mapped block, which is not yet in the cache, part by part, prefetching the record headers of each part.

    Where the parts end depends only on the block. cursors: int64[CURSORS]. Returns as ``read_block`` does.
    """
    end = (at // LOOKED_AT_BYTES + 1) * LOOKED_AT_BYTES
    while True:
        part = block[:end]
        touch_records(part, at, layout, cursors)
        at, stop = read_block(part, at)
        if stop != STOP_NEEDS_DATA or end >= len(block):
            return at, stop
        end += LOOKED_AT_BYTES
