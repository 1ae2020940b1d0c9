"""Compressed captures give the answer of the plain ones; what is cut or damaged gives what stood before it, and says so."""

import bz2
import gzip
import hashlib
import io
import itertools
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lz4.frame
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import floodmark
from builders import connection, pcap, syn_flood
from floodmark.captures.settings import FlowSettings
from floodmark.captures.source import source_of
from floodmark.captures.sources import expand
from floodmark.captures.unpacking import PIECE_BYTES, Unpacked, codec_of
from floodmark.flows.metering import Meter
from property.strategies import CONTAINERS, PROFILE, Sent

try:
    from compression import zstd  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from backports import zstd

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "lz4": lz4.frame.compress,
}
CODECS = pytest.mark.parametrize("codec", PACK)
DATA = pcap(syn_flood(2000))
DIALOGUE = pcap(connection(0))
PACKETS_BYTES = 24, 16 + 60  # header of the file; each record


def answered(data: bytes) -> floodmark.Result:
    return floodmark.classify(io.BytesIO(data))


def unpacked(packed: bytes) -> tuple[bytes, str | None]:
    """Unpack octets whole. Returns them, and why they end early."""
    stream, codec = io.BytesIO(packed), codec_of(packed)
    assert codec is not None
    source, pieces = Unpacked(codec, stream.read), []
    while True:
        room = bytearray(1 << 20)
        if not (count := source.readinto(memoryview(room))):
            source.close()
            return b"".join(pieces), source.damage
        pieces.append(bytes(room[:count]))


@CODECS
def test_the_answer_is_that_of_the_plain_capture(codec: str) -> None:
    plain, packed = answered(DATA), answered(PACK[codec](DATA))
    assert packed.captures[0].compression == codec
    assert plain.captures[0].compression is None
    assert (packed.events, packed.totals, packed.verdicts) == (plain.events, plain.totals, plain.verdicts)
    assert packed.flows.to_table() == plain.flows.to_table()
    assert packed.captures[0].problems == plain.captures[0].problems == ()


@CODECS
@pytest.mark.parametrize(("write", "how"), CONTAINERS)
def test_containers_compressed_give_the_answer_of_the_plain_pcap(codec: str, write: Callable[..., bytes], how: dict[str, Any]) -> None:
    sent = [Sent(packet.time_ns, packet.frame, len(packet.frame)) for packet in connection(0)]
    plain, packed = answered(DIALOGUE), answered(PACK[codec](write(sent, **how)))
    assert (packed.totals, packed.verdicts) == (plain.totals, plain.verdicts)
    assert packed.flows.to_table() == plain.flows.to_table()


@CODECS
def test_members_that_follow_each_other_are_one_stream(codec: str) -> None:
    data = DATA[:5000], DATA[5000:5001], DATA[5001:]
    assert unpacked(b"".join(map(PACK[codec], data))) == (DATA, None)


@CODECS
def test_more_than_a_piece_is_unpacked_whole(codec: str) -> None:
    data = hashlib.shake_256(b"x").digest(PIECE_BYTES // 8) * 20
    assert unpacked(PACK[codec](data)) == (data, None)


@CODECS
@settings(PROFILE, max_examples=60)
@given(st.data())
def test_a_cut_gives_bytes_of_the_beginning_and_is_told(codec: str, data: st.DataObject) -> None:
    packed = PACK[codec](DATA)
    cut = data.draw(st.integers(16, len(packed) - 1))
    octets, damage = unpacked(packed[:cut])
    assert DATA.startswith(octets)
    assert damage == f"the {codec} stream ends before its end marker"


@settings(PROFILE, max_examples=100)
@given(st.data())
def test_no_packet_is_lost_that_stands_before_a_cut_in_gzip(data: st.DataObject) -> None:
    packed = gzip.compress(DATA)
    cut = data.draw(st.integers(400, len(packed) - 1))
    there = len(zlib.decompressobj(31).decompress(packed[:cut]))  # as much as the reference library gets out
    first, each = PACKETS_BYTES
    result = answered(packed[:cut])
    assert result.totals.packets >= (there - 1 - first) // each  # isal keeps one octet back
    assert "compressed_stream_broken" in {problem.kind for problem in result.captures[0].problems}
    assert any("ends before its end marker" in note for note in result.notes)


@CODECS
@settings(PROFILE, max_examples=60)
@given(st.data())
def test_a_changed_octet_never_ends_in_anything_but_an_answer_or_an_error(codec: str, data: st.DataObject) -> None:
    packed = bytearray(PACK[codec](DATA))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        answered(bytes(packed))
    except floodmark.CaptureError as error:
        assert error.offset is not None  # noqa: PT017 - it may also answer


@pytest.mark.parametrize(("tail", "damage"), [(b"\0" * 512, None), (b"more", "unexpected data follows the gzip stream")])
def test_padding_behind_a_stream_is_none_of_it_and_other_bytes_are_told(tail: bytes, damage: str | None) -> None:
    assert unpacked(gzip.compress(DATA) + tail) == (DATA, damage)


@CODECS
def test_the_hash_is_that_of_the_file_as_it_is(codec: str, tmp_path: Path) -> None:
    packed = PACK[codec](DATA)
    (tmp_path / "a").write_bytes(packed)
    result = floodmark.classify(tmp_path / "a", options=floodmark.Options(hash_captures=True))
    assert result.captures[0].sha256 == hashlib.sha256(packed).hexdigest()


def test_the_hash_holds_what_stands_behind_damage() -> None:
    packed = gzip.compress(DATA) + b"more" * 100_000
    result = floodmark.classify(io.BytesIO(packed), options=floodmark.Options(hash_captures=True))
    assert result.captures[0].sha256 == hashlib.sha256(packed).hexdigest()


def test_a_mapped_file_is_unpacked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("floodmark.captures.mapping._LEAST_BYTES", 1)
    (tmp_path / "a.pcap.gz").write_bytes(gzip.compress(DATA))
    assert floodmark.classify(tmp_path).totals.packets == 2000


def test_a_folder_gives_its_compressed_captures_and_leaves_other_compressed_files(tmp_path: Path) -> None:
    (tmp_path / "a.pcap.zst").write_bytes(zstd.compress(DATA))
    (tmp_path / "b").write_bytes(gzip.compress(DATA))
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"no capture at all, only text"))
    (tmp_path / "d.pcap.gz").write_bytes(gzip.compress(b"no capture at all, only text"))
    names = [str(member).partition(",")[0] for member in expand([str(tmp_path)])]
    assert names == [f"{tmp_path}/{name}" for name in ("a.pcap.zst", "b", "d.pcap.gz")]


def test_rotated_compressed_captures_are_put_in_order(tmp_path: Path) -> None:
    packets = syn_flood(2000)
    for name, part in (("b.pcap.gz", packets[:1000]), ("a.pcap.xz", packets[1000:])):
        (tmp_path / name).write_bytes(PACK["gzip" if name.endswith("gz") else "xz"](pcap(part)))
    result = floodmark.classify(tmp_path)
    assert [capture.path for capture in result.captures] == [f"{tmp_path}/b.pcap.gz", f"{tmp_path}/a.pcap.xz"]
    assert result.flows.to_table() == answered(DATA).flows.to_table()


def test_what_is_compressed_twice_is_an_error() -> None:
    with pytest.raises(floodmark.CaptureError, match="compressed twice"):
        answered(zstd.compress(gzip.compress(DATA)))


def test_a_stream_of_which_nothing_can_be_unpacked_is_an_error_that_says_why() -> None:
    with pytest.raises(floodmark.CaptureError, match=r"byte 0: nothing could be unpacked: the xz stream ends before"):
        answered(lzma.compress(DATA)[:20])


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_a_bomb_is_refused(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("floodmark.captures.unpacking._GREATEST_RATIO", 100)
    monkeypatch.setattr("floodmark.captures.unpacking._RATIO_FROM_BYTES", 8 << 20)
    with pytest.raises(floodmark.CaptureError, match="decompression bomb"):
        answered(PACK[codec](pcap([]) + bytes(64 << 20)))


def test_an_honest_capture_of_one_packet_over_and_over_is_no_bomb() -> None:
    flood = pcap(list(itertools.islice(itertools.cycle(syn_flood(1)), 100_000)))
    assert answered(zstd.compress(flood)).totals.packets == 100_000


def test_the_thread_ends_with_its_reader(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(DATA * 1))
    with source_of(str(tmp_path / "a.gz")).reader() as reader:
        Meter(FlowSettings(), seed=1).read(reader)
    assert reader.compression == "gzip"
