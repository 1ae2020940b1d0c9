"""Slow, obvious oracles for the native core: plain integers, struct and dictionaries, one packet at a time.

`floodmark_core` must give the same results. Everything here is written from the kernels' specification, not from their code.
"""
