"""Count what arrives at each destination: packets and bytes by traffic kind and tenth of a second."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from reference.decode import Kind, Packet

Destination: TypeAlias = tuple[int, int, Kind]  # (address, IP version, kind)


@dataclass
class Arrived:
    """What one destination received of one kind in a tenth of a second."""

    packets: int = 0
    octets: int = 0


def arrivals(packets: Iterable[Packet]) -> dict[Destination, dict[int, Arrived]]:
    """Count packets by destination and kind, in order of their first packets, and by tenth of a second since the epoch."""
    found: dict[Destination, dict[int, Arrived]] = {}
    for packet in packets:
        if packet.in_flow:
            tenths = found.setdefault((packet.dst, packet.ip_version, packet.transport.kind), {})
            arrived = tenths.setdefault(packet.time_ns * 10 // 10**9, Arrived())
            arrived.packets += 1
            arrived.octets += packet.ip_bytes
    return found
