"""The tree of errors. Each message says what was found, what was expected and what to do; CaptureError carries path and byte offset."""


class FloodmarkError(Exception):
    """Base class of every error that floodmark raises on purpose."""


class SettingsError(FloodmarkError):
    """A setting or an argument is unusable."""


class NotFoundError(FloodmarkError):
    """The result holds no event, flow, vector or rule of the requested name."""


class CaptureError(FloodmarkError):
    """A capture cannot be read.

    path: as the caller named it. offset: byte offset in the file, or None if no single byte is at fault.
    """

    def __init__(self, path: str, message: str, offset: int | None = None) -> None:
        self.path = path
        self.offset = offset
        where = path if offset is None else f"{path}, byte {offset}"
        super().__init__(f"{where}: {message}")
        self._message = message

    def __reduce__(self) -> tuple[type["CaptureError"], tuple[str, str, int | None]]:
        """Make the error picklable, so that it can cross to another process."""
        return type(self), (self.path, self._message, self.offset)


class UnknownFormatError(CaptureError):
    """The first bytes are not those of a capture format that floodmark reads."""


class TruncatedCaptureError(CaptureError):
    """The file ends inside its own header."""


class OutputError(FloodmarkError):
    """A result cannot be written to the requested destination."""


class MemoryLimitError(FloodmarkError):
    """The flows need more memory than is allowed."""
