"""Flows as a Parquet file, written batch by batch."""

import contextlib
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from floodmark.errors import OutputError
from floodmark.table import SCHEMA


def write_flows(path: str, batches: Iterable[pa.RecordBatch]) -> int:
    """Write flows to a file that appears whole or not at all. Returns the number of rows. Raises OutputError."""
    rows = 0
    try:
        with _appearing_whole(Path(path)) as file, pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += len(batch)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    return rows


@contextlib.contextmanager
def _appearing_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file beside the one asked for, which takes its name once all is written; a device or a pipe is written to as it is."""
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
