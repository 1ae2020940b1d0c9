"""Declare settings as frozen data: every value once, with its meaning and source, and validated when created.

The name of a setting ends with its unit (:data:`UNITS`); settings are declared in frozen dataclasses that inherit :class:`Checked`.
"""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, dataclass_transform

from floodmark.errors import SettingsError

LARGEST = 1_000_000_000  # value of any setting: thirty years in seconds still fit int64 nanoseconds
OWN = "this project's own choice"
# Unit by the last part of a setting's name.
UNITS = {
    "s": "seconds", "pps": "packets a second", "rps": "requests a second", "qps": "questions a second", "cps": "connections a second",
    "mps": "messages a second", "fps": "frames a second", "bps": "bits a second", "bytes": "bytes", "share": "share, 0 to 1",
    "packets": "packets", "sources": "sources", "servers": "servers", "clients": "clients", "hosts": "hosts", "targets": "hosts",
    "ports": "ports", "flows": "flows", "connections": "connections", "requests": "requests", "queries": "questions", "names": "names",
    "guesses": "log-ins", "messages": "messages", "commands": "messages", "frames": "frames", "resets": "streams reset",
    "errors": "ICMP errors", "windows": "stretches of time", "times": "factor or count", "ttls": "effective TTL values",
    "flags": "effective flag combinations", "protocols": "IP protocols", "variation": "coefficient of variation",
    "concentration": "effective TTL values a source", "packet": "sources a packet", "port": "tries a port", "tries": "tries",
    "tuples": "five-tuples",
}  # fmt: skip
_WORDS = {"tunnels": ("inner", "outer")}
_Value = TypeVar("_Value", int, float, str)
_Class = TypeVar("_Class")


def threshold(default: _Value, meaning: str, source: str = OWN) -> _Value:
    """Return a dataclass field with its default, meaning and source."""
    made: _Value = field(default=default, metadata={"meaning": meaning, "source": source})
    return made


@dataclass_transform(frozen_default=True, eq_default=False)
def declares(family: type[_Class]) -> type[_Class]:
    """Make a class one that declares settings for others to inherit: a frozen dataclass that nobody compares, prints or changes.

    What a dataclass is given for that is compiled anew at every start, and takes longer than everything else about it.
    """
    return dataclass(frozen=True, init=False, repr=False, eq=False)(family)


def unit_of(name: str) -> str:
    """Return the unit at the end of a setting's name. Raises KeyError if there is none."""
    return UNITS[name.rsplit("_", 1)[-1]]


@dataclass(frozen=True)
class Checked:
    """Settings that accept only valid values: numbers from 0, counts from 1, words of a list. Raises SettingsError."""

    def __post_init__(self) -> None:
        """Check every value, and convert whole numbers to float where a float is expected."""
        for setting in fields(self):
            value, kind = getattr(self, setting.name), int if isinstance(setting.default, int) else float
            name = f"{type(self).__name__.removesuffix('Settings').lower()}.{setting.name}"
            if isinstance(setting.default, str):
                if value not in _WORDS[setting.name]:
                    raise SettingsError(f"{name} must be one of {', '.join(_WORDS[setting.name])}, found {_shown(value)}")
                continue
            least = 1 if kind is int else 0
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= LARGEST:
                raise SettingsError(f"{name} must be a number from {least} to {LARGEST:,}, found {_shown(value)}")
            if kind is int and not isinstance(value, int):
                raise SettingsError(f"{name} must be a whole number, found {value!r}")
            object.__setattr__(self, setting.name, kind(value))  # 5 for 5.0


def _shown(value: object) -> str:
    """Return a value as messages show it. TOML can write integers in hexadecimal, and tables, that Python cannot write."""
    try:
        return repr(value)
    except (ValueError, RecursionError):
        return f"one of type {type(value).__name__} that is too large to show"


def read_toml(path: str) -> dict[str, Any]:
    """Read a TOML file. Raises SettingsError if it cannot be read or is not valid TOML."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except RecursionError as error:
        raise SettingsError(f"{path}: not valid TOML: it is nested too deeply") from error
    except ValueError as error:  # not only TOMLDecodeError: also bytes that are no text and integers of thousands of digits
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
