"""Names of files steer no terminal."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from builders import pcap, udp
from floodmark.base.escaping import shown
from floodmark.cli import main
from property.strategies import PROFILE

HOSTILE = "a\x1b[2J\x1b]0;x\x07\x9b31m\r.pcap"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain name.pcap", "plain name.pcap"),
        ("caf\u00e9", "caf\u00e9"),
        ("a\x1b[31m", "a\\x1b[31m"),
        ("a\nb", "a\\nb"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_is_not_printable_is_written_out(text: str, safe: str) -> None:
    assert shown(text) == safe


@PROFILE
@given(st.text())
def test_all_that_is_shown_can_be_printed(text: str) -> None:
    assert shown(text).isprintable()


@pytest.mark.parametrize("command", ["classify", "inspect"])
@pytest.mark.parametrize("data", [pcap([udp(0)]), pcap([udp(0)])[:-3], b"nothing"])
@pytest.mark.parametrize("several", [False, True])
def test_a_hostile_name_is_shown_harmless(command: str, data: bytes, several: bool, tmp_path: Path) -> None:
    (tmp_path / HOSTILE).write_bytes(data)
    (tmp_path / "b.pcap").write_bytes(pcap([udp(0)]))
    each = ["--each"] if command == "classify" and several else []
    done = CliRunner().invoke(main, [command, str(tmp_path if several else tmp_path / HOSTILE), *each], color=True)
    for text in (done.stdout, done.stderr):
        assert all(sign.isprintable() or sign == "\n" for sign in text)
    assert "\\x1b[2J" in done.stdout + done.stderr
