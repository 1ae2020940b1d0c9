"""Evidence bundles: what is in one, what ties it to the originals, and that nothing in it can be changed unseen."""

import copy
import gzip
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

import floodmark
from builders import SECOND, connection, header, pcap, pcapng, record, syn_flood, udp
from floodmark.anonymising.anonymiser import Anonymiser
from floodmark.cli import main
from floodmark.errors import CaptureError, OutputError, SettingsError
from floodmark.evidence import custody, layout
from floodmark.evidence.findings import Verified
from floodmark.evidence.making import Recipe, make
from floodmark.evidence.manifest import manifest_of as read_manifest
from floodmark.evidence.proof.merkle import CHUNK_BYTES, Tree, climb, leaf_digests
from floodmark.evidence.seal.environment import environment
from floodmark.evidence.seal.signing import Signer, fingerprint, load_public_key, load_signer
from floodmark.evidence.seal.timestamp import request, stamped
from floodmark.evidence.sharing import Sharing
from floodmark.evidence.verifying import verify
from floodmark.result.pipeline import Options
from floodmark.settings import Settings
from property.strategies import PROFILE

DEMO = Path(__file__).parents[2] / "traces" / "demo.pcap"
CHANGES = 1000


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a signed bundle of the demonstration capture."""
    folder = tmp_path_factory.mktemp("bundles") / "signed"
    make([str(DEMO)], str(folder), Recipe(Settings(), Options()), by="A. Responder", signer=Signer(Ed25519PrivateKey.generate()))
    return folder


@pytest.fixture
def bundle(signed: Path, tmp_path: Path) -> Path:
    """Return a copy of it, to be altered."""
    return Path(shutil.copytree(signed, tmp_path / "bundle"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of the demonstration capture that nobody signed."""
    return made(tmp_path_factory.mktemp("bundles"), DEMO)


@pytest.fixture
def unsigned(plain: Path, tmp_path: Path) -> Path:
    """Return a copy of it, to be altered."""
    return Path(shutil.copytree(plain, tmp_path / "made"))


def made(tmp_path: Path, *captures: Path, keep_going: bool = False) -> Path:
    folder = tmp_path / "made"
    make([str(capture) for capture in captures], str(folder), Recipe(Settings(), Options(keep_going=keep_going)))
    return folder


def altered(found: Verified) -> dict[str, str]:
    return {each.path: each.what for each in found.altered}


def manifest_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / layout.MANIFEST).read_bytes()))


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_bundle_holds_what_it_says_and_is_whole(signed: Path) -> None:
    found, manifest = verify(str(signed), originals=[str(DEMO)]), manifest_of(signed)
    assert found.is_whole
    assert {original["sha256"] for original in manifest["originals"]} == {hashlib.sha256(DEMO.read_bytes()).hexdigest()}
    names = {path.relative_to(signed).as_posix() for path in files_of(signed)}
    assert names == {listed["path"] for listed in manifest["files"]} | {
        layout.MANIFEST, layout.DIGEST, layout.SIGNATURE, layout.TIMESTAMP_REQUEST, layout.CUSTODY,
    }  # fmt: skip
    result = floodmark.classify(str(DEMO))
    assert [(event["id"], event["vector"], event["packets"]) for event in manifest["events"]] == [
        (event.id, event.vector, event.packets) for event in result.events
    ]
    assert all(sum(event["packets_by_original"].values()) == event["packets"] for event in manifest["events"])
    assert pq.read_table(signed / layout.FLOWS)["event_id"].null_count == 0
    assert pq.read_metadata(signed / layout.FLOWS).num_rows == sum(event.flows for event in result.events)
    assert json.loads((signed / layout.REPORT).read_bytes())["events"] == json.loads(result.to_json())["events"]


def test_a_bundle_names_no_folder_of_the_machine_it_was_made_on(signed: Path) -> None:
    folders = (str(DEMO.parent).encode(), str(signed.parent).encode(), str(Path.home()).encode() + b"/")
    assert not [path.name for path in files_of(signed) if any(folder in path.read_bytes() for folder in folders)]


def test_carved_records_stand_octet_for_octet_where_the_table_says(signed: Path) -> None:
    octets = DEMO.read_bytes()
    rows = pq.read_table(signed / layout.proof_name(1, "records")).to_pylist()
    for event in manifest_of(signed)["events"]:
        mine = [row for row in rows if row["event"] in (0, event["id"])]
        whole = b"".join(octets[row["offset"] : row["offset"] + row["octets"]] for row in mine)
        assert (signed / event["files"][0]).read_bytes() == whole
        carved = floodmark.classify(str(signed / event["files"][0]))
        assert carved.totals.packets == event["packets"]


def packed_as(form: str, folder: Path) -> list[Path]:
    """Write captures with a flood in them in some form."""
    packets = [*connection(0), *syn_flood(400, 2 * SECOND), *connection(4 * SECOND, 40_001)]
    halves = {"a.pcap": pcap(packets[::2]), "b.pcap": pcap(packets[1::2])}
    after = {"a.pcap": pcap(packets[:200]), "b.pcap": pcap(packets[200:])}
    damaged = pcap(packets[:200]) + b"\xff" * 40 + pcap(packets[200:])[24:]
    written = {
        "pcap": {"a.pcap": pcap(packets)},
        "pcapng": {"a.pcapng": pcapng(packets)},
        "gzip": {"a.pcap.gz": gzip.compress(pcap(packets))},
        "sections": {"a.pcapng": pcapng(packets[:200]) + pcapng(packets[200:])},
        "overlapping": halves,
        "rotated": after,
        "damaged": {"a.pcap": damaged},
        "cut": {"a.pcap": pcap(packets)[:-7]},
        "calm": {"a.pcap": pcap(connection(0))},
        "empty": {"a.pcap": pcap([])},
        "long": {"a.pcap": header(snaplen=65_535) + record(bytes(5000)) + pcap(packets)[24:]},
    }[form]
    for name, octets in written.items():
        (folder / name).write_bytes(octets)
    return [folder / name for name in written]


@pytest.mark.parametrize(
    "form", ["pcap", "pcapng", "gzip", "sections", "overlapping", "rotated", "damaged", "cut", "calm", "empty", "long"]
)
def test_captures_of_any_form_are_tied_to_their_bundle(form: str, tmp_path: Path) -> None:
    captures = packed_as(form, tmp_path)
    folder = made(tmp_path, *captures, keep_going=True)
    found, manifest = verify(str(folder), originals=[str(capture) for capture in captures]), manifest_of(folder)
    assert found.is_whole, found.altered
    expected = floodmark.classify([str(capture) for capture in captures], options=Options(keep_going=True))
    assert [event["packets"] for event in manifest["events"]] == [event.packets for event in expected.events]
    assert all(sum(event["packets_by_original"].values()) == event["packets"] for event in manifest["events"])
    assert sum("carved packets, proven by its Merkle root" in held for held in found.held) == (
        0 if form in ("calm", "empty") else len(captures)
    )
    for capture, original in zip(captures, manifest["originals"], strict=True):
        assert original["sha256"] == hashlib.sha256(capture.read_bytes()).hexdigest()
        content = gzip.decompress(capture.read_bytes()) if form == "gzip" else capture.read_bytes()
        assert (original["content_sha256"], original["octets"]) == (hashlib.sha256(content).hexdigest(), capture.stat().st_size)
        assert original["merkle_root"] == tree_hash([content[at : at + 1024] for at in range(0, len(content), 1024)]).hex()


def tree_hash(chunks: list[bytes]) -> bytes:
    """Hash chunks as RFC 9162 section 2.1.1 writes it down."""
    if len(chunks) == 1:
        return hashlib.sha256(b"\0" + chunks[0]).digest()
    half = 1 << (len(chunks) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + tree_hash(chunks[:half]) + tree_hash(chunks[half:])).digest()


@PROFILE
@given(st.integers(1, 40 * CHUNK_BYTES), st.data())
def test_some_chunks_and_the_nodes_beside_them_lead_to_the_root(octets: int, data: st.DataObject) -> None:
    content = np.random.default_rng(octets).integers(0, 256, octets, np.uint8).tobytes()
    chunks = [content[at : at + CHUNK_BYTES] for at in range(0, octets, CHUNK_BYTES)]
    with ExitStack() as stack:
        leaves = stack.enter_context(tempfile.TemporaryFile())
        leaves.write(leaf_digests(content))
        tree = stack.enter_context(closing(Tree(leaves)))
        assert tree.root == tree_hash(chunks).hex()
        some = np.array(sorted(data.draw(st.sets(st.integers(0, len(chunks) - 1), min_size=1))))
        nodes = tree.beside(some)
        digests = b"".join(leaf_digests(chunks[place]) for place in some)
        assert climb(some, digests, len(chunks), nodes) == tree.root
        other = bytes([digests[0] ^ 1]) + digests[1:]
        assert climb(some, other, len(chunks), nodes) != tree.root


def one_octet_changes(files: list[Path], count: int) -> Iterator[Path]:
    """Change one octet of one of the files, over and over, and put it back each time."""
    rng = random.Random(20260801)
    for _ in range(count):
        path = rng.choice(files)
        before = path.read_bytes()
        octets = bytearray(before)
        octets[rng.randrange(len(octets))] ^= rng.randrange(1, 256)
        path.write_bytes(octets)
        yield path
        path.write_bytes(before)


@pytest.mark.slow
def test_each_of_a_thousand_changed_bytes_is_found_and_named(bundle: Path) -> None:
    files = files_of(bundle)
    for path in one_octet_changes(files, CHANGES):
        assert set(altered(verify(str(bundle)))) == {path.relative_to(bundle).as_posix()}
    assert verify(str(bundle)).is_whole


def test_each_changed_octet_of_an_unsigned_bundle_is_found_and_named(unsigned: Path) -> None:
    for path in one_octet_changes(files_of(unsigned), 100):
        assert set(altered(verify(str(unsigned)))) == {path.relative_to(unsigned).as_posix()}


def test_each_changed_octet_of_a_zip_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    make([str(DEMO)], str(path), Recipe(Settings(), Options()))
    assert verify(str(path), originals=[str(DEMO)]).is_whole
    for _ in one_octet_changes([path], 100):
        assert set(altered(verify(str(path)))) == {path.name}
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.txt", "more")
    assert set(altered(verify(str(path)))) >= {"more.txt"}


def test_what_is_missing_or_was_put_to_it_is_named(bundle: Path) -> None:
    (bundle / layout.PAGE).unlink()
    (bundle / "more.txt").write_text("more", encoding="utf-8")
    assert altered(verify(str(bundle))) == {
        layout.PAGE: "is missing",
        "more.txt": "was added to the bundle: it is not listed in bundle.json",
    }
    for name in (layout.MANIFEST, layout.DIGEST, layout.SIGNATURE, layout.TIMESTAMP_REQUEST, layout.CUSTODY):
        octets = (bundle / name).read_bytes()
        (bundle / name).unlink()
        assert altered(verify(str(bundle)))[name] == "is missing"
        (bundle / name).write_bytes(octets)


def seal_again(folder: Path) -> None:
    """Make all hashes of an unsigned bundle right again, as somebody would who forges it."""
    manifest = manifest_of(folder)
    for listed in manifest["files"]:
        path = folder / listed["path"]
        if len(path.name) > 255 or not path.exists():
            continue
        listed["octets"], listed["sha256"] = path.stat().st_size, layout.sha256_of(path)
    octets = layout.canonical(manifest)
    (folder / layout.MANIFEST).write_bytes(octets)
    digest = hashlib.sha256(octets).hexdigest()
    (folder / layout.DIGEST).write_bytes(layout.digest_line(digest))
    (folder / layout.TIMESTAMP_REQUEST).write_bytes(request(octets))
    (folder / layout.CUSTODY).unlink()
    custody.append(folder, "forger", custody.SEALED, {"manifest_sha256": digest}, None)


Change = Callable[[Path], None]


def rewrite(name: str, change: Callable[[bytes], bytes]) -> Change:
    """Return what changes a file of a bundle."""

    def apply(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return apply


def in_capitals(octets: bytes) -> bytes:
    """Write the last signature of a log with large letters: the same number in another form."""
    before, mark, rest = octets.rpartition(b'"signature":"')
    return before + mark + rest[:128].upper() + rest[128:]


def rewrite_log(folder: Path) -> None:
    """Write the log of a signed bundle anew, without its signer."""
    digest = hashlib.sha256((folder / layout.MANIFEST).read_bytes()).hexdigest()
    (folder / layout.CUSTODY).unlink()
    custody.append(folder, "somebody else", custody.SEALED, {"manifest_sha256": digest}, None)


def change_manifest_and_digest(folder: Path) -> None:
    """Change the manifest and the file that holds its hash, and nothing else that vouches for it."""
    octets = (folder / layout.MANIFEST).read_bytes().replace(b"A. Responder", b"B. Responder")
    (folder / layout.MANIFEST).write_bytes(octets)
    (folder / layout.DIGEST).write_bytes(layout.digest_line(hashlib.sha256(octets).hexdigest()))


def link(folder: Path) -> None:
    (folder / layout.PAGE).rename(folder.parent / "page")
    (folder / layout.PAGE).symlink_to(folder.parent / "page")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (rewrite(layout.MANIFEST, lambda _: b""), layout.MANIFEST),
        (change_manifest_and_digest, layout.MANIFEST),
        (rewrite_log, layout.CUSTODY),
        (rewrite(layout.CUSTODY, in_capitals), layout.CUSTODY),
        (rewrite(layout.CUSTODY, lambda octets: octets + b"[" * 100_000 + b"\n"), layout.CUSTODY),
        (rewrite(layout.CUSTODY, lambda octets: octets.rstrip(b"\n")), layout.CUSTODY),
        (link, layout.PAGE),
        (lambda folder: (folder / "events" / "event-9999").mkdir(), "events/event-9999"),
        (lambda folder: (folder / layout.TIMESTAMP_REPLY).mkdir(), layout.TIMESTAMP_REPLY),
    ],
)
def test_what_somebody_would_try_is_named(change: Change, named: str, bundle: Path) -> None:
    change(bundle)
    assert set(altered(verify(str(bundle)))) == {named}


def test_files_that_vouch_for_a_manifest_are_named_where_they_were_swapped_or_emptied(bundle: Path) -> None:
    names = (layout.DIGEST, layout.TIMESTAMP_REQUEST)
    one, other = ((bundle / name).read_bytes() for name in names)
    for octets in ((other, one), (b"", b"")):
        for name, some in zip(names, octets, strict=True):
            (bundle / name).write_bytes(some)
        assert set(altered(verify(str(bundle)))) == set(names)


def test_zip_members_that_lie_over_each_other_are_refused(tmp_path: Path) -> None:
    inner = tmp_path / "a"
    inner.write_bytes(bytes(1 << 16))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(inner, "a")
        archive.filelist += [copy.copy(archive.filelist[0]) for _ in range(9)]
    assert "longer than the file" in altered(verify(str(tmp_path / "b.zip")))["b.zip"]


def in_manifest(change: Callable[[dict[str, Any]], object]) -> Change:
    """Return what changes a manifest in a way that its hashes do not show."""

    def apply(folder: Path) -> None:
        manifest = manifest_of(folder)
        change(manifest)
        (folder / layout.MANIFEST).write_bytes(layout.canonical(manifest))

    return apply


@pytest.mark.parametrize(
    "change",
    [
        in_manifest(lambda manifest: manifest.update(originals=None)),
        in_manifest(lambda manifest: manifest["originals"][0].update(packets_carved=0)),
        in_manifest(lambda manifest: manifest["originals"][0].update(content_octets=-1)),
        in_manifest(lambda manifest: manifest["originals"][0].update(container="../../etc/passwd")),
        in_manifest(lambda manifest: manifest["originals"][0].update(merkle_root="0" * 64)),
        in_manifest(lambda manifest: manifest["originals"][0].update(content_octets=1 << 61)),
        in_manifest(lambda manifest: manifest["events"].clear()),
        in_manifest(lambda manifest: manifest["events"][0].update(id=7)),
        in_manifest(lambda manifest: manifest["events"][0]["packets_by_original"].update({"9": 1})),
        in_manifest(lambda manifest: manifest["files"][0].update(path="a" * 300)),
        in_manifest(lambda manifest: manifest["files"].pop()),
        in_manifest(lambda manifest: manifest.update(bundle_version=2)),
        rewrite(layout.proof_name(1, "records"), lambda octets: octets[: len(octets) // 2]),
        rewrite(layout.proof_name(1, "chunks"), lambda _: b"PAR1"),
        rewrite(layout.proof_name(1, "nodes"), lambda _: b""),
    ],
)
def test_a_bundle_of_somebody_who_makes_all_hashes_right_is_not_believed(change: Change, unsigned: Path) -> None:
    change(unsigned)
    seal_again(unsigned)
    assert not verify(str(unsigned)).is_whole


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda manifest: manifest.update(originals=None), "manifest.originals: expected a list, got nothing"),
        (
            lambda manifest: manifest["originals"][0].update(content_octets=-1),
            "manifest.originals[0].content_octets: expected a whole number",
        ),
        (lambda manifest: manifest["originals"][0].update(chunks=1 << 62), "manifest.originals[0].chunks: expected a whole number <= "),
        (lambda manifest: manifest["originals"][0].update(chunks=1 << 70), "manifest.originals[0].chunks: expected a whole number <= "),
        (
            lambda manifest: manifest["originals"][0].update(packets=5.0),
            "manifest.originals[0].packets: expected a whole number, got a number",
        ),
        (lambda manifest: manifest["originals"][0].pop("merkle_root"), "manifest.originals[0].merkle_root: is missing"),
        (lambda manifest: manifest["events"][0].update(more=1), "unknown key manifest.events[0].more"),
        (
            lambda manifest: manifest["events"][0]["packets_by_original"].update({"1": True}),
            "manifest.events[0].packets_by_original[...]: expec",
        ),
        (lambda manifest: manifest["files"][0].update(path=5), "manifest.files[0].path: expected a string, got a whole number"),
        (lambda manifest: manifest.update(keep_going=1), "manifest.keep_going: expected true or false, got a whole number"),
        (lambda manifest: manifest.update(public_key=1), "manifest.public_key: expected a string or nothing, got a whole number"),
        (lambda manifest: manifest.update(anonymised={}), "manifest.anonymised.payload: is missing"),
        (lambda manifest: manifest.update(bundle_version=True), "manifest.bundle_version: expected a whole number, got true or false"),
        (lambda manifest: manifest.update(made_at=float("inf")), "cannot be parsed"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_said(change: Callable[[dict[str, Any]], object], said: str, signed: Path) -> None:
    document = manifest_of(signed)
    assert read_manifest(layout.canonical(document)) == document
    change(document)
    with pytest.raises(ValueError, match=re.escape(said)):
        read_manifest(json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "octets"),
    [
        (layout.REPORT, b"{"), (layout.REPORT, b"\xff\xfe"), (layout.REPORT, b"[" * 100_000), (layout.SETTINGS, b"[flow"),
        (layout.ENVIRONMENT, b"[]\n"), (layout.REPEAT, b"rm -rf /\n"), (layout.STIX, b"{}"), (layout.CASE, b"{}\n"), (layout.READ_ME, b"?"),
    ],
)  # fmt: skip
def test_what_does_not_follow_from_the_originals_is_named(name: str, octets: bytes, unsigned: Path) -> None:
    (unsigned / name).write_bytes(octets)
    assert set(altered(verify(str(unsigned), originals=[str(DEMO)]))) == {name}
    seal_again(unsigned)
    wanted = layout.SETTINGS if name == layout.ENVIRONMENT else name
    assert wanted in altered(verify(str(unsigned), originals=[str(DEMO)]))


def test_a_manifest_that_the_originals_do_not_give_is_named(unsigned: Path) -> None:
    in_manifest(lambda manifest: manifest["originals"][0].update(chunks=5))(unsigned)
    seal_again(unsigned)
    assert verify(str(unsigned)).is_whole
    told = altered(verify(str(unsigned), originals=[str(DEMO)]))
    assert told[layout.MANIFEST] == "does not match the originals: originals[0].chunks is 5, from the originals 1674"


def test_an_original_may_have_another_name_now(signed: Path, tmp_path: Path) -> None:
    (tmp_path / "exhibit-7").write_bytes(DEMO.read_bytes())
    assert verify(str(signed), originals=[str(tmp_path / "exhibit-7")]).is_whole


def test_tables_that_unpack_to_far_too_much_are_not_unpacked(unsigned: Path) -> None:
    two, three = np.arange(2_000_000), np.arange(3_000_000)
    much = {
        "records": {"event": pa.array(np.ones(len(two), np.int32)), "offset": two, "octets": pa.array(np.ones(len(two), np.int32))},
        "chunks": {"chunk": np.arange(1000), "beside": pa.array([bytes(1 << 20)] * 1000, pa.binary())},
        "nodes": {"level": np.zeros(len(three), np.uint8), "place": three, "sha256": pa.array([bytes(32)] * len(three), pa.binary(32))},
    }
    for part, table in much.items():
        path = unsigned / layout.proof_name(1, part)
        before = path.read_bytes()
        pq.write_table(pa.table(table), path, compression="zstd")
        seal_again(unsigned)
        assert "are not proven: " in altered(verify(str(unsigned)))[layout.proof_name(1, "records")]
        path.write_bytes(before)


def test_what_is_no_file_is_not_read(bundle: Path) -> None:
    for name in (layout.DIGEST, layout.SIGNATURE, layout.TIMESTAMP_REQUEST, layout.CUSTODY):
        octets = (bundle / name).read_bytes()
        (bundle / name).unlink()
        os.mkfifo(bundle / name)
        assert name in altered(verify(str(bundle)))
        (bundle / name).unlink()
        (bundle / name).write_bytes(octets)
    (bundle / layout.TIMESTAMP_REPLY).symlink_to("/dev/zero")
    assert set(altered(verify(str(bundle)))) == {layout.TIMESTAMP_REPLY}


def test_names_that_are_no_text_are_written_as_escapes(tmp_path: Path) -> None:
    capture = tmp_path / os.fsdecode(b"caf\xe9.pcap")
    capture.write_bytes(DEMO.read_bytes())
    make([str(capture)], str(tmp_path / "bundle"), Recipe(Settings(), Options()), by=os.fsdecode(b"R\xe9ne"))
    assert verify(str(tmp_path / "bundle"), originals=[str(capture)]).is_whole
    assert custody.add(str(tmp_path / "bundle"), "x", os.fsdecode(b"\xff"))[-1].action == "\\udcff"


def test_the_line_that_seals_a_bundle_is_written_once(bundle: Path) -> None:
    with pytest.raises(SettingsError, match="use other words"):
        custody.add(str(bundle), "A. Clerk", custody.SEALED)


def test_a_forged_answer_shows_when_it_is_made_again_from_the_originals(unsigned: Path) -> None:
    report = json.loads((unsigned / layout.REPORT).read_bytes())
    report["events"][0]["packets"] = 30_000_000
    (unsigned / layout.REPORT).write_bytes(layout.canonical(report))
    seal_again(unsigned)
    without = verify(str(unsigned))
    assert without.is_whole
    assert any("not signed" in remark for remark in without.remarks)
    told = altered(verify(str(unsigned), originals=[str(DEMO)]))
    assert told == {layout.REPORT: "does not match the originals: events[0].packets is 30000000, from the originals 2792"}


def test_carved_packets_that_were_never_in_the_original_are_not_proven(unsigned: Path) -> None:
    name = manifest_of(unsigned)["events"][0]["files"][0]
    octets = bytearray((unsigned / name).read_bytes())
    octets[100] ^= 1
    (unsigned / name).write_bytes(octets)
    seal_again(unsigned)
    told = altered(verify(str(unsigned)))
    assert told == {layout.proof_name(1, "records"): "the packets carved from demo.pcap do not lead to its Merkle root"}


def test_a_capture_that_is_not_the_original_is_named(signed: Path, tmp_path: Path) -> None:
    other = tmp_path / "demo.pcap"
    other.write_bytes(DEMO.read_bytes()[:-1] + b"\0")
    found = verify(str(signed), originals=[str(other)])
    assert list(altered(found)) == [str(other)]
    assert "that of the original of this name is " in found.altered[0].what
    assert any("missing originals: " in remark for remark in found.remarks)


def test_a_signature_is_by_whom_it_should_be(signed: Path, plain: Path) -> None:
    mine = manifest_of(signed)["public_key"]
    assert verify(str(signed), public_key=mine).public_key == mine
    other = Signer(Ed25519PrivateKey.generate()).public_key
    told = altered(verify(str(signed), public_key=other))
    assert told == {layout.SIGNATURE: f"is by {fingerprint(mine)}; expected {fingerprint(other)}"}
    assert set(altered(verify(str(plain), public_key=other))) == {layout.MANIFEST}


def test_keys_are_read_as_openssl_and_ssh_keygen_write_them(tmp_path: Path) -> None:
    key, path = Ed25519PrivateKey.generate(), tmp_path / "key"
    signer = Signer(key)
    for form in (PrivateFormat.PKCS8, PrivateFormat.OpenSSH):
        path.write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
        assert load_signer(str(path)).public_key == signer.public_key
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    assert load_signer(str(path), lambda: "secret").public_key == signer.public_key
    for ask in (None, lambda: "wrong"):
        with pytest.raises(SettingsError, match="not a usable Ed25519 private key"):
            load_signer(str(path), ask)
    path.write_bytes(X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(SettingsError, match="not an Ed25519 private key"):
        load_signer(str(path))
    for encoding, form in ((Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), (Encoding.OpenSSH, PublicFormat.OpenSSH)):
        path.write_bytes(key.public_key().public_bytes(encoding, form))
        assert load_public_key(str(path)) == signer.public_key
    with pytest.raises(SettingsError, match="cannot be read"):
        load_public_key(str(tmp_path / "none"))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")
def test_openssl_agrees(signed: Path) -> None:
    signature = ["pkeyutl", "-verify", "-pubin", "-inkey", layout.SIGNER, "-rawin", "-in", layout.MANIFEST, "-sigfile", layout.SIGNATURE]
    for command in (signature, ["ts", "-query", "-in", layout.TIMESTAMP_REQUEST, "-text"]):
        done = subprocess.run(["openssl", *command], cwd=signed, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    digest = hashlib.sha256((signed / layout.MANIFEST).read_bytes()).hexdigest()
    assert digest[:16] in done.stdout.replace(" ", "").replace("-", "")


def test_a_reply_of_no_authority_is_named(bundle: Path) -> None:
    (bundle / layout.TIMESTAMP_REPLY).write_bytes(b"0\x00")
    assert stamped(b"0\x00", b"") is None
    assert set(altered(verify(str(bundle)))) == {layout.TIMESTAMP_REPLY}


def test_lines_can_be_added_to_the_log_and_none_be_altered(bundle: Path) -> None:
    signer = Signer(Ed25519PrivateKey.generate())
    entries = custody.add(str(bundle), "A. Clerk", "received", signer)
    assert [entry.action for entry in entries][-2:] == [custody.SEALED, "received"]
    assert verify(str(bundle)).is_whole
    lines = (bundle / layout.CUSTODY).read_bytes().splitlines(keepends=True)
    (bundle / layout.CUSTODY).write_bytes(b"".join(lines[:1] + lines[2:]))
    assert set(altered(verify(str(bundle)))) == {layout.CUSTODY}
    with pytest.raises(SettingsError, match="was altered"):
        custody.add(str(bundle), "A. Clerk", "handed on")


def test_metadata_refer_to_what_they_hold(signed: Path) -> None:
    graph = json.loads((signed / layout.CASE).read_bytes())["@graph"]
    ids = [node["@id"] for node in graph]
    assert len(ids) == len(set(ids))

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if set(value) == {"@id"}:
                yield value["@id"]
            for each in value.values():
                yield from references(each)
        elif isinstance(value, list):
            for each in value:
                yield from references(each)

    assert set(references(graph)) <= set(ids)
    hashes = {each["uco-types:hashValue"]["@value"].lower() for node in graph for facet in node.get("uco-core:hasFacet", [])
              for each in facet.get("uco-observable:hash", [])}  # fmt: skip
    files = {listed["sha256"] for listed in manifest_of(signed)["files"] if listed["path"].startswith("events/")}
    assert hashes == files | {hashlib.sha256(DEMO.read_bytes()).hexdigest()}
    victims = {victim for event in floodmark.classify(str(DEMO)).events for victim in event.victims}
    assert not any(victim in (signed / layout.STIX).read_text(encoding="utf-8") for victim in victims)


def test_a_bundle_tells_of_assets_where_they_are_given(tmp_path: Path) -> None:
    incident = DEMO.with_name("incident.pcap")
    recipe = Recipe(Settings(), Options(), assets_path=str(incident.with_name("incident.assets.toml")))
    make([str(incident)], str(tmp_path / "bundle"), recipe)
    found = verify(str(tmp_path / "bundle"), originals=[str(incident)])
    assert found.is_whole, found.altered
    assert any("analysis repeated" in held for held in found.held)
    report = json.loads((tmp_path / "bundle" / layout.REPORT).read_bytes())
    assert [asset["name"] for asset in report["assets"]] == ["electoral", "portals", "electricity", "oil-gas", "unmatched"]
    assert pq.read_table(tmp_path / "bundle" / layout.FLOWS)["asset"].null_count == 0
    with pytest.raises(SettingsError, match="cannot be combined with anonymised copies"):
        make([str(incident)], str(tmp_path / "x"), recipe, sharing=Sharing(Anonymiser(bytes(32))))


def test_a_bundle_is_written_whole_or_not_at_all_and_never_over_another(tmp_path: Path) -> None:
    folder = made(tmp_path, DEMO)
    with pytest.raises(OutputError, match="already exists"):
        made(tmp_path, DEMO)
    capture = tmp_path / "no.pcap"
    capture.write_bytes(b"nothing")
    with pytest.raises(CaptureError):
        make([str(capture)], str(tmp_path / "other"), Recipe(Settings(), Options()))
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name, capture.name]
    with pytest.raises(CaptureError, match="not an evidence bundle"):
        verify(str(tmp_path))


def test_the_commands_say_what_they_found(tmp_path: Path) -> None:
    runner, path = CliRunner(), str(tmp_path / "bundle.zip")
    assert runner.invoke(main, ["evidence", str(DEMO), "-o", path, "--by", "A. Responder"]).exit_code == 0
    done = runner.invoke(main, ["verify", path, "--original", str(DEMO)])
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "The bundle is intact.")
    assert json.loads(runner.invoke(main, ["verify", path, "--format", "json"]).stdout)["whole"] is True
    assert (
        runner.invoke(main, ["custody", path, "--add", "received", "--by", "A. Clerk"])
        .stdout.splitlines()[-1]
        .endswith("A. Clerk  received  (not signed)")
    )
    assert "A. Responder" in runner.invoke(main, ["custody", path]).stdout
    Path(path).write_bytes(Path(path).read_bytes()[:-1])
    done = runner.invoke(main, ["verify", path])
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (1, "The bundle is NOT intact: 1 file altered.")
    for wrong in (["custody", path, "--add", "x"], ["evidence", str(DEMO), "-o", str(tmp_path / "x"), "--key", str(DEMO)]):
        assert runner.invoke(main, wrong).exit_code == 2
    assert runner.invoke(main, ["verify", str(tmp_path)]).exit_code == 3
    ten = [udp(number) for number in range(10)]
    (tmp_path / "calm.pcap").write_bytes(pcap(ten))
    done = runner.invoke(main, ["evidence", str(tmp_path / "calm.pcap"), "-o", str(tmp_path / "calm")])
    assert done.stdout.startswith(f"{tmp_path / 'calm'}: 0 events, 0 packets from 1 captures")


def test_a_requirement_that_is_malformed_for_an_extra_or_missing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    stated = ["numpy>=2", "a b c", "scapy; extra == 'dev'", "click; python_version < '3'", "nothing-of-that-name"]
    monkeypatch.setattr(metadata, "requires", lambda name: stated if name == "floodmark" else [])
    assert list(environment()["dependencies"]) == ["numpy"]
