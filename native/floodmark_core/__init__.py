"""The contract of the native core: contiguous arrays and integers in, arrays out; no files, no Arrow, no names of classes."""

from floodmark_core._jit import cache_folder, compiled_before, keeps_kernels, kernel, source_digest
from floodmark_core.columns import (
    ADDRESSES,
    BATCH,
    CELL,
    FLOW,
    MORE,
    CellTable,
    FlowTable,
    Headers,
    Interfaces,
    Records,
    Tally,
    new_headers,
    new_interfaces,
    new_records,
    new_tally,
)
from floodmark_core.flows.reader import read_block

__all__ = [
    "ADDRESSES",
    "BATCH",
    "CELL",
    "FLOW",
    "MORE",
    "CellTable",
    "FlowTable",
    "Headers",
    "Interfaces",
    "Records",
    "Tally",
    "cache_folder",
    "compiled_before",
    "keeps_kernels",
    "kernel",
    "new_headers",
    "new_interfaces",
    "new_records",
    "new_tally",
    "read_block",
    "source_digest",
]
