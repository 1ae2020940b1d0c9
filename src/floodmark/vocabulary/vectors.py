"""The vocabulary of answers: what is known of each vector, out of vectors.toml; everything else that depends on a vector asks here."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Any

_OWN = ("title", "ports", "payloads", "told_by", "cells")  # fields that a vector does not have from its parent


class Verdict(StrEnum):
    """What a flow or an event is."""

    VOLUMETRIC = "volumetric"  # overwhelms by volume
    APPLICATION_LAYER = "application-layer"  # abuses the protocol or the application
    BENIGN = "benign"  # neither


@dataclass(frozen=True)
class Technique:
    """A technique of MITRE ATT&CK (Enterprise), under the id that MITRE's own STIX objects have."""

    id: str
    name: str
    tactic: str  # short name
    tactic_id: str
    stix_id: str

    @property
    def url(self) -> str:
        """Where ATT&CK describes it."""
        return f"https://attack.mitre.org/techniques/{self.id.replace('.', '/')}/"


@dataclass(frozen=True)
class Vector:
    """One vector; vectors.toml says what each field is."""

    name: str
    verdict: Verdict
    parent: str  # itself at the top
    title: str
    protocol: str
    technique: Technique
    capec: str
    what: str
    recognised: str
    confused: str
    act: str
    ports: tuple[int, ...] = ()
    payloads: tuple[str, ...] = ()
    told_by: frozenset[str] = frozenset()
    cells: tuple[str, ...] = ()
    ddosdb: str | None = None

    @property
    def is_parent(self) -> bool:
        """Tell whether it stands at the top."""
        return self.parent == self.name


@dataclass(frozen=True)
class Protocol:
    """What a payload is recognised as, and what others call it."""

    title: str
    zeek: str | None = None  # service in Zeek's conn.log


def _document() -> dict[str, Any]:
    return tomllib.loads((files("floodmark.vocabulary") / "vectors.toml").read_text(encoding="utf-8"))


def _vectors(document: dict[str, Any]) -> Iterator[Vector]:
    techniques = {name: Technique(name, **fields) for name, fields in document["technique"].items()}
    for name, own in document["vector"].items():
        parent = own.get("parent", name)
        inherited = {key: value for key, value in document["vector"][parent].items() if key not in _OWN}
        fields = {**inherited, **own, "parent": parent}
        for key in ("ports", "payloads", "cells"):
            fields[key] = tuple(fields.get(key, ()))
        yield Vector(
            name=name,
            verdict=Verdict(fields.pop("verdict")),
            technique=techniques[fields.pop("attack")],
            told_by=frozenset(fields.pop("told_by")),
            **fields,
        )


_READ = _document()
RECORDS = {vector.name: vector for vector in _vectors(_READ)}
PROTOCOL_RECORDS = {name: Protocol(**fields) for name, fields in _READ["protocol"].items()}

# Vector -> (verdict, parent vector; itself at the top).
VECTORS = {name: (vector.verdict, vector.parent) for name, vector in RECORDS.items()}

# The vector of a flow that belongs to no attack. In the list of events by flow they stand below 0: -1 the first, -2 the second.
ORDINARY, BACKSCATTER, BULK_TRANSFER, MEASUREMENT, FLASH_CROWD = "ordinary", "backscatter", "bulk-transfer", "measurement", "flash-crowd"
BENIGN_VECTORS = (ORDINARY, BACKSCATTER, BULK_TRANSFER, MEASUREMENT, FLASH_CROWD)


def title_of(vector: str) -> str:
    """Return a vector in words: "DNS amplification" for dns-amplification."""
    record = RECORDS.get(vector)
    return record.title if record else vector.replace("-", " ")


def children(*parents: str) -> frozenset[str]:
    """Return the vectors that are kinds of some parents."""
    return family(*parents) - set(parents)


def family(*parents: str) -> frozenset[str]:
    """Return some parents and their kinds."""
    return frozenset(name for name, vector in RECORDS.items() if vector.parent in parents)


def told_by(what: str) -> frozenset[str]:
    """Return the vectors that a capture must show something for: payload, answers, dialogues, outcomes or rate."""
    return frozenset(name for name, vector in RECORDS.items() if what in vector.told_by)
