"""Analyse recorded packet captures and classify their traffic as volumetric attack, application-layer attack or benign."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from floodmark.errors import CaptureError, FloodmarkError, SettingsError
    from floodmark.events.events import Event
    from floodmark.result.pipeline import Options, classify, stream
    from floodmark.result.result import Result
    from floodmark.settings import Settings, load_settings
    from floodmark.vocabulary.vectors import Verdict

__all__ = [
    "CaptureError",
    "Event",
    "FloodmarkError",
    "Options",
    "Result",
    "Settings",
    "SettingsError",
    "Verdict",
    "classify",
    "load_settings",
    "stream",
]

_HOMES = {
    "CaptureError": "errors",
    "Event": "events.events",
    "FloodmarkError": "errors",
    "Options": "result.pipeline",
    "Result": "result.result",
    "Settings": "settings",
    "SettingsError": "errors",
    "Verdict": "vocabulary.vectors",
    "classify": "result.pipeline",
    "load_settings": "settings",
    "stream": "result.pipeline",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - PEP 562
    """Import a public name on its first use, so that importing the package stays cheap."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only needed here

    value = getattr(import_module(f"floodmark.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
