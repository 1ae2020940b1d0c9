"""Build a Merkle tree over bytes, and what a holder of only some of them needs to compute the same root.

The tree is that of RFC 9162 section 2.1: SHA-256, 0x00 before a leaf and 0x01 before two nodes, a node without a sibling moved up
unchanged. A leaf is a chunk of fixed size. The digests are in temporary files: a capture's take a thirty-second of its size.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from floodmark_core.columns import I64, U8

# Bytes of a chunk. The other bytes in the chunks of a carved record must be handed over too, so chunks are small: for the demo's events
# 0.57 MB beside 0.88 MB of records. Hashing takes 2.0 s a GiB; with 256 bytes 5.3 s and 0.34 MB, with 4,096 1.1 s and 0.66 MB.
CHUNK_BYTES = 1024
DIGEST_BYTES = 32
_LEAF, _NODE = b"\0", b"\1"
_PIECE_NODES = 1 << 16  # of a level hashed together


def leaf_digests(nbytes: bytes | memoryview) -> bytes:
    """Return the digests of whole chunks, and of a shorter one at the end."""
    digest, view = hashlib.sha256, memoryview(nbytes)
    return b"".join([digest(_LEAF + view[at : at + CHUNK_BYTES]).digest() for at in range(0, len(view), CHUNK_BYTES)])


def _parents(digests: bytes) -> bytes:
    """Return the parents of some nodes, the first of which is at an even position."""
    digest, pairs = hashlib.sha256, len(digests) // (2 * DIGEST_BYTES) * 2 * DIGEST_BYTES
    above = [digest(_NODE + digests[at : at + 2 * DIGEST_BYTES]).digest() for at in range(0, pairs, 2 * DIGEST_BYTES)]
    return b"".join([*above, digests[pairs:]])


@dataclass(frozen=True)
class Nodes:
    """Some nodes of a tree: their levels (0: leaves), positions in these, and digests."""

    levels: U8
    places: I64
    digests: U8  # [nodes, 32]


class Tree:
    """The Merkle tree over one capture's bytes."""

    def __init__(self, leaves: BinaryIO) -> None:
        """leaves: a file with their digests."""
        self._levels = [_mapped(leaves)]
        self._files = [leaves]
        while len(self._levels[-1]) > 1:
            above = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the tree
            for digests in _pieces(self._levels[-1]):
                above.write(_parents(digests))
            self._levels.append(_mapped(above))
            self._files.append(above)

    @property
    def chunks(self) -> int:
        """Number of leaves."""
        return len(self._levels[0])

    @property
    def root(self) -> str:
        """Root hash, in hexadecimal."""
        return str(self._levels[-1][0].tobytes().hex())

    def beside(self, chunks: I64) -> Nodes:
        """Return the nodes that lead from some chunks to the root, as one proof for all. chunks: their numbers, ascending."""
        levels, places, digests = [], [], []
        for level, count, missing in neighbours(chunks, self.chunks):
            assert count == len(self._levels[level])  # noqa: S101 - both halve
            levels.append(np.full(len(missing), level, np.uint8))
            places.append(missing)
            digests.append(np.asarray(self._levels[level][missing]))
        if not levels:
            return Nodes(np.empty(0, np.uint8), np.empty(0, np.int64), np.empty((0, DIGEST_BYTES), np.uint8))
        return Nodes(np.concatenate(levels), np.concatenate(places), np.concatenate(digests))

    def close(self) -> None:
        """Close the temporary files."""
        self._levels.clear()
        for file in self._files:
            file.close()


def _mapped(file: BinaryIO) -> U8:
    file.flush()
    return np.memmap(file, np.uint8, "r").reshape(-1, DIGEST_BYTES)


def _pieces(level: U8) -> Iterator[bytes]:
    for first in range(0, len(level), _PIECE_NODES):
        yield level[first : first + _PIECE_NODES].tobytes()


def neighbours(chunks: I64, count: int) -> Iterator[tuple[int, int, I64]]:
    """Yield for each level below the root its number, its node count, and the siblings that some chunks do not determine."""
    known, level = np.unique(chunks), 0
    while count > 1:
        beside = known ^ 1
        missing = beside[(beside < count) & ~np.isin(beside, known, assume_unique=True)]
        yield level, count, missing
        known, level, count = np.unique(known >> 1), level + 1, (count + 1) // 2


def climb(chunks: I64, digests: bytes, count: int, nodes: Nodes) -> str | None:
    """Return the root that some chunks lead to, None if the other nodes are not exactly those of a proof.

    chunks: numbers, ascending, of the leaves whose digests are given. count: of all leaves.
    """
    if not len(chunks) or int(chunks[-1]) >= count or int(chunks[0]) < 0:
        return None
    known, above = chunks, np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_BYTES)
    used = 0
    for level, _, missing in neighbours(chunks, count):
        here = nodes.levels == level
        if not np.array_equal(np.sort(nodes.places[here]), np.sort(missing)):
            return None
        used += len(missing)
        places = np.concatenate((known, nodes.places[here]))
        order = np.argsort(places)
        whole = np.concatenate((above, nodes.digests[here]))[order]
        places = places[order]
        above = np.frombuffer(_parents(whole.tobytes()), np.uint8).reshape(-1, DIGEST_BYTES)
        known = np.unique(places >> 1)
    return above[0].tobytes().hex() if used == len(nodes.levels) else None
