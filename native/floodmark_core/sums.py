"""Flows and a group for each in, totals per group out."""

import numpy as np

from floodmark_core._jit import kernel
from floodmark_core.columns import I32, I64, Rows


@kernel
def sum_flows(rows: Rows, more: Rows, group: I32, sums: I64) -> None:
    """Add up flows, packets and IP octets of both directions by group.

    group: int32[n], -1 for the last row of ``sums``. sums: int64[groups + 1, 3], zero.
    """
    last = sums.shape[0] - 1
    for i in range(rows.shape[0]):
        g = np.int64(group[i]) if group[i] >= 0 else last
        sums[g, 0] += 1
        if rows[i].more_row:
            details = more[np.int64(rows[i].more_row) - 1]
            sums[g, 1] += np.int64(details.initiator_packets + details.responder_packets)
            sums[g, 2] += np.int64(details.initiator_octets + details.responder_octets)
        else:
            sums[g, 1] += 1
            sums[g, 2] += np.int64(rows[i].octets)
