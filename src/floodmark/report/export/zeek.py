"""Write flows as Zeek's conn.log, in the format of Zeek 7.1, with verdict, vector, event and confidence appended as columns.

The letters of history are in a fixed order, not in that of the packets; a service is identified by its first payload.
"""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from floodmark.base.writing import packed
from floodmark.report.export.lines import bytes_of, joined, text_of
from floodmark.result.result import FlowRecords
from floodmark.vocabulary.vectors import PROTOCOL_RECORDS
from floodmark_core.protocols import TCP, UDP

_FIELDS = (
    ("ts", "time"), ("uid", "string"), ("id.orig_h", "addr"), ("id.orig_p", "port"), ("id.resp_h", "addr"), ("id.resp_p", "port"),
    ("proto", "enum"), ("service", "string"), ("duration", "interval"), ("orig_bytes", "count"), ("resp_bytes", "count"),
    ("conn_state", "string"), ("local_orig", "bool"), ("local_resp", "bool"), ("missed_bytes", "count"), ("history", "string"),
    ("orig_pkts", "count"), ("orig_ip_bytes", "count"), ("resp_pkts", "count"), ("resp_ip_bytes", "count"),
    ("tunnel_parents", "set[string]"), ("ip_proto", "count"),
    ("verdict", "string"), ("vector", "string"), ("event_id", "count"), ("confidence", "double"),
)  # fmt: skip
_ASSET = (("asset", "string"),)  # if flows are grouped by asset
_UNSET = "-"
_FIN, _SYN, _RST, _PSH, _ACK = 1, 2, 4, 8, 16
_DIGITS = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", np.uint8)
_UID_DIGITS = 11  # of base 62: as many as 64 bits need
_SERVICES = {protocol.title: protocol.zeek for protocol in PROTOCOL_RECORDS.values() if protocol.zeek}


def write_zeek(path: str, flows: FlowRecords) -> None:
    """Write flows as Zeek's log readers expect them. Raises OutputError."""
    fields = (*_FIELDS, *(_ASSET if "asset" in flows.schema.names else ()))
    with packed(path) as file:
        file.write(_head(fields))
        for batch in flows.batches():
            file.write(bytes_of(_lines(batch, fields)))
        file.write(f"#close\t{_stamp()}\n".encode())


def _stamp() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d-%H-%M-%S}"


def _head(fields: tuple[tuple[str, str], ...]) -> bytes:
    names, kinds = ("\t".join(parts) for parts in zip(*fields, strict=True))
    lines = (
        "#separator \\x09", "#set_separator\t,", "#empty_field\t(empty)", f"#unset_field\t{_UNSET}", "#path\tconn", f"#open\t{_stamp()}",
        f"#fields\t{names}", f"#types\t{kinds}",
    )  # fmt: skip
    return "".join(f"{line}\n" for line in lines).encode()


def _lines(batch: pa.RecordBatch, fields: tuple[tuple[str, str], ...]) -> pa.Array:
    columns = _columns(batch)
    parts: list[pa.Array | str] = []
    for place, (name, _) in enumerate(fields):
        parts += ["\t"] if place else []
        column = columns.get(name, _UNSET)
        parts.append(column if isinstance(column, str) else pc.fill_null(text_of(column), _UNSET))
    return joined(*parts)


def _columns(batch: pa.RecordBatch) -> dict[str, pa.Array | str]:
    seen = {name: batch.column(name) for name in batch.schema.names}
    began, ended = (seen[name].to_numpy() for name in ("first_seen_ns", "last_seen_ns"))
    lasted = ended > began
    protocol = seen["protocol"].to_numpy()
    state, history = _dialogue(seen, protocol)
    names = np.array(["unknown_transport"] * 256, object)
    names[[6, 17, 1, 58]] = ["tcp", "udp", "icmp", "icmp"]
    return {
        "ts": _seconds(began),
        "uid": _uids(seen["flow_id"].to_numpy(), began),
        "id.orig_h": seen["initiator"],
        "id.orig_p": pc.coalesce(seen["initiator_port"], pc.cast(seen["icmp_type"], pa.uint16()), pa.scalar(0, pa.uint16())),
        "id.resp_h": seen["responder"],
        "id.resp_p": pc.coalesce(seen["responder_port"], pa.scalar(0, pa.uint16())),
        "proto": pa.array(names[protocol]),
        "service": _service(seen),
        "duration": _known(_seconds(ended - began), lasted),
        "orig_bytes": _known(seen["initiator_payload_octets"], lasted),
        "resp_bytes": _known(seen["responder_payload_octets"], lasted),
        "conn_state": state,
        "missed_bytes": "0",
        "history": history,
        "orig_pkts": seen["initiator_packets"],
        "orig_ip_bytes": seen["initiator_octets"],
        "resp_pkts": seen["responder_packets"],
        "resp_ip_bytes": seen["responder_octets"],
        "ip_proto": seen["protocol"],
        "verdict": seen["verdict"],
        "vector": seen["vector"],
        "event_id": seen["event_id"],
        "confidence": seen["confidence"],
        **({"asset": seen["asset"]} if "asset" in seen else {}),
    }


def _known(values: pa.Array, known: np.ndarray) -> pa.Array:
    return pc.if_else(pa.array(known), values, pa.scalar(None, values.type))


def _seconds(times_ns: np.ndarray) -> pa.Array:
    """Return nanoseconds as seconds with six decimals."""
    micro = times_ns // 1000
    whole, rest = pc.cast(pa.array(micro // 1_000_000), pa.string()), pc.cast(pa.array(micro % 1_000_000), pa.string())
    return joined(whole, ".", pc.utf8_lpad(rest, 6, "0"))


def _uids(numbers: np.ndarray, began: np.ndarray) -> pa.Array:
    """Return an identifier of each flow: the same for the same captures, different for others."""
    mixed = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) ^ began.astype(np.uint64)
    digits = np.empty((len(mixed), _UID_DIGITS + 1), np.uint8)
    digits[:, 0] = ord("C")
    for place in range(_UID_DIGITS):
        digits[:, place + 1] = _DIGITS[mixed % np.uint64(62)]
        mixed //= np.uint64(62)
    return pc.cast(pa.array(np.ascontiguousarray(digits).view(f"S{_UID_DIGITS + 1}")[:, 0]), pa.string())


def _service(seen: dict[str, pa.Array]) -> pa.Array:
    """Return the service of the first payload of either side, null if it is unknown."""
    found = None
    for end in ("initiator", "responder"):
        kinds = seen[f"{end}_payload_kind"]
        words = [name.rsplit(" ", 1)[0] for name in kinds.dictionary.to_pylist()]
        known = pa.array([_SERVICES.get(word) for word in words], pa.string())
        named = known.take(kinds.indices)
        found = named if found is None else pc.coalesce(found, named)
    return found


def _dialogue(seen: dict[str, pa.Array], protocol: np.ndarray) -> tuple[pa.Array, pa.Array]:
    """Return conn_state and history of flows, by the flags that either side set (Zeek, conn/main.zeek)."""
    sent, got = (seen[f"{end}_packets"].to_numpy() > 0 for end in ("initiator", "responder"))
    said, heard = (seen[f"{end}_payload_octets"].to_numpy() > 0 for end in ("initiator", "responder"))
    orig, resp = (pc.fill_null(seen[f"tcp_flags_{end}"], 0).to_numpy() for end in ("initiator", "responder"))
    is_tcp, is_udp = protocol == TCP, protocol == UDP
    opened, accepted = orig & _SYN > 0, resp & _SYN > 0
    state = np.full(len(protocol), "OTH", object)
    both = is_tcp & opened & accepted
    for mask, name in (
        (both, "S1"), (both & (resp & _FIN > 0), "S3"), (both & (orig & _FIN > 0), "S2"), (both & (orig & resp & _FIN > 0), "SF"),
        (both & (resp & _RST > 0), "RSTR"), (both & (orig & _RST > 0), "RSTO"),
        (is_tcp & opened & ~got, "S0"), (is_tcp & opened & ~accepted & (orig & _FIN > 0), "SH"),
        (is_tcp & opened & ~accepted & (orig & _RST > 0), "RSTOS0"), (is_tcp & opened & ~accepted & (resp & _RST > 0), "REJ"),
        (is_tcp & ~opened & accepted & (resp & _FIN > 0), "SHR"), (is_tcp & ~opened & accepted & (resp & _RST > 0), "RSTRH"),
        (is_udp & sent & got, "SF"), (is_udp & sent & ~got, "S0"), (is_udp & ~sent & got, "SHR"),
    ):  # fmt: skip
        state[mask] = name
    history = np.full(len(protocol), "", object)
    for mask, letter in (
        (is_tcp & opened, "S"), (is_tcp & accepted, "h"), (is_tcp & (orig & (_ACK | _SYN | _RST) == _ACK) | both, "A"),
        ((is_tcp | is_udp) & said, "D"), (is_tcp & (resp & (_ACK | _SYN | _RST) == _ACK) | (both & heard), "a"),
        ((is_tcp | is_udp) & heard, "d"), (is_tcp & (orig & _FIN > 0), "F"), (is_tcp & (resp & _FIN > 0), "f"),
        (is_tcp & (orig & _RST > 0), "R"), (is_tcp & (resp & _RST > 0), "r"),
    ):  # fmt: skip
        history[mask] += letter
    history[history == ""] = None
    return pa.array(state), pa.array(history, pa.string())
