"""The core compiled before its first use, on two processors where there are two."""

import os
import subprocess
import sys

from floodmark.base.workers import processors
from floodmark_core import compiled_before, keeps_kernels
from floodmark_core.warm import compile_beside, compile_rest, compile_whole


def warm(*, everything: bool = True) -> None:
    """Compile the kernels into the cache, or load those that are there; all of them, or those that classifying needs.

    A second process compiles one half meanwhile and hands it over in the cache. If it cannot, this process does it all.
    """
    if not compiled_before():
        _compile_on_two()
    compile_whole()
    if everything:
        compile_beside()


def _compile_on_two() -> None:
    """Compile both halves, one by a second process where that is possible."""
    helper = None
    if keeps_kernels() and processors() > 1 and sys.executable:
        # No shell, and nothing in it that anybody chose but the environment itself.
        command = [sys.executable, "-m", "floodmark_core.warm"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        helper = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        compile_rest()
    finally:
        if helper is not None:
            helper.wait()
