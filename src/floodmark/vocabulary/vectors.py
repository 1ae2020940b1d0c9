"""Records of all vectors, from vectors.toml; everything that depends on a vector uses them."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Any

_OWN = ("title", "ports", "payloads", "told_by", "kinds")  # fields that a vector does not inherit from its parent


class Verdict(StrEnum):
    """Class of a flow or an event."""

    VOLUMETRIC = "volumetric"  # overwhelms by volume
    APPLICATION_LAYER = "application-layer"  # abuses the protocol or the application
    BENIGN = "benign"  # neither


@dataclass(frozen=True)
class Technique:
    """A MITRE ATT&CK (Enterprise) technique, under the id of MITRE's own STIX object."""

    id: str
    name: str
    tactic: str  # short name
    tactic_id: str
    stix_id: str

    @property
    def url(self) -> str:
        """Its page at MITRE ATT&CK."""
        return f"https://attack.mitre.org/techniques/{self.id.replace('.', '/')}/"


@dataclass(frozen=True)
class Vector:
    """One vector; vectors.toml explains each field."""

    name: str
    verdict: Verdict
    parent: str  # its own name at the top level
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
    kinds: tuple[str, ...] = ()
    ddosdb: str | None = None

    @property
    def is_parent(self) -> bool:
        """Return whether it is a top-level vector."""
        return self.parent == self.name


@dataclass(frozen=True)
class Protocol:
    """A protocol recognised in payloads, and its names elsewhere."""

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
        for key in ("ports", "payloads", "kinds"):
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

# Vector -> (verdict, parent vector; itself at the top level).
VECTORS = {name: (vector.verdict, vector.parent) for name, vector in RECORDS.items()}

# Vectors of flows that belong to no attack. In the array of events by flow they are negative: -1 the first, -2 the second.
ORDINARY, BACKSCATTER, BULK_TRANSFER, MEASUREMENT, FLASH_CROWD = "ordinary", "backscatter", "bulk-transfer", "measurement", "flash-crowd"
BENIGN_VECTORS = (ORDINARY, BACKSCATTER, BULK_TRANSFER, MEASUREMENT, FLASH_CROWD)


def title_of(vector: str) -> str:
    """Return a vector in words: "DNS amplification" for dns-amplification."""
    record = RECORDS.get(vector)
    return record.title if record else vector.replace("-", " ")


def children(*parents: str) -> frozenset[str]:
    """Return the vectors below the given parents."""
    return family(*parents) - set(parents)


def family(*parents: str) -> frozenset[str]:
    """Return the given parents and the vectors below them."""
    return frozenset(name for name, vector in RECORDS.items() if vector.parent in parents)


def told_by(what: str) -> frozenset[str]:
    """Return the vectors that require a capture to show this: payload, answers, dialogues, outcomes or rate."""
    return frozenset(name for name, vector in RECORDS.items() if what in vector.told_by)
