"""Speed from file to events, beside installed programs that do less: captures are generated, all programs run in the same round.

    python benchmarks/bench.py [--packets N] [--rounds N] [--folder DIR] [--record FILE.csv]

floodmark is timed inside one process whose kernels are compiled (its start-up, timed on its own, is given apart); the others as whole
processes, whose start is nothing beside the work. The best and the median of the rounds are given: machines are noisy.
"""

import argparse
import csv
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import corpus
import floodmark

# Peers: name -> command; {} is the capture, {scratch} a folder for output.
# cat only reads; capinfos only counts; softflowd and nfpcapd make flows.
PEERS = {
    "cat": ["cat", "{}"],
    "capinfos -c": ["capinfos", "-c", "{}"],
    "softflowd": ["softflowd", "-r", "{}", "-d", "-n", "127.0.0.1:9"],
    "nfpcapd": ["nfpcapd", "-r", "{}", "-w", "{scratch}"],
}


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def run(command: list[str]) -> None:
    """Run a peer and throw its output away."""
    with tempfile.TemporaryDirectory() as scratch:
        filled = [part.replace("{scratch}", scratch) for part in command]
        subprocess.run(filled, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def classify(path: Path) -> None:
    """Classify a capture up to its document."""
    floodmark.classify(str(path)).to_json()


def measure(path: Path, rounds: int) -> dict[str, list[float]]:
    """Time floodmark and every installed peer on one capture, in turns."""
    actions: dict[str, Callable[[], object]] = {"floodmark": lambda: classify(path)}
    for name, command in PEERS.items():
        if shutil.which(command[0]):
            filled = [str(path) if part == "{}" else part for part in command]
            actions[name] = lambda filled=filled: run(filled)  # type: ignore[misc]
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            seconds[name].append(timed(action))
    return seconds


def start_up() -> float:
    """Return the seconds from process start to the answer on a capture of next to nothing."""
    with tempfile.NamedTemporaryFile(suffix=".pcap") as file:
        corpus.write("syn-flood", 1, Path(file.name))
        program = [sys.executable, "-m", "floodmark.cli", "classify", file.name]
        return min(timed(lambda: run(program)) for _ in range(3))


def report(shape: str, packets: int, size: int, seconds: dict[str, list[float]]) -> list[list[object]]:
    """Print one capture's figures. Returns rows for a record."""
    print(f"\n{shape}: {packets:,} packets, {size / packets:.0f} octets a record, {size / 1e6:,.0f} MB")
    print(f"{'':14}{'best s':>9}{'median s':>10}{'M packets/s':>13}{'times floodmark':>17}")
    rows = []
    own = statistics.median(seconds["floodmark"])
    for name, values in seconds.items():
        best, median = min(values), statistics.median(values)
        print(f"{name:14}{best:9.2f}{median:10.2f}{packets / median / 1e6:13.2f}{median / own:17.2f}")
        rows.append([time.strftime("%Y-%m-%d"), shape, packets, name, f"{best:.3f}", f"{median:.3f}"])
    return rows


def main() -> None:
    """Generate, time, print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--packets", type=int, default=10_000_000, help="of the SYN flood; the bulk capture has a fifth of it")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--folder", type=Path, help="where the captures go (3.7 GB by default); a temporary folder otherwise")
    arguments.add_argument("--record", type=Path, help="append the figures to this CSV file")
    chosen = arguments.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, floodmark uses one"
    )
    print(f"start-up, kernels compiled before: {start_up():.2f} s")
    rows = []
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        for shape, packets in (("syn-flood", chosen.packets), ("bulk", chosen.packets // 5)):
            path = Path(folder) / f"{shape}.pcap"
            corpus.write(shape, packets, path)
            classify(path)
            rows += report(shape, packets, path.stat().st_size, measure(path, chosen.rounds))
            path.unlink()
    if chosen.record:
        chosen.record.parent.mkdir(parents=True, exist_ok=True)
        with chosen.record.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main()
