"""Anonymous memory for tables: zero until first touched, in huge pages where the system has them, and able to grow in place."""

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from floodmark_core.columns import Rows

_HUGE_PAGES = getattr(mmap, "MADV_HUGEPAGE", None)
_LARGE = 8 << 20


def _anonymous(octets: int) -> mmap.mmap:
    memory = mmap.mmap(-1, octets, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    _advise(memory)
    return memory


def _advise(memory: mmap.mmap) -> None:
    if _HUGE_PAGES is not None and len(memory) >= _LARGE:  # a small table would take a whole huge page
        try:
            memory.madvise(_HUGE_PAGES)
        except OSError:  # a kernel without huge pages; slower, not wrong
            return


def zeroed(count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an array of zeros that takes no memory until it is touched."""
    return np.frombuffer(_anonymous(count * dtype.itemsize), dtype)


class GrowingRows:
    """A structured array that starts with room for ``capacity`` rows and grows in place: pages are moved (mremap), not copied.

    Views of :attr:`rows` taken before :meth:`grow` must be dropped first: the memory may move.
    """

    def __init__(self, dtype: np.dtype[np.void], capacity: int) -> None:
        self._dtype = dtype
        self._memory = _anonymous(capacity * dtype.itemsize)
        self.rows: Rows = np.frombuffer(self._memory, dtype)

    def grow(self, factor: int) -> None:
        """Make room for ``factor`` times as many rows; new rows are zero."""
        size = len(self._memory) * factor
        self.rows = np.empty(0, self._dtype)
        try:
            self._memory.resize(size)
            _advise(self._memory)
        except (BufferError, SystemError, OSError):  # a view is still held, or the system cannot move pages: copy
            old = self._memory
            self._memory = _anonymous(size)
            self._memory[: len(old)] = old[:]
        self.rows = np.frombuffer(self._memory, self._dtype)
