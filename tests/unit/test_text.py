"""The report in words: a headline, the three classes, events with their reasons, problems; nothing in it is taken for markup."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

import floodmark
from builders import SECOND, START_NS, answer, arp, connection, header, pcap, record, syn_flood, udp
from floodmark.report.page import page_of
from floodmark.report.text import amount, duration, moment, period, render, sparkline
from property.strategies import PROFILE


def report(result: floodmark.Result, width: int = 140) -> str:
    """Render a result as a pipe would see it."""
    out = io.StringIO()
    render(result, Console(file=out, width=width, highlight=False))
    return out.getvalue()


@pytest.fixture(scope="module")
def attacked() -> floodmark.Result:
    return answer([*connection(0), *syn_flood()])


@pytest.fixture(scope="module")
def quiet() -> floodmark.Result:
    return answer([*connection(0), arp(SECOND)])


def line(text: str, begin: str) -> list[str]:
    """Return the words of the line that begins so."""
    [found] = [each for each in text.splitlines() if each.startswith(begin)]
    return found.split()


def test_the_first_line_names_vector_and_victim(attacked: floodmark.Result) -> None:
    assert report(attacked, 200).splitlines()[0] == (
        "Volumetric attack on 203.0.113.10: TCP SYN flood, peak 2.0 kpps / 644 kbit/s, 2023-11-14 22:13:20\u201322:13:20 UTC, "
        "2,000 sources, confidence 0.90."
    )


def test_the_first_line_says_when_there_is_no_attack(quiet: floodmark.Result) -> None:
    assert report(quiet).splitlines()[0] == "No attack found."


def test_the_first_line_says_when_there_is_no_flow() -> None:
    assert report(answer([arp(0)])).splitlines()[0] == "No flow to classify."


def test_the_first_line_counts_further_events(attacked: floodmark.Result) -> None:
    twice = replace(attacked, events=attacked.events * 2)
    assert report(twice, 200).splitlines()[1] == "1 more event, listed below."


def test_several_victims_are_counted_after_the_first(attacked: floodmark.Result) -> None:
    event = replace(attacked.events[0], victim_count=7)
    assert "on 203.0.113.10 +6: " in report(replace(attacked, events=(event,)))


def test_the_capture_line_has_packets_flows_and_start(quiet: floodmark.Result) -> None:
    text = report(quiet)
    assert "<file object>: 11 packets" in text
    assert "1 flows, 1.0 s from 2023-11-14 22:13:20.000 UTC" in text


def test_packets_that_belong_to_no_flow_are_said(quiet: floodmark.Result) -> None:
    assert "packets that belong to no flow: 1 not IP" in report(quiet)


def test_each_class_has_a_row_with_its_flows_packets_and_share(quiet: floodmark.Result) -> None:
    text = report(quiet)
    assert line(text, "volumetric") == ["volumetric", "0", "0", "0", "B", "0.0%"]
    assert line(text, "application-layer")[1:3] == ["0", "0"]
    assert line(text, "benign")[1:3] == ["1", "10"]
    assert line(text, "benign")[-1] == "100.0%"


def test_classes_without_packets_have_no_share() -> None:
    assert line(report(answer([arp(0)])), "benign")[-1] == "-"


def test_an_event_has_a_row_with_vector_victim_packets_and_sources(attacked: floodmark.Result) -> None:
    words = line(report(attacked), "1 ")
    assert words[:3] == ["1", "tcp-syn-flood", "203.0.113.10"]
    assert words.count("2,000") == 2  # packets and sources


def test_an_event_has_its_reasons_in_words(attacked: floodmark.Result) -> None:
    text = report(attacked)
    assert "why #1" in text
    assert all(f"- {reason.text}" in text for reason in attacked.events[0].reasons[:4])


def test_confidence_is_never_shown_as_certainty(attacked: floodmark.Result) -> None:
    event = replace(attacked.events[0], confidence=0.9999)
    assert line(report(replace(attacked, events=(event,))), "1 ")[-1] == "0.99"


def test_more_than_twenty_events_are_cut_and_counted(attacked: floodmark.Result) -> None:
    events = tuple(replace(attacked.events[0], id=place + 1) for place in range(25))
    text = report(replace(attacked, events=events))
    assert "5 more: see --format json" in text
    assert len(re.findall(r"^\d+ +tcp-syn-flood", text, re.MULTILINE)) == 20


def test_a_problem_has_a_row_with_count_and_offset() -> None:
    text = report(answer(pcap([udp(0)])[:-1]))
    assert line(text, "record_truncated") == ["record_truncated", "1", "24"]


def test_the_problems_of_several_captures_name_the_capture(quiet: floodmark.Result) -> None:
    broken = answer(pcap([udp(0)])[:-1]).captures[0]
    one, two = (replace(broken, path=path) for path in ("a.pcap", "b.pcap"))
    text = report(replace(quiet, captures=(one, two)))
    assert [words.split()[1] for words in text.splitlines() if words.startswith("record_truncated")] == ["a.pcap", "b.pcap"]


@pytest.mark.parametrize("path", ["[red]x.pcap", "a[/]b.pcap", "[bold]", "a[/b].pcap", ":smile:.pcap"])
def test_a_path_that_looks_like_markup_is_shown_as_it_is(quiet: floodmark.Result, path: str) -> None:
    broken = replace(answer(pcap([udp(0)])[:-1]).captures[0], path=path)
    text = report(replace(quiet, captures=(broken, broken)))
    assert [words.split()[1] for words in text.splitlines() if words.startswith("record_truncated")] == [path, path]


def test_a_path_in_the_first_lines_is_no_markup(quiet: floodmark.Result) -> None:
    assert "[red]x.pcap: 11 packets" in report(replace(quiet, captures=(replace(quiet.captures[0], path="[red]x.pcap"),)))


def test_notes_are_shown() -> None:
    assert "note: the captures contain no packet" in report(answer(header()))


def test_an_unknown_link_type_is_said_in_the_notes() -> None:
    assert "note: no packet belongs to a flow" in report(answer(header(9999) + record(b"x" * 60)))


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_is_wider_than_the_console(attacked: floodmark.Result, width: int) -> None:
    assert max(len(each) for each in report(attacked, width).splitlines()) <= width


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 "), (1, "1 "), (1.5, "1.5 "), (99.4, "99.4 "), (999, "999 "), (999.9, "1.0 k"), (1000, "1 k"), (1_500, "1.5 k"),
     (123_456, "123 k"), (10**6, "1 M"), (1.26e9, "1.3 G"), (5e12, "5 T"), (2e18, "2,000,000 T")],
)  # fmt: skip
def test_an_amount_has_a_prefix_and_three_digits(value: float, text: str) -> None:
    assert amount(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.0015, "1.5 ms"), (0.25, "250 ms"), (1, "1.0 s"), (119.9, "119.9 s"), (120, "2 min 00 s"), (3599.6, "1 h 00 min"),
     (7260, "2 h 01 min"), (90_000, "25 h 00 min")],
)  # fmt: skip
def test_a_duration_has_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@settings(PROFILE, max_examples=300)
@given(seconds=st.floats(0, 1e9))
@example(seconds=0.9997)
def test_no_duration_is_written_with_an_exponent_unless_it_is_tiny(seconds: float) -> None:
    assert "e+" not in duration(seconds)


def test_a_moment_is_cut_to_the_millisecond() -> None:
    assert moment(START_NS + 999_999_999) == "2023-11-14 22:13:20.999"


def test_a_period_names_the_day_once_where_it_is_one() -> None:
    assert period(START_NS, START_NS + 61 * SECOND) == "2023-11-14 22:13:20\u201322:14:21 UTC"
    assert period(START_NS, START_NS + 7200 * SECOND) == "2023-11-14 22:13:20\u20132023-11-15 00:13:20 UTC"


def test_a_sparkline_is_as_high_as_its_amounts_and_empty_where_nothing_is() -> None:
    assert sparkline(np.array([0, 1, 4, 8.0])) == " \u2582\u2585\u2588"
    assert sparkline(np.zeros(3)) == "   "


@pytest.mark.parametrize("width", [80, 140])
def test_an_event_has_a_picture_of_its_rate(attacked: floodmark.Result, width: int) -> None:
    assert "\u2588" in report(attacked, width)


def test_a_console_that_knows_no_pictures_gets_none(attacked: floodmark.Result) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", errors="replace")
    render(attacked, Console(file=out, width=140, highlight=False))
    out.flush()
    assert b"rate" not in out.buffer.getvalue().split(b"why #1")[0]  # type: ignore[attr-defined] # it is the BytesIO above


def test_an_address_with_colons_is_no_picture(attacked: floodmark.Result) -> None:
    event = replace(attacked.events[0], victims=("2001:db8::a:c0a8:100",))
    assert "2001:db8::a:c0a8:100" in report(replace(attacked, events=(event,)), 200).split("why #1")[0].replace("\n", "")


def test_what_a_run_with_threads_found_can_be_shown_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("floodmark.base.workers._FEWEST_ROWS", 10)
    result = floodmark.classify(io.BytesIO(pcap(syn_flood())), options=floodmark.Options(threads=4))
    assert "why #1" in report(result)
    assert result.flows.timeline(10).packets.sum() == 2000
    assert len(result.flows.sources(1, 5000)) == 2000
    assert "</html>" in page_of(result)
