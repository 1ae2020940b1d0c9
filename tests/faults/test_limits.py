"""A limit of the system, a damaged cache, a name that is no text: one line and the documented code, whatever the command."""

import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from builders import pcap, syn_flood
from faults.disks import fill, small_disk
from floodmark_core import cache_folder

DEMO = Path(__file__).parents[2] / "traces" / "demo.pcap"
CACHE = cache_folder().parents[1]
CAMPAIGN = pytest.mark.campaign  # left to make faults: the same kind of fault by another command
FLOOD = pcap(syn_flood(60_000))


def run(command: str, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run floodmark in a shell, after other commands."""
    return subprocess.run(
        ["bash", "-c", f"{before}\nexec {shlex.quote(sys.executable)} -m floodmark.cli {command}"],
        capture_output=True, check=False, text=True, errors="replace", timeout=300,
        env=os.environ | {"FLOODMARK_CACHE_DIR": str(CACHE), "PYTHONPATH": os.pathsep.join(sys.path)} | environment,
    )  # fmt: skip


def assert_told(done: subprocess.CompletedProcess[str], code: int, what: str = "") -> None:
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert done.stderr.splitlines()[-1].startswith(("floodmark: ", "Error: ")), done.stderr
    assert what in done.stderr.splitlines()[-1]


WRITING = [
    "carve {0} --benign -o {1}", "anonymise {0} -o {1}", "export {0} --as csv -o {1}", "export {0} --as parquet -o {1}",
    "export {0} --as stix -o {1}", "export {0} --as zeek -o {1}", "report {0} -o {1}", "classify {0} --flows {1}", "evidence {0} -o {1}",
    "evidence {0} -o {1}.zip",
]  # fmt: skip


@pytest.mark.parametrize("command", [pytest.param(each, marks=() if each.startswith("carve") else CAMPAIGN) for each in WRITING])
def test_an_output_that_cannot_be_is_code_3(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for target in ("loop/x", "file/x", "none/x", "x" * 300):
        assert_told(run(command.format(DEMO, tmp_path / target)), 3, "cannot be written")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop"]


@pytest.mark.parametrize("room", [0, *(pytest.param(step * 30_000, marks=CAMPAIGN) for step in range(1, 6))])
@pytest.mark.parametrize(
    "command",
    [pytest.param(each, marks=() if each.startswith("carve") else CAMPAIGN) for each in WRITING if not each.startswith("evidence")],
)
def test_a_full_disk_leaves_the_old_output_and_nothing_else(command: str, room: int, tmp_path: Path) -> None:
    with small_disk(tmp_path, "1m") as disk:
        (disk / "out").write_bytes(b"old")
        fill(disk, but=room)
        done = run(command.format(DEMO, disk / "out"))
        if done.returncode:  # what is small fits into the room that is left
            assert_told(done, 3, "No space left")
            assert (disk / "out").read_bytes() == b"old"
        assert sorted(path.name for path in disk.iterdir()) == ["filler", "out"]


@pytest.mark.parametrize("name", [b"out\xff", b"\x1b[31ma b\nc"])
@pytest.mark.parametrize(
    "command",
    [
        "evidence {0} -o {1}",
        *(pytest.param(f"{each} -o {{1}}", marks=CAMPAIGN) for each in ("carve {0} --benign", "anonymise {0}", "report {0}")),
    ],
)
def test_a_name_that_is_no_text_is_written_and_shown_escaped(command: str, name: bytes, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(name)
    done = subprocess.run(
        [sys.executable, "-m", "floodmark.cli", *[part.format(DEMO, path) for part in command.split()]],
        capture_output=True, check=False, timeout=300, env=os.environ | {"FLOODMARK_CACHE_DIR": str(CACHE)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert path.exists()
    assert b"\x1b" not in done.stdout + done.stderr


@CAMPAIGN
def test_a_limit_on_files_is_told(tmp_path: Path) -> None:
    (tmp_path / "flood.pcap").write_bytes(pcap(syn_flood(900_000)))
    done = run(f"classify {tmp_path / 'flood.pcap'} --memory 64MiB", "ulimit -f 2000")
    assert_told(done, 3, "cannot be made: File too large")


@CAMPAIGN
@pytest.mark.parametrize("limit", [1_500_000, 2_000_000, 3_000_000])
def test_a_limit_on_address_space_is_kept_or_told(limit: int, tmp_path: Path) -> None:
    (tmp_path / "flood.pcap").write_bytes(FLOOD)
    done = run(f"classify {tmp_path / 'flood.pcap'} --threads 1", f"ulimit -v {limit}")
    assert done.returncode == 0 or (done.returncode == 3 and "Traceback" not in done.stderr), done.stderr


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this version's compiled core."""
    path = tmp_path_factory.mktemp("cache")
    shutil.copytree(cache_folder(), path / "floodmark" / cache_folder().name)
    path.chmod(0o700)
    return path


DAMAGES = {
    "empty": lambda data: data[:0],
    "truncated": lambda data: data[: len(data) // 2],
    "flipped": lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
    "other": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("suffix", [".nbi", ".1.nbc"])
@pytest.mark.parametrize("damage", [pytest.param(each, marks=() if each == "flipped" else CAMPAIGN) for each in DAMAGES])
def test_a_damaged_cache_is_compiled_anew(damage: str, suffix: str, kept: Path) -> None:
    [path] = kept.rglob(f"survey.survey_block-*{suffix}")  # the one kernel of inspect
    before = path.read_bytes()
    path.write_bytes(DAMAGES[damage](before))
    done = run(f"inspect {DEMO}", FLOODMARK_CACHE_DIR=str(kept))
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    if (damage, suffix) != ("flipped", ".nbi"):  # a flipped bit of the index may change no more than the name of a file
        assert "is damaged, and compiled anew" in done.stderr
    again = run(f"inspect {DEMO}", FLOODMARK_CACHE_DIR=str(kept))
    assert (again.returncode, again.stdout, again.stderr) == (0, done.stdout, "")


@CAMPAIGN
def test_a_cache_without_room_is_no_error(tmp_path: Path) -> None:
    with small_disk(tmp_path, "1m") as disk:
        disk.chmod(0o700)
        fill(disk)
        done = run(f"inspect {DEMO}", FLOODMARK_CACHE_DIR=str(disk))
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


def test_a_damaged_member_packed_with_lzma_is_code_3_or_counted(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.pcap", DEMO.read_bytes())
    with tarfile.open(tmp_path / "a.tar.xz", "w:xz") as tar:
        tar.add(DEMO, "a.pcap")
    for name in ("a.zip", "a.tar.xz"):
        path, data = tmp_path / name, (tmp_path / name).read_bytes()
        for at in range(60, len(data), max(len(data) // 3, 1)):
            path.write_bytes(data[:at] + bytes(byte ^ 0xFF for byte in data[at : at + 20]) + data[at + 20 :])
            done = run(f"classify {path}")
            assert done.returncode in (0, 3), (name, at, done.stderr)
            assert "Traceback" not in done.stderr, (name, at, done.stderr)


def test_what_a_killed_process_left_is_told(tmp_path: Path) -> None:
    (tmp_path / "out.pcapng.0123abcd.part").write_bytes(b"half")
    (tmp_path / "bundle.0123abcd.part").mkdir()
    done = run(f"carve {DEMO} --benign -o {tmp_path / 'out.pcapng'}")
    assert (done.returncode, done.stderr.count("left behind by a process that was killed")) == (0, 1)
    assert "out.pcapng.0123abcd.part: left behind" in done.stderr
    assert "bundle.0123abcd.part: left behind" in run(f"evidence {DEMO} -o {tmp_path / 'bundle'}").stderr
