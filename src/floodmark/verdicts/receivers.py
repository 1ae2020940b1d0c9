"""Who received what: the hosts that can be victims, or prefixes in their place, with the flows of each shape that they received."""

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np

from floodmark.base.workers import Part
from floodmark.flows.arrivals import Arrivals, Tenths
from floodmark.flows.flows import SEED, Flows
from floodmark.flows.flowset import SAMPLE, FlowSet, Host, number, split
from floodmark.verdicts.shaping import ShapedFlows
from floodmark.vocabulary.payloads import ANSWER_KINDS
from floodmark_core import MORE
from floodmark_core.columns import I32, I64, U8, U32, U64
from floodmark_core.flows import shapes
from floodmark_core.protocols import SECOND_NS

VICTIM_PACKETS = 20  # a host that received fewer of everything is no victim that can be named
# One-way packets of all kinds but UDP replies: what other floods consist of.
_OTHER_FLOODS = (
    shapes.SYN, shapes.SYN_BARE, shapes.ODD_FLAGS, shapes.SYN_ACK, shapes.RST, shapes.FIN, shapes.ACK, shapes.UDP, shapes.ICMP_ECHO,
    shapes.ICMP_ECHO_REPLY, shapes.ICMP_ERROR, shapes.ICMP_OTHER, shapes.FRAGMENT, shapes.GRE, shapes.IPSEC, shapes.OTHER_IP,
)  # fmt: skip


class Counted(NamedTuple):
    """What receivers sent and received."""

    sent_packets: I64
    received_packets: I64
    received_in_shape: I64  # [receiver, shape] packets
    group: I32  # per flow: number of the receiver * SHAPES + shape, -1 where it is not listed


class Receivers:
    """Hosts, or prefixes, by number. Prefixes are judged by the same code as hosts: only their addresses are masked."""

    def __init__(  # noqa: PLR0913, PLR0917 - what is listed, what was counted of it, and where it is found again
        self,
        shaped: ShapedFlows,
        addresses: tuple[U64, U64, U8],
        counted: Counted,
        arrivals: Arrivals,
        numbers_of_rows: Callable[[], I32],
        bits: dict[int, int] | None = None,
    ) -> None:
        """addresses: high halves, low halves, versions. bits: of prefixes, by version.

        numbers_of_rows: returns the receiver of each row of the arrivals.
        """
        self._shapes, self.arrivals = shaped, arrivals
        self.hi, self.lo, self.version = addresses
        self.bits = bits or {}
        self.sent_packets, self.received_packets = counted.sent_packets, counted.received_packets
        self._received_in_shape = counted.received_in_shape
        self._numbers_of_rows = numbers_of_rows
        flows = shaped.flows
        self._starts, self._order = split(counted.group, len(self) * shapes.SHAPES, flows.memory, flows.workers)

    def __len__(self) -> int:
        """Return the number of receivers."""
        return len(self.lo)

    def host(self, number: int) -> Host:
        """Return a listed host, or a prefix."""
        version = int(self.version[number])
        return Host(version, int(self.hi[number]), int(self.lo[number]), self.bits.get(version, 0))

    def hosts_with(self, shape: int, least: int, least_flows: int = 1) -> list[int]:
        """Return the hosts that received so many packets and flows of a shape, most packets first, except multicast."""
        packets = self._received_in_shape[:, shape]
        groups = np.arange(len(self)) * shapes.SHAPES + shape
        enough = np.nonzero((packets >= least) & (self._starts[groups + 1] - self._starts[groups] >= least_flows))[0]
        ordered = enough[np.argsort(-packets[enough], kind="stable")]
        return [int(host) for host in ordered if not self.host(int(host)).is_many]

    def received_beside_floods(self, host: int) -> int:
        """Return the packets that a host received, less one-way ones that are not UDP replies, so that another flood hides nothing."""
        return int(self.received_packets[host] - self._received_in_shape[host, list(_OTHER_FLOODS)].sum())

    def shaped(self, host: int, shape: int) -> FlowSet:
        """Return the flows of a shape that a host received."""
        group = host * shapes.SHAPES + shape
        return self._shapes.flow_set(self._order[self._starts[group] : self._starts[group + 1]])

    def shaped_together(self, hosts: list[int], *wanted: int) -> tuple[FlowSet, I64]:
        """Return the flows of some shapes that several hosts received, and for each flow the place of its receiver among these hosts."""
        groups = [host * shapes.SHAPES + shape for host in hosts for shape in wanted]
        rows = [self._order[self._starts[group] : self._starts[group + 1]] for group in groups]
        place = np.repeat(np.arange(len(groups)) // len(wanted), [len(part) for part in rows])
        return self._shapes.flow_set(np.concatenate(rows) if rows else self._order[:0]), place

    def everything_to(self, host: int) -> FlowSet:
        """Return all flows that a host received."""
        return self._shapes.flow_set(self._rows_to(host))

    def _rows_to(self, host: int) -> U32:
        first = host * shapes.SHAPES
        rows: U32 = self._order[self._starts[first] : self._starts[first + shapes.SHAPES]]
        return rows

    def unnumbered_to(self, host: int, numbers: I32) -> FlowSet:
        """Return the flows that a host received whose number is below 0. numbers: of all flows."""
        rows = self._rows_to(host)
        parts = [rows[start : start + SAMPLE] for start in range(0, len(rows), SAMPLE)]
        free = self._shapes.flows.workers.each(lambda part: part[numbers[part] < 0], parts)
        return self._shapes.flow_set(np.concatenate(free) if free else rows)

    def udp_receivers(self, least: int) -> list[int]:
        """Return the hosts that received at least ``least`` packets of one-way UDP, or as responders of two-way UDP."""
        return sorted({*self.hosts_with(shapes.UDP, least), *self.hosts_with(shapes.UDP_DIALOGUE, least)})

    def fragments_of(self, host: int, flows: FlowSet) -> FlowSet:
        """Return the later fragments that a host received from the senders of some flows."""
        return self.also_from(host, shapes.FRAGMENT, flows)

    def also_from(self, host: int, shape: int, flows: FlowSet) -> FlowSet:
        """Return the flows of a shape that a host received from the senders of some flows."""
        others = self.shaped(host, shape)
        mine = np.isin(others.sent("lo"), flows.sent("lo")) & np.isin(others.sent("hi"), flows.sent("hi"))
        return others.where(mine) if len(others) else others

    @cached_property
    def _lines_by_receiver(self) -> tuple[I64, U32]:
        """Return (starts, order): the lines of the arrivals of each receiver."""
        return split(self._numbers_of_rows()[self.arrivals.row_of_line], len(self), workers=self._shapes.flows.workers)

    def arrived(self, host: int, first_ns: int, last_ns: int) -> Tenths:
        """Return what a receiver got in the seconds from one time to another."""
        starts, order = self._lines_by_receiver
        found = self.arrivals.lines(order[starts[host] : starts[host + 1]])
        second = found.second
        return found.where((second >= first_ns // SECOND_NS) & (second <= last_ns // SECOND_NS))

    @cached_property
    def numbers(self) -> dict[Host, int]:
        """Map receivers to their numbers."""
        return {self.host(number): number for number in range(len(self))}

    def mask(self, hi: U64, lo: U64, version: np.ndarray) -> tuple[U64, U64]:
        """Return the addresses under which others are looked up: those of hosts as they are, those of prefixes masked."""
        return masked(hi, lo, version) if self.bits else (hi, lo)


def masked(hi: U64, lo: U64, version: np.ndarray) -> tuple[U64, U64]:
    """Return the prefixes of addresses: /24 of IPv4, /64 of IPv6."""
    return hi, np.where(version == 4, lo & np.uint64(0xFFFFFF00), np.uint64(0))


def hosts_of(flows: Flows, arrivals: Arrivals) -> tuple[ShapedFlows, Receivers]:
    """Find the hosts that received enough packets to be victims, give every flow its shape, and count what each host received."""
    rows = arrivals.rows
    groups, leaders = number(rows["hi"].copy(), rows["lo"].copy(), rows["ip_version"].astype(np.uint64))
    packets = np.bincount(groups, weights=rows["packets"], minlength=len(leaders)) if len(groups) else np.zeros(0)
    kept = packets >= VICTIM_PACKETS
    renumber = np.where(kept, np.cumsum(kept) - 1, -1)
    chosen = leaders[kept]
    addresses = rows["hi"][chosen], rows["lo"][chosen], rows["ip_version"][chosen]
    shaped, counted = _shape(flows, addresses, packets[kept].astype(np.int64))
    return shaped, Receivers(shaped, addresses, counted, arrivals, lambda: renumber[groups].astype(np.int32))


def _shape(flows: Flows, addresses: tuple[U64, U64, U8], received_packets: I64) -> tuple[ShapedFlows, Counted]:
    """Assign every flow its shape and receiver."""
    rows, hosts = len(flows), len(addresses[0])
    table = np.zeros(1 << max(2 * hosts, 1).bit_length(), np.int32)

    def no_counts() -> shapes.Hosts:
        hi, lo, version = addresses
        sent, received = np.zeros(hosts, np.int64), np.zeros((hosts, shapes.SHAPES), np.int64)
        return shapes.Hosts(hi=hi, lo=lo, version=version, table=table, sent=sent, received=received)

    shapes.list_hosts(SEED, no_counts())
    memory = flows.memory
    shape, toward, probe = (memory.array(rows, np.uint8) for _ in range(3))
    group, packets = memory.array(rows, np.int32), memory.array(rows, np.uint32)
    unshaped = shapes.Unshaped(flows=flows.tables, hashes=flows.initiator_hashes, answer_kinds=ANSWER_KINDS)

    def shape_part(part: Part) -> tuple[shapes.Hosts, I64]:
        seen, dialogues = no_counts(), np.zeros(3, np.int64)
        shaped = shapes.Shaped(shape=shape, toward=toward, probe=probe, group=group, packets=packets, dialogues=dialogues)
        shapes.shape_flows(SEED, unshaped, np.zeros(1, MORE), part.first, part.end, seen, shaped)
        return seen, dialogues

    done = flows.workers.each(shape_part, flows.workers.parts(rows))
    dialogues = np.sum([dialogues for _, dialogues in done], axis=0)
    shaped = ShapedFlows(
        flows, shapes.Shaped(shape=shape, toward=toward, probe=probe, group=group, packets=packets, dialogues=dialogues), dialogues
    )
    sent, received = np.sum([seen.sent for seen, _ in done], axis=0), np.sum([seen.received for seen, _ in done], axis=0)
    return shaped, Counted(sent, received_packets, received, group)
