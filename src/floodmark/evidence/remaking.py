"""Check that a bundle follows from its originals: everything derived from the captures is made again and compared."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from floodmark.anonymising.anonymiser import Anonymiser
from floodmark.captures.archives import members_of
from floodmark.captures.opening import Progress
from floodmark.captures.source import Source
from floodmark.errors import SettingsError
from floodmark.evidence import layout
from floodmark.evidence.findings import Verified
from floodmark.evidence.making import Recipe, write_contents, write_words
from floodmark.evidence.seal.environment import environment
from floodmark.evidence.seal.packing import names_in
from floodmark.evidence.sharing import Sharing, anonymised_copies, sources_of
from floodmark.result.pipeline import Options
from floodmark.settings import load_settings

_MOST_TOLD = 5  # most differences listed for one document


def compare(  # noqa: PLR0913 - as for verify
    folder: Path,
    manifest: dict[str, Any],
    paths: list[str],
    found: Verified,
    *,
    anonymiser: Anonymiser | None,
    options: Options,
    progress: Progress | None,
) -> None:
    """Check captures against a bundle's originals; if all are given, make its contents again. Raises CaptureError.

    anonymiser: with the key of a bundle made from anonymised copies, to make these again from the captures.
    """
    shared = manifest["anonymised"]
    if shared is None or anonymiser is None:
        sources = {source: source.name for source in _files(paths, {original["sha256"] for original in manifest["originals"]})}
        _compare_originals(folder, manifest, sources, found, options=options, progress=progress)
        return
    with tempfile.TemporaryDirectory(prefix="floodmark-") as scratch:
        sharing = Sharing(anonymiser, payload=shared["payload"] == "sketched")
        copies, again = anonymised_copies(paths, Path(scratch), sharing, keep_going=bool(manifest["keep_going"]))
        known, given = [each["sha256"] for each in shared["captures"]], [str(source) for source in sources_of(paths)]
        for path, each in zip(given, again["captures"], strict=True):
            if each["sha256"] in known:
                found.held.append(f"{path} is one of the captures that the bundle was made from: {each['sha256']}")
            else:
                found.alter(path, f"is not one of the captures that the bundle was made from: its SHA-256 is {each['sha256']}")
        names = {Source.of_path(copy): f"the anonymised copy of {path}" for copy, path in zip(copies, given, strict=True)}
        _compare_originals(folder, manifest, names, found, options=options, progress=progress)


def _compare_originals(  # noqa: PLR0913 - as above
    folder: Path,
    manifest: dict[str, Any],
    names: dict[Source, str],
    found: Verified,
    *,
    options: Options,
    progress: Progress | None,
) -> None:
    """Check captures against the originals of a bundle. names: capture -> name to report."""
    wanted = {original["sha256"]: original for original in manifest["originals"]}
    given: dict[str, list[Source]] = {}  # hash -> captures; several if a capture has several names
    for source, called in names.items():
        digest = source.sha256()
        if digest in wanted:
            given.setdefault(digest, []).append(source)
            found.held.append(f"{called} is the original {wanted[digest]['name']}: {digest}")
        else:
            same = next((one for one in manifest["originals"] if one["name"] == Path(source.name).name), None)
            was = f", that of the original of this name is {same['sha256']}" if same else ""
            found.alter(called, f"is not one of the originals: its SHA-256 is {digest}{was}")
    captures: dict[Source, str] = {}  # to the name in the bundle
    missing = []
    for original in manifest["originals"]:
        if given.get(original["sha256"]):
            captures[given[original["sha256"]].pop(0)] = original["name"]
        else:
            missing.append(original["name"])
    if missing:
        found.remarks.append(f"analysis not repeated: missing originals: {', '.join(missing)}; give them with --original")
        return
    if altered := {layout.SETTINGS, layout.ENVIRONMENT, layout.ASSETS} & {each.path for each in found.altered}:
        found.remarks.append(f"analysis not repeated: altered files: {', '.join(sorted(altered))}")
        return
    try:
        settings = load_settings(str(folder / layout.SETTINGS))
        layout.parsed((folder / layout.ENVIRONMENT).read_bytes())["dependencies"].items()
    except (SettingsError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        found.alter(layout.SETTINGS, f"cannot be used to repeat the analysis: {error}")
        return
    options = replace(options, keep_going=bool(manifest["keep_going"]))
    with tempfile.TemporaryDirectory(prefix="floodmark-") as scratch:
        again = Path(scratch)
        assets = str(folder / layout.ASSETS) if (folder / layout.ASSETS).exists() else None
        called_then = {source.name: name for source, name in captures.items()}
        recipe = Recipe(settings, options, manifest["victims_shown"], assets, called_then)
        contents = write_contents(list(captures), again, recipe, progress)
        if (contents.originals, contents.events) != (manifest["originals"], manifest["events"]):
            told = "; ".join([*_differing("originals", manifest["originals"], contents.originals),
                              *_differing("events", manifest["events"], contents.events)][:_MOST_TOLD])  # fmt: skip
            found.alter(layout.MANIFEST, f"does not match the originals: {told}")
        shutil.copy(folder / layout.ENVIRONMENT, again / layout.ENVIRONMENT)
        write_words(again, contents, manifest["made_at"], manifest["made_by"], keep_going=options.keep_going)
        _compare_files(folder, again, found)


def _files(paths: list[str], wanted: set[str]) -> Iterator[Source]:
    """Yield all files of folders, and of archives that are not themselves among the wanted files. wanted: their SHA-256."""
    for path in paths:
        inside = [str(each) for each in sorted(Path(path).rglob("*")) if each.is_file()] if Path(path).is_dir() else [path]
        for file in inside:
            source = Source.of_path(file)
            members = members_of(file) if source.is_file else None
            yield from [source] if members is None or source.sha256() in wanted else map(Source.of_member, members)


def _compare_files(folder: Path, again: Path, found: Verified) -> None:
    """Compare the files of a bundle with those made from its originals."""
    names = [name for name in names_in(again) if name != layout.ENVIRONMENT]
    different = [name for name in names if not _same(folder / name, again / name)]
    if not different:
        found.held.append(f"analysis repeated from the originals: {len(names)} files, byte for byte the same")
        return
    if differences := _software(folder):
        found.remarks.append(f"made with other software versions ({'; '.join(differences)}): differences may come from that")
    for name in different:
        found.alter(name, _difference(folder / name, again / name))


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and one.stat().st_size == other.stat().st_size and layout.sha256_of(one) == layout.sha256_of(other)


def _software(folder: Path) -> list[str]:
    """Return the software that made a bundle and has another version here."""
    try:
        then, now = json.loads((folder / layout.ENVIRONMENT).read_bytes()), environment()
        before = {"python": then["python"], "floodmark": then["tool"]["version"], **then["dependencies"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    here = {"python": now["python"], "floodmark": now["tool"]["version"], **now["dependencies"]}
    return [f"{name} {version}, here {here.get(name, 'none')}" for name, version in before.items() if here.get(name) != version]


def _difference(one: Path, other: Path) -> str:
    """Return how a file of a bundle differs from the one made from the originals."""
    if not one.is_file():
        return "is missing, but the originals produce it"
    if one.suffix != ".json":
        return "does not match the originals"
    try:
        told = list(_differing("", json.loads(one.read_bytes()), json.loads(other.read_bytes())))
    except (ValueError, RecursionError):
        return "does not match the originals, and cannot be parsed"
    more = f" and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
    return f"does not match the originals: {'; '.join(told[:_MOST_TOLD])}{more}"


def _differing(where: str, one: Any, other: Any) -> Iterator[str]:  # noqa: ANN401 - whatever JSON holds
    """Yield the places in which two documents differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            yield from _differing(f"{where}.{key}" if where else key, one.get(key), other.get(key))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, (first, second) in enumerate(zip(one, other, strict=True)):
            yield from _differing(f"{where}[{place}]", first, second)
    elif one != other:
        yield f"{where} is {json.dumps(one)[:80]}, from the originals {json.dumps(other)[:80]}"
