"""Captures in few words: packets of hosts named by number, written by the builders of benchmarks/traffic/wire.py, and their answers."""

import io
import struct
from collections.abc import Iterable, Sequence

import wire
from wire import Format, Packet

import floodmark
from floodmark.captures.reading import ReadCapture
from floodmark.captures.settings import FlowSettings
from floodmark.captures.source import source_of
from floodmark.flows.arrivals import Arrivals
from floodmark.flows.flows import Flows
from floodmark.flows.metering import Meter

START_NS = 1_700_000_000_000_000_000
SECOND, MILLISECOND, MICROSECOND = 1_000_000_000, 1_000_000, 1_000
CLIENT, SERVER = 0xC6336401, 0xCB00710A  # 198.51.100.1, 203.0.113.10
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
OPTIONS = bytes((2, 4, 5, 180, 1, 3, 3, 7))


def udp(at_ns: int, src: int = CLIENT, dst: int = SERVER, ports: tuple[int, int] = (40000, 9), payload: bytes = b"hello") -> Packet:
    """Build a datagram sent so long after the start."""
    return Packet(START_NS + at_ns, wire.udp(wire.Head(src, dst), *ports, payload))


def tcp(
    at_ns: int,
    src: int = CLIENT,
    dst: int = SERVER,
    ports: tuple[int, int] = (40000, 80),
    flags: int = SYN,
    numbers: tuple[int, int] = (1000, 0),
    payload: bytes = b"",
    options: bytes = b"",
) -> Packet:
    """Build a segment sent so long after the start; numbers are sequence and acknowledgement."""
    return Packet(START_NS + at_ns, wire.tcp(wire.Head(src, dst), wire.Segment(*ports, *numbers, flags, 8192, options, payload)))


def icmp(at_ns: int, src: int = CLIENT, dst: int = SERVER, kind: int = 8, code: int = 0) -> Packet:
    """Build an ICMP message sent so long after the start."""
    return Packet(START_NS + at_ns, wire.icmp(wire.Head(src, dst), kind, code, struct.pack("!HH", 7, 1) + b"ping" * 8))


def arp(at_ns: int) -> Packet:
    """Build an ARP request."""
    return Packet(START_NS + at_ns, wire.arp(1, SERVER, SERVER + 1))


def connection(at_ns: int, port: int = 40000, request: bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", client: int = CLIENT) -> list[Packet]:
    """Build a whole TCP dialogue: handshake, a request, an answer, both FINs. It has ten packets, five each way."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    to, fro = (port, 80), (80, port)
    c, s = 1000, 9000
    c1, s1 = c + 1 + len(request), s + 1 + len(answer)
    steps = [
        (client, SERVER, to, SYN, (c, 0), b"", OPTIONS),
        (SERVER, client, fro, SYN | ACK, (s, c + 1), b"", OPTIONS),
        (client, SERVER, to, ACK, (c + 1, s + 1), b"", b""),
        (client, SERVER, to, PSH | ACK, (c + 1, s + 1), request, b""),
        (SERVER, client, fro, ACK, (s + 1, c1), b"", b""),
        (SERVER, client, fro, PSH | ACK, (s + 1, c1), answer, b""),
        (client, SERVER, to, FIN | ACK, (c1, s1), b"", b""),
        (SERVER, client, fro, ACK, (s1, c1 + 1), b"", b""),
        (SERVER, client, fro, FIN | ACK, (s1, c1 + 1), b"", b""),
        (client, SERVER, to, ACK, (c1 + 1, s1 + 1), b"", b""),
    ]
    return [tcp(at_ns + place * MILLISECOND, *step) for place, step in enumerate(steps)]


def syn_flood(count: int = 2000, at_ns: int = 0, span_ns: int = SECOND, dst: int = SERVER) -> list[Packet]:
    """Build a flood of SYNs without options from as many forged addresses, which a capture shows with nothing else."""
    step = span_ns // count
    return [
        tcp(at_ns + n * step, 0x0B000000 + n * 2654435761 % 0x3FFFFFF, dst, (1024 + n * 7919 % 60000, 80), SYN, (n * 40503, 0))
        for n in range(count)
    ]


def pcap(packets: Sequence[Packet], **form: int) -> bytes:
    """Write a pcap file."""
    return wire.pcap_bytes(packets, Format(**form))  # type: ignore[arg-type] # booleans among them


def pcapng(packets: Sequence[Packet], **form: int) -> bytes:
    """Write a pcapng file."""
    return wire.pcapng_bytes(packets, Format(**form))  # type: ignore[arg-type] # as above


def record(frame: bytes, seconds: int = START_NS // SECOND, fraction: int = 0, captured: int | None = None, wire_length: int = -1) -> bytes:
    """Write one little endian pcap record; the lengths may lie."""
    length = len(frame) if captured is None else captured
    return struct.pack("<IIII", seconds, fraction, length, length if wire_length < 0 else wire_length) + frame


def header(link_type: int = 1, snaplen: int = 262_144, magic: int = 0xA1B2C3D4, version: tuple[int, int] = (2, 4)) -> bytes:
    """Write a little endian pcap header."""
    return struct.pack("<IHHiIII", magic, *version, 0, 0, snaplen, link_type)


def answer(data: bytes | Iterable[Packet]) -> floodmark.Result:
    """Classify a capture given as octets, or packets as a pcap file of microseconds."""
    return floodmark.classify(io.BytesIO(data if isinstance(data, bytes) else pcap(list(data))))


def metered(data: bytes | Iterable[Packet], settings: FlowSettings | None = None) -> tuple[Flows, Arrivals, ReadCapture]:
    """Read a capture as far as flows and arrivals, without a verdict."""
    meter = Meter(settings or FlowSettings(), seed=1)
    with source_of(io.BytesIO(data if isinstance(data, bytes) else pcap(list(data)))).reader() as reader:
        read = meter.read(reader)
    return (*meter.finish(), read)
