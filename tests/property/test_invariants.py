"""What must never show in the answer: cuts into blocks or files, the container, the byte order, the hash seed, a table that grew."""

import struct
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floodmark.captures.reading import ReadCapture
from floodmark.captures.settings import FlowSettings
from floodmark.captures.source import source_of
from floodmark.flows import metering
from property.strategies import (
    CONTAINERS,
    PROFILE,
    US,
    V4,
    Sent,
    damaged,
    dialogues,
    ethernet,
    files,
    ipv4,
    odd_sections,
    pcap,
    pcapng,
    udp,
)
from reference.comparing import Columns, CoreRun, run_core

NOT_IP, IN_FLOW, IN_FLOW_HEADER_CUT = 2, 0, 1


def plain(columns: Columns) -> dict[str, list[Any]]:
    return {name: column.tolist() for name, column in columns.items()}


def same(ours: CoreRun, theirs: CoreRun) -> bool:
    flows, arrivals = plain(ours.flows) == plain(theirs.flows), plain(ours.arrivals) == plain(theirs.arrivals)
    return flows and arrivals and ours.bounds_ns == theirs.bounds_ns


def tallies(read: list[ReadCapture | None]) -> list[Any]:
    return [one and [part.tolist() for part in one.tally] for one in read]


@settings(PROFILE, max_examples=150)
@given(data=st.one_of(files(), odd_sections(), damaged()), block_bytes=st.integers(24, 400))
def test_reading_in_blocks_of_any_size_changes_nothing(data: bytes, block_bytes: int) -> None:
    whole, blocks = run_core([data]), run_core([data], block_bytes=block_bytes)
    assert same(whole, blocks)
    assert tallies(whole.captures) == tallies(blocks.captures)
    for one, other in zip(whole.captures, blocks.captures, strict=True):
        assert (one is None) == (other is None)
        if one and other:
            assert (one.nbytes, one.truncated_at, one.damaged_at) == (other.nbytes, other.truncated_at, other.damaged_at)


@settings(PROFILE, max_examples=150)
@given(packets=dialogues(), cuts=st.lists(st.integers(0, 24), max_size=4), which=st.randoms(use_true_random=False))
def test_splitting_a_capture_into_files_changes_nothing(packets: list[Sent], cuts: list[int], which: Any) -> None:
    edges = [0, *sorted(cuts), len(packets)]
    parts = [packets[start:end] for start, end in pairwise(edges)]
    written = [(write, how) for write, how in (which.choice(CONTAINERS) for _ in parts)]
    split = run_core([write(part, **how) for part, (write, how) in zip(parts, written, strict=True)])
    assert same(run_core([pcap(packets)]), split)


@pytest.mark.parametrize("cut", range(1, 5))
def test_a_cut_beside_a_wild_time_stamp_changes_nothing(cut: int) -> None:
    frame = ethernet(0x0800, ipv4(V4[0], V4[1], 17, udp((7, 9), b"x")))
    start_s = 1_700_000_000
    packets = [Sent(second * 1_000_000 * US, frame, 43) for second in (start_s, start_s + 1, 0, start_s + 2, start_s + 3)]
    assert same(run_core([pcap(packets)]), run_core([pcap(packets[:cut]), pcap(packets[cut:])]))


@settings(PROFILE, max_examples=100)
@given(packets=dialogues())
def test_container_byte_order_and_resolution_change_nothing(packets: list[Sent]) -> None:
    expected = run_core([pcap(packets)])
    for write, how in CONTAINERS:
        assert same(expected, run_core([write(packets, **how)])), how


@settings(PROFILE, max_examples=50)
@given(packets=dialogues(), seed=st.integers(0, 2**64 - 1))
def test_the_hash_seed_changes_nothing(packets: list[Sent], seed: int) -> None:
    data = pcap(packets)
    assert same(run_core([data]), run_core([data], seed=seed))


@settings(PROFILE, max_examples=20)
@given(packets=dialogues(5), write=st.sampled_from([pcap, pcapng]))
def test_cutting_a_capture_at_any_octet_leaves_the_packets_before_the_cut(packets: list[Sent], write: Any) -> None:
    data = write(packets)
    ends = [len(write(packets[:count])) for count in range(len(packets) + 1)]
    expected = [run_core([data[:end]]) for end in ends]
    for end in range(24, len(data) + 1):
        if end < ends[0]:
            continue
        run = run_core([data[:end]])
        [read] = run.captures
        whole = max(count for count, reached in enumerate(ends) if reached <= end)
        assert read is not None
        assert read.nbytes == end
        assert read.truncated_at == (None if end in ends else ends[whole])
        assert same(run, expected[whole])


@settings(PROFILE, max_examples=500)
@given(data=st.one_of(st.binary(max_size=200), damaged()), block_bytes=st.sampled_from([24, 100, 1 << 16]))
def test_any_bytes_give_an_answer_or_a_refusal_and_every_packet_is_counted_once(data: bytes, block_bytes: int) -> None:
    run = run_core([data], block_bytes=block_bytes)
    flows, arrivals, [read] = run.flows, run.arrivals, run.captures
    if read is None:
        assert len(flows["parent"]) == len(arrivals["tenth"]) == 0
        return
    outcomes = read.tally.outcome_count
    in_flows = int(flows["initiator_packets"].sum() + flows["responder_packets"].sum())
    refused = int(outcomes[NOT_IP + 1 :].sum())
    assert in_flows + int(outcomes[NOT_IP]) + refused == int(read.tally.totals[0])
    assert in_flows == int(outcomes[IN_FLOW] + outcomes[IN_FLOW_HEADER_CUT]) == int(arrivals["packets"].sum())
    assert int(outcomes[NOT_IP]) == int(sum(read.ethertypes.values()))


@settings(PROFILE, max_examples=150)
@given(packets=dialogues())
def test_flows_and_arrivals_count_the_same_packets_and_bytes(packets: list[Sent]) -> None:
    run = run_core([pcap(packets)])
    flows, arrivals, rows = run.flows, run.arrivals, run.rows
    assert int(flows["initiator_octets"].sum() + flows["responder_octets"].sum()) == int(arrivals["octets"].sum())
    assert int(arrivals["packets"].sum()) == int(rows["packets"].sum())
    assert (np.diff(rows["birth"].astype(np.int64)) > 0).all()
    keys = list(zip(*(rows[name].tolist() for name in ("hi", "lo", "ip_version", "kind")), strict=True))
    assert len(set(keys)) == len(keys)
    assert (flows["initiator_packets"] + flows["responder_packets"] > 0).all()
    assert (flows["first_seen_ns"] <= flows["last_seen_ns"]).all()
    assert (flows["parent"] < np.arange(len(flows["parent"]))).all()
    assert (np.diff(flows["start_clock_ns"]) >= 0).all()


@settings(PROFILE, max_examples=60)
@given(packets=dialogues(), shift_s=st.integers(1, 1_000_000))
def test_the_time_of_day_changes_nothing_but_the_times(packets: list[Sent], shift_s: int) -> None:
    packets = [packet for packet in packets if 10**18 < packet.time_ns < 2 * 10**18]
    later = [Sent(packet.time_ns + shift_s * 10**9, packet.frame, packet.wire_length) for packet in packets]
    now, then = run_core([pcap(packets)]), run_core([pcap(later)])
    for name in ("first_seen_ns", "last_seen_ns"):
        then.flows[name] -= shift_s * 10**9
    then.arrivals["tenth"] -= 10 * shift_s
    begin_ns, end_ns = then.bounds_ns
    shifted = (begin_ns - shift_s * 10**9, end_ns - shift_s * 10**9) if packets else then.bounds_ns
    assert same(now, replace(then, bounds_ns=shifted))


@settings(PROFILE, max_examples=150)
@given(
    captures=st.lists(st.one_of(files(), odd_sections(), damaged()), min_size=1, max_size=3),
    seed=st.integers(0, 2**64 - 1),
    threads=st.sampled_from([2, 3, 4, 9]),
    block_bytes=st.sampled_from([60, 400, 1 << 20]),
)
def test_the_number_of_threads_changes_nothing(captures: list[bytes], seed: int, threads: int, block_bytes: int) -> None:
    alone, together = run_core(captures), run_core(captures, seed=seed, threads=threads, block_bytes=block_bytes)
    assert same(alone, together)
    assert tallies(alone.captures) == tallies(together.captures)


@settings(PROFILE, max_examples=150)
@given(packets=dialogues(120), seed=st.integers(0, 2**64 - 1), threads=st.sampled_from([2, 3, 6]))
def test_dialogues_are_the_same_whichever_share_they_fall_to(packets: list[Sent], seed: int, threads: int) -> None:
    data = pcap(packets)
    assert same(run_core([data]), run_core([data], seed=seed, threads=threads))


def flood(count: int, silence_us: int, rounds: int = 2) -> bytes:
    """Rounds of one packet each of many UDP flows."""
    frame = [ethernet(0x0800, ipv4(struct.pack("!I", 0x0A000000 + number), V4[1], 17, udp((7, 9), b"x"))) for number in range(count)]
    return pcap([Sent((place * silence_us + number) * US, body, 43) for place in range(rounds) for number, body in enumerate(frame)])


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_tables_that_grow_change_nothing(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    captures = [flood(9000, 1_000_000), flood(3000, 300_000_000)]
    expected = run_core(captures)
    assert len(expected.flows["parent"]) == 9000 + 3000  # a silence of 300 s ends and continues 3,000
    monkeypatch.setattr("floodmark.flows.shares.FIRST_SLOTS", 2048)
    monkeypatch.setattr("floodmark.flows.decoding.FIRST_DESTINATIONS", 1024)
    assert same(expected, run_core(captures, threads=threads))
    assert same(expected, run_core(captures, block_bytes=100, threads=threads))


def test_an_index_made_for_the_flows_to_be_expected_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "flood.pcap"
    path.write_bytes(flood(9000, 1_000_000))
    expected = run_core([path.read_bytes()])
    for name, value in (
        ("floodmark.flows.shares.FIRST_SLOTS", 1024),
        ("floodmark.flows.shares.LARGE_INDEX", 4096),
        ("floodmark.captures.mapping._LEAST_BYTES", 1),
    ):
        monkeypatch.setattr(name, value)
    meter = metering.Meter(FlowSettings(), 1)
    with source_of(str(path)).reader() as reader:
        if not reader.is_mapped:
            pytest.skip("the system gives no lease on this file")
        meter.read(reader)
    flows, _ = meter.finish()
    assert plain(flows.columns(np.arange(len(flows)))) == plain(expected.flows)


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_that_end_and_continue_one_packet_flows_stay_inside_the_table(threads: int) -> None:
    flows = run_core([flood(512, 61_000_000, rounds=12)], threads=threads).flows
    assert len(flows["parent"]) == 12 * 512
    assert flows["parent"].tolist() == [max(number - 512, -1) for number in range(12 * 512)]
    assert (flows["initiator_packets"] == 1).all()
