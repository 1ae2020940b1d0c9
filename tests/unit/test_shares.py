"""Shares write to parts of the same tables, and what they wrote comes out in order of first packets."""

import io

import numpy as np
import pytest

from builders import SECOND, connection, metered, pcap, pcapng, syn_flood, udp
from floodmark.base.memory import Memory
from floodmark.base.workers import Workers
from floodmark.captures.reading import mean_record_bytes
from floodmark.captures.settings import FlowSettings
from floodmark.captures.source import source_of
from floodmark.flows.metering import Meter
from floodmark.flows.shares import Room

ROW = np.dtype([("share", "u1"), ("number", "<u4")])
NEXT, END = 0, 1


def room(shares: int, least: int = 10) -> tuple[Room, list[np.ndarray]]:
    """Return a table and the counters of the shares that write to it, with room for a first batch."""
    table, counters = Room(ROW, Memory(), (NEXT, END), least, shares), [np.zeros(2, np.int64) for _ in range(shares)]
    table.give(counters)
    return table, counters


def fill(table: Room, counters: list[np.ndarray], share: int, rows: int, least: int = 10) -> int:
    """Write so many rows of a share, as kernels do: never into the last rows that a batch may need. Returns how often all had to stop."""
    used, stops = counters[share], 0
    for number in range(rows):
        while used[END] - used[NEXT] < least:
            if not table.go_on(share, used):
                table.give(counters)
                stops += 1
        table.rows[used[NEXT]] = (share, number)
        used[NEXT] += 1
    return stops


@pytest.mark.parametrize("shares", [1, 2, 5])
def test_the_ranges_of_a_share_hold_its_rows_in_order_and_no_others(shares: int) -> None:
    table, counters = room(shares)
    for turn in range(40):
        for share in range(shares):
            fill(table, counters, share, 3 + 17 * ((turn + share) % 3))
    for share, used in enumerate(counters):
        rows = np.concatenate([table.rows[first:end] for first, end in table.filled(share, used)])
        assert (rows["share"] == share).all()
        assert rows["number"].tolist() == [number for turn in range(40) for number in range(3 + 17 * ((turn + share) % 3))]


def test_one_share_alone_has_one_range() -> None:
    table, counters = room(1)
    fill(table, counters, 0, 10_000)
    assert table.filled(0, counters[0]) == [(0, 10_000)]


def test_shares_that_fill_alike_stop_together() -> None:
    table, counters = room(2)
    stops = [0, 0]
    for _ in range(2000):
        for share in range(2):
            stops[share] += fill(table, counters, share, 1)
    assert stops[1] <= stops[0] < 40  # a quarter more each time


def test_room_that_is_given_is_there() -> None:
    table, counters = room(3)
    assert all(used[END] - used[NEXT] >= 10 and used[END] <= len(table.rows) for used in counters)


@pytest.mark.parametrize("write", [pcap, pcapng])
def test_records_are_as_long_as_their_frames_and_headers(write: object) -> None:
    packets = syn_flood(100)
    data = write(packets)  # type: ignore[operator] # one of two writers
    expected = (len(data) - len(write([]))) / 100  # type: ignore[operator]
    assert mean_record_bytes(source_of(io.BytesIO(data)).reader()) == pytest.approx(expected, rel=0.2)


def test_a_capture_without_records_has_none_of_any_length() -> None:
    assert mean_record_bytes(source_of(io.BytesIO(pcap([]))).reader()) == 0.0


def test_looking_at_the_length_of_records_leaves_the_capture_as_it_was() -> None:
    data = pcap([*connection(0), udp(SECOND)])
    reader = source_of(io.BytesIO(data)).reader()
    mean_record_bytes(reader)
    meter = Meter(FlowSettings(), seed=1)
    assert meter.read(reader).packets == 11


@pytest.mark.parametrize("seed", range(4))
def test_flows_of_several_shares_stand_where_those_of_one_do(seed: int) -> None:
    packets = [*connection(0), *syn_flood(3000, SECOND), udp(3 * SECOND)]
    expected = metered(packets)[0]
    with Workers(4) as workers:
        meter = Meter(FlowSettings(), seed, workers=workers, threads=4)
        meter.read(source_of(io.BytesIO(pcap(packets))).reader())
        flows, arrivals = meter.finish()
        index = np.arange(len(expected))
        assert len(flows) == len(expected)
        for name in ("initiator_lo", "initiator_port", "first_seen_ns", "responder_packets"):
            assert flows.column(name, index).tolist() == expected.column(name, index).tolist()
        assert (np.diff(arrivals.rows["birth"].astype(np.int64)) > 0).all()
