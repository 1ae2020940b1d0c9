"""What is installed: metadata, types, schema, public names, and kernels compiled once."""

import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from importlib.metadata import metadata, version
from importlib.resources import files
from inspect import unwrap
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from numba.core.types import unliteral
from packaging.version import Version

import floodmark
import floodmark_core
from builders import answer, connection, pcap, pcapng
from floodmark_core import cache_folder
from floodmark_core._jit import Kernel
from floodmark_core.warm import compile_beside, compile_whole

ROOT = Path(floodmark.__file__).parent.parent.parent
MOST_NAMES = 12


def test_the_version_is_that_of_the_metadata_and_the_document() -> None:
    assert answer(connection(0)).to_dict()["tool"] == {"name": "floodmark", "version": version("floodmark")}


@pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="installed without its source tree")
def test_the_version_is_that_of_the_project_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" in project["dynamic"]
    assert Version(version("floodmark")) > Version("0")


def test_the_licence_is_in_the_metadata() -> None:
    assert metadata("floodmark")["License-Expression"] == "Apache-2.0"


def test_python_and_requirements_are_in_the_metadata() -> None:
    found = metadata("floodmark")
    assert found["Requires-Python"] == ">=3.11"
    required = {re.match(r"[\w-]+", text.replace(".", "-"))[0] for text in found.get_all("Requires-Dist") or [] if "extra ==" not in text}
    assert required - {"backports-zstd"} == {
        "click",
        "dnspython",
        "packaging",
        "platformdirs",
        "isal",
        "cryptography",
        "rfc3161-client",
        "jinja2",
        "lz4",
        "msgspec",
        "numba",
        "numpy",
        "pyarrow",
        "rich",
        "stix2",
    }  # Python 3.14 has zstd itself


@pytest.mark.parametrize("package", ["floodmark", "floodmark_core"])
def test_the_packages_say_that_they_are_typed(package: str) -> None:
    assert (files(package) / "py.typed").is_file()


def test_the_schema_is_in_the_package() -> None:
    schema = json.loads((files("floodmark") / "schema" / "result.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)


def test_there_are_at_most_a_dozen_public_names() -> None:
    assert len(floodmark.__all__) == len(set(floodmark.__all__)) <= MOST_NAMES


@pytest.mark.parametrize("name", floodmark.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(floodmark, name) is not None


def test_the_public_names_are_in_order_and_are_what_dir_lists() -> None:
    assert floodmark.__all__ == sorted(floodmark.__all__) == dir(floodmark)


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = floodmark.nothing


def test_every_module_can_be_imported() -> None:
    for package in (floodmark, floodmark_core):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)


def compiled() -> list[Kernel[..., Any]]:
    """Return the compiled functions of the core."""
    modules = (importlib.import_module(module.name) for module in pkgutil.walk_packages(floodmark_core.__path__, "floodmark_core."))
    return [
        value for module in modules for value in vars(module).values() if isinstance(value, Kernel) and value.__module__ == module.__name__
    ]


def full_name(function: Kernel[..., Any]) -> str:
    return f"{function.__module__}.{function.__name__}"


def kernels() -> dict[str, Kernel[..., Any]]:
    """Return the compiled functions of the core that can be called from Python; the steps inside their loops are left out."""
    return {full_name(function): function for function in compiled() if not function.forceinline}


def several_signatures() -> dict[str, set[Any]]:
    """Return the kernels compiled for more than one combination of types. A constant passed by another kernel has the type of its value."""
    found = {name: {tuple(map(unliteral, types)) for types in kernel.signatures} for name, kernel in kernels().items()}
    return {name: types for name, types in found.items() if len(types) > 1}


def outermost() -> list[str]:
    """Return the kernels that no other compiled function calls. The others are compiled within their callers, once for each."""
    used = [unwrap(function).__globals__.get(name) for function in compiled() for name in unwrap(function).__code__.co_names]
    inner = {full_name(function) for function in used if isinstance(function, Kernel)}
    return [name for name in kernels() if name not in inner]


@pytest.fixture(scope="module")
def warmed() -> None:
    """Compile what `floodmark warm` compiles, or load it from the cache."""
    compile_whole()
    compile_beside()


def test_there_are_kernels_to_look_at() -> None:
    assert "floodmark_core.flows.reader.meter_round" in outermost()
    assert len(outermost()) > len(kernels()) / 3


@pytest.mark.usefixtures("warmed")
@pytest.mark.parametrize("name", outermost())
def test_warming_forgets_no_kernel(name: str) -> None:
    assert kernels()[name].signatures


def test_reading_and_judging_compiles_each_kernel_for_one_signature() -> None:
    answer(connection(0))
    answer(pcapng(connection(0)))
    assert several_signatures() == {}


@pytest.mark.usefixtures("warmed")
def test_what_was_warmed_is_compiled_once_and_for_all(tmp_path: Path) -> None:
    """In the cache of these tests: compiling it all again, into a cache of its own, would take most of a minute."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "floodmark.cli", *arguments]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)

    def kept() -> set[str]:
        """Return the files of the cache: one .nbi for each kernel, one .nbc for each signature."""
        return {path.name for path in cache_folder().rglob("*.nb[ci]")}

    before = kept()
    for name in kernels():
        module, function = name.rsplit(".", 1)
        assert any(file.startswith(f"{module.rsplit('.', 1)[1]}.{function}-") for file in before), name
    assert f"compiled the core into {cache_folder()}" in run("warm").stdout
    (tmp_path / "a.pcap").write_bytes(pcap(connection(0)))
    assert "compiling" not in run("classify", str(tmp_path / "a.pcap")).stderr
    assert kept() == before
