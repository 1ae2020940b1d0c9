"""Explain a verdict: how much each fact weighs, what would have to be missing for another verdict, which packets show it."""

import math
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import numpy as np

from floodmark.captures.opening import Progress
from floodmark.captures.settings import FlowSettings
from floodmark.captures.source import Given
from floodmark.errors import NotFoundError
from floodmark.events.events import Event
from floodmark.flows.flowset import Host, address_text
from floodmark.flows.tracing import Stretch, Visitor, trace
from floodmark.result.result import FlowRecords
from floodmark.verdicts.weighing import BASE, REPORTED, Reason
from floodmark.vocabulary.terms import PROTOCOLS, WITH_PORTS, protocol_name
from floodmark_core.columns import U32
from floodmark_core.packets.fragments import FIRST
from floodmark_core.protocols import ICMP, ICMPV6, TCP

PAYLOAD_SHOWN = 48  # bytes of a packet
_FLAG_NAMES = ((2, "SYN"), (16, "ACK"), (1, "FIN"), (4, "RST"), (8, "PSH"), (32, "URG"))
_NUMBERS = {name: number for number, name in PROTOCOLS.items()}


@dataclass(frozen=True)
class Group:
    """Reasons that measure one fact, strongest first, and the confidence without that fact."""

    name: str
    reasons: tuple[Reason, ...]
    confidence_without: float

    @property
    def decides(self) -> bool:
        """Return whether the event would not be reported without it."""
        return self.confidence_without < REPORTED


def groups_of(event: Event) -> list[Group]:
    """Return the reasons of an event grouped by the fact that they measure, heaviest first."""
    names: dict[str, list[Reason]] = {}
    for reason in event.reasons:
        names.setdefault(reason.group, []).append(reason)
    ordered = {name: sorted(reasons, key=lambda reason: -abs(reason.weight)) for name, reasons in names.items()}
    odds = BASE + sum(reasons[0].weight for reasons in ordered.values())
    groups = [
        Group(name, tuple(reasons), min(1 / (1 + math.exp(reasons[0].weight - odds)), event.confidence if reasons[0].weight > 0 else 1.0))
        for name, reasons in ordered.items()
    ]
    return sorted(groups, key=lambda group: -group.reasons[0].weight)


def nearest_change(event: Event) -> str:
    """Return the smallest set of facts without which the event would not be reported, as a sentence."""
    groups = [group for group in groups_of(event) if group.reasons[0].weight > 0]
    deciding = [group for group in groups if group.decides]
    if deciding:
        least = min(deciding, key=lambda group: group.reasons[0].weight)
        return (
            f"without {_fact(least)} the confidence would be {least.confidence_without:.2f}, below {REPORTED}, "
            f"and the event would not be reported: {least.reasons[0].text}"
        )
    odds, gone = BASE + sum(group.reasons[0].weight for group in groups_of(event)), []
    for group in groups:
        odds -= group.reasons[0].weight
        gone.append(_fact(group))
        if 1 / (1 + math.exp(-odds)) < REPORTED:
            break
    return f"no single reason is decisive: {' and '.join(gone)} would have to be missing together"


def _fact(group: Group) -> str:
    return f"{group.reasons[0].rule} ({group.name})"


def find_flows(flows: FlowRecords, text: str) -> U32:
    """Return the flows that a text identifies: a flow_id, or addresses, ports and protocol, in either direction.

    Examples: ``17``, ``198.51.100.1:40000 203.0.113.10:80 tcp`` or ``[2001:db8::1]:5000 [2001:db8::2]:53 udp``. Raises FloodmarkError.
    """
    if text.strip().isdigit():
        number = int(text)
        if number >= len(flows):
            raise NotFoundError(f"no flow has the flow_id {number}; there are {len(flows):,} flows, numbered from 0")
        return np.array([number], np.uint32)
    one, other, protocol = _five_tuple(text)
    names = ["protocol", *(f"{end}_{what}" for end in ("initiator", "responder") for what in ("hi", "lo", "port"))]
    matched = [index[_is(seen, one, other, protocol) | _is(seen, other, one, protocol)] for index, seen in flows.rows(names)]
    rows = np.concatenate(matched) if matched else np.zeros(0, np.uint32)
    if not len(rows):
        raise NotFoundError(f"no flow matches {text!r}")
    return rows


_End = tuple[int, int, int | None]  # halves of an address and the port


def _five_tuple(text: str) -> tuple[_End, _End, int | None]:
    words = [word for word in re.split(r"[\s,]+|->|>", text.strip()) if word]
    if len(words) not in (2, 3):
        raise NotFoundError(f"{text!r} is not a flow; write SOURCE:PORT DESTINATION:PORT PROTOCOL, or a flow_id")
    protocol = None
    if len(words) == 3:
        protocol = _NUMBERS.get(words[2].lower(), int(words[2]) if words[2].isdigit() else None)
        if protocol is None:
            raise NotFoundError(f"{words[2]!r} is not a protocol; give a name such as tcp, or a number")
    return _end(words[0]), _end(words[1]), protocol


def _end(word: str) -> _End:
    """Return an address and its port, None if there is no port."""
    found = re.fullmatch(r"\[(.+)\](?::(\d+))?|([^:]+)(?::(\d+))?|(.+)", word)
    address, port = (found[1] or found[3] or found[5], found[2] or found[4]) if found else (word, None)
    try:
        number = int(ip_address(address))
    except ValueError as error:
        raise NotFoundError(f"{word!r} is not an address, with or without a port") from error
    return number >> 64, number & (1 << 64) - 1, int(port) if port else None


def _is(seen: dict[str, np.ndarray], initiator: _End, responder: _End, protocol: int | None) -> np.ndarray:
    found = np.ones(len(seen["protocol"]), bool) if protocol is None else seen["protocol"] == protocol
    for end, (hi, lo, port) in (("initiator", initiator), ("responder", responder)):
        found &= (seen[f"{end}_hi"] == np.uint64(hi)) & (seen[f"{end}_lo"] == np.uint64(lo))
        if port is not None:
            found &= seen[f"{end}_port"] == port
    return found


@dataclass(frozen=True)
class SamplePacket:
    """A packet summarised in one line, and the beginning of its payload."""

    time_ns: int
    line: str
    payload: bytes


class _EnoughError(Exception):
    """The requested number of packets has been found."""


def sample_packets(  # noqa: PLR0913 - as for classify
    captures: Given | Iterable[Given], wanted: np.ndarray, settings: FlowSettings, *, most: int, keep_going: bool = False,
    progress: Progress | None = None,
) -> list[SamplePacket]:  # fmt: skip
    """Return the first packets of some flows. wanted: bool per flow. Raises CaptureError, also for captures that can be read only once."""
    found: list[SamplePacket] = []

    def tell(stretch: Stretch) -> None:
        flow = stretch.traced.flow[: stretch.packets]
        places = np.nonzero((flow >= 0) & wanted[np.maximum(flow, 0)])[0] if len(wanted) else flow[:0]
        found.extend(_decoded(stretch, int(place)) for place in places[: most - len(found)])
        if len(found) >= most:
            raise _EnoughError

    with suppress(_EnoughError):
        trace(captures, settings, Visitor(lambda *_: None, tell), keep_going=keep_going, progress=progress)
    return found


def _decoded(stretch: Stretch, place: int) -> SamplePacket:
    seen = {name: int(getattr(stretch.traced, name)[place]) for name in stretch.traced._fields}
    ends = [_end_text(seen, end) for end in ("src", "dst")]
    parts = [f"{ends[0]} > {ends[1]}", protocol_name(seen["protocol"]).upper(), *_tcp_words(seen)]
    if seen["protocol"] in (ICMP, ICMPV6) and seen["fragment"] <= FIRST:
        parts.append(f"type {seen['tcp_flags']}")  # the core keeps it there
    if seen["fragment"] > FIRST:
        parts.append("later fragment")
    parts += [f"TTL {seen['ttl']}", f"{seen['ip_bytes']} bytes", f"{seen['payload_octets']} of payload"]
    at = seen["payload_at"]
    end = min(at + seen["payload_octets"], at + PAYLOAD_SHOWN, seen["frame_at"] + seen["captured_length"])
    moment = f"{datetime.fromtimestamp(seen['time_ns'] // 10**9, UTC):%H:%M:%S}.{seen['time_ns'] // 1000 % 10**6:06d}"
    return SamplePacket(seen["time_ns"], f"{moment} {', '.join(parts)}", stretch.block[at : max(at, end)].tobytes())


def _end_text(seen: dict[str, Any], end: str) -> str:
    hi, lo, version = seen[f"{end}_hi"], seen[f"{end}_lo"], seen["ip_version"]
    address = address_text(hi, lo) if version == 6 else str(Host(4, 0, lo))
    if seen["protocol"] not in WITH_PORTS:
        return address
    return f"[{address}]:{seen[f'{end}_port']}" if version == 6 else f"{address}:{seen[f'{end}_port']}"


def _tcp_words(seen: dict[str, Any]) -> list[str]:
    if seen["protocol"] != TCP or seen["fragment"] > FIRST:
        return []
    flags = " ".join(name for bit, name in _FLAG_NAMES if seen["tcp_flags"] & bit) or "no flags"
    options = [] if seen["tcp_flags"] & 2 == 0 else ["with options" if seen["tcp_options"] else "no options"]
    return [flags, f"window {seen['tcp_window']}", *options]
