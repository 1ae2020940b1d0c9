"""Tell whether a file is still the one that was opened: device, inode, size and time of last modification.

A capture that is truncated, extended, rewritten or replaced while it is read, or between two readings, gives packets that do not belong
together. The time of the last status change is left out: a hard link or another mode changes it, but not the bytes.
"""

import os
import stat
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Identity:
    """What tells one state of a file from another."""

    device: int
    inode: int
    nbytes: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """Return the identity that a file's status shows."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def change_to(self, later: "Identity") -> str | None:
        """Return what happened to the file since, None if nothing did."""
        if (self.device, self.inode) != (later.device, later.inode):
            return "another file has its name now"
        if self.nbytes != later.nbytes:
            return f"it had {self.nbytes:,} bytes and now has {later.nbytes:,}"
        return "its bytes were written to" if self.modified_ns != later.modified_ns else None


def identity_of(stream: Any) -> Identity | None:  # noqa: ANN401 - any file object
    """Return the identity of an open file, or of the archive that holds it; None for what is not a regular file."""
    try:
        status = os.stat(stream.archive) if hasattr(stream, "archive") else os.fstat(stream.fileno())  # noqa: PTH116 - any name
    except (OSError, ValueError, AttributeError):  # gone, closed, or no file
        return None
    return Identity.of(status) if stat.S_ISREG(status.st_mode) else None
