"""Record the software that made a bundle, and how to reproduce the result on any machine."""

import platform
import shlex
from importlib import metadata
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from floodmark.evidence.layout import SETTINGS
from floodmark.result.result import tool


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
    """Return the versions of a distribution's requirements on this system and Python, recursively; those of extras are left out."""
    try:
        required = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return found
    for text in required:
        try:
            requirement = Requirement(text)
            key = requirement.name.lower()
            if key in found or (requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})):
                continue
            found[key] = metadata.version(requirement.name)
        except (InvalidRequirement, metadata.PackageNotFoundError):  # the requirement of another distribution may be malformed or missing
            continue
        _versions(requirement.name, found)
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
