"""Find the inner IP packet in the payload of an IP packet: tunnels that run over IP.

A tunnel is decapsulated only if it holds an IP packet that fits into the outer one, so a port number alone is never enough. Input is
hostile: each header is checked against the end before it is read, and each loop iteration moves forward.
"""

from floodmark_core import kinds
from floodmark_core._jit import kernel, step
from floodmark_core.buffers.access import big16
from floodmark_core.columns import U8
from floodmark_core.packets.links import (
    ETHERNET_FRAME,
    PPP_FRAME,
    TYPE_IPV4,
    TYPE_IPV6,
    TYPE_MPLS,
    TYPE_PPP,
    unwrap_from,
)
from floodmark_core.protocols import ETHERNET_IN_IP, GRE, IP_IN_IP, IPV6_IN_IP, UDP
from floodmark_core.status import IN_FLOW

# UDP ports: RFC 7348 and Linux's older one, the draft of VXLAN-GPE, RFC 8926, 3GPP TS 29.281, RFC 2661, RFC 4380, RFC 7510.
VXLAN, VXLAN_LINUX, VXLAN_GENERIC, GENEVE, GTP_USER, L2TP, TEREDO, MPLS_OVER_UDP = 4789, 8472, 4790, 6081, 2152, 1701, 3544, 6635
TYPE_BRIDGED, TYPE_ERSPAN, TYPE_ERSPAN_3, TYPE_WCCP = 0x6558, 0x88BE, 0x22EB, 0x883E

NONE = (0, 0, 0)


@step
def carries(protocol: int) -> bool:
    """Return whether an IP protocol may be a tunnel."""
    return protocol in (UDP, GRE, IP_IN_IP, IPV6_IN_IP, ETHERNET_IN_IP)


@kernel
def in_gre(block: U8, at: int, end: int) -> tuple[int, int, int]:
    """Step over a GRE header (RFC 2784, RFC 2890; version 1 RFC 2637). Returns (tunnel, position, type of the next layer)."""
    if at + 4 > end:
        return NONE
    flags, protocol = big16(block, at), big16(block, at + 2)
    version = flags & 7
    if version > 1 or flags & 0x4000:  # a source route, RFC 1701, is not followed
        return NONE
    place = at + 4
    place += 4 if flags & 0x8000 else 0
    place += 4 if flags & 0x2000 else 0
    place += 4 if flags & 0x1000 else 0
    if version == 1:
        place += 4 if flags & 0x80 else 0
        return (kinds.TUNNEL_GRE, place, PPP_FRAME) if protocol == TYPE_PPP else NONE
    if protocol == TYPE_BRIDGED:
        return kinds.TUNNEL_GRE, place, ETHERNET_FRAME
    if protocol == TYPE_ERSPAN:  # type I has no sequence number and no header of its own
        return kinds.TUNNEL_ERSPAN, place + (8 if flags & 0x1000 else 0), ETHERNET_FRAME
    if protocol == TYPE_ERSPAN_3:
        if place + 12 > end:
            return NONE
        return kinds.TUNNEL_ERSPAN, place + (20 if block[place + 11] & 1 else 12), ETHERNET_FRAME
    if protocol == TYPE_WCCP:  # version 2 puts four bytes before the packet, version 1 none
        if place >= end:
            return NONE
        return kinds.TUNNEL_GRE, place + (0 if block[place] >> 4 == 4 else 4), TYPE_IPV4
    return (kinds.TUNNEL_GRE, place, protocol) if protocol in (TYPE_IPV4, TYPE_IPV6, TYPE_MPLS) else NONE


@step
def by_version(block: U8, at: int, end: int) -> int:
    """Return the EtherType of an expected IP packet, 0 if it is none."""
    if at >= end:
        return 0
    version = block[at] >> 4
    return TYPE_IPV4 if version == 4 else (TYPE_IPV6 if version == 6 else 0)


@kernel
def in_gtp(block: U8, at: int, end: int) -> tuple[int, int, int]:
    """Step over a GTP-U header of version 1 and its extensions (3GPP TS 29.281). Returns as :func:`in_gre` does."""
    if at + 8 > end or block[at] & 0xF0 != 0x30 or block[at + 1] != 0xFF:  # 0xFF: a user packet
        return NONE
    place = at + 8
    if block[at] & 7:
        place += 4
        if place > end:
            return NONE
        following = block[at + 11] if block[at] & 4 else 0
        while following:
            if place >= end or block[place] == 0 or place + 4 * block[place] > end:
                return NONE
            place += 4 * block[place]
            following = block[place - 1]
    return kinds.TUNNEL_GTP, place, by_version(block, place, end)


@kernel
def in_l2tp(block: U8, at: int, end: int) -> tuple[int, int, int]:
    """Step over an L2TP header of version 2 that carries data (RFC 2661). Returns as :func:`in_gre` does."""
    if at + 6 > end:
        return NONE
    flags = big16(block, at)
    if flags & 0x8000 or flags & 0x0F != 2:
        return NONE
    place = at + 6 + (2 if flags & 0x4000 else 0) + (4 if flags & 0x0800 else 0)
    if flags & 0x0200:
        if place + 2 > end:
            return NONE
        place += 2 + big16(block, place)
    return kinds.TUNNEL_L2TP, place, PPP_FRAME


@kernel
def in_teredo(block: U8, at: int, end: int) -> tuple[int, int, int]:
    """Step over the headers that Teredo may put before an IPv6 packet (RFC 4380 section 5.1.1). Returns as :func:`in_gre` does."""
    if at + 4 <= end and block[at] == 0 and block[at + 1] == 1:  # authentication: identifier, value, nonce, confirmation
        at += 13 + block[at + 2] + block[at + 3]
    if at + 2 <= end and block[at] == 0 and block[at + 1] == 0:  # origin: port and address
        at += 8
    return kinds.TUNNEL_TEREDO, at, TYPE_IPV6 if by_version(block, at, end) == TYPE_IPV6 else 0


@step
def in_virtual_network(block: U8, at: int, end: int, port: int) -> tuple[int, int, int]:
    """Step over a header of VXLAN, VXLAN-GPE or Geneve. Returns as :func:`in_gre` does."""
    if at + 8 > end:
        return NONE
    if port == GENEVE:
        if block[at] >> 6:
            return NONE
        kind = big16(block, at + 2)
        what = ETHERNET_FRAME if kind == TYPE_BRIDGED else (kind if kind in (TYPE_IPV4, TYPE_IPV6) else 0)
        return kinds.TUNNEL_GENEVE, at + 8 + 4 * (block[at] & 0x3F), what
    if block[at] & 0x08 == 0:  # no network identifier
        return NONE
    what = ETHERNET_FRAME
    if port == VXLAN_GENERIC and block[at] & 0x04:
        what = TYPE_IPV4 if block[at + 3] == 1 else (TYPE_IPV6 if block[at + 3] == 2 else ETHERNET_FRAME)
    return kinds.TUNNEL_VXLAN, at + 8, what


@step
def in_udp(block: U8, at: int, end: int) -> tuple[int, int, int]:
    """Step over the tunnel header of a datagram, chosen by its ports. Returns as :func:`in_gre` does."""
    if at + 8 > end:
        return NONE
    src_port, port = big16(block, at), big16(block, at + 2)
    at += 8
    if port in (VXLAN, VXLAN_LINUX, VXLAN_GENERIC, GENEVE):
        return in_virtual_network(block, at, end, port)
    if GTP_USER in (port, src_port):
        return in_gtp(block, at, end)
    if L2TP in (port, src_port):
        return in_l2tp(block, at, end)
    if TEREDO in (port, src_port):
        return in_teredo(block, at, end)
    return (kinds.TUNNEL_MPLS, at, TYPE_MPLS) if port == MPLS_OVER_UDP else NONE


@step
def fits(block: U8, at: int, end: int, stop: int, ethertype: int) -> bool:
    """Return whether an IP packet whose header was captured is at ``at`` and ends within the outer packet."""
    if ethertype == TYPE_IPV4:
        if at + 20 > end or block[at] >> 4 != 4:
            return False
        header, total = (block[at] & 0x0F) * 4, big16(block, at + 2)
        return bool(20 <= header <= total <= stop - at)
    if ethertype == TYPE_IPV6:
        return bool(at + 40 <= end and block[at] >> 4 == 6 and 40 + big16(block, at + 4) <= stop - at)
    return False


@kernel
def inner_packet(block: U8, at: int, end: int, stop: int, protocol: int) -> tuple[int, int, int, int]:
    """Look for an IP packet in the payload of another one.

    end: of the captured payload; stop: of the payload on the wire.
    Returns (tunnel: kinds.py TUNNEL_, 0 if none; position; EtherType; VLAN of the inner frame, as links.unwrap returns it).
    """
    end = min(end, stop)
    if protocol == UDP:
        tunnel, place, what = in_udp(block, at, end)
    elif protocol == GRE:
        tunnel, place, what = in_gre(block, at, end)
    elif protocol == IP_IN_IP:
        tunnel, place, what = kinds.TUNNEL_IP, at, TYPE_IPV4
    elif protocol == IPV6_IN_IP:
        tunnel, place, what = kinds.TUNNEL_IPV6, at, TYPE_IPV6
    else:  # RFC 3378
        tunnel, place, what = kinds.TUNNEL_ETHERNET, at + 2, ETHERNET_FRAME
    if tunnel == 0 or what == 0:
        return 0, at, 0, 0
    outcome, place, ethertype, vlan = unwrap_from(block, place, end, what)
    if outcome != IN_FLOW or not fits(block, place, end, stop, ethertype):
        return 0, at, 0, 0
    return tunnel, place, ethertype, vlan
