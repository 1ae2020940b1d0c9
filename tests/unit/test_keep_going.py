"""Behind a damaged record the next one is found: what is lost is the damaged record, and its octets are counted."""

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import floodmark
from builders import pcap, pcapng, syn_flood
from floodmark.captures.reading import ReadCapture
from floodmark.captures.settings import FlowSettings
from floodmark.captures.source import source_of
from floodmark.flows.metering import Meter
from floodmark_core.records.framing import LARGEST_BLOCK
from property.strategies import PROFILE

PACKETS = syn_flood(300)
RECORD, BLOCK = 16 + 60, 32 + 60  # octets of one packet in pcap; in pcapng, without options
PLACES = 0, 1, 150, 296, 298, 299


def read(data: bytes, block_bytes: int = 1 << 20) -> ReadCapture:
    meter = Meter(FlowSettings(), seed=1)
    with source_of(io.BytesIO(data)).reader(block_bytes) as reader:
        return meter.read(reader, keep_going=True)


def spoilt(data: bytes, at: int, octets: bytes) -> bytes:
    return data[:at] + octets + data[at + len(octets) :]


def going_on(data: bytes) -> floodmark.Result:
    return floodmark.classify(io.BytesIO(data), options=floodmark.Options(keep_going=True))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("block_bytes", [200, 1 << 20])
@pytest.mark.parametrize("big_endian", [False, True])
def test_in_pcap_only_the_damaged_record_is_lost(place: int, block_bytes: int, big_endian: bool) -> None:
    at = 24 + place * RECORD
    damaged = read(spoilt(pcap(PACKETS, big_endian=big_endian), at + 8, b"\xff" * 4), block_bytes)
    assert (damaged.packets, damaged.damages, damaged.damaged_at, damaged.unread_bytes) == (299, 1, at, RECORD)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("big_endian", [False, True])
def test_in_pcapng_only_the_damaged_block_is_lost(place: int, big_endian: bool) -> None:
    data = pcapng(PACKETS, big_endian=big_endian)
    at = len(data) - (300 - place) * BLOCK
    huge = struct.pack(">I" if big_endian else "<I", LARGEST_BLOCK + 4)
    damaged = read(spoilt(data, at + 4, huge))
    assert (damaged.packets, damaged.damages, damaged.damaged_at, damaged.unread_bytes) == (299, 1, at, BLOCK)


def test_bytes_put_between_records_are_passed_over() -> None:
    data, at = pcap(PACKETS), 24 + 100 * RECORD
    damaged = read(data[:at] + b"\xee" * 5000 + data[at:])
    assert (damaged.packets, damaged.damages, damaged.unread_bytes) == (300, 1, 5000)


def test_two_damages_are_two() -> None:
    data = spoilt(spoilt(pcap(PACKETS), 24 + 10 * RECORD + 8, b"\xff" * 4), 24 + 200 * RECORD + 8, b"\xff" * 4)
    result = going_on(data)
    problems = {problem.kind: (problem.count, problem.first_offset) for problem in result.captures[0].problems}
    assert problems == {"record_damaged": (2, 24 + 10 * RECORD), "octets_unread": (2 * RECORD, 24 + 10 * RECORD)}
    assert (result.totals.packets, result.notes) == (298, ())


def test_without_it_the_rest_is_left_unread_and_the_note_says_what_to_do() -> None:
    data = spoilt(pcap(PACKETS), 24 + 10 * RECORD + 8, b"\xff" * 4)
    result = floodmark.classify(io.BytesIO(data))
    assert result.totals.packets == 10
    assert result.notes == (
        f"<file object>: {290 * RECORD:,} bytes after a damaged record were not read; --keep-going searches for the next one",
    )


def test_nothing_but_damage_ends() -> None:
    damaged = read(pcap([]) + b"\xff" * 300_000)
    assert (damaged.packets, damaged.damages, damaged.unread_bytes) == (0, 1, 300_000)


@settings(PROFILE, max_examples=300)
@given(data=st.data(), block_bytes=st.sampled_from([64, 1000, 1 << 20]))
def test_any_change_ends_in_an_answer_that_no_cut_shows_in(data: st.DataObject, block_bytes: int) -> None:
    whole = data.draw(st.sampled_from([pcap(PACKETS[:20]), pcapng(PACKETS[:20])]))
    at = data.draw(st.integers(24, len(whole) - 1))
    changed = spoilt(whole, at, data.draw(st.binary(min_size=1, max_size=min(40, len(whole) - at))))
    expected, cut = read(changed), read(changed, block_bytes)
    for one in (expected, cut):
        assert one.nbytes == len(changed)
    assert (cut.packets, cut.damages, cut.damaged_at, cut.unread_bytes, cut.truncated_at) == (
        expected.packets,
        expected.damages,
        expected.damaged_at,
        expected.unread_bytes,
        expected.truncated_at,
    )
