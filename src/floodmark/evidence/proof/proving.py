"""Carve the records of a capture's events byte for byte, and prove that they are part of it.

The proof has three tables: the carved byte ranges of the capture (``records``), the other bytes of the chunks that hold them (``chunks``),
and the hashes that lead from these chunks to the root (``nodes``). With the carved records and these tables, the root can be computed
without the capture.
"""

import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from floodmark.base.workers import started
from floodmark.captures.blocks import BlockReader
from floodmark.captures.reading import Reading
from floodmark.captures.source import Source
from floodmark.errors import CaptureError
from floodmark.evidence.layout import carved_name, proof_name
from floodmark.evidence.proof.merkle import CHUNK_BYTES, DIGEST_BYTES, Tree, leaf_digests
from floodmark_core import new_interfaces, new_records, new_tally
from floodmark_core.buffers.spans import gather_spans, mark_spans
from floodmark_core.columns import I32, I64, U8, Framing
from floodmark_core.records.framing import CONTAINER, PCAPNG
from floodmark_core.records.outlining import DESCRIPTION, LEAST_SPAN, RECORD, Spans, outline_block

_PIECE_BYTES = 8 << 20  # of a capture processed at once, after its records are known
# event: 0 for what is in every event's file, the descriptions without which packets cannot be read.
RECORDS = pa.schema([("event", pa.int32()), ("offset", pa.int64()), ("octets", pa.int32())])
CHUNKS = pa.schema([("chunk", pa.int64()), ("beside", pa.binary())])
NODES = pa.schema([("level", pa.uint8()), ("place", pa.int64()), ("sha256", pa.binary(DIGEST_BYTES))])


@dataclass(frozen=True)
class Proven:
    """What a bundle records about one original capture. Offsets and chunks refer to its uncompressed bytes."""

    container: str
    content_octets: int
    content_sha256: str
    chunk_octets: int
    chunks: int
    merkle_root: str
    packets: int
    carved: dict[int, int]  # event -> packets


class _Watched:
    """A capture's blocks; each consumed byte is passed on once, in order and without gaps."""

    def __init__(self, reader: BlockReader, passed: "_Passed") -> None:
        self._reader, self._passed = reader, passed
        self.path, self.container = reader.path, reader.container
        self.is_mapped, self.nbytes, self.sha256, self.compression = reader.is_mapped, reader.nbytes, None, reader.compression
        self.damage: str | None = None
        self._look()

    def _look(self) -> None:
        self.base, self.block, self.at_end = self._reader.base, self._reader.block, self._reader.at_end

    def change(self) -> str | None:
        """Return how the file changed while it was read, if it did. Raises CaptureError if it changed after an earlier reading."""
        return self._reader.change()

    def next_block(self, consumed: int) -> U8:
        """Advance by ``consumed`` bytes."""
        self._passed.take(self.block[:consumed])
        self._reader.next_block(consumed)
        self._look()
        return self.block


class _Passed:
    """Hash the bytes of a capture in order, and keep the other bytes of chunks with carved records."""

    def __init__(self, chunks: pq.ParquetWriter | None, leaves: BinaryIO) -> None:
        self._chunks, self._leaves = chunks, leaves
        self._content = sha256()
        self._rest: U8 = np.empty(0, np.uint8)  # bytes of an incomplete chunk
        self._chunked = 0  # bytes of chunks passed completely
        self._starts: list[I64] = [np.empty(0, np.int64)]  # offsets of carved records not wholly in chunks passed
        self._ends: list[I64] = [np.empty(0, np.int64)]
        self._aside = started(1)
        self.nbytes = 0  # passed so far
        self.shown: list[I64] = []  # chunks that hold carved records

    def carve(self, starts: I64, ends: I64) -> None:
        """Announce records that are carved from the bytes passed next. starts, ends: offsets in the capture."""
        self._starts.append(starts)
        self._ends.append(ends)

    def take(self, nbytes: U8, *, last: bool = False) -> None:
        """Process the next bytes."""
        hashed: Future[None] = self._aside.submit(self._content.update, nbytes.data)
        for at in range(0, len(nbytes), _PIECE_BYTES):
            self._take_piece(nbytes[at : at + _PIECE_BYTES])
        if last and len(self._rest):
            self._chunk(self._rest)
        hashed.result()

    def _take_piece(self, nbytes: U8) -> None:
        region = np.concatenate((self._rest, nbytes)) if len(self._rest) else nbytes
        self.nbytes += len(nbytes)
        whole = len(region) // CHUNK_BYTES * CHUNK_BYTES
        self._rest = region[whole:].copy()
        self._chunk(region[:whole])

    def _chunk(self, nbytes: U8) -> None:
        """Process whole chunks, or the shorter last one."""
        self._leaves.write(leaf_digests(nbytes.data))
        if self._chunks is not None:
            self._keep_beside(self._chunks, nbytes)
        self._chunked += len(nbytes)

    def _keep_beside(self, writer: pq.ParquetWriter, nbytes: U8) -> None:
        """Keep the bytes beside carved records in their chunks."""
        starts, ends = np.concatenate(self._starts) - self._chunked, np.concatenate(self._ends) - self._chunked
        later = ends > len(nbytes)
        self._starts, self._ends = [starts[later] + self._chunked], [ends[later] + self._chunked]
        marks = np.zeros(-(-len(nbytes) // CHUNK_BYTES) * CHUNK_BYTES, np.uint8)
        mark_spans(starts, ends, marks)
        carved = marks.reshape(-1, CHUNK_BYTES)
        shown = np.nonzero(carved.any(axis=1))[0]
        if not len(shown):
            return
        marks[len(nbytes) :] = 1  # there is nothing after the end of the capture
        if len(nbytes) < len(marks):
            nbytes = np.concatenate((nbytes, np.zeros(len(marks) - len(nbytes), np.uint8)))
        beside = carved[shown] == 0
        offsets = np.concatenate(([0], np.cumsum(beside.sum(axis=1)))).astype(np.int32)
        kept = nbytes.reshape(-1, CHUNK_BYTES)[shown][beside]
        column = pa.BinaryArray.from_buffers(pa.binary(), len(shown), [None, pa.py_buffer(offsets), pa.py_buffer(kept)])
        numbers = self._chunked // CHUNK_BYTES + shown
        writer.write_batch(pa.RecordBatch.from_arrays([pa.array(numbers, pa.int64()), column], schema=CHUNKS))
        self.shown.append(numbers)

    def finish(self) -> str:
        """Return the hash of all bytes."""
        self._aside.shutdown()
        return self._content.hexdigest()


@dataclass
class _Files:
    """Writers of the tables of one capture's proof."""

    folder: Path
    number: int
    stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def writer(self, part: str, schema: pa.Schema) -> pq.ParquetWriter:
        """Open a table for writing."""
        path = self.folder / proof_name(self.number, part)
        path.parent.mkdir(parents=True, exist_ok=True)
        dense = {"offset": "DELTA_BINARY_PACKED", "chunk": "DELTA_BINARY_PACKED", "place": "DELTA_BINARY_PACKED"}
        encodings = {name: dense[name] for name in schema.names if name in dense}
        dictionary = [name for name in ("event", "octets", "level") if name in schema.names]
        file = self.stack.enter_context(path.open("wb"))  # Arrow itself opens no name that is not UTF-8
        return self.stack.enter_context(
            pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=dictionary or False, column_encoding=encodings or None)
        )


class _Carver:
    """Copy the records of events into their files, and list their offsets."""

    def __init__(self, labels: I32, files: _Files, container: str, passed: _Passed) -> None:
        self._labels, self._folder, self._number, self._container = labels, files.folder, files.number, container
        self._records, self._passed = files.writer("records", RECORDS), passed
        self._described = bytearray()  # what each event's file begins with
        self.files: dict[int, Path] = {}
        self.carved: dict[int, int] = {}
        self.seen = 0  # packets

    def take(self, block: U8, base: int, starts: I64, ends: I64, roles: U8) -> None:
        """Copy the records to be carved. starts, ends: indices into a block."""
        is_record = roles == RECORD
        events = np.zeros(len(starts), np.int32)
        count = int(is_record.sum())
        events[is_record] = self._labels[self.seen : self.seen + count]
        self.seen += count
        kept = ~is_record | (events > 0)
        if not kept.any():
            return
        starts, ends, events, is_record = starts[kept], ends[kept], events[kept], is_record[kept]
        self._passed.carve(base + starts, base + ends)
        columns = [pa.array(events, pa.int32()), pa.array(base + starts, pa.int64()), pa.array(ends - starts, pa.int32())]
        self._records.write_batch(pa.RecordBatch.from_arrays(columns, schema=RECORDS))
        self._copy(block, starts, ends, events)

    def _copy(self, block: U8, starts: I64, ends: I64, events: I32) -> None:
        """Append to the events' files. Descriptions go into all files, also later ones, in their position among the records."""
        for chosen in runs(events):
            event = int(events[chosen[0]])
            nbytes = _gathered(block, starts[chosen], ends[chosen])
            if event:
                self._append(event, nbytes)
                self.carved[event] = self.carved.get(event, 0) + len(chosen)
                continue
            self._described += nbytes.tobytes()
            for path in self.files.values():
                with path.open("ab") as file:
                    file.write(nbytes.data)

    def _append(self, event: int, nbytes: U8) -> None:
        if event not in self.files:
            path = self._folder / carved_name(event, self._number, self._container)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._described)
            self.files[event] = path
        with self.files[event].open("ab") as file:
            file.write(nbytes.data)


def runs(events: I32) -> Iterator[I64]:
    """Yield indices of records that follow one another in the same file: each event's between two descriptions, and these."""
    cuts = np.nonzero(events == 0)[0].tolist()
    for first, end in zip([0, *(cut + 1 for cut in cuts)], [*cuts, len(events)], strict=True):
        order = np.argsort(events[first:end], kind="stable")
        yield from (first + part for part in np.split(order, np.nonzero(np.diff(events[first:end][order]))[0] + 1) if len(part))
        if end < len(events):
            yield np.array([end])


def _gathered(nbytes: U8, starts: I64, ends: I64) -> U8:
    """Return some byte ranges joined."""
    row = np.empty(int((ends - starts).sum()), np.uint8)
    gather_spans(nbytes, starts, ends, row)
    return row


def prove(source: Source, number: int, labels: I32, folder: Path, *, keep_going: bool) -> Proven:
    """Carve one capture's events and write their proof. number: of the capture, from 1. labels: the event of each of its packets.

    Raises CaptureError if it can no longer be read, or holds other packets than when it was classified.
    """
    has_events = bool(labels.any())
    with source.reader() as reader, _Files(folder, number) as files, tempfile.TemporaryFile() as leaves:
        container = reader.container
        passed = _Passed(files.writer("chunks", CHUNKS) if has_events else None, leaves)
        carver = None
        if has_events:
            carver = _Carver(labels, files, container.name, passed)
            if container.layout[CONTAINER] != PCAPNG:
                first, end = np.array([0]), np.array([container.header_bytes])
                carver.take(reader.block, 0, first, end, np.array([DESCRIPTION], np.uint8))
        packets = _walk(_Watched(reader, passed), carver, keep_going=keep_going)
        passed.take(reader.block, last=True)
        if packets != len(labels):
            raise CaptureError(reader.path, f"now holds {packets:,} packets, but held {len(labels):,} when it was classified")
        tree = Tree(leaves)
        try:
            if has_events:
                _write_nodes(files.writer("nodes", NODES), tree, np.concatenate(passed.shown))
            return Proven(
                container=container.name, content_octets=passed.nbytes, content_sha256=passed.finish(), chunk_octets=CHUNK_BYTES,
                chunks=tree.chunks, merkle_root=tree.root, packets=packets, carved=carver.carved if carver is not None else {},
            )  # fmt: skip
        finally:
            tree.close()


def _walk(reader: _Watched, carver: _Carver | None, *, keep_going: bool) -> int:
    """Read a capture to its end, as when it was classified. Returns the number of packets."""
    framing = Framing(layout=reader.container.layout.copy(), interfaces=new_interfaces(), records=new_records(), tally=new_tally())
    packets = 0

    def outline(block: U8, at: int) -> tuple[int, int]:
        nonlocal packets
        most = len(block) // LEAST_SPAN + 1
        spans = Spans(starts=np.empty(most, np.int64), ends=np.empty(most, np.int64), roles=np.empty(most, np.uint8))
        at, stop, count = outline_block(block, at, reader.base, framing, spans)
        packets += int((spans.roles[:count] == RECORD).sum())
        if carver is not None:
            carver.take(block, reader.base, spans.starts[:count], spans.ends[:count], spans.roles[:count])
        return at, stop

    reading = Reading(reader, outline, (framing.layout, framing.tally), None, keep_going)
    while reading.step():
        pass
    reading.finish()  # raises CaptureError if the capture is no longer what was classified
    return packets


def _write_nodes(writer: pq.ParquetWriter, tree: Tree, shown: I64) -> None:
    nodes = tree.beside(np.unique(shown))
    digests = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(DIGEST_BYTES), len(nodes.digests), [None, pa.py_buffer(np.ascontiguousarray(nodes.digests))]
    )
    writer.write_batch(
        pa.RecordBatch.from_arrays([pa.array(nodes.levels, pa.uint8()), pa.array(nodes.places, pa.int64()), digests], schema=NODES)
    )
