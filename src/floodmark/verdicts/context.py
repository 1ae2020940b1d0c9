"""Build from flows and cells the context that no single flow shows: who received how much of what, from how many, and who talks to whom."""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from floodmark.base.workers import Part
from floodmark.flows.flows import SEED, Flows, Numbers, listed
from floodmark.flows.flowset import (
    SAMPLE,
    ByInitiator,
    FlowSet,
    Host,
    number,
    split,
)
from floodmark.verdicts.view import View
from floodmark.vocabulary.payloads import ANSWER_KINDS
from floodmark_core import MORE, kinds
from floodmark_core.columns import I32, I64, U8, U16, U32, U64, Rows
from floodmark_core.flows import shapes
from floodmark_core.protocols import ICMP, ICMPV6, SECOND_NS, TCP, UDP, UDP_LITE
from floodmark_core.tables.grouping import keep_frequent
from floodmark_core.tables.picking import pick_received

VICTIM_PACKETS = 20  # a host that received fewer packets in all cannot be named as a victim
_MOSTLY = 0.8  # of the packets of a kind
# Traffic kinds of the cells by IP protocol.
_TCP_KINDS = (kinds.TCP_SYN, kinds.TCP_SYNACK, kinds.TCP_RST, kinds.TCP_FIN, kinds.TCP_ACK, kinds.TCP_DATA, kinds.TCP_ODD)
_ICMP_KINDS = (kinds.ICMP_ECHO, kinds.ICMP_ECHO_REPLY, kinds.ICMP_ERROR, kinds.ICMP_OTHER)
_UDP_KINDS = (kinds.UDP, kinds.UDP_FROM_SERVICE)
_OTHER_KINDS = (kinds.FRAGMENT, kinds.GRE, kinds.IPSEC, kinds.OTHER_IP)
_CELL_KINDS = {TCP: _TCP_KINDS, UDP: _UDP_KINDS, UDP_LITE: _UDP_KINDS, ICMP: _ICMP_KINDS, ICMPV6: _ICMP_KINDS}
# One-way packets of all kinds but UDP replies: what other floods consist of.
_OTHER_FLOODS = (
    shapes.SYN, shapes.SYN_BARE, shapes.ODD_FLAGS, shapes.SYN_ACK, shapes.RST, shapes.FIN, shapes.ACK, shapes.UDP, shapes.ICMP_ECHO,
    shapes.ICMP_ECHO_REPLY, shapes.ICMP_ERROR, shapes.ICMP_OTHER, shapes.FRAGMENT, shapes.GRE, shapes.IPSEC, shapes.OTHER_IP,
)  # fmt: skip
_LEAST_BUCKETS = 1 << 16
_SETTLED_NS = SECOND_NS  # the first retransmission of an unanswered SYN or segment follows after a second (RFC 6298)


class Spoken(NamedTuple):
    """What several rules need of every established connection, in the order of ``Context.established``."""

    kind: U8  # of the client's first payload, floodmark_core.flows.payload
    port: U16  # of the service
    asked: np.ndarray  # bool: a request was recognised
    denied: np.ndarray  # bool: a response denied access


class Context:
    """The flows of one run in context."""

    def __init__(self, flows: Flows, cells: Rows, view: View | None = None) -> None:
        """view: what the captures can show."""
        self.flows = flows
        self.cells = cells
        self.view = view or View(flows)
        self._prepare()

    def _prepare(self) -> None:
        """Determine who received what."""
        self._find_hosts()
        self._shape()

    def _find_hosts(self) -> None:
        """List the hosts that received enough packets to be victims, and their cells."""
        cells = self.cells
        version = cells["ip_version"].astype(np.uint64)
        groups, leaders = number(cells["dst_hi"].copy(), cells["dst_lo"].copy(), version)
        packets = np.bincount(groups, weights=cells["packets"], minlength=len(leaders)) if len(groups) else np.zeros(0)
        kept = packets >= VICTIM_PACKETS
        renumber = np.where(kept, np.cumsum(kept) - 1, -1)
        chosen = leaders[kept]
        self.host_hi: U64 = cells["dst_hi"][chosen]
        self.host_lo: U64 = cells["dst_lo"][chosen]
        self.host_version: U8 = cells["ip_version"][chosen]
        self.received_packets: I64 = packets[kept].astype(np.int64)
        by_second = np.argsort(cells["second"], kind="stable")
        self._cell_starts, order = split(renumber[groups[by_second]].astype(np.int32), len(chosen))
        self._cell_order: I64 = by_second[order]
        self._cell_second: I64 = cells["second"][self._cell_order]

    def _shape(self) -> None:
        """Assign every flow its shape and receiver."""
        rows, hosts = len(self.flows), len(self.host_lo)
        table = np.full(1 << max(2 * hosts, 1).bit_length(), -1, np.int32)

        def no_counts() -> shapes.Hosts:
            counts = np.zeros(hosts, np.int64), np.zeros((hosts, shapes.SHAPES), np.int64)
            return shapes.Hosts(self.host_hi, self.host_lo, self.host_version, table, *counts)

        shapes.list_hosts(SEED, no_counts())
        memory = self.flows.memory
        shape, toward, probe = (memory.array(rows, np.uint8) for _ in range(3))
        group, packets = memory.array(rows, np.int32), memory.array(rows, np.uint32)
        given = (SEED, *self.flows.tables, self.flows.initiator_hashes)

        def shape_part(part: Part) -> tuple[shapes.Hosts, I64]:
            seen, dialogues = no_counts(), np.zeros(3, np.int64)
            shaped = shapes.Shaped(shape, toward, probe, group, packets, dialogues)
            shapes.shape_flows(*given, np.zeros(1, MORE), ANSWER_KINDS, part.first, part.end, seen, shaped)
            return seen, dialogues

        done = self.flows.workers.each(shape_part, self.flows.workers.parts(rows))
        self.shape: U8 = shape  # per flow, floodmark_core.flows.shapes
        self.sent_packets: I64 = np.sum([seen.sent for seen, _ in done], axis=0)
        self._received_in_shape: I64 = np.sum([seen.received for seen, _ in done], axis=0)
        self.dialogues_seen: I64 = np.sum([dialogues for _, dialogues in done], axis=0)
        self.toward, self.may_probe, self.packets_toward = toward, probe, packets
        self._starts, self._order = split(group, hosts * shapes.SHAPES, memory, self.flows.workers)

    def probes(self, least: int) -> I64:
        """Return the flows that may be a scanner's probes, of initiators that have at least ``least`` of them."""
        chosen, hashes, workers = self.may_probe.copy(), self.flows.initiator_hashes, self.flows.workers
        parts = len(workers.parts(len(self.flows)))
        # Each thread handles its part of the initiators, in its own buckets.
        size = max(_LEAST_BUCKETS, 1 << (int(chosen.sum(dtype=np.int64)) // (2 * parts)).bit_length())
        rooms = [self.flows.memory.array(size, np.uint8) for _ in range(parts)]
        workers.each(lambda part: keep_frequent(hashes, chosen, least, rooms[part], part, parts), range(parts))
        return np.nonzero(chosen)[0]

    def host(self, number: int) -> Host:
        """Return a listed host."""
        return Host(int(self.host_version[number]), int(self.host_hi[number]), int(self.host_lo[number]))

    def hosts_with(self, shape: int, least: int) -> list[int]:
        """Return the hosts that received at least ``least`` packets in flows of a shape, most packets first, except multicast."""
        packets = self._received_in_shape[:, shape]
        enough = np.nonzero(packets >= least)[0]
        ordered = enough[np.argsort(-packets[enough], kind="stable")]
        return [int(host) for host in ordered if not self.host(int(host)).is_many]

    def received_beside_floods(self, host: int) -> int:
        """Return the packets that a host received, less one-way ones that are not UDP replies, so that another flood hides nothing."""
        return int(self.received_packets[host] - self._received_in_shape[host, list(_OTHER_FLOODS)].sum())

    def shaped(self, host: int, shape: int) -> FlowSet:
        """Return the flows of a shape that a host received."""
        group = host * shapes.SHAPES + shape
        return self.flow_set(self._order[self._starts[group] : self._starts[group + 1]])

    def flow_set(self, index: Numbers) -> FlowSet:
        """Return flows by row as a set, each seen from its receiving end."""
        chosen = listed(index)
        back, packets, workers = np.empty(len(chosen), bool), np.empty(len(chosen), np.uint32), self.flows.workers
        given = (self.toward, self.packets_toward, chosen)
        workers.each(
            lambda part: pick_received(*given, part.first, part.end, shapes.TO_INITIATOR, back.view(np.uint8), packets),
            workers.parts(len(chosen)),
        )
        return FlowSet(self.flows, chosen, back, packets)

    def everything_to(self, host: int) -> FlowSet:
        """Return all flows that a host received."""
        return self.flow_set(self._rows_to(host))

    def _rows_to(self, host: int) -> U32:
        first = host * shapes.SHAPES
        rows: U32 = self._order[self._starts[first] : self._starts[first + shapes.SHAPES]]
        return rows

    def unnumbered_to(self, host: int, numbers: I32) -> FlowSet:
        """Return the flows that a host received whose number is below 0. numbers: of all flows."""
        rows = self._rows_to(host)
        parts = [rows[start : start + SAMPLE] for start in range(0, len(rows), SAMPLE)]
        free = self.flows.workers.each(lambda part: part[numbers[part] < 0], parts)
        return self.flow_set(np.concatenate(free) if free else rows)

    def dialogues_of(self, host: int) -> FlowSet:
        """Return the two-way UDP flows that a listed host initiated, seen from that host."""
        index = self._dialogues.of(self.host(host))
        return FlowSet(self.flows, listed(index), np.ones(len(index), bool), _stopped(self.flows.column("responder_packets", index)))

    def connections_of(self, host: Host) -> FlowSet:
        """Return the TCP connections that a host initiated, seen from the servers."""
        return self.clients(self._connections.of(host))

    def clients(self, index: Numbers) -> FlowSet:
        """Return flows by row as a set in which the initiator is the sender."""
        return FlowSet(self.flows, listed(index), np.zeros(len(index), bool), _stopped(self.flows.column("initiator_packets", index)))

    def dialogue_packets(self, host: int) -> int:
        """Return the UDP packets that a host received in two-way flows."""
        return self.shaped(host, shapes.UDP_DIALOGUE).total_packets + self.dialogues_of(host).total_packets

    def udp_receivers(self, least: int) -> list[int]:
        """Return the hosts that received at least ``least`` packets of one-way UDP, or as responders of two-way UDP."""
        return sorted({*self.hosts_with(shapes.UDP, least), *self.hosts_with(shapes.UDP_DIALOGUE, least)})

    @cached_property
    def begin_ns(self) -> int:
        """Time of the first packet to any host."""
        return int(self.cells["first_ns"].min()) if len(self.cells) else 0

    @cached_property
    def end_ns(self) -> int:
        """Time of the last packet to any host."""
        return int(self.cells["last_ns"].max()) if len(self.cells) else 0

    def settled(self, flows: FlowSet) -> FlowSet:
        """Return, from a sample of some flows, those whose outcome is known: they were answered, or had a second in which to continue.

        In an excerpt of 20 ms every flow is brief and none is complete, whatever would have become of it.
        """
        seen = flows.sample
        known = (seen.received("packets") > 0) | (seen.column("first_seen_ns") <= self.end_ns - _SETTLED_NS)
        return seen.where(known)

    def completions_like(self, host: int, options: U32) -> int:
        """Return the number of connections to a host completed after a SYN with one of these option signatures."""
        held = self.shaped(host, shapes.NO_SHAPE)
        began = held.column("stage") & kinds.STAGE_SYN > 0
        return int(np.isin(held.column("tcp_options")[began], np.unique(options)).sum())

    def fragments_of(self, host: int, flows: FlowSet) -> FlowSet:
        """Return the later fragments that a host received from the senders of some flows."""
        return self.also_from(host, shapes.FRAGMENT, flows)

    def also_from(self, host: int, shape: int, flows: FlowSet) -> FlowSet:
        """Return the flows of a shape that a host received from the senders of some flows."""
        others = self.shaped(host, shape)
        mine = np.isin(others.sent("lo"), flows.sent("lo")) & np.isin(others.sent("hi"), flows.sent("hi"))
        return others.where(mine) if len(others) else others

    def errors_from(self, host: int, flows: FlowSet) -> int:
        """Return the number of ICMP errors that a host sent to the top senders of some flows."""
        errors = 0
        for source in flows.ranked_sources[1]:
            number = self.host_numbers.get(source.host)
            if number is not None:
                received = self.shaped(number, shapes.ICMP_ERROR)
                mine = (received.sent("lo") == self.host_lo[host]) & (received.sent("hi") == self.host_hi[host])
                errors += received.where(mine).total_packets if mine.any() else 0
        return errors

    def known_source_share(self, host: int, flows: FlowSet) -> float:
        """Return the share of fragment flows whose sender also sends the host other packets."""
        others = self.everything_to(host)
        others = others.where(others.column("is_fragment") == 0)
        return float(np.isin(flows.sent("lo") ^ flows.sent("hi"), others.sent("lo") ^ others.sent("hi")).mean())

    def answers(self, host: int) -> bool:
        """Return whether a host's replies would be in the capture: it sends one packet per hundred received, or dialogues are two-way."""
        return int(self.sent_packets[host]) * 100 >= int(self.received_packets[host]) or self.one_sided is False

    def burst_pps(self, host: int, flows: FlowSet) -> float:
        """Return the packets a second in the busiest stretch of flows that a host received: by the flows, or by the cells if higher.

        Flows of many packets do not show when each packet arrived; the cells do, if these flows are most of the traffic of their kind.
        """
        rate = flows.busiest_rate_pps
        if flows.total_packets <= 2 * len(flows):
            return rate
        cells = self.host_cells(host, flows.first_ns // SECOND_NS, flows.last_ns // SECOND_NS)
        cells = cells[np.isin(cells["kind"], _CELL_KINDS.get(int(flows.sample.column("protocol")[0]), _OTHER_KINDS))]
        packets = int(cells["packets"].sum())
        if packets == 0 or flows.total_packets < _MOSTLY * packets:
            return rate
        _, second = np.unique(cells["second"], return_inverse=True)
        return max(rate, float(np.bincount(second, weights=cells["packets"]).max()) * flows.total_packets / packets)

    def asked_everyone(self, host: int, ports: tuple[int, ...]) -> bool:
        """Return whether a host queried all its neighbours at once, by multicast or broadcast, on one of some ports."""
        rows = self.to_everyone
        seen = self.flows.columns(rows, ("initiator_hi", "initiator_lo", "responder_port"))
        mine = (seen["initiator_lo"] == self.host_lo[host]) & (seen["initiator_hi"] == self.host_hi[host])
        return bool((mine & np.isin(seen["responder_port"], ports)).any())

    @cached_property
    def to_everyone(self) -> U32:
        """Rows of UDP flows to multicast and broadcast addresses."""
        rows = np.nonzero(self.shape == shapes.UDP)[0].astype(np.uint32)
        seen = self.flows.columns(rows, ("responder_hi", "responder_lo", "ip_version", "initiator_packets"))
        lo, four = seen["responder_lo"], seen["ip_version"] == 4
        many = four & ((lo >> np.uint64(28) == 0xE) | (lo & np.uint64(0xFF) == 0xFF))
        # A reflector whose address ends in 255 is a responder because of its port, though nothing was sent to it.
        found: U32 = rows[(many | (~four & (seen["responder_hi"] >> np.uint64(56) == 0xFF))) & (seen["initiator_packets"] > 0)]
        return found

    def host_cells(self, host: int, first_second: int, last_second: int) -> Rows:
        """Return the cells of a listed host from one second to another, in order of seconds."""
        start, stop = self._cell_starts[host], self._cell_starts[host + 1]
        first, last = start + np.searchsorted(self._cell_second[start:stop], (first_second, last_second + 1))
        return self.cells[self._cell_order[first:last]]

    @cached_property
    def host_numbers(self) -> dict[Host, int]:
        """Map listed hosts to their numbers."""
        return {self.host(number): number for number in range(len(self.host_lo))}

    @cached_property
    def _dialogues(self) -> ByInitiator:
        return ByInitiator(self.flows, np.nonzero(self.shape == shapes.UDP_DIALOGUE)[0])

    @cached_property
    def _connections(self) -> ByInitiator:
        return ByInitiator(self.flows, self.established)

    @cached_property
    def established(self) -> I64:
        """Rows of TCP flows that are connections: with a handshake, or a dialogue joined in the middle."""
        index = np.nonzero(self.shape == shapes.NO_SHAPE)[0]
        return index[self.flows.column("header_whole", index) > 0]

    @cached_property
    def spoken(self) -> Spoken:
        """Payload facts of the established connections."""
        rows, names = self.established, ("initiator_payload_kind", "responder_port", "requests", "denied_responses")
        kind, port = np.empty(len(rows), np.uint8), np.empty(len(rows), np.uint16)
        asked, denied = np.empty(len(rows), bool), np.empty(len(rows), bool)
        for start in range(0, len(rows), SAMPLE):
            part = slice(start, start + SAMPLE)
            seen = self.flows.columns(rows[part].astype(np.uint32), names)
            kind[part], port[part] = seen["initiator_payload_kind"], seen["responder_port"]
            asked[part], denied[part] = seen["requests"] > 0, seen["denied_responses"] > 0
        return Spoken(kind, port, asked, denied)

    @cached_property
    def one_sided(self) -> bool | None:
        """Return whether most TCP flows of at least three packets show only one direction; None if there are none."""
        seen, one_way, acknowledging = (int(count) for count in self.dialogues_seen)
        return bool(acknowledging > 0.5 * seen or one_way > 0.9 * seen) if seen else None


def _stopped(packets: np.ndarray) -> U32:
    """Return packets per flow in the form that sets of flows use: capped at 4,294,967,295."""
    stopped: U32 = np.minimum(packets, 0xFFFFFFFF).astype(np.uint32)
    return stopped
