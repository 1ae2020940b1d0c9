"""A capture in, one that can be shared out: addresses, names and payloads gone, and what the verdicts rest on still there.

Addresses keep the prefixes they share (Crypto-PAn: J. Xu, J. Fan, M. Ammar, S. Moon, ICNP 2002), under a key; what has a meaning of its own
stays: multicast, broadcast, unspecified and link-local addresses, and that an address ends in 255. MAC addresses, names, targets of
requests and the first octets of what is not recognised are replaced under the key, alike by alike. Everything else that is no header is
overwritten (``floodmark_core.blanking.blanking``). Who has the key can do it again, and comes to the same octets.
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
from floodmark.errors import SettingsError
from floodmark_core import new_interfaces, new_records, new_tally
from floodmark_core.blanking.blanking import MOST_ADDED, blank_block, new_frames, repair_checksums
from floodmark_core.blanking.sketching import MOST_PLACES, new_places
from floodmark_core.columns import BATCH, U8
from floodmark_core.status import STOP_BATCH_FULL

KEY_BYTES = 32  # fewest of a key file
_BLOCK_BYTES = 4 << 20  # of a capture looked at together
_FRAMES = 1 << 16


@dataclass(frozen=True)
class Anonymised:
    """What was written."""

    packets: int
    put_back: int  # payloads of which the first octets stay as they were: others would have looked like a protocol


def load_key(path: str) -> bytes:
    """Read a key. Raises SettingsError."""
    try:
        key = Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(key) < KEY_BYTES:
        raise SettingsError(f"{path}: a key of {len(key)} octets; at least {KEY_BYTES} are needed: openssl rand -out {path} {KEY_BYTES}")
    return key


def anonymise(capture: Given, path: str, anonymiser: Anonymiser, *, payload: bool = True, keep_going: bool = False) -> Anonymised:
    """Write a capture that can be shared, as pcapng with times in nanoseconds.

    payload: keep what tells protocols and the course of dialogues; otherwise packets end with their last header. Raises CaptureError,
    OutputError.
    """
    with source_of(capture).reader(_BLOCK_BYTES) as reader, appearing_whole(path) as file:
        run = _Run(CaptureWriter(file, "anonymised by floodmark"), anonymiser, payload=payload)
        layout, interfaces, records, tally = reader.container.layout.copy(), new_interfaces(), new_records(), new_tally()

        def blank(block: U8, at: int) -> tuple[int, int]:
            out = np.zeros(len(block) + MOST_ADDED * _FRAMES, np.uint8)
            while True:
                run.places.used[:] = 0
                given = (layout, interfaces, records, tally, TUNNELS_OPENED, payload, out, run.frames, run.places)
                at, stop, count = blank_block(block, at, reader.base, *given)
                run.write(out, count)
                if stop != STOP_BATCH_FULL:
                    return at, stop
                out[:] = 0

        reading = Reading(reader, blank, (layout, tally), None, keep_going)
        while reading.step():
            pass
        run.writer.finish()
    return Anonymised(run.packets, run.put_back)


class _Run:
    """What is carried through one capture."""

    def __init__(self, writer: CaptureWriter, anonymiser: Anonymiser, *, payload: bool) -> None:
        self.writer, self._anonymiser, self._payload = writer, anonymiser, payload
        self.places, self.frames = new_places(_FRAMES * 4 + MOST_PLACES * BATCH), new_frames(_FRAMES)
        self.packets = self.put_back = 0

    def write(self, out: U8, count: int) -> None:
        """Write blanked frames, with what is noted in them replaced."""
        frames = self.frames
        used = int(frames.frame_at[count - 1] + frames.captured_length[count - 1]) if count else 0
        self.put_back += self._anonymiser.put(out[: max(used, 1)], self.places)
        repair_checksums(out, self.places, self._payload)
        self.writer.write(out, frames, count)
        self.packets += count
