"""Packet filters: terms that must all match, applied here as a router, a firewall or a sniffer would apply them."""

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np

from floodmark.base.networks import Network, within
from floodmark_core.columns import I64, U8, U16, U32, U64
from floodmark_core.packets.fragments import FIRST

_ECHOES = (0, 8, 128, 129)  # ICMP types
FLAGS_LOOKED_AT = 0x3F  # URG ACK PSH RST SYN FIN


class Packets(NamedTuple):
    """The header fields that filters match on, one value per packet. Addresses are those of the innermost IP header."""

    ip_version: U8
    protocol: U8
    fragment: U8  # floodmark_core.packets.fragments
    ttl: U8
    tcp_flags: U8  # for ICMP the type
    tcp_options: U32  # 0: a SYN without options
    src_hi: U64
    src_lo: U64
    dst_hi: U64
    dst_lo: U64
    src_port: U16
    dst_port: U16
    ip_bytes: I64

    def where(self, chosen: np.ndarray) -> "Packets":
        """Return some of the packets."""
        return Packets(*(column[chosen] for column in self))


@dataclass(frozen=True)
class Filter:
    """Terms that must all match; None or empty: no such term."""

    destinations: tuple[Network, ...] = ()
    protocol: int | None = None
    sources: tuple[Network, ...] = ()
    source_ports: tuple[int, ...] = ()
    ports: tuple[int, ...] = ()
    flags: tuple[int, ...] = ()  # values of the six flags
    icmp_types: tuple[int, ...] = ()
    icmp_codes: tuple[int, ...] = ()
    lengths: tuple[tuple[int, int], ...] = ()  # least and most IP bytes
    ttls: tuple[int, ...] = ()
    no_options: bool = False  # TCP without options
    around: tuple[str, ...] = ()  # headers before the IP header, in pcap-filter's syntax: vlan, mpls, pppoes
    fragments_too: bool = False  # later fragments pass the terms on transport fields, which they lack

    @property
    def terms(self) -> int:
        """Number of terms."""
        return sum(bool(getattr(self, field.name)) for field in fields(self) if field.name not in ("fragments_too", "around"))

    @property
    def needs_transport(self) -> bool:
        """Return whether a term is on transport fields, which later fragments lack."""
        return bool(self.source_ports or self.ports or self.flags or self.icmp_types or self.icmp_codes or self.no_options)

    @property
    def for_fragments(self) -> "Filter | None":
        """Return the filter without terms on transport fields; None if there are none, or later fragments are not to match."""
        if not (self.needs_transport and self.fragments_too):
            return None
        return replace(self, source_ports=(), ports=(), flags=(), icmp_types=(), icmp_codes=(), no_options=False)

    def matches(self, packets: Packets) -> np.ndarray:
        """Return whether the filter matches each packet."""
        found = np.ones(len(packets.protocol), bool)
        if self.protocol is not None:
            found &= packets.protocol == self.protocol
        if self.destinations:
            found &= within(packets.ip_version, packets.dst_hi, packets.dst_lo, self.destinations)
        if self.sources:
            found &= within(packets.ip_version, packets.src_hi, packets.src_lo, self.sources)
        if self.ttls:
            found &= np.isin(packets.ttl, np.array(self.ttls, np.uint8))
        if self.lengths:
            found &= np.any([(packets.ip_bytes >= low) & (packets.ip_bytes <= high) for low, high in self.lengths], axis=0)
        return found & self._transport(packets) if self.needs_transport else found

    def _transport(self, packets: Packets) -> np.ndarray:
        """Return whether the terms on transport fields match each packet."""
        whole = packets.fragment <= FIRST
        found = whole.copy()
        for values, column in ((self.source_ports, packets.src_port), (self.ports, packets.dst_port)):
            if values:
                found &= np.isin(column, np.array(values, np.uint16))
        if self.flags:
            found &= np.isin(packets.tcp_flags & FLAGS_LOOKED_AT, np.array(self.flags, np.uint8))
        if self.icmp_types:
            found &= np.isin(packets.tcp_flags, np.array(self.icmp_types, np.uint8))
        if self.icmp_codes:
            found &= np.isin(icmp_codes(packets), np.array(self.icmp_codes, np.uint16))
        if self.no_options:
            found &= packets.tcp_options == 0
        return found | ~whole if self.fragments_too else found


def icmp_codes(packets: Packets) -> np.ndarray:
    """Return the codes of ICMP messages; 0 for echoes, whose code is not used (floodmark_core.packets.decode)."""
    codes: np.ndarray = np.where(np.isin(packets.tcp_flags, _ECHOES), 0, packets.dst_port & 0xFF)
    return codes
