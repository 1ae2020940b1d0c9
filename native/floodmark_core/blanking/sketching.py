"""Reduce a payload to what identifies its protocol and the course of a dialogue; everything else becomes zero.

Kept verbatim are the first bytes needed to recognise a protocol, which are its own and not its users', the words of HTTP and SIP, frame
headers of HTTP/2 and empty lines. Of names and targets only the position is noted, for whoever has a key (floodmark's ``anonymising``);
likewise for the first eight bytes of unrecognised payloads, which rules compare but do not read.
"""

from typing import NamedTuple

import numpy as np

from floodmark_core._jit import kernel, step
from floodmark_core.buffers.access import big32
from floodmark_core.buffers.writing import copy_bytes
from floodmark_core.columns import I64, U8
from floodmark_core.flows.payload import (
    BANNER,
    CHARGEN,
    COMMANDS,
    DNP3,
    DNS,
    HTTP,
    HTTP2,
    MDNS,
    NETBIOS,
    QOTD,
    REPLY,
    SIP,
    SNMP,
    TFTP,
    TLS,
    TP240,
    UNIFORM,
    UNRECOGNISED,
    ber_content,
    is_http_request,
    looks_random,
    tcp_code,
    text_at,
    udp_code,
)
from floodmark_core.packets.messages import (
    HEAD_BYTES,
    HTTP2_PREFACE,
    after_label,
    head_end,
    http2_frame,
    is_line_end,
)
from floodmark_core.protocols import TCP, UDP

WORD_BYTES = 8
NAME, RANDOM_NAME, HOST, PATH, QUERY = range(5)  # kinds of text
COMMAND_PORTS = tuple(COMMANDS)
COMMAND_WORDS = tuple(sorted({int.from_bytes(word, "big") for words in COMMANDS.values() for word in words}))
_MOST_KEPT = 64  # bytes of a recognised payload


class Places(NamedTuple):
    """Positions in the blanked frames of data to be replaced under a key, and of checksums to be repaired."""

    v4: I64  # of IPv4 addresses
    v6: I64  # of IPv6 addresses
    macs: I64  # of MAC addresses
    words: I64  # [n, 8]: position, bytes kept, bytes, code of the payload, position of its end, its bytes on the wire, ports
    texts: I64  # [n, 3]: position, bytes, kind
    sums: I64  # [n, 5]: position of the IP header, version, position of the transport header, end, protocol; -1 - protocol: incomplete
    used: I64  # rows used of each, in this order


V4, V6, MACS, WORDS, TEXTS, SUMS = range(6)  # indices into Places.used
MOST_PLACES = 32  # of one kind in one frame


@step
def note_text(block: U8, first: int, end: int, out: U8, to: int, kind: int, places: Places) -> None:
    """Copy a text and note it for replacement."""
    copy_bytes(block, first, end, out, to)
    row = places.used[TEXTS]
    places.texts[row, 0], places.texts[row, 1], places.texts[row, 2] = to, end - first, kind
    places.used[TEXTS] = row + 1


@kernel
def code_of(data: U8, at: int, end: int, protocol: int, nbytes: int, src_port: int, dst_port: int) -> int:
    """Recognise a payload as if it were the first of its direction; for TCP the codes of both directions in one number."""
    if protocol == UDP:
        return udp_code(data, at, end, nbytes, src_port, dst_port)
    if protocol == TCP:
        return 256 * tcp_code(data, at, end, 1) + tcp_code(data, at, end, 0)
    return UNRECOGNISED if end > at else 0


@kernel
def sketch_request(block: U8, at: int, end: int, out: U8, to: int, places: Places) -> None:
    """Keep method and version of an HTTP request, its lines and its empty line; note target and host."""
    line = at
    while line < end and block[line] != 13:
        line += 1
    space = at
    while space < line and block[space] != 32:
        space += 1
    first = space + 1
    if first < line and block[first] == 47:  # a slash
        first += 1
    copy_bytes(block, at, min(first, end), out, to)
    stop = first
    query = -1
    while stop < line and block[stop] != 32:
        if block[stop] == 63 and query < 0:
            query = stop
        stop += 1
    path_end = stop if query < 0 else query
    if path_end > first:
        note_text(block, first, path_end, out, to + first - at, PATH, places)
    if query >= 0:
        out[to + query - at] = 63
        if stop > query + 1:
            note_text(block, query + 1, stop, out, to + query + 1 - at, QUERY, places)
    if text_at(block, stop, line, b" HTTP/"):
        copy_bytes(block, stop, min(line, stop + 9), out, to + stop - at)
    sketch_fields(block, at, line, end, out, to, places)


@kernel
def sketch_fields(block: U8, at: int, line: int, end: int, out: U8, to: int, places: Places) -> None:
    """Replace HTTP fields, from the end of the first line on, with lines of the letter x; note the host."""
    noted = False
    while line + 2 <= end and is_line_end(block, line):
        copy_bytes(block, line, line + 2, out, to + line - at)
        line += 2
        stop = line
        while stop < end and block[stop] != 13:
            stop += 1
        out[to + line - at : to + stop - at] = 120
        is_host = text_at(block, line, stop, b"Host:") or text_at(block, line, stop, b"host:") or text_at(block, line, stop, b"HOST:")
        if is_host and not noted:
            value = line + 5
            while value < stop and block[value] == 32:
                value += 1
            copy_bytes(block, line, value, out, to + line - at)
            if value < stop:
                note_text(block, value, stop, out, to + value - at, HOST, places)
            noted = True
        if stop == line:
            return  # the empty line
        line = stop


@kernel
def keep_empty_lines(block: U8, at: int, end: int, out: U8, to: int) -> None:
    """Keep the bytes that end an HTTP head, wherever they occur."""
    if end - at == 2 and is_line_end(block, at):
        out[to], out[to + 1] = 13, 10
    last = min(end, at + HEAD_BYTES)
    place = head_end(block, at, last)
    while place >= 0:
        copy_bytes(block, place, place + 4, out, to + place - at)
        place = head_end(block, place + 1, last)


@kernel
def keep_frames(block: U8, at: int, end: int, out: U8, to: int) -> bool:
    """Keep lengths and types of the HTTP/2 frames that begin in a payload (payload.count_frames). Returns whether there is one."""
    place = at
    if text_at(block, at, end, HTTP2_PREFACE):
        place = at + len(HTTP2_PREFACE)
        copy_bytes(block, at, place, out, to)
    kind, nbytes = http2_frame(block, place, end)
    while kind >= 0:
        copy_bytes(block, place, place + 4, out, to + place - at)
        place += nbytes
        kind, nbytes = http2_frame(block, place, end)
    return place > at


@kernel
def sketch_question(block: U8, at: int, end: int, out: U8, to: int, places: Places) -> None:
    """Keep the header of a DNS message and type and class of its first question; note the name.

    The whole name is noted, however long: one longer than RFC 1035 allows is not read further by payload.dns_name_word, but is replaced.
    """
    copy_bytes(block, at, min(end, at + 12), out, to)
    place = at + 12
    random = 0
    following = min(after_label(block, place, end), end)
    if following > place:
        random = looks_random(block, place + 1, following)
    while following > place:
        place = following
        following = min(after_label(block, place, end), end)
    if place > at + 12:
        note_text(block, at + 12, place, out, to + 12, RANDOM_NAME if random else NAME, places)
    if place < end and block[place] == 0:
        copy_bytes(block, place, min(place + 5, end), out, to + place - at)


@step
def blank_community(block: U8, at: int, end: int, out: U8, to: int) -> None:
    """Overwrite the community of an SNMP message, which is a password (RFC 1901)."""
    community = ber_content(block, at, end) + 3
    if community + 2 <= end and block[community] == 4:
        first = ber_content(block, community, end)
        for place in range(first, min(first + np.int64(block[community + 1] & 0x7F), end)):  # type: ignore[call-overload] # whole numbers
            out[to + place - at] = 120


@step
def blank_unneeded(out: U8, place: int, stop: int, to: int, code: int, protocol: int, nbytes: int, ports: tuple[int, int]) -> None:
    """Overwrite a byte among those that identify a protocol, such as a part of an identifier, if it is recognised without it."""
    before = out[place]
    for value in range(2):
        out[place] = value
        if code_of(out, to, stop, protocol, nbytes, ports[0], ports[1]) == code:
            return
    out[place] = before


@kernel
def sketch_recognised(block: U8, at: int, end: int, code: int, protocol: int, nbytes: int, ports: tuple[int, int], out: U8, to: int) -> int:
    """Keep the fewest first bytes by which a payload is still recognised. Returns how many, -1 if no number suffices."""
    stop = to + end - at
    kept = 0
    is_read = (protocol == TCP and code >> 9 != DNP3) or code >> 1 == SIP  # rules read the first bytes of these
    for count in range(WORD_BYTES if is_read else 2, _MOST_KEPT + 1):
        copy_bytes(block, at + kept, min(at + count, end), out, to + kept)
        kept = min(count, end - at)
        if code >> 1 == SNMP:
            blank_community(block, at, at + kept, out, to)
        if code_of(out, to, stop, protocol, nbytes, ports[0], ports[1]) == code:
            for place in range(to + WORD_BYTES, to + kept):
                blank_unneeded(out, place, stop, to, code, protocol, nbytes, ports)
            return kept
        if kept == end - at:
            break
    out[to + min(WORD_BYTES, kept) : to + kept] = 0
    return -1


@kernel
def sketch_text(block: U8, at: int, end: int, code: int, out: U8, to: int) -> None:
    """Replace a payload that is recognised by being text with the letter x; a TFTP error keeps its number and its end."""
    out[to : to + end - at] = 120
    if code == 2 * TFTP + REPLY:
        copy_bytes(block, at, min(at + 4, end), out, to)
        out[to + end - at - 1] = block[end - 1]


@step
def sip_request(block: U8, at: int, end: int) -> int:
    """Return how many bytes of a SIP request's first line only identify it as one; 0 if it is none."""
    place = at
    while place < min(end, at + 12) and 65 <= block[place] <= 90:
        place += 1
    return place + 5 - at if place > at and text_at(block, place, end, b" sip:") else 0


@step
def kept_of(block: U8, at: int, end: int, protocol: int, code: int, dst_port: int) -> int:
    """Return how many of the first bytes of an unrecognised payload rules read."""
    if protocol != TCP or end - at < 4:
        return 0
    if code & 0xFF == 2 * BANNER + REPLY:  # a number, or OK
        return 4
    if block[at] == 0x20 and block[at + 1] < 0x80 and block[at + 2] <= 1:  # the reply of an MQTT 5 broker: flags and reason
        return 4
    return 4 if dst_port in COMMAND_PORTS and is_command(block, at, end) else 0


@step
def is_command(block: U8, at: int, end: int) -> bool:
    """Return whether a payload begins with a command that mail and file transfer clients begin with."""
    if at + 4 > end:
        return False
    word = big32(block, at) & 0xDFDFDFDF
    for command in COMMAND_WORDS:  # noqa: SIM110 - any() over a generator does not compile
        if word == command:
            return True
    return False


@step
def note_word(places: Places, to: int, kept: int, nbytes: int, code: int, stop: int, wire: int, ports: tuple[int, int]) -> None:
    """Note the first bytes of an unrecognised payload."""
    row, words = places.used[WORDS], places.words
    words[row, 0], words[row, 1], words[row, 2], words[row, 3] = to, kept, nbytes, code
    words[row, 4], words[row, 5], words[row, 6], words[row, 7] = stop, wire, ports[0], ports[1]
    places.used[WORDS] = row + 1


@kernel
def sketch(
    block: U8, at: int, end: int, protocol: int, nbytes: int, src_port: int, dst_port: int, out: U8, to: int, places: Places
) -> None:
    """Write a sketch of a payload to its place in ``out``, which is all zero.

    at, end: of the captured payload. nbytes: its length on the wire.
    """
    if end <= at:
        return
    ports = (src_port, dst_port)
    code = code_of(block, at, end, protocol, nbytes, src_port, dst_port)
    first = code >> 8 if protocol == TCP else code
    if first == 2 * HTTP and is_http_request(block, at, end):
        sketch_request(block, at, end, out, to, places)
    elif protocol == TCP and first >> 1 == TLS:
        copy_bytes(block, at, min(end, at + 8), out, to)
    elif protocol == UDP and first >> 1 in (DNS, MDNS, NETBIOS):
        sketch_question(block, at, end, out, to, places)
    elif first == UNIFORM:
        out[to : to + end - at] = block[at]
    elif protocol == TCP and (first == 2 * HTTP2 or first == UNRECOGNISED) and keep_frames(block, at, end, out, to):
        pass
    elif first in (2 * CHARGEN + REPLY, 2 * QOTD + REPLY, 2 * TP240 + REPLY) or (first == 2 * TFTP + REPLY and block[at + 1] == 5):
        sketch_text(block, at, end, first, out, to)
    elif protocol == UDP and first == UNRECOGNISED and sip_request(block, at, end):
        copy_bytes(block, at, at + sip_request(block, at, end), out, to)
    elif first == UNRECOGNISED:
        kept = kept_of(block, at, end, protocol, code, dst_port)
        copy_bytes(block, at, min(at + WORD_BYTES, end), out, to)
        note_word(places, to, kept, min(WORD_BYTES, end - at), code, to + end - at, nbytes, ports)
    else:
        kept = sketch_recognised(block, at, end, code, protocol, nbytes, ports, out, to)
        if 0 <= kept < min(WORD_BYTES, end - at):
            copy_bytes(block, at, min(at + WORD_BYTES, end), out, to)
            note_word(places, to, kept, min(WORD_BYTES, end - at), code, to + end - at, nbytes, ports)
        if first == 2 * HTTP + REPLY:
            copy_bytes(block, at, min(end, at + 12), out, to)
        if first == 2 * SIP + REPLY:
            copy_bytes(block, at, min(end, at + 16), out, to)
    if protocol == TCP:
        keep_empty_lines(block, at, end, out, to)


@kernel
def mark_wrong_words(out: U8, places: Places, wrong: U8) -> None:
    """Mark the words that make their payloads be recognised as something other than before."""
    for i in range(places.used[WORDS]):
        at, code, end = places.words[i, 0], places.words[i, 3], places.words[i, 4]
        src_port, dst_port = places.words[i, 6], places.words[i, 7]
        protocol = TCP if code >= 256 else (UDP if src_port or dst_port else 0)
        wrong[i] = code_of(out, at, end, protocol, places.words[i, 5], src_port, dst_port) != code


def new_places(rows: int) -> Places:
    """Return space for ``rows`` places of each kind."""
    return Places(*(np.zeros(shape, np.int64) for shape in (rows, rows, rows, (rows, 8), (rows, 3), (rows, 5), 6)))
