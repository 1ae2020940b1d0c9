"""What fuzzing began with and what it found is answered; a short campaign runs each time."""

import importlib.util
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


def load() -> ModuleType:
    """Load the fuzzer, which is a program and no test."""
    spec = importlib.util.spec_from_file_location("fuzz", HERE / "fuzz.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FUZZ = load()
CORPUS = sorted((HERE / "corpus").iterdir())


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_the_corpus_is_answered_in_time_and_keeps_its_promises(path: Path) -> None:
    began = time.monotonic()
    assert FUZZ.examine(path.read_bytes())
    assert time.monotonic() - began < FUZZ.HANG_S


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS) < 1 << 20


@pytest.mark.slow
def test_a_short_campaign_finds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "fuzz.py"), "--seconds", "5", "--save", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split(" inputs")[0].replace(",", "")) > 0


def test_a_broken_promise_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("floodmark.result.result.Result.to_json", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        FUZZ.examine((HERE / "corpus" / "seed-pcap").read_bytes())
