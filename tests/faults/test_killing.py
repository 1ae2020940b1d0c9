"""A program that is killed at a random moment leaves no half of an output, and one that is asked to end leaves nothing at all."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders import SECOND, connection, pcap, syn_flood
from floodmark.base.writing import leftovers
from floodmark.evidence.verifying import verify
from floodmark_core import cache_folder

DEMO = Path(__file__).parents[2] / "traces" / "demo.pcap"
COMMANDS = {
    "carve": "carve {0} --benign -o {1}/out", "anonymise": "anonymise {0} -o {1}/out", "export": "export {0} --as parquet -o {1}/out",
    "csv": "export {0} --as csv -o {1}/out.gz", "report": "report {0} -o {1}/out", "flows": "classify {0} --flows {1}/out",
    "evidence": "evidence {0} -o {1}/out", "zip": "evidence {0} -o {1}/out.zip",
}  # fmt: skip
ASKED, KILLED = ("SIGINT", "SIGTERM", "SIGHUP"), "SIGKILL"


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture that takes a second or two to answer."""
    path = tmp_path_factory.mktemp("capture") / "a.pcap"
    flood = [packet._replace(time_ns=packet.time_ns + n * SECOND) for n in range(60) for packet in syn_flood(1500)]
    calm = [packet for n in range(4000) for packet in connection(n * 10_000_000, 20_000 + n)]
    path.write_bytes(pcap(sorted([*flood, *calm], key=lambda packet: packet.time_ns)))
    return path


@pytest.fixture(scope="module")
def took() -> dict[str, float]:
    """How long each command takes when it is left alone; filled as needed."""
    return {}


def begin(command: str, capture: Path, out: Path) -> subprocess.Popen[str]:
    words = COMMANDS[command].format(capture, out).split()
    (out / "tmp").mkdir(exist_ok=True)
    environment = os.environ | {"FLOODMARK_CACHE_DIR": str(cache_folder().parents[1]), "TMPDIR": str(out / "tmp")}
    handlers = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:  # a new process inherits what is ignored, but not a handler
        return subprocess.Popen(
            [sys.executable, "-m", "floodmark.cli", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def moments(count: int) -> Iterator[object]:
    for number in range(count):
        for command in COMMANDS:
            for name in (*ASKED, KILLED)[number % 4 :][:1]:
                marks = () if number < 2 and command in ("carve", "zip") else pytest.mark.campaign
                yield pytest.param(command, name, number, marks=marks, id=f"{command}-{name}-{number}")


@pytest.mark.parametrize(("command", "name", "number"), list(moments(26)))
def test_nothing_is_left_of_what_was_ended(
    command: str, name: str, number: int, capture: Path, tmp_path: Path, took: dict[str, float]
) -> None:
    if command not in took:
        (tmp_path / "whole").mkdir()
        began = time.monotonic()
        begin(command, capture, tmp_path / "whole").communicate(timeout=120)
        took[command] = time.monotonic() - began
    out = tmp_path / "ended"
    out.mkdir()
    process = begin(command, capture, out)
    time.sleep(random.Random(f"{command} {number}").uniform(0.3, 1.05) * took[command])
    process.send_signal(signal.Signals[name])
    _, said = process.communicate(timeout=120)
    assert "Traceback" not in said or process.returncode == -signal.SIGINT, said  # while Python itself starts
    found = sorted(path for path in out.iterdir() if path.name != "tmp")
    if process.returncode == 0:
        assert [path.name for path in found] in (["out"], ["out.gz"], ["out.zip"])
        if command in ("evidence", "zip"):
            assert verify(str(found[0])).is_whole
        return
    assert process.returncode in (-signal.Signals[name], 128 + signal.Signals[name]), said
    parts = [path for path in found if ".part" in path.name]
    assert {path.name for path in found if path not in parts} <= {"out", "out.gz", "out.zip"}  # it was complete already
    if name in ASKED and process.returncode > 0:
        assert (parts, list((out / "tmp").iterdir())) == ([], [])
    else:  # killed: what is left has the name of something incomplete, and is told by the next run
        assert {str(path) for path in parts} == {left for end in ("out", "out.gz", "out.zip") for left in leftovers(str(out / end))}
