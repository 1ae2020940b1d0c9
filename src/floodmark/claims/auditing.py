"""Check a claim against a result by every defensible way of counting, side by side.

"Attack" has no agreed unit. So each unit is counted separately in every window of the claim's period, and for each the claim is supported,
not supported or not decidable, with the reasons.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from floodmark.claims.assets import UNMATCHED, Asset
from floodmark.claims.claims import Claim
from floodmark.claims.counting import Counted, Series
from floodmark.errors import SettingsError
from floodmark.result.result import SCHEMA_VERSION, Result, rfc3339, tool

EVERYTHING = "all"  # the row of all flows, whatever their asset
SUPPORTED, NOT_SUPPORTED, UNDECIDABLE = "supported", "not supported", "not decidable"

_WHOLE = 0.98  # share of the period that the captures must span to be judged
_Z = 1.96  # for a 95 % interval
_LARGEST = {"bytes": 1500}  # most that one packet adds to a unit: Ethernet's MTU; 1 for the others
_SHARED = ("packets", "attack packets", "bytes")  # units that scale with the sampling rate
_BOTH_DIRECTIONS = (*_SHARED, "requests")  # units that need both directions
_JUDGED = ("attack packets", "attack flows", "sources", "real sources", "events")  # units that count detected attacks
_CLOCK = ("time_jump_back", "time_jump_ahead", "time_unusable")


@dataclass(frozen=True)
class Finding:
    """The verdict on a claim by one way of counting."""

    unit: str
    asset: str  # name of the asset, EVERYTHING or UNMATCHED
    peak: float  # most in any window of the period, as captured
    peak_start_ns: int  # start of that window
    median: float  # over the windows within the captures
    above_s: float  # time covered by windows that reach the claim
    total: float  # in the captures
    low: float  # lower bound of the true peak, at 95 % if packets were sampled
    high: float | None  # upper bound; None: unbounded
    ratio: float  # best estimate of the peak / claim
    verdict: str
    reasons: tuple[str, ...]  # why it may be more than measured
    trailing: tuple[float, ...]  # largest window that ends in each of several equal parts of the captures' time

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
    """A claim and its findings: by unit, for all flows, then for each asset."""

    claim: Claim
    captures: tuple[str, ...]
    span_s: float
    sampling: float  # packets that passed per packet captured, as declared
    findings: tuple[Finding, ...]
    titles: dict[str, str] = field(default_factory=dict)  # of the assets, by name

    @property
    def told(self) -> tuple[Finding, ...]:
        """Return the findings for the subject of the claim."""
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
            "assets": self.titles,
            "findings": [finding.to_dict() for finding in self.findings],
        }


def audit(result: Result, claim: Claim, assets: tuple[Asset, ...] = (), *, sampling: float = 1.0) -> Audit:
    """Count a result by every unit that a claim may mean.

    sampling: packets that passed per packet captured, as declared by whoever captured them; 1: not sampled. Raises SettingsError if the
    claim is about an unknown asset, or the captures span more than a million of its periods.
    """
    rows = (EVERYTHING, *(asset.name for asset in assets), *((UNMATCHED,) if assets else ()))
    if claim.asset is not None and claim.asset not in rows[1:]:
        raise SettingsError(f"the claim names an unknown asset {claim.asset!r}; known assets are {', '.join(rows[1:-1]) or 'none'}")
    counted = Counted(result, claim.period_s, assets)
    found = {unit: counted.of(unit) for unit in claim.units}
    wild = counted.flows_left_out
    told = (f"{wild:,} flows at times far from those of nearly all others are left out",) if wild else ()
    limits = {unit: (*_limits(result, claim, unit, sampling), *told) for unit in claim.units}
    findings = tuple(
        _finding(unit, row, claim, found[unit][place], _Limits(sampling, limits[unit]))
        for place, row in enumerate(rows)
        for unit in claim.units
    )
    titles = {asset.name: asset.title for asset in assets}
    return Audit(claim, tuple(capture.path for capture in result.captures), result.profile.span_s, sampling, findings, titles)


def _limits(result: Result, claim: Claim, unit: str, sampling: float) -> tuple[str, ...]:
    """Return why more of a unit may have passed than was captured; a declared sampling rate is none, as it bounds packets and flows."""
    profile, found = result.profile, _damage(result)
    if profile.span_s < _WHOLE * claim.period_s:
        found.append(f"the captures cover only {profile.span_s:,.3g} s of a period of {claim.period}")
    if sampling > 1 and unit in _JUDGED:
        found.append("a sample does not show every attack")
    elif sampling <= 1 and profile.sampled:
        found.append("packets are missing within streams, as in a sample; give its rate with --sampling")
    if profile.one_sided and unit in _BOTH_DIRECTIONS:
        found.append("the captures hold one direction only")
    if profile.payload_missing and unit == "requests":
        found.append("payloads are truncated")
    return tuple(found)


def _damage(result: Result) -> list[str]:
    """Return what captures report about lost packets or wrong times."""
    found, counts = [], dict.fromkeys(("dropped_by_capture", *_CLOCK), 0)
    for capture in result.captures:
        for problem in capture.problems:
            if problem.kind in counts:
                counts[problem.kind] += problem.count
    if lost := counts.pop("dropped_by_capture"):
        found.append(f"the captures report {lost:,} dropped packets")
    if any(capture.truncated for capture in result.captures):
        found.append("a capture ends in the middle of a record")
    if steps := sum(counts.values()):
        found.append(f"timestamps in the captures are wrong in {steps:,} places")
    return found


@dataclass(frozen=True)
class _Limits:
    """What bounds the true count: packets that passed per packet captured, and why more may have passed."""

    sampling: float
    reasons: tuple[str, ...]

    def bounds(self, peak: float, unit: str) -> tuple[float, float | None]:
        """Return the lower and upper bound of what passed, at 95 %.

        Sampled packets are a Poisson count (Duffield et al., 2003). A flow or a request has at least one packet, so there are at most as
        many as if each were one packet.
        """
        low, high = peak, peak
        if self.sampling > 1:
            spread = _Z * float(np.sqrt(peak * _LARGEST.get(unit, 1)))
            high = (peak + spread + _Z**2 * _LARGEST.get(unit, 1)) * self.sampling
            low = max(peak - spread, 0.0) * self.sampling if unit in _SHARED else peak
        return low, None if self.reasons else high


def _finding(unit: str, asset: str, claim: Claim, series: Series, limits: _Limits) -> Finding:
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
