"""Define what attacks have in common: extent, label, packets, and distributions of times and sources.

The three attack families (floods, reflections, sessions) import this module, so that they need not import each other.
"""

import random
from typing import NamedTuple

from dialogue import MICROSECOND, SECOND, Host
from hosts import public_address
from wire import Packet

BENIGN, VOLUMETRIC, APPLICATION = 0, 1, 2
VERDICTS = ("benign", "volumetric", "application-layer")


class Extent(NamedTuple):
    """Give an attack's duration and its amount: packets, requests, connections, ports or attempts."""

    seconds: float
    amount: int


class Label(NamedTuple):
    """Name an attack: an id of vectors.toml, the verdict's number and the victim as text."""

    vector: str
    verdict: int
    victim: str


class Attack(NamedTuple):
    """Hold an attack's packets (not in order) and its label."""

    packets: list[Packet]
    label: Label


class Origin(NamedTuple):
    """Describe the source of spoofed packets: an address and the TTL at arrival."""

    address: int
    ttl: int


def dotted(address: int) -> str:
    """Return an IPv4 address as text."""
    return ".".join(str(byte) for byte in address.to_bytes(4, "big"))


def volumetric(packets: list[Packet], vector: str, victim: Host) -> Attack:
    """Return the packets as a volumetric attack on the victim."""
    return Attack(packets, Label(vector, VOLUMETRIC, dotted(victim.address)))


def application(packets: list[Packet], vector: str, victim: Host | str) -> Attack:
    """Return the packets as an application-layer attack on the victim, a host or a prefix."""
    return Attack(packets, Label(vector, APPLICATION, victim if isinstance(victim, str) else dotted(victim.address)))


def moments(rng: random.Random, at_ns: int, extent: Extent) -> list[int]:
    """Return the times of the attack's packets: steady, swelling or in pulses, at random."""
    shape = rng.choice(("steady", "steady", "swelling", "pulses"))
    places = [_place(rng, shape) for _ in range(extent.amount)]
    return sorted(at_ns + int(place * extent.seconds * SECOND) for place in places)


def _place(rng: random.Random, shape: str) -> float:
    """Return a random position between 0 and 1 within an attack of that shape."""
    place = rng.random()
    if shape == "swelling":
        return float(place**0.7)
    if shape == "pulses":
        return (int(place * 4) + rng.random() * 0.7) / 4
    return place


def forged(rng: random.Random, ttls: tuple[int, ...]) -> Origin:
    """Return a random source with one of the few TTLs that the real senders have."""
    return Origin(public_address(rng), rng.choice(ttls))


def few_ttls(rng: random.Random) -> tuple[int, ...]:
    """Return the TTLs at which one to three senders' packets arrive."""
    return tuple(rng.choice((64, 128, 255)) - rng.randint(6, 20) for _ in range(rng.randint(1, 3)))


def bots(rng: random.Random, count: int) -> list[Origin]:
    """Return ``count`` real senders, each with its own TTL."""
    return [Origin(public_address(rng), rng.choice((64, 64, 128, 255)) - rng.randint(5, 22)) for _ in range(count)]


def soon(rng: random.Random, victim: Host) -> int:
    """Return the victim's response time."""
    return 2 * victim.delay_ns + int(rng.uniform(8, 70)) * MICROSECOND
