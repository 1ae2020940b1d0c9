"""Captures in, flows and cells out: the metering process of RFC 7011. Owns the tables of the first pass and makes them grow.

State lives in arrays that carry over from block to block and from file to file, so a cut never shows in the answer.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from floodmark.capture import BlockReader
from floodmark.flows import FlowRows, Flows
from floodmark.memory import GrowingRows, Memory
from floodmark.services import service_ports
from floodmark.settings import FlowSettings
from floodmark.workers import Workers
from floodmark_core import (
    ADDRESSES,
    BATCH,
    CELL,
    FLOW,
    MORE,
    CellTable,
    FlowTable,
    Tally,
    new_headers,
    new_interfaces,
    new_records,
    new_tally,
    read_block,
)
from floodmark_core.ahead import CURSORS, touch_records
from floodmark_core.cells import join_cells, rebuild_cell_index
from floodmark_core.columns import (
    END_ADDRESSES,
    END_MORE,
    END_ROW,
    I64,
    NEXT_ADDRESSES,
    NEXT_MORE,
    NEXT_ROW,
    PACKETS_SEEN,
    TAKEN_SLOTS,
    U8,
    U32,
    U64,
    USED_SIZE,
    Rows,
)
from floodmark_core.flowtable import FULLEST_EIGHTHS, Matcher, move_index, new_matcher, order_by_birth
from floodmark_core.framing import CONTAINER, LAST_TIME_NS, LINK_TYPE, PCAP, frame_pcap, frame_pcapng
from floodmark_core.status import STOP_DAMAGED, STOP_NEEDS_CELLS, STOP_NEEDS_DATA, STOP_NEEDS_FLOWS
from floodmark_core.timeline import CLOCK_NS, CLOCK_SIZE, FILE_BEGINS

_FIRST_FLOWS = 1 << 13
_FIRST_CELLS = 1 << 11
_LARGE_INDEX = 1 << 20  # slots: a smaller one grows fourfold
LOOKED_AT_OCTETS = 1 << 20  # of a mapped block: half of a second-level cache
_GROWTH = 1.25  # of rows: their pages are moved, not copied, and room that is not used is still counted

Progress = Callable[[int], None]


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def timeouts_ns(flow: FlowSettings) -> I64:
    """Return the time-outs in the order that flowtable.py reads them."""
    names = (
        flow.tcp_established_timeout_s,
        flow.tcp_half_open_timeout_s,
        flow.tcp_linger_s,
        flow.udp_timeout_s,
        flow.dns_timeout_s,
        flow.icmp_timeout_s,
        flow.other_timeout_s,
        flow.active_timeout_s,
        flow.syn_reuse_s,
    )
    return np.array([_ns(seconds) for seconds in names], np.int64)


@dataclass(frozen=True)
class ReadCapture:
    """One capture as it was read."""

    path: str
    format: str
    link_type: int  # of the pcap header; -1 for pcapng, where packets have their own
    octets: int  # length of the file as far as it was read
    tally: Tally
    truncated_at: int | None  # offset of the record that the file's end cuts
    damaged_at: int | None  # offset of a record that cannot be one; nothing after it was read
    sha256: str | None  # of the file, where asked for

    @property
    def packets(self) -> int:
        """Records read."""
        return int(self.tally.totals[0])

    @property
    def wire_octets(self) -> int:
        """Their lengths on the wire."""
        return int(self.tally.totals[1])

    @property
    def is_timed(self) -> bool:
        """Tell whether any packet has a time of its own."""
        return int(self.tally.totals[3]) >= 0

    @property
    def first_ns(self) -> int:
        """Earliest time of any packet; meaningless where none has one."""
        return int(self.tally.totals[2])

    @property
    def last_ns(self) -> int:
        """Latest time of any packet; as above."""
        return int(self.tally.totals[3])

    @property
    def link_types(self) -> list[int]:
        """Link types of the packets, or of the header where there is none."""
        found: list[int] = self.tally.link_type_count.nonzero()[0].tolist()
        return found or ([self.link_type] if self.link_type >= 0 else [])


def first_packet_ns(reader: BlockReader) -> int | None:
    """Return the time of a capture's first packet, None where none has a time. Reads no further than needed."""
    layout, records, interfaces, tally = reader.container.layout, new_records(), new_interfaces(), new_tally()
    block, at = reader.block, reader.container.header_octets
    while True:
        if layout[CONTAINER] == PCAP:
            _, at, stop = frame_pcap(block, at, reader.base, layout, records, tally)
        else:
            _, at, stop = frame_pcapng(block, at, reader.base, layout, interfaces, records, tally)
        if tally.totals[3] >= 0:
            return int(records.time_ns[0]) or int(tally.totals[2])  # the first may have no time of its own
        if stop == STOP_DAMAGED or reader.at_end:
            return None
        block, at = reader.next_block(at), 0


def mean_record_octets(reader: BlockReader) -> float:
    """Return how long a capture's first records are on average, with their headers; 0 where there is none."""
    layout, records, tally = reader.container.layout.copy(), new_records(), new_tally()
    first = reader.container.header_octets
    if layout[CONTAINER] == PCAP:
        count, at, _ = frame_pcap(reader.block, first, 0, layout, records, tally)
    else:
        count, at, _ = frame_pcapng(reader.block, first, 0, layout, new_interfaces(), records, tally)
    return float((at - first) / count) if count else 0.0


class _Room:
    """A growing table that shares write to side by side: each is given one range after the other, and fills them in order."""

    def __init__(self, dtype: np.dtype[np.void], memory: Memory, places: tuple[int, int], least: int, shares: int) -> None:
        """least: rows that a share must have room for before a batch. places: of the next row and the end in a share's counters."""
        self._table = GrowingRows(dtype, 0, memory)
        self._next, self._end = places
        self._least = least
        self._given = 0  # rows of all shares
        self._filled: list[list[tuple[int, int]]] = [[] for _ in range(shares)]  # ranges of each that it has done with
        self._begin = [0] * shares  # of each one's range
        self._waiting: list[list[tuple[int, int]]] = [[] for _ in range(shares)]  # ranges that each takes next

    @property
    def rows(self) -> Rows:
        """The whole table."""
        return self._table.rows

    def go_on(self, share: int, used: I64) -> bool:
        """Let a share go on in its next range where there is too little left for a batch. Returns whether it had to and could."""
        if used[self._end] - used[self._next] >= self._least or not self._waiting[share]:
            return False
        first, end = self._waiting[share].pop(0)
        if first != used[self._end]:
            self._filled[share].append((self._begin[share], int(used[self._next])))
            self._begin[share] = used[self._next] = first
        used[self._end] = end
        return True

    def give(self, everyone: list[I64]) -> None:
        """Give every share room for the same number of rows, so that all of them need more at the same time."""
        filled = max(sum(end - first for first, end in self.filled(share, used)) for share, used in enumerate(everyone))
        enough = max(2 * self._least, int(filled * (_GROWTH - 1)))
        for share, used in enumerate(everyone):
            left = int(used[self._end] - used[self._next]) + sum(end - first for first, end in self._waiting[share])
            if left < enough:
                self._waiting[share].append((self._given, self._given + enough))
                self._given += enough
        self._table.reach(self._given)
        for share, used in enumerate(everyone):
            self.go_on(share, used)

    def filled(self, share: int, used: I64) -> list[tuple[int, int]]:
        """Return the ranges of a share's rows, first and end, in order."""
        return [*self._filled[share], (self._begin[share], int(used[self._next]))]

    def trim(self) -> Rows:
        """Give back the room behind the last range. Returns the rows."""
        return self._table.trim(self._given)


class _Share:
    """What one thread needs to meter its share of the flows: everything that framing, clock and decoding carry over, and its own tables.

    Each share goes through all packets and counts those whose key falls to it, so nothing passes from one thread to another (DESIGN.md D19).
    """

    def __init__(self, number: int, matcher: Matcher, memory: Memory) -> None:
        self.number = number
        self.matcher = matcher
        self.records, self.headers, self.interfaces = new_records(), new_headers(), new_interfaces()
        self.clock: I64 = np.zeros(CLOCK_SIZE, np.int64)
        self.used: I64 = np.zeros(USED_SIZE, np.int64)
        self.index: U64 = memory.array(2 * _FIRST_FLOWS, np.uint64)
        self.cells = GrowingRows(CELL, _FIRST_CELLS, memory)
        self.cell_index: U64 = memory.array(2 * _FIRST_CELLS, np.uint64)
        self.cells_used: I64 = np.zeros(1, np.int64)
        self.cursors: I64 = np.zeros(CURSORS, np.int64)
        self.layout: I64 = np.zeros(0, np.int64)
        self.tally = new_tally()
        self._memory = memory

    def begin(self, layout: I64, last_time_ns: int) -> None:
        """Begin a capture."""
        self.layout = layout.copy()
        self.layout[LAST_TIME_NS] = last_time_ns
        self.clock[FILE_BEGINS] = 1
        self.tally = new_tally()

    def needs_index(self) -> bool:
        """Tell whether there are too few free slots for a batch."""
        return bool(self.used[TAKEN_SLOTS] + BATCH > len(self.index) * FULLEST_EIGHTHS // 8)

    def grow_index(self, done: float) -> None:
        """Make free slots, a large index at once for as many flows as are to be expected. done: part of the capture that is read."""
        slots = len(self.index) * (4 if len(self.index) < _LARGE_INDEX else 2)
        expected = self.used[TAKEN_SLOTS] / max(done, 0.05)
        while slots >= _LARGE_INDEX and slots * FULLEST_EIGHTHS // 8 < expected:
            slots *= 2
        index = self._memory.array(slots, np.uint64)
        move_index(self.index, index)
        self.index = index

    def drop_indexes(self) -> None:
        """Give back the memory that only reading needs."""
        self.index, self.cell_index = np.zeros(0, np.uint64), np.zeros(0, np.uint64)

    def grow_cells(self) -> None:
        """Make room for as many cells again."""
        self.cells.reach(2 * len(self.cells.rows))
        self.cell_index = self._memory.array(2 * len(self.cell_index), np.uint64)
        rebuild_cell_index(self.cells.rows, int(self.cells_used[0]), self.matcher.seed[0], self.cell_index)


class Meter:
    """Reads captures one after the other into one set of flows and cells."""

    def __init__(
        self, settings: FlowSettings, seed: int | None = None, memory: Memory | None = None, workers: Workers | None = None, shares: int = 1
    ) -> None:
        """Prepare for reading with so many shares of the flows, worked on side by side; their number never shows in the answer."""
        self._memory = memory or Memory()
        self._workers = workers or Workers()
        self._rows = _Room(FLOW, self._memory, (NEXT_ROW, END_ROW), BATCH, shares)
        self._more = _Room(MORE, self._memory, (NEXT_MORE, END_MORE), 2 * BATCH, shares)
        self._addresses = _Room(ADDRESSES, self._memory, (NEXT_ADDRESSES, END_ADDRESSES), BATCH, shares)
        self._births = GrowingRows(np.dtype(np.uint64), 0, self._memory)
        self._timeouts, chosen = timeouts_ns(settings), secrets.randbits(64) if seed is None else seed
        self._shares = [
            _Share(number, new_matcher(chosen, self._timeouts, service_ports(), number, shares), self._memory) for number in range(shares)
        ]
        self._reorder_window_ns = _ns(settings.reorder_window_s)
        self._last_time_ns = 0  # for packets without a time of their own
        self._make_room()

    def read(self, reader: BlockReader, progress: Progress | None = None) -> ReadCapture:
        """Read one capture to its end; ``progress`` is told the octets read so far after each block."""
        for share in self._shares:
            share.begin(reader.container.layout, self._last_time_ns)
        block, at = reader.block, reader.container.header_octets
        while True:
            at, stop = self._read_block(reader, block, at)
            if stop == STOP_DAMAGED or reader.at_end:
                break
            block, at = reader.next_block(at), 0
            if progress is not None:
                progress(reader.base + at)
        offset, left = reader.base + at, len(block) - at
        if progress is not None:
            progress(offset + left)
        if stop == STOP_DAMAGED:
            while not reader.at_end:  # the length of what is left unread belongs in the answer
                block = reader.next_block(len(block))
            end, truncated_at, damaged_at = reader.base + len(block), None, offset
        else:
            end, truncated_at, damaged_at = offset + left, offset if left else None, None
        first = self._shares[0]
        self._last_time_ns = int(first.layout[LAST_TIME_NS])
        link_type = int(first.layout[LINK_TYPE]) if reader.container.name != "pcapng" else -1
        return ReadCapture(reader.path, reader.container.name, link_type, end, first.tally, truncated_at, damaged_at, reader.sha256)

    def _read_block(self, reader: BlockReader, block: U8, at: int) -> tuple[int, int]:
        """Let every share read a block. Returns (where its last record ends, why reading stopped), which is the same for all."""
        reached = [(at, STOP_NEEDS_FLOWS)] * len(self._shares)
        mapped, base = reader.is_mapped, reader.base
        while True:
            waiting = [number for number, (_, stop) in enumerate(reached) if stop == STOP_NEEDS_FLOWS]
            if not waiting:
                return reached[0]
            tasks = [self._task(self._shares[number], block, base, reader.octets, mapped=mapped) for number in waiting]
            runs = self._workers.each(lambda place, first, _: tasks[place](first), [(reached[number][0], 0) for number in waiting])  # noqa: B023 - run at once
            for number, run in zip(waiting, runs, strict=True):
                reached[number] = run
            if any(stop == STOP_NEEDS_FLOWS for _, stop in reached):
                self._make_room()

    def _task(self, share: _Share, block: U8, base: int, octets: int, *, mapped: bool) -> Callable[[int], tuple[int, int]]:
        """Return what reads on in a block for one share. The tables stay where they are until all shares have stopped.

        octets: of the whole capture, 0 where that is not known.
        """
        more = self._more.rows
        shared = (self._rows.rows, more, more.view(np.uint64), self._addresses.rows, self._births.rows)
        rooms = self._rows, self._more, self._addresses
        state = (share.layout, share.interfaces, share.clock, self._reorder_window_ns, share.records, share.headers, share.matcher)

        def read(part: U8, at: int) -> tuple[int, int]:
            """Read records until the octets end or the tables that all shares write to are full."""
            while True:
                flows = FlowTable(*shared, share.index, share.used)
                cells = CellTable(share.cells.rows, share.cell_index, share.cells_used)
                at, stop = read_block(part, at, base, *state, flows, cells, share.tally)
                if stop == STOP_NEEDS_CELLS:
                    share.grow_cells()
                elif stop == STOP_NEEDS_FLOWS and share.needs_index():
                    share.grow_index((base + at) / octets if octets else 1.0)
                elif stop != STOP_NEEDS_FLOWS or not any([room.go_on(share.number, share.used) for room in rooms]):
                    return at, stop

        def run(at: int) -> tuple[int, int]:
            if not mapped:
                return read(block, at)
            while True:
                # A mapped block is looked at in parts that fit the cache, each with its record headers brought there first.
                part, before = block[: at + LOOKED_AT_OCTETS], at
                touch_records(part, at, share.layout, share.cursors)
                at, stop = read(part, at)
                if at == before and stop == STOP_NEEDS_DATA:  # a record longer than the part
                    part = block
                    at, stop = read(part, at)
                if stop != STOP_NEEDS_DATA or len(part) == len(block):
                    return at, stop

        return run

    def _make_room(self) -> None:
        """Make room for every share's next batch. No share may be reading: tables may move."""
        for room in (self._rows, self._more, self._addresses):
            room.give([share.used for share in self._shares])
        if len(self._shares) > 1:
            self._births.reach(len(self._rows.rows))

    def finish(self) -> tuple[Flows, Rows]:
        """Return the flows and the cells, both in order of first packets."""
        for share in self._shares:
            share.drop_indexes()
        cells = self._joined_cells()
        place = self._in_order()
        del self._births
        tables = FlowRows(self._rows.trim(), self._more.trim(), self._addresses.trim(), place)
        flows = Flows(tables, int(self._shares[0].clock[CLOCK_NS]), self._timeouts, self._memory)
        flows.workers = self._workers
        return flows, cells

    def _in_order(self) -> U32:
        """Return the row of every flow, in order of first packets."""
        ranges = [self._rows.filled(share.number, share.used) for share in self._shares]
        counts = [sum(end - first for first, end in own) for own in ranges]
        ends = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        rows: U32 = self._memory.array(int(ends[-1]), np.uint32)
        at = 0
        for first, end in (one for own in ranges for one in own):
            rows[at : at + end - first] = np.arange(first, end, dtype=np.uint32)
            at += end - first
        if len(self._shares) == 1:
            return rows
        place: U32 = self._memory.array(len(rows), np.uint32)
        births, packets = self._births.rows, int(self._shares[0].used[PACKETS_SEEN])

        def order(_: int, since: int, until: int) -> None:
            cursors = np.zeros(len(self._shares), np.int64)
            order_by_birth(births, rows, ends, np.uint64(since), np.uint64(until), cursors, place)

        self._workers.each(order, self._workers.parts(packets))
        return place

    def _joined_cells(self) -> Rows:
        """Return the cells of all shares as one set in order of first packets."""
        tables = [share.cells.rows[: share.cells_used[0]] for share in self._shares]
        if len(tables) == 1:
            return tables[0]
        most = sum(len(table) for table in tables)
        joined = CellTable(
            self._memory.array(max(most, 1), CELL),
            self._memory.array(1 << (2 * max(most, 1)).bit_length(), np.uint64),
            np.zeros(1, np.int64),
        )
        for table in tables:
            join_cells(table, self._shares[0].matcher.seed[0], joined)
        cells = joined.rows[: joined.used[0]]
        in_order: Rows = cells[np.argsort(cells["birth"], kind="stable")]
        return in_order
