"""Later fragments belong to the flow of their first one; those without one before them are orphans."""

import io

import pytest
import wire
from wire import Head, Packet

from builders import CLIENT, MICROSECOND, MILLISECOND, SECOND, SERVER, START_NS, answer, metered, pcap
from floodmark.captures.settings import FlowSettings
from floodmark.captures.source import source_of
from floodmark.flows.metering import Meter
from floodmark_core.packets.fragments import LIFETIME_NS, PLACES

MORE = 0x2000


def fragments(ident: int, at_ns: int = 0, src: int = SERVER, dst: int = CLIENT, octets: int = 4000) -> list[Packet]:
    """Build a DNS answer of so many octets in fragments, a millisecond apart."""
    payload = b"\0\7\x81\x80\0\1\0\1\0\0\0\0" + bytes(octets)
    frames = wire.udp_fragments(Head(src, dst, ident=ident), (53, 40000), payload)
    return [Packet(START_NS + at_ns + n * MILLISECOND, frame) for n, frame in enumerate(frames)]


def rows(packets: list[Packet]) -> list[dict[str, object]]:
    return answer(packets).flows.to_table().to_pylist()


def test_all_fragments_of_a_datagram_are_one_flow() -> None:
    [row] = rows(fragments(1))
    packets = (row["initiator_packets"], row["responder_packets"])
    assert (row["responder_port"], packets, row["is_fragment"]) == (53, (0, 3), False)
    assert row["responder_payload_octets"] == 4012
    assert row["responder_payload_kind"] == "DNS reply"


def test_datagrams_with_other_identifications_are_kept_apart() -> None:
    one, other = fragments(1), fragments(2)
    [tied, orphan] = rows([*one, *other[1:]])
    assert (tied["responder_packets"], orphan["initiator_packets"], orphan["is_fragment"]) == (3, 2, True)


@pytest.mark.parametrize("count", [1, 2])
def test_a_fragment_before_its_first_is_an_orphan(count: int) -> None:
    first, *later = fragments(1)
    found = rows([*later[:count], first._replace(time_ns=START_NS + SECOND)])
    assert [row["is_fragment"] for row in found] == [True, False]


@pytest.mark.parametrize(("after_ns", "flows"), [(LIFETIME_NS, 1), (LIFETIME_NS + MICROSECOND, 2)])
def test_ports_are_known_for_thirty_seconds(after_ns: int, flows: int) -> None:
    first, later, _ = fragments(1)
    first = first._replace(frame=first.frame[:34] + b"\x9c\x40\x9c\x41" + first.frame[38:])  # ports whose flows last a minute
    assert len(rows([first, later._replace(time_ns=START_NS + after_ns)])) == flows


def test_a_fragment_whose_flow_is_over_begins_another_that_says_nothing_of_its_payload() -> None:
    first, later, _ = fragments(1)  # flows of DNS last ten seconds
    begun, continued = rows([first, later._replace(time_ns=START_NS + 20 * SECOND)])
    assert (continued["parent"], continued["responder_port"], continued["is_fragment"]) == (begun["flow_id"], 53, False)
    assert continued["responder_payload_kind"] == "none"


def test_a_first_fragment_in_one_file_ties_those_in_the_next() -> None:

    first, *later = fragments(1)
    meter = Meter(FlowSettings(), seed=1)
    for part in ([first], later):
        with source_of(io.BytesIO(pcap(part))).reader() as reader:
            meter.read(reader)
    assert len(meter.finish()[0]) == 1


def test_more_datagrams_than_there_are_places_lose_no_packet() -> None:
    packets = [packet for n in range(2 * PLACES) for packet in fragments(n % 65536, n * 4 * MILLISECOND, SERVER + n // 60000, octets=1500)]
    first_ones, later = packets[::2], packets[1::2]
    flows, _, _ = metered([*first_ones, *later])
    counted = flows.column("initiator_packets", range(len(flows))) + flows.column("responder_packets", range(len(flows)))
    assert int(counted.sum()) == len(packets)
