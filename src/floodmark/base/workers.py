"""Process parts of rows in parallel: kernels release the GIL, so threads are enough."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from threading import Barrier
from typing import NamedTuple, Self, TypeVar

T = TypeVar("T")
Item = TypeVar("Item")

_FEWEST_ROWS = 1 << 16  # in a part: handing one over costs some tens of microseconds


class Part(NamedTuple):
    """Rows that one thread works on."""

    number: int
    first: int
    end: int


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def started(threads: int) -> ThreadPoolExecutor:
    """Return a pool whose threads run already.

    A signal that interrupts the start of a thread leaves it out of those that a pool waits for at its end: here it has no work yet.
    """
    pool, all_run = ThreadPoolExecutor(threads), Barrier(threads)
    for running in [pool.submit(all_run.wait) for _ in range(threads)]:
        running.result()
    return pool


class Workers:
    """The threads of one run. Which of them does what never affects the result."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._pool = started(threads) if threads > 1 else None

    def __enter__(self) -> Self:
        """Return the workers themselves."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def parts(self, rows: int, fewest: int | None = None) -> list[Part]:
        """Split rows into one part per thread, or fewer if that is not worth it. fewest: smallest number of rows in a part."""
        count = max(min(self.threads, rows // (fewest or _FEWEST_ROWS)), 1)
        edges = pairwise(rows * part // count for part in range(count + 1))
        return [Part(number, first, end) for number, (first, end) in enumerate(edges)]

    def begin(self, task: Callable[[], T]) -> Future[T]:
        """Run a task beside the caller. There must be several threads; the task may use those that are left."""
        assert self._pool is not None  # noqa: S101 - see above
        return self._pool.submit(task)

    def each(self, task: Callable[[Item], T], items: Sequence[Item]) -> list[T]:
        """Run a task on each part or other item. Returns the results in order."""
        if self._pool is None or len(items) == 1:
            return [task(item) for item in items]
        return list(self._pool.map(task, items))
