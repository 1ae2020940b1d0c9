"""Derive the capture clock, which never steps back, from packet times, for all timeouts.

A packet later than the reference advances the clock by the difference, one slightly earlier (reordering) changes nothing. A time
far off is on trial until the next packet: if that agrees with it, the clock continues from there; if it returns to the previous time,
the outlier is ignored.
"""

from dataclasses import dataclass

from reference.framing import Record, Remarks

DAY_NS = 86_400 * 10**9  # no silence counts for more
FURTHEST_NS = 4 * 10**18  # the clock stops there


@dataclass
class CaptureClock:
    """The clock of one meter; it continues from one capture to the next."""

    reorder_window_ns: int
    now_ns: int = 0
    reference_ns: int | None = None  # time of the packet from which the next step is measured
    aside_ns: int | None = None  # the previous reference, while that packet's time is on trial
    between_files: bool = False  # the next packet is a file's first: a jump there is not remarked

    def near(self, step_ns: int) -> bool:
        """Return whether a step in time is an ordinary one."""
        return -self.reorder_window_ns <= step_ns <= DAY_NS

    def move(self, step_ns: int) -> None:
        """Advance the clock; never step back."""
        self.now_ns = min(self.now_ns + min(max(step_ns, 0), DAY_NS), FURTHEST_NS)

    def advance(self, record: Record, remarks: Remarks) -> int:
        """Process one packet's time and return the clock."""
        time_ns = record.time_ns
        reference_ns = time_ns if self.reference_ns is None else self.reference_ns
        step = time_ns - reference_ns
        silent, self.between_files = self.between_files, False
        if self.near(step):
            if self.aside_ns is not None:  # two packets agree: the jump was real
                self.move(reference_ns - self.aside_ns)
                self.aside_ns = None
            self.move(step)
            self.reference_ns = max(reference_ns, time_ns)
            if step < 0 and not silent:
                remarks.add("TIME_BACKWARD", record.frame_offset)
        else:
            if not silent:
                remarks.add("TIME_JUMP_AHEAD" if step > 0 else "TIME_JUMP_BACK", record.frame_offset)
            if self.aside_ns is not None and self.near(time_ns - self.aside_ns):  # back to the previous time
                self.move(time_ns - self.aside_ns)
                self.reference_ns, self.aside_ns = max(time_ns, self.aside_ns), None
            else:
                self.aside_ns = reference_ns if self.aside_ns is None else self.aside_ns
                self.reference_ns = time_ns
        return self.now_ns
