"""Find the IP packet tunnelled in the payload of an IP packet, if any: written from the RFCs, independently of the core."""

import struct
from collections.abc import Callable
from typing import NamedTuple

from reference import links
from reference.links import CutError, NotIpError, What, number, take

IPV4, IPV6, MPLS, PPP = 0x0800, 0x86DD, 0x8847, 0x880B
IP, IP6, ETHERNET, GRE, ERSPAN, VXLAN, GENEVE, GTP, L2TP, TEREDO, OVER_UDP = range(1, 12)
DEPTH = 4  # as many as the program decapsulates


class Inner(NamedTuple):
    """An IP packet inside another one."""

    tunnel: int
    ethertype: int
    ids: list[int]  # VLAN tags of the frame around it
    nbytes: bytes  # captured, from its first byte on
    missing: int  # bytes of the outer payload before it


class NoTunnelError(Exception):
    """The payload is not a supported tunnel."""


def gre(nbytes: bytes) -> tuple[int, What, bytes]:
    """Read a GRE header."""
    head, rest = take(nbytes, 4)
    flags, protocol = struct.unpack("!HH", head)
    if flags & 7 > 1 or flags & 0x4000:
        raise NoTunnelError
    rest = take(rest, 4 * sum(bool(flags & bit) for bit in (0x8000, 0x2000, 0x1000)))[1]
    if flags & 7 == 1:
        if protocol != PPP:
            raise NoTunnelError
        return GRE, "ppp", take(rest, 4 if flags & 0x80 else 0)[1]
    if protocol == 0x88BE:
        return ERSPAN, "ethernet", take(rest, 8 if flags & 0x1000 else 0)[1]
    if protocol == 0x22EB:
        head, _ = take(rest, 12)
        return ERSPAN, "ethernet", take(rest, 20 if head[11] & 1 else 12)[1]
    if protocol == 0x883E:
        return GRE, IPV4, rest if take(rest, 1)[0][0] >> 4 == 4 else take(rest, 4)[1]
    if protocol == 0x6558:
        return GRE, "ethernet", rest
    if protocol in (IPV4, IPV6, MPLS):
        return GRE, protocol, rest
    raise NoTunnelError


def by_version(nbytes: bytes) -> int:
    """Identify the IP version by the first four bits."""
    version = take(nbytes, 1)[0][0] >> 4
    if version not in (4, 6):
        raise NoTunnelError
    return IPV4 if version == 4 else IPV6


def vxlan(nbytes: bytes) -> tuple[int, What, bytes]:
    """Read a VXLAN header."""
    head, rest = take(nbytes, 8)
    if not head[0] & 8:
        raise NoTunnelError
    return VXLAN, "ethernet", rest


def vxlan_gpe(nbytes: bytes) -> tuple[int, What, bytes]:
    """Read a VXLAN-GPE header, which may name the next protocol."""
    tunnel, what, rest = vxlan(nbytes)
    return tunnel, {1: IPV4, 2: IPV6}.get(nbytes[3], what) if nbytes[0] & 4 else what, rest


def geneve(nbytes: bytes) -> tuple[int, What, bytes]:
    """Read a Geneve header and its options."""
    head, rest = take(nbytes, 8)
    kind = number(head[2:4])
    if head[0] >> 6 or kind not in (0x6558, IPV4, IPV6):
        raise NoTunnelError
    return GENEVE, "ethernet" if kind == 0x6558 else kind, take(rest, 4 * (head[0] & 0x3F))[1]


def gtp(nbytes: bytes) -> tuple[int, What, bytes]:
    """Read a GTP-U header and its extensions."""
    head, rest = take(nbytes, 8)
    if head[0] >> 4 != 3 or head[1] != 255:
        raise NoTunnelError
    if head[0] & 7:
        more, rest = take(rest, 4)
        following = more[3] if head[0] & 4 else 0
        while following:
            length = 4 * take(rest, 1)[0][0]
            if length == 0:
                raise NoTunnelError
            extension, rest = take(rest, length)
            following = extension[-1]
    return GTP, by_version(rest), rest


def l2tp(nbytes: bytes) -> tuple[int, What, bytes]:
    """Read an L2TP data header."""
    flags = number(take(nbytes, 6)[0][:2])
    if flags & 0x8000 or flags & 15 != 2:
        raise NoTunnelError
    rest = take(nbytes, 6 + 2 * bool(flags & 0x4000) + 4 * bool(flags & 0x0800))[1]
    if flags & 0x0200:
        offset, rest = take(rest, 2)
        rest = take(rest, number(offset))[1]
    return L2TP, "ppp", rest


def teredo(nbytes: bytes) -> tuple[int, What, bytes]:
    """Read the headers that may precede an IPv6 packet: authentication, origin."""
    if nbytes[:2] == b"\0\1" and len(nbytes) >= 4:
        nbytes = take(nbytes, 13 + nbytes[2] + nbytes[3])[1]
    if nbytes[:2] == b"\0\0":
        nbytes = take(nbytes, 8)[1]
    if by_version(nbytes) != IPV6:
        raise NoTunnelError
    return TEREDO, IPV6, nbytes


TO_PORT: dict[int, Callable[[bytes], tuple[int, What, bytes]]] = {4789: vxlan, 8472: vxlan, 4790: vxlan_gpe, 6081: geneve}
EITHER_PORT = {2152: gtp, 1701: l2tp, 3544: teredo}


def udp(nbytes: bytes) -> tuple[int, What, bytes]:
    """Choose the tunnel by the ports."""
    head, rest = take(nbytes, 8)
    src, dst = number(head[:2]), number(head[2:4])
    if dst in TO_PORT:
        return TO_PORT[dst](rest)
    for port, read in EITHER_PORT.items():
        if port in (src, dst):
            return read(rest)
    if dst == 6635:
        return OVER_UDP, MPLS, rest
    raise NoTunnelError


PROTOCOLS: dict[int, Callable[[bytes], tuple[int, What, bytes]]] = {
    4: lambda nbytes: (IP, IPV4, nbytes),
    17: udp,
    41: lambda nbytes: (IP6, IPV6, nbytes),
    47: gre,
    97: lambda nbytes: (ETHERNET, "ethernet", take(nbytes, 2)[1]),
}


def inner(protocol: int, nbytes: bytes, wire_bytes: int) -> Inner | None:
    """Look for an IP packet in the payload of another one, of which ``wire_bytes`` were on the wire."""
    nbytes = nbytes[: max(wire_bytes, 0)]
    try:
        tunnel, what, rest = PROTOCOLS[protocol](nbytes)
        ethertype, ids, ip = links.unwrap_from(what, rest)
    except (KeyError, NoTunnelError, CutError, NotIpError):
        return None
    missing = len(nbytes) - len(ip)
    room = wire_bytes - missing
    if ethertype == IPV4 and len(ip) >= 20 and ip[0] >> 4 == 4:
        good = 20 <= 4 * (ip[0] & 15) <= number(ip[2:4]) <= room
    else:
        good = ethertype == IPV6 and len(ip) >= 40 and ip[0] >> 4 == 6 and 40 + number(ip[4:6]) <= room
    return Inner(tunnel, ethertype, ids, ip, missing) if good else None
