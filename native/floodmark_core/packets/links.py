"""Find the IP packet in a frame: step over the link header and every encapsulation between it and IP.

Link types are those of the tcpdump group's registry. An Ethernet frame that carries IP directly is handled in decode.py, so that the
common case stays small; all others come here. Input is hostile: each header is checked against the end before it is read, and each loop
iteration moves forward.
"""

from floodmark_core._jit import kernel, step
from floodmark_core.buffers.access import big16, big32, host16, host32
from floodmark_core.columns import U8
from floodmark_core.status import IN_FLOW, LINK_HEADER_CUT, LINK_TYPE_UNKNOWN, NOT_IP

NULL, ETHERNET, TOKEN_RING, SLIP, PPP, FDDI, RAW_BSD, RAW_OPENBSD = 0, 1, 6, 8, 9, 10, 12, 14
PPP_HDLC, PPPOE, ATM_RFC1483, RAW, CISCO_HDLC, IEEE802_11, FRAME_RELAY, LOOP, ENC = 50, 51, 100, 101, 104, 105, 107, 108, 109
LINUX_COOKED, PFLOG, PRISM, IP_OVER_FC, RADIOTAP, FIREWIRE, AVS, PPI = 113, 117, 119, 122, 127, 138, 163, 192
PPP_WITH_DIRECTION, CISCO_HDLC_WITH_DIRECTION, FRAME_RELAY_WITH_DIRECTION = 204, 205, 206
IPV4, IPV6, NFLOG, IPOIB, LINUX_COOKED_2 = 228, 229, 239, 242, 276
DSA_BROADCOM, DSA_BROADCOM_BEFORE, DSA_MARVELL, DSA_MARVELL_TYPED = 281, 282, 284, 285  # a switch's tag in or before the Ethernet header
# Link types that carry no IP packets: AX.25, MTP, BACnet, Bluetooth, LAPD, USB, CAN, IEEE 802.15.4, serial and industrial buses,
# InfiniBand, Fibre Channel, smart cards, netlink, D-Bus, television.
WITHOUT_IP = (
    3, 139, 140, 141, 142, 165, 169, 177, 184, 186, 187, 189, 190, 191, 195, 196, 198, 201, 202, 203, 209, 210, 211, 212, 215, 220, 224,
    225, 227, 230, 231, 235, 237, 243, 245, 247, 248, 249, 250, 251, 253, 254, 255, 256, 257, 262, 263, 264, 265, 272, 275, 278, 279,
    283, 287, 288,
)  # fmt: skip

# EtherTypes; 0x9100 and 0x9200 are the older QinQ tags.
TYPE_IPV4, TYPE_IPV6, TYPE_VLAN, TYPE_QINQ, TYPE_QINQ_OLD, TYPE_QINQ_OLDER = 0x0800, 0x86DD, 0x8100, 0x88A8, 0x9100, 0x9200
TYPE_ARP, TYPE_MPLS, TYPE_MPLS_MULTICAST, TYPE_PPPOE, TYPE_PPP = 0x0806, 0x8847, 0x8848, 0x8864, 0x880B
TYPE_BACKBONE, TYPE_PORT_TAG, TYPE_VN_TAG = 0x88E7, 0x893F, 0x8926  # IEEE 802.1ah, 802.1BR, Cisco's VN-tag
TYPE_FABRIC_PATH, TYPE_MACSEC = 0x8903, 0x88E5
LEAST_TYPE = 0x0600  # a smaller number in an Ethernet header is a length: IEEE 802.2 follows
# Layer types that have no EtherType.
ETHERNET_FRAME, LLC, PPP_FRAME, SNAP = 0x10000, 0x10001, 0x10002, 0x10003
# Contents of a frame without IP, as numbers that are not EtherTypes; the other numbers below LEAST_TYPE are link types.
HOLDS_LLC, HOLDS_PROTECTED = 0, 0x05FF

# Protocol families in a NULL or LOOP header: 2 is IPv4 everywhere, IPv6 is 24 NetBSD and OpenBSD, 28 FreeBSD, 30 Darwin, 10 Linux.
FAMILY_IPV4, FAMILY_IPV6_NETBSD, FAMILY_IPV6_FREEBSD, FAMILY_IPV6_DARWIN, FAMILY_IPV6_LINUX = 2, 24, 28, 30, 10


@step
def type_of_family(family: int) -> int:
    """Return the EtherType of a protocol family, or HOLDS_LLC if it is not IP."""
    if family == FAMILY_IPV4:
        return TYPE_IPV4
    if family in (FAMILY_IPV6_NETBSD, FAMILY_IPV6_FREEBSD, FAMILY_IPV6_DARWIN, FAMILY_IPV6_LINUX):
        return TYPE_IPV6
    return HOLDS_LLC


@step
def type_of_version(block: U8, at: int) -> int:
    """Return the EtherType of an IP packet by its version; any version other than 6 is left to the IPv4 parser."""
    return TYPE_IPV6 if block[at] >> 4 == 6 else TYPE_IPV4


@kernel
def radio_frame(block: U8, at: int, end: int, padded: bool) -> tuple[int, int, int]:
    """Step over an IEEE 802.11 header (2020, clause 9.3.2). Returns (outcome, position, type of the next layer).

    padded: the card pads the header to 32 bits (radiotap).
    """
    if at + 2 > end:
        return LINK_HEADER_CUT, at, 0
    control, flags = block[at], block[at + 1]
    if control & 0x0C != 0x08 or control & 0x40:  # not a data frame, or one without data
        return NOT_IP, at, IEEE802_11
    header = 24
    if flags & 0x03 == 0x03:  # from one access point to another: a fourth address
        header += 6
    quality_at = at + header
    if control & 0x80:
        header += 2
        if flags & 0x80:  # HT control
            header += 4
    if padded:
        header = (header + 3) & ~3
    if at + header > end:
        return LINK_HEADER_CUT, at, 0
    if flags & 0x40:
        return NOT_IP, at, HOLDS_PROTECTED
    aggregated = control & 0x80 and block[quality_at] & 0x80
    at += header
    return IN_FLOW, at + 14 if aggregated else at, LLC  # of aggregated frames only the first is read


@kernel
def radiotap_is_padded(block: U8, at: int, end: int) -> bool:
    """Return whether a radiotap header (radiotap.org) reports that the card padded the frame's header."""
    present, field = host32(block, at + 4, 0), at + 8
    words = present
    while words & 0x80000000:  # another word of the same kind follows
        if field + 4 > end:
            return False
        words, field = host32(block, field, 0), field + 4
    if present & 1:  # eight bytes of time, aligned
        field = at + ((field - at + 7) & ~7) + 8
    return bool(present & 2 and field < end and block[field] & 0x20)


@kernel
def nflog_payload(block: U8, at: int, end: int) -> tuple[int, int, int]:
    """Find the packet among the attributes of a netfilter log record. Returns (outcome, position, type of the next layer)."""
    if at + 4 > end:
        return LINK_HEADER_CUT, at, 0
    family = block[at]
    at += 4
    while at + 4 <= end:
        length, kind = host16(block, at, 0), host16(block, at + 2, 0)  # in the byte order of the capturing machine
        if length < 4:
            break
        if kind & 0x7FFF == 9:
            return IN_FLOW, at + 4, type_of_family(family)
        at += (length + 3) & ~3
    return LINK_HEADER_CUT, at, 0


@step
def frame_relay(block: U8, at: int, end: int) -> tuple[int, int, int]:
    """Step over a frame relay header (RFC 2427, or Cisco's form). Returns (outcome, position, type of the next layer)."""
    while at < end and not block[at] & 1:  # the last byte of the address has its lowest bit set
        at += 1
    at += 1
    if at + 2 > end:
        return LINK_HEADER_CUT, at, 0
    if block[at] != 0x03:
        return IN_FLOW, at + 2, big16(block, at)
    at += 1
    if block[at] == 0:  # padding
        at += 1
    if at >= end:
        return LINK_HEADER_CUT, at, 0
    if block[at] == 0xCC:
        return IN_FLOW, at + 1, TYPE_IPV4
    if block[at] == 0x8E:
        return IN_FLOW, at + 1, TYPE_IPV6
    if block[at] == 0x80:
        return IN_FLOW, at + 1, SNAP
    return NOT_IP, at, FRAME_RELAY


@step
def wireless(block: U8, at: int, end: int, link_type: int) -> tuple[int, int, int]:
    """Step over the header that a wireless card puts before the frame. Returns (outcome, position, type of the next layer)."""
    padded = False
    if link_type != IEEE802_11:
        if at + 8 > end:
            return LINK_HEADER_CUT, at, 0
        if link_type == RADIOTAP:
            length = host16(block, at + 2, 0)
            padded = at + length <= end and radiotap_is_padded(block, at, at + length)
        elif big32(block, at) & 0xFFFFF000 == 0x80211000:  # AVS, which is also captured under PRISM's number
            length = big32(block, at + 4)
        else:
            length = host32(block, at + 4, 0)
        if length < 8 or at + length > end:
            return LINK_HEADER_CUT, at, 0
        at += length
    return radio_frame(block, at, end, padded)


@step
def fixed_header(link_type: int) -> tuple[int, int, int]:
    """Return (bytes of a fixed link header, offset of its type or -1, next layer if it has no type); 0 bytes: none of these link types."""
    if link_type == LINUX_COOKED:
        return 16, 14, 0
    if link_type == LINUX_COOKED_2:
        return 20, 0, 0
    if link_type == CISCO_HDLC:
        return 4, 2, 0
    if link_type == CISCO_HDLC_WITH_DIRECTION:
        return 5, 3, 0
    if link_type == IPOIB:  # a global routing header of InfiniBand, then the type and two bytes
        return 44, 40, 0
    if link_type == FIREWIRE:  # RFC 2734: two EUI-64
        return 18, 16, 0
    if link_type in (DSA_BROADCOM, DSA_MARVELL):
        return 18, 16, 0
    if link_type == DSA_MARVELL_TYPED:
        return 22, 20, 0
    if link_type == DSA_BROADCOM_BEFORE:
        return 4, -1, ETHERNET_FRAME
    if link_type == PPP_WITH_DIRECTION:
        return 1, -1, PPP_FRAME
    if link_type == FDDI:
        return 13, -1, LLC
    if link_type == IP_OVER_FC:
        return 16, -1, LLC
    return 0, -1, 0


@kernel
def link_header(block: U8, at: int, end: int, link_type: int) -> tuple[int, int, int]:
    """Step over the link header. Returns (outcome, position, type of the next layer)."""
    header, type_at, follows = fixed_header(link_type)
    if header:
        if at + header > end:
            return LINK_HEADER_CUT, at, 0
        if type_at >= 0:
            follows = big16(block, at + type_at)
            if follows < LEAST_TYPE:  # a length, except for Linux, where 4 is IEEE 802.2 and other numbers are no EtherTypes
                follows = LLC if follows == 4 or link_type not in (LINUX_COOKED, LINUX_COOKED_2) else HOLDS_LLC
        return IN_FLOW, at + header, follows
    if link_type == ETHERNET:
        return IN_FLOW, at, ETHERNET_FRAME
    if link_type in (RAW, RAW_BSD, RAW_OPENBSD, IPV4, IPV6):
        return (IN_FLOW, at, type_of_version(block, at)) if at < end else (LINK_HEADER_CUT, at, 0)
    if link_type in (PPP, PPP_HDLC):
        if at + 4 <= end and block[at] in (0x0F, 0x8F) and block[at + 1] == 0:  # Cisco's HDLC on a PPP line
            return IN_FLOW, at + 4, big16(block, at + 2)
        return IN_FLOW, at, PPP_FRAME
    if link_type in (IEEE802_11, RADIOTAP, PRISM, AVS):
        return wireless(block, at, end, link_type)
    if link_type == FRAME_RELAY:
        return frame_relay(block, at, end)
    if link_type == FRAME_RELAY_WITH_DIRECTION:
        return frame_relay(block, at + 1, end)
    if link_type == PPPOE:
        return IN_FLOW, at, TYPE_PPPOE
    if link_type == ATM_RFC1483:
        return IN_FLOW, at, LLC
    if link_type == NFLOG:
        return nflog_payload(block, at, end)
    if link_type == TOKEN_RING:
        if at + 15 > end:
            return LINK_HEADER_CUT, at, 0
        return IN_FLOW, at + 14 + (block[at + 14] & 0x1F if block[at + 8] & 0x80 else 0), LLC  # plus a source route of that many bytes
    if link_type in (NULL, LOOP, ENC, PFLOG, SLIP):
        return family_header(block, at, end, link_type)
    return (NOT_IP if link_type in WITHOUT_IP else LINK_TYPE_UNKNOWN), at, link_type


@step
def family_header(block: U8, at: int, end: int, link_type: int) -> tuple[int, int, int]:
    """Step over a header with a protocol family, or with none (SLIP). Returns (outcome, position, type of the next layer)."""
    if link_type == SLIP:
        return (IN_FLOW, at + 16, type_of_version(block, at + 16)) if at + 16 < end else (LINK_HEADER_CUT, at, 0)
    if at + 4 > end:
        return LINK_HEADER_CUT, at, 0
    if link_type == PFLOG:  # its length without padding, then the family
        header = (block[at] + 3) & ~3
        return (IN_FLOW, at + header, type_of_family(block[at + 1])) if at + header <= end else (LINK_HEADER_CUT, at, 0)
    # NULL is in the byte order of the capturing machine, which may differ from the file's.
    family = big32(block, at) if block[at] == 0 and block[at + 1] == 0 else host32(block, at, 0)
    if link_type == ENC:
        return (IN_FLOW, at + 12, type_of_family(family)) if at + 12 <= end else (LINK_HEADER_CUT, at, 0)
    return IN_FLOW, at + 4, type_of_family(family)


@kernel
def logical_link(block: U8, at: int, end: int) -> tuple[int, int, int]:
    """Step over an IEEE 802.2 header, which SNAP may follow (RFC 1042). Returns (outcome, position, type of the next layer)."""
    if at + 3 > end:
        return LINK_HEADER_CUT, at, 0
    access = big16(block, at)
    if block[at + 2] != 0x03:
        return NOT_IP, at, HOLDS_LLC
    if access == 0xAAAA:
        return IN_FLOW, at + 3, SNAP
    if access == 0x0606:  # RFC 948
        return IN_FLOW, at + 3, TYPE_IPV4
    if access == 0xFEFE and at + 4 <= end and block[at + 3] in (0xCC, 0x8E):  # RFC 2684: a network layer protocol's number
        return IN_FLOW, at + 4, TYPE_IPV4 if block[at + 3] == 0xCC else TYPE_IPV6
    return NOT_IP, at, HOLDS_LLC


@step
def subnetwork_access(block: U8, at: int, end: int) -> tuple[int, int, int]:
    """Step over a SNAP header. Returns (outcome, position, type of the next layer)."""
    if at + 5 > end:
        return LINK_HEADER_CUT, at, 0
    organisation, kind = big32(block, at) >> 8, big16(block, at + 3)
    if organisation in (0, 0xF8):  # an EtherType; 0xF8: one tunnelled by IEEE 802.1H
        return IN_FLOW, at + 5, kind
    if organisation == 0x80C2 and kind in (1, 7):  # RFC 2427: a bridged Ethernet frame
        return IN_FLOW, at + 5, ETHERNET_FRAME
    return NOT_IP, at, HOLDS_LLC


@step
def point_to_point(block: U8, at: int, end: int) -> tuple[int, int, int]:
    """Step over a PPP header (RFC 1661, compressed fields too). Returns (outcome, position, type of the next layer)."""
    if at + 2 <= end and block[at] == 0xFF and block[at + 1] == 0x03:
        at += 2
    if at + 2 > end:
        return LINK_HEADER_CUT, at, 0
    protocol = big16(block, at)
    if block[at] & 1:
        protocol, at = block[at], at + 1
    else:
        at += 2
    if protocol == 0x21:
        return IN_FLOW, at, TYPE_IPV4
    if protocol == 0x57:
        return IN_FLOW, at, TYPE_IPV6
    if protocol == 0x281:
        return IN_FLOW, at, TYPE_MPLS
    return NOT_IP, at, TYPE_PPP


@step
def is_common_type(ethertype: int) -> bool:
    """Return whether a number is an EtherType expected in pseudowire frames."""
    return ethertype in (TYPE_IPV4, TYPE_IPV6, TYPE_ARP, TYPE_VLAN, TYPE_QINQ, TYPE_MPLS, TYPE_PPPOE)


@kernel
def label_stack(block: U8, at: int, end: int) -> tuple[int, int, int]:
    """Step over MPLS labels (RFC 3032). Returns (outcome, position, type of the next layer).

    Nothing identifies what follows the last label: it is taken for IP by its version if its length is plausible, otherwise for an
    Ethernet pseudowire, with a control word (RFC 4448) if that yields a plausible EtherType.
    """
    while True:
        if at + 4 > end:
            return LINK_HEADER_CUT, at, 0
        last = block[at + 2] & 1
        at += 4
        if last:
            break
    if at >= end:
        return LINK_HEADER_CUT, at, 0
    version = block[at] >> 4
    if version == 4 and (at + 20 > end or (block[at] & 0x0F >= 5 and not is_common_type(big16(block, at + 12)))):
        return IN_FLOW, at, TYPE_IPV4
    if version == 6 and (at + 40 > end or not is_common_type(big16(block, at + 12))):
        return IN_FLOW, at, TYPE_IPV6
    if version == 1:  # an associated channel: RFC 4385
        return NOT_IP, at, TYPE_MPLS
    if version == 0 and (at + 18 > end or is_common_type(big16(block, at + 16)) or not is_common_type(big16(block, at + 12))):
        at += 4
    return IN_FLOW, at, ETHERNET_FRAME


@step
def next_layer(block: U8, at: int, end: int, what: int) -> tuple[int, int, int]:
    """Step over one encapsulation other than a VLAN tag. Returns (outcome, position, type of the next layer); advanced on success."""
    if what == ETHERNET_FRAME:
        if at + 14 > end:
            return LINK_HEADER_CUT, at, 0
        ethertype = big16(block, at + 12)
        return IN_FLOW, at + 14, ethertype if ethertype >= LEAST_TYPE else LLC
    if what == LLC:
        return logical_link(block, at, end)
    if what == SNAP:
        return subnetwork_access(block, at, end)
    if what == PPP_FRAME:
        return point_to_point(block, at, end)
    if what in (TYPE_MPLS, TYPE_MPLS_MULTICAST):
        return label_stack(block, at, end)
    if what == TYPE_PPPOE:  # RFC 2516: version and type, code, session, length
        return (IN_FLOW, at + 6, PPP_FRAME) if at + 6 <= end else (LINK_HEADER_CUT, at, 0)
    if what in (TYPE_BACKBONE, TYPE_FABRIC_PATH):  # flags and service, or tag and hops, then the customer's complete frame
        nbytes = 4 if what == TYPE_BACKBONE else 2
        return (IN_FLOW, at + nbytes, ETHERNET_FRAME) if at + nbytes <= end else (LINK_HEADER_CUT, at, 0)
    if what == TYPE_MACSEC:  # IEEE 802.1AE: readable if it is neither encrypted nor changed
        if at < end and block[at] & 0x0C:
            return NOT_IP, at, TYPE_MACSEC
        nbytes = 14 if at < end and block[at] & 0x20 else 6
    else:
        nbytes = 6 if what == TYPE_PORT_TAG else 4
    if at + nbytes + 2 > end:
        return LINK_HEADER_CUT, at, 0
    return IN_FLOW, at + nbytes + 2, big16(block, at + nbytes)


@kernel
def unwrap_from(block: U8, at: int, end: int, what: int) -> tuple[int, int, int, int]:
    """Step over everything before an IP packet, beginning with a layer of known type. Returns as :func:`unwrap` does."""
    outcome = IN_FLOW
    vlan = tags = 0
    while outcome == IN_FLOW:
        if what in (TYPE_VLAN, TYPE_QINQ, TYPE_QINQ_OLD, TYPE_QINQ_OLDER):
            if at + 4 > end:
                return LINK_HEADER_CUT, at, 0, 0
            if tags < 2:
                vlan = (vlan << 12) | (big16(block, at) & 0x0FFF)
            tags += 1
            what = big16(block, at + 2)
            if what < LEAST_TYPE:
                what = LLC
            at += 4
        elif what > 0xFFFF or what in (
            TYPE_MPLS, TYPE_MPLS_MULTICAST, TYPE_PPPOE, TYPE_BACKBONE, TYPE_PORT_TAG, TYPE_VN_TAG, TYPE_FABRIC_PATH, TYPE_MACSEC
        ):  # fmt: skip
            outcome, at, what = next_layer(block, at, end, what)
        else:
            return IN_FLOW, at, what, vlan
    return outcome, at, what, vlan


@kernel
def unwrap(block: U8, at: int, end: int, link_type: int) -> tuple[int, int, int, int]:
    """Step over everything before the IP packet of a frame.

    Returns (outcome, position of the content, EtherType, VLAN: the id, or outer id << 12 | inner id of the two outermost tags).
    The EtherType of a frame without IP may be a number below LEAST_TYPE: 0 for IEEE 802.2, or the link type.
    """
    while link_type == PPI:  # CACE's header names the link type that follows
        if at + 8 > end or at + max(host16(block, at + 2, 0), 8) > end:
            return LINK_HEADER_CUT, at, 0, 0
        link_type = host32(block, at + 4, 0)
        at += max(host16(block, at + 2, 0), 8)
    outcome, at, what = link_header(block, at, end, link_type)
    if outcome != IN_FLOW:
        return outcome, at, what, 0
    return unwrap_from(block, at, end, what)
