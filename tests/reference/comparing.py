"""Compare `floodmark.flows.metering` with the oracles on the same captures, with both results converted to plain values.

The only module here that knows the core's arrays and column names.
"""

import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from floodmark.base.workers import Workers
from floodmark.captures import reading
from floodmark.captures.settings import FlowSettings
from floodmark.captures.source import source_of
from floodmark.errors import CaptureError
from floodmark.flows import metering
from floodmark.flows.arrivals import Arrivals
from floodmark.vocabulary.services import service_ports
from floodmark_core import (
    kinds,
    new_headers,
    new_interfaces,
    new_records,
    new_tally,
    status,
)
from floodmark_core.columns import Rows
from floodmark_core.flows import payload
from floodmark_core.packets.decode import decode_batch
from floodmark_core.packets.fragments import new_fragments
from floodmark_core.records.framing import LAST_TIME_NS, frame_batch
from floodmark_core.records.timeline import CLOCK_SIZE, advance_clock
from reference.arrivals import Arrived, Destination, arrivals
from reference.decode import TIED_FRAGMENT, Fragments, Outcome, Packet, decode
from reference.dialogue import Flow, Side, Stage
from reference.flows import meter
from reference.framing import NotACaptureError, Remarks, frames
from reference.timeline import CaptureClock
from reference.tunnels import DEPTH

Row: TypeAlias = dict[str, Any]
Columns: TypeAlias = dict[str, np.ndarray[Any, Any]]

WORD = 2**64 - 1
STAGES = sum(Stage)
RANKS: Sequence[int] = service_ports().tolist()
REMARKS = {name.removeprefix("REMARK_"): code for name, code in vars(status).items() if name.startswith("REMARK_")}
# Recognised payloads and hashes have no oracle.
NOT_COMPARED = {
    "initiator_payload_kind",
    "responder_payload_kind",
    "payload_kind",
    "path_hash",
    "query_hash",
    "varied_requests",
    "resets",
    "continuations",
    "tcp_options",
}

DEFAULTS = FlowSettings()
ARRIVAL_KEY = ("hi", "lo", "ip_version", "kind", "tenth")


@dataclass
class Answer:
    """Results for captures read one after the other."""

    captures: list[Row] = field(default_factory=list)
    flows: list[Row] = field(default_factory=list)
    arrivals: list[Row] = field(default_factory=list)


def side_columns(name: str, side: Side) -> Row:
    """Return what one end sent under the core's column names."""
    return {
        f"{name}_hi": side.address >> 64,
        f"{name}_lo": side.address & WORD,
        f"{name}_port": side.port,
        f"{name}_packets": side.packets,
        f"{name}_octets": side.nbytes,
        f"{name}_payload_packets": side.payload_packets,
        f"{name}_payload_octets": side.payload_octets,
        f"{name}_prefix": Kept(side.first_payload),
        f"{name}_next_seq": side.next_seq or 0,
        f"tcp_flags_{name}": side.tcp_flags,
        f"window_shift_{name}": 0 if side.window_shift is None else side.window_shift + 1,
    }


def fnv(nbytes: bytes) -> int:
    """Hash bytes (FNV-1a, 32 bits)."""
    value = 0x811C9DC5
    for byte in nbytes:
        value = (value ^ byte) * 0x01000193 % 2**32
    return value


def name_word(payload: bytes) -> int:
    """Hash the name of a DNS query, without its first label and whole, as far as it was captured."""
    labels: list[bytes] = []
    rest = payload[12 : 12 + 255]
    while rest and 0 < rest[0] < 64:
        labels.append(rest[:1] + rest[1 : 1 + rest[0]].lower())
        rest = rest[1 + rest[0] :]
    whole, parent = fnv(b"".join(labels)), fnv(b"".join(labels[1:]))
    if len(labels) < 2 or labels[-1][-4:] == b"arpa":
        parent = whole
    first = labels[0][1:] if labels else b""
    kinds_of = ["digit" if 48 <= byte < 58 else "letter" if 97 <= byte | 32 < 123 else "" for byte in first]
    turns = sum(bool(one and two and one != two) for one, two in pairwise(kinds_of))
    consonants = re.findall(rb"[bcdfghjklmnpqrstvwxz]+", first)
    random = len(first) >= 6 and (turns >= 2 or any(len(run) >= 5 for run in consonants) or re.search(rb"[0-9]{6}", first) is not None)
    return (parent & ~1 | random) << 32 | whole


class Kept:
    """What is kept of a first payload: its first eight bytes, or a protocol-specific word if the core recognises the protocol."""

    def __init__(self, payload: bytes) -> None:
        self.words = {
            "": int.from_bytes(payload[:8].ljust(8, b"\0"), "big"),
            "name": name_word(payload),
            "answer": int.from_bytes((payload[2:4] + payload[6:8].ljust(2, b"\0"))[:4].ljust(4, b"\0"), "big") << 32
            | name_word(payload) & 0xFFFFFFFF,
            "status": int.from_bytes(payload[8:16].ljust(8, b"\0"), "big"),
        }

    def __eq__(self, other: object) -> bool:
        """Compare with what the core kept: (what, word)."""
        return isinstance(other, tuple) and self.words[other[0]] == other[1]

    __hash__ = None  # type: ignore[assignment] # nothing to look up

    def __repr__(self) -> str:
        """Show all words."""
        return str(self.words)


KEPT_OF = {2 * payload.DNS: "name", 2 * payload.DNS + 1: "answer", 2 * payload.SIP + 1: "status"}


def first_columns(flow: Flow) -> Row:
    """Return what the oracle's flow keeps of its first packet under the core's column names."""
    packet, tcp = flow.first, flow.first.transport.tcp
    shift = tcp.window_shift if tcp else None
    return {
        "vlan": packet.vlan,
        "protocol": packet.protocol,
        "ip_version": packet.ip_version,
        "is_fragment": int(flow.is_fragment),
        "initiator_basis": getattr(kinds, f"BASIS_{flow.basis.name}"),
        "from_responder": int(flow.from_responder),
        "header_whole": int(packet.outcome == Outcome.IN_FLOW and packet.fragment != TIED_FRAGMENT),
        "start_clock_ns": packet.clock_ns,
        "octets": packet.ip_bytes,
        "payload_octets": 0 if flow.is_fragment else packet.transport.payload_octets,
        "ttl": packet.ttl,
        "flags": tcp.flags if tcp else packet.transport.icmp_type,
        "tcp_seq": tcp.seq if tcp else 0,
        "tcp_window": tcp.window if tcp else 0,
        "window_shift": 0 if shift is None else shift + 1,
    }


def flow_columns(flow: Flow) -> Row:
    """Return one of the oracle's flows under the core's column names."""
    own = {
        "end_reason": getattr(kinds, f"END_{flow.end.name}"),
        "ttl_min": min(flow.ttls),
        "ttl_max": max(flow.ttls),
        "stage": sum(getattr(kinds, f"STAGE_{stage.name}") for stage in Stage if stage in flow.stage),
        "first_seen_ns": flow.first_seen_ns,
        "last_seen_ns": flow.last_seen_ns,
        "last_clock_ns": flow.last_clock_ns,
        "max_gap_ns": flow.max_gap_ns,
        "parent": flow.parent,
        "initiator_isn": flow.isn,
        "syn_packets": flow.syn_packets,
        "rst_packets": flow.rst_packets,
        "post_close_packets": flow.post_close_packets,
        "incoherent_packets": flow.incoherent_packets,
        "initiator_small_packets": flow.initiator.small_packets,
        "small_window_packets": flow.small_window_packets,
        "requests": flow.requests,
        "same_path_requests": flow.same_path_requests,
        "responses": flow.responses,
        "error_responses": flow.error_responses,
        "denied_responses": flow.denied_responses,
    }
    outer = flow.first.outer
    own |= {"tunnel": flow.first.tunnel, "outer_ipv6": int(outer is not None and outer.version == 6)}
    return own | first_columns(flow) | side_columns("initiator", flow.initiator) | side_columns("responder", flow.responder)


def arrival_columns(destination: Destination, tenth: int, arrived: Arrived) -> Row:
    """Return what the oracle says of one destination and one tenth of a second under the core's column names."""
    address, version, kind = destination
    key = {"hi": address >> 64, "lo": address & WORD, "ip_version": version, "kind": getattr(kinds, kind.name), "tenth": tenth}
    return key | vars(arrived)


def oracle_answer(captures: Iterable[bytes], settings: FlowSettings = DEFAULTS) -> Answer:
    """Run captures through the oracles as one timeline."""
    answer = Answer()
    clock = CaptureClock(round(settings.reorder_window_s * 10**9))
    packets: list[Packet] = []
    fragments = Fragments()
    last_ns = 0
    for data in captures:
        try:
            framing = frames(data, last_ns)
        except NotACaptureError:
            answer.captures.append({"refused": True})
            continue
        clock.between_files = True
        last_ns = framing.records[-1].time_ns if framing.records else last_ns
        outcomes: Counter[str] = Counter()
        ethertypes: Counter[int] = Counter()
        links: Counter[int] = Counter()
        first = Remarks()
        times = [record.time_ns for record in framing.records if record.has_time]
        for record in framing.records:
            packet = decode(record, RANKS, clock.advance(record, framing.remarks), fragments)
            for name in packet.remarks:
                framing.remarks.add(name, record.frame_offset)
            outcomes[packet.outcome.name] += 1
            first.add(packet.outcome.name, record.frame_offset)
            if packet.outcome == Outcome.NOT_IP:
                ethertypes[packet.ethertype] += 1
            if record.link_type >= 0:
                links[record.link_type] += 1
            packets.append(packet)
        answer.captures.append(
            {
                "format": framing.format,
                "link_type": framing.link_type,
                "octets": framing.nbytes,
                "truncated_at": framing.truncated_at,
                "damaged_at": framing.damaged_at,
                "packets": len(framing.records),
                "wire_octets": sum(record.wire_length for record in framing.records),
                "span": (min(times), max(times)) if times else None,
                "outcomes": dict(outcomes),
                "outcome_first": first.first,
                "remarks": framing.remarks.counts,
                "remark_first": framing.remarks.first,
                "ethertypes": dict(ethertypes),
                "link_types": dict(links),
                "dropped": framing.dropped,
            }
        )
    answer.flows = [flow_columns(flow) for flow in meter(packets, settings, RANKS)]
    found = arrivals(packets)
    answer.arrivals = [arrival_columns(key, tenth, tenths[tenth]) for key, tenths in found.items() for tenth in sorted(tenths)]
    return answer


def counted(values: np.ndarray[Any, Any]) -> dict[int, int]:
    """Return the counters that are not zero."""
    return {int(i): int(values[i]) for i in np.flatnonzero(values)}


@dataclass
class CoreRun:
    """The core's results for some captures, in its own form."""

    captures: list[reading.ReadCapture | None]  # None if refused
    flows: Columns  # all columns, computed for one-packet flows
    arrivals: Columns  # one line for each destination, kind and tenth of a second
    rows: Rows  # of the arrivals
    bounds_ns: tuple[int, int]


def lines_of(found: Arrivals) -> Columns:
    """Return what arrived with one line for each destination, kind and tenth of a second, in order."""
    row = found.row_of_line
    lines = found.lines(np.arange(len(row)))
    keys, place = np.unique(np.stack((row.astype(np.int64), lines.tenth)), axis=1, return_inverse=True)
    packets, octets = np.zeros(keys.shape[1], np.int64), np.zeros(keys.shape[1], np.int64)
    np.add.at(packets, place.ravel(), lines.packets)
    np.add.at(octets, place.ravel(), lines.nbytes)
    named = {name: found.rows[name][keys[0]] for name in ARRIVAL_KEY if name != "tenth"}
    return named | {"tenth": keys[1], "packets": packets, "octets": octets}


def run_core(
    captures: Iterable[bytes], settings: FlowSettings = DEFAULTS, block_bytes: int = 1 << 20, seed: int = 1, threads: int = 1
) -> CoreRun:
    """Run captures through the core as one timeline, in so many threads."""
    read: list[reading.ReadCapture | None] = []
    with Workers(threads) as workers:
        core = metering.Meter(settings, seed, workers=workers, threads=threads)
        for data in captures:
            try:
                reader = source_of(io.BytesIO(data)).reader(block_bytes)
            except CaptureError:
                read.append(None)
            else:
                read.append(core.read(reader))
        flows, found = core.finish()
    return CoreRun(read, flows.columns(np.arange(len(flows))), lines_of(found), found.rows.copy(), (found.begin_ns, found.end_ns))


def plain_rows(columns: Columns) -> list[Row]:
    """Convert columns to rows of plain values."""
    return [dict(zip(columns, values, strict=True)) for values in zip(*(column.tolist() for column in columns.values()), strict=True)]


def capture_columns(read: reading.ReadCapture | None) -> Row:
    """Convert the core's result for one capture to plain values."""
    if read is None:
        return {"refused": True}
    tally = read.tally
    outcomes, remarks = counted(tally.outcome_count), counted(tally.remark_count)
    by_outcome = {code.value: code.name for code in Outcome}
    by_remark = {code: name for name, code in REMARKS.items()}
    first, last = int(tally.totals[2]), int(tally.totals[3])
    return {
        "format": read.format,
        "link_type": read.link_type,
        "octets": read.nbytes,
        "truncated_at": read.truncated_at,
        "damaged_at": read.damaged_at,
        "packets": int(tally.totals[0]),
        "wire_octets": int(tally.totals[1]),
        "span": (first, last) if last >= 0 else None,
        "outcomes": {by_outcome[code]: count for code, count in outcomes.items()},
        "outcome_first": {by_outcome[code]: int(tally.outcome_first[code]) for code in outcomes},
        "remarks": {by_remark[code]: count for code, count in remarks.items()},
        "remark_first": {by_remark[code]: int(tally.remark_first[code]) for code in remarks},
        "ethertypes": read.ethertypes,
        "link_types": read.link_type_counts,
        "dropped": int(tally.dropped[0]),
    }


def core_answer(captures: Iterable[bytes], settings: FlowSettings = DEFAULTS, block_bytes: int = 1 << 20, threads: int = 1) -> Answer:
    """Run captures through the core as one timeline and convert the results to plain values."""
    run = run_core(captures, settings, block_bytes, threads=threads)
    run.flows["stage"] &= STAGES  # the core keeps additional bits of its own
    rows = plain_rows({name: column for name, column in run.flows.items() if name not in NOT_COMPARED})
    for end in ("initiator", "responder"):
        for row, code in zip(rows, run.flows[f"{end}_payload_kind"].tolist(), strict=True):
            row[f"{end}_prefix"] = (KEPT_OF.get(code, ""), row[f"{end}_prefix"])
    return Answer([capture_columns(one) for one in run.captures], rows, plain_rows(run.arrivals))


def row_differences(what: str, core: Sequence[Row], oracle: Sequence[Row], describe: Callable[[Row], str]) -> list[str]:
    """Report the columns in which two lists of rows differ."""
    found = [f"{what}: core has {len(core)}, oracle {len(oracle)}"] if len(core) != len(oracle) else []
    for number, (ours, theirs) in enumerate(zip(core, oracle, strict=False)):
        wrong = [
            f"{name} core {ours.get(name)} oracle {theirs.get(name)}"
            for name in sorted(ours.keys() | theirs.keys())
            if ours.get(name) != theirs.get(name)
        ]
        if wrong:
            found.append(f"{what} {number} ({describe(theirs)}): " + "; ".join(wrong))
    return found


def describe_flow(row: Row) -> str:
    """Describe a flow in one line."""
    ends = (f"{row[f'{end}_hi'] << 64 | row[f'{end}_lo']:x}:{row[f'{end}_port']}" for end in ("initiator", "responder"))
    return f"v{row.get('ip_version')} protocol {row.get('protocol')} " + " > ".join(ends)


def describe_arrival(row: Row) -> str:
    """Describe in one line who received something, and when."""
    return f"dst {row['hi'] << 64 | row['lo']:x} tenth {row['tenth']} kind {row['kind']}"


def arrival_differences(core: Sequence[Row], oracle: Sequence[Row]) -> list[str]:
    """Report the columns in which two lists of arrivals differ, for arrivals with the same key, and whether their order differs."""
    ours, theirs = ({tuple(row[name] for name in ARRIVAL_KEY): row for row in rows} for rows in (core, oracle))
    found = [f"arrival only in the core: {describe_arrival(ours[key])}" for key in ours.keys() - theirs.keys()]
    found += [f"arrival only in the oracle: {describe_arrival(theirs[key])}" for key in theirs.keys() - ours.keys()]
    both = [key for key in theirs if key in ours]
    if not found and list(ours) != list(theirs):
        found.append("arrivals: the order differs")
    return found + row_differences("arrival", [ours[key] for key in both], [theirs[key] for key in both], describe_arrival)


def differences(core: Answer, oracle: Answer) -> list[str]:
    """Report all differences between two results, one line each; none if they agree."""
    return [
        *row_differences("capture", core.captures, oracle.captures, lambda row: str(row.get("format", "refused"))),
        *row_differences("flow", core.flows, oracle.flows, describe_flow),
        *arrival_differences(core.arrivals, oracle.arrivals),
    ]


def compare(captures: Sequence[bytes], settings: FlowSettings = DEFAULTS, block_bytes: int = 1 << 20) -> list[str]:
    """Run captures both ways and report all differences between the results."""
    return differences(core_answer(captures, settings, block_bytes), oracle_answer(captures, settings))


def packet_columns(packet: Packet) -> Row:
    """Return one decoded packet under the core's column names; a refused one has only its outcome."""
    if not packet.in_flow:
        return {"outcome": int(packet.outcome)}
    transport, tcp, outer = packet.transport, packet.transport.tcp, packet.outer
    shift = tcp.window_shift if tcp else None
    ends = {"src": outer.src, "dst": outer.dst} if outer else {}
    halves = {f"outer_{end}_{half}": address >> shift & WORD for end, address in ends.items() for half, shift in (("hi", 64), ("lo", 0))}
    return {
        **({"outer_version": outer.version} if outer else {}),
        **halves,
        "outcome": int(packet.outcome),
        "kind": getattr(kinds, transport.kind.name),
        "ip_version": packet.ip_version,
        "protocol": packet.protocol,
        "fragment": packet.fragment,
        "ttl": packet.ttl,
        "tcp_flags": tcp.flags if tcp else transport.icmp_type,
        "window_shift": 0 if shift is None else shift + 1,
        "src_hi": packet.src >> 64,
        "src_lo": packet.src & WORD,
        "dst_hi": packet.dst >> 64,
        "dst_lo": packet.dst & WORD,
        "src_port": transport.src_port,
        "dst_port": transport.dst_port,
        "vlan": packet.vlan,
        "tunnel": packet.tunnel,
        "ip_bytes": packet.ip_bytes,
        "payload_octets": transport.payload_octets,
        "payload_captured": len(transport.payload),
        "tcp_seq": tcp.seq if tcp else 0,
        "tcp_ack": tcp.ack if tcp else 0,
        "tcp_window": tcp.window if tcp else 0,
        "payload": transport.payload,
    }


def oracle_packets(data: bytes) -> list[Row]:
    """Frame and decode a capture with the oracles, one row per packet."""
    framing = frames(data)
    clock, fragments = CaptureClock(10**9), Fragments()
    rows = []
    for record in framing.records:
        clock_ns = clock.advance(record, framing.remarks)
        own = {
            "frame_at": record.frame_offset,
            "time_ns": record.time_ns,
            "clock_ns": clock_ns,
            "captured_length": record.captured_length,
            "wire_length": record.wire_length,
            "link_type": record.link_type,
        }
        rows.append(own | packet_columns(decode(record, RANKS, clock_ns, fragments)))
    return rows


def core_packets(data: bytes) -> list[Row]:
    """Frame and decode a capture with the core's kernels, called one after the other; one row per packet."""
    reader = source_of(io.BytesIO(data)).reader(len(data) + 1)
    layout, block, at = reader.container.layout, reader.block, reader.container.header_bytes
    layout[LAST_TIME_NS] = 0
    records, headers, interfaces, tally = new_records(), new_headers(), new_interfaces(), new_tally()
    clock, fragments = np.zeros(CLOCK_SIZE, np.int64), new_fragments()
    rows: list[Row] = []
    stop = status.STOP_BATCH_FULL
    while stop == status.STOP_BATCH_FULL:
        n, at, stop = frame_batch(block, at, 0, layout, interfaces, records, tally)
        advance_clock(records, n, 0, 10**9, clock, tally)
        decode_batch(block, n, 0, records, service_ports(), DEPTH, fragments, headers, tally)
        for i in range(n):
            row: Row = {name: int(column[i]) for name, column in (records._asdict() | headers._asdict()).items()}
            payload_at = row.pop("payload_at")
            row.pop("ip_at")
            row.pop("fragment_id")
            row["payload"] = block[payload_at : payload_at + row["payload_captured"]].tobytes() if row["payload_captured"] else b""
            wanted = (*records._fields, "outcome") if row["outcome"] > Outcome.IN_FLOW_HEADER_CUT else row.keys() - {"tcp_options"}
            rows.append({name: row[name] for name in wanted if row["tunnel"] or not name.startswith("outer_")})
    return rows


def compare_packets(data: bytes) -> list[str]:
    """Frame and decode a capture both ways and report all differences between the rows."""
    return row_differences("packet", core_packets(data), oracle_packets(data), lambda row: f"outcome {row['outcome']}")
