"""What each event and ordinary traffic carried, over time."""

import numpy as np

from builders import MILLISECOND, SECOND, answer, connection, syn_flood, udp


def test_every_packet_stands_in_one_bin_of_its_row() -> None:
    quiet = [packet for n in range(20) for packet in connection(n * SECOND // 2, 30_000 + n)]
    result = answer(sorted((*quiet, *syn_flood(2000, 4 * SECOND)), key=lambda packet: packet.time_ns))
    timeline = result.flows.timeline(10)
    assert timeline.events == (1,)
    assert timeline.packets.shape == (3, 10)
    assert np.isclose(timeline.packets.sum(), result.totals.packets_in_flows)
    assert np.isclose(timeline.of_event(1).sum(), 2000)
    assert timeline.of_event(1)[:3].sum() == 0
    assert timeline.of_event(1).argmax() in (4, 5)
    assert np.isclose(timeline.ordinary.sum(), 200)
    octets = sum(count.bytes for count in result.verdicts.values())
    assert np.isclose(timeline.nbytes.sum(), octets)


def test_a_flow_is_spread_over_the_time_that_it_lasted() -> None:
    timeline = answer([udp(n * 100 * MILLISECOND) for n in range(101)]).flows.timeline(5)
    assert np.allclose(timeline.ordinary, 101 / 5)


def test_a_wild_time_stamp_does_not_squeeze_the_rest() -> None:
    packets = [udp(n * MILLISECOND, ports=(1024 + n, 9)) for n in range(3000)]
    far = [udp(10_000_000 * SECOND, ports=(60_000, 9))]
    timeline = answer([*packets, *far]).flows.timeline(10)
    assert (timeline.packets.sum(axis=0) > 200).all()


def test_nothing_has_a_timeline_too() -> None:
    assert answer([]).flows.timeline(5).packets.sum() == 0
