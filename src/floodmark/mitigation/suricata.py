"""Write filters as Suricata rules, one for each TTL, combination of flags and length: its keywords take one value."""

from collections.abc import Sequence
from itertools import product

from floodmark.mitigation.filters import Filter
from floodmark.mitigation.words import IPV4_BYTES, IPV6_BYTES, UDP_BYTES, text_of
from floodmark_core.protocols import TCP, UDP

_FLAG_LETTERS = ((1, "F"), (2, "S"), (4, "R"), (8, "P"), (16, "A"), (32, "U"))
_FIRST_SID = 1_000_000  # of local rules


def write_suricata(chosen: Filter, what: str, number: int) -> str:
    """Return the rules of a filter. what: its purpose. number: of the event."""
    name = {1: "icmp", TCP: "tcp", UDP: "udp", 58: "icmpv6"}.get(chosen.protocol or 0, "ip")
    own = [f"ip_proto:{chosen.protocol}"] if name == "ip" and chosen.protocol is not None else []
    sources, ends = (_listed([text_of(network) for network in networks]) for networks in (chosen.sources, chosen.destinations))
    source_ports, ports = (_listed([str(port) for port in values]) for values in (chosen.source_ports, chosen.ports))
    lines = [f"# {what}"]
    for place, values in enumerate(
        product(_flags(chosen), _icmp_types(chosen), _icmp_codes(chosen), _ttls(chosen), _payload_sizes(chosen))
    ):
        header = ["tcp.hdr", 'content:"|50|"', "offset:12", "depth:1"] if chosen.no_options else []
        options = [
            f'msg:"floodmark event {number}"', *own, *(value for value in values if value), *header, "classtype:attempted-dos",
            f"sid:{_FIRST_SID + 1000 * number + place}", "rev:1",
        ]  # fmt: skip
        lines.append(f"drop {name} {sources} {source_ports} -> {ends} {ports} ({'; '.join(options)};)")
    return "\n".join(lines) + "\n"


def _listed(values: Sequence[str]) -> str:
    return "any" if not values else values[0] if len(values) == 1 else f"[{','.join(values)}]"


def _flags(chosen: Filter) -> list[str]:
    """Return each combination of flags in rule syntax; the two ECN flags are ignored."""
    letters = ["".join(letter for bit, letter in _FLAG_LETTERS if value & bit) or "0" for value in chosen.flags]
    return [f"tcp.flags:{each},12" for each in letters] or [""]


def _icmp_types(chosen: Filter) -> list[str]:
    return [f"itype:{value}" for value in chosen.icmp_types] or [""]


def _icmp_codes(chosen: Filter) -> list[str]:
    return [f"icode:{value}" for value in chosen.icmp_codes] or [""]


def _ttls(chosen: Filter) -> list[str]:
    return [f"ttl:{value}" for value in chosen.ttls] or [""]


def _payload_sizes(chosen: Filter) -> list[str]:
    """Return the UDP payload lengths for some IP lengths, in rule syntax; Suricata's ranges exclude their bounds."""
    less = (IPV4_BYTES if all(network.version == 4 for network in chosen.destinations) else IPV6_BYTES) + UDP_BYTES
    return [_size(low - less, high - less) for low, high in chosen.lengths] or [""]


def _size(low: int, high: int) -> str:
    if low == high:
        return f"dsize:{low}"
    return f"dsize:{low - 1}<>{high + 1}" if low > 0 else f"dsize:<{high + 1}"
