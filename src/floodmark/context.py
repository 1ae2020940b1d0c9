"""Flows and cells in, context out: what one flow cannot show. Who received how much of what, from how many, and who else talks to whom.

Everything here counts exactly over the flows concerned; the cells say which hosts are worth counting, and when they received what.
"""

import ipaddress
import secrets
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from floodmark.flows import Flows
from floodmark.memory import zeroed
from floodmark.payloads import ANSWER_KINDS
from floodmark_core import MORE, kinds, ranking, shapes
from floodmark_core.columns import I64, U8, U32, U64, Rows
from floodmark_core.grouping import keep_frequent, number_keys, order_by_group
from floodmark_core.sums import measure_flows

FEWEST_PACKETS = 20  # a host that received fewer of everything is no victim that this program can name
_BUCKETS = 1 << 20
MOST_SOURCES = 20  # kept by name
SAMPLE = 1 << 18  # flows on which shares are measured where there are more: a share of 0.9 is then known to 0.1 %
_SEED = np.uint64(secrets.randbits(64))  # the keys are an attacker's choice; no answer depends on it


class Host(NamedTuple):
    """An address, as the tables hold it."""

    version: int
    hi: int
    lo: int

    def __str__(self) -> str:
        """Return the address as text (RFC 5952 for IPv6)."""
        if self.version == 4:
            return str(ipaddress.IPv4Address(self.lo))
        return str(ipaddress.IPv6Address(self.hi << 64 | self.lo))

    @property
    def is_many(self) -> bool:
        """Tell whether this is a multicast or broadcast address, which names no victim."""
        if self.version == 4:
            return self.lo >> 28 == 0xE or self.lo == 0xFFFFFFFF
        return self.hi >> 56 == 0xFF


class RankedSource(NamedTuple):
    """A sender among those that sent most."""

    host: Host
    packets: int
    flows: int


def number(first: U64, second: U64, third: U64) -> tuple[I64, I64]:
    """Give equal keys one number. Returns (group of each row, first row of each group)."""
    rows = len(first)
    table = zeroed(1 << max(2 * rows - 1, 1).bit_length(), np.dtype(np.uint32))
    groups, leaders = np.empty(rows, np.int64), np.empty(rows, np.int64)
    count = number_keys(_SEED, first, second, third, table, np.zeros(1, np.uint32), groups, leaders)
    return groups, leaders[:count]


def split(groups: I64, count: int) -> tuple[I64, I64]:
    """Order rows by group. Returns (starts, order): the rows of group g are order[starts[g]:starts[g + 1]]."""
    starts, cursor = np.zeros(count + 1, np.int64), np.zeros(count + 1, np.int64)
    order = np.empty(int((groups >= 0).sum()), np.int64)
    order_by_group(groups, starts, cursor, order)
    return starts, order


@dataclass(frozen=True)
class FlowSet:
    """Some flows, seen from the end that received them: the sender is the initiator except where ``from_responder`` says so."""

    flows: Flows
    index: I64
    from_responder: np.ndarray = field(repr=False)
    packets: I64 = field(repr=False)  # that the sender sent, per flow

    def __len__(self) -> int:
        """Return the number of flows."""
        return len(self.index)

    def where(self, mask: np.ndarray) -> "FlowSet":
        """Return the flows for which the mask is true."""
        if mask.all():
            return self
        return FlowSet(self.flows, self.index[mask], self.from_responder[mask], self.packets[mask])

    def joined(self, other: "FlowSet") -> "FlowSet":
        """Return these flows and others, in order of their rows."""
        index = np.concatenate((self.index, other.index))
        order = np.argsort(index, kind="stable")
        from_responder = np.concatenate((self.from_responder, other.from_responder))[order]
        return FlowSet(self.flows, index[order], from_responder, np.concatenate((self.packets, other.packets))[order])

    @cached_property
    def sample(self) -> "FlowSet":
        """These flows, or evenly spaced ones where there are more than shares need."""
        step = -(-len(self) // SAMPLE)
        if step <= 1:
            return self
        return FlowSet(self.flows, self.index[::step], self.from_responder[::step], self.packets[::step])

    def column(self, name: str) -> np.ndarray:
        """Return a column of these flows."""
        return self.flows.column(name, self.index)

    def sent(self, name: str) -> np.ndarray:
        """Return the sender's half of a pair of columns: ``packets`` is initiator_packets or responder_packets."""
        return self._either(self.from_responder, f"responder_{name}", f"initiator_{name}")

    def received(self, name: str) -> np.ndarray:
        """Return the receiver's half of a pair of columns."""
        return self._either(~self.from_responder, f"responder_{name}", f"initiator_{name}")

    def _either(self, choose_first: np.ndarray, first: str, second: str) -> np.ndarray:
        if not choose_first.any():
            return self.column(second)
        return self.column(first) if choose_first.all() else np.where(choose_first, self.column(first), self.column(second))

    @cached_property
    def total_packets(self) -> int:
        """Packets that the senders sent."""
        return int(self.packets.sum())

    @cached_property
    def sources(self) -> tuple[I64, I64]:
        """Number the senders' addresses: (number of each flow's sender, a flow of each sender)."""
        return number(self.sent("hi"), self.sent("lo"), np.zeros(len(self), np.uint64))

    @cached_property
    def ranked_sources(self) -> tuple[int, list[RankedSource]]:
        """Distinct senders, and those that sent most, most first."""
        rows = len(self)
        dealt = ranking.Dealt(
            np.empty(rows, np.uint64), np.zeros(ranking.PARTS + 1, np.int64), np.empty(rows, np.uint64), np.empty(rows, np.uint32)
        )
        ranking.deal_senders(_SEED, self.flows.rows, self.index, self.from_responder.view(np.uint8), dealt)
        slots = 1 << (2 * max(int(np.diff(dealt.starts).max()), 1)).bit_length()
        first, second, third = (np.full(MOST_SOURCES, -1, np.int64) for _ in range(3))
        ranked = ranking.Ranked(first, second, third)
        count = ranking.rank_senders(dealt, self.packets, np.empty(slots, np.uint64), np.empty((slots, 3), np.int64), ranked)
        hosts = self._senders(ranked.first[ranked.first >= 0])
        return count, [RankedSource(host, int(p), int(f)) for host, p, f in zip(hosts, ranked.packets, ranked.flows, strict=False)]

    def _senders(self, places: I64) -> list[Host]:
        """Return the senders of the flows at some places."""
        flows = FlowSet(self.flows, self.index[places], self.from_responder[places], self.packets[places])
        versions, his, los = flows.column("ip_version"), flows.sent("hi"), flows.sent("lo")
        return [Host(int(v), int(h), int(lo)) for v, h, lo in zip(versions, his, los, strict=True)]

    @property
    def source_count(self) -> int:
        """Distinct senders."""
        return self.ranked_sources[0]

    def measure(self, gap_ns: int) -> tuple[int, int, int, int]:
        """Return (first packet ns, last packet ns, IP octets that the senders sent, pauses longer than a gap)."""
        first, last, octets, pauses = measure_flows(
            self.flows.rows, self.flows.more, self.index, self.from_responder.view(np.uint8), gap_ns
        )
        return int(first), int(last), int(octets), int(pauses)

    @cached_property
    def _bounds(self) -> tuple[int, int, int, int]:
        return self.measure(0)

    @property
    def octets(self) -> int:
        """IP octets that the senders sent."""
        return self._bounds[2]

    def receivers(self) -> set[Host]:
        """Return the addresses of the ends that received the flows."""
        hi, lo, version = self.received("hi"), self.received("lo"), self.column("ip_version")
        _, leaders = number(hi, lo, version.astype(np.uint64))
        return {Host(int(version[i]), int(hi[i]), int(lo[i])) for i in leaders}

    @property
    def first_ns(self) -> int:
        """First packet of any of the flows."""
        return self._bounds[0]

    @property
    def last_ns(self) -> int:
        """Last packet of any of the flows."""
        return self._bounds[1]

    @property
    def span_s(self) -> float:
        """Seconds from first to last packet, at least a microsecond."""
        return max(self.last_ns - self.first_ns, 1000) / 1e9

    @property
    def mean_rate_pps(self) -> float:
        """Packets per second over the span."""
        return self.total_packets / self.span_s

    @cached_property
    def busiest_rate_pps(self) -> float:
        """Packets per second over the busiest tenth of the flows in order of time: a burst inside a long quiet stays visible."""
        ordered = np.sort(self.sample.column("first_seen_ns"))
        part = max(len(ordered) // 10, min(len(ordered), 50))
        if part < 2 or self.total_packets > 2 * len(self):
            return self.mean_rate_pps
        spans = ordered[part - 1 :] - ordered[: len(ordered) - part + 1]
        return max(part * self.total_packets / len(ordered) / max(int(spans.min()), 1_000_000) * 1e9, self.mean_rate_pps)

    def effective_ttls(self) -> float:
        """Return exp(H) of the TTLs over flows: how many TTL values there are in effect."""
        counts = np.bincount(self.sample.column("ttl"), minlength=256)
        shares = counts[counts > 0] / counts.sum()
        return float(np.exp(-(shares * np.log(shares)).sum()))


def modal_share(values: np.ndarray) -> float:
    """Return the share of the most frequent value."""
    if len(values) == 0:
        return 0.0
    if values.dtype.itemsize <= 2:
        return float(np.bincount(values).max() / len(values))
    groups, leaders = number(values.astype(np.uint64), np.zeros(len(values), np.uint64), np.zeros(len(values), np.uint64))
    return float(np.bincount(groups, minlength=len(leaders)).max() / len(values))


def distinct(values: np.ndarray) -> int:
    """Return how many distinct values there are."""
    if values.dtype.itemsize <= 2:
        return int((np.bincount(values) > 0).sum())
    return len(np.unique(values))


class Context:
    """The flows of one run in their surroundings."""

    def __init__(self, flows: Flows, cells: Rows) -> None:
        self.flows = flows
        self.cells = cells
        self._find_hosts()
        self._shape()

    def _find_hosts(self) -> None:
        """List the hosts that received enough to be victims, and their cells."""
        cells = self.cells
        version = cells["ip_version"].astype(np.uint64)
        groups, leaders = number(cells["dst_hi"].copy(), cells["dst_lo"].copy(), version)
        packets = np.bincount(groups, weights=cells["packets"], minlength=len(leaders)) if len(groups) else np.zeros(0)
        kept = packets >= FEWEST_PACKETS
        renumber = np.where(kept, np.cumsum(kept) - 1, -1)
        self._cell_host: I64 = renumber[groups] if len(groups) else groups
        chosen = leaders[kept]
        self.host_hi: U64 = cells["dst_hi"][chosen]
        self.host_lo: U64 = cells["dst_lo"][chosen]
        self.host_version: U8 = cells["ip_version"][chosen]
        self.received_packets: I64 = packets[kept].astype(np.int64)
        self._cell_starts, self._cell_order = split(self._cell_host, len(chosen))

    def _shape(self) -> None:
        """Give every flow its shape and receiver."""
        rows, hosts = len(self.flows), len(self.host_lo)
        table = np.full(1 << max(2 * hosts, 1).bit_length(), -1, np.int32)
        self.sent_packets: I64 = np.zeros(hosts, np.int64)
        self._shaped_packets: I64 = np.zeros((hosts, shapes.SHAPES), np.int64)
        listed = shapes.Hosts(self.host_hi, self.host_lo, self.host_version, table, self.sent_packets, self._shaped_packets)
        shapes.list_hosts(_SEED, listed)
        shape, toward, probe = (np.empty(rows, np.uint8) for _ in range(3))
        self.shaped_flows = shapes.Shaped(shape, toward, probe, np.empty(rows, np.int64), np.empty(rows, np.int64))
        shapes.shape_flows(_SEED, self.flows.rows, self.flows.more, np.zeros(1, MORE), ANSWER_KINDS, listed, self.shaped_flows)
        self._starts, self._order = split(self.shaped_flows.group, hosts * shapes.SHAPES)

    @property
    def shape(self) -> U8:
        """Shape of each flow, floodmark_core.shapes."""
        return self.shaped_flows.shape

    def probes(self, least: int) -> I64:
        """Return the flows that may be a scanner's probes, of initiators that have at least ``least`` of them."""
        chosen = self.shaped_flows.probe.copy()
        keep_frequent(_SEED, self.flows.rows, chosen, least, np.zeros(_BUCKETS, np.uint32))
        return np.nonzero(chosen)[0]

    def host(self, number: int) -> Host:
        """Return a listed host."""
        return Host(int(self.host_version[number]), int(self.host_hi[number]), int(self.host_lo[number]))

    def hosts_with(self, shape: int, least: int) -> list[int]:
        """Return the hosts that received at least ``least`` packets in flows of a shape, most first; multicast excepted."""
        packets = self._shaped_packets[:, shape]
        enough = np.nonzero(packets >= least)[0]
        ordered = enough[np.argsort(-packets[enough], kind="stable")]
        return [int(host) for host in ordered if not self.host(int(host)).is_many]

    def shaped(self, host: int, shape: int) -> FlowSet:
        """Return the flows of a shape that a host received."""
        group = host * shapes.SHAPES + shape
        return self.flow_set(self._order[self._starts[group] : self._starts[group + 1]])

    def flow_set(self, index: I64) -> FlowSet:
        """Wrap rows, each seen from its receiving end."""
        return FlowSet(self.flows, index, self.shaped_flows.toward[index] == shapes.TO_INITIATOR, self.shaped_flows.packets[index])

    def everything_to(self, host: int) -> FlowSet:
        """Return all flows that a host received."""
        first = host * shapes.SHAPES
        return self.flow_set(self._order[self._starts[first] : self._starts[first + shapes.SHAPES]])

    def _from_host(self, rows: I64, host: int) -> FlowSet:
        """Return those of some rows whose initiator is a host, seen from that host."""
        flows = self.flows.rows
        mine = (flows["initiator_lo"][rows] == self.host_lo[host]) & (flows["initiator_hi"][rows] == self.host_hi[host])
        index = rows[mine & (flows["ip_version"][rows] == self.host_version[host])]
        packets = self.flows.column("responder_packets", index).astype(np.int64)
        return FlowSet(self.flows, index, np.ones(len(index), bool), packets)

    def dialogues_of(self, host: int) -> FlowSet:
        """Return the two-way UDP flows that a host began, seen from it."""
        return self._from_host(self._dialogues, host)

    def connections_of(self, host: int) -> FlowSet:
        """Return the TCP connections that a host began, seen from it."""
        return self._from_host(self.established, host)

    def connections_from(self, hi: int, lo: int) -> FlowSet:
        """Return the TCP connections that an address began, seen from the servers."""
        rows, flows = self.established, self.flows.rows
        return self.clients(rows[(flows["initiator_lo"][rows] == lo) & (flows["initiator_hi"][rows] == hi)])

    def clients(self, index: I64) -> FlowSet:
        """Wrap rows in which the initiator is the one to judge."""
        packets = self.flows.column("initiator_packets", index).astype(np.int64)
        return FlowSet(self.flows, index, np.zeros(len(index), bool), packets)

    def dialogue_packets(self, host: int) -> int:
        """Return the UDP packets that a host received in two-way flows."""
        return self.shaped(host, shapes.UDP_DIALOGUE).total_packets + self.dialogues_of(host).total_packets

    def completions_like(self, host: int, options: U32) -> int:
        """Return how many connections to a host were completed after a SYN with one of these option signatures."""
        held = self.shaped(host, shapes.NO_SHAPE)
        began = held.column("stage") & kinds.STAGE_SYN > 0
        return int(np.isin(held.column("tcp_options")[began], np.unique(options)).sum())

    def fragments_of(self, host: int, flows: FlowSet) -> FlowSet:
        """Return the later fragments that a host received from the senders of some flows."""
        fragments = self.shaped(host, shapes.FRAGMENT)
        mine = np.isin(fragments.sent("lo"), flows.sent("lo")) & np.isin(fragments.sent("hi"), flows.sent("hi"))
        return fragments.where(mine)

    def known_source_share(self, host: int, flows: FlowSet) -> float:
        """Return the share of fragment flows whose sender also sends the host something else."""
        others = self.everything_to(host)
        others = others.where(others.column("is_fragment") == 0)
        return float(np.isin(flows.sent("lo") ^ flows.sent("hi"), others.sent("lo") ^ others.sent("hi")).mean())

    def answers(self, host: int) -> bool:
        """Tell whether the host's answers would be in the capture: it sends some, one for a hundred received, or other dialogues are whole."""
        return int(self.sent_packets[host]) * 100 >= int(self.received_packets[host]) or self.one_sided is False

    def host_cells(self, host: int) -> Rows:
        """Return the cells of a listed host."""
        return self.cells[self._cell_order[self._cell_starts[host] : self._cell_starts[host + 1]]]

    @cached_property
    def host_numbers(self) -> dict[Host, int]:
        """Map listed hosts to their numbers."""
        return {self.host(number): number for number in range(len(self.host_lo))}

    @cached_property
    def _dialogues(self) -> I64:
        return np.nonzero(self.shape == shapes.UDP_DIALOGUE)[0]

    @cached_property
    def established(self) -> I64:
        """Rows of TCP flows in which a connection was held: a handshake, or a dialogue joined in the middle."""
        index = np.nonzero(self.shape == shapes.NO_SHAPE)[0]
        return index[self.flows.rows["header_whole"][index] > 0]

    @cached_property
    def one_sided(self) -> bool | None:
        """Tell whether most TCP flows of at least three packets show one direction only; None where there are none."""
        index = np.nonzero((self.flows.rows["protocol"] == 6) & (self.flows.rows["more_row"] > 0))[0]
        if not len(index):
            return None
        more = self.flows.complete(index[:: -(-len(index) // SAMPLE)])
        more = more[more["initiator_packets"] + more["responder_packets"] >= 3]
        if not len(more):
            return None
        one_way = (more["initiator_packets"] == 0) | (more["responder_packets"] == 0)
        acked = more["stage"] & kinds.STAGE_INITIATOR_ACKS > 0
        return bool((one_way & acked).mean() > 0.5 or one_way.mean() > 0.9)
