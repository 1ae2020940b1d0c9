"""Arrays of zeros keep within the memory allowed, and those that grow keep what is in them, wherever they lie."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from floodmark.base import memory as memory_module
from floodmark.base.memory import GrowingRows, Memory
from floodmark.errors import MemoryLimitError

ROW = np.dtype([("number", "<u8"), ("octets", "u1", (24,))])


@pytest.fixture(autouse=True)
def small_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let arrays of a page be large enough for a file."""
    monkeypatch.setattr(memory_module, "_LARGE", 4096)


@pytest.fixture(params=[None, 1 << 30, 1 << 16], ids=["unlimited", "anonymous", "in a file"])
def memory(request: pytest.FixtureRequest) -> Memory:
    """Memory with as much room as needed, and with less."""
    return Memory(request.param)


def filled(capacity: int, memory: Memory) -> GrowingRows:
    table = GrowingRows(ROW, capacity, memory)
    table.rows["number"] = np.arange(1, capacity + 1)
    return table


@pytest.mark.parametrize("count", [0, 1, 1000, 100_000])
def test_a_new_array_holds_zeros_of_the_type_asked_for_and_can_be_written(memory: Memory, count: int) -> None:
    array = memory.array(count, np.int32)
    assert (array.dtype, array.shape, int(array.sum())) == (np.dtype(np.int32), (count,), 0)
    array[-1:] = -5
    assert array[-1:].tolist() == [-5][:count]


@pytest.mark.parametrize("capacity", [1, 100, 5000, 20_000])
def test_growing_keeps_rows_and_adds_zeros(memory: Memory, capacity: int) -> None:
    table = filled(capacity, memory)
    table.reach(2 * capacity)
    table.reach(3 * capacity)
    assert len(table.rows) == 3 * capacity
    assert table.rows["number"].tolist() == [*range(1, capacity + 1), *[0] * (len(table.rows) - capacity)]


def test_rows_that_there_is_room_for_change_nothing(memory: Memory) -> None:
    table = filled(100, memory)
    table.reach(100)
    assert len(table.rows) == 100


def test_growing_a_little_makes_room_for_more() -> None:
    table = filled(5000, Memory())
    table.reach(5001)
    assert len(table.rows) == 6250


def test_addresses_set_aside_are_not_counted_as_memory() -> None:
    told: list[str] = []
    memory = Memory(1 << 16, told.append)
    tables = [GrowingRows(ROW, 100, memory) for _ in range(8)]
    assert (told, memory.spilled_bytes) == ([], 0)
    assert sum(len(table.rows) for table in tables) == 800


def test_rows_stay_in_place_while_they_lie_in_memory() -> None:
    table = filled(100, Memory(1 << 20))
    before = table.rows.ctypes.data
    table.reach(10_000)
    assert table.rows.ctypes.data == before


def test_growing_while_a_view_is_held_copies_instead(memory: Memory) -> None:
    table = filled(5000, memory)
    view = table.rows["number"]
    table.reach(10_000)
    assert view.tolist() == table.rows["number"][:5000].tolist() == [*range(1, 5001)]


def test_trimming_keeps_the_rows(memory: Memory) -> None:
    assert filled(5000, memory).trim(3000)["number"].tolist() == [*range(1, 3001)]


def test_what_does_not_fit_is_announced_once_and_counted() -> None:
    told: list[str] = []
    memory = Memory(1 << 16, told.append)
    arrays = [memory.array(10_000, np.uint8) for _ in range(8)]
    assert len(told) == 1
    assert tempfile.gettempdir() in told[0]
    assert memory.spilled_bytes == 4 * 10_000  # three quarters of 64 KiB hold four of them
    assert all(int(array.sum()) == 0 for array in arrays)


def test_what_is_given_back_can_be_taken_again() -> None:
    memory = Memory(1 << 16)
    for _ in range(20):
        memory.array(40_000, np.uint8)  # and given back at once
    assert memory.spilled_bytes == 0


def test_no_file_is_left_to_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    memory = Memory(1 << 14)
    array = memory.array(100_000, np.uint8)
    assert memory.spilled_bytes == len(array)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_named_with_what_can_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tempfile.gettempdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    with pytest.raises(MemoryLimitError, match=r"temporary space needed.*--memory.*TMPDIR"):
        Memory(1 << 14).array(100_000, np.uint8)
