"""Flows as Arrow: the columns of the contract, null where a protocol has no such thing, addresses as Python writes them."""

import ipaddress
import struct
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import wire
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wire import Packet

import floodmark
from builders import CLIENT, MILLISECOND, SECOND, SERVER, START_NS, answer, arp, connection, header, icmp, pcap, record, syn_flood, tcp, udp
from floodmark.result import table
from floodmark_core.tables.text import LONGEST, write_addresses
from property.strategies import PROFILE

CONTRACT = [
    "flow_id",
    "initiator",
    "responder",
    "initiator_port",
    "responder_port",
    "protocol",
    "vlan",
    "tunnel",
    "first_seen_ns",
    "last_seen_ns",
    "initiator_packets",
    "responder_packets",
    "initiator_octets",
    "responder_octets",
    "tcp_flags_initiator",
    "tcp_flags_responder",
    "ttl_min",
    "ttl_max",
    "end_reason",
    "initiator_basis",
    "verdict",
    "vector",
    "event_id",
    "confidence",
]
TCP_ONLY = ["tcp_flags_initiator", "tcp_flags_responder", "syn_packets", "rst_packets", "post_close_packets", "incoherent_packets"]


def rows(packets: list[Packet]) -> list[dict[str, Any]]:
    """Return the flows of a capture row by row."""
    made: list[dict[str, Any]] = answer(packets).flows.to_table().to_pylist()
    return made


def row(packets: list[Packet]) -> dict[str, Any]:
    """Return the only flow of a capture."""
    [one] = rows(packets)
    return one


@pytest.fixture(scope="module")
def result() -> floodmark.Result:
    return answer([*connection(0), udp(1), icmp(2), *syn_flood(500)])


def test_every_column_of_the_contract_is_there() -> None:
    assert set(CONTRACT) <= set(table.SCHEMA.names)


def test_the_schema_of_a_table_is_the_published_one(result: floodmark.Result) -> None:
    assert result.flows.to_table().schema == result.flows.schema == table.SCHEMA


def test_a_table_keeps_the_rules_of_arrow(result: floodmark.Result) -> None:
    result.flows.to_table().validate(full=True)


def test_no_column_that_is_never_null_holds_a_null(result: floodmark.Result) -> None:
    flows = result.flows.to_table()
    assert [field.name for field in flows.schema if not field.nullable and flows[field.name].null_count] == []


def test_there_is_a_row_for_every_flow(result: floodmark.Result) -> None:
    assert len(result.flows) == result.flows.to_table().num_rows == result.totals.flows == 503


def test_flow_ids_count_from_zero(result: floodmark.Result) -> None:
    assert result.flows.to_table()["flow_id"].to_pylist() == list(range(503))


def test_a_connection_is_one_row_with_both_directions() -> None:
    flow = row(connection(0))
    assert (flow["initiator"], flow["responder"]) == ("198.51.100.1", "203.0.113.10")
    assert (flow["initiator_port"], flow["responder_port"], flow["protocol"]) == (40000, 80, 6)
    assert (flow["initiator_packets"], flow["responder_packets"]) == (5, 5)
    assert (flow["initiator_octets"], flow["responder_octets"]) == (235, 248)
    assert (flow["first_seen_ns"], flow["last_seen_ns"]) == (START_NS, START_NS + 9 * MILLISECOND)


def test_a_connection_has_the_union_of_its_flags() -> None:
    flow = row(connection(0))
    assert (flow["tcp_flags_initiator"], flow["tcp_flags_responder"]) == (0x1B, 0x1B)


def test_a_connection_that_closed_says_so() -> None:
    flow = row(connection(0))
    assert (flow["end_reason"], flow["initiator_basis"]) == ("tcp-fin", "syn")


def test_a_connection_counts_its_requests_and_answers() -> None:
    flow = row(connection(0))
    assert (flow["requests"], flow["responses"], flow["error_responses"]) == (1, 1, 0)
    assert (flow["initiator_payload_kind"], flow["responder_payload_kind"]) == ("HTTP request", "HTTP reply")


def test_a_flow_of_no_event_is_ordinary() -> None:
    flow = row(connection(0))
    assert (flow["verdict"], flow["vector"], flow["event_id"], flow["confidence"]) == ("benign", "ordinary", None, None)


def test_a_flow_of_an_event_carries_its_number_and_confidence(result: floodmark.Result) -> None:
    flow = result.flows.to_table().to_pylist()[-1]
    [event] = result.events
    assert (flow["verdict"], flow["vector"], flow["event_id"]) == ("volumetric", "tcp-syn-flood", event.id)
    assert flow["confidence"] == pytest.approx(event.confidence)


def test_udp_has_ports_and_nothing_of_tcp() -> None:
    flow = row([udp(0)])
    assert (flow["initiator_port"], flow["responder_port"]) == (40000, 9)
    assert [flow[name] for name in TCP_ONLY] == [None] * len(TCP_ONLY)


def test_icmp_has_a_type_and_no_ports() -> None:
    flow = row([icmp(0)])
    assert (flow["initiator_port"], flow["responder_port"], flow["icmp_type"]) == (None, None, 8)


def test_only_icmp_has_a_type() -> None:
    assert row([udp(0)])["icmp_type"] is None


def test_later_fragments_have_no_ports() -> None:
    frame = wire.ip_frame(wire.Head(CLIENT, SERVER, fragment=185), wire.UDP, b"x" * 100)
    flow = row([Packet(START_NS, frame)])
    assert (flow["is_fragment"], flow["initiator_port"], flow["responder_port"]) == (True, None, None)


@pytest.mark.parametrize(("tags", "vlan", "inner"), [((), None, None), ((7,), 7, None), ((100, 7), 100, 7), ((0,), None, None)])
def test_vlan_tags_are_outer_and_inner(tags: tuple[int, ...], vlan: int | None, inner: int | None) -> None:
    packets = [udp(0)]
    for tag in reversed(tags):
        packets = wire.tagged(packets, tag)
    flow = row(packets)
    assert (flow["vlan"], flow["inner_vlan"]) == (vlan, inner)


def test_a_flow_after_a_timeout_names_its_parent() -> None:
    first, second = rows([udp(0), udp(61 * SECOND)])
    assert (first["end_reason"], first["parent"]) == ("idle-timeout", None)
    assert (second["parent"], second["initiator_basis"]) == (0, "parent")


def test_ttls_are_the_least_and_the_most() -> None:
    frames = [wire.udp(wire.Head(CLIENT, SERVER, ttl=ttl), 40000, 9, b"x") for ttl in (60, 50, 70)]
    flow = row([Packet(START_NS + place, frame) for place, frame in enumerate(frames)])
    assert (flow["ttl_min"], flow["ttl_max"]) == (50, 70)


def test_ipv6_addresses_are_written_as_rfc_5952_says() -> None:
    source, target = ipaddress.IPv6Address("2001:db8:0:0:1:0:0:1"), ipaddress.IPv6Address("2001:db8::a")
    flow = row([udp(0, int(source), int(target))])
    assert (flow["initiator"], flow["responder"]) == ("2001:db8::1:0:0:1", "2001:db8::a")


@pytest.mark.parametrize("size", [1, 7, 502, 503, 1000])
def test_batches_of_any_size_join_to_the_table(result: floodmark.Result, size: int) -> None:
    batches = list(result.flows.batches(size))
    assert [batch.num_rows for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert pa.Table.from_batches(batches) == result.flows.to_table()


def test_batches_can_be_asked_for_twice(result: floodmark.Result) -> None:
    assert list(result.flows.batches(100)) == list(result.flows.batches(100))


def test_the_arrow_stream_gives_the_table(result: floodmark.Result) -> None:
    assert pa.RecordBatchReader.from_stream(result.flows).read_all() == result.flows.to_table()


def test_a_table_can_be_made_of_the_flows_themselves(result: floodmark.Result) -> None:
    assert pa.table(result.flows) == result.flows.to_table()


@pytest.mark.parametrize("data", [header(), pcap([arp(0)]), header(9999) + record(b"x" * 60)])
def test_a_capture_without_flows_gives_an_empty_table(data: bytes) -> None:
    flows = answer(data).flows.to_table()
    assert (flows.num_rows, flows.schema) == (0, table.SCHEMA)


def test_stream_yields_the_rows_of_classify(tmp_path: Any) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap([*connection(0), udp(1)]))
    assert pa.Table.from_batches(floodmark.stream(tmp_path / "a.pcap")) == floodmark.classify(tmp_path / "a.pcap").flows.to_table()


def test_flows_stand_in_order_of_their_first_packets() -> None:
    flows = rows([udp(0), tcp(1), udp(2), icmp(3), udp(4, ports=(5, 6))])
    assert [flow["protocol"] for flow in flows] == [17, 6, 1, 17]


def written(addresses: list[tuple[int, int]]) -> list[str]:
    """Write (version, address) pairs with the kernel."""
    hi = np.array([address >> 64 for _, address in addresses], np.uint64)
    lo = np.array([address & (2**64 - 1) for _, address in addresses], np.uint64)
    version = np.array([version for version, _ in addresses], np.uint8)
    offsets, out = np.empty(len(addresses) + 1, np.int32), np.empty(LONGEST * len(addresses), np.uint8)
    used = write_addresses(hi, lo, version, offsets, out)
    text = out[:used].tobytes().decode("ascii")
    return [text[start:end] for start, end in pairwise(offsets.tolist())]


V4 = st.integers(0, 2**32 - 1).map(lambda number: (4, number))
GROUPS = st.lists(st.sampled_from([0, 0, 0, 1, 0xA, 0xAB, 0xABC, 0xFFFF]), min_size=8, max_size=8)
V6 = st.one_of(st.integers(0, 2**128 - 1), GROUPS.map(lambda groups: int.from_bytes(struct.pack("!8H", *groups)))).filter(
    lambda number: number >> 32 != 0xFFFF  # Python writes IPv4-mapped addresses in two ways, depending on its version
)


@settings(PROFILE, max_examples=500)
@given(addresses=st.lists(st.one_of(V4, V6.map(lambda number: (6, number))), max_size=20))
@example(addresses=[(6, 0), (6, 1), (6, 1 << 112), (6, 2**128 - 1), (4, 0), (4, 2**32 - 1)])
def test_addresses_are_written_as_ipaddress_writes_them(addresses: list[tuple[int, int]]) -> None:
    expected = [str(ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number)) for version, number in addresses]
    assert written(addresses) == expected
