"""Documents of strangers against declared shapes: every fault is said with its place, whatever its keys look like."""

from typing import Annotated, Any

import msgspec
import pytest

from floodmark.base.shapes import converted


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a list holds."""

    count: Annotated[int, msgspec.Meta(ge=0)]


class Outer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a file holds."""

    inner: tuple[Inner, ...] = ()
    by_key: dict[str, int] = {}
    word: str | None = None


def test_what_fits_is_converted() -> None:
    assert converted({"inner": [{"count": 1}], "by_key": {"a": 2}}, Outer, "x") == Outer(inner=(Inner(count=1),), by_key={"a": 2})


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "x: expected a table, got a list"),
        ({"word": 1.5}, "x.word: expected a string or nothing, got a number"),
        ({"inner": None}, "x.inner: expected a list, got nothing"),
        ({"inner": [{"count": 1}, {"count": -1}]}, "x.inner[1].count: expected a whole number >= 0"),
        ({"inner": [{}]}, "x.inner[0].count: is missing"),
        ({"inner": [{"count": 1, "more": 1}]}, "unknown key x.inner[0].more"),
        ({"by_key": {"a` - at `$.b": "c"}}, "x.by_key[...]: expected a whole number, got a string"),
        ({"more": 1}, "unknown key x.more; known keys are inner, by_key, word"),
        ({"m` - at `$.y`": 1}, "unknown key x.m` - at `$.y`; known keys are inner, by_key, word"),
        ({"inner": [{"count": 1, "m` - at `$.y": 1}]}, "unknown key x.inner[0].m` - at `$.y"),
        ({"inner": [{"count": 1, "m" * 1_000_000: 1}]}, "unknown key x.inner[0]." + "m" * 80),
    ],
)
def test_what_does_not_fit_is_said_with_its_place(document: Any, said: str) -> None:
    with pytest.raises(ValueError, match="x") as caught:
        converted(document, Outer, "x")
    assert str(caught.value) == said
