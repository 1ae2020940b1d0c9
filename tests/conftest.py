"""How the tests are run, and what must hold when all tests of a process have run."""

import sys
import threading
from collections.abc import Iterator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Count lines in the quick tests of units alone: counting doubles a test's time, and the others pass through the same lines again.

    pytest-cov's own marker has no effect in the processes of pytest-xdist, where two counters are nested.
    """
    if "unit" in item.path.parts and item.get_closest_marker("slow") is None:
        return (yield)
    counter, of_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        threading.settrace(of_threads)
        sys.settrace(counter)


@pytest.fixture(scope="session", autouse=True)
def each_kernel_has_one_signature() -> Iterator[None]:
    """Fail at the end if some call compiled a kernel for other types than the rest do: each further signature costs seconds and memory."""
    yield
    from test_packaging import several_signatures  # noqa: PLC0415 - importing every module of the core first would take from every test run

    assert several_signatures() == {}
