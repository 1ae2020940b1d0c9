"""Captures in, the order of reading them out: by first packet, those that overlap in time together."""

from pathlib import Path
from typing import TypeAlias

import numpy as np

from floodmark.captures.archives import Member
from floodmark.captures.capture import Source, fitted, reader_of, recognise
from floodmark.captures.reading import first_packet_ns
from floodmark.captures.sources import can_reread, is_compressed
from floodmark.errors import CaptureError
from floodmark_core import new_interfaces, new_records, new_tally
from floodmark_core.records.framing import CONTAINER, LAST_TIME_NS, SNOOP, frame_batch
from floodmark_core.records.resync import next_record
from floodmark_core.status import STOP_BATCH_FULL

Group: TypeAlias = list[tuple[int, Source]]  # of captures that overlap, each with the time of its first packet
_END_OCTETS = 1 << 20  # of a capture, in which its last packets are looked for


def in_groups(sources: list[Source]) -> list[Group]:
    """Put captures in order of their first packets, those together that overlap or may do so.

    One without packets, or that can be read only once, comes at the end by itself, in the order given; its time is 0.
    """
    if len(sources) == 1:
        return [[(0, sources[0])]]
    firsts = [_first_packet_ns(source) if can_reread(source) else None for source in sources]
    timed = sorted((first, place) for place, first in enumerate(firsts) if first is not None)
    groups: list[Group] = []
    until_ns: float = -1.0  # that the last group reaches
    for first_ns, place in timed:
        if first_ns >= until_ns:
            groups.append([])
        groups[-1].append((first_ns, sources[place]))
        until_ns = max(until_ns, _last_packet_ns(sources[place]))
    return groups + [[(0, source)] for first, source in zip(firsts, sources, strict=True) if first is None]


def _first_packet_ns(source: Source) -> int | None:
    """Look at a capture's first packet; a file object stays where it stood."""
    if isinstance(source, str | Member):
        with reader_of(source) as reader:
            return first_packet_ns(reader)
    position = source.tell()
    try:
        return first_packet_ns(reader_of(source))
    finally:
        source.seek(position)


def _last_packet_ns(source: Source) -> float:
    """Return the latest time near a file's end, infinity where that cannot be told without reading all of it.

    Records are found there as they are behind damage. A wrong answer costs no packet: captures are then merged that need not be, or
    read one after the other and said to overlap.
    """
    if not isinstance(source, str) or is_compressed(source):
        return np.inf
    try:
        with Path(source).open("rb") as stream:
            head = np.fromfile(stream, np.uint8, _END_OCTETS)
            container = fitted(recognise(head[:64].tobytes(), source), head)
            start = max(Path(source).stat().st_size - _END_OCTETS, 0)
            stream.seek(start)
            tail = np.fromfile(stream, np.uint8)
    except (OSError, CaptureError):
        return np.inf
    records, interfaces, tally = new_records(), new_interfaces(), new_tally()
    layout, at = container.layout, container.header_octets
    if layout[CONTAINER] == SNOOP and start:
        return np.inf  # its records cannot be told from its end
    _, beyond, _ = frame_batch(head, at, 0, layout, interfaces, records, tally)  # for the interfaces, which stand there
    layout[LAST_TIME_NS] = 0  # a capture may be days long
    found, at = (True, beyond) if start == 0 else next_record(tail, 0, layout, True)
    while found:
        _, at, stop = frame_batch(tail, at, 0, layout, interfaces, records, tally)
        found = stop == STOP_BATCH_FULL
    return float(tally.totals[3]) if tally.totals[3] >= 0 and at > 0 else np.inf
