"""How the tests are run, and what must hold when all tests of a process have run."""

from collections.abc import Iterator

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count no lines in slow tests and in those of kernels, which are slower when counted and reach few lines of their own."""
    for item in items:
        if item.get_closest_marker("slow") or "property" in item.path.parts:
            item.add_marker("no_cover")


@pytest.fixture(scope="session", autouse=True)
def each_kernel_has_one_signature() -> Iterator[None]:
    """Fail at the end if some call compiled a kernel for other types than the rest do: each further signature costs seconds and memory."""
    yield
    from test_packaging import kernels  # noqa: PLC0415 - importing every module of the core first would take from every test run

    several = {name: kernel.signatures for name, kernel in kernels().items() if len(kernel.signatures) > 1}
    assert not several, several
