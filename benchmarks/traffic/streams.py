"""Play TCP conversations whose sides send at given times, whether or not the other has replied.

Takes a conversation after its handshake and timed data, and returns the conversation with its segments and acknowledgements. It is a
separate file because dialogue.py's turns wait for each other, and floods, brokers and multiplexed streams do not.
"""

import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dialogue import CLIENT, DELAYED_ACK_NS, MICROSECOND, Piece, Talk, emit
from wire import ACK, PSH


class Shot(NamedTuple):
    """Give the time, sender and data of one transmission; no data is a bare acknowledgement, and final ends a burst."""

    time_ns: int
    who: int
    data: bytes
    final: bool = True


def pour(rng: random.Random, talk: Talk, shots: Iterable[Shot]) -> Talk:
    """Send all data at its times, or as soon after as the side has sent the data before it."""
    segments = _segments(rng, talk, shots)
    nods = [nod for who in (0, 1) for nod in _nods(rng, talk, [each for each in segments if each.who != who])]
    bases, lags = [end.seq for end in talk.ends], [2 * end.host.delay_ns for end in talk.ends]
    sent, seen, told = [0, 0], [0, 0], [0, 0]
    under_way: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
    for time_ns, who, data, final in sorted([*segments, *nods], key=lambda each: each.time_ns):
        while under_way[who] and under_way[who][0][0] <= time_ns:
            seen[who] = under_way[who].pop(0)[1]
        if not data and seen[who] <= told[who]:
            continue
        told[who] = seen[who]
        ack = bases[1 - who] + seen[who] & 0xFFFFFFFF
        talk = emit(talk, who, time_ns, Piece(ACK | (PSH if data and final else 0), data, ack=ack))
        sent[who] += len(data)
        if data:
            under_way[1 - who].append((time_ns + lags[1 - who], sent[who]))
    return talk


def _segments(rng: random.Random, talk: Talk, shots: Iterable[Shot]) -> list[Shot]:
    """Split the data into segments; the segments of one side never overtake each other."""
    room = min(end.host.stack.mss for end in talk.ends) - (12 if talk.stamped else 0)
    free = [talk.clock_ns, talk.clock_ns]
    free[CLIENT] += 0 if talk.last == CLIENT else 2 * talk.ends[CLIENT].host.delay_ns
    made: list[Shot] = []
    for time_ns, who, data, _ in sorted(shots, key=lambda each: each.time_ns):
        for at in range(0, len(data), room):
            free[who] = max(time_ns, free[who] + int(rng.uniform(12, 70)) * MICROSECOND)
            made.append(Shot(free[who], who, data[at : at + room], at + room >= len(data)))
    return made


def _nods(rng: random.Random, talk: Talk, heard: Sequence[Shot]) -> list[Shot]:
    """Acknowledge every second segment at once, and a lone one after a delay."""
    made: list[Shot] = []
    for number, (time_ns, sender, _, _) in enumerate(heard):
        alone = number + 1 == len(heard) or heard[number + 1].time_ns - time_ns > DELAYED_ACK_NS
        if number % 2 or alone:
            when = time_ns + 2 * talk.ends[1 - sender].host.delay_ns + int(rng.uniform(5, 90)) * MICROSECOND
            made.append(Shot(when + (0 if number % 2 else DELAYED_ACK_NS), 1 - sender, b""))
    return made
