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
from floodmark.captures.reading import Blocks, Progress, ReadCapture, read_by_parts, read_capture
from floodmark.captures.settings import FlowSettings
from floodmark.captures.walking import walk_with
from floodmark.flows.arrivals import Arrivals
from floodmark.flows.decoding import Decoder
from floodmark.flows.flows import Flows
from floodmark.flows.shares import Share, Tables
from floodmark.vocabulary.services import service_ports
from floodmark_core.columns import I64, U8, FlowRows
from floodmark_core.flows.flowtable import new_matcher
from floodmark_core.flows.reader import Round, new_round, read_block
from floodmark_core.records.ahead import CURSORS
from floodmark_core.records.framing import LAST_TIME_NS, new_layout
from floodmark_core.records.timeline import CLOCK_NS
from floodmark_core.status import STOP_BATCH_FULL, STOP_NEEDS_ARRIVALS, STOP_NEEDS_FLOWS

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
        shares: int = 0,
    ) -> None:
        """Prepare for reading. shares: of the flows, metered by as many threads while another one decodes; 0: one thread does all.

        The number of shares never affects the result.
        """
        self._memory, self._workers = memory or Memory(), workers or Workers()
        chosen = secrets.randbits(64) if seed is None else seed  # one seed for all shares
        self._timeouts = timeouts_ns(settings)
        self._decoder = Decoder(walk_with(settings, new_layout()), chosen, self._memory)
        self._shares = [new_share(settings, self._memory, chosen, number, max(shares, 1)) for number in range(max(shares, 1))]
        self._tables = Tables(self._memory, len(self._shares))
        self._tables.make_room(self._shares)
        self._cursors: I64 = np.zeros(CURSORS, np.int64)
        self._rounds = [new_round(ROUND_BATCHES) for _ in range(2)] if shares else []
        self._last_time_ns = 0  # for packets without a time of their own

    def read(self, reader: Blocks, progress: Progress | None = None, *, keep_going: bool = False) -> ReadCapture:
        """Read one capture to its end, as :func:`floodmark.captures.reading.read_capture` does."""
        decoder, read_block = self._decoder, self._read_ahead if self._rounds else self._read_alone
        decoder.begin(reader.container.layout, self._last_time_ns)
        state = decoder.walk.layout, decoder.tally
        read = read_capture(reader, lambda block, at: read_block(reader, block, at), state, progress, keep_going)
        self._last_time_ns = int(decoder.walk.layout[LAST_TIME_NS])
        return read

    def _read_alone(self, reader: Blocks, block: U8, at: int) -> tuple[int, int]:
        """Decode and meter a block in turns. Returns (end of its last record, why reading stopped)."""
        decoder, [share] = self._decoder, self._shares

        def read(part: U8, at: int) -> tuple[int, int]:
            while True:
                at, stop = read_block(part, at, reader.base, decoder.state, share.matcher, self._tables.of(share))
                if stop == STOP_NEEDS_ARRIVALS:
                    decoder.make_room()
                elif stop != STOP_NEEDS_FLOWS:
                    return at, stop
                elif not share.make_way(self._tables, _done(reader, at)):
                    self._tables.make_room(self._shares)

        return read_by_parts(read, block, at, decoder.walk.layout, self._cursors) if reader.is_mapped else read(block, at)

    def _read_ahead(self, reader: Blocks, block: U8, at: int) -> tuple[int, int]:
        """Decode a block, and meter each round of batches while the next one is decoded. Returns as the other does."""
        self._decoder.begin_block(block, at, mapped=reader.is_mapped)
        metering: Future[None] | None = None
        try:
            for round_ in cycle(self._rounds):
                batches, at, stop = self._decoder.fill(round_, block, at, reader.base)
                if metering is not None:
                    metering.result()
                metering = self._workers.begin(partial(self._meter, block, round_, batches, _done(reader, at)))
                if stop != STOP_BATCH_FULL:
                    break
        finally:
            if metering is not None:
                metering.result()
        return at, stop

    def _meter(self, block: U8, round_: Round, batches: int, done: float) -> None:
        """Let every share meter a round."""
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


def _done(reader: Blocks, at: int) -> float:
    """Return the share of a capture that is read, 1 if it is unknown."""
    return (reader.base + at) / reader.nbytes if reader.nbytes else 1.0
