"""Compare speed with every installed program that reads captures: captures are generated, all programs run in each round on the same file.

    python benchmarks/bench.py [--scale X] [--rounds N] [--folder DIR] [--record]

Times are wall times of whole processes, minus that of the same program on a capture of one packet; the median of the rounds counts,
since machines are noisy. A program that takes longer than a minute is stopped and its figure is a bound. Memory is the peak anonymous
memory of the program's own process. --record keeps table, figures and chart in benchmarks/record.
"""

import argparse
import contextlib
import csv
import importlib.util
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import corpus
import stages

PATIENCE_S = 60.0
LEAST_S = 0.001  # a program that waits in steps of a second may take no longer for a capture than for one packet
FLOODMARK = [sys.executable, "-m", "floodmark.cli", "classify", "--format", "json"]
# Program -> command; {} is the capture, {scratch} an output folder. cat only reads, capinfos only counts, tcpdump copies to /dev/null.
PROGRAMS = {
    "floodmark": [*FLOODMARK, "{}"],
    "floodmark, one thread": [*FLOODMARK, "--threads", "1", "{}"],
    "floodmark --flows": [*FLOODMARK, "--flows", "{scratch}/flows.parquet", "{}"],
    "cat": ["cat", "{}"],
    "capinfos -c": ["capinfos", "-c", "{}"],
    "tcpdump -w": ["tcpdump", "-r", "{}", "-w", "/dev/null"],
    "softflowd": ["softflowd", "-r", "{}", "-d", "-n", "127.0.0.1:9"],
    "nfpcapd": ["nfpcapd", "-r", "{}", "-w", "{scratch}"],
    "argus": ["argus", "-r", "{}", "-w", "/dev/null"],
    "tshark": ["tshark", "-r", "{}", "-q", "-z", "conv,ip"],
    "nfstream": [sys.executable, "-c", "import sys, nfstream; all(nfstream.NFStreamer(sys.argv[1], n_dissections=0))", "{}"],
}
CAPTURES = {"syn-flood": 10_000_000, "dns-amplification": 2_000_000, "mixed": 4_000_000, "bulk": 2_000_000, "incident": 5_000_000}
GROWTH = (1_000_000, 3_000_000, 10_000_000, 30_000_000)


class Figure(NamedTuple):
    """One program's time and memory for one capture."""

    capture: str
    packets: int
    octets: int
    program: str
    seconds: float
    memory_octets: int  # peak anonymous memory
    stopped: bool


class Watch(threading.Thread):
    """Monitors a running process: its peak anonymous memory, and whether it took too long."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.memory_octets, self.stopped = 0, False
        self._pid, self._ended = pid, threading.Event()

    def run(self) -> None:
        """Sample every ten milliseconds; kill the process and its children after :data:`PATIENCE_S`."""
        until = time.perf_counter() + PATIENCE_S
        while not self._ended.wait(0.01):
            self.memory_octets = max(self.memory_octets, anonymous(self._pid))
            if time.perf_counter() > until and not self.stopped:
                with contextlib.suppress(ProcessLookupError):  # it has just ended
                    os.killpg(self._pid, signal.SIGKILL)
                self.stopped = True

    def end(self) -> None:
        """Stop monitoring."""
        self._ended.set()
        self.join()


def run(command: list[str], capture: Path) -> tuple[float, int, bool]:
    """Run a program and discard its output. Returns (seconds, peak anonymous bytes, whether it was stopped)."""
    with tempfile.TemporaryDirectory() as scratch:
        filled = [part.replace("{scratch}", scratch).replace("{}", str(capture)) for part in command]
        start = time.perf_counter()
        process = subprocess.Popen(filled, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        watch = Watch(process.pid)
        watch.start()
        process.wait()
        seconds = time.perf_counter() - start
        watch.end()
        return seconds, watch.memory_octets, watch.stopped


def anonymous(pid: int) -> int:
    """Return the anonymous memory of a running process, in bytes; 0 if the system does not report it (Linux does)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def is_installed(name: str, command: list[str]) -> bool:
    """Return whether a program is installed on this machine."""
    return importlib.util.find_spec("nfstream") is not None if name == "nfstream" else shutil.which(command[0]) is not None


def compare(shape: str, packets: int, folder: Path, rounds: int, programs: dict[str, list[str]]) -> list[Figure]:
    """Time programs on one generated capture, in turns."""
    path, empty = folder / f"{shape}.pcap", folder / "one.pcap"
    corpus.write(shape, packets, path)
    corpus.write("syn-flood", 1, empty)
    octets = path.stat().st_size
    found: dict[str, list[tuple[float, int, bool]]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, command in programs.items():
            if found[name] and found[name][-1][2]:
                continue  # once too slow is enough
            idle = run(command, empty)[0]
            seconds, memory, stopped = run(command, path)
            found[name].append((max(seconds - idle, LEAST_S), memory, stopped))
    path.unlink()
    return [
        Figure(shape, packets, octets, name, statistics.median(r[0] for r in runs), max(r[1] for r in runs), runs[-1][2])
        for name, runs in found.items()
    ]


def table(figures: list[Figure]) -> list[str]:
    """Write one capture's figures as a Markdown table, with the ratio of floodmark's time to each program's."""
    first = figures[0]
    lines = [
        f"### {first.capture}: {first.packets:,} packets, {first.octets / first.packets:.0f} octets a record, {first.octets / 1e6:,.0f} MB",
        "",
        "| program | seconds | million packets/s | MB/s | anonymous memory, MiB | floodmark's time / its time |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for figure in figures:
        if figure.seconds <= LEAST_S:
            lines.append(f"| {figure.program} | not above its start | | | {figure.memory_octets / 2**20:,.0f} | |")
            continue
        more = "> " if figure.stopped else ""
        rate, octets = figure.packets / figure.seconds / 1e6, figure.octets / figure.seconds / 1e6
        less = "< " if figure.stopped else ""
        lines.append(
            f"| {figure.program} | {more}{figure.seconds:.2f} | {less}{rate:.2f} | {less}{octets:,.0f} "
            f"| {figure.memory_octets / 2**20:,.0f} | {less}{first.seconds / figure.seconds:.2f} |"
        )
    return [*lines, ""]


# Targets: (what, capture, program, program compared with, maximum ratio of their times).
TARGETS = (
    ("counting a SYN flood", "syn-flood", "floodmark", "capinfos -c", 0.35),
    ("copying a SYN flood", "syn-flood", "floodmark", "tcpdump -w", 0.5),
    ("counting mixed traffic", "mixed", "floodmark", "capinfos -c", 0.25),
    ("counting a bulk transfer", "bulk", "floodmark", "capinfos -c", 0.6),
    ("reading a bulk transfer", "bulk", "floodmark", "cat", 1 / 0.7),
    ("one thread", "syn-flood", "floodmark", "floodmark, one thread", 1 / 1.7),
    ("without --flows", "syn-flood", "floodmark --flows", "floodmark", 2.0),
)


def target_table(figures: list[Figure]) -> list[str]:
    """Write targets and measured values as a table, for the pairs that were measured."""
    found = {(figure.capture, figure.program): figure.seconds for figure in figures}
    lines = ["### Aims: time of one over time of the other, and the most memory", "", "| beside | ratio | at most |", "|---|--:|--:|"]
    for what, capture, program, beside, most in TARGETS:
        if (capture, program) in found and (capture, beside) in found:
            lines.append(f"| {what} ({beside}) | {found[capture, program] / found[capture, beside]:.2f} | {most:.2f} |")
    memory = max(figure.memory_octets for figure in figures if figure.program.startswith("floodmark"))
    return [*lines, f"| anonymous memory, MiB | {memory / 2**20:,.0f} | 2,248 |", ""]


def growth_table(figures: list[Figure]) -> list[str]:
    """Write as a table how time grows with the packets of a SYN flood."""
    lines = ["### Growth: SYN floods, every packet a new flow", "", "| packets | program | seconds | ns a packet |", "|--:|---|--:|--:|"]
    rows = [f"| {f.packets:,} | {f.program} | {f.seconds:.2f} | {f.seconds / f.packets * 1e9:.0f} |" for f in figures]
    return [*lines, *rows, ""]


def start_up(folder: Path) -> list[str]:
    """Time start-up: help, version, and classifying a capture of one packet."""
    path = folder / "one.pcap"
    corpus.write("syn-flood", 1, path)
    program = [sys.executable, "-m", "floodmark.cli"]
    lines = ["### Start-up, whole processes, best of five", "", "| command | seconds |", "|---|--:|"]
    for name, arguments in (("--help", ["--help"]), ("--version", ["--version"]), ("classify, one packet", ["classify", "{}"])):
        lines.append(f"| {name} | {min(run([*program, *arguments], path)[0] for _ in range(5)):.2f} |")
    return [*lines, ""]


def machine() -> tuple[str, str]:
    """Return (name of the record's folder, description of the machine)."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file() and (named := re.search(r"model name\s*: (.+)", info.read_text(encoding="utf-8"))):
        model = named[1]
    count = os.cpu_count() or 1
    return re.sub(r"[^a-z0-9]+", "-", f"{model} {count}".lower()).strip("-"), f"{model}, {count} processors"


def draw(figures: list[Figure], path: Path) -> None:
    """Draw packets per second by program and capture, as bars."""
    from matplotlib.figure import Figure as Canvas  # noqa: PLC0415 - only if a chart is requested

    figures = [figure for figure in figures if figure.seconds > LEAST_S]
    names = list(dict.fromkeys(figure.program for figure in figures))
    shapes = list(dict.fromkeys(figure.capture for figure in figures))
    canvas = Canvas(figsize=(9, 1.2 + 0.22 * len(names) * len(shapes)))
    axes = canvas.subplots()
    for place, figure in enumerate(reversed(figures)):
        rate = figure.packets / figure.seconds / 1e6
        axes.barh(place, rate, color="#b3261e" if figure.program.startswith("floodmark") else "#8a8f98")
        axes.text(rate * 1.05, place, f"{'< ' if figure.stopped else ''}{rate:.2f}", va="center", fontsize=6)
    axes.set_yticks(range(len(figures)), [f"{f.capture}  {f.program}" for f in reversed(figures)], fontsize=6)
    axes.set_xscale("log")
    axes.margins(y=0.005)
    axes.set_xlabel("million packets a second, start-up apart (log scale)")
    axes.spines[["top", "right"]].set_visible(False)
    canvas.tight_layout()
    canvas.savefig(path, dpi=110)


def main() -> None:
    """Generate, time, print, record."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--scale", type=float, default=1.0, help="of the captures' sizes; 1 needs 5 GB of disk")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--folder", type=Path, help="where the captures go; a temporary folder otherwise")
    arguments.add_argument("--record", action="store_true", help="keep the figures in benchmarks/record/MACHINE/DATE")
    chosen = arguments.parse_args()
    programs = {name: command for name, command in PROGRAMS.items() if is_installed(name, command)}
    folder_name, described = machine()
    text = [f"# {described}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}", ""]
    print("\n".join(text))
    figures: list[Figure] = []

    def tell(lines: list[str]) -> None:
        print("\n".join(lines), flush=True)
        text.extend(lines)

    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        folder = Path(name)
        run([*FLOODMARK, "{}"], folder / "none.pcap")  # compiles the core if necessary
        tell(start_up(folder))
        for shape, packets in CAPTURES.items():
            found = compare(shape, int(packets * chosen.scale), folder, chosen.rounds, programs)
            figures += found
            tell(table(found))
        tell(target_table(figures))
        some = {name: programs[name] for name in ("floodmark", "capinfos -c") if name in programs}
        grown = [figure for n in GROWTH for figure in compare("syn-flood", int(n * chosen.scale), folder, 1, some)]
        tell(growth_table(grown))
        tell(stages.report({shape: int(CAPTURES[shape] * chosen.scale / 5) for shape in ("syn-flood", "mixed", "bulk")}, folder))
    if chosen.record:
        kept = Path(__file__).parent / "record" / folder_name
        kept.mkdir(parents=True, exist_ok=True)
        stem = kept / time.strftime("%Y-%m-%d")
        stem.with_suffix(".md").write_text("\n".join(text), encoding="utf-8")
        with stem.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([Figure._fields, *figures, *grown])
        draw(figures, stem.with_suffix(".png"))


if __name__ == "__main__":
    main()
