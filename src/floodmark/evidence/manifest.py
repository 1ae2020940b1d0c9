"""Parse and validate a manifest, which is untrusted: it may come from anybody."""

from pathlib import PurePosixPath
from typing import Any

from floodmark.evidence.layout import BUNDLE_VERSION, PARTS, carved_name, parsed, proof_name

_LONGEST_NAME, _DEEPEST = 255, 8  # bytes of a path component, and components
_CONTAINERS = ("pcap", "pcap-ns", "pcap-modified", "pcap-nokia", "pcapng", "snoop")
_MOST = 1 << 62  # of any number: sums still fit 64 bits
_TEXT, _NUMBER, _FLAG, _NOTHING = str, int, bool, type(None)
_CAPTURE = {"number": _NUMBER, "octets": _NUMBER, "sha256": _TEXT, "packets": _NUMBER}
_SHAPE: dict[str, Any] = {
    "bundle_version": _NUMBER,
    "tool": {"name": _TEXT, "version": _TEXT},
    "made_at": _TEXT,
    "made_by": _TEXT,
    "public_key": (_TEXT, _NOTHING),
    "keep_going": _FLAG,
    "victims_shown": _FLAG,
    "anonymised": ({"payload": _TEXT, "captures": [_CAPTURE], "differences": [_TEXT]}, _NOTHING),
    "originals": [
        _CAPTURE
        | {
            "name": _TEXT, "compression": (_TEXT, _NOTHING), "container": _TEXT, "content_octets": _NUMBER, "content_sha256": _TEXT,
            "chunk_octets": _NUMBER, "chunks": _NUMBER, "merkle_root": _TEXT, "packets_carved": _NUMBER,
        }
    ],
    "events": [
        {"id": _NUMBER, "verdict": _TEXT, "vector": _TEXT, "packets": _NUMBER, "packets_by_original": {_TEXT: _NUMBER}, "files": [_TEXT]}
    ],
    "files": [{"path": _TEXT, "octets": _NUMBER, "sha256": _TEXT}],
}  # fmt: skip


def manifest_of(nbytes: bytes) -> dict[str, Any]:
    """Return a manifest's contents. Raises ValueError if it is invalid, or of another version."""
    try:
        document = parsed(nbytes)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    version = document.get("bundle_version") if isinstance(document, dict) else None
    if version != BUNDLE_VERSION:
        raise ValueError(f"it has version {version}, but this program reads version {BUNDLE_VERSION}")
    _check(document, _SHAPE, "manifest")
    for listed in document["files"]:
        path = PurePosixPath(listed["path"])
        is_odd = path.is_absolute() or ".." in path.parts or str(path) != listed["path"] or "\0" in listed["path"]
        if is_odd or any(len(part.encode()) > _LONGEST_NAME for part in path.parts) or len(path.parts) > _DEEPEST:
            raise ValueError(f"{listed['path'][:80]!r} is not a valid path in a bundle")
    _check_what_it_holds(document)
    return dict(document)


def _check_what_it_holds(document: dict[str, Any]) -> None:
    """Raise ValueError if a manifest's captures, events and files are inconsistent."""
    numbers = [original["number"] for original in document["originals"]]
    if numbers != list(range(1, len(numbers) + 1)) or [event["id"] for event in document["events"]] != list(
        range(1, len(document["events"]) + 1)
    ):
        raise ValueError("its captures and events are not numbered from 1")
    if any(original["container"] not in _CONTAINERS for original in document["originals"]):
        raise ValueError("one of its captures has an unknown format")
    carved: dict[int, int] = dict.fromkeys(numbers, 0)
    expected: set[str] = set()
    for event in document["events"]:
        of = {int(number): packets for number, packets in event["packets_by_original"].items() if number.isdecimal()}
        if set(map(str, of)) != set(event["packets_by_original"]) or not set(of) <= set(numbers) or sum(of.values()) != event["packets"]:
            raise ValueError(f"the packets of event {event['id']} do not match those of its captures")
        names = [carved_name(event["id"], number, document["originals"][number - 1]["container"]) for number in of]
        if names != event["files"]:
            raise ValueError(f"the files of event {event['id']} do not match its captures")
        expected.update(names)
        for number, packets in of.items():
            carved[number] += packets
    expected.update(proof_name(number, part) for number in numbers if carved[number] for part in PARTS)
    if {original["number"]: original["packets_carved"] for original in document["originals"]} != carved:
        raise ValueError("the packets carved from its captures do not match those of its events")
    listed = [each["path"] for each in document["files"]]
    if len(set(listed)) != len(listed) or {name for name in listed if name.startswith(("events/", "proofs/"))} != expected:
        raise ValueError("its packet and proof files do not match its captures and events")


def _check(value: Any, shape: Any, where: str) -> None:  # noqa: ANN401 - whatever JSON holds
    """Raise ValueError if a value does not match a shape: a type, one of several, a list of one, an object with these keys or with any."""
    if isinstance(shape, tuple):
        if value is not None or _NOTHING not in shape:
            _check(value, shape[0], where)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise ValueError(f"{where} is not a list")  # noqa: TRY004 - any wrong shape is one error
        for place, each in enumerate(value):
            _check(each, shape[0], f"{where}[{place}]")
    elif isinstance(shape, dict):
        if not isinstance(value, dict) or (_TEXT not in shape and set(value) != set(shape)):
            raise ValueError(f"{where} has unexpected or missing keys")
        for key, each in value.items():
            _check(each, shape.get(key, shape.get(_TEXT)), f"{where}.{key}")
    elif type(value) is not shape or (shape is _NUMBER and not 0 <= value < _MOST):
        raise ValueError(f"{where} is not a valid {shape.__name__}")
