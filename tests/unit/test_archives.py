"""Captures in tar and zip files are read where they are; what else an archive holds, or pretends to, is left alone."""

import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

import floodmark
from builders import pcap, pcapng, syn_flood
from floodmark.captures.archives import members_of
from floodmark.captures.sources import expand
from floodmark.cli import main

PACKETS = syn_flood(2000)
FIRST, SECOND = pcap(PACKETS[:1000]), pcapng(PACKETS[1000:])
FILES = {"b/second.pcapng": SECOND, "z_first.pcap.gz": gzip.compress(FIRST), "notes.txt": b"nothing to see", "empty": b""}
KINDS = pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.xz", "tar.bz2", "zip"])


def archive(path: Path, files: Mapping[str, bytes], kind: str) -> Path:
    """Write an archive; a name may be anything."""
    target = path / f"evidence.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, data in files.items():
                zipped.writestr(name, data)
    else:
        mode = {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz", "tar.bz2": "w:bz2"}[kind]
        with tarfile.open(target, mode) as tar:  # type: ignore[call-overload] # one of four
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return target


@KINDS
def test_the_captures_in_an_archive_are_one_timeline(kind: str, tmp_path: Path) -> None:
    target = archive(tmp_path, FILES, kind)
    result, plain = floodmark.classify(target), floodmark.classify(io.BytesIO(pcap(PACKETS)))
    assert [capture.path for capture in result.captures] == [f"{target}/z_first.pcap.gz", f"{target}/b/second.pcapng"]
    assert result.events == plain.events
    assert result.flows.to_table() == plain.flows.to_table()
    assert result.left_out == ()


@KINDS
def test_an_archive_in_a_folder_counts_with_the_rest(kind: str, tmp_path: Path) -> None:
    archive(tmp_path, FILES, kind)
    (tmp_path / "a.pcap").write_bytes(FIRST)
    assert len(floodmark.classify(tmp_path).captures) == 3


@KINDS
def test_nothing_is_written_and_no_name_is_opened(kind: str, tmp_path: Path) -> None:
    target = archive(tmp_path, {"../../outside.pcap": FIRST, "/etc/inside.pcap": FIRST}, kind)
    before = sorted(path for path in tmp_path.rglob("*"))
    assert floodmark.classify(target).totals.packets == 2000
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_the_hash_is_that_of_the_file_in_the_archive(tmp_path: Path) -> None:
    target = archive(tmp_path, {"a.pcap": FIRST}, "zip")
    result = floodmark.classify(target, options=floodmark.Options(hash_captures=True))
    assert result.captures[0].sha256 == hashlib.sha256(FIRST).hexdigest()


@KINDS
def test_an_archive_without_captures_is_an_error(kind: str, tmp_path: Path) -> None:
    with pytest.raises(floodmark.CaptureError, match="no capture in this archive"):
        floodmark.classify(archive(tmp_path, {"notes.txt": b"nothing"}, kind))


@KINDS
def test_what_has_a_captures_name_and_is_none_is_left_out_and_told(kind: str, tmp_path: Path) -> None:
    result = floodmark.classify(archive(tmp_path, {"a.pcap": FIRST, "b.pcap": b"nothing at all"}, kind))
    assert [error.path.rpartition("/")[2] for error in result.left_out] == ["b.pcap"]


@KINDS
def test_each_capture_of_an_archive_is_answered_by_itself(kind: str, tmp_path: Path) -> None:
    target = archive(tmp_path, FILES, kind)
    done = CliRunner().invoke(main, ["classify", "--each", "--format", "json", str(target)])
    assert [json.loads(line)["totals"]["packets"] for line in done.stdout.splitlines()] == [1000, 1000]
    looked = CliRunner().invoke(main, ["inspect", "--format", "json", str(target)])
    assert [json.loads(line)["packets"] for line in looked.stdout.splitlines()] == [1000, 1000]


def test_links_and_devices_in_a_tar_file_are_no_captures(tmp_path: Path) -> None:
    target = tmp_path / "a.tar"
    with tarfile.open(target, "w") as tar:
        for name, kind in (("link.pcap", tarfile.SYMTYPE), ("hard.pcap", tarfile.LNKTYPE), ("null.pcap", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        info = tarfile.TarInfo("real.pcap")
        info.size = len(FIRST)
        tar.addfile(info, io.BytesIO(FIRST))
    assert [getattr(member, "name", "").rpartition("/")[2] for member in expand([str(target)])] == ["real.pcap"]


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_cut_archive_is_an_answer_or_an_error_that_names_it(kind: str, share: float, tmp_path: Path) -> None:
    target = archive(tmp_path, {"a.pcap": FIRST, "b.pcap": SECOND}, kind)
    data = target.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    try:
        result = floodmark.classify(target)
    except floodmark.CaptureError as error:
        assert str(target) in str(error)  # noqa: PT017 - it may also answer
    else:
        assert result.totals.packets < 2000


def test_a_damaged_member_gives_what_stood_before(tmp_path: Path) -> None:
    target = archive(tmp_path, {"a.pcap": pcap(syn_flood(200_000))}, "zip")
    data = bytearray(target.read_bytes())
    data[len(data) * 9 // 10] ^= 0xFF
    target.write_bytes(data)
    result = floodmark.classify(target)
    assert 0 < result.totals.packets <= 200_000
    assert any("member is damaged" in note for note in result.notes)


def test_an_encrypted_member_is_an_error_that_says_so(tmp_path: Path) -> None:
    target = archive(tmp_path, {"a.pcap": FIRST}, "zip")
    data = bytearray(target.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1  # the bit for encryption
    target.write_bytes(data)
    with pytest.raises(floodmark.CaptureError, match="encrypted"):
        floodmark.classify(target)


def test_a_bomb_in_a_zip_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("floodmark.captures.unpacking._GREATEST_RATIO", 100)
    monkeypatch.setattr("floodmark.captures.unpacking._RATIO_FROM_BYTES", 8 << 20)
    with pytest.raises(floodmark.CaptureError, match="decompression bomb"):
        floodmark.classify(archive(tmp_path, {"a.pcap": pcap([]) + bytes(64 << 20)}, "zip"))


def test_an_archive_of_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("floodmark.captures.archives._MOST_MEMBERS", 3)
    with pytest.raises(floodmark.CaptureError, match="more than 3 files"):
        floodmark.classify(archive(tmp_path, {f"{n}.pcap": FIRST for n in range(4)}, "tar"))


def test_what_cannot_be_opened_is_told_by_the_reader_of_captures(tmp_path: Path) -> None:
    assert members_of(str(tmp_path / "absent")) is None
    with pytest.raises(floodmark.CaptureError, match="cannot be opened: No such file"):
        floodmark.classify(tmp_path / "absent")


def test_other_files_are_no_archives(tmp_path: Path) -> None:
    for data in (FIRST, gzip.compress(FIRST), b"", b"\x1f\x8b\x08" + bytes(20), bytes(600)):
        (tmp_path / "x").write_bytes(data)
        assert members_of(str(tmp_path / "x")) is None
