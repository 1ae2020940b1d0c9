"""Build the payloads of further protocols: HTTP/2, MQTT, SIP responses, TLS and RDP openings, industrial control.

Functions take plain values and return well-formed bytes, as in messages.py; that file has what any site sees each day, while
these protocols need a length, a number or an index in nearly every message.
"""

import random
import struct
from collections.abc import Sequence

from messages import record, sealed, server_hello

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
H2_DATA, H2_HEADERS, H2_RST_STREAM, H2_SETTINGS, H2_PING, H2_GOAWAY, H2_WINDOW_UPDATE, H2_CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
NO_ERROR, REFUSED_STREAM, CANCEL, CALM_DOWN = 0, 7, 8, 11
INDEXED_STATUS = {200: 0x88, 204: 0x89, 206: 0x8A, 304: 0x8B, 400: 0x8C, 404: 0x8D, 500: 0x8E}  # RFC 7541, appendix A
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
KEY_SHARE = bytes.fromhex("003300260024001d0020")  # what precedes the key in messages.client_hello


def h2_frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    """Return one HTTP/2 frame."""
    return len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + body


def h2_settings(values: Sequence[tuple[int, int]]) -> bytes:
    """Return a SETTINGS frame."""
    return h2_frame(H2_SETTINGS, 0, 0, b"".join(struct.pack(">HI", *value) for value in values))


def h2_reset(stream: int, code: int = CANCEL) -> bytes:
    """Return a RST_STREAM frame."""
    return h2_frame(H2_RST_STREAM, 0, stream, struct.pack(">I", code))


def h2_widen(stream: int, octets: int) -> bytes:
    """Return a WINDOW_UPDATE frame."""
    return h2_frame(H2_WINDOW_UPDATE, 0, stream, struct.pack(">I", octets))


def h2_away(last: int, code: int = NO_ERROR) -> bytes:
    """Return a GOAWAY frame."""
    return h2_frame(H2_GOAWAY, 0, 0, struct.pack(">II", last, code))


def _hpack_number(first: int, bits: int, number: int) -> bytes:
    """Return an HPACK integer after the prefix bits of its first byte (RFC 7541, section 5.1)."""
    limit = (1 << bits) - 1
    if number < limit:
        return bytes((first | number,))
    made, rest = [first | limit], number - limit
    while rest > 127:
        made.append(rest & 127 | 128)
        rest >>= 7
    return bytes((*made, rest))


def hpack_text(text: str) -> bytes:
    """Return a string without Huffman coding."""
    return _hpack_number(0, 7, len(text)) + text.encode()


def hpack_field(index: int, text: str) -> bytes:
    """Return a field that is not indexed, whose name is in the static table."""
    return _hpack_number(0, 4, index) + hpack_text(text)


def h2_request(path: str, host: str, agent: str, first: bool) -> bytes:
    """Return the header block of a GET; the first one on a connection puts host and agent into the dynamic table."""
    line = b"\x82\x86" + (b"\x84" if path == "/" else hpack_field(4, path))
    return line + (b"\x41" + hpack_text(host) + b"\x7a" + hpack_text(agent) if first else b"\xbf\xbe")


def h2_answer(status: int, octets: int, kind: str = "text/html") -> bytes:
    """Return the header block of a response."""
    line = bytes((INDEXED_STATUS[status],)) if status in INDEXED_STATUS else hpack_field(8, str(status))
    return line + hpack_field(28, str(octets)) + hpack_field(31, kind) + hpack_field(54, "nginx")


def mqtt(first: int, body: bytes = b"") -> bytes:
    """Return an MQTT control packet."""
    made, rest = [first], len(body)
    while rest > 127:
        made.append(rest & 127 | 128)
        rest >>= 7
    return bytes((*made, rest)) + body


def mqtt_text(text: str) -> bytes:
    """Return a length-prefixed string."""
    return struct.pack(">H", len(text)) + text.encode()


def mqtt_connect(client: str, keep_s: int, login: tuple[str, str] | None = None) -> bytes:
    """Return a CONNECT packet of MQTT 3.1.1."""
    fields = b"".join(mqtt_text(text) for text in (client, *(login or ())))
    return mqtt(0x10, b"\x00\x04MQTT\x04" + struct.pack(">BH", 0xC2 if login else 2, keep_s) + fields)


def mqtt_publish(topic: str, number: int, body: bytes) -> bytes:
    """Return a PUBLISH packet; number 0 requests no acknowledgement."""
    mark = struct.pack(">H", number & 0xFFFF) if number else b""
    return mqtt(0x32 if number else 0x30, mqtt_text(topic) + mark + body)


def sip_answer(status: str, fields: Sequence[str], body: str = "") -> bytes:
    """Return a SIP response."""
    return ("\r\n".join([f"SIP/2.0 {status}", *fields, f"Content-Length: {len(body)}"]) + "\r\n\r\n" + body).encode()


def sdp(address: str, port: int, number: int) -> str:
    """Return the description of a G.711 call."""
    head = f"v=0\r\no=- {number} {number} IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
    return head + f"m=audio {port} RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"


def base64_text(data: bytes) -> str:
    """Return the bytes in base64."""
    number = int.from_bytes(data + b"\0" * (-len(data) % 3), "big")
    count = -(-len(data) // 3) * 4
    text = "".join(BASE64[number >> 6 * place & 63] for place in reversed(range(count)))
    return text[: count - -len(data) % 3] + "=" * (-len(data) % 3)


def same_hello(rng: random.Random, hello: bytes) -> bytes:
    """Return the ClientHello of the same program on its next connection: only the random bytes differ."""
    at = hello.index(KEY_SHARE) + len(KEY_SHARE)
    fresh = hello[:11] + rng.randbytes(32) + hello[43:44] + rng.randbytes(32) + hello[76:]
    return fresh[:at] + rng.randbytes(32) + fresh[at + 32 :]


def flight(rng: random.Random, octets: int) -> bytes:
    """Return a server's first TLS flight with that many encrypted bytes; about 230 mean that a session is resumed."""
    whole = server_hello(rng)
    return whole[: 11 + int.from_bytes(whole[3:5], "big")] + sealed(rng, octets)


def finished(rng: random.Random) -> bytes:
    """Return the end of a client's TLS handshake."""
    return record(20, b"\x01") + sealed(rng, 36)


def modbus(number: int, unit: int, body: bytes) -> bytes:
    """Return a Modbus/TCP message."""
    return struct.pack(">HHHB", number & 0xFFFF, 0, len(body) + 1, unit) + body


def iec104(sent: int, received: int, body: bytes) -> bytes:
    """Return an IEC 60870-5-104 information frame, or without a body a supervisory frame."""
    control = struct.pack("<HH", (sent << 1 & 0xFFFF) if body else 1, received << 1 & 0xFFFF)
    return bytes((0x68, 4 + len(body))) + control + body


def iec104_start(confirmed: bool) -> bytes:
    """Return STARTDT, request or confirmation."""
    return bytes((0x68, 4, 0x0B if confirmed else 0x07, 0, 0, 0))


def asdu(kind: int, cause: int, station: int, place: int, element: bytes) -> bytes:
    """Return an IEC 104 application unit with one object."""
    return struct.pack("<BBBBH", kind, 1, cause, 0, station) + place.to_bytes(3, "little") + element


def tpkt(body: bytes) -> bytes:
    """Return a TPKT packet."""
    return struct.pack(">BBH", 3, 0, 4 + len(body)) + body


def s7(rosctr: int, number: int, parameter: bytes, data: bytes = b"") -> bytes:
    """Return an S7 message: rosctr 1 is a job and 3 its acknowledgement with data."""
    head = struct.pack(">BBHHHH", 0x32, rosctr, 0, number & 0xFFFF, len(parameter), len(data)) + (b"\0\0" if rosctr == 3 else b"")
    return tpkt(b"\x02\xf0\x80" + head + parameter + data)


def s7_connect(confirmed: bool) -> bytes:
    """Return a COTP connection request or its confirmation."""
    head = bytes.fromhex("11d00001000200" if confirmed else "11e00000000100")
    return tpkt(head + bytes.fromhex("c0010ac1020100c2020102"))


def s7_write(number: int, block: int, place: int, body: bytes) -> bytes:
    """Return a job that writes bytes into a data block."""
    item = struct.pack(">BBBBHHB", 0x12, 0x0A, 0x10, 2, len(body), block, 0x84) + (place * 8).to_bytes(3, "big")
    return s7(1, number, b"\x05\x01" + item, struct.pack(">BBH", 0, 4, len(body) * 8) + body)


def rdp_request(user: str) -> bytes:
    """Return an RDP connection request with a cookie, which requests TLS and CredSSP."""
    body = bytes.fromhex("e00000000000") + f"Cookie: mstshash={user}\r\n".encode() + bytes.fromhex("010008000b000000")
    return tpkt(bytes((len(body),)) + body)


def rdp_confirm(chosen: int) -> bytes:
    """Return the confirmation: 1 chooses TLS, 2 CredSSP."""
    return tpkt(bytes.fromhex("0ed00000123400") + struct.pack("<BBHI", 2, 0x1F, 8, chosen))
