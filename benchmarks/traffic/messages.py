"""Build the application payloads that ordinary hosts send: HTTP, TLS, DNS, NTP, SSH, SIP, RTP, DHCP, discovery.

Functions take plain values and return well-formed bytes, so that a protocol analyser finds nothing malformed.
"""

import random
import struct
from collections.abc import Sequence

# fmt: off
WORDS = (
    "about", "account", "archive", "article", "assets", "basket", "blog", "board", "budget", "calendar", "career", "catalog", "contact",
    "course", "daily", "data", "delta", "energy", "events", "family", "forum", "garden", "group", "guide", "health", "help", "history",
    "home", "image", "index", "journal", "kitchen", "library", "local", "main", "market", "media", "member", "music", "news", "office",
    "orders", "page", "partner", "photo", "plan", "portal", "press", "price", "product", "profile", "project", "report", "result",
    "review", "school", "search", "service", "shop", "sport", "start", "status", "store", "story", "studio", "summer", "support", "team",
    "theme", "ticket", "tour", "training", "travel", "update", "user", "video", "weather", "weekly", "winter", "work",
)
# fmt: on
ZONES = (
    "example.com",
    "example.net",
    "example.org",
    "shop.example",
    "news.example",
    "city.example",
    "mail.example",
    "cdn.example",
    "game.example",
)
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.71 Mobile Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Firefox/115.0",
)
LANGUAGES = (
    "en-GB,en;q=0.8",
    "de-DE,de;q=0.9,en;q=0.6",
    "fr-FR,fr;q=0.8",
    "es-ES,es;q=0.9",
    "en-US,en;q=0.5",
    "ar,en;q=0.7",
    "pt-BR,pt;q=0.9",
)
SIZES = {
    "html": 3200,
    "css": 2400,
    "js": 4200,
    "png": 5200,
    "jpg": 7800,
    "woff2": 9000,
    "json": 600,
    "ico": 700,
}  # typical bytes [chosen small]


def words(rng: random.Random, octets: int) -> bytes:
    """Return text of exactly ``octets`` bytes."""
    text = " ".join(rng.choice(WORDS) for _ in range(octets // 5 + 1))
    return (text + " " * octets)[:octets].encode()


def name(rng: random.Random) -> str:
    """Return a host name from a small set in which some names are popular."""
    zone = ZONES[min(int(rng.expovariate(0.45)), len(ZONES) - 1)]
    return f"{rng.choice(('www', 'www', 'api', 'static', 'img', 'm', rng.choice(WORDS)))}.{zone}"


def page_path(rng: random.Random) -> str:
    """Return the path of a page."""
    parts = "/".join(rng.choice(WORDS) for _ in range(rng.choice((0, 1, 1, 2, 2, 3))))
    if not parts:
        return "/"
    return "/" + parts + rng.choice(("", "/", ".html", f"?id={rng.randrange(900)}", f"/{rng.randrange(2000, 2026)}"))


def resource_path(rng: random.Random) -> tuple[str, int]:
    """Return the path of a sub-resource and its size in bytes."""
    kind = rng.choices(list(SIZES), (1, 5, 6, 6, 8, 2, 3, 1))[0]
    size = int(SIZES[kind] * rng.lognormvariate(-0.5, 0.7)) + 60
    return f"/{rng.choice(('static', 'assets', 'img', 'media', 'v2'))}/{rng.choice(WORDS)}-{rng.getrandbits(20):x}.{kind}", size


def http_get(rng: random.Random, host: str, path: str, agent: str) -> bytes:
    """Return a browser's GET request."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        f"User-Agent: {agent}",
        "Accept: */*",
        f"Accept-Language: {LANGUAGES[hash_of(agent) % 7]}",
    ]
    lines.append("Accept-Encoding: gzip, deflate, br")
    if rng.random() < 0.5:
        lines.append(f"Cookie: sid={rng.getrandbits(64):016x}")
    return ("\r\n".join([*lines, "Connection: keep-alive"]) + "\r\n\r\n").encode()


def hash_of(text: str) -> int:
    """Return a small number that is the same for the same text on every run."""
    return sum(index * ord(letter) for index, letter in enumerate(text, 1))


def http_post(host: str, path: str, agent: str, body: bytes) -> bytes:
    """Return a POST request with a form."""
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    return head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def http_answer(rng: random.Random, octets: int, status: str = "200 OK", kind: str = "text/html") -> bytes:
    """Return a response with a body of ``octets`` bytes."""
    body = words(rng, octets) if kind.startswith("text") else rng.randbytes(octets)
    head = f"HTTP/1.1 {status}\r\nServer: nginx\r\nContent-Type: {kind}\r\nContent-Length: {octets}\r\nConnection: keep-alive\r\n\r\n"
    return head.encode() + body


def record(kind: int, body: bytes) -> bytes:
    """Return one TLS record."""
    return struct.pack(">BHH", kind, 0x0303, len(body)) + body


def sealed(rng: random.Random, octets: int) -> bytes:
    """Return encrypted application data as one or more TLS records."""
    sizes = [16384] * (octets // 16384) + [octets % 16384 or 1]
    return b"".join(record(23, rng.randbytes(size + 17)) for size in sizes)


def _extension(kind: int, body: bytes) -> bytes:
    """Return one TLS extension."""
    return struct.pack(">HH", kind, len(body)) + body


def client_hello(rng: random.Random, host: str) -> bytes:
    """Return a TLS 1.3 ClientHello whose ciphers and order depend on the client."""
    ciphers = [0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0x009C, 0x009D, 0x002F][: rng.randint(7, 12)]
    server = host.encode()
    extensions = [
        _extension(0, struct.pack(">HBH", len(server) + 3, 0, len(server)) + server),
        _extension(10, bytes.fromhex("0006001d00170018")),
        _extension(11, b"\x01\x00"),
        _extension(13, bytes.fromhex("0008040308040401 0806".replace(" ", ""))),
        _extension(16, b"\x00\x0c\x02h2\x08http/1.1"),
        _extension(43, bytes.fromhex("0403040303")),
        _extension(51, struct.pack(">HHH", 36, 0x1D, 32) + rng.randbytes(32)),
    ]
    if rng.random() < 0.4:
        extensions.append(_extension(21, b"\0" * rng.randrange(20, 200)))
    body = struct.pack(">H", 0x0303) + rng.randbytes(32) + b"\x20" + rng.randbytes(32)
    body += struct.pack(f">H{len(ciphers)}H", 2 * len(ciphers), *ciphers) + b"\x01\x00"
    tail = b"".join(extensions)
    body += struct.pack(">H", len(tail)) + tail
    return record(22, b"\x01" + len(body).to_bytes(3, "big") + body)


def server_hello(rng: random.Random) -> bytes:
    """Return the server's first flight: ServerHello, ChangeCipherSpec, and its encrypted certificate."""
    tail = _extension(43, b"\x03\x04") + _extension(51, struct.pack(">HH", 0x1D, 32) + rng.randbytes(32))
    body = struct.pack(">H", 0x0303) + rng.randbytes(32) + b"\x20" + rng.randbytes(32) + bytes.fromhex("130100")
    body += struct.pack(">H", len(tail)) + tail
    hello = record(22, b"\x02" + len(body).to_bytes(3, "big") + body)
    return hello + record(20, b"\x01") + sealed(rng, rng.randrange(1800, 3800))


def dns_name(text: str) -> bytes:
    """Return a name in DNS form, without compression."""
    return b"".join(bytes((len(label),)) + label.encode() for label in text.rstrip(".").split(".") if label) + b"\0"


def dns_query(number: int, text: str, kind: int = 1, size: int = 0) -> bytes:
    """Return a recursive query; size above 0 announces it with EDNS."""
    extra = b"\0" + struct.pack(">HHIH", 41, size, 0, 0) if size else b""
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 1 if size else 0) + dns_name(text) + struct.pack(">HH", kind, 1) + extra


def dns_answer(number: int, text: str, kind: int, records: Sequence[tuple[int, int, bytes]], size: int = 0) -> bytes:
    """Return a response with records (type, TTL in seconds, data); no records means that the name does not exist."""
    flags = 0x8180 if records else 0x8183
    extra = b"\0" + struct.pack(">HHIH", 41, size, 0, 0) if size else b""
    body = struct.pack(">HHHHHH", number, flags, 1, len(records), 0, 1 if size else 0) + dns_name(text) + struct.pack(">HH", kind, 1)
    return body + b"".join(struct.pack(">HHHIH", 0xC00C, sort, 1, life, len(data)) + data for sort, life, data in records) + extra


def text_data(rng: random.Random, octets: int) -> bytes:
    """Return the data of a TXT record of about ``octets`` bytes."""
    data = b""
    while len(data) < octets:
        part = words(rng, min(255, octets - len(data)))
        data += bytes((len(part),)) + part
    return data


def ntp(mode: int, stratum: int, at_ns: int, origin_ns: int = 0) -> bytes:
    """Return a 48-byte NTP packet."""
    stamp = _ntp_time(at_ns)
    reference = b"\xc0\x00\x02\x0a" if stratum else b"\0" * 4
    head = struct.pack(">BBbbII", 0x20 | mode, stratum, 6, -20, 0x0200, 0x0300) + reference
    early = _ntp_time(at_ns - 30_000_000_000) if stratum else b"\0" * 8
    origin = _ntp_time(origin_ns) if origin_ns else b"\0" * 8
    return head + early + origin + (stamp if stratum else b"\0" * 8) + stamp


def _ntp_time(at_ns: int) -> bytes:
    """Return a time in NTP format."""
    seconds, rest = divmod(at_ns, 1_000_000_000)
    return struct.pack(">II", seconds + 2_208_988_800 & 0xFFFFFFFF, (rest << 32) // 1_000_000_000)


def ssh_packet(rng: random.Random, kind: int, body: bytes) -> bytes:
    """Return an unencrypted SSH packet."""
    pad = 8 - (6 + len(body)) % 8 + (8 if (6 + len(body)) % 8 > 4 else 0)
    return struct.pack(">IBB", 2 + len(body) + pad, pad, kind) + body + rng.randbytes(pad)


def ssh_offer(rng: random.Random) -> bytes:
    """Return a key exchange offer (KEXINIT)."""
    ciphers = "chacha20-poly1305@openssh.com,aes128-ctr,aes256-ctr,aes128-gcm@openssh.com"
    macs = "umac-64-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512"
    lists = ["curve25519-sha256,ecdh-sha2-nistp256,diffie-hellman-group14-sha256", "ssh-ed25519,rsa-sha2-512,ecdsa-sha2-nistp256"]
    lists += [ciphers, ciphers, macs, macs, "none,zlib@openssh.com", "none,zlib@openssh.com", "", ""]
    body = rng.randbytes(16) + b"".join(struct.pack(">I", len(text)) + text.encode() for text in lists) + b"\0" * 5
    return ssh_packet(rng, 20, body)


def ssh_keys(rng: random.Random) -> tuple[bytes, bytes]:
    """Return the client's key and the server's reply of a Curve25519 exchange, the latter with NEWKEYS."""
    key = struct.pack(">I", 32) + rng.randbytes(32)
    host = struct.pack(">I", 51) + struct.pack(">I", 11) + b"ssh-ed25519" + struct.pack(">I", 32) + rng.randbytes(32)
    proof = struct.pack(">I", 83) + struct.pack(">I", 11) + b"ssh-ed25519" + struct.pack(">I", 64) + rng.randbytes(64)
    return ssh_packet(rng, 30, key), ssh_packet(rng, 31, host + key + proof) + ssh_packet(rng, 21, b"")


def sip(first: str, fields: Sequence[str], body: str = "") -> bytes:
    """Return a SIP message."""
    lines = [first, *fields, "Max-Forwards: 70", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def rtp(number: int, ssrc: int, body: bytes) -> bytes:
    """Return one G.711 packet; the timestamp follows from the number."""
    return struct.pack(">BBHII", 0x80, 0, number & 0xFFFF, number * 160 & 0xFFFFFFFF, ssrc) + body


def dhcp(operation: int, kind: int, number: int, mac: bytes, offered: int) -> bytes:
    """Return a DHCP message: operation 1 is a request and 2 a reply; kind is option 53."""
    given = offered if operation == 2 else 0
    head = struct.pack(">BBBBIHHIIII", operation, 1, 6, 0, number, 0, 0, 0, given, 0, 0) + mac.ljust(16, b"\0") + b"\0" * 192
    options = bytes((53, 1, kind))
    if operation == 2:
        options += (
            struct.pack(">BBI", 54, 4, offered & 0xFFFFFF00 | 1) + struct.pack(">BBI", 51, 4, 86400) + struct.pack(">BBI", 1, 4, 0xFFFFFF00)
        )
    elif kind == 3:
        options += struct.pack(">BBI", 50, 4, offered)
    return (head + b"\x63\x82\x53\x63" + options + b"\xff").ljust(300, b"\0")


def mdns_question(text: str) -> bytes:
    """Return a multicast DNS query for a service."""
    return struct.pack(">HHHHHH", 0, 0, 1, 0, 0, 0) + dns_name(text) + struct.pack(">HH", 12, 1)


def ssdp_search() -> bytes:
    """Return an SSDP search."""
    return b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 2\r\nST: upnp:rootdevice\r\n\r\n'
