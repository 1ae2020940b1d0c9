"""The custody log, who did what with a bundle and when: append-only lines, each of which holds the hash of the one before it.

A line is canonical JSON (layout.canonical_line). ``digest`` is the SHA-256 of the line without digest and signature, ``signature`` the
Ed25519 signature over the digest by ``public_key``, if the author of the line has a key.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import IO, Any

from floodmark.errors import CaptureError, OutputError, SettingsError
from floodmark.evidence.layout import CUSTODY, TIMESTAMP_REPLY, canonical_line, sha256_of, small_file
from floodmark.evidence.seal.packing import opened, pack
from floodmark.evidence.seal.signing import Signer, fingerprint, is_signed
from floodmark.result.result import tool, valid_text

SEALED = "sealed the bundle"  # action of the line that holds the manifest's hash
REPAIRED = "repaired the log: its last line was incomplete"  # action of the line that says so
TORN = "incomplete_lines"  # in the detail of that line: the files that hold them, with their SHA-256
TORN_PREFIX = f"{CUSTODY}.incomplete-"
REPLY_DIGEST = "timestamp_reply_sha256"  # in the detail of lines added while there is a reply
_FIRST = "0" * 64  # previous hash in the first line
_LINE_START = b'{"action":"'
_LONGEST_LINE_BYTES = 16 << 20  # the first lines list the captures, 200 bytes each
_MOST_FAULTS = 20  # listed
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
        """Return the line for people to read, with the key that signed it: a name alone is nobody's word."""
        signed = "not signed" if self.public_key is None else f"signed by {fingerprint(self.public_key)}"
        return f"{self.number}  {self.at}  {self.by}  {self.action}  ({signed})"


def now() -> str:
    """Return the current time in a bundle's format."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def append(folder: Path, by: str, action: str, detail: dict[str, Any], signer: Signer | None) -> None:
    """Add a line, after a repair if the last one is torn. Raises OutputError, also if somebody made the log one that cannot be added to."""
    path = folder / CUSTODY
    try:
        with path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # one writer at a time, of the same log
            _append(folder, file, (by, action, detail), signer)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _append(folder: Path, file: IO[bytes], said: tuple[str, str, dict[str, Any]], signer: Signer | None) -> None:
    """Write a line, and before it the one that repairs a torn line; all of it or, if the disk is full, nothing."""
    file.seek(0)
    nbytes = file.read()
    whole = nbytes.rfind(b"\n") + 1
    lines, torn = nbytes[:whole].splitlines(), nbytes[whole:]
    before = len(lines)
    if torn:
        kept = _keep_torn(folder, torn)
        lines.append(_line(lines, said[0], REPAIRED, {TORN: kept}, None))
    lines.append(_line(lines, *said, signer))
    _replace_end(file, whole, torn, b"".join(line + b"\n" for line in lines[before:]))


def _line(lines: list[bytes], by: str, action: str, detail: dict[str, Any], signer: Signer | None) -> bytes:
    """Return the next line of a log."""
    document: dict[str, Any] = {
        "number": len(lines) + 1, "at": now(), "by": by, "action": action, "detail": detail, "tool": " ".join(tool().values()),
        "previous": hashlib.sha256(lines[-1]).hexdigest() if lines else _FIRST,
    }  # fmt: skip
    if signer is not None:
        document["public_key"] = signer.public_key
    digest = hashlib.sha256(canonical_line(document)).hexdigest()
    signed = {"signature": signer.sign(bytes.fromhex(digest)).hex()} if signer is not None else {}
    return canonical_line(document | {"digest": digest} | signed)


def _keep_torn(folder: Path, torn: bytes) -> dict[str, str]:
    """Write a torn line to a file of its own beside the log. Returns all such files with their SHA-256."""
    path = folder / f"{TORN_PREFIX}{hashlib.sha256(torn).hexdigest()[:12]}"
    path.write_bytes(torn)
    return {each.name: sha256_of(each) for each in sorted(folder.glob(f"{TORN_PREFIX}*"))}


def _replace_end(file: IO[bytes], whole: int, torn: bytes, new: bytes) -> None:
    """Write new bytes at the end of a log, over a torn line, and sync. If it fails, the log is left as it was. Raises OSError."""
    os.ftruncate(file.fileno(), whole)
    try:
        _write(file, new)
    except BaseException:
        os.ftruncate(file.fileno(), whole)
        _write(file, torn)
        raise


def _write(file: IO[bytes], nbytes: bytes) -> None:
    while nbytes:
        nbytes = nbytes[file.write(nbytes) :]
    os.fsync(file.fileno())


def add(path: str, by: str, action: str, signer: Signer | None = None) -> list[Entry]:
    """Add a line to the log of a bundle, a folder or a zip file, and return all lines.

    If the bundle has a timestamp reply, the line holds its hash. A zip file is written anew, one writer after the other. Raises
    SettingsError if the line cannot be added, or the log was altered, because a new line would vouch for the altered ones; CaptureError,
    OutputError.
    """
    if action in (SEALED, REPAIRED):
        raise SettingsError(f"{action!r} is reserved for floodmark itself; use other words")
    with _locked(path), opened(path) as folder:
        _sound(path, folder)
        reply = folder / TIMESTAMP_REPLY
        detail = {REPLY_DIGEST: sha256_of(reply)} if small_file(reply) is not None else {}
        append(folder, valid_text(by), valid_text(action), detail, signer)
        if not Path(path).is_dir():
            pack(folder, path)
        return _sound(path, folder)


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Hold a bundle's zip file until it has been replaced: a second writer then waits, and reads what the first one wrote."""
    if not Path(path).is_file():
        yield
        return
    while True:
        try:
            file = Path(path).open("r+b")  # noqa: SIM115 - only opening it is in the try block
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(file.fileno()), Path(path).stat()):
                yield
                return


def entries_of(path: str) -> list[Entry]:
    """Return the log of a bundle, a folder or a zip file. Raises SettingsError, CaptureError."""
    with opened(path) as folder:
        return _sound(path, folder)


def _sound(path: str, folder: Path) -> list[Entry]:
    nbytes = small_file(folder / CUSTODY)
    if nbytes is None:
        raise CaptureError(path, f"not an evidence bundle: no readable {CUSTODY}")
    log = read(nbytes)
    if log.faults:
        raise SettingsError(f"{path}: {CUSTODY} was altered: {log.faults[0]}")
    return log.entries


@dataclass(frozen=True)
class Log:
    """A log as it was read."""

    entries: list[Entry]
    faults: list[str]
    torn: bool = False  # its last line is incomplete, as after a crash or a full disk: the next one keeps it aside


def read(nbytes: bytes) -> Log:
    """Read a log, which is untrusted: reading ends after the first faults, or at a line longer than any."""
    entries: list[Entry] = []
    faults: list[str] = []
    previous, at = _FIRST, 0
    for number in count(1):
        end = nbytes.find(b"\n", at, at + _LONGEST_LINE_BYTES)
        if end < 0 or len(faults) == _MOST_FAULTS:
            break
        line = nbytes[at:end]
        fault = _fault(line, number, previous)
        if fault:
            faults.append(f"line {number}: {fault}")
        else:
            document = json.loads(line)
            entries.append(Entry(*(document.get(key) for key in ("number", "at", "by", "action", "detail", "public_key"))))
        previous, at = hashlib.sha256(line).hexdigest(), end + 1
    rest = nbytes[at : at + _LONGEST_LINE_BYTES + 1]
    torn = bool(rest) and not faults and _is_torn(rest)
    if (rest or not nbytes) and not torn:
        faults.append(
            "the last line is incomplete" if len(rest) <= _LONGEST_LINE_BYTES else f"line {number} and those after it cannot be read"
        )
    return Log(entries, faults, torn)


def _is_torn(rest: bytes) -> bool:
    """Return whether bytes are the beginning of a line that floodmark writes, and no more."""
    if not rest.startswith(_LINE_START[: len(rest)]) or len(rest) > _LONGEST_LINE_BYTES:
        return False
    text = rest.decode(errors="ignore")  # the cut may be inside a character
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return True
    return end == len(text)


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
