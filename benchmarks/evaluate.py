"""Measure floodmark's accuracy: on generated captures, on their degraded forms, on splices and on a folder of labelled real captures.

    python benchmarks/evaluate.py [--seed N]... [--traces DIR] [--list] [--grid] [--baselines] [--page OUT.html]

Generated captures (benchmarks/traffic) carry the label of every flow. A folder of real ones holds MANIFEST.tsv with the columns file,
class, vector and victim; there the events are compared. Confidence intervals are 95 %: Wilson's for shares of captures, and a bootstrap
by capture for flow figures. Wrong results are listed.
"""

import argparse
import csv
import io
import json
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

import floodmark
from floodmark.errors import FloodmarkError

sys.path.insert(0, str(Path(__file__).parent / "traffic"))
sys.path.insert(0, str(Path(__file__).parent))
import scenarios
from cases import CASES
from degrade import KINDS
from scenarios import SCENES, Scenario, dotted
from wire import pcap_bytes, pcapng_bytes

import baselines
from judging import CLASSES, Confusion, Judged, judge_real, judge_scenario, matches, names
from splices import splices

SPLICES = 60
FIRST_LOOK = 25  # packets of an attack; then doubled, and so on
BOOTSTRAPS = 1000
EVERY = 3  # every third attack is tried with much and little ordinary traffic
GOOD = ("right", "not assessable")


def classify(scenario: Scenario) -> floodmark.Result:
    """Classify a scenario in the capture format that its seed chose."""
    write = pcapng_bytes if scenario.form.pcapng else pcap_bytes
    return floodmark.classify(io.BytesIO(write(scenario.packets, scenario.form)))


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % confidence bounds of a share."""
    if not count:
        return 0.0, 1.0
    z, share = 1.96, hits / count
    middle, width = share + z * z / (2 * count), z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max((middle - width) / (1 + z * z / count), 0.0), min((middle + width) / (1 + z * z / count), 1.0)


def share(hits: int, count: int) -> str:
    """Format a share with its confidence bounds."""
    low, high = wilson(hits, count)
    return f"{hits} of {count} ({hits / max(count, 1):.1%}; {low:.1%} to {high:.1%})"


def evaluate_generated(seeds: Iterable[int], *, listing: bool) -> list[Judged]:
    """Generate and classify every scenario of some seeds, and print the accuracy of the results."""
    judged = []
    for seed in seeds:
        for name in scenarios.NAMES:
            scenario = scenarios.make(name, seed)
            result = classify(scenario)
            judged.append(judge_scenario(scenario, result))
            if listing and _is_odd(judged[-1]):
                events = [f"{event.vector}@{event.victims[0]} {event.confidence}" for event in result.events]
                print(f"  {name}-{seed}: flow F1 {Confusion(judged[-1].flows[0]).macro_f1():.4f}, {judged[-1].outcomes}, found {events}")
    _print_events(judged)
    _print_flows(judged)
    _print_vectors(judged)
    _print_calibration(judged)
    return judged


def _is_odd(one: Judged) -> bool:
    """Return whether a result is worth a look: a miss, a false positive, flows of the wrong class."""
    wrong = any(outcome not in GOOD for _, outcome in one.outcomes) or any(not right for *_, right in one.events)
    return wrong or Confusion(one.flows[0]).macro_f1() < 0.99


def _print_events(judged: list[Judged]) -> None:
    outcomes = Counter(outcome for one in judged for _, outcome in one.outcomes)
    wanted = sum(outcomes.values()) - outcomes["gone"]
    print(f"generated: attacks named {share(outcomes['right'], wanted)}; {dict(outcomes)}")
    events = [right for one in judged for *_, right in one.events]
    print(f"generated: events that are right {share(sum(events), len(events))}")
    calm = [one for one in judged if not one.outcomes]
    print(f"generated: calm captures without an event {share(sum(not one.events for one in calm), len(calm))}")
    late = np.array([bound for one in judged for bound in one.bounds_s])
    if len(late):
        start, end = np.percentile(np.abs(late), (50, 90), axis=0).T
        overlaps, parts = ([value for one in judged for value in values(one)] for values in (lambda o: o.overlaps, lambda o: o.fragments))
        shares = ", ".join(f"{least} of {np.mean(np.array(overlaps) >= least):.1%}" for least in (0.1, 0.3, 0.5, 0.9))
        print(f"generated: time in common over time of either, at least {shares}; events for one attack {np.mean(parts):.2f}")
        print(f"generated: start off by {start[0]:.3f} s in the median, {start[1]:.3f} s in nine of ten; end {end[0]:.3f}, {end[1]:.3f}")


def _print_flows(judged: list[Judged]) -> None:
    tables = np.array([one.flows for one in judged])
    for place, what in enumerate(("flows", "packets", "octets")):
        confusion = Confusion(tables[:, place].sum(axis=0))
        each = "; ".join(
            f"{name} {confusion.precision(n):.4f} {confusion.recall(n):.4f} {confusion.f1(n):.4f}" for n, name in enumerate(CLASSES)
        )
        low, high = _bootstrap(tables[:, place])
        print(f"generated, {confusion.counts.sum():,} {what}, precision recall F1: {each}")
        print(f"generated, {what}: macro F1 {confusion.macro_f1():.4f} ({low:.4f} to {high:.4f})")
    beside, kept = (sum(one.beside[n] for one in judged) for n in (0, 1))
    print(f"generated: ordinary flows of hosts under attack that stay benign {kept:,} of {beside:,} ({kept / max(beside, 1):.4f})")


def _bootstrap(tables: np.ndarray) -> tuple[float, float]:
    """Return the bounds of macro F1 when captures are resampled."""
    rng = np.random.default_rng(1)
    scores = [Confusion(tables[rng.integers(0, len(tables), len(tables))].sum(axis=0)).macro_f1() for _ in range(BOOTSTRAPS)]
    low, high = np.percentile(scores, (2.5, 97.5))
    return float(low), float(high)


def _print_vectors(judged: list[Judged]) -> None:
    """Print recall and precision per vector: how many of its attacks were named so and how many events of that name were right."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for one in judged:
        for vector, outcome in one.outcomes:
            found[vector][outcome] += 1
        for vector, _, right in one.events:
            found[vector]["said"] += 1
            found[vector]["said rightly"] += right
    print(f"{'vector':28} attacks named  recall  events right  precision")
    for vector, counts in sorted(found.items()):
        attacks = sum(counts[outcome] for outcome in ("right", "wrong", "missed", "not assessable"))
        recall, precision = counts["right"] / max(attacks, 1), counts["said rightly"] / max(counts["said"], 1)
        said = f"{counts['said rightly']:5} of {counts['said']:4} {precision:10.3f}"
        print(f"{vector:28} {counts['right']:4} of {attacks:4} {recall:8.3f} {said}")


def reliability(judged: list[Judged]) -> list[tuple[float, float, int]]:
    """Return (mean confidence, share that is right, events) for each of 20 bins of confidence that has events."""
    events = [(confidence, right) for one in judged for _, confidence, right in one.events]
    bins: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for confidence, right in events:
        bins[min(int(confidence * 20), 19)].append((confidence, right))
    return [(sum(c for c, _ in kept) / len(kept), sum(r for _, r in kept) / len(kept), len(kept)) for _, kept in sorted(bins.items())]


def _print_calibration(judged: list[Judged]) -> None:
    bins = reliability(judged)
    count = sum(events for *_, events in bins)
    error = sum(abs(said - right) * events for said, right, events in bins) / max(count, 1)
    brier = [(confidence - right) ** 2 for one in judged for _, confidence, right in one.events]
    print("confidence said, share right, events: " + "; ".join(f"{said:.2f} {right:.3f} {events}" for said, right, events in bins))
    print(f"expected calibration error {error:.3f}, Brier score {sum(brier) / max(len(brier), 1):.4f}")


def evaluate_grid(seeds: Iterable[int], *, listing: bool) -> dict[str, Counter[str]]:
    """Degrade every scenario in every way and print how often the result is right or not assessable."""
    grid: dict[str, Counter[str]] = {}
    for kind in KINDS:
        counts: Counter[str] = Counter()
        for seed in seeds:
            for base in (*CASES, *SCENES):
                scenario = scenarios.make(f"{base}-{kind}", seed)
                one = judge_scenario(scenario, classify(scenario))
                counts.update(outcome for _, outcome in one.outcomes)
                counts.update("calm" if not one.events else "false alarm" for _ in range(not one.outcomes))
                counts["confidently wrong"] += sum(confidence >= 0.9 and not right for _, confidence, right in one.events)
                if listing and (any(o in ("wrong", "missed") for _, o in one.outcomes) or (one.events and not one.outcomes)):
                    print(f"  {scenario.name}-{seed}: {one.outcomes}, found {one.events}")
        grid[kind] = counts
        wanted = sum(counts[o] for o in ("right", "not assessable", "wrong", "missed"))
        good = counts["right"] + counts["not assessable"]
        print(
            f"degraded, {kind:13} right or not assessable {share(good, wanted)}; right {counts['right']}, wrong {counts['wrong']}, "
            f"missed {counts['missed']}, nothing left {counts['gone']}; confidently wrong {counts['confidently wrong']}; "
            f"false alarms {counts['false alarm']} of {counts['calm'] + counts['false alarm']}"
        )
    return grid


def evaluate_strengths(seed: int, *, listing: bool) -> dict[str, tuple[int, int, float]]:
    """Put every third attack into ever less ordinary traffic. Returns by strength: attacks right or not assessable, attacks, macro F1."""
    found = {}
    for kind in scenarios.STRENGTHS:
        judged = []
        for base in list(CASES)[::EVERY]:
            scenario = scenarios.make(f"{base}-{kind}", seed)
            judged.append(judge_scenario(scenario, classify(scenario)))
            if listing and _is_odd(judged[-1]):
                print(f"  {scenario.name}-{seed}: flow F1 {Confusion(judged[-1].flows[0]).macro_f1():.4f}, {judged[-1].outcomes}")
        outcomes = Counter(outcome for one in judged for _, outcome in one.outcomes)
        events = [right for one in judged for *_, right in one.events]
        score = Confusion(sum(one.flows[0] for one in judged)).macro_f1()
        beside, kept = (sum(one.beside[n] for one in judged) for n in (0, 1))
        good, wanted = outcomes["right"] + outcomes["not assessable"], sum(outcomes.values())
        found[kind] = good, wanted, score
        print(
            f"{kind:12} of the packets: attacks named {outcomes['right']}, or not assessable {share(good, wanted)}; events right "
            f"{sum(events)} of {len(events)}; flows' macro F1 {score:.4f}; bystanders {kept:,} of {beside:,} ({kept / max(beside, 1):.4f})"
        )
    return found


def evaluate_delay(seed: int) -> None:
    """Print how much of an attack must be seen before its event is right, as if the capture had ended then."""
    packets, seconds = [], []
    for base in CASES:
        scenario = scenarios.make(base, seed)
        if judge_scenario(scenario, classify(scenario)).outcomes[0][1] != "right":
            continue
        start, end = (_ns(scenario.facts[0][key]) for key in ("start", "end"))
        for count in (2**n * FIRST_LOOK for n in range(20)):
            seen = _until(scenario, start, count)
            if judge_scenario(seen, classify(seen)).outcomes[0][1] == "right" or len(seen.packets) == len(scenario.packets):
                packets.append(count)
                seconds.append((min(seen.packets[-1].time_ns, end) - start) / 1e9)
                break
    middle, most = np.percentile(packets, (50, 90)), np.percentile(seconds, (50, 90))
    print(f"told after {middle[0]:.0f} packets in the median, {middle[1]:.0f} in nine of ten; {most[0]:.2f} s and {most[1]:.2f} s")


def _ns(moment: str | int) -> int:
    return int(np.datetime64(str(moment).rstrip("Z"), "ns").astype(np.int64))


def _until(scenario: Scenario, start_ns: int, count: int) -> Scenario:
    """Return a scenario cut off after ``count`` packets from ``start_ns`` on."""
    later = [packet.time_ns for packet in scenario.packets if packet.time_ns >= start_ns][:count]
    return scenario._replace(packets=[packet for packet in scenario.packets if packet.time_ns <= later[-1]])


def evaluate_splices(folder: Path, seed: int, *, listing: bool) -> None:
    """Splice attacks into real benign captures and print how many are found on their victims."""
    outcomes: Counter[str] = Counter()
    for splice in splices(folder, seed, SPLICES):
        result = floodmark.classify(io.BytesIO(splice.data))
        [fact] = splice.facts
        right = any(matches(event.vector, str(fact["vector"])) and names(event, str(fact["victim"])) for event in result.events)
        not_assessable = {vector for one in result.not_assessable for vector in one.vectors}
        outcome = "right" if right else "not assessable" if fact["vector"] in not_assessable else "wrong" if result.events else "missed"
        outcomes[outcome] += 1
        if listing and outcome not in GOOD:
            print(
                f"  {splice.name}: {outcome}; found {[f'{event.vector}@{event.victims[0]} {event.confidence}' for event in result.events]}"
            )
    print(f"spliced into real captures: named {share(outcomes['right'], sum(outcomes.values()))}; {dict(outcomes)}")


Detector = Callable[[list[baselines.Seen]], int | None]


def evaluate_baselines(seeds: Iterable[int]) -> dict[str, tuple[int, int, int, int]]:
    """Run the baselines on the same captures. Returns by method: attacks whose host it names, attacks, false positives, calm captures."""
    methods: dict[str, Detector] = {
        "FastNetMon, its thresholds": baselines.fastnetmon,
        "FastNetMon, tuned": lambda packets: baselines.fastnetmon(packets, pps=60, mbps=20, flows=50),
        "DDoS dissector's method": baselines.dissector,
        "entropy of a second's mix": baselines.entropy,
    }
    sums = {name: np.zeros(4, np.int64) for name in (*methods, "floodmark")}
    for seed in seeds:
        for name in scenarios.NAMES:
            scenario = scenarios.make(name, seed)
            packets, result = baselines.parse(scenario), classify(scenario)
            victims = [str(fact["victim"]) for fact in scenario.facts if fact["verdict"] != "benign"]
            said = {method: _alarm(detect(packets)) for method, detect in methods.items()}
            hosts = {host for event in result.events for host in (*event.victims, *(source.address for source in event.top_sources))}
            for method in sums:
                found = hosts if method == "floodmark" else said[method]
                hit = sum(any(_is_at(host, victim) for host in found) for victim in victims)
                sums[method] += (hit, len(victims), not victims and bool(found), not victims)
    for method, (hit, wanted, alarms, calm) in sums.items():
        print(f"{method:28} host of the attack {share(int(hit), int(wanted))}; false alarms {share(int(alarms), int(calm))}")
    return {method: tuple(int(value) for value in values) for method, values in sums.items()}  # type: ignore[misc] # four of them


def _alarm(host: int | None) -> set[str]:
    return set() if host is None else {dotted(host)}


def _is_at(host: str, victim: str) -> bool:
    """Return whether a host is the victim, or is in the victim prefix."""
    return host == victim or ("/" in victim and "." in host and host.rpartition(".")[0] == victim.rpartition(".")[0])


def evaluate_forest(train: Iterable[int], test: Iterable[int]) -> None:
    """Train a forest on the flows of some seeds and print its macro F1 on those of others, if scikit-learn is installed."""
    try:
        from sklearn.ensemble import RandomForestClassifier  # type: ignore[import-not-found, import-untyped, unused-ignore] # noqa: PLC0415
    except ImportError:
        print("forest on columns of flows: scikit-learn is not installed")
        return
    inputs, labels = _flow_sets(train)
    forest = RandomForestClassifier(n_estimators=100, random_state=1, n_jobs=-1).fit(inputs, labels)
    inputs, labels = _flow_sets(test)
    counts = np.zeros((3, 3), np.int64)
    np.add.at(counts, (labels, forest.predict(inputs)), 1)
    print(f"forest on columns of flows: macro F1 {Confusion(counts).macro_f1():.4f} on the flows of other seeds of the same generator")


def _flow_sets(seeds: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
    from judging import truth_of  # noqa: PLC0415 - beside the import that may fail

    inputs, labels = [], []
    for seed in seeds:
        for name in scenarios.NAMES:
            scenario = scenarios.make(name, seed)
            table = classify(scenario).flows.to_table()
            known = truth_of(table, scenario.rows)
            inputs.append(baselines.features(table)[known >= 0])
            labels.append(known[known >= 0])
    return np.concatenate(inputs), np.concatenate(labels)


def evaluate_real(folder: Path, *, listing: bool) -> None:
    """Classify every capture of a manifest and print how its events compare with the manifest."""
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
        outcome = judge_real(row, result)
        tally[f"{kind} {outcome}"] += 1
        if listing and outcome not in {"right", "quiet", "answered"}:
            print(f"  {row['file']}: {outcome}; found {[f'{event.vector}@{event.victims[0]}' for event in result.events]}")
    attacks = ("volumetric", "application-layer", "attack")
    right = sum(tally[f"{kind} right"] for kind in attacks)
    named = right + sum(tally[f"{kind} class"] for kind in attacks)
    print(f"real attacks {sum(tally[kind] for kind in attacks)}: right class on the named host {named}, right vector too {right}")
    print(f"real benign: no event on {share(tally['benign quiet'], tally['benign'])}")
    print(
        f"real malformed {tally['malformed']}: answered {tally['malformed answered']}, refused with an error {tally['malformed refused']}"
    )


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seed", type=int, action="append", help="of a generated set; several may be given")
    arguments.add_argument("--traces", type=Path, help="folder of labelled real captures")
    arguments.add_argument("--list", action="store_true", dest="listing", help="list the captures that are not as they should be")
    arguments.add_argument("--grid", action="store_true", help="degrade the captures of the first seed in every way")
    arguments.add_argument("--strengths", action="store_true", help="let attacks be from 1 to 99 of a hundred packets, on the first seed")
    arguments.add_argument("--baselines", action="store_true", help="run other methods beside, on the first seed")
    arguments.add_argument("--page", type=Path, metavar="OUT.html", help="write the figures as a page with plots (matplotlib)")
    chosen = arguments.parse_args()
    seeds = chosen.seed or [1, 2, 3]
    judged = evaluate_generated(seeds, listing=chosen.listing)
    grid = evaluate_grid(seeds[:1], listing=chosen.listing) if chosen.grid else {}
    strengths = evaluate_strengths(seeds[0], listing=chosen.listing) if chosen.strengths else {}
    if chosen.grid:
        evaluate_delay(seeds[0])
    others = evaluate_baselines(seeds[:1]) if chosen.baselines else {}
    if chosen.baselines:
        evaluate_forest(seeds[1:] or [seeds[0] + 1], seeds[:1])
    if chosen.traces and (chosen.traces / "MANIFEST.tsv").is_file():
        evaluate_splices(chosen.traces, seeds[0], listing=chosen.listing)
        evaluate_real(chosen.traces, listing=chosen.listing)
    else:
        print("real captures: none given (--traces DIR, a folder with MANIFEST.tsv)")
    if chosen.page:
        from page import write_page  # noqa: PLC0415 - matplotlib is needed only for this

        write_page(chosen.page, judged, (reliability(judged), grid, strengths, others))


if __name__ == "__main__":
    main()
