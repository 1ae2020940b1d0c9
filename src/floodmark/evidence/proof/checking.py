"""Compute the Merkle root from carved records and the tables of their proof, without the capture itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from floodmark.evidence.layout import carved_name, proof_name
from floodmark.evidence.proof.merkle import CHUNK_BYTES, DIGEST_BYTES, Nodes, climb, leaf_digests
from floodmark.evidence.proof.proving import CHUNKS, NODES, RECORDS, runs
from floodmark_core.buffers.spans import place_spans
from floodmark_core.columns import I32, I64, U8

_BATCH_CHUNKS = 8192  # assembled at one time
_BATCH_RECORDS = 1 << 18
_MOST_LEVELS = 64  # of a tree
_ROW_BYTES, _SPARE_BYTES = CHUNK_BYTES + 64, 1 << 20  # most bytes of a table row, and overhead of a row group


@dataclass(frozen=True)
class Checked:
    """What the carved records of one capture give."""

    root: str
    carved: dict[int, int]  # event -> packets


class ProofError(Exception):
    """Carved records and tables do not match, and why."""


@dataclass(frozen=True)
class _Spans:
    """Carved byte ranges of a capture, in its order."""

    events: I32
    starts: I64
    ends: I64

    def part(self, first: int, end: int) -> "_Spans":
        return _Spans(self.events[first:end], self.starts[first:end], self.ends[first:end])

    def followed_by(self, other: "_Spans") -> "_Spans":
        return _Spans(
            np.concatenate((self.events, other.events)),
            np.concatenate((self.starts, other.starts)),
            np.concatenate((self.ends, other.ends)),
        )

    def cut_at(self, offset: int) -> tuple["_Spans", "_Spans"]:
        """Return the ranges before an offset, and the rest; a range across it is split."""
        count = int(np.searchsorted(self.starts, offset))
        before, rest = self.part(0, count), self.part(count, len(self.starts))
        if count and self.ends[count - 1] > offset:
            over = _Spans(before.events[-1:], np.array([offset]), before.ends[-1:])
            ends = np.minimum(before.ends, offset)
            return _Spans(before.events, before.starts, ends), over.followed_by(rest)
        return before, rest


_NO_SPANS = _Spans(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64))


class _Records:
    """The table of carved records, read as needed."""

    def __init__(self, path: Path, nbytes: int) -> None:
        """Open the table. nbytes: size of the carved files, which their records cannot exceed."""
        self._batches = _batches(path, RECORDS, _BATCH_RECORDS, nbytes)
        self._left = nbytes
        self._ahead = _NO_SPANS
        self._reached = -1  # offset where the last range ends
        self.carved: dict[int, int] = {}

    def until(self, offset: int) -> _Spans:
        """Return the ranges before an offset that were not returned yet."""
        while not len(self._ahead.starts) or int(self._ahead.starts[-1]) < offset:
            batch = next(self._batches, None)
            if batch is None:
                break
            self._ahead = self._ahead.followed_by(self._read(batch))
        given, self._ahead = self._ahead.cut_at(offset)
        return given

    def _read(self, batch: pa.RecordBatch) -> _Spans:
        events, starts, nbytes = (column.to_numpy() for column in batch.columns)
        ends = starts + nbytes
        if (nbytes <= 0).any() or (events < 0).any() or (starts < np.concatenate(([self._reached], ends[:-1]))).any():
            raise ProofError("the carved records overlap or are out of order")
        self._reached = int(ends[-1])
        self._left -= int(nbytes.sum())
        if self._left < 0:
            raise ProofError("the carved records are longer than the files that hold them")
        numbers, counts = np.unique(events, return_counts=True)
        for event, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            if event:
                self.carved[event] = self.carved.get(event, 0) + count
        return _Spans(events, starts, ends)

    @property
    def is_used_up(self) -> bool:
        """Return whether all ranges were returned."""
        return not len(self._ahead.starts) and next(self._batches, None) is None


class _Carved:
    """The carved files of one capture, each read sequentially."""

    def __init__(self, names: dict[int, str], folder: Path) -> None:
        self._names = names
        self._files: dict[int, U8] = {event: np.memmap(folder / name, np.uint8, "r") for event, name in names.items()}
        self._at = dict.fromkeys(names, 0)
        self.nbytes = sum(len(file) for file in self._files.values())

    def next(self, event: int, nbytes: int) -> U8:
        """Return the next bytes of an event's file; for event 0 of every file, where they must be the same."""
        if event == 0:
            found = [self.next(each, nbytes) for each in self._at]
            if any(not np.array_equal(found[0], other) for other in found[1:]):
                raise ProofError("the events' files differ in their file headers or interface descriptions")
            return found[0]
        if event not in self._at:
            raise ProofError(f"records of event {event} are listed, but it has no file")
        at = self._at[event]
        self._at[event] = at + nbytes
        if at + nbytes > len(self._files[event]):
            raise ProofError(f"{self._names[event]} ends before its last record")
        return self._files[event][at : at + nbytes]

    def finish(self) -> None:
        """Raise ProofError if a file has more bytes than its records."""
        for event, at in self._at.items():
            if at != len(self._files[event]):
                raise ProofError(f"{self._names[event]} has {len(self._files[event]) - at:,} bytes more than its records")


def check(folder: Path, number: int, container: str, content_octets: int, events: list[int]) -> Checked:
    """Return the root that the carved records of a capture lead to. number: of the capture, from 1. events: those with a file from it.

    Raises ProofError if carved records and tables do not match, OSError and pyarrow's errors if they cannot be read.
    """
    carved = _Carved({event: carved_name(event, number, container) for event in events}, folder)
    records = _Records(folder / proof_name(number, "records"), carved.nbytes)
    numbers, digests, reached = [], [], -1
    for batch in _batches(folder / proof_name(number, "chunks"), CHUNKS, _BATCH_CHUNKS, carved.nbytes):
        chunks = batch.column(0).to_numpy()
        if (np.diff(chunks, prepend=reached) <= 0).any() or int(chunks[-1]) * CHUNK_BYTES >= content_octets:
            raise ProofError("the chunks are out of order or beyond the end of the capture")
        reached = int(chunks[-1])
        spans = records.until((reached + 1) * CHUNK_BYTES)
        numbers.append(chunks)
        digests.append(_put_together(spans, chunks, batch.column(1), content_octets, carved))
    if not records.is_used_up or not numbers:
        raise ProofError("carved records lie outside the proven chunks")
    carved.finish()
    nodes = _nodes(folder / proof_name(number, "nodes"), _MOST_LEVELS * sum(map(len, numbers)))
    root = climb(np.concatenate(numbers), b"".join(digests), -(-content_octets // CHUNK_BYTES), nodes)
    if root is None:
        raise ProofError("the proof does not have the hashes that its chunks need")
    return Checked(root, records.carved)


def _put_together(spans: _Spans, chunks: I64, beside: pa.BinaryArray, content_octets: int, carved: _Carved) -> bytes:
    """Return the digests of some chunks, assembled from the carved records in them and the remaining bytes."""
    nbytes, marks = np.zeros(len(chunks) * CHUNK_BYTES, np.uint8), np.zeros(len(chunks) * CHUNK_BYTES, np.uint8)
    begun, ended = spans.starts // CHUNK_BYTES, (spans.ends - 1) // CHUNK_BYTES
    rows = np.minimum(np.searchsorted(chunks, begun), len(chunks) - 1)
    lasts = np.minimum(rows + ended - begun, len(chunks) - 1)
    if (chunks[rows] != begun).any() or (chunks[lasts] != ended).any():
        raise ProofError("carved records lie outside the proven chunks")
    lengths, places = spans.ends - spans.starts, rows * CHUNK_BYTES + spans.starts % CHUNK_BYTES
    for chosen in runs(spans.events):
        row = carved.next(int(spans.events[chosen[0]]), int(lengths[chosen].sum()))
        place_spans(np.array(row), places[chosen], places[chosen] + lengths[chosen], nbytes, marks)
    behind_end = max((int(chunks[-1]) + 1) * CHUNK_BYTES - content_octets, 0)
    nbytes, marks = nbytes[: len(nbytes) - behind_end], marks[: len(marks) - behind_end]
    left, given = np.nonzero(marks == 0)[0], np.frombuffer(b"".join(beside.to_pylist()), np.uint8)
    if len(given) != len(left):
        raise ProofError("the other bytes of the chunks do not fill the space between the carved records")
    nbytes[left] = given
    return leaf_digests(nbytes.data)


def _batches(path: Path, schema: pa.Schema, rows: int, most: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a table, at most ``most``. It is untrusted: one that would decompress to too much is refused."""
    repeated = [field.name for field in schema if pa.types.is_binary(field.type)]
    with path.open("rb") as opened, pq.ParquetFile(opened, read_dictionary=repeated) as file:
        plain = pa.schema([(field.name, getattr(field.type, "value_type", field.type)) for field in file.schema_arrow])
        if plain != schema:
            raise ProofError(f"{path.name} does not have the columns of a proof")
        _refuse_too_much(file.metadata, path.name, most)
        for batch in file.iter_batches(rows):
            if any(column.null_count for column in batch.columns):
                raise ProofError(f"{path.name} has null values")
            for column in batch.columns:
                if pa.types.is_dictionary(column.type) and max(map(len, column.dictionary.to_pylist()), default=0) > CHUNK_BYTES:
                    raise ProofError(f"{path.name} has more other bytes of a chunk than fit into it")
            if len(batch):
                yield batch.cast(schema)


def _refuse_too_much(metadata: pq.FileMetaData, name: str, most: int) -> None:
    """Raise ProofError if a table declares more rows or bytes than a proof needs."""
    if metadata.num_rows > most:
        raise ProofError(f"{name} has {metadata.num_rows:,} rows, but this proof needs at most {most:,}")
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if group.total_byte_size > group.num_rows * _ROW_BYTES + _SPARE_BYTES:
            raise ProofError(f"{name} claims to unpack to {group.total_byte_size:,} bytes, too many for a proof")


def _nodes(path: Path, most: int) -> Nodes:
    batches = list(_batches(path, NODES, _BATCH_RECORDS, most))
    if not batches:
        return Nodes(np.empty(0, np.uint8), np.empty(0, np.int64), np.empty((0, DIGEST_BYTES), np.uint8))
    table = pa.Table.from_batches(batches)
    digests = np.frombuffer(b"".join(table.column("sha256").to_pylist()), np.uint8).reshape(-1, DIGEST_BYTES)
    return Nodes(table.column("level").to_numpy(), table.column("place").to_numpy(), digests)
