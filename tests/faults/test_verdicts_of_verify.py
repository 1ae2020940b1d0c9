"""``verify`` says ALTERED of what was altered, and of nothing else: faults of this machine are errors, whatever the bundle."""

import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from faults.disks import fill, small_disk
from floodmark.evidence import layout
from floodmark.evidence.seal.timestamp import request
from floodmark.evidence.verifying import verify
from floodmark_core import cache_folder

DEMO = Path(__file__).parents[2] / "traces" / "demo.pcap"
ENVIRONMENT = os.environ | {"FLOODMARK_CACHE_DIR": str(cache_folder().parents[1]), "PYTHONPATH": os.pathsep.join(sys.path)}


def program(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "floodmark.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT | environment, timeout=120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "bundle"
    assert program("evidence", DEMO, "-o", path).returncode == 0
    return path


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "bundle.zip"
    assert program("evidence", DEMO, "-o", path).returncode == 0
    return path


@pytest.mark.parametrize("room", [100_000, *(pytest.param(room, marks=pytest.mark.campaign) for room in (0, 400_000))])
def test_a_full_temporary_folder_is_no_alteration(room: int, packed: Path, folder: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path) as disk:
        fill(disk, but=room)
        for command in (["verify", packed], ["verify", folder, "--original", DEMO], ["custody", packed, "--add", "x", "--by", "y"]):
            done = program(*command, TMPDIR=str(disk))
            assert done.returncode in (0, 3), done.stderr  # 0: Python has found another temporary folder
            assert ("ALTERED" in done.stdout, "Traceback" in done.stderr) == (False, False), done.stderr
            assert not done.returncode or done.stderr.splitlines()[-1].startswith("floodmark: ")
            assert [path.name for path in disk.iterdir()] == ["filler"]
    assert program("verify", packed).returncode == 0


@pytest.mark.parametrize("form", ["tar.gz", *(pytest.param(form, marks=pytest.mark.campaign) for form in ("tar", "zip"))])
def test_a_bundle_made_from_an_archive_verifies_against_it(form: str, tmp_path: Path) -> None:
    archive = tmp_path / f"all.{form}"
    if form == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            file.write(DEMO, "a.pcap")
    else:
        with tarfile.open(archive, "w:gz" if form == "tar.gz" else "w") as file:
            file.add(DEMO, "a.pcap")
    assert program("evidence", archive, "-o", tmp_path / "bundle").returncode == 0
    done = program("verify", tmp_path / "bundle", "--original", archive)
    assert (done.returncode, "analysis repeated from the originals" in done.stdout) == (0, True), done.stdout + done.stderr
    other = tmp_path / f"other.{form}"
    other.write_bytes(archive.read_bytes()[:100])
    assert program("verify", tmp_path / "bundle", "--original", other).returncode in (1, 3)


def reseal(folder: Path, name: str) -> None:
    """Put a file's hash into the manifest and all that vouches for it, as a forger would."""
    manifest = json.loads((folder / layout.MANIFEST).read_bytes())
    for listed in manifest["files"]:
        if listed["path"] == name:
            listed |= {"octets": (folder / name).stat().st_size, "sha256": layout.sha256_of(folder / name)}
    (folder / layout.MANIFEST).write_bytes(layout.canonical(manifest))
    (folder / layout.DIGEST).write_bytes(layout.digest_line(layout.sha256_of(folder / layout.MANIFEST)))
    (folder / layout.TIMESTAMP_REQUEST).write_bytes(request((folder / layout.MANIFEST).read_bytes()))


PEAK = """
import sys
from floodmark.cli import main

try:
    main(["verify", sys.argv[1]])
finally:
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def peak_of(path: Path) -> tuple[int, subprocess.CompletedProcess[str]]:
    """Verify in a process of its own. Returns its peak memory in MiB, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=False, env=ENVIRONMENT, timeout=120
    )
    return int(done.stdout.split()[-1]) >> 10, done


def varint(number: int, nbytes: int = 0) -> bytes:
    """Return a number as Thrift's compact protocol writes it; in more bytes than needed, if asked for."""
    number, out = number << 1, b""
    while number > 127 or len(out) + 1 < nbytes:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def lying_table(path: Path) -> None:
    """Write a table with a value of 512 MiB of zeros, whose footer claims a kilobyte."""
    table = pa.table({"chunk": pa.array([0], pa.int64()), "beside": pa.array([bytes(1 << 29)], pa.binary())})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", use_dictionary=False, write_statistics=False)
    data = buffer.getvalue()
    footer = int.from_bytes(data[-8:-4], "little")
    head, tail = data[: -8 - footer], data[-8 - footer : -8]
    for size in range(1 << 29, (1 << 29) + 256):  # of the column and of the row group, in as many bytes
        tail = tail.replace(varint(size), varint(900, len(varint(size))))
    path.write_bytes(head + tail + len(tail).to_bytes(4, "little") + b"PAR1")
    assert pq.ParquetFile(path).metadata.row_group(0).total_byte_size == 900


def test_a_table_that_lies_about_its_size_costs_no_memory(folder: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(folder, tmp_path / "bundle"))
    name = layout.proof_name(1, "chunks")
    lying_table(bundle / name)
    reseal(bundle, name)
    peak, done = peak_of(bundle)
    assert (done.returncode, f"ALTERED  {layout.proof_name(1, 'records')}" in done.stdout) == (1, True), done.stdout
    assert peak < 700, peak


@pytest.mark.parametrize("unit", [b"{},", b"0,", b"[],", b'"",'])
def test_a_manifest_of_nothing_costs_no_memory(unit: bytes, folder: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(folder, tmp_path / "bundle"))
    (bundle / layout.MANIFEST).write_bytes(b"[" + unit * ((31 << 20) // len(unit)) + unit[:-1] + b"]\n")
    (bundle / layout.DIGEST).write_bytes(layout.digest_line(layout.sha256_of(bundle / layout.MANIFEST)))
    peak, done = peak_of(bundle)
    assert done.returncode == 1
    assert peak < 500, peak


def test_the_limit_of_memory_ends_with_the_check(folder: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    assert verify(str(folder)).is_whole
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
