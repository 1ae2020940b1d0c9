"""Flows and their labels in, Arrow out: one row per flow in the columns of DESIGN.md (Flows), batch by batch.

Addresses are text. What a protocol does not have is null: ports of ICMP, TCP's columns of UDP.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from floodmark.events import Judged
from floodmark.flows import Flows
from floodmark.payloads import payload_name
from floodmark.terms import END_REASONS, INITIATOR_BASES, ORDINARY, VECTORS, Verdict
from floodmark_core.columns import U8, U64
from floodmark_core.payload import PROTOCOLS
from floodmark_core.text import LONGEST, write_addresses

BATCH_ROWS = 1 << 17
_WITH_PORTS = (6, 17, 33, 132, 136)  # TCP, UDP, DCCP, SCTP, UDP-Lite
_ICMP = (1, 58)

_VERDICTS = tuple(str(verdict) for verdict in Verdict)
_VECTOR_NAMES = (ORDINARY, *VECTORS)
_KIND_NAMES = tuple(payload_name(code) for code in range(2 * PROTOCOLS))


def _words(names: tuple[str, ...]) -> pa.DictionaryType:
    return pa.dictionary(pa.int8() if len(names) <= 128 else pa.int16(), pa.string())


SCHEMA = pa.schema(
    [
        pa.field("flow_id", pa.int64(), nullable=False),
        pa.field("initiator", pa.string(), nullable=False),
        pa.field("responder", pa.string(), nullable=False),
        pa.field("initiator_port", pa.uint16()),
        pa.field("responder_port", pa.uint16()),
        pa.field("protocol", pa.uint8(), nullable=False),
        pa.field("vlan", pa.uint16()),
        pa.field("inner_vlan", pa.uint16()),
        pa.field("tunnel", pa.string()),
        pa.field("first_seen_ns", pa.int64(), nullable=False),
        pa.field("last_seen_ns", pa.int64(), nullable=False),
        pa.field("initiator_packets", pa.uint64(), nullable=False),
        pa.field("responder_packets", pa.uint64(), nullable=False),
        pa.field("initiator_octets", pa.uint64(), nullable=False),
        pa.field("responder_octets", pa.uint64(), nullable=False),
        pa.field("tcp_flags_initiator", pa.uint8()),
        pa.field("tcp_flags_responder", pa.uint8()),
        pa.field("ttl_min", pa.uint8(), nullable=False),
        pa.field("ttl_max", pa.uint8(), nullable=False),
        pa.field("end_reason", _words(END_REASONS), nullable=False),
        pa.field("initiator_basis", _words(INITIATOR_BASES), nullable=False),
        pa.field("verdict", _words(_VERDICTS), nullable=False),
        pa.field("vector", _words(_VECTOR_NAMES), nullable=False),
        pa.field("event_id", pa.int32()),
        pa.field("confidence", pa.float32()),
        pa.field("parent", pa.int64()),
        pa.field("is_fragment", pa.bool_(), nullable=False),
        pa.field("icmp_type", pa.uint8()),
        pa.field("initiator_payload_octets", pa.uint64(), nullable=False),
        pa.field("responder_payload_octets", pa.uint64(), nullable=False),
        pa.field("initiator_payload_kind", _words(_KIND_NAMES), nullable=False),
        pa.field("responder_payload_kind", _words(_KIND_NAMES), nullable=False),
        pa.field("max_gap_ns", pa.int64(), nullable=False),
        pa.field("syn_packets", pa.uint32()),
        pa.field("rst_packets", pa.uint32()),
        pa.field("post_close_packets", pa.uint32()),
        pa.field("incoherent_packets", pa.uint32()),
        pa.field("requests", pa.uint32()),
        pa.field("responses", pa.uint32()),
        pa.field("error_responses", pa.uint32()),
    ]
)


def batches(flows: Flows, judged: Judged, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """Yield the flows in order of their first packets, ``rows`` at a time."""
    for start in range(0, len(flows), rows):
        yield _batch(flows, judged, np.arange(start, min(start + rows, len(flows)), dtype=np.int64))


def _addresses(hi: U64, lo: U64, version: U8) -> pa.Array:
    offsets, octets = np.empty(len(lo) + 1, np.int32), np.empty(LONGEST * len(lo), np.uint8)
    used = write_addresses(hi, lo, version, offsets, octets)
    return pa.StringArray.from_buffers(len(lo), pa.py_buffer(offsets), pa.py_buffer(octets[:used].copy()))


def _coded(codes: np.ndarray, names: tuple[str, ...]) -> pa.DictionaryArray:
    kind = _words(names).index_type.to_pandas_dtype()
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(kind)), pa.array(names))


def _labels(judged: Judged, event_of: np.ndarray) -> dict[str, pa.Array]:
    """Return verdict, vector, event and confidence of some flows; the last entry of each list is for those without an event."""
    events = judged.events
    verdicts = np.array([*(_VERDICTS.index(event.verdict) for event in events), _VERDICTS.index(Verdict.BENIGN)])
    vectors = np.array([*(_VECTOR_NAMES.index(event.vector) for event in events), 0])
    confidences = np.array([*(event.confidence for event in events), 0.0], np.float32)
    return {
        "verdict": _coded(verdicts[event_of], _VERDICTS),
        "vector": _coded(vectors[event_of], _VECTOR_NAMES),
        "event_id": pa.array(event_of + 1, pa.int32(), mask=event_of < 0),
        "confidence": pa.array(confidences[event_of], mask=event_of < 0),
    }


def _batch(flows: Flows, judged: Judged, index: np.ndarray) -> pa.RecordBatch:
    first, more = flows.rows[index], flows.complete(index)
    protocol, is_fragment = first["protocol"], first["is_fragment"] > 0
    has_ports = np.isin(protocol, _WITH_PORTS) & ~is_fragment
    is_tcp = (protocol == 6) & ~is_fragment
    version, tag = first["ip_version"].copy(), first["vlan"]
    columns: dict[str, pa.Array] = {
        "flow_id": pa.array(index),
        "initiator": _addresses(first["initiator_hi"].copy(), first["initiator_lo"].copy(), version),
        "responder": _addresses(first["responder_hi"].copy(), first["responder_lo"].copy(), version),
        "initiator_port": pa.array(first["initiator_port"], mask=~has_ports),
        "responder_port": pa.array(first["responder_port"], mask=~has_ports),
        "vlan": pa.array(np.where(tag >> 12, tag >> 12, tag).astype(np.uint16), mask=tag == 0),
        "inner_vlan": pa.array((tag & 0xFFF).astype(np.uint16), mask=tag >> 12 == 0),
        "tunnel": pa.nulls(len(index), pa.string()),
        "end_reason": _coded(more["end_reason"], END_REASONS),
        "initiator_basis": _coded(first["initiator_basis"], INITIATOR_BASES),
        "parent": pa.array(more["parent"], mask=more["parent"] < 0),
        "is_fragment": pa.array(is_fragment),
        "icmp_type": pa.array(first["flags"], mask=~np.isin(protocol, _ICMP) | is_fragment),
        "initiator_payload_kind": _coded(more["initiator_payload_kind"], _KIND_NAMES),
        "responder_payload_kind": _coded(more["responder_payload_kind"], _KIND_NAMES),
        **_labels(judged, judged.event_of[index]),
    }
    for field in SCHEMA:
        if field.name not in columns:  # the rest stands in the tables under its own name; where it may be null, it is TCP's
            values = first[field.name] if field.name in (first.dtype.names or ()) else more[field.name]
            columns[field.name] = pa.array(values, mask=~is_tcp if field.nullable else None)
    return pa.RecordBatch.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)
