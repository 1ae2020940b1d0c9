"""Slow, obvious oracles of the native core: plain integers, struct and dictionaries, one packet at a time.

`floodmark_core` must give the same answers. Nothing here is written after the kernels' text, only after what they promise.
"""
