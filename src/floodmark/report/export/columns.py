"""Write flows as Arrow, CSV and NDJSON, batch by batch; compressed if the file name ends in .zst or .gz."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from floodmark.base.writing import appearing_whole, packed
from floodmark.claims.assets import AssetSummary, document_of
from floodmark.report.export.lines import bytes_of, json_lines
from floodmark.result.result import FlowRecords, Result


def write_arrow(path: str, flows: FlowRecords) -> None:
    """Write flows as an Arrow IPC file whose buffers are compressed with zstd."""
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    # Every batch has the same dictionaries; a file may hold each of them once.
    with appearing_whole(path) as file, pa.ipc.new_file(pa.PythonFile(file, "w"), flows.schema, options=options) as writer:
        for batch in flows.batches():
            writer.write_batch(batch)


def write_csv(path: str, flows: FlowRecords) -> None:
    """Write flows as CSV with a header line; null values are empty."""
    plain = pa.schema([pa.field(field.name, _plain(field.type)) for field in flows.schema])
    with packed(path) as file, pa_csv.CSVWriter(_sink(file), plain, write_options=pa_csv.WriteOptions(quoting_style="needed")) as writer:
        for batch in flows.batches():
            writer.write_batch(batch.cast(plain))


def write_ndjson(path: str, flows: FlowRecords) -> None:
    """Write flows as JSON objects, one per line."""
    with packed(path) as file:
        for batch in flows.batches():
            file.write(bytes_of(json_lines(batch)))


def write_json(path: str, result: Result, assets: tuple[AssetSummary, ...] = ()) -> None:
    """Write the result without its flows, as the JSON document of the schema. assets: summaries, if requested."""
    with packed(path) as file:
        file.write(json.dumps(document_of(result, assets), indent=2, allow_nan=False).encode() + b"\n")


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _sink(file: Any) -> Any:  # noqa: ANN401 - a Python or an Arrow file
    return file if isinstance(file, pa.NativeFile) else pa.PythonFile(file, "w")
