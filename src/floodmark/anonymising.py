"""A capture in, one that can be shared out: addresses, names and payloads gone, and what the verdicts rest on still there.

Addresses keep the prefixes they share (Crypto-PAn: J. Xu, J. Fan, M. Ammar, S. Moon, ICNP 2002), under a key; what has a meaning of its own
stays: multicast, broadcast, unspecified and link-local addresses, and that an address ends in 255. MAC addresses, names, targets of
requests and the first octets of what is not recognised are replaced under the key, alike by alike. Everything else that is no header is
overwritten (``floodmark_core.blanking``). Who has the key can do it again, and comes to the same octets.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from floodmark.base.recording import CaptureWriter
from floodmark.base.writing import appearing_whole
from floodmark.captures.capture import Source, reader_of
from floodmark.captures.reading import Reading
from floodmark.captures.walking import TUNNELS_OPENED
from floodmark.errors import SettingsError
from floodmark_core import new_interfaces, new_records, new_tally
from floodmark_core.blanking import MOST_ADDED, blank_block, new_frames, repair_checksums
from floodmark_core.columns import BATCH, I64, U8, U32
from floodmark_core.sketching import (
    HOST,
    MACS,
    MOST_PLACES,
    PATH,
    QUERY,
    RANDOM_NAME,
    TEXTS,
    V4,
    V6,
    WORDS,
    Places,
    mark_wrong_words,
    new_places,
)
from floodmark_core.status import STOP_BATCH_FULL

KEY_OCTETS = 32  # fewest of a key file
_BLOCK_OCTETS = 4 << 20  # of a capture looked at together
_FRAMES = 1 << 16
_MOST_REMEMBERED = 1 << 20  # texts whose replacement is kept
_V6_TOGETHER = 4096  # addresses: 8 MiB of what is encrypted for them
_VOWELS, _CONSONANTS, _SIGNS = b"aeiou", b"bcdfghjklmnpqrstvwxz", b"abcdefghijklmnopqrstuvwxyz0123456789"
_TARGET_SIGNS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LOOKED_AT_OCTETS, _PORT_DIGITS, _MOST_TRIES = 1000, 5, 64  # of a target, of a port, to find a word
_SHORT_LABEL = 6  # octets: whether a shorter one looks made up is not asked
_SOLICITED = np.frombuffer(bytes.fromhex("ff0200000000000000000001ff"), np.uint8)
_DNS_PORT, _QR_AT, _OF_TCP = 53, 2, 256  # the bit there says who asks, in a message that is none too; codes from 256 on are TCP's
_LINK_LOCAL = 0xFE80 >> 6  # the ten bits


@dataclass(frozen=True)
class Anonymised:
    """What was written."""

    packets: int
    put_back: int  # payloads of which the first octets stay as they were: others would have looked like a protocol


class Anonymiser:
    """Replaces addresses, names and what else a key is needed for."""

    def __init__(self, key: bytes) -> None:
        """Derive what is needed from a key of any length."""
        material = HKDF(SHA256(), 32 + 32 + 32 + 32, salt=None, info=b"floodmark anonymise 1").derive(key)
        self._prefixes = CryptoPan(material[:32])
        self._macs, self._words = (_cipher(material[at : at + 32]) for at in (32, 64))
        self._text_key = material[96:]
        self._texts: dict[tuple[int, bytes], bytes] = {}

    def put(self, out: U8, places: Places) -> int:
        """Replace what is noted in blanked frames. Returns in how many payloads the first octets were put back."""
        _replace(out, places.v4[: places.used[V4]], 4, self._prefixes.addresses4)
        _replace(out, places.v6[: places.used[V6]], 16, self._prefixes.addresses6)
        _replace(out, places.macs[: places.used[MACS]], 6, self._mac_addresses)
        kept_as_is = self._put_words(out, places)
        for at, octets, kind in places.texts[: places.used[TEXTS]].tolist():
            out[at : at + octets] = np.frombuffer(self.text(kind, out[at : at + octets].tobytes()), np.uint8)
        return kept_as_is

    def _mac_addresses(self, found: U8) -> U8:
        """Replace MAC addresses; groups stay groups, and everyone stays everyone."""
        blocks = np.zeros((len(found), 16), np.uint8)
        blocks[:, :6] = found
        made = _encrypted(self._macs, blocks)[:, :6].copy()
        made[:, 0] = (made[:, 0] & 0xFC) | 2 | (found[:, 0] & 1)
        kept = (found == 0xFF).all(axis=1) | (found == 0).all(axis=1)
        made[kept] = found[kept]
        return made

    def _put_words(self, out: U8, places: Places) -> int:
        """Replace the first octets of payloads, alike by alike, with others until none looks like something that it was not.

        Returns how many stay as they were because none did.
        """
        words = places.words[: places.used[WORDS]]
        if not len(words):
            return 0
        columns = np.minimum(words[:, :1] + np.arange(8), len(out) - 1)
        inside = np.arange(8) < words[:, 2:3]
        before = np.where(inside, out[columns], 0).astype(np.uint8)
        wrong = np.ones(len(words), np.uint8)
        for number in range(_MOST_TRIES):
            some = np.nonzero(wrong)[0]
            if not len(some):
                break
            self._put_some(out, words[some], columns[some], before[some], number)
            mark_wrong_words(out, places, wrong)
        some = np.nonzero(wrong)[0]
        out[columns[some][inside[some]]] = before[some][inside[some]]
        return len(some)

    def _put_some(self, out: U8, words: I64, columns: I64, before: U8, number: int) -> None:
        """Replace the first octets of some payloads. number: of the try."""
        blocks = np.zeros((len(words), 16), np.uint8)
        blocks[:, :8], blocks[:, 8], blocks[:, 9] = before, words[:, 2], number
        unique, back = np.unique(blocks, axis=0, return_inverse=True)
        made = _encrypted(self._words, unique)[back.ravel(), :8]
        to_dns = (words[:, 3] < _OF_TCP) & ((words[:, 6] == _DNS_PORT) | (words[:, 7] == _DNS_PORT))
        made[:, _QR_AT] = np.where(to_dns, (made[:, _QR_AT] & 0x7F) | (before[:, _QR_AT] & 0x80), made[:, _QR_AT])
        changed = (np.arange(8) < words[:, 2:3]) & (np.arange(8) >= words[:, 1:2])
        out[columns[changed]] = made[changed]

    def text(self, kind: int, text: bytes) -> bytes:
        """Return what stands in place of a name or a target, as long as it is."""
        made = self._texts.get((kind, text))
        if made is None:
            if len(self._texts) >= _MOST_REMEMBERED:
                self._texts.clear()
            if kind in (PATH, QUERY):
                made = self._target(kind, text)
            elif kind == HOST:
                made = self._host(text)
            else:
                made = self._wire_name(text, is_random=kind == RANDOM_NAME)
            self._texts[kind, text] = made
        return made

    def _target(self, kind: int, text: bytes) -> bytes:
        """Return letters and digits by what of a target is looked at."""
        key, looked_at = self._text_key, bytes((kind,)) + text[:_LOOKED_AT_OCTETS]
        parts = (hmac.digest(key, number.to_bytes(4, "big") + looked_at, sha256) for number in range(-(-len(text) // 32)))
        return bytes(_TARGET_SIGNS[octet % len(_TARGET_SIGNS)] for octet in b"".join(parts)[: len(text)])

    def _wire_name(self, text: bytes, *, is_random: bool) -> bytes:
        """Replace the labels of a name as DNS writes it (RFC 1035 section 3.1); the last ones under arpa stay."""
        labels, lengths, at = [], [], 0
        while at < len(text):
            lengths.append(text[at])
            labels.append(text[at + 1 : at + 1 + text[at]].lower())
            at += 1 + text[at]
        made = self._labels(labels, is_random=is_random)
        return b"".join(bytes((length,)) + label for length, label in zip(lengths, made, strict=True))[: len(text)]

    def _host(self, text: bytes) -> bytes:
        """Replace the host of an HTTP request; its port stays."""
        name, colon, port = text.strip().lower().partition(b":")
        if not port.isdigit() or len(port) > _PORT_DIGITS:
            name, colon, port = text.strip().lower(), b"", b""
        whole = b".".join(self._labels(name.split(b"."), is_random=False)) + colon + port
        return whole.ljust(len(text), b" ")[: len(text)]

    def _labels(self, labels: list[bytes], *, is_random: bool) -> list[bytes]:
        kept = 2 if labels[-1:] == [b"arpa"] else 0
        made = []
        for place, label in enumerate(labels):
            if place >= len(labels) - kept:
                made.append(label)
                continue
            digest = hmac.digest(self._text_key, b".".join(labels[place:]), sha256)
            digest += hmac.digest(self._text_key, digest, sha256)
            made.append(_label(digest, len(label), is_random=is_random and place == 0))
        return made


def _label(digest: bytes, octets: int, *, is_random: bool) -> bytes:
    """Make a label out of a digest that looks made up, or like a word (floodmark_core.payload.looks_random)."""
    digest *= -(-octets // len(digest)) or 1  # a label has 63 octets at most, other names may have more
    if is_random:
        return bytes(_CONSONANTS[digest[place] % len(_CONSONANTS)] for place in range(octets))
    if octets < _SHORT_LABEL:
        return bytes(_SIGNS[digest[place] % len(_SIGNS)] for place in range(octets))
    return bytes((_VOWELS if place % 2 else _CONSONANTS)[digest[place] % (5 if place % 2 else 20)] for place in range(octets))


def _replace(out: U8, at: I64, octets: int, make: Callable[[U8], U8]) -> None:
    """Replace what stands at some places, alike by alike."""
    if not len(at):
        return
    places = at[:, None] + np.arange(octets)
    unique, back = np.unique(np.ascontiguousarray(out[places]).view(f"V{octets}").ravel(), return_inverse=True)
    out[places] = make(unique.view(np.uint8).reshape(-1, octets))[back.ravel()]


def _cipher(key: bytes) -> Cipher[ECB]:
    """Return a cipher that is only given blocks of which each is to become one number, alike by alike."""
    return Cipher(AES(key), ECB())  # noqa: S305 - that is what this mode does


def _encrypted(cipher: Cipher[ECB], blocks: U8) -> U8:
    """Encrypt blocks of 16 octets."""
    encryptor = cipher.encryptor()
    octets = encryptor.update(np.ascontiguousarray(blocks).data) + encryptor.finalize()
    return np.frombuffer(octets, np.uint8).reshape(-1, 16)


class CryptoPan:
    """Prefix-preserving addresses: each bit is turned over or not by what a cipher makes of the bits before it."""

    def __init__(self, key: bytes, *, keep_meaning: bool = True) -> None:
        """Take a key of 32 octets: 16 for the cipher and 16 for the padding. keep_meaning: leave addresses alone that name no host."""
        self._cipher = _cipher(key[:16])
        self._pad = _encrypted(self._cipher, np.frombuffer(key[16:32], np.uint8).reshape(1, 16))[0]
        self._keep_meaning = keep_meaning
        self._top: U32 = self._flips4(np.arange(1 << 16, dtype=np.uint32) << np.uint32(16), range(16))

    def addresses4(self, octets: U8) -> U8:
        """Return what stands in place of IPv4 addresses. octets: [n, 4], theirs."""
        addresses = np.ascontiguousarray(octets).view(">u4").ravel().astype(np.uint32)
        made = addresses ^ self._top[addresses >> np.uint32(16)] ^ self._flips4(addresses, range(16, 32))
        replaced: U8 = made.astype(">u4").view(np.uint8).reshape(-1, 4)
        return replaced

    def _flips4(self, addresses: U32, bits: range) -> U32:
        """Return which bits are turned over."""
        pad = np.uint32(int.from_bytes(self._pad[:4].tobytes(), "big"))
        flips = np.zeros(len(addresses), np.uint32)
        for bit in bits:
            mask = np.uint32((0xFFFFFFFF << (32 - bit)) & 0xFFFFFFFF)
            prefixes, back = np.unique(addresses & mask, return_inverse=True)
            blocks = np.tile(self._pad, (len(prefixes), 1))
            blocks[:, :4] = ((prefixes & mask) | (pad & ~mask)).astype(">u4").view(np.uint8).reshape(-1, 4)
            turned = _encrypted(self._cipher, blocks)[:, 0] >> 7
            if self._keep_meaning:
                turned = np.where(_stays4(prefixes, bit), 0, turned)
            flips |= turned[back.ravel()].astype(np.uint32) << np.uint32(31 - bit)
        return flips

    def addresses6(self, octets: U8) -> U8:
        """Return what stands in place of IPv6 addresses. octets: [n, 16], theirs."""
        made = [self._some6(octets[first : first + _V6_TOGETHER]) for first in range(0, len(octets), _V6_TOGETHER)]
        return np.concatenate(made)

    def _some6(self, addresses: U8) -> U8:
        made = addresses.copy()
        for bit in range(128):
            mask = np.frombuffer(((1 << 128) - (1 << (128 - bit))).to_bytes(16, "big"), np.uint8)
            turned = _encrypted(self._cipher, (addresses & mask) | (self._pad & ~mask))[:, 0] >> 7
            if self._keep_meaning:
                turned = np.where(_stays6(addresses, bit), 0, turned)
            made[:, bit // 8] ^= (turned << (7 - bit % 8)).astype(np.uint8)
        return made


def _stays4(prefixes: U32, bit: int) -> np.ndarray:
    """Tell which IPv4 prefixes lead to addresses that must stay what they are: their next bit is not turned over."""
    top = prefixes.astype(np.int64) >> (32 - bit)
    stays: np.ndarray = (top == 0) | (top == (1 << bit) - 1)
    if bit >= 3:  # multicast, reserved, everyone
        stays = stays | (prefixes >> np.uint32(29) == 7)
    if bit >= 24:  # of a network everyone, as a rule
        stays = stays | ((top & ((1 << (bit - 24)) - 1)) == (1 << (bit - 24)) - 1)
    return stays


def _stays6(addresses: U8, bit: int) -> np.ndarray:
    """Tell the same of IPv6 addresses by their first bits."""
    whole, rest = divmod(bit, 8)
    some = addresses[:, : whole + (rest > 0)].copy()
    if rest:
        some[:, -1] >>= 8 - rest
    ones = np.full(some.shape[1], 0xFF, np.uint8)
    if rest:
        ones[-1] = (1 << rest) - 1
    stays: np.ndarray = (some == 0).all(axis=1) | (some == ones).all(axis=1)
    if bit >= 8:
        group = addresses[:, 0] == 0xFF
        if bit >= 32:  # a group of a network has its prefix in it (RFC 3306, 3956)
            group = group & (addresses[:, 1] & 0x30 != 0x30)
        if bit >= 104:  # whose neighbours are asked for (RFC 4291 section 2.7.1)
            group = group & ~(addresses[:, :13] == _SOLICITED).all(axis=1)
        stays = stays | group
    if bit < 10:  # link-local
        top = (addresses[:, 0].astype(np.int64) << 8 | addresses[:, 1]) >> (16 - bit)
        stays = stays | (top == _LINK_LOCAL >> (10 - bit))
    return stays


def load_key(path: str) -> bytes:
    """Read a key. Raises SettingsError."""
    try:
        key = Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(key) < KEY_OCTETS:
        raise SettingsError(f"{path}: a key of {len(key)} octets; at least {KEY_OCTETS} are needed: openssl rand -out {path} {KEY_OCTETS}")
    return key


def anonymise(source: Source, path: str, anonymiser: Anonymiser, *, payload: bool = True, keep_going: bool = False) -> Anonymised:
    """Write a capture that can be shared, as pcapng with times in nanoseconds.

    payload: keep what tells protocols and the course of dialogues; otherwise packets end with their last header. Raises CaptureError,
    OutputError.
    """
    with reader_of(source, _BLOCK_OCTETS) as reader, appearing_whole(path) as file:
        run = _Run(CaptureWriter(file, "anonymised by floodmark"), anonymiser, payload=payload)
        layout, interfaces, records, tally = reader.container.layout.copy(), new_interfaces(), new_records(), new_tally()

        def blank(block: U8, at: int) -> tuple[int, int]:
            out = np.zeros(len(block) + MOST_ADDED * _FRAMES, np.uint8)
            while True:
                run.places.used[:] = 0
                given = (layout, interfaces, records, tally, TUNNELS_OPENED, payload, out, run.frames, run.places)
                at, stop, count = blank_block(block, at, reader.base, *given)
                run.write(out, count)
                if stop != STOP_BATCH_FULL:
                    return at, stop
                out[:] = 0

        reading = Reading(reader, blank, (layout, tally), None, keep_going)
        while reading.step():
            pass
        run.writer.finish()
    return Anonymised(run.packets, run.put_back)


class _Run:
    """What is carried through one capture."""

    def __init__(self, writer: CaptureWriter, anonymiser: Anonymiser, *, payload: bool) -> None:
        self.writer, self._anonymiser, self._payload = writer, anonymiser, payload
        self.places, self.frames = new_places(_FRAMES * 4 + MOST_PLACES * BATCH), new_frames(_FRAMES)
        self.packets = self.put_back = 0

    def write(self, out: U8, count: int) -> None:
        """Write blanked frames, with what is noted in them replaced."""
        frames = self.frames
        used = int(frames.frame_at[count - 1] + frames.captured_length[count - 1]) if count else 0
        self.put_back += self._anonymiser.put(out[: max(used, 1)], self.places)
        repair_checksums(out, self.places, self._payload)
        self.writer.write(out, frames, count)
        self.packets += count
