"""Anonymise columns of addresses, preserving prefixes (Crypto-PAn: J. Xu, J. Fan, M. Ammar, S. Moon, ICNP 2002)."""

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from floodmark_core.columns import U8, U32

_V6_TOGETHER = 4096  # addresses at once: 8 MiB of cipher blocks
_SOLICITED = np.frombuffer(bytes.fromhex("ff0200000000000000000001ff"), np.uint8)
_LINK_LOCAL = 0xFE80 >> 6  # its first ten bits


def cipher_of(key: bytes) -> Cipher[ECB]:
    """Return a cipher for independent blocks, each of which becomes a number, equal ones by equal ones."""
    return Cipher(AES(key), ECB())  # noqa: S305 - that is what this mode does


def encrypted(cipher: Cipher[ECB], blocks: U8) -> U8:
    """Encrypt blocks of 16 bytes."""
    encryptor = cipher.encryptor()
    nbytes = encryptor.update(np.ascontiguousarray(blocks).data) + encryptor.finalize()
    return np.frombuffer(nbytes, np.uint8).reshape(-1, 16)


class CryptoPan:
    """Prefix-preserving anonymisation: whether each bit is flipped follows from encrypting the bits before it."""

    def __init__(self, key: bytes, *, keep_meaning: bool = True) -> None:
        """Take a key of 32 bytes: 16 for the cipher and 16 for the padding. keep_meaning: keep addresses that identify no host."""
        self._cipher = cipher_of(key[:16])
        self._pad = encrypted(self._cipher, np.frombuffer(key[16:32], np.uint8).reshape(1, 16))[0]
        self._keep_meaning = keep_meaning
        self._top: U32 = self._flips4(np.arange(1 << 16, dtype=np.uint32) << np.uint32(16), range(16))

    def addresses4(self, nbytes: U8) -> U8:
        """Return the replacements of IPv4 addresses. nbytes: [n, 4], the addresses."""
        addresses = np.ascontiguousarray(nbytes).view(">u4").ravel().astype(np.uint32)
        made = addresses ^ self._top[addresses >> np.uint32(16)] ^ self._flips4(addresses, range(16, 32))
        replaced: U8 = made.astype(">u4").view(np.uint8).reshape(-1, 4)
        return replaced

    def _flips4(self, addresses: U32, bits: range) -> U32:
        """Return which bits are flipped."""
        pad = np.uint32(int.from_bytes(self._pad[:4].tobytes(), "big"))
        flips = np.zeros(len(addresses), np.uint32)
        for bit in bits:
            mask = np.uint32((0xFFFFFFFF << (32 - bit)) & 0xFFFFFFFF)
            prefixes, back = np.unique(addresses & mask, return_inverse=True)
            blocks = np.tile(self._pad, (len(prefixes), 1))
            blocks[:, :4] = ((prefixes & mask) | (pad & ~mask)).astype(">u4").view(np.uint8).reshape(-1, 4)
            turned = encrypted(self._cipher, blocks)[:, 0] >> 7
            if self._keep_meaning:
                turned = np.where(_stays4(prefixes, bit), 0, turned)
            flips |= turned[back.ravel()].astype(np.uint32) << np.uint32(31 - bit)
        return flips

    def addresses6(self, nbytes: U8) -> U8:
        """Return the replacements of IPv6 addresses. nbytes: [n, 16], the addresses."""
        made = [self._some6(nbytes[first : first + _V6_TOGETHER]) for first in range(0, len(nbytes), _V6_TOGETHER)]
        return np.concatenate(made)

    def _some6(self, addresses: U8) -> U8:
        made = addresses.copy()
        for bit in range(128):
            mask = np.frombuffer(((1 << 128) - (1 << (128 - bit))).to_bytes(16, "big"), np.uint8)
            turned = encrypted(self._cipher, (addresses & mask) | (self._pad & ~mask))[:, 0] >> 7
            if self._keep_meaning:
                turned = np.where(_stays6(addresses, bit), 0, turned)
            made[:, bit // 8] ^= (turned << (7 - bit % 8)).astype(np.uint8)
        return made


def _stays4(prefixes: U32, bit: int) -> np.ndarray:
    """Return which IPv4 prefixes lead to addresses that must be kept: their next bit is not flipped."""
    top = prefixes.astype(np.int64) >> (32 - bit)
    stays: np.ndarray = (top == 0) | (top == (1 << bit) - 1)
    if bit >= 3:  # multicast, reserved, broadcast
        stays = stays | (prefixes >> np.uint32(29) == 7)
    if bit >= 24:  # usually a network's broadcast address
        stays = stays | ((top & ((1 << (bit - 24)) - 1)) == (1 << (bit - 24)) - 1)
    return stays


def _stays6(addresses: U8, bit: int) -> np.ndarray:
    """Return the same for IPv6 addresses, by their first bits."""
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
        if bit >= 32:  # a multicast group of a network contains its prefix (RFC 3306, 3956)
            group = group & (addresses[:, 1] & 0x30 != 0x30)
        if bit >= 104:  # solicited-node multicast (RFC 4291 section 2.7.1)
            group = group & ~(addresses[:, :13] == _SOLICITED).all(axis=1)
        stays = stays | group
    if bit < 10:  # link-local
        top = (addresses[:, 0].astype(np.int64) << 8 | addresses[:, 1]) >> (16 - bit)
        stays = stays | (top == _LINK_LOCAL >> (10 - bit))
    return stays
