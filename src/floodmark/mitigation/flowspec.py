"""Write filters as BGP flowspec routes (RFC 8955, RFC 8956), in ExaBGP's configuration syntax."""

from collections.abc import Sequence
from itertools import product

from floodmark.mitigation.filters import Filter
from floodmark.mitigation.words import split
from floodmark.vocabulary.terms import protocol_name
from floodmark_core.protocols import TCP, UDP

_FLAG_NAMES = ((1, "fin"), (2, "syn"), (4, "rst"), (8, "push"), (16, "ack"), (32, "urgent"))
_NAMED = (1, TCP, UDP)  # protocols that are written by name


def write_flowspec(chosen: Filter, what: str, number: int) -> str:
    """Return the routes of a filter: one per pair of destination and source. what: its purpose. number: of the event."""
    lines = [f"# {what}", "flow {"]
    for version, destinations, sources in split(chosen):
        suffix = "" if version == 4 else "/0"  # the offset of an IPv6 prefix
        for place, (destination, source) in enumerate(product(destinations or (None,), sources or (None,))):
            terms = [f"destination {destination}{suffix}"] if destination is not None else []
            terms += [f"source {source}{suffix}"] if source is not None else []
            for kind, wanted in _routes(chosen):
                match = " ".join(f"{term};" for term in [*terms, *_terms(wanted, version), *(["fragment [ is-fragment ]"] if kind else [])])
                lines.append(f"  route event{number}-{version}-{place}{kind} {{ match {{ {match} }} then {{ discard; }} }}")
    return "\n".join([*lines, "}"]) + "\n"


def _routes(chosen: Filter) -> list[tuple[str, Filter]]:
    """Return the filter, and if later fragments are to match, a second one without terms on transport fields."""
    alone = chosen.for_fragments
    return [("", chosen), *([("-fragments", alone)] if alone is not None else [])]


def _terms(chosen: Filter, version: int) -> list[str]:
    terms = []
    if chosen.protocol is not None:
        word = "protocol" if version == 4 else "next-header"
        terms.append(f"{word} {protocol_name(chosen.protocol) if chosen.protocol in _NAMED else f'={chosen.protocol}'}")
    for word, ports in (("destination-port", chosen.ports), ("source-port", chosen.source_ports)):
        if ports:
            terms.append(f"{word} {_listed([f'={port}' for port in ports])}")
    if chosen.icmp_types:
        terms.append(f"icmp-type {_listed([f'={value}' for value in chosen.icmp_types])}")
    if chosen.icmp_codes:
        terms.append(f"icmp-code {_listed([f'={value}' for value in chosen.icmp_codes])}")
    if chosen.flags:
        patterns = ["&".join(f"{'=' if value & bit else '!'}{name}" for bit, name in _FLAG_NAMES) for value in chosen.flags]
        terms.append(f"tcp-flags [ {' '.join(patterns)} ]")
    if chosen.lengths:
        terms.append(f"packet-length {_listed([f'={low}' if low == high else f'>={low}&<={high}' for low, high in chosen.lengths])}")
    return terms


def _listed(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"[ {' '.join(values)} ]"
