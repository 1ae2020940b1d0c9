"""Captures that can be shared: what must be gone is gone, what is kept keeps its relations, and verdicts stay."""

import io
import os
import random
import tempfile
from collections import Counter
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scenarios
import wire
from cases import CASES
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scapy.all import DNS, DNSQR, GRE, IP, SNMP, TCP, UDP, VXLAN, Dot1Q, Ether, IPv6, Raw, rdpcap, wrpcap
from scenarios import SCENES

import floodmark
from builders import metered
from floodmark.anonymising.anonymise import anonymise, load_key
from floodmark.anonymising.anonymiser import Anonymiser
from floodmark.anonymising.crypto_pan import CryptoPan
from floodmark.cli import main
from floodmark.errors import FloodmarkError, SettingsError
from floodmark.evidence import layout
from floodmark.evidence.making import Recipe, make
from floodmark.evidence.sharing import Sharing
from floodmark.evidence.verifying import verify
from floodmark.result.pipeline import Options
from floodmark.settings import Settings
from floodmark_core.flows import payload
from property.strategies import PROFILE

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "traces" / "demo.pcap"
DEV = Path(os.environ.get("FLOODMARK_TRACES") or ROOT.parent / "shared" / "traces" / "dev")
PARTS = 8  # of the real captures, for as many tests
KEY = bytes(range(32))
SEED = 3


def replaced(pan: CryptoPan, *addresses: str) -> list[str]:
    octets = np.array([list(ip_address(address).packed) for address in addresses], np.uint8)
    made = pan.addresses4(octets) if octets.shape[1] == 4 else pan.addresses6(octets)
    return [str(ip_address(row.tobytes())) for row in made]


def test_addresses_are_those_of_crypto_pan_itself() -> None:
    """The sample of the construction's authors: key and trace of the Crypto-PAn 1.0 distribution."""
    key = bytes([21, 34, 23, 141, 51, 164, 207, 128, 19, 10, 91, 22, 73, 144, 125, 16,
                 216, 152, 143, 131, 121, 121, 101, 39, 98, 87, 76, 45, 42, 132, 34, 2])  # fmt: skip
    pan = CryptoPan(key, keep_meaning=False)
    made = replaced(pan, "128.11.68.132", "129.118.74.4", "130.132.252.244", "141.223.7.43")
    assert made == ["135.242.180.132", "134.136.186.123", "133.68.164.234", "141.167.8.160"]


def shared_bits(one: str, other: str) -> int:
    first, second = ip_address(one), ip_address(other)
    return first.max_prefixlen - (int(first) ^ int(second)).bit_length()


ADDRESSES = st.one_of(
    st.lists(st.ip_addresses(v=4).map(str), min_size=2, max_size=8), st.lists(st.ip_addresses(v=6).map(str), min_size=2, max_size=8)
)


@PROFILE
@given(ADDRESSES, st.binary(min_size=32, max_size=32), st.booleans())
def test_addresses_share_the_prefixes_that_they_shared(addresses: list[str], key: bytes, keep_meaning: bool) -> None:
    made = replaced(CryptoPan(key, keep_meaning=keep_meaning), *addresses)
    for before, after in zip(pairwise(addresses), pairwise(made), strict=True):
        assert shared_bits(*before) == shared_bits(*after)


def test_addresses_that_name_no_host_stay() -> None:
    pan = CryptoPan(KEY)
    four = (str(ip_address(0)), "224.0.0.251", "239.1.2.3", "255.255.255.255")
    assert replaced(pan, *four) == list(four)
    six = ("::", "ff02::1", "ff05::2")
    assert replaced(pan, *six) == list(six)
    [asked] = replaced(pan, "ff02::1:ff12:3456")
    assert asked.startswith("ff02::1:ff")
    assert asked != "ff02::1:ff12:3456"
    [of_a_network] = replaced(pan, "ff3e:30:2001:db8:1:2:0:9")
    assert of_a_network.startswith("ff3e:30:")
    assert "2001:db8:1:2" not in of_a_network
    assert replaced(pan, "192.168.7.255")[0].endswith(".255")
    assert ip_address(replaced(pan, "fe80::1")[0]).is_link_local
    assert not set(replaced(pan, "203.0.113.10", "10.1.2.3")) & {"203.0.113.10", "10.1.2.3"}


def events_of(result: floodmark.Result) -> Counter[tuple[str, str, int, int, int, float]]:
    return Counter((str(e.verdict), e.vector, e.packets, e.flows, e.victim_count, round(e.confidence, 1)) for e in result.events)


def same_answer(path: Path, copy: Path) -> bool:
    """Anonymise a capture and tell whether the answer stays: events, classes, kinds of ordinary flows."""
    before = floodmark.classify(str(path))
    anonymise(str(path), str(copy), Anonymiser(KEY))
    after = floodmark.classify(str(copy))
    counts = [
        (result.totals.packets, result.totals.flows, {name: count.flows for name, count in (result.verdicts | result.benign).items()})
        for result in (before, after)
    ]
    return events_of(before) == events_of(after) and counts[0] == counts[1]


@pytest.mark.parametrize("name", [*CASES, *SCENES])
def test_the_answer_to_generated_traffic_stays(name: str, tmp_path: Path) -> None:
    scenario = scenarios.make(name, SEED)
    form = scenario.form
    (tmp_path / "before").write_bytes((wire.pcapng_bytes if form.pcapng else wire.pcap_bytes)(scenario.packets, form))
    assert same_answer(tmp_path / "before", tmp_path / "after")


@pytest.mark.slow
@pytest.mark.skipif(not DEV.is_dir(), reason="the real captures are not here")
@pytest.mark.parametrize("part", range(PARTS))
def test_the_answer_to_real_captures_stays(part: int, tmp_path: Path) -> None:
    captures = sorted(path for path in DEV.rglob("*") if path.is_file() and path.suffix != ".tsv")[part::PARTS]
    changed = []
    for capture in captures:
        try:
            floodmark.classify(str(capture))
        except FloodmarkError:
            continue
        if not same_answer(capture, tmp_path / "after"):
            changed.append(capture.name)
    assert captures
    assert not changed


SECRETS = (b"parliament", b"hunter2", b"topsecret", b"Bearer", b"voter=", b"/ballots", b"mailbox", b"\x0a\x14\x1e\x28", b"\xfc\x00\x00\x99",
           b"\x00\x11\x22\x33\x44\x55")  # fmt: skip


def telling() -> list[Ether]:
    """Build packets that tell of people in every place that a packet has."""
    link = Ether(src="00:11:22:33:44:55", dst="00:11:22:33:44:56")
    ends = IP(src="10.20.30.40", dst="203.0.113.9")
    request = b"GET /ballots/17?voter=jane HTTP/1.1\r\nHost: parliament.example\r\nAuthorization: Bearer topsecret\r\n\r\n"
    hello = (
        b"\x16\x03\x01\x00\x80\x01\x00\x00\x7c\x03\x03" + bytes(32) + b"\x00\x00\x02\x13\x01\x01\x00" + b"parliament.example" + bytes(40)
    )
    question = DNS(rd=1, qd=DNSQR(qname="mailbox.parliament.example"))
    packets = [
        link / ends / TCP(sport=40_000, dport=80, flags="PA", options=[("Timestamp", (7, 9)), ("MSS", 1460)]) / request,
        link / ends / TCP(sport=40_001, dport=443, flags="PA") / hello,
        link / ends / TCP(sport=40_002, dport=21, flags="PA") / b"PASS hunter2 topsecret\r\n",
        link / Dot1Q(vlan=7) / ends / UDP(sport=40_003, dport=53) / question,
        link / ends / UDP(sport=40_004, dport=161) / SNMP(community="topsecret"),
        link / ends / UDP(sport=40_005, dport=9999) / b"hunter2 parliament topsecret",
        link / ends / UDP(sport=40_006, dport=4789) / VXLAN(vni=5) / link / ends / TCP(dport=80, flags="PA") / request,
        link / ends / GRE() / ends / UDP(sport=40_007, dport=9999) / b"mailbox topsecret",
        link / IPv6(src="fc00:99::1", dst="2001:db8::9") / UDP(sport=40_008, dport=9999) / b"parliament",
        Ether(src="00:11:22:33:44:55", dst="ff:ff:ff:ff:ff:ff", type=0x88CC) / Raw(b"parliament switch 4"),
        Ether(src="00:11:22:33:44:55", dst="ff:ff:ff:ff:ff:ff", type=0x0806) / Raw(bytes(8) + b"\x00\x11\x22\x33\x44\x55\x0a\x14\x1e\x28"),
    ]  # fmt: skip
    mpls = b"\x00\x01\x01\xff" + bytes(link / ends / UDP(dport=9999) / b"parliament")
    packets += [
        link / ends / GRE(proto=0x8847) / Raw(mpls),
        link / ends / TCP(sport=110, dport=40_009, flags="PA") / b"+OK mailbox of parliament\r\n",
        link / ends / TCP(sport=40_010, dport=23, flags="PA") / b"hunter2",
        link / ends / TCP(sport=40_011, dport=5432, flags="PA") / b"\x00\x00\x00\x07mailbox",
        link / ends / UDP(sport=19, dport=40_012) / b"voter= mailbox topsecret parliament",
        link / ends / UDP(sport=40_013, dport=69) / b"\x00\x05\x00\x01/ballots/mailbox not found\x00",
        link / ends / UDP(sport=138, dport=138) / (b"\x11\x02\x12\x34\x0a\x14\x1e\x28\x00\x8a" + b"parliament"),
        link / ends / UDP(sport=40_014, dport=2152) / (bytes.fromhex("34ff003000000001000000c0") + b"\x02topsec\x00" + bytes(ends / UDP())),
    ]
    return [Ether(bytes(packet)) for packet in packets]


@pytest.mark.parametrize("payload", [True, False])
def test_nothing_tells_of_anybody(payload: bool, tmp_path: Path) -> None:
    wrpcap(str(tmp_path / "before.pcap"), telling())
    octets = (tmp_path / "before.pcap").read_bytes()
    assert all(secret in octets for secret in SECRETS)
    anonymise(str(tmp_path / "before.pcap"), str(tmp_path / "after.pcapng"), Anonymiser(KEY), payload=payload)
    after = (tmp_path / "after.pcapng").read_bytes()
    assert not [secret for secret in SECRETS if secret.lower() in after.lower()]


def test_what_is_kept_is_what_verdicts_rest_on(tmp_path: Path) -> None:
    wrpcap(str(tmp_path / "before.pcap"), telling())
    anonymise(str(tmp_path / "before.pcap"), str(tmp_path / "after.pcapng"), Anonymiser(KEY))
    before, after = telling(), rdpcap(str(tmp_path / "after.pcapng"))
    assert [len(packet) for packet in before] == [len(packet) for packet in after]
    assert [packet.time for packet in rdpcap(str(tmp_path / "before.pcap"))] == [packet.time for packet in after]
    web = bytes(after[0][TCP].payload)
    assert (web[:5], web.count(b"?"), web[-4:]) == (b"GET /", 1, b"\r\n\r\n")
    assert b" HTTP/1.1\r\nHost: " in web
    assert (after[0][TCP].options[1], after[3][Dot1Q].vlan, after[6][VXLAN].vni) == (("MSS", 1460), 7, 5)
    asked, was = (packets[3][DNS].qd[0].qname.rstrip(b".").split(b".") for packets in (after, before))
    assert [len(label) for label in asked] == [len(label) for label in was]
    assert web[web.index(b"Host: ") + 6 :].split(b"\r")[0].split(b".") == asked[1:]  # a name is the same wherever it stands
    assert after[0][IP].src == after[7][GRE][IP].src == after[1][IP].src != before[0][IP].src


def test_names_and_targets_of_any_length_are_replaced(tmp_path: Path) -> None:
    for text in (b"GET / HTTP/1.1\r\nHost: " + b"a" * 300 + b":4917112345678\r\n\r\n", b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n"):
        wrpcap(str(tmp_path / "before.pcap"), [Ether() / IP(src="10.20.30.40", dst="203.0.113.9") / TCP(dport=80, flags="PA") / text])
        assert anonymise(str(tmp_path / "before.pcap"), str(tmp_path / "after.pcapng"), Anonymiser(KEY)).packets == 1
        after = (tmp_path / "after.pcapng").read_bytes()
        assert b"aaaa" not in after
        assert b"4917112345678" not in after


def test_identifiers_among_the_bytes_that_identify_a_protocol_do_not_stay(tmp_path: Path) -> None:
    ends, before, after = Ether() / IP(src="10.20.30.40", dst="203.0.113.9"), tmp_path / "before.pcap", tmp_path / "after.pcapng"
    packets = [
        ends / UDP(sport=500, dport=500) / (b"initspi1respspi2" + bytes.fromhex("2e202320000000010000001c")),
        ends / TCP(sport=40_000, dport=20_000, flags="PA") / (bytes.fromhex("056405c4") + b"DsSr" + bytes(8)),
        ends / UDP(sport=4_000, dport=53) / DNS(qd=DNSQR(qname="secretmark.arpa")),
        ends / UDP(sport=4_001, dport=53) / DNS(qd=DNSQR(qname="1.2.0.192.in-addr.arpa")),
    ]
    wrpcap(str(before), packets)
    anonymise(str(before), str(after), Anonymiser(KEY))
    for told in (b"respspi2", b"espspi", b"DsSr", b"secretmark"):
        assert told not in after.read_bytes()
    assert b"in-addr" in after.read_bytes()
    flows = [metered(path.read_bytes())[0] for path in (before, after)]
    kinds = [each.column("initiator_payload_kind", np.arange(len(packets))).tolist() for each in flows]
    assert kinds[0] == kinds[1]
    assert [kind // 2 for kind in kinds[0][:2]] == [payload.IKE, payload.DNP3]


def test_no_first_bytes_of_unknown_payloads_stay(tmp_path: Path) -> None:
    """One in eight replacements looks like RTP or something else: others are put in their place until one does not."""
    ends = Ether() / IP(src="10.20.30.40", dst="203.0.113.9")
    packets = [
        ends / UDP(sport=40_000, dport=port) / f"user{number:04d} and more".encode() for port in (514, 53, 1194) for number in range(300)
    ]
    wrpcap(str(tmp_path / "before.pcap"), packets)
    assert anonymise(str(tmp_path / "before.pcap"), str(tmp_path / "after.pcapng"), Anonymiser(KEY)).put_back == 0
    assert b"user" not in (tmp_path / "after.pcapng").read_bytes()


def test_checksums_are_right_again(tmp_path: Path) -> None:
    wrpcap(str(tmp_path / "before.pcap"), telling())
    anonymise(str(tmp_path / "before.pcap"), str(tmp_path / "after.pcapng"), Anonymiser(KEY))
    for packet in rdpcap(str(tmp_path / "after.pcapng")):
        again = packet.copy()
        for layer in (IP, TCP, UDP):
            found = again.getlayer(layer)
            while found is not None:
                del found.chksum
                found = found.payload.getlayer(layer)
        if IP in packet or IPv6 in packet:
            assert bytes(Ether(bytes(again))) == bytes(packet)


@PROFILE
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_any_bytes_can_be_anonymised(seed: int, changes: int) -> None:
    """Captures changed at random are read to the same packet as without."""
    rng = random.Random(seed)
    source = rng.choice(sorted((ROOT / "tests" / "corpus").iterdir()))
    octets = bytearray(source.read_bytes())
    for _ in range(changes):
        octets[rng.randrange(min(24, len(octets) - 1), len(octets))] = rng.randrange(256)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "before"
        path.write_bytes(octets)
        try:
            packets = floodmark.classify(io.BytesIO(octets)).totals.packets
        except FloodmarkError:
            return
        payload = rng.random() < 0.8
        assert anonymise(str(path), str(Path(folder) / "after"), Anonymiser(KEY), payload=payload).packets == packets
        assert floodmark.classify(str(Path(folder) / "after")).totals.packets == packets


def test_a_key_gives_the_same_bytes_and_another_key_others(tmp_path: Path) -> None:
    written = []
    for name, key in (("a", KEY), ("b", KEY), ("c", KEY[::-1])):
        anonymise(str(DEMO), str(tmp_path / name), Anonymiser(key))
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1] != written[2]
    (tmp_path / "short").write_bytes(KEY[:31])
    with pytest.raises(SettingsError, match="at least 32"):
        load_key(str(tmp_path / "short"))


def test_without_payloads_what_rests_on_them_is_said_to_be_lost(tmp_path: Path) -> None:
    """The slow dialogue and the requests of the demonstration show in payloads alone."""
    make([str(DEMO)], str(tmp_path / "bundle"), Recipe(Settings(), Options()), sharing=Sharing(Anonymiser(KEY), payload=False))
    remarks = verify(str(tmp_path / "bundle")).remarks
    assert any("not found without the payloads: http-get-flood, 2,177 packets" in remark for remark in remarks)


def test_a_bundle_of_copies_holds_nothing_of_the_captures_and_can_be_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    make([str(DEMO)], str(folder), Recipe(Settings(), Options()), sharing=Sharing(Anonymiser(KEY)))
    assert verify(str(folder), originals=[str(DEMO)], anonymiser=Anonymiser(KEY)).is_whole
    assert not verify(str(folder), originals=[str(DEMO)], anonymiser=Anonymiser(KEY[::-1])).is_whole
    victims = {victim for event in floodmark.classify(str(DEMO)).events for victim in event.victims}
    whole = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert not [victim for victim in victims if victim.encode() in whole or ip_address(victim).packed in whole]
    assert KEY not in whole
    assert KEY.hex().encode() not in whole
    assert b"demo.pcap" not in whole
    assert (folder / layout.MANIFEST).exists()


def test_the_command_writes_one_file_or_a_folder(tmp_path: Path) -> None:
    runner, key = CliRunner(), tmp_path / "key"
    key.write_bytes(KEY)
    one = runner.invoke(main, ["anonymise", str(DEMO), "-o", str(tmp_path / "one.pcapng"), "--key", str(key)])
    assert (one.exit_code, one.stdout) == (0, f"{tmp_path / 'one.pcapng'}: 10,241 packets\n")
    two = runner.invoke(main, ["anonymise", str(DEMO), str(DEMO), "-o", str(tmp_path / "two"), "--payload", "remove"])
    assert (two.exit_code, sorted(path.name for path in (tmp_path / "two").iterdir())) == (
        0,
        ["capture-0001.pcapng", "capture-0002.pcapng"],
    )
    assert runner.invoke(main, ["evidence", str(DEMO), "-o", str(tmp_path / "x"), "--anonymise-key", str(key)]).exit_code == 2
