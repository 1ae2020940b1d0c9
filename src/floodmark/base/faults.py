"""Tell a fault of the machine, such as a full disk, from a fault of what is read; and keep what is read from taking all memory."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

_OF_THE_MACHINE = frozenset(
    getattr(errno, name)
    for name in ("EACCES", "EDQUOT", "EFBIG", "EINTR", "EIO", "EMFILE", "ENFILE", "ENODEV", "ENOMEM", "ENOSPC", "EPERM", "EROFS", "ESTALE")
    if hasattr(errno, name)
)


def is_of_the_machine(error: OSError) -> bool:
    """Return whether an error says nothing of the content: a full disk, a missing permission, a device that fails."""
    return error.errno in _OF_THE_MACHINE


@contextlib.contextmanager
def at_most(nbytes: int) -> Iterator[None]:
    """Let this process take at most so many bytes of memory more while the block runs; beyond them allocations raise MemoryError.

    For untrusted files whose readers allocate what the file claims to need. Without effect where the system has no such limit.
    """
    try:
        import resource  # noqa: PLC0415 - not on Windows

        data_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = data_pages * resource.getpagesize() + nbytes
    except (ImportError, OSError, ValueError, IndexError):
        yield
        return
    if any(limit != resource.RLIM_INFINITY and limit < most for limit in (soft, hard)):
        yield  # the user's own limit is lower
        return
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
