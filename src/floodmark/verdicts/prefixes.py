"""The context by prefix instead of by host, for attacks spread over many neighbouring hosts, each of which receives little."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from floodmark.base.thresholds import Checked, threshold
from floodmark.flows.flowset import SAMPLE, FlowSet, Host, number, split
from floodmark.verdicts.context import Context
from floodmark_core.columns import I32, I64, U32, U64, Rows
from floodmark_core.flows import shapes

_BITS = {4: 24, 6: 64}  # length of the prefixes examined: what is routed and delegated separately
_MOST_PREFIXES = 1000  # most prefixes that are judged, those that received most packets first
FLOOD_SHAPES = tuple(shape for shape in range(shapes.SHAPES) if shape not in (shapes.NO_SHAPE, shapes.UDP_DIALOGUE))


@dataclass(frozen=True)
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


class PrefixContext(Context):
    """Flows by the prefix that received them; every method about a host answers for all hosts of the prefix together."""

    def __init__(self, whole: Context, settings: SpreadThresholds, taken: np.ndarray) -> None:
        """taken: bool per flow row, true for flows to ignore."""
        self._whole, self._limits, self._taken = whole, settings, taken
        super().__init__(whole.flows, whole.cells, whole.view)

    def _prepare(self) -> None:
        whole = self._whole
        self.shape, self.toward, self.may_probe, self.packets_toward = whole.shape, whole.toward, whole.may_probe, whole.packets_toward
        self.dialogues_seen = whole.dialogues_seen
        of_flood = np.zeros(shapes.SHAPES, bool)
        of_flood[list(FLOOD_SHAPES)] = True
        free = of_flood[self.shape] & ~self._taken
        enough = int(self.packets_toward[free].sum(dtype=np.int64)) >= self._limits.carpet_packets
        self._list_prefixes(np.nonzero(free)[0] if enough else np.zeros(0, np.int64))

    def _list_prefixes(self, rows: I64) -> None:
        """Find the prefixes in which many hosts received some of the free flows and none received most of them."""
        flows = self._whole.flow_set(rows)
        hi, lo, version = flows.received("hi"), flows.received("lo"), flows.column("ip_version")
        hosts, first = number(hi, lo, version.astype(np.uint64))
        of_host = np.bincount(hosts, weights=flows.packets, minlength=len(first))
        net_hi, net_lo = masked(hi, lo, version)
        nets, leaders = number(net_hi[first], net_lo[first], version[first].astype(np.uint64))
        packets = np.bincount(nets, weights=of_host, minlength=len(leaders))
        targets = np.bincount(nets, minlength=len(leaders))
        largest = np.zeros(len(leaders))
        np.maximum.at(largest, nets, of_host)
        kept = (
            (packets >= self._limits.carpet_packets)
            & (targets >= self._limits.carpet_targets)
            & (largest <= self._limits.carpet_target_share * packets)
        )
        most = np.nonzero(kept)[0][np.argsort(-packets[kept], kind="stable")[:_MOST_PREFIXES]]
        chosen = first[leaders[most]]
        self.host_hi, self.host_lo, self.host_version = net_hi[chosen], net_lo[chosen], version[chosen]
        self._order_keys()
        self._group_flows()

    def _order_keys(self) -> None:
        """Sort the listed prefixes by a key, for binary search."""
        keys = _key(self.host_hi, self.host_lo, self.host_version)
        self._key_order = np.argsort(keys, kind="stable")
        self._keys = keys[self._key_order]

    def _group_flows(self) -> None:
        """Group all flows by receiving prefix and shape; count the packets that each prefix received and sent."""
        count, rows = len(self.host_lo), len(self.flows)
        self.sent_packets = np.zeros(count, np.int64)
        self._received_in_shape = np.zeros((count, shapes.SHAPES), np.int64)
        groups = self.flows.memory.array(rows if count else 0, np.int32)
        for start in range(0, rows if count else 0, SAMPLE):
            self._group_part(np.arange(start, min(start + SAMPLE, rows), dtype=np.uint32), groups)
        self.received_packets = self._received_in_shape.sum(axis=1)
        self._starts, self._order = split(groups, count * shapes.SHAPES, self.flows.memory, self.flows.workers)

    def _group_part(self, index: U32, groups: I32) -> None:
        """Do so for some consecutive flows."""
        part = slice(int(index[0]), int(index[-1]) + 1)
        names = [f"{end}_{what}" for end in ("initiator", "responder") for what in ("hi", "lo", "packets")]
        seen = self.flows.columns(index, ("ip_version", *names))
        ends = [self._numbers(seen[f"{end}_hi"], seen[f"{end}_lo"], seen["ip_version"]) for end in ("initiator", "responder")]
        for end, numbers in zip(("initiator", "responder"), ends, strict=True):
            np.add.at(self.sent_packets, numbers[numbers >= 0], seen[f"{end}_packets"][numbers >= 0].astype(np.int64))
        receiver, shape = np.where(self.toward[part] == shapes.TO_INITIATOR, *ends), self.shape[part].astype(np.int64)
        mine = receiver >= 0
        groups[part] = np.where(mine, receiver * shapes.SHAPES + shape, -1)
        np.add.at(self._received_in_shape, (receiver[mine], shape[mine]), self.packets_toward[part][mine].astype(np.int64))

    def _numbers(self, hi: U64, lo: U64, version: np.ndarray) -> np.ndarray:
        """Return the number of each address's prefix, -1 if it is not listed."""
        if not len(self._keys):
            return np.full(len(hi), -1, np.int64)
        net_hi, net_lo = masked(hi, lo, version)
        place = np.searchsorted(self._keys, _key(net_hi, net_lo, version))
        found = self._key_order[np.minimum(place, len(self._keys) - 1)]
        same = (self.host_lo[found] == net_lo) & (self.host_hi[found] == net_hi) & (self.host_version[found] == version)
        numbers: np.ndarray = np.where(same, found, -1)
        return numbers

    def host(self, number: int) -> Host:
        """Return a listed prefix."""
        version = int(self.host_version[number])
        return Host(version, int(self.host_hi[number]), int(self.host_lo[number]), _BITS[version])

    def host_cells(self, host: int, first_second: int, last_second: int) -> Rows:
        """Return the cells of the hosts of a prefix from one second to another."""
        starts, order = self._cells_by_prefix
        cells = self.cells[order[starts[host] : starts[host + 1]]]
        found: Rows = cells[(cells["second"] >= first_second) & (cells["second"] <= last_second)]
        return found

    @cached_property
    def _cells_by_prefix(self) -> tuple[I64, U32]:
        cells = self.cells
        numbers = self._numbers(cells["dst_hi"].copy(), cells["dst_lo"].copy(), cells["ip_version"]).astype(np.int32)
        return split(numbers, len(self.host_lo))

    def asked_everyone(self, host: int, ports: tuple[int, ...]) -> bool:
        """Return whether a host of a prefix queried all its neighbours at once on one of some ports."""
        seen = self.flows.columns(self.to_everyone, ("initiator_hi", "initiator_lo", "ip_version", "responder_port"))
        asked = self._numbers(seen["initiator_hi"], seen["initiator_lo"], seen["ip_version"]) == host
        return bool((asked & np.isin(seen["responder_port"], ports)).any())

    def dialogues_of(self, host: int) -> FlowSet:
        """Return the two-way UDP flows that the hosts of a prefix initiated."""
        index = self._of_prefix(self._udp_dialogues, host)
        packets = np.minimum(self.flows.column("responder_packets", index), 0xFFFFFFFF).astype(np.uint32)
        return FlowSet(self.flows, index, np.ones(len(index), bool), packets)

    def connections_of(self, host: Host) -> FlowSet:
        """Return the TCP connections that the hosts of a prefix initiated."""
        place = self.host_numbers.get(host)
        return super().connections_of(host) if place is None else self.clients(self._of_prefix(self._held, place))

    @cached_property
    def _udp_dialogues(self) -> tuple[U32, I64, U32]:
        return self._by_initiator(np.nonzero(self.shape == shapes.UDP_DIALOGUE)[0].astype(np.uint32))

    @cached_property
    def _held(self) -> tuple[U32, I64, U32]:
        return self._by_initiator(self.established.astype(np.uint32))

    def _by_initiator(self, rows: U32) -> tuple[U32, I64, U32]:
        """Group flows by the prefix of their initiators. Returns (rows, starts, order); starts and order as from split."""
        seen = self.flows.columns(rows, ("initiator_hi", "initiator_lo", "ip_version"))
        numbers = self._numbers(seen["initiator_hi"], seen["initiator_lo"], seen["ip_version"]).astype(np.int32)
        return rows, *split(numbers, len(self.host_lo))

    @staticmethod
    def _of_prefix(sorted_rows: tuple[U32, I64, U32], place: int) -> U32:
        rows, starts, order = sorted_rows
        found: U32 = np.sort(rows[order[starts[place] : starts[place + 1]]])
        return found


def _key(hi: U64, lo: U64, version: np.ndarray) -> U64:
    """Hash a prefix to one word; if two collide, one is missed, but no prefixes of the internet do."""
    key: U64 = hi * np.uint64(0x9E3779B97F4A7C15) ^ lo ^ version.astype(np.uint64)
    return key


def masked(hi: U64, lo: U64, version: np.ndarray) -> tuple[U64, U64]:
    """Return the prefixes of addresses, as high and low halves."""
    is_v4 = version == 4
    return hi, np.where(is_v4, lo & np.uint64(0xFFFFFF00), np.uint64(0))
