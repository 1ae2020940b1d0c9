"""Sources in, the order of reading them out: by first packet, those that overlap in time together."""

from typing import TypeAlias

from floodmark.captures.source import Source

Group: TypeAlias = list[tuple[int, Source]]  # of captures that overlap, each with the time of its first packet


def in_groups(sources: list[Source]) -> list[Group]:
    """Put captures in order of their first packets, those together that overlap or may do so.

    One without packets, or that can be read only once, comes at the end by itself, in the order given; its time is 0.
    """
    if len(sources) == 1:
        return [[(0, sources[0])]]
    firsts = [source.first_ns for source in sources]
    timed = sorted((first, place) for place, first in enumerate(firsts) if first is not None)
    groups: list[Group] = []
    until_ns: float = -1.0  # that the last group reaches
    for first_ns, place in timed:
        if first_ns >= until_ns:
            groups.append([])
        groups[-1].append((first_ns, sources[place]))
        until_ns = max(until_ns, sources[place].last_ns)
    return groups + [[(0, source)] for first, source in zip(firsts, sources, strict=True) if first is None]
