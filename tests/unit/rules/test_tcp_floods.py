"""Floods of TCP segments: each rule just below, at and just above its threshold."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from turning import Turn

from floodmark.verdicts.rules.volumetric import tcp_floods
from floodmark.verdicts.weighing import FROM_ITSELF
from floodmark_core import kinds
from floodmark_core.protocols import SECOND_NS, UDP
from made_flows import START_NS, VICTIM, MadeFlows, fired, measured
from property.strategies import PROFILE

ACKS = {"flags": kinds.ACK, "tcp_options": 0}


def bare(count: int) -> MadeFlows:
    """1,000 SYNs, so many of them without options."""
    return MadeFlows().syns(1000, tcp_options=lambda number: 0 if number < count else 0x1234)


def windows(count: int) -> MadeFlows:
    return MadeFlows().syns(1000, tcp_window=lambda number: 512 if number < count else number)


def numbers(count: int) -> MadeFlows:
    """1,000 SYNs, so many of them with one initial sequence number."""
    return MadeFlows().syns(1000, initiator_isn=lambda number: 7 if number < count else 1000 + number)


def completed(count: int) -> MadeFlows:
    """1,000 SYNs that became nothing, and so many handshakes of clients with the same options."""
    stage = kinds.STAGE_SYN | kinds.STAGE_SYNACK | kinds.STAGE_ESTABLISHED
    return MadeFlows().syns(1000, spacing_ns=5_000_000).syns(count, first=2000, stage=stage, back=1, packets=2)


def ttls(sources: int) -> MadeFlows:
    """SYNs from so many sources, all with one TTL."""
    return MadeFlows().syns(sources, spacing_ns=1_000_000)


def flag_mix(combinations: int) -> MadeFlows:
    """Impossible flags in equal parts, so many combinations."""
    odd = (0, kinds.FIN, kinds.PSH, kinds.URG, kinds.FIN | kinds.PSH, kinds.FIN | kinds.URG, kinds.PSH | kinds.URG)
    return MadeFlows().syns(840, flags=lambda number: odd[number % combinations], tcp_options=0)


def brief(count: int) -> MadeFlows:
    """1,000 ACKs without a connection, so many of them in five-tuples of one packet, the rest of three; the capture goes on after them."""
    made = MadeFlows().syns(1000, packets=lambda number: 1 if number < count else 3, **ACKS)
    made.add(START_NS + 3 * SECOND_NS, 0x0A00FFFF, protocol=UDP)
    return made


def tuples(each: int) -> MadeFlows:
    """ACKs of 100 sources, of each so many five-tuples."""
    return MadeFlows().syns(100 * each, sources=100, spacing_ns=5_000_000, **ACKS)


def wild(count: int) -> MadeFlows:
    return MadeFlows().syns(1000, incoherent_packets=lambda number: int(number < count), **ACKS)


def offered(count: int) -> MadeFlows:
    return MadeFlows().syns(1000, tcp_window=lambda number: 512 if number < count else number, **ACKS)


def odd_segments(packets: int) -> MadeFlows:
    """Segments without any flag, so many, fast."""
    return MadeFlows().syns(packets, flags=0, tcp_options=0)


def at_rate(rate_pps: int) -> MadeFlows:
    """1,000 SYNs, of which the busiest tenth comes at this rate: 100 SYNs over 99 distances."""
    return MadeFlows().syns(1000, spacing_ns=100 * SECOND_NS // (99 * rate_pps))


def of_one_source(rate_pps: int) -> MadeFlows:
    return MadeFlows().syns(5 * rate_pps, spacing_ns=5_000_000_000 // (5 * rate_pps - 1), sources=1)


def repeated(tries: int) -> MadeFlows:
    """200 five-tuples, each of which sends its SYN so often."""
    return MadeFlows().syns(200, packets=tries)


def from_itself(count: int) -> MadeFlows:
    made = MadeFlows().syns(1000)
    for row in made.rows[:count]:
        row["source"] = VICTIM
    return made


TURNS = [
    Turn("R_NO_TCP_OPTIONS", "tcp-syn-floods", bare, 899, 900),
    Turn("R_SYN_REPEATED", "tcp-syn-floods", repeated, 9, 10),
    Turn("R_NO_COMPLETION", "tcp-syn-floods", completed, 51, 52, at_least=False),  # 52 of 1,052 are 4.94 %
    Turn("R_COMPLETION", "tcp-syn-floods", completed, 999, 1000),
    Turn("R_SAME_SEQUENCE", "tcp-syn-floods", numbers, 499, 500),
    Turn("R_SAME_SYN", "tcp-syn-floods", windows, 899, 900),
    Turn("R_TTL_CONCENTRATION", "tcp-syn-floods", ttls, 49, 50),  # few_ttls_sources: as many of one TTL are few machines
    Turn("R_RATE", "tcp-syn-floods", at_rate, 499, 500),
    Turn("R_RATE_PER_SOURCE", "tcp-syn-floods", of_one_source, 99, 100),
    Turn("R_FROM_ITSELF", "tcp-syn-floods", from_itself, 899, 900),
    Turn("R_MIXED_FLAGS", "tcp-flag-mixes", flag_mix, 4, 5),
    Turn("R_IMPOSSIBLE_FLAGS", "tcp-flag-floods", odd_segments, 49, 50),
    Turn("R_NO_CONNECTION", "tcp-flag-floods", brief, 899, 900),
    Turn("R_TUPLES_PER_SOURCE", "tcp-flag-floods", tuples, 2, 3),
    Turn("R_INCOHERENT_SEQUENCE", "tcp-flag-floods", wild, 499, 500),
    Turn("R_SAME_WINDOW", "tcp-flag-floods", offered, 899, 900),
]


@pytest.mark.parametrize("turn", TURNS, ids=lambda turn: turn.rule)
def test_a_rule_turns_at_its_threshold(turn: Turn) -> None:
    fires = tuple(turn.rule in fired(turn.made(number).judged(turn.judge)) for number in turn.numbers)
    assert fires == turn.expected


def test_every_rule_of_the_family_is_tested_where_it_turns() -> None:
    rules = {rule.id for judge in tcp_floods.FAMILY.judges for rule in judge.rules}
    assert rules == {turn.rule for turn in TURNS}


@settings(PROFILE, max_examples=40)
@given(without=st.integers(60, 120), percent=st.integers(50, 100))
def test_whatever_the_threshold_bare_syns_speak_from_it_on(without: int, percent: int) -> None:
    made = MadeFlows().syns(120, tcp_options=lambda number: 0 if number < without else 9)
    findings = made.judged("tcp-syn-floods", no_options_share=percent / 100)
    assert ("R_NO_TCP_OPTIONS" in fired(findings)) == (without / 120 >= percent / 100)


@settings(PROFILE, max_examples=40)
@given(mine=st.integers(1, 120), percent=st.integers(51, 100))
def test_whatever_the_threshold_one_sequence_number_speaks_from_it_on(mine: int, percent: int) -> None:
    findings = (
        MadeFlows()
        .syns(120, initiator_isn=lambda number: 7 if number < mine else 1000 + number)
        .judged("tcp-syn-floods", same_sequence_share=percent / 100)
    )
    assert ("R_SAME_SEQUENCE" in fired(findings)) == (mine / 120 >= percent / 100)


@pytest.mark.parametrize(("packets", "found"), [(49, 0), (50, 1), (51, 1)])
def test_fewer_packets_than_a_flood_has_are_none_at_any_rate(packets: int, found: int) -> None:
    assert len(MadeFlows().syns(packets).judged("tcp-syn-floods")) == found


@pytest.mark.parametrize(("spacing_ms", "found"), [(52, 0), (51, 1), (50, 1)])  # the busiest 50 of 101 SYNs: 19.6, 20.01, 20.4 a second
def test_structure_carries_a_slow_flood_down_to_twenty_a_second(spacing_ms: int, found: int) -> None:
    assert len(MadeFlows().syns(101, spacing_ns=spacing_ms * 1_000_000).judged("tcp-syn-floods")) == found


@pytest.mark.parametrize(("acks", "vector"), [(760, None), (750, "tcp-out-of-state-flood"), (740, "tcp-out-of-state-flood")])
def test_a_mixture_has_no_kind_of_more_than_three_quarters(acks: int, vector: str | None) -> None:
    made = MadeFlows().syns(1000, flags=lambda number: kinds.ACK if number < acks else kinds.RST, tcp_options=0)
    assert [finding.vector for finding in made.judged("tcp-out-of-state-floods")] == ([vector] if vector else [])


def test_what_a_rule_measures_is_in_its_reason() -> None:
    assert measured(bare(950).judged("tcp-syn-floods"), "R_NO_TCP_OPTIONS") == pytest.approx(0.95)
    assert FROM_ITSELF.id in fired(from_itself(1000).judged("tcp-syn-floods"))
    assert [finding.vector for finding in from_itself(1000).judged("tcp-syn-floods")] == ["land"]
