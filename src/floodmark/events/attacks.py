"""Group events into attacks: several vectors on one victim at the same time, or one flood that moves from victim to victim."""

from dataclasses import replace

from floodmark.events.events import Event

_SAME_SOURCES = 0.5  # of the named sources of the event with fewer, that both events have
_FORGED = 0.9  # from this probability on sources are spoofed and prove nothing
_LEAST_SOURCES = 1
_COMPARED = 50


def tied(events: list[Event], gap_ns: int) -> list[Event]:
    """Return the events with ``attack`` set to the id of the first event of the attack that each belongs to.

    Two events are one attack if they overlap in time or are no further apart than a gap, and share a victim, or have the same vector and
    sources. The events must be in order of their ids, which is the order of their starts. Each event is compared with the last fifty of
    its vector: an attack on more victims at once shows as carpet bombing.
    """
    first = list(range(len(events)))

    def root(place: int) -> int:
        while first[place] != place:
            first[place] = first[first[place]]
            place = first[place]
        return place

    def join(one: int, other: int) -> None:
        low, high = sorted((root(one), root(other)))
        first[high] = low

    on_victim: dict[str, tuple[int, int]] = {}  # the last event on each victim, and the latest end of its events
    of_vector: dict[str, list[int]] = {}
    for place, event in enumerate(events):
        for victim in event.victims:
            before, reached_ns = on_victim.get(victim, (place, event.end_ns))
            if event.start_ns <= reached_ns + gap_ns:
                join(before, place)
            on_victim[victim] = place, max(reached_ns, event.end_ns)
        others = of_vector.setdefault(event.vector, [])
        for other in others[-_COMPARED:]:
            if event.start_ns <= events[other].end_ns + gap_ns and _moves(event, events[other]):
                join(other, place)
        others.append(place)
    return [replace(event, attack=events[root(place)].id) for place, event in enumerate(events)]


def _moves(one: Event, other: Event) -> bool:
    """Return whether two events on different victims come from the same machines."""
    if one.vector != other.vector:
        return False
    if min(one.spoofed or 0.0, other.spoofed or 0.0) >= _FORGED:
        return True
    ours, theirs = ({source.address for source in event.top_sources} for event in (one, other))
    least = min(len(ours), len(theirs))
    return least >= _LEAST_SOURCES and len(ours & theirs) >= _SAME_SOURCES * least
