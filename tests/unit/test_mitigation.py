"""Rules that would have stopped an attack: what they match is what the tools they are written for match."""

import shutil
import subprocess
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wire
from click.testing import CliRunner
from wire import Packet

import floodmark
from builders import ACK, MILLISECOND, PSH, START_NS, SYN, connection, icmp, pcap, syn_flood, tcp, udp
from floodmark.base.networks import within
from floodmark.cli import main
from floodmark.mitigation.filters import Filter, Packets
from floodmark.mitigation.forms import FORMS
from floodmark.mitigation.rules import rule_for

VISITS = [packet for n in range(40) for packet in connection(n * 25 * MILLISECOND, 30_000 + n)]
ANSWER = b"\x12\x34\x81\x80\0\x01\0\x05\0\0\0\0\x04demo\0\0\xff\0\x01" + bytes(range(256)) * 4
STEP = MILLISECOND // 2
FLOODS: dict[str, list[Packet]] = {
    "syn": syn_flood(1500),
    "dns": [udp(n * MILLISECOND, 0x0B000000 + n % 80 * 7919, ports=(53, 4000 + n % 3), payload=ANSWER) for n in range(900)],
    "udp": [udp(n * STEP, 0x0B000000 + n % 6, ports=(5000, 1000 + n), payload=b"\xaa" * (400 + n % 700)) for n in range(3000)],
    "ack": [
        tcp(n * MILLISECOND, 0x0B000000 + n * 7919, ports=(1024 + n, 443), flags=PSH | ACK, numbers=(n * 7, n), payload=b"x" * 20)
        for n in range(1200)
    ],
}


def mixed(kind: str) -> list[Packet]:
    return sorted((*FLOODS[kind], *VISITS), key=lambda packet: packet.time_ns)


def ruled(folder: Path, packets: list[Packet], form: str, most_harm: float = 0.01) -> Any:
    (folder / "in.pcap").write_bytes(pcap(packets))
    result = floodmark.classify(folder / "in.pcap")
    event = max(result.events, key=lambda event: event.packets)
    return event, rule_for(folder / "in.pcap", event, result.flows.judged, FORMS[form], result.settings.flow, most_harm=most_harm)


@pytest.mark.parametrize("form", ["nftables", "bpf", "suricata", "flowspec"])
@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_is_told_from_the_visitors_of_its_victim(kind: str, form: str, tmp_path: Path) -> None:
    event, rule = ruled(tmp_path, mixed(kind), form)
    assert rule.measured.attack[1] == event.packets
    assert rule.measured.stopped >= 0.95
    assert rule.measured.ordinary == (0, 400)
    assert rule.measured.beside == (0, 200)
    assert rule.filter.destinations == (ip_network("203.0.113.10"),)


def test_what_a_tool_sends_goes_before_lengths_and_addresses(tmp_path: Path) -> None:
    _, rule = ruled(tmp_path, mixed("syn"), "nftables")
    assert (rule.filter.flags, rule.filter.no_options, rule.filter.ports) == ((SYN,), True, (80,))
    assert (rule.filter.ttls, rule.filter.lengths, rule.filter.sources) == ((), (), ())
    _, rule = ruled(tmp_path, mixed("dns"), "bpf")
    assert rule.filter.source_ports == (53,)


def test_forged_sources_are_never_a_rule(tmp_path: Path) -> None:
    event, rule = ruled(tmp_path, mixed("syn"), "cidr")
    assert event.spoofed == 0.95
    assert rule.filter == Filter()
    assert rule.measured.harm == 1.0


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
@pytest.mark.parametrize("kind", FLOODS)
def test_tcpdump_matches_as_many_packets_as_were_counted(kind: str, tmp_path: Path) -> None:
    event, rule = ruled(tmp_path, mixed(kind), "bpf")
    expression = FORMS["bpf"].write(rule.filter, "", event.id)
    done = subprocess.run(["tcpdump", "-nr", tmp_path / "in.pcap", expression], capture_output=True, check=True, text=True)
    matched = rule.measured.attack[0] + rule.measured.ordinary[0] + rule.measured.other[0]
    assert len(done.stdout.splitlines()) == matched


def networks(*texts: str) -> tuple[Any, ...]:
    return tuple(ip_network(text) for text in texts)


EVERY_TERM = Filter(
    destinations=networks("203.0.113.10", "2001:db8::10"), protocol=6, sources=networks("198.51.100.0/24", "2001:db8:1::/48"),
    source_ports=(1024, 1025), ports=(80,), flags=(2, 18), lengths=((40, 44), (60, 60)), ttls=(51, 64), no_options=True,
)  # fmt: skip
TABLES = (
    EVERY_TERM, Filter(destinations=networks("203.0.113.0/24"), protocol=47), Filter(sources=networks("2001:db8::/32", "192.0.2.1"))
)  # fmt: skip


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
def test_tcpdump_compiles_every_term_for_both_ip_versions() -> None:
    expression = FORMS["bpf"].write(EVERY_TERM, "", 1)
    assert " ip6 " in f" {expression} ".replace("(", "( ")
    subprocess.run(["tcpdump", "-d", "-y", "EN10MB", expression], capture_output=True, check=True)


@pytest.mark.skipif(shutil.which("nft") is None or shutil.which("unshare") is None, reason="nft is not installed")
@pytest.mark.parametrize("chosen", TABLES)
def test_nft_takes_the_table(chosen: Filter, tmp_path: Path) -> None:
    (tmp_path / "a.nft").write_text(FORMS["nftables"].write(chosen, "a test", 7))
    done = subprocess.run(["unshare", "-rn", "nft", "-c", "-f", tmp_path / "a.nft"], capture_output=True, check=False, text=True)
    if "unshare" in done.stderr:
        pytest.skip(f"no namespace of its own: {done.stderr}")
    assert (done.returncode, done.stderr) == (0, "")


def test_surinort_reads_the_rules_of_suricata() -> None:
    surinort = pytest.importorskip("surinort_ast", reason="no reader of Suricata's rules is installed")
    chosen = Filter(
        destinations=(ip_network("203.0.113.10"),), protocol=17, source_ports=(53,), lengths=((100, 900), (1200, 1200)), ttls=(5, 6)
    )
    text = FORMS["suricata"].write(chosen, "a test", 7)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) == 4
    assert len({line.split("sid:")[1] for line in lines}) == 4
    for line in lines:
        assert surinort.parse_rule(line)


def test_flowspec_has_a_route_for_each_pair_and_all_flags() -> None:
    text = FORMS["flowspec"].write(EVERY_TERM, "a test", 7)
    assert text.count("route event7-4-") == 1
    assert "destination 203.0.113.10/32; source 198.51.100.0/24; protocol tcp; destination-port =80; source-port [ =1024 =1025 ];" in text
    assert "tcp-flags [ !fin&=syn&!rst&!push&!ack&!urgent !fin&=syn&!rst&!push&=ack&!urgent ];" in text
    assert "packet-length [ >=40&<=44 =60 ];" in text
    assert "destination 2001:db8::10/128/0; source 2001:db8:1::/48/0; next-header tcp;" in text


def test_addresses_lie_in_their_networks() -> None:
    version = np.array([4, 4, 6, 6], np.uint8)
    hi = np.array([0, 0, 0x20010DB800010000, 0x20010DB800020000], np.uint64)
    lo = np.array([0xCB00710A, 0xCB007200, 5, 5], np.uint64)
    assert within(version, hi, lo, networks("203.0.113.0/24", "2001:db8:1::/48")).tolist() == [True, False, True, False]
    assert within(version, hi, lo, networks("0.0.0.0/0")).tolist() == [True, True, False, False]
    assert within(version, hi, lo, networks("2001:db8:2::5")).tolist() == [False, False, False, True]


def test_ports_and_flags_of_later_fragments_are_not_known() -> None:
    kinds = ("u1", "u1", "u1", "u1", "u1", "u4", "u8", "u8", "u8", "u8", "u2", "u2", "i8")
    columns = {name: np.zeros(2, kind) for name, kind in zip(Packets._fields, kinds, strict=True)}
    columns["fragment"] = np.array([0, 3], np.uint8)
    assert Filter(ports=(0,)).matches(Packets(**columns)).tolist() == [True, False]
    assert Filter(protocol=0).matches(Packets(**columns)).tolist() == [True, True]


def test_a_rule_that_would_do_harm_is_not_printed_unless_forced(tmp_path: Path) -> None:
    """Visitors ask as the flood does, from the same addresses: only all of them can be stopped."""
    flood = [packet for n in range(400) for packet in connection(n * 3 * MILLISECOND, 20_000 + n, client=0x0B000000 + n % 8)]
    (tmp_path / "in.pcap").write_bytes(pcap(sorted((*flood, *VISITS), key=lambda packet: packet.time_ns)))
    command = ["mitigate", str(tmp_path / "in.pcap"), "--event", "1", "--as", "flowspec", "--most-harm", "0"]
    done = CliRunner().invoke(main, command)
    assert "ordinary packets to the victims" in done.output
    forced = CliRunner().invoke(main, [*command, "--force"])
    assert forced.exit_code == 0
    assert "route event1" in forced.output
    assert done.exit_code in (0, 1)
    assert (done.exit_code == 0) == ("route event1" in done.output)


def test_an_event_that_there_is_not_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "in.pcap").write_bytes(pcap(VISITS))
    done = CliRunner().invoke(main, ["mitigate", str(tmp_path / "in.pcap"), "--event", "1", "--as", "bpf"])
    assert done.exit_code == 2
    assert "no event has the id 1" in done.output


def test_ipv6_floods_have_rules_too(tmp_path: Path) -> None:
    server, source = (0x20010DB8 << 96) | 0x10, (0x20010DB8 << 96) | 0x99 << 64
    flood = [
        Packet(START_NS + n * STEP, wire.udp(wire.Head(source + n % 5, server), 5000, 1000 + n % 2000, b"\xaa" * 500)) for n in range(2500)
    ]
    event, rule = ruled(tmp_path, sorted((*flood, *VISITS), key=lambda packet: packet.time_ns), "bpf")
    assert event.victims == ("2001:db8::10",)
    assert (rule.measured.stopped, rule.measured.harm) == (1.0, 0.0)
    if shutil.which("tcpdump"):
        expression = FORMS["bpf"].write(rule.filter, "", 1)
        done = subprocess.run(["tcpdump", "-nr", tmp_path / "in.pcap", expression], capture_output=True, check=True, text=True)
        assert len(done.stdout.splitlines()) == 2500


def fragments(count: int) -> list[Packet]:
    """Build large answers of name servers, each in two fragments."""
    found = []
    for n in range(count):
        whole = wire.udp(wire.Head(0x0B000000 + n % 90 * 7919, 0xCB00710A, 60, n), 53, 4000, ANSWER + bytes(1000))
        found += [Packet(START_NS + n * MILLISECOND + place * 1000, frame) for place, frame in enumerate(cut_in_two(whole))]
    return found


def cut_in_two(frame: bytes) -> list[bytes]:
    """Cut a datagram over IPv4 and Ethernet after 1,200 octets of its IP payload."""
    ip, payload = bytearray(frame[14:34]), frame[34:]
    parts = []
    for offset, part in ((0, payload[:1200]), (1200, payload[1200:])):
        ip[2:4] = (20 + len(part)).to_bytes(2, "big")
        ip[6:8] = (offset // 8 | (0x2000 if not offset else 0)).to_bytes(2, "big")
        ip[10:12] = bytes(2)
        ip[10:12] = wire.checksum(bytes(ip)).to_bytes(2, "big")
        parts.append(frame[:14] + bytes(ip) + part)
    return parts


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
def test_later_fragments_of_answers_are_stopped_with_their_first(tmp_path: Path) -> None:
    packets = sorted((*fragments(600), *VISITS), key=lambda packet: packet.time_ns)
    event, rule = ruled(tmp_path, packets, "bpf")
    assert (rule.filter.source_ports, rule.filter.fragments_too) == ((53,), True)
    assert (rule.measured.attack, rule.measured.ordinary[0]) == ((1200, 1200), 0)
    expression = FORMS["bpf"].write(rule.filter, "", event.id)
    done = subprocess.run(["tcpdump", "-nr", tmp_path / "in.pcap", expression], capture_output=True, check=True, text=True)
    assert len(done.stdout.splitlines()) == 1200
    assert FORMS["nftables"].write(rule.filter, "", 1).count("counter drop") == 2
    routes = FORMS["flowspec"].write(rule.filter, "", 1)
    assert "-fragments { match { destination 203.0.113.10/32; protocol udp; fragment [ is-fragment ]; }" in routes


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
@pytest.mark.parametrize("tags", [[77], [100, 77]], ids=["one", "two"])
def test_tagged_frames_are_matched_by_an_expression_that_says_so(tags: list[int], tmp_path: Path) -> None:
    packets = mixed("syn")
    for tag in tags:
        packets = wire.tagged(packets, tag)
    (tmp_path / "in.pcap").write_bytes(pcap(packets))
    done = CliRunner().invoke(main, ["mitigate", str(tmp_path / "in.pcap"), "--event", "1", "--as", "bpf"])
    expression = done.output.splitlines()[-1]
    assert expression.count("vlan and") == len(tags)
    found = subprocess.run(["tcpdump", "-nr", tmp_path / "in.pcap", expression], capture_output=True, check=True, text=True)
    assert len(found.stdout.splitlines()) == 1500


def test_icmp_floods_are_told_by_type_and_code(tmp_path: Path) -> None:
    errors = [icmp(n * MILLISECOND // 4, 0x0B000001, kind=3, code=3) for n in range(3000)]
    wanted = [icmp(n * 30 * MILLISECOND, 0x0B000001, kind=3, code=4) for n in range(20)]
    event, rule = ruled(tmp_path, sorted((*errors, *wanted, *VISITS), key=lambda packet: packet.time_ns), "nftables", 0.5)
    assert event.vector == "icmp-unreachable-flood"
    assert (rule.filter.icmp_types, rule.filter.icmp_codes) == ((3,), (3,))
    assert "icmp type 3 icmp code 3" in FORMS["nftables"].write(rule.filter, "", 1)
    assert "icmp-type =3; icmp-code =3;" in FORMS["flowspec"].write(rule.filter, "", 1)
    assert "itype:3; icode:3;" in FORMS["suricata"].write(rule.filter, "", 1)
    if shutil.which("tcpdump"):
        expression = FORMS["bpf"].write(rule.filter, "", 1)
        done = subprocess.run(["tcpdump", "-nr", tmp_path / "in.pcap", expression], capture_output=True, check=True, text=True)
        assert len(done.stdout.splitlines()) == 3000
