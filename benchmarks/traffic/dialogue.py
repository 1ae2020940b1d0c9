"""Play TCP conversations between hosts as seen from a tap between them.

Functions take hosts and the data of each side and return timed packets: handshake with the options of each system, segments,
acknowledgements, a little loss, and an ending. It is a separate file because people and attackers both need it.
"""

import random
import struct
from collections.abc import Sequence
from typing import NamedTuple

from wire import ACK, FIN, PSH, RST, SYN, Head, Packet, Segment, is_six, tcp

CLIENT, SERVER = 0, 1
MICROSECOND, MILLISECOND, SECOND = 1_000, 1_000_000, 1_000_000_000
FIRST_BURST, LARGEST_BURST = 10, 64  # segments; RFC 6928 and a simple cap
DELAYED_ACK_NS = 40 * MILLISECOND  # Linux delayed acknowledgement, minimum
LOSS = 0.002


class Stack(NamedTuple):
    """Describe a TCP stack: options are letters in wire order (m s t n w e: MSS, SACK, timestamps, no-op, scale, end)."""

    ttl: int
    window: int
    options: str
    mss: int
    shift: int


class Host(NamedTuple):
    """Describe a host as seen from the tap."""

    address: int
    stack: Stack
    hops: int = 0
    delay_ns: int = 100_000


class Path(NamedTuple):
    """Name the two ends of a conversation and their ports."""

    client: Host
    server: Host
    sport: int
    dport: int


class Turn(NamedTuple):
    """Give a sender, its data and the wait before it; quiet leaves the last acknowledgement to the response."""

    who: int
    data: bytes
    wait_ns: int = 0
    quiet: bool = False


class End(NamedTuple):
    """Hold one side's state."""

    host: Host
    port: int
    seq: int
    ident: int
    tick: int
    window: int


class Talk(NamedTuple):
    """Hold a conversation so far: both ends, the tap's clock, the last sender seen, and the packets (appended in place)."""

    ends: tuple[End, End]
    clock_ns: int
    last: int
    stamped: bool
    packets: list[Packet]


class Piece(NamedTuple):
    """Describe one segment to send; seq, ack and window of -1 mean the current ones."""

    flags: int
    payload: bytes = b""
    options: bytes = b""
    seq: int = -1
    ack: int = -1
    window: int = -1


LINUX = Stack(64, 64240, "mstnw", 1460, 7)
STACKS = (
    LINUX,
    LINUX._replace(window=29200, mss=1452),
    Stack(64, 65535, "mstnw", 1400, 9),  # Android behind a mobile gateway
    Stack(64, 65535, "mstnw", 1360, 8),
    Stack(128, 64240, "mnwnns", 1460, 8),  # Windows 10 and 11
    Stack(128, 65535, "mnwnns", 1452, 8),
    Stack(128, 8192, "mnwnns", 1460, 2),  # Windows 7
    Stack(64, 65535, "mnwnntsee", 1460, 6),  # macOS, iOS
    Stack(64, 65535, "mnwnntsee", 1380, 6),
    Stack(64, 65535, "mnwst", 1460, 6),  # FreeBSD
    Stack(255, 8760, "m", 1460, 0),  # small device
    Stack(64, 14600, "mstnw", 1440, 4),
)


def option_bytes(stack: Stack, tick: int, echo: int, allowed: str = "mstnw") -> bytes:
    """Return the options of a SYN or SYN-ACK, limited to the kinds that the other side offered."""
    made = b""
    for letter in stack.options:
        if letter == "m":
            made += struct.pack(">BBH", 2, 4, stack.mss)
        elif letter == "n":
            made += b"\x01"
        elif letter == "s" and "s" in allowed:
            made += b"\x04\x02"
        elif letter == "t" and "t" in allowed:
            made += struct.pack(">BBII", 8, 10, tick & 0xFFFFFFFF, echo & 0xFFFFFFFF)
        elif letter == "w" and "w" in allowed:
            made += bytes((3, 3, stack.shift))
    return made + (b"\0" if "e" in stack.options else b"\x01") * (-len(made) % 4)


def stamps(mine: End, other: End, at_ns: int) -> bytes:
    """Return the timestamp option of an ordinary segment."""
    millis = at_ns // MILLISECOND
    seen = (at_ns - 2 * mine.host.delay_ns) // MILLISECOND
    return b"\x01\x01" + struct.pack(">BBII", 8, 10, mine.tick + millis & 0xFFFFFFFF, other.tick + seen & 0xFFFFFFFF)


def emit(talk: Talk, who: int, at_ns: int, piece: Piece) -> Talk:
    """Append one segment and return the conversation with that side's numbers advanced."""
    mine, other = talk.ends[who], talk.ends[1 - who]
    options = piece.options
    if not options and talk.stamped and not piece.flags & RST:
        options = stamps(mine, other, at_ns)
    seq = mine.seq if piece.seq < 0 else piece.seq
    ack = (other.seq if piece.ack < 0 else piece.ack) if piece.flags & ACK else 0
    window = mine.window if piece.window < 0 else piece.window
    ttl = max(mine.host.stack.ttl - mine.host.hops, 1)
    head = Head(mine.host.address, other.host.address, ttl, mine.ident & 0xFFFF)
    frame = tcp(head, Segment(mine.port, other.port, seq, ack, piece.flags, window, options, piece.payload))
    talk.packets.append(Packet(at_ns, frame))
    grown = len(piece.payload) + (1 if piece.flags & (SYN | FIN) else 0)
    moved = mine._replace(ident=mine.ident + 1, seq=mine.seq if piece.seq >= 0 else mine.seq + grown & 0xFFFFFFFF)
    ends = (moved, other) if who == CLIENT else (other, moved)
    return talk._replace(ends=ends, clock_ns=max(talk.clock_ns, at_ns), last=who)


def answer_time(rng: random.Random, talk: Talk, who: int) -> int:
    """Return when this side's next packet passes the tap if it is sent without delay."""
    pause = int(rng.uniform(20, 160)) * MICROSECOND
    if talk.last == who:
        return talk.clock_ns + pause
    return talk.clock_ns + pause + int(2 * talk.ends[who].host.delay_ns * rng.uniform(0.97, 1.15))


def _end(rng: random.Random, host: Host, port: int) -> End:
    """Return one side's state before its first segment."""
    return End(host, port, rng.getrandbits(32), rng.getrandbits(16), rng.getrandbits(31), host.stack.window)


def _settled(rng: random.Random, end: End, shift: int) -> End:
    """Return the side with the window it advertises once scaling is negotiated."""
    return end._replace(window=max(64, min(65535, end.window * rng.choice((1, 1, 2, 4)) >> shift)))


def knock(rng: random.Random, at_ns: int, path: Path) -> Talk:
    """Send the client's SYN and nothing else."""
    ends = (_end(rng, path.client, path.sport), _end(rng, path.server, path.dport))
    talk = Talk(ends, at_ns, CLIENT, stamped=False, packets=[])
    return emit(talk, CLIENT, at_ns, Piece(SYN, options=option_bytes(path.client.stack, ends[0].tick + at_ns // MILLISECOND, 0)))


def greet(rng: random.Random, at_ns: int, path: Path) -> Talk:
    """Play the three-way handshake."""
    talk = knock(rng, at_ns, path)
    offered, held = path.client.stack.options, path.server.stack.options
    at_ns = answer_time(rng, talk, SERVER)
    tick = talk.ends[SERVER].tick + at_ns // MILLISECOND
    reply = option_bytes(path.server.stack, tick, talk.ends[CLIENT].tick + talk.clock_ns // MILLISECOND, offered)
    talk = emit(talk, SERVER, at_ns, Piece(SYN | ACK, options=reply))
    scaled = "w" in offered and "w" in held
    client = _settled(rng, talk.ends[CLIENT], path.client.stack.shift if scaled else 0)
    server = _settled(rng, talk.ends[SERVER], path.server.stack.shift if scaled else 0)
    talk = talk._replace(ends=(client, server), stamped="t" in offered and "t" in held)
    return emit(talk, CLIENT, answer_time(rng, talk, CLIENT), Piece(ACK))


def say(rng: random.Random, talk: Talk, turn: Turn) -> Talk:
    """Send one turn's data in bursts clocked by acknowledgements."""
    room = min(end.host.stack.mss for end in talk.ends) - (12 if talk.stamped else 0)
    room -= 20 if is_six(talk.ends[0].host.address) else 0
    chunks = [turn.data[at : at + room] for at in range(0, len(turn.data), room)]
    at_ns = answer_time(rng, talk, turn.who) + turn.wait_ns
    burst = FIRST_BURST
    while chunks:
        now, chunks = chunks[:burst], chunks[burst:]
        talk, at_ns = _burst(rng, talk, turn._replace(quiet=turn.quiet and not chunks, wait_ns=at_ns), now)
        burst = min(2 * burst, LARGEST_BURST)
    return talk


def _burst(rng: random.Random, talk: Talk, turn: Turn, chunks: Sequence[bytes]) -> tuple[Talk, int]:
    """Send segments back to back from the time in wait_ns, and acknowledge every second one."""
    who, at_ns = turn.who, turn.wait_ns
    acks: list[tuple[int, int]] = []
    lag = 2 * talk.ends[1 - who].host.delay_ns
    for number, chunk in enumerate(chunks):
        final = number == len(chunks) - 1
        before = talk.ends[who].seq
        talk = emit(talk, who, at_ns, Piece(ACK | (PSH if final else 0), chunk))
        if rng.random() < LOSS:
            talk = _again(rng, talk, turn, (at_ns, before, chunk))
        if (final and not turn.quiet) or (number % 2 and not final):
            acks.append((at_ns + int(lag * rng.uniform(1.0, 1.1)) + int(rng.uniform(5, 90)) * MICROSECOND, talk.ends[who].seq))
        at_ns += int(rng.uniform(12, 130)) * MICROSECOND if not final else 0
    for when, number in acks:
        talk = emit(talk, 1 - who, when, Piece(ACK, ack=number))
    first = acks[0][0] if acks else at_ns
    last = 1 - who if acks and not turn.quiet else who
    return talk._replace(last=last), max(at_ns, first + 2 * talk.ends[who].host.delay_ns) + 10 * MICROSECOND


def _again(rng: random.Random, talk: Talk, turn: Turn, sent: tuple[int, int, bytes]) -> Talk:
    """Retransmit a segment, as after a loss beyond the tap; the conversation's clock does not change."""
    at_ns, seq, chunk = sent
    wait = 2 * (talk.ends[0].host.delay_ns + talk.ends[1].host.delay_ns) + int(rng.uniform(1, 200)) * MILLISECOND
    later = emit(talk, turn.who, at_ns + wait, Piece(ACK | PSH, chunk, seq=seq))
    return later._replace(clock_ns=talk.clock_ns)


def part(rng: random.Random, talk: Talk, who: int) -> Talk:
    """End the conversation with a FIN each way."""
    talk = emit(talk, who, answer_time(rng, talk, who), Piece(FIN | ACK))
    talk = emit(talk, 1 - who, answer_time(rng, talk, 1 - who), Piece(FIN | ACK))
    return emit(talk, who, answer_time(rng, talk, who), Piece(ACK))


def reset(rng: random.Random, talk: Talk, who: int) -> Talk:
    """End the conversation with a RST."""
    return emit(talk, who, answer_time(rng, talk, who), Piece(RST | ACK, window=0))


def refuse(rng: random.Random, at_ns: int, path: Path) -> list[Packet]:
    """Play a SYN that a closed port answers with a RST."""
    talk = knock(rng, at_ns, path)
    closed = talk.ends[SERVER]._replace(seq=0, ident=0)
    talk = talk._replace(ends=(talk.ends[CLIENT], closed))
    return reset(rng, talk, SERVER).packets


def converse(rng: random.Random, at_ns: int, path: Path, turns: Sequence[Turn], ending: str = "fin") -> list[Packet]:
    """Play a whole conversation; ending is fin, server-fin, rst or none."""
    talk = greet(rng, at_ns, path)
    for number, turn in enumerate(turns):
        after = turns[number + 1 : number + 2]
        answered = bool(after) and after[0].who != turn.who and after[0].wait_ns < DELAYED_ACK_NS
        talk = say(rng, talk, turn._replace(quiet=turn.quiet or answered))
    if ending == "rst":
        talk = reset(rng, talk, CLIENT)
    elif ending != "none":
        talk = part(rng, talk, SERVER if ending == "server-fin" else CLIENT)
    return talk.packets
