"""Times of a batch in, capture clock out: a clock that never steps back, so that a timeout means the same however a capture is cut.

The clock advances with the packets' times. A packet out of order leaves it standing; a jump back beyond the reordering window
starts a new reference without moving the clock, so one wild time stamp cannot stop all timeouts after it.
"""

import numpy as np

from floodmark_core._jit import kernel
from floodmark_core.columns import I64, Records, Tally
from floodmark_core.framing import remark
from floodmark_core.status import REMARK_TIME_BACKWARD, REMARK_TIME_JUMP_AHEAD, REMARK_TIME_JUMP_BACK

# Places in the clock array, which carries over from block to block and from file to file.
CLOCK_NS, REFERENCE_NS, STARTED, FILE_BEGINS, CLOCK_SIZE = 0, 1, 2, 3, 4

DAY_NS = 86_400 * 1_000_000_000
FURTHEST_NS = np.int64(4_000_000_000_000_000_000)  # the clock stands still beyond 126 years; keeps sums inside int64


@kernel
def advance_clock(records: Records, n: int, base: int, reorder_window_ns: int, clock: I64, tally: Tally) -> None:
    """Fill ``clock_ns`` of the first ``n`` records and count what time does in the capture."""
    for i in range(n):
        time_ns = records.time_ns[i]
        if clock[STARTED] == 0:
            clock[STARTED] = 1
            clock[REFERENCE_NS] = time_ns
        step = time_ns - clock[REFERENCE_NS]
        within = clock[FILE_BEGINS] == 0  # between two files a jump is nothing to remark
        clock[FILE_BEGINS] = 0
        if step >= 0:
            if step > DAY_NS and within:
                remark(tally, REMARK_TIME_JUMP_AHEAD, base + records.frame_at[i])
            clock[CLOCK_NS] = min(clock[CLOCK_NS] + min(step, FURTHEST_NS), FURTHEST_NS)
            clock[REFERENCE_NS] = time_ns
        elif step < -reorder_window_ns:
            if within:
                remark(tally, REMARK_TIME_JUMP_BACK, base + records.frame_at[i])
            clock[REFERENCE_NS] = time_ns
        elif within:
            remark(tally, REMARK_TIME_BACKWARD, base + records.frame_at[i])
        records.clock_ns[i] = clock[CLOCK_NS]
