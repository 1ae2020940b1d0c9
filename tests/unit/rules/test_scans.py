"""Scans: each rule just below, at and just above its threshold."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from turning import Turn

from floodmark.verdicts.rules.application import scans
from floodmark_core import kinds
from floodmark_core.protocols import ICMP, SECOND_NS, UDP
from made_flows import START_NS, VICTIM, MadeFlows, fired, measured
from property.strategies import PROFILE

SCANNER = 0x0A000063


def ports(count: int, *, spacing_ns: int = 200_000_000, **fields: object) -> MadeFlows:
    """One source that tries so many ports of a host, five a second."""
    made = MadeFlows()
    for number in range(count):
        values = {name: value(number) if callable(value) else value for name, value in fields.items()}
        made.add(START_NS + number * spacing_ns, SCANNER, ports=(50_000, 1 + number), initiator_isn=1000 + number, **values)
    return made


def hosts(count: int, *, spacing_ns: int = 200_000_000, **fields: object) -> MadeFlows:
    """One source that tries one port of so many hosts, each of which hears enough beside it to be known."""
    made = MadeFlows()
    for number in range(count):
        made.add(START_NS + number * spacing_ns, SCANNER, VICTIM + number, ports=(50_000, 22), initiator_isn=1000 + number, **fields)
    return made


def with_successes(count: int) -> MadeFlows:
    """70 ports in vain, and so many at which something was said."""
    made = ports(70)
    stage = kinds.STAGE_SYN | kinds.STAGE_SYNACK | kinds.STAGE_ESTABLISHED
    said = {"stage": stage, "back": 3, "initiator_payload_octets": 10, "responder_payload_octets": 10, "initiator_payload_packets": 1}
    for number in range(count):
        made.add(START_NS + number, SCANNER, ports=(50_000, 1000 + number), packets=4, **said)
    return made


def reset(count: int) -> MadeFlows:
    return ports(100, rst_packets=lambda number: int(number < count))


def crafted(count: int) -> MadeFlows:
    return ports(100, tcp_options=lambda number: 0 if number < count else 0x1234)


def fast(rate: int) -> MadeFlows:
    """101 contacts over 100 distances, all of them within 101 / rate seconds."""
    return ports(101, spacing_ns=101 * SECOND_NS // (100 * rate))


def tries(count: int) -> MadeFlows:
    """50 ports, each tried once, and so many further tries."""
    made = ports(50)
    for number in range(count):
        made.add(START_NS + number, SCANNER, ports=(51_000 + number, 1 + number % 50), initiator_isn=number)
    return made


TURNS = [
    Turn("R_CONTACTS_FAIL", "scans", with_successes, 29, 30, at_least=False),
    Turn("R_FAN_OUT", "scans", ports, 14, 15),
    Turn("R_PROBES_RESET", "scans", reset, 49, 50),
    Turn("R_CRAFTED_PROBE", "scans", crafted, 49, 50),
    Turn("R_CONTACT_RATE", "scans", fast, 9, 10),
    Turn("R_FEW_TRIES", "scans", tries, 49, 50, at_least=False),
]


@pytest.mark.parametrize("turn", TURNS, ids=lambda turn: turn.rule)
def test_a_rule_turns_at_its_threshold(turn: Turn) -> None:
    fires = tuple(turn.rule in fired(turn.made(number).judged(turn.judge)) for number in turn.numbers)
    assert fires == turn.expected


def test_every_rule_of_the_family_is_tested_where_it_turns() -> None:
    assert {rule.id for judge in scans.FAMILY.judges for rule in judge.rules} == {turn.rule for turn in TURNS}


@pytest.mark.parametrize(("count", "found"), [(24, []), (25, ["horizontal-scan"]), (26, ["horizontal-scan"])])
def test_as_many_hosts_as_the_threshold_are_a_scan(count: int, found: list[str]) -> None:
    assert [finding.vector for finding in hosts(count).judged("scans")] == found


@pytest.mark.parametrize(("count", "found"), [(24, []), (25, ["host-sweep"]), (26, ["host-sweep"])])
def test_as_many_pinged_hosts_as_the_threshold_are_a_sweep(count: int, found: list[str]) -> None:
    assert [finding.vector for finding in hosts(count, protocol=ICMP, flags=8).judged("scans")] == found


@pytest.mark.parametrize(("count", "found"), [(29, []), (30, ["udp-scan"]), (31, ["udp-scan"])])
def test_over_udp_a_scan_has_twice_as_many_ports(count: int, found: list[str]) -> None:
    assert [finding.vector for finding in ports(count, protocol=UDP).judged("scans")] == found


@pytest.mark.parametrize(("nbytes", "found"), [(257, 0), (256, 1), (255, 1)])
def test_a_probe_is_short(nbytes: int, found: int) -> None:
    made = ports(40, protocol=UDP, initiator_payload_octets=nbytes, initiator_prefix=lambda number: number)
    assert len(made.judged("scans")) == found


@pytest.mark.parametrize(("nbytes", "found"), [(15, 1), (16, 0), (17, 0)])
def test_datagrams_that_begin_alike_are_probes_only_while_they_are_very_short(nbytes: int, found: int) -> None:
    assert len(ports(40, protocol=UDP, initiator_payload_octets=nbytes, initiator_prefix=7).judged("scans")) == found


@pytest.mark.parametrize(("odd", "vector"), [(49, "vertical-scan"), (50, "vertical-scan"), (51, "stealth-scan")])
def test_a_stealth_scan_has_more_than_half_of_its_probes_from_no_state(odd: int, vector: str) -> None:
    made = ports(100, flags=lambda number: kinds.FIN if number < odd else kinds.SYN)
    assert [finding.vector for finding in made.judged("scans")] == [vector]


@pytest.mark.parametrize(("sources", "found"), [(2, 2), (3, 0), (4, 0)])
def test_several_sources_at_once_at_a_floods_rate_are_no_scanners(sources: int, found: int) -> None:
    made = MadeFlows()
    for number in range(600 * sources):
        made.add(START_NS + number * 500_000, SCANNER + number % sources, ports=(50_000, 1 + number // sources), initiator_isn=number)
    assert len(made.judged("scans")) == found


@pytest.mark.parametrize(("after_s", "found"), [(299, 1), (300, 1), (301, 0)])
def test_contacts_are_counted_within_five_minutes(after_s: int, found: int) -> None:
    made = ports(14, spacing_ns=0)
    made.add(START_NS + after_s * SECOND_NS, SCANNER, ports=(50_000, 99))
    assert len(made.judged("scans")) == found


@settings(PROFILE, max_examples=40)
@given(failed=st.integers(15, 60), succeeded=st.integers(0, 60), percent=st.integers(1, 100))
def test_whatever_the_threshold_failed_contacts_speak_from_it_on(failed: int, succeeded: int, percent: int) -> None:
    made = ports(failed)
    made.rows += with_successes(succeeded).rows[70:]
    share = failed / (failed + succeeded)
    assert ("R_CONTACTS_FAIL" in fired(made.judged("scans", scan_failure_share=percent / 100))) == (share >= percent / 100)


def test_fan_out_counts_what_was_in_vain() -> None:
    assert measured(with_successes(30).judged("scans"), "R_FAN_OUT") == 70
