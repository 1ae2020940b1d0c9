"""Backscatter: replies to packets with the forged source addresses of the hosts that receive them. They attack nobody here.

If many hosts receive SYN-ACKs, resets or ICMP errors from one host to which they sent nothing, that host is being flooded elsewhere
(Moore et al., "Inferring Internet Denial-of-Service Activity", 2006).
"""

from collections.abc import Iterator

import numpy as np

from floodmark.flows.flowset import split
from floodmark.verdicts.context import Context
from floodmark.vocabulary.vectors import BACKSCATTER, BENIGN_VECTORS
from floodmark_core.columns import I32
from floodmark_core.flows import shapes

_MARK = -1 - BENIGN_VECTORS.index(BACKSCATTER)
_SHAPES = (shapes.SYN_ACK, shapes.RST, shapes.ICMP_ERROR, shapes.ICMP_ECHO_REPLY)
_FEWEST_RECEIVERS = 20
_MOST_NOTES = 20
_FEWEST_PACKETS = 25  # of an attack that is inferred: Moore's threshold


def mark_backscatter(context: Context, event_of: I32) -> Iterator[str]:
    """Mark backscatter flows and yield a note for each host that sends them. event_of: event of each flow, below 0 none."""
    of_answers = np.zeros(shapes.SHAPES, bool)
    of_answers[list(_SHAPES)] = True
    rows = np.nonzero(of_answers[context.shapes.shape] & (event_of < 0))[0]
    if len(rows) < _FEWEST_RECEIVERS:
        return
    flows, told = context.shapes.flow_set(rows), 0
    groups, senders = flows.sources
    starts, order = split(groups, len(senders))
    for sender in np.nonzero(np.diff(starts) >= _FEWEST_RECEIVERS)[0]:
        part = flows.take(order[starts[sender] : starts[sender + 1]])
        part = part.where(part.received("packets") == 0)
        if len(part) < _FEWEST_RECEIVERS:
            continue
        receivers = part.receiver_count
        if receivers < _FEWEST_RECEIVERS or part.total_packets < _FEWEST_PACKETS:
            continue
        event_of[part.index] = _MARK
        told += 1
        if told > _MOST_NOTES:
            continue
        host = part.senders(np.zeros(1, np.int64))[0]
        yield (
            f"backscatter: {host} sends {part.total_packets:,} unsolicited replies to {receivers:,} hosts; "
            "it is probably being flooded from spoofed addresses"
        )
