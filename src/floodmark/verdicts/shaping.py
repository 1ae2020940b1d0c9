"""Flows by what they could be part of: the shape and the receiving end of each, and what is asked of all connections."""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from floodmark.flows.flows import Flows, Numbers, listed
from floodmark.flows.flowset import SAMPLE, FlowSet
from floodmark_core.columns import I64, U8, U16, U32
from floodmark_core.flows import shapes
from floodmark_core.tables.grouping import keep_frequent
from floodmark_core.tables.picking import pick_received

_LEAST_BUCKETS = 1 << 16


class Spoken(NamedTuple):
    """What several rules need of every established connection, in the order of ``ShapedFlows.established``."""

    kind: U8  # of the client's first payload, floodmark_core.flows.payload
    port: U16  # of the service
    asked: np.ndarray  # bool: a request was recognised
    denied: np.ndarray  # bool: a response denied access


class ShapedFlows:
    """The flows of one run with the shape that each has (floodmark_core.flows.shapes)."""

    def __init__(self, flows: Flows, shaped: shapes.Shaped, dialogues_seen: I64) -> None:
        """shaped: columns, one value per flow. dialogues_seen: as :class:`shapes.Shaped` describes."""
        self.flows = flows
        self.shape: U8 = shaped.shape
        self.toward, self.may_probe, self.packets_toward = shaped.toward, shaped.probe, shaped.packets
        self.dialogues_seen = dialogues_seen

    def probes(self, least: int) -> I64:
        """Return the flows that may be a scanner's probes, of initiators that have at least ``least`` of them."""
        chosen, hashes, workers = self.may_probe.copy(), self.flows.initiator_hashes, self.flows.workers
        parts = len(workers.parts(len(self.flows)))
        # Each thread handles its part of the initiators, in its own buckets.
        size = max(_LEAST_BUCKETS, 1 << (int(chosen.sum(dtype=np.int64)) // (2 * parts)).bit_length())
        rooms = [self.flows.memory.array(size, np.uint8) for _ in range(parts)]
        workers.each(lambda part: keep_frequent(hashes, chosen, least, rooms[part], part, parts), range(parts))
        return np.nonzero(chosen)[0]

    def flow_set(self, index: Numbers) -> FlowSet:
        """Return flows by row as a set, each seen from its receiving end."""
        chosen = listed(index)
        back, packets, workers = np.empty(len(chosen), bool), np.empty(len(chosen), np.uint32), self.flows.workers
        toward, sent, to = self.toward, self.packets_toward, shapes.TO_INITIATOR
        workers.each(
            lambda part: pick_received(toward, sent, chosen, part.first, part.end, to, back.view(np.uint8), packets),
            workers.parts(len(chosen)),
        )
        return FlowSet(self.flows, chosen, back, packets)

    def clients(self, index: Numbers) -> FlowSet:
        """Return flows by row as a set in which the initiator is the sender."""
        return FlowSet(self.flows, listed(index), np.zeros(len(index), bool), stopped(self.flows.column("initiator_packets", index)))

    @cached_property
    def established(self) -> I64:
        """Rows of TCP flows that are connections: with a handshake, or a dialogue joined in the middle."""
        index = np.nonzero(self.shape == shapes.NO_SHAPE)[0]
        return index[self.flows.column("header_whole", index) > 0]

    @cached_property
    def spoken(self) -> Spoken:
        """Payload facts of the established connections."""
        rows, names = self.established, ("initiator_payload_kind", "responder_port", "requests", "denied_responses")
        kind, port = np.empty(len(rows), np.uint8), np.empty(len(rows), np.uint16)
        asked, denied = np.empty(len(rows), bool), np.empty(len(rows), bool)
        for start in range(0, len(rows), SAMPLE):
            part = slice(start, start + SAMPLE)
            seen = self.flows.columns(rows[part].astype(np.uint32), names)
            kind[part], port[part] = seen["initiator_payload_kind"], seen["responder_port"]
            asked[part], denied[part] = seen["requests"] > 0, seen["denied_responses"] > 0
        return Spoken(kind, port, asked, denied)

    @cached_property
    def to_everyone(self) -> U32:
        """Rows of UDP flows to multicast and broadcast addresses."""
        rows = np.nonzero(self.shape == shapes.UDP)[0].astype(np.uint32)
        seen = self.flows.columns(rows, ("responder_hi", "responder_lo", "ip_version", "initiator_packets"))
        lo, four = seen["responder_lo"], seen["ip_version"] == 4
        many = four & ((lo >> np.uint64(28) == 0xE) | (lo & np.uint64(0xFF) == 0xFF))
        # A reflector whose address ends in 255 is a responder because of its port, though nothing was sent to it.
        found: U32 = rows[(many | (~four & (seen["responder_hi"] >> np.uint64(56) == 0xFF))) & (seen["initiator_packets"] > 0)]
        return found

    @cached_property
    def one_sided(self) -> bool | None:
        """Return whether most TCP flows of at least three packets show only one direction; None if there are none."""
        seen, one_way, acknowledging = (int(count) for count in self.dialogues_seen)
        return bool(acknowledging > 0.5 * seen or one_way > 0.9 * seen) if seen else None


def stopped(packets: np.ndarray) -> U32:
    """Return packets per flow in the form that sets of flows use: capped at 4,294,967,295."""
    stopped: U32 = np.minimum(packets, 0xFFFFFFFF).astype(np.uint32)
    return stopped
