"""Captures for timing, made from a seed with NumPy alone, so that a figure can be repeated on another machine.

    python benchmarks/corpus.py SHAPE PACKETS OUT.pcap [--seed N]

Shapes: ``syn-flood`` (every packet a new flow to one victim) and ``bulk`` (a few long TCP transfers in full-size packets).
"""

import argparse
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CHUNK = 200_000  # packets made at a time: bounded memory however long the capture
START_S = 1_700_000_000
PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)

ETHERNET = bytes.fromhex("020000000001020000000002") + b"\x08\x00"
VICTIM = bytes([198, 51, 100, 7])


def _records(frames: NDArray[np.uint8], first: int, rate_pps: int, wire_length: int) -> NDArray[np.uint8]:
    """Put a pcap record header before each frame; packet ``first`` + i is sent at its multiple of 1 / rate."""
    count, captured = frames.shape
    numbers = first + np.arange(count, dtype=np.int64)
    head = np.empty((count, 4), "<u4")
    head[:, 0] = START_S + numbers // rate_pps
    head[:, 1] = numbers % rate_pps * 1_000_000 // rate_pps
    head[:, 2] = captured
    head[:, 3] = wire_length
    return np.concatenate((head.view(np.uint8).reshape(count, 16), frames), axis=1)


def _ipv4(total: int, protocol: int) -> bytes:
    return struct.pack(">BBHHHBBH", 0x45, 0, total, 0, 0x4000, 64, protocol, 0)


def syn_flood(packets: int, seed: int) -> Iterator[bytes]:
    """Yield SYNs without options from random addresses to one port of one victim, 500,000 a second."""
    random = np.random.default_rng(seed)
    template = np.frombuffer(
        ETHERNET + _ipv4(40, 6) + bytes(4) + VICTIM + struct.pack(">HHIIBBHHH", 0, 80, 0, 0, 0x50, 2, 512, 0, 0), np.uint8
    )
    for first in range(0, packets, CHUNK):
        count = min(CHUNK, packets - first)
        frames = np.tile(template, (count, 1))
        frames[:, 26:30] = random.integers(0, 256, (count, 4), np.uint8)
        frames[:, 34:36] = random.integers(0, 256, (count, 2), np.uint8)
        frames[:, 38:42] = random.integers(0, 256, (count, 4), np.uint8)
        yield _records(frames, first, 500_000, 54).tobytes()


def bulk(packets: int, seed: int) -> Iterator[bytes]:
    """Yield data segments of 1,456 octets of eight long transfers."""
    random = np.random.default_rng(seed)
    payload = random.integers(0, 256, 1_416, np.uint8).tobytes()
    template = np.frombuffer(
        ETHERNET
        + _ipv4(1_456, 6)
        + bytes([192, 0, 2, 1])
        + VICTIM
        + struct.pack(">HHIIBBHHH", 443, 0, 0, 1, 0x50, 0x10, 512, 0, 0)
        + payload,
        np.uint8,
    )
    for first in range(0, packets, CHUNK):
        count = min(CHUNK, packets - first)
        frames = np.tile(template, (count, 1))
        numbers = first + np.arange(count, dtype=np.int64)
        frames[:, 36:38] = (50_000 + numbers % 8).astype(">u2").view(np.uint8).reshape(count, 2)
        frames[:, 38:42] = (numbers // 8 * 1_416 % (1 << 32)).astype(">u4").view(np.uint8).reshape(count, 4)
        yield _records(frames, first, 80_000, 1_470).tobytes()


SHAPES = {"syn-flood": syn_flood, "bulk": bulk}


def write(shape: str, packets: int, path: Path, seed: int = 1) -> None:
    """Write a capture of ``packets`` packets."""
    with path.open("wb") as file:
        file.write(PCAP_HEADER)
        for chunk in SHAPES[shape](packets, seed):
            file.write(chunk)


def main() -> None:
    """Write one capture as asked on the command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("shape", choices=SHAPES)
    arguments.add_argument("packets", type=int)
    arguments.add_argument("path", type=Path)
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    write(chosen.shape, chosen.packets, chosen.path, chosen.seed)


if __name__ == "__main__":
    main()
