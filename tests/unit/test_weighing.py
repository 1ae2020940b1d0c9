"""Evidence adds up by groups, is limited by caps, and becomes a probability."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floodmark.verdicts.weighing import (
    AGAINST,
    BASE,
    CLEAR,
    FAIR,
    REPORTED,
    SLIGHT,
    STRONG,
    Evidence,
    FloodThresholds,
    Rule,
    cap_for_view,
    weigh_magnitude,
)
from property.strategies import PROFILE

IT_WAS_SO = Rule("R_TEST", "", "something", "it was so", "it is so")


def weighed(*groups: tuple[str, float]) -> Evidence:
    evidence = Evidence()
    for group, weight in groups:
        evidence.add(replace(IT_WAS_SO, group=group), weight, 1.0, 0.5)
    return evidence


def logistic(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))


def test_without_evidence_confidence_is_the_base_rate() -> None:
    assert Evidence().confidence == pytest.approx(logistic(BASE))


def test_groups_add_up() -> None:
    assert weighed(("rate", STRONG), ("shape", CLEAR)).confidence == pytest.approx(logistic(BASE + STRONG + CLEAR))


def test_within_a_group_only_the_strongest_counts() -> None:
    assert weighed(("rate", SLIGHT), ("rate", STRONG), ("rate", FAIR)).confidence == pytest.approx(logistic(BASE + STRONG))


def test_what_speaks_against_is_subtracted() -> None:
    assert weighed(("rate", STRONG), ("answers", AGAINST)).confidence == pytest.approx(logistic(BASE + STRONG + AGAINST))


def test_within_a_group_the_strongest_against_counts() -> None:
    assert weighed(("answers", -1.0), ("answers", AGAINST)).confidence == pytest.approx(logistic(BASE + AGAINST))


def test_two_strong_groups_and_a_magnitude_are_reported() -> None:
    assert weighed(("a", STRONG), ("b", STRONG), ("magnitude", FAIR)).confidence >= REPORTED


def test_no_single_group_is_enough_for_a_report() -> None:
    assert weighed(("a", STRONG)).confidence < REPORTED


def test_a_cap_limits_the_confidence() -> None:
    evidence = weighed(("a", STRONG), ("b", STRONG), ("c", STRONG))
    evidence.cap(0.8, "fewer than 100 packets")
    assert evidence.confidence == 0.8


def test_the_lowest_of_several_caps_counts() -> None:
    evidence = weighed(("a", STRONG), ("b", STRONG), ("c", STRONG))
    evidence.cap(0.7, "one")
    evidence.cap(0.9, "other")
    assert evidence.confidence == 0.7


def test_a_cap_raises_nothing() -> None:
    evidence = Evidence()
    evidence.cap(0.8, "why")
    assert evidence.confidence == pytest.approx(logistic(BASE))


def test_a_cap_says_why() -> None:
    evidence = Evidence()
    evidence.cap(0.8, "fewer than 100 packets")
    assert evidence.notes == ["fewer than 100 packets"]


def test_every_rule_that_fired_is_a_reason_even_where_it_adds_nothing() -> None:
    assert len(weighed(("rate", STRONG), ("rate", SLIGHT)).reasons) == 2


def test_a_reason_carries_rule_measure_threshold_and_text() -> None:
    evidence = Evidence()
    evidence.add(Rule("R_RATE", "rate", "a rate", "{what} arrive", "it is"), FAIR, 1234.56789012, 500, what="packets")
    [reason] = evidence.reasons
    assert (reason.rule, reason.measured, reason.threshold, reason.text) == ("R_RATE", 1234.56789, 500.0, "packets arrive")


@settings(PROFILE, max_examples=200)
@given(groups=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([SLIGHT, FAIR, CLEAR, STRONG])), max_size=8), order=st.randoms())
def test_the_order_of_evidence_does_not_matter(groups: list[tuple[str, float]], order: object) -> None:
    shuffled = list(groups)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert weighed(*groups).confidence == pytest.approx(weighed(*shuffled).confidence)


@settings(PROFILE, max_examples=200)
@given(groups=st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(-5, 5)), max_size=20))
def test_confidence_is_a_probability(groups: list[tuple[str, float]]) -> None:
    assert 0 <= weighed(*groups).confidence <= 1


@pytest.mark.parametrize(("rate", "weight"), [(499, None), (500, FAIR), (9999, FAIR), (10_000, CLEAR)])
def test_magnitude_is_fair_at_the_floor_and_clear_at_twenty_times_it(rate: float, weight: float | None) -> None:
    evidence = Evidence()
    weigh_magnitude(evidence, rate, 500, "packets", FloodThresholds().clear_rate_times)
    assert evidence.weights.get("magnitude") == weight


@pytest.mark.parametrize(
    ("answers", "packets", "span_s", "caps"),
    [(True, 100, 1.0, []), (False, 100, 1.0, [0.85]), (True, 99, 1.0, [0.8]), (True, 100, 0.9, [0.9]), (False, 99, 0.1, [0.85, 0.8])],
)
def test_a_view_that_shows_less_caps_the_confidence(answers: bool, packets: int, span_s: float, caps: list[float]) -> None:
    evidence = Evidence()
    cap_for_view(evidence, answers=answers, packets=packets, span_s=span_s)
    assert evidence.caps == caps
