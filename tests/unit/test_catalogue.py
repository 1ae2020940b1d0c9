"""Every vector has its page, in the program and in docs."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from floodmark.cli import main
from floodmark.vocabulary.catalogue import page
from floodmark.vocabulary.vectors import RECORDS, VECTORS

BUILD = Path(__file__).parents[2] / "docs" / "build.py"


def test_there_is_an_entry_for_every_vector_and_for_no_other() -> None:
    assert list(RECORDS) == list(VECTORS)


@pytest.mark.parametrize("vector", VECTORS)
def test_an_entry_says_all_there_is_to_say(vector: str) -> None:
    entry = RECORDS[vector]
    assert all(text.endswith(".") for text in (entry.what, entry.recognised, entry.confused, entry.act))


def test_the_pages_in_docs_are_those_of_the_program() -> None:
    done = subprocess.run([sys.executable, BUILD, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_command_prints_pages_or_the_list() -> None:
    assert CliRunner().invoke(main, ["vectors", "tcp-syn-flood"]).output == page("tcp-syn-flood")
    assert len(CliRunner().invoke(main, ["vectors"]).output.splitlines()) == len(VECTORS)
    refused = CliRunner().invoke(main, ["vectors", "tcp-sin-flood"])
    assert refused.exit_code == 2


def test_settings_are_printed_as_a_file_that_is_read_again(tmp_path: Path) -> None:
    printed = CliRunner().invoke(main, ["settings"])
    (tmp_path / "settings.toml").write_text(printed.output, encoding="utf-8")
    again = CliRunner().invoke(main, ["settings", str(tmp_path / "settings.toml")])
    assert (printed.exit_code, again.exit_code, again.output) == (0, 0, printed.output)
