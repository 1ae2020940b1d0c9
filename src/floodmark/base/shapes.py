"""Convert a parsed document to its declared shape, a msgspec.Struct, and say in plain words which value does not fit.

A file of its own because msgspec takes milliseconds to load: modules that every command needs import this one where they read a document.
"""

import re
from typing import Any, TypeVar

import msgspec

_Shape = TypeVar("_Shape", bound=msgspec.Struct)
_LONGEST_KEY = 80  # characters of a stranger's key in a message
_PLACE = re.compile(r" - at `\$([^`]*)`\Z")  # at the end of msgspec's messages, unless the whole document is at fault
# Words for msgspec's names of types.
_WORDS = {
    "array": "a list", "bool": "true or false", "float": "a number", "int": "a whole number", "null": "nothing", "object": "a table",
    "str": "a string",
}  # fmt: skip


def converted(document: Any, shape: type[_Shape], name: str) -> _Shape:  # noqa: ANN401 - whatever TOML or JSON holds
    """Return a document as its shape. name: of the document in messages. Raises ValueError, as in "votes.ports: expected a list"."""
    try:
        return msgspec.convert(document, shape, strict=True)
    except msgspec.ValidationError as error:
        raise ValueError(_fault(str(error), shape, name)) from error


def decoded(nbytes: bytes, shape: type[_Shape], name: str) -> _Shape:
    """Return a JSON document as its shape; arguments and errors as for :func:`converted`."""
    try:
        return msgspec.json.decode(nbytes, type=shape, strict=True)
    except msgspec.ValidationError as error:
        raise ValueError(_fault(str(error), shape, name)) from error
    except msgspec.DecodeError as error:
        raise ValueError(f"it cannot be parsed: {error}") from error


def _fault(said: str, shape: type[msgspec.Struct], name: str) -> str:
    """Return a message of msgspec in plain words."""
    place = _PLACE.search(said[-300:])  # a place is short: it has no key that a stranger chose
    what, path = (said.removesuffix(place[0]), name + place[1]) if place else (said, name)
    start, _, rest = what.partition("`")
    field = f"{path}.{rest[:-1][:_LONGEST_KEY]}"
    if start.startswith("Object contains unknown field"):
        known = "" if place else f"; known keys are {', '.join(shape.__struct_fields__)}"
        return f"unknown key {field}{known}"
    if start.startswith("Object missing required field"):
        return f"{field}: is missing"
    words = re.sub(r"`([^`]*)`", lambda types: " or ".join(_WORDS.get(each, f"a {each}") for each in types[1].split(" | ")), what)
    return f"{path}: {words[0].lower()}{words[1:]}"
