"""Packets of an attack out of a capture: exactly those, as they were, and with the rest the whole."""

import io
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from wire import Packet

import floodmark
from builders import MILLISECOND, SECOND, arp, connection, pcap, pcapng, syn_flood, udp
from floodmark.cli import main
from floodmark.result.carving import carve, choose

PACKETS = sorted(
    (*syn_flood(1500), *(packet for n in range(20) for packet in connection(n * 40 * MILLISECOND, 30_000 + n)), arp(300 * MILLISECOND)),
    key=lambda packet: packet.time_ns,
)


def records(path: Path) -> list[tuple[int, bytes]]:
    """Return the times and frames of a pcapng file whose times are in nanoseconds or microseconds, as a reader of its own finds them."""
    data, at, found, per_tick = path.read_bytes(), 0, [], 1000
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert struct.unpack_from("<I", data, at + length - 4) == (length,)
        if kind == 1:
            per_tick = 1 if struct.pack("<HHB", 9, 1, 9) in data[at : at + length] else 1000
        if kind == 6:
            high, low, captured = struct.unpack_from("<III", data, at + 12)
            found.append(((high << 32 | low) * per_tick, data[at + 28 : at + 28 + captured]))
        at += length
    return found


def carved(folder: Path, data: bytes, **chosen: Any) -> list[tuple[int, bytes]]:
    (folder / "in.pcap").write_bytes(data)
    result = floodmark.classify(folder / "in.pcap")
    done = carve(folder / "in.pcap", choose(result.flows.judged, **chosen), str(folder / "out.pcapng"), result.settings.flow)
    found = records(folder / "out.pcapng")
    assert (done.packets, done.read) == (len(found), result.totals.packets)
    return found


def plain(packets: list[Packet]) -> list[tuple[int, bytes]]:
    return [(packet.time_ns // 1000 * 1000, packet.frame) for packet in packets]


@pytest.mark.parametrize("write", [pcap, pcapng])
def test_an_event_and_the_rest_add_up_to_the_capture(write: Any, tmp_path: Path) -> None:
    event, rest = carved(tmp_path, write(PACKETS), events=[1]), carved(tmp_path, write(PACKETS), events=[1], rest=True)
    assert sorted(event) == sorted(plain(syn_flood(1500)))
    assert sorted(event + rest) == sorted(plain(PACKETS))
    assert event == sorted(event, key=lambda one: one[0])


def test_what_belongs_to_no_attack_has_what_is_no_flow_in_it(tmp_path: Path) -> None:
    benign, flood = carved(tmp_path, pcap(PACKETS), benign=True), set(syn_flood(1500))
    assert sorted(benign) == sorted(plain([packet for packet in PACKETS if packet not in flood]))


def test_a_victim_means_all_its_events_and_a_verdict_whole_flows(tmp_path: Path) -> None:
    assert len(carved(tmp_path, pcap(PACKETS), victims=["203.0.113.10"])) == 1500
    assert len(carved(tmp_path, pcap(PACKETS), verdicts=["volumetric"])) == 1500
    assert len(carved(tmp_path, pcap(PACKETS), verdicts=["benign"])) == 200


def test_one_of_so_many_is_evenly_spaced(tmp_path: Path) -> None:
    sample = carved(tmp_path, pcap(PACKETS), events=[1], every=100)
    assert sample == plain(sorted(syn_flood(1500), key=lambda packet: packet.time_ns))[::100]


def test_answers_come_where_they_are_asked_for(tmp_path: Path) -> None:
    flood = [packet for n in range(150) for packet in connection(n * 5 * MILLISECOND, 30_000 + n)]
    flood.sort(key=lambda packet: packet.time_ns)
    assert len(carved(tmp_path, pcap(flood), events=[1])) == 750
    assert sorted(carved(tmp_path, pcap(flood), events=[1], answers=True)) == sorted(plain(flood))


def test_comments_interfaces_and_big_endian_sections_stay(tmp_path: Path) -> None:
    """A section of each byte order, of which the second has a name and a comment that reach the copy."""
    little, big = pcapng(PACKETS), pcapng([udp(9 * SECOND, ports=(1000 + n, 9)) for n in range(30)], big_endian=True)
    (tmp_path / "in.pcapng").write_bytes(little + big)
    result = floodmark.classify(tmp_path / "in.pcapng")
    choice = choose(result.flows.judged, benign=True)
    carve(tmp_path / "in.pcapng", choice, str(tmp_path / "out.pcapng"), result.settings.flow)
    again = floodmark.classify(tmp_path / "out.pcapng")
    assert again.totals.packets == result.totals.packets - 1500
    assert (tmp_path / "out.pcapng").read_bytes().count(b"carved by floodmark: packets of no attack") == 2
    assert again.captures[0].problems == ()


def test_a_capture_without_packets_gives_a_valid_file(tmp_path: Path) -> None:
    assert carved(tmp_path, pcap([]), benign=True) == []
    assert floodmark.classify(tmp_path / "out.pcapng").totals.packets == 0


def test_what_can_be_read_only_once_is_refused(tmp_path: Path) -> None:
    result = floodmark.classify(io.BytesIO(pcap(PACKETS)))
    with pytest.raises(floodmark.CaptureError, match="read only once"):
        carve("-", choose(result.flows.judged, events=[1]), str(tmp_path / "out.pcapng"), result.settings.flow)
    assert not (tmp_path / "out.pcapng").exists()


def test_several_captures_that_overlap_are_carved_in_order_of_time(tmp_path: Path) -> None:
    for name, part in (("a.pcap", PACKETS[::2]), ("b.pcap", PACKETS[1::2])):
        (tmp_path / name).write_bytes(pcap(part))
    both = [tmp_path / "a.pcap", tmp_path / "b.pcap"]
    result = floodmark.classify(both)
    carve(both, choose(result.flows.judged, events=[1]), str(tmp_path / "out.pcapng"), result.settings.flow)
    assert sorted(records(tmp_path / "out.pcapng")) == sorted(plain(syn_flood(1500)))


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--event", "7"], "no event has the id 7; there are events 1 to 1"), (["--victim", "192.0.2.9"], "no event has the victim 192.0.2.9"),
     ([], "no packets selected")],
)  # fmt: skip
def test_what_there_is_not_is_wrong_usage(options: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "in.pcap").write_bytes(pcap(PACKETS))
    done = CliRunner().invoke(main, ["carve", str(tmp_path / "in.pcap"), *options, "-o", str(tmp_path / "out.pcapng")])
    assert (done.exit_code, (tmp_path / "out.pcapng").exists()) == (2, False)
    assert said in done.output


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_and_tcpdump_read_what_was_carved(tmp_path: Path) -> None:
    carved(tmp_path, pcapng(PACKETS), events=[1])
    command = ["tshark", "-r", str(tmp_path / "out.pcapng"), "-T", "fields", "-e", "ip.dst", "-e", "tcp.flags.syn"]
    lines = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    assert set(lines) == {"203.0.113.10\t1"} or set(lines) == {"203.0.113.10\tTrue"}
    assert len(lines) == 1500
    if shutil.which("tcpdump"):
        done = subprocess.run(["tcpdump", "-nr", str(tmp_path / "out.pcapng")], capture_output=True, check=True, text=True)
        assert len(done.stdout.splitlines()) == 1500


@pytest.mark.parametrize("command", [["carve", "--benign"], ["export", "--as", "csv"], ["report"], ["classify"]])
def test_what_is_read_is_never_written_over(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "in.pcap").write_bytes(pcap(PACKETS))
    where = "--flows" if command == ["classify"] else "-o"
    done = CliRunner().invoke(main, [*command, str(tmp_path / "in.pcap"), where, str(tmp_path / "." / "in.pcap")])
    assert done.exit_code == 2
    assert (tmp_path / "in.pcap").read_bytes() == pcap(PACKETS)


def test_nothing_is_written_into_a_folder_that_is_read(tmp_path: Path) -> None:
    """What is being written there would be taken for a capture of the folder."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.pcap").write_bytes(pcap(PACKETS))
    for name in ("a.pcap", "new.pcapng"):
        done = CliRunner().invoke(main, ["carve", str(tmp_path / "in"), "--event", "1", "-o", str(tmp_path / "in" / name)])
        assert done.exit_code == 2
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["a.pcap"]
    assert (tmp_path / "in" / "a.pcap").read_bytes() == pcap(PACKETS)
