"""Rows cut into parts: every row once, in order, whatever the number of threads."""

import pytest

from floodmark.base import workers
from floodmark.base.workers import Part, Workers


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few rows be worth a part."""
    monkeypatch.setattr(workers, "_FEWEST_ROWS", 10)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [0, 1, 9, 10, 25, 1000])
def test_parts_are_all_rows_in_order(threads: int, rows: int) -> None:
    with Workers(threads) as pool:
        parts = pool.parts(rows)
        covered = pool.each(lambda part: list(range(part.first, part.end)), parts)
        assert [row for part in covered for row in part] == list(range(rows))
        assert len(parts) <= threads
        assert [part.number for part in parts] == list(range(len(parts)))


def test_few_rows_are_one_part() -> None:
    with Workers(8) as pool:
        assert pool.parts(100) == [Part(0, 0, 100)]
