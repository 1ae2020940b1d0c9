"""Turn captures into a result: the whole program in one place."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from floodmark.base.memory import Announce, Memory
from floodmark.base.workers import Part, Workers, processors
from floodmark.captures.blocks import BlockReader
from floodmark.captures.merging import MergedReader
from floodmark.captures.opening import (
    Progress,
    listed,
    opened,
)
from floodmark.captures.ordering import in_groups
from floodmark.captures.problems import packet_counts, problems_of
from floodmark.captures.reading import ReadCapture, mean_record_bytes
from floodmark.captures.source import Given, Source
from floodmark.errors import CaptureError
from floodmark.events.assessment import not_assessable
from floodmark.events.attacks import tied
from floodmark.events.backscatter import mark_backscatter
from floodmark.events.calm import mark_calm
from floodmark.events.events import Judged, events_of
from floodmark.flows.flows import Flows
from floodmark.flows.metering import Meter
from floodmark.result.result import (
    CaptureSummary,
    Count,
    FlowRecords,
    Profile,
    Result,
    Totals,
)
from floodmark.settings import Settings
from floodmark.verdicts.context import Context, context_of
from floodmark.verdicts.decide import decide
from floodmark.verdicts.view import View
from floodmark.vocabulary.terms import link_type_name
from floodmark.vocabulary.vectors import BENIGN_VECTORS, Verdict
from floodmark_core import status
from floodmark_core.tables.sums import sum_flows

if TYPE_CHECKING:
    import pyarrow as pa

_LARGE_BYTES = 32 << 20  # total size of captures: a tenth of a second on one processor
# Every thread goes through all records, so if finding the next one is most of the work, a second thread gains nothing (decision 19).
_SHORT_RECORD_BYTES = 1000
_SNAPLEN_CUT_SHARE = 0.01  # of the packets: fewer truncated packets are an accident


@dataclass(frozen=True)
class Options:
    """How to run, not what to find: nothing here changes a verdict."""

    memory_octets: int = 2 << 30  # most anonymous memory; anything beyond goes to temporary files
    announce: Announce | None = None  # called when temporary files are needed
    threads: int = 0  # most threads to use; 0: one for each processor that this process may use
    hash_captures: bool = False
    keep_going: bool = False  # after a damaged record, look for the next one instead of leaving the rest unread


def classify(
    captures: Given | Iterable[Given], settings: Settings | None = None, options: Options | None = None, progress: Progress | None = None
) -> Result:
    """Classify one or more captures, or folders of them, as one timeline in order of their first packets.

    captures: a path, a binary file object, or several of them. Raises CaptureError for a capture that cannot be read at all; damage inside
    a capture is counted in its problems, and a file in a folder that is a capture by its name alone is skipped and noted. Captures that
    can be read only once, such as pipes, come after the others. Raises MemoryLimitError if more than ``options.memory_octets`` are
    needed and there is no temporary space for the rest.
    """
    settings, options = settings or Settings(), options or Options()
    sources, left_out = listed(captures)
    memory = Memory(options.memory_octets, options.announce)
    with Workers(options.threads or processors()) as workers:
        meter, large, reads = None, _is_large(sources), list[ReadCapture]()
        for group in in_groups(sources):
            with opened(group, progress, hashing=options.hash_captures, keep_going=options.keep_going) as reader:
                if meter is None:
                    several = large and mean_record_bytes(reader) <= _SHORT_RECORD_BYTES
                    meter = Meter(settings.flow, memory=memory, workers=workers, threads=workers.threads if several else 1)
                reads.extend(_read(meter, reader, progress, options))
        assert meter is not None  # noqa: S101 - there is a source
        duplicates = meter.duplicates
        flows, arrivals = meter.finish()
        del meter  # frees the indexes of its tables
        context = context_of(flows, arrivals, View(flows, duplicates=duplicates, snaplen_cut=_is_cut(reads)))
        judged = events_of(context, decide(context, settings), _span_ns(reads), settings.event)
        named = (*mark_backscatter(context, judged.event_of), *mark_calm(context, judged.event_of, settings.calm))
        judged = replace(judged, events=tied(judged.events, round(settings.event.most_gap_s * 1e9)))
        result = replace(_answer((reads, left_out, named), context, judged, (settings, options)), sources=tuple(sources))
        flows.workers = Workers()  # the threads end here, so later use of the result is single-threaded
        return result


def stream(
    captures: Given | Iterable[Given], settings: Settings | None = None, options: Options | None = None
) -> "Iterator[pa.RecordBatch]":
    """Yield the labelled flows of captures as Arrow batches; arguments and errors as for :func:`classify`.

    A flow's label depends on all flows around it, so the first batch comes only after all captures are read.
    """
    yield from classify(captures, settings, options).flows.batches()


def _is_large(sources: list[Source]) -> bool:
    """Return whether reading takes long enough for several threads to pay off; a source of unknown size may be long."""
    sizes = [source.about_bytes for source in sources]
    return any(size is None for size in sizes) or sum(size for size in sizes if size is not None) >= _LARGE_BYTES


def _read(meter: Meter, reader: BlockReader | MergedReader, progress: Progress | None, options: Options) -> list[ReadCapture]:
    """Read an opened capture, or merged captures, to the end."""
    if isinstance(reader, MergedReader):
        meter.read(reader)
        return reader.reads
    tell = None if progress is None else partial(progress, reader.path)
    return [meter.read(reader, tell, keep_going=options.keep_going)]


def _span_ns(reads: list[ReadCapture]) -> tuple[int, int]:
    """Return the times of the first and last packet, (0, 0) if no packet has one."""
    timed = [read for read in reads if read.is_timed]
    return (min(read.first_ns for read in timed), max(read.last_ns for read in timed)) if timed else (0, 0)


def _answer(
    read: tuple[list[ReadCapture], list[CaptureError], tuple[str, ...]], context: Context, judged: Judged, given: tuple[Settings, Options]
) -> Result:
    (reads, left_out, notes), (settings, options) = read, given
    span_ns = _span_ns(reads)
    counts = packet_counts(reads)
    packets = sum(read.packets for read in reads)
    totals = Totals(
        packets=packets,
        bytes=sum(read.wire_bytes for read in reads),
        flows=len(context.flows),
        packets_in_flows=counts.in_flows,
        packets_not_ip=counts.not_ip,
        packets_refused=counts.refused,
    )
    events, (verdicts, benign) = judged.events, _counts(context.flows, judged)
    profile = Profile(
        one_sided=context.shapes.one_sided,
        sampled=context.view.sampled,
        snaplen_cut=context.view.snaplen_cut,
        payload_missing=context.view.payload_missing,
        anonymised=context.view.anonymised,
        starts_mid_attack=any(event.start_censored for event in events),
        ends_mid_attack=any(event.end_censored for event in events),
        duplicates=context.view.duplicates,
        span_s=(span_ns[1] - span_ns[0]) / 1e9,
    )
    return Result(
        captures=tuple(_summary(read) for read in reads),
        profile=profile,
        totals=totals,
        verdicts=verdicts,
        benign=benign,
        events=tuple(events),
        settings=settings,
        not_assessable=not_assessable(context, settings, judged, profile.span_s),
        notes=(
            *_notes(reads, totals, keep_going=options.keep_going),
            *notes,
            *_spilled(context.flows.memory),
            *(f"skipped: {error}" for error in left_out),
        ),
        flows=FlowRecords(context.flows, judged),
        left_out=tuple(left_out),
    )


def _is_cut(reads: list[ReadCapture]) -> bool:
    """Return whether a snap length truncated more packets than an accident would."""
    cut = sum(int(read.tally.remark_count[status.REMARK_SNAPLEN_CUT]) for read in reads)
    return cut > _SNAPLEN_CUT_SHARE * sum(read.packets for read in reads)


def _counts(flows: Flows, judged: Judged) -> tuple[dict[str, Count], dict[str, Count]]:
    """Return the counts of each verdict, and of each kind of benign traffic."""

    def add_up(part: Part) -> np.ndarray:
        sums = np.zeros((len(judged.events) + len(BENIGN_VECTORS), 3), np.int64)
        sum_flows(flows.tables, judged.event_of, part.first, part.end, sums)
        return sums

    sums = np.sum(flows.workers.each(add_up, flows.workers.parts(len(flows))), axis=0)
    of_verdict = dict.fromkeys(map(str, Verdict), np.zeros(3, np.int64))
    for event, counts in zip(judged.events, sums, strict=False):
        of_verdict[event.verdict] = of_verdict[event.verdict] + counts
    of_verdict[Verdict.BENIGN] = sums[len(judged.events) :].sum(axis=0)
    of_benign = zip(BENIGN_VECTORS, reversed(sums), strict=False)
    return {verdict: _count(counts) for verdict, counts in of_verdict.items()}, {vector: _count(counts) for vector, counts in of_benign}


def _count(counts: np.ndarray) -> Count:
    return Count(*(int(value) for value in counts))


def _summary(read: ReadCapture) -> CaptureSummary:
    return CaptureSummary(
        path=read.path,
        sha256=read.sha256,
        format=read.format,
        compression=read.compression,
        link_types=tuple(link_type_name(code) for code in read.link_types),
        packets=read.packets,
        bytes=read.wire_bytes,
        first_seen_ns=read.first_ns if read.is_timed else None,
        last_seen_ns=read.last_ns if read.is_timed else None,
        truncated=read.truncated_at is not None,
        problems=tuple(problems_of(read)),
    )


def _spilled(memory: Memory) -> Iterator[str]:
    """Yield a note if the flows did not fit into the allowed memory."""
    if memory.spilled_bytes:
        yield f"{memory.spilled_bytes / 2**20:,.0f} MiB exceeded the memory limit and were kept in temporary files"


def _notes(reads: list[ReadCapture], totals: Totals, *, keep_going: bool) -> Iterator[str]:
    """Yield what a reader should know besides the figures."""
    if totals.packets == 0:
        yield "the captures contain no packet"
    elif totals.packets_in_flows == 0:
        yield "no packet belongs to a flow: none is IP, or the link type is not supported"
    for read in reads:
        if read.damages and not keep_going:
            yield f"{read.path}: {read.unread_bytes:,} bytes after a damaged record were not read; --keep-going searches for the next one"
        if read.change is not None:
            yield f"{read.path}: changed while it was read: {read.change}; what was read of it may not belong together"
        if read.unpacking_ended is not None:
            yield f"{read.path}: {read.unpacking_ended}; only the data before that was analysed"
    timed = [read for read in reads if read.is_timed]
    if any(later.first_ns < earlier.last_ns for earlier, later in pairwise(timed)):
        yield "captures overlap in time and were merged by packet time where possible"
