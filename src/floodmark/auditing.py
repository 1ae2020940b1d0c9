"""A claim and an answer in, what the captures say of the claim out: every defensible way of counting, side by side.

"Attack" has no agreed unit. So each unit is counted by itself in every window of the claim's period, and by each the claim is supported,
not supported or not decidable, with the reasons. A window may begin at any thousandth of the period. What a flow of several packets
carried is spread evenly over the time that it lasted; a flow of one packet stands where it was.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from floodmark.assets import UNMATCHED, Asset, assets_of_flows
from floodmark.claims import Claim
from floodmark.errors import SettingsError
from floodmark.flowset import number, split
from floodmark.result import SCHEMA_VERSION, Result, rfc3339, tool
from floodmark_core.columns import F64, I32, I64, U64

EVERYTHING = "all"  # the row of all flows, whatever asset they are of
SUPPORTED, NOT_SUPPORTED, UNDECIDABLE = "supported", "not supported", "not decidable"

_NS = 1_000_000_000
_STEPS = 1000  # places in a period where a window may begin
_MOST_BINS = 1_000_000  # of a series; a capture of more than a thousand periods has fewer places
_FORGED = 0.5  # probability of forged sources from which on those of an event do not count as real
_PARTS = 240  # of the captures' time, in which a finding is told over time
_WHOLE = 0.98  # of the period that the captures must span to be judged on it
_Z = 1.96  # of an interval of 95 %
_LARGEST = {"bytes": 1500}  # most that one packet adds to a unit: Ethernet's MTU; 1 of the others
_SHARED = ("packets", "attack packets", "bytes")  # units of which a sample holds its share
_BOTH_DIRECTIONS = (*_SHARED, "requests")  # units that need both directions
_CLOCK = ("time_jump_back", "time_jump_ahead", "time_unusable")
_TCP, _SYN = 6, 2


@dataclass(frozen=True)
class Finding:
    """What captures say of a claim by one way of counting."""

    unit: str
    asset: str  # name of the asset, EVERYTHING or UNMATCHED
    peak: float  # most in any window of the period, as it stands in the captures
    peak_start_ns: int  # where that window begins
    median: float  # over the windows that lie in the captures
    above_s: float  # time that lies in windows which reach the claim
    total: float  # in the captures
    low: float  # the true peak was at least that, with 95 % where packets were sampled
    high: float | None  # and at most that; None: nothing bounds it
    ratio: float  # best estimate of the peak / claim
    verdict: str
    reasons: tuple[str, ...]  # why it may be more than was measured
    trailing: tuple[float, ...]  # most that any window holds which ends in each of some even parts of the captures' time

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as plain data."""
        document = asdict(self) | {
            "peak_start": rfc3339(self.peak_start_ns),
            "reasons": list(self.reasons),
            "trailing": list(self.trailing),
        }
        del document["peak_start_ns"]
        return document


@dataclass(frozen=True)
class Audit:
    """A claim and what was found of it: by each unit, for everything, then for each asset."""

    claim: Claim
    captures: tuple[str, ...]
    span_s: float
    sampling: float  # packets that passed for each one in the captures, as declared
    findings: tuple[Finding, ...]

    @property
    def told(self) -> tuple[Finding, ...]:
        """Return the findings of what the claim is about."""
        return tuple(each for each in self.findings if each.asset == (self.claim.asset or EVERYTHING))

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as plain data, as ``floodmark audit --format json`` writes it."""
        return {
            "schema_version": SCHEMA_VERSION,
            "tool": tool(),
            "captures": list(self.captures),
            "claim": asdict(self.claim),
            "span_s": self.span_s,
            "sampling": self.sampling,
            "findings": [finding.to_dict() for finding in self.findings],
        }


def audit(result: Result, claim: Claim, assets: tuple[Asset, ...] = (), *, sampling: float = 1.0) -> Audit:
    """Count an answer's captures by every unit that a claim may mean.

    sampling: packets that passed for each one in the captures, as whoever took them declares; 1: none was left out. Raises SettingsError
    where the claim is about an asset that there is not.
    """
    rows = (EVERYTHING, *(asset.name for asset in assets), *((UNMATCHED,) if assets else ()))
    if claim.asset is not None and claim.asset not in rows[1:]:
        raise SettingsError(f"the claim is about the asset {claim.asset!r}; there are {', '.join(rows[1:-1]) or 'none'}")
    counted = _Counted(result, claim.period_s, assets)
    found = {unit: counted.of(unit) for unit in claim.units}
    limits = {unit: _limits(result, claim, unit, sampling) for unit in claim.units}
    findings = tuple(
        _finding(unit, row, claim, found[unit].row(place), _Limits(sampling, limits[unit]))
        for place, row in enumerate(rows)
        for unit in claim.units
    )
    return Audit(claim, tuple(capture.path for capture in result.captures), result.profile.span_s, sampling, findings)


def _limits(result: Result, claim: Claim, unit: str, sampling: float) -> tuple[str, ...]:
    """Return why more of a unit may have passed than captures show; a declared sampling rate bounds itself, and is none."""
    profile, found = result.profile, []
    counts: dict[str, int] = {}
    for capture in result.captures:
        for problem in capture.problems:
            counts[problem.kind] = counts.get(problem.kind, 0) + problem.count
    if profile.span_s < _WHOLE * claim.period_s:
        found.append(f"the captures span {profile.span_s:,.3g} s of a period of {claim.period}")
    if sampling <= 1 and profile.sampled:
        found.append("packets are missing in the middle of streams, as in a sample; its rate can be declared with --sampling")
    if lost := counts.get("dropped_by_capture"):
        found.append(f"the captures say that they lost {lost:,} packets")
    if any(capture.truncated for capture in result.captures):
        found.append("a capture ends in the middle of a record")
    if steps := sum(counts.get(kind, 0) for kind in _CLOCK):
        found.append(f"the clock of the captures is wrong in {steps:,} places")
    if profile.one_sided and unit in _BOTH_DIRECTIONS:
        found.append("one direction only is in the captures")
    if profile.payload_missing and unit == "requests":
        found.append("payloads are cut off")
    return tuple(found)


@dataclass(frozen=True)
class _Limits:
    """What bounds the truth: how many packets passed for each that is here, and why more may have passed nevertheless."""

    sampling: float
    reasons: tuple[str, ...]

    def bounds(self, peak: float, unit: str) -> tuple[float, float | None]:
        """Return what passed at least and at most, with 95 %.

        Of a sample, packets are a Poisson count (Duffield et al., 2003); a flow or a source has at least one packet, so that there are at
        most as many as of packets of which each is one.
        """
        low, high = peak, peak
        if self.sampling > 1:
            spread = _Z * float(np.sqrt(peak * _LARGEST.get(unit, 1)))
            high = (peak + spread + _Z**2 * _LARGEST.get(unit, 1)) * self.sampling
            low = max(peak - spread, 0.0) * self.sampling if unit in _SHARED else peak
        return low, None if self.reasons or (self.sampling > 1 and unit == "events") else high


@dataclass(frozen=True)
class _Series:
    """One row of a unit: what is in every window, by the bin in which it ends, and in all. The first windows begin before the captures."""

    sums: F64
    total: float
    start_ns: int
    bin_ns: float
    window: int  # bins
    span_s: float

    @property
    def peak(self) -> tuple[float, int]:
        """Return the most of any window, and when the first such window begins."""
        place = int(self.sums.argmax())
        return float(self.sums[place]), int(self.start_ns + max(place - self.window + 1, 0) * self.bin_ns)

    @property
    def median(self) -> float:
        """Return the median of the windows that lie in the captures; of captures shorter than a window, what is in them."""
        return float(np.median(self.sums[min(self.window, len(self.sums)) - 1 :]))

    @property
    def trailing(self) -> tuple[float, ...]:
        """Return the most of the windows that end in each of some even parts of the time."""
        starts = np.unique(np.linspace(0, len(self.sums), _PARTS, endpoint=False).astype(np.int64))
        return tuple(np.maximum.reduceat(self.sums, starts).round(3).tolist())

    def reaching_s(self, least: float) -> float:
        """Return how much time lies in windows of at least so much."""
        ends = np.flatnonzero(self.sums >= least)
        bins = int(np.minimum(np.diff(ends), self.window).sum()) + min(self.window, int(ends[0]) + 1) if len(ends) else 0
        return min(bins * self.bin_ns / _NS, self.span_s)


def _finding(unit: str, asset: str, claim: Claim, series: _Series, limits: _Limits) -> Finding:
    """Compare a row of a unit with the claim."""
    peak, start_ns = series.peak
    low, high = limits.bounds(peak, unit)
    scale = limits.sampling if unit in _SHARED else 1.0
    return Finding(
        unit=unit,
        asset=asset,
        peak=round(peak, 3),
        peak_start_ns=start_ns,
        median=round(series.median, 3),
        above_s=round(series.reaching_s(claim.number / scale), 3),
        total=round(series.total, 3),
        low=round(low, 3),
        high=None if high is None else round(high, 3),
        ratio=peak * scale / claim.number,
        verdict=SUPPORTED if low >= claim.number else NOT_SUPPORTED if high is not None and high < claim.number else UNDECIDABLE,
        reasons=limits.reasons,
        trailing=series.trailing,
    )


class _Rows:
    """A unit in every window: of everything, of each asset, and of what belongs to none."""

    def __init__(self, sums: F64, totals: F64, place: tuple[int, float, int, float]) -> None:
        self._sums, self._totals, self._place = sums, totals, place

    def row(self, number: int) -> _Series:
        """Return one row; 0 is everything."""
        return _Series(self._sums[number], float(self._totals[number]), *self._place)


class _Counted:
    """The flows of an answer, counted over time by asset."""

    def __init__(self, result: Result, period_s: float, assets: tuple[Asset, ...]) -> None:
        self._flows, self._judged = result.flows, result.flows.judged
        self._start_ns = min((capture.first_seen_ns for capture in result.captures if capture.first_seen_ns is not None), default=0)
        last_ns = max((capture.last_seen_ns for capture in result.captures if capture.last_seen_ns is not None), default=0)
        span_ns, period_ns = max(last_ns - self._start_ns, 0) + 1, period_s * _NS
        self._window = max(int(min(_STEPS, _MOST_BINS * period_ns / span_ns)), 1)
        self._bin_ns = period_ns / self._window
        self._bins, self._span_s = int(span_ns / self._bin_ns) + 1, span_ns / _NS
        self._groups = len(assets) + 1  # the last is of flows of no asset
        of_flow = assets_of_flows(result, assets) if assets else np.full(len(result.flows), -1, np.int16)
        self._asset = np.where(of_flow < 0, len(assets), of_flow).astype(np.int32)
        self._attacks = self._judged.event_of >= 0

    def of(self, unit: str) -> _Rows:
        """Return one unit."""
        everywhere = np.ones(len(self._flows), bool)
        count: dict[str, Callable[[], _Rows]] = {
            "packets": lambda: self._carried(everywhere, 0),
            "attack packets": lambda: self._carried(self._attacks, 0),
            "bytes": lambda: self._carried(everywhere, 1),
            "flows": lambda: self._begun(everywhere, lambda seen: np.ones(len(seen["flags"]))),
            "attack flows": lambda: self._begun(self._attacks, lambda seen: np.ones(len(seen["flags"]))),
            "connection attempts": lambda: self._begun(everywhere, _attempts),
            "requests": lambda: self._begun(everywhere, lambda seen: seen["requests"].astype(np.float64)),
            "sources": lambda: self._sources(self._attacks),
            "real sources": lambda: self._sources(self._real()),
            "events": self._events,
        }
        return count[unit]()

    def _real(self) -> np.ndarray:
        """Return whether each flow is of an attack whose sources are not forged."""
        forged = np.array([(event.spoofed or 0.0) >= _FORGED for event in self._judged.events] + [True], bool)
        return ~forged[np.maximum(self._judged.event_of, -1)]

    def _carried(self, mine: np.ndarray, which: int) -> _Rows:
        """Return packets (0) or octets (1) of some flows."""
        groups = np.where(mine, self._asset, self._groups)
        return self._summed(self._flows.spread(groups, self._groups + 1, self._start_ns, self._bin_ns, self._bins)[which][:-1])

    def _begun(self, mine: np.ndarray, amount: Callable[[dict[str, np.ndarray]], F64]) -> _Rows:
        """Return an amount of each of some flows, where it begins."""
        amounts = np.zeros(self._groups * self._bins)
        for index, seen in self._flows.rows(("first_seen_ns", "protocol", "flags", "requests")):
            at = slice(int(index[0]), int(index[-1]) + 1)
            weights = np.where(mine[at], amount(seen), 0.0)
            places = self._asset[at] * np.int64(self._bins) + self._bin_of(seen["first_seen_ns"])
            amounts += np.bincount(places, weights=weights, minlength=len(amounts))
        return self._summed(amounts.reshape(self._groups, self._bins))

    def _events(self) -> _Rows:
        """Return the attacks, where they begin; of an asset those that have flows of it, of everything each once."""
        started = np.array([event.start_ns for event in self._judged.events], np.int64)
        amounts = np.zeros((self._groups + 1, self._bins))
        for group in range(self._groups):
            held = np.unique(self._judged.event_of[self._attacks & (self._asset == group)])
            amounts[group + 1] = np.bincount(self._bin_of(started[held]), minlength=self._bins)
        amounts[0] = np.bincount(self._bin_of(started), minlength=self._bins)
        return self._rows(np.array([_window_sums(row, self._window) for row in amounts]), amounts.sum(axis=1))

    def _sources(self, mine: np.ndarray) -> _Rows:
        """Return the distinct addresses that send some flows in each window."""
        source, first, last = self._senders(mine)
        counts = [_distinct(source, first, last, self._bins, self._window)]
        if self._groups == 1:
            counts *= 2
        else:
            owner = self._asset[mine]
            for group in range(self._groups):
                own = owner == group
                counts.append(_distinct(source[own], first[own], last[own], self._bins, self._window))
        return self._rows(np.array([sums for sums, _ in counts]), np.array([total for _, total in counts], np.float64))

    def _senders(self, mine: np.ndarray) -> tuple[I32, I64, I64]:
        """Return (number of the attacker's address, first bin, last bin) of some flows."""
        his, los, versions, bins = (
            [np.zeros(0, np.uint64)],
            [np.zeros(0, np.uint64)],
            [np.zeros(0, np.uint64)],
            [np.zeros((2, 0), np.int64)],
        )
        names = (
            "first_seen_ns",
            "last_seen_ns",
            "ip_version",
            *(f"{end}_{half}" for end in ("initiator", "responder") for half in ("hi", "lo")),
        )
        for index, seen in self._flows.rows(names):
            at = slice(int(index[0]), int(index[-1]) + 1)
            chosen, turned = mine[at], self._judged.back[at] > 0  # turned: the initiator is the one attacked
            his.append(np.where(turned, seen["responder_hi"], seen["initiator_hi"])[chosen])
            los.append(np.where(turned, seen["responder_lo"], seen["initiator_lo"])[chosen])
            versions.append(seen["ip_version"][chosen].astype(np.uint64))
            bins.append(np.array([self._bin_of(seen[f"{which}_seen_ns"][chosen]) for which in ("first", "last")]))
        keys: list[U64] = [np.concatenate(parts) for parts in (his, los, versions)]
        source, _ = number(keys[0], keys[1], keys[2])
        first, last = np.concatenate(bins, axis=1)
        return source, first, last

    def _bin_of(self, times_ns: I64) -> I64:
        places: I64 = np.clip((times_ns - self._start_ns) / self._bin_ns, 0, self._bins - 1).astype(np.int64)
        return places

    def _summed(self, amounts: F64) -> _Rows:
        """Return amounts in bins by asset as windows, with everything before them."""
        whole = np.concatenate((amounts.sum(axis=0, keepdims=True), amounts))
        return self._rows(np.array([_window_sums(row, self._window) for row in whole]), whole.sum(axis=1))

    def _rows(self, sums: F64, totals: F64) -> _Rows:
        return _Rows(sums, totals, (self._start_ns, self._bin_ns, self._window, self._span_s))


def _attempts(seen: dict[str, np.ndarray]) -> F64:
    opens: F64 = ((seen["protocol"] == _TCP) & (seen["flags"] & _SYN > 0)).astype(np.float64)
    return opens


def _window_sums(amounts: F64, window: int) -> F64:
    """Return the sum of every window by the bin in which it ends; of one that begins before the captures, what is there."""
    grown = np.concatenate((np.zeros(1), np.cumsum(amounts)))
    ends = np.arange(1, len(amounts) + 1)
    sums: F64 = grown[ends] - grown[np.maximum(ends - window, 0)]
    return sums


def _distinct(source: I32, first: I64, last: I64, bins: int, window: int) -> tuple[F64, int]:
    """Return how many sources send in each window, by the bin in which it ends, and in all.

    first, last: bins from and to which a flow of a source lasts. It is in the windows that end from ``first`` to ``last + window - 1``;
    of a source's flows in order, each adds those that the ones before it were not in.
    """
    if (first[1:] < first[:-1]).any():  # the clock went back
        in_time = np.argsort(first, kind="stable")
        source, first, last = source[in_time], first[in_time], last[in_time]
    starts, order = split(source, int(source.max(initial=-1)) + 1)
    numbers, first, last = source[order].astype(np.int64), first[order], last[order]
    reached = np.maximum.accumulate(numbers * bins + last) - numbers * bins  # by this flow and those before it of its source
    begins, ends = first.copy(), last + window  # before ``ends``
    again = numbers[1:] == numbers[:-1]
    begins[1:] = np.where(again, np.maximum(first[1:], reached[:-1] + window), first[1:])
    adds = (begins < ends) & (begins < bins)
    changes = np.bincount(begins[adds], minlength=bins + 1) - np.bincount(np.minimum(ends[adds], bins), minlength=bins + 1)
    counts: F64 = np.cumsum(changes)[:bins].astype(np.float64)
    return counts, int((np.diff(starts) > 0).sum())
