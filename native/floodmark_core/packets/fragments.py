"""Find the ports of later fragments: each belongs to the flow of its first one, whose transport header it lacks.

The first fragment of a datagram stores its ports under (addresses, protocol, identification, tags, tunnel), where later ones find them
for 30 seconds of the capture clock. The table has one slot per hash: a fragment whose slot was overwritten, or that comes before its
first, stays an orphan, keyed by its addresses alone. The hash has no seed, so results do not depend on one: an attacker who forces
collisions creates orphans.
"""

from typing import NamedTuple

import numpy as np

from floodmark_core._jit import step
from floodmark_core.buffers.hashing import hash_words
from floodmark_core.columns import I64, U32, U64, Headers

WHOLE, FIRST, LATER, TIED = 0, 1, 2, 3  # values of headers.fragment: TIED is a later one whose ports are known
PLACES = 1 << 14  # 320 KiB
LIFETIME_NS = 30_000_000_000  # how long Linux keeps fragments (net.ipv4.ipfrag_time)
_SEED = np.uint64(0x243F6A8885A308D3)


class Fragments(NamedTuple):
    """Ports stored by first fragments; carries over from block to block and from file to file."""

    keys: U64  # hashes; 0 none
    ports: U32  # source << 16 | destination
    clock_ns: I64  # of the first fragment


def new_fragments() -> Fragments:
    """Return an empty table."""
    return Fragments(np.zeros(PLACES, np.uint64), np.zeros(PLACES, np.uint32), np.zeros(PLACES, np.int64))


@step
def datagram_hash(i: int, headers: Headers) -> np.uint64:
    """Hash what the fragments of one datagram have in common; odd, so never 0."""
    rest = (np.uint64(headers.vlan[i]) << np.uint64(32)) | np.uint64(headers.fragment_id[i])
    rest ^= np.uint64(headers.protocol[i]) << np.uint64(56)
    kind = (np.uint64(headers.tunnel[i]) << np.uint64(4)) | np.uint64(headers.ip_version[i])
    return hash_words(_SEED ^ kind, headers.src_hi[i], headers.src_lo[i], headers.dst_hi[i], headers.dst_lo[i], rest) | np.uint64(1)


@step
def keep_ports(i: int, clock_ns: int, headers: Headers, fragments: Fragments) -> None:
    """Store the ports of a first fragment."""
    mixed = datagram_hash(i, headers)
    place = mixed >> np.uint64(1) & np.uint64(PLACES - 1)
    fragments.keys[place] = mixed
    fragments.ports[place] = (np.uint32(headers.src_port[i]) << np.uint32(16)) | np.uint32(headers.dst_port[i])
    fragments.clock_ns[place] = clock_ns


@step
def tie(i: int, clock_ns: int, headers: Headers, fragments: Fragments) -> None:
    """Give a later fragment the ports of its first one, if these are known."""
    mixed = datagram_hash(i, headers)
    place = mixed >> np.uint64(1) & np.uint64(PLACES - 1)
    if fragments.keys[place] == mixed and clock_ns - fragments.clock_ns[place] <= LIFETIME_NS:
        headers.src_port[i] = fragments.ports[place] >> np.uint32(16)
        headers.dst_port[i] = fragments.ports[place] & np.uint32(0xFFFF)
        headers.fragment[i] = TIED
