"""Group TCP connections by service, and compute the measures that several rules use."""

from collections.abc import Callable, Iterator

import numpy as np

from floodmark.flows.flowset import SAMPLE, FlowSet, Host, number, split
from floodmark.verdicts.context import Context
from floodmark_core.columns import I32, I64


def services(context: Context, least: int, rows: I64 | None = None) -> list[FlowSet]:
    """Return the TCP connections of each service (host and port) that had at least ``least``, in order of first appearance.

    rows: some of ``context.shapes.established``; all by default.
    """
    if rows is None:
        rows = context.shapes.established
    if len(rows) < least:
        return []
    groups, leaders = number_services(context, rows)
    starts, order = split(groups, len(leaders))
    busy = np.nonzero(np.diff(starts) >= max(least, 1))[0]
    return [context.shapes.clients(rows[order[starts[group] : starts[group + 1]]]) for group in busy]


def pairs(context: Context, least: int, rows: I64) -> Iterator[FlowSet]:
    """Yield the connections of each client to each service, among those given, if there are at least ``least``."""
    if len(rows) < least:
        return
    hosts, _ = number_services(context, rows)
    seen = context.flows.columns(rows, ("initiator_hi", "initiator_lo"))
    groups, leaders = number(seen["initiator_hi"], seen["initiator_lo"], hosts.astype(np.uint64))
    starts, order = split(groups, len(leaders))
    for group in np.nonzero(np.diff(starts) >= max(least, 1))[0]:
        yield context.shapes.clients(rows[order[starts[group] : starts[group + 1]]])


def number_services(context: Context, rows: I64) -> tuple[I32, I64]:
    """Assign one number to all connections to the same host and port. Returns (number of each, first connection of each number)."""
    seen = context.flows.columns(rows, ("responder_hi", "responder_lo", "responder_port", "ip_version"))
    port = seen["responder_port"].astype(np.uint64) | seen["ip_version"].astype(np.uint64) << np.uint64(16)
    return number(seen["responder_hi"], seen["responder_lo"], port)


def connections_where(context: Context, chosen: Callable[[FlowSet], np.ndarray]) -> I64:
    """Return the connections that a predicate selects, evaluated in chunks."""
    rows = context.shapes.established
    parts = [rows[start : start + SAMPLE] for start in range(0, len(rows), SAMPLE)]
    kept = [part[chosen(context.shapes.clients(part))] for part in parts]
    return np.concatenate(kept) if kept else rows


def service_host(flows: FlowSet) -> Host:
    """Return the host of the service that the connections go to."""
    seen = flows.flows.columns(flows.index[:1], ("ip_version", "responder_hi", "responder_lo"))
    return Host(int(seen["ip_version"][0]), int(seen["responder_hi"][0]), int(seen["responder_lo"][0]))


def service_of(flows: FlowSet) -> tuple[Host, int]:
    """Return the service that the connections go to: host and port."""
    return service_host(flows), int(flows.flows.column("responder_port", flows.index[:1])[0])


def begins_with(prefix: np.ndarray, word: bytes) -> np.ndarray:
    """Return for each payload whether it begins with a four-byte word. prefix: first eight bytes of each payload."""
    said: np.ndarray = prefix >> np.uint64(32) == np.uint64(int.from_bytes(word, "big"))
    return said


def duration_s(flows: FlowSet) -> np.ndarray:
    """Return the duration of each connection as captured, in seconds."""
    seconds: np.ndarray = (flows.column("last_seen_ns") - flows.column("first_seen_ns")) / 1e9
    return seconds


def most_at_once(flows: FlowSet) -> int:
    """Return the largest number of flows that were open at the same time."""
    begins, ends = np.sort(flows.column("first_seen_ns")), np.sort(flows.column("last_seen_ns"))
    ended = np.searchsorted(ends, begins, side="left")
    return int((np.arange(1, len(begins) + 1) - ended).max())


def variation(values: np.ndarray) -> float:
    """Return the coefficient of variation."""
    mean = float(values.mean())
    return float(values.std()) / mean if mean > 0 else 0.0


def busiest(times: np.ndarray, weights: np.ndarray, span_s: float) -> float:
    """Return the most requests a second over any ten seconds, or over the whole span if that is shorter."""
    window_s = min(max(span_s, 1.0), 10.0)
    return most_within(times, weights, window_s) / window_s


def most_within(times: np.ndarray, weights: np.ndarray, window_s: float) -> int:
    """Return the largest sum of integer weights within any window of ``window_s`` seconds. times: in nanoseconds."""
    order = np.argsort(times, kind="stable")
    ordered, sums = times[order], np.concatenate(([0], np.cumsum(weights[order])))
    until = np.searchsorted(ordered, ordered + int(window_s * 1e9), side="right")
    return int((sums[until] - sums[np.arange(len(ordered))]).max())
