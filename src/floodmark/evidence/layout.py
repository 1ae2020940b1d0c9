"""What stands where in a bundle, and how its small files are written: one text for one content, so that any changed octet shows."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

BUNDLE_VERSION = 1
MANIFEST = "bundle.json"
DIGEST = "bundle.json.sha256"
SIGNATURE = "bundle.json.sig"
TIMESTAMP_REQUEST = "bundle.json.tsq"
TIMESTAMP_REPLY = "bundle.json.tsr"  # of an authority, where somebody asked one
CUSTODY = "custody.jsonl"
SIGNER = "signer.pem"
REPORT, PAGE, FLOWS, SETTINGS, ASSETS = "report.json", "report.html", "flows.parquet", "settings.toml", "assets.toml"
ENVIRONMENT, REPEAT, STIX, CASE, READ_ME = "environment.json", "repeat.sh", "stix.json", "case.jsonld", "README.txt"
NOT_LISTED = (MANIFEST, DIGEST, SIGNATURE, TIMESTAMP_REQUEST, TIMESTAMP_REPLY, CUSTODY)  # in the manifest: they follow from it, or grow
PARTS = ("records", "chunks", "nodes")  # of a proof
_LARGEST_BYTES = 256 << 20  # of what is read whole
_PIECE_BYTES = 1 << 20
_SUFFIXES = {"pcapng": "pcapng", "snoop": "snoop"}


def carved_name(event: int, capture: int, container: str) -> str:
    """Return the place of an event's records of one capture. capture: its number, from 1. container: as recognised."""
    return f"events/event-{event:04d}/capture-{capture:04d}.{_SUFFIXES.get(container, 'pcap')}"


def proof_name(capture: int, part: str) -> str:
    """Return the place of a part of a capture's proof, one of PARTS."""
    return f"proofs/capture-{capture:04d}.{part}.parquet"


def canonical(document: Any) -> bytes:  # noqa: ANN401 - whatever JSON holds
    """Return a document as the one JSON text that a bundle has of it."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def canonical_line(document: Any) -> bytes:  # noqa: ANN401 - whatever JSON holds
    """Return a document as the one line of JSON that a log has of it, without its end."""
    return json.dumps(document, separators=(",", ":"), sort_keys=True, ensure_ascii=False, allow_nan=False).encode()


def parsed(nbytes: bytes) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return what canonical JSON says. Raises ValueError where it is none."""
    document = json.loads(nbytes)
    if canonical(document) != nbytes:
        raise ValueError("it does not stand as a bundle writes it")
    return document


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while nbytes := file.read(_PIECE_BYTES):
            digest.update(nbytes)
    return digest.hexdigest()


def small_file(path: Path) -> bytes | None:
    """Return what a file holds that is read whole; None where there is none, or something else than a file, or one far too large."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST_BYTES:
            return None
        return path.read_bytes()
    except OSError:
        return None


def is_digest_line(nbytes: bytes) -> bool:
    """Tell whether some octets name the hash of a manifest, whichever."""
    return re.fullmatch(rb"[0-9a-f]{64}  " + MANIFEST.encode() + rb"\n", nbytes) is not None


def digest_line(sha256: str) -> bytes:
    """Return what the file beside the manifest says of it, as sha256sum writes it."""
    return f"{sha256}  {MANIFEST}\n".encode()
