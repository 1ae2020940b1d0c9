"""Meter captures into flows and arrivals: the metering process of RFC 7011, in one thread or with another one that decodes ahead.

State lives in arrays that carry over from block to block and from file to file, so the result does not depend on where they are split.
"""

import secrets
from concurrent.futures import Future
from functools import partial
from itertools import cycle

import numpy as np

from floodmark.base.memory import Memory
from floodmark.base.workers import Workers
from floodmark.captures.reading import Blocks, Progress, ReadCapture, read_capture
from floodmark.captures.settings import FlowSettings
from floodmark.captures.walking import walk_with
from floodmark.flows.arrivals import Arrivals
from floodmark.flows.decoding import Decoder
from floodmark.flows.flows import Flows
from floodmark.flows.shares import Share, Tables
from floodmark.vocabulary.services import service_ports
from floodmark_core.columns import I64, U8, FlowRows
from floodmark_core.flows.flowtable import new_matcher
from floodmark_core.flows.reader import Round, new_round
from floodmark_core.records.framing import LAST_TIME_NS, new_layout
from floodmark_core.records.timeline import CLOCK_NS
from floodmark_core.status import STOP_BATCH_FULL

ROUND_BATCHES = 16  # decoded ahead: 8,192 packets, 1.5 MiB of columns; smaller rounds wait for each other, larger ones leave the cache


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


def new_share(settings: FlowSettings, memory: Memory, seed: int, number: int = 0, shares: int = 1) -> Share:
    """Return the state that one thread needs to meter its share of the flows. shares: how many there are."""
    return Share(number, new_matcher(seed, timeouts_ns(settings), service_ports(), number, shares), memory)


class Meter:
    """Meters captures one after the other into one set of flows and arrivals."""

    def __init__(
        self,
        settings: FlowSettings,
        seed: int | None = None,
        memory: Memory | None = None,
        workers: Workers | None = None,
        threads: int = 1,
    ) -> None:
        """Prepare for reading. threads: how many are to be used: one decodes, and each of the others meters a share of the flows.

        Their number never affects the result.
        """
        self._memory, self._workers = memory or Memory(), workers or Workers()
        chosen = secrets.randbits(64) if seed is None else seed  # one seed for all shares
        self._timeouts = timeouts_ns(settings)
        self._decoder = Decoder(walk_with(settings, new_layout()), chosen, self._memory)
        shares = max(threads - 1, 1)
        self._shares = [new_share(settings, self._memory, chosen, number, shares) for number in range(shares)]
        self._tables = Tables(self._memory, shares)
        self._tables.make_room(self._shares)
        self._rounds = [new_round(ROUND_BATCHES) for _ in range(2)]
        self._ahead = threads > 1
        self._last_time_ns = 0  # for packets without a time of their own

    def read(self, reader: Blocks, progress: Progress | None = None, *, keep_going: bool = False) -> ReadCapture:
        """Read one capture to its end, as :func:`floodmark.captures.reading.read_capture` does."""
        decoder = self._decoder
        decoder.begin(reader.container.layout, self._last_time_ns)
        state = decoder.walk.layout, decoder.tally
        read = read_capture(reader, lambda block, at: self._read_block(reader, block, at), state, progress, keep_going)
        self._last_time_ns = int(decoder.walk.layout[LAST_TIME_NS])
        return read

    def _read_block(self, reader: Blocks, block: U8, at: int) -> tuple[int, int]:
        """Decode a block, and meter each round of batches. Returns (end of its last record, why reading stopped)."""
        self._decoder.begin_block(block, at, mapped=reader.is_mapped)
        metering: Future[None] | None = None
        try:
            for round_ in cycle(self._rounds):
                batches, at, stop = self._decoder.fill(round_, block, at, reader.base)
                if metering is not None:
                    metering.result()
                meter = partial(self._meter, block, round_, batches, (reader.base + at) / reader.nbytes if reader.nbytes else 1.0)
                if self._ahead:
                    metering = self._workers.begin(meter)
                else:
                    meter()
                if stop != STOP_BATCH_FULL:
                    break
        finally:
            if metering is not None:
                metering.result()
        return at, stop

    def _meter(self, block: U8, round_: Round, batches: int, done: float) -> None:
        """Let every share meter a round. done: share of the capture read."""
        reached = [0] * len(self._shares)

        def meter(number: int) -> int:
            return self._shares[number].meter(self._tables, block, round_, range(reached[number], batches), done)

        while waiting := [number for number, batch in enumerate(reached) if batch < batches]:
            for number, batch in zip(waiting, self._workers.each(meter, waiting), strict=True):
                reached[number] = batch
            if min(reached) < batches:
                self._tables.make_room(self._shares)

    @property
    def duplicates(self) -> float | None:
        """Share of the IP packets that repeat a packet seen a moment before, byte for byte; None if there are no IP packets."""
        return self._decoder.duplicates

    def finish(self) -> tuple[Flows, Arrivals]:
        """Return the flows, in order of first packets, and what arrived at each destination."""
        for share in self._shares:
            share.drop_index()
        arrivals = self._decoder.finish()
        place = self._tables.in_order(self._shares, self._workers)
        used, tables = [share.used for share in self._shares], self._tables
        rows = FlowRows(rows=tables.rows.trim(used), more=tables.more.trim(used), addresses=tables.addresses.trim(used), place=place)
        flows = Flows(rows, int(self._decoder.walk.clock[CLOCK_NS]), self._timeouts, self._memory)
        flows.workers = self._workers
        return flows, arrivals
