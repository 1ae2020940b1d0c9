"""Build the responses of open servers over UDP, each protocol as specified, from quotes of the day to QUIC.

Functions take a random generator that represents the server, and the request, and return the datagrams of one response. Messages
that ordinary hosts send too (STUN, QUIC, DTLS, SNMP, game queries) are built here for both sides.
"""

import random
import struct
from collections.abc import Sequence
from typing import NamedTuple

from messages import WORDS, dns_name, words

STUN_COOKIE = 0x2112A442
DTLS_10, DTLS_12 = 0xFEFF, 0xFEFD
RSA_KEY, RSA_SHA256 = bytes.fromhex("2a864886f70d010101"), bytes.fromhex("2a864886f70d01010b")
GAME_QUERY = b"\xff\xff\xff\xffTSource Engine Query\0"
ZONES = ("example.com", "example.net", "example.org")


class Asked(NamedTuple):
    """Describe a request: its identifiers, the server it goes to, and the address and port that get the response."""

    token: bytes
    server: int
    client: int
    port: int


def ber(tag: int, body: bytes) -> bytes:
    """Return a BER element with its length in as few bytes as possible."""
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    return (struct.pack(">BBB", tag, 0x81, size) if size < 0x100 else struct.pack(">BBH", tag, 0x82, size)) + body


def host_name(rng: random.Random) -> str:
    """Return the name of a machine without its domain."""
    return f"{rng.choice(('srv', 'host', 'node', 'desk', rng.choice(WORDS)))}{rng.randrange(100):02d}"


def uuid(rng: random.Random) -> str:
    """Return a UUID of version 4 as text."""
    text = f"{rng.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def crc32(data: bytes) -> int:
    """Return the CRC-32 that Ethernet and STUN use."""
    rest = 0xFFFFFFFF
    for byte in data:
        rest ^= byte
        for _ in range(8):
            rest = rest >> 1 ^ (0xEDB88320 if rest & 1 else 0)
    return rest ^ 0xFFFFFFFF


def quote(rng: random.Random, _: Asked) -> list[bytes]:
    """Return a quote of the day (RFC 865), below 512 bytes."""
    born = rng.randrange(1560, 1860)
    who = f"{rng.choice(('George', 'Oscar', 'Marie', 'Jane'))} {rng.choice(WORDS).title()} ({born}-{born + rng.randrange(30, 90)})"
    return [b'"' + words(rng, rng.randrange(60, 380)) + b'."\r\n ' + who.encode() + b"\r\n"]


def rip_routes(rng: random.Random, _: Asked) -> list[bytes]:
    """Return a routing table as RIPv1 responses of up to 25 routes (RFC 1058)."""
    left, parts = rng.choice((3, 12, 25, 60, 110)), []
    while left > 0:
        routes = b"".join(
            struct.pack(">HHIIII", 2, 0, 0x0A000000 | rng.getrandbits(16) << 8, 0, 0, rng.randint(1, 15)) for _ in range(min(25, left))
        )
        parts.append(struct.pack(">BBH", 2, 1, 0) + routes)
        left -= 25
    return parts


def port_map(rng: random.Random, asked: Asked) -> list[bytes]:
    """Return a portmapper's reply to a DUMP call: every program, version, protocol and port (RFC 1833)."""
    kinds = ((100024, (1,)), (100021, (1, 3, 4)), (100003, (2, 3, 4)), (100005, (1, 2, 3)), (100011, (1, 2)), (391002, (2,)))
    table = [(100000, version, protocol, 111) for version in (4, 3, 2) for protocol in (6, 17)]
    for program, versions in rng.sample(kinds, rng.randint(1, len(kinds))):
        port = rng.randrange(600, 1023) if program < 100010 else rng.randrange(32768, 61000)
        table += [(program, version, protocol, port) for version in versions for protocol in (17, 6)]
    listed = b"".join(struct.pack(">IIIII", 1, *row) for row in table) + struct.pack(">I", 0)
    return [asked.token[:4] + struct.pack(">IIIII", 1, 0, 0, 0, 0) + listed]


def mdns_services(rng: random.Random, asked: Asked) -> list[bytes]:
    """Return a legacy unicast response that lists a host's service types (RFC 6762, section 6.7)."""
    kinds = ("workstation", "ssh", "http", "smb", "airplay", "raop", "googlecast", "spotify-connect", "ipp", "printer", "nfs", "sftp-ssh")
    question = dns_name("_services._dns-sd._udp.local") + struct.pack(">HH", 12, 1)
    records, chosen = b"", rng.sample(kinds, rng.randint(2, 9))
    for kind in chosen:
        data = dns_name(f"_{kind}._tcp.local")
        records += struct.pack(">HHHIH", 0xC00C, 12, 1, 10, len(data)) + data
    return [asked.token[:2] + struct.pack(">HHHHH", 0x8400, 1, len(chosen), 0, 0) + question + records]


def node_status(rng: random.Random, asked: Asked) -> list[bytes]:
    """Return a NetBIOS node status response (RFC 1002, section 4.2.18)."""
    host, group = host_name(rng).upper(), rng.choice(("WORKGROUP", "CORP", "OFFICE"))
    table = [(host, 0x00, 0x0400), (group, 0x00, 0x8400), (host, 0x20, 0x0400), (group, 0x1E, 0x8400), (group, 0x1D, 0x0400)]
    table = table[: rng.randint(3, 5)]
    names = b"".join(name.ljust(15).encode() + struct.pack(">BH", suffix, flags) for name, suffix, flags in table)
    data = bytes((len(table),)) + names + rng.randbytes(6) + b"\0" * 40
    name = b"\x20CK" + b"A" * 30 + b"\0"
    return [asked.token[:2] + struct.pack(">HHHHH", 0x8400, 0, 1, 0, 0) + name + struct.pack(">HHIH", 0x21, 1, 0, len(data)) + data]


def probe_match(rng: random.Random, asked: Asked) -> list[bytes]:
    """Return a device's ProbeMatches envelope (WS-Discovery)."""
    token = asked.token.hex()
    related = f"{token[:8]}-{token[8:12]}-4{token[13:16]}-8{token[17:20]}-{token[20:]}"
    kinds = ("wsdp:Device pub:Computer", "dn:NetworkVideoTransmitter tds:Device", "wsdp:Device wprt:PrintDeviceType")
    scopes = " ".join(f"onvif://www.onvif.org/{word}/{rng.choice(WORDS)}" for word in rng.sample(WORDS, rng.choice((0, 2, 6, 14))))
    text = (
        '<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:wsd="http://schemas.xmlsoap.org/ws/2005/04/discovery">'
        "<soap:Header><wsa:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</wsa:To>"
        "<wsa:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/ProbeMatches</wsa:Action>"
        f"<wsa:MessageID>urn:uuid:{uuid(rng)}</wsa:MessageID><wsa:RelatesTo>urn:uuid:{related}</wsa:RelatesTo>"
        f'<wsd:AppSequence InstanceId="{rng.randrange(1, 900)}" MessageNumber="{rng.randrange(1, 90)}"/></soap:Header>'
        "<soap:Body><wsd:ProbeMatches><wsd:ProbeMatch><wsa:EndpointReference>"
        f"<wsa:Address>urn:uuid:{uuid(rng)}</wsa:Address></wsa:EndpointReference><wsd:Types>{rng.choice(kinds)}</wsd:Types>"
        f"<wsd:Scopes>{scopes}</wsd:Scopes><wsd:XAddrs>http://192.168.1.{rng.randrange(2, 250)}:5357/{uuid(rng)}/</wsd:XAddrs>"
        "<wsd:MetadataVersion>1</wsd:MetadataVersion></wsd:ProbeMatch></wsd:ProbeMatches></soap:Body></soap:Envelope>"
    )
    return [text.encode()]


def core_links(rng: random.Random, asked: Asked) -> list[bytes]:
    """Return a CoAP 2.05 response with a device's resources in link format (RFC 7252, RFC 6690), cut off at one block of 1,024."""
    links = [
        f'</{rng.choice(("sensors", "device", "qlink", "oic"))}/{word}>;rt="{rng.choice(WORDS)}";if="core.s";ct={rng.choice((0, 40, 50))}'
        for word in rng.sample(WORDS, rng.choice((4, 9, 16, 30)))
    ]
    body, block = ",".join(links).encode(), b""
    if len(body) > 1024:
        body, block = body[:1024], b"\xb1\x0e"  # Block2 (RFC 7959): number 0, more to come, 1,024 bytes
    return [b"\x62\x45" + asked.token[:4] + b"\xc1\x28" + block + b"\xff" + body]


def remote_desktop_state(rng: random.Random, _: Asked) -> list[bytes]:
    """Return a Mac's response of 1,006 bytes to a remote management query: a short header, names, and mostly zeros."""
    name = f"{rng.choice(('iMac', 'MacBook-Pro', 'Mac-mini'))}-{rng.choice(WORDS)}".encode()
    body = rng.randbytes(6) + bytes((len(name),)) + name + struct.pack(">II", 0x00010003, rng.getrandbits(8)) + b"\x04user" + b"\0" * 60
    return [struct.pack(">HH", 1, 1002) + body.ljust(1002, b"\0")]


def build_server(rng: random.Random, _: Asked) -> list[bytes]:
    """Return a Jenkins server's discovery response."""
    url = f"http://{rng.choice(('ci', 'jenkins', 'build'))}.{rng.choice(ZONES)}:{rng.choice((80, 8080, 8082))}/"
    text = f"<hudson><version>2.{rng.randrange(100, 219)}</version><url>{url}</url><server-id>{rng.getrandbits(128):032x}</server-id>"
    if rng.random() < 0.8:
        text += f"<slave-port>{rng.randrange(32768, 61000)}</slave-port>"
    return [(text + "</hudson>").encode()]


def media_server(rng: random.Random, _: Asked) -> list[bytes]:
    """Return a Plex media server's discovery response."""
    lines = ["HTTP/1.0 200 OK", "Content-Type: plex/media-server", f"Host: {rng.getrandbits(128):032x}.plex.direct"]
    lines += [f"Name: {host_name(rng)}", "Port: 32400", f"Resource-Identifier: {rng.getrandbits(160):040x}"]
    lines += [
        f"Updated-At: {rng.randrange(1_690_000_000, 1_714_000_000)}",
        f"Version: 1.{rng.randrange(18, 41)}.0.{rng.randrange(1000, 9000)}",
    ]
    return [("\r\n".join(lines) + "\r\n\r\n").encode()]


def vpn_reset(rng: random.Random, asked: Asked) -> list[bytes]:
    """Return P_CONTROL_HARD_RESET_SERVER_V2 of OpenVPN: session, one acknowledgement, packet id 0."""
    return [b"\x40" + rng.randbytes(8) + b"\x01" + struct.pack(">I", 0) + asked.token[:8] + struct.pack(">I", 0)]


def desktop_syn_ack(rng: random.Random, asked: Asked) -> list[bytes]:
    """Return a SYN+ACK datagram of 1,232 bytes (MS-RDPEUDP): header, initial sequence number, both MTUs, and padding."""
    first = asked.token[:4] + struct.pack(">HHIHH", 64, 0x0005, rng.getrandbits(32), 1232, 1232)
    return [first.ljust(1232, b"\0")]


def service_location(rng: random.Random, asked: Asked) -> list[bytes]:
    """Return an SLPv2 attribute or service reply (RFC 2608), larger if the attacker registered services first."""
    size = rng.choice((150, 400, 900, 1300, 2600))
    if asked.server % 3:
        listed = f'(product="VMware ESXi 6.7.0 build-{rng.randrange(10**7, 2 * 10**7)}"),(hardwareUuid="{uuid(rng).upper()}")'
        while len(listed) < size:
            listed += f',({rng.choice(WORDS)}="{rng.choice(WORDS)} {rng.getrandbits(48):012x}")'
        kind, body = 7, struct.pack(">HH", 0, len(listed)) + listed.encode() + b"\0"
    else:
        entries, count = b"", 0
        while len(entries) < size:
            url = f"service:{rng.choice(('wbem', 'VMwareInfrastructure', 'printer:lpr'))}://{host_name(rng)}.{rng.choice(ZONES)}:5989".encode()
            entries, count = entries + struct.pack(">BHH", 0, 65535, len(url)) + url + b"\0", count + 1
        kind, body = 2, struct.pack(">HH", 0, count) + entries
    head = bytes((2, kind)) + (16 + len(body)).to_bytes(3, "big") + b"\0" * 5 + asked.token[:2] + b"\0\x02en"
    return [head + body]


def trunk_calls(rng: random.Random, _: Asked) -> list[bytes]:
    """Return a series of datagrams that a TP-240 driver sends about its test calls, two per call."""
    first, parts = rng.choice((0, 0, rng.randrange(1900))), []
    if not first:
        parts.append(b"<tp240dvr>\n")
    for number in range(first, first + rng.randint(5, 20)):
        parts += [f"Starting Call, Call_ID= testcall_{number}  ".encode(), b"...dialing 3\n"]
    return parts


def radio_device(rng: random.Random, asked: Asked) -> list[bytes]:
    """Return a Ubiquiti device's discovery response, version 1: addresses, uptime, names, firmware."""
    mac = bytes.fromhex("0418d6") + rng.randbytes(3)
    model = rng.choice((b"LM5", b"N5N", b"P5B", b"AG5-HP"))
    fields = [(2, mac + asked.server.to_bytes(4, "big")), (2, mac[:5] + b"\x01" + bytes((192, 168, 1, 1))), (1, mac)]
    fields += [(10, struct.pack(">I", rng.randrange(9_000_000))), (11, host_name(rng).encode()), (12, model)]
    fields += [(13, words(rng, rng.randrange(6, 30))), (14, b"\x02"), (3, b"XW.ar934x.v6.1.%d.32918.170" % rng.randrange(12))]
    body = b"".join(struct.pack(">BH", kind, len(data)) + data for kind, data in fields)
    return [struct.pack(">BBH", 1, 0, len(body)) + body]


def first_block(rng: random.Random, _: Asked) -> list[bytes]:
    """Return the first block of a file over TFTP (RFC 1350)."""
    return [struct.pack(">HH", 3, 1) + rng.choice((rng.randbytes(512), words(rng, 512)))]


def database_instances(rng: random.Random, _: Asked) -> list[bytes]:
    """Return SQL Server's list of instances (MC-SQLR, SVR_RESP)."""
    host, text = host_name(rng).upper(), ""
    for instance in rng.sample(("MSSQLSERVER", "SQLEXPRESS", "SAGE", "REPORTS", "VEEAM"), rng.randint(1, 4)):
        version = f"{rng.choice((10, 11, 12, 13, 14, 15))}.0.{rng.randrange(1000, 6000)}.{rng.choice((0, 2))}"
        text += f"ServerName;{host};InstanceName;{instance};IsClustered;No;Version;{version};"
        text += f"tcp;{rng.choice((1433, rng.randrange(49152, 65535)))};np;\\\\{host}\\pipe\\{instance}\\sql\\query;;"
    return [struct.pack("<BH", 5, len(text)) + text.encode()]


def stun_address(kind: int, address: int, port: int) -> bytes:
    """Return a STUN attribute that holds an IPv4 address."""
    return struct.pack(">HHBBHI", kind, 8, 0, 1, port, address)


def stun_text(kind: int, data: bytes) -> bytes:
    """Return a STUN attribute padded to whole words."""
    return struct.pack(">HH", kind, len(data)) + data + b"\0" * (-len(data) % 4)


def stun(kind: int, token: bytes, attributes: bytes, *, sealed: bool = False) -> bytes:
    """Return a STUN message (RFC 8489), optionally with a fingerprint as the last attribute."""
    size = len(attributes) + (8 if sealed else 0)
    message = struct.pack(">HHI", kind, size, STUN_COOKIE) + token[:12] + attributes
    return message + struct.pack(">HHI", 0x8028, 4, crc32(message) ^ 0x5354554E) if sealed else message


def binding(rng: random.Random, asked: Asked) -> list[bytes]:
    """Return a STUN binding response: the apparent source of the request, and the responder's name."""
    mapped = stun_address(0x20, asked.client ^ STUN_COOKIE, asked.port ^ 0x2112) + stun_address(1, asked.client, asked.port)
    others = stun_address(0x802B, asked.server, 3478) + stun_address(0x802C, asked.server ^ 1, 3479)
    software = stun_text(0x8022, rng.choice((b"Coturn-4.5.1.1 'dan Eider'", b"Coturn-4.6.2 'Gorst'", b"Vovida.org 0.98-CPC")))
    return [stun(0x0101, asked.token, mapped + rng.choice((b"", others, others + software)))]


def quic_long(rng: random.Random, kind: int, ends: tuple[bytes, bytes], octets: int) -> bytes:
    """Return a protected QUIC packet with a long header (RFC 9000): kind 0 is Initial, 2 Handshake; ends: destination and source id."""
    target, source = ends
    head = bytes((0xC0 | kind << 4 | rng.getrandbits(4),)) + struct.pack(">IB", 1, len(target)) + target + bytes((len(source),)) + source
    return head + (b"\0" if kind == 0 else b"") + struct.pack(">H", 0x4000 | octets) + rng.randbytes(octets)


def quic_flight(rng: random.Random, ends: tuple[bytes, bytes], whole: int = 1200) -> list[bytes]:
    """Return a server's first flight: Initial followed by the start of Handshake, then the rest of the certificate."""
    first = quic_long(rng, 0, ends, rng.randrange(120, 180))
    room = whole - 9 - len(ends[0]) - len(ends[1])
    return [
        first + quic_long(rng, 2, ends, room - len(first)),
        quic_long(rng, 2, ends, room),
        quic_long(rng, 2, ends, rng.randrange(200, 900)),
    ]


def quic(rng: random.Random, asked: Asked) -> list[bytes]:
    """Return a server's response to an Initial, at most three times its size."""
    ends = asked.token[: rng.choice((0, 8, 8))], rng.randbytes(rng.choice((8, 8, 18, 20)))
    return quic_flight(rng, ends, rng.choice((1200, 1200, 1232, 1252)))[: rng.choice((2, 3, 3))]


def dtls_record(version: int, number: int, body: bytes, kind: int = 22, epoch: int = 0) -> bytes:
    """Return one DTLS record (RFC 6347)."""
    return struct.pack(">BHHHIH", kind, version, epoch, 0, number, len(body)) + body


def dtls_handshake(kind: int, number: int, body: bytes) -> bytes:
    """Return one complete DTLS handshake message."""
    size = len(body).to_bytes(3, "big")
    return bytes((kind,)) + size + struct.pack(">H", number) + b"\0\0\0" + size + body


def certificate(rng: random.Random, host: str) -> bytes:
    """Return an X.509 certificate that no one signed."""
    name = ber(0x30, ber(0x31, ber(0x30, ber(6, b"\x55\x04\x03") + ber(12, host.encode()))))
    life = ber(0x30, ber(0x17, b"23%02d01000000Z" % rng.randint(1, 12)) + ber(0x17, b"33%02d01000000Z" % rng.randint(1, 12)))
    key = ber(0x30, ber(2, b"\0\xc1" + rng.randbytes(255)) + ber(2, b"\x01\0\x01"))
    key = ber(0x30, ber(0x30, ber(6, RSA_KEY) + b"\x05\0") + ber(3, b"\0" + key))
    method = ber(0x30, ber(6, RSA_SHA256) + b"\x05\0")
    body = ber(0x30, ber(0xA0, b"\x02\x01\x02") + ber(2, b"\x41" + rng.randbytes(15)) + method + name + life + name + key)
    return ber(0x30, body + method + ber(3, b"\0" + rng.randbytes(256)))


def dtls_server_flight(rng: random.Random, first: int = 0) -> bytes:
    """Return ServerHello, Certificate and ServerHelloDone in one datagram."""
    held = certificate(rng, f"{host_name(rng)}.{rng.choice(ZONES)}")
    hello = (
        struct.pack(">H", DTLS_12)
        + rng.randbytes(32)
        + b"\x20"
        + rng.randbytes(32)
        + bytes.fromhex("009c00")
        + bytes.fromhex("0005ff01000100")
    )
    listed = (len(held) + 3).to_bytes(3, "big") + len(held).to_bytes(3, "big") + held
    messages = ((2, hello), (11, listed), (14, b""))
    return b"".join(
        dtls_record(DTLS_12, first + place, dtls_handshake(kind, first + place, body)) for place, (kind, body) in enumerate(messages)
    )


def dtls(rng: random.Random, asked: Asked) -> list[bytes]:
    """Return a HelloVerifyRequest, or the complete first flight of a server that requires no cookie."""
    if asked.server % 3:
        cookie = rng.randbytes((20, 32)[asked.server % 2])
        return [dtls_record(DTLS_10, 0, dtls_handshake(3, 0, struct.pack(">HB", DTLS_10, len(cookie)) + cookie))]
    return [dtls_server_flight(rng)]


def game_info(rng: random.Random, _: Asked) -> list[bytes]:
    """Return a game server's A2S_INFO response: name, map, game, players."""
    game = rng.choice(((b"cstrike", b"Counter-Strike: Source", 240), (b"tf", b"Team Fortress", 440), (b"garrysmod", b"Sandbox", 4000)))
    most = rng.choice((16, 24, 32, 64))
    text = words(rng, rng.randrange(18, 60)) + b"\0" + b"de_%b\0" % rng.choice(WORDS).encode() + game[0] + b"\0" + game[1] + b"\0"
    body = (
        struct.pack("<HBBB", game[2], rng.randint(0, most), most, rng.randrange(6)) + rng.choice((b"dl", b"dw")) + b"\0\x01" + b"1.0.0.71\0"
    )
    extra = struct.pack("<BHQ", 0xB1, 27015, 0x0110000100000000 | rng.getrandbits(30)) + words(rng, rng.randrange(10, 80)) + b"\0"
    return [b"\xff\xff\xff\xffI\x11" + text + body + extra + struct.pack("<Q", game[2])]


def bencoded(value: object) -> bytes:
    """Return bytes, numbers, lists and mappings as BitTorrent encodes them."""
    if isinstance(value, bytes):
        return b"%d:%b" % (len(value), value)
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, dict):
        return b"d" + b"".join(bencoded(key) + bencoded(value[key]) for key in sorted(value)) + b"e"
    if isinstance(value, Sequence):
        return b"l" + b"".join(bencoded(each) for each in value) + b"e"
    raise TypeError(f"{type(value)} has no form in bencoding")


def dht_nodes(rng: random.Random, asked: Asked) -> list[bytes]:
    """Return a DHT node's response to get_peers or find_node (BEP 5)."""
    told: dict[bytes, object] = {b"id": rng.randbytes(20), b"nodes": rng.randbytes(208)}
    if asked.token[0] & 1:
        told |= {b"token": rng.randbytes(8), b"values": [rng.randbytes(6) for _ in range(rng.choice((0, 4, 30)))]}
    return [bencoded({b"r": told, b"t": asked.token[:2], b"v": b"LT\x01\x02", b"y": b"r"})]


def licence_server(rng: random.Random, _: Asked) -> list[bytes]:
    """Return a licence manager's response: the request's kind, a length, and names of features in fields of fixed size."""
    names = [f"{rng.choice(WORDS).upper()}_{rng.randrange(1, 20)}.{rng.randrange(10)}".encode() for _ in range(rng.choice((4, 12, 30)))]
    body = struct.pack(">HH", 1, len(names)) + host_name(rng).encode().ljust(64, b"\0") + b"".join(name.ljust(40, b"\0") for name in names)
    return [struct.pack(">BBI", 0x7A, 0, len(body)) + body]


def adapter_setup(rng: random.Random, _: Asked) -> list[bytes]:
    """Return a serial-to-Ethernet adapter's setup record: the opcode of the reply, then settings in fields of fixed size."""
    return [struct.pack(">I", rng.choice((0xF7, 0xF9))) + rng.randbytes(8) + rng.choice((bytes(108), rng.randbytes(108)))]


def display_willing(rng: random.Random, _: Asked) -> list[bytes]:
    """Return a display manager's Willing message (XDMCP)."""
    fields = (b"", f"{host_name(rng)}.{rng.choice(ZONES)}".encode(), b"%d user(s), load: %.2f" % (rng.randrange(9), rng.random()))
    body = b"".join(struct.pack(">H", len(field)) + field for field in fields)
    return [struct.pack(">HHH", 1, 5, len(body)) + body]


def external_address(rng: random.Random, asked: Asked) -> list[bytes]:
    """Return a gateway's response to a request for its external address (RFC 6886)."""
    return [struct.pack(">BBHII", 0, 128, 0, rng.randrange(1, 4_000_000), asked.server)]


def snmp(kind: int, number: int, fields: tuple[int, int], bound: bytes) -> bytes:
    """Return an SNMPv2c message: kind 0xA0 is GetRequest, 0xA5 GetBulkRequest, 0xA2 Response; bound holds the variables."""
    body = ber(2, struct.pack(">I", number & 0x7FFFFFFF)) + b"".join(ber(2, bytes((field,))) for field in fields) + ber(0x30, bound)
    return ber(0x30, b"\x02\x01\x01" + ber(4, b"public") + ber(kind, body))


def snmp_variable(tail: bytes, value: bytes) -> bytes:
    """Return one variable below 1.3.6.1.2.1 with its value, which is a BER element."""
    return ber(0x30, ber(6, b"\x2b\x06\x01\x02\x01" + tail) + value)
