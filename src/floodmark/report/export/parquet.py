"""Write flows as a Parquet file, batch by batch."""

from collections.abc import Iterable
from concurrent.futures import Future

import pyarrow as pa
import pyarrow.parquet as pq

from floodmark.base.workers import started
from floodmark.base.writing import appearing_whole
from floodmark.result.table import SCHEMA

# Columns with few values in a batch; a dictionary for the others costs more than it saves.
_REPEATING = [field.name for field in SCHEMA if pa.types.is_dictionary(field.type) or pa.types.is_uint8(field.type)] + [
    "responder",
    "responder_port",
    "vlan",
    "inner_vlan",
    "tunnel",
]
# Delta encoding of 64-bit numbers takes a third of the time; the times of a flood take a hundredth of the space.
_GROWING = {field.name: "DELTA_BINARY_PACKED" for field in SCHEMA if field.type in (pa.int64(), pa.uint64())}
# Columns that readers filter by: minimum and maximum of each row group are written for these.
_SOUGHT = ["flow_id", "initiator_port", "responder_port", "protocol", "first_seen_ns", "last_seen_ns", "event_id"]


def write_flows(path: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema = SCHEMA) -> int:
    """Write flows to a file atomically. Returns the number of rows. Raises OutputError."""
    rows = 0
    with (
        appearing_whole(path) as file,
        pq.ParquetWriter(
            file,
            schema,
            compression="zstd",
            use_dictionary=[*_REPEATING, *schema.names[len(SCHEMA) :]],
            column_encoding=_GROWING,
            write_statistics=_SOUGHT,
        ) as writer,
        started(1) as aside,  # compresses one batch while the next is made
    ):
        packed: Future[None] | None = None
        for batch in batches:
            if packed is not None:
                packed.result()
            packed = aside.submit(writer.write_batch, batch)
            rows += len(batch)
        if packed is not None:
            packed.result()
    return rows
