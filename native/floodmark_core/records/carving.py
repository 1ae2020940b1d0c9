"""Write chosen packets of a block as pcapng: blocks of a pcapng capture are copied, records of other captures become blocks."""

from typing import NamedTuple

import numpy as np

from floodmark_core._jit import kernel, step
from floodmark_core.buffers.writing import copy_bytes, put_host32, put_little32
from floodmark_core.columns import I64, U8, U32
from floodmark_core.records.framing import ENHANCED_PACKET, PACKET, SECTION_HEADER, SIMPLE_PACKET, block_header

PACKET_OVERHEAD = 32  # bytes of an enhanced packet block around its frame
_SECTION_BYTES = 28  # of a section header block without options


@step
def copy_section_header(block: U8, at: int, length: int, swapped: int, option: U8, out: U8, to: int) -> int:
    """Copy a section header block with one more option before the others, and with its section length set to unknown."""
    to_start = to
    to = copy_bytes(block, at, at + 16, out, to)
    out[to : to + 8] = 0xFF
    to = copy_bytes(option, 0, option.shape[0], out, to + 8)
    if length > _SECTION_BYTES:
        to = copy_bytes(block, at + 24, at + length - 4, out, to)
    else:
        out[to : to + 4] = 0  # opt_endofopt
        to += 4
    whole = to + 4 - to_start
    put_host32(out, to_start + 4, whole, swapped)
    put_host32(out, to, whole, swapped)
    return to + 4


class Chosen(NamedTuple):
    """Which packets of a stretch to copy, and the section header option that describes them, in either byte order."""

    packets: U8  # 1 for those to copy
    option: U8
    option_swapped: U8


class Packets(NamedTuple):
    """Packets to write. frame_at is an index into their block, lengths are in bytes, times in nanoseconds since the epoch."""

    frame_at: I64
    time_ns: I64
    captured_length: I64
    wire_length: I64
    interface: U32  # number in the section


@kernel
def copy_blocks(block: U8, at: int, end: int, swapped: int, number: int, chosen: Chosen, out: U8) -> tuple[int, int, int, int]:
    """Copy pcapng blocks from ``at`` to ``end``: the chosen packet blocks and all other blocks.

    swapped: byte order of the section. number: index of the next packet in ``chosen.packets``.
    Returns (bytes written, position and number of the packet to continue at if ``out`` is full, swapped).
    """
    written = 0
    while at < end:
        kind, length, swapped = block_header(block, at, swapped)
        if written + length + chosen.option.shape[0] + 8 > out.shape[0]:
            break
        if kind == SECTION_HEADER:
            option = chosen.option_swapped if swapped else chosen.option
            written = copy_section_header(block, at, length, swapped, option, out, written)
        elif kind not in (ENHANCED_PACKET, PACKET, SIMPLE_PACKET):
            written = copy_bytes(block, at, at + length, out, written)
        else:
            if chosen.packets[number]:
                written = copy_bytes(block, at, at + length, out, written)
            number += 1
        at += length
    return written, at, number, swapped


@kernel
def write_packets(block: U8, count: int, packets: Packets, chosen: U8, out: U8) -> int:
    """Write the chosen ones of ``count`` packets as enhanced packet blocks, little endian, times in nanoseconds. Returns bytes written."""
    at = 0
    for i in range(count):
        if not chosen[i]:
            continue
        frame_at, captured = packets.frame_at[i], packets.captured_length[i]
        padded = (captured + 3) // 4 * 4
        whole = PACKET_OVERHEAD + padded
        put_little32(out, at, ENHANCED_PACKET)
        put_little32(out, at + 4, whole)
        put_little32(out, at + 8, np.int64(packets.interface[i]))
        put_little32(out, at + 12, packets.time_ns[i] >> 32)
        put_little32(out, at + 16, packets.time_ns[i])
        put_little32(out, at + 20, captured)
        put_little32(out, at + 24, packets.wire_length[i])
        stop = copy_bytes(block, frame_at, frame_at + captured, out, at + 28)
        out[stop : at + 28 + padded] = 0
        put_little32(out, at + whole - 4, whole)
        at += whole
    return at
