"""Captures in, flows and cells out: the metering process of RFC 7011. Owns the tables of the first pass and makes them grow.

State lives in arrays that carry over from block to block and from file to file, so a cut never shows in the answer.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from floodmark.capture import BlockReader
from floodmark.flows import Flows
from floodmark.memory import GrowingRows, Memory
from floodmark.services import service_ports
from floodmark.settings import FlowSettings
from floodmark.workers import Workers
from floodmark_core import (
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
from floodmark_core.cells import rebuild_cell_index
from floodmark_core.columns import I64, U64, Rows
from floodmark_core.flowtable import FULLEST_EIGHTHS, move_index, new_matcher
from floodmark_core.framing import CONTAINER, LAST_TIME_NS, LINK_TYPE, PCAP, frame_pcap, frame_pcapng
from floodmark_core.status import STOP_DAMAGED, STOP_NEEDS_CELLS, STOP_NEEDS_DATA, STOP_NEEDS_FLOWS
from floodmark_core.timeline import CLOCK_NS, CLOCK_SIZE, FILE_BEGINS

_FIRST_FLOWS = 1 << 13
_FIRST_MORE = 1 << 12
_FIRST_CELLS = 1 << 11
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


class Meter:
    """Reads captures one after the other into one set of flows and cells."""

    def __init__(self, settings: FlowSettings, seed: int | None = None, memory: Memory | None = None) -> None:
        self._memory = memory or Memory()
        self._flows = GrowingRows(FLOW, _FIRST_FLOWS, self._memory)
        self._more = GrowingRows(MORE, _FIRST_MORE, self._memory)
        self._cells = GrowingRows(CELL, _FIRST_CELLS, self._memory)
        self._flow_index: U64 = self._memory.array(2 * _FIRST_FLOWS, np.uint64)
        self._cell_index: U64 = self._memory.array(2 * _FIRST_CELLS, np.uint64)
        self._flows_used: I64 = np.zeros(2, np.int64)
        self._cells_used: I64 = np.zeros(1, np.int64)
        self._records, self._headers, self._interfaces = new_records(), new_headers(), new_interfaces()
        self._matcher = new_matcher(secrets.randbits(64) if seed is None else seed, timeouts_ns(settings), service_ports())
        self._cursors: I64 = np.zeros(CURSORS, np.int64)
        self._clock: I64 = np.zeros(CLOCK_SIZE, np.int64)
        self._last_time_ns = 0  # for packets without a time of their own
        self._reorder_window_ns = _ns(settings.reorder_window_s)

    def read(self, reader: BlockReader, progress: Progress | None = None) -> ReadCapture:
        """Read one capture to its end; ``progress`` is told the octets read so far after each block."""
        layout = reader.container.layout
        layout[LAST_TIME_NS] = self._last_time_ns
        self._clock[FILE_BEGINS] = 1
        link_type = int(layout[LINK_TYPE]) if reader.container.name != "pcapng" else -1
        tally = new_tally()
        block, at = reader.block, reader.container.header_octets
        self._look_ahead(reader, at)
        while True:
            at, stop = self._run(block, at, reader.base, layout, tally)
            if stop == STOP_NEEDS_FLOWS:
                self._grow_flows()
            elif stop == STOP_NEEDS_CELLS:
                self._grow_cells()
            elif stop == STOP_DAMAGED or (stop == STOP_NEEDS_DATA and reader.at_end):
                break
            else:
                block, at = reader.next_block(at), 0
                self._look_ahead(reader, 0)
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
        self._last_time_ns = int(layout[LAST_TIME_NS])
        return ReadCapture(reader.path, reader.container.name, link_type, end, tally, truncated_at, damaged_at, reader.sha256)

    def _look_ahead(self, reader: BlockReader, at: int) -> None:
        """Bring the record headers of a mapped block into the cache; those of one that was just read are there."""
        if reader.is_mapped:
            touch_records(reader.block, at, reader.container.layout, self._cursors)

    def _run(self, block: np.ndarray, at: int, base: int, layout: I64, tally: Tally) -> tuple[int, int]:
        flows = FlowTable(self._flows.rows, self._more.rows, self._flow_index, self._flows_used)
        cells = CellTable(self._cells.rows, self._cell_index, self._cells_used)
        return read_block(
            block,
            at,
            base,
            layout,
            self._interfaces,
            self._clock,
            self._reorder_window_ns,
            self._records,
            self._headers,
            self._matcher,
            flows,
            cells,
            tally,
        )

    def _grow_flows(self) -> None:
        if self._flows_used[1] + 2 * BATCH > len(self._more.rows):
            self._more.grow(_GROWTH)
        if self._flows_used[0] + BATCH > len(self._flows.rows):
            self._flows.grow(_GROWTH)
        if self._flows_used[0] + BATCH > len(self._flow_index) * FULLEST_EIGHTHS // 8:
            index = self._memory.array(2 * len(self._flow_index), np.uint64)
            move_index(self._flow_index, index)
            self._flow_index = index

    def _grow_cells(self) -> None:
        self._cells.grow(2)
        self._cell_index = self._memory.array(2 * len(self._cell_index), np.uint64)
        rebuild_cell_index(self._cells.rows, int(self._cells_used[0]), self._matcher.seed[0], self._cell_index)

    def finish(self, workers: Workers | None = None) -> tuple[Flows, Rows]:
        """Return the flows and the cells, both in order of first packets."""
        self._flow_index = self._flow_index[:0]
        rows, more = self._flows.trim(int(self._flows_used[0])), self._more.trim(int(self._flows_used[1]))
        flows = Flows(rows, more, int(self._clock[CLOCK_NS]), self._matcher.timeouts, self._memory)
        if workers is not None:
            flows.workers = workers
        return flows, self._cells.rows[: self._cells_used[0]]
