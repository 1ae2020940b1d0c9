"""Which packets of the originals a bundle carries, and proof that they are theirs."""
