"""Tables of zeros that grow keep what is in them."""

import numpy as np

from floodmark.memory import GrowingRows, zeroed

ROW = np.dtype([("number", "<u8"), ("octets", "u1", (24,))])


def filled(capacity: int) -> GrowingRows:
    table = GrowingRows(ROW, capacity)
    table.rows["number"] = np.arange(1, capacity + 1)
    return table


def test_a_new_array_holds_zeros_of_the_type_asked_for() -> None:
    array = zeroed(1000, np.dtype(np.uint32))
    assert (array.dtype, array.shape, int(array.sum())) == (np.dtype(np.uint32), (1000,), 0)


def test_a_new_array_can_be_written() -> None:
    array = zeroed(10, np.dtype(np.int64))
    array[3] = -5
    assert array.tolist() == [0, 0, 0, -5, 0, 0, 0, 0, 0, 0]


def test_a_new_table_has_room_for_its_capacity() -> None:
    assert len(GrowingRows(ROW, 100).rows) == 100


def test_growing_multiplies_the_room() -> None:
    table = filled(100)
    table.grow(4)
    assert len(table.rows) == 400


def test_growing_keeps_rows_and_adds_zeros() -> None:
    table = filled(5000)
    table.grow(4)
    assert table.rows["number"].tolist() == [*range(1, 5001), *[0] * 15_000]


def test_growing_while_a_view_is_held_copies_instead() -> None:
    table = filled(100)
    view = table.rows["number"]
    table.grow(4)
    assert view.tolist() == table.rows["number"][:100].tolist() == [*range(1, 101)]


def test_growing_twice_keeps_rows() -> None:
    table = filled(10)
    table.grow(2)
    table.grow(8)
    assert table.rows["number"][:12].tolist() == [*range(1, 11), 0, 0]
