"""Read a claim: how many attacks in which period, on whom, and who says so.

[claim]
number = 30_000_000
unit = "attacks"          # or one of UNITS
period = "1 minute"
asset = "electoral"       # of a file of assets, if it is about one
source = "statement of August 2024"
"""

from dataclasses import dataclass
from typing import Any

from floodmark.base.thresholds import read_toml
from floodmark.errors import SettingsError

# What can be counted, in output order: unit -> meaning.
UNITS = {
    "packets": "packets that belong to flows, ordinary ones too",
    "attack packets": "packets of the flows of attacks, both directions",
    "bytes": "IP octets of all flows",
    "flows": "flows that begin, ordinary ones too",
    "attack flows": "flows of attacks that begin",
    "connection attempts": "TCP flows that begin with a SYN",
    "requests": "HTTP, HTTP/2 and SIP requests that can be read; those inside TLS cannot",
    "sources": "distinct addresses that send attacks, forged ones too",
    "real sources": "distinct addresses that send attacks, without the attacks whose addresses are forged",
    "events": "attacks, each flood, scan or guessing as one",
}
EVERY = "attacks"  # has no agreed meaning: all units are counted
_KEYS = ("number", "unit", "period", "asset", "source")
_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}
_LONGEST_S = 366 * 86_400


@dataclass(frozen=True)
class Claim:
    """A number of a unit in a period, for one asset or all flows, and who says so."""

    number: float
    unit: str = EVERY
    period_s: float = 60.0
    asset: str | None = None
    source: str = ""

    @property
    def units(self) -> tuple[str, ...]:
        """Return the units that it may mean."""
        return tuple(UNITS) if self.unit == EVERY else (self.unit,)

    @property
    def period(self) -> str:
        """Return the period in words."""
        for name, seconds in reversed(_SECONDS.items()):
            if self.period_s % seconds == 0:
                count = round(self.period_s / seconds)
                return f"{count} {name}{'' if count == 1 else 's'}"
        return f"{self.period_s:g} seconds"


def load_claim(path: str) -> Claim:
    """Read a TOML file with a table [claim]. Raises SettingsError that names the fault."""
    document = read_toml(path)
    table = document.get("claim")
    if not isinstance(table, dict) or len(document) > 1:
        raise SettingsError(f"{path}: one table, [claim], is expected")
    try:
        return _claim(table)
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from error


def _claim(table: dict[str, Any]) -> Claim:
    """Return the claim of a table. Raises ValueError."""
    if unknown := sorted(set(table) - set(_KEYS)):
        raise ValueError(f"unknown key claim.{unknown[0]}; there are {', '.join(_KEYS)}")
    number, unit, asset, source = (
        table.get(key, default) for key, default in zip(_KEYS[:2] + _KEYS[3:], (0, EVERY, None, ""), strict=True)
    )
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < 1e18:
        raise ValueError(f"claim.number must be a number above 0, found {number!r}")
    if unit != EVERY and unit not in UNITS:
        raise ValueError(f"claim.unit must be {EVERY}, {', '.join(UNITS)}; found {unit!r}")
    if not isinstance(source, str) or not isinstance(asset, str | None):
        raise ValueError("claim.asset and claim.source must be texts")  # noqa: TRY004 - reported as a faulty file
    return Claim(float(number), unit, _period_s(table.get("period", "1 minute")), asset, source)


def _period_s(text: object) -> float:
    """Return the seconds of a text such as "1 minute". Raises ValueError."""
    words = text.split() if isinstance(text, str) else []
    count, name = words if len(words) == 2 else ("", "")
    try:
        seconds = float(count) * _SECONDS[name.removesuffix("s")]
    except (KeyError, ValueError):
        seconds = 0.0
    if not 0 < seconds <= _LONGEST_S:
        raise ValueError(f"claim.period must be such as '1 minute' or '24 hours', at most 366 days; found {text!r}")
    return seconds
