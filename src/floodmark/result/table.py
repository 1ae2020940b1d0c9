"""Convert flows and their labels to Arrow: one row per flow in the columns of DESIGN.md (Flows), batch by batch.

Addresses are text. Columns that do not apply to a protocol are null: ports for ICMP, TCP columns for UDP.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from floodmark.events.events import Judged
from floodmark.flows.flows import Flows
from floodmark.vocabulary.payloads import payload_name
from floodmark.vocabulary.terms import END_REASONS, INITIATOR_BASES, TUNNELS, WITH_PORTS
from floodmark.vocabulary.vectors import BENIGN_VECTORS, ORDINARY, VECTORS, Verdict
from floodmark_core.columns import U8, U64
from floodmark_core.flows.payload import PROTOCOLS
from floodmark_core.protocols import TCP
from floodmark_core.tables.text import LONGEST, write_addresses

_NUMBERS = np.arange(256)
_HAS_PORTS = np.isin(_NUMBERS, WITH_PORTS)  # indexed by IP protocol
_IS_ICMP = np.isin(_NUMBERS, (1, 58))

_VERDICTS = tuple(str(verdict) for verdict in Verdict)
_VECTOR_NAMES = (ORDINARY, *VECTORS, *BENIGN_VECTORS[1:])
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
        pa.field("tunnel", _words(TUNNELS)),
        pa.field("outer_initiator", pa.string()),
        pa.field("outer_responder", pa.string()),
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

# What each column means.
ABOUT = {
    "flow_id": "number of the flow in order of first packets, from 0",
    "initiator": "address of the side that started the flow; RFC 5952 format for IPv6",
    "responder": "address of the other side",
    "initiator_port": "port of the initiator; null where the protocol has none",
    "responder_port": "port of the responder",
    "protocol": "IP protocol number",
    "vlan": "VLAN id of the outermost tag",
    "inner_vlan": "VLAN id of the second tag",
    "tunnel": "outermost tunnel that carried the flow",
    "outer_initiator": "tunnel endpoint on the initiator's side",
    "outer_responder": "tunnel endpoint on the responder's side",
    "first_seen_ns": "time of the first packet, nanoseconds since the epoch",
    "last_seen_ns": "time of the last packet, nanoseconds since the epoch",
    "initiator_packets": "packets sent by the initiator",
    "responder_packets": "packets sent by the responder",
    "initiator_octets": "IP bytes sent by the initiator",
    "responder_octets": "IP bytes sent by the responder",
    "tcp_flags_initiator": "union of the TCP flags set by the initiator",
    "tcp_flags_responder": "union of the TCP flags set by the responder",
    "ttl_min": "smallest TTL or hop limit of any packet",
    "ttl_max": "largest TTL or hop limit of any packet",
    "end_reason": f"why the flow ended: {', '.join(END_REASONS)}",
    "initiator_basis": f"how the initiator was determined: {', '.join(INITIATOR_BASES)}",
    "verdict": "volumetric, application-layer or benign",
    "vector": f"attack vector; for benign flows: {', '.join(BENIGN_VECTORS)}",
    "event_id": "event that the flow belongs to",
    "confidence": "confidence of that event, 0 to 1",
    "parent": "flow that this one continues after a time-out",
    "is_fragment": "true for later fragments whose first fragment was not seen",
    "icmp_type": "type of the first ICMP message",
    "initiator_payload_octets": "bytes of transport payload sent by the initiator",
    "responder_payload_octets": "bytes of transport payload sent by the responder",
    "initiator_payload_kind": "type of the initiator's first payload",
    "responder_payload_kind": "type of the responder's first payload",
    "max_gap_ns": "longest silence inside the flow, nanoseconds",
    "syn_packets": "packets with SYN",
    "rst_packets": "packets with RST",
    "post_close_packets": "packets after the connection ended",
    "incoherent_packets": "packets whose sequence number is more than 1 MiB away from the current position of their direction",
    "requests": "HTTP, HTTP/2 and SIP requests",
    "responses": "responses to these requests",
    "error_responses": "responses with status 4xx and 5xx",
}


def batches(flows: Flows, judged: Judged, rows: int, index: np.ndarray | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the flows in order of their first packets, ``rows`` at a time. index: int64, numbers of the wanted flows, by default all."""
    count = len(flows) if index is None else len(index)
    for start in range(0, count, rows):
        end = min(start + rows, count)
        yield batch_of(flows, judged, np.arange(start, end, dtype=np.int64) if index is None else index[start:end])


def _addresses(hi: U64, lo: U64, version: U8) -> pa.Array:
    offsets, nbytes = np.empty(len(lo) + 1, np.int32), np.empty(LONGEST * len(lo), np.uint8)
    used = write_addresses(hi, lo, version, offsets, nbytes)
    return pa.StringArray.from_buffers(len(lo), pa.py_buffer(offsets), pa.py_buffer(nbytes[:used].copy()))


def _valid(mask: np.ndarray) -> pa.Buffer:
    """Return a validity bitmap, which several columns may share. mask: bool, true for valid values."""
    return pa.py_buffer(np.packbits(mask, bitorder="little"))


def _column(kind: pa.DataType, values: np.ndarray, valid: pa.Buffer | None = None) -> pa.Array:
    """Return a column of numbers without visiting each of them."""
    data = np.ascontiguousarray(values, kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(data)])


def _coded(codes: np.ndarray, names: tuple[str, ...]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(_column(_words(names).index_type, codes), pa.array(names))


def _tunnels(flows: Flows, index: np.ndarray, tunnel: U8, outer_ipv6: U8) -> dict[str, pa.Array]:
    """Return the tunnels of some flows, and their endpoints."""
    if not tunnel.any():
        nothing = pa.nulls(len(index), pa.string())
        return {"tunnel": pa.nulls(len(index), _words(TUNNELS)), "outer_initiator": nothing, "outer_responder": nothing}
    ends, inside = flows.outer_ends(index), _valid(tunnel > 0)
    version = np.where(outer_ipv6, 6, 4).astype(np.uint8)

    def addresses(hi: U64, lo: U64) -> pa.Array:
        text = _addresses(hi, lo, version)
        return pa.StringArray.from_buffers(len(text), *text.buffers()[1:], inside)

    codes = _column(_words(TUNNELS).index_type, np.where(tunnel > 0, tunnel - 1, 0), inside)
    return {
        "tunnel": pa.DictionaryArray.from_arrays(codes, pa.array(TUNNELS)),
        "outer_initiator": addresses(ends[0], ends[1]),
        "outer_responder": addresses(ends[2], ends[3]),
    }


def _labels(judged: Judged, event_of: np.ndarray) -> dict[str, pa.Array]:
    """Return verdict, vector, event and confidence of some flows; the last entries of each list are for flows without an event."""
    events = judged.events
    benign = [_VERDICTS.index(Verdict.BENIGN)] * len(BENIGN_VECTORS)
    verdicts = np.array([*(_VERDICTS.index(event.verdict) for event in events), *benign])
    vectors = np.array([_VECTOR_NAMES.index(name) for name in (*(event.vector for event in events), *reversed(BENIGN_VECTORS))])
    confidences = np.array([*(event.confidence for event in events), *[0.0] * len(BENIGN_VECTORS)], np.float32)
    attacking = _valid(event_of >= 0)
    return {
        "verdict": _coded(verdicts[event_of], _VERDICTS),
        "vector": _coded(vectors[event_of], _VECTOR_NAMES),
        "event_id": _column(pa.int32(), event_of + 1, attacking),
        "confidence": _column(pa.float32(), confidences[event_of], attacking),
    }


def batch_of(flows: Flows, judged: Judged, index: np.ndarray) -> pa.RecordBatch:
    """Return some flows as a batch. index: int64, their numbers."""
    found = flows.columns(index)
    protocol, is_fragment = found["protocol"], found["is_fragment"] > 0
    ports, is_tcp = _valid(_HAS_PORTS[protocol] & ~is_fragment), _valid((protocol == TCP) & ~is_fragment)
    version, tag = found["ip_version"], found["vlan"]
    columns: dict[str, pa.Array] = {
        "flow_id": pa.array(index),
        "initiator": _addresses(found["initiator_hi"], found["initiator_lo"], version),
        "responder": _addresses(found["responder_hi"], found["responder_lo"], version),
        "initiator_port": _column(pa.uint16(), found["initiator_port"], ports),
        "responder_port": _column(pa.uint16(), found["responder_port"], ports),
        "vlan": _column(pa.uint16(), np.where(tag >> 12, tag >> 12, tag), _valid(tag > 0)),
        "inner_vlan": _column(pa.uint16(), tag & 0xFFF, _valid(tag >> 12 > 0)),
        **_tunnels(flows, index, found["tunnel"], found["outer_ipv6"]),
        "end_reason": _coded(found["end_reason"], END_REASONS),
        "initiator_basis": _coded(found["initiator_basis"], INITIATOR_BASES),
        "parent": _column(pa.int64(), found["parent"], _valid(found["parent"] >= 0)),
        "is_fragment": pa.array(is_fragment),
        "icmp_type": _column(pa.uint8(), found["flags"], _valid(_IS_ICMP[protocol] & ~is_fragment)),
        "initiator_payload_kind": _coded(found["initiator_payload_kind"], _KIND_NAMES),
        "responder_payload_kind": _coded(found["responder_payload_kind"], _KIND_NAMES),
        **_labels(judged, judged.event_of[index]),
    }
    for field in SCHEMA:
        if field.name not in columns:  # the tables hold the rest under the same names; nullable ones are TCP's
            columns[field.name] = _column(field.type, found[field.name], is_tcp if field.nullable else None)
    return pa.RecordBatch.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)
