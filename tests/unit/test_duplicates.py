"""Packets that a mirror port shows twice: their share is part of the profile, estimated on the same packets however the octets come."""

import io

import pytest
from wire import Packet

import floodmark
from builders import MICROSECOND, SECOND, pcap, syn_flood, udp
from floodmark.captures.settings import FlowSettings
from floodmark.captures.source import source_of
from floodmark.flows.metering import Meter
from floodmark.result.inspection import inspect
from floodmark_core.packets.duplicates import ALL_OF_FIRST, EVERY


def mirrored(packets: list[Packet]) -> list[Packet]:
    return [Packet(packet.time_ns + later, packet.frame) for packet in packets for later in (0, MICROSECOND)]


def share(data: bytes, block_bytes: int = 1 << 23) -> float | None:
    meter = Meter(FlowSettings(), seed=1)
    with source_of(io.BytesIO(data)).reader(block_bytes) as reader:
        meter.read(reader)
    return meter.duplicates


def test_half_of_what_is_seen_twice_is_duplicates_and_is_said() -> None:
    packets = syn_flood(500)
    twice = floodmark.classify(io.BytesIO(pcap(mirrored(packets))))
    assert twice.profile.duplicates == 0.5
    assert floodmark.classify(io.BytesIO(pcap(packets))).profile.duplicates == 0
    assert floodmark.classify(io.BytesIO(pcap([]))).profile.duplicates is None


def test_the_estimate_depends_on_no_block_and_is_near_the_count() -> None:
    once, twice = syn_flood(ALL_OF_FIRST + 2 * EVERY, span_ns=20 * SECOND), mirrored(syn_flood(ALL_OF_FIRST // 2, 30 * SECOND))
    data = pcap([*once, *twice])
    estimate = share(data)
    assert estimate is not None
    assert share(data, 5000) == estimate
    whole = inspect(io.BytesIO(data))
    assert estimate == pytest.approx(whole.duplicates / whole.packets, rel=0.2)


def test_what_is_sent_again_later_is_no_duplicate() -> None:
    assert share(pcap([udp(0), udp(6_000 * MICROSECOND)])) == 0
    assert share(pcap([udp(0), udp(4_000 * MICROSECOND)])) == 0.5
