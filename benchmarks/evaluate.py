"""How often floodmark is right: on captures made from a seed, and on a folder of labelled real ones where it is given.

    python benchmarks/evaluate.py [--seed N]... [--traces DIR] [--list]

Generated captures (benchmarks/traffic) carry the label of every flow, so precision and recall are those of flows. A folder of real ones
holds MANIFEST.tsv with the columns file, class, vector and victim; there the events are compared. What is not as it should be is listed.
"""

import argparse
import csv
import json
import sys
import tempfile
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import floodmark
from floodmark.errors import FloodmarkError
from floodmark.terms import VECTORS

sys.path.insert(0, str(Path(__file__).parent / "traffic"))
import scenarios

CLASSES = ("benign", "volumetric", "application-layer")


@dataclass
class Confusion:
    """Flows by true and by given class."""

    counts: np.ndarray

    def f1(self, number: int) -> float:
        """Return the harmonic mean of precision and recall of one class; 1 where it neither is nor is given."""
        hit = self.counts[number, number]
        total = self.counts[number].sum() + self.counts[:, number].sum()
        return float(2 * hit / total) if total else 1.0

    def macro_f1(self) -> float:
        """Return the mean over the classes."""
        return sum(self.f1(number) for number in range(3)) / 3


def matches(vector: str, wanted: str) -> bool:
    """Tell whether a vector is the wanted one, its child or its parent."""
    return not wanted or vector == wanted or VECTORS[vector][1] == wanted or (wanted in VECTORS and VECTORS[wanted][1] == vector)


def flow_confusion(result: floodmark.Result, labels: Path) -> np.ndarray:
    """Compare the classes of flows with their labels, by end points in either direction; flows without a label are left out."""
    truth = {}
    for src, dst, sport, dport, protocol, label in np.load(labels)["flows"].tolist():
        truth[_key((scenarios.dotted(src), sport), (scenarios.dotted(dst), dport), protocol)] = label
    table = result.flows.to_table().select(["initiator", "responder", "initiator_port", "responder_port", "protocol", "verdict"])
    counts = np.zeros((3, 3), np.int64)
    for row in table.to_pylist():
        key = _key((row["initiator"], row["initiator_port"] or 0), (row["responder"], row["responder_port"] or 0), row["protocol"])
        if key in truth:
            counts[truth[key], CLASSES.index(row["verdict"])] += 1
    return counts


def _key(one: tuple[str, int], other: tuple[str, int], protocol: int) -> tuple[tuple[str, int], tuple[str, int], int]:
    return (min(one, other), max(one, other), protocol)


def evaluate_generated(seed: int, *, listing: bool) -> None:
    """Make every scenario of a seed, classify it, print what is wrong and the totals."""
    total, found, wanted, false_alarms, calm = np.zeros((3, 3), np.int64), 0, 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        scenarios.make_all(Path(folder), seed)
        for capture in tomllib.loads((Path(folder) / "MANIFEST.toml").read_text())["capture"]:
            path = Path(folder) / capture["file"]
            result = floodmark.classify(str(path))
            counts = flow_confusion(result, path.with_name(f"{path.name}.labels.npz"))
            total += counts
            attacks = capture.get("attack", [])
            hits = [any(matches(event.vector, attack["vector"]) for event in result.events) for attack in attacks]
            found, wanted = found + sum(hits), wanted + len(hits)
            calm += not attacks
            false_alarms += not attacks and bool(result.events)
            score = Confusion(counts).macro_f1()
            if listing and (not all(hits) or score < 0.99 or (result.events and not attacks) or len(result.events) > len(attacks)):
                events = [f"{event.vector}@{event.victims[0]} {event.confidence}" for event in result.events]
                print(
                    f"  {capture['name']}: flow F1 {score:.4f}, {counts.tolist()}, wanted {[a['vector'] for a in attacks]}, found {events}"
                )
    confusion = Confusion(total)
    each = ", ".join(f"{name} {confusion.f1(number):.4f}" for number, name in enumerate(CLASSES))
    print(f"generated, seed {seed}: attacks named {found} of {wanted}; false alarms on {false_alarms} of {calm} captures without an attack")
    print(f"generated, seed {seed}: F1 of {total.sum():,} flows: {each}; macro {confusion.macro_f1():.4f}")


def evaluate_real(folder: Path, *, listing: bool) -> None:
    """Classify every capture of a manifest and print how the events compare with it."""
    tally: Counter[str] = Counter()
    with (folder / "MANIFEST.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row in rows:
        kind = row["class"]
        tally[kind] += 1
        try:
            result = floodmark.classify(str(folder / row["file"]))
        except FloodmarkError as error:
            tally[f"{kind} refused"] += 1
            if listing:
                print(f"  {row['file']}: {error}")
            continue
        json.loads(result.to_json())
        outcome = judge(row, result)
        tally[f"{kind} {outcome}"] += 1
        if listing and outcome not in {"right", "quiet", "answered"}:
            print(f"  {row['file']}: {outcome}; found {[f'{event.vector}@{event.victims[0]}' for event in result.events]}")
    attacks = ("volumetric", "application-layer", "attack")
    right = sum(tally[f"{kind} right"] for kind in attacks)
    named = right + sum(tally[f"{kind} class"] for kind in attacks)
    print(f"real attacks {sum(tally[kind] for kind in attacks)}: right class on the named host {named}, right vector too {right}")
    print(f"real benign {tally['benign']}: no event on {tally['benign quiet']} ({tally['benign quiet'] / max(tally['benign'], 1):.1%})")
    print(
        f"real malformed {tally['malformed']}: answered {tally['malformed answered']}, refused with an error {tally['malformed refused']}"
    )


def judge(row: dict[str, str], result: floodmark.Result) -> str:
    """Compare the events of one capture with its row of the manifest."""
    kind = row["class"]
    if kind == "benign":
        return "false alarm" if result.events else "quiet"
    if kind == "malformed":
        return "answered"
    ends = [({*event.victims, *(source.address for source in event.top_sources)}, event) for event in result.events]
    named = [event for hosts, event in ends if not row["victim"] or row["victim"] in hosts]
    classed = [event for event in named if kind in ("attack", event.verdict)]
    if any(matches(event.vector, row["vector"]) for event in classed):
        return "right"
    return "class" if classed else "wrong host or class" if result.events else "missed"


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seed", type=int, action="append", help="of a generated set; several may be given")
    arguments.add_argument("--traces", type=Path, help="folder of labelled real captures")
    arguments.add_argument("--list", action="store_true", dest="listing", help="list the captures that are not as they should be")
    chosen = arguments.parse_args()
    for seed in chosen.seed or [1, 2, 3]:
        evaluate_generated(seed, listing=chosen.listing)
    if chosen.traces and (chosen.traces / "MANIFEST.tsv").is_file():
        evaluate_real(chosen.traces, listing=chosen.listing)
    else:
        print("real captures: none given (--traces DIR, a folder with MANIFEST.tsv)")


if __name__ == "__main__":
    main()
