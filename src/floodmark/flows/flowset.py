"""A set of flows seen from the end that received them: their columns, senders, times and shares.

Counts are exact; shares are measured on evenly spaced flows if there are more than a share needs.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np

from floodmark.base.memory import Memory
from floodmark.base.workers import Part, Workers
from floodmark.flows.flows import SEED, Flows, Numbers
from floodmark_core.columns import I32, I64, U8, U32, U64
from floodmark_core.tables import ranking
from floodmark_core.tables.grouping import count_groups, number_keys, order_by_group
from floodmark_core.tables.picking import pick_free, pick_unnumbered, put_number
from floodmark_core.tables.sums import measure_flows
from floodmark_core.tables.text import LONGEST, write_addresses

MOST_SOURCES = 20  # kept by address
_DEALT_TOGETHER = 1 << 21  # flows whose senders are counted at a time: their list lies in memory that the next one reuses
_WORTH_COUNTING = 8  # mean rows per group above which each thread counts its own part
_SMALL = 1 << 16  # flows; shorter lists are not counted against the memory limit
SAMPLE = 1 << 16  # most flows on which shares are measured: a share of 0.9 is then known to 0.25 %


def address_text(hi: int, lo: int) -> str:
    """Return an IPv6 address as the tables write it."""
    nbytes, offsets = np.empty(LONGEST, np.uint8), np.empty(2, np.int32)
    used = write_addresses(np.array([hi], np.uint64), np.array([lo], np.uint64), np.array([6], np.uint8), offsets, nbytes)
    return nbytes[:used].tobytes().decode("ascii")


class Host(NamedTuple):
    """An address, as stored in the tables, or a prefix."""

    version: int
    hi: int
    lo: int
    bits: int = 0  # prefix length; 0: a single address

    def __str__(self) -> str:
        """Return the address as text (RFC 5952 for IPv6), a prefix with its length (RFC 4632)."""
        text = str(ipaddress.IPv4Address(self.lo)) if self.version == 4 else address_text(self.hi, self.lo)
        return f"{text}/{self.bits}" if self.bits else text

    @property
    def is_many(self) -> bool:
        """Return whether this is a multicast or broadcast address, which cannot be a victim."""
        if self.version == 4:
            return self.lo >> 28 == 0xE or self.lo == 0xFFFFFFFF
        return self.hi >> 56 == 0xFF


class RankedSource(NamedTuple):
    """One of the top senders."""

    host: Host
    packets: int
    flows: int


def number(first: U64, second: U64, third: U64) -> tuple[I32, I64]:
    """Assign a number to each distinct key. Returns (group of each row, first row of each group)."""
    rows = len(first)
    table = np.zeros(1 << max(2 * rows - 1, 1).bit_length(), np.uint32)
    groups, leaders = np.empty(rows, np.int32), np.empty(rows, np.int64)
    count = number_keys(SEED, first, second, third, table, np.zeros(1, np.uint32), groups, leaders)
    return groups, leaders[:count]


def split(groups: I32, count: int, memory: Memory | None = None, workers: Workers | None = None) -> tuple[I64, U32]:
    """Order rows by group. Returns (starts, order): the rows of group g are order[starts[g]:starts[g + 1]]."""
    workers = workers or Workers()
    parts = workers.parts(len(groups)) if count * _WORTH_COUNTING < len(groups) else [Part(0, 0, len(groups))]
    counts = np.zeros((len(parts), count), np.int64)
    workers.each(lambda part: count_groups(groups, part.first, part.end, counts[part.number]), parts)
    starts: I64 = np.concatenate(([0], np.cumsum(counts.sum(axis=0))))
    # Each group holds the first part's rows, then the second's, and so on, so that the order of the rows is kept.
    cursors = counts.cumsum(axis=0)
    cursors -= counts
    cursors += starts[:-1]
    rows = int(starts[-1])
    order: U32 = np.empty(rows, np.uint32) if memory is None else memory.array(rows, np.uint32)
    workers.each(lambda part: order_by_group(groups, part.first, part.end, cursors[part.number], order), parts)
    return starts, order


@dataclass(frozen=True)
class FlowSet:
    """Some flows, seen from the end that received them: the sender is the initiator, or the responder where ``from_responder`` is true."""

    flows: Flows
    index: U32
    from_responder: np.ndarray = field(repr=False)
    packets: U32 = field(repr=False)  # sent by the sender, per flow

    def __len__(self) -> int:
        """Return the number of flows."""
        return len(self.index)

    def where(self, mask: np.ndarray) -> "FlowSet":
        """Return the flows for which the mask is true."""
        if mask.all():
            return self
        return FlowSet(self.flows, self.index[mask], self.from_responder[mask], self.packets[mask])

    def not_taken(self, taken: np.ndarray) -> "FlowSet":
        """Return the flows for which a mask over all flows is false."""
        mask = taken.view(np.uint8)
        return self._free(lambda part, free: pick_free(mask, self.index, part.first, part.end, free))

    def unnumbered(self, numbers: I32) -> "FlowSet":
        """Return the flows without a number. numbers: of all flows (-1: none)."""
        return self._free(lambda part, free: pick_unnumbered(numbers, self.index, part.first, part.end, free))

    def _free(self, pick: Callable[[Part, U8], int]) -> "FlowSet":
        """Return the flows that a kernel picks, part by part; it marks the picked ones and returns how many it picked."""
        free, workers = np.empty(len(self), np.uint8), self.flows.workers
        picked = sum(workers.each(lambda part: pick(part, free), workers.parts(len(self))))
        return self if picked == len(self) else self.where(free > 0)

    def give_number(self, numbers: I32, number: int) -> None:
        """Set the number of these flows in the numbers of all flows."""
        workers = self.flows.workers
        workers.each(lambda part: put_number(numbers, self.index, part.first, part.end, number), workers.parts(len(self)))

    def take(self, places: Numbers) -> "FlowSet":
        """Return the flows at some positions, in that order."""
        return FlowSet(self.flows, self.index[places], self.from_responder[places], self.packets[places])

    def joined(self, *others: "FlowSet") -> "FlowSet":
        """Return these flows and others, in order of their rows."""
        sets = (self, *others)
        index = np.concatenate([each.index for each in sets])
        order = np.argsort(index, kind="stable")
        from_responder = np.concatenate([each.from_responder for each in sets])[order]
        return FlowSet(self.flows, index[order], from_responder, np.concatenate([each.packets for each in sets])[order])

    @cached_property
    def sample(self) -> "FlowSet":
        """These flows, or evenly spaced ones if there are more than shares need."""
        step = -(-len(self) // SAMPLE)
        if step <= 1:
            return self
        places = slice(None, None, step)
        return FlowSet(self.flows, self.index[places].copy(), self.from_responder[places].copy(), self.packets[places].copy())

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
        """Number of packets sent by the senders."""
        return int(self.packets.sum(dtype=np.int64))

    @cached_property
    def sources(self) -> tuple[I32, I64]:
        """Number the senders' addresses: (number of each flow's sender, first flow of each sender)."""
        return number(self.sent("hi"), self.sent("lo"), self.column("ip_version").astype(np.uint64))

    @cached_property
    def ranked_sources(self) -> tuple[int, list[RankedSource]]:
        """Number of distinct senders, and the top senders, most packets first."""
        if not len(self):
            return 0, []
        workers = self.flows.workers
        parts = workers.parts(len(self))
        shares = len(parts) * -(-len(self) // (_DEALT_TOGETHER * len(parts)))
        listed = ranking.Listed(
            flows=self.flows.tables,
            hashes=self.flows.initiator_hashes,
            index=self.index,
            from_responder=self.from_responder.view(np.uint8),
            packets=self.packets,
        )
        counts = np.zeros((len(parts), shares), np.int64)
        workers.each(lambda part: ranking.count_senders(SEED, listed, part.first, part.end, counts[part.number]), parts)
        sizes = counts.sum(axis=0)
        results = workers.each(lambda share: self._rank(listed, share, int(sizes[share]), shares), range(shares))
        (_, ranked), *others = results
        for _, other in others:
            ranking.join_rankings(ranked, other)
        hosts = self.senders(ranked.first[ranked.first >= 0])
        sources = [RankedSource(host, int(p), int(f)) for host, p, f in zip(hosts, ranked.packets, ranked.flows, strict=False)]
        return sum(count for count, _ in results), sources

    def _rank(self, listed: ranking.Listed, share: int, count: int, shares: int) -> tuple[int, ranking.Ranked]:
        """Count and rank the senders whose hashes fall into one of several equal ranges, which holds ``count`` flows."""
        ranked = ranking.Ranked(*(np.full(MOST_SOURCES, -1, np.int64) for _ in range(3)))
        gathered, dealt = self._dealt(count + 1), self._dealt(count)
        ranking.hash_senders(SEED, listed, share, shares, gathered)
        bits = max(count // ranking.PART, 1).bit_length() - 1
        starts, cursor = np.zeros((1 << bits) + 1, np.int64), np.zeros((1 << bits) + 1, np.int64)
        ranking.deal_senders(gathered, count, bits, starts, cursor, dealt)
        slots = 1 << (2 * max(int(np.diff(starts).max()), 1)).bit_length()
        return ranking.rank_senders(dealt, starts, np.empty((slots, 4), np.uint64), ranked), ranked

    def _dealt(self, count: int) -> ranking.Dealt:
        if count < _SMALL:
            return ranking.Dealt(np.empty(count, np.uint64), np.empty(count, np.uint32), np.empty(count, np.uint32))
        memory = self.flows.memory
        return ranking.Dealt(memory.array(count, np.uint64), memory.array(count, np.uint32), memory.array(count, np.uint32))

    def senders(self, places: Numbers) -> list[Host]:
        """Return the senders of the flows at some positions."""
        flows = self.take(places)
        versions, his, los = flows.column("ip_version"), flows.sent("hi"), flows.sent("lo")
        return [Host(int(v), int(h), int(lo)) for v, h, lo in zip(versions, his, los, strict=True)]

    @property
    def source_count(self) -> int:
        """Number of distinct senders."""
        return self.ranked_sources[0]

    def measure(self, gap_ns: int) -> tuple[int, int, int, int]:
        """Return (first packet ns, last packet ns, IP bytes sent by the senders, pauses longer than a gap)."""
        tables, back, workers = self.flows.tables, self.from_responder.view(np.uint8), self.flows.workers
        found = workers.each(
            lambda part: measure_flows(tables, self.index[part.first : part.end], back[part.first : part.end], gap_ns),
            workers.parts(len(self)),
        )
        between = sum(later[0] - earlier[1] > gap_ns for earlier, later in pairwise(found))
        return (
            min(int(first) for first, *_ in found),
            max(int(last) for _, last, *_ in found),
            sum(int(nbytes) for _, _, nbytes, _ in found),
            sum(int(pauses) for *_, pauses in found) + between,
        )

    @cached_property
    def _bounds(self) -> tuple[int, int, int, int]:
        return self.measure(0)

    @property
    def nbytes(self) -> int:
        """IP bytes sent by the senders."""
        return self._bounds[2]

    @cached_property
    def _receivers(self) -> tuple[np.ndarray, U64, U64]:
        """IP versions, high and low halves of the distinct receiver addresses, in order of their first flows."""
        hi, lo, version = self.received("hi"), self.received("lo"), self.column("ip_version")
        _, leaders = number(hi, lo, version.astype(np.uint64))
        return version[leaders], hi[leaders], lo[leaders]

    @property
    def receiver_count(self) -> int:
        """Number of distinct addresses that received the flows."""
        return len(self._receivers[0])

    def receivers(self, most: int) -> list[Host]:
        """Return at most ``most`` of the addresses that received the flows, in order of their first flows."""
        return [Host(int(v), int(h), int(w)) for v, h, w in zip(*(part[:most] for part in self._receivers), strict=True)]

    @property
    def first_ns(self) -> int:
        """Time of the first packet of any flow."""
        return self._bounds[0]

    @property
    def last_ns(self) -> int:
        """Time of the last packet of any flow."""
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
        """Packets per second over the busiest tenth of the flows in time order, so that a burst in a long quiet period stays visible."""
        ordered = np.sort(self.sample.column("first_seen_ns"))
        part = max(len(ordered) // 10, min(len(ordered), 50))
        if part < 2 or self.total_packets > 2 * len(self):
            return self.mean_rate_pps
        spans = ordered[part - 1 :] - ordered[: len(ordered) - part + 1]
        return max(part * self.total_packets / len(ordered) / max(int(spans.min()), 1_000_000) * 1e9, self.mean_rate_pps)

    def modal_size_share(self) -> float:
        """Return the share of flows with the most frequent number of bytes per packet."""
        seen = self.sample
        return modal_share(seen.sent("octets") // np.maximum(seen.packets, 1).astype(np.uint64))

    def effective_ttls(self) -> float:
        """Return the effective number of TTL values, over flows."""
        return effective_number(self.sample.column("ttl"))


def modal_share(values: np.ndarray) -> float:
    """Return the share of the most frequent value."""
    if len(values) == 0:
        return 0.0
    if values.dtype.itemsize <= 2:
        return float(np.bincount(values).max() / len(values))
    groups, leaders = number(values.astype(np.uint64), np.zeros(len(values), np.uint64), np.zeros(len(values), np.uint64))
    return float(np.bincount(groups, minlength=len(leaders)).max() / len(values))


def effective_number(values: np.ndarray) -> float:
    """Return exp(H), the number of equally frequent values with the same entropy. values: uint8."""
    counts = np.bincount(values, minlength=256)
    shares = counts[counts > 0] / counts.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def distinct(values: np.ndarray) -> int:
    """Return the number of distinct values."""
    if values.dtype.itemsize <= 2:
        return int((np.bincount(values) > 0).sum())
    return len(np.unique(values))


def top_ports(ports: np.ndarray, most: int = 5) -> list[int]:
    """Return the most frequent ports, most frequent first."""
    counts = np.bincount(ports, minlength=1)
    ordered = np.argsort(-counts, kind="stable")[:most]
    return [int(port) for port in ordered if counts[port] > 0]


Mask: TypeAlias = Callable[[U64, U64, np.ndarray], tuple[U64, U64]]  # of addresses and versions: the address, or its prefix


class ByInitiator:
    """Some flows sorted by initiator, so that those of one host, or of one prefix, are found without a full scan."""

    def __init__(self, flows: Flows, rows: Numbers, mask: Mask) -> None:
        """mask: turns addresses into those that are asked for."""
        self._flows, self._mask = flows, mask
        seen = flows.columns(rows, ("initiator_hi", "initiator_lo", "ip_version"))
        keys = _mixed(*mask(seen["initiator_hi"], seen["initiator_lo"], seen["ip_version"]))
        order = np.argsort(keys, kind="stable")
        self._keys, self._rows = keys[order], rows[order]

    def of(self, host: Host) -> Numbers:
        """Return the rows of the flows that a host or a prefix initiated, in their original order."""
        key = _mixed(np.array([host.hi], np.uint64), np.array([host.lo], np.uint64))[0]
        first, last = np.searchsorted(self._keys, key, "left"), np.searchsorted(self._keys, key, "right")
        rows = self._rows[first:last]
        seen = self._flows.columns(rows, ("initiator_hi", "initiator_lo", "ip_version"))
        hi, lo = self._mask(seen["initiator_hi"], seen["initiator_lo"], seen["ip_version"])
        found: Numbers = rows[(lo == host.lo) & (hi == host.hi) & (seen["ip_version"] == host.version)]
        return found


def _mixed(hi: U64, lo: U64) -> U64:
    """Fold the halves of addresses into one word each."""
    mixed: U64 = hi * (SEED | np.uint64(1)) ^ lo
    return mixed
