"""Labelled captures made from a seed: every attack is named on its victim, calm traffic stays without an event, flows get their class.

The captures come from benchmarks/traffic and carry the label of every flow; none of them is kept as a file.
"""

import gzip
import io
from collections.abc import Iterable
from functools import cache
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import scenarios
import wire
from attack import BENIGN
from cases import CASES
from degrade import KINDS
from scenarios import SCENES, Scenario
from wire import Format, Packet

import floodmark
from floodmark.captures.source import Source
from floodmark.verdicts.weighing import MOST_VICTIMS
from floodmark.vocabulary.vectors import VECTORS
from judging import Confusion, judge_flows, judge_scenario

SEED = 1
SEEDS = (1, 2, 3)  # all but the first are slow
FEW_SENDERS, FEW_STREAMS = "four senders of one protocol without ports look like tunnels", "two long streams of datagrams look like calls"
NOT_FOUND = {
    ("esp-flood", 1): FEW_SENDERS,
    ("esp-flood", 2): FEW_SENDERS,
    ("udp-flood-pulse", 1): FEW_STREAMS,
    ("udp-flood", 2): FEW_STREAMS,
    ("dns-garbage-flood", 3): "781 datagrams of 56 senders in a second are not found; why has not been examined",
    ("multi-vector", 2): "the UDP flood of two senders against 333 ports is named a scan",
    ("multi-vector", 3): "the UDP flood is not found beside the other two attacks",
}
SEVERAL = ["multi-vector", "tcp-syn-flood-moving"]  # attacks in one capture
MANY_HOSTS = ("-carpet",)  # whose victim is a prefix
CALM = list(SCENES)
SAMPLE = [*list(CASES)[::4], *CALM[::4]]  # which are degraded in every way
ONE_SIDED = [f"{name}-one-sided" for name in scenarios.VARIANTS["one-sided"]]


def seeded(names: Iterable[str], *, missed: bool = False) -> list[Any]:
    """Return a parameter (name, seed) for each scenario and seed; with ``missed``, those not found are expected to fail."""
    return [
        pytest.param(
            name,
            seed,
            id=f"{name}-{seed}",
            marks=[
                *([pytest.mark.slow] if seed != SEED else []),
                *(
                    [pytest.mark.xfail(strict=True, raises=AssertionError, reason=NOT_FOUND[name, seed])]
                    if missed and (name, seed) in NOT_FOUND
                    else []
                ),
            ],
        )
        for name in names
        for seed in SEEDS
    ]


SINGLE = [name for name in CASES if name not in SEVERAL]  # scenarios of one attack
ATTACKS, ATTACKS_TO_FIND = seeded(SINGLE), seeded(SINGLE, missed=True)


@cache
def scenario(name: str, seed: int) -> Scenario:
    """Make a scenario once."""
    return scenarios.make(name, seed)


def octets(packets: list[Packet], form: Format) -> bytes:
    return (wire.pcapng_bytes if form.pcapng else wire.pcap_bytes)(packets, form)


def classified(packets: list[Packet], form: Format) -> floodmark.Result:
    return floodmark.classify(io.BytesIO(octets(packets, form)))


@cache
def answered(name: str, seed: int) -> floodmark.Result:
    """Classify a scenario once, in the form that its seed chose."""
    return classified(scenario(name, seed).packets, scenario(name, seed).form)


def fits(vector: str, wanted: str) -> bool:
    """Tell whether a vector is the wanted one or has the same parent."""
    return VECTORS[vector][1] == VECTORS[wanted][1]


def hit(name: str, seed: int) -> floodmark.Event:
    """Return the event that names the attack of a scenario on its victim."""
    [fact] = scenario(name, seed).facts
    victim = str(fact["victim"])
    wanted = str(fact["vector"])
    events = [event for event in answered(name, seed).events if fits(event.vector, wanted)]
    named = [event for event in events if victim in event.victims or "/" in victim]
    assert named, [(event.vector, event.victims[:3]) for event in answered(name, seed).events]
    return named[0]


@pytest.mark.parametrize(("name", "seed"), ATTACKS_TO_FIND)
def test_an_attack_is_named_by_its_vector(name: str, seed: int) -> None:
    [fact] = scenario(name, seed).facts
    assert fact["vector"] in [event.vector for event in answered(name, seed).events]


@pytest.mark.parametrize(("name", "seed"), ATTACKS_TO_FIND)
def test_an_attack_is_named_on_its_victim_with_a_reason(name: str, seed: int) -> None:
    assert hit(name, seed).reasons


@pytest.mark.parametrize(("name", "seed"), ATTACKS_TO_FIND)
def test_an_attack_has_the_class_of_its_vector(name: str, seed: int) -> None:
    [fact] = scenario(name, seed).facts
    assert str(hit(name, seed).verdict) == fact["verdict"]


@pytest.mark.parametrize(("name", "seed"), ATTACKS)
def test_nothing_else_is_found_beside_an_attack(name: str, seed: int) -> None:
    [fact] = scenario(name, seed).facts
    assert [event.vector for event in answered(name, seed).events if not fits(event.vector, str(fact["vector"]))] == []


@pytest.mark.parametrize(("name", "seed"), ATTACKS)
def test_an_event_lies_within_the_capture_and_has_an_order(name: str, seed: int) -> None:
    [capture] = answered(name, seed).captures
    assert capture.first_seen_ns is not None
    assert capture.last_seen_ns is not None
    for event in answered(name, seed).events:
        assert capture.first_seen_ns <= event.start_ns <= event.end_ns <= capture.last_seen_ns


@pytest.mark.parametrize(("name", "seed"), ATTACKS)
def test_the_flows_of_an_event_are_those_that_carry_its_number(name: str, seed: int) -> None:
    table = answered(name, seed).flows.to_table().to_pydict()
    for event in answered(name, seed).events:
        assert table["event_id"].count(event.id) == event.flows
        assert {vector for vector, number in zip(table["vector"], table["event_id"], strict=True) if number == event.id} == {event.vector}


@pytest.mark.parametrize(("name", "seed"), seeded(CALM))
def test_ordinary_traffic_has_no_event(name: str, seed: int) -> None:
    assert [(event.vector, event.victims[:3]) for event in answered(name, seed).events] == []


@pytest.mark.parametrize(("name", "seed"), seeded(SEVERAL, missed=True))
def test_attacks_that_belong_together_are_told_as_one(name: str, seed: int) -> None:
    events, facts = answered(name, seed).events, scenario(name, seed).facts
    assert {(event.vector, event.victims[0]) for event in events} == {(fact["vector"], fact["victim"]) for fact in facts}
    assert {event.attack for event in events} == {1}


def test_a_pulse_wave_is_one_event_that_tells_its_period() -> None:
    [event] = answered("tcp-syn-flood-pulse", SEED).events
    assert event.pulses >= 5
    assert event.pulse_period_s == pytest.approx((event.end_ns - event.start_ns) / 1e9 / (event.pulses - 1), rel=0.1)


@pytest.mark.parametrize(("name", "seed"), seeded(name for name in CASES if name.endswith(MANY_HOSTS)))
def test_a_carpet_is_one_event_on_its_prefix_that_counts_the_attacked_hosts(name: str, seed: int) -> None:
    [event] = answered(name, seed).events
    [fact] = scenario(name, seed).facts
    attacked = {int(row[1]) for row in scenario(name, seed).rows if row[5] != BENIGN}
    listed = {int(ip_address(victim)) for victim in event.victims[1:]}
    assert event.victims[0] == fact["victim"]
    assert len(event.victims) == min(len(attacked) + 1, MOST_VICTIMS)
    assert 0 <= event.victim_count - len(attacked) <= 1  # a host with such traffic of its own may be counted among them
    assert len(listed - attacked) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_degraded_captures_are_answered_rightly_or_said_not_to_be_assessable(kind: str) -> None:
    judged = [judge_scenario(each, classified(each.packets, each.form)) for each in (scenarios.make(f"{b}-{kind}", SEED) for b in SAMPLE)]
    outcomes = [outcome for one in judged for _, outcome in one.outcomes if outcome != "gone"]
    assert sum(outcome in ("right", "not assessable") for outcome in outcomes) >= 0.9 * len(outcomes), outcomes
    assert [event for one in judged for event in one.events if event[1] >= 0.95 and not event[2]] == []


def test_every_scenario_is_tested() -> None:
    assert {"demo", *SINGLE, *SEVERAL, *CALM} == set(scenarios.NAMES) - {
        f"{base}-{kind}" for kind, bases in scenarios.VARIANTS.items() for base in bases
    }


def confusion(name: str) -> Any:
    """Compare the classes of a scenario's flows with their labels."""
    return judge_flows(answered(name, SEED), scenario(name, SEED).rows)[0][0]


def test_flows_get_their_class() -> None:
    total = sum(confusion(name) for name in scenarios.NAMES)
    assert Confusion(total).macro_f1() >= 0.99


@pytest.mark.parametrize("number", range(3), ids=["benign", "volumetric", "application-layer"])
def test_flows_of_each_class_get_it(number: int) -> None:
    assert Confusion(sum(confusion(name) for name in scenarios.NAMES)).f1(number) >= 0.99


@pytest.mark.parametrize("name", ONE_SIDED)
def test_an_attack_seen_from_one_side_keeps_its_vector(name: str) -> None:
    [fact] = scenario(name, SEED).facts
    assert hit(name, SEED).vector == fact["vector"]


@pytest.mark.parametrize("name", [f"{base}-{kind}" for kind in ("snap", "midway") for base in scenarios.VARIANTS[kind]])
def test_a_capture_cut_short_or_joined_late_shows_nothing_but_its_attack(name: str) -> None:
    [fact] = scenario(name, SEED).facts
    assert [event.vector for event in answered(name, SEED).events if not fits(event.vector, str(fact["vector"]))] == []


# ---- the same answer, whatever the file looks like


@cache
def demo() -> list[Packet]:
    """Return the packets of the demonstration at whole microseconds, which every format can hold."""
    return [packet._replace(time_ns=packet.time_ns // 1000 * 1000) for packet in scenario("demo", SEED).packets]


@cache
def expected() -> floodmark.Result:
    return classified(demo(), Format())


def plain(result: floodmark.Result) -> dict[str, Any]:
    """Return the document without what names the file."""
    document = result.to_dict()
    for capture in document["captures"]:
        del capture["path"], capture["format"]
    return document


FORMS = {
    "pcap big endian": Format(big_endian=True),
    "pcap ns": Format(nanoseconds=True),
    "pcap ns big endian": Format(nanoseconds=True, big_endian=True),
    "pcapng": Format(pcapng=True),
    "pcapng big endian": Format(pcapng=True, big_endian=True),
    "pcapng ns": Format(pcapng=True, nanoseconds=True),
}


def test_the_demonstration_has_its_four_attacks() -> None:
    assert sorted(event.vector for event in expected().events) == sorted(str(fact["vector"]) for fact in scenario("demo", SEED).facts)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_the_format_of_the_file_changes_nothing_in_the_document(form: Format) -> None:
    assert plain(classified(demo(), form)) == plain(expected())


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_the_format_of_the_file_changes_nothing_in_the_flows(form: Format) -> None:
    assert classified(demo(), form).flows.to_table() == expected().flows.to_table()


@cache
def split_in_three() -> floodmark.Result:
    packets, form = demo(), Format()
    third = len(packets) // 3
    parts = [packets[:third], packets[third : 2 * third], packets[2 * third :]]
    return floodmark.classify([io.BytesIO(octets(part, form)) for part in parts])


def test_a_capture_split_in_three_files_has_the_same_document() -> None:
    one, other = plain(split_in_three()), plain(expected())
    assert [one.pop("captures"), other.pop("captures")] != [[], []]
    assert one == other


def test_a_capture_split_in_three_files_has_the_same_flows() -> None:
    assert split_in_three().flows.to_table() == expected().flows.to_table()


@pytest.mark.parametrize("link_type", [wire.LINUX_SLL, wire.RAW_IP])
def test_the_link_type_changes_no_event(link_type: int) -> None:
    packets = wire.relink(demo(), link_type)
    assert classified(packets, Format(link_type=link_type)).events == expected().events


def test_a_vlan_changes_no_event() -> None:
    assert classified(wire.tagged(demo(), 77), Format()).events == expected().events


def test_the_time_of_day_changes_nothing_but_the_times() -> None:
    day_ns = 86_400_000_000_000
    later = [packet._replace(time_ns=packet.time_ns + 30 * day_ns) for packet in demo()]
    shifted = classified(later, Format()).to_dict()["events"]
    original = expected().to_dict()["events"]
    for event in (*shifted, *original):
        del event["start"], event["end"]
    assert shifted == original


@pytest.mark.parametrize("block_bytes", [1 << 12, 1 << 16])
def test_the_size_of_the_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    original = Source.reader
    monkeypatch.setattr(Source, "reader", lambda source, *, hashing=False: original(source, block_bytes, hashing=hashing))
    assert plain(classified(demo(), Format())) == plain(expected())


# ---- the same answer, however many threads read it


def threaded(source: Any, threads: int) -> floodmark.Result:
    return floodmark.classify(source, options=floodmark.Options(threads=threads))


SOURCES = ("file object", "gzip", "compressed", "mapped", "mapped pcapng", "rotated")


def source_of(kind: str, folder: Path) -> Any:
    """Return the demonstration as a source of some kind."""
    if kind == "file object":
        return io.BytesIO(octets(demo(), Format()))
    if kind == "gzip":
        return gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(octets(demo(), Format()))))
    if kind == "compressed":
        (folder / "a.pcap.gz").write_bytes(gzip.compress(octets(demo(), Format())))
        return folder
    if kind == "rotated":
        edges = [*range(0, len(demo()), 1500), len(demo())]
        for number, (first, end) in enumerate(pairwise(edges)):
            wire.write_capture(folder / f"{number}.pcap", demo()[first:end], Format(pcapng=number % 2 == 1))
    else:
        wire.write_capture(folder / "a.pcap", demo(), Format(pcapng=kind.endswith("pcapng")))
    return folder


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_the_number_of_threads_changes_nothing(kind: str, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("floodmark.result.pipeline._LARGE_BYTES", "floodmark.captures.mapping._LEAST_BYTES"):
        monkeypatch.setattr(name, 1)
    monkeypatch.setattr("floodmark.base.workers._FEWEST_ROWS", 100)
    result = threaded(source_of(kind, tmp_path), threads)
    assert result.events == expected().events
    assert (result.totals, result.verdicts, result.profile) == (expected().totals, expected().verdicts, expected().profile)
    assert result.flows.to_table() == expected().flows.to_table()
