"""The answer as data and as JSON: one shape, one order, times to the nanosecond."""

import json
import random
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import floodmark
from builders import SECOND, START_NS, answer, arp, connection, header, pcap, record, syn_flood, udp
from floodmark.result.result import rfc3339
from property.strategies import PROFILE

SCHEMA = json.loads((files("floodmark") / "schema" / "result.schema.json").read_text())
LATEST_NS = 2**63 - 1


@pytest.fixture(scope="module")
def result() -> floodmark.Result:
    return answer([*connection(0), arp(5), *syn_flood()])


@pytest.fixture(scope="module")
def document(result: floodmark.Result) -> dict[str, Any]:
    return result.to_dict()


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [(0, "1970-01-01T00:00:00.000000000Z"), (START_NS + 1, "2023-11-14T22:13:20.000000001Z"), (-1, "1969-12-31T23:59:59.999999999Z"),
     (LATEST_NS, "2262-04-11T23:47:16.854775807Z")],
)  # fmt: skip
def test_a_time_is_written_with_nanoseconds_in_utc(time_ns: int, text: str) -> None:
    assert rfc3339(time_ns) == text


@settings(PROFILE, max_examples=300)
@given(time_ns=st.integers(0, LATEST_NS))
def test_a_time_can_be_read_back(time_ns: int) -> None:
    text = rfc3339(time_ns)
    whole = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    assert whole // timedelta(seconds=1) * SECOND + int(text[20:29]) == time_ns


def test_times_as_text_sort_as_times_do() -> None:
    times = [random.Random(1).randrange(LATEST_NS) for _ in range(100)]
    assert [rfc3339(time) for time in sorted(times)] == sorted(map(rfc3339, times))


def test_the_document_has_the_parts_of_the_contract_in_order(document: dict[str, Any]) -> None:
    assert list(document) == [
        "schema_version",
        "tool",
        "captures",
        "profile",
        "totals",
        "verdicts",
        "benign",
        "events",
        "settings",
        "not_assessable",
        "notes",
    ]


def test_the_verdicts_are_the_three_classes_in_order(document: dict[str, Any]) -> None:
    assert list(document["verdicts"]) == ["volumetric", "application-layer", "benign"]


def test_an_event_begins_with_what_where_and_when(document: dict[str, Any]) -> None:
    assert list(document["events"][0])[:7] == ["id", "verdict", "vector", "victims", "victim_count", "start", "end"]


@pytest.mark.parametrize(
    "data", [pcap([*connection(0), *syn_flood()]), header(), header(9999) + record(b"x"), pcap([arp(0)]), pcap([udp(0)])[:-3]]
)
def test_the_document_keeps_to_the_schema(data: bytes) -> None:
    jsonschema.validate(answer(data).to_dict(), SCHEMA)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_text_is_the_document(result: floodmark.Result) -> None:
    assert json.loads(result.to_json()) == result.to_dict()


def test_the_text_is_one_line(result: floodmark.Result) -> None:
    assert "\n" not in result.to_json()


def test_the_text_can_be_indented(result: floodmark.Result) -> None:
    assert json.loads(result.to_json(indent=2)) == result.to_dict()


def test_the_document_is_written_the_same_each_time(result: floodmark.Result) -> None:
    assert result.to_json() == result.to_json()


def test_verdicts_sum_to_all_flows_and_packets_in_flows(result: floodmark.Result) -> None:
    counts = result.verdicts.values()
    assert sum(count.flows for count in counts) == result.totals.flows
    assert sum(count.packets for count in counts) == result.totals.packets_in_flows


def test_packets_in_flows_not_ip_and_refused_sum_to_all() -> None:
    totals = answer(pcap([*connection(0), arp(1)]) + record(b"\0" * 10) + record(b"\0" * 12 + b"\x08\x00\x45")).totals
    assert totals.packets == 13
    assert (totals.packets_in_flows, totals.packets_not_ip) == (10, {"arp": 1})
    assert sum(totals.packets_refused.values()) == 2


def test_captures_count_bytes_on_the_wire() -> None:
    result = answer(header() + record(b"\0" * 60, wire_length=1514))
    assert (result.totals.bytes, result.captures[0].bytes) == (1514, 1514)


def test_flows_count_ip_bytes() -> None:
    assert answer([udp(0, payload=b"x")]).verdicts["benign"].bytes == 29


def test_a_capture_without_packets_has_no_times() -> None:
    [capture] = answer(header()).to_dict()["captures"]
    assert (capture["first_seen"], capture["last_seen"], capture["packets"]) == (None, None, 0)


def test_the_hash_of_a_capture_is_null_unless_asked_for(document: dict[str, Any]) -> None:
    assert document["captures"][0]["sha256"] is None


def test_results_with_the_same_answer_are_equal() -> None:
    assert answer(connection(0)) == answer(connection(0))


def test_start_and_end_of_an_event_are_its_first_and_last_packet() -> None:
    [event] = answer([*connection(0), *syn_flood(at_ns=2 * SECOND), *connection(9 * SECOND, 50000)]).to_dict()["events"]
    assert event["start"] == "2023-11-14T22:13:22.000000000Z"
    assert event["end"] == "2023-11-14T22:13:22.999500000Z"
