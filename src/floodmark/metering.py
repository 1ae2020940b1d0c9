"""Captures in, flows and cells out: the metering process of RFC 7011, one share of the flows for each thread.

State lives in arrays that carry over from block to block and from file to file, so a cut never shows in the answer.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from floodmark.capture import BlockReader
from floodmark.flows import FlowRows, Flows
from floodmark.memory import Memory
from floodmark.services import service_ports
from floodmark.settings import FlowSettings
from floodmark.shares import Share, Tables
from floodmark.workers import Workers
from floodmark_core import CELL, CellTable, Tally, new_interfaces, new_records, new_tally
from floodmark_core.cells import join_cells
from floodmark_core.columns import I64, U8, Rows
from floodmark_core.flowtable import new_matcher
from floodmark_core.framing import CONTAINER, LAST_TIME_NS, LINK_TYPE, SNOOP, frame_batch
from floodmark_core.resync import next_record
from floodmark_core.status import STOP_DAMAGED, STOP_NEEDS_FLOWS
from floodmark_core.timeline import CLOCK_NS

Progress = Callable[[int], None]

_TUNNELS_OPENED = 4  # one in another, most: a mirror of a tunnel in an overlay has three


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
    damaged_at: int | None  # offset of the first record that cannot be one
    sha256: str | None  # of the file, where asked for
    compression: str | None = None  # the file is compressed with; all offsets are those of the octets unpacked
    unpacking_ended: str | None = None  # why compressed octets end before their end
    damages: int = 0  # places where reading stopped, or had to look for the next record
    unread_octets: int = 0  # from each of them to the next record, or to the end

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
        _, at, stop = frame_batch(block, at, reader.base, layout, interfaces, records, tally)
        if tally.totals[3] >= 0:
            return int(records.time_ns[0]) or int(tally.totals[2])  # the first may have no time of its own
        if stop == STOP_DAMAGED or reader.at_end:
            return None
        block, at = reader.next_block(at), 0


def mean_record_octets(reader: BlockReader) -> float:
    """Return how long a capture's first records are on average, with their headers; 0 where there is none."""
    layout, first = reader.container.layout.copy(), reader.container.header_octets
    count, at, _ = frame_batch(reader.block, first, 0, layout, new_interfaces(), new_records(), new_tally())
    return float((at - first) / count) if count else 0.0


def _skip(reader: BlockReader, block: U8, at: int, layout: I64 | None) -> tuple[U8, int]:
    """Pass over a damaged record. Returns the block that holds the next one, and its place; with no layout go to the end at once.

    What is passed over is read all the same: its length belongs in the answer.
    """
    found, at = False, at + 1
    while not found:
        found, at = next_record(block, at, layout, reader.at_end) if layout is not None else (False, len(block))
        if found or reader.at_end:
            break
        block, at = reader.next_block(at), 0
    return block, at if found else len(block)


class Meter:
    """Reads captures one after the other into one set of flows and cells."""

    def __init__(
        self, settings: FlowSettings, seed: int | None = None, memory: Memory | None = None, workers: Workers | None = None, shares: int = 1
    ) -> None:
        """Prepare for reading with so many shares of the flows, worked on side by side; their number never shows in the answer."""
        self._memory = memory or Memory()
        self._workers = workers or Workers()
        self._timeouts, chosen = timeouts_ns(settings), secrets.randbits(64) if seed is None else seed
        depth = _TUNNELS_OPENED if settings.tunnels == "inner" else 0
        matchers = [new_matcher(chosen, self._timeouts, service_ports(), number, shares, depth) for number in range(shares)]
        self._shares = [Share(number, matcher, _ns(settings.reorder_window_s), self._memory) for number, matcher in enumerate(matchers)]
        self._tables = Tables(self._memory, shares)
        self._tables.make_room(self._shares)
        self._last_time_ns = 0  # for packets without a time of their own

    def read(self, reader: BlockReader, progress: Progress | None = None, *, keep_going: bool = False) -> ReadCapture:
        """Read one capture to its end, or to a record that cannot be one; with ``keep_going`` on from the next that can.

        ``progress`` is told the octets read so far after each block.
        """
        for share in self._shares:
            share.begin(reader.container.layout, self._last_time_ns)
        first = self._shares[0]
        block, at = reader.block, reader.container.header_octets
        gaps: list[tuple[int, int]] = []  # offsets of a damaged record and of the next one that is read, or of the end
        while True:
            at, stop = self._read_block(reader, block, at)
            if stop == STOP_DAMAGED:
                damaged_at = reader.base + at
                block, at = _skip(reader, block, at, first.layout if keep_going and first.layout[CONTAINER] != SNOOP else None)
                gaps.append((damaged_at, reader.base + at))
            elif reader.at_end:
                break
            else:
                block, at = reader.next_block(at), 0
            if progress is not None:
                progress(reader.base + at)
        end, left = reader.base + len(block), len(block) - at
        if progress is not None:
            progress(end)
        self._last_time_ns = int(first.layout[LAST_TIME_NS])
        link_type = int(first.layout[LINK_TYPE]) if reader.container.name != "pcapng" else -1
        return ReadCapture(
            reader.path,
            reader.container.name,
            link_type,
            end,
            first.tally,
            end - left if left else None,
            gaps[0][0] if gaps else None,
            reader.sha256,
            reader.compression,
            reader.damage,
            len(gaps),
            sum(after - before for before, after in gaps),
        )

    def _read_block(self, reader: BlockReader, block: U8, at: int) -> tuple[int, int]:
        """Let every share read a block. Returns (where its last record ends, why reading stopped), which is the same for all."""
        reached = [(at, STOP_NEEDS_FLOWS)] * len(self._shares)
        read = Share.read_mapped if reader.is_mapped else Share.read

        def read_on(number: int) -> tuple[int, int]:
            return read(self._shares[number], self._tables, block, reached[number][0], reader.base, reader.octets)

        while True:
            waiting = [number for number, (_, stop) in enumerate(reached) if stop == STOP_NEEDS_FLOWS]
            if not waiting:
                return reached[0]
            for number, result in zip(waiting, self._workers.each(read_on, waiting), strict=True):
                reached[number] = result
            if any(stop == STOP_NEEDS_FLOWS for _, stop in reached):
                self._tables.make_room(self._shares)

    def finish(self) -> tuple[Flows, Rows]:
        """Return the flows and the cells, both in order of first packets."""
        for share in self._shares:
            share.drop_indexes()
        cells, place = self._joined_cells(), self._tables.in_order(self._shares, self._workers)
        used, tables = [share.used for share in self._shares], self._tables
        rows = FlowRows(tables.rows.trim(used), tables.more.trim(used), tables.addresses.trim(used), place)
        flows = Flows(rows, int(self._shares[0].clock[CLOCK_NS]), self._timeouts, self._memory)
        flows.workers = self._workers
        return flows, cells

    def _joined_cells(self) -> Rows:
        """Return the cells of all shares as one set in order of first packets."""
        if len(self._shares) == 1:
            return self._shares[0].cells
        most = max(sum(len(share.cells) for share in self._shares), 1)
        slots = self._memory.array(1 << (2 * most).bit_length(), np.uint64)
        joined = CellTable(self._memory.array(most, CELL), slots, np.zeros(1, np.int64))
        for share in self._shares:
            join_cells(share.cells, share.matcher.seed[0], joined)
        cells = joined.rows[: joined.used[0]]
        in_order: Rows = cells[np.argsort(cells["birth"], kind="stable")]
        return in_order
