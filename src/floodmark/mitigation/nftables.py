"""Write filters as nftables rules: a table that can be loaded unchanged."""

from collections.abc import Sequence

from floodmark.mitigation.filters import Filter
from floodmark.mitigation.words import IPV6_BYTES, split, text_of
from floodmark_core.protocols import TCP, UDP

_FLAG_NAMES = ((1, "fin"), (2, "syn"), (4, "rst"), (8, "psh"), (16, "ack"), (32, "urg"))


def write_nftables(chosen: Filter, what: str, number: int) -> str:
    """Return the table of a filter. what: its purpose. number: of the event."""
    lines = [f"# {what}", "table inet floodmark {"]
    rules = []
    for version, destinations, sources in split(chosen):
        family, kind = ("ip", "ipv4_addr") if version == 4 else ("ip6", "ipv6_addr")
        terms = []
        for word, networks in (("daddr", destinations), ("saddr", sources)):
            if len(networks) == 1:
                terms.append(f"{family} {word} {text_of(networks[0])}")
            elif networks:
                name = f"event{number}_{word}{version}"
                listed = ", ".join(text_of(network) for network in networks)
                lines += [f"\tset {name} {{", f"\t\ttype {kind}; flags interval; auto-merge", f"\t\telements = {{ {listed} }}", "\t}"]
                terms.append(f"{family} {word} @{name}")
        rules.append(" ".join([*terms, *_nft_terms(chosen, version)]))
        if (alone := chosen.for_fragments) is not None:
            fragment = "ip frag-off & 0x1fff != 0" if version == 4 else "exthdr frag exists"
            rules.append(" ".join([*terms, *_nft_terms(alone, version), fragment]))
    lines += [f"\tchain event{number} {{", "\t\ttype filter hook prerouting priority raw; policy accept"]
    lines += [f"\t\t{rule} counter drop" for rule in rules]
    return "\n".join([*lines, "\t}", "}"]) + "\n"


def _nft_terms(chosen: Filter, version: int) -> list[str]:
    terms, family = [], "ip" if version == 4 else "ip6"
    protocol = {TCP: "tcp", UDP: "udp"}.get(chosen.protocol or 0)
    if chosen.protocol is not None and not (protocol and (chosen.source_ports or chosen.ports)):
        terms.append(f"meta l4proto {chosen.protocol}")
    for word, ports in (("sport", chosen.source_ports), ("dport", chosen.ports)):
        if ports:
            terms.append(f"{protocol or 'th'} {word} {_nft_set(ports)}")
    if chosen.lengths:
        less = 0 if version == 4 else IPV6_BYTES
        ranges = [str(low - less) if low == high else f"{low - less}-{high - less}" for low, high in chosen.lengths]
        terms.append(f"{family} length {_nft_set(ranges)}")
    if chosen.ttls:
        terms.append(f"{family} {'ttl' if version == 4 else 'hoplimit'} {_nft_set(chosen.ttls)}")
    if chosen.flags:
        named = ["|".join(name for bit, name in _FLAG_NAMES if value & bit) or "0x0" for value in chosen.flags]
        values = named[0] if len(named) == 1 else f"{{ {', '.join(named)} }}"
        terms.append(f"tcp flags & (fin|syn|rst|psh|ack|urg) == {values}")
    if chosen.icmp_types:
        terms.append(f"{'icmp' if version == 4 else 'icmpv6'} type {_nft_set(chosen.icmp_types)}")
    if chosen.icmp_codes:
        terms.append(f"{'icmp' if version == 4 else 'icmpv6'} code {_nft_set(chosen.icmp_codes)}")
    if chosen.no_options:
        terms.append("tcp doff 5")
    return terms


def _nft_set(values: Sequence[object]) -> str:
    return str(values[0]) if len(values) == 1 else f"{{ {', '.join(map(str, values))} }}"
