"""A claim held against captures: each unit in every window, bounds of a sample, and when nothing can be decided."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import floodmark
from builders import SECOND, answer, connection, pcap, syn_flood
from floodmark.claims.assets import load_assets
from floodmark.claims.auditing import EVERYTHING, Finding, audit
from floodmark.claims.claims import UNITS, Claim, load_claim
from floodmark.claims.counting import distinct, window_sums
from floodmark.cli import main
from floodmark.errors import SettingsError
from property.strategies import PROFILE

DEMO = Path(__file__).parents[2] / "traces" / "demo.pcap"
ADDITIVE = ("packets", "attack packets", "bytes", "flows", "attack flows", "connection attempts", "requests")


def by_unit(result: floodmark.Result, claim: Claim, sampling: float = 1.0) -> dict[str, Finding]:
    return {finding.unit: finding for finding in audit(result, claim, sampling=sampling).told}


def test_each_way_of_counting_has_its_own_answer() -> None:
    """2,000 forged SYNs in a second among five visitors: the claim holds for packets and flows, not for real sources or requests."""
    calm = [packet for number in range(5) for packet in connection(number * SECOND, 40_000 + number)]
    found = by_unit(answer([*calm, *syn_flood(2000, 6 * SECOND)]), Claim(2000, period_s=1))
    assert list(found) == list(UNITS)
    verdicts = {unit: finding.verdict for unit, finding in found.items()}
    assert {unit for unit, verdict in verdicts.items() if verdict == "supported"} == {
        "packets", "attack packets", "bytes", "flows", "attack flows", "connection attempts", "sources",
    }  # fmt: skip
    assert {verdict for unit, verdict in verdicts.items() if unit in ("requests", "real sources", "events")} == {"not supported"}
    assert (found["attack flows"].peak, found["attack flows"].total, found["attack flows"].median) == (2000, 2000, 0)
    assert (found["requests"].total, found["requests"].peak, found["real sources"].peak, found["events"].peak) == (5, 1, 0, 1)
    assert found["attack flows"].above_s == pytest.approx(1, abs=0.01)


def test_a_tenth_of_a_claim_is_not_supported() -> None:
    found = by_unit(answer(syn_flood(2000)), Claim(20_000, period_s=1))
    assert (found["packets"].verdict, found["flows"].verdict) == ("not supported", "not supported")
    assert found["packets"].ratio == pytest.approx(0.1)
    assert found["packets"].above_s == 0


def test_captures_shorter_than_the_period_cannot_say_that_there_was_not_more() -> None:
    found = by_unit(answer(syn_flood(2000)), Claim(20_000, period_s=60))
    assert (found["packets"].verdict, found["packets"].high) == ("not decidable", None)
    assert "the captures cover only 1 s of a period of 1 minute" in found["packets"].reasons
    assert by_unit(answer(syn_flood(2000)), Claim(2000, period_s=60))["packets"].verdict == "supported"


def test_the_bounds_of_a_sample_hold_the_truth() -> None:
    packets, claim = syn_flood(20_000), Claim(15_000, "packets", 1)
    held = 0
    for seed in range(20):
        taken = np.random.default_rng(seed).random(len(packets)) < 0.01
        sampled = [packet for packet, is_taken in zip(packets, taken, strict=True) if is_taken]
        found = by_unit(answer(sampled), claim, sampling=100)["packets"]
        held += found.high is not None and found.low <= len(packets) <= found.high
    assert held >= 17  # of 20, at 95 % each: fewer happens once in 600 runs, and the seeds are given


def test_of_a_sample_flows_are_at_most_as_many_as_its_packets() -> None:
    found = by_unit(answer(syn_flood(500)), Claim(20_000, period_s=1), sampling=100)["flows"]
    assert (found.low, found.verdict) == (500, "not decidable")
    assert found.high is not None
    assert 50_000 < found.high < 60_000


def test_assets_and_what_is_of_none_add_up_to_everything(tmp_path: Path) -> None:
    (tmp_path / "assets.toml").write_text('[votes]\naddresses = ["203.0.113.10"]\n[shop]\naddresses = ["203.0.113.20"]\n', encoding="utf-8")
    result = floodmark.classify(DEMO)
    found = audit(result, Claim(1000, period_s=10, asset="votes"), load_assets(str(tmp_path / "assets.toml")))
    totals = {(finding.asset, finding.unit): finding.total for finding in found.findings}
    for unit in ADDITIVE:
        assert sum(totals[name, unit] for name in ("votes", "shop", "unmatched")) == pytest.approx(totals[EVERYTHING, unit])
    assert totals[EVERYTHING, "packets"] == pytest.approx(result.totals.packets_in_flows)
    assert totals[EVERYTHING, "events"] == len(result.events)
    assert {finding.asset for finding in found.told} == {"votes"}


def test_a_claim_about_an_asset_that_there_is_not_is_refused() -> None:
    with pytest.raises(SettingsError, match="'grid'; known assets are none"):
        audit(answer(syn_flood(100)), Claim(1, asset="grid"))


def test_captures_of_more_periods_than_can_be_looked_at_are_refused() -> None:
    packets = [*connection(0), *connection(3600 * SECOND, 40_001)]
    with pytest.raises(SettingsError, match=r"more than 1,000,000 periods of 0\.001 s"):
        audit(answer(packets), Claim(1, period_s=0.001))
    assert by_unit(answer(packets), Claim(1, "flows", period_s=0.01))["flows"].total == 2


def test_nothing_in_a_capture_is_an_answer() -> None:
    found = by_unit(answer([]), Claim(10, period_s=1))
    assert {finding.peak for finding in found.values()} == {0}
    assert {finding.verdict for finding in found.values()} == {"not decidable"}


@PROFILE
@given(
    flows=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 29), st.integers(0, 29)), max_size=40),
    window=st.integers(1, 40),
)
def test_distinct_sources_of_every_window_are_those_that_a_set_holds(flows: list[tuple[int, int, int]], window: int) -> None:
    bins = 30
    rows = [(source, min(ends), max(ends)) for source, *ends in flows]
    first, last = (np.array([row[place] for row in rows], np.int64) for place in (1, 2))
    source = np.array([row[0] for row in rows], np.int32)
    wanted = [len({who for who, begin, finish in rows if begin <= end and finish > end - window}) for end in range(bins)]
    counts, total = distinct(source, first, last, bins, window)
    assert (counts.tolist(), total) == (wanted, len({who for who, _, _ in rows}))


@PROFILE
@given(amounts=st.lists(st.integers(0, 9), min_size=1, max_size=40), window=st.integers(1, 50))
def test_windows_hold_what_lies_in_them(amounts: list[int], window: int) -> None:
    wanted = [sum(amounts[max(end - window, 0) : end]) for end in range(1, len(amounts) + 1)]
    assert window_sums(np.array(amounts, np.float64), window).tolist() == wanted


def test_a_claim_is_read(tmp_path: Path) -> None:
    path = tmp_path / "claim.toml"
    path.write_text('[claim]\nnumber = 30_000_000\nunit = "attacks"\nperiod = "1 minute"\nasset = "electoral"\nsource = "a statement"\n')
    claim = load_claim(str(path))
    assert claim == Claim(30e6, "attacks", 60.0, "electoral", "a statement")
    assert (claim.period, Claim(1, period_s=86_400).period, Claim(1, period_s=90).period) == ("1 minute", "1 day", "90 seconds")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "one table"), ("[other]", "one table"), ("[claim]\nnumber = 1\n[other]", "one table"),
        ("claim = 5", "claim: expected a table, got a whole number"), ("[claim]", "claim.number: is missing"),
        ("[claim]\nnumber = true", "claim.number: expected a number, got true or false"),
        ("[claim]\nnumber = -1", "claim.number: expected a number > 0"), ("[claim]\nnumber = 0", "claim.number: expected a number > 0"),
        ("[claim]\nnumber = nan", "claim.number: expected a number > 0"), ("[claim]\nnumber = 1e18", "claim.number: expected a number < 1"),
        ("[claim]\nnumber = inf", "claim.number: expected a number < 1e"),
        ("[claim]\nnumber = '5'", "claim.number: expected a number, got a string"),
        ("[claim]\nnumber = 0x" + "f" * 5000, "claim.number: "),
        ("[claim]\nnumber = " + "9" * 5000, "not valid TOML"),
        ("[claim]\nnumber = " + "[" * 3000, "not valid TOML: it is nested too deeply"),
        ("[claim]\nnumber." + "a." * 3000 + "a = 1", "claim.number: expected a number, got a table"),
        ("[claim]\nnumber = 1\nunit = 'hits'", "claim.unit must be one of attacks, packets, "),
        ("[claim]\nnumber = 1\nunit = ['packets']", "claim.unit: expected a string, got a list"),
        ("[claim]\nnumber = 1\nperiod = 'minute'", "claim.period must be a duration"),
        ("[claim]\nnumber = 1\nperiod = 60", "claim.period: expected a string, got a whole number"),
        ("[claim]\nnumber = 1\nperiod = '0 seconds'", "claim.period"), ("[claim]\nnumber = 1\nperiod = 'nan days'", "claim.period"),
        ("[claim]\nnumber = 1\nasset = 5", "claim.asset: expected a string or nothing, got a whole number"),
        ("[claim]\nnumber = 1\nsource = 5", "claim.source: expected a string, got a whole number"),
        ("[claim]\nnumber = 1\nwho = 'x'", "unknown key claim.who; known keys are number, unit, period, asset, source"),
        ("[claim", "not valid TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_claim_is_said(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "claim.toml").write_text(text)
    with pytest.raises(SettingsError, match=re.escape(said)) as caught:
        load_claim(str(tmp_path / "claim.toml"))
    assert str(caught.value).startswith(f"{tmp_path / 'claim.toml'}: ")


def test_the_command_says_it_in_words_and_as_a_document(tmp_path: Path) -> None:
    (tmp_path / "claim.toml").write_text('[claim]\nnumber = 2000\nperiod = "1 second"\nsource = "a statement"\n')
    (tmp_path / "in.pcap").write_bytes(pcap(syn_flood(2000)))
    given = ["audit", str(tmp_path / "in.pcap"), "--claim", str(tmp_path / "claim.toml")]
    text = CliRunner().invoke(main, given)
    assert text.exit_code == 0, text.output
    assert "Claimed: 2,000 attacks in 1 second (a statement)." in text.stdout
    assert "Counted as flows, the claim is supported: 2,000 in the 1 second" in text.stdout
    document = json.loads(CliRunner().invoke(main, [*given, "--format", "json"]).stdout)
    assert document["claim"]["number"] == 2000
    assert [finding["verdict"] for finding in document["findings"] if finding["unit"] == "flows"] == ["supported"]
    page = CliRunner().invoke(main, [*given, "--format", "html"]).stdout
    assert page.count("<polyline") == len(UNITS)
    assert "TCP flows that begin with a SYN." in page
    assert "<script" not in page
    assert "default-src &#39;none&#39;; script-src &#39;none&#39;" in page
    assert CliRunner().invoke(main, [*given[:-1], str(tmp_path / "none.toml")]).exit_code == 2
    assert CliRunner().invoke(main, [given[0], str(tmp_path / "none.pcap"), *given[2:]]).exit_code == 3


def test_what_a_claim_says_is_text_on_the_page(tmp_path: Path) -> None:
    (tmp_path / "claim.toml").write_text('[claim]\nnumber = 1\nsource = "<img src=x onerror=alert(1)>\\u001b[2J"\n')
    (tmp_path / "in.pcap").write_bytes(pcap(syn_flood(200)))
    given = ["audit", str(tmp_path / "in.pcap"), "--claim", str(tmp_path / "claim.toml")]
    assert "<img" not in CliRunner().invoke(main, [*given, "--format", "html"]).stdout
    assert "\x1b" not in CliRunner().invoke(main, given).stdout
