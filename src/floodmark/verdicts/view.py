"""Determine what captures can show of the traffic: whole dialogues or one direction, every packet or a sample, payload or none.

Measured on the flows themselves, on at most 65,536 of each kind. Rules check this before they take missing traffic as evidence.
"""

from functools import cached_property

import numpy as np

from floodmark.flows.flows import Flows
from floodmark.flows.flowset import SAMPLE
from floodmark_core import kinds
from floodmark_core.columns import I64
from floodmark_core.flows import payload
from floodmark_core.protocols import TCP, UDP

_FEWEST = 20  # fewest flows for a conclusion
_COVERED = 0.9  # of the bytes between sequence numbers; if fewer are captured, packets were lost or sampled
_FEWEST_STREAMS, _STREAM_PACKETS = 5, 3
_LONGEST_STREAM = 1 << 30  # bytes; beyond it, a sequence number may have wrapped around
_BEGAN_BEFORE_NS = 1_000_000_000
_BRIEF_PACKETS, _EACH_WAY = 2, 0.1
_MISSING_SHARE, _ZEROED_SHARE = 0.5, 0.9
_RECOGNISED = (TCP, UDP)


class View:
    """The flows of one run as evidence of how they were captured."""

    def __init__(self, flows: Flows, *, duplicates: float | None = None, snaplen_cut: bool = False) -> None:
        """duplicates: share of packets seen twice. snaplen_cut: whether many packets were truncated."""
        self._flows = flows
        self.duplicates = duplicates
        self.snaplen_cut = snaplen_cut

    @cached_property
    def _spaced(self) -> I64:
        step = max(-(-len(self._flows) // SAMPLE), 1)
        return np.arange(0, len(self._flows), step, dtype=np.int64)

    @cached_property
    def coverage(self) -> float | None:
        """Share of the bytes by which TCP streams advanced that are in the capture; None if there are too few streams."""
        names = (
            "protocol", "header_whole", "from_responder", "tcp_seq", "initiator_next_seq", "responder_next_seq",
            "initiator_payload_octets", "responder_payload_octets", "initiator_payload_packets", "responder_payload_packets",
            "incoherent_packets", "flags", "tcp_flags_initiator", "tcp_flags_responder", "initiator_lo",
        )  # fmt: skip
        seen = self._flows.columns(self._spaced.astype(np.uint32), names)
        back = seen["from_responder"] > 0
        nbytes = np.where(back, seen["responder_payload_octets"], seen["initiator_payload_octets"]).astype(np.float64)
        packets = np.where(back, seen["responder_payload_packets"], seen["initiator_payload_packets"])
        reached = np.where(back, seen["responder_next_seq"], seen["initiator_next_seq"]).astype(np.int64)
        opened = seen["flags"] & (kinds.SYN | kinds.FIN) > 0
        spans = (reached - seen["tcp_seq"].astype(np.int64) - opened) & 0xFFFFFFFF
        fit = (seen["protocol"] == TCP) & (seen["header_whole"] > 0) & (packets >= _STREAM_PACKETS) & (seen["incoherent_packets"] == 0)
        fit &= (spans > 0) & (spans < _LONGEST_STREAM)
        heard = np.where(back, seen["tcp_flags_initiator"], seen["tcp_flags_responder"])
        answered = (heard & (kinds.SYN | kinds.FIN | kinds.PSH) > 0) | ((heard & kinds.ACK > 0) & (heard & kinds.RST == 0))
        fit &= answered | (heard == 0)  # flows answered only by resets are not streams
        dialogues = fit & (opened | answered)
        unasked = fit & ~dialogues & back  # servers' replies without requests: if to one host, a reflection
        if len(np.unique(seen["initiator_lo"][unasked])) < _FEWEST_STREAMS:
            fit &= ~unasked
        if int(dialogues.sum()) >= _FEWEST_STREAMS:
            fit = dialogues
        if int(fit.sum()) < _FEWEST_STREAMS:
            return None
        return float(np.median(np.minimum(nbytes[fit] / spans[fit], 1.0)))

    @cached_property
    def sampled(self) -> bool | None:
        """Return whether packets are missing in the middle of streams, as in a sample; None if unknown.

        If streams are too short, this is judged by flows that begin mid-dialogue long after the capture began, in both directions of the
        same services: whoever floods a host with segments does not send its replies too.
        """
        if self.coverage is not None and self.coverage < _COVERED:
            return True
        names = ("protocol", "flags", "first_seen_ns", "from_responder", "initiator_packets", "responder_packets")
        seen = self._flows.columns(self._spaced.astype(np.uint32), names)
        tcp = seen["protocol"] == TCP
        if not tcp.any():
            return None
        later = tcp & (seen["first_seen_ns"] > seen["first_seen_ns"].min() + _BEGAN_BEFORE_NS)
        brief = seen["initiator_packets"] + seen["responder_packets"] <= _BRIEF_PACKETS
        middle = later & brief & (seen["flags"] & (kinds.SYN | kinds.RST) == 0)
        ways = [int((middle & (seen["from_responder"] == side)).sum()) for side in (0, 1)]
        share = sum(ways) / max(int(later.sum()), 1)
        both = min(ways) >= _EACH_WAY * max(ways)
        if both and ((min(ways) >= 10 and share >= 0.3) or (min(ways) >= 3 and share >= 0.5)):
            return True
        return None if self.coverage is None else False

    @cached_property
    def _payloads(self) -> tuple[int, float, float]:
        """Return (flow directions that carried payload, share of them with none captured, share of them with only zeros).

        Anonymisers overwrite payloads in all protocols: the last value is the smaller of the shares for TCP and for all others. Zeros over
        UDP alone, beside TCP with real payload, are a flood; without any TCP the two cannot be distinguished, and zeros are taken for a
        flood.
        """
        names = (
            "protocol", "initiator_payload_octets", "responder_payload_octets", "initiator_payload_kind", "responder_payload_kind",
            "initiator_prefix", "responder_prefix",
        )  # fmt: skip
        seen = self._flows.columns(self._spaced.astype(np.uint32), names)
        codes, prefixes, tcp = [], [], []
        for end in ("initiator", "responder"):
            said = (seen[f"{end}_payload_octets"] > 0) & np.isin(seen["protocol"], _RECOGNISED)  # no other protocol is recognised
            codes.append(seen[f"{end}_payload_kind"][said])
            prefixes.append(seen[f"{end}_prefix"][said])
            tcp.append(seen["protocol"][said] == TCP)
        kind, prefix, of_tcp = np.concatenate(codes), np.concatenate(prefixes), np.concatenate(tcp)
        unread = (kind == payload.NONE) & (prefix == 0)
        if self.snaplen_cut:  # four bytes or fewer of the payload are left
            unread |= (kind == payload.UNRECOGNISED) & (prefix & np.uint64(0xFFFFFFFF) == 0)
        absent = float(unread.mean()) if len(kind) else 0.0
        if int(of_tcp.sum()) < _FEWEST_STREAMS:
            return len(kind), absent, 0.0
        zero = (kind <= payload.UNIFORM) & (kind != payload.NONE) & (prefix == 0)
        others = float(zero[~of_tcp].mean()) if int((~of_tcp).sum()) >= _FEWEST_STREAMS else 1.0
        return len(kind), absent, min(float(zero[of_tcp].mean()), others)

    @cached_property
    def payload_missing(self) -> bool | None:
        """Return whether payload is truncated or overwritten; None if there was too little of it."""
        count, absent, zeros = self._payloads
        return None if count < _FEWEST else absent >= _MISSING_SHARE or zeros >= _ZEROED_SHARE

    @cached_property
    def anonymised(self) -> bool | None:
        """Return whether payloads were overwritten with zeros; None if there were too few. Changed addresses cannot be detected."""
        count, absent, zeros = self._payloads
        return None if count < _FEWEST or absent >= _MISSING_SHARE else zeros >= _ZEROED_SHARE
