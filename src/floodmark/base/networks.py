"""Parse IP networks, and test columns of addresses for membership."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias

import numpy as np

from floodmark.errors import FloodmarkError
from floodmark_core.columns import U8, U64

Network: TypeAlias = IPv4Network | IPv6Network


def within(version: U8, hi: U64, lo: U64, networks: Iterable[Network]) -> np.ndarray:
    """Return whether each address is in one of the networks."""
    found = np.zeros(len(lo), bool)
    by_length: dict[tuple[int, int], list[Network]] = {}
    for network in networks:
        by_length.setdefault((network.version, network.prefixlen), []).append(network)
    for (of_version, bits), group in by_length.items():
        mine = version == of_version
        if of_version == 4:
            shift = np.uint64(32 - bits)
            wanted = np.array([int(network.network_address) >> (32 - bits) for network in group], np.uint64)
            found |= mine & np.isin(lo >> shift, wanted)
            continue
        for network in group:
            found |= mine & _in_network6(hi, lo, network)
    return found


def _in_network6(hi: U64, lo: U64, network: Network) -> np.ndarray:
    mask_hi, mask_lo = (np.uint64(half) for half in divmod(int(network.netmask), 1 << 64))
    net_hi, net_lo = (np.uint64(half) for half in divmod(int(network.network_address), 1 << 64))
    found: np.ndarray = (hi & mask_hi == net_hi) & (lo & mask_lo == net_lo)
    return found


def network_of(text: str) -> Network:
    """Return an address or a prefix as a network. Raises FloodmarkError."""
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise FloodmarkError(f"{text!r} is not an address or prefix") from error
