"""Read captures a second time and report each packet with the flow that it belongs to.

To map results about flows to their packets, the captures are metered again by a single share: its rows are the flows' numbers in order
of first packets, as in the result. Nothing is kept of a packet after it was reported.
"""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from floodmark.base.memory import Memory
from floodmark.captures.blocks import BlockReader
from floodmark.captures.container import Container
from floodmark.captures.merging import MergedReader
from floodmark.captures.opening import (
    Progress,
    listed,
    opened,
)
from floodmark.captures.ordering import in_groups
from floodmark.captures.reading import read_by_parts, read_capture
from floodmark.captures.settings import FlowSettings
from floodmark.captures.source import Given
from floodmark.captures.walking import begin_capture, walk_with
from floodmark.errors import CaptureError
from floodmark.flows.metering import new_share
from floodmark.flows.shares import Share, Tables
from floodmark_core import new_tally
from floodmark_core.columns import I64, U8
from floodmark_core.flows.tracing import Traced, new_traced, trace_block
from floodmark_core.records.ahead import CURSORS
from floodmark_core.records.framing import LAST_TIME_NS, new_layout
from floodmark_core.status import STOP_BATCH_FULL, STOP_NEEDS_FLOWS


@dataclass(frozen=True)
class Stretch:
    """Some consecutive records and the block that holds them. Valid only until the next one is reported."""

    block: U8  # bytes of the capture
    at: int  # where in the block the records begin
    end: int  # and where they end; in between are whole records, or pcapng blocks
    packets: int
    traced: Traced  # columns; only the first ``packets`` entries of each count


@dataclass(frozen=True)
class Visitor:
    """Callbacks while captures are traced."""

    begin: Callable[[str, Container], None]  # called with each capture's name; merged captures count as one
    tell: Callable[[Stretch], None]


class _Trace:
    """The metering of a trace: one share, its tables, and the columns reported."""

    def __init__(self, settings: FlowSettings, memory: Memory) -> None:
        self._share: Share = new_share(settings, memory, secrets.randbits(64))
        self._walk, self._tally = walk_with(settings, new_layout()), new_tally()
        self._tables = Tables(memory, 1)
        self._tables.make_room([self._share])
        self._traced = new_traced()
        self._cursors: I64 = np.zeros(CURSORS, np.int64)
        self._last_time_ns = 0

    def read(
        self, reader: BlockReader | MergedReader, visitor: Visitor, progress: Callable[[int], None] | None, *, keep_going: bool
    ) -> None:
        """Read one capture to its end."""
        layout = self._walk.layout
        begin_capture(self._walk, reader.container.layout, self._last_time_ns)
        self._tally = new_tally()
        visitor.begin(reader.path, reader.container)

        def on(block: U8, at: int) -> tuple[int, int]:
            return self._read_block(reader, visitor, block, at)

        def by_parts(block: U8, at: int) -> tuple[int, int]:
            return read_by_parts(on, block, at, layout, self._cursors)

        read_capture(reader, by_parts if reader.is_mapped else on, (layout, self._tally), progress, keep_going)
        self._last_time_ns = int(layout[LAST_TIME_NS])

    def _read_block(self, reader: BlockReader | MergedReader, visitor: Visitor, block: U8, at: int) -> tuple[int, int]:
        share, tables = self._share, self._tables
        while True:
            flows = tables.of(share)
            count, reached, stop = trace_block(block, at, reader.base, self._walk, share.matcher, flows, self._tally, self._traced)
            if reached > at:
                visitor.tell(Stretch(block, at, reached, count, self._traced))
            at = reached
            if stop == STOP_NEEDS_FLOWS:
                if not share.make_way(tables, (reader.base + at) / reader.nbytes if reader.nbytes else 1.0):
                    tables.make_room([share])
            elif stop != STOP_BATCH_FULL:
                return at, stop


def trace(  # noqa: PLR0913 - as for classify
    captures: Given | Iterable[Given],
    settings: FlowSettings,
    visitor: Visitor,
    *,
    memory: Memory | None = None,
    keep_going: bool = False,
    progress: Progress | None = None,
) -> None:
    """Read captures as :func:`floodmark.classify` does and report for each packet the flow that it belongs to.

    Raises CaptureError, also for a capture that can be read only once: it must have been classified before.
    """
    sources, _ = listed(captures)
    for source in sources:
        if not source.rereads:
            raise CaptureError(str(source), "can be read only once, but is needed twice; save it to a file first")
    run = _Trace(settings, memory or Memory())
    for group in in_groups(sources):
        with opened(group, progress, keep_going=keep_going) as reader:
            tell = partial(progress, reader.path) if progress is not None and isinstance(reader, BlockReader) else None
            run.read(reader, visitor, tell, keep_going=keep_going)
