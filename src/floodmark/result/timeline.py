"""Count packets and bytes over time, of each event and of ordinary traffic, in bins of equal length.

Each flow is spread evenly over its duration. If a few flows have wrong time stamps, the bins span only the others, and those few count
in the first or last bin.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from floodmark.base.workers import Part
from floodmark.events.events import Event, Judged
from floodmark.flows.flows import Flows
from floodmark.flows.flowset import SAMPLE
from floodmark_core.columns import F64, I32, U32
from floodmark_core.tables.sums import Bins, spread_flows

MOST_EVENTS = 200  # with a row of their own; those with fewer packets share one
_WILD_TIMES = 10.0  # span of all flows, compared with that of all but a thousandth at either end
_LEAST_NS = 1_000_000


@dataclass(frozen=True)
class Timeline:
    """Traffic over time. Rows of the arrays are the listed events, in that order, then all other events, then ordinary traffic."""

    start_ns: int
    bin_ns: float
    events: tuple[int, ...]  # ids
    packets: F64 = field(repr=False)  # [rows, bins], both directions
    nbytes: F64 = field(repr=False)  # IP bytes

    def of_event(self, event: int) -> F64:
        """Return the packets of an event in each bin; for an event without its own row, those of all such events."""
        row: F64 = self.packets[self.events.index(event) if event in self.events else len(self.events)]
        return row

    @property
    def ordinary(self) -> F64:
        """The packets of ordinary traffic in each bin."""
        row: F64 = self.packets[-1]
        return row


def timeline_of(flows: Flows, judged: Judged, bins: int) -> Timeline:
    """Count what flows carried in ``bins`` time bins, by event."""
    shown = _largest(judged.events)
    row_of = np.full(len(judged.events) + 1, len(shown), np.int32)
    row_of[[event.id - 1 for event in shown]] = np.arange(len(shown))
    row_of[-1] = len(shown) + 1
    start_ns, bin_ns, packets, nbytes = spread_over_time(
        flows, lambda first, end: row_of[np.maximum(judged.event_of[first:end], -1)], len(shown) + 2, bins
    )
    return Timeline(start_ns, bin_ns, tuple(event.id for event in shown), packets, nbytes)


def spread_over_time(flows: Flows, group_of: Callable[[int, int], I32], groups: int, bins: int) -> tuple[int, float, F64, F64]:
    """Count what flows carried in time bins, by group.

    group_of: returns the groups of the flows from one to before another. Returns (start ns, bin ns, packets and bytes [groups, bins]).
    """
    start_ns, end_ns = _span(flows)
    bin_ns = max((end_ns - start_ns) / bins, _LEAST_NS / bins)
    return start_ns, bin_ns, *spread_over_bins(flows, group_of, groups, (start_ns, bin_ns, bins))


def spread_over_bins(flows: Flows, group_of: Callable[[int, int], I32], groups: int, given: tuple[int, float, int]) -> tuple[F64, F64]:
    """Count what flows carried in given bins: start in ns, length of a bin in ns, number. Other arguments and result as above."""
    (start_ns, bin_ns, bins), tables = given, flows.tables

    def add_up(part: Part) -> tuple[F64, F64]:
        counts = Bins(start_ns=start_ns, bin_ns=bin_ns, packets=np.zeros((groups, bins)), nbytes=np.zeros((groups, bins)))
        for first in range(part.first, part.end, SAMPLE):
            end = min(first + SAMPLE, part.end)
            spread_flows(tables._replace(place=tables.place[first:end]), group_of(first, end), counts)
        return counts.packets, counts.nbytes

    done = flows.workers.each(add_up, flows.workers.parts(len(flows)))
    packets, nbytes = (np.sum([each[which] for each in done], axis=0) for which in (0, 1))
    return packets, nbytes


def _largest(events: list[Event]) -> list[Event]:
    """Return the events that have a row of their own, in order of their ids."""
    most = sorted(events, key=lambda event: -event.packets)[:MOST_EVENTS]
    return sorted(most, key=lambda event: event.id)


def _span(flows: Flows) -> tuple[int, int]:
    """Return the time span of nearly all flows: (first ns, last ns)."""
    if not len(flows):
        return 0, 0
    step = -(-len(flows) // SAMPLE)
    index: U32 = np.arange(0, len(flows), step, dtype=np.uint32)
    seen = flows.columns(index, ("first_seen_ns", "last_seen_ns"))
    first, last = int(seen["first_seen_ns"].min()), int(seen["last_seen_ns"].max())
    low, high = int(np.quantile(seen["first_seen_ns"], 0.001)), int(np.quantile(seen["last_seen_ns"], 0.999))
    return (low, high) if high > low and last - first > _WILD_TIMES * (high - low) else (first, last)
