"""Make anonymised copies of captures for a bundle, and the manifest's entries for their originals."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from floodmark.anonymising.anonymise import anonymise
from floodmark.anonymising.anonymiser import Anonymiser
from floodmark.captures.opening import listed
from floodmark.captures.ordering import in_groups
from floodmark.captures.source import Source
from floodmark.errors import CaptureError
from floodmark.events.events import Event
from floodmark.evidence.layout import sha256_of


@dataclass(frozen=True)
class Sharing:
    """How captures are to be anonymised."""

    anonymiser: Anonymiser
    payload: bool = True  # keep what identifies protocols and the course of dialogues


def sources_of(captures: Sequence[str | Source]) -> list[Source]:
    """Return captures in the order in which they are read. Raises CaptureError for captures that cannot be read twice."""
    sources, left_out = listed(captures)
    if left_out:
        raise left_out[0]
    for source in sources:
        if not source.rereads:
            raise CaptureError(str(source), "can be read only once; save it to a file first")
    return [source for group in in_groups(sources) for _, source in group]


def anonymised_copies(captures: list[str], folder: Path, sharing: Sharing, *, keep_going: bool) -> tuple[list[str], dict[str, Any]]:
    """Write anonymised copies of captures to a folder. Returns their paths and their entry for the manifest.

    Raises CaptureError, OutputError.
    """
    paths: list[str] = []
    originals = []
    for number, source in enumerate(sources_of(captures), 1):
        if source.path is None:
            raise CaptureError(source.name, "is in an archive; unpack it first")
        path = str(folder / f"capture-{number:04d}.pcapng")
        done = anonymise(source, path, sharing.anonymiser, payload=sharing.payload, keep_going=keep_going)
        paths.append(path)
        originals.append({"number": number, "octets": source.size_bytes, "sha256": sha256_of(Path(source.path)), "packets": done.packets})
    return paths, {"payload": "sketched" if sharing.payload else "removed", "captures": originals}


def differences(before: Iterable[Event], after: Iterable[Event]) -> list[str]:
    """Return in words what is found in captures but not in their anonymised copies, and vice versa."""
    theirs, ours = (Counter((event.vector, event.packets) for event in events) for events in (before, after))
    lost = [f"not found without the payloads: {_said(event)}" for event in (theirs - ours).elements()]
    return lost + [f"found only without the payloads: {_said(event)}" for event in (ours - theirs).elements()]


def _said(event: tuple[str, int]) -> str:
    return f"{event[0]}, {event[1]:,} packets"
