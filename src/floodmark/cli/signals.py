"""Signals that end the program in order: partial files and temporary folders are removed, and the exit code tells which signal it was.

A signal becomes an exception in the main thread. Python prints and drops exceptions raised inside a finalizer or a callback of the
import system, so one that lands there is raised again a moment later.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")  # SIGHUP does not exist on Windows
_AGAIN_SECONDS = 0.01


class Ended(BaseException):
    """The program was told to end by a signal. Not an Exception: nothing but the way out may handle it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        """Return what ended the program, for people to read."""
        return "interrupted" if self.number == signal.SIGINT else f"ended by {signal.Signals(self.number).name}"

    @property
    def code(self) -> int:
        """The exit code, as shells give it: 128 plus the number of the signal."""
        return 128 + self.number


@contextlib.contextmanager
def ending_in_order() -> Iterator[None]:
    """Raise Ended on SIGINT, SIGTERM and SIGHUP while the block runs, unless the caller of the program ignores them (as nohup does)."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    hook = sys.unraisablehook
    try:
        sys.unraisablehook = _raised_again
        for number, handler in before.items():
            if handler not in (signal.SIG_IGN, None):
                signal.signal(number, _end)
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
        sys.unraisablehook = hook


def _end(number: int, _frame: FrameType | None) -> None:
    raise Ended(number)


def _raised_again(dropped: "sys.UnraisableHookArgs") -> None:
    """Raise a dropped Ended again, in the main thread and outside of the callback; report other exceptions as Python does."""
    if not isinstance(dropped.exc_value, Ended):
        sys.__unraisablehook__(dropped)
        return
    again = threading.Timer(_AGAIN_SECONDS, signal.pthread_kill, [threading.main_thread().ident, dropped.exc_value.number])
    again.daemon = True
    again.start()
