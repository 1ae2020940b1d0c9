"""Write anonymised copies of captures: addresses, names and payloads are removed, everything the verdicts rely on is kept.

Addresses keep the prefixes they share (Crypto-PAn: J. Xu, J. Fan, M. Ammar, S. Moon, ICNP 2002), under a key; special addresses are kept:
multicast, broadcast, unspecified and link-local ones, and that an address ends in 255. MAC addresses, names, request targets and the first
bytes of unrecognised payloads are replaced under the key, equal ones by equal ones. All other bytes that are not headers are overwritten
(``floodmark_core.blanking.blanking``). The same key gives the same bytes again.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from floodmark.anonymising.anonymiser import Anonymiser
from floodmark.base.recording import CaptureWriter
from floodmark.base.writing import appearing_whole
from floodmark.captures.reading import Reading
from floodmark.captures.source import Given, source_of
from floodmark.captures.walking import TUNNELS_OPENED
from floodmark.errors import CaptureError, SettingsError
from floodmark_core import new_interfaces, new_records, new_tally
from floodmark_core.blanking.blanking import MOST_ADDED, Blanked, blank_block, new_frames, repair_checksums
from floodmark_core.blanking.sketching import MOST_PLACES, new_places
from floodmark_core.columns import BATCH, U8, Framing
from floodmark_core.status import STOP_BATCH_FULL

KEY_BYTES = 32  # smallest size of a key file
_BLOCK_BYTES = 4 << 20  # of a capture processed at once
_FRAMES = 1 << 16


@dataclass(frozen=True)
class Anonymised:
    """What was written to one anonymised capture."""

    packets: int
    put_back: int  # payloads whose first bytes were kept: any others would have looked like a protocol


def load_key(path: str) -> bytes:
    """Read a key. Raises SettingsError."""
    try:
        key = Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(key) < KEY_BYTES:
        raise SettingsError(
            f"{path}: the key has {len(key)} of at least {KEY_BYTES} bytes; create one with openssl rand -out {path} {KEY_BYTES}"
        )
    return key


def anonymise(capture: Given, path: str, anonymiser: Anonymiser, *, payload: bool = True, keep_going: bool = False) -> Anonymised:
    """Write an anonymised capture, as pcapng with nanosecond timestamps.

    payload: keep what identifies protocols and the course of dialogues; otherwise packets end with their last header. Raises
    CaptureError, OutputError.
    """
    source = source_of(capture)
    with source.reader(_BLOCK_BYTES) as reader, appearing_whole(path) as file:
        source.read_once(reader)
        run = _Run(CaptureWriter(file, "anonymised by floodmark"), anonymiser, payload=payload)
        framing = Framing(layout=reader.container.layout.copy(), interfaces=new_interfaces(), records=new_records(), tally=new_tally())

        def blank(block: U8, at: int) -> tuple[int, int]:
            out = np.zeros(len(block) + MOST_ADDED * _FRAMES, np.uint8)
            blanked = Blanked(nbytes=out, frames=run.frames, places=run.places)
            while True:
                run.places.used[:] = 0
                at, stop, count = blank_block(block, at, reader.base, framing, TUNNELS_OPENED, payload, blanked)
                run.write(out, count)
                if stop != STOP_BATCH_FULL:
                    return at, stop
                out[:] = 0

        reading = Reading(reader, blank, (framing.layout, framing.tally), None, keep_going)
        while reading.step():
            pass
        if (change := reading.finish().change) is not None:
            raise CaptureError(str(source), f"changed while it was read: {change}")
        run.writer.finish()
    return Anonymised(run.packets, run.put_back)


class _Run:
    """State kept while one capture is anonymised."""

    def __init__(self, writer: CaptureWriter, anonymiser: Anonymiser, *, payload: bool) -> None:
        self.writer, self._anonymiser, self._payload = writer, anonymiser, payload
        self.places, self.frames = new_places(_FRAMES * 4 + MOST_PLACES * BATCH), new_frames(_FRAMES)
        self.packets = self.put_back = 0

    def write(self, out: U8, count: int) -> None:
        """Write blanked frames, with the places noted in them replaced."""
        frames = self.frames
        used = int(frames.frame_at[count - 1] + frames.captured_length[count - 1]) if count else 0
        self.put_back += self._anonymiser.put(out[: max(used, 1)], self.places)
        repair_checksums(out, self.places, self._payload)
        self.writer.write(out, frames, count)
        self.packets += count
