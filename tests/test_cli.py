"""The command line: results on standard output, complaints on standard error, and an exit code a script can rely on."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import floodmark
from builders import SECOND, connection, header, pcap, pcapng, syn_flood, udp
from floodmark.cli import main

SCHEMA = json.loads((files("floodmark") / "schema" / "result.schema.json").read_text())
CALM, ATTACKED = pcap(connection(0)), pcapng([*connection(0), *syn_flood()])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a calm capture, an attacked one, and one that is none."""
    (tmp_path / "calm.pcap").write_bytes(CALM)
    (tmp_path / "attacked.pcapng").write_bytes(ATTACKED)
    (tmp_path / "bad.pcap").write_bytes(b"this is no capture, whatever its name says")
    return tmp_path


def run(*arguments: object, data: bytes | None = None) -> Result:
    """Run ``floodmark classify`` in this process."""
    return CliRunner().invoke(main, ["classify", *map(str, arguments)], input=data)


def process(*arguments: object, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run ``floodmark`` as a program."""
    command = [sys.executable, "-m", "floodmark.cli", *map(str, arguments)]
    return subprocess.run(command, input=data, capture_output=True, check=False, timeout=120)


def documents(result: Result) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def lines(result: Result) -> list[str]:
    """Return what was complained about, without the note of the first run."""
    return [line for line in result.stderr.splitlines() if "compiling the core" not in line]


# ---- exit codes


def test_a_folder_answered_in_part_gives_three_and_says_what_is_left_out(folder: Path) -> None:
    result = run(folder, "--format", "json")
    assert result.exit_code == 3
    assert "bad.pcap" in lines(result)[0]
    assert {Path(capture["path"]).name for capture in documents(result)[0]["captures"]} == {"calm.pcap", "attacked.pcapng"}


def test_an_answer_gives_zero(folder: Path) -> None:
    assert run(folder / "calm.pcap").exit_code == 0


def test_an_attack_alone_gives_zero(folder: Path) -> None:
    assert run(folder / "attacked.pcapng").exit_code == 0


@pytest.mark.parametrize(
    ("asked", "code"), [("attack", 1), ("volumetric", 1), ("application-layer", 0)], ids=["attack", "volumetric", "application-layer"]
)
def test_fail_on_gives_one_for_what_it_asks_for(folder: Path, asked: str, code: int) -> None:
    assert run(folder / "attacked.pcapng", "--fail-on", asked).exit_code == code


def test_fail_on_gives_zero_where_there_is_no_attack(folder: Path) -> None:
    assert run(folder / "calm.pcap", "--fail-on", "attack").exit_code == 0


def test_fail_on_still_gives_the_answer(folder: Path) -> None:
    assert documents(run(folder / "attacked.pcapng", "--fail-on", "attack", "--format", "json"))[0]["events"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--nothing", "x"],
        ["--format", "xml", "x"],
        ["--fail-on", "benign", "x"],
        ["--threads", "0", "x"],
        ["--each", "--flows", "o", "x"],
    ],
)
def test_wrong_usage_gives_two(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_capture_that_cannot_be_read_gives_three(folder: Path) -> None:
    assert run(folder / "bad.pcap").exit_code == 3


def test_a_capture_that_cannot_be_read_is_one_line_with_path_and_offset(folder: Path) -> None:
    result = run(folder / "bad.pcap")
    [line] = lines(result)
    assert line.startswith(f"floodmark: {folder}/bad.pcap, byte 0: not a capture")
    assert result.stdout == ""


def test_unreadable_goes_before_attack_found(folder: Path) -> None:
    assert run("--each", "--fail-on", "attack", folder / "attacked.pcapng", folder / "bad.pcap", folder / "attacked.pcapng").exit_code == 3


# ---- one timeline, or each


def test_several_captures_are_one_answer(folder: Path) -> None:
    [document] = documents(run(folder / "calm.pcap", folder / "attacked.pcapng", "--format", "json"))
    assert len(document["captures"]) == 2
    assert document["totals"]["packets"] == 2020


def test_one_bad_capture_stops_a_common_answer(folder: Path) -> None:
    result = run(folder / "calm.pcap", folder / "bad.pcap", "--format", "json")
    assert (result.exit_code, result.stdout) == (3, "")


def test_each_gives_one_document_a_line(folder: Path) -> None:
    found = documents(run("--each", "--format", "json", folder / "calm.pcap", folder / "attacked.pcapng"))
    assert [len(document["captures"]) for document in found] == [1, 1]
    assert [len(document["events"]) for document in found] == [0, 1]


def test_each_gives_a_line_with_the_error_of_a_capture_and_goes_on(folder: Path) -> None:
    result = run("--each", "--format", "json", folder / "bad.pcap", folder / "none.pcap", folder / "calm.pcap")
    found = documents(result)
    assert [document.get("path") for document in found] == [f"{folder}/bad.pcap", f"{folder}/none.pcap", None]
    assert [document.get("offset") for document in found[:2]] == [0, None]
    assert "not a capture" in found[0]["error"]
    assert result.exit_code == 3


def test_each_document_keeps_to_the_schema(folder: Path) -> None:
    found = documents(run("--each", "--format", "json", folder / "bad.pcap", folder, folder / "none.pcap"))
    assert len(found) == 5
    for document in found:
        jsonschema.validate(document, SCHEMA)


def test_each_answers_every_capture_of_a_folder_in_order_of_name(folder: Path) -> None:
    found = documents(run("--each", "--format", "json", folder))
    paths = [document["path"] if "error" in document else document["captures"][0]["path"] for document in found]
    assert paths == [f"{folder}/attacked.pcapng", f"{folder}/bad.pcap", f"{folder}/calm.pcap"]


def test_each_answers_as_a_run_of_its_own_does(folder: Path) -> None:
    paths = (folder / "calm.pcap", folder / "attacked.pcapng")
    assert documents(run("--each", "--format", "json", *paths)) == [documents(run("--format", "json", path))[0] for path in paths]


def test_each_in_words_says_which_capture(folder: Path) -> None:
    text = run("--each", folder / "calm.pcap", folder / "attacked.pcapng").stdout
    assert f"== {folder}/calm.pcap\nNo attack found." in text
    assert f"== {folder}/attacked.pcapng\nVolumetric attack on" in text


def test_each_with_fail_on_gives_one_if_any_has_an_attack(folder: Path) -> None:
    assert run("--each", "--fail-on", "attack", folder / "attacked.pcapng", folder / "calm.pcap").exit_code == 1


def test_a_folder_is_the_timeline_of_its_captures(folder: Path) -> None:
    [document] = documents(run(folder, "--format", "json"))
    assert {capture["path"] for capture in document["captures"]} == {f"{folder}/attacked.pcapng", f"{folder}/calm.pcap"}


# ---- standard input


def test_a_dash_reads_standard_input(folder: Path) -> None:
    document, other = (
        documents(result)[0] for result in (run("-", "--format", "json", data=CALM), run(folder / "calm.pcap", "--format", "json"))
    )
    assert document["captures"][0].pop("path") == "-"
    assert document["captures"][0] == {key: value for key, value in other["captures"][0].items() if key != "path"}
    assert document["totals"] == other["totals"]


def test_a_pipe_is_read_to_its_end() -> None:
    done = process("classify", "-", "--format", "json", data=pcap([udp(n * 1000) for n in range(30_000)]))
    assert (done.returncode, json.loads(done.stdout)["totals"]["packets"]) == (0, 30_000)


def test_an_empty_pipe_is_an_error() -> None:
    result = run("-", data=b"")
    assert (result.exit_code, lines(result)) == (
        3,
        ["floodmark: -, byte 0: the file is empty; a capture has a header of at least 24 bytes"],
    )


def test_a_closed_standard_input_is_an_error_and_no_crash() -> None:
    done = subprocess.run(["sh", "-c", f"{sys.executable} -m floodmark.cli classify - <&-"], capture_output=True, check=False, timeout=120)
    assert (done.returncode, b"Traceback" in done.stderr) == (3, False)


# ---- flows


def flows_of(folder: Path, *captures: str) -> tuple[Any, Any]:
    """Return the document of some captures and the flow table written beside it."""
    out = folder / "flows.parquet"
    result = run(*(folder / capture for capture in captures), "--format", "json", "--flows", out)
    assert result.exit_code == 0, result.stderr
    return documents(result)[0], pq.read_table(out)


def test_the_flow_file_has_a_row_for_every_flow(folder: Path) -> None:
    document, flows = flows_of(folder, "attacked.pcapng")
    assert flows.num_rows == document["totals"]["flows"] == 2001


def test_the_flow_file_holds_every_packet_that_is_in_a_flow(folder: Path) -> None:
    document, flows = flows_of(folder, "attacked.pcapng")
    packets = np.sum(flows["initiator_packets"]) + np.sum(flows["responder_packets"])
    assert packets == document["totals"]["packets_in_flows"]


def test_the_flow_file_is_the_table_of_the_library(folder: Path) -> None:
    _, flows = flows_of(folder, "attacked.pcapng")
    assert flows.equals(floodmark.classify(folder / "attacked.pcapng").flows.to_table())


def test_the_flow_file_of_a_capture_without_flows_is_empty(folder: Path) -> None:
    (folder / "none.pcap").write_bytes(header())
    assert flows_of(folder, "none.pcap")[1].num_rows == 0


def test_nothing_is_left_beside_the_flow_file(folder: Path) -> None:
    before = {path.name for path in folder.iterdir()}
    flows_of(folder, "calm.pcap")
    assert {path.name for path in folder.iterdir()} - before == {"flows.parquet"}


def test_flows_that_cannot_be_written_are_one_line_of_complaint(folder: Path) -> None:
    result = run(folder / "calm.pcap", "--flows", folder / "none" / "flows.parquet")
    [line] = lines(result)
    assert line.startswith(f"floodmark: {folder}/none/flows.parquet: cannot be written")
    assert result.exit_code == 3


# ---- settings and memory


def test_settings_change_the_answer(folder: Path) -> None:
    (folder / "s.toml").write_text("[volumetric]\nflood_packets = 100000\nstructural_packets = 100000\n")
    assert documents(run(folder / "attacked.pcapng", "--settings", folder / "s.toml", "--format", "json"))[0]["events"] == []


@pytest.mark.parametrize("text", ["[flow]\nudp_timeout = 5\n", "[flow]\nudp_timeout_s = 'x'\n", "no toml at all"])
def test_bad_settings_are_wrong_usage_in_one_line(folder: Path, text: str) -> None:
    (folder / "s.toml").write_text(text)
    result = run(folder / "calm.pcap", "--settings", folder / "s.toml")
    [line] = lines(result)
    assert line.startswith(f"floodmark: {folder}/s.toml: ")
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize("value", ["nan", "inf", "1e300"])
def test_settings_beyond_any_number_are_wrong_usage(folder: Path, value: str) -> None:
    (folder / "s.toml").write_text(f"[flow]\nudp_timeout_s = {value}\n")
    result = run(folder / "calm.pcap", "--settings", folder / "s.toml")
    assert (result.exit_code, len(lines(result))) == (2, 1)


def test_a_missing_settings_file_is_wrong_usage(folder: Path) -> None:
    assert run(folder / "calm.pcap", "--settings", folder / "none.toml").exit_code == 2


@pytest.mark.parametrize("size", ["2GiB", "500MB", "64MiB", "100000000", "1.5g", "2 GiB", "2gib"])
def test_a_size_has_a_number_and_a_unit(folder: Path, size: str) -> None:
    assert run(folder / "calm.pcap", "--memory", size).exit_code == 0


@pytest.mark.parametrize("size", ["much", "2XB", "", "GiB", "1.2.3GiB", "-1GiB", "0", "63MiB", "nan", "infGiB", "1e999"])
def test_what_is_no_size_or_too_little_is_wrong_usage(folder: Path, size: str) -> None:
    result = run(folder / "calm.pcap", "--memory", size)
    assert (result.exit_code, result.stdout) == (2, "")


def wide_flood(flows: int) -> bytes:
    """Write one SYN from each of very many sources, faster than packet by packet."""
    packet = pcap(syn_flood(1))[24:]
    rows = np.frombuffer(packet * flows, np.uint8).reshape(flows, len(packet)).copy()
    rows[:, 16 + 26 : 16 + 30] = (np.arange(flows, dtype=">u4") + 0x0B000000).view(np.uint8).reshape(flows, 4)
    return header() + rows.tobytes()


def test_flows_that_need_more_memory_than_allowed_get_the_same_answer_from_temporary_files(folder: Path) -> None:
    (folder / "wide.pcap").write_bytes(wide_flood(600_000))
    result = run(folder / "wide.pcap", "--memory", "64MiB", "--format", "json")
    [line] = lines(result)
    assert "temporary files" in line
    [document], [wanted] = documents(result), documents(run(folder / "wide.pcap", "--format", "json"))
    assert "were kept in temporary files" in document["notes"].pop()
    assert document == wanted
    assert result.exit_code == 0


def test_without_temporary_space_a_capture_fails_and_the_next_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
    (folder / "wide.pcap").write_bytes(wide_flood(600_000))
    result = run("--each", "--format", "json", "--memory", "64MiB", folder / "wide.pcap", folder / "calm.pcap")
    assert ["error" in document for document in documents(result)] == [True, False]
    assert "raise --memory" in documents(result)[0]["error"]
    assert result.exit_code == 3


def test_the_number_of_threads_changes_nothing(folder: Path) -> None:
    assert run(folder, "--format", "json", "--threads", "2").stdout == run(folder, "--format", "json").stdout


def test_the_hash_of_a_capture_is_given_when_asked_for(folder: Path) -> None:
    [document] = documents(run(folder / "calm.pcap", "--format", "json", "--hash"))
    expected = subprocess.run(["sha256sum", folder / "calm.pcap"], capture_output=True, check=True, text=True).stdout.split()[0]
    assert document["captures"][0]["sha256"] == expected


# ---- as a program


def test_the_program_writes_its_answer_to_standard_output_and_nothing_to_standard_error(folder: Path) -> None:
    done = process("classify", folder / "attacked.pcapng", "--format", "json")
    jsonschema.validate(json.loads(done.stdout), SCHEMA)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_program_writes_errors_to_standard_error_and_nothing_to_standard_output(folder: Path) -> None:
    done = process("classify", folder / "bad.pcap")
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (3, b"", 1)


def test_the_program_gives_one_for_an_attack_that_was_asked_for(folder: Path) -> None:
    assert process("classify", folder / "attacked.pcapng", "--fail-on", "volumetric").returncode == 1


def test_the_program_gives_two_for_wrong_usage() -> None:
    assert process("classify").returncode == 2


def test_a_report_in_a_pipe_has_no_control_sequences(folder: Path) -> None:
    assert b"\x1b" not in process("classify", folder / "attacked.pcapng").stdout


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_answer_that_cannot_be_written_is_no_attack_found(folder: Path, form: str) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "floodmark.cli", "classify", str(folder / "calm.pcap"), "--format", form]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, timeout=120)
    assert (done.returncode not in (0, 1), b"Traceback" in done.stderr) == (True, False)


def test_a_file_name_that_is_no_text_can_be_answered(folder: Path) -> None:
    path = os.fsencode(folder) + b"/\xff.pcap"
    Path(os.fsdecode(path)).write_bytes(CALM)
    command = [sys.executable.encode(), b"-m", b"floodmark.cli", b"classify", path]
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, capture_output=True, check=False, timeout=120, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_reader_that_stops_early_is_no_crash(folder: Path) -> None:
    command = f"{sys.executable} -m floodmark.cli classify --each --format json {folder} {folder} {folder} | head -c 10"
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False, timeout=120)
    assert (len(done.stdout), b"Traceback" in done.stderr) == (10, False)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["classify", "--help"], ["-h"]])
def test_help_and_version_import_neither_numba_nor_numpy(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom floodmark.cli import main\nsys.argv[0] = 'floodmark'\n"
        "try:\n    main()\nfinally:\n    sys.stderr.write(repr({'numba', 'numpy', 'pyarrow', 'llvmlite', 'msgspec'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"set()")


def test_the_version_is_that_of_the_package() -> None:
    assert version("floodmark") in CliRunner().invoke(main, ["--version"]).stdout


def test_importing_the_package_imports_neither_numba_nor_numpy() -> None:
    script = "import sys, floodmark; print({'numba', 'numpy', 'pyarrow', 'msgspec'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout == "set()\n"


def test_help_lists_every_option() -> None:
    text = CliRunner().invoke(main, ["classify", "--help"]).stdout
    for option in ("--each", "--format", "--flows", "--memory", "--threads", "--settings", "--hash", "--fail-on"):
        assert option in text


# ---- the same through the library


def test_the_library_gives_the_same_document(folder: Path) -> None:
    path = folder / "attacked.pcapng"
    assert floodmark.classify(path).to_dict() == documents(run(path, "--format", "json"))[0]


def test_paths_lists_folders_and_file_objects_are_all_captures(folder: Path) -> None:
    results = [
        floodmark.classify(source)
        for source in (folder / "calm.pcap", [str(folder / "calm.pcap")], io.BytesIO(CALM), (folder / "calm.pcap",))
    ]
    assert [result.totals for result in results] == [results[0].totals] * 4


def test_no_capture_at_all_is_an_error() -> None:
    with pytest.raises(floodmark.CaptureError, match="no capture given"):
        floodmark.classify([])


def test_progress_never_steps_back_and_never_passes_the_end(folder: Path) -> None:
    data = wide_flood(50_000)
    (folder / "wide.pcap").write_bytes(data)
    told: list[int] = []
    floodmark.classify(folder / "wide.pcap", progress=lambda _, octets: told.append(octets))
    assert told == sorted(told)
    assert len(data) >= told[-1] > len(data) - 2**20


def test_threads_may_classify_at_the_same_time(folder: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - of this test alone

    paths = [folder / "attacked.pcapng", folder / "calm.pcap"] * 6
    with ThreadPoolExecutor(4) as pool:
        found = [result.to_json() for result in pool.map(floodmark.classify, paths)]
    assert found == [floodmark.classify(path).to_json() for path in paths]


def test_the_same_capture_gives_the_same_bytes_in_another_process(folder: Path) -> None:
    one, other = (process("classify", folder / "attacked.pcapng", "--format", "json").stdout for _ in range(2))
    assert one == other


def test_times_span_the_captures(folder: Path) -> None:
    (folder / "later.pcap").write_bytes(pcap(connection(10 * SECOND, 50000)))
    [document] = documents(run(folder / "later.pcap", folder / "calm.pcap", "--format", "json"))
    assert document["profile"]["span_s"] == pytest.approx(10.009)


def test_flows_leave_other_files_alone_and_write_into_a_device_as_it_is(folder: Path) -> None:
    (folder / "out.parquet.part").write_text("somebody's")
    assert run(folder / "calm.pcap", "--flows", folder / "out.parquet").exit_code == 0
    assert (folder / "out.parquet.part").read_text() == "somebody's"
    assert sorted(path.name for path in folder.glob("out*")) == ["out.parquet", "out.parquet.part"]
    assert run(folder / "calm.pcap", "--flows", "/dev/null").exit_code == 0
    assert Path("/dev/null").is_char_device()


def test_a_link_to_a_file_stays_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    done = CliRunner().invoke(main, ["export", str(folder / "calm.pcap"), "--as", "csv", "-o", str(tmp_path / "link.csv")])
    assert done.exit_code == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").stat().st_size > 0


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_standard_output_can_be_written_to(name: str, folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "floodmark.cli", "export", str(folder / "calm.pcap"), "--as", "ndjson", "-o", name]
    with (tmp_path / "out").open("wb") as out:
        assert subprocess.run(command, stdout=out, check=False, timeout=120).returncode == 0
    assert (tmp_path / "out").read_bytes().startswith(b'{"flow_id":0')
    piped = subprocess.run(command, capture_output=True, check=True, timeout=120).stdout
    assert piped == (tmp_path / "out").read_bytes()
    assert Path("/dev/stdout").is_symlink()


def test_a_reader_that_has_had_enough_ends_an_export_with_no_word_but_of_the_capture(folder: Path) -> None:
    command = f"{sys.executable} -m floodmark.cli export {folder / 'attacked.pcapng'} --as csv -o - | head -c 10"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False, text=True, timeout=120)
    assert len(done.stdout) == 10
    assert [": time_out_of_order: " in line for line in done.stderr.splitlines()] == [True]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture that is read for seconds."""
    path = tmp_path_factory.mktemp("large") / "large.pcap"
    with path.open("wb") as file:
        file.write(CALM + CALM[24:] * (300_000_000 // len(CALM)))
    return path


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_program_in_order(large: Path, tmp_path: Path, name: str) -> None:
    number = signal.Signals[name]
    command = [sys.executable, "-m", "floodmark.cli", "carve", str(large), "--benign", "-o", str(tmp_path / "out.pcapng")]
    before = signal.signal(number, lambda *_: None)  # a new process inherits what is ignored, but not a handler
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(number, before)
    while process.poll() is None and not list(tmp_path.glob("*.part")):
        time.sleep(0.01)  # until it writes
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in said) == (128 + number, False)
    assert said.splitlines()[-1] == f"floodmark: {'interrupted' if name == 'SIGINT' else f'ended by {name}'}"
    assert list(tmp_path.iterdir()) == []


DROPPED = """
import signal, time
from floodmark.cli.signals import Ended, ending_in_order

class Finalised:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

try:
    with ending_in_order():
        Finalised()
        time.sleep(30)
except Ended as ended:
    print(ended.code)
"""


def test_a_signal_that_python_drops_ends_the_program_a_moment_later() -> None:
    """An exception in a finalizer is printed and dropped, so the program would go on and end with 0."""
    done = subprocess.run([sys.executable, "-c", DROPPED], capture_output=True, check=False, text=True, timeout=20)
    assert (done.stdout, done.stderr) == ("143\n", "")


def test_a_signal_that_the_caller_ignores_stays_ignored(folder: Path) -> None:
    command = f"trap '' HUP; {sys.executable} -m floodmark.cli classify {folder / 'calm.pcap'} & sleep 0.4; kill -HUP $!; wait $!"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False, text=True, timeout=120)
    assert done.returncode == 0
