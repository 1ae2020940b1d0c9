"""Order of tests: how often each kernel was compiled is looked at when everything that calls kernels has run."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the tests of compiled signatures to the end."""
    items.sort(key=lambda item: "was_compiled_for_one_signature" in item.name)
