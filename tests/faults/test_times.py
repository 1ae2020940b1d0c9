"""A few wild time stamps are counted and left out of an audit; a capture that really spans ages is refused as before."""

import io

import numpy as np
import pytest

import floodmark
from builders import SECOND, pcap, syn_flood, udp
from floodmark.claims.auditing import NOT_SUPPORTED, audit
from floodmark.claims.claims import Claim
from floodmark.errors import SettingsError

FLOOD = syn_flood(1500)
YEARS = 20 * 365 * 86_400 * SECOND


def audited(packets: list, unit: str = "packets"):  # type: ignore[no-untyped-def] # noqa: ANN201
    result = floodmark.classify(io.BytesIO(pcap(packets)))
    return audit(result, Claim(1000, unit, 60.0))


@pytest.mark.parametrize("when", ["before", "after", "both"])
@pytest.mark.parametrize("unit", ["packets", "flows", "attack packets", "sources", "connection attempts", "events"])
def test_a_wild_time_stamp_changes_no_count(unit: str, when: str) -> None:
    late = [packet._replace(time_ns=packet.time_ns + YEARS) for packet in FLOOD]
    wild = [packet for place, packet in ((0, udp(0)), (-1, udp(2 * YEARS))) if when in ("both", "before" if place == 0 else "after")]
    plain, found = audited(late, unit), audited(sorted(late + wild, key=lambda packet: packet.time_ns), unit)
    assert [(one.peak, one.total) for one in found.findings] == [(one.peak, one.total) for one in plain.findings]
    assert any(f"{len(wild)} flows at times far from" in reason for one in found.findings for reason in one.reasons)
    assert NOT_SUPPORTED not in {one.verdict for one in found.findings if one.peak < 1000}


def test_a_capture_of_many_years_is_refused() -> None:
    packets = [udp(int(time), ports=(1000 + n, 9)) for n, time in enumerate(np.linspace(0, YEARS, 500))]
    with pytest.raises(SettingsError, match="claim a longer period"):
        audited(packets)
