"""Make an evidence bundle: the result, the packets of its events tied to the captures, and all that is needed to check them."""

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from floodmark.base.memory import Memory
from floodmark.base.writing import mark_as_being_written, resolved
from floodmark.captures.opening import Progress
from floodmark.captures.ordering import in_groups
from floodmark.captures.source import Source
from floodmark.claims.assets import (
    AssetSummary,
    assets_of_events,
    by_asset,
    document_of,
    load_assets,
    summarise,
    with_learned_addresses,
)
from floodmark.errors import CaptureError, OutputError, SettingsError
from floodmark.events.events import Event
from floodmark.evidence import custody, layout
from floodmark.evidence.proof.labels import label_packets
from floodmark.evidence.proof.proving import Proven, prove
from floodmark.evidence.seal.case import case_document
from floodmark.evidence.seal.environment import environment, repeat
from floodmark.evidence.seal.packing import is_packed, names_in, pack
from floodmark.evidence.seal.signing import Signer
from floodmark.evidence.seal.timestamp import request
from floodmark.evidence.sharing import Sharing, anonymised_copies, differences, sources_of
from floodmark.report.export.parquet import write_flows
from floodmark.report.export.stix import write_stix
from floodmark.report.page import write_page
from floodmark.result.pipeline import Options, classify
from floodmark.result.result import CaptureSummary, Result, Totals, tool, valid_text
from floodmark.settings import Settings, settings_text

NOBODY = "not named"


@dataclass(frozen=True)
class Recipe:
    """How a bundle is made, apart from the captures."""

    settings: Settings
    options: Options
    victims: bool = False  # named in the STIX file too
    assets_path: str | None = None  # of the file of assets
    names: Mapping[str, str] = field(default_factory=dict)  # path -> name of a capture; otherwise its file name


@dataclass(frozen=True)
class Contents:
    """What the files of a bundle were made from."""

    found: tuple[Event, ...]
    totals: Totals
    originals: list[dict[str, Any]]  # as in the manifest
    events: list[dict[str, Any]]  # as above


@dataclass(frozen=True)
class Made:
    """A bundle that was written."""

    path: str
    events: int
    packets: int  # carved
    captures: int
    manifest_sha256: str


def make(  # noqa: PLR0913 - captures, a place, a recipe and who does it
    captures: list[str],
    path: str,
    recipe: Recipe,
    *,
    by: str | None = None,
    signer: Signer | None = None,
    sharing: Sharing | None = None,
    progress: Progress | None = None,
) -> Made:
    """Write a bundle atomically: a folder, or a zip file if the name ends in .zip.

    by: who makes it, for the log. sharing: make it from anonymised copies of the captures, for which assets cannot be determined.
    Raises CaptureError, SettingsError, OutputError.
    """
    if sharing is not None and recipe.assets_path is not None:
        raise SettingsError("assets cannot be combined with anonymised copies, whose addresses differ; leave out one of them")
    with _beside(path) as folder:
        begun_at, shared, before = custody.now(), None, tuple[Event, ...]()
        with tempfile.TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as scratch:
            if sharing is not None:
                before = classify(captures, recipe.settings, recipe.options, progress).events
                captures, shared = anonymised_copies(captures, Path(scratch), sharing, keep_going=recipe.options.keep_going)
            contents = write_contents(captures, folder, recipe, progress)
            if shared is not None:
                shared["differences"] = differences(before, contents.found)
        who = valid_text(by or NOBODY)
        _log(folder, contents, shared, begun_at, who, signer)
        digest = _seal(folder, contents, shared, who, signer, recipe)
        if is_packed(path):
            pack(folder, path, fresh=True)
        else:
            _move(folder, path)
    carved = sum(sum(event["packets_by_original"].values()) for event in contents.events)
    return Made(path, len(contents.events), carved, len(contents.originals), digest)


@contextmanager
def _beside(path: str) -> Iterator[Path]:
    """Yield a folder next to the bundle's path; what is left of it is removed at the end."""
    target = Path(path)
    try:
        if target.exists() and (is_packed(path) or not target.is_dir() or any(target.iterdir())):
            raise OutputError(f"{path}: already exists; choose another path, a bundle is never overwritten")
        folder = resolved(target).with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    try:
        folder.mkdir()
        handle = os.open(folder, os.O_RDONLY)
        mark_as_being_written(handle)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    try:
        yield folder
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        os.close(handle)
        shutil.rmtree(folder, ignore_errors=True)


def _move(folder: Path, path: str) -> None:
    """Give a folder its name, which may be that of an empty folder. Raises OutputError if another bundle has it by now."""
    try:
        folder.rename(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        raise OutputError(f"{path}: already exists; choose another path, a bundle is never overwritten") from error


def write_contents(captures: Sequence[str | Source], folder: Path, recipe: Recipe, progress: Progress | None = None) -> Contents:
    """Write what depends on the captures and the recipe alone: the result, the packets of its events and their proofs.

    Raises CaptureError, SettingsError, OutputError.
    """
    in_order, settings, options = sources_of(captures), recipe.settings, recipe.options
    result = _named(classify(in_order, settings, replace(options, hash_captures=True), progress), recipe.names)
    _write_answer(folder, result, recipe)
    summaries, found, totals, judged = result.captures, result.events, result.totals, result.flows.judged
    del result  # the packets are assigned by the labels alone
    groups, memory = in_groups(in_order), Memory(options.memory_octets, options.announce)
    packets, going_on = [capture.packets for capture in summaries], options.keep_going
    labels = label_packets(groups, packets, judged, settings.flow, memory=memory, keep_going=going_on, progress=progress)
    proven = [prove(source, number, labels[number - 1], folder, keep_going=going_on) for number, source in enumerate(in_order, 1)]
    for capture, one in zip(summaries, proven, strict=True):
        if capture.compression is None and capture.sha256 != one.content_sha256:
            raise CaptureError(capture.path, "changed while it was being read")
    originals = [_original(number, *each) for number, each in enumerate(zip(summaries, in_order, proven, strict=True), 1)]
    return Contents(found, totals, originals, [_event(event, proven) for event in found])


def _write_answer(folder: Path, result: Result, recipe: Recipe) -> None:
    """Write the result in all its forms."""
    told: tuple[AssetSummary, ...] = ()
    if recipe.assets_path is not None:
        assets = load_assets(recipe.assets_path)
        shutil.copy(recipe.assets_path, folder / layout.ASSETS)
        assets = with_learned_addresses(assets, result.sources, recipe.settings.flow, keep_going=recipe.options.keep_going)
        told, result = summarise(result, assets), by_asset(result, assets)
    (folder / layout.REPORT).write_bytes(layout.canonical(document_of(result, told)))
    write_page(str(folder / layout.PAGE), result, told)
    write_flows(str(folder / layout.FLOWS), result.flows.attacking(), result.flows.schema)
    (folder / layout.SETTINGS).write_text(settings_text(result.settings), encoding="utf-8")
    write_stix(str(folder / layout.STIX), result, victims=recipe.victims, assets=assets_of_events(told))


def _named(result: Result, names: Mapping[str, str]) -> Result:
    """Return a result with the names of captures in place of their paths, which belong to one machine."""
    called = {capture.path: names.get(capture.path) or valid_text(Path(capture.path).name) for capture in result.captures}
    notes = list(result.notes)
    for path in sorted(called, key=len, reverse=True):
        notes = [note.replace(path, called[path]) for note in notes]
    captures = tuple(replace(capture, path=called[capture.path]) for capture in result.captures)
    return replace(result, captures=captures, notes=tuple(notes))


def _original(number: int, capture: CaptureSummary, source: Source, proven: Proven) -> dict[str, Any]:
    """Return the manifest's entry for a capture."""
    packed = source.size_bytes if capture.compression is not None else None
    nbytes = proven.content_octets if packed is None else packed
    about = asdict(proven)
    del about["carved"]
    return {
        "number": number, "name": capture.path, "octets": nbytes, "sha256": capture.sha256, "compression": capture.compression, **about,
        "packets_carved": sum(proven.carved.values()),
    }  # fmt: skip


def _event(event: Event, proven: list[Proven]) -> dict[str, Any]:
    """Return the manifest's entry for an event."""
    found = {number: one.carved[event.id] for number, one in enumerate(proven, 1) if event.id in one.carved}
    return {
        "id": event.id, "verdict": str(event.verdict), "vector": event.vector, "packets": event.packets,
        "packets_by_original": {str(number): packets for number, packets in found.items()},
        "files": [layout.carved_name(event.id, number, proven[number - 1].container) for number in found],
    }  # fmt: skip


def _log(  # noqa: PLR0913, PLR0917 - as for make
    folder: Path, contents: Contents, shared: dict[str, Any] | None, begun_at: str, by: str, signer: Signer | None
) -> None:
    """Write the first lines of the log: the steps that led to the bundle, in order."""
    taken = [{key: original[key] for key in ("name", "octets", "sha256")} for original in contents.originals]
    if shared is None:
        custody.append(folder, by, "read the captures without modifying them", {"begun_at": begun_at, "originals": taken}, signer)
    else:
        custody.append(
            folder, by, "read the captures without modifying them", {"begun_at": begun_at, "captures": shared["captures"]}, signer
        )
        custody.append(folder, by, "anonymised copies of the captures, from which the rest is made", {"originals": taken}, signer)
    classified = {"events": len(contents.found), "packets": contents.totals.packets, "flows": contents.totals.flows}
    custody.append(folder, by, "classified the flows", classified, signer)
    carved = {f"event {event['id']}": sum(event["packets_by_original"].values()) for event in contents.events}
    custody.append(folder, by, "carved the packets of each event", carved, signer)


def _seal(  # noqa: PLR0913, PLR0917 - as for make
    folder: Path, contents: Contents, shared: dict[str, Any] | None, by: str, signer: Signer | None, recipe: Recipe
) -> str:
    """Write the manifest and the files that vouch for it. Returns its SHA-256."""
    made_at = custody.now()
    if signer is not None:
        (folder / layout.SIGNER).write_bytes(signer.public_pem)
    (folder / layout.ENVIRONMENT).write_bytes(layout.canonical(environment()))
    write_words(folder, contents, made_at, by, keep_going=recipe.options.keep_going)
    manifest = layout.canonical(
        {
            "bundle_version": layout.BUNDLE_VERSION,
            "tool": tool(),
            "made_at": made_at,
            "made_by": by,
            "public_key": None if signer is None else signer.public_key,
            "keep_going": recipe.options.keep_going,
            "victims_shown": recipe.victims,
            "anonymised": shared,
            "originals": contents.originals,
            "events": contents.events,
            "files": [_listed(folder, name) for name in names_in(folder) if name not in layout.NOT_LISTED],
        }
    )
    (folder / layout.MANIFEST).write_bytes(manifest)
    digest = layout.sha256_of(folder / layout.MANIFEST)
    (folder / layout.DIGEST).write_bytes(layout.digest_line(digest))
    (folder / layout.TIMESTAMP_REQUEST).write_bytes(request(manifest))
    if signer is not None:
        (folder / layout.SIGNATURE).write_bytes(signer.sign(manifest))
    custody.append(folder, by, custody.SEALED, {"manifest_sha256": digest}, signer)
    return digest


def write_words(folder: Path, contents: Contents, made_at: str, by: str, *, keep_going: bool) -> None:
    """Write how to check and reproduce a bundle, and its metadata. The environment must be written before."""
    names = [original["name"] for original in contents.originals]
    versions = layout.parsed((folder / layout.ENVIRONMENT).read_bytes())
    (folder / layout.REPEAT).write_text(repeat(names, versions, keep_going=keep_going), encoding="utf-8")
    (folder / layout.READ_ME).write_text(_READ_ME, encoding="utf-8")
    carved = [_carved(folder, event, name) for event in contents.events for name in event["files"]]
    (folder / layout.CASE).write_bytes(layout.canonical(case_document(contents.found, contents.originals, carved, made_at, by)))


def _listed(folder: Path, name: str) -> dict[str, Any]:
    return {"path": name, "octets": (folder / name).stat().st_size, "sha256": layout.sha256_of(folder / name)}


def _carved(folder: Path, event: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the metadata of a carved file."""
    return _listed(folder, name) | {"event": event["id"], "original": int(Path(name).stem.rpartition("-")[2])}


_READ_ME = """\
An evidence bundle by floodmark: the results of analysing packet captures, and the evidence for them.

bundle.json         the manifest: every file of the bundle and every original capture with its SHA-256, and the events
bundle.json.sha256  SHA-256 of the manifest         check: sha256sum -c bundle.json.sha256
bundle.json.sig     Ed25519 signature of the manifest by the key in signer.pem, if the bundle is signed
                    check: openssl pkeyutl -verify -pubin -inkey signer.pem -rawin -in bundle.json -sigfile bundle.json.sig
bundle.json.tsq     request for a trusted timestamp of the manifest (RFC 3161), to be sent to a timestamp authority;
                    store its reply as bundle.json.tsr
custody.jsonl       custody log: who did what with the bundle and when; each line contains the hash of the previous one
report.json/html    the results: events with the rules that fired, measured values and thresholds
flows.parquet       the flows of the events
events/             the packets of each event, byte for byte as in the original captures
proofs/             proofs that tie these packets to the Merkle root of each original (RFC 9162, chunks of 1,024 bytes):
                    the position of each record, the other bytes of its chunks, and the hashes up to the root
settings.toml       time-outs and thresholds as used
assets.toml         the groups of hosts used in the results, if any
environment.json    versions of all software involved
repeat.sh           the commands that repeat the analysis
stix.json           the events as STIX 2.1
case.jsonld         contents and provenance of the bundle in CASE and UCO

Check everything at once: floodmark verify THIS_FOLDER [--original CAPTURE]
"""
