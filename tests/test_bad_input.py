"""Damage and nonsense: an answer in which it is counted, or one clear line with path and offset. Never a crash, never silence."""

import gzip
import io
import os
import struct
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from wire import Packet

import floodmark
from builders import MILLISECOND, SECOND, START_NS, answer, arp, connection, header, pcap, pcapng, record, syn_flood, tcp, udp
from floodmark.cli import main
from property.strategies import PROFILE, damaged

HELLO = udp(0).frame
RECORD = 16 + len(HELLO)  # octets of one record with it


def problems(data: bytes) -> dict[str, tuple[int, int | None]]:
    """Return the problems of a capture: kind -> (count, first offset)."""
    [capture] = answer(data).captures
    return {problem.kind: (problem.count, problem.first_offset) for problem in capture.problems}


def refused(data: bytes) -> floodmark.CaptureError:
    """Return the error that a capture is refused with."""
    with pytest.raises(floodmark.CaptureError) as caught:
        answer(data)
    return caught.value


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["classify", *map(str, arguments)])


def complaint(result: Result) -> str:
    """Return the only line on standard error of a run that ended with 3 and wrote nothing else."""
    [line] = [line for line in result.stderr.splitlines() if "compiling the core" not in line]
    assert (result.exit_code, result.stdout) == (3, "")
    return line


# ---- refused


@pytest.mark.parametrize(
    ("data", "offset", "what"),
    [
        (b"", 0, "the file is empty"),
        (b"just some text, long enough for a header", 0, "not a capture: begins with 6a757374"),
        (b"\0" * 100, 0, "not a capture: begins with 00000000"),
        (header()[:10], 10, "the pcap header ends after 10 of 24 bytes"),
        (header()[:23], 23, "the pcap header ends after 23 of 24 bytes"),
        (b"\xd4\xc3\xb2", 0, "not a capture: begins with d4c3b2"),
        (gzip.compress(gzip.compress(pcap([udp(0)]))), 0, "compressed twice, the inner layer with gzip"),
        (pcapng([])[:11], 11, "the pcapng section header ends after 11 bytes"),
        (pcapng([])[:8] + b"\0\0\0\0" + pcapng([])[12:], 8, "pcapng byte-order magic expected, 00000000 found"),
        (header(version=(3, 0)), 4, "pcap version 3"),
    ],
)  # fmt: skip
def test_what_is_no_capture_is_one_line_with_path_and_offset(tmp_path: Path, data: bytes, offset: int, what: str) -> None:
    (tmp_path / "x.pcap").write_bytes(data)
    assert complaint(run(tmp_path / "x.pcap")).startswith(f"floodmark: {tmp_path}/x.pcap, byte {offset}: {what}")


def test_the_librarys_error_carries_path_and_offset(tmp_path: Path) -> None:
    (tmp_path / "x.pcap").write_bytes(header()[:10])
    with pytest.raises(floodmark.CaptureError) as caught:
        floodmark.classify(tmp_path / "x.pcap")
    assert (caught.value.path, caught.value.offset) == (f"{tmp_path}/x.pcap", 10)


def test_the_error_of_a_file_object_carries_its_offset() -> None:
    assert (refused(b"").path, refused(b"").offset) == ("<file object>", 0)


def test_a_missing_file_is_one_line_without_an_offset(tmp_path: Path) -> None:
    assert complaint(run(tmp_path / "none.pcap")) == f"floodmark: {tmp_path}/none.pcap: cannot be opened: No such file or directory"


def test_a_folder_without_captures_is_one_line(tmp_path: Path) -> None:
    assert complaint(run(tmp_path)).startswith(f"floodmark: {tmp_path}: no capture in this folder")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.pcap").write_bytes(pcap([udp(0)]))
    (tmp_path / "x.pcap").chmod(0)
    assert complaint(run(tmp_path / "x.pcap")) == f"floodmark: {tmp_path}/x.pcap: cannot be opened: Permission denied"


def test_a_broken_link_in_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.pcap").symlink_to(tmp_path / "none.pcap")
    assert complaint(run(tmp_path)).startswith(f"floodmark: {tmp_path}/x.pcap: cannot be opened")


def test_a_path_through_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    assert complaint(run(tmp_path / "x" / "y.pcap")).endswith("cannot be opened: Not a directory")


# ---- cut


def test_a_capture_with_a_header_alone_is_answered_as_empty() -> None:
    result = answer(header())
    assert (result.totals.packets, result.totals.flows, result.notes) == (0, 0, ("the captures contain no packet",))


@pytest.mark.parametrize("cut", [1, 15, 16, 17, RECORD - 1])
def test_a_record_cut_in_the_middle_is_counted_at_its_offset(cut: int) -> None:
    assert problems(pcap([udp(0), udp(1000)])[: 24 + RECORD + cut]) == {"record_truncated": (1, 24 + RECORD)}


def test_packets_before_the_cut_are_answered() -> None:
    assert answer(pcap([udp(0), udp(1000)])[:-1]).totals.packets == 1


def test_a_cut_capture_is_marked_as_truncated() -> None:
    [capture] = answer(pcap([udp(0), udp(1000)])[:-1]).captures
    assert capture.truncated


def test_a_whole_capture_is_not_marked_as_truncated() -> None:
    [capture] = answer(pcap([udp(0), udp(1000)])).captures
    assert (capture.truncated, capture.problems) == (False, ())


def test_a_pcapng_block_cut_in_the_middle_is_counted_at_its_offset() -> None:
    data = pcapng([udp(0), udp(1000)])
    assert problems(data[:-5]) == {"record_truncated": (1, len(pcapng([udp(0)])))}


def test_a_cut_capture_gives_zero_and_names_the_cut(tmp_path: Path) -> None:
    (tmp_path / "x.pcap").write_bytes(pcap([udp(0), udp(1000)])[:-1])
    result = run(tmp_path / "x.pcap")
    assert result.exit_code == 0
    assert "record_truncated" in result.stdout


def test_a_cut_capture_in_the_middle_of_a_timeline_loses_no_other(tmp_path: Path) -> None:
    for name, data in {"a.pcap": pcap([udp(0), udp(1)])[:-1], "b.pcap": pcap([udp(SECOND)])}.items():
        (tmp_path / name).write_bytes(data)
    assert floodmark.classify(tmp_path).totals.packets == 2


# ---- lengths that cannot be


def test_a_record_beyond_the_snaplen_is_read_and_counted() -> None:
    data = header(snaplen=20) + record(HELLO)
    assert problems(data) == {"record_beyond_snaplen": (1, 24)}
    assert answer(data).totals.packets_in_flows == 1


def test_a_record_longer_than_any_snaplen_stops_the_reading_at_its_offset() -> None:
    data = pcap([udp(0)]) + record(b"x" * 50, captured=300_000) + record(HELLO)
    assert problems(data)["record_damaged"] == (1, 24 + RECORD)


def test_what_is_left_unread_is_counted_in_bytes() -> None:
    rest = record(b"x" * 50, captured=0xFFFFFFFF) + record(HELLO)
    assert problems(pcap([udp(0)]) + rest)["octets_unread"] == (len(rest), 24 + RECORD)


def test_a_record_that_captured_more_than_was_sent_is_counted() -> None:
    assert problems(header() + record(HELLO, wire_length=20)) == {"captured_beyond_wire_length": (1, 24)}


def test_an_empty_record_is_a_packet_that_is_refused() -> None:
    totals = answer(header() + record(b"")).totals
    assert (totals.packets, totals.packets_refused) == (1, {"link_header_cut": 1})


@pytest.mark.parametrize("length", [0, 4, 11, 16 * 1024 * 1024 + 4, 0xFFFFFFFF])
def test_a_pcapng_block_of_impossible_length_stops_the_reading_at_its_offset(length: int) -> None:
    good = pcapng([udp(0)])
    bad = struct.pack("<II", 6, length) + b"\0" * 40
    found = problems(good + bad)
    assert found["record_damaged"] == (1, len(good))
    assert found["octets_unread"] == (len(bad), len(good))


def test_packets_before_a_bad_block_are_answered() -> None:
    assert answer(pcapng([udp(0)]) + struct.pack("<II", 6, 0) + b"\0" * 40).totals.packets_in_flows == 1


def test_a_packet_block_that_claims_more_than_it_holds_stops_the_reading() -> None:
    good = pcapng([udp(0)])
    bad = struct.pack("<7I", 6, 36, 0, 0, 0, 5000, 5000) + b"\0" * 4 + struct.pack("<I", 36)
    assert problems(good + bad)["record_damaged"] == (1, len(good))


def test_a_block_of_an_unknown_kind_is_passed_over() -> None:
    unknown = struct.pack("<III", 0x0BAD, 16, 7) + struct.pack("<I", 16)
    result = answer(pcapng([udp(0)]) + unknown + pcapng([udp(1000)]))
    assert (result.totals.packets, result.captures[0].problems) == (2, ())


def test_a_packet_of_no_described_interface_is_counted() -> None:
    block = struct.pack("<7I", 6, 32 + 4, 9, 0, 0, 4, 4) + b"abcd" + struct.pack("<I", 36)
    good = pcapng([udp(0)])
    assert problems(good + block)["interface_unknown"] == (1, len(good) + 28)


# ---- times that cannot be


def test_a_packet_slightly_out_of_order_is_counted() -> None:
    assert problems(pcap([udp(0), udp(2 * MILLISECOND), udp(MILLISECOND)])) == {"time_out_of_order": (1, 24 + 2 * RECORD + 16)}


def test_a_time_that_jumps_back_is_counted() -> None:
    assert "time_jump_back" in problems(pcap([udp(0), Packet(5 * SECOND, HELLO), udp(SECOND)]))


def test_a_time_that_jumps_ahead_is_counted() -> None:
    assert "time_jump_ahead" in problems(pcap([udp(0), udp(10 * 86_400 * SECOND), udp(SECOND)]))


def test_a_single_wild_time_ends_no_flow() -> None:
    assert answer(pcap([udp(0), udp(400 * 86_400 * SECOND), udp(SECOND)])).totals.flows == 1


def test_a_fraction_beyond_its_resolution_is_counted() -> None:
    assert problems(header() + record(HELLO, fraction=2_000_000)) == {"time_fraction_bad": (1, 24)}


def test_a_pcapng_time_beyond_all_times_is_counted() -> None:
    block = struct.pack("<7I", 6, 36, 0, 0xFFFFFFFF, 0xFFFFFFFF, 4, 4) + b"abcd" + struct.pack("<I", 36)
    assert problems(pcapng([udp(0)], nanoseconds=True) + block)["time_unusable"][0] == 1


def simple_packet(frame: bytes) -> bytes:
    """Build a pcapng block that holds a packet without a time."""
    padded = frame + bytes(-len(frame) % 4)
    length = struct.pack("<I", 16 + len(padded))
    return struct.pack("<I", 3) + length + struct.pack("<I", len(frame)) + padded + length


def test_packets_without_a_time_are_counted_and_leave_the_span_to_the_others() -> None:
    empty = len(pcapng([]))
    whole = pcapng([udp(SECOND), udp(2 * SECOND)])
    assert problems(whole + simple_packet(HELLO))["time_unusable"] == (1, len(whole))
    [capture] = answer(whole[:empty] + simple_packet(HELLO) + whole[empty:]).captures
    assert (capture.packets, capture.first_seen_ns, capture.last_seen_ns) == (3, START_NS + SECOND, START_NS + 2 * SECOND)


def test_a_capture_without_any_time_has_no_span() -> None:
    [capture] = answer(pcapng([]) + simple_packet(HELLO)).captures
    assert (capture.packets, capture.first_seen_ns, capture.last_seen_ns) == (1, None, None)


def test_time_zero_is_a_time() -> None:
    [capture] = answer([Packet(0, HELLO)]).to_dict()["captures"]
    assert capture["first_seen"] == "1970-01-01T00:00:00.000000000Z"


def test_the_last_second_of_a_pcap_header_is_a_time() -> None:
    [capture] = answer(header() + record(HELLO, seconds=2**32 - 1)).to_dict()["captures"]
    assert capture["first_seen"] == "2106-02-07T06:28:15.000000000Z"


def attacked_and_visited() -> list[Packet]:
    """Return a SYN flood and, after it, 150 ordinary connections to the same service."""
    visits = [connection(SECOND * (3 + n), 30000 + n) for n in range(150)]
    return [*syn_flood(1000), *(packet for visit in visits for packet in visit)]


@pytest.mark.parametrize(
    "times",
    [(2**63 - 1 - 10 * SECOND,), (0, (2**32 - 1) * SECOND), (1,), (START_NS + 90 * 86_400 * SECOND,)],
    ids=["in 2262", "in 1970 and 2106", "in 1970", "a season later"],
)
def test_wild_times_beside_an_attack_are_answered(times: tuple[int, ...]) -> None:
    wild = [Packet(time, tcp(0, 0x2E000000 + n, ports=(5000 + n, 80)).frame) for n, time in enumerate(times)]
    data = pcapng(sorted([*attacked_and_visited(), *wild]), nanoseconds=True)
    assert "tcp-syn-flood" in [event.vector for event in answer(data).events]


# ---- packets that cannot be


def test_an_unknown_link_type_is_answered_and_every_packet_counted_as_refused() -> None:
    result = answer(header(9999) + record(HELLO) * 3)
    assert result.totals.packets_refused == {"link_type_unknown": 3}
    assert (result.captures[0].link_types, result.totals.flows) == (("9999",), 0)


def test_an_unknown_link_type_is_named_in_the_problems() -> None:
    kind, (count, offset) = next(iter(problems(header(9999) + record(HELLO) * 3).items()))
    assert (kind, count, offset) == ("link_type_unknown", 3, 24 + 16)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (HELLO[:13], "link_header_cut"),
        (HELLO[:30], "ip_header_cut"),
        (HELLO[:14] + b"\x44" + HELLO[15:], "ip_header_length_bad"),
        (HELLO[:14] + b"\x55" + HELLO[15:], "ip_version_bad"),
    ],
)
def test_a_packet_that_cannot_be_decoded_is_counted_by_its_reason(frame: bytes, reason: str) -> None:
    totals = answer(header() + record(frame) + record(HELLO)).totals
    assert (totals.packets_refused, totals.packets_in_flows) == ({reason: 1}, 1)


def test_a_transport_header_that_was_not_captured_still_counts_for_a_flow() -> None:
    data = header() + record(HELLO[:36], wire_length=len(HELLO))
    assert answer(data).totals.packets_in_flows == 1
    assert problems(data)["transport_header_cut"][0] == 1


def test_an_ip_length_beyond_the_frame_is_counted() -> None:
    frame = HELLO[:16] + b"\xff\xff" + HELLO[18:]
    assert "ip_length_beyond_frame" in problems(header() + record(frame))


@pytest.mark.parametrize(("octets", "counted"), [(36, True), (len(HELLO), False)])
def test_packets_cut_by_the_snaplen_are_in_the_profile(octets: int, *, counted: bool) -> None:
    data = header() + record(HELLO[:octets], wire_length=len(HELLO))
    assert answer(data).profile.snaplen_cut is counted


def test_frames_that_are_not_ip_are_counted_by_ethertype() -> None:
    assert answer(pcap([arp(0), arp(1), udp(2)])).totals.packets_not_ip == {"arp": 2}


# ---- several captures


def test_captures_in_the_wrong_order_are_answered_in_the_order_of_time(tmp_path: Path) -> None:
    parts = [connection(0)[:4], connection(0)[4:7], connection(0)[7:]]
    for name, part in zip("abc", parts, strict=True):
        (tmp_path / name).write_bytes(pcap(part))
    right, wrong = (floodmark.classify([tmp_path / name for name in names]) for names in ("abc", "cab"))
    assert wrong == right
    assert wrong.flows.to_table() == right.flows.to_table()


def test_files_named_against_their_times_are_one_timeline(tmp_path: Path) -> None:
    for name, part in {"z": connection(0)[:5], "a": connection(0)[5:]}.items():
        (tmp_path / name).write_bytes(pcap(part))
    assert (floodmark.classify(tmp_path).totals.flows, floodmark.classify(tmp_path).notes) == (1, ())


def test_a_folder_given_twice_counts_twice_and_says_that_it_overlaps(tmp_path: Path) -> None:
    (tmp_path / "x.pcap").write_bytes(pcap(connection(0)))
    result = floodmark.classify([tmp_path, tmp_path])
    assert result.totals.packets == 20
    assert any("overlap in time" in note for note in result.notes)


def test_a_capture_without_packets_does_not_disturb_a_timeline(tmp_path: Path) -> None:
    for name, data in {"a": header(), "b": pcap(connection(0)), "c": header()}.items():
        (tmp_path / name).write_bytes(data)
    assert floodmark.classify(tmp_path).totals.flows == 1


def test_captures_of_two_formats_and_byte_orders_are_one_timeline(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(pcapng(connection(0)[:5], big_endian=True))
    (tmp_path / "b").write_bytes(pcap(connection(0)[5:], nanoseconds=True))
    assert floodmark.classify(tmp_path).totals.flows == 1


def test_one_bad_capture_of_several_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap([udp(0)]))
    (tmp_path / "b.pcap").write_bytes(header()[:20])
    assert complaint(run(tmp_path / "a.pcap", tmp_path / "b.pcap")).startswith(f"floodmark: {tmp_path}/b.pcap, byte 20: ")


# ---- anything at all


@settings(PROFILE, max_examples=200)
@given(data=st.one_of(st.binary(max_size=300), damaged(), st.binary(max_size=300).map(lambda rest: header() + rest)))
def test_any_bytes_give_a_document_or_a_capture_error(data: bytes) -> None:
    try:
        result = answer(data)
    except floodmark.CaptureError:
        return
    result.to_json()
    totals = result.totals
    assert totals.packets == totals.packets_in_flows + sum(totals.packets_not_ip.values()) + sum(totals.packets_refused.values())


ATTACKED = pcap([*connection(0), *syn_flood(300)])


@settings(PROFILE, max_examples=150)
@given(changes=st.lists(st.tuples(st.integers(0, len(ATTACKED) - 1), st.integers(0, 255)), min_size=1, max_size=40))
def test_an_attack_with_bytes_changed_anywhere_gives_a_document_or_a_capture_error(changes: list[tuple[int, int]]) -> None:
    data = bytearray(ATTACKED)
    for place, byte in changes:
        data[place] = byte
    try:
        result = answer(bytes(data))
    except floodmark.CaptureError:
        return
    flows: Any = result.flows.to_table()
    flows.validate(full=True)
    assert flows.num_rows == result.totals.flows


@pytest.mark.parametrize("octets", range(0, 24, 5))
def test_a_flood_with_headers_cut_short_is_answered(octets: int) -> None:
    packets = [tcp(n * 1000, 0x0B000000 + n) for n in range(300)]
    data = header() + b"".join(
        record(packet.frame[: 34 + octets], START_NS // SECOND, n, wire_length=54) for n, packet in enumerate(packets)
    )
    assert answer(data).totals.packets_in_flows == 300


def test_a_file_object_that_is_not_at_its_beginning_is_read_from_where_it_is() -> None:
    stream = io.BytesIO(b"prefix" + pcap([udp(0)]))
    stream.seek(6)
    assert floodmark.classify(stream).totals.packets == 1


def test_a_pipe_among_several_captures_is_read_once_and_last(tmp_path: Path) -> None:
    pipe, file = tmp_path / "pipe", tmp_path / "a.pcap"
    os.mkfifo(pipe)
    file.write_bytes(pcap(connection(10 * SECOND)))
    early = pcap(connection(0))
    writer = threading.Thread(target=pipe.write_bytes, args=(early,))
    writer.start()
    result = floodmark.classify([pipe, file])
    writer.join()
    assert [Path(capture.path).name for capture in result.captures] == ["a.pcap", "pipe"]
    assert result.totals.packets == 20


def test_file_objects_are_put_in_order_of_time_and_read_from_where_they_stand() -> None:
    late, early = (io.BytesIO(b"before" + pcap(connection(at * SECOND))) for at in (10, 0))
    for stream in (late, early):
        stream.seek(6)
    result = floodmark.classify([late, early])
    firsts = [capture.first_seen_ns for capture in result.captures]
    assert firsts == [START_NS, START_NS + 10 * SECOND]


@pytest.mark.parametrize("source", [None, 3, b"octets", [None], [b"octets"]])
def test_what_is_no_source_is_a_type_error(source: object) -> None:
    with pytest.raises(TypeError, match="a path or a binary file object"):
        floodmark.classify(source)  # type: ignore[arg-type]


def test_a_folder_answers_with_what_it_can_read_and_notes_the_rest(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap(connection(0)))
    (tmp_path / "b.pcap").write_bytes(b"")
    result = floodmark.classify(tmp_path)
    assert result.totals.packets == 10
    assert any("b.pcap" in note and "empty" in note for note in result.notes)
    assert [Path(error.path).name for error in result.left_out] == ["b.pcap"]
