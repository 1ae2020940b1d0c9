"""Bytes of a buffer: read, written, hashed, gathered and fetched ahead."""
