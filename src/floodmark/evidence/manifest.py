"""Parse and validate a manifest, which is untrusted: it may come from anybody."""

from pathlib import PurePosixPath
from typing import Annotated, Any, TypeAlias

import msgspec

from floodmark.base.shapes import decoded
from floodmark.evidence.layout import BUNDLE_VERSION, PARTS, carved_name, parsed, proof_name

_LONGEST_NAME, _DEEPEST = 255, 8  # bytes of a path component, and components
_CONTAINERS = ("pcap", "pcap-ns", "pcap-modified", "pcap-nokia", "pcapng", "snoop")
_Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]  # sums still fit 64 bits


class _Version(msgspec.Struct, frozen=True):
    """The part of a manifest that every version has."""

    bundle_version: Any = None


class _Tool(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    version: str


class _Capture(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An anonymised capture."""

    number: _Number
    octets: _Number
    sha256: str
    packets: _Number


class _Anonymised(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    payload: str
    captures: list[_Capture]
    differences: list[str]


class _Original(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    number: _Number
    octets: _Number
    sha256: str
    packets: _Number
    name: str
    compression: str | None
    container: str
    content_octets: _Number
    content_sha256: str
    chunk_octets: _Number
    chunks: _Number
    merkle_root: str
    packets_carved: _Number


class _Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    id: _Number
    verdict: str
    vector: str
    packets: _Number
    packets_by_original: dict[str, _Number]
    files: list[str]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    octets: _Number
    sha256: str


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    bundle_version: _Number
    tool: _Tool
    made_at: str
    made_by: str
    public_key: str | None
    keep_going: bool
    victims_shown: bool
    anonymised: _Anonymised | None
    originals: list[_Original]
    events: list[_Event]
    files: list[_File]


def manifest_of(nbytes: bytes) -> dict[str, Any]:
    """Return a manifest's contents. Raises ValueError if it is invalid, or of another version."""
    try:
        version = decoded(nbytes, _Version, "manifest").bundle_version
        if version != BUNDLE_VERSION:
            raise ValueError(f"it has version {version}, but this program reads version {BUNDLE_VERSION}")
        # Before it becomes Python objects, which take many times the memory of their text.
        manifest = decoded(nbytes, _Manifest, "manifest")
        document = parsed(nbytes)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    for listed in manifest.files:
        path = PurePosixPath(listed.path)
        is_odd = path.is_absolute() or ".." in path.parts or str(path) != listed.path or "\0" in listed.path
        if is_odd or any(len(part.encode()) > _LONGEST_NAME for part in path.parts) or len(path.parts) > _DEEPEST:
            raise ValueError(f"{listed.path[:80]!r} is not a valid path in a bundle")
    _check_what_it_holds(manifest)
    return dict(document)


def _check_what_it_holds(manifest: _Manifest) -> None:
    """Raise ValueError if a manifest's captures, events and files are inconsistent."""
    numbers = [original.number for original in manifest.originals]
    if numbers != list(range(1, len(numbers) + 1)) or [event.id for event in manifest.events] != list(range(1, len(manifest.events) + 1)):
        raise ValueError("its captures and events are not numbered from 1")
    if any(original.container not in _CONTAINERS for original in manifest.originals):
        raise ValueError("one of its captures has an unknown format")
    carved: dict[int, int] = dict.fromkeys(numbers, 0)
    expected: set[str] = set()
    for event in manifest.events:
        of = {int(number): packets for number, packets in event.packets_by_original.items() if number.isdecimal()}
        if set(map(str, of)) != set(event.packets_by_original) or not set(of) <= set(numbers) or sum(of.values()) != event.packets:
            raise ValueError(f"the packets of event {event.id} do not match those of its captures")
        names = [carved_name(event.id, number, manifest.originals[number - 1].container) for number in of]
        if names != event.files:
            raise ValueError(f"the files of event {event.id} do not match its captures")
        expected.update(names)
        for number, packets in of.items():
            carved[number] += packets
    expected.update(proof_name(number, part) for number in numbers if carved[number] for part in PARTS)
    if {original.number: original.packets_carved for original in manifest.originals} != carved:
        raise ValueError("the packets carved from its captures do not match those of its events")
    listed = [each.path for each in manifest.files]
    if len(set(listed)) != len(listed) or {name for name in listed if name.startswith(("events/", "proofs/"))} != expected:
        raise ValueError("its packet and proof files do not match its captures and events")
