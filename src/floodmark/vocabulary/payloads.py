"""Names for the core's payload codes, and the protocols whose replies reflectors send."""

import numpy as np

from floodmark.vocabulary.vectors import PROTOCOL_RECORDS, RECORDS
from floodmark_core.columns import U8
from floodmark_core.flows import payload

# Protocol (payload.py) -> vector of a flood of its replies.
REFLECTION_VECTORS = {getattr(payload, name): vector.name for vector in RECORDS.values() for name in vector.payloads}

PROTOCOL_NAMES = {getattr(payload, name): protocol.title for name, protocol in PROTOCOL_RECORDS.items()}

# Telephony, video, game and tunnel protocols, which are one-way UDP in a one-sided capture of ordinary traffic.
MEDIA_PROTOCOLS = (payload.RTP, payload.QUIC, payload.DTLS, payload.STUN, payload.OPENVPN, payload.BITTORRENT, payload.GAME)


def reply_code(protocol: int) -> int:
    """Return the payload code of a protocol's replies."""
    return 2 * protocol + payload.REPLY


def payload_name(code: int) -> str:
    """Return a payload code in words."""
    if code < 2 * payload.DNS:
        return ("none", "unrecognised", "one octet repeated", "unused")[code]
    return f"{PROTOCOL_NAMES[code // 2]} {'reply' if code & 1 else 'request'}"


def _answer_kinds() -> U8:
    codes: U8 = np.zeros(256, np.uint8)
    codes[[reply_code(protocol) for protocol in REFLECTION_VECTORS]] = 1
    return codes


ANSWER_KINDS = _answer_kinds()
