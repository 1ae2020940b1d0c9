"""Thousands of captures and hostile archives: time and memory follow what they hold, not what they claim."""

import bz2
import gzip
import io
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from builders import pcap, udp
from floodmark.captures import archives
from floodmark.captures.opening import listed
from floodmark_core import cache_folder

ONE = pcap([udp(0)])
LARGE = 1 << 31  # bytes that a header claims
PEAK = """
import sys
from floodmark.cli import main

try:
    main(sys.argv[1:])
finally:
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def run(*arguments: object) -> tuple[subprocess.CompletedProcess[str], int]:
    """Run a command. Returns what it printed, and its peak memory in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=600,
        env=os.environ | {"FLOODMARK_CACHE_DIR": str(cache_folder().parents[1]), "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    return done, int(done.stdout.split()[-1]) >> 10


def in_a_folder(path: Path, count: int) -> Path:
    path.mkdir()
    for number in range(count):
        (path / f"{number:05}.pcap").write_bytes(ONE)
    return path


def in_a_zip(path: Path, count: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(count):
            archive.writestr(f"{number:05}.pcap", ONE)
    return path


def in_a_tar(path: Path, count: int) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for number in range(count):
            info = tarfile.TarInfo(f"{number:05}.pcap")
            info.size = len(ONE)
            archive.addfile(info, io.BytesIO(ONE))
    return path


@pytest.mark.parametrize("kind", [in_a_folder, in_a_zip, in_a_tar])
@pytest.mark.parametrize("count", [1500, pytest.param(20_000, marks=pytest.mark.campaign)])
def test_many_captures_take_no_memory_each(kind: Callable[[Path, int], Path], count: int, tmp_path: Path) -> None:
    done, peak = run("classify", kind(tmp_path / "all", count), "--memory", "256MiB", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert peak < 256 + 300, peak


@pytest.mark.parametrize("kind", [in_a_zip, in_a_tar])
def test_an_archive_is_parsed_or_unpacked_once(kind: Callable[[Path, int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    for each in (archives._Zip, archives._PackedTar):  # noqa: SLF001 - what costs time in proportion to the archive
        monkeypatch.setattr(each, "_open", lambda self, before=each._open: opened.append(self.path) or before(self))  # noqa: SLF001
    sources, _ = listed(str(kind(tmp_path / "all", 300)))
    for source in sources:
        assert source.first_ns is not None
    assert len(opened) == 1


@pytest.mark.campaign
@pytest.mark.parametrize("kind", [in_a_folder, in_a_zip, in_a_tar])
def test_time_grows_with_the_number_of_captures(kind: Callable[[Path, int], Path], tmp_path: Path) -> None:
    times = []
    for count in (2000, 8000):
        path, began = kind(tmp_path / str(count), count), time.monotonic()
        assert run("classify", path)[0].returncode == 0
        times.append(time.monotonic() - began)
    assert times[1] < 8 * times[0]  # four times as many; the square would be sixteen


def header(kind: bytes, size: int, name: bytes = b"a.pcap") -> bytes:
    """Return the header of a tar file."""
    block = bytearray(512)
    for at, field in ((0, name), (100, b"0000644"), (108, b"0000000"), (116, b"0000000"), (124, b"\x80" + size.to_bytes(11, "big")),
                      (136, b"00000000000"), (156, kind), (257, b"ustar\x0000"), (148, b" " * 8)):  # fmt: skip
        block[at : at + len(field)] = field
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def extension(kind: bytes) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        with gzip.open(path / "a.tar.gz", "wb", 1) as file:
            file.write(header(kind, LARGE))
            for _ in range(100):
                file.write(os.urandom(1 << 16) + bytes(1 << 20))
        return path / "a.tar.gz"

    return make


def zeros(path: Path) -> Path:
    with bz2.open(path / "a.tar.bz2", "wb") as file:
        file.write(header(b"0", LARGE))
        for _ in range(256):
            file.write(bytes(1 << 20))
    return path / "a.tar.bz2"


def sparse(path: Path) -> Path:
    kept = b"1\n0\n%d\n" % len(ONE)
    data = kept.ljust(512, b"\0") + ONE
    info = tarfile.TarInfo("GNUSparseFile.0/a.pcap")
    info.size = len(data)
    info.pax_headers = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a.pcap", "GNU.sparse.realsize": str(1 << 50),
    }  # fmt: skip
    with tarfile.open(path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(data))
    return path / "a.tar"


BOMBS = {
    "pax header": extension(b"x"), "global pax header": extension(b"g"), "long name": extension(b"L"), "long link": extension(b"K"),
    "zeros": zeros, "sparse": sparse,
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_an_archive_that_claims_to_hold_far_too_much_is_refused(bomb: str, tmp_path: Path) -> None:
    path = BOMBS[bomb](tmp_path)
    done, peak = run("classify", path, "--memory", "256MiB")
    assert done.returncode == 3
    assert "decompression bomb" in done.stderr or f"an extended header claims {LARGE:,} bytes" in done.stderr
    assert peak < 350, peak


def test_a_long_name_is_still_read(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        info = tarfile.TarInfo("folder/" * 100 + "a.pcap")
        info.size = len(ONE)
        archive.addfile(info, io.BytesIO(ONE))
    [source] = listed(str(tmp_path / "a.tar"))[0]
    assert source.name.endswith("folder/a.pcap")


def test_a_compressed_tar_that_is_cut_is_told(tmp_path: Path) -> None:
    path = in_a_tar(tmp_path / "all.tar.gz", 100)
    path.write_bytes(path.read_bytes()[:-300])
    done, _ = run("classify", path)
    assert (done.returncode, "the gzip stream ends before its end marker; unpack what is left of it yourself" in done.stderr) == (3, True)
