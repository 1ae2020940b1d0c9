"""Answers to captures of traces/ as last agreed on; ``make golden`` rewrites them, and a change needs a line in CHANGELOG.md."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

import floodmark

ROOT = Path(__file__).parent.parent
CASES = sorted((ROOT / "tests" / "golden").iterdir())


def answer(case: Path) -> dict[str, Any]:
    """Return the answer to a case's capture, without what a new version may change in silence."""
    capture = tomllib.loads((case / "case.toml").read_text())["capture"]
    document: dict[str, Any] = floodmark.classify(str(ROOT / capture)).to_dict()
    del document["tool"]
    for part in document["captures"]:
        part["path"] = capture
    return document


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_answer_is_the_one_agreed_on(case: Path) -> None:
    assert answer(case) == json.loads((case / "expected.json").read_text())


if __name__ == "__main__":
    for folder in CASES:
        (folder / "expected.json").write_text(json.dumps(answer(folder), indent=1) + "\n")
