"""Packets carved from the originals, and proof that they are part of them."""
