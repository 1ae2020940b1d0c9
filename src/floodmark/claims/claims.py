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
    "packets": "packets of all flows, including ordinary ones",
    "attack packets": "packets of attack flows, both directions",
    "bytes": "IP bytes of all flows",
    "flows": "flows that begin, including ordinary ones",
    "attack flows": "attack flows that begin",
    "connection attempts": "TCP flows that begin with a SYN",
    "requests": "readable HTTP, HTTP/2 and SIP requests; those inside TLS are not",
    "sources": "distinct addresses that send attacks, including forged ones",
    "real sources": "distinct addresses that send attacks, excluding attacks with forged addresses",
    "events": "attacks: each flood, scan or password guessing counts as one",
}
EVERY = "attacks"  # has no agreed meaning: all units are counted
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
    if list(document) != ["claim"]:
        raise SettingsError(f"{path}: expected exactly one table, [claim]")
    try:
        return _claim(document["claim"])
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from error


def _claim(document: Any) -> Claim:  # noqa: ANN401 - whatever TOML holds
    """Return the claim of a table. Raises ValueError."""
    from floodmark.base.shapes import converted  # noqa: PLC0415 - who only shows claims needs none, and msgspec takes ms to load
    from floodmark.claims.tables import ClaimTable  # noqa: PLC0415

    table = converted(document, ClaimTable, "claim")
    if table.unit != EVERY and table.unit not in UNITS:
        raise ValueError(f"claim.unit must be one of {EVERY}, {', '.join(UNITS)}; found {table.unit!r}")
    return Claim(table.number, table.unit, _period_s(table.period), table.asset, table.source)


def _period_s(text: str) -> float:
    """Return the seconds of a text such as "1 minute". Raises ValueError."""
    words = text.split()
    count, name = words if len(words) == 2 else ("", "")
    try:
        seconds = float(count) * _SECONDS[name.removesuffix("s")]
    except (KeyError, ValueError):
        seconds = 0.0
    if not 0 < seconds <= _LONGEST_S:
        raise ValueError(f"claim.period must be a duration such as '1 minute' or '24 hours', at most 366 days; found {text!r}")
    return seconds
