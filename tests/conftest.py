"""What must hold when all tests of a process have run."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def each_kernel_has_one_signature() -> Iterator[None]:
    """Fail at the end if some call compiled a kernel for other types than the rest do: each further signature costs seconds and memory."""
    yield
    from test_packaging import kernels  # noqa: PLC0415 - importing every module of the core first would take from every test run

    several = {name: kernel.signatures for name, kernel in kernels().items() if len(kernel.signatures) > 1}
    assert not several, several
