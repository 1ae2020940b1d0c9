"""Parse what the decoder and the anonymiser must understand alike: lengths of IP headers, IPv6 extension headers, TCP options.

Whatever one of them takes for a header and the other for payload would be kept where it should be removed. Each caller tests for itself
what was captured: the decoder distinguishes a header that is cut from one that is invalid, the anonymiser copies as much as there is.
"""

import numpy as np

from floodmark_core._jit import step
from floodmark_core.buffers.access import big16
from floodmark_core.columns import U8
from floodmark_core.protocols import AH

# IPv6 extension headers (RFC 8200 section 4, and the IANA list): all but the fragment header give their length in units of 8 bytes.
HOP_BY_HOP, ROUTING, V6_FRAGMENT, DESTINATION, MOBILITY, HIP, SHIM6 = 0, 43, 44, 60, 135, 139, 140

# Fields of headers that say which fragment this is: IPv4 (RFC 791 section 3.1), IPv6 (RFC 8200 section 4.5).
V4_OFFSET, V4_MORE = 0x1FFF, 0x2000
V6_OFFSET, V6_MORE = 0xFFF8, 0x0001

OPTION_LIST_END, OPTION_NOP, OPTION_MSS, OPTION_WINDOW_SCALE = 0, 1, 2, 3  # of TCP: RFC 9293 section 3.2, RFC 7323 section 2


@step
def ipv4_lengths(block: U8, at: int, wire_end: int) -> tuple[int, int]:
    """Read the lengths in an IPv4 header (RFC 791 section 3.1). Returns (bytes of the header, 0 if it is invalid; bytes of the packet)."""
    header = (block[at] & 0x0F) * 4  # in 32-bit words
    total = big16(block, at + 2)
    if total == 0:  # segmentation offload: the network card fills in the length later
        total = wire_end - at
    return (0 if header < 20 or header > total else header), total


@step
def ipv6_stop(block: U8, at: int, wire_end: int) -> int:
    """Return where an IPv6 packet says that it ends (RFC 8200 section 3), which may lie beyond ``wire_end``."""
    length = big16(block, at + 4)
    if length == 0 and (block[at + 6] == HOP_BY_HOP or wire_end - at > 40 + 0xFFFF):  # jumbogram (RFC 2675), or segmentation offload
        return wire_end
    return at + 40 + length


@step
def is_extension(protocol: int) -> bool:
    """Return whether a protocol number is that of an IPv6 extension header that another header follows."""
    return protocol in (HOP_BY_HOP, ROUTING, V6_FRAGMENT, DESTINATION, MOBILITY, HIP, SHIM6, AH)


@step
def extension_header(block: U8, at: int, protocol: int) -> tuple[int, int, int]:
    """Read an IPv6 extension header, whose first 8 bytes are in the block.

    Returns (protocol of what follows, bytes of the header, V6_OFFSET and V6_MORE bits: 0 if the packet is not fragmented).
    """
    following, length = np.int64(block[at]), np.int64(block[at + 1])
    if protocol == V6_FRAGMENT:
        return following, 8, big16(block, at + 2) & (V6_OFFSET | V6_MORE)
    return following, (length + 2) * 4 if protocol == AH else (length + 1) * 8, 0  # RFC 4302 section 2.2: 32-bit words minus two


@step
def tcp_option(block: U8, at: int, end: int) -> tuple[int, int]:
    """Read a TCP option before ``end`` (RFC 9293 section 3.1). Returns (kind, its bytes: 0 if it is the end, cut or invalid)."""
    kind = np.int64(block[at])
    if kind == OPTION_NOP:
        return kind, 1
    if kind == OPTION_LIST_END or at + 1 >= end or block[at + 1] < 2 or at + block[at + 1] > end:
        return kind, 0
    return kind, np.int64(block[at + 1])
