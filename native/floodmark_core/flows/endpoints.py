"""Read a flow's endpoints and the rest of its key from its row: IPv4 addresses are in the row, others in a separate table."""

import numpy as np

from floodmark_core import kinds
from floodmark_core._jit import kernel, step
from floodmark_core.columns import FLOW, I64, U32, U64, Headers, Row, Rows
from floodmark_core.packets.fragments import LATER

ROW_WORDS = FLOW.itemsize // 8


@step
def version_of(row: Row) -> int:
    """Return the IP version, 4 or 6."""
    return 6 if row.network & np.uint32(kinds.NETWORK_IPV6) else 4


@step
def is_fragment(row: Row) -> bool:
    """Return whether a flow consists of later fragments."""
    return bool(row.network & np.uint32(kinds.NETWORK_FRAGMENT))


@step
def is_from_responder(row: Row) -> bool:
    """Return whether a flow's first packet was a reply."""
    return bool(row.origin & np.uint8(kinds.ORIGIN_FROM_RESPONDER))


@step
def is_header_whole(row: Row) -> bool:
    """Return whether the transport header of a flow's first packet was captured completely."""
    return bool(row.origin & np.uint8(kinds.ORIGIN_HEADER_WHOLE))


@step
def initiator_of(row: Row, addresses: Rows) -> tuple[np.uint64, np.uint64]:
    """Return the initiator's address: high and low half."""
    if row.network & np.uint32(kinds.NETWORK_WIDE):
        return addresses[row.initiator].initiator_hi, addresses[row.initiator].initiator_lo
    return np.uint64(0), np.uint64(row.initiator)


@step
def responder_of(row: Row, addresses: Rows) -> tuple[np.uint64, np.uint64]:
    """Return the responder's address: high and low half."""
    if row.network & np.uint32(kinds.NETWORK_WIDE):
        return addresses[row.responder].responder_hi, addresses[row.responder].responder_lo
    return np.uint64(0), np.uint64(row.responder)


@step
def network_of(headers: Headers, i: int) -> np.uint32:
    """Return the part of a packet's key besides addresses, ports and protocol."""
    network = np.uint32(headers.vlan[i])
    if headers.ip_version[i] == 6:
        network |= np.uint32(kinds.NETWORK_IPV6)
    if headers.fragment[i] == LATER:
        network |= np.uint32(kinds.NETWORK_FRAGMENT)
    if headers.tunnel[i]:
        network |= np.uint32(headers.tunnel[i]) << np.uint32(kinds.NETWORK_TUNNEL_SHIFT)
        if headers.outer_version[i] == 6:
            network |= np.uint32(kinds.NETWORK_OUTER_IPV6)
    return network


@step
def sender_of_row(row: Row, network: np.uint32, headers: Headers, i: int, addresses: Rows) -> int:
    """Return who sent packet ``i`` if a row has its key: 1 the initiator, 2 the responder, 0 if the key differs."""
    if row.network != network or row.protocol != headers.protocol[i]:
        return 0
    forward = row.initiator_port == headers.src_port[i] and row.responder_port == headers.dst_port[i]
    back = row.initiator_port == headers.dst_port[i] and row.responder_port == headers.src_port[i]
    if not forward and not back:
        return 0
    if not network & np.uint32(kinds.NETWORK_WIDE):
        if forward and row.initiator == np.uint32(headers.src_lo[i]) and row.responder == np.uint32(headers.dst_lo[i]):
            return 1
        return 2 if back and row.initiator == np.uint32(headers.dst_lo[i]) and row.responder == np.uint32(headers.src_lo[i]) else 0
    pair = addresses[row.initiator]
    if (
        forward
        and pair.initiator_lo == headers.src_lo[i]
        and pair.responder_lo == headers.dst_lo[i]
        and pair.initiator_hi == headers.src_hi[i]
        and pair.responder_hi == headers.dst_hi[i]
    ):
        return 1
    if (
        back
        and pair.initiator_lo == headers.dst_lo[i]
        and pair.responder_lo == headers.src_lo[i]
        and pair.initiator_hi == headers.dst_hi[i]
        and pair.responder_hi == headers.src_hi[i]
    ):
        return 2
    return 0


@step
def field_of(words: U64, first: int, fields: I64, k: int) -> np.uint64:
    """Return a field of the row whose words begin at ``first``. fields: int64[k, 3], for each its word, lowest bit, number of bits."""
    value = words[first + fields[k, 0]] >> np.uint64(fields[k, 1])
    if fields[k, 2] < 64:
        value &= (np.uint64(1) << np.uint64(fields[k, 2])) - np.uint64(1)
    return value


@kernel
def copy_ends(rows: Rows, addresses: Rows, at: U32, hi: U64, lo: U64, responder: int) -> None:
    """Write the addresses of one end of the flows in the given rows. responder: 1 for the responder's, 0 for the initiator's."""
    for n in range(at.shape[0]):
        row = rows[at[n]]
        hi[n], lo[n] = responder_of(row, addresses) if responder else initiator_of(row, addresses)


@kernel
def copy_outer_ends(rows: Rows, addresses: Rows, at: U32, ends: U64) -> None:
    """Write the tunnel endpoints of the flows in the given rows: uint64[4, n], high and low halves of both.

    The first is that of the initiator's side; rows without a tunnel are left unchanged.
    """
    for n in range(at.shape[0]):
        row = rows[at[n]]
        if row.network & np.uint32(kinds.NETWORK_TUNNEL):
            pair = addresses[np.int64(row.initiator) + 1]
            ends[0, n], ends[1, n], ends[2, n], ends[3, n] = pair.initiator_hi, pair.initiator_lo, pair.responder_hi, pair.responder_lo


@kernel
def copy_first_fields(words: U64, at: U32, fields: I64, out: U64) -> None:
    """Write fields of some FLOW rows.

    words: the rows as words. at: uint32[n], which rows. fields: see field_of. out: uint64[k, n or more].
    """
    for n in range(at.shape[0]):
        first = np.int64(at[n]) * ROW_WORDS
        for k in range(fields.shape[0]):
            out[k, n] = field_of(words, first, fields, k)
