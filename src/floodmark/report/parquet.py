"""Flows as a Parquet file, written batch by batch."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from floodmark.errors import OutputError
from floodmark.table import SCHEMA


def write_flows(path: str, batches: Iterable[pa.RecordBatch]) -> int:
    """Write flows to a file that appears whole or not at all. Returns the number of rows. Raises OutputError."""
    part = Path(f"{path}.part")
    rows = 0
    try:
        with pq.ParquetWriter(part, SCHEMA, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += len(batch)
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return rows
