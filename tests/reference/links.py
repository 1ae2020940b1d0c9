"""Unwrap a frame: every link header and encapsulation is a function from bytes to bytes, chosen by a table.

Written independently of the core, from the specifications alone. Each function returns what it found and the bytes after it.
"""

import struct
from collections.abc import Callable
from typing import TypeAlias

IPV4, IPV6, ARP, PPP = 0x0800, 0x86DD, 0x0806, 0x880B
VLAN_TAGS = {0x8100, 0x88A8, 0x9100, 0x9200}
MPLS, PPPOE = 0x8847, 0x8864
FAMILIES = {2: IPV4, 24: IPV6, 28: IPV6, 30: IPV6, 10: IPV6}
INSIDE_PSEUDOWIRES = {IPV4, IPV6, ARP, 0x8100, 0x88A8, MPLS, PPPOE}
PROTECTED = 0x05FF

What: TypeAlias = int | str  # an EtherType, or the name of an encapsulation
Found: TypeAlias = tuple[What, bytes]


class CutError(Exception):
    """The captured bytes end inside a header."""


class NotIpError(Exception):
    """The frame holds something other than IP; the number tells what."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class UnknownLinkError(Exception):
    """The link type is not supported."""


def take(nbytes: bytes, count: int) -> tuple[bytes, bytes]:
    """Split after ``count`` bytes. Raises CutError if there are fewer."""
    if len(nbytes) < count:
        raise CutError
    return nbytes[:count], nbytes[count:]


def number(nbytes: bytes) -> int:
    """Read a number in network byte order."""
    return int.from_bytes(nbytes, "big")


def ethertype(value: int) -> What:
    """Distinguish an EtherType from a length."""
    return value if value >= 0x0600 else "802.2"


def by_version(nbytes: bytes) -> Found:
    """Identify the IP version by the first four bits."""
    take(nbytes, 1)
    return (IPV6 if nbytes[0] >> 4 == 6 else IPV4), nbytes


def typed(header: int, at: int) -> Callable[[bytes], Found]:
    """Return the reader of a header of ``header`` bytes with its EtherType at offset ``at``."""

    def read(nbytes: bytes) -> Found:
        head, rest = take(nbytes, header)
        return ethertype(number(head[at : at + 2])), rest

    return read


def behind(header: int, what: What) -> Callable[[bytes], Found]:
    """Return the reader of a header that is always followed by the same thing."""
    return lambda nbytes: (what, take(nbytes, header)[1])


def cooked(header: int, at: int) -> Callable[[bytes], Found]:
    """Return the reader of a Linux cooked header: below the EtherTypes, 4 means IEEE 802.2 and nothing else can hold IP."""

    def read(nbytes: bytes) -> Found:
        head, rest = take(nbytes, header)
        value = number(head[at : at + 2])
        return ("802.2" if value == 4 else 0 if value < 0x0600 else value), rest

    return read


def host_family(nbytes: bytes) -> What:
    """Read a protocol family in an unknown byte order: families are small numbers, so the side with two zeros is the high one."""
    return FAMILIES.get(int.from_bytes(nbytes, "big" if nbytes[:2] == b"\0\0" else "little"), 0)


def null(nbytes: bytes) -> Found:
    head, rest = take(nbytes, 4)
    return host_family(head), rest


def enc(nbytes: bytes) -> Found:
    head, rest = take(nbytes, 12)
    return host_family(head[:4]), rest


def pflog(nbytes: bytes) -> Found:
    head, _ = take(nbytes, 4)
    return FAMILIES.get(head[1], 0), take(nbytes, -(-head[0] // 4) * 4)[1]


def slip(nbytes: bytes) -> Found:
    return by_version(take(nbytes, 16)[1])


def ppp(nbytes: bytes) -> Found:
    rest = nbytes[2:] if nbytes[:2] == b"\xff\x03" else nbytes
    take(rest, 2)
    size = 1 if rest[0] & 1 else 2
    return {0x21: IPV4, 0x57: IPV6, 0x281: MPLS}.get(number(rest[:size]), "no ppp"), rest[size:]


def ppp_line(nbytes: bytes) -> Found:
    if len(nbytes) >= 4 and nbytes[:2] in (b"\x0f\0", b"\x8f\0"):
        return number(nbytes[2:4]), nbytes[4:]
    return "ppp", nbytes


def frame_relay(nbytes: bytes) -> Found:
    while nbytes and nbytes[0] % 2 == 0:
        nbytes = nbytes[1:]
    nbytes = nbytes[1:]
    take(nbytes, 2)
    if nbytes[0] != 3:
        return number(nbytes[:2]), nbytes[2:]
    nbytes = nbytes[2:] if nbytes[1] == 0 else nbytes[1:]
    kind, rest = take(nbytes, 1)
    known: dict[int, What] = {0xCC: IPV4, 0x8E: IPV6, 0x80: "snap"}
    if kind[0] not in known:
        raise NotIpError(107)
    return known[kind[0]], rest


def token_ring(nbytes: bytes) -> Found:
    head, _ = take(nbytes, 15)
    route = head[14] & 0x1F if head[8] & 0x80 else 0
    return "802.2", nbytes[14 + route :]


def ieee80211(nbytes: bytes, *, padded: bool = False) -> Found:
    take(nbytes, 2)
    kind, subtype, flags = nbytes[0] >> 2 & 3, nbytes[0] >> 4, nbytes[1]
    if kind != 2 or subtype & 4:
        raise NotIpError(105)
    size = 30 if flags & 3 == 3 else 24
    quality = size if subtype & 8 else None
    if quality is not None:
        size += 6 if flags & 0x80 else 2
    head, rest = take(nbytes, -(-size // 4) * 4 if padded else size)
    if flags & 0x40:
        raise NotIpError(PROTECTED)
    return "802.2", rest[14:] if quality is not None and head[quality] & 0x80 else rest


def radiotap(nbytes: bytes) -> Found:
    take(nbytes, 8)
    header, rest = take(nbytes, max(length, 8) if (length := struct.unpack_from("<H", nbytes, 2)[0]) >= 8 else len(nbytes) + 1)
    return ieee80211(rest, padded=bool(radiotap_flags(header) & 0x20))


def radiotap_flags(header: bytes) -> int:
    """Find the flags among the fields of a radiotap header; 0 if it has none."""
    (present,) = words = list(struct.unpack_from("<I", header, 4))
    at = 8
    while words[-1] >> 31:
        if at + 4 > len(header):
            return 0
        words += struct.unpack_from("<I", header, at)
        at += 4
    if present & 1:
        at = -(-at // 8) * 8 + 8
    return header[at] if present & 2 and at < len(header) else 0


def prism(nbytes: bytes) -> Found:
    head, _ = take(nbytes, 8)
    order = "big" if number(head[:4]) >> 12 == 0x80211 else "little"
    length = int.from_bytes(head[4:8], order)  # type: ignore[arg-type] # one of the two it knows
    if length < 8:
        raise CutError
    return ieee80211(take(nbytes, length)[1])


def nflog(nbytes: bytes) -> Found:
    head, rest = take(nbytes, 4)
    while len(rest) >= 4:
        length, kind = struct.unpack_from("<HH", rest)
        if length < 4:
            break
        if kind & 0x7FFF == 9:
            return FAMILIES.get(head[0], 0), rest[4:]
        rest = rest[-(-length // 4) * 4 :]
    raise CutError


LINKS: dict[int, Callable[[bytes], Found]] = {
    0: null, 1: behind(0, "ethernet"), 6: token_ring, 8: slip, 9: ppp_line, 10: behind(13, "802.2"), 12: by_version, 14: by_version,
    50: ppp_line, 51: behind(0, PPPOE), 100: behind(0, "802.2"), 101: by_version, 104: typed(4, 2), 105: ieee80211, 107: frame_relay,
    108: null, 109: enc, 113: cooked(16, 14), 117: pflog, 119: prism, 122: behind(16, "802.2"), 127: radiotap, 138: typed(18, 16),
    163: prism, 204: behind(1, "ppp"), 205: typed(5, 3), 206: lambda nbytes: frame_relay(nbytes[1:]), 228: by_version, 229: by_version,
    239: nflog, 242: typed(44, 40), 276: cooked(20, 0), 281: typed(18, 16), 282: behind(4, "ethernet"), 284: typed(18, 16),
    285: typed(22, 20),
}  # fmt: skip
WITHOUT_IP = {
    3, *range(139, 143), 165, 169, 177, 184, 186, 187, *range(189, 192), 195, 196, 198, *range(201, 204), *range(209, 213), 215, 220, 224,
    225, 227, 230, 231, 235, 237, 243, 245, *range(247, 252), *range(253, 258), *range(262, 266), 272, 275, 278, 279, 283, 287, 288,
}  # fmt: skip


def llc(nbytes: bytes) -> Found:
    head, rest = take(nbytes, 3)
    if head == b"\xaa\xaa\x03":
        return "snap", rest
    if head == b"\x06\x06\x03":
        return IPV4, rest
    if head == b"\xfe\xfe\x03" and rest[:1] in (b"\xcc", b"\x8e"):
        return IPV4 if rest[0] == 0xCC else IPV6, rest[1:]
    raise NotIpError(0)


def snap(nbytes: bytes) -> Found:
    head, rest = take(nbytes, 5)
    organisation, kind = number(head[:3]), number(head[3:])
    if organisation in (0, 0xF8):
        return kind, rest
    if organisation == 0x80C2 and kind in (1, 7):
        return "ethernet", rest
    raise NotIpError(0)


def mpls(nbytes: bytes) -> Found:
    last = False
    while not last:
        label, nbytes = take(nbytes, 4)
        last = bool(label[2] & 1)
    take(nbytes, 1)
    version, type_here = nbytes[0] >> 4, number(nbytes[12:14]) if len(nbytes) >= 14 else None
    looks_like_ethernet = type_here in INSIDE_PSEUDOWIRES
    if version == 4 and (len(nbytes) < 20 or (nbytes[0] & 15 >= 5 and not looks_like_ethernet)):
        return IPV4, nbytes
    if version == 6 and (len(nbytes) < 40 or not looks_like_ethernet):
        return IPV6, nbytes
    if version == 1:
        raise NotIpError(MPLS)
    if version == 0 and (len(nbytes) < 18 or number(nbytes[16:18]) in INSIDE_PSEUDOWIRES or not looks_like_ethernet):
        nbytes = take(nbytes, 4)[1] if len(nbytes) >= 4 else b""
    return "ethernet", nbytes


def macsec(nbytes: bytes) -> Found:
    if nbytes and nbytes[0] & 0x0C:
        raise NotIpError(0x88E5)
    tag, rest = take(nbytes, 16 if nbytes and nbytes[0] & 0x20 else 8)
    return number(tag[-2:]), rest


def no_ppp(_: bytes) -> Found:
    raise NotIpError(PPP)


WRAPPINGS: dict[What, Callable[[bytes], Found]] = {
    "ethernet": typed(14, 12), "802.2": llc, "snap": snap, "ppp": ppp, "no ppp": no_ppp, MPLS: mpls, 0x8848: mpls,
    PPPOE: behind(6, "ppp"), 0x88E7: behind(4, "ethernet"),
    0x8903: behind(2, "ethernet"), 0x88E5: macsec,
    0x893F: lambda nbytes: (number(take(nbytes, 8)[0][6:]), nbytes[8:]),
    0x8926: lambda nbytes: (number(take(nbytes, 6)[0][4:]), nbytes[6:]),
}  # fmt: skip


def unwrap(frame: bytes, link_type: int) -> tuple[int, list[int], bytes]:
    """Remove everything before IP. Returns (EtherType, VLAN ids from the outside in, what follows).

    Raises CutError, NotIpError, UnknownLinkError.
    """
    while link_type == 192:  # PPI: version, flags, length, link type
        length, link_type = struct.unpack("<2xHI", take(frame, 8)[0])
        frame = take(frame, max(length, 8))[1]
    if link_type not in LINKS:
        raise NotIpError(link_type) if link_type in WITHOUT_IP else UnknownLinkError
    return unwrap_from(*LINKS[link_type](frame))


def unwrap_from(what: What, rest: bytes) -> tuple[int, list[int], bytes]:
    """Remove everything before IP, beginning with a layer of known type. Returns and raises as :func:`unwrap` does."""
    ids: list[int] = []
    while what in VLAN_TAGS or what in WRAPPINGS:
        if what in VLAN_TAGS:
            tag, rest = take(rest, 4)
            ids.append(number(tag[:2]) & 0x0FFF)
            what = ethertype(number(tag[2:]))
        else:
            what, rest = WRAPPINGS[what](rest)
    assert isinstance(what, int)  # every name is an encapsulation
    return what, ids, rest
