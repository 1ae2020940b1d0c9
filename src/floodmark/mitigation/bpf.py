"""Filters as expressions of pcap-filter(7), for tcpdump, Wireshark's capture filters and what compiles to BPF."""

from floodmark.mitigation.filters import FLAGS_LOOKED_AT, Filter, Network
from floodmark.mitigation.words import IPV6_OCTETS, either, split, text_of


def write_bpf(chosen: Filter, _: str, __: int) -> str:
    """Return the expression of a filter."""
    whole = [_bpf_of(chosen, *part) for part in split(chosen)]
    return f"{either(whole)}\n"


def _bpf_of(chosen: Filter, version: int, destinations: tuple[Network, ...], sources: tuple[Network, ...]) -> str:
    ip = "ip" if version == 4 else "ip6"
    terms = [ip]
    for word, networks in (("dst", destinations), ("src", sources)):
        if networks:
            terms.append(either([f"{word} {'host' if n.prefixlen == n.max_prefixlen else 'net'} {text_of(n)}" for n in networks]))
    if chosen.protocol is not None:
        terms.append(f"{ip}[{9 if version == 4 else 6}] = {chosen.protocol}")
    if chosen.needs_transport and version == 4:
        terms.append("ip[6:2] & 0x1fff = 0")
    for word, ports in (("src", chosen.source_ports), ("dst", chosen.ports)):
        if ports:
            terms.append(either([f"{word} port {port}" for port in ports]))
    return " and ".join([*terms, *_octets(chosen, version)])


def _octets(chosen: Filter, version: int) -> list[str]:
    """Return the terms that look at octets of the headers; over IPv6 where no extension header stands between."""
    length, ttl, less = ("ip[2:2]", "ip[8]", 0) if version == 4 else ("ip6[4:2]", "ip6[7]", IPV6_OCTETS)
    tcp = ("tcp[13]", "tcp[12]") if version == 4 else (f"ip6[{IPV6_OCTETS + 13}]", f"ip6[{IPV6_OCTETS + 12}]")
    terms = []
    if chosen.lengths:
        terms.append(either([_between(length, low - less, high - less) for low, high in chosen.lengths]))
    if chosen.ttls:
        terms.append(either([f"{ttl} = {value}" for value in chosen.ttls]))
    if chosen.flags:
        terms.append(either([f"{tcp[0]} & {FLAGS_LOOKED_AT:#04x} = {value:#04x}" for value in chosen.flags]))
    if chosen.no_options:
        terms.append(f"{tcp[1]} & 0xf0 = 0x50")
    return terms


def _between(what: str, low: int, high: int) -> str:
    return f"{what} = {low}" if low == high else f"({what} >= {low} and {what} <= {high})"
