"""A settings file overrides defaults by name; every name and type is checked."""

from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest

from floodmark.base.thresholds import unit_of
from floodmark.errors import FloodmarkError, SettingsError
from floodmark.settings import Settings, load_settings, settings_from, settings_text
from floodmark.verdicts.registry import FAMILIES, ApplicationSettings, VolumetricSettings


def written(folder: Path, text: str) -> str:
    path = folder / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, "")) == Settings()


def test_a_value_overrides_its_default_and_no_other(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, "[flow]\nudp_timeout_s = 5\n[volumetric]\nflood_packets = 7\n"))
    assert (settings.flow.udp_timeout_s, settings.volumetric.flood_packets) == (5.0, 7)
    assert (settings.flow.icmp_timeout_s, settings.application, settings.event) == (30.0, Settings().application, Settings().event)


def test_a_whole_number_for_seconds_becomes_a_float(tmp_path: Path) -> None:
    assert type(load_settings(written(tmp_path, "[flow]\nudp_timeout_s = 5\n")).flow.udp_timeout_s) is float


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[flows]\nudp_timeout_s = 5\n", r"unknown table \[flows\]"),
        ("flow = 5\n", r"unknown table \[flow\]"),
        ("[flow]\nudp_timeout = 5\n", r"unknown setting flow\.udp_timeout"),
        ("[flow]\nudp_timeout_s = -1\n", r"flow\.udp_timeout_s must be a number from 0 to 1,000,000,000, found -1"),
        ("[flow]\nudp_timeout_s = true\n", r"must be a number"),
        ("[flow]\nudp_timeout_s = '5'\n", r"must be a number"),
        ("[volumetric]\nflood_packets = 1.5\n", r"volumetric\.flood_packets must be a whole number, found 1\.5"),
        ("[flow\n", r"not valid TOML"),
        ("[flow]\nudp_timeout_s = " + "[" * 3000, r"not valid TOML: it is nested too deeply"),
        ("[flow]\nudp_timeout_s = " + "9" * 5000, r"not valid TOML: .*5000 digits"),
        ("[flow]\nudp_timeout_s = 0x" + "f" * 5000, r"flow\.udp_timeout_s must be a number .* found one of type int that is too large"),
        ("[flow]\ntunnels." + "a." * 3000 + "a = 1", r"flow\.tunnels must be one of .* found one of type dict that is too large"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path: Path, text: str, complaint: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SettingsError, match=complaint) as caught:
        load_settings(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_count_of_zero_is_refused_wherever_it_comes_from() -> None:
    with pytest.raises(SettingsError, match=r"x: application\.scan_ports must be a number from 1"):
        settings_from({"application": {"scan_ports": 0}}, "x")
    with pytest.raises(SettingsError, match=r"volumetric\.reflector_sources must be a number from 1"):
        VolumetricSettings(reflector_sources=0)


@pytest.mark.parametrize("value", ["nan", "inf", "-nan", "-inf", "1e300"])
def test_a_number_that_is_none_or_too_large_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingsError, match="udp_timeout_s"):
        load_settings(written(tmp_path, f"[flow]\nudp_timeout_s = {value}\n"))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not valid TOML"):
        load_settings(str(tmp_path / "s.toml"))


def test_a_missing_file_is_named_with_the_systems_reason(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: cannot be read: No such file"):
        load_settings(str(tmp_path / "none.toml"))


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().flow.udp_timeout_s = 1.0  # type: ignore[misc]


def test_every_setting_can_be_set_by_its_name() -> None:
    words = {"tunnels": "outer"}
    names = {table.name: [field.name for field in fields(getattr(Settings(), table.name))] for table in fields(Settings)}
    settings = settings_from({table: {name: words.get(name, 1) for name in of} for table, of in names.items()}, "x")
    assert {value for table in names for value in vars(getattr(settings, table)).values()} == {1, "outer"}


def test_a_settings_error_is_an_error_of_floodmark() -> None:
    assert issubclass(SettingsError, FloodmarkError)


def test_settings_as_text_are_the_file_that_gives_them(tmp_path: Path) -> None:
    changed = replace(Settings(), volumetric=replace(VolumetricSettings(), flood_packets=7))
    assert load_settings(written(tmp_path, settings_text(changed))) == changed
    assert "flood_packets = 7  # fewest packets of a kind that can be called a flood [packets] (default 50)" in settings_text(changed)


def test_every_setting_says_what_it_means() -> None:
    tables = [getattr(Settings(), table.name) for table in fields(Settings)]
    for table in tables:
        for setting in fields(table):
            assert setting.metadata["meaning"], setting.name
            assert setting.metadata["source"], setting.name


def test_the_name_of_every_number_ends_with_its_unit() -> None:
    tables = [getattr(Settings(), table.name) for table in fields(Settings)]
    numbers = [setting.name for table in tables for setting in fields(table) if not isinstance(setting.default, str)]
    assert all(unit_of(name) for name in numbers)
    assert not [name for name in numbers if name.endswith("_pps") and "request" in name]


def test_no_two_families_declare_one_name() -> None:
    declared = [name for family in FAMILIES for name in vars(family.thresholds)["__annotations__"]]
    assert sorted(declared) == sorted(set(declared))
    assert {field.name for table in (VolumetricSettings, ApplicationSettings) for field in fields(table)} >= set(declared)


def test_a_former_name_is_still_read(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, "[application]\nrequest_rate_pps = 7\n"))
    assert settings.application.request_rate_rps == 7
    assert "request_rate_rps = 7.0" in settings_text(settings)
    both = written(tmp_path, "[application]\nrequest_rate_pps = 7\nrequest_rate_rps = 8\n")
    with pytest.raises(SettingsError, match=r"application\.request_rate_rps is set twice"):
        load_settings(both)
