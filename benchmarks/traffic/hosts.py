"""Define the hosts: the servers of the site, colleagues in the office, and strangers from anywhere.

Functions return hosts, and take a random generator where a host is drawn. All generated traffic runs between them.
"""

import random

from dialogue import LINUX, MICROSECOND, MILLISECOND, STACKS, Host, Stack
from wire import Head

SITE = 0xCB007100  # 203.0.113.0, TEST-NET-3 (RFC 5737)
OFFICE = 0xC0A80A00  # 192.168.10.0
RESERVED = ((0, 8), (10, 8), (100, 8), (127, 8), (169, 8), (172, 8), (192, 8), (198, 8), (203, 8), (224, 3))  # whole blocks avoided


def local(number: int, stack: Stack = LINUX, net: int = SITE) -> Host:
    """Return a host of the site."""
    return Host(net | number, stack, 0, 60 * MICROSECOND)


WEB, SHOP, API, SLOW = (local(number) for number in (10, 20, 30, 40))
RESOLVER, MAIL, BASTION, PHONE, FILES, CLOCK = (local(number) for number in (53, 25, 22, 60, 80, 123))
BALANCER, MONITOR = local(5), local(6)


def public_address(rng: random.Random) -> int:
    """Return a random public Internet address."""
    while True:
        address = rng.getrandbits(32)
        if not any(address >> (32 - bits) == value >> (8 - bits if bits < 8 else 0) for value, bits in RESERVED):
            return address


def stranger(rng: random.Random, stack: Stack | None = None) -> Host:
    """Return a remote host with its own distance and system."""
    delay_ns = int(rng.lognormvariate(2.6, 0.7) * MILLISECOND) + 2 * MILLISECOND
    return Host(public_address(rng), stack or rng.choice(STACKS), rng.randint(5, 22), delay_ns)


def colleague(rng: random.Random) -> Host:
    """Return a client inside the office."""
    return Host(OFFICE | rng.randint(20, 220), rng.choice(STACKS), 0, rng.randrange(80, 900) * MICROSECOND)


def high_port(rng: random.Random) -> int:
    """Return a port from the ephemeral range."""
    return rng.randrange(32768, 61000) if rng.random() < 0.6 else rng.randrange(49152, 65535)


def head(source: Host, target: Host, rng: random.Random) -> Head:
    """Return the IP header fields of a datagram between two hosts."""
    return Head(source.address, target.address, max(source.stack.ttl - source.hops, 1), rng.getrandbits(16))
