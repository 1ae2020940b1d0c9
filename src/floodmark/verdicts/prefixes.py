"""The context by prefix instead of by host, for attacks spread over many neighbouring hosts, each of which receives little."""

import numpy as np

from floodmark.base.thresholds import Checked, declares, threshold
from floodmark.flows.flowset import SAMPLE, Host, number
from floodmark.verdicts.context import Context
from floodmark.verdicts.receivers import Counted, Receivers, masked
from floodmark.verdicts.shaping import ShapedFlows
from floodmark_core.columns import I64, U8, U64
from floodmark_core.flows import shapes

_BITS = {4: 24, 6: 64}  # length of the prefixes examined: what is routed and delegated separately
_MOST_PREFIXES = 1000  # most prefixes that are judged, those that received most packets first
FLOOD_SHAPES = tuple(shape for shape in range(shapes.SHAPES) if shape not in (shapes.NO_SHAPE, shapes.UDP_DIALOGUE))


@declares
class SpreadThresholds(Checked):
    """Which prefixes are hit as a whole: many hosts received packets, and none received most of them."""

    carpet_targets: int = threshold(8, "hosts of a prefix")
    carpet_target_share: float = threshold(0.3, "of the prefix's packets that a single host receives, at most")
    carpet_packets: int = threshold(200, "to a prefix")


def prefix_of(host: Host) -> Host:
    """Return the prefix that a host belongs to."""
    if host.version == 4:
        return Host(4, 0, host.lo >> 8 << 8, _BITS[4])
    return Host(6, host.hi, 0, _BITS[6])


def prefixes_of(context: Context, settings: SpreadThresholds, taken: np.ndarray) -> Receivers:
    """Find the prefixes in which many hosts received some of the flows not taken and none most of them, with what they received.

    taken: bool per flow row, true for flows that need not be considered.
    """
    shaped = context.shapes
    of_flood = np.zeros(shapes.SHAPES, bool)
    of_flood[list(FLOOD_SHAPES)] = True
    free = of_flood[shaped.shape] & ~taken
    enough = int(shaped.packets_toward[free].sum(dtype=np.int64)) >= settings.carpet_packets
    listed = _listed(context, np.nonzero(free)[0] if enough else np.zeros(0, np.int64), settings)
    found = _Found(listed)
    arrivals = context.arrivals
    return Receivers(
        shaped, listed, _count(shaped, found), arrivals,
        lambda: found.numbers(arrivals.rows["hi"].copy(), arrivals.rows["lo"].copy(), arrivals.rows["ip_version"]).astype(np.int32), _BITS,
    )  # fmt: skip


def _listed(context: Context, rows: I64, settings: SpreadThresholds) -> tuple[U64, U64, U8]:
    """Return the prefixes that received most first: high halves, low halves, versions."""
    flows = context.shapes.flow_set(rows)
    hi, lo, version = flows.received("hi"), flows.received("lo"), flows.column("ip_version")
    hosts, first = number(hi, lo, version.astype(np.uint64))
    of_host = np.bincount(hosts, weights=flows.packets, minlength=len(first))
    net_hi, net_lo = masked(hi, lo, version)
    nets, leaders = number(net_hi[first], net_lo[first], version[first].astype(np.uint64))
    packets = np.bincount(nets, weights=of_host, minlength=len(leaders))
    targets = np.bincount(nets, minlength=len(leaders))
    largest = np.zeros(len(leaders))
    np.maximum.at(largest, nets, of_host)
    kept = (packets >= settings.carpet_packets) & (targets >= settings.carpet_targets) & (largest <= settings.carpet_target_share * packets)
    most = np.nonzero(kept)[0][np.argsort(-packets[kept], kind="stable")[:_MOST_PREFIXES]]
    chosen = first[leaders[most]]
    return net_hi[chosen], net_lo[chosen], version[chosen]


class _Found:
    """The listed prefixes in order of a key, so that one is found by binary search."""

    def __init__(self, listed: tuple[U64, U64, U8]) -> None:
        self._listed = listed
        keys = _key(*listed)
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def __len__(self) -> int:
        return len(self._keys)

    def numbers(self, hi: U64, lo: U64, version: np.ndarray) -> I64:
        """Return the number of each address's prefix, -1 if it is not listed."""
        if not len(self._keys):
            return np.full(len(hi), -1, np.int64)
        net_hi, net_lo = masked(hi, lo, version)
        place = np.searchsorted(self._keys, _key(net_hi, net_lo, version))
        found = self._order[np.minimum(place, len(self._keys) - 1)]
        its_hi, its_lo, its_version = (part[found] for part in self._listed)
        same = (its_lo == net_lo) & (its_hi == net_hi) & (its_version == version)
        numbers: I64 = np.where(same, found, -1)
        return numbers


def _count(shaped: ShapedFlows, found: _Found) -> Counted:
    """Sort all flows by prefix and shape; count what prefixes received and sent."""
    count, flows = len(found), shaped.flows
    rows = len(flows) if count else 0
    counted = Counted(
        np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros((count, shapes.SHAPES), np.int64), flows.memory.array(rows, np.int32)
    )
    for start in range(0, rows, SAMPLE):
        _count_part(shaped, found, slice(start, min(start + SAMPLE, rows)), counted)
    return counted._replace(received_packets=counted.received_in_shape.sum(axis=1))


def _count_part(shaped: ShapedFlows, found: _Found, part: slice, counted: Counted) -> None:
    """Do so for some consecutive flows."""
    names = [f"{end}_{what}" for end in ("initiator", "responder") for what in ("hi", "lo", "packets")]
    seen = shaped.flows.columns(np.arange(part.start, part.stop, dtype=np.uint32), ("ip_version", *names))
    ends = [found.numbers(seen[f"{end}_hi"], seen[f"{end}_lo"], seen["ip_version"]) for end in ("initiator", "responder")]
    for end, numbers in zip(("initiator", "responder"), ends, strict=True):
        np.add.at(counted.sent_packets, numbers[numbers >= 0], seen[f"{end}_packets"][numbers >= 0].astype(np.int64))
    receiver, shape = np.where(shaped.toward[part] == shapes.TO_INITIATOR, *ends), shaped.shape[part].astype(np.int64)
    mine = receiver >= 0
    counted.group[part] = np.where(mine, receiver * shapes.SHAPES + shape, -1)
    np.add.at(counted.received_in_shape, (receiver[mine], shape[mine]), shaped.packets_toward[part][mine].astype(np.int64))


def _key(hi: U64, lo: U64, version: np.ndarray) -> U64:
    """Hash a prefix to one word; if two collide, one is missed, but no prefixes of the internet do."""
    key: U64 = hi * np.uint64(0x9E3779B97F4A7C15) ^ lo ^ version.astype(np.uint64)
    return key
