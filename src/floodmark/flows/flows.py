"""The flows of a run as columns: one value per flow, whether it has one packet or many.

The tables keep a flow of one packet in one short row, see floodmark_core.columns; here every flow has every column.
"""

import secrets
from collections.abc import Iterable
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from floodmark.base.memory import Memory
from floodmark.base.workers import Workers
from floodmark_core import FLOW, MORE, kinds
from floodmark_core.columns import I64, U32, U64, FlowRows, MoreRows
from floodmark_core.flows.dialogue import copy_fields
from floodmark_core.flows.endpoints import copy_ends, copy_first_fields, copy_outer_ends
from floodmark_core.tables.ranking import hash_initiators

SEED = np.uint64(secrets.randbits(64))  # attackers choose the keys that are hashed; no result depends on the seed
_Field = tuple[int, int, int]  # word of a row, lowest bit in it, number of bits


def _fields_of(rows: np.dtype[np.void]) -> dict[str, _Field]:
    offsets: Any = rows.fields
    return {name: (offset // 8, offset % 8 * 8, kind.itemsize * 8) for name, (kind, offset) in offsets.items()}


def _part(field: _Field, bits: int) -> _Field:
    """Return the part of a field that a bit mask selects."""
    lowest = (bits & -bits).bit_length() - 1
    return field[0], field[1] + lowest, bits.bit_count()


_WHOLE = _fields_of(FLOW)
_NETWORK, _ORIGIN = _WHOLE.pop("network"), _WHOLE.pop("origin")
# Columns taken from a flow's first packet.
_FIRST: dict[str, tuple[np.dtype[Any], _Field]] = {
    "vlan": (np.dtype("u4"), _part(_NETWORK, kinds.NETWORK_VLAN)),  # VLAN id, or outer id << 12 | inner id; 0 untagged
    "ip_version": (np.dtype("u1"), _part(_NETWORK, kinds.NETWORK_IPV6)),
    "is_fragment": (np.dtype("u1"), _part(_NETWORK, kinds.NETWORK_FRAGMENT)),  # keyed by addresses and protocol only
    "tunnel": (np.dtype("u1"), _part(_NETWORK, kinds.NETWORK_TUNNEL)),  # kinds.py TUNNEL_ of the outermost tunnel, 0 none
    "outer_ipv6": (np.dtype("u1"), _part(_NETWORK, kinds.NETWORK_OUTER_IPV6)),  # that tunnel runs over IPv6
    "initiator_basis": (np.dtype("u1"), _part(_ORIGIN, kinds.ORIGIN_BASIS)),  # kinds.py BASIS_
    "from_responder": (np.dtype("u1"), _part(_ORIGIN, kinds.ORIGIN_FROM_RESPONDER)),  # the first packet seen was a reply
    "header_whole": (np.dtype("u1"), _part(_ORIGIN, kinds.ORIGIN_HEADER_WHOLE)),  # captured in full and plausible
    **{name: (FLOW[name], field) for name, field in _WHOLE.items() if name not in ("initiator", "responder", "prefix", "more_row")},
}
_ENDS = ("initiator_hi", "initiator_lo", "responder_hi", "responder_lo")
# Columns taken from all its packets.
_SECOND: dict[str, tuple[np.dtype[Any], _Field]] = {name: (MORE[name], field) for name, field in _fields_of(MORE).items()}
COLUMNS = (*_FIRST, *_ENDS, *_SECOND)  # names of all columns of a flow
_CHUNK = 2048  # rows processed at a time, so that the buffer stays in the cache
_APART = 8  # words of padding between its columns: a power of two apart, they would compete for the same few cache lines

Numbers: TypeAlias = U32 | I64  # of flows


def listed(numbers: Numbers) -> U32:
    """Return flow numbers, such as NumPy's index arrays, in the form that sets of flows use."""
    short: U32 = np.ascontiguousarray(numbers, np.uint32)
    return short


class Flows:
    """Finished flows in order of their first packets; a flow's number is its position in that order.

    clock_ns: capture clock at the last packet.
    """

    def __init__(self, tables: FlowRows, clock_ns: int, timeouts: I64, memory: Memory | None = None) -> None:
        self.tables = tables
        self.workers = Workers()  # one thread; a run with more threads replaces it
        self.memory = memory or Memory()
        self._clock_ns = clock_ns
        self._timeouts = timeouts

    def __len__(self) -> int:
        """Return the number of flows."""
        return len(self.tables.place)

    @cached_property
    def _numbers(self) -> U32:
        """Flow number of each row."""
        numbers: U32 = self.memory.array(len(self.tables.rows), np.uint32)
        numbers[self.tables.place] = np.arange(len(self), dtype=np.uint32)
        return numbers

    @cached_property
    def tunnelled(self) -> U32:
        """The tunnelled flows, in order."""
        if len(self.tables.addresses) == 0:
            return np.zeros(0, np.uint32)
        rows = np.nonzero(self.tables.rows["network"] & np.uint32(kinds.NETWORK_TUNNEL))[0]
        return np.sort(self._numbers[rows])

    @cached_property
    def initiator_hashes(self) -> U64:
        """Hash of each flow's initiator under the run's secret seed, odd."""
        hashes: U64 = self.memory.array(len(self), np.uint64)
        parts = self.workers.parts(len(self))
        self.workers.each(lambda part: hash_initiators(SEED, self.tables, part.first, part.end, hashes), parts)
        return hashes

    def columns(self, index: Numbers, names: Iterable[str] = COLUMNS) -> dict[str, np.ndarray]:
        """Return several columns of some flows, by default all: each flow is read once for all columns of the same table."""
        wanted = tuple(names)
        at = self.tables.place[index]
        found = {name: np.empty(len(at), (_FIRST.get(name) or _SECOND[name])[0]) for name in wanted if name not in _ENDS}
        for start in range(0, len(at), _CHUNK):
            part = slice(start, start + _CHUNK)
            for columns, copy in ((_FIRST, self._copy_first), (_SECOND, self._copy_second)):
                names = [name for name in found if name in columns]
                if names:
                    out = np.empty((len(names), len(at[part]) + _APART), np.uint64)
                    copy(at[part], np.array([columns[name][1] for name in names], np.int64), out)
                    for values, name in zip(out, names, strict=True):
                        found[name][part] = values[:-_APART].view(np.int64)
        if "ip_version" in found:
            found["ip_version"] = 4 + 2 * found["ip_version"]
        if "parent" in found:
            continued = np.nonzero(found["parent"] >= 0)[0]
            if len(continued):
                found["parent"][continued] = self._numbers[found["parent"][continued]]
        for end in ("initiator", "responder"):
            if f"{end}_hi" in wanted or f"{end}_lo" in wanted:
                found[f"{end}_hi"], found[f"{end}_lo"] = self._ends(at, responder=end == "responder")
        return found

    def column(self, name: str, index: Numbers) -> np.ndarray:
        """Return a column of some flows, one of COLUMNS."""
        return self.columns(index, (name,))[name]

    def _copy_first(self, at: U32, fields: I64, out: U64) -> None:
        """Copy fields of some FLOW rows."""
        copy_first_fields(self.tables.rows.view(np.uint64), at, fields, out)

    def _copy_second(self, at: U32, fields: I64, out: U64) -> None:
        """Copy fields of the MORE rows of the flows in some rows."""
        more, scratch = (MoreRows(rows=rows, words=rows.view(np.uint64)) for rows in (self.tables.more, np.zeros(1, MORE)))
        copy_fields(self.tables.rows, more, at, self._clock_ns, self._timeouts, scratch, fields, out)

    def outer_ends(self, index: Numbers) -> U64:
        """Return the tunnel endpoints of some flows: uint64[4, n], high and low halves, initiator's side and responder's side.

        They are taken from a flow's first packet; zero if there is no tunnel.
        """
        at = self.tables.place[index]
        ends: U64 = np.zeros((4, len(at)), np.uint64)
        copy_outer_ends(self.tables.rows, self.tables.addresses, at, ends)
        return ends

    def _ends(self, at: U32, *, responder: bool) -> tuple[U64, U64]:
        """Return the addresses of one end of the flows in some rows: high and low halves."""
        hi, lo = np.empty(len(at), np.uint64), np.empty(len(at), np.uint64)
        copy_ends(self.tables.rows, self.tables.addresses, at, hi, lo, int(responder))
        return hi, lo
