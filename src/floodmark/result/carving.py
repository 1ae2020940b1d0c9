"""Extract the packets of an attack from captures, given their result, as pcapng that Wireshark and tcpdump read.

Blocks of a pcapng capture are copied unchanged: interfaces, names, comments, times of any resolution. Records of other captures become
enhanced packet blocks with times in nanoseconds. The comment of each section describes the packets.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from floodmark.base.memory import Memory
from floodmark.base.recording import CaptureWriter, comment_option
from floodmark.base.writing import packed
from floodmark.captures.container import Container
from floodmark.captures.opening import Progress
from floodmark.captures.settings import FlowSettings
from floodmark.captures.source import Given
from floodmark.errors import NotFoundError
from floodmark.events.events import Event, Judged
from floodmark.flows.tracing import Stretch, Visitor, trace
from floodmark.vocabulary.vectors import Verdict
from floodmark_core.columns import U8
from floodmark_core.records.carving import Chosen, copy_blocks
from floodmark_core.records.framing import CONTAINER, PCAPNG, SNAPLEN

_TO_RESPONDER, _TO_INITIATOR = 1, 2  # bits of a flow: which of its packets are chosen
_LEAST_ROOM = 1 << 16  # bytes beyond what is copied


@dataclass(frozen=True)
class Choice:
    """Which packets of a result's captures are chosen."""

    directions: U8  # _TO_ bits of each flow
    beside: bool  # packets that belong to no flow
    rest: bool  # choose all other packets instead
    every: int  # keep one of so many chosen packets
    comment: str


@dataclass(frozen=True)
class Carved:
    """What was written."""

    packets: int
    read: int  # packets of the captures


def choose(  # noqa: PLR0913 - each is a way to name packets
    judged: Judged,
    *,
    events: Collection[int] = (),
    verdicts: Collection[str] = (),
    victims: Collection[str] = (),
    benign: bool = False,
    answers: bool = False,
    rest: bool = False,
    every: int = 1,
) -> Choice:
    """Choose packets by events, verdicts and victims of a result; a packet that matches any of them is chosen.

    events: ids. victims: addresses as in events. Of an event's flows, only the packets that the event counts are chosen, those toward its
    victims; ``answers`` adds the others. verdicts: whole flows, as the table of verdicts counts them. benign: packets of no event, also
    outside of flows. rest: all packets but the chosen ones. every: keep one of so many chosen packets. Raises FloodmarkError for events
    and victims that the result does not have.
    """
    found = [event for event in judged.events if event.id in set(events) or set(victims) & set(event.victims)]
    _check(judged.events, events, victims)
    directions: U8 = np.zeros(len(judged.event_of), np.uint8)
    places = np.array([event.id - 1 for event in found], np.int32)
    attacking = np.isin(judged.event_of, places)
    directions[attacking] = (_TO_RESPONDER | _TO_INITIATOR) if answers else np.where(judged.back[attacking], _TO_INITIATOR, _TO_RESPONDER)
    whole = np.array([event.verdict in verdicts for event in judged.events] + [False], bool)
    directions[whole[np.maximum(judged.event_of, -1)]] = _TO_RESPONDER | _TO_INITIATOR
    if benign or Verdict.BENIGN in verdicts:
        directions[judged.event_of < 0] = _TO_RESPONDER | _TO_INITIATOR
    comment = _comment(found, verdicts, benign=benign, rest=rest)
    return Choice(directions, benign, rest, every, f"{comment}{f'; one in every {every:,} packets' if every > 1 else ''}")


def _check(events: list[Event], ids: Collection[int], victims: Collection[str]) -> None:
    """Raise FloodmarkError for events and victims that do not exist."""
    known, hosts = {event.id for event in events}, {victim for event in events for victim in event.victims}
    if missing := sorted(set(ids) - known):
        listed = f"there are events 1 to {len(events)}" if events else "no attack was found"
        raise NotFoundError(f"no event has the id {', '.join(map(str, missing))}; {listed}")
    if strangers := sorted(set(victims) - hosts):
        raise NotFoundError(f"no event has the victim {', '.join(strangers)}")


def _comment(events: list[Event], verdicts: Collection[str], *, benign: bool, rest: bool) -> str:
    parts = [
        f"event {event.id}: {event.vector} on {', '.join(event.victims[:3])}{' and more' if event.victim_count > 3 else ''}, "
        f"{event.packets:,} packets, confidence {event.confidence}"
        for event in events
    ]
    parts += [f"flows with verdict {verdict}" for verdict in verdicts]
    parts += ["packets of no attack"] if benign else []
    return f"carved by floodmark: {'all but ' if rest else ''}{'; '.join(parts)}"


def carve(  # noqa: PLR0913 - as for classify
    captures: Given | Iterable[Given],
    choice: Choice,
    path: str,
    settings: FlowSettings,
    *,
    memory: Memory | None = None,
    keep_going: bool = False,
    progress: Progress | None = None,
) -> Carved:
    """Write the chosen packets of captures, which must be those of the result, in the order of the captures.

    Raises CaptureError for a capture that cannot be read, or only once; OutputError if the output cannot be written.
    """
    with packed(path) as file:
        writer = _Writer(file, choice)
        trace(captures, settings, Visitor(writer.begin, writer.tell), memory=memory, keep_going=keep_going, progress=progress)
        writer.finish()
    return Carved(writer.written, writer.read)


class _Writer:
    """Writes the chosen packets that a trace reports."""

    def __init__(self, file: BinaryIO, choice: Choice) -> None:
        self._file, self._choice = file, choice
        self._made = CaptureWriter(file, choice.comment)  # for captures that are not pcapng
        self.written = self.read = 0
        self._chosen = 0  # packets that matched before sampling
        self._is_pcapng = False
        self._swapped = 0
        # Copied, because a read-only array is another type, for which the kernel would be compiled once more.
        self._options = tuple(comment_option(order, choice.comment).copy() for order in "<>")
        self._out: U8 = np.empty(_LEAST_ROOM, np.uint8)
        self._begun = False

    def begin(self, _: str, container: Container) -> None:
        """Begin a capture."""
        self._is_pcapng = container.layout[CONTAINER] == PCAPNG
        if not self._is_pcapng:
            self._begun = True
            self._made.begin(int(container.layout[SNAPLEN]))

    def finish(self) -> None:
        """Write a valid empty capture if there was nothing to write."""
        if not self._begun:
            self._made.begin()

    def tell(self, stretch: Stretch) -> None:
        """Write the chosen packets of a stretch of records."""
        mask = self._mask(stretch)
        self.written += int(mask.sum())
        self.read += stretch.packets
        if self._is_pcapng:
            self._copy(stretch, mask)
        elif mask.any():
            self._made.write(stretch.block, stretch.traced, stretch.packets, mask)

    def _mask(self, stretch: Stretch) -> U8:
        """Return for each packet whether it is chosen."""
        flow, count = stretch.traced.flow[: stretch.packets], stretch.packets
        sent = np.where(stretch.traced.from_initiator[:count] > 0, _TO_RESPONDER, _TO_INITIATOR)
        directions = self._choice.directions
        taken = (directions[flow] & sent) > 0 if len(directions) else np.zeros(count, bool)
        taken = np.where(flow >= 0, taken, self._choice.beside) ^ self._choice.rest
        if self._choice.every > 1:
            number = np.cumsum(taken) + self._chosen
            self._chosen += int(taken.sum())
            taken &= number % self._choice.every == 1
        mask: U8 = taken.astype(np.uint8)
        return mask

    def _copy(self, stretch: Stretch, mask: U8) -> None:
        """Copy blocks of a pcapng capture."""
        at, number = stretch.at, 0
        chosen = Chosen(packets=mask, option=self._options[0], option_swapped=self._options[1])
        self._begun = True
        while at < stretch.end:
            room = stretch.end - at + _LEAST_ROOM + len(self._options[0])
            if len(self._out) < room:
                self._out = np.empty(room, np.uint8)
            out = self._out
            nbytes, at, number, self._swapped = copy_blocks(stretch.block, at, stretch.end, self._swapped, number, chosen, out)
            self._file.write(out[:nbytes].data)
