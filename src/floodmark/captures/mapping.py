"""Access a file's bytes without copying them: memory-mapped for as long as nobody can change the file.

If a mapped file shrinks, or its disk fails, reading the missing bytes kills the process. So a file is mapped only under a lease
(fcntl(2), F_SETLEASE), which makes the system ask before it lets another process write to or truncate the file, and each part is loaded
into memory (madvise(2), MADV_POPULATE_READ) before it is accessed. If either is refused, the file is read instead.
"""

import contextlib
import ctypes
import fcntl
import mmap
import os
import signal
import stat
from concurrent.futures import Future
from typing import BinaryIO, Self

import numpy as np

from floodmark.base.workers import started
from floodmark_core.columns import U8

_DONT_NEED = 4
_POPULATE_READ = 22  # Linux 5.14; unknown to the mmap module of Python 3.11
# That module's madvise would hold the GIL meanwhile.
_madvise = ctypes.CDLL(None, use_errno=True).madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_LEAST_BYTES = 8 << 20  # smallest file worth mapping


class MappedFile:
    """A regular file under a read lease."""

    def __init__(self, stream: BinaryIO) -> None:
        """Map an open file. Raises OSError if it cannot be leased or mapped, ValueError if mapping it gains nothing."""
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size < _LEAST_BYTES:
            raise ValueError("not a large file")
        self._stream = stream
        fcntl.fcntl(stream, fcntl.F_SETSIG, signal.SIGURG)  # sent when the lease has to be given up; ignored by default
        fcntl.fcntl(stream, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        self.size = os.fstat(stream.fileno()).st_size  # again: it cannot change under the lease
        # Private and writable, though nobody writes: kernels would be compiled again for read-only arrays.
        self._map = mmap.mmap(stream.fileno(), self.size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
        self._at = int(np.frombuffer(self._map, np.uint8).ctypes.data)
        self._aside = started(1)  # loads the next part while this one is processed
        self._coming: Future[None] | None = None
        self._left = 0  # bytes from the start of the file that are no longer needed
        self._brought = 0  # bytes from the start of the file that are loaded or being loaded

    @classmethod
    def of(cls, stream: BinaryIO) -> Self | None:
        """Map a file, or return None if that cannot be done safely."""
        try:
            return cls(stream)
        except (OSError, ValueError, AttributeError):  # the last: a system without leases
            return None

    def part(self, base: int, nbytes: int) -> U8:
        """Return ``nbytes`` bytes from ``base`` on. Raises OSError if they cannot be loaded or the lease has to be given up."""
        if fcntl.fcntl(self._stream, fcntl.F_GETLEASE) != fcntl.F_RDLCK:
            raise OSError("another process wants to write to the file")
        nbytes = min(nbytes, self.size - base)
        if self._coming is not None:
            self._coming.result()
        self._bring(base + nbytes)
        done, end = base & -mmap.PAGESIZE, min(base + 2 * nbytes, self.size)
        if self._brought < min(base + nbytes + nbytes // 2, self.size) or done - self._left >= _LEAST_BYTES:
            self._coming = self._aside.submit(self._go_on, done, end)
        return np.frombuffer(self._map, np.uint8, nbytes, base)

    def _go_on(self, done: int, end: int) -> None:
        """Release the pages before ``done``, which nobody needs again, and load the missing ones up to ``end``."""
        _madvise(self._at + self._left, done - self._left, _DONT_NEED)
        self._left = done
        self._bring(end)

    def _bring(self, end: int) -> None:
        """Load the missing pages up to an offset. Raises OSError."""
        page = self._brought & -mmap.PAGESIZE
        if end > self._brought and _madvise(self._at + page, end - page, _POPULATE_READ):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self._brought = max(self._brought, end)

    def close(self) -> None:
        """Release the lease. The memory is freed with the last array that views it."""
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._stream, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        self._aside.shutdown()
        del self._map
