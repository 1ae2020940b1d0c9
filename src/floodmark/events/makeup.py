"""Measure what an attack's packets have in common, and how much of the ordinary traffic to its victims shares it.

A property that ordinary traffic shares is no basis for blocking; one that it does not share is. Shares are measured on evenly spaced
flows if there are more than a share needs (flowset.SAMPLE).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from floodmark.flows.flowset import FlowSet, Host, effective_number
from floodmark.verdicts.context import Context
from floodmark.vocabulary.payloads import payload_name
from floodmark.vocabulary.terms import WITH_PORTS, protocol_name
from floodmark_core.columns import I32

_MOST_PARTS, _LEAST_SHARE = 10, 0.01  # most values of a kind that are listed, and their least share
_MOST_VICTIMS = 20  # most whose ordinary traffic is examined
_SITE_BITS = 48  # length of the IPv6 prefixes by which sources are counted: what a site is assigned (RFC 6177)


@dataclass(frozen=True)
class Share:
    """The packets of an attack that have one value in common."""

    value: str
    share: float  # of the attack's packets, 0 to 1
    ordinary: float | None  # share of ordinary traffic in the packets with this value to the victims; None if no victim is listed


@dataclass(frozen=True)
class Makeup:
    """What an attack's packets are: of each kind the ten most frequent values with at least 1 % of the packets, most frequent first."""

    prefixes: tuple[Share, ...] = ()  # of the sources: /24, and /48 for IPv6
    source_ports: tuple[Share, ...] = ()  # such as 53/udp
    ports: tuple[Share, ...] = ()  # destination ports
    payloads: tuple[Share, ...] = ()  # type of a flow's first payload
    packet_octets: tuple[Share, ...] = ()  # IP bytes of a packet, mean of each flow
    ttls: tuple[Share, ...] = ()  # of a flow's first packet
    effective_ttls: float | None = None  # number of equally frequent TTLs that would be as diverse; None if senders' TTLs do not show
    ordinary_packets: int = 0  # to the same victims, of no attack


class Surroundings:
    """Ordinary traffic around the attacks of one run."""

    def __init__(self, context: Context, event_of: I32) -> None:
        """event_of: event of each flow, below 0 if it belongs to no attack."""
        self._context, self._event_of = context, event_of
        self.ordinary = cache(self._ordinary)  # several attacks may have one victim

    def around(self, victims: Iterable[Host]) -> list[FlowSet] | None:
        """Return the ordinary flows of victims, seen from them, of the first ones only if there are many; None if none is listed."""
        numbers = self._context.hosts.numbers
        places = [numbers[host] for host in victims if host in numbers][:_MOST_VICTIMS]
        return [flows for place in places for flows in self.ordinary(place) if len(flows)] if places else None

    def _ordinary(self, place: int) -> list[FlowSet]:
        """Return what a host received in flows toward it, and as replies in flows that it began."""
        context = self._context
        began = context.baseline.connections_of(context.hosts.host(place)).index
        packets = np.minimum(context.flows.column("responder_packets", began), 0xFFFFFFFF).astype(np.uint32)
        answered = FlowSet(context.flows, began, np.ones(len(began), bool), packets)
        own = [flows.unnumbered(self._event_of) for flows in (context.baseline.dialogues_of(place), answered)]
        return [context.hosts.unnumbered_to(place, self._event_of), *own]

    def packets_from(self, hosts: list[Host], victims: Iterable[Host]) -> list[int]:
        """Return the number of ordinary packets that each of some hosts sent to the victims."""
        totals = dict.fromkeys(hosts, 0)
        for flows in (self.around(victims) or ()) if hosts else ():
            lo = flows.sent("lo")
            mine = flows.where(np.isin(lo, np.array([host.lo for host in hosts], np.uint64)))
            groups, leaders = mine.sources
            packets = np.bincount(groups, weights=mine.packets, minlength=len(leaders))
            for sender, count in zip(mine.senders(leaders), packets, strict=True):
                if sender in totals:
                    totals[sender] += int(count)
        return list(totals.values())


def makeup_of(flows: FlowSet, around: list[FlowSet] | None) -> Makeup:
    """Return what an attack's packets are.

    flows: the attack's, seen from its victims. around: ordinary flows of the same victims, None if unknown.
    """
    attack, ordinary = _Seen(flows), [_Seen(each) for each in around or ()]
    parts = {}
    for name, (_, text) in _KINDS.items():
        values, packets = attack.most_frequent(name)
        beside = sum((each.packets_with(name, values) for each in ordinary), np.zeros(len(values)))
        parts[name] = tuple(
            Share(
                text(int(value)),
                round(float(count) / flows.total_packets, 4),
                round(float(o / (o + count)), 4) if around is not None else None,
            )
            for value, count, o in zip(values, packets, beside, strict=True)
        )
    ttls, is_known = _ttls(attack.columns, attack.back)
    return Makeup(
        **parts,
        effective_ttls=round(effective_number(ttls[is_known].astype(np.uint8)), 2) if is_known.any() else None,
        ordinary_packets=sum(each.total_packets for each in around or ()),
    )


_Columns = dict[str, np.ndarray]
_Keys = tuple[np.ndarray, np.ndarray]  # uint64 of each flow, and whether it has one


class _Seen:
    """The columns of some flows, or of a sample of them."""

    def __init__(self, flows: FlowSet) -> None:
        seen = flows.sample
        self.back = seen.from_responder
        columns = seen.flows.columns(seen.index, _NEEDED)
        for name in _PAIRS:
            one, other = columns.pop(f"initiator_{name}"), columns.pop(f"responder_{name}")
            columns[f"sent_{name}"], columns[f"received_{name}"] = np.where(self.back, other, one), np.where(self.back, one, other)
        columns["packets"] = seen.packets
        self.columns = columns
        self._scale = flows.total_packets / max(seen.total_packets, 1)
        self._least = _LEAST_SHARE * flows.total_packets

    def most_frequent(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the most frequent values of a kind, and how many packets have each."""
        values, packets = self._packets_by(name)
        most = np.argsort(-packets, kind="stable")[:_MOST_PARTS]
        most = most[packets[most] >= self._least]
        return values[most], packets[most]

    def packets_with(self, name: str, wanted: np.ndarray) -> np.ndarray:
        """Return the number of packets with each of some values of a kind."""
        values, packets = self._packets_by(name)
        if not len(values):
            return np.zeros(len(wanted))
        place = np.minimum(np.searchsorted(values, wanted), len(values) - 1)
        found: np.ndarray = np.where(values[place] == wanted, packets[place], 0)
        return found

    def _packets_by(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the values of a kind, in order, and the number of packets with each."""
        keys, has_one = _KINDS[name][0](self.columns, self.back)
        values, place = np.unique(keys[has_one], return_inverse=True)
        return values, np.bincount(place, weights=self.columns["packets"][has_one], minlength=len(values)) * self._scale


def _all(values: np.ndarray) -> _Keys:
    return values.astype(np.uint64), np.ones(len(values), bool)


def _prefixes(seen: _Columns, _: np.ndarray) -> _Keys:
    site = np.uint64(1 << 63) | seen["sent_hi"] >> np.uint64(64 - _SITE_BITS)
    return _all(np.where(seen["ip_version"] == 6, site, seen["sent_lo"] >> np.uint64(8)))


def _prefix_text(key: int) -> str:
    if key >> 63:
        return str(Host(6, (key & (1 << 63) - 1) << 64 - _SITE_BITS, 0, _SITE_BITS))
    return str(Host(4, 0, key << 8, 24))


def _ported(seen: _Columns, ports: np.ndarray) -> _Keys:
    keys = seen["protocol"].astype(np.uint64) << np.uint64(16) | ports.astype(np.uint64)
    return keys, np.isin(seen["protocol"], WITH_PORTS) & (seen["is_fragment"] == 0)


def _port_text(key: int) -> str:
    return f"{key & 0xFFFF}/{protocol_name(key >> 16)}"


def _packet_bytes(seen: _Columns, _: np.ndarray) -> _Keys:
    return _all(seen["sent_octets"] // np.maximum(seen["packets"], 1).astype(np.uint64))


def _ttls(seen: _Columns, back: np.ndarray) -> _Keys:
    # A flow keeps the TTL of its first packet, which is the sender's unless the other side sent first.
    return seen["ttl"].astype(np.uint64), (seen["from_responder"] > 0) == back


_PAIRS = ("hi", "lo", "port", "octets", "payload_kind")
_ENDS = tuple(f"{end}_{name}" for name in _PAIRS for end in ("initiator", "responder"))
_NEEDED = ("ip_version", "protocol", "is_fragment", "ttl", "from_responder", *_ENDS)
_KINDS: dict[str, tuple[Callable[[_Columns, np.ndarray], _Keys], Callable[[int], str]]] = {
    "prefixes": (_prefixes, _prefix_text),
    "source_ports": (lambda seen, _: _ported(seen, seen["sent_port"]), _port_text),
    "ports": (lambda seen, _: _ported(seen, seen["received_port"]), _port_text),
    "payloads": (lambda seen, _: _all(seen["sent_payload_kind"]), payload_name),
    "packet_octets": (_packet_bytes, str),
    "ttls": (_ttls, str),
}
