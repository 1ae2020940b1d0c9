"""Whatever goes wrong on the way out of a command, it is one line on standard error and the documented code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from floodmark_core import cache_folder

DEMO = Path(__file__).parents[1] / "traces" / "demo.pcap"
FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")

# Every command that prints a result, with what it needs; {0}: a capture, {1}: a folder to write to, {2}: a claim, {3}: a bundle.
PRINTING = [
    "classify {0}", "classify {0} --format json", "classify --each {0} {1}/none.pcap --format json", "inspect {0}",
    "audit {0} --claim {2}", "audit {0} --claim {2} --format json", "audit {0} --claim {2} --format html", "explain {0} --event 1",
    "mitigate {0} --event 1 --as bpf", "carve {0} --event 1 -o {1}/out.pcapng", "anonymise {0} -o {1}/out.pcapng",
    "evidence {0} -o {1}/bundle", "verify {3}", "verify {3} --format json", "custody {3}", "vectors", "rules", "settings",
    "carve {0} --event 1 -o -", "export {0} --as csv -o -", "report {0} -o -",
]  # fmt: skip


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "bundle"
    assert run(f"evidence {DEMO} -o {path}").returncode == 0
    return path


def run(arguments: str, redirect: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command in a shell, with its streams redirected."""
    environment = os.environ | {"FLOODMARK_CACHE_DIR": str(cache_folder().parents[1])}
    return subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m floodmark.cli {arguments} {redirect}"],
        capture_output=True, check=False, text=True, env=environment, timeout=300,
    )  # fmt: skip


def filled(arguments: str, folder: Path, bundle: Path) -> str:
    claim = folder / "claim.toml"
    claim.write_text("[claim]\nnumber = 5\n", encoding="utf-8")
    return arguments.format(DEMO, folder, claim, bundle)


@pytest.mark.parametrize("arguments", PRINTING)
@pytest.mark.parametrize(("redirect", "reason"), [(">/dev/full", "No space left on device"), (">&-", "standard output is closed")])
def test_a_result_that_cannot_be_written_is_one_line_and_code_3(
    arguments: str, redirect: str, reason: str, tmp_path: Path, bundle: Path
) -> None:
    done = run(filled(arguments, tmp_path, bundle), redirect)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("floodmark: ")
    assert reason in done.stderr.splitlines()[-1] or "Bad file descriptor" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("redirect", ["2>/dev/full", "2>&-"])
def test_an_error_that_cannot_be_told_keeps_its_code(redirect: str, tmp_path: Path) -> None:
    assert run(f"classify {tmp_path}/none.pcap", redirect).returncode == 3
    assert run(f"classify {DEMO} --settings {tmp_path}/none.toml", redirect).returncode == 2


@pytest.mark.parametrize("target", ["a-file", "nowhere/folder"])
def test_a_folder_that_cannot_be_made_is_one_line_and_code_3(target: str, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("")
    shutil.copy(DEMO, tmp_path / "other.pcap")
    done = run(f"anonymise {DEMO} {tmp_path}/other.pcap -o {tmp_path}/{target}")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    ["carve {0} --event 99 -o {1}/x.pcapng", "explain {0} --event 99", "mitigate {0} --event 99 --as bpf", "vectors none", "rules R_NONE"],
)
def test_what_a_result_does_not_hold_is_code_2(arguments: str, tmp_path: Path, bundle: Path) -> None:
    done = run(filled(arguments, tmp_path, bundle))
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


OF_A_FOLDER = [
    "classify {0}", "explain {0} --event 1", "carve {0} --event 1 -o {1}/x.pcapng", "export {0} --as csv -o {1}/x.csv",
    "report {0} -o {1}/x.html", "mitigate {0} --event 1 --as bpf",
]  # fmt: skip


@pytest.mark.parametrize("arguments", OF_A_FOLDER)
def test_what_a_folder_holds_and_cannot_be_read_is_code_3_for_every_command(arguments: str, tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    folder.mkdir()
    shutil.copy(DEMO, folder / "a.pcap")
    (folder / "b.pcap").write_bytes(DEMO.read_bytes()[:10])
    done = run(arguments.format(folder, tmp_path))
    assert done.returncode == 3
    assert "b.pcap, byte 10: the pcap header ends after 10 of 24 bytes" in " ".join((done.stderr + done.stdout).split())
