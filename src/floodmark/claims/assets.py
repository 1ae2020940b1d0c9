"""Assign traffic to assets, named groups of addresses, ports, VLANs and host names such as the electoral system or the grid.

A TOML file has one table per asset; values of one kind are alternatives, and all kinds given must match:

    [electoral]
    title = "Electoral system"
    addresses = ["203.0.113.10", "203.0.113.16/28"]
    ports = [443]
    vlans = [100]
    host_names = ["vote.example"]

A flow belongs to the asset of the end that was attacked, otherwise of its responder, otherwise of its initiator. If several assets match
an end, the most specific wins: the longest prefix, then one with ports, then one with VLANs, then the first in the file.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from ipaddress import ip_network
from typing import Any, TypeAlias

import numpy as np

from floodmark.base.networks import Network, within
from floodmark.base.thresholds import read_toml
from floodmark.captures.opening import Progress
from floodmark.captures.settings import FlowSettings
from floodmark.captures.source import Given
from floodmark.claims.names import addresses_of
from floodmark.errors import SettingsError
from floodmark.events.events import Event
from floodmark.result.result import Count, Grouping, Result, rfc3339
from floodmark.vocabulary.payloads import payload_name
from floodmark.vocabulary.vectors import Verdict

UNMATCHED = "unmatched"  # name of the row for traffic of no asset
_MOST_ASSETS = 32_000  # their numbers are int16
_MOST_SERVICES = 12
_NOWHERE = (ip_network("::/128"),)  # the unspecified address, which no packet goes to
_SAID_NOTHING = ("none", "unrecognised", "one octet repeated")


AssetsOfEvents: TypeAlias = Mapping[int, tuple[str, ...]]  # event id -> names of the assets of its flows
NO_ASSETS: AssetsOfEvents = {}


@dataclass(frozen=True)
class Asset:
    """A named group. Empty fields match anything."""

    name: str
    title: str
    addresses: tuple[Network, ...] = ()
    ports: tuple[int, ...] = ()
    vlans: tuple[int, ...] = ()
    host_names: tuple[str, ...] = ()

    @property
    def lengths(self) -> list[int]:
        """Return the prefix lengths of its addresses, longest first; a single 0 if it has none."""
        return sorted({_specific(network) for network in self.addresses}, reverse=True) or [0]


@dataclass(frozen=True)
class AssetSummary:
    """Traffic of one asset in a capture. Times are nanoseconds since the epoch, None if there was no attack."""

    name: str
    title: str
    verdicts: dict[str, Count]
    events: tuple[int, ...]  # ids of those with flows of this asset
    first_attack_ns: int | None
    last_attack_ns: int | None
    peak_pps: float  # of its attacks together, over one sixtieth of the captures' time
    services: dict[str, int] = field(default_factory=dict)  # flows by protocol, most first

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as in the JSON document."""
        first, last = (None if time_ns is None else rfc3339(time_ns) for time_ns in (self.first_attack_ns, self.last_attack_ns))
        return {
            "name": self.name,
            "title": self.title,
            "verdicts": {verdict: asdict(count) for verdict, count in self.verdicts.items()},
            "events": list(self.events),
            "first_attack": first,
            "last_attack": last,
            "peak_pps": self.peak_pps,
            "services": self.services,
        }


def _specific(network: Network) -> int:
    """Return how specific a network is, IPv4 and IPv6 on one scale: 128 minus its number of host bits."""
    return 128 - (network.max_prefixlen - network.prefixlen)


def load_assets(path: str) -> tuple[Asset, ...]:
    """Read a file of assets. Raises SettingsError that names the fault."""
    document = read_toml(path)
    if not document:
        raise SettingsError(f"{path}: defines no asset; add a table for each one")
    if len(document) > _MOST_ASSETS:
        raise SettingsError(f"{path}: defines {len(document):,} assets; at most {_MOST_ASSETS:,} can be told apart")
    try:
        return tuple(_asset(name, table) for name, table in document.items())
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from error


def _asset(name: str, document: Any) -> Asset:  # noqa: ANN401 - whatever TOML holds
    """Return an asset. Raises ValueError."""
    from floodmark.base.shapes import converted  # noqa: PLC0415 - most runs have no assets, and msgspec takes ms to load
    from floodmark.claims.tables import AssetTable  # noqa: PLC0415

    if not name.isprintable() or set(name) & set('"\\') or name.startswith(tuple("=+-@")):  # a spreadsheet would take it for a formula
        raise ValueError(
            f"{name!r} is not a valid asset name; use printable characters, no quotes or backslashes, and begin with none of =+-@"
        )
    if name == UNMATCHED:
        raise ValueError(f"{UNMATCHED} is reserved for traffic of no asset; choose another name")
    table = converted(document, AssetTable, name)
    try:
        addresses = tuple(ip_network(text, strict=False) for text in table.addresses)
    except ValueError as error:
        raise ValueError(f"{name}.addresses: {error}") from error
    names = tuple(text.lower().rstrip(".") for text in table.host_names)
    if not (addresses or table.ports or table.vlans or names):
        raise ValueError(f"{name} is empty; give addresses, ports, vlans or host_names")
    return Asset(name, name if table.title is None else table.title, addresses, table.ports, table.vlans, names)


def with_learned_addresses(
    assets: tuple[Asset, ...],
    captures: Given | Iterable[Given],
    settings: FlowSettings,
    *,
    keep_going: bool = False,
    progress: Progress | None = None,
) -> tuple[Asset, ...]:
    """Return assets with the addresses found in the captures for their host names; a name without addresses matches nothing.

    The captures are read once more if an asset has host names. Raises CaptureError, also for captures that can be read only once.
    """
    names = {name for asset in assets for name in asset.host_names}
    if not names:
        return assets
    told = addresses_of(names, captures, settings, keep_going=keep_going, progress=progress)
    learned = []
    for asset in assets:
        own = (*asset.addresses, *(ip_network(address) for name in asset.host_names for address in sorted(told[name], key=str)))
        learned.append(replace(asset, addresses=own or _NOWHERE))
    return tuple(learned)


def by_asset(result: Result, assets: tuple[Asset, ...]) -> Result:
    """Return a result whose flows have a column ``asset``: the name of each flow's asset, null if it has none."""
    grouping = Grouping("asset", tuple(asset.name for asset in assets), assets_of_flows(result, assets))
    return replace(result, flows=result.flows.grouped(grouping))


def document_of(result: Result, summaries: tuple[AssetSummary, ...] = ()) -> dict[str, Any]:
    """Return the JSON document of a result, with its asset summaries if there are any."""
    return result.to_dict() | ({"assets": [summary.to_dict() for summary in summaries]} if summaries else {})


def assets_of_flows(result: Result, assets: tuple[Asset, ...]) -> np.ndarray:
    """Return the asset of each flow: int16, its index in assets, -1 if it has none."""
    judged, flows = result.flows.judged, result.flows
    names = ["ip_version", "vlan", *(f"{end}_{what}" for end in ("initiator", "responder") for what in ("hi", "lo", "port"))]
    found = np.full(len(flows), -1, np.int16)
    for index, seen in flows.rows(names):
        at = slice(int(index[0]), int(index[-1]) + 1)
        initiator, responder = (_of_ends(seen, end, assets) for end in ("initiator", "responder"))
        first = (judged.event_of[at] >= 0) & (judged.back[at] > 0)  # the initiator is the victim
        found[at] = np.where(first & (initiator >= 0), initiator, np.where(responder >= 0, responder, initiator))
    return found


def _of_ends(seen: dict[str, np.ndarray], end: str, assets: tuple[Asset, ...]) -> np.ndarray:
    """Return the most specific asset that one end of each flow belongs to."""
    found = np.full(len(seen["vlan"]), -1, np.int16)
    best = np.full(len(found), -1, np.int64)
    outer = np.where(seen["vlan"] >> 12 > 0, seen["vlan"] >> 12, seen["vlan"])
    for place, asset in enumerate(assets):
        held = np.ones(len(found), bool)
        if asset.ports:
            held &= np.isin(seen[f"{end}_port"], asset.ports)
        if asset.vlans:
            held &= np.isin(outer, asset.vlans)
        for length in asset.lengths:
            networks = [network for network in asset.addresses if _specific(network) == length]
            mine = held & within(seen["ip_version"], seen[f"{end}_hi"], seen[f"{end}_lo"], networks) if asset.addresses else held
            worth = 4 * length + 2 * bool(asset.ports) + bool(asset.vlans)
            better = mine & (worth > best)
            found[better], best[better] = place, worth
    return found


def summarise(result: Result, assets: tuple[Asset, ...]) -> tuple[AssetSummary, ...]:
    """Return a summary of each asset, and last of the traffic of no asset."""
    of_flow, judged = assets_of_flows(result, assets), result.flows.judged
    tallies = [_Tally() for _ in range(len(assets) + 1)]
    for index, seen in result.flows.rows(_Tally.NEEDED):
        at = slice(int(index[0]), int(index[-1]) + 1)
        asset, event = of_flow[at], np.maximum(judged.event_of[at], -1)
        for place in np.unique(asset):
            mine = asset == place
            tallies[place].add({name: values[mine] for name, values in seen.items()}, event[mine])
    peaks = _peaks(result, of_flow, len(assets))
    names = [*((asset.name, asset.title) for asset in assets), (UNMATCHED, "Everything else")]
    return tuple(tally.summary(*name, peak, judged.events) for name, peak, tally in zip(names, peaks, tallies, strict=True))


def assets_of_events(summaries: Iterable[AssetSummary]) -> AssetsOfEvents:
    """Return the assets of each event."""
    found: dict[int, tuple[str, ...]] = {}
    for summary in summaries:
        for event in summary.events if summary.name != UNMATCHED else ():
            found[event] = (*found.get(event, ()), summary.name)
    return found


class _Tally:
    """Counters of one asset."""

    _SUMMED = tuple(f"{end}_{what}" for what in ("packets", "octets") for end in ("initiator", "responder"))
    NEEDED = (*_SUMMED, "initiator_payload_kind", "responder_payload_kind", "first_seen_ns", "last_seen_ns")

    def __init__(self) -> None:
        self._by_event: dict[int, np.ndarray] = {}  # -1: benign; flows, packets, bytes
        self._kinds = np.zeros((2, 256), np.int64)
        self._attacks_ns: list[int] = []

    def add(self, seen: dict[str, np.ndarray], event: np.ndarray) -> None:
        """Count some flows. event: index of each flow's event, -1 if it has none."""
        packets, nbytes = (seen[f"initiator_{what}"] + seen[f"responder_{what}"] for what in ("packets", "octets"))
        for place in np.unique(event):
            mine = event == place
            counts = np.array([mine.sum(), packets[mine].sum(), nbytes[mine].sum()], np.int64)
            self._by_event[int(place)] = self._by_event.get(int(place), 0) + counts
        for row, end in enumerate(("initiator", "responder")):
            self._kinds[row] += np.bincount(seen[f"{end}_payload_kind"], minlength=256)
        attacked = event >= 0
        if attacked.any():
            self._attacks_ns += [int(seen["first_seen_ns"][attacked].min()), int(seen["last_seen_ns"][attacked].max())]

    def summary(self, name: str, title: str, peak_pps: float, events: list[Event]) -> AssetSummary:
        """Return the counts as a summary."""
        verdicts = dict.fromkeys(map(str, Verdict), np.zeros(3, np.int64))
        for place, counts in self._by_event.items():
            verdict = str(events[place].verdict if place >= 0 else Verdict.BENIGN)
            verdicts[verdict] = verdicts[verdict] + counts
        return AssetSummary(
            name=name,
            title=title,
            verdicts={verdict: Count(*map(int, counts)) for verdict, counts in verdicts.items()},
            events=tuple(sorted(place + 1 for place in self._by_event if place >= 0)),
            first_attack_ns=min(self._attacks_ns, default=None),
            last_attack_ns=max(self._attacks_ns, default=None),
            peak_pps=peak_pps,
            services=_named(self._kinds.max(axis=0)),
        )


def _peaks(result: Result, of_flow: np.ndarray, count: int) -> list[float]:
    """Return the peak attack rate of each asset, in packets a second over the bins of a timeline, then that of flows of no asset."""
    asset = np.where(of_flow >= 0, of_flow, count)
    groups = np.where(result.flows.judged.event_of >= 0, asset, count + 1)
    bin_s, packets = result.flows.rates_of(groups, count + 2)
    return [round(float(row.max()) / bin_s, 3) for row in packets[: count + 1]]


def _named(flows_by_kind: np.ndarray) -> dict[str, int]:
    """Return flows by protocol, most first. flows_by_kind: by payload code."""
    found: dict[str, int] = {}
    for kind in np.nonzero(flows_by_kind)[0].tolist():
        name = payload_name(kind)
        if name not in _SAID_NOTHING:
            protocol = name.rsplit(" ", 1)[0]
            found[protocol] = max(found.get(protocol, 0), int(flows_by_kind[kind]))
    return dict(sorted(found.items(), key=lambda item: -item[1])[:_MOST_SERVICES])
