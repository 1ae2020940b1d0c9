"""The custody log, who did what with a bundle and when: append-only lines, each of which holds the hash of the one before it.

A line is canonical JSON (layout.canonical_line). ``digest`` is the SHA-256 of the line without digest and signature, ``signature`` the
Ed25519 signature over the digest by ``public_key``, if the author of the line has a key.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from floodmark.errors import CaptureError, OutputError, SettingsError
from floodmark.evidence.layout import CUSTODY, TIMESTAMP_REPLY, canonical_line, sha256_of, small_file
from floodmark.evidence.seal.packing import opened, pack
from floodmark.evidence.seal.signing import Signer, is_signed
from floodmark.result.result import tool, valid_text

SEALED = "sealed the bundle"  # action of the line that holds the manifest's hash
REPLY_DIGEST = "timestamp_reply_sha256"  # in the detail of lines added while there is a reply
_FIRST = "0" * 64  # previous hash in the first line
_KEYS = {"number", "at", "by", "action", "detail", "tool", "previous"}


@dataclass(frozen=True)
class Entry:
    """One line of the log."""

    number: int
    at: str  # RFC 3339, UTC, by the machine's clock
    by: str
    action: str
    detail: dict[str, Any]
    public_key: str | None  # in hexadecimal, of the signature

    def __str__(self) -> str:
        """Return the line for people to read."""
        return f"{self.number}  {self.at}  {self.by}  {self.action}{'' if self.public_key is None else '  (signed)'}"


def now() -> str:
    """Return the current time in a bundle's format."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def append(folder: Path, by: str, action: str, detail: dict[str, Any], signer: Signer | None) -> None:
    """Add a line. Raises OutputError."""
    path = folder / CUSTODY
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
        document: dict[str, Any] = {
            "number": len(lines) + 1, "at": now(), "by": by, "action": action, "detail": detail, "tool": " ".join(tool().values()),
            "previous": hashlib.sha256(lines[-1]).hexdigest() if lines else _FIRST,
        }  # fmt: skip
        if signer is not None:
            document["public_key"] = signer.public_key
        digest = hashlib.sha256(canonical_line(document)).hexdigest()
        signed = {"signature": signer.sign(bytes.fromhex(digest)).hex()} if signer is not None else {}
        with path.open("ab") as file:
            file.write(canonical_line(document | {"digest": digest} | signed) + b"\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def add(path: str, by: str, action: str, signer: Signer | None = None) -> list[Entry]:
    """Add a line to the log of a bundle, a folder or a zip file, and return all lines.

    If the bundle has a timestamp reply, the line holds its hash. Raises SettingsError if the line cannot be added, or the log was altered,
    because a new line would vouch for the altered ones; CaptureError, OutputError.
    """
    if action == SEALED:
        raise SettingsError(f"{action!r} is reserved for the creation of a bundle; use other words")
    with opened(path) as folder:
        _sound(path, folder)
        reply = folder / TIMESTAMP_REPLY
        detail = {REPLY_DIGEST: sha256_of(reply)} if small_file(reply) is not None else {}
        append(folder, valid_text(by), valid_text(action), detail, signer)
        if not Path(path).is_dir():
            pack(folder, path)
        return _sound(path, folder)


def entries_of(path: str) -> list[Entry]:
    """Return the log of a bundle, a folder or a zip file. Raises SettingsError, CaptureError."""
    with opened(path) as folder:
        return _sound(path, folder)


def _sound(path: str, folder: Path) -> list[Entry]:
    nbytes = small_file(folder / CUSTODY)
    if nbytes is None:
        raise CaptureError(path, f"not an evidence bundle: no readable {CUSTODY}")
    entries, faults = read(nbytes)
    if faults:
        raise SettingsError(f"{path}: {CUSTODY} was altered: {faults[0]}")
    return entries


def read(nbytes: bytes) -> tuple[list[Entry], list[str]]:
    """Read a log. Returns its lines, and its faults if there are any."""
    entries: list[Entry] = []
    faults: list[str] = []
    previous = _FIRST
    if not nbytes.endswith(b"\n"):
        faults.append("the last line is incomplete")
    for number, line in enumerate(nbytes.split(b"\n")[:-1] if nbytes.endswith(b"\n") else nbytes.split(b"\n"), 1):
        fault = _fault(line, number, previous)
        if fault:
            faults.append(f"line {number}: {fault}")
        else:
            document = json.loads(line)
            entries.append(Entry(*(document.get(key) for key in ("number", "at", "by", "action", "detail", "public_key"))))
        previous = hashlib.sha256(line).hexdigest()
    return entries, faults


def _fault(line: bytes, number: int, previous: str) -> str | None:
    """Return what is wrong with a line, None if nothing is."""
    try:
        document = json.loads(line)
        unsigned = {key: value for key, value in document.items() if key not in ("digest", "signature")}
        digest = hashlib.sha256(canonical_line(unsigned)).hexdigest()
        if canonical_line(document) != line or document["digest"] != digest or set(unsigned) - {"public_key"} != _KEYS:
            return "it was altered after it was written"
        if document["number"] != number or document["previous"] != previous:
            return "its number or its hash of the previous line does not match"
        if not _is_signed_as_it_says(document, digest):
            return "its signature does not match its public key"
        if not isinstance(document["detail"], dict) or not all(isinstance(document[key], str) for key in ("at", "by", "action", "tool")):
            return "it is not a valid log entry"
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return "it cannot be parsed"
    return None


def _is_signed_as_it_says(document: dict[str, Any], digest: str) -> bool:
    """Return whether a line is signed by the key that it names, or has neither key nor signature."""
    if "public_key" not in document:
        return "signature" not in document
    signature = bytes.fromhex(document["signature"])
    return signature.hex() == document["signature"] and is_signed(bytes.fromhex(digest), signature, document["public_key"])
