"""Measure one attack's packets and bits over time: in the busiest stretch, and in a given second.

The arrivals count all packets that a victim received of some kinds, to a tenth of a second. If they include other traffic, the rate is
computed from the flows themselves, each spread evenly over its duration.
"""

from dataclasses import dataclass

import numpy as np

from floodmark.flows.arrivals import Tenths
from floodmark.flows.flowset import FlowSet, Host
from floodmark.verdicts.context import Context
from floodmark.vocabulary.vectors import RECORDS
from floodmark_core import kinds
from floodmark_core.columns import I64
from floodmark_core.protocols import SECOND_NS

_SAME = 0.05  # largest deviation at which the arrivals count as holding exactly this attack
_LEAST_WINDOW_NS = 1_000_000  # no rate is computed over less than a millisecond

# Traffic kinds that count a TCP vector's packets.
_TCP_KINDS = (kinds.TCP_SYN, kinds.TCP_SYNACK, kinds.TCP_RST, kinds.TCP_FIN, kinds.TCP_ACK, kinds.TCP_DATA, kinds.TCP_ODD)


@dataclass(frozen=True)
class Peaks:
    """The busiest stretch of an attack."""

    pps: float
    bps: float
    window_s: float  # over which both were measured


class Rates:
    """Packets and bits of one event over time.

    flows: the event's. bounds_ns: its start and end, which a few flows with a wrong time stamp may exceed.
    """

    def __init__(self, context: Context, vector: str, victims: list[Host], flows: FlowSet, bounds_ns: tuple[int, int]) -> None:
        self._flows = flows
        self._start_ns, self._end_ns = bounds_ns
        arrived = _arrived(context, vector, victims, bounds_ns)
        alone = arrived is not None and abs(int(arrived.packets.sum()) - flows.total_packets) <= _SAME * flows.total_packets
        self._arrived = arrived if alone else None

    def peaks(self) -> Peaks:
        """Return the peak packets and bits a second, over clock seconds, or over shorter windows if the event is shorter."""
        flows, span_ns = self._flows, self._end_ns - self._start_ns
        if span_ns < SECOND_NS // 10:
            window_s = max(span_ns, _LEAST_WINDOW_NS) / SECOND_NS
            return Peaks(flows.total_packets / window_s, flows.nbytes * 8 / window_s, window_s)
        window_ns = SECOND_NS if span_ns >= SECOND_NS else SECOND_NS // 10
        if self._arrived is not None:
            packets, nbytes = _most_arrived(self._arrived, window_ns)
            packets, nbytes = min(packets, flows.total_packets), min(nbytes, flows.nbytes)
        else:
            packets, nbytes = _most_in_flows(flows, self._start_ns, window_ns)
        # A short event may straddle two windows; no peak is below the mean.
        mean_pps, mean_bps = flows.total_packets * SECOND_NS / span_ns, flows.nbytes * 8 * SECOND_NS / span_ns
        return Peaks(
            max(packets * SECOND_NS / window_ns, mean_pps), max(nbytes * 8 * SECOND_NS / window_ns, mean_bps), window_ns / SECOND_NS
        )

    def packets_in_second(self, time_ns: int) -> float:
        """Return the number of packets in the clock second that contains a time."""
        if self._arrived is not None:
            return float(self._arrived.packets[self._arrived.second == time_ns // SECOND_NS].sum())
        this_window = np.zeros(1, np.int64)
        return float(_in_windows(self._flows, time_ns // SECOND_NS * SECOND_NS, SECOND_NS, this_window, self._flows.packets)[0])


def _arrived(context: Context, vector: str, victims: list[Host], bounds_ns: tuple[int, int]) -> Tenths | None:
    """Return what a single victim received of the kinds of a vector's packets; None if there is nothing, or for several victims."""
    number = context.hosts.numbers.get(victims[0]) if len(victims) == 1 else None
    if number is None:
        return None
    arrived = context.hosts.arrived(number, *bounds_ns)
    arrived = arrived.where(np.isin(arrived.kind, _kinds_of(vector)))
    return arrived if len(arrived.kind) else None


def _most_arrived(arrived: Tenths, window_ns: int) -> tuple[float, float]:
    """Return the most packets and bytes of any clock second, or tenth of a second."""
    _, place = np.unique(arrived.second if window_ns == SECOND_NS else arrived.tenth, return_inverse=True)
    return float(np.bincount(place, weights=arrived.packets).max()), float(np.bincount(place, weights=arrived.nbytes).max())


def _most_in_flows(flows: FlowSet, start_ns: int, window_ns: int) -> tuple[float, float]:
    """Return the most packets and bytes of any window; windows are counted from the start."""
    begun = np.unique((flows.column("first_seen_ns") - start_ns) // window_ns)
    # Between flow starts the rate only falls, so the busiest window is one in which a flow starts, or the one after it.
    windows = np.union1d(begun, begun + 1)
    nbytes = flows.sent("octets").astype(np.int64)
    packets = _in_windows(flows, start_ns, window_ns, windows, flows.packets)
    return float(packets.max()), float(_in_windows(flows, start_ns, window_ns, windows, nbytes).max())


def _in_windows(flows: FlowSet, start_ns: int, window_ns: int, windows: I64, amounts: np.ndarray) -> np.ndarray:
    """Return the sum of the flows' amounts in each of some windows. windows: numbers from the start, sorted."""
    begins = flows.column("first_seen_ns") - start_ns
    ends = flows.column("last_seen_ns") - start_ns
    lasting = ends - begins > window_ns // 10
    number = begins[~lasting] // window_ns
    place = np.searchsorted(windows, number)
    listed = windows[np.minimum(place, len(windows) - 1)] == number
    total = np.bincount(place[listed], weights=amounts[~lasting][listed], minlength=len(windows)).astype(np.float64)
    if lasting.any():
        edges = np.concatenate((windows, windows + 1)) * window_ns
        grown = _grown(begins[lasting], ends[lasting], amounts[lasting], edges)
        total += grown[len(windows) :] - grown[: len(windows)]
    return total


def _grown(begins: I64, ends: I64, amounts: I64, times: I64) -> np.ndarray:
    """Return the sum that has arrived by each time if every amount arrives evenly between its begin and its end."""
    slopes = amounts / (ends - begins)

    def since(turns: I64) -> np.ndarray:
        order = np.argsort(turns, kind="stable")
        sums = np.concatenate(([0.0], np.cumsum(slopes[order])))
        offsets = np.concatenate(([0.0], np.cumsum(slopes[order] * turns[order])))
        passed = np.searchsorted(turns[order], times, side="right")
        grown: np.ndarray = sums[passed] * times - offsets[passed]
        return grown

    between: np.ndarray = since(begins) - since(ends)
    return between


def _kinds_of(vector: str) -> tuple[int, ...]:
    """Return the traffic kinds that count a vector's packets."""
    record = RECORDS[vector]
    names = record.kinds or RECORDS[record.parent].kinds
    return tuple(getattr(kinds, name) for name in names) or _TCP_KINDS
