"""Order sources for reading: by first packet, with those that overlap in time grouped together."""

from typing import TypeAlias

from floodmark.captures.source import Source

Group: TypeAlias = list[tuple[int, Source]]  # overlapping captures, each with the time of its first packet


def in_groups(sources: list[Source]) -> list[Group]:
    """Order captures by their first packets, and group those that overlap or may overlap.

    A capture without packets, or that can be read only once, forms its own group at the end, in the order given; its time is 0.
    """
    if len(sources) == 1:
        return [[(0, sources[0])]]
    firsts = [source.first_ns for source in sources]
    timed = sorted((first, place) for place, first in enumerate(firsts) if first is not None)
    groups: list[Group] = []
    until_ns: float = -1.0  # end of the last group
    for first_ns, place in timed:
        if first_ns >= until_ns:
            groups.append([])
        groups[-1].append((first_ns, sources[place]))
        until_ns = max(until_ns, sources[place].last_ns)
    return groups + [[(0, source)] for first, source in zip(firsts, sources, strict=True) if first is None]
