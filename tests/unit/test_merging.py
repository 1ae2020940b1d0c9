"""Captures that overlap in time are read as one: the answer is that of the traffic taken together, whatever the pieces are."""

import gzip
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import floodmark
from builders import MILLISECOND, SECOND, START_NS, arp, connection, pcap, pcapng, syn_flood, tcp, udp
from floodmark.captures import merging
from floodmark.captures.merging import MergedReader
from floodmark.captures.ordering import in_groups
from floodmark.captures.source import source_of
from floodmark_core.columns import BATCH
from property import strategies
from property.strategies import CONTAINERS, PROFILE, Sent, dialogues


def merged(sources: list[bytes]) -> bytes:
    """Return the octets of captures merged, all of them."""
    files = [io.BytesIO(data) for data in sources]
    (group,) = in_groups([source_of(file) for file in files]) if len(files) > 1 else [[(0, source_of(files[0]))]]
    octets = []
    with MergedReader(group) as reader:
        while not reader.at_end:
            octets.append(reader.block.tobytes())
            reader.next_block(len(reader.block))
    return b"".join(octets)


def flows_of(result: floodmark.Result) -> Any:
    return result.flows.to_table()


@settings(PROFILE, max_examples=60)
@given(packets=dialogues().filter(bool), data=st.data(), lane_bytes=st.integers(24, 600))
def test_packets_dealt_out_to_captures_give_the_answer_of_all_together(packets: list[Sent], data: st.DataObject, lane_bytes: int) -> None:
    in_order = sorted(packets, key=lambda packet: packet.time_ns)
    in_order = [replace(packet, time_ns=packet.time_ns // 10**6 * 10**6 + number * 1000) for number, packet in enumerate(in_order)]
    in_order.sort(key=lambda packet: packet.time_ns)
    lanes = data.draw(st.lists(st.integers(0, 3), min_size=len(in_order), max_size=len(in_order)))
    captures = []
    for lane in sorted(set(lanes)):
        write, how = data.draw(st.sampled_from(CONTAINERS))
        captures.append(write([packet for packet, mine in zip(in_order, lanes, strict=True) if mine == lane], **how))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "_LANE_BYTES", lane_bytes)
        together = floodmark.classify([io.BytesIO(capture) for capture in captures])
    whole = floodmark.classify(io.BytesIO(strategies.pcap(in_order)))
    assert flows_of(together) == flows_of(whole)
    assert (together.totals, together.verdicts) == (whole.totals, whole.verdicts)


def test_two_taps_of_one_line_show_whole_dialogues(tmp_path: Path) -> None:
    packets = sorted((packet for n in range(400) for packet in connection(n * MILLISECOND, 20000 + n)), key=lambda packet: packet.time_ns)
    from_client = [packet for packet in packets if packet.frame[36:38] == b"\0P"]
    from_server = [packet for packet in packets if packet.frame[36:38] != b"\0P"]
    assert len(from_client) == len(from_server) == 2000 > BATCH
    (tmp_path / "a.pcap").write_bytes(pcap(from_client))
    (tmp_path / "b.pcapng").write_bytes(pcapng(from_server, big_endian=True))
    (tmp_path / "c.pcap.gz").write_bytes(gzip.compress(pcap([arp(5 * MILLISECOND)])))
    result = floodmark.classify(tmp_path)
    ends = flows_of(result)["end_reason"].to_pylist()
    assert result.totals.flows == 400
    assert set(ends) == {"tcp-fin"}
    assert [capture.packets for capture in result.captures] == [2000, 2000, 1]
    assert result.captures[2].compression == "gzip"
    assert result.profile.one_sided is False
    assert any("overlap" in note for note in result.notes)


def test_damage_stays_with_the_capture_that_has_it(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap(syn_flood(1000)))
    (tmp_path / "b.pcap").write_bytes(pcap(syn_flood(1000, 1))[:-9])
    whole, cut = floodmark.classify(tmp_path).captures
    assert (whole.packets, whole.problems) == (1000, ())
    assert (cut.packets, [problem.kind for problem in cut.problems]) == (999, ["record_truncated"])
    assert cut.problems[0].first_offset == 24 + 999 * 76


def test_captures_in_a_row_are_not_merged() -> None:
    parts = [io.BytesIO(pcap([udp(n * SECOND), udp(n * SECOND + MILLISECOND)])) for n in range(3)]
    assert [len(group) for group in in_groups([source_of(part) for part in parts])] == [
        3
    ]  # of a file object nothing is known before it is read


def test_files_in_a_row_are_not_merged_and_long_ones_are_looked_at_from_their_end(tmp_path: Path) -> None:
    names = []
    for n, write in enumerate((pcap, pcapng, pcap)):
        names.append(str(tmp_path / str(n)))
        (tmp_path / str(n)).write_bytes(write(syn_flood(20_000, n * SECOND)))
    assert (tmp_path / "0").stat().st_size > 1 << 20
    assert [len(group) for group in in_groups([source_of(name) for name in names])] == [1, 1, 1]
    (tmp_path / "3").write_bytes(pcap([tcp(SECOND // 2)]))
    assert [len(group) for group in in_groups([source_of(name) for name in [*names, str(tmp_path / "3")]])] == [2, 1, 1]


def test_more_captures_than_are_open_at_one_time_are_all_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "MOST_LANES", 3)
    parts = [pcap([udp(n, ports=(1000 + n, 9)), udp(SECOND + n, ports=(1000 + n, 9))]) for n in range(10)]
    result = floodmark.classify([io.BytesIO(part) for part in parts])
    assert (result.totals.packets, result.totals.flows, len(result.captures)) == (20, 10, 10)


def test_packets_of_one_time_keep_the_order_of_their_captures() -> None:
    frames = [merged([pcap([udp(0, payload=b"first")]), pcap([udp(0, payload=b"other")])])]
    assert frames[0].index(b"first") < frames[0].index(b"other")


def test_times_that_step_back_keep_a_capture_in_its_own_order() -> None:
    odd = [udp(0, payload=b"one"), udp(-SECOND * 5, payload=b"two"), udp(SECOND, payload=b"three")]
    octets = merged([pcap(odd), pcap([udp(MILLISECOND, payload=b"between")])])
    places = [octets.index(word) for word in (b"one", b"two", b"between", b"three")]
    assert places == sorted(places)


def test_a_merged_record_keeps_its_time_lengths_and_link_type_and_names_its_capture() -> None:
    packet = udp(7)
    first, second = packet._replace(time_ns=START_NS + 1000), packet._replace(time_ns=START_NS + 2000)
    octets = merged([pcap([first]), pcapng([second])])
    length = len(packet.frame)
    expected = b"".join(
        b"".join(value.to_bytes(size, "little") for value, size in ((one.time_ns, 8), (length, 4), (length, 4), (1, 4), (number, 4)))
        + one.frame
        for number, one in enumerate((first, second))
    )
    assert octets == expected
