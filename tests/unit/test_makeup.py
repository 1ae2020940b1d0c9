"""What an attack is made of, and which part of it ordinary traffic has too."""

from builders import CLIENT, MILLISECOND, SECOND, SERVER, answer, connection, syn_flood, udp
from floodmark.events.makeup import Share


def test_what_ordinary_traffic_to_the_victim_shares_is_told() -> None:
    visits = [packet for n in range(40) for packet in connection(n * 20 * MILLISECOND, 30_000 + n, client=CLIENT + n)]
    result = answer(sorted((*syn_flood(2000), *visits), key=lambda packet: packet.time_ns))
    [event] = result.events
    makeup = event.makeup
    assert makeup.ordinary_packets == 200  # five packets of each connection come to the server
    assert makeup.ports == (Share("80/tcp", 1.0, round(200 / 2200, 4)),)
    assert makeup.packet_octets == (Share("40", 1.0, 0.0),)  # SYNs without options; what visitors send is longer in the mean
    assert makeup.prefixes == ()  # none of the forged prefixes has a hundredth of the packets
    assert makeup.effective_ttls == 1.0
    assert all(source.ordinary_packets == 0 for source in event.top_sources)


def test_a_source_that_also_visits_is_told_from_one_that_only_attacks() -> None:
    flood = [udp(n * MILLISECOND // 2, CLIENT + n % 4, ports=(5000 + n % 4, 1000 + n % 3000), payload=b"\xaa" * 700) for n in range(4000)]
    visits = [packet for n in range(20) for packet in connection(n * 50 * MILLISECOND, 30_000 + n, client=CLIENT)]
    result = answer(sorted((*flood, *visits), key=lambda packet: packet.time_ns))
    [event] = [event for event in result.events if event.verdict == "volumetric"]
    ordinary = {source.address: source.ordinary_packets for source in event.top_sources}
    assert ordinary == {"198.51.100.1": 100, "198.51.100.2": 0, "198.51.100.3": 0, "198.51.100.4": 0}
    [prefix] = event.makeup.prefixes
    assert prefix.value == "198.51.100.0/24"
    assert prefix.share == 1.0
    assert prefix.ordinary == round(100 / 4100, 4)


def test_answers_to_the_victims_own_questions_count_as_ordinary() -> None:
    """A rule against all DNS answers would hit those that the victim asked for."""
    dns = b"\x12\x34\x81\x80\0\x01\0\x05\0\0\0\0\x04demo\0\0\xff\0\x01" + bytes(range(256)) * 4
    flood = [udp(n * MILLISECOND, 0x0B000000 + n % 60 * 7919, ports=(53, 40_000), payload=dns) for n in range(600)]
    question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x04demo\0\0\x01\0\x01"
    asked = []
    for n in range(60):
        asked.append(udp(n * 9 * MILLISECOND, SERVER, CLIENT, (30_000 + n, 53), question))
        asked.append(udp(n * 9 * MILLISECOND + MILLISECOND, CLIENT, SERVER, (53, 30_000 + n), dns[:80]))
    result = answer(sorted((*flood, *asked), key=lambda packet: packet.time_ns))
    [event] = [event for event in result.events if event.vector == "dns-amplification"]
    assert event.makeup.source_ports == (Share("53/udp", 1.0, round(60 / 660, 4)),)
    assert result.profile.span_s < SECOND
