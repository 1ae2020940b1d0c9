"""The register of rules: every id that an answer can have, every number that a rule compares with, and the order of judging."""

import ast
import io
import json
from graphlib import CycleError
from importlib.resources import files
from pathlib import Path
from string import Formatter

import pytest
import scenarios
from click.testing import CliRunner
from wire import pcap_bytes

import floodmark
from floodmark.cli import main
from floodmark.verdicts import rules as rule_package
from floodmark.verdicts.declaring import Family, Judge
from floodmark.verdicts.registry import FAMILIES, JUDGES, ApplicationSettings, VolumetricSettings, in_order, rules
from floodmark.vocabulary.vectors import RECORDS

ROOT = Path(__file__).parents[1]
RULE_FILES = sorted(Path(rule_package.__path__[0]).rglob("[a-z]*.py"))
REGISTERED = {each.rule.id: each for each in rules()}
NEUTRAL = {0, 1}  # of sums, products and counts; they are compared with as what there is and what is whole
# The order in which families explain flows, the most exact first. A change here changes answers.
ORDER = [
    "tunnel-floods", "scans", "tcp-flag-mixes", "udp-reflections", "synack-reflections", "middlebox-reflections", "slow-connections",
    "fuzzing", "guessing", "distributed-guessing", "credential-stuffing", "command-floods", "sip-floods", "http2-floods", "request-floods",
    "https-floods", "connection-floods", "query-floods", "tcp-syn-floods", "tcp-out-of-state-floods", "tcp-flag-floods", "udp-floods",
    "icmp-floods", "ip-floods",
]  # fmt: skip


def test_families_judge_in_the_order_that_they_declare() -> None:
    assert [judge.name for judge in JUDGES] == ORDER


def test_an_order_that_cannot_be_is_refused() -> None:
    judges = [Judge(name, lambda _: [], (), (), after=(other,)) for name, other in (("a", "b"), ("b", "a"))]
    with pytest.raises(CycleError):
        in_order((Family("circle", "volumetric", VolumetricSettings, tuple(judges)),))


def test_an_id_is_one_rule() -> None:
    every = [rule for family in FAMILIES for rule in (*family.rules, *(rule for judge in family.judges for rule in judge.rules))]
    assert all(REGISTERED[rule.id].rule is rule for rule in every)


@pytest.mark.parametrize("name", REGISTERED)
def test_a_rule_says_all_there_is_to_say(name: str) -> None:
    each = REGISTERED[name]
    assert each.rule.why.endswith(".")
    assert each.rule.measures
    assert all(vector in RECORDS for vector in each.vectors)
    assert "octet" not in f"{each.rule.why}{each.rule.sentence}{each.rule.measures}"
    assert [field for _, field, _, _ in Formatter().parse(each.rule.sentence) if field == ""] == []


@pytest.mark.parametrize("name", [name for name, each in REGISTERED.items() if each.rule.threshold])
def test_the_threshold_of_a_rule_is_a_setting_of_its_family(name: str) -> None:
    each = REGISTERED[name]
    assert each.setting is not None
    assert each.rule.threshold in {**VolumetricSettings.__dataclass_fields__, **ApplicationSettings.__dataclass_fields__}


def literals(file: Path) -> list[str]:
    """Return the comparisons of a rule file with a number that has no name, and its constants that are numbers."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare) and any(isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for operator in node.ops):
            numbers = [
                each.value
                for side in (node.left, *node.comparators)
                for each in ast.walk(side)
                if isinstance(each, ast.Constant) and isinstance(each.value, int | float) and each.value not in NEUTRAL
            ]
            found += [f"{file.name}:{node.lineno}: {ast.unparse(node)}"] if numbers else []
    return found


# What is compared with and is no threshold: numbers of a protocol, a shift of bits.
NO_THRESHOLDS = {
    "reflection.py": ("_CLIENT_PORTS", "1024"),
    "slow.py": ("sent_bytes * 8",),  # bits of a byte
}


@pytest.mark.parametrize("file", RULE_FILES, ids=lambda file: file.name)
def test_every_number_that_a_rule_compares_with_is_declared(file: Path) -> None:
    allowed = NO_THRESHOLDS.get(file.name, ())
    assert [line for line in literals(file) if not any(word in line for word in allowed)] == []


@pytest.mark.parametrize("file", RULE_FILES, ids=lambda file: file.name)
def test_every_threshold_of_a_family_is_used(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    declared = {
        node.target.id
        for one in tree.body
        if isinstance(one, ast.ClassDef)
        for node in one.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(node.value, ast.Call)
    }
    elsewhere = {node.attr for other in RULE_FILES for node in ast.walk(ast.parse(other.read_text())) if isinstance(node, ast.Attribute)}
    assert sorted(declared - used - elsewhere) == []


@pytest.mark.parametrize("file", RULE_FILES, ids=lambda file: file.name)
def test_every_rule_that_a_file_fires_is_one_that_a_judge_declares(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    declared = {
        node.targets[0].id: ast.literal_eval(node.value.args[0])
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "Rule"
    }  # type: ignore[attr-defined] # targets of such lines are names
    assert [name for name, rule in declared.items() if rule not in REGISTERED] == []


@pytest.mark.parametrize("name", scenarios.NAMES)
def test_every_id_in_an_answer_is_registered_and_speaks_for_its_vector(name: str) -> None:
    scenario = scenarios.make(name, 2)
    result = floodmark.classify(io.BytesIO(pcap_bytes(scenario.packets, scenario.form)))
    for event in result.events:
        for reason in event.reasons:
            assert event.vector in REGISTERED[reason.rule].vectors


def test_the_command_prints_one_rule_or_all() -> None:
    one = CliRunner().invoke(main, ["rules", "R_NO_TCP_OPTIONS"])
    assert one.exit_code == 0
    assert "volumetric.no_options_share = 0.9" in one.output
    documents = json.loads(CliRunner().invoke(main, ["rules", "--format", "json"]).output)
    assert [document["id"] for document in documents] == sorted(REGISTERED)
    assert CliRunner().invoke(main, ["rules", "R_NONE"]).exit_code == 2


def test_there_is_a_page_of_all_rules() -> None:
    page = (ROOT / "docs" / "reference" / "rules.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in REGISTERED)


def test_the_data_file_of_vectors_ships_with_the_program() -> None:
    assert (files("floodmark.vocabulary") / "vectors.toml").is_file()
