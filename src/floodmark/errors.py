"""What can go wrong, as a small tree. Each error carries path and byte offset and says what was found, expected, and what to do."""


class FloodmarkError(Exception):
    """Anything floodmark raises on purpose."""


class SettingsError(FloodmarkError):
    """A setting or an argument that cannot be used."""


class CaptureError(FloodmarkError):
    """A capture that cannot be read.

    path: as the caller named it. offset: octet in the file, or None where no octet is to blame.
    """

    def __init__(self, path: str, message: str, offset: int | None = None) -> None:
        self.path = path
        self.offset = offset
        where = path if offset is None else f"{path}, byte {offset}"
        super().__init__(f"{where}: {message}")
        self._message = message

    def __reduce__(self) -> tuple[type["CaptureError"], tuple[str, str, int | None]]:
        """Let the error cross to another process."""
        return type(self), (self.path, self._message, self.offset)


class UnknownFormatError(CaptureError):
    """The first octets are not those of a capture that floodmark reads."""


class TruncatedCaptureError(CaptureError):
    """The file ends before its own header does."""


class OutputError(FloodmarkError):
    """A result that cannot be written where it was asked for."""


class MemoryLimitError(FloodmarkError):
    """Flows that would need more memory than was allowed."""
