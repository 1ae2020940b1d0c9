"""State of a flow, and its update by a TCP packet: sequence numbers, handshake, close, windows, cleartext HTTP/1.

Follows CLASSIFICATION.md section 4.3 and RFC 9293, for a connection that may be joined late, seen in one direction or spoofed.
"""

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

from reference.decode import ACK, FIN, LATER_FRAGMENT, RST, SYN, Packet, TcpHeader

Basis = IntEnum("Basis", "FIRST SYN SYNACK PROTO PORT PARENT", start=0)
End = IntEnum("End", "CAPTURE IDLE ACTIVE FIN RST REUSE", start=0)

REACH = 1 << 20  # bytes; a sequence number further from a direction's progress is outside any window in use
SMALL_WINDOW = 1024
HEAD_SEARCH = 16_384  # bytes of a payload that are searched for the end of an HTTP head
TARGET_SEARCH = 1024  # bytes of a payload in which a request's target is read
METHODS = (b"GET ", b"POST ", b"PUT ", b"PATCH ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"CONNECT ", b"TRACE ")


class Stage(IntFlag):
    """Stages that a TCP dialogue has reached."""

    SYN = 1
    SYNACK = 2
    ESTABLISHED = 4
    HEAD_OPEN = 8
    FIN_INITIATOR = 16
    FIN_RESPONDER = 32
    CLOSED = 64
    HEAD_DONE = 128
    FIN_INITIATOR_ACKED = 256
    FIN_RESPONDER_ACKED = 512
    INITIATOR_ACKS = 1024


NOTHING = Stage(0)


@dataclass
class Side:
    """One end of a flow and what it sent."""

    address: int
    port: int
    packets: int = 0
    nbytes: int = 0
    payload_packets: int = 0
    payload_octets: int = 0
    small_packets: int = 0
    first_payload: bytes = b""  # as far as captured
    tcp_flags: int = 0
    next_seq: int | None = None  # None until a complete TCP header was seen
    window_shift: int | None = None


@dataclass
class Flow:
    """One flow."""

    first: Packet  # gives version, protocol, vlan and whether these are later fragments
    from_responder: bool  # the first packet was a reply
    initiator: Side
    responder: Side
    basis: Basis
    parent: int  # number of the flow that this one continues, -1 none
    first_seen_ns: int
    last_seen_ns: int
    start_clock_ns: int
    last_clock_ns: int
    ttls: set[int] = field(default_factory=set)
    end: End = End.CAPTURE
    stage: Stage = NOTHING
    max_gap_ns: int = 0
    isn: int = 0
    syn_packets: int = 0
    rst_packets: int = 0
    post_close_packets: int = 0
    incoherent_packets: int = 0
    small_window_packets: int = 0
    requests: int = 0
    same_path_requests: int = 0
    first_path: bytes | None = None  # of the first request, without its query
    responses: int = 0
    error_responses: int = 0
    denied_responses: int = 0

    @property
    def is_fragment(self) -> bool:
        """Whether this is a flow of later fragments, which have no ports."""
        return self.first.fragment == LATER_FRAGMENT


def ahead(a: int, b: int) -> int:
    """Return how far sequence number ``a`` is ahead of ``b`` (RFC 9293 section 3.4); negative if behind."""
    difference = (a - b) % 2**32
    return difference - 2**32 if difference >= 2**31 else difference


def follow_sequence(flow: Flow, side: Side, tcp: TcpHeader, payload_octets: int) -> bool:
    """Advance the sender's sequence number. Returns whether this packet's own is within reach; a direction's first always is."""
    after = (tcp.seq + payload_octets + bool(tcp.flags & SYN) + bool(tcp.flags & FIN)) % 2**32
    if side.next_seq is None:
        side.next_seq = after
        return True
    if abs(ahead(tcp.seq, side.next_seq)) > REACH:
        flow.incoherent_packets += 1
        if not tcp.flags & RST:
            side.next_seq = after
        return False
    if ahead(after, side.next_seq) > 0:
        side.next_seq = after
    return True


def follow_handshake(flow: Flow, side: Side, other: Side, tcp: TcpHeader) -> None:
    """Record SYN, SYN-ACK and the acknowledgement that completes them, even if only one direction was captured."""
    from_initiator = side is flow.initiator
    if tcp.flags & SYN:
        if not tcp.flags & ACK:
            flow.syn_packets += 1
            if from_initiator and not flow.stage & Stage.SYN:
                flow.stage |= Stage.SYN
                flow.isn = tcp.seq
                side.window_shift = tcp.window_shift
        elif not from_initiator:
            flow.stage |= Stage.SYNACK
            side.window_shift = tcp.window_shift
    elif tcp.flags & ACK and not tcp.flags & RST:
        if from_initiator:
            completes = flow.stage & Stage.SYNACK or (flow.stage & Stage.SYN and other.packets == 0)
        else:
            completes = flow.stage & Stage.SYNACK and other.packets == 0
        if completes:
            flow.stage |= Stage.ESTABLISHED


def follow_close(flow: Flow, side: Side, other: Side, tcp: TcpHeader, coherent: bool) -> None:
    """Close the dialogue on a RST within reach, or once both FINs are acknowledged."""
    from_initiator = side is flow.initiator
    if tcp.flags & RST:
        flow.rst_packets += 1
        if coherent:
            flow.stage |= Stage.CLOSED
            flow.end = End.RST
        return
    if tcp.flags & FIN:
        flow.stage |= Stage.FIN_INITIATOR if from_initiator else Stage.FIN_RESPONDER
    others_fin = Stage.FIN_RESPONDER if from_initiator else Stage.FIN_INITIATOR
    if tcp.flags & ACK and flow.stage & others_fin and tcp.ack == other.next_seq:
        flow.stage |= Stage.FIN_RESPONDER_ACKED if from_initiator else Stage.FIN_INITIATOR_ACKED
    if Stage.FIN_INITIATOR_ACKED in flow.stage and Stage.FIN_RESPONDER_ACKED in flow.stage:
        flow.stage |= Stage.CLOSED
        flow.end = End.FIN


def offers_little(flow: Flow, tcp: TcpHeader) -> bool:
    """Return whether the initiator, after its first payload, offers almost no window; only if its SYN gives the window scale."""
    if not flow.stage & Stage.SYN or flow.initiator.payload_packets == 0 or tcp.flags & (SYN | RST | FIN):
        return False
    agreed = flow.responder.window_shift is not None or not flow.stage & Stage.SYNACK
    shift = flow.initiator.window_shift or 0 if agreed else 0
    return tcp.window << shift <= SMALL_WINDOW


def count_tcp(flow: Flow, side: Side, other: Side, tcp: TcpHeader, payload_octets: int) -> None:
    """Update the dialogue with a packet whose header is complete."""
    closed = bool(flow.stage & Stage.CLOSED)
    flow.post_close_packets += closed
    coherent = follow_sequence(flow, side, tcp, payload_octets)
    side.tcp_flags |= tcp.flags
    if side is flow.initiator:
        if tcp.flags & ACK and not tcp.flags & (SYN | RST):
            flow.stage |= Stage.INITIATOR_ACKS
        flow.small_window_packets += offers_little(flow, tcp)
    follow_handshake(flow, side, other, tcp)
    if not closed:
        follow_close(flow, side, other, tcp, coherent)


def path_of(payload: bytes) -> bytes:
    """Extract the path of a request line, as far as the first 1024 bytes of the payload contain it (RFC 9112 section 3.2)."""
    target = payload[:TARGET_SEARCH].partition(b" ")[2]
    return target.partition(b" ")[0].partition(b"\r")[0].partition(b"?")[0]


def count_http(flow: Flow, side: Side, payload: bytes) -> None:
    """Track HTTP/1: request heads that begin and end, status lines."""
    if side is flow.initiator:
        if payload.startswith(METHODS) and len(payload) >= 5:
            flow.requests += 1
            path = path_of(payload)
            flow.first_path = path if flow.first_path is None else flow.first_path
            flow.same_path_requests += path == flow.first_path
            flow.stage |= Stage.HEAD_OPEN
        if flow.stage & Stage.HEAD_OPEN and (payload == b"\r\n" or b"\r\n\r\n" in payload[:HEAD_SEARCH]):
            flow.stage = flow.stage & ~Stage.HEAD_OPEN | Stage.HEAD_DONE
    elif payload.startswith(b"HTTP/1.") and len(payload) >= 12:
        flow.responses += 1
        flow.error_responses += payload[9:10] in (b"4", b"5", b"6")
        flow.denied_responses += payload[9:12] in (b"401", b"403", b"407", b"429")
