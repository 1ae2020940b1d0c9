"""Captures in, flows and cells out: the metering process of RFC 7011. Owns the tables of the first pass and makes them grow.

State lives in arrays that carry over from block to block and from file to file, so a cut never shows in the answer.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from floodmark.capture import BlockReader
from floodmark.flows import Flows
from floodmark.memory import GrowingRows, zeroed
from floodmark.services import service_ports
from floodmark.settings import FlowSettings
from floodmark_core import BATCH, CELL, FLOW, MORE, CellTable, FlowTable, Tally, new_headers, new_interfaces, new_records, new_tally, read_block
from floodmark_core.cells import rebuild_cell_index
from floodmark_core.columns import I64, U64, Rows
from floodmark_core.flowtable import new_matcher, rebuild_index
from floodmark_core.framing import LAST_TIME_NS, LINK_TYPE
from floodmark_core.status import STOP_DAMAGED, STOP_NEEDS_CELLS, STOP_NEEDS_DATA, STOP_NEEDS_FLOWS
from floodmark_core.timeline import CLOCK_NS, CLOCK_SIZE

_FIRST_FLOWS = 1 << 18
_FIRST_MORE = 1 << 16
_FIRST_CELLS = 1 << 14
_GROWTH = 4  # each step re-enters all keys; four times as many makes that a third of the rows in all

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


class Meter:
    """Reads captures one after the other into one set of flows and cells."""

    def __init__(self, settings: FlowSettings, seed: int | None = None) -> None:
        self._flows = GrowingRows(FLOW, _FIRST_FLOWS)
        self._more = GrowingRows(MORE, _FIRST_MORE)
        self._cells = GrowingRows(CELL, _FIRST_CELLS)
        self._flow_index: U64 = zeroed(2 * _FIRST_FLOWS, np.dtype(np.uint64))
        self._cell_index: U64 = zeroed(2 * _FIRST_CELLS, np.dtype(np.uint64))
        self._flows_used: I64 = np.zeros(2, np.int64)
        self._cells_used: I64 = np.zeros(1, np.int64)
        self._records, self._headers, self._interfaces = new_records(), new_headers(), new_interfaces()
        self._matcher = new_matcher(secrets.randbits(64) if seed is None else seed, timeouts_ns(settings), service_ports())
        self._clock: I64 = np.zeros(CLOCK_SIZE, np.int64)
        self._reorder_window_ns = _ns(settings.reorder_window_s)

    def read(self, reader: BlockReader, progress: Progress | None = None) -> ReadCapture:
        """Read one capture to its end; ``progress`` is told the octets read so far after each block."""
        layout = reader.container.layout
        layout[LAST_TIME_NS] = 0
        link_type = int(layout[LINK_TYPE]) if reader.container.name != "pcapng" else -1
        tally = new_tally()
        block, at = reader.block, reader.container.header_octets
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
            if progress is not None:
                progress(reader.base + at)
        offset, left = reader.base + at, len(block) - at
        if stop == STOP_DAMAGED:
            while not reader.at_end:  # the length of what is left unread belongs in the answer
                block = reader.next_block(len(block))
            return ReadCapture(reader.path, reader.container.name, link_type, reader.base + len(block), tally, None, offset)
        return ReadCapture(reader.path, reader.container.name, link_type, offset + left, tally, offset if left else None, None)

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
        if self._flows_used[1] + BATCH > len(self._more.rows):
            self._more.grow(_GROWTH)
        if self._flows_used[0] + BATCH <= len(self._flows.rows):
            return
        self._flows.grow(_GROWTH)
        self._flow_index = zeroed(_GROWTH * len(self._flow_index), np.dtype(np.uint64))
        rebuild_index(self._flows.rows, int(self._flows_used[0]), self._matcher.seed[0], self._flow_index)

    def _grow_cells(self) -> None:
        self._cells.grow(_GROWTH)
        self._cell_index = zeroed(_GROWTH * len(self._cell_index), np.dtype(np.uint64))
        rebuild_cell_index(self._cells.rows, int(self._cells_used[0]), self._matcher.seed[0], self._cell_index)

    def finish(self) -> tuple[Flows, Rows]:
        """Return the flows and the cells, both in order of first packets."""
        rows, more = self._flows.rows[: self._flows_used[0]], self._more.rows[: self._flows_used[1]]
        flows = Flows(rows, more, int(self._clock[CLOCK_NS]), self._matcher.timeouts)
        return flows, self._cells.rows[: self._cells_used[0]]
