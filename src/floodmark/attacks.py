"""Events in, which of them are one attack out: several vectors on one victim at a time, or one flood that moves from victim to victim."""

from dataclasses import replace
from itertools import combinations

from floodmark.events import Event

_SAME_SOURCES = 0.5  # of the named sources of the smaller event, that both have
_FORGED = 0.9  # spoofed from here on: sources say nothing
_LEAST_SOURCES = 1


def tied(events: list[Event], gap_ns: int) -> list[Event]:
    """Return the events with ``attack`` set: the id of the first event of the attack that each is a part of.

    Two events are one attack where they overlap in time or are no further apart than a gap, and share a victim, or have the same vector
    and sources. The events must be in order of their ids.
    """
    first = list(range(len(events)))

    def root(place: int) -> int:
        while first[place] != place:
            place = first[place]
        return place

    for one, other in combinations(range(len(events)), 2):
        if _close(events[one], events[other], gap_ns) and (_same_victim(events[one], events[other]) or _moves(events[one], events[other])):
            low, high = sorted((root(one), root(other)))
            first[high] = low
    return [replace(event, attack=events[root(place)].id) for place, event in enumerate(events)]


def _close(one: Event, other: Event, gap_ns: int) -> bool:
    return one.start_ns <= other.end_ns + gap_ns and other.start_ns <= one.end_ns + gap_ns


def _same_victim(one: Event, other: Event) -> bool:
    return bool(set(one.victims) & set(other.victims))


def _moves(one: Event, other: Event) -> bool:
    """Tell whether two events on different victims are the work of the same machines."""
    if one.vector != other.vector:
        return False
    if min(one.spoofed or 0.0, other.spoofed or 0.0) >= _FORGED:
        return True
    ours, theirs = ({source.address for source in event.top_sources} for event in (one, other))
    least = min(len(ours), len(theirs))
    return least >= _LEAST_SOURCES and len(ours & theirs) >= _SAME_SOURCES * least
