"""Change captures at random and see that each gets an answer or a clear error: no crash, no hang, no memory without bound.

    python tests/fuzz.py --seconds 60 [--traces DIR] [--seed N]

Inputs grow from the corpus beside this file and from small captures in DIR. What shows something not seen before (an outcome, a remark,
a kind of frame or tunnel, a problem) is kept and changed further. Small inputs are also read by the oracles, which must agree. A child
does the work, so that its death and its silence are seen; what kills it, hangs, or breaks a promise is written to the corpus, where a
test repeats it. Compiled code tells no fuzzer which of its branches ran, so what an input shows stands for them.
"""

import argparse
import hashlib
import io
import multiprocessing
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "benchmarks" / "traffic")]

CORPUS = HERE / "corpus"
HANG_S = 10.0
MOST_BYTES = 64 << 10  # of an input: most faults show in few packets
ORACLE_BYTES = 2 << 10
FORMATS = ("pcap", "pcap-ns", "pcapng", "snoop")  # that the oracles read
MOST_MEMORY_KIB = 2 << 20  # resident, of a child that reads small inputs one after the other
_NUMBERS = (0, 1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 20, 24, 28, 32, 40, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def overwrite(data: bytearray, rng: random.Random, _: list[bytes]) -> None:
    """Change some octets."""
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        data[rng.randrange(len(data))] = rng.randrange(256)


def put_number(data: bytearray, rng: random.Random, _: list[bytes]) -> None:
    """Write a number at the edge of something, in either order."""
    size = rng.choice((1, 2, 4))
    at, value = rng.randrange(len(data)), rng.choice(_NUMBERS) & (1 << 8 * size) - 1
    data[at : at + size] = value.to_bytes(size, rng.choice(("little", "big")))


def cut(data: bytearray, rng: random.Random, _: list[bytes]) -> None:
    """Take octets out, or the end off."""
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 2, 4, 8, 60, len(data)))]


def repeat(data: bytearray, rng: random.Random, _: list[bytes]) -> None:
    """Put a stretch in once more."""
    at = rng.randrange(len(data))
    stretch = data[at : at + rng.choice((1, 4, 16, 70, 300))]
    place = rng.randrange(len(data))
    data[place:place] = stretch * rng.choice((1, 1, 3, 20))


def splice(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    """Put a stretch of another input in, or over what is there."""
    other = rng.choice(others)
    at, place = rng.randrange(len(other)), rng.randrange(len(data))
    stretch = other[at : at + rng.choice((4, 16, 60, 300))]
    data[place : place + rng.choice((0, len(stretch)))] = stretch


CHANGES: tuple[Callable[[bytearray, random.Random, list[bytes]], None], ...] = (
    overwrite,
    overwrite,
    put_number,
    put_number,
    cut,
    repeat,
    splice,
)


def changed(rng: random.Random, inputs: list[bytes]) -> bytes:
    """Return an input changed a few times."""
    data = bytearray(rng.choice(inputs))
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        if data:
            rng.choice(CHANGES)(data, rng, inputs)
    return bytes(data[:MOST_BYTES])


def examine(data: bytes) -> frozenset[Any]:
    """Classify an input and return what it showed. Raises AssertionError where a promise is broken."""
    import floodmark  # noqa: PLC0415 - in the child, after the environment is set
    from floodmark.captures.settings import FlowSettings  # noqa: PLC0415
    from floodmark.captures.source import source_of  # noqa: PLC0415
    from floodmark.flows.metering import Meter  # noqa: PLC0415
    from reference.comparing import compare_packets  # noqa: PLC0415

    options = floodmark.Options(keep_going=True)
    try:
        result = floodmark.classify(io.BytesIO(data), options=options)
    except floodmark.CaptureError as error:
        if error.offset is None:
            raise AssertionError("an error without an offset") from error
        return frozenset({type(error).__name__, str(error).partition(":")[2][:30]})
    totals = result.totals
    apart = sum(totals.packets_not_ip.values()) + sum(totals.packets_refused.values())
    assert totals.packets == totals.packets_in_flows + apart, "packets are lost"
    counted = sum(count.packets for count in result.verdicts.values())
    assert counted == totals.packets_in_flows, "verdicts do not add up"
    result.to_json()
    table = result.flows.to_table()
    with source_of(io.BytesIO(data)).reader() as reader:
        read = Meter(FlowSettings(), seed=1).read(reader)
    plain = result.captures[0].compression is None and result.captures[0].format in FORMATS
    if plain and len(data) <= ORACLE_BYTES:
        differences = compare_packets(data)
        assert not differences, differences[0]
    seen = {("ethertype", code) for code in read.ethertypes} | {("link", code) for code in read.link_type_counts}
    seen |= {("outcome", int(code)) for code in read.tally.outcome_count.nonzero()[0]}
    seen |= {("problem", problem.kind) for problem in result.captures[0].problems}
    seen |= {("tunnel", name) for name in table["tunnel"].unique().to_pylist()}
    seen |= {("protocol", number) for number in table["protocol"].unique().to_pylist()}
    seen |= {("vector", event.vector) for event in result.events} | {("format", result.captures[0].format, result.captures[0].compression)}
    return frozenset(seen)


def work(inputs: list[bytes], seed: int, parent: Connection) -> None:
    """Change and examine inputs for ever; say which before, and what came of it after."""
    rng, known = random.Random(seed), set[Any]()
    for data in inputs:
        known |= examine(data)
    parent.send(("ready", b"", ""))
    while True:
        data = changed(rng, inputs)
        parent.send(("begin", data, ""))
        try:
            seen = examine(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a find
            parent.send(("broken", data, f"{type(error).__name__}: {error}"[:300]))
            continue
        if data and not seen <= known:
            known |= seen
            inputs.append(data)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > MOST_MEMORY_KIB
        parent.send(("grown" if grown else "done", data, ""))
        if grown:
            return


def seeds(traces: Path | None) -> Iterator[bytes]:
    """Yield the inputs to begin with: the corpus, and small captures."""
    paths = sorted(CORPUS.iterdir())
    if traces is not None:
        paths += sorted(path for path in traces.rglob("*") if path.is_file() and 24 < path.stat().st_size <= MOST_BYTES)
    for path in paths:
        yield path.read_bytes()


class Campaign:
    """A child at work, and what it found."""

    def __init__(self, inputs: list[bytes], seed: int, save: Path) -> None:
        self._inputs, self._seed, self._save = inputs, seed, save
        self.runs, self.finds = 0, dict[str, str]()
        self._start()

    def _start(self) -> None:
        self._at, child = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("spawn")
        self._child = context.Process(target=work, args=(self._inputs, self._seed + self.runs, child), daemon=True)
        self._child.start()
        child.close()
        self._current = b""

    def _keep(self, kind: str, data: bytes, what: str) -> None:
        """Write a find to the corpus, once for each thing that went wrong."""
        name = f"{kind}-{hashlib.sha256(data).hexdigest()[:12]}"
        if what not in self.finds.values():
            self.finds[name] = what
            (self._save / name).write_bytes(data)
            sys.stdout.write(f"{name}: {what}\n")
            sys.stdout.flush()

    def _again(self) -> None:
        self._child.kill()
        self._child.join()
        self._start()

    def run_until(self, end: float) -> None:
        """Listen to the child until a time, and begin another where it falls silent or ends."""
        waiting = max(120.0, HANG_S)  # it may have to compile first
        while time.monotonic() < end:
            try:
                if not self._at.poll(waiting):
                    self._keep("hang", self._current, f"no answer within {HANG_S:.0f} s")
                    self._again()
                    continue
                kind, data, what = self._at.recv()
            except (EOFError, OSError):
                self._child.join()
                self._keep("crash", self._current, f"the process ended with {self._child.exitcode}")
                self._again()
                continue
            waiting = HANG_S
            if kind == "begin":
                self._current = data
            elif kind == "broken":
                self._keep("broken", data, what)
            elif kind == "grown":
                self._keep("grown", data, f"more than {MOST_MEMORY_KIB >> 10:,} MiB resident")
                self._again()
            self.runs += kind in ("done", "broken")
        self._child.kill()


def main() -> None:
    """Run a campaign and end with 1 where it found something."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--traces", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, default=CORPUS)
    given = parser.parse_args()
    traces = given.traces if given.traces is not None and given.traces.is_dir() else None
    campaign = Campaign(list(seeds(traces)), given.seed, given.save)
    campaign.run_until(time.monotonic() + given.seconds)
    sys.stdout.write(f"{campaign.runs:,} inputs, {len(campaign.finds)} finds\n")
    sys.exit(1 if campaign.finds else 0)


if __name__ == "__main__":
    main()
