"""A custody log survives a full disk, a crash and writers at once; a name in it is worth the key that signed it."""

import errno
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from faults.disks import fill, small_disk
from floodmark import Options, Settings
from floodmark.errors import OutputError, SettingsError
from floodmark.evidence import custody, layout
from floodmark.evidence.making import Recipe, make
from floodmark.evidence.seal.signing import Signer, fingerprint
from floodmark.evidence.verifying import verify
from floodmark_core import cache_folder

DEMO = Path(__file__).parents[2] / "traces" / "demo.pcap"
ALICE, BOB = (Signer(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)) for number in (1, 2))
ENVIRONMENT = os.environ | {"FLOODMARK_CACHE_DIR": str(cache_folder().parents[1]), "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "bundle"
    make([str(DEMO)], str(path), Recipe(Settings(), Options()), by="Alice", signer=ALICE)
    return path


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "bundle"))


@pytest.fixture
def zipped(tmp_path: Path) -> Path:
    path = tmp_path / "bundle.zip"
    make([str(DEMO)], str(path), Recipe(Settings(), Options()), by="Alice", signer=ALICE)
    return path


def program(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "floodmark.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT, timeout=120)


@pytest.mark.parametrize("form", ["bundle", "zipped"])
@pytest.mark.parametrize("writers", [6, pytest.param(20, marks=pytest.mark.campaign)])
def test_writers_at_once_lose_no_line(form: str, writers: int, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(form)
    with ThreadPoolExecutor(writers) as threads:
        done = list(threads.map(lambda n: program("custody", path, "--add", f"line {n}", "--by", "x"), range(writers)))
    assert [each.returncode for each in done] == [0] * writers, [each.stderr for each in done]
    entries = custody.entries_of(str(path))
    assert sorted(entry.action for entry in entries[4:]) == sorted(f"line {n}" for n in range(writers))
    assert verify(str(path)).is_whole


def full_after(monkeypatch: pytest.MonkeyPatch, nbytes: int) -> None:
    """Let the disk have room for so many bytes of the log; removing bytes gives room again."""
    write = custody._write  # noqa: SLF001 - the only way to the disk

    def limited(file: object, data: bytes) -> None:
        if len(data) > nbytes:
            write(file, data[:nbytes])  # type: ignore[arg-type]
            raise OSError(errno.ENOSPC, "No space left on device")
        write(file, data)  # type: ignore[arg-type]

    monkeypatch.setattr(custody, "_write", limited)


@pytest.mark.parametrize("room", [0, 1, 100])
def test_a_full_disk_leaves_the_log_as_it_was(room: int, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (bundle / layout.CUSTODY).read_bytes()
    full_after(monkeypatch, room)
    with pytest.raises(OutputError, match="No space left"):
        custody.add(str(bundle), "x", "received")
    assert (bundle / layout.CUSTODY).read_bytes() == before


def test_a_disk_that_is_really_full_leaves_the_log_as_it_was(made: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path) as disk:
        shutil.copytree(made, disk / "bundle")
        fill(disk)
        log = disk / "bundle" / layout.CUSTODY
        before = log.read_bytes()
        for _ in range(6):  # the last page of the log may have room for some lines
            done = program("custody", disk / "bundle", "--add", "x" * 2000, "--by", "x")
            if done.returncode:
                break
            before = log.read_bytes()
        assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr
        assert log.read_bytes() == before
        assert program("verify", disk / "bundle").returncode == 0


@pytest.mark.parametrize("torn", [b"{", b'{"action":"rece', b'{"action":"received","at":"2026'])
def test_a_torn_line_is_told_kept_and_repaired(torn: bytes, bundle: Path) -> None:
    with (bundle / layout.CUSTODY).open("ab") as file:
        file.write(torn)
    found = verify(str(bundle))
    assert found.is_whole
    assert any("its last line is incomplete" in remark for remark in found.remarks)
    entries = custody.add(str(bundle), "Clerk", "received", BOB)
    assert [entry.action for entry in entries[-2:]] == [custody.REPAIRED, "received"]
    [kept] = bundle.glob(f"{custody.TORN_PREFIX}*")
    assert kept.read_bytes() == torn
    assert verify(str(bundle)).is_whole
    kept.write_bytes(torn + b"x")
    assert {each.path for each in verify(str(bundle)).altered} == {kept.name}


def test_a_whole_line_without_its_end_is_kept_aside_too(bundle: Path) -> None:
    log = bundle / layout.CUSTODY
    custody.add(str(bundle), "Clerk", "received")
    log.write_bytes(log.read_bytes()[:-1])
    assert custody.add(str(bundle), "Clerk", "again")[-1].number == 6
    assert verify(str(bundle)).is_whole


@pytest.mark.parametrize("end", [b"x", b"\0", b'{"by":"', b'{"action":"x"}y'])
def test_what_no_crash_leaves_is_altered(end: bytes, bundle: Path) -> None:
    with (bundle / layout.CUSTODY).open("ab") as file:
        file.write(end)
    assert {each.path for each in verify(str(bundle)).altered} == {layout.CUSTODY}
    with pytest.raises(SettingsError, match="was altered"):
        custody.add(str(bundle), "Clerk", "received")


def test_a_line_by_another_key_is_told_by_its_key(bundle: Path) -> None:
    entries = custody.add(str(bundle), "Alice", "looked at it", BOB)
    assert str(entries[-1]).endswith(f"Alice  looked at it  (signed by {fingerprint(BOB.public_key)})")
    assert fingerprint(ALICE.public_key) in str(entries[0])
    found = verify(str(bundle), public_key=ALICE.public_key)
    assert found.is_whole
    assert any(
        f"line 5, by 'Alice', is signed by {fingerprint(BOB.public_key)}, not by the bundle's signer" in remark for remark in found.remarks
    )
    assert any(f"4 signed by {fingerprint(ALICE.public_key)}, 1 signed by" in held for held in found.held)
    custody.add(str(bundle), "Alice", "and again")
    assert any("line 6, by 'Alice', is not signed" in remark for remark in verify(str(bundle)).remarks)


def test_the_public_key_in_a_bundle_is_that_of_its_signer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Signer, "public_pem", property(lambda _: pem_of(ALICE)))
    make([str(DEMO)], str(tmp_path / "forged"), Recipe(Settings(), Options()), by="Alice", signer=BOB)
    [told] = verify(str(tmp_path / "forged")).altered
    assert told.path == layout.SIGNER
    assert fingerprint(BOB.public_key) in told.what


def pem_of(signer: Signer) -> bytes:
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signer.public_key))
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("name", ["same.zip", pytest.param("same", marks=pytest.mark.campaign)])
def test_of_bundles_made_at_once_under_one_name_one_is_told_that_it_was_late(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(lambda n: program("evidence", DEMO, "-o", path, "--by", f"writer {n}"), range(3)))
    assert sorted(each.returncode for each in done) == [0, 3, 3], [each.stderr for each in done]
    assert all("already exists" in each.stderr for each in done if each.returncode)
    assert verify(str(path)).is_whole
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_log_of_line_feeds_costs_no_memory(bundle: Path) -> None:
    (bundle / layout.CUSTODY).write_bytes(b"\n" * (30 << 20))
    found = verify(str(bundle))
    assert sum(each.path == layout.CUSTODY for each in found.altered) <= 21
    (bundle / layout.CUSTODY).write_bytes(b"\n" * (33 << 20))
    told = {each.path: each.what for each in verify(str(bundle)).altered}
    assert told[layout.CUSTODY] == "is not a regular file of at most 32 MiB"
    (bundle / layout.CUSTODY).write_bytes(b"[" + b"{}," * (10 << 20) + b"{}]\n")
    assert not verify(str(bundle)).is_whole
    assert json.loads(json.dumps(verify(str(bundle)).to_dict()))["whole"] is False
