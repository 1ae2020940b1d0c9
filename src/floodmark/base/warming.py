"""Compile the core before its first use, on two processors if there are two."""

import os
import subprocess
import sys

from floodmark.base.workers import processors
from floodmark_core import compiled_before, keeps_kernels
from floodmark_core.warm import compile_beside, compile_rest, compile_whole


def warm(*, everything: bool = True) -> None:
    """Compile the kernels into the cache, or load those already there: all of them, or only those needed to classify.

    A second process compiles one half meanwhile and passes it on through the cache. If it cannot, this process compiles everything.
    """
    if not compiled_before():
        _compile_on_two()
    compile_whole()
    if everything:
        compile_beside()


def _compile_on_two() -> None:
    """Compile both halves, one in a second process if possible."""
    helper = None
    if keeps_kernels() and processors() > 1 and sys.executable:
        # No shell, and no input from outside except the environment itself.
        command = [sys.executable, "-m", "floodmark_core.warm"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        helper = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        compile_rest()
    finally:
        if helper is not None:
            helper.wait()
