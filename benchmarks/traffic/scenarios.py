"""Generate labelled captures from a seed: one for each vector amid ordinary traffic, several without any attack, and a demo.

From a name and a seed come a capture, the label of each flow and an entry of MANIFEST.toml. Magnitudes are drawn from the seed, so
that other seeds give other captures of the same kinds.

    python scenarios.py OUT_DIR [--seed N] [NAME...]
"""

import argparse
import datetime as dt
import hashlib
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import calm
import calm_floods
import calm_more
import degrade
import floods
import numpy as np
import reflections
import sessions
from attack import BENIGN, VERDICTS, Attack, Extent, Label, dotted
from cases import CASES, Case
from dialogue import SECOND, Host
from hosts import API, SHOP, SLOW, WEB, local
from numpy.typing import NDArray
from people import ordinary
from wire import ETHERNET, ICMP, LINUX_SLL, RAW_IP, Format, Packet, merge, relink, tagged, tuple_of, write_capture

EPOCH_NS = 1_714_521_600 * SECOND  # 2024-05-01, any date would do
ATTACK_BYTES, ORDINARY_BYTES = 190_000, 52_000  # so that a file stays below 300 kB
KINDS_OF_LINK = (ETHERNET, ETHERNET, ETHERNET, LINUX_SLL, RAW_IP)


class Scenario(NamedTuple):
    """Hold a finished scenario; facts has one dict per attack, or a single one for a benign capture."""

    name: str
    seed: int
    packets: list[Packet]
    rows: NDArray[np.int64]
    facts: list[dict[str, str | int]]
    form: Format
    why: str


SCENES = {**calm.SCENES, **calm_floods.SCENES, **calm_more.SCENES}
# Variants of the cases: changes to the packets once they are merged.
VARIANTS = {
    "one-sided": (
        "tcp-syn-flood",
        "tcp-ack-flood",
        "ntp-amplification",
        "udp-flood",
        "http-get-flood",
        "http-slow-headers",
        "vertical-scan",
    ),
    "snap": ("dns-amplification", "memcached-amplification", "bacnet-amplification", "http-get-flood", "ssh-bruteforce"),
    "midway": ("tcp-syn-flood", "http-get-flood", "http-slow-headers", "ssh-bruteforce"),
}
# Variants of the attack's share of the capture's packets; generated only when named.
STRENGTHS = {f"strength-{percent}": percent / 100 for percent in (1, 5, 10, 25, 50, 75, 90, 99)}
LARGE, LONGER = 20, 4  # factors of "-large" for amount and duration; generated only when named
NAMES = ("demo", *CASES, *(f"{base}-{kind}" for kind, bases in VARIANTS.items() for base in bases), *SCENES)
ACCEPTED = (*NAMES, *(f"{base}-large" for base in CASES))


def draw(rng: random.Random, case: Case) -> tuple[Extent, Host]:
    """Draw an attack's extent (the duration evenly over its orders of magnitude) and its victim, in half of all draws a quiet server."""
    low, high = case.seconds
    victim = case.victim if rng.random() < 0.5 else local(rng.randrange(90, 150))
    return Extent(low * (high / low) ** rng.random(), rng.randint(*case.amount)), victim


def octets(packets: Sequence[Packet]) -> int:
    """Return the size of the packets in a file."""
    return sum(32 + len(packet.frame) for packet in packets)


def attempt(rng: random.Random, at_ns: int, case: Case, kind: str) -> tuple[list[Attack], Extent]:
    """Generate the attack or attacks, and again with a smaller amount while the result is too large for its file."""
    (extent, victim), number = draw(rng, case), rng.getrandbits(64)
    if kind == "large":
        extent = Extent(extent.seconds * LONGER, extent.amount * LARGE)
    attacks = _made(case, number, at_ns, (extent, victim))
    while kind != "large" and sum(octets(attack.packets) for attack in attacks) > ATTACK_BYTES:
        size = sum(octets(attack.packets) for attack in attacks)
        extent = extent._replace(amount=int(extent.amount * 0.9 * ATTACK_BYTES / size))
        attacks = _made(case, number, at_ns, (extent, victim))
    return attacks, extent


def _made(case: Case, number: int, at_ns: int, drawn: tuple[Extent, Host]) -> list[Attack]:
    made = case.make(random.Random(number), at_ns, *drawn)
    return [made] if isinstance(made, Attack) else list(made)


def flow_rows(ordinary_packets: Sequence[Packet], attacks: Sequence[Attack]) -> NDArray[np.int64]:
    """Return a row for each IPv4 flow: src, dst, sport, dport, protocol, label; an attack's label takes precedence over benign."""
    rows: dict[tuple[tuple[int, int], tuple[int, int], int], tuple[int, ...]] = {}
    groups = [(attack.packets, attack.label) for attack in attacks]
    for packets, label in [*groups, (ordinary_packets, Label("ordinary", BENIGN, ""))]:
        for packet in merge(packets):
            ends = tuple_of(packet.frame)
            if ends is None or (ends.protocol == ICMP and dotted(ends.src) == label.victim):
                continue  # an error or echo that the victim returns is neither attack nor benign
            one, two = sorted(((ends.src, ends.sport), (ends.dst, ends.dport)))
            rows.setdefault((one, two, ends.protocol), (*ends, label.verdict))
    return np.array(list(rows.values()), dtype=np.int64).reshape(-1, 6)


def fact(name: str, seed: int, label: Label, packets: Sequence[Packet]) -> dict[str, str | int]:
    """Return what is known about one attack, or about a benign capture."""
    return {
        "name": name,
        "seed": seed,
        "vector": label.vector,
        "verdict": VERDICTS[label.verdict],
        "victim": label.victim,
        "start": moment(min((packet.time_ns for packet in packets), default=0)),
        "end": moment(max((packet.time_ns for packet in packets), default=0)),
        "packets": len(packets),
    }


def moment(time_ns: int) -> str:
    """Return a time in RFC 3339 format, with nanoseconds."""
    seconds, rest = divmod(time_ns, SECOND)
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def draw_form(rng: random.Random) -> Format:
    """Draw the capture file format."""
    return Format(rng.choice(KINDS_OF_LINK), rng.random() < 0.3, rng.random() < 0.25, rng.random() < 0.4)


def finish(scenario: Scenario, rng: random.Random) -> Scenario:
    """Convert the packets to the scenario's link type, in some scenarios on a VLAN."""
    packets = relink(scenario.packets, scenario.form.link_type)
    if scenario.form.link_type == ETHERNET and rng.random() < 0.2:
        packets = tagged(packets, rng.randrange(2, 4000))
    return scenario._replace(packets=packets)


def seeded(name: str, seed: int) -> tuple[random.Random, int]:
    """Return the generator of a scenario and the time at which it begins."""
    rng = random.Random(f"{seed} {name}")
    return rng, EPOCH_NS + rng.randrange(300 * 86400) * SECOND + rng.randrange(SECOND)


def attack_scenario(name: str, seed: int) -> Scenario:
    """Generate one attack amid ordinary traffic, complete or as a variant."""
    base, kind = variant_of(name)
    case, (rng, at_ns), secret = CASES[base], seeded(name, seed), seed * 7919 + len(name)
    quiet, plenty = rng.uniform(6, 20), kind in degrade.SAMPLING
    attacks, extent = attempt(rng, at_ns + int(quiet * SECOND), case, "large" if plenty else kind)
    seconds = quiet + extent.seconds + rng.uniform(4, 15)
    if kind in STRENGTHS:
        of_attack = sum(len(attack.packets) for attack in attacks)
        calm_packets = so_many(rng, at_ns, seconds, round(of_attack * (1 / STRENGTHS[kind] - 1)))
    else:
        calm_packets = ordinary(rng, at_ns, seconds, ORDINARY_BYTES * (10 if plenty else 1))
    change = degrade.changes(rng, at_ns + int((quiet + extent.seconds / 3) * SECOND), secret).get(kind, list)
    attacks = [attack._replace(packets=change(merge(attack.packets))) for attack in attacks]
    calm_packets = change(merge(calm_packets))
    if kind == "first-100":
        calm_packets, *cut = first_packets([calm_packets, *(attack.packets for attack in attacks)])
        attacks = [attack._replace(packets=packets) for attack, packets in zip(attacks, cut, strict=True)]
    rows = flow_rows(calm_packets, attacks)
    facts = [fact(name, seed, renamed(attack.label, kind, secret), attack.packets) for attack in attacks]
    why = case.why + (f"; {kind}" if kind else "")
    packets = merge(calm_packets, *(attack.packets for attack in attacks))
    return finish(Scenario(name, seed, packets, rows, facts, draw_form(rng), why), rng)


def so_many(rng: random.Random, at_ns: int, seconds: float, count: int) -> list[Packet]:
    """Return everyday traffic of about ``count`` packets, in whole flows."""
    some = ordinary(rng, at_ns, seconds, ORDINARY_BYTES)
    plenty = ordinary(rng, at_ns, seconds, max(int(1.5 * ORDINARY_BYTES * count / len(some)), ORDINARY_BYTES))
    flows: dict[object, list[Packet]] = {}
    for packet in plenty:
        ends = tuple_of(packet.frame)
        flows.setdefault(frozenset((ends[:2], ends[2:4])) if ends else None, []).append(packet)
    kept: list[Packet] = []
    for packets in rng.sample(list(flows.values()), len(flows)):
        if len(kept) >= count:
            break
        kept += packets
    return kept


def first_packets(streams: list[list[Packet]]) -> list[list[Packet]]:
    """Return each stream's part of the first packets from the start of the attack, which consists of all streams but the first."""
    start_ns = min((packets[0].time_ns for packets in streams[1:] if packets), default=0)
    times = sorted(packet.time_ns for packets in streams for packet in packets if packet.time_ns >= start_ns)
    until_ns = times[: degrade.FIRST_PACKETS][-1] if times else 0
    return [[packet for packet in packets if start_ns <= packet.time_ns <= until_ns] for packets in streams]


def renamed(label: Label, kind: str, secret: int) -> Label:
    """Return a label with the victim's address as the capture shows it."""
    if kind != "anonymised" or "/" in label.victim or not label.victim:
        return label
    address = int.from_bytes(bytes(map(int, label.victim.split("."))), "big")
    return label._replace(victim=dotted(degrade.other_address(address, secret)))


def variant_of(name: str) -> tuple[str, str]:
    """Return the base scenario of a name and its variant, if any."""
    for kind in (*VARIANTS, *degrade.KINDS, *STRENGTHS, "large"):
        base = name.removesuffix(f"-{kind}")
        if base != name and (base in CASES or base in SCENES):
            return base, kind
    return name, ""


def calm_scenario(name: str, seed: int) -> Scenario:
    """Generate a capture without an attack."""
    base, kind = variant_of(name)
    rng, at_ns = seeded(base, seed)
    scene = SCENES[base]
    packets = merge(scene.play(rng, at_ns))
    if kind:
        packets = degrade.changes(random.Random(seed), at_ns + 10 * SECOND, seed).get(kind, list)(packets)
        packets = packets[: degrade.FIRST_PACKETS] if kind == "first-100" else packets
    whole = finish(Scenario(name, seed, packets, flow_rows(packets, []), [], draw_form(rng), scene.why), rng)
    return whole._replace(facts=[fact(name, seed, Label(scene.vector, BENIGN, ""), whole.packets)])


def demo(name: str, seed: int) -> Scenario:
    """Generate two minutes of a site under four attacks amid its ordinary traffic."""
    rng, at_ns = seeded(name, seed)
    plan = (
        (floods.spoofed_syn_flood, WEB, 15, Extent(rng.uniform(4, 9), rng.randint(2500, 3300))),
        (reflections.dns_amplification, API, 35, Extent(rng.uniform(5, 10), rng.randint(210, 270))),
        (sessions.get_flood, SHOP, 62, Extent(rng.uniform(5, 9), rng.randint(850, 1100))),
        (sessions.slow_headers, SLOW, 50, Extent(rng.uniform(55, 64), rng.randint(90, 130))),
    )
    calm_packets = ordinary(rng, at_ns, 120, 380_000)
    attacks = [make(rng, at_ns + int((after + rng.uniform(-3, 3)) * SECOND), extent, victim) for make, victim, after, extent in plan]
    facts = [fact(name, seed, attack.label, attack.packets) for attack in attacks]
    packets = merge(calm_packets, *(attack.packets for attack in attacks))
    why = "four attacks on four servers in two minutes of ordinary traffic"
    return Scenario(name, seed, packets, flow_rows(calm_packets, attacks), facts, Format(), why)


def make(name: str, seed: int) -> Scenario:
    """Generate the scenario of that name."""
    if name == "demo":
        return demo(name, seed)
    return calm_scenario(name, seed) if variant_of(name)[0] in SCENES else attack_scenario(name, seed)


def save(folder: Path, scenario: Scenario) -> str:
    """Write the capture and its labels, and return its entry of the manifest."""
    name = f"{scenario.name}-{scenario.seed}.{'pcapng' if scenario.form.pcapng else 'pcap'}"
    data = write_capture(folder / name, scenario.packets, scenario.form)
    np.savez_compressed(folder / f"{name}.labels.npz", flows=scenario.rows, facts=np.array(json.dumps(scenario.facts)))
    whole: dict[str, str | int] = {
        "file": name,
        "name": scenario.name,
        "seed": scenario.seed,
        "sha256": hashlib.sha256(data).hexdigest(),
        "link_type": scenario.form.link_type,
        "packets": len(scenario.packets),
        "label": str(scenario.facts[0]["verdict"]),
        "why": scenario.why,
    }
    text = "[[capture]]\n" + toml_lines(whole)
    for each in scenario.facts:
        kept = {key: value for key, value in each.items() if key not in {"name", "seed"}}
        text += ("\n[[capture.attack]]\n" if each["verdict"] != "benign" else "\n[capture.benign]\n") + toml_lines(kept)
    return text


def toml_lines(values: dict[str, str | int]) -> str:
    """Return keys and values as TOML; JSON strings are TOML strings."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def make_all(folder: Path, seed: int = 1, names: Sequence[str] = NAMES) -> list[str]:
    """Write all scenarios, or those named, with their labels and MANIFEST.toml; return the file's entries."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = [save(folder, make(name, seed)) for name in names]
    (folder / "MANIFEST.toml").write_text("# Made by scenarios.py; do not edit.\n\n" + "\n".join(entries), encoding="utf-8")
    return entries


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and write the scenarios it names."""
    parser = argparse.ArgumentParser(description="Write labelled captures and MANIFEST.toml.")
    parser.add_argument("out_dir", type=Path)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one of: {', '.join(NAMES)} (default: all these), or an attack's name with -large"
    )
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_intermixed_args(arguments)
    wrong = [name for name in chosen.names if name not in ACCEPTED]
    if wrong:
        parser.error(f"no scenario is named {', '.join(wrong)}")
    entries = make_all(chosen.out_dir, chosen.seed, chosen.names or NAMES)
    sys.stdout.write(f"{len(entries)} captures in {chosen.out_dir}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
