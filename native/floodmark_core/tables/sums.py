"""Sum flows by group."""

from typing import NamedTuple

import numpy as np

from floodmark_core._jit import kernel, step
from floodmark_core.columns import F64, I32, I64, U8, U32, FlowRows
from floodmark_core.flows.endpoints import is_from_responder


@kernel
def sum_flows(flows: FlowRows, group: I32, first: int, end: int, sums: I64) -> None:
    """Sum flows, packets and IP bytes of both directions by group, for the flows in [``first``, ``end``).

    group: int32[n]; negative values count from the end of ``sums``. sums: int64[groups, 3], zero.
    """
    rows_of_sums = sums.shape[0]
    for i in range(first, end):
        row = flows.rows[flows.place[i]]
        g = np.int64(group[i]) if group[i] >= 0 else rows_of_sums + np.int64(group[i])
        sums[g, 0] += 1
        if row.more_row:
            details = flows.more[np.int64(row.more_row) - 1]
            sums[g, 1] += np.int64(details.initiator_packets + details.responder_packets)
            sums[g, 2] += np.int64(details.initiator_octets + details.responder_octets)
        else:
            sums[g, 1] += 1
            sums[g, 2] += np.int64(row.octets)


@kernel
def measure_flows(flows: FlowRows, index: U32, from_responder: U8, gap_ns: int) -> tuple[int, int, int, int]:
    """Measure listed flows. Returns (first packet ns, last packet ns, IP bytes that the senders sent, pauses longer than ``gap_ns``).

    Pauses are found in list order: a flow that begins earlier than one before it may hide a pause, but never adds one.
    """
    first, last, nbytes, pauses = np.int64(0x7FFFFFFFFFFFFFFF), np.int64(-0x7FFFFFFFFFFFFFFF), 0, 0
    for k in range(index.shape[0]):
        row = flows.rows[flows.place[index[k]]]
        begin, end = row.first_seen_ns, row.first_seen_ns
        if row.more_row:
            details = flows.more[np.int64(row.more_row) - 1]
            end = details.last_seen_ns
            nbytes += np.int64(details.responder_octets if from_responder[k] else details.initiator_octets)
        elif (from_responder[k] > 0) == is_from_responder(row):
            nbytes += np.int64(row.octets)
        if k > 0 and begin - last > gap_ns:
            pauses += 1
        first, last = min(first, begin), max(last, end)
    return first, last, nbytes, pauses


@step
def spread(amounts: F64, begin: float, end: float, amount: float) -> None:
    """Spread an amount evenly over bins between two positions in units of bins; what lies outside goes to the first or the last."""
    last = amounts.shape[0] - 1
    first_bin, last_bin = min(max(np.int64(begin), 0), last), min(max(np.int64(end), 0), last)
    if first_bin == last_bin:
        amounts[first_bin] += amount
        return
    each = amount / (end - begin)
    for b in range(first_bin, last_bin + 1):
        low = begin if b == first_bin else np.float64(b)
        high = end if b == last_bin else np.float64(b + 1)
        amounts[b] += each * (high - low)


class Bins(NamedTuple):
    """Counts by group in time bins of equal length."""

    start_ns: int
    bin_ns: float
    packets: F64  # [groups, bins]
    nbytes: F64  # [groups, bins]


@kernel
def spread_flows(flows: FlowRows, group: I32, bins: Bins) -> None:
    """Add the traffic of flows, both directions, to the bins of their groups, each flow spread evenly over its duration.

    group: int32[n], of each flow; negative values count from the end.
    """
    start_ns, bin_ns, packets, nbytes = bins.start_ns, bins.bin_ns, bins.packets, bins.nbytes
    groups = packets.shape[0]
    for i in range(group.shape[0]):
        row = flows.rows[flows.place[i]]
        g = np.int64(group[i]) if group[i] >= 0 else groups + np.int64(group[i])
        begin = np.float64(row.first_seen_ns - start_ns) / bin_ns
        if row.more_row:
            details = flows.more[np.int64(row.more_row) - 1]
            until = max(np.float64(details.last_seen_ns - start_ns) / bin_ns, begin)
            spread(packets[g], begin, until, np.float64(details.initiator_packets + details.responder_packets))
            spread(nbytes[g], begin, until, np.float64(details.initiator_octets + details.responder_octets))
        else:
            b = min(max(np.int64(begin), 0), packets.shape[1] - 1)
            packets[g, b] += 1.0
            nbytes[g, b] += np.float64(row.octets)
