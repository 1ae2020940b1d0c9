"""What is in a capture: counts that add up, silences, losses, duplicates, tunnels; the same however the octets come."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from wire import Packet

import floodmark
from builders import MILLISECOND, SECOND, START_NS, arp, connection, header, icmp, pcap, pcapng, record, syn_flood, udp
from floodmark.cli import main
from floodmark.result.inspection import Inspection, inspect
from property.strategies import interface, section, statistics

MIXED = [*connection(0), icmp(20 * MILLISECOND), arp(30 * MILLISECOND), udp(4 * SECOND)]


def seen(tmp_path: Path, data: bytes, *, keep_going: bool = False) -> Inspection:
    (tmp_path / "a.pcap").write_bytes(data)
    return inspect(str(tmp_path / "a.pcap"), keep_going=keep_going)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["inspect", *map(str, arguments)])


def test_packets_are_counted_by_what_became_of_them_and_by_protocol(tmp_path: Path) -> None:
    found = seen(tmp_path, pcap(MIXED))
    assert (found.packets, found.packets_in_flows, found.packets_not_ip, found.packets_refused) == (13, 12, {"arp": 1}, {})
    assert found.protocols == {"tcp": 10, "icmp": 1, "udp": 1}
    assert (found.format, found.link_types, found.interfaces) == ("pcap", ("ETHERNET",), ())


def test_the_longest_silence_is_found(tmp_path: Path) -> None:
    found = seen(tmp_path, pcap(MIXED))
    assert (found.longest_gap_ns, found.longest_gap_begins_ns) == (4 * SECOND - 30 * MILLISECOND, START_NS + 30 * MILLISECOND)


def test_it_counts_what_classifying_counts(tmp_path: Path) -> None:
    found, result = seen(tmp_path, pcap(syn_flood(500))), floodmark.classify(tmp_path / "a.pcap")
    totals, [capture] = result.totals, result.captures
    assert (found.packets, found.bytes, found.packets_in_flows) == (totals.packets, totals.bytes, totals.packets_in_flows)
    assert (found.first_seen_ns, found.last_seen_ns, found.problems) == (capture.first_seen_ns, capture.last_seen_ns, capture.problems)


def tagged(packet: Packet, later_ns: int) -> Packet:
    """Return the same packet as the other side of a switch shows it."""
    return Packet(packet.time_ns + later_ns, packet.frame[:12] + b"\x81\0\0\7" + packet.frame[12:])


@pytest.mark.parametrize(("later_ns", "duplicates"), [(0, 12), (4 * MILLISECOND, 12), (6 * MILLISECOND, 0)])
def test_duplicates_are_packets_seen_a_moment_before(tmp_path: Path, later_ns: int, duplicates: int) -> None:
    twice = sorted([*MIXED, *(tagged(packet, later_ns) for packet in MIXED)], key=lambda packet: packet.time_ns)
    found = seen(tmp_path, pcap(twice))
    assert (found.duplicates, found.tagged) == (duplicates, 12)
    assert seen(tmp_path, pcap(MIXED)).duplicates == 0


def test_interfaces_and_losses_of_pcapng_are_told(tmp_path: Path) -> None:
    data = section("<") + interface("<", 1, 96, 9) + interface("<", 101, 0, 0x8A) + statistics("<", 0, [(5, 7), (7, 2)])
    found = seen(tmp_path, data)
    assert [vars(one) for one in found.interfaces] == [
        {"link_type": "ETHERNET", "snaplen": 96, "ticks_per_second": 1e9},
        {"link_type": "RAW", "snaplen": 0, "ticks_per_second": 1024.0},
    ]
    assert [(problem.kind, problem.count) for problem in found.problems] == [("dropped_by_capture", 9)]
    assert (found.first_seen_ns, found.longest_gap_begins_ns) == (None, None)


def test_damage_is_told_and_passed_over_where_asked(tmp_path: Path) -> None:
    data = bytearray(pcap(syn_flood(300)))
    data[24 + 76 * 10 + 8 : 24 + 76 * 10 + 12] = b"\xff" * 4
    assert seen(tmp_path, bytes(data)).packets == 10
    assert seen(tmp_path, bytes(data), keep_going=True).packets == 299


def test_a_mapped_file_is_looked_at_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = seen(tmp_path, pcapng(syn_flood(30_000)))
    monkeypatch.setattr("floodmark.captures.mapping._LEAST_BYTES", 1)
    monkeypatch.setattr("floodmark.captures.reading.LOOKED_AT_BYTES", 5000)
    assert seen(tmp_path, pcapng(syn_flood(30_000))) == plain


def test_the_command_prints_a_page_or_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap(MIXED))
    page = run(tmp_path / "a.pcap")
    assert page.exit_code == 0
    assert "longest gap" in page.stdout
    assert "arp" in page.stdout
    line = run(tmp_path / "a.pcap", "--format", "json", "--hash")
    document = json.loads(line.stdout)
    assert (document["schema_version"], document["packets"], len(document["sha256"])) == (1, 13, 64)
    assert document["first_seen"] == "2023-11-14T22:13:20.000000000Z"


def test_what_cannot_be_read_does_not_stop_the_rest(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(b"no capture")
    (tmp_path / "b.pcap").write_bytes(pcap(MIXED))
    done = run(tmp_path / "a.pcap", tmp_path / "b.pcap", "--format", "json")
    first, second = map(json.loads, done.stdout.splitlines())
    assert (done.exit_code, "error" in first, second["packets"]) == (3, True, 13)
    assert "not a capture" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("asked", ["inspect {}", "inspect {} --format json", "vectors", "vectors tcp-syn-flood", "settings"])
def test_an_answer_that_cannot_be_written_is_one_line(tmp_path: Path, asked: str, unbuffered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    (tmp_path / "a.pcap").write_bytes(pcap(MIXED))
    command = [sys.executable, "-m", "floodmark.cli", *asked.format(tmp_path / "a.pcap").split()]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "floodmark: the results cannot be written: No space left on device\n")


def test_cut_packets_are_counted(tmp_path: Path) -> None:
    frame = udp(0).frame
    assert seen(tmp_path, struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 40, 1) + record(frame[:40], wire_length=99)).snaplen_cut == 1


@pytest.mark.parametrize("at", [14 + 8, 14 + 10, 14 + 20 + 4, 14 + 20 + 21, -1])
def test_wrong_checksums_are_counted(tmp_path: Path, at: int) -> None:
    right = [udp(0), *connection(1), icmp(2)]
    frame = bytearray(right[4].frame)
    frame[at] ^= 0x10
    wrong = [*right, Packet(right[-1].time_ns, bytes(frame))]
    found, before = seen(tmp_path, pcap(wrong)), seen(tmp_path, pcap(right))
    assert (before.ip_checksum_bad, before.transport_checksum_bad) == (0, 0)
    assert (found.ip_checksum_bad, found.transport_checksum_bad) == ((1, 0) if 14 <= at < 34 else (0, 1))


def test_a_datagram_without_a_checksum_or_one_that_is_cut_is_not_wrong(tmp_path: Path) -> None:
    frame = bytearray(udp(0).frame)
    frame[14 + 20 + 6 : 14 + 20 + 8] = bytes(2)
    data = header() + record(bytes(frame)) + record(udp(0).frame[:-1], wire_length=len(frame))
    assert seen(tmp_path, data).transport_checksum_bad == 0
