"""Derive the capture clock from a batch's times: it never steps back, so that a timeout means the same however a capture is split.

The clock advances with the packets' times; an out-of-order packet does not move it. A time earlier by more than the reordering window,
or later by more than a day, is accepted when the next packet agrees with it: one wrong timestamp neither ends flows nor stops timeouts.
"""

import numpy as np

from floodmark_core._jit import kernel, step
from floodmark_core.columns import I64, Records, Tally
from floodmark_core.protocols import DAY_NS
from floodmark_core.records.framing import remark
from floodmark_core.status import REMARK_TIME_BACKWARD, REMARK_TIME_JUMP_AHEAD, REMARK_TIME_JUMP_BACK

# Indices into the clock array, which carries over from block to block and from file to file.
CLOCK_NS, REFERENCE_NS, STARTED, FILE_BEGINS, JUMPED, ASIDE_NS, CLOCK_SIZE = 0, 1, 2, 3, 4, 5, 8

# DAY_NS is longer than any timeout: a longer silence counts as a day
FURTHEST_NS = np.int64(4_000_000_000_000_000_000)  # the clock stops here, after 46,000 such silences, to keep sums inside int64


@step
def advance(clock: I64, span_ns: int) -> None:
    """Advance the clock by a span, at most by a day."""
    clock[CLOCK_NS] = min(clock[CLOCK_NS] + min(span_ns, DAY_NS), FURTHEST_NS)


@kernel
def advance_clock(records: Records, n: int, base: int, reorder_window_ns: int, clock: I64, tally: Tally) -> None:
    """Fill ``clock_ns`` of the first ``n`` records and count remarks on their times."""
    for i in range(n):
        time_ns = records.time_ns[i]
        if clock[STARTED] == 0:
            clock[STARTED] = 1
            clock[REFERENCE_NS] = time_ns
        ahead = time_ns - clock[REFERENCE_NS]
        file_begins = clock[FILE_BEGINS] == 1  # a jump between two files is not remarked; the clock itself ignores file boundaries
        clock[FILE_BEGINS] = 0
        if -reorder_window_ns <= ahead <= DAY_NS:
            if clock[JUMPED]:  # a second packet agrees with the jump
                advance(clock, max(clock[REFERENCE_NS] - clock[ASIDE_NS], 0))
                clock[JUMPED] = 0
            if ahead >= 0:
                advance(clock, ahead)
                clock[REFERENCE_NS] = time_ns
            elif not file_begins:
                remark(tally, REMARK_TIME_BACKWARD, base + records.frame_at[i])
        else:
            if not file_begins:
                remark(tally, REMARK_TIME_JUMP_AHEAD if ahead > 0 else REMARK_TIME_JUMP_BACK, base + records.frame_at[i])
            returned = time_ns - clock[ASIDE_NS]
            if clock[JUMPED] and -reorder_window_ns <= returned <= DAY_NS:  # the previous packet's time was an outlier
                advance(clock, max(returned, 0))
                clock[JUMPED] = 0
                clock[REFERENCE_NS] = max(time_ns, clock[ASIDE_NS])
            else:
                if not clock[JUMPED]:
                    clock[ASIDE_NS] = clock[REFERENCE_NS]
                clock[JUMPED] = 1
                clock[REFERENCE_NS] = time_ns
        records.clock_ns[i] = clock[CLOCK_NS]
