"""Degrade captures as happens in practice: one direction, packets, payload, addresses or the beginning is lost."""

import hashlib
import random
import struct
from collections.abc import Callable

from wire import TCP, UDP, Packet, checksum, is_local, one_sided, snap

Change = Callable[[list[Packet]], list[Packet]]

SAMPLING = {"sampled-10": 10, "sampled-100": 100, "sampled-1000": 1000}
FIRST_PACKETS = 100  # "first-100": counted over the whole capture, so it is applied last


def sampled(packets: list[Packet], rate: int, seed: int) -> list[Packet]:
    """Return one packet in ``rate``, at random, as routers sample them."""
    rng = random.Random(seed)
    return [packet for packet in packets if rng.randrange(rate) == 0]


def anonymised(packets: list[Packet], seed: int) -> list[Packet]:
    """Return the IPv4 packets with payload zeroed and addresses replaced, keeping only whether an address is the site's own."""
    return [packet._replace(frame=_anonymous(packet.frame, seed)) for packet in packets if packet.frame[12:14] == b"\x08\x00"]


def other_address(address: int, seed: int) -> int:
    """Return the address that replaces ``address``."""
    digest = int.from_bytes(hashlib.blake2b(struct.pack(">QI", seed & (1 << 64) - 1, address), digest_size=4).digest(), "big")
    return address & 0xFFFFFF00 | digest & 0xFF if is_local(address) else 0x0A000000 | digest & 0x00FFFFFF


def _anonymous(frame: bytes, seed: int) -> bytes:
    octets = bytearray(frame)
    start = 14 + (frame[14] & 15) * 4
    for place in (26, 30):
        (address,) = struct.unpack_from(">I", frame, place)
        struct.pack_into(">I", octets, place, other_address(address, seed))
    octets[24:26] = b"\0\0"
    struct.pack_into(">H", octets, 24, checksum(bytes(octets[14:start])))
    later = struct.unpack_from(">H", frame, 20)[0] & 0x1FFF
    header = {TCP: (frame[start + 12] >> 4) * 4, UDP: 8}.get(frame[23], 8) if not later and len(frame) > start + 12 else 0
    keep = min(start + header, len(octets))
    octets[keep:] = bytes(len(octets) - keep)
    return bytes(octets)


KINDS = ("one-sided", "snap-64", "snap-96", "midway", "anonymised", *SAMPLING, "first-100")


def changes(rng: random.Random, midway_ns: int, seed: int) -> dict[str, Change]:
    """Return the function for each kind of degradation. midway_ns: a time inside the attack. seed: for samples and addresses."""
    limit = rng.choice((64, 68, 96, 128))
    return {
        "snap": lambda packets: snap(packets, limit),
        "one-sided": lambda packets: one_sided(packets, 0),
        "snap-64": lambda packets: snap(packets, 64),
        "snap-96": lambda packets: snap(packets, 96),
        "midway": lambda packets: [packet for packet in packets if packet.time_ns >= midway_ns],
        "anonymised": lambda packets: anonymised(packets, seed),
        **{name: lambda packets, rate=rate: sampled(packets, rate, seed) for name, rate in SAMPLING.items()},  # type: ignore[misc]
    }
