"""Rows in, parts of them worked on side by side: kernels release the GIL, so threads are enough."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Self, TypeVar

T = TypeVar("T")

_FEWEST_ROWS = 1 << 16  # in a part: handing one over costs some tens of microseconds


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """A number of threads for one run. Which of them does what never shows in the answer."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def __enter__(self) -> Self:
        """Return the workers themselves."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def parts(self, rows: int) -> list[tuple[int, int]]:
        """Cut rows into one part a thread, or fewer where that is not worth it. Returns (first, end) of each."""
        count = max(min(self.threads, rows // _FEWEST_ROWS), 1)
        return list(pairwise(rows * part // count for part in range(count + 1)))

    def each(self, task: Callable[[int, int, int], T], parts: list[tuple[int, int]]) -> list[T]:
        """Run a task for each part, with its number, first and end. Returns what they return, in order of the parts."""
        if self._pool is None or len(parts) == 1:
            return [task(place, *part) for place, part in enumerate(parts)]
        return list(self._pool.map(lambda place: task(place, *parts[place]), range(len(parts))))
