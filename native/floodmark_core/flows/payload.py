"""Recognise the protocol of a datagram or segment by the first bytes of its payload.

A code is ``2 * protocol + 1`` for a reply and ``2 * protocol`` for a request. Only a payload of recognisable format gets one;
a port alone is never enough. Formats follow each protocol's own specification. The larger functions are called, not
inlined: they run once per flow, and inlined everywhere they took a third of the compiler's time.
"""

import numpy as np

from floodmark_core._jit import kernel, step
from floodmark_core.buffers.access import big16, big32
from floodmark_core.buffers.hashing import FNV_EMPTY, fnv1a
from floodmark_core.columns import U8
from floodmark_core.packets.messages import (
    CONTINUATION_FRAME,
    HEAD_BYTES,
    HEADERS_FRAME,
    HTTP2_PREFACE,
    RESET_FRAME,
    after_label,
    head_end,
    http2_frame,
    is_line_end,
)

NONE, UNRECOGNISED, UNIFORM = 0, 1, 2  # no payload captured; no known format; one byte repeated
DNS, NTP, NTP_CONTROL, NTP_PRIVATE, MEMCACHED, CLDAP, SSDP, SNMP, CHARGEN, QOTD, IKE, BACNET, DHIP = range(2, 15)
MDNS, NETBIOS, WSD, COAP, ARMS, RIP, PORTMAP, TFTP, MSSQL, STUN, GAME, OPENVPN, UBIQUITI, XDMCP, SLP = range(15, 30)
HTTP, TLS, SSH, MQTT, RTP, QUIC, DTLS, SIP, BITTORRENT, BANNER, RDP, TP240, JENKINS, PLEX = range(30, 44)
NATPMP, SENTINEL, RDPEUDP, HTTP2, MODBUS, S7, IEC104, DNP3, ENIP, OPCUA, LANTRONIX = range(44, 55)
PROTOCOLS = 55

REQUEST, REPLY = 0, 1

# Commands that clients begin with if the server speaks first (RFC 959, 5321, 1939), by server port; case-insensitive.
_MAIL = (b"EHLO", b"HELO", b"QUIT", b"NOOP", b"HELP", b"STAR", b"RSET", b"XCLI", b"LHLO")
COMMANDS = {
    21: (b"USER", b"AUTH", b"FEAT", b"SYST", b"HELP", b"QUIT", b"OPTS", b"NOOP", b"HOST"),
    25: _MAIL,
    110: (b"USER", b"CAPA", b"APOP", b"AUTH", b"STLS", b"QUIT", b"NOOP"),
    587: _MAIL,
}


@step
def text_at(block: U8, at: int, end: int, text: bytes) -> bool:
    """Return whether ``text`` is at ``at``."""
    if at + len(text) > end:
        return False
    for i in range(len(text)):  # noqa: SIM110 - all() over a generator does not compile
        if block[at + i] != text[i]:
            return False
    return True


@step
def is_http_request(block: U8, at: int, end: int) -> bool:
    """Return whether an HTTP/1 request line begins here: a method of RFC 9110 or 5789 and a space."""
    if end - at < 5:
        return False
    first = block[at]
    if first == 71:  # G
        return text_at(block, at, end, b"GET ")
    if first == 80:  # P
        return text_at(block, at, end, b"POST ") or text_at(block, at, end, b"PUT ") or text_at(block, at, end, b"PATCH ")
    if first == 72:  # H
        return text_at(block, at, end, b"HEAD ")
    if first == 68:  # D
        return text_at(block, at, end, b"DELETE ")
    if first == 79:  # O
        return text_at(block, at, end, b"OPTIONS ")
    if first == 67:  # C
        return text_at(block, at, end, b"CONNECT ")
    if first == 84:  # T
        return text_at(block, at, end, b"TRACE ")
    return False


@step
def is_http_status(block: U8, at: int, end: int) -> bool:
    """Return whether an HTTP/1 status line begins here."""
    return end - at >= 12 and text_at(block, at, end, b"HTTP/1.")


@step
def is_printable(block: U8, at: int, end: int) -> bool:
    """Return whether all bytes, 64 at most, are printable ASCII, CR, LF or TAB."""
    for i in range(at, min(end, at + 64)):
        byte = block[i]
        if not (32 <= byte <= 126 or byte in (9, 10, 13)):
            return False
    return True


@step
def is_uniform(block: U8, at: int, end: int) -> bool:
    """Return whether all bytes, 64 at most and 8 at least, are the same."""
    if end - at < 8:
        return False
    for i in range(at + 1, min(end, at + 64)):  # noqa: SIM110 - as above
        if block[i] != block[at]:
            return False
    return True


@step
def ber_content(block: U8, at: int, end: int) -> int:
    """Step over a BER tag and length (X.690 section 8.1). Returns the position of the content, or ``end``."""
    if at + 2 > end:
        return end
    length = np.int64(block[at + 1])
    step = 2 + ((length & 0x7F) if length & 0x80 else 0)
    return min(at + step, end)


@step
def dns_code(block: U8, at: int, end: int, protocol: int) -> int:
    """Recognise a DNS message (RFC 1035 section 4.1) with plausible counts; 0 if it is none."""
    if end - at < 12:
        return 0
    flags, questions = big16(block, at + 2), big16(block, at + 4)
    records = big16(block, at + 6) + big16(block, at + 8) + big16(block, at + 10)
    if (flags >> 11) & 15 > 6 or questions > 16 or (questions == 0 and records == 0 and not flags & 0x8000):
        return 0
    if flags & 0x8000:
        return 2 * protocol + REPLY
    return 2 * protocol if questions else 0


@step
def ntp_code(block: U8, at: int, end: int) -> int:
    """Recognise NTP (RFC 5905, RFC 9327 for mode 6, ntpd's own mode 7); 0 if it is none."""
    first = block[at]
    mode, version = first & 7, (first >> 3) & 7
    if mode == 7 and end - at >= 8 and block[at + 2] in (0, 2, 3):
        return 2 * NTP_PRIVATE + (REPLY if first & 0x80 else REQUEST)
    if mode == 6 and end - at >= 12 and 1 <= version <= 4:
        return 2 * NTP_CONTROL + (REPLY if block[at + 1] & 0x80 else REQUEST)
    if 1 <= mode <= 5 and 1 <= version <= 4 and end - at >= 48:
        return 2 * NTP + (REPLY if mode in (2, 4, 5) else REQUEST)
    return 0


@step
def snmp_code(block: U8, at: int, end: int) -> int:
    """Recognise SNMPv1/v2c: SEQUENCE, INTEGER version 0 or 1, OCTET STRING community, PDU tag (RFC 3416); 0 if it is none."""
    if block[at] != 0x30:
        return 0
    version = ber_content(block, at, end)
    if version + 4 > end or block[version] != 2 or block[version + 1] != 1 or block[version + 2] > 3:
        return 0
    community = version + 3
    if block[community] == 0x30:  # SNMPv3: message header instead of a community
        return 2 * SNMP + REPLY if block[version + 2] == 3 else 0
    if block[community] != 4:
        return 0
    if community + 1 >= end:
        return 2 * SNMP + REPLY
    pdu = ber_content(block, community, end) + np.int64(block[community + 1] & 0x7F)
    if pdu >= end:  # truncated by the snap length: the format so far is SNMP's
        return 2 * SNMP + REPLY
    if 0xA0 <= block[pdu] <= 0xA8:
        return 2 * SNMP + (REPLY if block[pdu] == 0xA2 else REQUEST)
    return 0


@step
def ldap_code(block: U8, at: int, end: int) -> int:
    """Recognise an LDAP message: SEQUENCE, INTEGER message id, search request 0x63 or result 0x64/0x65 (RFC 4511); 0 if it is none."""
    if block[at] != 0x30:
        return 0
    identifier = ber_content(block, at, end)
    if identifier + 3 > end or block[identifier] != 2 or block[identifier + 1] > 4:
        return 0
    operation = identifier + 2 + np.int64(block[identifier + 1])
    if operation >= end:
        return 0
    tag = block[operation]
    if tag in (0x64, 0x65):
        return 2 * CLDAP + REPLY
    return 2 * CLDAP if tag == 0x63 else 0


@step
def ike_code(block: U8, at: int, end: int, nbytes: int) -> int:
    """Recognise an ISAKMP/IKE header (RFC 7296 section 3.1), on NAT-T ports after four zero bytes; 0 if it is none."""
    start = at + 4 if end - at >= 4 and big32(block, at) == 0 else at
    if end - start < 28 or block[start + 17] not in (0x10, 0x20):
        return 0
    if big32(block, start + 24) > nbytes or block[start + 18] not in (1, 2, 4, 5, 6, 32, 33, 34, 35, 36, 37, 38, 43):
        return 0
    responder_spi = big32(block, start + 8) | big32(block, start + 12)
    return 2 * IKE + (REPLY if block[start + 19] & 0x20 or responder_spi else REQUEST)


@step
def memcached_code(block: U8, at: int, end: int) -> int:
    """Recognise memcached over UDP: 8-byte frame header, then text (memcached protocol.txt); 0 if it is none."""
    if end - at < 12 or big16(block, at + 6) != 0 or big16(block, at + 4) == 0:
        return 0
    if big16(block, at + 2) > 0 and big16(block, at + 2) < big16(block, at + 4):
        return 2 * MEMCACHED + REPLY  # a later part of a long reply
    text = at + 8
    if text_at(block, text, end, b"STAT") or text_at(block, text, end, b"VALU") or text_at(block, text, end, b"END\r"):
        return 2 * MEMCACHED + REPLY
    if text_at(block, text, end, b"stat") or text_at(block, text, end, b"get ") or text_at(block, text, end, b"gets"):
        return 2 * MEMCACHED
    return 0


@step
def game_code(block: U8, at: int, end: int) -> int:
    """Recognise Source and Quake 3 out-of-band messages: four 0xFF bytes, then a letter (Valve's server queries); 0 if it is none."""
    if end - at < 5 or big32(block, at) != 0xFFFFFFFF:
        return 0
    letter = block[at + 4]
    if (
        letter in (0x49, 0x44, 0x45, 0x41, 0x6D)
        or text_at(block, at + 4, end, b"statusResponse")
        or text_at(block, at + 4, end, b"infoResponse")
    ):
        return 2 * GAME + REPLY
    return 2 * GAME


@kernel
def udp_by_port(block: U8, at: int, end: int, nbytes: int, port: int) -> int:
    """Recognise a datagram by the format of the service on ``port``; 0 if it does not match."""
    if port == 53:
        return dns_code(block, at, end, DNS)
    if port in (5353, 5355):
        return dns_code(block, at, end, MDNS)
    if port == 137:
        return dns_code(block, at, end, NETBIOS)
    if port == 123:
        return ntp_code(block, at, end)
    if port in (161, 162):
        return snmp_code(block, at, end)
    if port == 389:
        return ldap_code(block, at, end)
    if port in (500, 4500):
        return ike_code(block, at, end, nbytes)
    if port == 11211:
        return memcached_code(block, at, end)
    if port == 19:
        return 2 * CHARGEN + REPLY if nbytes >= 32 and end - at >= 16 and is_printable(block, at, end) else 0
    if port == 17:
        return 2 * QOTD + REPLY if nbytes >= 16 and end - at >= 8 and is_printable(block, at, end) else 0
    if port == 520:
        return 2 * RIP + (REPLY if block[at] == 2 else REQUEST) if end - at >= 4 and block[at] in (1, 2) and block[at + 1] == 1 else 0
    if port == 111:
        return 2 * PORTMAP + big32(block, at + 4) if end - at >= 12 and 0 <= big32(block, at + 4) <= 1 else 0
    if port == 5683:
        code = np.int64(block[at + 1]) if end - at >= 4 and block[at] >> 6 == 1 else 255
        return 2 * COAP + (REPLY if code >= 0x40 else REQUEST) if code < 0xC0 else 0
    if port == 3283:
        return 2 * ARMS + REPLY if end - at >= 4 and big32(block, at) == 0x000103EA else 0
    if port == 1434:
        return 2 * MSSQL + REPLY if block[at] == 5 else (2 * MSSQL if block[at] in (2, 3, 4) else 0)
    if port == 427:
        return (
            2 * SLP + (REPLY if block[at + 1] in (2, 7, 10) else REQUEST)
            if end - at >= 14 and block[at] == 2 and 1 <= block[at + 1] <= 11
            else 0
        )
    if port == 1194:
        opcode = block[at] >> 3
        return 2 * OPENVPN + (REPLY if opcode in (2, 8) else REQUEST) if 1 <= opcode <= 10 and end - at >= 14 else 0
    if port == 10001:
        return (
            2 * UBIQUITI + (REPLY if nbytes > 4 else REQUEST) if end - at >= 4 and block[at] in (1, 2) and block[at + 1] in (0, 6, 9) else 0
        )
    if port == 10074:
        return 2 * TP240 + REPLY if is_printable(block, at, end) and end - at >= 16 else 0
    if port == 177:
        return 2 * XDMCP + (REPLY if big16(block, at + 2) in (5, 6) else REQUEST) if end - at >= 6 and big16(block, at) == 1 else 0
    if port in (32412, 32414):
        return 2 * PLEX + REPLY if text_at(block, at, end, b"HTTP/1.0 ") else 0
    if port == 69:
        return 2 * TFTP if end - at >= 4 and big16(block, at) in (1, 2) else 0
    if port == 3389:
        return rdpeudp_code(block, at, end)
    if port == 5351:  # NAT-PMP (RFC 6886) and PCP (RFC 6887): the high bit of the second byte marks a reply
        return 2 * NATPMP + np.int64(block[at + 1] >> 7) if end - at >= 2 and block[at] in (0, 2) and block[at + 1] & 0x7F <= 4 else 0
    if port == 5093:  # licence managers: a request is the letter z and five zeros
        return 2 * SENTINEL + (REPLY if nbytes > 12 else REQUEST) if block[at] == 0x7A else 0
    if port == 30718:  # serial-to-Ethernet adapters: odd opcodes answer the even ones before them (F6 and F7, F8 and F9)
        return 2 * LANTRONIX + np.int64(block[at + 3] & 1) if end - at >= 4 and 0xF6 <= big32(block, at) <= 0xF9 else 0
    return 0


@step
def rdpeudp_code(block: U8, at: int, end: int) -> int:
    """Recognise the opening of RDP over UDP (MS-RDPEUDP 2.2.2.1): a SYN that acknowledges nothing, or SYN and ACK; 0 if it is none."""
    if end - at < 8:
        return 0
    flags = big16(block, at + 6)
    if flags & 5 == 5:
        return 2 * RDPEUDP + REPLY
    return 2 * RDPEUDP if flags & 1 and big32(block, at) == 0xFFFFFFFF else 0


@step
def tftp_code(block: U8, at: int, end: int, nbytes: int) -> int:
    """Recognise a TFTP server's first packet, from an ephemeral port (RFC 1350): a full first block, or an error; 0 if it is none."""
    if end - at < 4:
        return 0
    if nbytes == 516 and big32(block, at) == 0x00030001:
        return 2 * TFTP + REPLY
    is_error = 6 <= nbytes <= 128 and big16(block, at) == 5 and big16(block, at + 2) <= 8
    if is_error and end - at == nbytes and block[end - 1] == 0 and is_printable(block, at + 4, end - 1):
        return 2 * TFTP + REPLY
    return 0


@step
def is_quic(block: U8, at: int, end: int) -> bool:
    """Return whether a QUIC long header begins here (RFC 9000 section 17.2): version 1 or 2, a draft, Google's, or a negotiation."""
    if end - at < 20 or block[at] & 0x80 == 0:
        return False
    version = big32(block, at + 1)
    if version == 0:
        return bool(block[at + 5] <= 20)
    return bool(block[at] & 0x40 and (version in (1, 0x6B3343CF) or version >> 8 == 0xFF0000 or block[at + 1] == 81))


@kernel
def udp_anywhere(block: U8, at: int, end: int) -> int:
    """Recognise a datagram whose format is distinctive on any port; 0 if it is none."""
    if is_http_status(block, at, end):
        if text_at(block, at, end, b"HTTP/1.0 200 OK\r\nContent-Type: plex"):
            return 2 * PLEX + REPLY
        return 2 * SSDP + REPLY
    if text_at(block, at, end, b"M-SEARCH") or text_at(block, at, end, b"NOTIFY *"):
        return 2 * SSDP
    if text_at(block, at + 4, end, b"DHIP"):
        return 2 * DHIP + REPLY
    if end - at >= 4 and block[at] == 0x81 and block[at + 1] <= 0x0C and big16(block, at + 2) >= 4 and block[at + 2] <= 5:
        return 2 * BACNET + REPLY
    if text_at(block, at, end, b"<hudson>"):
        return 2 * JENKINS + REPLY
    if text_at(block, at, end, b"<?xml") or text_at(block, at, end, b"<soap:"):
        return 2 * WSD + REPLY
    if end - at >= 20 and big32(block, at + 4) == 0x2112A442:
        return 2 * STUN + (REPLY if block[at] & 1 else REQUEST)
    if text_at(block, at, end, b"SIP/2.0"):
        return 2 * SIP + REPLY
    if text_at(block, at, end, b"INVITE ") or text_at(block, at, end, b"REGISTER ") or text_at(block, at, end, b"OPTIONS sip"):
        return 2 * SIP
    if text_at(block, at, end, b"d1:"):  # BEP 5: r is a reply, e an error
        return 2 * BITTORRENT + (REPLY if end - at > 3 and block[at + 3] in (101, 114) else REQUEST)
    if end - at >= 13 and block[at] in (20, 21, 22, 23) and block[at + 1] == 254 and block[at + 2] in (253, 255):
        return 2 * DTLS + (REPLY if block[at] == 22 and end - at > 13 and block[at + 13] in (2, 3) else REQUEST)
    return game_code(block, at, end)


@kernel
def udp_code(block: U8, at: int, end: int, nbytes: int, src_port: int, dst_port: int) -> int:
    """Recognise a datagram's first payload. ``nbytes`` is its length on the wire, ``end`` the end of the captured bytes."""
    if end <= at:
        return NONE
    code = udp_by_port(block, at, end, nbytes, src_port)
    if code == 0:
        code = udp_anywhere(block, at, end)
    if code == 0:
        code = udp_by_port(block, at, end, nbytes, dst_port)
    if code:
        return code
    if is_uniform(block, at, end):
        return UNIFORM
    if end - at >= 12 and block[at] >> 6 == 2 and ((block[at + 1] & 0x7F) < 35 or (block[at + 1] & 0x7F) >= 96):  # RFC 3551
        return 2 * RTP
    if is_quic(block, at, end):
        return 2 * QUIC + (REPLY if src_port in (80, 443, 8443) else REQUEST)
    code = tftp_code(block, at, end, nbytes)
    return code or UNRECOGNISED


@step
def industrial_code(block: U8, at: int, end: int) -> int:
    """Recognise industrial control protocols over TCP. Returns twice the protocol; 0 if it is none of them.

    Modbus (MBAP header: protocol 0, length, unit, function), S7 (TPKT and COTP data), IEC 60870-5-104 (APCI), DNP3 (link header),
    EtherNet/IP (encapsulation commands), OPC UA (OPC 10000-6 section 7.1.2: type, chunk, size).
    """
    nbytes = end - at
    if nbytes < 6:
        return 0
    if nbytes >= 8 and big16(block, at + 2) == 0 and 2 <= big16(block, at + 4) <= 254 and big16(block, at + 4) >= nbytes - 6:
        return 2 * MODBUS if 1 <= block[at + 7] & 0x7F <= 43 else 0
    if nbytes >= 8 and big16(block, at) == 0x0300 and block[at + 5] == 0xF0 and block[at + 7] == 0x32:
        return 2 * S7
    if block[at] == 0x68 and 4 <= block[at + 1] <= 253 and nbytes >= 6 and np.int64(block[at + 1]) + 2 <= nbytes:
        return 2 * IEC104
    if nbytes >= 10 and big16(block, at) == 0x0564 and block[at + 2] >= 5:
        return 2 * DNP3
    if nbytes >= 8 and block[at + 3] in (70, 67, 65) and block[at + 7] == 0:  # final, intermediate, abort; less than 16 MiB
        names = (b"HEL", b"ACK", b"ERR", b"RHE", b"OPN", b"CLO", b"MSG")
        for name in names:
            if text_at(block, at, end, name):
                return 2 * OPCUA
    if nbytes >= 24 and block[at + 1] == 0 and block[at] in (0x04, 0x63, 0x64, 0x65, 0x66, 0x6F, 0x70):
        return 2 * ENIP if np.int64(block[at + 2]) + np.int64(block[at + 3]) * 256 == nbytes - 24 else 0
    return 0


RANDOM_LABEL_BYTES = 6  # a shorter label is not examined
RANDOM_RUN, RANDOM_TURNS = 5, 2  # consonants in a row; changes between letters and digits: words have fewer
RANDOM_DIGITS = 6  # in a row: parts of addresses have three, years four


@step
def looks_random(block: U8, at: int, end: int) -> int:
    """Return 1 if a label looks random, else 0: more consonants in a row than in words, long numbers, letters and digits mixed."""
    run, longest, turns, before, digits, number = 0, 0, 0, 0, 0, 0
    for i in range(at, end):
        byte = block[i] | 32
        kind = 1 if 48 <= block[i] <= 57 else (2 if 97 <= byte <= 122 else 0)
        vowel = byte in (97, 101, 105, 111, 117, 121)
        run = run + 1 if kind == 2 and not vowel else 0
        longest = max(longest, run)
        digits = digits + 1 if kind == 1 else 0
        number = max(number, digits)
        turns += 1 if kind and before and kind != before else 0
        before = kind
    return 1 if end - at >= RANDOM_LABEL_BYTES and (longest >= RANDOM_RUN or turns >= RANDOM_TURNS or number >= RANDOM_DIGITS) else 0


@kernel
def dns_name_word(block: U8, at: int, end: int) -> np.uint64:
    """Hash the name that a DNS message queries: the high half without its first label, the low half the whole name.

    The lowest bit of the high half is set if the first label looks random. Case-insensitive (RFC 4343). For names under arpa both halves
    are the same but for that bit: reverse lookups query many names.
    """
    at += 12
    stop = min(end, at + 255)
    whole, parent = FNV_EMPTY, FNV_EMPTY
    labels, last, random = 0, np.uint32(0), 0
    following = after_label(block, at, stop)
    while following > at:
        last = np.uint32(0)
        for i in range(at, min(stop, following)):
            byte = np.uint32(block[i])
            byte += np.uint32(32) if i > at and 65 <= byte <= 90 else np.uint32(0)
            whole = fnv1a(whole, byte)
            if labels > 0:
                parent = fnv1a(parent, byte)
            last = np.uint32(last << np.uint32(8)) | byte
        if labels == 0:
            random = looks_random(block, at + 1, min(stop, following))
        labels += 1
        at = following
        following = after_label(block, at, stop)
    if labels < 2 or last == np.uint32(0x61727061):  # arpa
        parent = whole
    return (np.uint64(parent & np.uint32(0xFFFFFFFE)) | np.uint64(random)) << np.uint64(32) | np.uint64(whole)


@kernel
def count_frames(block: U8, at: int, end: int) -> tuple[int, int, int]:
    """Count the HTTP/2 frames that begin in a payload. Returns (HEADERS, RST_STREAM, CONTINUATION)."""
    if text_at(block, at, end, HTTP2_PREFACE):
        at += len(HTTP2_PREFACE)
    headers, resets, continuations = 0, 0, 0
    kind, nbytes = http2_frame(block, at, end)
    while kind >= 0:
        headers += 1 if kind == HEADERS_FRAME else 0
        resets += 1 if kind == RESET_FRAME else 0
        continuations += 1 if kind == CONTINUATION_FRAME else 0
        at += nbytes
        kind, nbytes = http2_frame(block, at, end)
    return headers, resets, continuations


@kernel
def tcp_code(block: U8, at: int, end: int, from_initiator: int) -> int:
    """Recognise the first payload of one direction of a TCP flow."""
    if end <= at:
        return NONE
    if is_http_request(block, at, end):
        return 2 * HTTP
    if text_at(block, at, end, b"HTTP/1."):
        return 2 * HTTP + REPLY
    if end - at >= 5 and block[at] == 22 and block[at + 1] == 3 and block[at + 2] <= 4:
        return 2 * TLS + (REPLY if end - at > 5 and block[at + 5] == 2 else REQUEST)
    if text_at(block, at, end, b"SSH-"):
        return 2 * SSH + (REQUEST if from_initiator else REPLY)
    if (
        end - at >= 12
        and block[at] == 0x10
        and (text_at(block, at + 2, end, b"\x00\x04MQTT") or text_at(block, at + 2, end, b"\x00\x06MQIsdp"))
    ):
        return 2 * MQTT
    if end - at >= 4 and block[at] == 0x20 and block[at + 1] == 2:
        return 2 * MQTT + REPLY
    if end - at >= 7 and block[at] == 3 and block[at + 1] == 0 and block[at + 5] in (0xE0, 0xD0):
        if end - at >= 12 and block[at + 11] in (0xC0, 0xC1, 0xC2):  # X.224 with transport selectors: a controller, not a desktop
            return 2 * S7 + (REQUEST if block[at + 5] == 0xE0 else REPLY)
        return 2 * RDP + (REQUEST if block[at + 5] == 0xE0 else REPLY)
    if text_at(block, at, end, b"PRI * HTTP/2.0\r\n"):
        return 2 * HTTP2
    code = industrial_code(block, at, end)
    if code:
        return code + (REQUEST if from_initiator else REPLY)
    if not from_initiator and (text_at(block, at, end, b"220") or text_at(block, at, end, b"+OK") or text_at(block, at, end, b"* OK")):
        return 2 * BANNER + REPLY
    return UNIFORM if is_uniform(block, at, end) else UNRECOGNISED


@kernel
def head_ends(block: U8, at: int, end: int) -> bool:
    """Return whether this payload contains an empty line, the end of an HTTP head (RFC 9112 section 2.1)."""
    if end - at == 2 and is_line_end(block, at):
        return True  # the empty line sent alone
    return bool(head_end(block, at, min(end, at + HEAD_BYTES)) >= 0)


@kernel
def request_target(block: U8, at: int, end: int) -> tuple[int, int]:
    """Hash a request's target (FNV-1a, 32 bits). Returns (hash up to the query, hash of the whole target)."""
    i = at
    stop = min(end, at + 1024)
    while i < stop and block[i] != 32:
        i += 1
    i += 1
    whole = FNV_EMPTY
    path = np.uint32(0)
    while i < stop and block[i] != 32 and block[i] != 13:
        if block[i] == 63 and path == 0:  # '?'
            path = whole
        whole = fnv1a(whole, block[i])
        i += 1
    return np.int64(path or whole), np.int64(whole)
