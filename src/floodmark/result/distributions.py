"""Distributions of TTLs and packet sizes of an attack, compared with those of the capture's ordinary traffic."""

from dataclasses import dataclass

import numpy as np

from floodmark.events.events import Judged
from floodmark.flows.flows import Flows, Numbers, listed
from floodmark.flows.flowset import SAMPLE
from floodmark_core.columns import F64

TTL_STEP, SIZE_STEP = 4, 50  # width of a bar
_TTL_BARS, _SIZE_BARS = 256 // TTL_STEP, 31  # the last size bar includes all larger sizes


@dataclass(frozen=True)
class Distribution:
    """How packets are distributed over values."""

    attack: F64  # share of the packets in each bar, sum 1; all 0 if there are none
    ordinary: F64
    step: int  # width of a bar; the first begins at 0


def distributions(flows: Flows, judged: Judged, event: int) -> tuple[Distribution, Distribution]:
    """Return how an event's packets are distributed over TTLs and sizes (mean IP bytes of a flow), measured on samples."""
    own, ordinary = np.nonzero(judged.event_of == event - 1)[0], np.nonzero(judged.event_of < 0)[0]
    ttl, nbytes = _measured(flows, _sampled(own), judged.back)
    ordinary_ttl, ordinary_bytes = _measured(flows, _sampled(ordinary), None)
    return Distribution(ttl, ordinary_ttl, TTL_STEP), Distribution(nbytes, ordinary_bytes, SIZE_STEP)


def _sampled(index: Numbers) -> Numbers:
    return index[:: max(-(-len(index) // SAMPLE), 1)]


def _measured(flows: Flows, index: Numbers, back: np.ndarray | None) -> tuple[F64, F64]:
    """Return the shares of the packets by TTL and by size. back: of each flow, whether to measure the responder; None: the initiator."""
    names = [f"{end}_{what}" for end in ("initiator", "responder") for what in ("packets", "octets")]
    seen = flows.columns(listed(index), ("ttl", *names))
    turned = back[index] > 0 if back is not None else np.zeros(len(index), bool)
    packets, nbytes = (np.where(turned, seen[f"responder_{what}"], seen[f"initiator_{what}"]) for what in ("packets", "octets"))
    size = np.minimum(nbytes // np.maximum(packets, 1) // SIZE_STEP, _SIZE_BARS - 1).astype(np.int64)
    ttl = np.bincount(seen["ttl"] // TTL_STEP, weights=packets, minlength=_TTL_BARS)
    return _shares(ttl), _shares(np.bincount(size, weights=packets, minlength=_SIZE_BARS))


def _shares(counts: np.ndarray) -> F64:
    shares: F64 = counts / max(float(counts.sum()), 1.0)
    return shares
