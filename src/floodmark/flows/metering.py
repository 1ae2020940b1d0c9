"""Meter captures into flows and arrivals: the metering process of RFC 7011, one share of the flows for each thread.

State lives in arrays that carry over from block to block and from file to file, so the result does not depend on where they are split.
"""

import secrets

import numpy as np

from floodmark.base.memory import Memory
from floodmark.base.workers import Workers
from floodmark.captures.reading import Blocks, Progress, ReadCapture, read_capture
from floodmark.captures.settings import FlowSettings
from floodmark.captures.walking import walk_with
from floodmark.flows.arrivals import Arrivals, joined
from floodmark.flows.flows import Flows
from floodmark.flows.shares import Share, Tables
from floodmark.vocabulary.services import service_ports
from floodmark_core.columns import I64, U8, FlowRows
from floodmark_core.flows.flowtable import new_matcher
from floodmark_core.packets.duplicates import duplicate_share
from floodmark_core.records.framing import LAST_TIME_NS, new_layout
from floodmark_core.records.timeline import CLOCK_NS
from floodmark_core.status import STOP_NEEDS_FLOWS


def timeouts_ns(flow: FlowSettings) -> I64:
    """Return the time-outs in nanoseconds, in the order in which flowtable.py reads them."""
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
    return np.array([round(seconds * 1e9) for seconds in names], np.int64)


def new_share(settings: FlowSettings, memory: Memory, seed: int | None = None, number: int = 0, shares: int = 1) -> Share:
    """Return the state that one thread needs to meter its share of the flows. shares: how many there are."""
    chosen = secrets.randbits(64) if seed is None else seed
    matcher = new_matcher(chosen, timeouts_ns(settings), service_ports(), number, shares)
    return Share(number, matcher, walk_with(settings, new_layout()), memory)


class Meter:
    """Meters captures one after the other into one set of flows and arrivals."""

    def __init__(
        self, settings: FlowSettings, seed: int | None = None, memory: Memory | None = None, workers: Workers | None = None, shares: int = 1
    ) -> None:
        """Prepare for reading with ``shares`` shares of the flows in parallel; their number never affects the result."""
        self._memory = memory or Memory()
        self._workers = workers or Workers()
        self._timeouts, chosen = timeouts_ns(settings), secrets.randbits(64) if seed is None else seed  # one seed for all shares
        self._shares = [new_share(settings, self._memory, chosen, number, shares) for number in range(shares)]
        self._tables = Tables(self._memory, shares)
        self._tables.make_room(self._shares)
        self._last_time_ns = 0  # for packets without a time of their own

    def read(self, reader: Blocks, progress: Progress | None = None, *, keep_going: bool = False) -> ReadCapture:
        """Read one capture to its end, as :func:`floodmark.captures.reading.read_capture` does."""
        for share in self._shares:
            share.begin(reader.container.layout, self._last_time_ns)
        first = self._shares[0]
        read = read_capture(
            reader, lambda block, at: self._read_block(reader, block, at), (first.walk.layout, first.tally), progress, keep_going
        )
        self._last_time_ns = int(first.walk.layout[LAST_TIME_NS])
        return read

    def _read_block(self, reader: Blocks, block: U8, at: int) -> tuple[int, int]:
        """Let every share read a block. Returns (end of its last record, why reading stopped), which is the same for all shares."""
        reached = [(at, STOP_NEEDS_FLOWS)] * len(self._shares)
        read = Share.read_mapped if reader.is_mapped else Share.read

        def read_on(number: int) -> tuple[int, int]:
            return read(self._shares[number], self._tables, block, reached[number][0], reader.base, reader.nbytes)

        while True:
            waiting = [number for number, (_, stop) in enumerate(reached) if stop == STOP_NEEDS_FLOWS]
            if not waiting:
                return reached[0]
            for number, result in zip(waiting, self._workers.each(read_on, waiting), strict=True):
                reached[number] = result
            if any(stop == STOP_NEEDS_FLOWS for _, stop in reached):
                self._tables.make_room(self._shares)

    @property
    def duplicates(self) -> float | None:
        """Share of the IP packets that repeat a packet seen a moment before, byte for byte; None if there are no IP packets."""
        return duplicate_share(self._shares[0].recent)

    def finish(self) -> tuple[Flows, Arrivals]:
        """Return the flows, in order of first packets, and what arrived at each destination."""
        for share in self._shares:
            share.drop_index()
        arrivals = joined([share.trim_arrivals() for share in self._shares], self._shares[0].matcher.seed[0], self._memory)
        place = self._tables.in_order(self._shares, self._workers)
        used, tables = [share.used for share in self._shares], self._tables
        rows = FlowRows(rows=tables.rows.trim(used), more=tables.more.trim(used), addresses=tables.addresses.trim(used), place=place)
        flows = Flows(rows, int(self._shares[0].walk.clock[CLOCK_NS]), self._timeouts, self._memory)
        flows.workers = self._workers
        return flows, arrivals
