"""Captures for timing, generated from a seed with NumPy alone, so that a figure can be reproduced on another machine.

    python benchmarks/corpus.py SHAPE PACKETS OUT.pcap [--seed N]

Shapes: ``syn-flood`` (every packet a new flow to one victim), ``dns-amplification`` (full-size responses of 2,000 servers), ``mixed`` (data
segments of all sizes in 400,000 connections, 500 bytes on average), ``bulk`` (a few long TCP transfers in full-size packets) and
``incident`` (the minute of traffic/incident.py: spoofed floods of four assets in turn among other attacks and ordinary traffic).
"""

import argparse
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CHUNK = 200_000  # packets generated at a time: bounded memory however long the capture
START_S = 1_700_000_000
PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)

ETHERNET = bytes.fromhex("020000000001020000000002") + b"\x08\x00"
VICTIM = bytes([198, 51, 100, 7])


def _records(frames: NDArray[np.uint8], first: int, rate_pps: int, wire_length: int) -> NDArray[np.uint8]:
    """Put a pcap record header before each frame; packet ``first`` + i is sent at that multiple of 1 / rate."""
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
    """Yield SYNs without options from random addresses to one port of one victim, 500,000 per second."""
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
    """Yield data segments of 1,456 bytes from eight long transfers."""
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


def _words(values: NDArray[np.int64], octets: int) -> NDArray[np.uint8]:
    """Convert numbers to big-endian bytes, one row each."""
    return values.astype(f">u{octets}").view(np.uint8).reshape(len(values), octets)


def _of_lengths(frames: NDArray[np.uint8], lengths: NDArray[np.int64], first: int, rate_pps: int) -> bytes:
    """Put a pcap record header before each frame and cut it to its length."""
    whole = _records(frames, first, rate_pps, 0)
    whole[:, 8:16] = np.repeat(lengths.astype("<u4")[:, None], 2, axis=1).copy().view(np.uint8).reshape(len(lengths), 8)
    return whole[np.arange(whole.shape[1]) < (16 + lengths)[:, None]].tobytes()


def _answers(random: np.random.Generator, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Make DNS responses of 1,400 bytes from some of 2,000 servers. Returns (frames, lengths)."""
    dns = bytes.fromhex("000181800001001e00000001") + bytes(1_400 - 12)
    template = ETHERNET + _ipv4(1_428, 17) + bytes(4) + VICTIM + struct.pack(">HHHH", 53, 0, 1_408, 0) + dns
    frames = np.tile(np.frombuffer(template, np.uint8), (count, 1))
    server = random.integers(0, 2_000, count)
    frames[:, 26:30] = _words(0x08000000 + server * 7_919, 4)
    frames[:, 36:38] = _words(random.integers(1_024, 65_536, count), 2)
    frames[:, 42:44] = _words(random.integers(0, 65_536, count), 2)
    return frames, np.full(count, len(template))


def _segments(random: np.random.Generator, count: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Make data segments of all sizes in 400,000 connections, some of them far busier than others. Returns (frames, lengths)."""
    header = ETHERNET + _ipv4(0, 6) + bytes(8) + struct.pack(">HHIIBBHHH", 0, 443, 0, 1, 0x50, 0x18, 512, 0, 0)
    frames = np.zeros((count, width), np.uint8)
    frames[:, : len(header)] = np.frombuffer(header, np.uint8)
    connection = np.minimum(random.geometric(1 / 120_000, count), 400_000)
    payload = random.choice(np.array([6, 120, 500, 1_400]), count, p=[0.4, 0.2, 0.15, 0.25])
    frames[:, 16:18] = _words(40 + payload, 2)
    frames[:, 26:30] = _words(0x0A000000 + connection % 50_000, 4)
    frames[:, 30:34] = _words(0xC6120000 + connection % 200, 4)
    frames[:, 34:36] = _words(1_024 + connection % 60_000, 2)
    frames[:, 54] = 0x17  # a TLS record of data
    return frames, len(header) + payload


def dns_amplification(packets: int, seed: int) -> Iterator[bytes]:
    """Yield full-size DNS responses from 2,000 servers to one victim, 80,000 per second."""
    random = np.random.default_rng(seed)
    for first in range(0, packets, CHUNK // 4):
        frames, lengths = _answers(random, min(CHUNK // 4, packets - first))
        yield _of_lengths(frames, lengths, first, 80_000)


def mixed(packets: int, seed: int) -> Iterator[bytes]:
    """Yield data segments of 400,000 connections, 500 bytes on average, 200,000 per second."""
    random = np.random.default_rng(seed)
    for first in range(0, packets, CHUNK // 4):
        frames, lengths = _segments(random, min(CHUNK // 4, packets - first), 1_454)
        yield _of_lengths(frames, lengths, first, 200_000)


def incident(packets: int, seed: int) -> Iterator[bytes]:
    """Yield the minute of traffic/incident.py: nine in ten packets or more are SYNs, each a new flow, to four assets in turn."""
    sys.path.append(str(Path(__file__).parent / "traffic"))
    import incident as minute  # noqa: PLC0415 - nothing else here needs the scenarios

    yield from minute.records(minute.plan(packets, seed), seed)


SHAPES = {"syn-flood": syn_flood, "dns-amplification": dns_amplification, "mixed": mixed, "bulk": bulk, "incident": incident}


def write(shape: str, packets: int, path: Path, seed: int = 1) -> None:
    """Write a capture of ``packets`` packets."""
    with path.open("wb") as file:
        file.write(PCAP_HEADER)
        for chunk in SHAPES[shape](packets, seed):
            file.write(chunk)


def main() -> None:
    """Write one capture as specified on the command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("shape", choices=SHAPES)
    arguments.add_argument("packets", type=int)
    arguments.add_argument("path", type=Path)
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    write(chosen.shape, chosen.packets, chosen.path, chosen.seed)


if __name__ == "__main__":
    main()
