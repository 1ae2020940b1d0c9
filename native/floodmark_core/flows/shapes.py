"""Assign each finished flow one shape and one victim: what the flow looks like from the end that received it.

A shape is not a verdict. It names the kind of flood that this flow could be part of; whether it is depends on who else talks to the
victim, and that is decided in floodmark.verdicts. Flows in which both ends held a dialogue have no shape.
"""

from typing import NamedTuple

import numpy as np

from floodmark_core import kinds, protocols
from floodmark_core._jit import kernel, step
from floodmark_core.buffers.hashing import hash_host
from floodmark_core.buffers.probing import first_slot, free_slot, next_slot, slot_mask
from floodmark_core.columns import I32, I64, U8, U32, U64, FlowRows, Row, Rows
from floodmark_core.flows.dialogue import begin
from floodmark_core.flows.endpoints import initiator_of, is_fragment, is_header_whole, responder_of, version_of

NO_SHAPE = 0
SYN = 1  # SYN with TCP options that never became a connection
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
UDP_DIALOGUE = 18  # both ends sent: solicited replies, or a flood that is answered
SYN_BARE = 19  # SYN without any TCP option that never became a connection
SHAPES = 20

MOST_TRIES = 4  # datagrams of a UDP probe: as many as a resolver or a scanner retries
BRIEF_PACKETS = 3  # a connection captured from the middle on that is still alive shows more than this

TO_RESPONDER, TO_INITIATOR = 0, 1


@step
def tcp_shape(row: Row, more: Row) -> tuple[int, int]:
    """Return (shape, receiving end) of a TCP flow."""
    stage, first = np.int64(more.stage), np.int64(row.flags)
    if not is_header_whole(row):
        return NO_SHAPE, TO_RESPONDER
    if stage & kinds.STAGE_ESTABLISHED:
        return NO_SHAPE, TO_RESPONDER
    one_way = more.initiator_packets == 0 or more.responder_packets == 0
    to = TO_INITIATOR if more.initiator_packets == 0 else TO_RESPONDER
    core = first & 0x3F
    odd = core == 0 or not core & (kinds.ACK | kinds.SYN | kinds.RST)  # RFC 9293: all but the first SYN and a RST acknowledge
    odd = odd or (core & kinds.SYN and core not in (kinds.SYN, kinds.SYN | kinds.ACK, kinds.SYN | kinds.ACK | kinds.PSH))
    if odd and core & kinds.SYN:
        return ODD_FLAGS, to
    if stage & kinds.STAGE_SYN:
        return (SYN if more.tcp_options else SYN_BARE), TO_RESPONDER
    if stage & kinds.STAGE_SYNACK:
        return SYN_ACK, TO_INITIATOR
    sent, answer = np.int64(more.tcp_flags_initiator), np.int64(more.tcp_flags_responder)
    if more.initiator_packets == 0:
        sent, answer = answer, np.int64(0)
    if not one_way and (not answer & kinds.RST or more.responder_payload_octets > 0):  # a stateless packet is answered by RST, if at all
        told = not answer & kinds.RST or more.responder_payload_octets > 0
        if not (sent & kinds.RST and told and more.initiator_payload_octets == 0):
            return NO_SHAPE, to
        sent, to = answer, TO_INITIATOR  # the end taken for the initiator by port numbers only answers with RST
    if odd and (sent | core) & 0x3F == core:
        return ODD_FLAGS, to
    if sent & kinds.RST and not sent & (kinds.PSH | kinds.FIN | kinds.SYN):
        return RST, to
    packets = more.responder_packets if to == TO_INITIATOR else more.initiator_packets
    stateless = packets <= BRIEF_PACKETS or np.uint64(more.incoherent_packets) * np.uint64(2) > packets
    if not stateless or sent & kinds.SYN:
        return NO_SHAPE, to
    payload = more.initiator_payload_octets + more.responder_payload_octets
    if payload > 0:
        return DATA, to
    return (FIN if sent & kinds.FIN else ACK), to


@step
def shape_of(row: Row, more: Row, answer_kinds: U8) -> tuple[int, int]:
    """Return (shape, receiving end) of a flow. answer_kinds: uint8[256], 1 where a payload code is the reply of a reflector's protocol."""
    to = TO_INITIATOR if more.initiator_packets == 0 else TO_RESPONDER
    if is_fragment(row):
        return FRAGMENT, to
    if row.protocol == protocols.TCP:
        return tcp_shape(row, more)
    if row.protocol in (protocols.UDP, protocols.UDP_LITE):
        if more.initiator_packets > 0 and more.responder_packets > 0:
            return UDP_DIALOGUE, TO_RESPONDER
        code = more.responder_payload_kind if more.initiator_packets == 0 else more.initiator_payload_kind
        return (UDP_ANSWER if answer_kinds[code] else UDP), to
    if row.protocol in (protocols.ICMP, protocols.ICMPV6):
        icmp_type = row.flags
        if row.protocol == protocols.ICMP:
            if icmp_type == 8:
                return ICMP_ECHO, TO_RESPONDER
            if icmp_type == 0:
                return (ICMP_ECHO_REPLY if more.initiator_packets == 0 else ICMP_OTHER), to
            return (ICMP_ERROR if icmp_type in (3, 4, 11, 12) else ICMP_OTHER), to
        if icmp_type == 128:
            return ICMP_ECHO, TO_RESPONDER
        if icmp_type == 129:
            return (ICMP_ECHO_REPLY if more.initiator_packets == 0 else ICMP_OTHER), to
        return (ICMP_ERROR if 1 <= icmp_type <= 4 else ICMP_OTHER), to
    if row.protocol == protocols.GRE:
        return GRE, to
    return (IPSEC if row.protocol in (protocols.ESP, protocols.AH) else OTHER_IP), to


class Unshaped(NamedTuple):
    """The flows to shape."""

    flows: FlowRows
    hashes: U64  # of each flow's initiator
    answer_kinds: U8  # uint8[256], 1 where a payload code is the reply of a reflector's protocol


class Hosts(NamedTuple):
    """The hosts that are worth judging, and their hash table."""

    hi: U64
    lo: U64
    version: U8
    table: I32  # host number + 1, 0: free; power of two, at least twice as long as the list
    sent: I64  # packets that each host sent
    received: I64  # [host, shape] packets that it received in flows of each shape


class Shaped(NamedTuple):
    """Shaping's result for each flow."""

    shape: U8
    toward: U8  # TO_ code of the receiving end
    probe: U8  # may be a scanner's probe
    group: I32  # number of the listed host that received it * SHAPES + shape, or -1
    packets: U32  # toward the receiving end; saturates at 4,294,967,295
    dialogues: I64  # [TCP flows of three or more packets, of them one-way, of these with an initiator that acknowledges]


@step
def clear(more: Row) -> None:
    """Set to zero what :func:`begin` does not always write and shaping reads."""
    more.initiator_packets = more.responder_packets = np.uint64(0)
    more.initiator_payload_octets = more.responder_payload_octets = np.uint64(0)
    more.initiator_payload_kind = more.responder_payload_kind = np.uint8(0)
    more.tcp_flags_initiator = more.tcp_flags_responder = np.uint8(0)
    more.incoherent_packets = np.uint32(0)
    more.stage = np.uint16(0)
    more.tcp_options = np.uint32(0)


@step
def find_host(mixed: np.uint64, hi: int, lo: int, version: int, hosts: Hosts) -> int:
    """Return the number of a listed host, or -1. mixed: the address's hash."""
    mask = slot_mask(hosts.table.shape[0])
    slot = first_slot(mixed >> np.uint64(1), mask)  # the lowest bit is always set, see ranking.py
    while hosts.table[slot] > 0:  # not "!= 0", or the compiler handles negative numbers too: 5 % slower
        number = np.int64(hosts.table[slot]) - 1
        if hosts.lo[number] == lo and hosts.hi[number] == hi and hosts.version[number] == version:
            return number
        slot = next_slot(slot, mask)
    return -1


@kernel
def list_hosts(seed: np.uint64, hosts: Hosts) -> None:
    """Insert the hosts into their table, which is all zero."""
    mask = slot_mask(hosts.table.shape[0])
    for number in range(hosts.hi.shape[0]):
        mixed = hash_host(seed, hosts.hi[number], hosts.lo[number], hosts.version[number])
        hosts.table[free_slot(hosts.table, first_slot(mixed >> np.uint64(1), mask), mask)] = number + 1


@step
def is_probe(row: Row, more: Row, shape: int, to: int) -> bool:
    """Return whether a flow may be a scanner's probe: an unsuccessful contact, or a connection without payload."""
    if shape in (SYN, SYN_BARE, ODD_FLAGS, FIN, ACK):
        return bool(to == TO_RESPONDER)
    if shape == NO_SHAPE:
        silent = more.initiator_payload_octets == 0 and more.responder_payload_octets == 0
        return bool(row.protocol == protocols.TCP and more.stage & kinds.STAGE_SYN and silent)
    if shape == UDP:
        return bool(0 < more.initiator_packets <= MOST_TRIES)
    return bool(shape == ICMP_ECHO)


@step
def count_dialogue(more: Row, dialogues: I64) -> None:
    """Count a TCP flow of three or more packets by the directions it shows."""
    if more.initiator_packets + more.responder_packets >= 3:
        dialogues[0] += 1
        if more.initiator_packets == 0 or more.responder_packets == 0:
            dialogues[1] += 1
            dialogues[2] += 1 if more.stage & kinds.STAGE_INITIATOR_ACKS else 0


@kernel
def shape_flows(seed: np.uint64, unshaped: Unshaped, scratch: Rows, first: int, end: int, hosts: Hosts, shaped: Shaped) -> None:
    """Shape the flows in [``first``, ``end``), find which listed host received each, count what each listed host sent.

    scratch: MORE[1], for flows of one packet.
    """
    flows, hashes, answer_kinds = unshaped.flows, unshaped.hashes, unshaped.answer_kinds
    for i in range(first, end):
        row = flows.rows[flows.place[i]]
        if row.more_row:
            details = flows.more[np.int64(row.more_row) - 1]
        else:
            details = scratch[0]
            clear(details)
            begin(row, details)
        shape, to = shape_of(row, details, answer_kinds)
        version = version_of(row)
        hi, lo = initiator_of(row, flows.addresses)
        initiator = find_host(hashes[i], hi, lo, version, hosts)
        hi, lo = responder_of(row, flows.addresses)
        responder = find_host(hash_host(seed, hi, lo, version), hi, lo, version, hosts)
        shaped.shape[i], shaped.toward[i] = shape, to
        shaped.probe[i] = is_probe(row, details, shape, to)
        receiver = initiator if to == TO_INITIATOR else responder
        packets = np.int64(details.responder_packets if to == TO_INITIATOR else details.initiator_packets)
        shaped.packets[i] = np.uint32(min(packets, np.int64(0xFFFFFFFF)))
        shaped.group[i] = receiver * SHAPES + shape if receiver >= 0 else -1
        if receiver >= 0:
            hosts.received[receiver, shape] += packets
        if initiator >= 0:
            hosts.sent[initiator] += np.int64(details.initiator_packets)
        if responder >= 0:
            hosts.sent[responder] += np.int64(details.responder_packets)
        if row.protocol == protocols.TCP and row.more_row:
            count_dialogue(details, shaped.dialogues)
