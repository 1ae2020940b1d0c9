"""Named groups: which flows belong to which, the most specific first; names learned from DNS, TLS and HTTP."""

import json
import re
import struct
from collections import Counter
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from messages import client_hello

import floodmark
from builders import ACK, CLIENT, MILLISECOND, PSH, SECOND, SERVER, connection, pcap, syn_flood, tcp, udp
from floodmark.claims.assets import Asset, load_assets, summarise, with_learned_addresses
from floodmark.claims.names import addresses_of, dns_addresses, requested_host, server_name
from floodmark.cli import main
from floodmark.errors import SettingsError
from property.strategies import PROFILE

DEMO = Path(__file__).parents[2] / "traces" / "demo.pcap"
WHOLE = """
[site]
title = "The whole site"
addresses = ["203.0.113.0/24"]
[votes]
title = "Electoral system"
addresses = ["203.0.113.10", "203.0.113.30/31"]
[shop]
addresses = ["203.0.113.20"]
ports = [80]
"""


def assets(folder: Path, text: str) -> tuple[Asset, ...]:
    (folder / "assets.toml").write_text(text, encoding="utf-8")
    return load_assets(str(folder / "assets.toml"))


def test_each_flow_belongs_to_the_most_specific_asset(tmp_path: Path) -> None:
    result = floodmark.classify(DEMO)
    site, votes, shop, rest = summarise(result, assets(tmp_path, WHOLE))
    assert (site.title, votes.title, shop.title, rest.name) == ("The whole site", "Electoral system", "shop", "unmatched")
    assert {asset.name: asset.events for asset in (site, votes, shop, rest)} == {
        "site": (3,),
        "votes": (1, 2),
        "shop": (4,),
        "unmatched": (),
    }
    for verdict, count in result.verdicts.items():
        assert sum(each.verdicts[verdict].packets for each in (site, votes, shop, rest)) == count.packets
        assert sum(each.verdicts[verdict].flows for each in (site, votes, shop, rest)) == count.flows
    assert (votes.first_attack_ns, rest.first_attack_ns) == (result.events[0].start_ns, None)
    assert votes.peak_pps > 600
    assert votes.services["DNS"] == 87


def test_ports_and_vlans_narrow_an_asset(tmp_path: Path) -> None:
    (tmp_path / "in.pcap").write_bytes(pcap([packet for n in range(5) for packet in connection(n * SECOND, 40_000 + n)]))
    result = floodmark.classify(tmp_path / "in.pcap")
    both = assets(tmp_path, '[web]\nports = [80]\n[other]\naddresses = ["203.0.113.10"]\nvlans = [7]\n')
    web, other, rest = summarise(result, both)
    assert (web.verdicts["benign"].flows, other.verdicts["benign"].flows, rest.verdicts["benign"].flows) == (5, 0, 0)


def test_the_end_that_is_attacked_decides(tmp_path: Path) -> None:
    """In a reflection the servers answer: their asset is not the one that is hit."""
    dns = b"\x12\x34\x81\x80\0\x01\0\x05\0\0\0\0\x04demo\0\0\xff\0\x01" + bytes(range(256)) * 4
    flood = [udp(n * MILLISECOND, 0x0B000000 + n % 80 * 7919, ports=(53, 4000), payload=dns) for n in range(900)]
    (tmp_path / "in.pcap").write_bytes(pcap(flood))
    result = floodmark.classify(tmp_path / "in.pcap")
    hit, servers, _ = summarise(result, assets(tmp_path, '[hit]\naddresses = ["203.0.113.10"]\n[servers]\naddresses = ["11.0.0.0/8"]\n'))
    assert (hit.events, servers.events) == ((1,), ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "defines no asset"), ("[a]", "a is empty"), ("a = 1", "a: expected a table, got a whole number"),
        ("[a]\nadresses = []", "unknown key a.adresses; known keys are title, addresses, ports, vlans, host_names"),
        ('[a]\naddresses = ["1.2.3.4.5"]', "a.addresses: '1.2.3.4.5' does not"),
        ("[a]\naddresses = [5]", "a.addresses[0]: expected a string, got a whole number"),
        ("[a]\nports = [1, 70000]", "a.ports[1]: expected a whole number <= 65535"),
        ("[a]\nports = [-1]", "a.ports[0]: expected a whole number >= 0"),
        ("[a]\nports = [true]", "a.ports[0]: expected a whole number, got true or false"),
        ("[a]\nports = [80.0]", "a.ports[0]: expected a whole number, got a number"),
        ('[a]\nports = "80"', "a.ports: expected a list, got a string"),
        ("[a]\nvlans = [4096]", "a.vlans[0]: expected a whole number <= 4095"),
        ("[a]\nhost_names = [5]", "a.host_names[0]: expected a string, got a whole number"),
        ("[a]\ntitle = 5", "a.title: expected a string or nothing, got a whole number"),
        ("[a]\nports = [0x" + "f" * 5000 + "]", "a.ports[0]: expected a whole number <= 65535"),
        ("[a]\nports." + "a." * 3000 + "a = 1", "a.ports: expected a list, got a table"),
        ("[unmatched]\nports = [1]", "unmatched is reserved"), ('["a\\u001b"]\nports = [1]', "is not a valid asset name"),
        ('["=cmd"]\nports = [1]', "begin with none of =+-@"),
        ("[a", "not valid TOML"), ("a = " + "[" * 3000, "not valid TOML: it is nested too deeply"), ("a = " + "9" * 5000, "not valid TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)) as caught:
        assets(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'assets.toml'}: ")


def test_more_assets_than_can_be_numbered_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="defines 40,000 assets; at most 32,000"):
        assets(tmp_path, "\n".join(f"a{number}.ports = [1]" for number in range(40_000)))


def answer_for(name: str, address: int) -> bytes:
    asked = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    return (
        struct.pack(">HHHHHH", 7, 0x8180, 1, 1, 0, 0) + asked + struct.pack(">HH", 1, 1)
        + struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + address.to_bytes(4, "big")
    )  # fmt: skip


def test_names_are_learned_from_dns_tls_and_http(tmp_path: Path) -> None:
    import random  # noqa: PLC0415 - the generator of hellos wants one

    hello = client_hello(random.Random(1), "shop.example")
    packets = [
        udp(0, 0x08080808, CLIENT, (53, 5000), answer_for("vote.example", SERVER)),
        *connection(SECOND, 40_000, b"GET / HTTP/1.1\r\nUser-Agent: x\r\nHost: Portal.Example:80\r\n\r\n"),
        *connection(2 * SECOND, 40_001)[:3],
        tcp(2 * SECOND + 50 * MILLISECOND, CLIENT, SERVER + 1, (40_002, 443), PSH | ACK, (1, 1), hello),
    ]
    (tmp_path / "in.pcap").write_bytes(pcap(packets))
    result = floodmark.classify(tmp_path / "in.pcap")
    wanted = ("vote.example", "portal.example", "shop.example", "other.example")
    found = addresses_of(wanted, tmp_path / "in.pcap", result.settings.flow)
    assert {name: sorted(map(str, addresses)) for name, addresses in found.items()} == {
        "vote.example": ["203.0.113.10"], "portal.example": ["203.0.113.10"], "shop.example": ["203.0.113.11"], "other.example": [],
    }  # fmt: skip
    named = assets(tmp_path, '[votes]\nhost_names = ["Vote.Example."]\n[other]\nhost_names = ["other.example"]\n')
    votes, other, _ = summarise(result, with_learned_addresses(named, tmp_path / "in.pcap", result.settings.flow))
    assert votes.verdicts["benign"].flows == 2
    assert other.verdicts["benign"].flows == 0


@pytest.mark.parametrize("cut", range(len(answer_for("a.example", 5))))
def test_a_truncated_response_gives_no_address(cut: int) -> None:
    assert list(dns_addresses(answer_for("a.example", 5)[:cut])) == []


def test_addresses_before_the_damage_of_a_response_are_found() -> None:
    answer, record = answer_for("A.Example", 5), struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + bytes(3)
    assert list(dns_addresses(answer[:7] + b"\x02" + answer[8:] + record)) == [("a.example", IPv4Address(5))]
    assert list(dns_addresses(answer[:-16] + struct.pack(">H", 0xC0FF) + answer[-14:])) == []


@PROFILE
@given(data=st.binary(max_size=200))
def test_no_bytes_make_the_readers_of_names_fail(data: bytes) -> None:
    list(dns_addresses(data))
    server_name(data)
    requested_host(np.frombuffer(data, np.uint8))
    list(dns_addresses(answer_for("a.example", 5)[:12] + data))
    server_name(b"\x16\x03\x01\0\xc8\x01\0\0\xc4\x03\x03" + data)


def test_the_command_line_shows_assets_as_text_json_and_page(tmp_path: Path) -> None:
    (tmp_path / "assets.toml").write_text(WHOLE, encoding="utf-8")
    options: list[Any] = [str(DEMO), "--assets", str(tmp_path / "assets.toml")]
    text = CliRunner().invoke(main, ["classify", *options]).output
    assert "Electoral system" in text
    assert "Everything else" in text
    document = json.loads(CliRunner().invoke(main, ["classify", *options, "--format", "json"]).output)
    assert [asset["events"] for asset in document["assets"]] == [[3], [1, 2], [4], []]
    assert CliRunner().invoke(main, ["report", *options, "-o", str(tmp_path / "a.html")]).exit_code == 0
    assert "Electoral system" in (tmp_path / "a.html").read_text(encoding="utf-8")
    assert CliRunner().invoke(main, ["classify", str(DEMO), "--assets", str(tmp_path / "none.toml")]).exit_code == 2


def test_floods_of_one_asset_do_not_touch_another(tmp_path: Path) -> None:
    packets = sorted((*syn_flood(1500), *syn_flood(900, SECOND, dst=SERVER + 5)), key=lambda packet: packet.time_ns)
    (tmp_path / "in.pcap").write_bytes(pcap(packets))
    result = floodmark.classify(tmp_path / "in.pcap")
    one, other, _ = summarise(result, assets(tmp_path, '[one]\naddresses = ["203.0.113.10"]\n[other]\naddresses = ["203.0.113.15"]\n'))
    assert (one.verdicts["volumetric"].packets, other.verdicts["volumetric"].packets) == (1500, 900)
    assert set(one.events) & set(other.events) == set()


@pytest.mark.parametrize("form", ["parquet", "arrow", "csv", "ndjson", "json", "stix", "ddosdb", "ecs", "zeek"])
def test_every_export_tells_of_assets(form: str, tmp_path: Path) -> None:
    root = Path(__file__).parents[2] / "traces"
    out = str(tmp_path / "out")
    command = ["export", str(root / "incident.pcap"), "--as", form, "--assets", str(root / "incident.assets.toml"), "-o", out]
    assert CliRunner().invoke(main, command).exit_code == 0
    wanted = {"electoral": 4452, "portals": 4332, "electricity": 4341, "oil-gas": 4221}
    if form in ("parquet", "arrow"):
        table = pq.read_table(out) if form == "parquet" else pa.ipc.open_file(out).read_all()
        found = Counter(table.column("asset").to_pylist())
    elif form in ("csv", "zeek", "ndjson"):
        lines = Path(out).read_text(encoding="utf-8").splitlines()
        last = re.compile(r"[\t,:]\"?([a-z-]*)\"?}?$")
        found = Counter(match[1] for line in lines if (match := last.search(line)))
    elif form == "ecs":
        found = Counter(json.loads(line)["floodmark"].get("asset") for line in Path(out).read_text(encoding="utf-8").splitlines())
    else:
        text = Path(out).read_text(encoding="utf-8")
        assert all(f'"{name}"' in text or f'"asset:{name}"' in text for name in wanted)
        return
    assert {name: found[name] for name in wanted} == wanted
