"""Captures that nobody on this project made: counts beside capinfos, conversations beside tshark, and how often the answer is right.

They are other people's data and no part of the repository: FLOODMARK_TRACES names their folder, or it lies at ../shared/traces/dev.
Without it, or without Wireshark's tools, these tests are skipped and say so.
"""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple, TypeAlias

import jsonschema
import pytest

import floodmark
from floodmark.captures.settings import FlowSettings
from floodmark.result.result import Totals
from judging import judge_real
from unit.test_unpacking import PACK

TRACES = Path(os.environ.get("FLOODMARK_TRACES") or Path(__file__).parents[2] / "shared" / "traces" / "dev")
WITH_CAPINFOS = pytest.mark.skipif(shutil.which("capinfos") is None, reason="capinfos is not installed")
WITH_EDITCAP = pytest.mark.skipif(shutil.which("editcap") is None, reason="editcap is not installed")
WITH_TSHARK = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
pytestmark = pytest.mark.skipif(not (TRACES / "MANIFEST.tsv").is_file(), reason=f"no real captures: {TRACES}/MANIFEST.tsv is not there")

VALIDATOR = jsonschema.Draft202012Validator(json.loads((files("floodmark") / "schema" / "result.schema.json").read_text()))
ATTACKS = ("volumetric", "application-layer", "attack")
NDPI, ZEEK, PCPP = "benign/ntop__tests__cfgs__default__pcap__", "benign/zeek__testing__btest__Traces__", "benign/seladb__Tests__"
# Captures whose conversations mean the same to both: no tunnels (tshark counts them too), no five-tuple that
# pauses for longer than a time-out or is used twice, no later fragments (which tshark joins).
ALIKE = [
    "volumetric/StopDDoS__pkt.TCP.DOMINATE.syn.ecn.cwr.pcapng",
    "volumetric/StopDDoS__amp.UDP.isakmp.pcap",
    "volumetric/evgenii-moriakhin__syn_flood.pcap",
    "attack/joamontesgi__hoic.pcap",
    "attack/tomoos17__captures__attack.pcap",
    "application-layer/doup123__test.pcap",
    "application-layer/chrissanders__synscan.pcapng",
    "application-layer/GrigorDimitrov__syn_scan.pcapng",
    "application-layer/imane-bouhoute__data__scan.pcapng",
    "application-layer/l-laura__bruteforce__bruteforce-train.pcapng",
    "application-layer/l-laura__slowite__slowite-train.pcap",
    "application-layer/joamontesgi__slowloris_go.pcap",
    "application-layer/l-laura__malariados__malariados-train.pcap",
    "benign/joamontesgi__ggizi.pcap",
    "benign/joamontesgi__ggizipizi.pcap",
    "benign/evgenii-moriakhin__no_flood.pcap",
    "benign/chrissanders__http_espn.pcapng",
    "benign/chrissanders__activeosfingerprinting.pcapng",
    "benign/ITI__pcaps__openics__EIP-ControlProtocolChangeAttempt.pcap",
    f"{PCPP}Pcap-Test__PcapExamples__650HttpResponses.pcap",
    f"{PCPP}Pcap-Test__PcapExamples__4KHttpRequests.pcap",
    f"{NDPI}reddit.pcap",
    f"{NDPI}android.pcap",
    f"{NDPI}webex.pcap",
    f"{NDPI}weibo.pcap",
    f"{NDPI}quic_interop_V.pcapng",
    f"{NDPI}lru_ipv6_caches.pcapng",
    f"{NDPI}kerberos-login.pcap",
    f"{NDPI}bittorrent.pcap",
    f"{NDPI}dnp3.pcap",
    f"{NDPI}nfsv2.pcap",
]

End: TypeAlias = tuple[str, int]
Conversation: TypeAlias = tuple[int, End, End]


@cache
def manifest() -> list[dict[str, str]]:
    """Return the rows of the manifest whose files are there."""
    with (TRACES / "MANIFEST.tsv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file, delimiter="\t") if (TRACES / row["file"]).is_file()]


class Seen(NamedTuple):
    """Hold what the tests ask of one answer; whole results of hundreds of captures would fill the memory."""

    totals: Totals
    events: tuple[floodmark.Event, ...]
    packets_in_table: int
    rows: int


@cache
def answered(name: str) -> Seen | floodmark.FloodmarkError:
    """Classify a capture once; the error is the answer where it is refused."""
    try:
        result = floodmark.classify(TRACES / name)
    except floodmark.FloodmarkError as error:
        return error
    table = result.flows.to_table()
    packets = sum(sum(table[column].to_pylist()) for column in ("initiator_packets", "responder_packets"))
    return Seen(result.totals, result.events, packets, table.num_rows)


def results(*classes: str) -> list[tuple[dict[str, str], Seen]]:
    """Return the rows of some classes with their answers; refused captures are left out."""
    found = [(row, answered(row["file"])) for row in manifest() if row["class"] in classes]
    return [(row, result) for row, result in found if isinstance(result, Seen)]


@cache
def by_capinfos() -> tuple[dict[str, tuple[int, int]], str]:
    """Return packets and octets of each capture as capinfos counts them, and what it complained about."""
    names = [row["file"] for row in manifest()]
    done = subprocess.run(["capinfos", "-c", "-d", "-M", "-T", *names], cwd=TRACES, capture_output=True, text=True, check=False)
    counts = {}
    for line in done.stdout.splitlines()[1:]:
        name, packets, octets = line.split("\t")
        counts[name] = (int(packets), int(octets))
    return counts, done.stderr


@WITH_CAPINFOS
def test_capinfos_reads_most_captures() -> None:
    assert len(by_capinfos()[0]) > 0.95 * len(manifest())


@WITH_CAPINFOS
def test_what_capinfos_refuses_it_refuses_for_a_link_type_it_does_not_know() -> None:
    counts, complaints = by_capinfos()
    for name in {row["file"] for row in manifest()} - set(counts):
        said = complaints.split(f'"{name}"')[1].split("capinfos: ")[0]
        assert re.search(r"network type \d+ unknown or unsupported", said), said


@WITH_CAPINFOS
def test_packets_and_bytes_are_those_of_capinfos() -> None:
    counts, _ = by_capinfos()
    wrong = {}
    for row in manifest():
        result = answered(row["file"])
        if row["file"] in counts and isinstance(result, Seen):
            ours = (result.totals.packets, result.totals.bytes)
            if ours != counts[row["file"]]:
                wrong[row["file"]] = (ours, counts[row["file"]])
    assert wrong == {}


@WITH_CAPINFOS
def test_what_capinfos_reads_is_read_here() -> None:
    counts, _ = by_capinfos()
    assert [name for name in counts if not isinstance(answered(name), Seen)] == []


def test_every_packet_is_in_a_flow_or_not_ip_or_refused() -> None:
    wrong = []
    for row, result in results(*ATTACKS, "benign", "malformed"):
        totals = result.totals
        if totals.packets != totals.packets_in_flows + sum(totals.packets_not_ip.values()) + sum(totals.packets_refused.values()):
            wrong.append(row["file"])
    assert wrong == []


def test_flows_hold_the_packets_that_are_in_flows() -> None:
    wrong = []
    for row, result in results(*ATTACKS, "benign", "malformed"):
        if (result.packets_in_table, result.rows) != (result.totals.packets_in_flows, result.totals.flows):
            wrong.append(row["file"])
    assert wrong == []


@cache
def by_tshark(name: str) -> tuple[Counter[Conversation], int]:
    """Return the packets of each pair of end points as tshark counts them, and how many conversations it lists."""
    command = ["tshark", "-n", "-r", name, "-q", "-z", "conv,tcp", "-z", "conv,udp"]
    done = subprocess.run(command, cwd=TRACES, capture_output=True, text=True, check=True)
    protocol, listed = 0, 0
    packets: Counter[Conversation] = Counter()
    for line in done.stdout.splitlines():
        protocol = {"TCP Conversations": 6, "UDP Conversations": 17}.get(line, protocol)
        found = re.match(r"(\S+):(\d+) +<-> (\S+):(\d+) +(\d+) +\S+ \S+ +(\d+) ", line.replace("bytes", "B"))
        if found:
            one, other = (found[1], int(found[2])), (found[3], int(found[4]))
            packets[protocol, min(one, other), max(one, other)] += int(found[5]) + int(found[6])
            listed += 1
    return packets, listed


def by_floodmark(name: str) -> tuple[Counter[Conversation], int]:
    """Return the same from the flow table."""
    packets: Counter[Conversation] = Counter()
    listed = 0
    for flow in floodmark.classify(TRACES / name).flows.to_table().to_pylist():
        if flow["protocol"] in (6, 17) and not flow["is_fragment"]:
            one, other = (flow["initiator"], flow["initiator_port"]), (flow["responder"], flow["responder_port"])
            packets[flow["protocol"], min(one, other), max(one, other)] += flow["initiator_packets"] + flow["responder_packets"]
            listed += 1
    return packets, listed


@WITH_TSHARK
@pytest.mark.parametrize("name", ALIKE)
def test_conversations_and_their_packets_are_those_of_tshark(name: str) -> None:
    if not (TRACES / name).is_file():
        pytest.skip(f"{name} is not in this set")
    assert by_floodmark(name)[0] == by_tshark(name)[0]


@WITH_TSHARK
@pytest.mark.parametrize("name", ALIKE)
def test_there_are_as_many_flows_as_tshark_lists_conversations(name: str) -> None:
    if not (TRACES / name).is_file():
        pytest.skip(f"{name} is not in this set")
    assert by_floodmark(name)[1] == by_tshark(name)[1]


PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}
# Captures whose packets do not have the same protocols for both, and why; the other 820 of the development set agree packet for packet.
DIFFERENT = {
    "802_15_4-data.pcap": "6LoWPAN is not read here",
    "LINKTYPE_USER2_PKTAP.pcap": "a private link type is not read here",
    "arcnet-rfc1051-arp-icmp-http.pcap": "ARCNET is not read here",
    "brcm-tag-prepend.pcap": "this tshark does not read tags of Broadcom's switches",
    "brcm-tag.pcap": "the same",
    "edsa-high-vid.pcap": "this tshark does not read tags of Marvell's switches",
    "edsa.pcap": "the same",
    "ipv6-srh-ext-header.pcap": "an extension header is cut: its protocol is not believed here",
    "ipv6_fragments.pcapng": "later fragments, which tshark does not name",
    **dict.fromkeys(
        (
            "LINKTYPE_IPV4_invalid.pcap", "LINKTYPE_IPV6_invalid.pcap", "frf16_magic_ie-oobr.pcap", "gre-heapoverflow-1.pcap",
            "heap-overflow-2.pcap", "hoobr_juniper3.pcap", "ipv4_invalid_hdr_length.pcap", "ipv6_invalid_length.pcap",
            "juniper_monitor_invalid_cookie_length.pcap", "kday1.pcap", "kday3.pcap", "vtp_asan-3.pcap",
        ),
        "a header that cannot be one: tshark shows as much of it as it can, here it is refused or not IP",
    ),
}  # fmt: skip


def protocols_by_tshark(name: str) -> Counter[int]:
    """Count packets by the protocol in their outermost IP packet; 0 is any other, -1 is no IP."""
    fields = ["-T", "fields", "-E", "occurrence=f", "-e", "frame.protocols", "-e", "ip.proto"]
    whole = ["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"]
    done = subprocess.run(["tshark", "-n", *whole, "-r", name, *fields], cwd=TRACES, capture_output=True, text=True, check=False)
    counts: Counter[int] = Counter()
    for line in done.stdout.splitlines():
        layers, number = line.split("\t")
        names = layers.split(":")
        version = next((layer for layer in names if layer in ("ip", "ipv6")), None)
        if version == "ip":
            counts[int(number or 0) if int(number or 0) in PROTOCOLS.values() else 0] += 1
        elif version == "ipv6":
            upper = next((layer for layer in names[names.index("ipv6") :] if layer in PROTOCOLS or layer == "ip"), "")
            counts[PROTOCOLS.get(upper, 0)] += 1
        else:
            counts[-1] += 1
    return counts


def protocols_by_floodmark(name: str) -> Counter[int]:
    """Return the same from the flow table, with tunnels left closed."""
    result = floodmark.classify(TRACES / name, floodmark.Settings(flow=FlowSettings(tunnels="outer")))
    counts: Counter[int] = Counter()
    for flow in result.flows.to_table().select(["protocol", "initiator_packets", "responder_packets"]).to_pylist():
        known = flow["protocol"] in PROTOCOLS.values()
        counts[flow["protocol"] if known else 0] += flow["initiator_packets"] + flow["responder_packets"]
    counts[-1] = result.totals.packets - result.totals.packets_in_flows
    return +counts


@WITH_TSHARK
def test_every_packet_has_the_protocol_that_tshark_gives_it() -> None:
    names = [row["file"] for row in manifest() if isinstance(answered(row["file"]), Seen)]
    sample = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:100]
    different = {name for name in sample if protocols_by_floodmark(name) != protocols_by_tshark(name)}
    assert {name for name in different if not name.endswith(tuple(DIFFERENT))} == set()


@WITH_EDITCAP
@pytest.mark.parametrize("form", ["pcap", "nsecpcap", "modpcap", "nokiapcap", "rh6_1pcap", "pcapng", "snoop"])
def test_a_real_capture_in_another_container_and_compressed_gives_the_same_answer(form: str, tmp_path: Path) -> None:
    written = 0
    for place, name in enumerate(name for name in ALIKE[3:10] if (TRACES / name).is_file()):
        plain = str(tmp_path / "plain.pcap")
        subprocess.run(["editcap", "-F", "pcap", TRACES / name, plain], check=True, capture_output=True)
        if subprocess.run(["editcap", "-F", form, plain, tmp_path / "other"], check=False, capture_output=True).returncode:
            continue  # its link type has no place in that container
        written += 1
        expected = floodmark.classify(plain)
        for pack in (bytes, *PACK.values()) if place == 0 else (bytes,):
            result = floodmark.classify(io.BytesIO(pack((tmp_path / "other").read_bytes())))
            assert (result.totals, result.verdicts, result.events) == (expected.totals, expected.verdicts, expected.events), name
            assert result.flows.to_table() == expected.flows.to_table(), name
    assert written


@pytest.mark.skipif(shutil.which("mergecap") is None, reason="mergecap is not installed")
def test_captures_merged_here_give_the_answer_of_those_merged_by_mergecap(tmp_path: Path) -> None:
    names = [TRACES / name for name in ALIKE if name.startswith("application-layer/") and (TRACES / name).is_file()][:4]
    starts = [min(one.first_seen_ns or 0 for one in floodmark.classify(name).captures) for name in names]
    moved = []
    for place, (name, start) in enumerate(zip(names, starts, strict=True)):
        moved.append(tmp_path / f"{place}.pcap")
        subprocess.run(["editcap", "-F", "pcap", "-t", f"{(starts[0] - start) / 1e9 + place / 7:.6f}", name, moved[-1]], check=True)
    subprocess.run(["mergecap", "-F", "pcap", "-w", tmp_path / "all.pcap", *moved], check=True)
    ours, theirs = floodmark.classify(moved), floodmark.classify(tmp_path / "all.pcap")
    assert any("overlap" in note for note in ours.notes)
    assert (ours.totals, ours.verdicts, ours.events) == (theirs.totals, theirs.verdicts, theirs.events)
    assert ours.flows.to_table() == theirs.flows.to_table()


def test_most_attacks_get_an_event_of_their_class_on_the_named_host() -> None:
    judged = {row["file"]: judge_real(row, result) for row, result in results(*ATTACKS)}  # type: ignore[arg-type] # it asks for events alone
    missed = {name: outcome for name, outcome in judged.items() if outcome not in ("right", "class")}
    assert len(judged) - len(missed) >= 0.8 * len(judged), missed


def test_every_attack_capture_is_read() -> None:
    assert [row["file"] for row in manifest() if row["class"] in ATTACKS and not isinstance(answered(row["file"]), Seen)] == []


def test_benign_captures_stay_without_an_event() -> None:
    alarms = {row["file"]: [event.vector for event in result.events] for row, result in results("benign") if result.events}
    assert len(alarms) <= 0.05 * len(results("benign")), alarms


def test_every_event_has_a_reason_a_victim_and_a_confidence_worth_reporting() -> None:
    wrong = []
    for row, result in results(*ATTACKS, "benign", "malformed"):
        wrong += [row["file"] for event in result.events if not (event.reasons and event.victims and 0.6 <= event.confidence <= 1)]
    assert wrong == []


def test_malformed_captures_are_answered_or_refused_with_path_and_offset() -> None:
    for row in manifest():
        result = answered(row["file"])
        if row["class"] == "malformed" and isinstance(result, floodmark.FloodmarkError):
            assert isinstance(result, floodmark.CaptureError)
            assert result.path == str(TRACES / row["file"])


@pytest.mark.parametrize("kind", ["volumetric", "application-layer", "malformed"])
def test_documents_and_flow_tables_keep_their_rules(kind: str) -> None:
    for row, _ in results(kind):
        result = floodmark.classify(TRACES / row["file"])
        VALIDATOR.validate(json.loads(result.to_json()))
        result.flows.to_table().validate(full=True)


@pytest.mark.slow
def test_the_number_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(name: str, threads: int) -> object:
        try:
            return floodmark.classify(TRACES / name, options=floodmark.Options(threads=threads)).to_dict()
        except floodmark.FloodmarkError as error:
            return str(error)

    names = [row["file"] for row in manifest()]
    alone = {name: told(name, 1) for name in names}
    monkeypatch.setattr("floodmark.result.pipeline._LARGE_BYTES", 0)
    monkeypatch.setattr("floodmark.base.workers._FEWEST_ROWS", 50)
    for threads in (2, 3):
        assert [name for name in names if told(name, threads) != alone[name]] == []
