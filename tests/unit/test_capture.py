"""Containers are recognised or refused by their first octets; blocks give the octets of the file, whatever the stream does."""

import hashlib
import io
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import floodmark
from builders import header, metered, pcap, record, udp
from floodmark.captures.blocks import BlockReader
from floodmark.captures.container import Container, recognise
from floodmark.captures.source import source_of
from floodmark.captures.sources import expand
from floodmark.errors import CaptureError, TruncatedCaptureError, UnknownFormatError
from floodmark_core.records.framing import (
    CONTAINER,
    LARGEST_RECORD,
    LINK_TYPE,
    PCAP,
    PCAPNG,
    RECORD_HEADER,
    SNAPLEN,
    SWAPPED,
    TICK_NS,
)
from property.strategies import PROFILE

DATA = pcap([udp(0), udp(1000)])
SECTION = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)


@pytest.mark.parametrize(
    ("order", "magic", "name", "tick_ns"),
    [("<", 0xA1B2C3D4, "pcap", 1000), (">", 0xA1B2C3D4, "pcap", 1000), ("<", 0xA1B23C4D, "pcap-ns", 1), (">", 0xA1B23C4D, "pcap-ns", 1)],
)
def test_a_pcap_header_gives_byte_order_resolution_link_type_and_snaplen(order: str, magic: int, name: str, tick_ns: int) -> None:
    container = recognise(struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 96, 113), "x")
    layout = container.layout
    assert (container.name, container.header_bytes) == (name, 24)
    assert [layout[place] for place in (CONTAINER, SWAPPED, TICK_NS, LINK_TYPE, SNAPLEN)] == [PCAP, order == ">", tick_ns, 113, 96]


def test_a_pcapng_section_header_is_the_first_block_to_read() -> None:
    container = recognise(SECTION, "x")
    assert (container.name, container.header_bytes, container.layout[CONTAINER]) == ("pcapng", 0, PCAPNG)


def test_the_bits_above_the_link_type_are_no_part_of_it() -> None:
    assert recognise(header(link_type=0x3400_0001), "x").layout[LINK_TYPE] == 1


def test_a_snaplen_of_zero_means_no_limit() -> None:
    assert recognise(header(snaplen=0), "x").layout[SNAPLEN] == LARGEST_RECORD


def test_an_empty_file_is_a_truncated_capture() -> None:
    with pytest.raises(TruncatedCaptureError, match="empty") as caught:
        recognise(b"", "x.pcap")
    assert (caught.value.path, caught.value.offset) == ("x.pcap", 0)


@pytest.mark.parametrize("length", range(4, 24))
def test_a_pcap_header_cut_anywhere_is_named_with_its_end(length: int) -> None:
    with pytest.raises(TruncatedCaptureError) as caught:
        recognise(header()[:length], "x")
    assert caught.value.offset == length


@pytest.mark.parametrize("length", [4, 8, 11])
def test_a_section_header_cut_before_its_magic_is_named_with_its_end(length: int) -> None:
    with pytest.raises(TruncatedCaptureError) as caught:
        recognise(SECTION[:length], "x")
    assert caught.value.offset == length


def test_a_wrong_byte_order_magic_is_refused_at_its_offset() -> None:
    with pytest.raises(UnknownFormatError, match="01020304") as caught:
        recognise(SECTION[:8] + b"\1\2\3\4" + SECTION[12:], "x")
    assert caught.value.offset == 8


def test_another_major_version_is_refused_at_its_offset() -> None:
    with pytest.raises(UnknownFormatError, match="version 543") as caught:
        recognise(header(version=(543, 0)), "x")
    assert caught.value.offset == 4


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"BZh9", "bzip2"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"PK\x03\x04", "zip"),
        (b"\x1c\0\x01\xac", "IXIA"),
    ],
)
def test_what_is_recognised_but_not_read_is_called_by_its_name(head: bytes, what: str) -> None:
    with pytest.raises(UnknownFormatError, match=what) as caught:
        recognise(head.ljust(64, b"\0"), "x")
    assert caught.value.offset == 0


@pytest.mark.parametrize(("magic", "swapped"), [(b"\xa1\xb2\xcd\x34", 1), (b"\x34\xcd\xb2\xa1", 0)])
def test_a_modified_pcap_has_longer_record_headers(magic: bytes, swapped: int) -> None:
    container = recognise(magic + struct.pack(">HHiIII" if swapped else "<HHiIII", 2, 4, 0, 0, 96, 1), "x")
    assert (container.name, container.layout[SWAPPED], container.layout[RECORD_HEADER]) == ("pcap-modified", swapped, 24)


@pytest.mark.parametrize(("extra", "name"), [(0, "pcap"), (4, "pcap-nokia"), (8, "pcap-modified")])
@pytest.mark.parametrize("count", [2, 9])
def test_longer_record_headers_are_told_by_the_records(extra: int, name: str, count: int) -> None:
    packets = [record(bytes(60 + n)) for n in range(count)]
    data = header() + b"".join(octets[:16] + b"\xa5" * extra + octets[16:] for octets in packets)
    read = metered(data)[2]
    assert (read.format, read.packets, read.truncated_at, read.damaged_at) == (name, count, None, None)


def test_damaged_first_records_change_no_header() -> None:
    data = header() + record(bytes(60), captured=1 << 30) + record(bytes(60)) * 3
    assert metered(data)[2].format == "pcap"


@pytest.mark.parametrize(("link", "link_type"), [(0, 1), (2, 6), (4, 1), (8, 10), (9, 0xFFFF)])
def test_a_snoop_header_gives_the_link_type(link: int, link_type: int) -> None:
    container = recognise(b"snoop\0\0\0" + struct.pack(">II", 2, link), "x")
    assert (container.name, container.header_bytes, container.layout[LINK_TYPE]) == ("snoop", 16, link_type)


@pytest.mark.parametrize(("head", "offset"), [(b"snoop\0\0\0\0", 9), (b"snoop\0\0\0" + struct.pack(">II", 1, 4), 8)])
def test_a_snoop_header_that_is_cut_or_of_another_version_is_refused(head: bytes, offset: int) -> None:
    with pytest.raises(CaptureError) as caught:
        recognise(head, "x")
    assert caught.value.offset == offset


def outcome(head: bytes) -> Container | CaptureError:
    """Recognise first octets; the error is the outcome where they are refused."""
    try:
        return recognise(head, "x")
    except CaptureError as error:
        return error


@settings(PROFILE, max_examples=200)
@given(head=st.binary(max_size=64))
def test_any_first_bytes_are_recognised_or_refused_at_an_offset(head: bytes) -> None:
    found = outcome(head)
    assert isinstance(found, Container) or str(found).startswith(f"x, byte {found.offset}: ")


class Dribble(io.RawIOBase):
    """A stream that gives a few octets at a time, as a pipe does."""

    def __init__(self, data: bytes, octets: int) -> None:
        super().__init__()
        self._left, self._nbytes = data, octets

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part, self._left = self._left[: min(self._nbytes, len(buffer))], self._left[min(self._nbytes, len(buffer)) :]
        buffer[: len(part)] = part
        return len(part)


class OnlyRead:
    """A stream that has nothing but read(), which gives what it was told to."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)

    def read(self, _: int) -> object:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Failing(io.RawIOBase):
    """A stream that breaks after its first octets."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._data:
            raise OSError(5, "Input/output error")
        part, self._data = self._data, b""
        buffer[: len(part)] = part
        return len(part)


def whole(reader: BlockReader, consumed: int) -> bytes:
    """Return what a reader gives when so many octets of each block are taken."""
    out, block = b"", reader.block
    while len(block):
        taken = min(consumed, len(block))
        out += block[:taken].tobytes()
        block = reader.next_block(taken)
    return out


@pytest.mark.parametrize("octets", [1, 7, 24, 1000])
def test_a_stream_in_small_pieces_gives_the_bytes_of_the_file(octets: int) -> None:
    assert whole(BlockReader(Dribble(DATA, octets), "x", 32), 24) == DATA  # type: ignore[arg-type]


@pytest.mark.parametrize("consumed", [1, 5, 31, 32])
def test_blocks_joined_are_the_file_however_much_is_consumed(consumed: int) -> None:
    assert whole(source_of(io.BytesIO(DATA)).reader(32), consumed) == DATA


def test_the_base_is_the_offset_of_the_blocks_first_octet() -> None:
    reader = source_of(io.BytesIO(DATA)).reader(32)
    block = reader.next_block(10)
    assert reader.base == 10
    assert block.tobytes() == DATA[10:42]


def test_consuming_nothing_makes_the_buffer_grow() -> None:
    reader = source_of(io.BytesIO(DATA)).reader(32)
    assert reader.next_block(0).tobytes() == DATA[:64]


def test_the_hash_is_that_of_the_whole_file_once_it_is_read() -> None:
    reader = source_of(io.BytesIO(DATA)).reader(32, hashing=True)
    whole(reader, 32)
    assert reader.sha256 == hashlib.sha256(DATA).hexdigest()


def test_no_hash_is_made_unless_asked_for() -> None:
    assert source_of(io.BytesIO(DATA)).reader().sha256 is None


def test_a_file_object_stays_open() -> None:
    stream = io.BytesIO(DATA)
    with source_of(stream).reader():
        pass
    assert not stream.closed


def test_a_file_opened_here_is_closed_here(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(DATA)
    with source_of(str(tmp_path / "a.pcap")).reader(32) as reader:
        pass
    with pytest.raises(CaptureError, match="closed"):
        reader.next_block(1)


def test_a_file_object_is_called_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(DATA)
    with (tmp_path / "a.pcap").open("rb") as stream:
        assert source_of(stream).reader().path == str(tmp_path / "a.pcap")


def test_a_file_object_without_a_name_is_called_so() -> None:
    assert source_of(io.BytesIO(DATA)).reader().path == "<file object>"


def test_an_object_that_can_only_read_is_enough() -> None:
    assert whole(source_of(OnlyRead(*(DATA[at : at + 7] for at in range(0, len(DATA), 7)), b"")).reader(), 10) == DATA  # type: ignore[arg-type]


def test_a_read_error_in_the_middle_names_the_offset() -> None:
    with pytest.raises(CaptureError, match="Input/output error") as caught:
        BlockReader(Failing(DATA[:30]), "x", 64)  # type: ignore[arg-type]
    assert caught.value.offset == 30


def test_a_missing_file_is_named_with_the_systems_reason() -> None:
    with pytest.raises(CaptureError, match=r"nowhere/a\.pcap: cannot be opened: No such file") as caught:
        source_of("nowhere/a.pcap").reader()
    assert caught.value.offset is None


def test_a_folder_gives_its_captures_in_order_of_name_and_nothing_else(tmp_path: Path) -> None:
    for name, data in {"b.pcap": DATA, "a.pcapng": SECTION, "sub/c": DATA, "notes.txt": b"not a capture"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert [str(source) for source in expand([str(tmp_path)])] == [str(tmp_path / name) for name in ("a.pcapng", "b.pcap", "sub/c")]


def test_a_folder_without_captures_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a capture")
    with pytest.raises(CaptureError, match="no capture in this folder") as caught:
        expand([str(tmp_path)])
    assert caught.value.path == str(tmp_path)


def test_files_and_standard_input_are_passed_on_unseen() -> None:
    assert [str(source) for source in expand(["-", "missing.pcap"])] == ["-", "missing.pcap"]


def test_a_member_that_is_a_capture_by_name_alone_is_left_out_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(DATA)
    (tmp_path / "b.pcap.gz").write_bytes(b"\x1f\x8b\x08" + bytes(30))
    (tmp_path / "c.cap").write_bytes(b"")
    (tmp_path / "d.pcapng").symlink_to(tmp_path / "nowhere")
    (tmp_path / "e.txt").symlink_to(tmp_path / "nowhere")
    first, *rest = expand([str(tmp_path)])
    assert str(first) == str(tmp_path / "a.pcap")
    assert [Path(error.path).name for error in rest if isinstance(error, CaptureError)] == ["b.pcap.gz", "c.cap", "d.pcapng"]
    assert "gzip" in str(rest[0])


def test_a_capture_with_a_cut_header_is_left_out_and_the_rest_answered(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(DATA)
    (tmp_path / "b.pcap").write_bytes(DATA[:10])
    (tmp_path / "rotated").write_bytes(DATA[:23])
    result = floodmark.classify(str(tmp_path))
    assert [capture.path for capture in result.captures] == [str(tmp_path / "a.pcap")]
    assert [Path(error.path).name for error in result.left_out] == ["b.pcap", "rotated"]
    assert sum("the pcap header ends after" in note for note in result.notes) == 2


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(CaptureError, match="not a valid file name"):
        source_of("a\0b").reader()


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (io.StringIO("text"), "mode 'rb'"),
        (OnlyRead(None), "no data available yet"),
        (OnlyRead("text"), "returns str, not bytes"),
        (OnlyRead(EOFError("cut")), "cannot be read: cut"),
    ],
    ids=["text", "not-ready", "str", "cut-short"],
)
def test_a_file_object_that_gives_no_bytes_is_refused(source: Any, why: str) -> None:
    with pytest.raises(CaptureError, match=why):
        source_of(source).reader()


def test_a_closed_file_object_is_refused() -> None:
    stream = io.BytesIO(DATA)
    stream.close()
    with pytest.raises(CaptureError, match="closed"):
        source_of(stream).reader()
