"""The public interface of the native core: contiguous arrays and integers in, arrays out; no files, no Arrow, no class names.

Names are imported on first use, so that importing constants (protocols, kinds) does not load the compiler.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from floodmark_core._jit import cache_folder, compiled_before, keeps_kernels, kernel, on_cache_fault, source_digest
    from floodmark_core.columns import (
        ADDRESSES,
        BATCH,
        DESTINATION,
        FLOW,
        MORE,
        TENTH,
        ArrivalTable,
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

_HOMES = {
    **dict.fromkeys(("cache_folder", "compiled_before", "keeps_kernels", "kernel", "on_cache_fault", "source_digest"), "_jit"),
    **dict.fromkeys(
        (
            "ADDRESSES", "BATCH", "DESTINATION", "FLOW", "MORE", "TENTH", "ArrivalTable", "FlowTable", "Headers", "Interfaces", "Records",
            "Tally", "new_headers", "new_interfaces", "new_records", "new_tally",
        ),
        "columns",
    ),
}  # fmt: skip

__all__ = [
    "ADDRESSES",
    "BATCH",
    "DESTINATION",
    "FLOW",
    "MORE",
    "TENTH",
    "ArrivalTable",
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
    "on_cache_fault",
    "source_digest",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - PEP 562
    """Import a public name on its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only needed here

    value = getattr(import_module(f"floodmark_core.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
