"""Compare results with the truth: which events are right, which flows got their class, what was missed and what was not assessable."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import scenarios
from numpy.typing import NDArray
from scenarios import Scenario

import floodmark
from floodmark.vocabulary.vectors import VECTORS

CLASSES = ("benign", "volumetric", "application-layer")
_ENDS = ["initiator", "initiator_port", "responder", "responder_port", "protocol"]
_SIZES = ["initiator_packets", "responder_packets", "initiator_octets", "responder_octets"]
LEAST_LEFT = 20  # an attack must have this many packets left in a capture to be found


@dataclass
class Confusion:
    """Flows by true and by assigned class, or their packets or bytes."""

    counts: NDArray[np.int64]  # [true, assigned]

    def precision(self, number: int) -> float:
        """Return the precision of one class; 1 if nothing was assigned to it."""
        given = self.counts[:, number].sum()
        return float(self.counts[number, number] / given) if given else 1.0

    def recall(self, number: int) -> float:
        """Return the recall of one class; 1 if it does not occur."""
        true = self.counts[number].sum()
        return float(self.counts[number, number] / true) if true else 1.0

    def f1(self, number: int) -> float:
        """Return the harmonic mean of precision and recall of one class; 1 if it neither occurs nor is assigned."""
        total = self.counts[number].sum() + self.counts[:, number].sum()
        return float(2 * self.counts[number, number] / total) if total else 1.0

    def macro_f1(self) -> float:
        """Return the mean F1 over the classes."""
        return sum(self.f1(number) for number in range(3)) / 3


@dataclass
class Judged:
    """One capture's result compared with the truth."""

    name: str
    outcomes: list[tuple[str, str]]  # vector of each attack: right, not assessable, wrong, missed or gone
    events: list[tuple[str, float, bool]]  # vector, confidence, whether it is right
    flows: NDArray[np.int64]  # [3, 3, 3]: flows, packets and bytes by true and assigned class
    beside: tuple[int, int]  # ordinary flows to hosts under attack, and those of them that stayed benign
    bounds_s: list[tuple[float, float]] = field(default_factory=list)  # how late each right event begins and ends
    overlaps: list[float] = field(default_factory=list)  # intersection over union of each right event's time and the attack's
    fragments: list[int] = field(default_factory=list)  # events reported for one attack


def matches(vector: str, wanted: str) -> bool:
    """Return whether a vector is the wanted one, its child or its parent."""
    return not wanted or vector == wanted or VECTORS[vector][1] == wanted or (wanted in VECTORS and VECTORS[wanted][1] == vector)


def names(event: floodmark.Event, victim: str) -> bool:
    """Return whether an event names a host, as its victim or, in scans and guessing, as its source."""
    return not victim or victim in event.victims or any(source.address == victim for source in event.top_sources)


def judge_scenario(scenario: Scenario, result: floodmark.Result) -> Judged:
    """Compare the result for a generated capture with its truth."""
    attacks = [fact for fact in scenario.facts if fact["verdict"] != "benign"]
    not_assessable = {vector for one in result.not_assessable for vector in one.vectors}
    right = [
        any(matches(event.vector, str(fact["vector"])) and (names(event, str(fact["victim"])) or _of_many(fact)) for fact in attacks)
        for event in result.events
    ]
    outcomes, bounds, overlaps, fragments = [], [], list[float](), list[int]()
    for fact in attacks:
        hits = [e for e, is_right in zip(result.events, right, strict=True) if is_right and matches(e.vector, str(fact["vector"]))]
        outcome = "right" if hits else "wrong" if result.events and not all(right) else "missed"
        if not hits and int(fact["packets"]) < LEAST_LEFT:
            outcome = "gone"
        elif outcome == "missed" and fact["vector"] in not_assessable:
            outcome = "not assessable"
        outcomes.append((str(fact["vector"]), outcome))
        if hits:
            start, end = (np.datetime64(str(fact[key]).rstrip("Z"), "ns").astype(np.int64) for key in ("start", "end"))
            first, last = min(e.start_ns for e in hits), max(e.end_ns for e in hits)
            bounds.append(((first - start) / 1e9, (last - end) / 1e9))
            overlaps.append(max(min(last, end) - max(first, start), 1) / max(max(last, end) - min(first, start), 1))
            fragments.append(len(hits))
    events = [(event.vector, event.confidence, is_right) for event, is_right in zip(result.events, right, strict=True)]
    victims = {str(fact["victim"]) for fact in attacks}
    flows, beside = judge_flows(result, scenario.rows, victims)
    return Judged(scenario.name, outcomes, events, flows, beside, bounds, overlaps, fragments)


def _of_many(fact: dict[str, str | int]) -> bool:
    """Return whether an attack hits so many hosts that an event need not list the label's host among its first hundred."""
    return fact["vector"] in ("horizontal-scan", "host-sweep")


def judge_flows(
    result: floodmark.Result, rows: NDArray[np.int64], victims: Iterable[str] = ()
) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """Compare the classes of flows with their labels, by endpoints in either direction; flows without a label are left out.

    Returns (flows, packets and bytes by true and assigned class; ordinary flows of the victims and those that stayed benign).
    """
    table, hosts = result.flows.to_table(), set(victims)
    truth, counts, beside, kept = truth_of(table, rows), np.zeros((3, 3, 3), np.int64), 0, 0
    for row, true in zip(table.select([*_ENDS, *_SIZES, "verdict"]).to_pylist(), truth.tolist(), strict=True):
        if true < 0:
            continue
        given, packets = CLASSES.index(row["verdict"]), row["initiator_packets"] + row["responder_packets"]
        counts[:, true, given] += (1, packets, row["initiator_octets"] + row["responder_octets"])
        if true == 0 and hosts & {row["initiator"], row["responder"]}:
            beside, kept = beside + 1, kept + (given == 0)
    return counts, (beside, kept)


def truth_of(table: pa.Table, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the true class of each flow of a table, by its endpoints in either direction; -1 if it has no label."""
    truth = {}
    for src, dst, sport, dport, protocol, label in rows.tolist():
        truth[_key((scenarios.dotted(src), sport), (scenarios.dotted(dst), dport), protocol)] = label
    ends = table.select(_ENDS).to_pylist()
    keys = [_key((e["initiator"], e["initiator_port"] or 0), (e["responder"], e["responder_port"] or 0), e["protocol"]) for e in ends]
    return np.array([truth.get(key, -1) for key in keys], np.int64)


def _key(one: tuple[str, int], other: tuple[str, int], protocol: int) -> tuple[tuple[str, int], tuple[str, int], int]:
    return (min(one, other), max(one, other), protocol)


def judge_real(row: dict[str, str], result: floodmark.Result) -> str:
    """Compare the events of one real capture with its row of the manifest."""
    kind = row["class"]
    if kind == "benign":
        return "false alarm" if result.events else "quiet"
    if kind == "malformed":
        return "answered"
    named = [event for event in result.events if names(event, row["victim"])]
    classed = [event for event in named if kind in ("attack", event.verdict)]
    if any(matches(event.vector, row["vector"]) for event in classed):
        return "right"
    return "class" if classed else "wrong host or class" if result.events else "missed"
