"""Record the software that made a bundle, and how to reproduce the result on any machine."""

import platform
import re
import shlex
from importlib import metadata
from typing import Any

from floodmark.evidence.layout import SETTINGS
from floodmark.result.result import tool

_NAME = re.compile(r"^[A-Za-z0-9._-]+")


def environment() -> dict[str, Any]:
    """Return versions of the program, its platform and all its dependencies."""
    return {
        "tool": tool(),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "machine": platform.machine(),
        "dependencies": dict(sorted(_versions("floodmark", {}).items())),
    }


def _versions(name: str, found: dict[str, str]) -> dict[str, str]:
    """Return the versions of a distribution's requirements, recursively."""
    try:
        required = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return found
    for requirement in required:
        match = _NAME.match(requirement)
        if match is None or "extra ==" in requirement or match[0].lower() in found:
            continue
        try:
            found[match[0].lower()] = metadata.version(match[0])
        except metadata.PackageNotFoundError:  # for another system or Python
            continue
        _versions(match[0], found)
    return found


def repeat(names: list[str], versions: dict[str, Any], *, keep_going: bool) -> str:
    """Return the commands that reproduce the result.

    names: of the captures, which are in the folder where they are run. versions: from :func:`environment`.
    """
    wanted = [f"floodmark=={versions['tool']['version']}", *(f"{name}=={version}" for name, version in versions["dependencies"].items())]
    options = " --keep-going" if keep_going else ""
    return (
        "#!/bin/sh\n"
        f"# Repeats the analysis of report.json, with Python {versions['python']}.\n"
        f"# Run it in a folder with the captures and with {SETTINGS}.\n"
        "# The SHA-256 of each capture is in bundle.json, under originals.\n"
        "set -e\n"
        f"python3 -m pip install {' '.join(map(shlex.quote, wanted))}\n"
        f"floodmark classify {' '.join(map(shlex.quote, names))} --settings {SETTINGS}{options} --hash --format json\n"
    )
