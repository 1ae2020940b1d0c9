"""Rates are those of the attack itself, whatever else its victim receives at the same time."""

import numpy as np
import pytest
from wire import Packet

from builders import CLIENT, MILLISECOND, SECOND, SERVER, START_NS, metered, syn_flood, udp
from floodmark.events.rates import Rates
from floodmark.flows.flowset import Host
from floodmark.verdicts.context import context_of


def rates_of(packets: list[Packet], port: int, bounds_ns: tuple[int, int]) -> Rates:
    """Take the flows to one port of the server for an attack."""
    flows, arrivals, _ = metered(sorted(packets, key=lambda packet: packet.time_ns))
    context = context_of(flows, arrivals)
    attack = context.shapes.clients(np.nonzero(flows.column("responder_port", np.arange(len(flows))) == port)[0])
    vector = "tcp-syn-flood" if port == 80 else "udp-flood"
    return Rates(context, vector, [Host(4, 0, SERVER)], attack, (START_NS + bounds_ns[0], START_NS + bounds_ns[1]))


def stream(seconds: float, per_second: int, port: int, at_ns: int = 0) -> list[Packet]:
    """Build one flow of evenly spread datagrams."""
    step = SECOND // per_second
    return [udp(at_ns + n * step, CLIENT + port, ports=(4000, port)) for n in range(round(seconds * per_second))]


def test_an_attack_alone_is_measured_where_it_arrives() -> None:
    peaks = rates_of(stream(5, 40, port=9), 9, (0, 5 * SECOND)).peaks()
    assert (peaks.pps, peaks.window_s) == (40, 1)


def test_an_upload_beside_it_does_not_count() -> None:
    peaks = rates_of(stream(10, 40, port=9) + stream(10, 800, port=10), 9, (0, 10 * SECOND)).peaks()
    assert peaks.pps == pytest.approx(40, rel=0.05)
    assert peaks.bps == pytest.approx(40 * 33 * 8, rel=0.05)  # 28 octets of headers and 5 of payload


def test_flows_that_overlap_add_up_where_they_overlap() -> None:
    early, late = stream(6, 20, port=9), stream(6, 20, port=11, at_ns=3 * SECOND)
    packets = [udp(p.time_ns - START_NS, CLIENT + 1, ports=(4001, 9)) for p in late] + early + stream(9, 800, port=10)
    assert rates_of(packets, 9, (0, 9 * SECOND)).peaks().pps == pytest.approx(40, rel=0.05)


def test_flows_of_one_packet_count_where_they_are() -> None:
    burst = [udp(2 * SECOND + n * MILLISECOND, CLIENT + 100 + n, ports=(5000, 9)) for n in range(500)]
    peaks = rates_of(burst + stream(5, 800, port=10), 9, (0, 5 * SECOND)).peaks()
    assert peaks.pps == 500


def test_an_attack_shorter_than_a_tenth_of_a_second_is_measured_as_a_whole() -> None:
    peaks = rates_of(syn_flood(count=200, span_ns=20 * MILLISECOND), 80, (0, 20 * MILLISECOND)).peaks()
    assert (peaks.pps, peaks.window_s) == (10_000, 0.02)


def test_the_packets_of_one_second_are_those_of_the_attack() -> None:
    rates = rates_of(stream(10, 40, port=9) + stream(10, 800, port=10), 9, (0, 10 * SECOND))
    assert rates.packets_in_second(START_NS + 4 * SECOND) == pytest.approx(40, rel=0.05)
    assert rates.packets_in_second(START_NS + 40 * SECOND) == 0
