"""A bundle's manifest in, the request for a trusted time stamp of it out (RFC 3161), and a look at the reply.

The request has no nonce, so that it follows from the manifest alone; whoever has an authority sends it and puts the reply beside it.
"""

import hashlib

from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, decode_timestamp_response


def request(manifest: bytes) -> bytes:
    """Return the request, DER, as application/timestamp-query takes it."""
    if not manifest:
        return b""  # there is no manifest of nothing
    builder = TimestampRequestBuilder().data(manifest).hash_algorithm(HashAlgorithm.SHA256)
    return bytes(builder.nonce(nonce=False).cert_request(cert_request=True).build().as_bytes())


def is_request(nbytes: bytes) -> bool:
    """Tell whether some octets are such a request, for whichever manifest."""
    before, mark, after = request(b" ").partition(hashlib.sha256(b" ").digest())
    return len(nbytes) == len(before) + len(mark) + len(after) and nbytes.startswith(before) and nbytes.endswith(after)


def stamped(reply: bytes, manifest: bytes) -> str | None:
    """Return the time that an authority's reply says for a manifest, RFC 3339; None where it is no reply, or one for something else.

    Whether the authority's certificate is to be trusted is not looked at: that needs its chain (openssl ts -verify).
    """
    try:
        told = decode_timestamp_response(reply).tst_info
    except ValueError:
        return None
    if told.message_imprint.message != hashlib.sha256(manifest).digest():
        return None
    return str(told.gen_time.strftime("%Y-%m-%dT%H:%M:%SZ"))
