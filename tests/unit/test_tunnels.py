"""Tunnels over IP: flows of the packets inside by default, the tunnel and its ends beside them; floods of tunnel packets stay floods."""

import io
import json
import random
import struct
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import wire
from click.testing import CliRunner
from wire import Head, Packet, Segment

import floodmark
from builders import CLIENT, MILLISECOND, SERVER, START_NS, SYN, answer, connection, pcap, syn_flood
from floodmark.cli import main

HERE, THERE = 0xC0000201, 0xC0000202  # 192.0.2.1, 192.0.2.2: the tunnel's ends
ETHERNET_BYTES = 14
GRE_IP, GRE_BRIDGED = b"\0\0\x08\0", b"\0\0\x65\x58"
VXLAN = b"\x08\0\0\0\0\0\x07\0"


def wrapped(packet: Packet, before: bytes, protocol: int, ends: tuple[int, int] = (HERE, THERE), *, frame: bool = False) -> Packet:
    """Put a packet into a tunnel: its IP packet, or its whole frame."""
    octets = before + (packet.frame if frame else packet.frame[ETHERNET_BYTES:])
    return packet._replace(frame=wire.ip_frame(Head(*ends), protocol, octets))


def in_vxlan(packet: Packet, ends: tuple[int, int] = (HERE, THERE)) -> Packet:
    return packet._replace(frame=wire.udp(Head(*ends), 40000, 4789, VXLAN + packet.frame))


def both_ways(packets: Iterable[Packet], wrap: object = in_vxlan) -> list[Packet]:
    """Put a dialogue of the client and the server into a tunnel between both ends."""
    found = []
    for packet in packets:
        to_server = packet.frame[30:34] == SERVER.to_bytes(4, "big")
        found.append(wrap(packet, (HERE, THERE) if to_server else (THERE, HERE)))  # type: ignore[operator] # one of the functions here
    return found


def rows(result: floodmark.Result) -> list[dict[str, object]]:
    return result.flows.to_table().to_pylist()


def made_up(count: int, bots: int, *, inner_to_victim: bool = False, bridged: bool = False) -> list[Packet]:
    """Build the GRE flood of Mirai's bots: inside, datagrams of random addresses to random hosts or to the victim."""
    rng, found = random.Random(7), []
    for n in range(count):
        dst = SERVER if inner_to_victim else rng.getrandbits(32)
        inner = wire.udp(Head(rng.getrandbits(32), dst), rng.getrandbits(16), rng.getrandbits(16), rng.randbytes(512))
        packet = Packet(START_NS + n * MILLISECOND // 2, inner)
        ends = (0x0B000001 + n % bots * 65537, SERVER)
        found.append(wrapped(packet, GRE_BRIDGED if bridged else GRE_IP, 47, ends, frame=bridged))
    return found


def test_a_flow_is_that_of_the_packets_inside_and_keeps_the_tunnel_and_its_ends() -> None:
    [row] = rows(answer(both_ways(connection(0))))
    plain = rows(answer(connection(0)))[0]
    assert (row["tunnel"], row["outer_initiator"], row["outer_responder"]) == ("vxlan", "192.0.2.1", "192.0.2.2")
    assert (plain["tunnel"], plain["outer_initiator"], plain["outer_responder"]) == (None, None, None)
    beside = {"tunnel", "outer_initiator", "outer_responder"}
    assert {name: row[name] for name in row.keys() - beside} == {name: plain[name] for name in plain.keys() - beside}


def test_the_tunnels_own_flow_is_told_where_it_is_asked_for() -> None:
    settings = floodmark.Settings(flow=replace(floodmark.Settings().flow, tunnels="outer"))
    with pytest.raises(floodmark.SettingsError, match="tunnels must be one of inner, outer"):
        replace(settings.flow, tunnels="both")
    there, back = rows(floodmark.classify(io.BytesIO(pcap(both_ways(connection(0)))), settings))
    assert (there["initiator"], there["responder"], there["responder_port"], there["tunnel"]) == ("192.0.2.1", "192.0.2.2", 4789, None)
    assert (back["initiator"], back["tunnel"]) == ("192.0.2.2", None)


def test_the_command_line_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap(both_ways(connection(0))))
    for which, flows in (("inner", 1), ("outer", 2)):
        done = CliRunner().invoke(main, ["classify", str(tmp_path / "a.pcap"), "--tunnels", which, "--format", "json"])
        assert done.exit_code == 0
        assert json.loads(done.stdout)["totals"]["flows"] == flows


def test_a_tunnel_over_ipv6_names_its_ends() -> None:
    v6 = 0x20010DB8 << 96
    packets = [wrapped(packet, b"", 4, (v6 + 1, v6 + 2)) for packet in connection(0)[:1]]
    [row] = rows(answer(packets))
    assert (row["tunnel"], row["outer_initiator"], row["outer_responder"]) == ("ipip", "2001:db8::1", "2001:db8::2")
    assert (row["initiator"], row["responder"]) == ("198.51.100.1", "203.0.113.10")


def test_an_answer_that_comes_first_turns_the_tunnels_ends_too() -> None:
    packets = both_ways(connection(0)[1:])
    [row] = rows(answer(packets))
    assert (row["initiator"], row["outer_initiator"]) == ("198.51.100.1", "192.0.2.1")


def test_the_same_five_tuple_in_and_out_of_a_tunnel_is_two_flows() -> None:
    assert len(rows(answer([*connection(0), *both_ways(connection(1))]))) == 2


@pytest.mark.parametrize("bots", [1, 300])
@pytest.mark.parametrize("inner_to_victim", [False, True])
@pytest.mark.parametrize("bridged", [False, True])
def test_a_gre_flood_with_made_up_packets_inside_is_a_gre_flood(bots: int, inner_to_victim: bool, bridged: bool) -> None:
    result = answer(made_up(3000, bots, inner_to_victim=inner_to_victim, bridged=bridged))
    [event] = result.events
    assert (event.vector, event.victims, event.packets) == ("gre-flood", ("203.0.113.10",), 3000)
    assert event.confidence >= 0.8
    assert any(f"{bots:,} hosts sent" in note for note in event.notes)


def test_a_gre_flood_beside_ordinary_traffic_of_its_victim_leaves_that_benign() -> None:
    calm = [packet for n in range(50) for packet in connection(n * 20 * MILLISECOND, 41000 + n)]
    result = answer(sorted([*made_up(3000, 50), *calm], key=lambda packet: packet.time_ns))
    assert [(event.vector, event.flows) for event in result.events] == [("gre-flood", 3000)]
    assert result.verdicts["benign"].flows == 50


@pytest.mark.parametrize(("before", "protocol", "frame"), [(GRE_IP, 47, False), (GRE_BRIDGED, 47, True), (b"", 4, False)])
def test_a_flood_inside_a_tunnel_is_a_flood_of_its_victim_inside(before: bytes, protocol: int, frame: bool) -> None:
    result = answer([wrapped(packet, before, protocol, frame=frame) for packet in syn_flood(2000)])
    assert [(event.vector, event.victims) for event in result.events] == [("tcp-syn-flood", ("203.0.113.10",))]


def test_a_tunnel_in_use_is_no_flood() -> None:
    packets = []
    for n in range(400):
        dialogue = connection(n * 2 * MILLISECOND, 30000 + n, client=CLIENT + n % 40)
        packets += both_ways(dialogue, lambda packet, ends: wrapped(packet, GRE_IP, 47, ends))
    result = answer(sorted(packets, key=lambda packet: packet.time_ns))
    assert {event.vector for event in result.events} <= {"http-get-flood"}  # what these dialogues are outside of a tunnel too


def test_a_scan_through_a_tunnel_is_no_flood_of_the_tunnels_end() -> None:
    probes = []
    for n in range(600):
        segment = Segment(40000, 443, n, 0, SYN, 1024, b"", b"")
        packet = Packet(START_NS + n * MILLISECOND, wire.tcp(Head(CLIENT, 0x0A000000 + n), segment))
        probes.append(wrapped(packet, GRE_IP, 47))
    assert {event.vector for event in answer(probes).events} <= {"horizontal-scan", "port-scan", "host-sweep"}


def test_what_is_no_packet_inside_stays_the_tunnels_own() -> None:
    octets = GRE_IP + struct.pack("!BBH", 0x45, 0, 9999) + bytes(40)  # longer than what is around it
    [row] = rows(answer([Packet(START_NS, wire.ip_frame(Head(HERE, THERE), 47, octets))]))
    assert (row["protocol"], row["initiator"], row["tunnel"]) == (47, "192.0.2.1", None)
