"""Assign an event to each packet, in the order of each capture."""

from collections.abc import Sequence

import numpy as np

from floodmark.base.memory import Memory
from floodmark.captures.container import Container
from floodmark.captures.opening import Progress
from floodmark.captures.ordering import Group
from floodmark.captures.settings import FlowSettings
from floodmark.captures.source import Source
from floodmark.events.events import Judged
from floodmark.flows.tracing import Stretch, Visitor, trace
from floodmark_core.columns import I32, I64
from floodmark_core.records.framing import CONTAINER, MERGED, MERGED_CAPTURE


class Labels:
    """The event id of each packet, for each capture in reading order; 0 for none."""

    def __init__(self, groups: Sequence[Group], packets: Sequence[int], judged: Judged, memory: Memory) -> None:
        """Allocate labels. groups: captures from ordering.in_groups. packets: number of packets of each, in the same order."""
        self.of_capture: list[I32] = [memory.array(max(count, 1), np.int32)[:count] for count in packets]
        self._judged = judged
        self._lengths = [len(group) for group in groups]
        self._group, self._first = -1, 0  # the group being traced, and its first capture
        self._filled: I64 = np.zeros(len(packets), np.int64)
        self._is_merged = False

    def begin(self, _: str, container: Container) -> None:
        """Begin with the next group."""
        self._first += self._lengths[self._group] if self._group >= 0 else 0
        self._group += 1
        self._is_merged = container.layout[CONTAINER] == MERGED

    def tell(self, stretch: Stretch) -> None:
        """Label the packets of a stretch."""
        events = _events(stretch, self._judged)
        if not self._is_merged:
            self._fill(self._first, events)
            return
        numbers = stretch.block[stretch.traced.frame_at[: stretch.packets, None] + np.arange(MERGED_CAPTURE, MERGED_CAPTURE + 4) - 24]
        captures = numbers.view(np.uint32).ravel()  # at most 64 are merged at a time, but more may follow one another
        for capture in np.unique(captures).tolist():
            self._fill(self._first + capture, events[captures == capture])

    def _fill(self, capture: int, events: I32) -> None:
        at = int(self._filled[capture])
        self.of_capture[capture][at : at + len(events)] = events
        self._filled[capture] += len(events)


def _events(stretch: Stretch, judged: Judged) -> I32:
    """Return the event of each packet; in an event's flows, only packets toward its victims count."""
    flow = stretch.traced.flow[: stretch.packets]
    if not len(judged.event_of):
        return np.zeros(len(flow), np.int32)
    event = np.where(flow >= 0, judged.event_of[flow], -1)
    toward = (stretch.traced.from_initiator[: stretch.packets] > 0) != (judged.back[flow] > 0)
    return np.where((event >= 0) & toward, event + 1, 0).astype(np.int32)


def label_packets(  # noqa: PLR0913 - as for carving
    groups: Sequence[Group],
    packets: Sequence[int],
    judged: Judged,
    settings: FlowSettings,
    *,
    memory: Memory,
    keep_going: bool = False,
    progress: Progress | None = None,
) -> list[I32]:
    """Return the event id of each packet, for each capture in reading order; 0 for none.

    Raises CaptureError.
    """
    labels = Labels(groups, packets, judged, memory)
    sources: list[Source] = [source for group in groups for _, source in group]
    trace(sources, settings, Visitor(labels.begin, labels.tell), memory=memory, keep_going=keep_going, progress=progress)
    return labels.of_capture
