"""Kernels of a few lines against the same in plain Python: picking, summing, spans of bytes, order of rows, indexes."""

from collections import Counter
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floodmark_core import ADDRESSES, FLOW, MORE, kinds
from floodmark_core.buffers.spans import gather_spans, mark_spans, place_spans
from floodmark_core.columns import FlowRows
from floodmark_core.flows.births import order_by_birth
from floodmark_core.flows.endpoints import copy_ends, copy_first_fields, copy_outer_ends
from floodmark_core.flows.flowtable import move_index
from floodmark_core.flows.shapes import SHAPES, Hosts, list_hosts
from floodmark_core.packets.merging import gather_records
from floodmark_core.records.ahead import CURSORS, touch_records
from floodmark_core.records.framing import CONTAINER, new_layout
from floodmark_core.tables.grouping import keep_frequent
from floodmark_core.tables.picking import pick_free, pick_received, pick_unnumbered, put_number
from floodmark_core.tables.sums import Bins, spread_flows, sum_flows
from property.strategies import PROFILE

BYTES = st.binary(max_size=60)
BITS = st.integers(0, 1)
SOME = settings(PROFILE, max_examples=150)


@st.composite
def spans(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, int]]]:
    """Some bytes, and ranges in them that do not overlap, in order."""
    nbytes = draw(BYTES)
    edges = sorted(draw(st.lists(st.integers(0, len(nbytes)), max_size=10)))
    return nbytes, list(zip(edges[::2], edges[1::2], strict=False))


def octets(nbytes: bytes) -> np.ndarray:
    return np.array(list(nbytes), np.uint8)


def edges_of(ranges: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([first for first, _ in ranges], np.int64), np.array([end for _, end in ranges], np.int64)


@SOME
@given(given=spans())
def test_spans_are_gathered_and_put_back(given: tuple[bytes, list[tuple[int, int]]]) -> None:
    nbytes, ranges = given
    starts, ends = edges_of(ranges)
    row = np.zeros(int((ends - starts).sum()), np.uint8)
    gather_spans(octets(nbytes), starts, ends, row)
    assert row.tobytes() == b"".join(nbytes[first:end] for first, end in ranges)
    out, marks = np.zeros(len(nbytes), np.uint8), np.zeros(len(nbytes), np.uint8)
    place_spans(row, starts, ends, out, marks)
    inside = [any(first <= place < end for first, end in ranges) for place in range(len(nbytes))]
    assert marks.tolist() == inside
    assert out.tolist() == [octet if held else 0 for octet, held in zip(nbytes, inside, strict=True)]


@SOME
@given(ranges=st.lists(st.tuples(st.integers(-20, 40), st.integers(-20, 40)), max_size=6))
def test_spans_are_marked_within_the_marks(ranges: list[tuple[int, int]]) -> None:
    marks = np.zeros(20, np.uint8)
    mark_spans(*edges_of(ranges), marks)
    assert marks.tolist() == [any(first <= place < end for first, end in ranges) for place in range(20)]


@SOME
@given(records=st.lists(st.binary(max_size=9), max_size=9), data=st.data())
def test_records_are_gathered_in_the_given_order(records: list[bytes], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(records))))
    lengths = np.array([len(record) for record in records], np.int64)
    out = np.zeros(int(lengths.sum()), np.uint8)
    gather_records(octets(b"".join(records)), np.cumsum(lengths) - lengths, lengths, np.array(order, np.int64), out)
    assert out.tobytes() == b"".join(records[place] for place in order)


@SOME
@given(flows=st.lists(st.tuples(BITS, st.integers(0, 9), st.integers(-1, 3)), min_size=1, max_size=20), data=st.data())
def test_values_of_listed_flows_are_picked(flows: list[tuple[int, int, int]], data: st.DataObject) -> None:
    listed = data.draw(st.lists(st.integers(0, len(flows) - 1), unique=True))
    bits, packets, numbers = (np.array(column, code) for column, code in zip(zip(*flows, strict=True), ("u1", "u4", "i4"), strict=True))
    index, free, picked = np.array(listed, np.uint32), np.zeros(len(listed), np.uint8), np.zeros(len(listed), np.uint32)
    pick_received(bits, packets, index, 0, len(listed), 1, free, picked)
    assert (free.tolist(), picked.tolist()) == ([flows[flow][0] for flow in listed], [flows[flow][1] for flow in listed])
    assert pick_free(bits, index, 0, len(listed), free) == sum(not flows[flow][0] for flow in listed)
    assert free.tolist() == [not flows[flow][0] for flow in listed]
    assert pick_unnumbered(numbers, index, 0, len(listed), free) == sum(flows[flow][2] < 0 for flow in listed)
    assert free.tolist() == [flows[flow][2] < 0 for flow in listed]
    put_number(numbers, index, 0, len(listed), 7)
    assert numbers.tolist() == [7 if flow in listed else number for flow, (_, _, number) in enumerate(flows)]


@SOME
@given(flows=st.lists(st.tuples(st.integers(0, 5), BITS), max_size=60), least=st.integers(1, 6), parts=st.integers(1, 4))
def test_flows_of_frequent_initiators_are_kept_and_none_is_added(flows: list[tuple[int, int]], least: int, parts: int) -> None:
    """Six initiators and a bucket for each, so none shares one."""
    hashes = np.array([host << 61 | host << 8 for host, _ in flows], np.uint64)
    chosen = np.array([bit for _, bit in flows], np.uint8)
    many = Counter(host for host, bit in flows if bit)
    for part in range(parts):
        keep_frequent(hashes, chosen, least, np.zeros(8, np.uint8), part, parts)
    assert chosen.tolist() == [bit and many[host] >= least for host, bit in flows]


@SOME
@given(batches=st.lists(st.lists(st.integers(0, 2), max_size=6), max_size=6))
def test_rows_of_three_shares_stand_in_order_of_their_first_packets(batches: list[list[int]]) -> None:
    """Each batch lists which share began a row at each of its packets; a share's rows are numbered from 0, 100 or 200 on."""
    own: list[list[int]] = [[], [], []]
    births, opened, expected = np.zeros(300, np.uint16), np.zeros((3, len(batches)), np.uint16), []
    for number, batch in enumerate(batches):
        for place, share in enumerate(batch):
            row = 100 * share + len(own[share])
            own[share].append(row)
            births[row] = place
            opened[share, number] += 1
            expected.append(row)
    firsts = [0, *accumulate(map(len, own))][:3]
    place = np.zeros(len(expected), np.uint32)
    cursors = np.array([[first, 0] for first in firsts], np.int64)
    order_by_birth(births, np.array([*own[0], *own[1], *own[2]], np.uint32), opened, 0, len(batches), cursors, 0, place)
    assert place.tolist() == expected


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int, int, int]]]:
    """Rows of flows with their further fields, and of each flow begin and end in ns, packets, bytes."""
    flows = draw(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 90), st.integers(1, 9), st.integers(20, 99)), max_size=12))
    rows, more = np.zeros(len(flows), FLOW), np.zeros(len(flows) + 1, MORE)
    facts = []
    for place, (begin, lasts, packets, nbytes) in enumerate(flows):
        rows[place]["first_seen_ns"], rows[place]["octets"] = begin, nbytes
        if packets > 1:
            rows[place]["more_row"] = place + 1
            more[place]["last_seen_ns"] = begin + lasts
            more[place]["initiator_packets"], more[place]["responder_packets"] = packets - 1, 1
            more[place]["initiator_octets"], more[place]["responder_octets"] = nbytes - 20, 20
        facts.append((begin, begin + lasts * (packets > 1), packets, nbytes))
    return rows, more, facts


@SOME
@given(table=tables(), data=st.data())
def test_flows_are_summed_by_group(table: tuple[np.ndarray, np.ndarray, list[tuple[int, int, int, int]]], data: st.DataObject) -> None:
    rows, more, facts = table
    groups = data.draw(st.lists(st.integers(-1, 2), min_size=len(facts), max_size=len(facts)))
    sums = np.zeros((4, 3), np.int64)
    flows = FlowRows(rows=rows, more=more, addresses=np.zeros(0, ADDRESSES), place=np.arange(len(facts), dtype=np.uint32))
    sum_flows(flows, np.array(groups, np.int32), 0, len(facts), sums)
    expected = [[0, 0, 0] for _ in range(4)]
    for group, (_, _, packets, nbytes) in zip(groups, facts, strict=True):
        expected[group] = [have + more for have, more in zip(expected[group], (1, packets, nbytes), strict=True)]
    assert sums.tolist() == expected


@SOME
@given(table=tables())
def test_what_is_spread_over_bins_adds_up_and_lies_where_the_flow_was(
    table: tuple[np.ndarray, np.ndarray, list[tuple[int, int, int, int]]],
) -> None:
    rows, more, facts = table
    groups = np.arange(len(facts), dtype=np.int32)
    packets, nbytes = np.zeros((len(facts), 10)), np.zeros((len(facts), 10))
    flows = FlowRows(rows=rows, more=more, addresses=np.zeros(0, ADDRESSES), place=np.arange(len(facts), dtype=np.uint32))
    spread_flows(flows, groups, Bins(start_ns=0, bin_ns=100.0, packets=packets, nbytes=nbytes))
    for row, (begin, end, count, size) in enumerate(facts):
        assert (packets[row].sum(), nbytes[row].sum()) == (pytest.approx(count), pytest.approx(size))
        assert set(np.nonzero(packets[row])[0].tolist()) <= set(range(begin // 100, end // 100 + 1))


HALVES = st.tuples(*[st.integers(0, 2**64 - 1)] * 4)


@SOME
@given(pairs=st.lists(st.tuples(HALVES, HALVES, st.sampled_from(["narrow", "wide", "tunnel"])), max_size=8))
def test_ends_are_those_of_the_row_or_of_its_addresses(pairs: list[tuple[tuple[int, ...], tuple[int, ...], str]]) -> None:
    rows, addresses = np.zeros(len(pairs), FLOW), np.zeros(2 * len(pairs) + 2, ADDRESSES)
    inner, outer = [], []
    for place, (own, around, kind) in enumerate(pairs):
        addresses[2 * place], addresses[2 * place + 1] = own, around
        low = (0, own[1] & 0xFFFFFFFF, 0, own[3] & 0xFFFFFFFF)
        network = {"narrow": 0, "wide": kinds.NETWORK_IPV6, "tunnel": 1 << kinds.NETWORK_TUNNEL_SHIFT}[kind]
        rows[place]["network"] = network
        ends = low if kind == "narrow" else (2 * place, 2 * place)
        rows[place]["initiator"], rows[place]["responder"] = (low[1], low[3]) if kind == "narrow" else ends
        inner.append(low if kind == "narrow" else own)
        outer.append(around if kind == "tunnel" else (0, 0, 0, 0))
    at = np.arange(len(pairs), dtype=np.uint32)
    for responder in (0, 1):
        hi, lo = np.zeros(len(pairs), np.uint64), np.zeros(len(pairs), np.uint64)
        copy_ends(rows, addresses, at, hi, lo, responder)
        assert list(zip(hi.tolist(), lo.tolist(), strict=True)) == [own[2 * responder : 2 * responder + 2] for own in inner]
    ends_of = np.zeros((4, len(pairs)), np.uint64)
    copy_outer_ends(rows, addresses, at, ends_of)
    assert [tuple(column) for column in ends_of.T.tolist()] == outer


@SOME
@given(words=st.lists(st.binary(min_size=FLOW.itemsize, max_size=FLOW.itemsize), min_size=1, max_size=5), data=st.data())
def test_fields_of_rows_are_cut_out_of_their_words(words: list[bytes], data: st.DataObject) -> None:
    fields = data.draw(st.lists(st.sampled_from([name for name in FLOW.names or () if FLOW[name].kind == "u"]), min_size=1, max_size=5))
    rows = np.frombuffer(b"".join(words), FLOW).copy()
    bits = [(8 * (FLOW.fields or {})[name][1], 8 * FLOW[name].itemsize) for name in fields]
    places = np.array([(first // 64, first % 64, size) for first, size in bits], np.int64)
    out = np.zeros((len(fields), len(rows)), np.uint64)
    copy_first_fields(rows.view(np.uint64), np.arange(len(rows), dtype=np.uint32), places, out)
    assert out.tolist() == [rows[name].tolist() for name in fields]


@SOME
@given(entries=st.lists(st.integers(1, 2**64 - 1), unique=True, max_size=16))
def test_a_larger_index_holds_the_same_entries_each_reached_from_its_slot(entries: list[int]) -> None:
    small = np.array(sorted(entries) + [0] * (16 - len(entries)), np.uint64)
    large = np.zeros(64, np.uint64)
    move_index(small, large)
    assert sorted(large[large > 0].tolist()) == sorted(entries)
    for entry in entries:
        slot = entry >> 58
        while large[slot] != entry:
            assert large[slot] != 0
            slot = (slot + 1) % 64


@SOME
@given(data=st.binary(max_size=600), at=st.integers(0, 700), container=st.integers(0, 3))
def test_touching_any_bytes_ends_and_changes_none(data: bytes, at: int, container: int) -> None:
    block, layout = octets(data), new_layout()
    layout[CONTAINER] = container
    touch_records(block, at, layout, np.zeros(CURSORS, np.int64))
    assert block.tobytes() == data


@SOME
@given(hosts=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2**64 - 1), st.sampled_from([4, 6])), unique=True, max_size=16))
def test_each_listed_host_is_in_the_table_once(hosts: list[tuple[int, int, int]]) -> None:
    hi, lo = (np.array([host[half] for host in hosts], np.uint64) for half in (0, 1))
    version, table = np.array([host[2] for host in hosts], np.uint8), np.zeros(32, np.int32)
    list_hosts(np.uint64(1), Hosts(hi, lo, version, table, np.zeros(0, np.int64), np.zeros((0, SHAPES), np.int64)))
    assert sorted(table[table > 0].tolist()) == list(range(1, len(hosts) + 1))
