"""Sort decoded packets into flows: one dictionary of live flows by five-tuple, one packet at a time (CLASSIFICATION.md section 4.3).

A flow is found by its two ends in either order. Its timeouts are checked on the capture clock when the next packet between the same
ends arrives, and once more at the end of the capture.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeAlias

from reference.decode import ACK, ICMP, ICMPV6, LATER_FRAGMENT, SYN, TCP, TIED_FRAGMENT, UDP, Kind, Outcome, Packet
from reference.dialogue import Basis, End, Flow, Side, Stage, count_http, count_tcp

DYNAMIC_PORTS = 32_768
SMALL_PAYLOAD = 64


class Timeouts(Protocol):
    """The settings used here, in seconds; floodmark.settings.FlowSettings has them all."""

    @property
    def tcp_established_timeout_s(self) -> float: ...
    @property
    def tcp_half_open_timeout_s(self) -> float: ...
    @property
    def tcp_linger_s(self) -> float: ...
    @property
    def udp_timeout_s(self) -> float: ...
    @property
    def dns_timeout_s(self) -> float: ...
    @property
    def icmp_timeout_s(self) -> float: ...
    @property
    def other_timeout_s(self) -> float: ...
    @property
    def active_timeout_s(self) -> float: ...
    @property
    def syn_reuse_s(self) -> float: ...


Address: TypeAlias = tuple[int, int]  # (IP address, port)
# (version, protocol, later fragment, vlan, tunnel and its IP version, both ends)
Key: TypeAlias = tuple[int, int, bool, int, tuple[int, int], frozenset[Address]]


def key_of(packet: Packet) -> Key:
    """Return the same key for both directions; later fragments have no ports and a key of their own."""
    ends = frozenset({(packet.src, packet.transport.src_port), (packet.dst, packet.transport.dst_port)})
    tunnel = (packet.tunnel, packet.outer.version) if packet.outer else (0, 0)
    return packet.ip_version, packet.protocol, packet.fragment == LATER_FRAGMENT, packet.vlan, tunnel, ends


def idle_timeout_s(flow: Flow, settings: Timeouts) -> float:
    """Return the idle timeout of a flow."""
    if flow.is_fragment:
        return settings.other_timeout_s
    if flow.first.protocol == TCP:
        if flow.stage & Stage.CLOSED:
            return settings.tcp_linger_s
        begun = flow.stage & (Stage.SYN | Stage.SYNACK)
        return settings.tcp_half_open_timeout_s if begun and not flow.stage & Stage.ESTABLISHED else settings.tcp_established_timeout_s
    if flow.first.protocol == UDP:
        return settings.dns_timeout_s if 53 in (flow.initiator.port, flow.responder.port) else settings.udp_timeout_s
    return settings.icmp_timeout_s if flow.first.protocol in (ICMP, ICMPV6) else settings.other_timeout_s


def ns(seconds: float) -> int:
    """Convert a setting to nanoseconds."""
    return round(seconds * 10**9)


def is_syn(packet: Packet) -> bool:
    """Return whether a packet requests a connection; one with an invalid header does not."""
    return packet.transport.kind == Kind.TCP_SYN and packet.outcome == Outcome.IN_FLOW


def is_new_syn(flow: Flow, packet: Packet, from_initiator: bool) -> bool:
    """Return whether a packet is a SYN and not a retransmission of the one that began this flow."""
    if not is_syn(packet):
        return False
    tcp = packet.transport.tcp
    repeats = from_initiator and bool(flow.stage & Stage.SYN) and tcp is not None and tcp.seq == flow.isn
    return not repeats


def why_over(flow: Flow, packet: Packet, from_initiator: bool, settings: Timeouts) -> End | None:
    """Return why a flow cannot take this packet; None if it can."""
    silence = packet.clock_ns - flow.last_clock_ns
    new_syn = is_new_syn(flow, packet, from_initiator)
    if flow.stage & Stage.CLOSED:  # lingering; its end reason is already set
        return flow.end if new_syn or silence > ns(settings.tcp_linger_s) else None
    if silence > ns(idle_timeout_s(flow, settings)):
        return End.IDLE
    if packet.clock_ns - flow.start_clock_ns > ns(settings.active_timeout_s):
        return End.ACTIVE
    if new_syn and flow.stage & Stage.ESTABLISHED and silence > ns(settings.syn_reuse_s):
        return End.REUSE
    return None


def who_began(packet: Packet, service_ports: Sequence[int]) -> tuple[bool, Basis]:
    """Determine the initiator from a flow's first packet. Returns (whether it is the sender, basis)."""
    transport = packet.transport
    if packet.fragment in (LATER_FRAGMENT, TIED_FRAGMENT) or packet.outcome != Outcome.IN_FLOW:
        return True, Basis.FIRST
    if transport.kind == Kind.ICMP_ECHO_REPLY:
        return False, Basis.PROTO
    if transport.tcp is not None and transport.tcp.flags & SYN:
        return (False, Basis.SYNACK) if transport.tcp.flags & ACK else (True, Basis.SYN)
    if packet.protocol not in (TCP, UDP):
        return True, Basis.FIRST
    ports = (transport.src_port, transport.dst_port)
    if packet.protocol == UDP and 53 in ports and len(transport.payload) >= 3:
        is_answer = bool(transport.payload[2] & 0x80)  # QR, RFC 1035
        return not is_answer, Basis.PROTO
    tests = [[service_ports[port] > 0 for port in ports]]
    if packet.protocol == TCP:
        tests.append([port < DYNAMIC_PORTS for port in ports])
    for src_serves, dst_serves in tests:
        if src_serves != dst_serves:
            return dst_serves, Basis.PORT
    return True, Basis.FIRST


def open_flow(packet: Packet, sender_began: bool, basis: Basis, parent: int) -> Flow:
    """Begin a flow with a packet that is not yet counted."""
    src = Side(packet.src, packet.transport.src_port)
    dst = Side(packet.dst, packet.transport.dst_port)
    initiator, responder = (src, dst) if sender_began else (dst, src)
    times = (packet.time_ns, packet.time_ns, packet.clock_ns, packet.clock_ns)
    return Flow(packet, not sender_began, initiator, responder, basis, parent, *times)


def count_payload(side: Side, payload: bytes, payload_octets: int) -> None:
    """Count a payload; keep the beginning of each direction's first."""
    if side.payload_packets == 0:
        side.first_payload = payload
    side.payload_packets += 1
    side.payload_octets += payload_octets
    side.small_packets += payload_octets <= SMALL_PAYLOAD


def count(flow: Flow, packet: Packet, from_initiator: bool) -> None:
    """Add a packet to its flow."""
    side, other = (flow.initiator, flow.responder) if from_initiator else (flow.responder, flow.initiator)
    transport = packet.transport
    if transport.tcp is not None and packet.outcome == Outcome.IN_FLOW:
        count_tcp(flow, side, other, transport.tcp, transport.payload_octets)
        if transport.payload:
            count_http(flow, side, transport.payload)
    if transport.payload_octets > 0 and not flow.is_fragment:
        count_payload(side, transport.payload, transport.payload_octets)
    side.packets += 1
    side.nbytes += packet.ip_bytes
    flow.first_seen_ns = min(flow.first_seen_ns, packet.time_ns)
    flow.last_seen_ns = max(flow.last_seen_ns, packet.time_ns)
    flow.max_gap_ns = max(flow.max_gap_ns, packet.clock_ns - flow.last_clock_ns)
    flow.last_clock_ns = packet.clock_ns
    flow.ttls.add(packet.ttl)


def meter(packets: Iterable[Packet], settings: Timeouts, service_ports: Sequence[int]) -> list[Flow]:
    """Sort packets into flows, in order of their first packets; refused packets only move the clock."""
    flows: list[Flow] = []
    live: dict[Key, int] = {}  # number of each key's latest flow
    clock_ns = 0
    for packet in packets:
        clock_ns = packet.clock_ns
        if not packet.in_flow:
            continue
        key = key_of(packet)
        number = live.get(key, -1)
        sender_began, basis, parent = True, Basis.FIRST, -1
        if number >= 0:
            flow = flows[number]
            from_initiator = (packet.src, packet.transport.src_port) == (flow.initiator.address, flow.initiator.port)
            reason = why_over(flow, packet, from_initiator, settings)
            if reason is None:
                count(flow, packet, from_initiator)
                continue
            flow.end = reason
            if reason in (End.IDLE, End.ACTIVE) and not is_syn(packet):
                sender_began, basis, parent = from_initiator, Basis.PARENT, number  # a continuation keeps its direction
        if parent < 0:
            sender_began, basis = who_began(packet, service_ports)
        live[key] = len(flows)
        flows.append(open_flow(packet, sender_began, basis, parent))
        count(flows[-1], packet, sender_began)
    for flow in flows:
        if flow.end == End.CAPTURE and clock_ns - flow.last_clock_ns > ns(idle_timeout_s(flow, settings)):
            flow.end = End.IDLE
    return flows
