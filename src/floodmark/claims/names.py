"""Find the addresses of host names in captures, from DNS responses and from the names that TLS and HTTP clients request.

Only packets that can hold a name are read, and of these only the captured bytes; malformed ones are ignored.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address

import numpy as np

from floodmark.captures.opening import Progress
from floodmark.captures.settings import FlowSettings
from floodmark.captures.source import Given
from floodmark.flows.tracing import Stretch, Visitor, trace
from floodmark_core.columns import U8
from floodmark_core.protocols import TCP, UDP

Address = IPv4Address | IPv6Address
_DNS_PORT = 53
_MOST_LOOKED_AT = 1_000_000  # packets: more of a request flood adds nothing new
_TLS_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME = 22, 1, 0
_REQUEST_LETTERS = np.frombuffer(b"GPHDOCT", np.uint8)  # first letters of the methods
_HEAD_BYTES = 2048
_MOST_ANSWERS = 64  # of one DNS response
_A, _AAAA = 1, 28


def addresses_of(
    names: Iterable[str],
    captures: Given | Iterable[Given],
    settings: FlowSettings,
    *,
    keep_going: bool = False,
    progress: Progress | None = None,
) -> dict[str, set[Address]]:
    """Return the addresses found for some host names. Raises CaptureError, also for captures that can be read only once."""
    found: dict[str, set[Address]] = {name: set() for name in names}
    looked_at = 0

    def tell(stretch: Stretch) -> None:
        nonlocal looked_at
        for place in _worth_a_look(stretch)[: _MOST_LOOKED_AT - looked_at].tolist():
            looked_at += 1
            for name, address in _told_by(stretch, place):
                if name in found:
                    found[name].add(address)

    trace(captures, settings, Visitor(lambda *_: None, tell), keep_going=keep_going, progress=progress)
    return found


def _worth_a_look(stretch: Stretch) -> np.ndarray:
    """Return the packets that may hold a name: DNS responses, TLS ClientHellos, HTTP requests."""
    seen, count = stretch.traced, stretch.packets
    protocol, nbytes, at = seen.protocol[:count], seen.payload_octets[:count], seen.payload_at[:count]
    captured = at + 12 <= seen.frame_at[:count] + seen.captured_length[:count]
    some = (nbytes >= 12) & captured & (seen.flow[:count] >= 0)
    first = np.where(some, stretch.block[np.where(some, at, 0)], 0)
    dns = (protocol == UDP) & (seen.src_port[:count] == _DNS_PORT)
    said = (protocol == TCP) & ((first == _TLS_HANDSHAKE) | np.isin(first, _REQUEST_LETTERS))
    places: np.ndarray = np.nonzero(some & (dns | said))[0]
    return places


def _told_by(stretch: Stretch, place: int) -> Iterator[tuple[str, Address]]:
    seen = stretch.traced
    at, end = int(seen.payload_at[place]), int(seen.frame_at[place] + seen.captured_length[place])
    payload = stretch.block[at : min(end, at + int(seen.payload_octets[place]))]
    if seen.protocol[place] == UDP:
        yield from dns_addresses(payload.tobytes())
        return
    name = server_name(payload.tobytes()) if payload[0] == _TLS_HANDSHAKE else requested_host(payload)
    if name:
        yield name, _address(int(seen.ip_version[place]), int(seen.dst_hi[place]), int(seen.dst_lo[place]))


def _address(version: int, hi: int, lo: int) -> Address:
    return IPv4Address(lo) if version == 4 else IPv6Address(hi << 64 | lo)


def dns_addresses(message: bytes) -> Iterator[tuple[str, Address]]:
    """Yield the name queried in a DNS response with each address that it gives (RFC 1035 section 4), up to where it is malformed."""
    from dns.exception import DNSException  # noqa: PLC0415 - only captures with DNS responses need dnspython
    from dns.name import from_wire_parser  # noqa: PLC0415
    from dns.wire import Parser  # noqa: PLC0415

    parser = Parser(message)
    try:
        _, flags, questions, answers, _, _ = parser.get_struct("!HHHHHH")
        if not flags & 0x8000 or questions != 1:
            return
        name = from_wire_parser(parser).to_text(omit_final_dot=True).lower()
        parser.get_struct("!HH")  # type and class of the question
        for _ in range(min(answers, _MOST_ANSWERS)):
            from_wire_parser(parser)
            kind, _, _, length = parser.get_struct("!HHIH")
            data = parser.get_bytes(length)
            if kind == _A and length == 4:
                yield name, IPv4Address(data)
            elif kind == _AAAA and length == 16:
                yield name, IPv6Address(data)
    except DNSException:
        return


def server_name(record: bytes) -> str | None:
    """Return the server name in a TLS ClientHello (RFC 6066 section 3), None if there is none or the hello is incomplete."""
    try:
        if record[1] != 3 or record[5] != _CLIENT_HELLO:
            return None
        at = 9 + 2 + 32
        at += 1 + record[at]  # session id
        at += 2 + int.from_bytes(record[at : at + 2], "big")  # cipher suites
        at += 1 + record[at]  # compression methods
        stop = at + 2 + int.from_bytes(record[at : at + 2], "big")
        at += 2
        while at + 4 <= min(stop, len(record)):
            kind, length = (int.from_bytes(record[at + offset : at + offset + 2], "big") for offset in (0, 2))
            if kind == _SERVER_NAME:
                size = int.from_bytes(record[at + 7 : at + 9], "big")
                name = record[at + 9 : at + 9 + size]
                return name.decode("ascii").lower().rstrip(".") if len(name) == size and size else None
            at += 4 + length
    except (IndexError, ValueError):
        pass  # a truncated or damaged hello holds no name
    return None


def requested_host(payload: U8) -> str | None:
    """Return the host of an HTTP/1 request (RFC 9110 section 7.2), without a port."""
    for line in payload[:_HEAD_BYTES].tobytes().split(b"\r\n")[1:]:
        if line[:5].lower() == b"host:":
            host = line[5:].strip().decode("ascii", "replace").lower()
            return host.rsplit(":", 1)[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
        if not line:
            break
    return None
