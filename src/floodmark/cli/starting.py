"""A quick start: imports without what no command needs."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import without collecting garbage, and without threads for linear algebra: a tenth of the start.

    Modules live as long as the program, so collecting would look through all of them again and again; afterwards it leaves them alone.
    """
    if "numba" in sys.modules:  # nothing to import: a program of somebody else's that calls a command
        yield
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's library starts its threads when it is loaded; nothing here uses them
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
