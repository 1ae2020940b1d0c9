"""Describe what is in a capture, without flows and verdicts: container, times, protocols, silences, losses, duplicates, damage."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from floodmark.captures.problems import Problem, packet_counts, problems_of
from floodmark.captures.reading import ReadCapture, read_by_parts, read_capture
from floodmark.captures.settings import FlowSettings
from floodmark.captures.source import Given, source_of
from floodmark.captures.walking import walk_with
from floodmark.result.result import rfc3339, valid_text
from floodmark.vocabulary.terms import TUNNELS, link_type_name, protocol_name
from floodmark_core import new_tally
from floodmark_core.columns import I64, U8, Interfaces
from floodmark_core.packets.duplicates import DUPLICATES
from floodmark_core.packets.survey import (
    CUT,
    FRAGMENTS,
    HEADER_CHECKSUM_BAD,
    IPV6_PACKETS,
    TAGGED,
    TRANSPORT_CHECKSUM_BAD,
    Survey,
    new_survey,
    survey_block,
)
from floodmark_core.records.ahead import CURSORS
from floodmark_core.records.framing import CONTAINER, INTERFACE_COUNT, PCAPNG

_MOST_INTERFACES = 100  # listed one by one


@dataclass(frozen=True)
class Interface:
    """An interface described in the last section of a pcapng capture."""

    link_type: str
    snaplen: int  # bytes; 0 no limit
    ticks_per_second: float


@dataclass(frozen=True)
class Inspection:
    """What is in one capture. Times are nanoseconds since the epoch, None if no packet has one."""

    path: str
    format: str
    compression: str | None
    sha256: str | None
    nbytes: int  # of the capture, uncompressed
    link_types: tuple[str, ...]
    interfaces: tuple[Interface, ...]
    packets: int
    bytes: int  # on the wire
    packets_in_flows: int
    packets_not_ip: dict[str, int]
    packets_refused: dict[str, int]
    protocols: dict[str, int]  # packets by IP protocol, most frequent first
    tunnels: dict[str, int]  # packets by the outermost tunnel
    ipv6: int  # packets
    tagged: int  # packets with a VLAN tag
    fragments: int
    duplicates: int  # packets that repeat one seen within 5 ms before, byte for byte from the IP header on
    ip_checksum_bad: int  # packets with a wrong IPv4 header checksum
    transport_checksum_bad: int  # complete packets with a wrong TCP, UDP or ICMP checksum
    snaplen_cut: int
    first_seen_ns: int | None
    last_seen_ns: int | None
    longest_gap_ns: int  # without any packet
    longest_gap_begins_ns: int | None
    problems: tuple[Problem, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: times as RFC 3339 text, problems as dictionaries."""
        document = dict(vars(self))
        document["path"] = valid_text(self.path)
        document["interfaces"] = [vars(interface) for interface in self.interfaces]
        document["problems"] = [vars(problem) for problem in self.problems]
        for name in ("first_seen", "last_seen", "longest_gap_begins"):
            time_ns = document.pop(f"{name}_ns")
            document[name] = None if time_ns is None else rfc3339(time_ns)
        return document


def inspect(
    capture: Given, *, hashing: bool = False, keep_going: bool = False, progress: Callable[[int], None] | None = None
) -> Inspection:
    """Inspect one capture. Raises CaptureError."""
    with source_of(capture).reader(hashing=hashing) as reader:
        layout, tally, survey, cursors = reader.container.layout, new_tally(), new_survey(), np.zeros(CURSORS, np.int64)
        walk = walk_with(FlowSettings(), layout)

        def read(block: U8, at: int) -> tuple[int, int]:
            return survey_block(block, at, reader.base, walk, survey, tally)

        def read_block(block: U8, at: int) -> tuple[int, int]:
            return read_by_parts(read, block, at, layout, cursors) if reader.is_mapped else read(block, at)

        found = read_capture(reader, read_block, (layout, tally), progress, keep_going)
        described = tuple(_interfaces(layout, walk.interfaces)) if layout[CONTAINER] == PCAPNG else ()
        return _inspection(found, survey, described)


def _interfaces(layout: I64, interfaces: Interfaces) -> Iterator[Interface]:
    """Yield the interfaces of the last section, at most _MOST_INTERFACES."""
    for i in range(min(int(layout[INTERFACE_COUNT]), _MOST_INTERFACES)):
        resolution = int(interfaces.resolution[i])
        ticks = 10.0**resolution if resolution >= 0 else 2.0**-resolution
        yield Interface(link_type_name(int(interfaces.link_type[i])), int(interfaces.snaplen[i]), ticks)


def _named(counts: I64, name: Callable[[int], str]) -> dict[str, int]:
    """Return the non-zero counters by name, largest first."""
    found = [(name(code), int(counts[code])) for code in counts.nonzero()[0].tolist()]
    return dict(sorted(found, key=lambda one: (-one[1], one[0])))


def _inspection(read: ReadCapture, survey: Survey, interfaces: tuple[Interface, ...]) -> Inspection:
    where, counts = packet_counts([read]), survey.counts
    longest, begins, _ = (int(value) for value in survey.gap)
    return Inspection(
        path=read.path,
        format=read.format,
        compression=read.compression,
        sha256=read.sha256,
        nbytes=read.nbytes,
        link_types=tuple(link_type_name(code) for code in read.link_types),
        interfaces=interfaces,
        packets=read.packets,
        bytes=read.wire_bytes,
        packets_in_flows=where.in_flows,
        packets_not_ip=where.not_ip,
        packets_refused=where.refused,
        protocols=_named(survey.protocols, protocol_name),
        tunnels=_named(survey.tunnels[1:], lambda code: TUNNELS[code]),
        ipv6=int(counts[IPV6_PACKETS]),
        tagged=int(counts[TAGGED]),
        fragments=int(counts[FRAGMENTS]),
        duplicates=int(survey.recent.counts[DUPLICATES]),
        ip_checksum_bad=int(counts[HEADER_CHECKSUM_BAD]),
        transport_checksum_bad=int(counts[TRANSPORT_CHECKSUM_BAD]),
        snaplen_cut=int(counts[CUT]),
        first_seen_ns=read.first_ns if read.is_timed else None,
        last_seen_ns=read.last_ns if read.is_timed else None,
        longest_gap_ns=longest,
        longest_gap_begins_ns=begins if begins >= 0 else None,
        problems=tuple(problems_of(read)),
    )
