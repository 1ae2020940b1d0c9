"""Make the request for a trusted timestamp of a manifest (RFC 3161), and read the reply.

The request has no nonce, so that it depends on the manifest alone; users send it to an authority and put the reply next to it.
"""

import hashlib

from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, decode_timestamp_response


def request(manifest: bytes) -> bytes:
    """Return the request in DER, as for application/timestamp-query."""
    if not manifest:
        return b""  # a manifest is never empty
    builder = TimestampRequestBuilder().data(manifest).hash_algorithm(HashAlgorithm.SHA256)
    return bytes(builder.nonce(nonce=False).cert_request(cert_request=True).build().as_bytes())


def is_request(nbytes: bytes) -> bool:
    """Return whether some bytes are such a request, for any manifest."""
    before, mark, after = request(b" ").partition(hashlib.sha256(b" ").digest())
    return len(nbytes) == len(before) + len(mark) + len(after) and nbytes.startswith(before) and nbytes.endswith(after)


def stamped(reply: bytes, manifest: bytes) -> str | None:
    """Return the time that an authority's reply states for a manifest, RFC 3339; None if it is no reply, or one for something else.

    The authority's certificate is not verified: that needs its chain (openssl ts -verify).
    """
    try:
        told = decode_timestamp_response(reply).tst_info
    except ValueError:
        return None
    if told.message_imprint.message != hashlib.sha256(manifest).digest():
        return None
    return str(told.gen_time.strftime("%Y-%m-%dT%H:%M:%SZ"))
