"""Replace addresses, names and words under a key, equal ones by equal ones."""

import hmac
from collections.abc import Callable
from hashlib import sha256

import numpy as np
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from floodmark.anonymising.crypto_pan import CryptoPan, cipher_of, encrypted
from floodmark_core.blanking.sketching import (
    HOST,
    MACS,
    PATH,
    QUERY,
    RANDOM_NAME,
    TEXTS,
    V4,
    V6,
    WORDS,
    Places,
    mark_wrong_words,
)
from floodmark_core.columns import I64, U8

_UNDER_ARPA = (b"in-addr", b"ip6", b"e164", b"home", b"uri", b"urn")  # registered names (RFC 3172)
_MOST_REMEMBERED = 1 << 20  # texts whose replacement is cached
_VOWELS, _CONSONANTS, _SIGNS = b"aeiou", b"bcdfghjklmnpqrstvwxz", b"abcdefghijklmnopqrstuvwxyz0123456789"
_TARGET_SIGNS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LOOKED_AT_BYTES, _PORT_DIGITS, _MOST_TRIES = 1000, 5, 64  # bytes of a target, digits of a port, tries to find a word
_SHORT_LABEL = 6  # bytes: shorter labels are not tested for randomness
_DNS_PORT, _QR_AT, _OF_TCP = 53, 2, 256  # the bit there marks replies, even where the message is not DNS; codes from 256 on are TCP's


class Anonymiser:
    """Replace addresses, names and everything else that needs a key."""

    def __init__(self, key: bytes) -> None:
        """Derive the keys that are needed from a key of any length."""
        material = HKDF(SHA256(), 32 + 32 + 32 + 32, salt=None, info=b"floodmark anonymise 1").derive(key)
        self._prefixes = CryptoPan(material[:32])
        self._macs, self._words = (cipher_of(material[at : at + 32]) for at in (32, 64))
        self._text_key = material[96:]
        self._texts: dict[tuple[int, bytes], bytes] = {}

    def put(self, out: U8, places: Places) -> int:
        """Replace the places noted in blanked frames. Returns the number of payloads whose first bytes were put back."""
        _replace(out, places.v4[: places.used[V4]], 4, self._prefixes.addresses4)
        _replace(out, places.v6[: places.used[V6]], 16, self._prefixes.addresses6)
        _replace(out, places.macs[: places.used[MACS]], 6, self._mac_addresses)
        kept_as_is = self._put_words(out, places)
        for at, nbytes, kind in places.texts[: places.used[TEXTS]].tolist():
            out[at : at + nbytes] = np.frombuffer(self.text(kind, out[at : at + nbytes].tobytes()), np.uint8)
        return kept_as_is

    def _mac_addresses(self, found: U8) -> U8:
        """Replace MAC addresses; group addresses stay group addresses, and broadcast stays broadcast."""
        blocks = np.zeros((len(found), 16), np.uint8)
        blocks[:, :6] = found
        made = encrypted(self._macs, blocks)[:, :6].copy()
        made[:, 0] = (made[:, 0] & 0xFC) | 2 | (found[:, 0] & 1)
        kept = (found == 0xFF).all(axis=1) | (found == 0).all(axis=1)
        made[kept] = found[kept]
        return made

    def _put_words(self, out: U8, places: Places) -> int:
        """Replace the first bytes of payloads, equal ones by equal ones, until no payload looks like something it was not.

        Returns how many were left unchanged because no replacement did.
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
        """Replace the first bytes of some payloads. number: of the try."""
        blocks = np.zeros((len(words), 16), np.uint8)
        blocks[:, :8], blocks[:, 8], blocks[:, 9] = before, words[:, 2], number
        unique, back = np.unique(blocks, axis=0, return_inverse=True)
        made = encrypted(self._words, unique)[back.ravel(), :8]
        to_dns = (words[:, 3] < _OF_TCP) & ((words[:, 6] == _DNS_PORT) | (words[:, 7] == _DNS_PORT))
        made[:, _QR_AT] = np.where(to_dns, (made[:, _QR_AT] & 0x7F) | (before[:, _QR_AT] & 0x80), made[:, _QR_AT])
        changed = (np.arange(8) < words[:, 2:3]) & (np.arange(8) >= words[:, 1:2])
        out[columns[changed]] = made[changed]

    def text(self, kind: int, text: bytes) -> bytes:
        """Return the replacement of a name or a target, of the same length."""
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
        """Return letters and digits derived from the first _LOOKED_AT_BYTES bytes of a target."""
        key, looked_at = self._text_key, bytes((kind,)) + text[:_LOOKED_AT_BYTES]
        parts = (hmac.digest(key, number.to_bytes(4, "big") + looked_at, sha256) for number in range(-(-len(text) // 32)))
        return bytes(_TARGET_SIGNS[byte % len(_TARGET_SIGNS)] for byte in b"".join(parts)[: len(text)])

    def _wire_name(self, text: bytes, *, is_random: bool) -> bytes:
        """Replace the labels of a name in DNS wire format (RFC 1035 section 3.1); the last ones under arpa are kept."""
        labels, lengths, at = [], [], 0
        while at < len(text):
            lengths.append(text[at])
            labels.append(text[at + 1 : at + 1 + text[at]].lower())
            at += 1 + text[at]
        made = self._labels(labels, is_random=is_random)
        return b"".join(bytes((length,)) + label for length, label in zip(lengths, made, strict=True))[: len(text)]

    def _host(self, text: bytes) -> bytes:
        """Replace the host of an HTTP request; its port is kept."""
        name, colon, port = text.strip().lower().partition(b":")
        if not port.isdigit() or len(port) > _PORT_DIGITS:
            name, colon, port = text.strip().lower(), b"", b""
        whole = b".".join(self._labels(name.split(b"."), is_random=False)) + colon + port
        return whole.ljust(len(text), b" ")[: len(text)]

    def _labels(self, labels: list[bytes], *, is_random: bool) -> list[bytes]:
        kept = 0
        if labels[-1:] == [b"arpa"]:
            kept = 2 if labels[-2:-1] and labels[-2] in _UNDER_ARPA else 1
        made = []
        for place, label in enumerate(labels):
            if place >= len(labels) - kept:
                made.append(label)
                continue
            digest = hmac.digest(self._text_key, b".".join(labels[place:]), sha256)
            digest += hmac.digest(self._text_key, digest, sha256)
            made.append(_label(digest, len(label), is_random=is_random and place == 0))
        return made


def _label(digest: bytes, nbytes: int, *, is_random: bool) -> bytes:
    """Return a label from a digest that looks random, or like a word (floodmark_core.flows.payload.looks_random)."""
    digest *= -(-nbytes // len(digest)) or 1  # a label has 63 bytes at most, other names may have more
    if is_random:
        return bytes(_CONSONANTS[digest[place] % len(_CONSONANTS)] for place in range(nbytes))
    if nbytes < _SHORT_LABEL:
        return bytes(_SIGNS[digest[place] % len(_SIGNS)] for place in range(nbytes))
    return bytes((_VOWELS if place % 2 else _CONSONANTS)[digest[place] % (5 if place % 2 else 20)] for place in range(nbytes))


def _replace(out: U8, at: I64, nbytes: int, make: Callable[[U8], U8]) -> None:
    """Replace the nbytes at some places, equal ones by equal ones."""
    if not len(at):
        return
    places = at[:, None] + np.arange(nbytes)
    unique, back = np.unique(np.ascontiguousarray(out[places]).view(f"V{nbytes}").ravel(), return_inverse=True)
    out[places] = make(unique.view(np.uint8).reshape(-1, nbytes))[back.ravel()]
