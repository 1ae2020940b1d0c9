"""Finished flows in, one shape and one victim per flow out: what a flow looks like from the end that received it.

A shape is no verdict. It says which kind of flood this flow could be a part of; whether it is depends on who else talks to the
victim, and that is decided in floodmark.verdicts. Flows in which both ends held a dialogue have no shape.
"""

import numpy as np

from floodmark_core import kinds
from floodmark_core._jit import kernel, step
from floodmark_core.columns import I32, I64, U8, U64, Rows
from floodmark_core.hashing import hash_words

NO_SHAPE = 0
SYN = 1  # SYN that never became a connection
ODD_FLAGS = 2  # first packet with a combination of flags that no TCP state sends
SYN_ACK = 3  # SYN-ACK without a SYN
RST = 4  # nothing but RST
FIN = 5  # FIN without a connection
ACK = 6  # ACK without payload and without a connection
DATA = 7  # TCP payload without a connection
UDP_ANSWER = 8  # one-way UDP whose payload is a protocol's reply
UDP = 9  # any other one-way UDP
ICMP_ECHO = 10
ICMP_ECHO_REPLY = 11  # without a request
ICMP_ERROR = 12
ICMP_OTHER = 13
FRAGMENT = 14  # later fragments
GRE = 15
IPSEC = 16
OTHER_IP = 17
UDP_DIALOGUE = 18  # both ends sent: solicited answers, or a flood that is answered
SHAPES = 19

BRIEF_PACKETS = 3  # a flow joined in the middle that still is one shows more than this

TO_RESPONDER, TO_INITIATOR = 0, 1


@step
def tcp_shape(row: Rows) -> tuple[int, int]:
    """Return (shape, receiving end) of a TCP flow."""
    stage, first = np.int64(row.stage), np.int64(row.first_flags)
    if stage & kinds.STAGE_ESTABLISHED:
        return NO_SHAPE, TO_RESPONDER
    one_way = row.initiator_packets == 0 or row.responder_packets == 0
    to = TO_INITIATOR if row.initiator_packets == 0 else TO_RESPONDER
    if stage & kinds.STAGE_SYN:
        return SYN, TO_RESPONDER
    if stage & kinds.STAGE_SYNACK:
        return SYN_ACK, TO_INITIATOR
    core = first & 0x3F
    odd = core == 0 or (core & kinds.SYN and core & (kinds.FIN | kinds.RST)) or (not core & (kinds.ACK | kinds.SYN | kinds.RST))
    sent, answer = np.int64(row.tcp_flags_initiator), np.int64(row.tcp_flags_responder)
    if row.initiator_packets == 0:
        sent, answer = answer, np.int64(0)
    if not one_way:  # a stateless packet is answered by RST, if at all
        if not answer & kinds.RST or row.responder_payload_octets > 0:
            if not (sent & kinds.RST and not answer & kinds.RST and row.initiator_payload_octets == 0):
                return NO_SHAPE, to
            sent, to = answer, TO_INITIATOR  # the initiator by port numbers only answers with RST
    if odd and (sent | core) & 0x3F == core:
        return ODD_FLAGS, to
    if sent & kinds.RST and not sent & (kinds.PSH | kinds.FIN | kinds.SYN):
        return RST, to
    packets = row.initiator_packets + row.responder_packets
    stateless = packets <= BRIEF_PACKETS or np.uint64(row.incoherent_packets) * np.uint64(2) > packets
    if not stateless or sent & kinds.SYN:
        return NO_SHAPE, to
    payload = row.initiator_payload_octets + row.responder_payload_octets
    if payload > 0:
        return DATA, to
    return (FIN if sent & kinds.FIN else ACK), to


@step
def shape_of(row: Rows, answer_kinds: U8) -> tuple[int, int]:
    """Return (shape, receiving end) of a flow. answer_kinds: uint8[256], 1 where a payload code is the reply of a reflector's protocol."""
    to = TO_INITIATOR if row.initiator_packets == 0 else TO_RESPONDER
    if row.is_fragment:
        return FRAGMENT, to
    if row.protocol == 6:
        return tcp_shape(row)
    if row.protocol in (17, 136):
        if row.initiator_packets > 0 and row.responder_packets > 0:
            return UDP_DIALOGUE, TO_RESPONDER
        code = row.responder_payload_kind if row.initiator_packets == 0 else row.initiator_payload_kind
        return (UDP_ANSWER if answer_kinds[code] else UDP), to
    if row.protocol in (1, 58):
        icmp_type = row.first_icmp_type
        if row.protocol == 1:
            if icmp_type == 8:
                return ICMP_ECHO, TO_RESPONDER
            if icmp_type == 0:
                return (ICMP_ECHO_REPLY if row.initiator_packets == 0 else ICMP_OTHER), to
            return (ICMP_ERROR if icmp_type in (3, 4, 11, 12) else ICMP_OTHER), to
        if icmp_type == 128:
            return ICMP_ECHO, TO_RESPONDER
        if icmp_type == 129:
            return (ICMP_ECHO_REPLY if row.initiator_packets == 0 else ICMP_OTHER), to
        return (ICMP_ERROR if 1 <= icmp_type <= 4 else ICMP_OTHER), to
    if row.protocol == 47:
        return GRE, to
    return (IPSEC if row.protocol in (50, 51) else OTHER_IP), to


@step
def find_host(hi: int, lo: int, version: int, host_hi: U64, host_lo: U64, host_version: U8, table: I32) -> int:
    """Return the number of a listed host, or -1."""
    mask = np.uint64(table.shape[0] - 1)
    slot = hash_words(np.uint64(version), hi, lo, np.uint64(0), np.uint64(0), np.uint64(0)) & mask
    while table[slot] >= 0:
        number = table[slot]
        if host_lo[number] == lo and host_hi[number] == hi and host_version[number] == version:
            return np.int64(number)
        slot = (slot + np.uint64(1)) & mask
    return -1


@kernel
def list_hosts(host_hi: U64, host_lo: U64, host_version: U8, table: I32) -> None:
    """Enter hosts into a table of -1 that is a power of two and at least twice as long as the list."""
    mask = np.uint64(table.shape[0] - 1)
    for number in range(host_hi.shape[0]):
        slot = hash_words(np.uint64(host_version[number]), host_hi[number], host_lo[number], np.uint64(0), np.uint64(0), np.uint64(0)) & mask
        while table[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        table[slot] = number


@kernel
def shape_flows(
    rows: Rows, answer_kinds: U8, host_hi: U64, host_lo: U64, host_version: U8, table: I32, shape: U8, toward: U8, receiver: I32, sent: I64
) -> None:
    """Shape every flow and find which listed host received it.

    shape, toward: uint8[n], TO_ code of the receiving end. receiver: int32[n], host number or -1.
    sent: int64[hosts], packets that each listed host sent itself.
    """
    for i in range(rows.shape[0]):
        row = rows[i]
        shape[i], toward[i] = shape_of(row, answer_kinds)
        first = find_host(row.initiator_hi, row.initiator_lo, row.ip_version, host_hi, host_lo, host_version, table)
        second = find_host(row.responder_hi, row.responder_lo, row.ip_version, host_hi, host_lo, host_version, table)
        receiver[i] = first if toward[i] == TO_INITIATOR else second
        if first >= 0:
            sent[first] += np.int64(row.initiator_packets)
        if second >= 0:
            sent[second] += np.int64(row.responder_packets)
