"""Count packets, requests, distinct sources and more in every window of a period, by asset.

A window may begin at any thousandth of the period, and is identified by the time bin in which it ends; the first ones begin before the
captures. The traffic of a flow of several packets is spread evenly over its duration; a flow of one packet counts at its time.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from floodmark.claims.assets import Asset, assets_of_flows
from floodmark.errors import SettingsError
from floodmark.flows.flows import listed
from floodmark.flows.flowset import number, split
from floodmark.result.result import Result
from floodmark_core.columns import F64, I32, I64, U32, U64
from floodmark_core.protocols import SECOND_NS, TCP

_STEPS = 1000  # positions in a period where a window may begin
_MOST_BINS = 1_000_000  # of a series; captures of more than a thousand periods have fewer positions, of more than a million none
_PARTS = 240  # of the captures' time, for a series over time
_FORGED = 0.5  # probability of spoofing from which an event's sources do not count as real
_AT_ONCE = 1 << 21  # flows whose distinct sources are counted at a time
_MOST_SHARDS = 256
_WILD_SHARE, _WILD_FLOWS = 0.01, 3  # more flows at other times are no accident
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_SYN = 2
_ENDS = tuple(f"{end}_{half}" for end in ("initiator", "responder") for half in ("hi", "lo"))


@dataclass(frozen=True)
class Series:
    """One row of a unit: the amount in every window, by the bin in which it ends, and in total. The first begin before the captures."""

    sums: F64
    total: float
    start_ns: int
    bin_ns: float
    window: int  # bins
    span_s: float

    @property
    def peak(self) -> tuple[float, int]:
        """Return the largest amount in any window, and when the first such window begins."""
        place = int(self.sums.argmax())
        return float(self.sums[place]), int(self.start_ns + max(place - self.window + 1, 0) * self.bin_ns)

    @property
    def median(self) -> float:
        """Return the median of the windows within the captures; for captures shorter than a window, their total."""
        return float(np.median(self.sums[min(self.window, len(self.sums)) - 1 :]))

    @property
    def trailing(self) -> tuple[float, ...]:
        """Return the largest window that ends in each of several equal parts of the time."""
        starts = np.unique(np.linspace(0, len(self.sums), _PARTS, endpoint=False).astype(np.int64))
        return tuple(np.maximum.reduceat(self.sums, starts).round(3).tolist())

    def reaching_s(self, least: float) -> float:
        """Return the seconds covered by windows of at least ``least``."""
        ends = np.flatnonzero(self.sums >= least)
        bins = int(np.minimum(np.diff(ends), self.window).sum()) + min(self.window, int(ends[0]) + 1) if len(ends) else 0
        return min(bins * self.bin_ns / SECOND_NS, self.span_s)


class Counted:
    """The flows of a result, counted over time by asset. Raises SettingsError for captures of more than a million periods."""

    def __init__(self, result: Result, period_s: float, assets: tuple[Asset, ...]) -> None:
        self._flows, self._judged = result.flows, result.flows.judged
        self._start_ns = min((capture.first_seen_ns for capture in result.captures if capture.first_seen_ns is not None), default=0)
        last_ns = max((capture.last_seen_ns for capture in result.captures if capture.last_seen_ns is not None), default=0)
        span_ns, period_ns = max(last_ns - self._start_ns, 0) + 1, period_s * SECOND_NS
        whole_ns, self._within = span_ns, np.ones(len(self._flows), bool)
        if span_ns > _MOST_BINS * period_ns:  # perhaps a few times are wild
            self._start_ns, span_ns = self._densest(int(_MOST_BINS * period_ns))
        if self.flows_left_out > max(_WILD_SHARE * len(self._flows), min(_WILD_FLOWS, len(self._flows) // 4)):
            raise SettingsError(
                f"the captures span {whole_ns / SECOND_NS:,.0f} s, more than {_MOST_BINS:,} periods of {period_s:,g} s; "
                "claim a longer period"
            )
        self._window = max(int(min(_STEPS, _MOST_BINS * period_ns / span_ns)), 1)
        self._bin_ns = period_ns / self._window
        self._bins, self._span_s = int(span_ns / self._bin_ns) + 1, span_ns / SECOND_NS
        self._groups = len(assets) + 1  # the last is for flows of no asset
        of_flow = assets_of_flows(result, assets) if assets else np.full(len(result.flows), -1, np.int16)
        self._asset = np.where(of_flow < 0, len(assets), of_flow).astype(np.int32)
        self._attacks = (self._judged.event_of >= 0) & self._within

    @property
    def flows_left_out(self) -> int:
        """How many flows are at times so far from all others that no series reaches from one to the other."""
        return len(self._within) - int(self._within.sum())

    def _densest(self, most_ns: int) -> tuple[int, int]:
        """Leave out the flows outside the stretch of time in which most flows begin. Returns its start and length in ns."""
        times = np.empty((2, len(self._flows)), np.int64)
        for index, seen in self._flows.rows(("first_seen_ns", "last_seen_ns")):
            times[0, index], times[1, index] = seen["first_seen_ns"], seen["last_seen_ns"]
        begins = np.sort(times[0])
        counts = np.searchsorted(begins, begins + most_ns) - np.arange(len(begins))
        start_ns = int(begins[np.argmax(counts)])
        self._within = (times[0] >= start_ns) & (times[1] < start_ns + most_ns)
        return start_ns, int(times[1][self._within].max()) - start_ns + 1

    def of(self, unit: str) -> list[Series]:
        """Return one unit: for all flows, for each asset, and for flows of no asset."""
        everywhere = self._within
        count: dict[str, Callable[[], list[Series]]] = {
            "packets": lambda: self._carried(everywhere, 0),
            "attack packets": lambda: self._carried(self._attacks, 0),
            "bytes": lambda: self._carried(everywhere, 1),
            "flows": lambda: self._begun(everywhere, _each),
            "attack flows": lambda: self._begun(self._attacks, _each),
            "connection attempts": lambda: self._begun(everywhere, _attempts),
            "requests": lambda: self._begun(everywhere, lambda seen: seen["requests"].astype(np.float64)),
            "sources": lambda: self._sources(self._attacks),
            "real sources": lambda: self._sources(self._real()),
            "events": self._events,
        }
        return count[unit]()

    def _real(self) -> np.ndarray:
        """Return whether each flow belongs to an attack whose sources are not spoofed."""
        forged = np.array([(event.spoofed or 0.0) >= _FORGED for event in self._judged.events] + [True], bool)
        real: np.ndarray = ~forged[np.maximum(self._judged.event_of, -1)] & self._within
        return real

    def _carried(self, mine: np.ndarray, which: int) -> list[Series]:
        """Return packets (0) or bytes (1) of some flows."""
        groups = np.where(mine, self._asset, self._groups)
        return self._summed(self._flows.spread(groups, self._groups + 1, self._start_ns, self._bin_ns, self._bins)[which][:-1])

    def _begun(self, mine: np.ndarray, amount: Callable[[dict[str, np.ndarray]], F64]) -> list[Series]:
        """Return an amount per flow of some flows, at the time each begins."""
        amounts = np.zeros(self._groups * self._bins)
        for index, seen in self._flows.rows(("first_seen_ns", "protocol", "flags", "requests")):
            at = slice(int(index[0]), int(index[-1]) + 1)
            weights = np.where(mine[at], amount(seen), 0.0)
            places = self._asset[at] * np.int64(self._bins) + self._bin_of(seen["first_seen_ns"])
            amounts += np.bincount(places, weights=weights, minlength=len(amounts))
        return self._summed(amounts.reshape(self._groups, self._bins))

    def _events(self) -> list[Series]:
        """Return the events at the time they begin: for an asset those with flows of it, for all flows each once."""
        started = np.array([event.start_ns for event in self._judged.events], np.int64)
        amounts = np.zeros((self._groups + 1, self._bins))
        for group in range(self._groups):
            held = np.unique(self._judged.event_of[self._attacks & (self._asset == group)])
            amounts[group + 1] = np.bincount(self._bin_of(started[held]), minlength=self._bins)
        amounts[0] = np.bincount(self._bin_of(started), minlength=self._bins)
        return self._rows(np.array([window_sums(row, self._window) for row in amounts]), amounts.sum(axis=1))

    def _sources(self, mine: np.ndarray) -> list[Series]:
        """Return the number of distinct addresses that send some flows in each window.

        No address is in two shards: they are counted shard by shard, so that memory does not grow with the flows.
        """
        shards = min(1 + int(mine.sum()) // _AT_ONCE, _MOST_SHARDS)
        of_flow = self._shards(shards) if shards > 1 else np.zeros(len(mine), np.uint8)
        sums, totals = np.zeros((self._groups + 1, self._bins)), np.zeros(self._groups + 1)
        for shard in range(shards):
            index = listed(np.flatnonzero(mine & (of_flow == shard)))
            source, first, last = self._senders(index)
            owner = self._asset[index]
            for row, own in enumerate([slice(None), *(owner == group for group in range(self._groups))]):
                counts, total = distinct(source[own], first[own], last[own], self._bins, self._window)
                sums[row] += counts
                totals[row] += total
        return self._rows(sums, totals)

    def _shards(self, count: int) -> np.ndarray:
        """Return a number below ``count`` for each flow, by the attacker's address."""
        found = np.empty(len(self._flows), np.uint8)
        for index, seen in self._flows.rows(_ENDS):
            hi, lo = self._attackers(index, seen)
            found[index] = ((hi ^ lo ^ (lo >> np.uint64(15))) * _SPREAD >> np.uint64(56)) % np.uint64(count)
        return found

    def _attackers(self, index: U32, seen: dict[str, np.ndarray]) -> tuple[U64, U64]:
        """Return the halves of the attackers' addresses: the responders' if the initiator is the victim."""
        turned = self._judged.back[index] > 0
        hi, lo = (np.where(turned, seen[f"responder_{half}"], seen[f"initiator_{half}"]).astype(np.uint64) for half in ("hi", "lo"))
        return hi, lo

    def _senders(self, chosen: U32) -> tuple[I32, I64, I64]:
        """Return (number of the attacker's address, first bin, last bin) of some flows."""
        keys, bins, done = np.empty((3, len(chosen)), np.uint64), np.empty((2, len(chosen)), np.int64), 0
        for index, seen in self._flows.rows((*_ENDS, "ip_version", "first_seen_ns", "last_seen_ns"), chosen):
            at = slice(done, done + len(index))
            keys[0, at], keys[1, at] = self._attackers(index, seen)
            keys[2, at] = seen["ip_version"]
            bins[0, at], bins[1, at] = (self._bin_of(seen[f"{which}_seen_ns"]) for which in ("first", "last"))
            done = at.stop
        return number(*keys)[0], bins[0], bins[1]

    def _bin_of(self, times_ns: I64) -> I64:
        places: I64 = np.clip((times_ns - self._start_ns) / self._bin_ns, 0, self._bins - 1).astype(np.int64)
        return places

    def _summed(self, amounts: F64) -> list[Series]:
        """Return amounts in bins by asset as windows, preceded by their sum."""
        whole = np.concatenate((amounts.sum(axis=0, keepdims=True), amounts))
        return self._rows(np.array([window_sums(row, self._window) for row in whole]), whole.sum(axis=1))

    def _rows(self, sums: F64, totals: F64) -> list[Series]:
        return [
            Series(row, float(total), self._start_ns, self._bin_ns, self._window, self._span_s)
            for row, total in zip(sums, totals, strict=True)
        ]


def _each(seen: dict[str, np.ndarray]) -> F64:
    return np.ones(len(seen["flags"]))


def _attempts(seen: dict[str, np.ndarray]) -> F64:
    opens: F64 = ((seen["protocol"] == TCP) & (seen["flags"] & _SYN > 0)).astype(np.float64)
    return opens


def window_sums(amounts: F64, window: int) -> F64:
    """Return the sum of every window by the bin in which it ends; of one that begins before the captures, the captured part."""
    grown = np.concatenate((np.zeros(1), np.cumsum(amounts)))
    ends = np.arange(1, len(amounts) + 1)
    sums: F64 = grown[ends] - grown[np.maximum(ends - window, 0)]
    return sums


def distinct(source: I32, first: I64, last: I64, bins: int, window: int) -> tuple[F64, int]:
    """Return how many sources send in each window, by the bin in which it ends, and in total.

    first, last: first and last bin of each flow. A flow is in the windows that end from ``first`` to ``last + window - 1``; each of a
    source's flows, in order, adds the windows that its earlier flows were not in.
    """
    if (first[1:] < first[:-1]).any():  # the clock went back
        in_time = np.argsort(first, kind="stable")
        source, first, last = source[in_time], first[in_time], last[in_time]
    starts, order = split(source, int(source.max(initial=-1)) + 1)
    numbers, first, last = source[order].astype(np.int64), first[order], last[order]
    reached = np.maximum.accumulate(numbers * bins + last) - numbers * bins  # by this flow and earlier ones of its source
    begins, ends = first.copy(), last + window  # exclusive end
    again = numbers[1:] == numbers[:-1]
    begins[1:] = np.where(again, np.maximum(first[1:], reached[:-1] + window), first[1:])
    adds = (begins < ends) & (begins < bins)
    changes = np.bincount(begins[adds], minlength=bins + 1) - np.bincount(np.minimum(ends[adds], bins), minlength=bins + 1)
    counts: F64 = np.cumsum(changes)[:bins].astype(np.float64)
    return counts, int((np.diff(starts) > 0).sum())
