"""One capture read from its beginning to its end, whoever looks at its blocks: damage passed over and counted, what was read summed up."""

from collections.abc import Callable
from dataclasses import dataclass

from floodmark.capture import BlockReader
from floodmark_core import Tally, new_interfaces, new_records, new_tally
from floodmark_core.ahead import touch_records
from floodmark_core.columns import I64, U8
from floodmark_core.framing import CONTAINER, LINK_TYPE, SNOOP, frame_batch
from floodmark_core.resync import next_record
from floodmark_core.status import STOP_DAMAGED, STOP_NEEDS_DATA

LOOKED_AT_OCTETS = 1 << 20  # of a mapped block: half of a second-level cache

Progress = Callable[[int], None]  # told the octets read so far
ReadBlock = Callable[[U8, int], tuple[int, int]]  # (block, place) -> (place of the first record not read, status.py STOP_)


@dataclass(frozen=True)
class ReadCapture:
    """One capture as it was read."""

    path: str
    format: str
    link_type: int  # of the pcap header; -1 for pcapng, where packets have their own
    octets: int  # length of the file as far as it was read
    tally: Tally
    truncated_at: int | None  # offset of the record that the file's end cuts
    damaged_at: int | None  # offset of the first record that cannot be one
    damages: int  # places where reading stopped, or had to look for the next record
    unread_octets: int  # from each of them to the next record, or to the end
    sha256: str | None  # of the file, where asked for
    compression: str | None  # the file is compressed with; all offsets are those of the octets unpacked
    unpacking_ended: str | None  # why compressed octets end before their end

    @property
    def packets(self) -> int:
        """Records read."""
        return int(self.tally.totals[0])

    @property
    def wire_octets(self) -> int:
        """Their lengths on the wire."""
        return int(self.tally.totals[1])

    @property
    def is_timed(self) -> bool:
        """Tell whether any packet has a time of its own."""
        return int(self.tally.totals[3]) >= 0

    @property
    def first_ns(self) -> int:
        """Earliest time of any packet; meaningless where none has one."""
        return int(self.tally.totals[2])

    @property
    def last_ns(self) -> int:
        """Latest time of any packet; as above."""
        return int(self.tally.totals[3])

    @property
    def link_types(self) -> list[int]:
        """Link types of the packets, or of the header where there is none."""
        found: list[int] = self.tally.link_type_count.nonzero()[0].tolist()
        return found or ([self.link_type] if self.link_type >= 0 else [])


def first_packet_ns(reader: BlockReader) -> int | None:
    """Return the time of a capture's first packet, None where none has a time. Reads no further than needed."""
    layout, records, interfaces, tally = reader.container.layout, new_records(), new_interfaces(), new_tally()
    block, at = reader.block, reader.container.header_octets
    while True:
        _, at, stop = frame_batch(block, at, reader.base, layout, interfaces, records, tally)
        if tally.totals[3] >= 0:
            return int(records.time_ns[0]) or int(tally.totals[2])  # the first may have no time of its own
        if stop == STOP_DAMAGED or reader.at_end:
            return None
        block, at = reader.next_block(at), 0


def mean_record_octets(reader: BlockReader) -> float:
    """Return how long a capture's first records are on average, with their headers; 0 where there is none."""
    layout, first = reader.container.layout.copy(), reader.container.header_octets
    count, at, _ = frame_batch(reader.block, first, 0, layout, new_interfaces(), new_records(), new_tally())
    return float((at - first) / count) if count else 0.0


def _skip(reader: BlockReader, block: U8, at: int, layout: I64 | None) -> tuple[U8, int]:
    """Pass over a damaged record. Returns the block that holds the next one, and its place; with no layout go to the end at once.

    What is passed over is read all the same: its length belongs in the answer.
    """
    found, at = False, at + 1
    while not found:
        found, at = next_record(block, at, layout, reader.at_end) if layout is not None else (False, len(block))
        if found or reader.at_end:
            break
        block, at = reader.next_block(at), 0
    return block, at if found else len(block)


def read_capture(
    reader: BlockReader, read_block: ReadBlock, state: tuple[I64, Tally], progress: Progress | None = None, keep_going: bool = False
) -> ReadCapture:
    """Read one capture to its end, or to a record that cannot be one; with ``keep_going`` on from the next that can.

    state: the layout and the tally that ``read_block`` fills. ``progress`` is told the octets read so far after each block.
    """
    layout, tally = state
    block, at = reader.block, reader.container.header_octets
    gaps: list[tuple[int, int]] = []  # offsets of a damaged record and of the next one that is read, or of the end
    while True:
        at, stop = read_block(block, at)
        if stop == STOP_DAMAGED:
            damaged_at = reader.base + at
            block, at = _skip(reader, block, at, layout if keep_going and layout[CONTAINER] != SNOOP else None)
            gaps.append((damaged_at, reader.base + at))
        elif reader.at_end:
            break
        else:
            block, at = reader.next_block(at), 0
        if progress is not None:
            progress(reader.base + at)
    end, left = reader.base + len(block), len(block) - at
    if progress is not None:
        progress(end)
    return ReadCapture(
        path=reader.path,
        format=reader.container.name,
        link_type=int(layout[LINK_TYPE]) if reader.container.name != "pcapng" else -1,
        octets=end,
        tally=tally,
        truncated_at=end - left if left else None,
        damaged_at=gaps[0][0] if gaps else None,
        damages=len(gaps),
        unread_octets=sum(after - before for before, after in gaps),
        sha256=reader.sha256,
        compression=reader.compression,
        unpacking_ended=reader.damage,
    )


def read_by_parts(read_block: ReadBlock, block: U8, at: int, layout: I64, cursors: I64) -> tuple[int, int]:
    """Read a mapped block, whose octets are not yet in the cache, part by part, the record headers of each brought there first.

    Where the parts end depends on the block alone. cursors: int64[CURSORS]. Returns as ``read_block`` does.
    """
    end = (at // LOOKED_AT_OCTETS + 1) * LOOKED_AT_OCTETS
    while True:
        part = block[:end]
        touch_records(part, at, layout, cursors)
        at, stop = read_block(part, at)
        if stop != STOP_NEEDS_DATA or end >= len(block):
            return at, stop
        end += LOOKED_AT_OCTETS
