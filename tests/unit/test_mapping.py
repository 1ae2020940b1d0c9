"""A mapped file gives the octets that a read one gives, and is given up when somebody else wants to write to it."""

import fcntl
import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import floodmark
from builders import connection, pcap, pcapng, syn_flood
from floodmark.captures import mapping
from floodmark.captures.blocks import BlockReader
from floodmark.captures.mapping import MappedFile
from floodmark.captures.source import source_of

PACKETS = [*connection(0), *syn_flood(3000)]


@pytest.fixture(params=["pcap", "pcapng"])
def file(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A capture that is worth mapping."""
    monkeypatch.setattr(mapping, "_LEAST_BYTES", 1)
    monkeypatch.setattr("floodmark.captures.blocks.MAPPED_BYTES", 1000)
    path = tmp_path / "a.capture"
    path.write_bytes(pcap(PACKETS) if request.param == "pcap" else pcapng(PACKETS))
    return path


@pytest.fixture
def mapped(file: Path) -> Iterator[BlockReader]:
    """A reader of it; skipped where the system gives no lease."""
    with source_of(str(file)).reader(1000, hashing=True) as reader:
        if not reader.is_mapped:
            pytest.skip("the system gives no lease on this file")
        yield reader


def rest_of(reader: BlockReader, step: int) -> bytes:
    """Read to the end, some octets at a time."""
    parts = []
    while not reader.at_end:
        parts.append(reader.block[:step].tobytes())
        reader.next_block(min(step, len(reader.block)))
    return b"".join(parts) + reader.block.tobytes()


@pytest.mark.parametrize("step", [1, 7, 999, 1000])
def test_blocks_joined_are_the_file(mapped: BlockReader, file: Path, step: int) -> None:
    data = file.read_bytes()[: 20_000 if step < 10 else None]
    assert rest_of(mapped, step)[: len(data)] == data
    assert mapped.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_block_grows_where_a_record_fills_it(mapped: BlockReader) -> None:
    assert len(mapped.next_block(0)) == 2 * 1000


def test_the_answer_is_that_of_a_file_read(file: Path) -> None:
    def told(result: floodmark.Result) -> dict[str, object]:
        return {**result.to_dict(), "captures": None}

    with file.open("rb") as stream:
        assert told(floodmark.classify(file)) == told(floodmark.classify(stream))


def test_a_writer_gets_its_way_and_the_reader_goes_on_reading(mapped: BlockReader, file: Path) -> None:
    data = file.read_bytes()
    begin = mapped.block[:500].tobytes()
    writer = threading.Thread(target=lambda: file.open("ab").close())  # waits for the lease
    writer.start()
    while fcntl.fcntl(mapped._stream, fcntl.F_GETLEASE) == fcntl.F_RDLCK:  # noqa: SLF001 - until it has asked
        time.sleep(0.01)
    rest = b""
    while mapped.is_mapped and not mapped.at_end:
        rest += mapped.next_block(500)[:500].tobytes()
    assert not mapped.is_mapped
    writer.join(timeout=10)
    assert not writer.is_alive()
    assert begin + rest + rest_of(mapped, 500)[500:] == data


def test_a_small_file_or_one_open_for_writing_is_read(tmp_path: Path, file: Path) -> None:
    with file.open("r+b"), file.open("rb") as stream:
        assert MappedFile.of(stream) is None
    (tmp_path / "empty").write_bytes(b"")
    with (tmp_path / "empty").open("rb") as stream:
        assert MappedFile.of(stream) is None


def test_what_is_done_with_is_let_go_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "_LEAST_BYTES", 1 << 16)
    path = tmp_path / "long"
    path.write_bytes(bytes(range(256)) * (1 << 13))
    with path.open("rb") as stream:
        mapped = MappedFile.of(stream)
        if mapped is None:
            pytest.skip("the system gives no lease on this file")
        step = 1 << 18
        for base in range(0, mapped.size, step):
            assert mapped.part(base, step)[:300].tobytes() == (bytes(range(256)) * 2)[:300]
            mapped._coming.result()  # type: ignore[union-attr] # noqa: SLF001 - until it is done aside
            assert mapped._left == base  # noqa: SLF001
        mapped.close()
