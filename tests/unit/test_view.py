"""What a capture can show: samples, cut and overwritten payloads, one direction; and what is said not to be assessable for it."""

import io
import random

import pytest
from degrade import anonymised, sampled
from wire import Packet, one_sided, snap

import floodmark
from builders import ACK, PSH, RST, SECOND, SERVER, connection, pcap, syn_flood, tcp, udp
from floodmark.vocabulary.vectors import VECTORS

MANY = sorted(
    (
        packet
        for n in range(300)
        for packet in connection(n * SECOND // 10, 20_000 + n, b"POST / HTTP/1.1\r\n\r\n" + bytes([n % 256]) * 900)
    ),
    key=lambda packet: packet.time_ns,
)


def answered(packets: list[Packet]) -> floodmark.Result:
    return floodmark.classify(io.BytesIO(pcap(packets)))


def not_assessable(result: floodmark.Result) -> set[str]:
    return {vector for one in result.not_assessable for vector in one.vectors}


def test_a_whole_capture_is_no_sample() -> None:
    profile = answered(MANY).profile
    assert (profile.payload_missing, profile.anonymised, profile.one_sided) == (False, False, False)
    assert profile.sampled is not True


@pytest.mark.parametrize("rate", [5, 10])
def test_a_sample_is_told_by_dialogues_that_begin_in_their_middle(rate: int) -> None:
    result = answered(sampled(MANY, rate, 7))
    assert result.profile.sampled is True
    assert {"http-get-flood", "ssh-bruteforce"} <= not_assessable(result)
    assert any("sample" in one.why for one in result.not_assessable)


def test_a_flood_of_segments_to_one_host_is_no_sample() -> None:
    rng = random.Random(1)
    flood = [packet for packet in MANY if packet.frame[36:38] == b"\0P" and packet.frame[47] & 0x10]
    assert answered(rng.sample(flood, 300)).profile.sampled is not True


def test_payloads_that_are_cut_or_overwritten_are_told_apart() -> None:
    cut, zeroed = answered(snap(MANY, 54)).profile, answered(anonymised(MANY, 3)).profile
    assert (cut.payload_missing, cut.anonymised, cut.snaplen_cut) == (True, None, True)
    assert (zeroed.payload_missing, zeroed.anonymised, zeroed.snaplen_cut) == (True, True, False)
    assert "http-get-flood" in not_assessable(answered(snap(MANY, 54)))


def test_one_direction_cannot_show_what_was_answered() -> None:
    result = answered(one_sided(MANY, 0))
    assert result.profile.one_sided is True
    assert {"dns-water-torture", "ssh-bruteforce"} <= not_assessable(result)


def test_a_handful_of_packets_shows_no_flood_and_a_flood_shows_itself() -> None:
    assert {"tcp-syn-flood", "udp-flood"} <= not_assessable(answered([udp(0), udp(1)]))
    assert "tcp-syn-flood" not in not_assessable(answered([*syn_flood(2000, 0, 3 * SECOND), udp(4 * SECOND)]))


def test_each_vector_is_named_with_one_reason() -> None:
    named = [vector for one in answered(MANY[:40]).not_assessable for vector in one.vectors]
    assert len(named) == len(set(named))
    assert all(vector in VECTORS for vector in named)


def test_a_flood_of_zeros_is_no_overwritten_capture() -> None:
    flood = [udp(n * SECOND // 2000, 0x0B000000 + n, ports=(1024 + n, 80), payload=bytes(100)) for n in range(2000)]
    assert answered(flood).profile.payload_missing is False
    assert answered(sorted([*flood, *MANY], key=lambda packet: packet.time_ns)).profile.anonymised is False


def test_streams_that_the_other_end_only_resets_say_nothing_of_a_sample() -> None:
    """Middleboxes repeat their answers, with gaps in the numbers, to a host that knows of no connection."""
    page = b"HTTP/1.1 403 Forbidden\r\n\r\n" + b"x" * 300
    answers = []
    for box in range(60):
        for n in range(1 + box % 5):
            at_ns, numbers = 5 * SECOND + box * SECOND // 50 + n * 1_000_000, (1000 + n * 2000, 77)
            answers.append(tcp(at_ns, 0x0B000000 + box * 7919, SERVER, (80, 4000), PSH | ACK, numbers, page))
            answers.append(tcp(at_ns + 500_000, SERVER, 0x0B000000 + box * 7919, (4000, 80), RST, (77, 0)))
    result = answered(sorted((*MANY, *answers), key=lambda packet: packet.time_ns))
    assert result.profile.sampled is not True
    [event] = [event for event in result.events if event.verdict == "volumetric"]
    assert (event.vector, event.flows) == ("tcp-middlebox-reflection", 60)


def test_a_snap_length_that_leaves_a_few_bytes_of_payload_leaves_nothing_to_read() -> None:
    cut = answered(snap(MANY, 14 + 20 + 20 + 4))
    assert (cut.profile.snaplen_cut, cut.profile.payload_missing) == (True, True)
