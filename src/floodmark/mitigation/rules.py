"""Find a filter that would have stopped an event, and measure what it would have hit in the capture.

The attack's packets determine the candidate terms; every combination that a form can express is tried on a sample of the attack and of
ordinary traffic, and the chosen one is then measured on all packets.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from itertools import combinations
from typing import Any

import numpy as np

from floodmark.base.memory import Memory
from floodmark.base.networks import Network, network_of
from floodmark.captures.opening import Progress
from floodmark.captures.settings import FlowSettings
from floodmark.captures.source import Given
from floodmark.events.events import Event, Judged
from floodmark.flows.tracing import Stretch, Visitor, trace
from floodmark.mitigation.filters import FLAGS_LOOKED_AT, Filter, Packets, icmp_codes
from floodmark.mitigation.forms import Form
from floodmark.vocabulary.terms import WITH_PORTS
from floodmark_core.flows.tracing import new_traced
from floodmark_core.packets.fragments import FIRST
from floodmark_core.packets.links import ETHERNET
from floodmark_core.protocols import ICMP, ICMPV6, TCP

_SAMPLE = 1 << 17  # packets of each kind on which combinations are tried
_COVERED = 0.98  # share of the attack's packets that counts as all of them
_TERM_COVERS = 0.9  # share of them that a term must match
_STEP = 0.05  # share of the attack; a rule is only better if it stops at least that much more
_MOST_PORTS, _MOST_FLAGS, _MOST_LENGTHS, _MOST_TTLS = 8, 3, 6, 6
_MOST_HOSTS = 20_000  # most hosts considered as sources
_WHOLE_SHARE = 0.2  # share of packets that must not be later fragments for ports to be a term
_FORGED = 0.5  # probability of spoofing from which sources are not used
_SYN, _ICMP = 2, (ICMP, ICMPV6)
_FEW_SOURCES = 20  # networks: so few are the attack, and a rule without them hits all users of the service
# What a tool sends identifies it; where its packets come from, and how long they are, may be different tomorrow.
_COSTS = {"lengths": 1, "ttls": 2, "sources": 3}
_ATTACK, _ORDINARY, _OTHER = 0, 1, 2


@dataclass(frozen=True)
class Measured:
    """What a filter would have hit in the capture: packets matched and packets in total."""

    attack: tuple[int, int]  # of the event, toward its victims
    ordinary: tuple[int, int]  # that belong to no attack
    beside: tuple[int, int]  # of these, to the victims
    other: tuple[int, int]  # of other attacks

    @property
    def stopped(self) -> float:
        """Share of the attack that it matches."""
        return self.attack[0] / max(self.attack[1], 1)

    @property
    def harm(self) -> float:
        """Share of ordinary traffic that it matches: of that to the victims or of all, whichever is larger."""
        return max(matched / total if total else 0.0 for matched, total in (self.beside, self.ordinary))


@dataclass(frozen=True)
class Rule:
    """A filter, and what it would have hit."""

    filter: Filter
    measured: Measured


def rule_for(  # noqa: PLR0913 - as for classify
    captures: Given | Iterable[Given],
    event: Event,
    judged: Judged,
    form: Form,
    settings: FlowSettings,
    *,
    most_harm: float,
    memory: Memory | None = None,
    keep_going: bool = False,
    progress: Progress | None = None,
) -> Rule:
    """Find the filter that matches most of an event and least of everything else, and measure it.

    captures: those of the result, which are read twice more. form: in which the rule is to be written. most_harm: largest share of
    ordinary traffic that it should match; if every combination exceeds it, the least harmful one is returned.
    Raises CaptureError, also for captures that can be read only once.
    """
    reading: dict[str, Any] = {"memory": memory, "keep_going": keep_going, "progress": progress}
    sample = _Sample(judged, event)
    trace(captures, settings, Visitor(lambda *_: None, sample.tell), **reading)
    attack, ordinary = sample.packets(_ATTACK), sample.packets(_ORDINARY)
    base = _base(event, attack, form.terms)
    beside = Filter(destinations=_victims(event)).matches(ordinary)
    chosen = replace(_best(base, _terms_of(attack, event, form), (attack, ordinary, beside), most_harm), around=sample.around)
    counts = _Counts(judged, event, chosen)
    trace(captures, settings, Visitor(lambda *_: None, counts.tell), **reading)
    return Rule(chosen, counts.measured)


def _columns(stretch: Stretch) -> Packets:
    return Packets(*(getattr(stretch.traced, name)[: stretch.packets] for name in Packets._fields))


def _kinds(stretch: Stretch, judged: Judged, event: Event) -> np.ndarray:
    """Return the kind of each packet: attack, ordinary, or other (of another attack, or the victim's part of this one); -1: not IP."""
    flow, count = stretch.traced.flow[: stretch.packets], stretch.packets
    if not len(judged.event_of):
        return np.full(count, -1)
    place, sender = judged.event_of[flow], stretch.traced.from_initiator[:count] > 0
    toward = sender != (judged.back[flow] > 0)
    kind = np.where(place < 0, _ORDINARY, np.where((place == event.id - 1) & toward, _ATTACK, _OTHER))
    return np.where(flow >= 0, kind, -1)


def _no_packets() -> Packets:
    """Return no packets, in columns of a trace's types."""
    return Packets(*(getattr(new_traced(), name)[:0] for name in Packets._fields))


def _around(header: bytes) -> tuple[str, ...]:
    """Return the headers between Ethernet and IP, in pcap-filter's syntax."""
    found, at = [], 12
    while at + 2 <= len(header):
        kind, at = int.from_bytes(header[at : at + 2], "big"), at + 2
        if kind in (0x8100, 0x88A8, 0x9100):
            found.append("vlan")
            at += 2
        elif kind in (0x8847, 0x8848):
            while at + 4 <= len(header):
                found.append("mpls")
                at += 4
                if header[at - 2] & 1:  # bottom of the stack
                    break
            break
        else:
            found += ["pppoes"] if kind == 0x8864 else []
            break
    return tuple(found)


class _Sample:
    """Evenly spaced packets of the attack and of ordinary traffic."""

    def __init__(self, judged: Judged, event: Event) -> None:
        self._judged, self._event = judged, event
        nothing = _no_packets()
        self._parts: dict[int, list[Packets]] = {_ATTACK: [nothing], _ORDINARY: [nothing]}
        self._every = dict.fromkeys(self._parts, 1)
        self.around: tuple[str, ...] = ()  # headers before the IP header of the attack's first packet
        self._seen = dict.fromkeys(self._parts, 0)

    def tell(self, stretch: Stretch) -> None:
        """Sample the packets of a stretch of records."""
        kinds, columns = _kinds(stretch, self._judged, self._event), _columns(stretch)
        if not self._seen[_ATTACK] and (kinds == _ATTACK).any():
            first = int(np.argmax(kinds == _ATTACK))
            at, end, link = (int(getattr(stretch.traced, name)[first]) for name in ("frame_at", "ip_at", "link_type"))
            self.around = _around(stretch.block[at:end].tobytes()) if link == ETHERNET else ()
        for kind, parts in self._parts.items():
            mine = np.nonzero(kinds == kind)[0]
            every = self._every[kind]
            parts.append(columns.where(mine[-self._seen[kind] % every :: every]))
            self._seen[kind] += len(mine)
            if sum(len(part.protocol) for part in parts) > 2 * _SAMPLE:
                joined = self.packets(kind)
                self._parts[kind] = [joined.where(np.arange(len(joined.protocol)) % 2 == 0)]
                self._every[kind] = 2 * every

    def packets(self, kind: int) -> Packets:
        """Return the sampled packets of a kind."""
        parts = self._parts[kind]
        return Packets(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


class _Counts:
    """Counts of what a filter matches among all packets."""

    def __init__(self, judged: Judged, event: Event, chosen: Filter) -> None:
        self._judged, self._event, self._filter = judged, event, chosen
        self._victims = Filter(destinations=_victims(event))
        self._sums = np.zeros((4, 2), np.int64)

    def tell(self, stretch: Stretch) -> None:
        """Count the packets of a stretch of records."""
        kinds, columns = _kinds(stretch, self._judged, self._event), _columns(stretch)
        hit, to_victims = self._filter.matches(columns), self._victims.matches(columns)
        groups = (kinds == _ATTACK, kinds == _ORDINARY, (kinds == _ORDINARY) & to_victims, kinds == _OTHER)
        self._sums += [[int((mine & hit).sum()), int(mine.sum())] for mine in groups]

    @property
    def measured(self) -> Measured:
        """The counts."""
        return Measured(*((int(matched), int(total)) for matched, total in self._sums))


def _victims(event: Event) -> tuple[Network, ...]:
    """Return the victims of an event: its prefix, or its hosts."""
    if "/" in event.victims[0]:
        return (network_of(event.victims[0]),)
    return tuple(network_of(victim) for victim in event.victims)


def _base(event: Event, attack: Packets, terms: Collection[str]) -> Filter:
    """Return the terms that every filter has: the victims and the attack's protocol."""
    base = Filter(destinations=_victims(event)) if "destinations" in terms else Filter()
    protocols, counts = np.unique(attack.protocol, return_counts=True)
    if "protocol" in terms and len(counts) and counts.max() >= _TERM_COVERS * counts.sum():
        base = replace(base, protocol=int(protocols[counts.argmax()]))
    return replace(base, fragments_too="fragments_too" in terms and bool((attack.fragment > FIRST).mean() > 1 - _COVERED))


def _few(values: np.ndarray, most: int) -> tuple[int, ...]:
    """Return the values that nearly all packets have, or nothing if there are more than ``most``."""
    found, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    covered = np.cumsum(counts[order]) >= _TERM_COVERS * max(counts.sum(), 1)
    if not covered.any():
        return ()
    return tuple(sorted(int(value) for value in found[order[: int(covered.argmax()) + 1]]))


def _terms_of(attack: Packets, event: Event, form: Form) -> dict[str, Any]:
    """Return each term that a form can express and that matches nearly all of an attack, as a field of Filter."""
    whole = attack.where(attack.fragment <= FIRST)
    tcp = whole.where(whole.protocol == TCP)
    found: dict[str, Any] = {"lengths": _lengths(attack, form), "ttls": _few(attack.ttl, _MOST_TTLS)}
    enough = _WHOLE_SHARE if "fragments_too" in form.terms else _COVERED
    if (
        len(whole.protocol)
        and len(whole.protocol) >= enough * len(attack.protocol)
        and np.isin(whole.protocol, WITH_PORTS).mean() >= _TERM_COVERS
    ):
        found["source_ports"], found["ports"] = _few(whole.src_port, _MOST_PORTS), _few(whole.dst_port, _MOST_PORTS)
    icmp = whole.where(np.isin(whole.protocol, _ICMP))
    if len(icmp.protocol) and len(icmp.protocol) >= _COVERED * len(attack.protocol):
        found["icmp_types"], found["icmp_codes"] = _few(icmp.tcp_flags, _MOST_FLAGS), _few(icmp_codes(icmp), _MOST_FLAGS)
    if len(tcp.protocol) and len(tcp.protocol) >= _COVERED * len(attack.protocol):
        found["flags"] = _few(tcp.tcp_flags & FLAGS_LOOKED_AT, _MOST_FLAGS)
        found["no_options"] = bool((tcp.tcp_options == 0).mean() >= _COVERED) and found["flags"] == (_SYN,)
    if (event.spoofed or 0.0) < _FORGED:
        found["sources"] = _sources(attack, form.most_sources)
    return {name: value for name, value in found.items() if name in form.terms and value}


def _lengths(attack: Packets, form: Form) -> tuple[tuple[int, int], ...]:
    """Return the few lengths that packets have, or the range of nearly all; nothing if a form cannot match those of their protocol."""
    if not len(attack.ip_bytes) or (form.lengths_of is not None and not np.isin(attack.protocol, tuple(form.lengths_of)).all()):
        return ()
    few = _few(attack.ip_bytes, _MOST_LENGTHS)
    low, high = (int(value) for value in np.quantile(attack.ip_bytes, (0.01, 0.99)))
    return tuple((length, length) for length in few) or ((low, high),)


def _sources(attack: Packets, most: int) -> tuple[Network, ...]:
    """Return the source addresses of an attack as the fewest networks, nothing if there are more than ``most``."""
    keys = np.unique(np.stack((attack.src_hi, attack.src_lo, attack.ip_version.astype(np.uint64)), axis=1), axis=0)
    if len(keys) > _MOST_HOSTS:
        return ()
    four = [IPv4Network(int(lo)) for _, lo, version in keys if version == 4]
    six = [IPv6Network((int(hi) << 64) | int(lo)) for hi, lo, version in keys if version == 6]
    networks: tuple[Network, ...] = (*collapse_addresses(four), *collapse_addresses(six))
    return networks if len(networks) <= most else ()


def _best(base: Filter, terms: dict[str, Any], sample: tuple[Packets, Packets, np.ndarray], most_harm: float) -> Filter:
    """Return the combination of terms that matches most of the attack with little harm; of equally good ones the most characteristic.

    sample: packets of the attack, ordinary packets, and whether each of the latter goes to a victim.
    """
    attack, ordinary, beside = sample
    alone = {name: Filter(**{name: value}, fragments_too=base.fragments_too) for name, value in terms.items()}
    hits = {name: (one.matches(attack), one.matches(ordinary)) for name, one in alone.items()}
    start = (base.matches(attack), base.matches(ordinary))
    costs = _COSTS | ({"sources": 0} if len(terms.get("sources", ())) <= _FEW_SOURCES else {})

    def judged(names: tuple[str, ...]) -> tuple[bool, float, bool, int, int, int, float]:
        matched, harmed = start[0].copy(), start[1].copy()
        for name in names:
            matched &= hits[name][0]
            harmed &= hits[name][1]
        share = float(matched.mean()) if len(matched) else 0.0
        harm = max(float(harmed[beside].mean()) if beside.any() else 0.0, float(harmed.mean()) if len(harmed) else 0.0)
        too_much, cost = harm > most_harm, sum(costs.get(name, 0) for name in names)
        return too_much, harm if too_much else 0.0, not names, -round(share / _STEP), cost, cost - len(names), harm

    every = [names for count in range(len(terms) + 1) for names in combinations(terms, count)]
    if not base.terms:  # a filter without terms would match everything
        every = [names for names in every if names] or [()]
    return replace(base, **{name: terms[name] for name in min(every, key=judged)})
