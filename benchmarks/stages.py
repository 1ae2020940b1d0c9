"""Nanoseconds per packet by stage, one thread: the time of each kernel, called batch by batch, minus that of a call on no packets.

python benchmarks/stages.py SHAPE PACKETS
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import corpus
from floodmark.captures.blocks import BlockReader
from floodmark.captures.reading import LOOKED_AT_BYTES
from floodmark.captures.source import source_of
from floodmark.captures.walking import walk_with
from floodmark.events.events import events_of
from floodmark.flows.arrivals import Arrivals
from floodmark.flows.flows import Flows
from floodmark.flows.metering import timeouts_ns
from floodmark.report.export.parquet import write_flows
from floodmark.result.result import FlowRecords
from floodmark.settings import Settings
from floodmark.verdicts.context import context_of
from floodmark.verdicts.decide import decide
from floodmark.vocabulary.services import service_ports
from floodmark_core import ADDRESSES, DESTINATION, FLOW, MORE, TENTH, ArrivalTable, FlowTable, new_tally
from floodmark_core.columns import (
    ARRIVALS_BEGIN_NS,
    ARRIVALS_END_NS,
    ARRIVALS_USED_SIZE,
    BATCH,
    NEXT_ADDRESSES,
    NEXT_DESTINATION,
    NEXT_MORE,
    NEXT_ROW,
    NEXT_TENTH,
    USED_SIZE,
    FlowRows,
)
from floodmark_core.flows.arrivals import count_arrivals
from floodmark_core.flows.flowtable import new_matcher, update_flows
from floodmark_core.packets.decode import decode_batch
from floodmark_core.records.ahead import CURSORS, touch_records
from floodmark_core.records.framing import frame_pcap
from floodmark_core.records.timeline import advance_clock
from floodmark_core.status import STOP_BATCH_FULL

_EMPTY = np.zeros(0, np.uint8)


class Stopwatch:
    """Sums seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def of(self, stage: str, action: Callable[[], object]) -> object:
        """Run an action and add its time to a stage."""
        start = time.perf_counter()
        result = action()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start
        return result


def first_pass(reader: BlockReader, packets: int, watch: Stopwatch, *, empty: bool) -> tuple[Flows, Arrivals]:
    """Read a pcap file stage by stage; ``empty`` runs the same calls on no packets to measure the call overhead."""
    settings, layout, tally = Settings(), reader.container.layout, new_tally()
    timeouts, walk = timeouts_ns(settings.flow), walk_with(settings.flow, layout)
    records, headers, clock = walk.records, walk.headers, walk.clock
    matcher, cursors = new_matcher(1, timeouts, service_ports()), np.zeros(CURSORS, np.int64)
    size = 1 << (2 * packets).bit_length()
    more, used = np.zeros(packets + 1024, MORE), np.zeros(USED_SIZE, np.int64)
    flows = FlowTable(
        np.zeros(packets + 512, FLOW),
        more,
        more.view(np.uint64),
        np.zeros(packets + 512, ADDRESSES),
        np.zeros(0, np.uint16),
        np.zeros(0, np.uint16),
        np.zeros(size, np.uint64),
        used,
    )
    arrivals = ArrivalTable(
        np.zeros(packets + BATCH, DESTINATION),
        np.zeros(packets + BATCH, TENTH),
        np.zeros(size, np.uint64),
        np.zeros(BATCH, np.uint64),
        np.zeros(ARRIVALS_USED_SIZE, np.int64),
    )
    block, at, seed = reader.block, reader.container.header_bytes, np.uint64(1)
    while True:
        part = block[: at + LOOKED_AT_BYTES]
        watch.of("record headers into the cache", lambda: touch_records(part, at, layout, cursors))  # noqa: B023 - run at once
        stop = STOP_BATCH_FULL
        while stop == STOP_BATCH_FULL:
            n, at, stop = watch.of("framing", lambda: frame_pcap(_EMPTY if empty else part, at, 0, layout, records, tally))  # type: ignore[misc] # noqa: B023
            if empty:
                n, at, stop = frame_pcap(part, at, 0, layout, records, tally)
            m = 0 if empty else n
            watch.of("clock", lambda: advance_clock(records, m, 0, 10**9, clock, tally))  # noqa: B023 - as above
            state = walk.service_ports, walk.depth, walk.fragments, headers, tally
            watch.of("decoding", lambda: decode_batch(part, m, 0, records, *state))  # noqa: B023
            watch.of("flows", lambda: update_flows(part, m, records, headers, matcher, flows))  # noqa: B023
            watch.of("arrivals", lambda: count_arrivals(m, records, headers, seed, arrivals))  # type: ignore[arg-type] # noqa: B023
        if len(part) == len(block):
            if reader.at_end:
                break
            block, at = watch.of("reading", lambda: reader.next_block(at)), 0  # type: ignore[assignment] # noqa: B023
    place = np.arange(used[NEXT_ROW], dtype=np.uint32)
    tables = FlowRows(flows.rows[: used[NEXT_ROW]], flows.more[: used[NEXT_MORE]], flows.addresses[: used[NEXT_ADDRESSES]], place)
    counted = arrivals.used
    trimmed = arrivals._replace(rows=arrivals.rows[: counted[NEXT_DESTINATION]], log=arrivals.log[: counted[NEXT_TENTH]])
    bounds_ns = int(counted[ARRIVALS_BEGIN_NS]), int(counted[ARRIVALS_END_NS])
    return Flows(tables, int(clock[0]), timeouts), Arrivals(trimmed.rows, trimmed.log, bounds_ns)


def measure(path: Path, packets: int) -> dict[str, float]:
    """Return nanoseconds per packet by stage."""
    calls, work = Stopwatch(), Stopwatch()
    with source_of(str(path)).reader() as reader:
        first_pass(reader, packets, calls, empty=True)
    with source_of(str(path)).reader() as reader:
        flows, arrivals = first_pass(reader, packets, work, empty=False)
    kernels = ("framing", "clock", "decoding", "flows", "arrivals")
    found = {stage: work.seconds[stage] - (calls.seconds[stage] if stage in kernels else 0.0) for stage in work.seconds}
    judging, settings = Stopwatch(), Settings()
    context = judging.of("context", lambda: context_of(flows, arrivals))
    decision = judging.of("rules", lambda: decide(context, settings))  # type: ignore[arg-type]
    judged = judging.of("events", lambda: events_of(context, decision, (0, 1), settings.event))  # type: ignore[arg-type]
    records = FlowRecords(flows, judged)  # type: ignore[arg-type]
    judging.of("emission (--flows)", lambda: write_flows("/dev/null", records.batches()))
    return {stage: seconds / packets * 1e9 for stage, seconds in {**found, **judging.seconds}.items()}


def report(captures: dict[str, int], folder: Path) -> list[str]:
    """Write a Markdown table of the stages for some generated captures."""
    found = {}
    for shape, packets in captures.items():
        path = folder / f"{shape}.pcap"
        corpus.write(shape, packets, path)
        measure(path, packets)  # once for the caches
        found[shape] = measure(path, packets)
        path.unlink()
    lines = ["### Stages, nanoseconds a packet, one thread", "", f"| stage | {' | '.join(found)} |", f"|---|{'--:|' * len(found)}"]
    rows = [
        f"| {stage} | {' | '.join(f'{figures.get(stage, 0.0):.0f}' for figures in found.values())} |"
        for stage in next(iter(found.values()))
    ]
    return [*lines, *rows, ""]


def main() -> None:
    """Measure one capture."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("shape", choices=corpus.SHAPES)
    arguments.add_argument("packets", type=int)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print("\n".join(report({chosen.shape: chosen.packets}, Path(folder))))


if __name__ == "__main__":
    main()
