"""Every example in README and docs is run, and gives what the page says it gives.

A block of ``console`` has commands after ``$`` and what they print; ``...`` stands for whatever is there. A block of ``python`` is run as
it stands, and prints the block of ``text`` that follows it.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from floodmark.cli import main
from floodmark_core import cache_folder

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "how-to").glob("*.md"))]
_BLOCK = re.compile(r"^```(console|python|text)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples(page: Path) -> list[tuple[str, str]]:
    """Return (what is run, what it should print) of every example of a page, in order."""
    found, code = [], ""
    for kind, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "console":
            found += commands(text)
        elif kind == "python":
            code = text
        elif code:
            found.append((code, text))
            code = ""
    return found


def commands(text: str) -> list[tuple[str, str]]:
    """Return the commands of a block, each with what it prints."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


def fits(printed: str, wanted: str) -> bool:
    """Tell whether what was printed is what a page says; spaces at the ends of lines do not count."""
    lines = [line.rstrip() for line in wanted.rstrip("\n").split("\n")] if wanted.strip() else []
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(re.escape("..."), ".*?") + r" *\n" for line in lines)
    whole = "".join(f"{line.rstrip()}\n" for line in printed.split("\n")) if printed else ""
    return re.fullmatch(pattern + r"\s*", whole) is not None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the capture that the pages speak of, and a claim about it."""
    shutil.copytree(ROOT / "traces", tmp_path / "traces")
    (tmp_path / "claim.toml").write_text('[claim]\nnumber = 2_500\nperiod = "1 minute"\n', encoding="utf-8")
    return tmp_path


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of a shell, or lines of Python, with this environment's programs."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "FLOODMARK_CACHE_DIR": str(cache_folder().parents[1])}
    command = [sys.executable, "-c", code] if "\n" in code else ["bash", "-c", f"{{ {code} ; }} 2>&1"]
    return subprocess.run(command, capture_output=True, check=False, text=True, cwd=folder, env=environment, timeout=300)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_example_of_a_page_gives_what_the_page_says(page: Path, folder: Path) -> None:
    for code, wanted in examples(page):
        done = run(code, folder)
        assert fits(done.stdout, wanted), f"{page.name} says of {code!r}:\n{wanted}\nit prints:\n{done.stdout}{done.stderr}"


def test_each_command_has_an_example_on_the_pages() -> None:
    shown = " ".join(code for page in PAGES for code, _ in examples(page))
    assert all(f"floodmark {name}" in shown for name in main.commands if name != "warm")


@pytest.mark.parametrize("name", sorted(set(main.commands) - {"warm"}))
def test_the_example_in_a_commands_help_works(name: str, folder: Path) -> None:
    found = re.search(r"Example: (floodmark .*)", main.commands[name].help or "")
    assert found, f"floodmark {name} --help has no example"
    done = run(found[1], folder)
    assert done.returncode == 0, done.stdout
