"""Build the messages of clients and servers at a login: mail, Telnet, databases, SSH.

Functions take names and passwords and return well-formed bytes; logins.py builds attacks from them, and calm_machines.py ordinary work.
"""

import random
import struct

from dialects import base64_text
from messages import ssh_packet

MYSQL_GREETS = ("8.0.36", "5.7.44-log", "5.5.5-10.11.6-MariaDB-0+deb12u1")
MYSQL_ABLE = 0x000FA685  # protocol 4.1, secure connection, plug-in names
MSSQL_FIXED = struct.pack("<IIIIIBBBBiI", 0x74000004, 4096, 0x07000000, 1000, 0, 0xE0, 3, 0, 0, 0, 0x409)


def telnet_offers() -> tuple[bytes, bytes]:
    """Return a server's option requests and a simple client's refusals."""
    return bytes.fromhex("fffd18fffd20fffd23fffd27"), bytes.fromhex("fffc18fffc20fffc23fffc27")


def plain_login(user: str, password: str) -> str:
    """Return the argument of AUTH PLAIN (RFC 4616)."""
    return base64_text(b"\0" + user.encode() + b"\0" + password.encode())


def mysql_packet(number: int, body: bytes) -> bytes:
    """Return one packet of the MySQL protocol."""
    return len(body).to_bytes(3, "little") + bytes((number,)) + body


def mysql_greeting(rng: random.Random, version: str, thread: int) -> bytes:
    """Return the server's first packet, with fresh salt."""
    salt = bytes(rng.randrange(33, 126) for _ in range(20))
    head = b"\x0a" + version.encode() + b"\0" + struct.pack("<I", thread) + salt[:8] + b"\0"
    able = struct.pack("<HBHHB", 0xF7FF, 45, 2, 0x000F, 21) + b"\0" * 10
    return mysql_packet(0, head + able + salt[8:] + b"\0mysql_native_password\0")


def mysql_login(rng: random.Random, user: str) -> bytes:
    """Return the client's response with a hashed password."""
    head = struct.pack("<IIB", MYSQL_ABLE, 0x01000000, 45) + b"\0" * 23
    return mysql_packet(1, head + user.encode() + b"\0\x14" + rng.randbytes(20) + b"mysql_native_password\0")


def mysql_denied(user: str, client: str) -> bytes:
    """Return error 1045."""
    return mysql_packet(2, b"\xff\x15\x04#28000" + f"Access denied for user '{user}'@'{client}' (using password: YES)".encode())


def mysql_fine(number: int) -> bytes:
    """Return an OK packet."""
    return mysql_packet(number, b"\0\0\0\x02\0\0\0")


def mysql_asks(text: str) -> bytes:
    """Return a query."""
    return mysql_packet(0, b"\x03" + text.encode())


def mysql_rows(column: str, rows: list[str]) -> bytes:
    """Return a result of one text column."""
    names = b"".join(bytes((len(text),)) + text.encode() for text in ("def", "shop", "item", "item", column, column))
    shape = names + b"\x0c" + struct.pack("<HIBHB", 45, 400, 0xFD, 0, 0) + b"\0\0"
    parts = [b"\x01", shape, b"\xfe\0\0\x02\0", *(bytes((len(row),)) + row.encode() for row in rows), b"\xfe\0\0\x02\0"]
    return b"".join(mysql_packet(number, part) for number, part in enumerate(parts, 1))


def postgres(kind: bytes, body: bytes) -> bytes:
    """Return one message of the PostgreSQL protocol; a client's first has no kind."""
    return kind + struct.pack(">I", 4 + len(body)) + body


def postgres_start(user: str, base: str) -> bytes:
    """Return the startup message."""
    texts = ("user", user, "database", base, "application_name", "psql", "client_encoding", "UTF8")
    return postgres(b"", struct.pack(">I", 196608) + b"".join(text.encode() + b"\0" for text in texts) + b"\0")


def postgres_asks(rng: random.Random) -> bytes:
    """Return the request for an MD5 password."""
    return postgres(b"R", struct.pack(">I", 5) + rng.randbytes(4))


def postgres_password(rng: random.Random) -> bytes:
    """Return a hashed password."""
    return postgres(b"p", f"md5{rng.getrandbits(128):032x}".encode() + b"\0")


def postgres_denied(user: str) -> bytes:
    """Return error 28P01."""
    text = f'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "{user}"\0Fauth.c\0L326\0Rauth_failed\0\0'
    return postgres(b"E", text.encode())


def postgres_fine(rng: random.Random) -> bytes:
    """Return what follows a correct password: parameters, a key, and readiness."""
    told = {"server_version": "15.6 (Debian 15.6-0+deb12u1)", "client_encoding": "UTF8", "TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY"}
    states = b"".join(postgres(b"S", f"{key}\0{text}\0".encode()) for key, text in told.items())
    return postgres(b"R", b"\0\0\0\0") + states + postgres(b"K", rng.randbytes(8)) + postgres(b"Z", b"I")


def postgres_rows(column: str, rows: list[str]) -> bytes:
    """Return a result of one text column and readiness."""
    shape = postgres(b"T", struct.pack(">H", 1) + column.encode() + b"\0" + struct.pack(">IHIhih", 16385, 2, 25, -1, -1, 0))
    data = b"".join(postgres(b"D", struct.pack(">HI", 1, len(row)) + row.encode()) for row in rows)
    return shape + data + postgres(b"C", f"SELECT {len(rows)}\0".encode()) + postgres(b"Z", b"I")


def tds(kind: int, body: bytes) -> bytes:
    """Return one packet of SQL Server's protocol."""
    return struct.pack(">BBHHBB", kind, 1, 8 + len(body), 0, 1, 0) + body


def tds_prelogin(answered: bool) -> bytes:
    """Return a pre-login message without encryption; kind 4 is a response."""
    places = struct.pack(">BHHBHHBHHBHHB", 0, 21, 6, 1, 27, 1, 2, 28, 1, 3, 29, 0 if answered else 4, 0xFF)
    values = bytes.fromhex("0f0007d00000" if answered else "110000010000") + b"\x02\0" + (b"" if answered else b"\0\0\x0b\x40")
    return tds(4 if answered else 0x12, places + values)


def tds_login(host: str, user: str, password: str, server: str) -> bytes:
    """Return a LOGIN7 message."""
    hidden = bytes((byte << 4 & 0xF0 | byte >> 4) ^ 0xA5 for byte in password.encode("utf-16-le"))
    texts = [text.encode("utf-16-le") for text in (host, user, "", "OSQL-32", server, "", "ODBC", "", "master")]
    texts[2] = hidden
    at, table, tail = 94, b"", b""
    for text in texts:
        table += struct.pack("<HH", at + len(tail), len(text) // 2)
        tail += text
    end = struct.pack("<HHHHHHI", at + len(tail), 0, at + len(tail), 0, at + len(tail), 0, 0)
    return tds(0x10, struct.pack("<I", at + len(tail)) + MSSQL_FIXED + table + b"\x52\x54\0\x12\x34\x56" + end + tail)


def tds_denied(user: str, server: str) -> bytes:
    """Return error 18456."""
    text, name = f"Login failed for user '{user}'.", server.encode("utf-16-le")
    body = struct.pack("<IBBH", 18456, 1, 14, len(text)) + text.encode("utf-16-le") + bytes((len(server),)) + name + b"\0" + b"\x01\0\0\0"
    return tds(4, b"\xaa" + struct.pack("<H", len(body)) + body + b"\xfd" + struct.pack("<HHQ", 2, 0, 0))


def short_offer(rng: random.Random) -> bytes:
    """Return the key exchange offer of a small SSH client."""
    lists = ["curve25519-sha256,ecdh-sha2-nistp256", "ssh-ed25519,rsa-sha2-256", "aes128-ctr", "aes128-ctr"]
    lists += ["hmac-sha2-256", "hmac-sha2-256", "none", "none", "", ""]
    return ssh_packet(rng, 20, rng.randbytes(16) + b"".join(struct.pack(">I", len(text)) + text.encode() for text in lists) + b"\0" * 5)
