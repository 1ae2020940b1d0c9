"""Allocate the memory of one run: arrays that are zero until first touched, within a limit.

What exceeds the limit goes to memory-mapped temporary files: the system keeps as much of them in memory as is free and writes the rest to
disk. They have no name, so nothing is left behind however the program ends.
"""

import mmap
import os
import resource
import shutil
import sys
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import RLock
from typing import Any, BinaryIO
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from floodmark.errors import MemoryLimitError
from floodmark_core.columns import Rows

_HUGE_PAGES = getattr(mmap, "MADV_HUGEPAGE", None)
_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)  # missing from the mmap module of Python 3.11
_LARGE = 8 << 20  # bytes; a smaller array would waste a huge page and is not worth a file
_FOR_ARRAYS = 0.75  # share of the limit; the rest is for NumPy's temporaries
_FOR_ROWS = 0.8  # share of that; rows are written in order, so they suit a file better than their index does
_SPARE_DISK = 1 << 28  # bytes left for others
_GROWTH = 1.25  # smallest growth factor of rows: unused room still counts

Announce = Callable[[str], None]


def _in_huge_pages(memory: mmap.mmap) -> None:
    """Request huge pages, which are allocated three times as fast and looked up less often."""
    if _HUGE_PAGES is not None:
        with suppress(OSError):  # a kernel without huge pages, or a file's memory: slower, not wrong
            memory.madvise(_HUGE_PAGES)


@dataclass
class _Taken:
    """Memory taken by one array."""

    nbytes: int
    file: BinaryIO | None  # None: anonymous memory


class Memory:
    """Allocate arrays and count their memory.

    limit_bytes: most anonymous memory; None: no limit. announce: called when temporary space is first needed.
    """

    def __init__(self, limit_bytes: int | None = None, announce: Announce | None = None) -> None:
        self._limit = limit_bytes
        self._announce = announce
        self._used = 0  # bytes of anonymous arrays
        self._in_files = 0
        self._taken: WeakKeyDictionary[mmap.mmap, _Taken] = WeakKeyDictionary()
        self._lock = RLock()  # threads allocate concurrently, and free at any moment
        self.spilled_bytes = 0  # most in temporary files at one time

    def array(self, count: int, dtype: Any) -> NDArray[Any]:  # noqa: ANN401 - whatever NumPy takes for a type
        """Return an array of zeros, in huge pages. Raises MemoryLimitError if neither memory nor disk has room for it."""
        kind = np.dtype(dtype)
        memory = self.take(count * kind.itemsize)
        if len(memory) >= _LARGE:
            _in_huge_pages(memory)
        return np.frombuffer(memory, kind, count)

    def take(self, nbytes: int, share: float = 1.0, *, set_aside: bool = False) -> mmap.mmap:
        """Return nbytes of memory, all zero. share: part of the limit that this may fill up.

        set_aside: map that whole part, of which only ``nbytes`` count until :meth:`resize` asks for more.
        """
        with self._lock:
            nbytes = max(nbytes, mmap.PAGESIZE)
            fits = nbytes < _LARGE or self._has_room(nbytes, share)
            taken = _Taken(nbytes, None if fits else self._reserved(nbytes))
            if taken.file is None:
                memory = self._anonymous(nbytes, int((self._limit or 0) * _FOR_ARRAYS * share) if set_aside else 0)
            else:
                memory = mmap.mmap(taken.file.fileno(), nbytes)
            self._count(taken, nbytes)
            self._taken[memory] = taken
            weakref.finalize(memory, self._give_back, taken)
            return memory

    def resize(self, memory: mmap.mmap, nbytes: int, share: float = 1.0) -> mmap.mmap:
        """Return memory with the same contents, then zeros; its pages are moved (mremap) rather than copied where possible."""
        with self._lock:
            taken = self._taken[memory]
            nbytes = max(nbytes, mmap.PAGESIZE)
            if taken.file is not None:
                self._reserved(nbytes, taken.file)
            elif nbytes > taken.nbytes and not self._has_room(nbytes - taken.nbytes, share):
                return self._copied(memory, nbytes, share)
            if taken.file is None and taken.nbytes < _LARGE <= nbytes:
                _in_huge_pages(memory)
            try:
                if taken.file is not None or nbytes > len(memory):
                    memory.resize(nbytes)
            except (BufferError, SystemError, OSError):  # a view is still held, or the system cannot move pages
                return self._copied(memory, nbytes, share)
            self._count(taken, nbytes - taken.nbytes)
            taken.nbytes = nbytes
            return memory

    @staticmethod
    def _anonymous(nbytes: int, set_aside: int) -> mmap.mmap:
        """Map memory, with address space reserved for more where the system allows it."""
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        # Under a limit on address space (ulimit -v), what is set aside here would be missing for threads, whose libraries then abort.
        if set_aside > nbytes and resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
            with suppress(OSError):
                return mmap.mmap(-1, set_aside, flags=flags | _NO_RESERVE)
        return mmap.mmap(-1, nbytes, flags=flags)

    def is_anonymous(self, memory: mmap.mmap) -> bool:
        """Return whether memory is not backed by a file."""
        return self._taken[memory].file is None

    def _copied(self, memory: mmap.mmap, nbytes: int, share: float) -> mmap.mmap:
        other = self.take(nbytes, share)
        kept = min(self._taken[memory].nbytes, len(other))
        np.frombuffer(other, np.uint8)[:kept] = np.frombuffer(memory, np.uint8)[:kept]
        return other

    def _has_room(self, nbytes: int, share: float) -> bool:
        return self._limit is None or self._used + nbytes <= self._limit * _FOR_ARRAYS * share

    def _reserved(self, nbytes: int, file: BinaryIO | None = None) -> BinaryIO:
        """Return a temporary file, or the one given, of nbytes with disk space allocated."""
        folder = tempfile.gettempdir()
        missing = nbytes - (os.fstat(file.fileno()).st_size if file is not None else 0)
        free = shutil.disk_usage(folder).free - _SPARE_DISK
        if missing > free:
            raise MemoryLimitError(
                f"{folder}: {missing / 2**20:,.0f} MiB of temporary space needed, {max(free, 0) / 2**20:,.0f} MiB free; "
                "raise --memory, free some space, or set TMPDIR to another folder"
            )
        if self.spilled_bytes == 0 and self._announce is not None:
            self._announce(
                f"more than {(self._limit or 0) / 2**20:,.0f} MiB of memory needed: the rest goes to temporary files in {folder}"
            )
        if file is None:
            file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it lives as long as its map
        try:
            if missing > 0:
                os.posix_fallocate(file.fileno(), 0, nbytes)  # otherwise a page without disk space would kill the process later
        except OSError as error:
            raise MemoryLimitError(f"{folder}: a temporary file of {nbytes / 2**20:,.0f} MiB cannot be made: {error.strerror}") from error
        return file

    def _count(self, taken: _Taken, nbytes: int) -> None:
        with self._lock:
            if taken.file is None:
                self._used += nbytes
            else:
                self._in_files += nbytes
                self.spilled_bytes = max(self.spilled_bytes, self._in_files)

    def _give_back(self, taken: _Taken) -> None:
        self._count(taken, -taken.nbytes)
        if taken.file is not None:
            taken.file.close()


class GrowingRows:
    """A structured array that starts with room for ``capacity`` rows and grows.

    Address space for all rows that may be in memory is reserved at once, which takes no memory, so growing moves nothing. Beyond that
    the rows may move: views of :attr:`rows` must be dropped before :meth:`reach`.
    """

    def __init__(self, dtype: np.dtype[Any], capacity: int, memory: Memory) -> None:
        self._dtype = dtype
        self._memory = memory
        self._taken = memory.take(capacity * dtype.itemsize, _FOR_ROWS, set_aside=True)
        self.rows: Rows = np.frombuffer(self._taken, dtype, capacity)

    def reach(self, rows: int) -> None:
        """Make room for at least ``rows`` rows in total; new rows are zero."""
        if rows > len(self.rows):
            self._resize(max(rows, int(len(self.rows) * _GROWTH)))

    def trim(self, rows: int) -> Rows:
        """Free the memory behind the first ``rows`` rows. Returns these."""
        if self._memory.is_anonymous(self._taken):
            self._resize(max(rows, 1))
        return self.rows[:rows]

    def _resize(self, capacity: int) -> None:
        self.rows = np.empty(0, self._dtype)
        self._taken = self._memory.resize(self._taken, capacity * self._dtype.itemsize, _FOR_ROWS)
        self.rows = np.frombuffer(self._taken, self._dtype, capacity)
