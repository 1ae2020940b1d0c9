"""Why a verdict is what it is: the weights add up to the confidence, flows are found by their ends, packets are read rightly."""

import math
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import floodmark
from builders import MILLISECOND, connection, pcap, syn_flood
from floodmark.cli import main
from floodmark.errors import FloodmarkError
from floodmark.result.explaining import find_flows, groups_of, nearest_change, sample_packets
from floodmark.verdicts.weighing import BASE, REPORTED

DEMO = Path(__file__).parents[2] / "traces" / "demo.pcap"


@pytest.fixture(scope="module")
def result() -> floodmark.Result:
    return floodmark.classify(DEMO)


def explained(*options: str, capture: Path = DEMO) -> Result:
    return CliRunner().invoke(main, ["explain", str(capture), *options])


def test_the_weights_of_the_facts_add_up_to_the_confidence(result: floodmark.Result) -> None:
    for event in result.events:
        groups = groups_of(event)
        odds = BASE + sum(group.reasons[0].weight for group in groups)
        assert event.confidence <= round(1 / (1 + math.exp(-odds)), 4)  # a cap may be below
        assert [reason for group in groups for reason in group.reasons if reason not in event.reasons] == []
        for group in groups:
            assert group.confidence_without <= event.confidence or group.reasons[0].weight < 0


def test_what_would_have_changed_it_is_enough_to_change_it(result: floodmark.Result) -> None:
    for event in result.events:
        deciding = [group for group in groups_of(event) if group.decides]
        text = nearest_change(event)
        if deciding:
            assert any(f"{group.confidence_without:.2f}, below {REPORTED}" in text for group in deciding)
        else:
            assert "no single reason is decisive" in text
    assert {"no single reason is decisive" in nearest_change(event) for event in result.events} == {True, False}


def test_an_event_is_explained_with_measures_thresholds_and_packets(result: floodmark.Result) -> None:
    done = explained("--event", "1", "--packets", "2")
    assert done.exit_code == 0
    said = " ".join(done.output.split())
    for reason in result.events[0].reasons:
        assert f"({reason.rule}: {reason.measured:.6g} against {reason.threshold:.6g})" in said
    assert "What would have changed it" in done.output
    assert "33.123.63.245:36953 > 203.0.113.10:443, TCP, SYN, window 512, no options, TTL 51, 40 bytes, 0 of payload" in said


@pytest.mark.parametrize(
    "text", ["2", "203.0.113.5:59748 203.0.113.30:80 tcp", "203.0.113.30:80 203.0.113.5:59748", "203.0.113.5:59748 -> 203.0.113.30:80, 6"]
)
def test_a_flow_is_found_by_its_number_or_its_ends_in_either_direction(result: floodmark.Result, text: str) -> None:
    assert find_flows(result.flows, text).tolist() == [2]


@pytest.mark.parametrize(
    ("text", "said"),
    [("99999", "no flow has the flow_id"), ("203.0.113.5:1 203.0.113.30:80 tcp", "no flow matches"), ("nonsense", "is not a flow"),
     ("a:1 b:2 tcp", "is not an address"), ("203.0.113.5:1 203.0.113.30:80 carrier-pigeon", "is not a protocol")],
)  # fmt: skip
def test_a_flow_that_there_is_not_is_said(result: floodmark.Result, text: str, said: str) -> None:
    with pytest.raises(FloodmarkError, match=said):
        find_flows(result.flows, text)


def test_a_benign_flow_and_one_of_an_attack_are_explained(tmp_path: Path) -> None:
    packets = sorted((*syn_flood(1500), *connection(100 * MILLISECOND)), key=lambda packet: packet.time_ns)
    (tmp_path / "in.pcap").write_bytes(pcap(packets))
    calm = explained("--flow", "198.51.100.1:40000 203.0.113.10:80 tcp", capture=tmp_path / "in.pcap")
    assert "benign, ordinary" in calm.output
    assert "Event 1, TCP SYN flood, targets 203.0.113.10, but this flow does not behave like it." in calm.output
    attack = explained("--flow", "0", capture=tmp_path / "in.pcap")
    assert "volumetric, tcp-syn-flood" in attack.output
    assert "It is part of event 1" in attack.output
    assert "Why TCP SYN flood" in attack.output


def test_the_first_packets_of_flows_are_told_in_order(result: floodmark.Result) -> None:
    wanted = result.flows.judged.event_of == 1
    packets = sample_packets(DEMO, wanted, result.settings.flow, most=7)
    assert len(packets) == 7
    assert [packet.time_ns for packet in packets] == sorted(packet.time_ns for packet in packets)
    assert packets[0].time_ns == result.events[1].start_ns
    assert packets[0].payload[:4] == b"\xa3\xa8\x81\x80"


@pytest.mark.parametrize("options", [[], ["--event", "1", "--flow", "1"], ["--event", "77"], ["--flow", "nonsense"]])
def test_wrong_usage_is_told_from_captures_that_cannot_be_read(options: list[str], tmp_path: Path) -> None:
    assert explained(*options).exit_code == 2
    assert explained("--event", "1", capture=tmp_path / "none.pcap").exit_code == 3
