"""Functions that the forms of rules share: addresses by IP version, networks as text."""

from collections.abc import Sequence

from floodmark.base.networks import Network
from floodmark.errors import FloodmarkError
from floodmark.mitigation.filters import Filter

IPV4_BYTES, IPV6_BYTES, UDP_BYTES = 20, 40, 8  # of headers without options


def split(chosen: Filter) -> list[tuple[int, tuple[Network, ...], tuple[Network, ...]]]:
    """Return the addresses of a filter, once for each IP version: (version, destinations, sources)."""
    parts = []
    for version in (4, 6):
        ends = [tuple(network for network in networks if network.version == version) for networks in (chosen.destinations, chosen.sources)]
        asked = (chosen.destinations, chosen.sources)
        if all(found or not wanted for found, wanted in zip(ends, asked, strict=True)) and any(asked):
            parts.append((version, *ends))
    if not parts:
        raise FloodmarkError("the rule would contain no address")
    return parts  # type: ignore[return-value] # the two ends are a pair


def text_of(network: Network) -> str:
    """Return a network as text, a host without its prefix length."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def either(parts: Sequence[str]) -> str:
    """Return alternatives in pcap-filter's syntax."""
    return parts[0] if len(parts) == 1 else f"({' or '.join(parts)})"
