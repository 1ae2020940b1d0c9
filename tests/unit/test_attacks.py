"""Events of one attack are tied: by their victim, or by their sources where a flood moves on."""

from dataclasses import replace
from typing import Any

import pytest

from floodmark.events.attacks import tied
from floodmark.events.events import Event, Source
from floodmark.vocabulary.vectors import Verdict

SECOND = 1_000_000_000


def event(number: int, vector: str, victim: str, seconds: tuple[int, int], **changed: Any) -> Event:
    sources = (Source("198.51.100.1", 10, 1), Source("198.51.100.2", 10, 1))
    start, end = (second * SECOND for second in seconds)
    size = (1, start, end, 1.0, 1.0, 1.0, 10, 10, 1, 2)  # victims, times, peaks, packets, octets, flows, sources
    return replace(Event(number, Verdict.VOLUMETRIC, vector, (victim,), *size, 0.9, None, False, False, (), sources, (), ()), **changed)


def numbers(*events: Event) -> list[int]:
    return [one.attack for one in tied(list(events), 60 * SECOND)]


def test_vectors_on_one_victim_at_a_time_are_one_attack() -> None:
    assert numbers(event(1, "udp-flood", "203.0.113.1", (0, 9)), event(2, "tcp-syn-flood", "203.0.113.1", (30, 40))) == [1, 1]
    assert numbers(event(1, "udp-flood", "203.0.113.1", (0, 9)), event(2, "tcp-syn-flood", "203.0.113.1", (90, 99))) == [1, 2]


@pytest.mark.parametrize(("vector", "expected"), [("udp-flood", [1, 1]), ("tcp-syn-flood", [1, 2])])
def test_a_flood_that_moves_on_keeps_its_vector_and_its_sources(vector: str, expected: list[int]) -> None:
    assert numbers(event(1, "udp-flood", "203.0.113.1", (0, 9)), event(2, vector, "203.0.113.2", (10, 19))) == expected


def test_other_sources_are_another_attack_unless_all_are_forged() -> None:
    other = (Source("192.0.2.1", 10, 1),)
    first = event(1, "udp-flood", "203.0.113.1", (0, 9))
    assert numbers(first, event(2, "udp-flood", "203.0.113.2", (10, 19), top_sources=other)) == [1, 2]
    forged = replace(first, spoofed=0.95), event(2, "udp-flood", "203.0.113.2", (10, 19), top_sources=other, spoofed=0.95)
    assert numbers(*forged) == [1, 1]


def test_what_is_tied_to_either_of_two_is_tied_to_both() -> None:
    events = [event(n, "udp-flood", f"203.0.113.{n}", (n * 50, n * 50 + 1)) for n in (1, 2, 3)]
    assert numbers(*events) == [1, 1, 1]
