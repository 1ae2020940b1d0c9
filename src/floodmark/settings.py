"""All settings of one run: every time-out and every rule threshold; a TOML file overrides them under the same names."""

from dataclasses import dataclass, field, fields, replace
from typing import Any

from floodmark.base.thresholds import OWN, Checked, read_toml, unit_of
from floodmark.captures.settings import FlowSettings
from floodmark.errors import SettingsError
from floodmark.events.calm import CalmSettings
from floodmark.events.events import EventSettings
from floodmark.verdicts.registry import ApplicationSettings, VolumetricSettings

# Former names of settings, from before names ended with the correct unit; a file may still use them.
_RENAMED = {
    "application": {
        "request_rate_pps": "request_rate_rps",
        "service_request_rate_pps": "service_request_rate_rps",
        "insistent_request_rate_pps": "insistent_request_rate_rps",
        "insistent_service_rate_pps": "insistent_service_rate_rps",
        "connection_rate_pps": "connection_rate_cps",
        "handshake_rate_pps": "handshake_rate_cps",
        "query_rate_pps": "query_rate_qps",
        "sip_rate_pps": "sip_rate_rps",
        "command_rate_pps": "command_rate_mps",
        "reset_rate_pps": "reset_rate_fps",
        "denied_requests_unposted": "unposted_denied_requests",
    },
    "calm": {"bulk_octets": "bulk_bytes", "bulk_packet_octets": "bulk_packet_bytes"},
}


@dataclass(frozen=True)
class Settings:
    """All settings of one run."""

    flow: FlowSettings = field(default_factory=FlowSettings)
    volumetric: VolumetricSettings = field(default_factory=VolumetricSettings)
    application: ApplicationSettings = field(default_factory=ApplicationSettings)
    event: EventSettings = field(default_factory=EventSettings)
    calm: CalmSettings = field(default_factory=CalmSettings)


def load_settings(path: str) -> Settings:
    """Read a TOML file with tables [flow], [volumetric], [application], [event] and [calm]. Raises SettingsError naming what is wrong."""
    return settings_from(read_toml(path), path)


def settings_from(document: dict[str, Any], path: str) -> Settings:
    """Apply a parsed document over the defaults, checking every name and type."""
    settings = Settings()
    tables = {table.name for table in fields(Settings)}
    for name, values in document.items():
        if name not in tables or not isinstance(values, dict):
            raise SettingsError(f"{path}: unknown table [{name}]; known tables are {', '.join(sorted(tables))}")
        settings = replace(settings, **{name: _changed(getattr(settings, name), name, values, path)})
    return settings


def _changed(table: Checked, name: str, values: dict[str, Any], path: str) -> Any:  # noqa: ANN401 - a table of the same class
    """Override the defaults of one table."""
    known, renamed = [each.name for each in fields(table)], _RENAMED.get(name, {})
    wanted: dict[str, Any] = {}
    for key, value in values.items():
        now = renamed.get(key, key)
        if now not in known:
            raise SettingsError(f"{path}: unknown setting {name}.{key}; known settings are {', '.join(known)}")
        if now in wanted:
            raise SettingsError(f"{path}: {name}.{now} is set twice, once by its former name; remove one")
        wanted[now] = value
    try:
        return replace(table, **wanted)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


def settings_text(settings: Settings) -> str:
    """Write settings as the TOML file that gives them, each with its unit, its meaning and its source."""
    lines = ["# floodmark settings: every time-out and threshold. Keep the lines you change; all others have their defaults."]
    for table in fields(settings):
        values, defaults = getattr(settings, table.name), getattr(Settings(), table.name)
        lines += ["", f"[{table.name}]"]
        for setting in fields(values):
            value, default = getattr(values, setting.name), getattr(defaults, setting.name)
            changed = f" (default {_toml(default)})" if value != default else ""
            lines.append(f"{setting.name} = {_toml(value)}  # {about(setting.name, setting.metadata)}{changed}")
    return "\n".join(lines) + "\n"


def about(name: str, metadata: Any) -> str:  # noqa: ANN401 - a field's metadata
    """Describe a setting in one line: meaning, unit, source."""
    meaning, source = metadata["meaning"], metadata["source"]
    unit = f" [{unit_of(name)}]" if name != "tunnels" else ""
    return f"{meaning}{unit}" + (f"; {source}" if source != OWN else "")


def _toml(value: float | str) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
