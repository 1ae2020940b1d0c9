"""Verify a packet's checksums (RFC 1071).

Wrong checksums are counted but not acted upon: a host with checksum offload shows wrong ones in its own captures, and a packet with a
wrong one still loads the link. The IPv4 header is checked, and TCP, UDP and ICMP in complete packets: no fragment, no tunnel, not
truncated.
"""

import numpy as np

from floodmark_core._jit import step
from floodmark_core.buffers.access import big16, big64
from floodmark_core.columns import U8, Headers, Records
from floodmark_core.protocols import ICMP, ICMPV6, TCP, UDP

GOOD, BAD, NOT_CHECKED = 0, 1, 2


@step
def byte_sum(block: U8, at: int, end: int) -> int:
    """Sum bytes as 16-bit words, big endian, an odd one at the end padded with zero. The sum is not yet folded."""
    total = np.uint64(0)
    while at + 8 <= end:
        word = big64(block, at)
        total += (word >> np.uint64(32)) + (word & np.uint64(0xFFFFFFFF))
        at += 8
    total = (total & np.uint64(0xFFFFFFFF)) + (total >> np.uint64(32))
    while at + 2 <= end:
        total += np.uint64(big16(block, at))
        at += 2
    if at < end:
        total += np.uint64(block[at]) << np.uint64(8)
    return np.int64(total)


@step
def is_right(total: int) -> bool:
    """Return whether the sum over everything that a checksum covers, including the checksum itself, is correct."""
    for _ in range(4):
        total = (total & 0xFFFF) + (total >> 16)
    return bool(total == 0xFFFF)


@step
def address_sum(hi: int, lo: int) -> int:
    """Sum an address as 16-bit words."""
    hi, lo = np.uint64(hi), np.uint64(lo)
    half = np.uint64(0xFFFFFFFF)
    return np.int64((hi & half) + (hi >> np.uint64(32)) + (lo & half) + (lo >> np.uint64(32)))


@step
def check_header(block: U8, i: int, records: Records, headers: Headers) -> int:
    """Check the header checksum of the outermost IP packet. Returns GOOD, BAD or NOT_CHECKED."""
    at = headers.ip_at[i]
    if block[at] >> 4 != 4:
        return NOT_CHECKED
    end = at + 4 * np.int64(block[at] & 15)
    if end > records.frame_at[i] + records.captured_length[i]:
        return NOT_CHECKED
    return GOOD if is_right(byte_sum(block, at, end)) else BAD


@step
def check_transport(block: U8, i: int, records: Records, headers: Headers) -> int:
    """Check the TCP, UDP or ICMP checksum of a packet. Returns GOOD, BAD or NOT_CHECKED."""
    at, protocol = headers.ip_at[i], np.int64(headers.protocol[i])
    stop = at + headers.ip_bytes[i]
    if headers.tunnel[i] or headers.fragment[i] or stop > records.frame_at[i] + records.captured_length[i]:
        return NOT_CHECKED
    if block[at] >> 4 == 4:
        at += 4 * np.int64(block[at] & 15)
    elif block[at + 6] == protocol:  # no extension headers
        at += 40
    else:
        return NOT_CHECKED
    if at + 8 > stop or protocol not in (ICMP, TCP, UDP, ICMPV6) or (protocol == UDP and big16(block, at + 6) == 0):
        return NOT_CHECKED
    if protocol == UDP:  # its own length field applies, if plausible
        if not 8 <= big16(block, at + 4) <= stop - at:
            return NOT_CHECKED
        stop = at + big16(block, at + 4)
    total = byte_sum(block, at, stop)
    if protocol != ICMP:
        ends = address_sum(headers.src_hi[i], headers.src_lo[i]) + address_sum(headers.dst_hi[i], headers.dst_lo[i])
        total = (total & 0xFFFFFFFF) + (total >> 32) + ends + protocol + stop - at
    return GOOD if is_right(total) else BAD
