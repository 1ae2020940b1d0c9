"""All families of rules, in order of execution; the settings that they declare; the register of their rules."""

from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Protocol

from floodmark.verdicts.declaring import Family, Judge
from floodmark.verdicts.rules.application import (
    commands,
    connections,
    encrypted,
    fuzzing,
    guessing,
    http2,
    query_floods,
    requests,
    scans,
    slow,
)
from floodmark.verdicts.rules.volumetric import (
    carpet,
    ip_floods,
    reflection,
    tcp_floods,
    tunnel_floods,
    udp_floods,
)
from floodmark.verdicts.weighing import Rule

FAMILIES: tuple[Family, ...] = tuple(
    file.FAMILY
    for file in (
        tunnel_floods, scans, tcp_floods, reflection, slow, fuzzing, guessing, commands, http2, requests, encrypted, connections,
        query_floods, udp_floods, ip_floods, carpet,
    )
)  # fmt: skip


@dataclass(frozen=True)
class VolumetricSettings(
    carpet.CarpetThresholds,
    tcp_floods.TcpThresholds,
    udp_floods.UdpThresholds,
    ip_floods.IpThresholds,
    tunnel_floods.TunnelThresholds,
    reflection.ReflectionThresholds,
):
    """Thresholds of the volumetric rules, as their families declare them."""


@dataclass(frozen=True)
class ApplicationSettings(
    encrypted.HttpsThresholds,
    connections.ConnectionThresholds,
    guessing.GuessingThresholds,
    requests.RequestThresholds,
    http2.Http2Thresholds,
    query_floods.QueryThresholds,
    commands.CommandThresholds,
    fuzzing.FuzzingThresholds,
    slow.SlowThresholds,
    scans.ScanThresholds,
):
    """Thresholds of the application-layer rules, as their families declare them."""


def in_order(families: tuple[Family, ...]) -> list[Judge]:
    """Return all judges, each after those that must run before it. Raises graphlib.CycleError if that is impossible."""
    judges = {judge.name: judge for family in families for judge in family.judges}
    return [judges[name] for name in TopologicalSorter({name: judge.after for name, judge in judges.items()}).static_order()]


JUDGES = in_order(FAMILIES)


class RuleSettings(Protocol):
    """The part of the settings that rules use."""

    @property
    def volumetric(self) -> VolumetricSettings:
        """Thresholds of the volumetric rules."""

    @property
    def application(self) -> ApplicationSettings:
        """Thresholds of the application-layer rules."""


@dataclass(frozen=True)
class Registered:
    """A rule with its families, its vectors and its setting."""

    rule: Rule
    families: tuple[str, ...]
    vectors: tuple[str, ...]
    setting: str | None  # that it is compared with, None if there is no single one
    value: float | None  # default of that setting


def rules() -> list[Registered]:
    """Return every rule, in order of ids."""
    over_prefixes = tuple(vector for judge in JUDGES if judge.over_prefixes for vector in judge.vectors)
    of_family = [(family, rule, over_prefixes) for family in FAMILIES for rule in family.rules]
    of_judge = [(family, rule, judge.vectors) for family in FAMILIES for judge in family.judges for rule in judge.rules]
    found: dict[str, Registered] = {}
    for family, rule, vectors in of_judge + of_family:
        known = found.get(rule.id, Registered(rule, (), (), *_setting(rule.threshold)))
        families, all_vectors = dict.fromkeys((*known.families, family.name)), dict.fromkeys((*known.vectors, *vectors))
        found[rule.id] = replace(known, families=tuple(families), vectors=tuple(all_vectors))
    return [found[name] for name in sorted(found)]


def _setting(name: str) -> tuple[str | None, float | None]:
    """Return the full name and the default of a setting, (None, None) if there is none."""
    for table, defaults in (("volumetric", VolumetricSettings()), ("application", ApplicationSettings())):
        if hasattr(defaults, name):
            return f"{table}.{name}", getattr(defaults, name)
    return None, None
