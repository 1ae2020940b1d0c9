"""Answers in other programs' forms: read back by those programs where they can be had here."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import zat.zeek_log_reader
from click.testing import CliRunner
from stix2validator import ValidationOptions, validate_instance

import floodmark
from builders import MILLISECOND, SECOND, connection, icmp, pcap, syn_flood, udp
from floodmark.cli import main
from floodmark.cli.commands.export import FORMS
from floodmark.report.export.ddosdb import fingerprints
from floodmark.report.export.stix import bundle_of, text_of
from floodmark.vocabulary.vectors import RECORDS, VECTORS

DEMO = Path(__file__).parents[2] / "traces" / "demo.pcap"


@pytest.fixture(scope="module")
def result() -> floodmark.Result:
    return floodmark.classify(DEMO)


@pytest.fixture(scope="module")
def table(result: floodmark.Result) -> pa.Table:
    return result.flows.to_table()


def exported(folder: Path, form: str, *options: str, capture: Path = DEMO, name: str = "out") -> Path:
    done = CliRunner().invoke(main, ["export", str(capture), "--as", form, "-o", str(folder / name), *options])
    assert (done.exit_code, done.output) == (0, "")
    return folder / name


def test_any_tool_that_knows_arrow_takes_the_flows(result: floodmark.Result) -> None:
    wanted = {"ordinary": 49, "measurement": 43, "tcp-syn-flood": 2792}
    flows = result.flows
    counted = dict(duckdb.sql("select vector, count(*) from flows group by vector").fetchall())
    assert {vector: counted[vector] for vector in wanted} == wanted
    frame = pl.DataFrame(flows)
    assert frame.height == len(flows)
    assert frame.filter(pl.col("vector") == "tcp-syn-flood").height == 2792
    assert Counter(pa.table(flows).to_pandas()["vector"])["measurement"] == 43  # type: ignore[arg-type] # anything with a stream


@pytest.mark.parametrize("name", ["out", "out.csv.zst", "out.csv.gz"])
def test_csv_holds_every_flow_and_column(table: pa.Table, tmp_path: Path, name: str) -> None:
    path = exported(tmp_path, "csv", name=name)
    with pa.input_stream(str(path)) as stream:
        read = pa_csv.read_csv(stream)
    assert (read.num_rows, read.column_names) == (table.num_rows, table.column_names)
    assert read["first_seen_ns"].to_pylist() == table["first_seen_ns"].to_pylist()
    assert Counter(read["vector"].to_pylist()) == Counter(table["vector"].to_pylist())


def test_ndjson_holds_the_same_values_as_the_table(table: pa.Table, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in exported(tmp_path, "ndjson").read_text().splitlines()]
    wanted = table.to_pylist()
    for row, other in zip(rows, wanted, strict=True):
        assert row.keys() == other.keys()
        confidence = other.pop("confidence")
        assert row.pop("confidence") == (None if confidence is None else pytest.approx(confidence, abs=1e-6))
        assert row == other


def test_arrow_and_parquet_hold_the_table(table: pa.Table, tmp_path: Path) -> None:
    with pa.memory_map(str(exported(tmp_path, "arrow"))) as file:
        assert pa.ipc.open_file(file).read_all() == table
    assert pq.read_table(exported(tmp_path, "parquet")).cast(table.schema) == table


def test_json_is_the_answer(result: floodmark.Result, tmp_path: Path) -> None:
    document = json.loads(exported(tmp_path, "json").read_text())
    assert [event["vector"] for event in document["events"]] == [event.vector for event in result.events]


def test_zeeks_reader_takes_the_connection_log(table: pa.Table, tmp_path: Path) -> None:
    rows = list(zat.zeek_log_reader.ZeekLogReader(str(exported(tmp_path, "zeek", name="conn.log"))).readrows())
    assert len(rows) == table.num_rows
    assert Counter(row["vector"] for row in rows) == Counter(table["vector"].to_pylist())
    assert len({row["uid"] for row in rows}) == len(rows)
    assert all(re.fullmatch("C[0-9A-Za-z]{1,17}", row["uid"]) for row in rows)
    assert sum(row["orig_pkts"] for row in rows) == sum(table["initiator_packets"].to_pylist())


def test_states_of_connections_are_those_of_zeek(tmp_path: Path) -> None:
    packets = [
        *connection(0, 40_000), *syn_flood(1, SECOND), udp(2 * SECOND, ports=(5000, 53)), icmp(3 * SECOND),
        *connection(4 * SECOND, 40_001)[:6],
    ]  # fmt: skip
    (tmp_path / "in.pcap").write_bytes(pcap(packets))
    text = exported(tmp_path, "zeek", capture=tmp_path / "in.pcap").read_text()
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    fields = next(line for line in text.splitlines() if line.startswith("#fields")).split("\t")[1:]
    states = [(row[fields.index("conn_state")], row[fields.index("history")], row[fields.index("service")]) for row in rows]
    assert states == [("SF", "ShADadFf", "http"), ("S0", "S", "-"), ("S0", "D", "-"), ("OTH", "-", "-"), ("S1", "ShADad", "http")]
    assert [row[fields.index("duration")] for row in rows][1:4] == ["-"] * 3


def test_alerts_and_connections_have_the_fields_of_the_common_schema(result: floodmark.Result, tmp_path: Path) -> None:
    documents = [json.loads(line) for line in exported(tmp_path, "ecs").read_text().splitlines()]
    alerts, flows = documents[: len(result.events)], documents[len(result.events) :]
    assert len(flows) == result.totals.flows
    for document in documents:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", document["@timestamp"])
        assert document["ecs"]["version"] == "8.17.0"
        assert set(document["event"]["category"]) <= {"intrusion_detection", "network"}
        assert set(document["event"]["type"]) <= {"info", "connection", "end"}
    assert [alert["event"]["kind"] for alert in alerts] == ["alert"] * 4
    assert {flow["event"]["kind"] for flow in flows} == {"event"}
    assert sum(flow["network"]["packets"] for flow in flows) == result.totals.packets_in_flows
    assert alerts[1]["threat"]["technique"]["subtechnique"]["id"] == ["T1498.002"]


def test_the_bundle_of_threat_intelligence_is_valid(result: floodmark.Result, tmp_path: Path) -> None:
    for options in ([], ["--show-victims"]):
        document = json.loads(exported(tmp_path, "stix", *options).read_text())
        found = validate_instance(document, ValidationOptions(version="2.1", strict=True, disabled="301,302"))
        assert found.is_valid, found.errors
        named = json.dumps(document)
        assert all((event.victims[0] in named) == bool(options) for event in result.events)
    assert sum(each["type"] == "report" for each in document["objects"]) == len(result.events)
    assert bundle_of(result).serialize() == bundle_of(result).serialize()
    assert text_of(bundle_of(result)) == bundle_of(result).serialize(pretty=True)


KEYS = {
    "attack_vectors": list, "target": str, "tags": list, "key": str, "time_start": str, "time_end": str, "duration_seconds": int,
    "total_megabytes": int, "total_packets": int, "total_ips": int, "avg_bps": int, "avg_pps": int, "avg_Bpp": int,
}  # fmt: skip
VECTOR_KEYS: dict[str, Any] = {
    "service": (str, type(None)), "protocol": str, "fraction_of_attack": (float, type(None)), "source_port": (int, str),
    "destination_ports": (dict, str), "tcp_flags": (dict, type(None)), "nr_packets": int, "nr_megabytes": int, "time_start": str,
    "duration_seconds": int, "source_ips": list,
}  # fmt: skip


def test_fingerprints_have_the_published_form(result: floodmark.Result) -> None:
    """Keys and types of fingerprint_format.md of the dissector, whose ingest needs these and takes others."""
    found = fingerprints(result)
    assert len(found) == len({event.attack for event in result.events})
    for fingerprint in found:
        assert {name: type(fingerprint[name]) for name in KEYS} == KEYS
        assert re.fullmatch("[0-9a-f]{32}", fingerprint["key"])
        for vector in fingerprint["attack_vectors"]:
            assert all(isinstance(vector[name], kinds) for name, kinds in VECTOR_KEYS.items())
            assert vector["source_port"] == "random" or isinstance(vector["source_port"], int)
            for mapped in (vector["destination_ports"], vector["tcp_flags"], vector["ttl"]):
                assert not isinstance(mapped, dict) or abs(sum(mapped.values()) - 1) <= 0.015
    flood = next(each for each in found if each["attack_vectors"][0]["tcp_flags"] == {"......S.": 1.0})
    assert flood["attack_vectors"][0]["destination_ports"] == {"443": 1.0}
    assert len(flood["attack_vectors"][0]["source_ips"]) == 2792
    assert set(flood["tags"]) == {"TCP", "TCP flood attack", "TCP SYN flag attack"}
    assert flood["target"] == "Anonymous"
    assert fingerprints(result, victims=True)[0]["target"] in {event.victims[0] for event in result.events}


@pytest.mark.parametrize("form", FORMS)
def test_a_capture_without_anything_has_every_form(form: str, tmp_path: Path) -> None:
    (tmp_path / "in.pcap").write_bytes(pcap([]))
    assert exported(tmp_path, form, capture=tmp_path / "in.pcap").exists()


def test_every_vector_is_a_technique() -> None:
    assert all(re.fullmatch(r"T\d{4}(\.\d{3})?", RECORDS[vector].technique.id) for vector in VECTORS)


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["export", str(DEMO), "--as", "csv", "-o", str(tmp_path / "no" / "out.csv")])
    assert done.exit_code == 3
    assert "cannot be written" in done.output


def test_frames_of_pandas_take_the_flows(result: floodmark.Result) -> None:
    assert isinstance(pa.table(result.flows).to_pandas(), pd.DataFrame)  # type: ignore[arg-type] # as above


def test_ndjson_of_many_batches_is_one_file(tmp_path: Path) -> None:
    packets = [udp(n * MILLISECOND // 10, 0x0B000000 + n, ports=(1024 + n % 60_000, 9)) for n in range(3000)]
    (tmp_path / "in.pcap").write_bytes(pcap(packets))
    assert len(exported(tmp_path, "ndjson", capture=tmp_path / "in.pcap").read_text().splitlines()) == 3000
