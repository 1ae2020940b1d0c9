"""First payloads made by hand from each protocol's specification, and every part of them that a snap length may leave."""

import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from floodmark.vocabulary.payloads import payload_name
from floodmark_core._jit import kernel
from floodmark_core.columns import U8
from floodmark_core.flows import payload
from floodmark_core.flows.payload import (
    count_frames,
    dns_name_word,
    head_ends,
    is_http_request,
    request_target,
    tcp_code,
    udp_code,
)
from property.strategies import PROFILE


@kernel
def begins_request(block: U8, at: int, end: int) -> bool:
    """Ask a part of kernels, which Python cannot call."""
    return is_http_request(block, at, end)


ANY = 40000  # a port that says nothing


def udp_named(data: bytes, ports: tuple[int, int], end: int | None = None, tail: bytes = b"") -> str:
    """Name a datagram of which ``end`` octets were captured; ``tail`` stands after them in the buffer."""
    kept = data if end is None else data[:end]
    return payload_name(int(udp_code(np.frombuffer(kept + tail, np.uint8).copy(), 0, len(kept), len(data), *ports)))


def tcp_named(data: bytes, *, from_initiator: bool = True, end: int | None = None, tail: bytes = b"") -> str:
    """Name the first segment of one direction."""
    kept = data if end is None else data[:end]
    return payload_name(int(tcp_code(np.frombuffer(kept + tail, np.uint8).copy(), 0, len(kept), int(from_initiator))))


QUESTION = b"\x07example\x03com\x00\x00\x01\x00\x01"
DNS_QUERY = struct.pack("!6H", 0x1234, 0x0100, 1, 0, 0, 0) + QUESTION
DNS_REPLY = struct.pack("!6H", 0x1234, 0x8180, 1, 1, 0, 0) + QUESTION + b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x01\x02\x03\x04"
MDNS_REPLY = struct.pack("!6H", 0, 0x8400, 0, 1, 0, 0) + DNS_REPLY[12:]
MONLIST = bytes((0x17, 0, 3, 0x2A)) + bytes(4)
MONLIST_REPLY = bytes((0xD7, 0, 3, 0x2A)) + struct.pack("!HH", 6, 72) + bytes(range(72)) * 6
READVAR_REPLY = bytes((0x16, 0x82)) + struct.pack("!HHHHH", 1, 0x0618, 0, 0, 20) + b'version="ntpd 4.2"\r\n'
NTP_CLIENT, NTP_SERVER = bytes((0x23, *bytes(47))), bytes((0x24, 2, 6, 0xEC)) + bytes(range(44))
MEMCACHED_REQUEST = struct.pack("!4H", 1, 0, 1, 0) + b"get a\r\n"
MEMCACHED_STATS = struct.pack("!4H", 1, 0, 1, 0) + b"stats\r\n"
MEMCACHED_REPLY = struct.pack("!4H", 1, 0, 700, 0) + b"VALUE a 0 1000000\r\n" + b"a" * 1300
MEMCACHED_LATER = struct.pack("!4H", 1, 9, 700, 0) + b"\x7f\x00\x01" * 400


def ber(tag: int, body: bytes) -> bytes:
    size = bytes((len(body),)) if len(body) < 128 else bytes((0x82,)) + struct.pack("!H", len(body))
    return bytes((tag,)) + size + body


CLDAP_SEARCH = ber(0x30, ber(2, b"\1") + ber(0x63, ber(4, b"") + ber(10, b"\0") + ber(10, b"\0")))
CLDAP_ENTRY = ber(0x30, ber(2, b"\1") + ber(0x64, ber(4, b"") + ber(0x30, ber(4, b"currentTime") * 90)))
# Microsoft's directory servers write all lengths with four octets.
CLDAP_LONG = b"\x30\x84\x00\x00\x0b\x85\x02\x01\x07\x64\x84\x00\x00\x0b\x7c\x04\x00\x30\x84\x00\x00\x0b\x74" + b"\x30" * 40
SNMP_GET_BULK = ber(0x30, ber(2, b"\1") + ber(4, b"public") + ber(0xA5, ber(2, b"\0" * 4) + ber(2, b"\0") + ber(2, b"\x7f")))
SNMP_RESPONSE = ber(0x30, ber(2, b"\1") + ber(4, b"public") + ber(0xA2, ber(2, b"\0" * 4) + ber(4, b"x" * 200)))
SSDP_SEARCH = b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: ssdp:all\r\n\r\n'
SSDP_REPLY = b"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: upnp:rootdevice\r\nEXT:\r\n\r\n"
SSDP_NOTIFY = b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNTS: ssdp:alive\r\n\r\n"
PLEX_REPLY = b"HTTP/1.0 200 OK\r\nContent-Type: plex/media-server\r\n\r\n"
CHARGEN_REPLY = bytes(range(33, 105)) + b"\r\n" + bytes(range(34, 106)) + b"\r\n"
QOTD_REPLY = b'"What is to be done?" Chernyshevsky\r\n'
IKE_INIT = bytes(range(1, 9)) + bytes(8) + bytes((33, 0x20, 34, 0x08)) + bytes(4) + struct.pack("!I", 200) + bytes(172)
IKE_REPLY = bytes(range(1, 9)) + bytes(range(11, 19)) + bytes((33, 0x20, 34, 0x20)) + bytes(4) + struct.pack("!I", 200) + bytes(172)
IKE_V1_INFORMATIONAL = bytes(range(1, 9)) + bytes(range(11, 19)) + bytes((11, 0x10, 5, 0)) + bytes(4) + struct.pack("!I", 40) + bytes(12)
BACNET_REPLY = bytes((0x81, 0x0A, 0, 25, 1, 0x20, 0, 0, 0, 0x10, 0, 0xC4, 2, 0, 0, 1, 0x22, 5, 0xC4, 0x91, 0, 0x21, 7, 0, 0))
DHIP_REPLY = b"\x20\x00\x00\x00DHIP" + bytes(24) + b'{"mac":"a0:bd:1d:00:00:01"}'
WSD_REPLY = b'<?xml version="1.0" encoding="UTF-8"?><SOAP-ENV:Envelope/>'
COAP_GET, COAP_REPLY = b"\x40\x01\x7d\x70\xbb.well-known", b"\x61\x45\x7d\x70\x01\xc1\x28\xff</>;"
STUN_REQUEST = struct.pack("!HHI", 1, 0, 0x2112A442) + bytes(range(12))
STUN_REPLY = struct.pack("!HHI", 0x0101, 12, 0x2112A442) + bytes(range(12)) + bytes((0, 0x20, 0, 8, 0, 1, 2, 3, 4, 5, 6, 7))
RIP_REQUEST, RIP_REPLY = bytes((1, 1, 0, 0)) + bytes(20), bytes((2, 1, 0, 0)) + bytes(100)
PORTMAP_CALL, PORTMAP_REPLY = (struct.pack("!6I", 7, kind, 2, 100000, 2, 4) for kind in (0, 1))
MSSQL_REPLY = b"\x05\x2a\x00ServerName;DB;InstanceName;X;;"
GAME_QUERY, GAME_REPLY = b"\xff\xff\xff\xffTSource Engine Query\0", b"\xff\xff\xff\xffI\x11Server\0"
QUAKE_REPLY = b"\xff\xff\xff\xffstatusResponse\n\\sv_hostname\\x"
NETBIOS_REPLY = struct.pack("!6H", 1, 0x8400, 0, 1, 0, 0) + b"\x20CK" + b"A" * 30 + b"\0\0\x21\0\1"
XDMCP_WILLING = struct.pack("!3H", 1, 5, 30) + bytes(30)
ARMS_REPLY = bytes.fromhex("000103ea") + b"Mac" * 20
UBIQUITI_REPLY = b"\x01\x00\x00\x93" + bytes(147)
SLP_REPLY = bytes((2, 7)) + bytes(30)
OPENVPN_RESET = bytes((8 << 3,)) + bytes(range(25))
TFTP_READ = b"\0\1boot.img\0octet\0"
SIP_OPTIONS, SIP_OK = b"OPTIONS sip:100@192.0.2.1 SIP/2.0\r\nVia: x\r\n\r\n", b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n"
SIP_INVITE = b"INVITE sip:100@192.0.2.1 SIP/2.0\r\n\r\n"
BITTORRENT_QUERY = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"
DTLS_CLIENT = bytes((22, 254, 255)) + bytes(8) + struct.pack("!H", 60) + b"\1" + bytes(59)
DTLS_SERVER = bytes((22, 254, 253)) + bytes(8) + struct.pack("!H", 60) + b"\2" + bytes(59)
RTP = bytes((0x80, 0)) + struct.pack("!HII", 7, 160, 0xDEADBEEF) + bytes(range(160))
QUIC_INITIAL = bytes((0xC3,)) + struct.pack("!I", 1) + b"\x08" + bytes(range(8)) + bytes(1180)
JENKINS_REPLY = b"<hudson><version>2.1</version></hudson>"

UDP = {
    "DNS request": (DNS_QUERY, (ANY, 53)),
    "DNS reply": (DNS_REPLY, (53, ANY)),
    "mDNS reply": (MDNS_REPLY, (5353, 5353)),
    "NetBIOS reply": (NETBIOS_REPLY, (137, ANY)),
    "NTP mode 7 request": (MONLIST, (ANY, 123)),
    "NTP mode 7 reply": (MONLIST_REPLY, (123, ANY)),
    "NTP mode 6 reply": (READVAR_REPLY, (123, ANY)),
    "NTP request": (NTP_CLIENT, (ANY, 123)),
    "NTP reply": (NTP_SERVER, (123, ANY)),
    "memcached request": (MEMCACHED_REQUEST, (ANY, 11211)),
    "memcached reply": (MEMCACHED_REPLY, (11211, ANY)),
    "CLDAP request": (CLDAP_SEARCH, (ANY, 389)),
    "CLDAP reply": (CLDAP_ENTRY, (389, ANY)),
    "SNMP request": (SNMP_GET_BULK, (ANY, 161)),
    "SNMP reply": (SNMP_RESPONSE, (161, ANY)),
    "SSDP request": (SSDP_SEARCH, (ANY, 1900)),
    "SSDP reply": (SSDP_REPLY, (1900, ANY)),
    "Plex reply": (PLEX_REPLY, (32414, ANY)),
    "CHARGEN reply": (CHARGEN_REPLY, (19, ANY)),
    "QOTD reply": (QOTD_REPLY, (17, ANY)),
    "IKE request": (IKE_INIT, (500, 500)),
    "IKE reply": (IKE_REPLY, (500, ANY)),
    "BACnet reply": (BACNET_REPLY, (47808, ANY)),
    "DHIP reply": (DHIP_REPLY, (37810, ANY)),
    "WS-Discovery reply": (WSD_REPLY, (3702, ANY)),
    "CoAP request": (COAP_GET, (ANY, 5683)),
    "CoAP reply": (COAP_REPLY, (5683, ANY)),
    "STUN request": (STUN_REQUEST, (ANY, 3478)),
    "STUN reply": (STUN_REPLY, (3478, ANY)),
    "RIPv1 request": (RIP_REQUEST, (ANY, 520)),
    "RIPv1 reply": (RIP_REPLY, (520, ANY)),
    "portmap request": (PORTMAP_CALL, (ANY, 111)),
    "portmap reply": (PORTMAP_REPLY, (111, ANY)),
    "MSSQL resolution reply": (MSSQL_REPLY, (1434, ANY)),
    "game server request": (GAME_QUERY, (ANY, 27015)),
    "game server reply": (GAME_REPLY, (27015, ANY)),
    "XDMCP reply": (XDMCP_WILLING, (177, ANY)),
    "ARMS reply": (ARMS_REPLY, (3283, ANY)),
    "Ubiquiti discovery reply": (UBIQUITI_REPLY, (10001, ANY)),
    "SLP reply": (SLP_REPLY, (427, ANY)),
    "OpenVPN reply": (OPENVPN_RESET, (1194, ANY)),
    "TFTP request": (TFTP_READ, (ANY, 69)),
    "SIP request": (SIP_INVITE, (5060, 5060)),
    "SIP reply": (SIP_OK, (5060, 5060)),
    "BitTorrent request": (BITTORRENT_QUERY, (ANY, 6881)),
    "DTLS request": (DTLS_CLIENT, (ANY, 443)),
    "DTLS reply": (DTLS_SERVER, (443, ANY)),
    "RTP request": (RTP, (ANY, ANY + 2)),
    "QUIC request": (QUIC_INITIAL, (ANY, 443)),
    "Jenkins reply": (JENKINS_REPLY, (33848, ANY)),
    "unrecognised": (b"\x01what is this\x02?", (ANY, 9)),
    "one octet repeated": (b"X" * 400, (ANY, 9)),
}
MORE_UDP = [
    ("memcached request", MEMCACHED_STATS, (ANY, 11211)),
    ("memcached reply", MEMCACHED_LATER, (11211, ANY)),
    ("CLDAP reply", CLDAP_LONG, (389, ANY)),
    ("SSDP request", SSDP_NOTIFY, (1900, 1900)),
    ("SSDP reply", SSDP_REPLY, (50123, ANY)),
    ("IKE reply", bytes(4) + IKE_REPLY, (4500, ANY)),
    ("IKE request", bytes(4) + IKE_INIT, (ANY, 4500)),
    ("IKE reply", IKE_V1_INFORMATIONAL, (500, ANY)),
    ("DHIP reply", DHIP_REPLY, (ANY, ANY)),
    ("game server reply", QUAKE_REPLY, (27960, ANY)),
    ("SIP request", SIP_OPTIONS, (5060, 5060)),
    ("STUN reply", STUN_REPLY, (19302, ANY)),
]
TCP = {
    "HTTP request": (b"GET /index.html HTTP/1.1\r\nHost: example.com\r\n\r\n", True),
    "HTTP reply": (b"HTTP/1.1 404 Not Found\r\n\r\n", False),
    "TLS request": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32), True),
    "TLS reply": (b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + bytes(32), False),
    "SSH request": (b"SSH-2.0-libssh_0.9.6\r\n", True),
    "SSH reply": (b"SSH-2.0-OpenSSH_9.6\r\n", False),
    "MQTT request": (b"\x10\x1b\x00\x04MQTT\x04\x02\x00\x3c\x00\x0fclient-00000001", True),
    "MQTT reply": (b"\x20\x02\x00\x05", False),
    "RDP request": (b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00", True),
    "S7 request": (b"\x03\x00\x00\x16\x11\xe0\x00\x00\x00\x01\x00\xc0\x01\x0a\xc1\x02\x01\x00\xc2\x02\x01\x02", True),
    "S7 reply": (b"\x03\x00\x00\x16\x11\xd0\x00\x01\x00\x02\x00\xc0\x01\x0a\xc1\x02\x01\x00\xc2\x02\x01\x02", False),
    "RDP reply": (b"\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x00\x08\x00\x02\x00\x00\x00", False),
    "server banner reply": (b"220 mail.example.com ESMTP\r\n", False),
    "unrecognised": (b"hello, world", True),
    "one octet repeated": (b"\0" * 100, True),
}
MORE_TCP = [
    *[("HTTP request", method + b" / HTTP/1.1\r\n", True) for method in b"POST PUT PATCH HEAD DELETE OPTIONS CONNECT TRACE".split()],
    ("MQTT request", b"\x10\x1d\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x0fclient-00000001", True),
    ("server banner reply", b"+OK POP3 ready\r\n", False),
    ("server banner reply", b"* OK IMAP4rev1\r\n", False),
    ("unrecognised", b"220 is no banner of a client\r\n", True),
]
ALL_UDP = [(name, data, ports) for name, (data, ports) in UDP.items()] + MORE_UDP
ALL_TCP = [(name, data, initiator) for name, (data, initiator) in TCP.items()] + MORE_TCP


@pytest.mark.parametrize(("name", "data", "ports"), ALL_UDP)
def test_a_datagram_is_told_by_its_content(name: str, data: bytes, ports: tuple[int, int]) -> None:
    assert udp_named(data, ports) == name


@pytest.mark.parametrize(("name", "data", "initiator"), ALL_TCP)
def test_a_segment_is_told_by_its_content(name: str, data: bytes, *, initiator: bool) -> None:
    assert tcp_named(data, from_initiator=initiator) == name


TAILS = [b"", b"\0" * 64, b"\xff" * 64, b"MQTT\x04STAT HTTP/1.1\r\n\r\n" * 4]


@pytest.mark.parametrize(("name", "data", "ports"), ALL_UDP)
def test_a_datagram_cut_anywhere_is_judged_by_what_was_captured_alone(name: str, data: bytes, ports: tuple[int, int]) -> None:
    for end in range(min(len(data), 150)):
        assert len({udp_named(data, ports, end, tail) for tail in TAILS}) == 1, (name, end)


@pytest.mark.parametrize(("name", "data", "initiator"), ALL_TCP)
def test_a_segment_cut_anywhere_is_judged_by_what_was_captured_alone(name: str, data: bytes, *, initiator: bool) -> None:
    for end in range(min(len(data), 150)):
        assert len({tcp_named(data, from_initiator=initiator, end=end, tail=tail) for tail in TAILS}) == 1, (name, end)


PORTS = st.sampled_from(
    [17, 19, 53, 69, 111, 123, 137, 161, 177, 389, 427, 500, 520, 1194, 1434, 3283, 4500, 5353, 5683, 10001, 10074, 11211, ANY]
)
STARTS = st.sampled_from([b"", *(data[:cut] for _, data, _ in (*ALL_UDP, *ALL_TCP) for cut in (3, 9, 20))])


@settings(PROFILE, max_examples=500)
@given(start=STARTS, rest=st.binary(max_size=40), tail=st.sampled_from(TAILS), ports=st.tuples(PORTS, PORTS))
@example(start=b"\x30", rest=b"\x84\x00\x00\x00\x00\x02\x04", tail=TAILS[2], ports=(389, ANY))
def test_any_bytes_give_the_same_code_whatever_follows_them(start: bytes, rest: bytes, tail: bytes, ports: tuple[int, int]) -> None:
    data = start + rest
    assert udp_named(data, ports, tail=tail) == udp_named(data, ports)
    assert tcp_named(data, tail=tail) == tcp_named(data)


@pytest.mark.parametrize("data", [DNS_REPLY[:11], MONLIST_REPLY[:7], MEMCACHED_REPLY[:11], b"\x30", CLDAP_ENTRY[:5], IKE_REPLY[:27]])
@pytest.mark.parametrize("port", [53, 123, 11211, 389, 500])
def test_too_little_for_a_protocols_header_is_not_recognised(data: bytes, port: int) -> None:
    assert udp_named(data, (port, ANY)) == "unrecognised"


def test_no_payload_has_a_code_of_its_own() -> None:
    assert udp_named(b"", (53, 53)) == tcp_named(b"") == "none"


@pytest.mark.parametrize("port", [17, 19, 53, 111, 123, 161, 389, 500, 520, 1434, 1900, 3702, 5353, 11211, 37810, 47808])
def test_a_port_alone_makes_no_protocol(port: int) -> None:
    assert udp_named(bytes(range(200, 250)) + b"\x07" * 9, (port, ANY)) == "unrecognised"


def test_what_comes_from_a_service_is_told_before_what_goes_to_one() -> None:
    assert udp_named(DNS_REPLY, (53, 123)) == "DNS reply"


@pytest.mark.parametrize("code", range(2 * payload.PROTOCOLS))
def test_every_code_has_a_name(code: int) -> None:
    assert payload_name(code)


def test_all_names_differ() -> None:
    assert len({payload_name(code) for code in range(2 * payload.PROTOCOLS)}) == 2 * payload.PROTOCOLS


def octets(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8).copy()


@pytest.mark.parametrize("data", [b"GET", b"GETS / HTTP/1.1", b"get / HTTP/1.1", b"PROPFIND / HTTP/1.1", b" GET / HTTP/1.1"])
def test_what_is_nearly_a_method_is_no_request(data: bytes) -> None:
    assert not begins_request(octets(data), 0, len(data))


@pytest.mark.parametrize(
    ("data", "ends"),
    [(b"GET / HTTP/1.1\r\n\r\n", True), (b"GET / HTTP/1.1\r\n", False), (b"\r\n", True), (b"a: b\r\n\r\nbody", True), (b"\r\n\r", False),
     (b"", False), (b"\n\n", False)],
)  # fmt: skip
def test_a_head_ends_with_an_empty_line(data: bytes, *, ends: bool) -> None:
    assert bool(head_ends(octets(data), 0, len(data))) is ends


def targets(line: bytes) -> tuple[int, int]:
    path, whole = request_target(octets(line), 0, len(line))
    return int(path), int(whole)


def test_two_queries_of_one_path_share_the_path_and_not_the_target() -> None:
    (path, whole), (other_path, other_whole) = targets(b"GET /a?x=1 HTTP/1.1\r\n"), targets(b"POST /a?x=2 HTTP/1.1\r\n")
    assert path == other_path
    assert whole != other_whole


def test_a_target_without_a_query_is_its_path() -> None:
    assert len(set(targets(b"GET /index.html HTTP/1.1\r\n"))) == 1


def test_a_target_is_hashed_with_fnv_1a() -> None:
    expected = 0x811C9DC5
    for byte in b"/index.html":
        expected = (expected ^ byte) * 0x01000193 % 2**32
    assert targets(b"GET /index.html HTTP/1.1\r\n") == (expected, expected)


def dns(name: str, tail: bytes = b"\0\1\0\1") -> np.ndarray:
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    return np.frombuffer(struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + tail, np.uint8).copy()


def halves(name: str) -> tuple[int, int, int]:
    word, data = 0, dns(name)
    word = int(dns_name_word(data, 0, len(data)))
    return word >> 33, word >> 32 & 1, word & 0xFFFFFFFF


def test_names_under_one_domain_share_a_half_and_letters_have_no_size() -> None:
    one, other = halves("www.example.com"), halves("mail.example.com")
    assert one[0] == other[0]
    assert one[2] != other[2]
    assert halves("WWW.Example.COM") == one
    assert halves("www.example.org")[0] != one[0]


@pytest.mark.parametrize("label", ["xkqzwp", "a8f3k2x", "4590899867", "bcdfgh"])
def test_made_up_labels_are_told(label: str) -> None:
    assert halves(f"{label}.example.com")[1] == 1


@pytest.mark.parametrize("label", ["www", "mail2", "nightly", "server-farm", "2024", "x1y2"])
def test_words_are_not_made_up(label: str) -> None:
    assert halves(f"{label}.example.com")[1] == 0


def test_names_of_addresses_belong_to_no_domain() -> None:
    parent, _, whole = halves("28.113.0.203.in-addr.arpa")
    assert parent == whole >> 1


def frame(kind: int, payload: bytes = b"") -> bytes:
    return struct.pack("!I", len(payload))[1:] + bytes((kind, 0)) + struct.pack("!I", 1) + payload


def test_frames_of_http2_are_counted_behind_the_preface_and_up_to_what_is_none() -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    data = preface + frame(4) + frame(1, b"abc") + frame(3, bytes(4)) * 3 + frame(9, b"x") * 2 + b"\xff" * 9 + frame(1)
    assert tuple(map(int, count_frames(np.frombuffer(data, np.uint8).copy(), 0, len(data)))) == (1, 3, 2)


MODBUS = struct.pack("!HHHBB", 1, 0, 6, 1, 6) + struct.pack("!HH", 3, 4)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2 request"),
        (MODBUS, "Modbus request"),
        (bytes.fromhex("0300001f02f080320100000001000e00000401120a10"), "S7 request"),
        (bytes.fromhex("680e0000000046010400010000000014"), "IEC 60870-5-104 request"),
        (bytes.fromhex("056405c001000004e921"), "DNP3 request"),
        (bytes.fromhex("65000400") + bytes(20) + bytes.fromhex("01000000"), "EtherNet/IP request"),
        (b"HELF" + bytes.fromhex("38000000") + bytes(48), "OPC UA request"),
        (b"MSGC" + bytes.fromhex("00100000") + bytes(60), "OPC UA request"),
    ],
)
def test_industrial_protocols_and_http2_are_told_by_their_own_heads(data: bytes, name: str) -> None:
    assert tcp_named(data) == name


QUIC_INITIAL = bytes((0xC3, 0, 0, 0, 1, 8)) + bytes(range(40))


@pytest.mark.parametrize(
    ("data", "ports", "name"),
    [
        (struct.pack("!BBHI", 0, 128, 0, 9) + bytes(4), (5351, ANY), "NAT-PMP reply"),
        (b"\0\0", (ANY, 5351), "NAT-PMP request"),
        (b"z" + bytes(40), (5093, ANY), "Sentinel reply"),
        (b"z" + bytes(5), (ANY, 5093), "Sentinel request"),
        (bytes.fromhex("000000f6"), (ANY, 30718), "Lantronix discovery request"),
        (bytes.fromhex("000000f7") + bytes(26), (30718, ANY), "Lantronix discovery reply"),
        (bytes.fromhex("000000f9") + bytes(116), (30718, ANY), "Lantronix discovery reply"),
        (bytes.fromhex("000000f5"), (30718, ANY), "unrecognised"),
        (bytes.fromhex("000000fa"), (30718, ANY), "unrecognised"),
        (bytes.fromhex("0000f7"), (30718, ANY), "unrecognised"),
        (struct.pack("!IHH", 1, 64, 5) + bytes(1224), (3389, ANY), "RDP over UDP reply"),
        (struct.pack("!HH", 3, 1) + bytes(range(256)) * 2, (ANY, 5000), "TFTP reply"),
        (struct.pack("!HH", 5, 1) + b"File not found\0", (ANY, 5000), "TFTP reply"),
        (QUIC_INITIAL, (443, ANY), "QUIC reply"),
        (QUIC_INITIAL, (ANY, 443), "QUIC request"),
        (b"d1:rd2:id20:" + bytes(20), (6881, ANY), "BitTorrent reply"),
        (b"d1:ad2:id20:" + bytes(20), (ANY, 6881), "BitTorrent request"),
    ],
)
def test_answers_of_further_reflectors_are_told_from_questions(data: bytes, ports: tuple[int, int], name: str) -> None:
    assert udp_named(data, ports) == name
