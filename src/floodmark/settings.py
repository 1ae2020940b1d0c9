"""Every time-out and threshold, with unit and source, as frozen data; a TOML file overrides them by the same names."""

import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from floodmark.errors import SettingsError

VICTIM_PACKETS = 20  # a host that received fewer of everything is no victim that can be named
_LARGEST = 1_000_000_000  # of any setting: thirty years of seconds still fit int64 nanoseconds


_Value = TypeVar("_Value", int, float, str)


def _setting(default: _Value, about: str) -> _Value:
    """Return a dataclass field with a default, and what it means with its source; the unit ends its name."""
    made: _Value = field(default=default, metadata={"about": about})
    return made


_WORDS = {"tunnels": ("inner", "outer")}


class _Checked:
    """Settings that hold only what can be used: numbers from 0, counts from 1, words of a list. Raises SettingsError."""

    def __post_init__(self) -> None:
        for setting in fields(self):  # type: ignore[arg-type] # every heir is a dataclass
            value, kind = getattr(self, setting.name), int if isinstance(setting.default, int) else float
            name = f"{type(self).__name__.removesuffix('Settings').lower()}.{setting.name}"
            if isinstance(setting.default, str):
                if value not in _WORDS[setting.name]:
                    raise SettingsError(f"{name} must be one of {', '.join(_WORDS[setting.name])}, found {value!r}")
                continue
            least = 1 if kind is int else 0
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= _LARGEST:
                raise SettingsError(f"{name} must be a number from {least} to {_LARGEST:,}, found {value!r}")
            if kind is int and not isinstance(value, int):
                raise SettingsError(f"{name} must be a whole number, found {value!r}")
            object.__setattr__(self, setting.name, kind(value))  # 5 for 5.0


@dataclass(frozen=True)
class FlowSettings(_Checked):
    """When a flow ends, on the capture clock. Defaults follow Zeek and Suricata where they agree (DESIGN.md D6)."""

    tcp_established_timeout_s: float = _setting(300.0, "Zeek tcp_inactivity_timeout")
    tcp_half_open_timeout_s: float = _setting(60.0, "Suricata tcp new")
    tcp_linger_s: float = _setting(5.0, "late segments of a closed connection still belong to it")
    udp_timeout_s: float = _setting(60.0, "Zeek udp_inactivity_timeout")
    dns_timeout_s: float = _setting(10.0, "Zeek dns_session_timeout")
    icmp_timeout_s: float = _setting(30.0, "Suricata icmp")
    other_timeout_s: float = _setting(60.0, "as UDP's")
    active_timeout_s: float = _setting(1800.0, "RFC 5102 flowActiveTimeout; nfstream's default")
    syn_reuse_s: float = _setting(1.0, "a new SYN on an established five-tuple after this silence is a new flow")
    reorder_window_s: float = _setting(1.0, "a packet earlier than this is a jump of the clock, not reordering")
    tunnels: str = _setting("inner", "whose flows are told: of the packets inside a tunnel over IP, or of the tunnel's own")


@dataclass(frozen=True)
class VolumetricSettings(_Checked):
    """Floors and shares of the volumetric rules. Where no source is named the value is this project's own (DESIGN.md, Verdicts)."""

    flood_packets: int = _setting(50, "fewest packets of a kind that can be called a flood")
    flood_rate_pps: float = _setting(500.0, "mean over the burst; below it, structure must carry the verdict")
    structural_packets: int = _setting(100, "fewest packets when the rate is below the floor")
    sustained_rate_pps: float = _setting(20.0, "lowest mean rate that structure alone can carry; BT's router limit is 20 SYN/s per host")
    spoofed_sources_per_packet: float = _setting(0.5, "from here on most packets have a source of their own")
    ttl_concentration: float = _setting(0.01, "exp(H(TTL)) / sources at or below it: one machine behind many addresses")
    few_ttls: float = _setting(3.3, "effective TTL values of so many sources are few: real ones of the internet show 4.5 to 30")
    few_ttls_sources: int = _setting(50, "fewest sources of which that is said")
    no_options_share: float = _setting(0.9, "of 1,751 ordinary SYNs, none came without options")
    modal_share: float = _setting(0.9, "one option signature or one window on at least this share")
    completion_share: float = _setting(0.05, "handshakes completed per SYN, at most")
    reflector_packets: int = _setting(10, "with the protocol recognised in the payload")
    reflector_sources: int = _setting(3, "fewest servers that answer; more where hosts ask many of them")
    unrecognised_reflector_packets: int = _setting(20, "of a protocol that is not recognised")
    unrecognised_reflector_sources: int = _setting(20, "the same, servers")
    reflector_share: float = _setting(0.05, "of what the victim got beside floods of other kinds; ddos_dissector's cut for a vector")
    solicited_share: float = _setting(0.1, "answers that were asked for, at most")
    one_way_share: float = _setting(0.9, "of a kind's packets that never got an answer")
    carpet_targets: int = _setting(8, "hosts of a prefix")
    carpet_target_share: float = _setting(0.3, "of the prefix's packets that a single host receives, at most")
    carpet_packets: int = _setting(200, "to a prefix")


@dataclass(frozen=True)
class ApplicationSettings(_Checked):
    """Floors of the application-layer rules. Where no source is named the value is this project's own (DESIGN.md, Verdicts)."""

    slow_connections: int = _setting(5, "concurrently open, to one service")
    slow_age_s: float = _setting(20.0, "Apache mod_reqtimeout header=20, body=20")
    slow_rate_bps: float = _setting(4000.0, "500 octets/s, Apache mod_reqtimeout MinRate")
    slow_share: float = _setting(0.5, "of the service's open connections")
    request_rate_pps: float = _setting(10.0, "requests per second and source, mean over the burst")
    service_request_rate_pps: float = _setting(50.0, "requests per second to one service")
    insistent_request_rate_pps: float = _setting(3.0, "requests per second of the median client; pages and pollers ask in bursts or rarely")
    insistent_service_rate_pps: float = _setting(20.0, "floor of a service whose clients ask that often")
    flood_requests: int = _setting(100, "fewest requests that can be called a flood")
    connection_rate_pps: float = _setting(100.0, "connections per second to one service that carry nothing")
    handshake_rate_pps: float = _setting(20.0, "TLS handshakes per second and service that lead to nothing")
    flood_connections: int = _setting(100, "fewest connections that can be called a flood")
    scan_ports: int = _setting(15, "Zeek's legacy scan policy")
    scan_hosts: int = _setting(25, "Zeek's legacy scan policy")
    scan_failure_share: float = _setting(0.7, "of a source's contacts that came to nothing")
    scan_tries_per_port: float = _setting(2.0, "more is no scan but insistence")
    query_rate_pps: float = _setting(500.0, "DNS questions to one server")
    torture_queries: int = _setting(100, "under one domain")
    torture_unique_share: float = _setting(0.6, "of the questions are for a name of their own; what gets no answer is asked again")
    torture_failure_share: float = _setting(0.5, "of the questions that get no answer, or no name")
    torture_domain_share: float = _setting(0.2, "of the server's questions")
    sip_requests: int = _setting(50, "fewest SIP requests that can be called a flood")
    sip_rate_pps: float = _setting(10.0, "SIP requests to one host")
    command_rate_pps: float = _setting(100.0, "messages of one client to a broker or a controller, mean over its connections")
    flood_commands: int = _setting(100, "fewest messages that can be called a flood")
    flood_resets: int = _setting(100, "HTTP/2 streams cancelled, or CONTINUATION frames, in one connection; Envoy allows 250 in a second")
    reset_rate_pps: float = _setting(33.0, "nghttp2's stream_reset_rate")
    fuzzing_connections: int = _setting(50, "of one client to one service")
    denied_requests: int = _setting(10, "of one client within the window of guessing")
    denied_requests_unposted: int = _setting(30, "the same where the requests carry no form")
    denied_share: float = _setting(0.8, "of the answers; a browser is denied once or twice before it shows a password")
    distributed_guesses: int = _setting(30, "of all clients of a service")
    distributed_window_s: float = _setting(300.0, "in which they are counted")
    guessing_connections: int = _setting(10, "per source and service within the window")
    guessing_window_s: float = _setting(60.0, "in which connections of one source are counted")
    guessing_variation: float = _setting(0.3, "coefficient of variation of the octets per connection, at most")


@dataclass(frozen=True)
class EventSettings(_Checked):
    """Where one event ends and the next begins: a silence of a share of the capture's span, within limits."""

    gap_share: float = _setting(0.1, "of the time that the captures span")
    least_gap_s: float = _setting(5.0, "a shorter silence ends no event")
    most_gap_s: float = _setting(300.0, "corsaro's expiry of an attack")
    least_application_gap_s: float = _setting(60.0, "guessing, scanning and slow dialogues wait between steps; the window of guessing")


@dataclass(frozen=True)
class CalmSettings(_Checked):
    """What ordinary traffic is called that could be taken for an attack. The values are this project's own."""

    bulk_octets: int = _setting(250_000, "of one direction of a flow; what a page is made of is smaller")
    bulk_packet_octets: float = _setting(1000.0, "mean IP octets of that direction's packets")
    measurement_times: int = _setting(5, "fewest checks of one service by one client, or pings, that tell of a habit")
    measurement_packets: int = _setting(30, "of a check's connection, at most")
    measurement_period_s: float = _setting(0.5, "shortest time between two checks; ping asks every second")
    measurement_variation: float = _setting(0.2, "coefficient of variation of that time, at most")
    crowd_connections: int = _setting(100, "to one service within ten seconds")
    crowd_clients: int = _setting(50, "that share them")
    crowd_times: float = _setting(1.75, "what three quarters of the stretches of ten seconds exceed at that service")
    crowd_windows: int = _setting(3, "fewest stretches of ten seconds that tell what is usual")
    crowd_most_share: float = _setting(0.1, "of the connections by one client, at most")


@dataclass(frozen=True)
class Settings:
    """All settings of one run."""

    flow: FlowSettings = FlowSettings()
    volumetric: VolumetricSettings = VolumetricSettings()
    application: ApplicationSettings = ApplicationSettings()
    event: EventSettings = EventSettings()
    calm: CalmSettings = CalmSettings()


def read_toml(path: str) -> dict[str, Any]:
    """Read a TOML file. Raises SettingsError where it cannot be read, or is none."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error


def load_settings(path: str) -> Settings:
    """Read a TOML file with tables [flow], [volumetric], [application], [event] and [calm]. Raises SettingsError naming what is wrong."""
    return settings_from(read_toml(path), path)


def settings_from(document: dict[str, Any], path: str) -> Settings:
    """Override the defaults by a parsed document; every name and type is checked."""
    settings = Settings()
    tables = {table.name for table in fields(Settings)}
    for name, values in document.items():
        if name not in tables or not isinstance(values, dict):
            raise SettingsError(f"{path}: unknown table [{name}]; there are {', '.join(sorted(tables))}")
        table = getattr(settings, name)
        known = [field.name for field in fields(table)]
        for key in values:
            if key not in known:
                raise SettingsError(f"{path}: unknown setting {name}.{key}; there are {', '.join(known)}")
        try:
            table = replace(table, **values)
        except SettingsError as error:
            raise SettingsError(f"{path}: {error}") from error
        settings = replace(settings, **{name: table})
    return settings


def settings_text(settings: Settings) -> str:
    """Write settings as the TOML file that gives them, each with what it means and where its value comes from."""
    lines = ["# floodmark settings: every time-out and threshold. Keep what you change; what is left out keeps its default."]
    for table in fields(settings):
        values, defaults = getattr(settings, table.name), getattr(Settings(), table.name)
        lines += ["", f"[{table.name}]"]
        for setting in fields(values):
            value, default = getattr(values, setting.name), getattr(defaults, setting.name)
            changed = f" (default {_toml(default)})" if value != default else ""
            lines.append(f"{setting.name} = {_toml(value)}  # {setting.metadata['about']}{changed}")
    return "\n".join(lines) + "\n"


def _toml(value: float | str) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
