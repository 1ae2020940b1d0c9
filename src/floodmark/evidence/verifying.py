"""Verify what in a bundle is unaltered, and exactly what is not: offline, and without trusting its maker."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import pyarrow as pa

from floodmark.anonymising.anonymiser import Anonymiser
from floodmark.base.faults import at_most, is_of_the_machine
from floodmark.captures.opening import Progress
from floodmark.errors import CaptureError
from floodmark.evidence import custody, layout
from floodmark.evidence.findings import Verified
from floodmark.evidence.manifest import manifest_of
from floodmark.evidence.proof.checking import ProofError, check
from floodmark.evidence.remaking import compare
from floodmark.evidence.seal.packing import PackedError, difference, unpack
from floodmark.evidence.seal.signing import SIGNATURE_BYTES, fingerprint, is_signed, public_key_of
from floodmark.evidence.seal.timestamp import is_request, request, stamped
from floodmark.result.pipeline import Options

_MOST_BYTES = 400 << 20  # of memory that an untrusted bundle may take to check
_LONGEST_SHOWN = 120  # characters of a stranger's file name
_Log: TypeAlias = tuple[list[custody.Entry], bool]  # unaltered lines, and whether all are unaltered
_DISAGREES = {
    layout.SIGNATURE: f"is not a signature of {layout.MANIFEST} by the key named there: one of the two is not by the owner of that key"
}


def verify(  # noqa: PLR0913 - what a bundle can be checked against
    path: str,
    *,
    originals: list[str] | None = None,
    public_key: str | None = None,
    anonymiser: Anonymiser | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Verified:
    """Check a bundle, a folder or a zip file.

    originals: captures that it was made from, in any order and perhaps not all; if all are given, the result is computed again.
    public_key: of the expected signer, in hexadecimal. anonymiser: with the key of a bundle made from anonymised copies.
    Raises CaptureError if there is no bundle, or an original cannot be read.
    """
    found = Verified()
    with _opened(path, found) as folder:
        if folder is None:
            return found
        try:
            with at_most(_MOST_BYTES):
                manifest = _check_alone(folder, public_key, found)
        except MemoryError:
            found.alter(Path(path).name, f"takes more than {_MOST_BYTES >> 20} MiB of memory to check, which no bundle needs")
            return found
        if manifest is None:
            return found
        if originals:
            compare(folder, manifest, originals, found, anonymiser=anonymiser, options=options or Options(), progress=progress)
        _say_what_is_left(manifest, originals, found)
    return found


def _check_alone(folder: Path, public_key: str | None, found: Verified) -> dict[str, Any] | None:
    """Check what a bundle alone can show. Returns its manifest, None if it cannot be relied on."""
    log = _custody(folder, found)
    manifest = _manifest(folder, log, found)
    if manifest is None:
        return None
    _check_signer(folder, manifest, public_key, log, found)
    sound = _check_files(folder, manifest, log[0], found)
    _check_reply(folder, log[0], found)
    for original in manifest["originals"]:
        _check_proof(folder, manifest, original, sound, found)
    return manifest


@contextmanager
def _opened(path: str, found: Verified) -> Iterator[Path | None]:
    """Yield the folder of a bundle, None if it is a zip file that cannot be unpacked as it was packed."""
    if Path(path).is_dir():
        if not any((Path(path) / name).exists() for name in (layout.MANIFEST, layout.DIGEST, layout.CUSTODY)):
            raise CaptureError(path, f"not an evidence bundle: no {layout.MANIFEST} in it")
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="floodmark-") as scratch:
        folder = Path(scratch) / "bundle"
        folder.mkdir()
        try:
            unpack(path, folder)
            where = difference(path, folder, Path(scratch))
        except PackedError as error:
            found.alter(Path(path).name, str(error))
            yield None
            return
        if where is not None:
            found.alter(Path(path).name, where)
        yield folder


def _manifest(folder: Path, log: _Log, found: Verified) -> dict[str, Any] | None:
    """Check the manifest against all files that vouch for it. Returns it, None if it cannot be relied on.

    Several files hold its hash. If its signature is valid, or more of them confirm the manifest than contradict it, it is unaltered, and
    the files that do not confirm it are reported as altered.
    """
    nbytes = layout.small_file(folder / layout.MANIFEST)
    if nbytes is None:
        found.alter(layout.MANIFEST, layout.absence(folder / layout.MANIFEST))
        return None
    digest = layout.sha256_of(folder / layout.MANIFEST)
    try:
        document, fault = manifest_of(nbytes), None
    except ValueError as error:
        document, fault = None, str(error)
    said = _said_of_it(folder, nbytes, digest, document, log)
    signed = said.get(layout.SIGNATURE) is True  # which cannot be made without the key
    against, agreeing = list(said.values()).count(False), list(said.values()).count(True)
    if not signed and agreeing <= against:
        found.alter(layout.MANIFEST, "does not match its recorded hash; its list of files cannot be trusted")
        return None
    for name, agrees in said.items():
        if not agrees:
            what = _DISAGREES.get(name, f"does not contain the hash of {layout.MANIFEST}, as other files do")
            found.alter(name, what if (folder / name).exists() else "is missing")
    if document is None:
        found.alter(layout.MANIFEST, f"is not a valid manifest: {fault}")
        return None
    found.held.append(f"{layout.MANIFEST} matches its recorded hash: {digest}")
    return document


def _said_of_it(folder: Path, nbytes: bytes, digest: str, document: dict[str, Any] | None, log: _Log) -> dict[str, bool | None]:
    """Return whether each file that vouches for a manifest confirms it (True), contradicts it (False) or is not valid itself (None)."""
    listed, asked = (layout.small_file(folder / name) or b"" for name in (layout.DIGEST, layout.TIMESTAMP_REQUEST))
    said: dict[str, bool | None] = {
        layout.DIGEST: listed == layout.digest_line(digest) if layout.is_digest_line(listed) else None,
        layout.TIMESTAMP_REQUEST: asked == request(nbytes) if is_request(asked) else None,
    }
    entries, is_sound = log
    if is_sound:
        sealed = next((entry for entry in entries if entry.action == custody.SEALED), None)
        said[layout.CUSTODY] = sealed is not None and sealed.detail.get("manifest_sha256") == digest
    if document is not None and document["public_key"] is not None:
        signature = layout.small_file(folder / layout.SIGNATURE) or b""
        said[layout.SIGNATURE] = is_signed(nbytes, signature, document["public_key"]) if len(signature) == SIGNATURE_BYTES else None
    return said


def _custody(folder: Path, found: Verified) -> _Log:
    """Read the log, and report its faults."""
    nbytes = layout.small_file(folder / layout.CUSTODY)
    if nbytes is None:
        found.alter(layout.CUSTODY, layout.absence(folder / layout.CUSTODY))
        return [], False
    log = custody.read(nbytes)
    for fault in log.faults:
        found.alter(layout.CUSTODY, fault)
    if not log.faults:
        keys = Counter(entry.public_key for entry in log.entries)
        signed = [f"{count} signed by {fingerprint(key)}" for key, count in keys.items() if key is not None]
        signed += [f"{keys[None]} not signed"] if keys[None] else []
        found.held.append(f"{layout.CUSTODY}: {len(log.entries)} entries, each linked to the previous one; {', '.join(signed)}")
    if log.torn:
        found.remarks.append(
            f"{layout.CUSTODY}: its last line is incomplete, as after a crash or a full disk; adding a line keeps it aside"
        )
    return log.entries, not log.faults


def _check_signer(folder: Path, manifest: dict[str, Any], wanted: str | None, log: _Log, found: Verified) -> None:
    """Check who signed the manifest; its signature was checked before."""
    public_key = manifest["public_key"]
    if public_key is None:
        if (folder / layout.SIGNATURE).exists():
            found.alter(layout.SIGNATURE, f"exists, but {layout.MANIFEST} declares no signature")
        if wanted is not None:
            found.alter(layout.MANIFEST, f"is not signed; expected a signature by {fingerprint(wanted)}")
        return
    if wanted is not None and wanted != public_key:
        found.alter(layout.SIGNATURE, f"is by {fingerprint(public_key)}; expected {fingerprint(wanted)}")
    elif not any(each.path == layout.SIGNATURE for each in found.altered):
        found.public_key = public_key
        found.held.append(f"signed with Ed25519 by the key {fingerprint(public_key)}")
    pem = layout.small_file(folder / layout.SIGNER)
    if pem is not None and public_key_of(pem) != public_key:
        found.alter(layout.SIGNER, f"is not the key that {layout.MANIFEST} is signed by, {fingerprint(public_key)}")
    entries, is_sound = log
    if is_sound and any(entry.public_key != public_key for entry in entries[: _until_sealed(entries)]):
        found.alter(layout.CUSTODY, "has entries from the creation of the bundle that its signer did not sign")
    for entry in entries[_until_sealed(entries) :]:
        if entry.public_key != public_key:
            by = (
                "is not signed" if entry.public_key is None else f"is signed by {fingerprint(entry.public_key)}, not by the bundle's signer"
            )
            found.remarks.append(
                f"{layout.CUSTODY}: line {entry.number}, by {entry.by!r}, {by}: only whoever holds that key can vouch for it"
            )


def _until_sealed(entries: list[custody.Entry]) -> int:
    return next((place + 1 for place, entry in enumerate(entries) if entry.action == custody.SEALED), 0)


def _check_torn(folder: Path, entries: list[custody.Entry], found: Verified) -> set[str]:
    """Check the incomplete lines of the log that were kept aside. Returns the names of their files."""
    kept: dict[str, Any] = {}
    for entry in entries:
        if entry.action == custody.REPAIRED and isinstance(entry.detail.get(custody.TORN), dict):
            kept |= {name: digest for name, digest in entry.detail[custody.TORN].items() if name.startswith(custody.TORN_PREFIX)}
    for name, digest in kept.items():
        path = folder / name
        if "/" in name or path.is_symlink() or not path.is_file() or layout.sha256_of(path) != digest:
            found.alter(name[:_LONGEST_SHOWN], f"does not match its SHA-256 in {layout.CUSTODY}")
    return set(kept)


def _check_files(folder: Path, manifest: dict[str, Any], entries: list[custody.Entry], found: Verified) -> set[str]:
    """Check each file by its hash. Returns the unaltered ones."""
    sound = set()
    for listed in manifest["files"]:
        path, name = folder / listed["path"], listed["path"]
        if path.is_symlink() or not path.is_file():
            found.alter(name, "is a link" if path.is_symlink() else "is missing")
            continue
        nbytes = path.stat().st_size
        if nbytes != listed["octets"]:
            found.alter(name, f"has {nbytes:,} bytes instead of {listed['octets']:,}")
        elif layout.sha256_of(path) != listed["sha256"]:
            found.alter(name, f"its SHA-256 does not match {layout.MANIFEST}")
        else:
            sound.add(name)
    _check_for_others(folder, {listed["path"] for listed in manifest["files"]} | _check_torn(folder, entries, found), found)
    found.held.append(f"{len(sound)} of {len(manifest['files'])} files match their SHA-256 in {layout.MANIFEST}")
    return sound


def _check_for_others(folder: Path, listed: set[str], found: Verified) -> None:
    """Find what does not belong in a bundle: other files, links, unneeded folders."""
    folders = {str(parent) for name in listed for parent in PurePosixPath(name).parents}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() and name not in listed:
            found.alter(name, "is a link; bundles contain no links")
        elif path.is_dir() and name not in folders:
            found.alter(name, f"is a folder that is not in {layout.MANIFEST}")
        elif not path.is_dir() and name not in listed and name not in layout.NOT_LISTED:
            found.alter(name, f"was added to the bundle: it is not listed in {layout.MANIFEST}")


def _check_reply(folder: Path, entries: list[custody.Entry], found: Verified) -> None:
    """Check an authority's reply, if there is one."""
    reply = layout.small_file(folder / layout.TIMESTAMP_REPLY)
    if reply is None:
        if (folder / layout.TIMESTAMP_REPLY).exists():
            found.alter(layout.TIMESTAMP_REPLY, "is not a reply of a timestamp authority")
        return
    time = stamped(reply, (folder / layout.MANIFEST).read_bytes())
    known = [entry.detail[custody.REPLY_DIGEST] for entry in entries if custody.REPLY_DIGEST in entry.detail]
    if time is None:
        found.alter(layout.TIMESTAMP_REPLY, f"is not a timestamp of {layout.MANIFEST}")
    elif known and layout.sha256_of(folder / layout.TIMESTAMP_REPLY) != known[-1]:
        found.alter(layout.TIMESTAMP_REPLY, f"was altered after {layout.CUSTODY} last recorded its hash")
    else:
        covered = "" if known else f"; the bundle does not record its hash yet, the next entry in {layout.CUSTODY} will"
        found.remarks.append(
            f"{layout.TIMESTAMP_REPLY} gives the time {time}{covered}. To check its authority, run "
            f"openssl ts -verify -in {layout.TIMESTAMP_REPLY} -queryfile {layout.TIMESTAMP_REQUEST} -CAfile AUTHORITY.pem"
        )


def _check_proof(folder: Path, manifest: dict[str, Any], original: dict[str, Any], sound: set[str], found: Verified) -> None:
    """Check that the carved records of a capture lead to its Merkle root."""
    number, name = original["number"], original["name"]
    if not original["packets_carved"]:
        return
    tables = [layout.proof_name(number, part) for part in layout.PARTS]
    counts = {event["id"]: event["packets_by_original"].get(str(number)) for event in manifest["events"]}
    events = {event: packets for event, packets in counts.items() if packets}
    files = [layout.carved_name(event, number, original["container"]) for event in events]
    if not sound.issuperset([*tables, *files]):
        return  # altered files were reported; that their proof fails adds nothing
    try:
        checked = check(folder, number, original["container"], original["content_octets"], sorted(events))
    except (ProofError, OSError, ValueError, MemoryError, pa.ArrowException) as error:
        if isinstance(error, OSError) and is_of_the_machine(error):
            raise CaptureError(str(folder), f"its proofs cannot be read: {error.strerror}") from error
        found.alter(tables[0], f"the packets carved from {name} are not proven: {error}")
        return
    if checked.root != original["merkle_root"]:
        found.alter(tables[0], f"the packets carved from {name} do not lead to its Merkle root")
    elif checked.carved != events:
        found.alter(tables[0], f"the number of packets carved from {name} does not match {layout.MANIFEST}")
    else:
        packets = sum(checked.carved.values())
        found.held.append(f"{name}: contains the {packets:,} carved packets, proven by its Merkle root {checked.root}")


def _say_what_is_left(manifest: dict[str, Any], originals: list[str] | None, found: Verified) -> None:
    """Report what the bundle alone cannot show."""
    if manifest["public_key"] is None:
        found.remarks.append("not signed: the files are consistent, but nothing shows who made them")
    elif found.public_key is not None:
        found.remarks.append("only the signer can confirm that the key is theirs: compare its fingerprint, or give it with --public-key")
    if manifest["anonymised"] is not None:
        found.remarks.append("made from anonymised copies of the captures: recreating them requires the captures and the key")
        found.remarks.extend(manifest["anonymised"]["differences"])
    if not originals:
        found.remarks.append("analysis not repeated: no original captures; give them with --original")
