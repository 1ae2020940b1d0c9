"""Sign bytes with Ed25519 (RFC 8032), and verify signatures.

Keys are PEM or OpenSSH files, as openssl and ssh-keygen make them.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
    load_ssh_private_key,
    load_ssh_public_key,
)

from floodmark.errors import SettingsError

Ask = Callable[[], str]  # asks for the passphrase of a key
SIGNATURE_BYTES = 64
_MAKE_ONE = "create one with openssl genpkey -algorithm ed25519 -out key.pem"
_FAULTS = (ValueError, TypeError, UnsupportedAlgorithm)


class Signer:
    """Holder of a private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key().public_bytes_raw().hex()

    def sign(self, nbytes: bytes) -> bytes:
        """Return the signature, 64 bytes."""
        return self._key.sign(nbytes)

    @property
    def public_pem(self) -> bytes:
        """The public key as PEM."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def load_signer(path: str, ask: Ask | None = None) -> Signer:
    """Read a private key. ask: called for its passphrase, if it has one. Raises SettingsError."""
    nbytes = _read(path)
    load = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in nbytes else load_pem_private_key
    try:
        try:
            key = load(nbytes, None)
        except TypeError:  # it has a passphrase
            if ask is None:
                raise
            key = load(nbytes, ask().encode())
    except _FAULTS as error:
        raise SettingsError(f"{path}: not a usable Ed25519 private key: {error}; {_MAKE_ONE}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"{path}: not an Ed25519 private key; {_MAKE_ONE}")
    return Signer(key)


def load_public_key(path: str) -> str:
    """Read a public key. Returns it in hexadecimal. Raises SettingsError."""
    return _public(path, _read(path))


def public_key_of(pem: bytes) -> str | None:
    """Return a public key in hexadecimal, None if the bytes are none."""
    try:
        return _public("", pem)
    except SettingsError:
        return None


def _public(path: str, nbytes: bytes) -> str:
    try:
        key = load_ssh_public_key(nbytes) if nbytes.startswith(b"ssh-") else load_pem_public_key(nbytes)
    except _FAULTS as error:
        raise SettingsError(f"{path}: not a public key: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsError(f"{path}: not an Ed25519 public key; give one")
    return key.public_bytes_raw().hex()


def is_signed(nbytes: bytes, signature: bytes, public_key: str) -> bool:
    """Return whether a signature over some bytes is valid for a public key, in hexadecimal."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(signature, nbytes)
    except (InvalidSignature, ValueError):
        return False
    return True


def fingerprint(public_key: str) -> str:
    """Return the fingerprint by which people compare keys: SHA-256 over the 32 bytes of the key."""
    return f"SHA256:{hashlib.sha256(bytes.fromhex(public_key)).hexdigest()}"


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from error
