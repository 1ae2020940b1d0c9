"""Label ordinary traffic that could be taken for an attack: bulk transfers, regular measurements, flash crowds.

Benign is a result with evidence of its own. These labels are for flows that belong to no event; they change no verdict.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from floodmark.base.thresholds import Checked, threshold
from floodmark.flows.flows import listed
from floodmark.flows.flowset import FlowSet, Host, number, split
from floodmark.verdicts.clients import number_services, service_of
from floodmark.verdicts.context import Context
from floodmark.vocabulary.vectors import BENIGN_VECTORS, BULK_TRANSFER, FLASH_CROWD, MEASUREMENT, ORDINARY
from floodmark_core.columns import I32, I64, U32
from floodmark_core.flows import shapes
from floodmark_core.protocols import SECOND_NS

_MARKS = {vector: -1 - place for place, vector in enumerate(BENIGN_VECTORS)}
_WINDOW_NS = 10 * SECOND_NS
_MOST_NOTES = 20


@dataclass(frozen=True)
class CalmSettings(Checked):
    """Thresholds of the labels for ordinary traffic that could be taken for an attack."""

    bulk_bytes: int = threshold(250_000, "of one direction of a flow; what a page is made of is smaller")
    bulk_packet_bytes: float = threshold(1000.0, "mean IP bytes of that direction's packets")
    measurement_times: int = threshold(5, "fewest checks of one service by one client, or pings, that make a habit")
    measurement_packets: int = threshold(30, "of a check's connection, at most")
    measurement_period_s: float = threshold(0.5, "shortest time between two checks; ping asks every second")
    measurement_variation: float = threshold(0.2, "of that time, at most")
    crowd_connections: int = threshold(100, "to one service within ten seconds")
    crowd_clients: int = threshold(50, "that share them")
    crowd_times: float = threshold(1.75, "what three quarters of the stretches of ten seconds exceed at that service")
    crowd_windows: int = threshold(3, "fewest stretches of ten seconds that show what is usual")
    crowd_most_share: float = threshold(0.1, "of the connections by one client, at most")


def mark_calm(context: Context, event_of: I32, settings: CalmSettings) -> Iterator[str]:
    """Label flows of two-way traffic, and yield a note for each crowd. event_of: event of each flow, below 0 none."""
    connections = _free(context.shapes.established, event_of)
    dialogues = _free(np.nonzero(context.shapes.shape == shapes.UDP_DIALOGUE)[0], event_of)
    pings = _free(np.nonzero(context.shapes.shape == shapes.ICMP_ECHO)[0], event_of)
    yield from _mark_crowds(context, connections, event_of, settings)
    event_of[_regular_pings(context, pings, settings)] = _MARKS[MEASUREMENT]
    event_of[_regular_checks(context, connections, settings)] = _MARKS[MEASUREMENT]
    for rows in (connections, dialogues):
        event_of[rows[_is_bulk(context, rows, settings)]] = _MARKS[BULK_TRANSFER]


def _free(rows: I64, event_of: I32) -> U32:
    """Return the flows that belong to no attack and have no label yet."""
    return listed(rows[event_of[rows] == _MARKS[ORDINARY]])


def _is_bulk(context: Context, rows: U32, settings: CalmSettings) -> np.ndarray:
    """Return for each flow whether one direction carries many bytes in full-size packets."""
    names = [f"{end}_{what}" for end in ("initiator", "responder") for what in ("octets", "packets")]
    seen = context.flows.columns(rows, names)
    bulky = np.zeros(len(rows), bool)
    for end in ("initiator", "responder"):
        nbytes, packets = seen[f"{end}_octets"].astype(np.float64), np.maximum(seen[f"{end}_packets"], 1)
        bulky |= (nbytes >= settings.bulk_bytes) & (nbytes >= settings.bulk_packet_bytes * packets)
    return bulky


def _regular_pings(context: Context, rows: U32, settings: CalmSettings) -> U32:
    """Return the answered echo flows with requests at regular intervals, no more often than a monitor sends them."""
    names = ("initiator_packets", "responder_packets", "first_seen_ns", "last_seen_ns", "max_gap_ns")
    seen = context.flows.columns(rows, names)
    asked = seen["initiator_packets"].astype(np.int64)
    every_ns = (seen["last_seen_ns"] - seen["first_seen_ns"]) / np.maximum(asked - 1, 1)
    even = seen["max_gap_ns"] <= (1 + settings.measurement_variation) * every_ns
    often = (asked >= settings.measurement_times) & (every_ns >= settings.measurement_period_s * SECOND_NS)
    chosen: U32 = rows[even & often & (seen["responder_packets"] > 0)]
    return chosen


def _regular_checks(context: Context, rows: U32, settings: CalmSettings) -> U32:
    """Return the small connections that one client opens to one service repeatedly, at regular intervals."""
    names = ("initiator_packets", "responder_packets", "first_seen_ns", "initiator_hi", "initiator_lo")
    seen = context.flows.columns(rows, names)
    small = seen["initiator_packets"] + seen["responder_packets"] <= settings.measurement_packets
    rows, seen = rows[small], {name: values[small] for name, values in seen.items()}
    if len(rows) < settings.measurement_times:
        return rows[:0]
    services, _ = number_services(context, rows.astype(np.int64))
    groups, leaders = number(seen["initiator_hi"], seen["initiator_lo"], services.astype(np.uint64))
    often = np.bincount(groups, minlength=len(leaders))[groups] >= settings.measurement_times
    rows, groups, begins = rows[often], groups[often], seen["first_seen_ns"][often]
    order = np.lexsort((begins, groups))
    pauses = np.diff(begins[order])
    within, of = np.diff(groups[order]) == 0, groups[order][1:]
    count = np.bincount(of[within], minlength=len(leaders))
    total = np.bincount(of[within], weights=pauses[within], minlength=len(leaders))
    squares = np.bincount(of[within], weights=pauses[within].astype(np.float64) ** 2, minlength=len(leaders))
    mean = total / np.maximum(count, 1)
    spread = np.sqrt(np.maximum(squares / np.maximum(count, 1) - mean**2, 0))
    regular = (count + 1 >= settings.measurement_times) & (mean >= settings.measurement_period_s * SECOND_NS)
    regular &= spread <= settings.measurement_variation * mean
    chosen: U32 = rows[regular[groups]]
    return chosen


def _mark_crowds(context: Context, rows: U32, event_of: I32, settings: CalmSettings) -> Iterator[str]:
    """Label the connections to services that many clients contacted at once, and yield a note for each service."""
    windows = (context.baseline.end_ns - context.baseline.begin_ns) // _WINDOW_NS + 1
    if len(rows) < settings.crowd_connections or windows < settings.crowd_windows:
        return
    groups, leaders = number_services(context, rows.astype(np.int64))
    starts, order = split(groups, len(leaders))
    told = 0
    for group in np.nonzero(np.diff(starts) >= settings.crowd_connections)[0]:
        flows = context.shapes.clients(rows[order[starts[group] : starts[group + 1]]])
        crowd = _crowd(flows, settings)
        if crowd is None:
            continue
        event_of[crowd.index] = _MARKS[FLASH_CROWD]
        told += 1
        if told <= _MOST_NOTES:
            host, port = service_of(flows)
            yield (
                f"flash crowd: {crowd.source_count:,} clients open {len(crowd):,} connections to {_service_text(host, port)}; "
                "each requests little, in its own way"
            )


def _service_text(host: Host, port: int) -> str:
    return f"[{host}]:{port}" if host.version == 6 else f"{host}:{port}"


def _crowd(flows: FlowSet, settings: CalmSettings) -> FlowSet | None:
    """Return the connections of the time when a service is much busier than usual; None if it never is, or if few clients cause it."""
    _, windows, counts = np.unique(flows.column("first_seen_ns") // _WINDOW_NS, return_inverse=True, return_counts=True)
    usual = float(np.quantile(counts, 0.25))
    if len(counts) < settings.crowd_windows or counts.max() < max(settings.crowd_connections, settings.crowd_times * usual):
        return None
    crowd = flows.where(counts[windows] >= settings.crowd_times / 2 * max(usual, 1.0))
    groups, clients = crowd.sources
    of_one = np.bincount(groups, minlength=len(clients)).max()
    return crowd if len(clients) >= settings.crowd_clients and of_one <= settings.crowd_most_share * len(crowd) else None
