"""The arrays that kernels share: batches of packets as columns, flows and destinations as rows. One line per field: type, unit, meaning.

A batch is small enough to stay in the cache, so its columns are separate arrays. A flow or a destination is accessed as a whole
and at random, so it is one row: a few cache lines instead of one line per column.
"""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from floodmark_core.status import OUTCOMES, REMARKS

U8: TypeAlias = NDArray[np.uint8]
U16: TypeAlias = NDArray[np.uint16]
U32: TypeAlias = NDArray[np.uint32]
U64: TypeAlias = NDArray[np.uint64]
I32: TypeAlias = NDArray[np.int32]
I64: TypeAlias = NDArray[np.int64]
F64: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[np.void]
Row: TypeAlias = Any  # one row: only Numba knows its fields

BATCH = 512  # packets; about 80 KiB of columns, which fit a 1 MiB L2 cache together with the block being read


class Records(NamedTuple):
    """Framing's result for each packet of a batch."""

    frame_at: I64  # first byte of the frame, as an index into the block
    time_ns: I64  # since the epoch
    clock_ns: I64  # capture clock, never steps back (timeline.py)
    captured_length: I64  # bytes
    wire_length: I64  # bytes
    link_type: I32  # LINKTYPE_ value; -1 if pcapng names no known interface


class Headers(NamedTuple):
    """Decoding's result for each packet of a batch."""

    outcome: U8  # status.py
    kind: U8  # kinds.py, traffic kind
    ip_version: U8  # 4 or 6
    protocol: U8  # IP protocol number after extension headers
    fragment: U8  # fragments.py
    ttl: U8  # or hop limit
    tcp_flags: U8  # CWR ECE URG ACK PSH RST SYN FIN
    window_shift: U8  # window scale option + 1; 0 if the packet has none
    src_hi: U64  # high 64 bits of the address; 0 for IPv4
    src_lo: U64  # low 64 bits; the whole address for IPv4
    dst_hi: U64
    dst_lo: U64
    src_port: U16  # ICMP echo: identifier or type and code, see decode.py
    dst_port: U16
    vlan: U32  # VLAN id, or outer id << 12 | inner id; 0 untagged
    ip_bytes: I64  # IP total length
    ip_at: I64  # index into the block: the outermost IP header
    payload_at: I64  # index into the block
    payload_octets: I64  # of the transport layer, from the IP length: padding is never payload
    payload_captured: I64  # of those, bytes captured
    tcp_seq: U32
    tcp_ack: U32
    tcp_window: U16  # as sent, not scaled
    tcp_options: U32  # signature of the SYN's options; 0 without options
    fragment_id: U32  # IP identification; meaningless if the packet is not fragmented
    tunnel: U8  # kinds.py TUNNEL_ of the outermost tunnel that was decapsulated; 0: the fields below are meaningless
    outer_version: U8  # 4 or 6: IP version of that tunnel's own packet
    outer_src_hi: U64
    outer_src_lo: U64
    outer_dst_hi: U64
    outer_dst_lo: U64


class Interfaces(NamedTuple):
    """The interfaces described in the pcapng section being read."""

    link_type: I32
    snaplen: I64  # bytes; 0 unlimited
    resolution: I32  # n: units of 10^-n s; -n: units of 2^-n s
    offset_s: I64
    dropped: I64  # packets dropped so far, per its last statistics block


class Tally(NamedTuple):
    """Outcome counts of the packets of one capture. Tallies merge by addition, first offsets by minimum."""

    totals: I64  # [packets, bytes on the wire, first time ns, last time ns (-1: no packet has one)]
    outcome_count: I64  # by status.py outcome
    outcome_first: I64  # byte offset in the file; -1 none
    remark_count: I64  # by status.py remark
    remark_first: I64
    ethertype_count: I64  # non-IP frames by EtherType; 0 for IEEE 802.3 frames
    link_type_count: I64  # packets by link type
    dropped: I64  # [packets that the capture reports as dropped]


class Framing(NamedTuple):
    """What framing a block needs and fills; all but the records carries over from block to block."""

    layout: I64  # framing.py
    interfaces: Interfaces
    records: Records  # of the current batch
    tally: Tally


class FlowTable(NamedTuple):
    """The flows of one share in order of their first packet, and the hash index of the live ones.

    The rows are parts of tables common to all shares; each share has its own index and its own counters.
    """

    rows: Rows  # FLOW
    more: Rows  # MORE, of the flows that have more than their first packet
    more_words: U64  # the same memory, flat
    addresses: Rows  # ADDRESSES, of the flows over IPv6
    births: U16  # position of each flow's first packet in its batch; empty if there is only one share
    opened: U16  # rows begun in each batch; all shares see the same batches
    slots: U64  # high half of the hash << 32 | row + 1; slot from the hash's highest bits, linear probing; power of two
    used: I64  # counters, indices below


# Indices into a share's counters: for each table the next row to use and the end of its allotted rows; then what it has seen so far.
NEXT_ROW, END_ROW, NEXT_MORE, END_MORE, NEXT_ADDRESSES, END_ADDRESSES, TAKEN_SLOTS, BATCHES_SEEN, USED_SIZE = range(9)


class FlowRows(NamedTuple):
    """The finished flows of all shares: the flow tables and the row of each flow."""

    rows: Rows  # FLOW
    more: Rows  # MORE, of the flows that have more than one packet
    addresses: Rows  # ADDRESSES, of the flows over IPv6 or in tunnels
    place: U32  # row of each flow, in order of first packets


class MoreRows(NamedTuple):
    """Rows of MORE as rows and as words."""

    rows: Rows  # MORE
    words: U64  # the same memory, flat


class ArrivalTable(NamedTuple):
    """What arrived at each destination, by kind of traffic: a row for each in order of first packets, and a log of tenths of a second."""

    rows: Rows  # DESTINATION
    log: Rows  # TENTH, of what is no longer counted in the rows
    slots: U64  # index of the rows
    hashes: U64  # scratch, one for each packet of a batch
    used: I64  # counters, indices below


NEXT_DESTINATION, NEXT_TENTH, ARRIVALS_BEGIN_NS, ARRIVALS_END_NS, PACKETS_PASSED, ARRIVALS_USED_SIZE = range(6)


# The first packet of a flow and its key, in one cache line. A flood of one-packet flows needs no more memory than this.
FLOW = np.dtype(
    [
        ("initiator", "<u4"),  # IPv4 address; over IPv6 or in a tunnel the ADDRESSES row with both addresses
        ("responder", "<u4"),
        ("initiator_port", "<u2"),
        ("responder_port", "<u2"),
        ("network", "<u4"),  # VLAN tags and kinds.py NETWORK_ bits: the rest of the key
        ("first_seen_ns", "<i8"),
        ("start_clock_ns", "<i8"),  # capture clock at the first packet
        ("prefix", "<u8"),  # of the payload, see first_word in dialogue.py; for a SYN without payload the signature of its options
        ("more_row", "<u4"),  # MORE row + 1; 0: this is a one-packet flow
        ("octets", "<u4"),  # IP total length
        ("payload_octets", "<u4"),
        ("tcp_seq", "<u4"),
        ("tcp_window", "<u2"),  # as sent
        ("window_shift", "u1"),  # + 1; 0 unknown
        ("protocol", "u1"),
        ("ttl", "u1"),
        ("flags", "u1"),  # TCP flags; ICMP type
        ("payload_kind", "u1"),  # payload.py
        ("origin", "u1"),  # kinds.py BASIS_ and ORIGIN_ bits
    ]
)

# The endpoints of a flow over IPv6 or in a tunnel, whose addresses do not fit its FLOW row; for a flow in a tunnel the next row
# has the tunnel's own endpoints, as in the flow's first packet.
ADDRESSES = np.dtype([("initiator_hi", "<u8"), ("initiator_lo", "<u8"), ("responder_hi", "<u8"), ("responder_lo", "<u8")])

# The fields of a flow of two or more packets beyond its FLOW row. For a one-packet flow they are computed on demand (copy_fields).
MORE = np.dtype(
    [
        ("initiator_packets", "<u8"),
        ("responder_packets", "<u8"),
        ("initiator_octets", "<u8"),  # IP total length
        ("responder_octets", "<u8"),
        ("initiator_payload_octets", "<u8"),
        ("responder_payload_octets", "<u8"),
        ("last_seen_ns", "<i8"),
        ("last_clock_ns", "<i8"),  # capture clock at the last packet
        ("max_gap_ns", "<i8"),  # longest silence inside the flow, capture clock
        ("parent", "<i8"),  # row of the flow that this one continues after a timeout; -1 none
        ("initiator_prefix", "<u8"),  # of each direction's first payload, see first_word in dialogue.py
        ("responder_prefix", "<u8"),
        ("initiator_isn", "<u4"),
        ("initiator_next_seq", "<u4"),
        ("responder_next_seq", "<u4"),
        ("tcp_options", "<u4"),  # signature of the initiator's SYN
        ("syn_packets", "<u4"),
        ("rst_packets", "<u4"),
        ("post_close_packets", "<u4"),
        ("incoherent_packets", "<u4"),  # sequence number more than 1 MiB away from the direction's progress
        ("initiator_payload_packets", "<u4"),
        ("responder_payload_packets", "<u4"),
        ("initiator_small_packets", "<u4"),  # 1-64 bytes of payload
        ("small_window_packets", "<u4"),  # initiator's packets after its first payload with a window <= 1024 bytes
        ("requests", "<u4"),  # HTTP request heads begun, HTTP/2 HEADERS, SIP requests
        ("responses", "<u4"),  # status lines of HTTP and SIP, HTTP/2 HEADERS
        ("error_responses", "<u4"),  # ... of status 4xx and 5xx
        ("same_path_requests", "<u4"),  # for the same path as the first request
        ("path_hash", "<u4"),  # of the first request's path without query
        ("query_hash", "<u4"),  # of its whole target
        ("resets", "<u4"),  # HTTP/2 streams that the initiator cancelled
        ("continuations", "<u4"),  # HTTP/2 CONTINUATION frames of the initiator
        ("denied_responses", "<u2"),  # of status 401, 403, 407 and 429; saturates at 65,535
        ("varied_requests", "<u2"),  # for the first one's path with a different query; saturates at 65,535
        ("stage", "<u2"),  # kinds.py STAGE_ bits of the TCP dialogue
        ("end_reason", "u1"),  # kinds.py END_
        ("ttl_min", "u1"),
        ("ttl_max", "u1"),
        ("initiator_payload_kind", "u1"),  # payload.py
        ("responder_payload_kind", "u1"),
        ("tcp_flags_initiator", "u1"),  # union over packets
        ("tcp_flags_responder", "u1"),
        ("window_shift_initiator", "u1"),  # + 1; 0 unknown
        ("window_shift_responder", "u1"),
    ],
    align=True,
)

# What one destination received of one kind of traffic, in one cache line.
DESTINATION = np.dtype(
    [
        ("hi", "<u8"),
        ("lo", "<u8"),
        ("birth", "<u8"),  # number of its first packet, counted over all captures
        ("packets", "<u8"),
        ("tenth", "<i8"),  # of a second, counted from the epoch: the one that is being counted
        ("tenth_octets", "<u8"),  # IP total length
        ("tenth_packets", "<u4"),
        ("ip_version", "u1"),
        ("kind", "u1"),  # kinds.py, traffic kind
        ("spare", "<u2"),
        ("spares", "<u8"),  # so that no row lies in two cache lines
    ]
)

# What a row of DESTINATION received in a tenth of a second; there may be several entries for the same.
TENTH = np.dtype(
    [
        ("when", "<i8"),  # tenth of a second since the epoch << 24 | packets
        ("row", "<u4"),
        ("octets", "<u4"),  # IP total length
    ]
)


def new_records(packets: int = BATCH) -> Records:
    """Return space for framing, by default for one batch."""
    times_and_lengths = [np.zeros(packets, np.int64) for _ in range(5)]
    return Records(*times_and_lengths, np.zeros(packets, np.int32))  # type: ignore[call-arg] # five and one are six


def new_headers(packets: int = BATCH) -> Headers:
    """Return space for decoding, by default for one batch."""
    types = (*["u1"] * 8, *["u8"] * 4, "u2", "u2", "u4", *["i8"] * 5, "u4", "u4", "u2", "u4", "u4", "u1", "u1", *["u8"] * 4)
    return Headers(*(np.zeros(packets, code) for code in types))


def new_interfaces() -> Interfaces:
    """Return space for all interfaces that a pcapng section can number with 16 bits."""
    links, lengths, resolutions, offsets, drops = (np.zeros(1 << 16, code) for code in ("i4", "i8", "i4", "i8", "i8"))
    return Interfaces(links, lengths, resolutions, offsets, drops)


def new_tally() -> Tally:
    """Return the counters of one capture at zero."""
    totals = np.array([0, 0, np.iinfo(np.int64).max, -1], np.int64)
    counts = [np.zeros(size, np.int64) for size in (OUTCOMES, OUTCOMES, REMARKS, REMARKS, 1 << 16, 1 << 16)]
    return Tally(totals, counts[0], counts[1] - 1, counts[2], counts[3] - 1, counts[4], counts[5], np.zeros(1, np.int64))
