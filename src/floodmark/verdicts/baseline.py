"""What is usual for a receiver: whether it replies, what it began itself, who else talks to it, how fast its busiest stretch is."""

from functools import cached_property

import numpy as np

from floodmark.flows.flows import listed
from floodmark.flows.flowset import ByInitiator, FlowSet, Host
from floodmark.verdicts.receivers import Receivers
from floodmark.verdicts.shaping import ShapedFlows, stopped
from floodmark_core import kinds
from floodmark_core.columns import U32
from floodmark_core.flows import shapes
from floodmark_core.protocols import ICMP, ICMPV6, SECOND_NS, TCP, UDP, UDP_LITE

_MOSTLY = 0.8  # of the packets of a kind
# Traffic kinds by IP protocol.
_TCP_KINDS = (kinds.TCP_SYN, kinds.TCP_SYNACK, kinds.TCP_RST, kinds.TCP_FIN, kinds.TCP_ACK, kinds.TCP_DATA, kinds.TCP_ODD)
_ICMP_KINDS = (kinds.ICMP_ECHO, kinds.ICMP_ECHO_REPLY, kinds.ICMP_ERROR, kinds.ICMP_OTHER)
_UDP_KINDS = (kinds.UDP, kinds.UDP_FROM_SERVICE)
_OTHER_KINDS = (kinds.FRAGMENT, kinds.GRE, kinds.IPSEC, kinds.OTHER_IP)
_KINDS_OF = {TCP: _TCP_KINDS, UDP: _UDP_KINDS, UDP_LITE: _UDP_KINDS, ICMP: _ICMP_KINDS, ICMPV6: _ICMP_KINDS}
_SETTLED_NS = SECOND_NS  # the first retransmission of an unanswered SYN or segment follows after a second (RFC 6298)


class Baseline:
    """What rules hold a finding against."""

    def __init__(self, shaped: ShapedFlows, hosts: Receivers) -> None:
        self._shapes, self._hosts = shaped, hosts

    def dialogues_of(self, host: int) -> FlowSet:
        """Return the two-way UDP flows that a listed host initiated, seen from that host."""
        index = self._dialogues.of(self._hosts.host(host))
        return FlowSet(
            self._shapes.flows, listed(index), np.ones(len(index), bool), stopped(self._shapes.flows.column("responder_packets", index))
        )

    def connections_of(self, host: Host) -> FlowSet:
        """Return the TCP connections that a host initiated, seen from the servers."""
        return self._shapes.clients(self._connections.of(host))

    def dialogue_packets(self, host: int) -> int:
        """Return the UDP packets that a host received in two-way flows."""
        return self._hosts.shaped(host, shapes.UDP_DIALOGUE).total_packets + self.dialogues_of(host).total_packets

    @property
    def begin_ns(self) -> int:
        """Time of the first packet to any host."""
        return self._hosts.arrivals.begin_ns

    @property
    def end_ns(self) -> int:
        """Time of the last packet to any host."""
        return self._hosts.arrivals.end_ns

    def settled(self, flows: FlowSet) -> FlowSet:
        """Return, from a sample of some flows, those whose outcome is known: they were answered, or had a second in which to continue.

        In an excerpt of 20 ms every flow is brief and none is complete, whatever would have become of it.
        """
        seen = flows.sample
        known = (seen.received("packets") > 0) | (seen.column("first_seen_ns") <= self.end_ns - _SETTLED_NS)
        return seen.where(known)

    def completions_like(self, host: int, options: U32) -> int:
        """Return the number of connections to a host completed after a SYN with one of these option signatures."""
        held = self._hosts.shaped(host, shapes.NO_SHAPE)
        began = held.column("stage") & kinds.STAGE_SYN > 0
        return int(np.isin(held.column("tcp_options")[began], np.unique(options)).sum())

    def errors_from(self, host: int, flows: FlowSet) -> int:
        """Return the number of ICMP errors that a host sent to the top senders of some flows."""
        errors = 0
        for source in flows.ranked_sources[1]:
            number = self._hosts.numbers.get(source.host)
            if number is not None:
                received = self._hosts.shaped(number, shapes.ICMP_ERROR)
                mine = (received.sent("lo") == self._hosts.lo[host]) & (received.sent("hi") == self._hosts.hi[host])
                errors += received.where(mine).total_packets if mine.any() else 0
        return errors

    def known_source_share(self, host: int, flows: FlowSet) -> float:
        """Return the share of fragment flows whose sender also sends the host other packets."""
        others = self._hosts.everything_to(host)
        others = others.where(others.column("is_fragment") == 0)
        return float(np.isin(flows.sent("lo") ^ flows.sent("hi"), others.sent("lo") ^ others.sent("hi")).mean())

    def answers(self, host: int) -> bool:
        """Return whether a host's replies would be in the capture: it sends one packet per hundred received, or dialogues are two-way."""
        return int(self._hosts.sent_packets[host]) * 100 >= int(self._hosts.received_packets[host]) or self._shapes.one_sided is False

    def burst_pps(self, host: int, flows: FlowSet) -> float:
        """Return the packets a second in the busiest stretch of flows that a host received: by the flows, or by what arrived if higher.

        Flows of many packets do not show when each packet arrived; the arrivals do, if these flows are most of the traffic of their kind.
        """
        rate = flows.busiest_rate_pps
        if flows.total_packets <= 2 * len(flows):
            return rate
        arrived = self._hosts.arrived(host, flows.first_ns, flows.last_ns)
        arrived = arrived.where(np.isin(arrived.kind, _KINDS_OF.get(int(flows.sample.column("protocol")[0]), _OTHER_KINDS)))
        packets = int(arrived.packets.sum())
        if packets == 0 or flows.total_packets < _MOSTLY * packets:
            return rate
        _, second = np.unique(arrived.second, return_inverse=True)
        return max(rate, float(np.bincount(second, weights=arrived.packets).max()) * flows.total_packets / packets)

    def asked_everyone(self, host: int, ports: tuple[int, ...]) -> bool:
        """Return whether a receiver queried all its neighbours at once on one of some ports, by multicast or broadcast."""
        names = ("initiator_hi", "initiator_lo", "ip_version", "responder_port")
        seen = self._shapes.flows.columns(self._shapes.to_everyone, names)
        hi, lo = self._hosts.mask(seen["initiator_hi"], seen["initiator_lo"], seen["ip_version"])
        mine = (lo == self._hosts.lo[host]) & (hi == self._hosts.hi[host]) & (seen["ip_version"] == self._hosts.version[host])
        return bool((mine & np.isin(seen["responder_port"], ports)).any())

    @cached_property
    def _dialogues(self) -> ByInitiator:
        return ByInitiator(self._shapes.flows, np.nonzero(self._shapes.shape == shapes.UDP_DIALOGUE)[0], self._hosts.mask)

    @cached_property
    def _connections(self) -> ByInitiator:
        return ByInitiator(self._shapes.flows, self._shapes.established, self._hosts.mask)
