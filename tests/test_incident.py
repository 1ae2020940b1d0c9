"""The minute of the incident at a thousandth of its size: an audit finds what is true of it, by every way of counting and by asset."""

from pathlib import Path

import incident
import numpy as np
import pytest

import floodmark
from floodmark.claims.assets import load_assets
from floodmark.claims.auditing import Audit, audit
from floodmark.claims.claims import Claim

PACKETS, CLAIMED = 40_000, 20_000
TRUE = ("packets", "flows", "attack flows", "requests", "sources", "real sources")


@pytest.fixture(scope="module", params=(1, 2, 3))
def minute(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    path = tmp_path_factory.mktemp("incident") / "minute.pcap"
    truth = incident.write(path, PACKETS, request.param)
    return path, {unit: int(str(truth[unit])) for unit in (*TRUE, "forged")}


def held(path: Path, claim: Claim, sampling: float = 1) -> Audit:
    return audit(floodmark.classify(path), claim, load_assets(str(minute_of(path).with_suffix(".assets.toml"))), sampling=sampling)


def minute_of(path: Path) -> Path:
    return path.with_name("minute.pcap")


def test_what_is_measured_is_true(minute: tuple[Path, dict[str, int]]) -> None:
    path, truth = minute
    found = {finding.unit: finding for finding in held(path, Claim(CLAIMED)).told}
    assert {unit: found[unit].peak for unit in TRUE} == {unit: pytest.approx(truth[unit], rel=1e-3) for unit in TRUE}
    supported = {unit for unit, finding in found.items() if finding.verdict == "supported"}
    assert {"packets", "flows", "attack flows", "connection attempts", "sources"} <= supported
    assert not {"requests", "real sources", "events"} & supported


def test_ten_times_as_much_is_not_supported(minute: tuple[Path, dict[str, int]]) -> None:
    path, truth = minute
    found = {finding.unit: finding for finding in held(path, Claim(10 * truth["packets"])).told}
    assert (found["packets"].verdict, found["flows"].verdict) == ("not supported", "not supported")
    assert found["packets"].ratio == pytest.approx(0.1)


def test_each_group_has_its_quarter_of_the_forged_segments(minute: tuple[Path, dict[str, int]]) -> None:
    path, truth = minute
    found = held(path, Claim(CLAIMED, "attack flows"))
    for group in incident.GROUPS:
        [finding] = [each for each in found.findings if each.asset == group.name]
        assert 0.25 * truth["forged"] - 1 <= finding.total <= 0.25 * truth["forged"] + 600
    [other] = [each for each in found.findings if each.asset == "unmatched"]
    assert other.total < 100


def test_the_bounds_of_a_sample_hold_the_truth(minute: tuple[Path, dict[str, int]]) -> None:
    """One packet of ten at random; the packets of the sample are written as the capture itself has them."""
    path, truth = minute
    data, at, kept, random = path.read_bytes(), 24, [], np.random.default_rng(1)
    while at < len(data):
        end = at + 16 + int.from_bytes(data[at + 8 : at + 12], "little")
        if random.random() < 0.1:
            kept.append(data[at:end])
        at = end
    sample = path.with_name("sample.pcap")
    sample.write_bytes(data[:24] + b"".join(kept))
    for finding in held(sample, Claim(CLAIMED), sampling=10).told:
        if finding.unit in ("packets", "flows", "requests", "real sources"):
            assert finding.low <= truth[finding.unit]
            assert finding.high is None or truth[finding.unit] <= finding.high
