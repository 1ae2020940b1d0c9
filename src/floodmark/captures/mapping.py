"""A file's octets without copying them: mapped into memory for as long as nobody may change the file.

Octets of a mapped file that shrinks meanwhile, or whose disk fails, cannot be read: the system ends the process. So a file is mapped only
under a lease (fcntl(2), F_SETLEASE), which makes the system ask before it lets another process write to the file or cut it, and each part
is brought into memory (madvise(2), MADV_POPULATE_READ) before it is looked at. Where either is refused, the file is read instead.
"""

import contextlib
import ctypes
import fcntl
import mmap
import os
import signal
import stat
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, Self

import numpy as np

from floodmark_core.columns import U8

_DONT_NEED = 4
_POPULATE_READ = 22  # Linux 5.14; unknown to the mmap module of Python 3.11
# That module's madvise would hold Python's lock meanwhile.
_madvise = ctypes.CDLL(None, use_errno=True).madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_LEAST_BYTES = 8 << 20  # of a file worth mapping


class MappedFile:
    """A regular file under a read lease."""

    def __init__(self, stream: BinaryIO) -> None:
        """Map an open file. Raises OSError where it cannot be leased or mapped, ValueError where there is nothing to gain."""
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size < _LEAST_BYTES:
            raise ValueError("not a large file")
        self._stream = stream
        fcntl.fcntl(stream, fcntl.F_SETSIG, signal.SIGURG)  # the signal of a lease that is wanted back; ignored by default
        fcntl.fcntl(stream, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        self.size = os.fstat(stream.fileno()).st_size  # as it stands under the lease
        # Private and writable, though nobody writes: kernels would be compiled once more for arrays that cannot be written.
        self._map = mmap.mmap(stream.fileno(), self.size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
        self._at = int(np.frombuffer(self._map, np.uint8).ctypes.data)
        self._aside = ThreadPoolExecutor(1)  # brings the next part in while this one is looked at
        self._coming: Future[None] | None = None
        self._left = 0  # octets from the file's beginning on that are no longer needed
        self._brought = 0  # octets from the file's beginning on that are in memory, or on their way

    @classmethod
    def of(cls, stream: BinaryIO) -> Self | None:
        """Map a file, or return None where that cannot be done safely."""
        try:
            return cls(stream)
        except (OSError, ValueError, AttributeError):  # the last: a system without leases
            return None

    def part(self, base: int, nbytes: int) -> U8:
        """Return some octets. Raises OSError where they cannot be brought into memory, or the lease is wanted back."""
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
        """Let go of what stands before one offset, which nobody looks at again, and bring what is missing up to another."""
        _madvise(self._at + self._left, done - self._left, _DONT_NEED)
        self._left = done
        self._bring(end)

    def _bring(self, end: int) -> None:
        """Bring what is missing up to an offset into memory. Raises OSError."""
        page = self._brought & -mmap.PAGESIZE
        if end > self._brought and _madvise(self._at + page, end - page, _POPULATE_READ):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self._brought = max(self._brought, end)

    def close(self) -> None:
        """Give the lease back. The memory goes with the last array that shows it."""
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._stream, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        self._aside.shutdown()
        del self._map
