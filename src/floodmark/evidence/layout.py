"""Define the files of a bundle, and how small ones are written: one text for one content, so that any changed byte shows."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from floodmark.base.faults import is_of_the_machine
from floodmark.errors import CaptureError

BUNDLE_VERSION = 1
MANIFEST = "bundle.json"
DIGEST = "bundle.json.sha256"
SIGNATURE = "bundle.json.sig"
TIMESTAMP_REQUEST = "bundle.json.tsq"
TIMESTAMP_REPLY = "bundle.json.tsr"  # of an authority, if one was asked
CUSTODY = "custody.jsonl"
SIGNER = "signer.pem"
REPORT, PAGE, FLOWS, SETTINGS, ASSETS = "report.json", "report.html", "flows.parquet", "settings.toml", "assets.toml"
ENVIRONMENT, REPEAT, STIX, CASE, READ_ME = "environment.json", "repeat.sh", "stix.json", "case.jsonld", "README.txt"
NOT_LISTED = (MANIFEST, DIGEST, SIGNATURE, TIMESTAMP_REQUEST, TIMESTAMP_REPLY, CUSTODY)  # in the manifest: derived from it, or growing
PARTS = ("records", "chunks", "nodes")  # of a proof
_LARGEST_BYTES = 32 << 20  # of files that are read whole: a manifest of 100,000 files has 20 MiB
_PIECE_BYTES = 1 << 20
_SUFFIXES = {"pcapng": "pcapng", "snoop": "snoop"}


def carved_name(event: int, capture: int, container: str) -> str:
    """Return the path of an event's records from one capture. capture: its number, from 1. container: as recognised."""
    return f"events/event-{event:04d}/capture-{capture:04d}.{_SUFFIXES.get(container, 'pcap')}"


def proof_name(capture: int, part: str) -> str:
    """Return the path of a part of a capture's proof, one of PARTS."""
    return f"proofs/capture-{capture:04d}.{part}.parquet"


def canonical(document: Any) -> bytes:  # noqa: ANN401 - whatever JSON holds
    """Return a document as canonical JSON."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def canonical_line(document: Any) -> bytes:  # noqa: ANN401 - whatever JSON holds
    """Return a document as one line of canonical JSON for a log, without its newline."""
    return json.dumps(document, separators=(",", ":"), sort_keys=True, ensure_ascii=False, allow_nan=False).encode()


def parsed(nbytes: bytes) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Parse canonical JSON. Raises ValueError if it is not canonical."""
    document = json.loads(nbytes)
    if canonical(document) != nbytes:
        raise ValueError("it is not in canonical form")
    return document


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while nbytes := file.read(_PIECE_BYTES):
            digest.update(nbytes)
    return digest.hexdigest()


def small_file(path: Path) -> bytes | None:
    """Return the contents of a small file; None if it is missing, is not a regular file, or is far too large. Raises CaptureError."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST_BYTES:
            return None
        return path.read_bytes()
    except OSError as error:
        if is_of_the_machine(error):
            raise CaptureError(str(path), f"cannot be read: {error.strerror}") from error
        return None


def absence(path: Path) -> str:
    """Return why :func:`small_file` gives no contents, in words."""
    if not os.path.lexists(path):
        return "is missing"
    return f"is not a regular file of at most {_LARGEST_BYTES >> 20} MiB"


def is_digest_line(nbytes: bytes) -> bool:
    """Return whether some bytes are a digest line, for any manifest."""
    return re.fullmatch(rb"[0-9a-f]{64}  " + MANIFEST.encode() + rb"\n", nbytes) is not None


def digest_line(sha256: str) -> bytes:
    """Return the digest line of the manifest, as sha256sum writes it."""
    return f"{sha256}  {MANIFEST}\n".encode()
