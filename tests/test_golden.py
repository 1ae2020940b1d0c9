"""Answers to captures of traces/ and to generated scenarios as last agreed on.

``make golden`` rewrites them, and a change needs a line in CHANGELOG.md. A case names its capture, or the scenario and seed that make it.
"""

import io
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import scenarios
import wire

import floodmark

ROOT = Path(__file__).parent.parent
CASES = sorted((ROOT / "tests" / "golden").iterdir())


def generated(name: str, seed: int) -> io.BytesIO:
    """Return the capture of a scenario, in the form that its seed chose."""
    made = scenarios.make(name, seed)
    return io.BytesIO((wire.pcapng_bytes if made.form.pcapng else wire.pcap_bytes)(made.packets, made.form))


def answer(case: Path) -> dict[str, Any]:
    """Return the answer to a case's capture, without what a new version may change in silence."""
    stated = tomllib.loads((case / "case.toml").read_text())
    source = str(ROOT / stated["capture"]) if "capture" in stated else generated(stated["scenario"], stated["seed"])
    document: dict[str, Any] = floodmark.classify(source).to_dict()
    del document["tool"]
    for part in document["captures"]:
        part["path"] = stated.get("capture")
    return document


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_answer_is_the_one_agreed_on(case: Path) -> None:
    assert answer(case) == json.loads((case / "expected.json").read_text())


if __name__ == "__main__":
    for folder in CASES:
        (folder / "expected.json").write_text(json.dumps(answer(folder), indent=1) + "\n")
