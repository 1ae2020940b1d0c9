"""Rewrite the frames of a capture block from an allow-list: only known fields that classification needs are kept.

Frames become Ethernet frames: a link header of any other kind, whatever its tags and encapsulations, becomes an Ethernet header with the
VLANs that were read. Of IP and transport headers the fields are kept, of their options kinds and lengths, of tunnels the headers
between one IP packet and the next; addresses and whatever else needs a key are noted (sketching.Places).
"""

from typing import NamedTuple

import numpy as np

from floodmark_core import kinds
from floodmark_core._jit import kernel, step
from floodmark_core.blanking.sketching import (
    MACS,
    MOST_PLACES,
    SUMS,
    TEXTS,
    V4,
    V6,
    WORDS,
    Places,
    sketch,
)
from floodmark_core.buffers.access import big16, big64
from floodmark_core.buffers.writing import copy_bytes, put_big16
from floodmark_core.columns import BATCH, I32, I64, U8, Framing, Records
from floodmark_core.packets.checksums import address_sum, byte_sum
from floodmark_core.packets.headers import (
    OPTION_LIST_END,
    OPTION_MSS,
    OPTION_NOP,
    OPTION_WINDOW_SCALE,
    V4_MORE,
    V4_OFFSET,
    V6_FRAGMENT,
    V6_OFFSET,
    extension_header,
    ipv4_lengths,
    ipv6_stop,
    is_extension,
    tcp_option,
)
from floodmark_core.packets.links import (
    ETHERNET,
    ETHERNET_FRAME,
    TYPE_IPV4,
    TYPE_IPV6,
    TYPE_MACSEC,
    TYPE_MPLS,
    TYPE_QINQ,
    TYPE_QINQ_OLD,
    TYPE_QINQ_OLDER,
    TYPE_VLAN,
    unwrap,
)
from floodmark_core.packets.tunnels import (
    carries,
    in_gre,
    in_udp,
    inner_packet,
)
from floodmark_core.protocols import DCCP, ETHERNET_IN_IP, GRE, ICMP, ICMPV6, SCTP, TCP, UDP, UDP_LITE
from floodmark_core.records.framing import frame_batch
from floodmark_core.status import IN_FLOW, STOP_BATCH_FULL

MOST_ADDED = 64  # bytes that a frame can grow by
UNKNOWN_LINK = 0xFFFF
_MAC_BYTES = 12  # of both addresses
_NOP = 1  # option of an IPv4 header (RFC 791 section 3.1)
_NO_TRANSPORT = 255  # stored as the protocol of a later fragment


class Frames(NamedTuple):
    """Blanked frames: position, time, lengths and link type of each."""

    frame_at: I64
    time_ns: I64
    captured_length: I64
    wire_length: I64
    link_type: I32


class Blanked(NamedTuple):
    """What blanking a block fills."""

    nbytes: U8  # zero at first, with space for the block and :data:`MOST_ADDED` more bytes per frame
    frames: Frames
    places: Places


def new_frames(count: int) -> Frames:
    """Return space for ``count`` frames."""
    return Frames(*(np.zeros(count, code) for code in ("i8", "i8", "i8", "i8", "i4")))


@step
def note(places: Places, kind: int, rows: I64, at: int) -> None:
    """Note the position of an address."""
    rows[places.used[kind]] = at
    places.used[kind] += 1


@kernel
def blank_link(block: U8, start: int, at: int, end: int, link_type: int, what: int, vlan: int, out: U8, to: int, places: Places) -> int:
    """Write the link header of a frame. at: position of its content. what: its EtherType. Returns the position after the header."""
    if link_type == ETHERNET and start + 14 <= end:
        place = start + 12
        while place + 6 <= end and big16(block, place) in (TYPE_VLAN, TYPE_QINQ, TYPE_QINQ_OLD, TYPE_QINQ_OLDER):
            place += 4
        if place + 2 == at or what not in (TYPE_IPV4, TYPE_IPV6):
            copy_bytes(block, start, place + 2, out, to)
            note(places, MACS, places.macs, to)
            note(places, MACS, places.macs, to + 6)
            return to + place + 2 - start
        copy_bytes(block, start, start + _MAC_BYTES, out, to)
        note(places, MACS, places.macs, to)
        note(places, MACS, places.macs, to + 6)
    else:
        out[to] = out[to + 6] = 2  # locally administered
    to += _MAC_BYTES
    for shift in (12, 0):
        tag = (vlan >> shift) & 0xFFF
        if tag:
            put_big16(out, to, TYPE_VLAN)
            put_big16(out, to + 2, tag)
            to += 4
    put_big16(out, to, what if what >= 0x600 else 0)
    return to + 2


@kernel
def blank_ipv4(block: U8, at: int, end: int, wire_end: int, out: U8, to: int, places: Places) -> tuple[int, int, int, int]:
    """Write an IPv4 header.

    Returns (its length in bytes, 0 if it is invalid; end of the packet on the wire; protocol; fragment flag and offset).
    """
    if at + 20 > end or block[at] >> 4 != 4:
        out[to] = block[at]
        return 0, at, 0, 0
    header, total = ipv4_lengths(block, at, wire_end)
    copy_bytes(block, at, at + 12, out, to)
    if header == 0:
        out[to + 10] = out[to + 11] = 0  # a checksum over addresses that are left out
        return 0, at, 0, 0
    copy_bytes(block, at + 12, at + 20, out, to + 12)
    note(places, V4, places.v4, to + 12)
    note(places, V4, places.v4, to + 16)
    out[to + 20 : to + min(header, end - at)] = _NOP
    return header, min(at + total, wire_end), np.int64(block[at + 9]), big16(block, at + 6) & (V4_OFFSET | V4_MORE)


@kernel
def blank_ipv6(block: U8, at: int, end: int, wire_end: int, out: U8, to: int, places: Places) -> tuple[int, int, int, int]:
    """Write an IPv6 header and its extension headers. Returns as :func:`blank_ipv4` does."""
    if at + 40 > end or block[at] >> 4 != 6:
        out[to] = block[at]
        return 0, at, 0, 0
    start = at
    out[to], out[to + 1] = block[at], block[at + 1] & 0xF0
    copy_bytes(block, at + 4, at + 40, out, to + 4)
    note(places, V6, places.v6, to + 8)
    note(places, V6, places.v6, to + 24)
    stop, fragment = min(ipv6_stop(block, at, wire_end), wire_end), 0
    protocol = np.int64(block[at + 6])
    at += 40
    while is_extension(protocol):
        if at + 8 > min(stop, end):
            return 0, at, 0, 0
        following, size, field = extension_header(block, at, protocol)
        copy_bytes(block, at, at + (8 if protocol == V6_FRAGMENT else 2), out, to + at - start)
        if at + size > min(stop, end):
            return 0, at, 0, 0
        fragment = field or fragment
        if field & V6_OFFSET:
            return at + size - start, stop, following, fragment
        protocol = following
        at += size
    return at - start, stop, protocol, fragment


@kernel
def blank_tcp(block: U8, at: int, end: int, stop: int, out: U8, to: int) -> int:
    """Write a TCP header with its option kinds and the values of MSS and window scale. Returns its length in bytes, 0 if incomplete."""
    copy_bytes(block, at, min(at + 20, end, stop), out, to)
    if at + 20 > min(end, stop):
        return 0
    header = np.int64(block[at + 12] >> 4) * 4
    if header < 20 or at + header > stop:
        return 0
    place, last = at + 20, min(at + header, end)
    while place < last:
        kind, length = tcp_option(block, place, last)
        out[to + place - at] = kind
        if kind not in (OPTION_LIST_END, OPTION_NOP) and place + 1 < last:
            out[to + place + 1 - at] = block[place + 1]  # also an invalid length, so that the decoder still takes it for one
        if length == 0:
            break
        if (kind == OPTION_MSS and length == 4) or (kind == OPTION_WINDOW_SCALE and length == 3):
            copy_bytes(block, place + 2, place + length, out, to + place + 2 - at)
        place += length
    return header


@kernel
def blank_transport(block: U8, at: int, end: int, stop: int, protocol: int, sketched: bool, out: U8, to: int, places: Places) -> int:
    """Write a transport header and, if ``sketched``, a sketch of its payload. Returns the position after the header."""
    header, last = 0, min(end, stop)
    src_port, dst_port = 0, 0
    if protocol == TCP:
        header = blank_tcp(block, at, end, stop, out, to)
    elif protocol in (UDP, UDP_LITE, ICMP, ICMPV6):
        copy_bytes(block, at, min(at + 8, last), out, to)
        header = 8 if at + 8 <= last else 0
        if header and protocol == ICMP and block[at] == 5:  # a redirect names a gateway
            out[to + 4 : to + 8] = 0
        if header and protocol == UDP_LITE:
            out[to + 6] = out[to + 7] = 0
    elif protocol in (SCTP, DCCP):
        copy_bytes(block, at, min(at + 4, last), out, to)
        header = 4
    if protocol in (TCP, UDP, ICMP, ICMPV6) and header == 0:
        return to + max(last - at, 0)
    if protocol in (TCP, UDP):
        src_port, dst_port = big16(block, at), big16(block, at + 2)
    if sketched:
        sketch(block, at + header, last, protocol, stop - at - header, src_port, dst_port, out, to + header, places)
    return to + min(header, last - at)


@kernel
def blank_udp_tunnel(block: U8, at: int, frame_at: int, out: U8, to: int, tunnel: int) -> None:
    """Zero what the header of a tunnel over UDP holds besides its own fields. at: position of the UDP header."""
    begin, stop = to + 8, to + frame_at - at
    if tunnel == kinds.TUNNEL_GENEVE:  # options may hold anything
        out[begin + 8 : stop] = 0
    elif tunnel == kinds.TUNNEL_TEREDO:  # identities, and the address of a client; the lengths of an authentication are kept
        out[begin + (4 if big16(block, at + 8) == 1 else 0) : stop] = 0
    elif tunnel == kinds.TUNNEL_L2TP and block[at + 8] & 2:  # padding
        field = at + 14 + (2 if block[at + 8] & 0x40 else 0) + (4 if block[at + 8] & 8 else 0)
        out[to + field + 2 - at : stop] = 0
    elif tunnel == kinds.TUNNEL_GTP and block[at + 8] & 4:  # the lengths and next types of extension headers are kept
        place = at + 20
        while place < frame_at and block[place]:
            following = place + 4 * np.int64(block[place])
            out[to + place + 1 - at : to + min(following, frame_at) - 1 - at] = 0
            place = following


@kernel
def blank_between(block: U8, at: int, place: int, protocol: int, out: U8, to: int, places: Places) -> None:
    """Write the headers between an IP header and the packet in its tunnel, and note the MAC addresses of the frames there."""
    copy_bytes(block, at, place, out, to)
    frame_at, what = place, 0
    if protocol == UDP:
        tunnel, frame_at, what = in_udp(block, at, place)
        blank_udp_tunnel(block, at, frame_at, out, to, tunnel)
    elif protocol == GRE:
        _, frame_at, what = in_gre(block, at, place)
        if block[at] & 0x80:  # a checksum
            out[to + 4] = out[to + 5] = 0
    elif protocol == ETHERNET_IN_IP:
        frame_at, what = at + 2, ETHERNET_FRAME
    if what == ETHERNET_FRAME and frame_at + 14 <= place:
        note(places, MACS, places.macs, to + frame_at - at)
        note(places, MACS, places.macs, to + frame_at + 6 - at)
        if big16(block, frame_at + 12) == TYPE_MACSEC and place - frame_at >= 28:
            out[to + frame_at + 20 - at : to + frame_at + 28 - at] = 0  # who sent it
        frame_at += 14
    elif what == TYPE_MPLS:
        while frame_at + 4 <= place and not block[frame_at + 2] & 1:
            frame_at += 4
        frame_at += 4
    kind_at = place - 2  # the EtherType of the innermost frame, if there is one more
    while kind_at - 4 > frame_at and big16(block, kind_at - 4) in (TYPE_VLAN, TYPE_QINQ, TYPE_QINQ_OLD, TYPE_QINQ_OLDER):
        kind_at -= 4
    if what in (ETHERNET_FRAME, TYPE_MPLS) and kind_at - _MAC_BYTES >= frame_at:
        note(places, MACS, places.macs, to + kind_at - 12 - at)
        note(places, MACS, places.macs, to + kind_at - 6 - at)


@step
def note_sums(places: Places, to: int, version: int, header: int, end: int, protocol: int) -> None:
    """Note what the checksums of a packet cover."""
    row = places.used[SUMS]
    places.sums[row, 0], places.sums[row, 1], places.sums[row, 2] = to, version, to + header
    places.sums[row, 3], places.sums[row, 4] = end, protocol
    places.used[SUMS] = row + 1


@kernel
def blank_packets(
    block: U8, at: int, end: int, wire_end: int, what: int, depth: int, sketched: bool, out: U8, to: int, places: Places
) -> int:
    """Write an IP packet, and those in its tunnels. Returns the position after the last header."""
    shift, opened = to - at, 0  # output position minus input position
    while True:
        if what == TYPE_IPV4:
            header, stop, protocol, fragment = blank_ipv4(block, at, end, wire_end, out, at + shift, places)
            later = fragment & V4_OFFSET
        else:
            header, stop, protocol, fragment = blank_ipv6(block, at, end, wire_end, out, at + shift, places)
            later = fragment & V6_OFFSET
        begin = at + header
        if header == 0 or begin > end:
            return end + shift
        is_whole = not fragment and stop <= end and (what == TYPE_IPV4 or header == 40)
        transport = _NO_TRANSPORT if later else protocol if is_whole else -1 - protocol
        note_sums(places, at + shift, 4 if what == TYPE_IPV4 else 6, header, min(stop, end) + shift, transport)
        if later or begin == end:
            return begin + shift
        tunnel = 0
        if protocol != TCP and opened < depth and not fragment and carries(protocol):
            tunnel, inner, inner_what, _ = inner_packet(block, begin, end, stop, protocol)
        if tunnel == 0:
            return blank_transport(block, begin, end, stop, protocol, sketched, out, begin + shift, places)
        blank_between(block, begin, inner, protocol, out, begin + shift, places)
        opened += 1
        at, what, wire_end = inner, inner_what, stop


@kernel
def blank_frame(block: U8, i: int, records: Records, depth: int, sketched: bool, out: U8, to: int, places: Places) -> tuple[int, int, int]:
    """Write a record's frame. Returns (bytes captured, bytes on the wire, link type)."""
    start = records.frame_at[i]
    end, link_type, on_wire = start + records.captured_length[i], np.int64(records.link_type[i]), records.wire_length[i]
    if link_type < 0:
        return end - start, on_wire, UNKNOWN_LINK
    outcome, place, what, vlan = unwrap(block, start, end, link_type)
    if outcome != IN_FLOW and end - start < 14:
        return end - start, on_wire, ETHERNET
    is_ip = outcome == IN_FLOW and what in (TYPE_IPV4, TYPE_IPV6)
    place = min(place, end)
    head = blank_link(
        block, start, place, end, link_type, what if is_ip or link_type == ETHERNET else min(what, 0x5FF), vlan, out, to, places
    )
    if not is_ip and link_type == ETHERNET:
        place = start + head - to
    stop = head + end - place
    if is_ip and place < end:
        last = blank_packets(block, place, end, start + max(on_wire, end - start), what, depth, sketched, out, head, places)
        stop = stop if sketched else min(last, stop)
    return stop - to, head - to + max(on_wire - (place - start), 0), ETHERNET


@step
def has_room(places: Places, frames: int) -> bool:
    """Return whether there is space for the places of ``frames`` more frames."""
    needed = MOST_PLACES * frames
    return bool(
        places.used[V4] + needed <= len(places.v4)
        and places.used[V6] + needed <= len(places.v6)
        and places.used[MACS] + needed <= len(places.macs)
        and places.used[WORDS] + needed <= len(places.words)
        and places.used[TEXTS] + needed <= len(places.texts)
        and places.used[SUMS] + needed <= len(places.sums)
    )


@kernel
def blank_block(block: U8, at: int, base: int, framing: Framing, depth: int, sketched: bool, blanked: Blanked) -> tuple[int, int, int]:
    """Blank the records of a block from ``at`` on.

    depth: maximum number of nested tunnels over IP to look into. sketched: keep a sketch of payloads. Returns (position, status.py STOP_
    code, frames); the code is STOP_BATCH_FULL if what follows may not fit.
    """
    layout, interfaces, records, tally = framing
    out, frames, places = blanked
    count, to = 0, 0
    while True:
        if not has_room(places, BATCH) or count + BATCH > len(frames.frame_at):
            return at, STOP_BATCH_FULL, count
        n, at, stop = frame_batch(block, at, base, layout, interfaces, records, tally)
        for i in range(n):
            captured, on_wire, link_type = blank_frame(block, i, records, depth, sketched, out, to, places)
            frames.frame_at[count], frames.time_ns[count], frames.link_type[count] = to, records.time_ns[i], link_type
            frames.captured_length[count], frames.wire_length[count] = captured, max(on_wire, captured)
            to += captured
            count += 1
        if stop != STOP_BATCH_FULL:
            return at, stop, count


@step
def folded(total: int) -> int:
    """Return the checksum for a sum (RFC 1071)."""
    for _ in range(4):
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@kernel
def repair_checksums(out: U8, places: Places, whole: bool) -> None:
    """Recompute the checksums of blanked packets, those of packets in tunnels before those of the tunnels' own.

    whole: payloads are present. Transport checksums over missing payload become zero: the original ones reveal something about it.
    """
    for place in range(places.used[SUMS] - 1, -1, -1):
        row = places.sums[place]
        at, version, transport, end, protocol = row[0], row[1], row[2], row[3], row[4]
        if version == 4:
            put_big16(out, at + 10, 0)
            put_big16(out, at + 10, folded(byte_sum(out, at, transport)))
        covered = whole and protocol >= 0  # everything that the checksum covers is present
        protocol = protocol if protocol >= 0 else -1 - protocol
        if protocol not in (TCP, UDP, ICMP, ICMPV6) or transport + 8 > end:
            continue
        field = transport + (16 if protocol == TCP else 6 if protocol == UDP else 2)
        if field + 2 > end or (protocol == UDP and big16(out, field) == 0):  # UDP over IPv4 may omit it
            continue
        if protocol == UDP and 8 <= big16(out, transport + 4) <= end - transport:  # its own length applies, if plausible
            end = transport + big16(out, transport + 4)
        put_big16(out, field, 0)
        if not covered:
            continue
        total = byte_sum(out, transport, end)
        if protocol != ICMP:
            if version == 4:
                ends = byte_sum(out, at + 12, at + 20)
            else:
                ends = address_sum(big64(out, at + 8), big64(out, at + 16)) + address_sum(big64(out, at + 24), big64(out, at + 32))
            total = (total & 0xFFFFFFFF) + (total >> 32) + ends + protocol + end - transport
        value = folded((total & 0xFFFFFFFF) + (total >> 32))
        put_big16(out, field, 0xFFFF if value == 0 and protocol == UDP else value)
