"""The result of one run: captures, packets, classes, events and flows, as plain data and as the JSON document of the contract.

Byte counts of captures and totals are bytes on the wire, as capinfos counts them; those of verdicts, events and flows are IP bytes.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from floodmark.captures.problems import Problem
from floodmark.captures.source import Source
from floodmark.errors import CaptureError
from floodmark.events.assessment import NotAssessable
from floodmark.events.events import Event, Judged
from floodmark.flows.flows import Flows, listed
from floodmark.flows.flowset import SAMPLE, FlowSet
from floodmark.result.distributions import Distribution, distributions
from floodmark.result.timeline import Timeline, spread_over_bins, spread_over_time, timeline_of
from floodmark.settings import Settings
from floodmark.vocabulary.terms import TUNNELS
from floodmark_core.columns import U32
from floodmark_core.protocols import SECOND_NS

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1
BATCH_ROWS = 1 << 17  # flows of a batch


def _table() -> ModuleType:
    """Import the columns of flows on their first use: an answer as text or JSON needs no Arrow."""
    from floodmark.result import table  # noqa: PLC0415 - see above

    return table


def rfc3339(time_ns: int) -> str:
    """Return a time as RFC 3339 text in UTC with nanoseconds."""
    seconds, nanoseconds = divmod(time_ns, SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


@dataclass(frozen=True)
class CaptureSummary:
    """One capture as it was read. Times are nanoseconds since the epoch, None if no packet has one."""

    path: str
    sha256: str | None
    format: str
    compression: str | None  # of the file; offsets refer to the uncompressed bytes
    link_types: tuple[str, ...]
    packets: int
    bytes: int
    first_seen_ns: int | None
    last_seen_ns: int | None
    truncated: bool
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Profile:
    """What the captures can show, which limits what can be concluded from them. None: not assessed."""

    one_sided: bool | None
    sampled: bool | None
    snaplen_cut: bool
    payload_missing: bool | None  # truncated or overwritten in most flows
    anonymised: bool | None
    starts_mid_attack: bool
    ends_mid_attack: bool
    duplicates: float | None  # share of packets that repeat one within 5 ms, byte for byte from the IP header on; estimated on a part
    span_s: float


@dataclass(frozen=True)
class Totals:
    """Totals of all captures: packets in flows, packets that are not IP and refused packets sum to all packets."""

    packets: int
    bytes: int
    flows: int
    packets_in_flows: int
    packets_not_ip: dict[str, int]  # by EtherType
    packets_refused: dict[str, int]  # by reason


@dataclass(frozen=True)
class Count:
    """Flows of one verdict, with packets and bytes of both directions."""

    flows: int
    packets: int
    bytes: int


@dataclass(frozen=True)
class Grouping:
    """A column that names the group of each flow."""

    column: str
    names: tuple[str, ...]
    of_flow: np.ndarray  # int16, of each flow its index into the names; below 0: null

    @property
    def field(self) -> "pa.Field":
        """The column's name and type."""
        import pyarrow as pa  # noqa: PLC0415 - only whoever reads flows needs it

        return pa.field(self.column, pa.dictionary(pa.int16(), pa.string()))

    def put_to(self, batch: "pa.RecordBatch", schema: "pa.Schema") -> "pa.RecordBatch":
        """Return a batch with this column appended."""
        import pyarrow as pa  # noqa: PLC0415 - only whoever reads flows needs it

        places = self.of_flow[batch.column("flow_id").to_numpy()]
        codes = pa.array(places, pa.int16(), mask=places < 0)
        return pa.RecordBatch.from_arrays([*batch.columns, pa.DictionaryArray.from_arrays(codes, pa.array(self.names))], schema=schema)


class FlowRecords:
    """The labelled flows, as Arrow batches made on demand; readable through the Arrow C stream interface."""

    def __init__(self, flows: Flows, judged: Judged, grouping: "Grouping | None" = None) -> None:
        self._flows = flows
        self.judged = judged  # gives verdict, vector and event of each flow
        self._grouping = grouping  # an additional column

    def grouped(self, grouping: "Grouping") -> "FlowRecords":
        """Return the same flows with a column that names the group of each."""
        return FlowRecords(self._flows, self.judged, grouping)

    @property
    def schema(self) -> "pa.Schema":
        """Names and types of the columns."""
        return _table().SCHEMA if self._grouping is None else _table().SCHEMA.append(self._grouping.field)

    def __len__(self) -> int:
        """Return the number of flows."""
        return len(self._flows)

    def timeline(self, bins: int = 60) -> Timeline:
        """Return what each event and ordinary traffic carried over time, in ``bins`` bins that span the captures."""
        return timeline_of(self._flows, self.judged, bins)

    def rates_of(self, groups: np.ndarray, count: int, bins: int = 60) -> tuple[float, np.ndarray]:
        """Return packets over time by any grouping of the flows: (s per bin, [count, bins]). groups: int32 per flow, below ``count``."""
        numbers = groups.astype(np.int32, copy=False)
        _, bin_ns, packets, _ = spread_over_time(self._flows, lambda first, end: numbers[first:end], count, bins)
        return bin_ns / 1e9, packets

    def spread(self, groups: np.ndarray, count: int, start_ns: int, bin_ns: float, bins: int) -> tuple[np.ndarray, np.ndarray]:
        """Return packets and bytes in given time bins by any grouping of the flows: [count, bins]. groups: below ``count``."""
        numbers = groups.astype(np.int32, copy=False)
        return spread_over_bins(self._flows, lambda first, end: numbers[first:end], count, (start_ns, bin_ns, bins))

    def distributions(self, event: int) -> tuple[Distribution, Distribution]:
        """Return how an event's packets are distributed over TTLs and sizes, compared with the capture's ordinary traffic."""
        return distributions(self._flows, self.judged, event)

    def sources(self, event: int, most: int) -> list[str]:
        """Return at most ``most`` of an event's source addresses, in order of their first flows."""
        index, back = self._of_event(event)
        found = FlowSet(self._flows, index, back, np.ones(len(index), np.uint32))
        return [str(host) for host in found.senders(found.sources[1][:most])]

    def sent(self, event: int, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the senders' half of a pair of columns, such as ``tcp_flags``, and their packets, for each flow of an event."""
        index, back = self._of_event(event)
        halves = self._flows.columns(index, (f"{name}_initiator", f"{name}_responder", "initiator_packets", "responder_packets"))
        return (
            np.where(back, halves[f"{name}_responder"], halves[f"{name}_initiator"]),
            np.where(back, halves["responder_packets"], halves["initiator_packets"]),
        )

    def tunnel_of(self, event: int) -> str | None:
        """Return the tunnel type of most of an event's flows, None if they are not tunnelled."""
        index, _ = self._of_event(event)
        tunnel = int(np.bincount(self._flows.column("tunnel", index)).argmax()) if len(index) else 0
        return TUNNELS[tunnel - 1] if tunnel else None

    def _of_event(self, event: int) -> tuple[U32, np.ndarray]:
        index = listed(np.nonzero(self.judged.event_of == event - 1)[0])
        return index, self.judged.back[index] > 0

    def row(self, flow: int) -> dict[str, Any]:
        """Return the columns of a flow."""
        [found] = _table().batch_of(self._flows, self.judged, np.array([flow], np.int64)).to_pylist()
        return dict(found)

    def rows(self, names: Iterable[str], index: U32 | None = None) -> Iterator[tuple[U32, dict[str, np.ndarray]]]:
        """Yield the numbers of some flows and their columns in table form (flows.COLUMNS), part by part.

        index: numbers of the wanted flows, by default all.
        """
        wanted = tuple(names)
        for start in range(0, len(self) if index is None else len(index), SAMPLE):
            end = start + SAMPLE
            some: U32 = np.arange(start, min(end, len(self)), dtype=np.uint32) if index is None else index[start:end]
            yield some, self._flows.columns(some, wanted)

    def batches(self, rows: int = BATCH_ROWS) -> "Iterator[pa.RecordBatch]":
        """Yield the flows in order of their first packets, at most ``rows`` at a time."""
        return self._with_group(_table().batches(self._flows, self.judged, rows))

    def _with_group(self, batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        if self._grouping is None:
            return batches
        return (self._grouping.put_to(batch, self.schema) for batch in batches)

    def attacking(self, rows: int = BATCH_ROWS) -> "Iterator[pa.RecordBatch]":
        """Yield the flows that belong to events, as :meth:`batches` does."""
        return self._with_group(_table().batches(self._flows, self.judged, rows, np.nonzero(self.judged.event_of >= 0)[0]))

    def to_table(self) -> "pa.Table":
        """Return all flows at once."""
        import pyarrow as pa  # noqa: PLC0415 - only whoever reads flows needs it

        return pa.Table.from_batches(self.batches(), self.schema)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand the flows over as an Arrow C stream."""
        import pyarrow as pa  # noqa: PLC0415 - only whoever reads flows needs it

        reader = pa.RecordBatchReader.from_batches(self.schema, self.batches())
        return reader.__arrow_c_stream__(requested_schema)


@dataclass(frozen=True)
class Result:
    """The result of one run."""

    captures: tuple[CaptureSummary, ...]
    profile: Profile
    totals: Totals
    verdicts: dict[str, Count]
    benign: dict[str, Count]  # the benign flows by label, vectors.BENIGN_VECTORS
    events: tuple[Event, ...]
    settings: Settings  # as used
    not_assessable: tuple[NotAssessable, ...]  # vectors that could not have been detected, and why
    notes: tuple[str, ...]
    flows: FlowRecords = field(repr=False, compare=False)
    sources: tuple[Source, ...] = field(default=(), repr=False, compare=False)  # for reading them again: they refuse if a file has changed
    left_out: tuple[CaptureError, ...] = field(default=(), repr=False, compare=False)  # members of folders that cannot be read; also noted

    def to_dict(self) -> dict[str, Any]:
        """Return the result as the JSON document of the contract (schema/result.schema.json), without the flows."""
        document: dict[str, Any] = _plain(
            {
                "schema_version": SCHEMA_VERSION,
                "tool": tool(),
                "captures": [_capture_document(capture) for capture in self.captures],
                "profile": asdict(self.profile),
                "totals": asdict(self.totals),
                "verdicts": {verdict: asdict(count) for verdict, count in self.verdicts.items()},
                "benign": {vector: asdict(count) for vector, count in self.benign.items()},
                "events": [_event_document(event) for event in self.events],
                "settings": asdict(self.settings),
                "not_assessable": [asdict(one) for one in self.not_assessable],
                "notes": self.notes,
            }
        )
        return document

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the result as JSON text, on one line unless ``indent`` is given."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)


def tool() -> dict[str, str]:
    """Return name and version of this program."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - takes milliseconds that most calls need not spend

    try:
        return {"name": "floodmark", "version": version("floodmark")}
    except PackageNotFoundError:  # run from a source tree
        return {"name": "floodmark", "version": "0+source"}


def valid_text(text: str) -> str:
    """Return a text that every JSON reader accepts: bytes of a file name that are not valid text are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a value with tuples replaced by lists, as JSON gives it back."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, str):
        return valid_text(value)
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _capture_document(capture: CaptureSummary) -> dict[str, Any]:
    document = {}
    for name, value in asdict(capture).items():
        if name.endswith("_ns"):
            document[name.removesuffix("_ns")] = None if value is None else rfc3339(value)
        else:
            document[name] = value
    return document


def _event_document(event: Event) -> dict[str, Any]:
    document = asdict(event)
    document["verdict"] = str(event.verdict)
    document["start"], document["end"] = rfc3339(event.start_ns), rfc3339(event.end_ns)
    first = ("id", "verdict", "vector", "victims", "victim_count", "start", "end")
    rest = (name for name in document if name not in (*first, "start_ns", "end_ns"))
    return {name: document[name] for name in (*first, *rest)}
