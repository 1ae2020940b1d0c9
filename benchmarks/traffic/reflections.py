"""Generate reflections over UDP: unsolicited responses to the victim from many servers, with each protocol's bytes.

An answer function returns the datagrams that one spoofed request triggers; `reflect` sends them from a set of reflectors.
"""

import random
import struct
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from attack import Attack, Extent, Origin, moments, soon, volumetric
from dialogue import MICROSECOND, Host
from hosts import public_address
from messages import WORDS, dns_name, text_data, words
from wire import Head, Packet, icmp, udp_fragments


class Reflector(NamedTuple):
    """Describe a kind of reflector: its vector, port, and its response to one spoofed request."""

    vector: str
    port: int
    answer: Callable[[random.Random], list[bytes]]


def reflect(rng: random.Random, at_ns: int, extent: Extent, victim: Host, kind: Reflector) -> Attack:
    """Send responses from many reflectors until the extent's packets are used up."""
    servers = [Origin(public_address(rng), rng.choice((64, 64, 128, 255)) - rng.randint(4, 24)) for _ in range(rng.randint(30, 250))]
    target = rng.choice((0, 80, 443, rng.randrange(1024, 65536), 30120))
    refused = rng.choice((0.0, 0.0, 0.05))
    frames: list[bytes] = []
    while len(frames) < extent.amount:
        server, dport = rng.choice(servers), target or rng.randrange(1024, 65536)
        for payload in kind.answer(rng):
            head = Head(server.address, victim.address, server.ttl, rng.getrandbits(16), 0)
            frames += udp_fragments(head, (kind.port, dport), payload)
    packets: list[Packet] = []
    times = moments(rng, at_ns, extent._replace(amount=len(frames)))
    for when, frame in zip(times, frames, strict=True):
        packets.append(Packet(when, frame))
        if rng.random() < refused and not frame[20] & 0x3F and not frame[21]:
            back = Head(victim.address, int.from_bytes(frame[26:30], "big"), 64, rng.getrandbits(16), 0, 0xC0)
            cited = frame[14:70]
            packets.append(Packet(when + soon(rng, victim) + 5 * MICROSECOND, icmp(back, 3, 3, b"\0\0\0\0" + cited)))
    return volumetric(packets, kind.vector, victim)


def _ber(tag: int, body: bytes) -> bytes:
    """Return a BER element with a length of two bytes after the count."""
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    return struct.pack(">BBH", tag, 0x82, len(body)) + body


def _long_ber(tag: int, body: bytes) -> bytes:
    """Return a BER element with a length of four bytes, as Active Directory writes it."""
    return struct.pack(">BBI", tag, 0x84, len(body)) + body


def _dns_answer(rng: random.Random, text: str, kind: int) -> list[bytes]:
    """Return one large response, in one case of eight truncated with TC set."""
    size = rng.choice((900, 1350, 2200, 3300, 3900))
    question = dns_name(text) + struct.pack(">HH", kind, 1)
    option = b"\0" + struct.pack(">HHIH", 41, 4096, 0, 0)
    if rng.random() < 0.12:
        return [struct.pack(">HHHHHH", rng.getrandbits(16), 0x8380, 1, 0, 0, 1) + question + option]
    records = b""
    count = 0
    while len(records) < size:
        data = text_data(rng, rng.randrange(150, 700))
        address = kind == 255 and rng.random() < 0.5
        sort, data = (1, public_address(rng).to_bytes(4, "big")) if address else (16, data)
        records += struct.pack(">HHHIH", 0xC00C, sort, 1, rng.choice((300, 3600, 86400)), len(data)) + data
        count += 1
    return [struct.pack(">HHHHHH", rng.getrandbits(16), 0x8180, 1, count, 0, 1) + question + records + option]


def dns_amplification(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Reflect TXT or ANY responses, larger than 512 bytes and partly fragmented, off many open resolvers."""
    text, kind = f"{rng.choice(WORDS)}.{rng.choice(('example.org', 'example.net'))}", rng.choice((255, 16))
    return reflect(rng, at_ns, extent, victim, Reflector("dns-amplification", 53, lambda rng: _dns_answer(rng, text, kind)))


def _monlist(rng: random.Random) -> list[bytes]:
    """Return a series of MON_GETLIST_1 responses with six hosts each, and a short last one."""
    whole = rng.choice((1, 4, 12, 30))
    parts = []
    for number in range(whole + 1):
        items = 6 if number < whole else rng.randint(1, 5)
        first = 0xD7 if number < whole else 0x97
        entries = b"".join(
            struct.pack(">IIII", 9 + item, 2, 0, 4) + rng.randbytes(12) + struct.pack(">HBB", 123, 3, 4) + b"\0" * 40
            for item in range(items)
        )
        parts.append(struct.pack(">BBBBHH", first, number & 0x7F, 3, 0x2A, items, 72) + entries)
    return parts


def _memcached(rng: random.Random) -> list[bytes]:
    """Return a value or the statistics in datagrams of 1,400 bytes."""
    number = rng.getrandbits(16)
    if rng.random() < 0.5:
        size = rng.choice((700, 4000, 12000))
        text = f"VALUE {rng.choice(WORDS)} 0 {size}\r\n".encode() + words(rng, size) + b"\r\nEND\r\n"
    else:
        names = (
            "pid",
            "uptime",
            "time",
            "curr_items",
            "total_items",
            "bytes",
            "curr_connections",
            "cmd_get",
            "cmd_set",
            "get_hits",
            "get_misses",
        )
        text = "".join(f"STAT {each} {rng.getrandbits(24)}\r\n" for each in names).encode() + b"END\r\n"
    chunks = [text[at : at + 1392] for at in range(0, len(text), 1392)]
    return [struct.pack(">HHHH", number, turn, len(chunks), 0) + chunk for turn, chunk in enumerate(chunks)]


def _cldap(rng: random.Random) -> list[bytes]:
    """Return a root entry and the end of the search."""
    stamp = f"2024{rng.randrange(10, 12)}{rng.randrange(10, 28)}101500.0Z"
    fields = [("currentTime", [stamp]), ("subschemaSubentry", ["CN=Aggregate,CN=Schema,CN=Configuration,DC=corp,DC=example"])]
    fields.append(("supportedControl", [f"1.2.840.113556.1.4.{319 + step}" for step in range(rng.randrange(10, 60))]))
    fields.append(("dnsHostName", [f"dc{rng.randrange(9)}.corp.example"]))
    listed = b""
    for key, values in fields:
        listed += _long_ber(0x30, _ber(4, key.encode()) + _long_ber(0x31, b"".join(_ber(4, value.encode()) for value in values)))
    number = b"\x02\x01\x07"
    entry = _long_ber(0x30, number + _long_ber(0x64, b"\x04\x00" + _long_ber(0x30, listed)))
    return [entry + _long_ber(0x30, number + _long_ber(0x65, b"\x0a\x01\x00\x04\x00\x04\x00"))]


def _ssdp(rng: random.Random) -> list[bytes]:
    """Return a device's responses to a search for everything."""
    uuid = f"{rng.getrandbits(32):08x}-0000-1000-8000-{rng.getrandbits(48):012x}"
    address = f"192.168.{rng.randrange(3)}.1:{rng.choice((49152, 1900, 5431))}"
    kinds = (
        "upnp:rootdevice",
        "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
        "urn:schemas-upnp-org:service:WANIPConnection:1",
        f"uuid:{uuid}",
    )
    first = f"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nEXT:\r\nLOCATION: http://{address}/root.xml\r\n"
    first += "SERVER: Linux UPnP/1.0 MiniUPnPd/1.7\r\n"
    return [f"{first}ST: {kind}\r\nUSN: uuid:{uuid}::{kind}\r\n\r\n".encode() for kind in kinds[: rng.randint(1, 4)]]


def _snmp(rng: random.Random, rows: int) -> list[bytes]:
    """Return a response to GetBulk with that many variables."""
    bound = b""
    for row in range(rows):
        bound += _ber(0x30, _ber(6, bytes((0x2B, 6, 1, 2, 1, 2, 2, 1, 2, row + 1))) + _ber(4, words(rng, rng.randrange(8, 60))))
    body = _ber(2, rng.randbytes(3)) + b"\x02\x01\x00\x02\x01\x00" + _ber(0x30, bound)
    return [_ber(0x30, b"\x02\x01\x01" + _ber(4, b"public") + _ber(0xA2, body))]


def _chargen(rng: random.Random) -> list[bytes]:
    """Return lines of 72 rotating characters."""
    ring = bytes(range(0x20, 0x7F))
    at = rng.randrange(95)
    lines = [(ring * 2)[(at + line) % 95 : (at + line) % 95 + 72] + b"\r\n" for line in range(rng.choice((7, 13, 19)))]
    return [b"".join(lines)]


def _ike(rng: random.Random, marker: bytes) -> list[bytes]:
    """Return a main mode response of 200 bytes after the marker: header, proposal and vendor ids."""
    transform = bytes.fromhex("00000024 0101 0000 80010007 800e0100 80020002 80040002 80030001 800b0001 800c7080".replace(" ", ""))
    offer = struct.pack(">BBHBBBB", 0, 0, 8 + len(transform), 1, 1, 0, 1) + transform
    payload = struct.pack(">BBHII", 13, 0, 12 + len(offer), 1, 1) + offer
    vendors = b"".join(struct.pack(">BBH", 13 if left else 0, 0, 20) + bytes([left + 1]) * 16 for left in range(5, -1, -1))
    body = payload + vendors
    head = rng.randbytes(16) + struct.pack(">BBBBII", 1, 0x10, 2, 0, 0, 28 + len(body))
    return [marker + head + body]


def _bacnet(rng: random.Random) -> list[bytes]:
    """Return a response to a read of a device's name or list of properties."""
    text = b"\0" + words(rng, rng.choice((12, 40, 120)))
    string = bytes((0x75, len(text))) + text if len(text) > 4 else b""
    apdu = b"\x30" + rng.randbytes(1) + b"\x0c\x0c\x02" + rng.randbytes(3) + b"\x19\x4d\x3e" + string + b"\x3f"
    return [struct.pack(">BBH", 0x81, 0x0A, 6 + len(apdu)) + b"\x01\x00" + apdu]


def _dhip(rng: random.Random) -> list[bytes]:
    """Return a recorder's response to a discovery request."""
    serial = f"{rng.getrandbits(56):014X}"
    text = (
        '{"mac":"%s","method":"client.notifyDevInfo","params":{"deviceInfo":{"AlarmInputChannels":%d,"DeviceClass":"HCVR","DeviceType":"DH-XVR5108",'
        '"HttpPort":80,"IPv4Address":{"DefaultGateway":"192.168.1.1","DhcpEnable":false,"IPAddress":"192.168.1.%d","SubnetMask":"255.255.255.0"},'
        '"MachineName":"XVR","Manufacturer":"Private","Port":37777,"RemoteVideoInputChannels":0,"SerialNo":"%s",'
        '"Vendor":"Private","Version":"4.000.%04d.%d",'
        '"VideoInputChannels":8,"VideoOutputChannels":0}}}\n'
    )
    body = (
        text
        % (
            ":".join(f"{byte:02x}" for byte in rng.randbytes(6)),
            rng.randrange(17),
            rng.randrange(2, 250),
            serial,
            rng.randrange(9999),
            rng.randrange(9),
        )
    ).encode()
    return [b"\x20\0\0\0DHIP" + b"\0" * 8 + struct.pack("<IIII", len(body), 0, len(body), 0) + body]


def _unknown(rng: random.Random, start: bytes, size: int) -> list[bytes]:
    """Return a response of an unknown protocol: a fixed start and a varying rest."""
    return [start + rng.randbytes(rng.randrange(size // 2, size))]


def _fixed(vector: str, port: int, answer: Callable[[random.Random], list[bytes]]) -> Callable[[random.Random, int, Extent, Host], Attack]:
    """Return the attack that reflects this response."""
    return partial(reflect, kind=Reflector(vector, port, answer))


ntp_amplification = _fixed("ntp-amplification", 123, _monlist)
memcached_amplification = _fixed("memcached-amplification", 11211, _memcached)
cldap_amplification = _fixed("cldap-amplification", 389, _cldap)
ssdp_amplification = _fixed("ssdp-amplification", 1900, _ssdp)
chargen_amplification = _fixed("chargen-amplification", 19, _chargen)
bacnet_amplification = _fixed("bacnet-amplification", 47808, _bacnet)
dhip_amplification = _fixed("dhip-amplification", 37810, _dhip)


def snmp_amplification(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Reflect SNMP responses: bulk ones, or sometimes mostly tiny ones."""
    rows = rng.choice(((0, 0, 0, 1), (1, 4, 10), (12, 20)))
    return reflect(rng, at_ns, extent, victim, Reflector("snmp-amplification", 161, lambda rng: _snmp(rng, rng.choice(rows))))


def isakmp_amplification(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Reflect IKE responses from port 500, or from 4500 after a non-ESP marker."""
    port, marker = rng.choice(((500, b""), (4500, b"\0\0\0\0")))
    return reflect(rng, at_ns, extent, victim, Reflector("isakmp-amplification", port, lambda rng: _ike(rng, marker)))


def unknown_reflection(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Reflect responses of an unnamed service from one port."""
    start, size, port = rng.randbytes(8), rng.choice((120, 400, 1200)), rng.choice((20811, 6060, 9034, 8999, 27131, 3074))
    return reflect(rng, at_ns, extent, victim, Reflector("udp-reflection", port, lambda rng: _unknown(rng, start, size)))
