"""Write filters as pcap-filter(7) expressions, for tcpdump, Wireshark's capture filters and anything that compiles to BPF."""

from floodmark.base.networks import Network
from floodmark.mitigation.filters import FLAGS_LOOKED_AT, Filter
from floodmark.mitigation.words import IPV6_BYTES, either, split, text_of


def write_bpf(chosen: Filter, _: str, __: int) -> str:
    """Return the expression of a filter."""
    whole = [_bpf_of(chosen, *part) for part in split(chosen)]
    return f"{' and '.join([*chosen.around, either(whole)])}\n"


def _bpf_of(chosen: Filter, version: int, destinations: tuple[Network, ...], sources: tuple[Network, ...]) -> str:
    ip = "ip" if version == 4 else "ip6"
    terms = [ip]
    for word, networks in (("dst", destinations), ("src", sources)):
        if networks:
            terms.append(either([f"{word} {'host' if n.prefixlen == n.max_prefixlen else 'net'} {text_of(n)}" for n in networks]))
    transport = _transport(chosen, version)
    if chosen.protocol is not None and not (version == 6 and transport and chosen.fragments_too):
        terms.append(f"{ip}[{9 if version == 4 else 6}] = {chosen.protocol}")
    return " and ".join([*terms, *_nbytes(chosen, version), *([transport] if transport else [])])


def _transport(chosen: Filter, version: int) -> str:
    """Return the terms on fields behind the IP header as one; over IPv6 they match only without extension headers."""
    if not chosen.needs_transport:
        return ""
    flags, offset = ("tcp[13]", "tcp[12]") if version == 4 else (f"ip6[{IPV6_BYTES + 13}]", f"ip6[{IPV6_BYTES + 12}]")
    terms = ["ip[6:2] & 0x1fff = 0"] if version == 4 else []
    for word, ports in (("src", chosen.source_ports), ("dst", chosen.ports)):
        if ports:
            terms.append(either([f"{word} port {port}" for port in ports]))
    if chosen.flags:
        terms.append(either([f"{flags} & {FLAGS_LOOKED_AT:#04x} = {value:#04x}" for value in chosen.flags]))
    if chosen.icmp_types:
        terms.append(either([f"{'icmp[0]' if version == 4 else f'ip6[{IPV6_BYTES}]'} = {value}" for value in chosen.icmp_types]))
    if chosen.icmp_codes:
        terms.append(either([f"{'icmp[1]' if version == 4 else f'ip6[{IPV6_BYTES + 1}]'} = {value}" for value in chosen.icmp_codes]))
    if chosen.no_options:
        terms.append(f"{offset} & 0xf0 = 0x50")
    if not chosen.fragments_too:
        return " and ".join(terms)
    if version == 6 and chosen.protocol is not None:
        terms.insert(0, f"ip6[6] = {chosen.protocol}")
    fragment = "ip[6:2] & 0x1fff != 0" if version == 4 else "ip6[6] = 44"
    return f"({fragment} or ({' and '.join(terms)}))"


def _nbytes(chosen: Filter, version: int) -> list[str]:
    """Return the terms on length and TTL."""
    length, ttl, less = ("ip[2:2]", "ip[8]", 0) if version == 4 else ("ip6[4:2]", "ip6[7]", IPV6_BYTES)
    terms = []
    if chosen.lengths:
        terms.append(either([_between(length, low - less, high - less) for low, high in chosen.lengths]))
    if chosen.ttls:
        terms.append(either([f"{ttl} = {value}" for value in chosen.ttls]))
    return terms


def _between(what: str, low: int, high: int) -> str:
    return f"{what} = {low}" if low == high else f"({what} >= {low} and {what} <= {high})"
