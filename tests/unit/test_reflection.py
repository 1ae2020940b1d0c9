"""Answers of no known protocol from one port of many servers are a reflection, unless the victim asked all its neighbours."""

import random

import pytest
import wire

from builders import MILLISECOND, SECOND, SERVER, START_NS, Packet, answer, syn_flood, udp

BROADCAST = 0xC63364FF  # 198.51.100.255: an ordinary host of a wider network, or everybody of this one


def answers(port: int) -> list[Packet]:
    """Let 80 servers, one with an address that ends in 255, answer one host as often as they like, each in its own words."""
    rng = random.Random(port)
    packets = []
    for place in range(800):
        server = place % 80
        source = BROADCAST if server == 0 else 0xC6336400 + server
        frame = wire.udp(wire.Head(source, SERVER, ttl=40 + server % 23), port, 40_000 + server, rng.randbytes(300 + server))
        packets.append(Packet(START_NS + SECOND + place * MILLISECOND, frame))
    return packets


@pytest.mark.parametrize("port", [1194, 1900, 4000])
def test_a_server_whose_address_ends_in_255_was_not_asked_for_that(port: int) -> None:
    assert [event.vector for event in answer(answers(port)).events] == ["udp-reflection"]


def test_what_neighbours_were_asked_for_by_broadcast_is_no_reflection() -> None:
    asked = udp(0, SERVER, BROADCAST, (39_000, 1194), b"who is there?")
    assert "udp-reflection" not in [event.vector for event in answer([asked, *answers(1194)]).events]


DATAGRAMS = [udp(n * 50_000, 0x14000000 + n * 7919, ports=(1024 + n, 8443), payload=b"x" * 20) for n in range(20_000)]


@pytest.mark.parametrize(("flood", "vector"), [(syn_flood(20_000), "tcp-syn-flood"), (DATAGRAMS, "udp-flood")])
def test_a_flood_of_another_kind_to_the_same_victim_hides_no_reflection(flood: list[Packet], vector: str) -> None:
    """400 DNS answers of 40 servers among 20,000 forged packets are 2 % of what the victim receives, and an attack of their own."""
    dns = b"\x12\x34\x81\x80\0\x01\0\x05\0\0\0\0\x04demo\0\0\xff\0\x01" + bytes(range(256)) * 4
    reflected = [udp(n * 2 * MILLISECOND, 0x0B000000 + n % 40 * 7919, ports=(53, 4000), payload=dns) for n in range(400)]
    packets = sorted([*reflected, *flood], key=lambda packet: packet.time_ns)
    assert {event.vector for event in answer(packets).events} == {"dns-amplification", vector}
