"""A capture that changes while it is read, or between two readings, is told; packets of two files never pass as those of one."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import floodmark
from builders import pcap, syn_flood, udp
from floodmark.anonymising.anonymise import anonymise
from floodmark.anonymising.anonymiser import Anonymiser
from floodmark.errors import CaptureError
from floodmark.evidence.making import Recipe, write_contents
from floodmark.mitigation.forms import FORMS
from floodmark.mitigation.rules import rule_for
from floodmark.result.carving import carve, choose
from floodmark.result.explaining import sample_packets

FLOOD = pcap(syn_flood(1500))
OTHER = pcap([udp(n * 1000, ports=(1000 + n, 9)) for n in range(700)])


def truncated(path: Path) -> None:
    os.truncate(path, 30_000)


def extended(path: Path) -> None:
    with path.open("ab") as file:
        file.write(FLOOD[24 : 24 + 3 * (len(FLOOD) - 24) // 1500])


def written_to(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(200)
        file.write(b"changed")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))  # the clock of a file system may be too coarse for a test


def replaced(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(OTHER)
    other.replace(path)


CHANGES = [truncated, extended, written_to]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "a.pcap"
    path.write_bytes(FLOOD)
    return path


def problems(result: floodmark.Result) -> dict[str, int]:
    return {problem.kind: problem.count for capture in result.captures for problem in capture.problems}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("merged", [False, True], ids=["alone", "merged"])
def test_a_change_during_the_first_reading_is_a_problem(
    change: Callable[[Path], None], merged: bool, capture: Path, tmp_path: Path
) -> None:
    """What was read before the change is answered."""
    (tmp_path / "b.pcap").write_bytes(FLOOD)
    done: list[str] = []

    def progress(name: str, _: int) -> None:
        if name == str(capture) and not done:
            done.append(name)
            change(capture)

    result = floodmark.classify([capture, tmp_path / "b.pcap"] if merged else capture, progress=progress)
    assert done
    assert problems(result)["capture_changed"] == 1
    assert any("changed while it was read" in note for note in result.notes)
    assert result.totals.packets == (3000 if merged else 1500)


def test_a_capture_that_another_takes_the_place_of_is_read_to_its_end(capture: Path) -> None:
    result = floodmark.classify(capture, progress=lambda *_: replaced(capture) if capture.read_bytes() == FLOOD else None)
    assert (result.totals.packets, problems(result)) == (1500, {})


def carved(result: floodmark.Result, path: Path) -> object:
    return carve(result.sources, choose(result.flows.judged, events=[1]), str(path), result.settings.flow)


def explained(result: floodmark.Result, _: Path) -> object:
    return sample_packets(result.sources, np.ones(len(result.flows), bool), result.settings.flow, most=5)


def mitigated(result: floodmark.Result, _: Path) -> object:
    return rule_for(result.sources, result.events[0], result.flows.judged, FORMS["bpf"], result.settings.flow, most_harm=0.01)


@pytest.mark.parametrize("again", [carved, explained, mitigated])
@pytest.mark.parametrize("change", [*CHANGES, replaced])
def test_a_change_between_two_readings_is_an_error(
    again: Callable[[floodmark.Result, Path], object], change: Callable[[Path], None], capture: Path, tmp_path: Path
) -> None:
    result = floodmark.classify(capture)
    change(capture)
    with pytest.raises(CaptureError, match=r"a\.pcap: changed after it was first read: "):
        again(result, tmp_path / "out.pcapng")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_during_the_second_reading_is_an_error(change: Callable[[Path], None], capture: Path, tmp_path: Path) -> None:
    result = floodmark.classify(capture)
    choice = choose(result.flows.judged, events=[1])
    with pytest.raises(CaptureError, match="changed after it was first read"):
        carve(result.sources, choice, str(tmp_path / "out"), result.settings.flow, progress=lambda *_: change(capture))
    assert not list(tmp_path.glob("out*"))


def test_a_change_while_evidence_is_made_is_an_error(capture: Path, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    done: list[int] = []

    def progress(*_: object) -> None:
        done.append(1)
        if len(done) == 2:  # the reading after the one that classifies
            written_to(capture)

    with pytest.raises(CaptureError, match="changed after it was first read"):
        write_contents([str(capture)], tmp_path / "bundle", Recipe(floodmark.Settings(), floodmark.Options()), progress)


def test_an_archive_that_changes_is_told(tmp_path: Path) -> None:
    import zipfile  # noqa: PLC0415

    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.pcap", FLOOD)
    result = floodmark.classify(path)
    os.utime(path, ns=(0, 1))
    with pytest.raises(CaptureError, match="changed after it was first read"):
        carved(result, tmp_path / "out.pcapng")


def test_a_capture_that_is_linked_and_renamed_has_not_changed(capture: Path, tmp_path: Path) -> None:
    result = floodmark.classify(capture)
    os.link(capture, tmp_path / "backup")
    capture.chmod(0o400)
    assert carved(result, tmp_path / "out.pcapng")


def test_a_copy_for_sharing_is_of_one_state(capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = Anonymiser.put

    def changing(self: Anonymiser, *arguments: object) -> int:
        extended(capture)
        return put(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Anonymiser, "put", changing)
    with pytest.raises(CaptureError, match="changed while it was read"):
        anonymise(str(capture), str(tmp_path / "out.pcapng"), Anonymiser(bytes(32)))
    assert not list(tmp_path.glob("out*"))
