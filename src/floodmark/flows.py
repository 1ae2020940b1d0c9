"""The flows of a run as columns: one value per flow, whether it has one packet or many.

The tables keep a flow of one packet in one short row, see floodmark_core.columns; here every flow has every column.
"""

import secrets
from collections.abc import Iterable
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from floodmark.memory import Memory
from floodmark.workers import Workers
from floodmark_core import FLOW, MORE, kinds
from floodmark_core.columns import I64, U32, U64, Rows
from floodmark_core.dialogue import copy_fields
from floodmark_core.endpoints import copy_ends
from floodmark_core.ranking import hash_initiators

SEED = np.uint64(secrets.randbits(64))  # the keys are an attacker's choice; no answer depends on it
_FIRST = {
    "ip_version": np.dtype("u1"),
    "vlan": np.dtype("u4"),  # the tag's id, or the outer one's << 12 | the inner one's; 0 untagged
    "is_fragment": np.dtype("u1"),  # keyed by addresses and protocol only
    "initiator_basis": np.dtype("u1"),  # kinds.py BASIS_
    "from_responder": np.dtype("u1"),  # the first packet seen was an answer
    "header_whole": np.dtype("u1"),  # the transport header was captured whole and can be one
    **{f"{end}_{half}": np.dtype("u8") for end in ("initiator", "responder") for half in ("hi", "lo")},
    **{name: FLOW[name] for name in FLOW.names or () if name not in ("initiator", "responder", "network", "origin", "prefix", "more_row")},
}
# Columns that share a field: the field, the lowest bit, the bits.
_PACKED = {
    "vlan": ("network", 0, kinds.NETWORK_VLAN),
    "is_fragment": ("network", kinds.NETWORK_FRAGMENT.bit_length() - 1, 1),
    "initiator_basis": ("origin", 0, kinds.ORIGIN_BASIS),
    "from_responder": ("origin", kinds.ORIGIN_FROM_RESPONDER.bit_length() - 1, 1),
    "header_whole": ("origin", kinds.ORIGIN_HEADER_WHOLE.bit_length() - 1, 1),
}
_SECOND = {name: MORE[name] for name in MORE.names or ()}
# Of each: its word in a MORE row, the lowest bit there, how many bits.
_OFFSETS: Any = MORE.fields
_FIELDS = {name: (_OFFSETS[name][1] // 8, _OFFSETS[name][1] % 8 * 8, _SECOND[name].itemsize * 8) for name in _SECOND}
COLUMNS = tuple(_FIRST) + tuple(_SECOND)  # names of all columns of a flow
_CHUNK = 4096  # rows looked at together: the buffer stays in the cache


Numbers: TypeAlias = U32 | I64  # of flows


class FlowRows(NamedTuple):
    """The tables of flows (floodmark_core.columns) and where in them each flow stands."""

    rows: Rows  # FLOW
    more: Rows  # MORE, of the flows that have more than one packet
    addresses: Rows  # ADDRESSES, of those over IPv6
    place: U32  # row of each flow, in order of first packets


class Flows:
    """Finished flows in order of their first packets; a flow's number is its place in that order.

    clock_ns: capture clock at the last packet.
    """

    def __init__(self, tables: FlowRows, clock_ns: int, timeouts: I64, memory: Memory | None = None) -> None:
        self.tables = tables
        self.workers = Workers()  # one thread; a run with more puts its own here
        self.memory = memory or Memory()
        self._clock_ns = clock_ns
        self._timeouts = timeouts

    def __len__(self) -> int:
        """Return the number of flows."""
        return len(self.tables.place)

    @cached_property
    def _numbers(self) -> U32:
        """Number of the flow of each row."""
        numbers: U32 = self.memory.array(len(self.tables.rows), np.uint32)
        numbers[self.tables.place] = np.arange(len(self), dtype=np.uint32)
        return numbers

    @cached_property
    def initiator_hashes(self) -> U64:
        """Hash of each flow's initiator under the run's secret seed, odd."""
        hashes: U64 = self.memory.array(len(self), np.uint64)
        rows, _, addresses, place = self.tables
        parts = self.workers.parts(len(self))
        self.workers.each(lambda _, first, end: hash_initiators(SEED, rows, addresses, place, first, end, hashes), parts)
        return hashes

    def columns(self, index: Numbers, names: Iterable[str] = COLUMNS) -> dict[str, np.ndarray]:
        """Return several columns of some flows, by default every one: each flow is looked at once for all that several packets make."""
        wanted, index = tuple(names), np.ascontiguousarray(index, np.uint32)
        return {name: self._first(name, index) for name in wanted if name in _FIRST} | self._second(
            tuple(name for name in wanted if name not in _FIRST), index
        )

    def column(self, name: str, index: Numbers) -> np.ndarray:
        """Return a column of some flows, one of COLUMNS."""
        return self.columns(index, (name,))[name]

    def _second(self, names: tuple[str, ...], index: U32) -> dict[str, np.ndarray]:
        """Return columns of what all packets of some flows said; ``parent`` is the number of a flow."""
        if not names:
            return {}
        rows, more, _, place = self.tables
        fields = np.array([_FIELDS[name] for name in names], np.int64)
        scratch, found = np.zeros(1, MORE), {name: np.empty(len(index), _SECOND[name]) for name in names}
        for start in range(0, len(index), _CHUNK):
            part = index[start : start + _CHUNK]
            out = np.empty((len(names), len(part)), np.uint64)
            copy_fields(
                rows, more.view(np.uint64), part, place, self._clock_ns, self._timeouts, scratch, scratch.view(np.uint64), fields, out
            )
            for values, name in zip(out, names, strict=True):
                found[name][start : start + _CHUNK] = values.view(np.int64)
        if "parent" in found:
            continued = np.nonzero(found["parent"] >= 0)[0]
            if len(continued):
                found["parent"][continued] = self._numbers[found["parent"][continued]]
        return found

    def _first(self, name: str, index: U32) -> np.ndarray:
        """Return a column of what the first packets of some flows said."""
        rows, _, addresses, place = self.tables
        if name in ("initiator_hi", "initiator_lo", "responder_hi", "responder_lo"):
            hi, lo = np.empty(len(index), np.uint64), np.empty(len(index), np.uint64)
            copy_ends(rows, addresses, index, place, hi, lo, int(name.startswith("responder")))
            return hi if name.endswith("hi") else lo
        if name in _PACKED:
            packed, shift, bits = _PACKED[name]
            return (rows[packed][place[index]] >> shift & bits).astype(_FIRST[name])
        if name == "ip_version":
            return np.where(rows["network"][place[index]] & kinds.NETWORK_IPV6, 6, 4).astype(np.uint8)
        return rows[name][place[index]]

