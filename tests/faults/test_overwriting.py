"""No command writes to what it reads, whatever name that has."""

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from builders import pcap, syn_flood
from floodmark.cli import main

FLOOD = pcap(syn_flood(300))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.pcap", "b.pcap", "capture-0002.pcapng"):
        (tmp_path / name).write_bytes(FLOOD)
    (tmp_path / "link.pcapng").symlink_to(tmp_path / "a.pcap")
    os.link(tmp_path / "a.pcap", tmp_path / "hard.pcapng")
    (tmp_path / "claim.toml").write_text("[claim]\nnumber = 5\n")
    (tmp_path / "assets.toml").write_text('[[asset]]\nname = "x"\naddresses = ["203.0.113.0/24"]\n')
    (tmp_path / "settings.toml").write_text("[flow]\nudp_timeout_s = 30.0\n")
    (tmp_path / "secret").write_bytes(bytes(range(64)))
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


WRITING = {
    "carve": ["--benign"], "anonymise": [], "export": ["--as", "csv"], "report": [], "classify": [], "evidence": [],
}  # fmt: skip
OPTION = {"classify": "--flows"}


@pytest.mark.parametrize("command", WRITING)
@pytest.mark.parametrize("target", ["a.pcap", "./../{}/a.pcap", "link.pcapng", "hard.pcapng"])
def test_an_input_is_never_the_output(command: str, target: str, folder: Path) -> None:
    before = state(folder)
    path = folder / target.format(folder.name)
    done = run(command, folder / "a.pcap", *WRITING[command], OPTION.get(command, "-o"), path)
    assert (done.exit_code, state(folder)) == (2, before), done.output
    assert "is an input" in done.output


@pytest.mark.parametrize(
    ("command", "option", "name"),
    [
        ("export", "--settings", "settings.toml"), ("export", "--assets", "assets.toml"), ("report", "--settings", "settings.toml"),
        ("carve", "--settings", "settings.toml"), ("anonymise", "--key", "secret"), ("evidence", "--assets", "assets.toml"),
        ("classify", "--assets", "assets.toml"), ("evidence", "--anonymise-key", "secret"),
    ],
)  # fmt: skip
def test_neither_are_settings_assets_and_keys(command: str, option: str, name: str, folder: Path) -> None:
    before = state(folder)
    extra = ["--anonymise"] if option == "--anonymise-key" else []
    done = run(command, folder / "a.pcap", *WRITING[command], *extra, option, folder / name, OPTION.get(command, "-o"), folder / name)
    assert (done.exit_code, state(folder)) == (2, before), done.output


def test_names_that_anonymise_makes_up_are_no_inputs(folder: Path) -> None:
    before = state(folder)
    done = run("anonymise", folder / "a.pcap", folder / "capture-0002.pcapng", "-o", folder)
    assert (done.exit_code, state(folder)) == (2, before), done.output
    assert "capture-0002.pcapng is an input" in done.output


def test_nor_are_names_that_are_links_to_inputs(folder: Path) -> None:
    out = folder / "out"
    out.mkdir()
    (out / "capture-0001.pcapng").symlink_to(folder / "b.pcap")
    os.link(folder / "a.pcap", out / "capture-0002.pcapng")
    assert run("anonymise", folder / "a.pcap", folder / "b.pcap", "-o", out).exit_code == 2
    assert (folder / "b.pcap").read_bytes() == FLOOD


def test_an_archive_is_an_input_too(folder: Path, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "all"), "zip", folder)
    before = (tmp_path / "all.zip").read_bytes()
    for command, extra in WRITING.items():
        done = run(command, tmp_path / "all.zip", *extra, OPTION.get(command, "-o"), tmp_path / "all.zip")
        assert done.exit_code == 2, done.output
    assert (tmp_path / "all.zip").read_bytes() == before


def test_other_files_are_replaced_as_before(folder: Path) -> None:
    (folder / "old.pcapng").write_bytes(b"an earlier answer")
    assert run("anonymise", folder / "a.pcap", "-o", folder / "old.pcapng").exit_code == 0
    assert (folder / "old.pcapng").stat().st_size > 1000
