"""Count decoded packets into cells: packets and bytes by destination, second and traffic kind, with a sketch of the sources.

The sketch is HyperLogLog over 64 registers (Flajolet et al. 2007); its hash is the core's, computed here with integers of any size.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from reference.decode import Kind, Packet

Key: TypeAlias = tuple[int, int, int, Kind]  # (destination, IP version, second of the epoch, kind)

WORD = 2**64 - 1
REGISTERS = 64
TENTH_PACKETS_END = 2**32 - 1  # where the count of packets in a tenth of a second saturates
SKETCH_SEED = 0x510E527FADE682D1  # fractional digits of the square root of 11
SPREAD = (0x6A09E667F3BCC909, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1)


@dataclass
class Cell:
    """What one destination received of one kind in one second."""

    packets: int = 0
    octets: int = 0
    first_ns: int = 0
    last_ns: int = 0
    tenth_packets: list[int] = field(default_factory=lambda: [0] * 10)
    tenth_octets: list[int] = field(default_factory=lambda: [0] * 10)
    sources: list[int] = field(default_factory=lambda: [0] * REGISTERS)


def fold(left: int, right: int) -> int:
    """Multiply two words to 128 bits and xor the halves."""
    product = left * right
    return (product >> 64) ^ (product & WORD)


def hash_words(seed: int, a: int, b: int, c: int, d: int, e: int) -> int:
    """Hash five words under a seed: two products of pairs, and one of these with the fifth word."""
    mixed = [seed * spread & WORD for spread in SPREAD]
    return fold(fold(a ^ seed, b ^ mixed[0]) ^ e ^ mixed[3], fold(c ^ mixed[1], d ^ mixed[2]) ^ SPREAD[0])


def register_and_rank(address: int) -> tuple[int, int]:
    """Return the register of a source, and the position (from 1) of the lowest 1 in the other 58 bits of its hash."""
    mixed = hash_words(SKETCH_SEED, address >> 64, address & WORD, 0, 0, 0)
    rest, register = divmod(mixed, REGISTERS)
    bits = format(rest, "058b")[::-1]
    return register, bits.index("1") + 1 if "1" in bits else 58


def cells(packets: Iterable[Packet]) -> dict[Key, Cell]:
    """Count packets into cells, in order of their first packets."""
    found: dict[Key, Cell] = {}
    for packet in packets:
        if not packet.in_flow:
            continue
        second, within = divmod(packet.time_ns, 10**9)
        key = (packet.dst, packet.ip_version, second, packet.transport.kind)
        if key not in found:
            found[key] = Cell(first_ns=packet.time_ns, last_ns=packet.time_ns)
        cell = found[key]
        cell.packets += 1
        cell.octets += packet.ip_bytes
        cell.first_ns = min(cell.first_ns, packet.time_ns)
        cell.last_ns = max(cell.last_ns, packet.time_ns)
        tenth = within * 10 // 10**9
        cell.tenth_packets[tenth] = min(cell.tenth_packets[tenth] + 1, TENTH_PACKETS_END)
        cell.tenth_octets[tenth] += packet.ip_bytes
        register, rank = register_and_rank(packet.src)
        cell.sources[register] = max(cell.sources[register], rank)
    return found
