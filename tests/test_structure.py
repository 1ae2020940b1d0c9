"""The structure that DESIGN.md draws is that of the code: packages, their imports, their order and their size."""

import re
import tomllib
from collections import defaultdict
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
MOST_MODULES = 15  # of one folder, its __init__ included
MOST_LAYERS = 12

pytestmark = pytest.mark.checkout


def package_of(module: str) -> str:
    return module.split(".")[1]


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Return which packages each package imports."""
    graph = grimp.build_graph("floodmark")
    found: dict[str, set[str]] = defaultdict(set)
    for module in graph.modules - {"floodmark"}:
        found[package_of(module)] |= set()
        for imported in graph.find_modules_directly_imported_by(module):
            if package_of(imported) != package_of(module):
                found[package_of(module)].add(package_of(imported))
    return found


def drawn() -> dict[str, set[str]]:
    """Return what the picture says: on each line a package and those that it imports."""
    text = (ROOT / "DESIGN.md").read_text(encoding="utf-8")
    [picture] = re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.partition("->") for line in picture.strip().split("\n")]
    return {name.strip(): set(rest.split()) for name, _, rest in lines}


def test_the_picture_in_the_design_shows_what_imports_what(imports: dict[str, set[str]]) -> None:
    assert drawn() == dict(imports)


def test_packages_are_drawn_in_an_order_in_which_imports_go_down() -> None:
    order = list(drawn())
    upward = [(name, other) for name, others in drawn().items() for other in others if order.index(other) <= order.index(name)]
    assert upward == []


def test_the_import_contract_names_packages_and_has_few_layers(imports: dict[str, set[str]]) -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"][0]
    named = [name.strip() for layer in contract["layers"] for name in layer.split("|")]
    assert len(contract["layers"]) <= MOST_LAYERS
    assert {name.removeprefix("floodmark.") for name in named} == set(imports)


def test_no_circle_among_the_modules_of_any_package() -> None:
    graph = grimp.build_graph("floodmark", "floodmark_core")
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            if module.startswith(f"{imported}."):
                continue  # a package's __init__ holds its text alone
            assert not graph.chain_exists(imported, module), f"{module} imports {imported}, which comes back to it"


@pytest.mark.parametrize("root", ["src/floodmark", "native/floodmark_core"])
def test_no_folder_holds_more_than_can_be_looked_over(root: str) -> None:
    counts = {folder: len(list(folder.glob("*.py"))) for folder in (ROOT / root).rglob("*") if folder.is_dir()}
    assert {folder.name: count for folder, count in counts.items() if count > MOST_MODULES} == {}
