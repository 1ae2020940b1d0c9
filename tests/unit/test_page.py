"""The page: self-contained, safe against what captures say, whole for any capture; looked at by a real browser where there is one."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import floodmark
from builders import SECOND, answer, connection, syn_flood, udp
from floodmark.cli import main
from floodmark.report.page import page_of

DEMO = Path(__file__).parents[2] / "traces" / "demo.pcap"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'{{7*7}}"


class Elements(HTMLParser):
    """Collects elements with their attributes, and the headings' text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, Any]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, Any]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def result() -> floodmark.Result:
    return floodmark.classify(DEMO)


@pytest.fixture(scope="module")
def page(result: floodmark.Result) -> str:
    return page_of(result)


def test_the_page_needs_nothing_beside_it(page: str) -> None:
    elements = Elements(page)
    assert not elements.of("link")
    assert not elements.of("iframe")
    assert all("src" not in attributes for _, attributes in elements.found)
    assert all(attributes.get("href", "#").startswith("#") for _, attributes in elements.found)
    assert all("style" not in attributes and not any(name.startswith("on") for name in attributes) for _, attributes in elements.found)
    [policy] = [meta["content"] for meta in elements.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert len(page.encode()) < 2_000_000


def test_every_event_has_its_section_with_rules_thresholds_and_what_to_do(result: floodmark.Result, page: str) -> None:
    ids = {attributes.get("id") for _, attributes in Elements(page).found}
    assert {f"event-{event.id}" for event in result.events} <= ids
    for event in result.events:
        assert all(reason.rule in page for reason in event.reasons)
    assert "What to do." in page
    assert "Volumetric attack on 203.0.113.10: TCP SYN flood" in page


def test_pictures_have_a_name_and_a_table_beside_them(page: str) -> None:
    elements = Elements(page)
    histograms = [svg for svg in elements.of("svg") if svg.get("class") == "histogram"]
    assert len(histograms) == 8
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in histograms)
    assert page.count("As a table") == 8
    assert all(th.get("scope") for th in elements.of("th") if "aria-hidden" not in th)
    assert [html["lang"] for html in elements.of("html")] == ["en"]


def test_the_data_of_the_timeline_add_up_to_the_capture(result: floodmark.Result, page: str) -> None:
    [data] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    chart = json.loads(data)
    seconds = chart["t"][1] - chart["t"][0]
    packets = sum(sum(series["pps"]) for series in chart["series"]) * seconds
    assert packets == pytest.approx(result.totals.packets_in_flows, rel=0.01)


def test_what_a_capture_says_is_text_and_nothing_else(result: floodmark.Result) -> None:
    captures = (replace(result.captures[0], path=HOSTILE),)
    events = tuple(replace(event, notes=(HOSTILE,), victims=(HOSTILE,)) for event in result.events)
    page = page_of(replace(result, captures=captures, events=events, notes=(HOSTILE,)))
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "{{7*7}}" in page
    assert len(Elements(page).of("script")) == 3


@pytest.mark.parametrize("packets", [[], connection(0), [*connection(0), *syn_flood(), udp(9 * SECOND)]])
def test_any_capture_has_a_page(packets: list[Any]) -> None:
    page = page_of(answer(packets))
    assert "</html>" in page


def test_hundreds_of_events_stay_below_two_megabytes(result: floodmark.Result) -> None:
    events = tuple(replace(result.events[n % 4], id=n % 4 + 1) for n in range(5000))
    assert len(page_of(replace(result, events=events)).encode()) < 2_000_000


def test_the_command_writes_the_page_or_says_why_not(tmp_path: Path) -> None:
    assert CliRunner().invoke(main, ["report", str(DEMO), "-o", str(tmp_path / "a.html")]).exit_code == 0
    assert (tmp_path / "a.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    done = CliRunner().invoke(main, ["report", str(tmp_path / "none.pcap"), "-o", str(tmp_path / "b.html")])
    assert (done.exit_code, (tmp_path / "b.html").exists()) == (3, False)


def browse(page: Path, folder: Path, *options: str) -> tuple[str, str]:
    """Load a page in a browser. Returns (the document after its scripts ran, what the browser logged)."""
    assert CHROMIUM is not None
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--virtual-time-budget=3000", "--window-size=1200,2000",
        f"--user-data-dir={folder / 'profile'}", f"--log-net-log={folder / 'net.json'}", *options, page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=120)
    return done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("options", [[], ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]])
def test_a_browser_draws_the_page_without_an_error_or_a_request(page: str, tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "a.html").write_text(page, encoding="utf-8")
    document, said = browse(tmp_path / "a.html", tmp_path, "--dump-dom", *options)
    assert "CONSOLE" not in said
    assert document.count("<canvas") == 2
    assert document.count('aria-pressed="true"') == 2 * 5
    requests = re.findall(r"https?://[^\"\s]+", (tmp_path / "net.json").read_text())
    assert not [url for url in requests if "google" not in url and "gstatic" not in url], requests


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_runs_no_script_that_a_capture_brings(result: floodmark.Result, tmp_path: Path) -> None:
    hostile = replace(result, captures=(replace(result.captures[0], path=HOSTILE),), notes=(HOSTILE,))
    (tmp_path / "a.html").write_text(page_of(hostile), encoding="utf-8")
    document, said = browse(tmp_path / "a.html", tmp_path, "--dump-dom")
    assert "CONSOLE" not in said
    assert document.count("<canvas") == 2


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_draws_something(page: str, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(page, encoding="utf-8")
    browse(tmp_path / "a.html", tmp_path, f"--screenshot={tmp_path / 'a.png'}")
    assert (tmp_path / "a.png").stat().st_size > 50_000
