"""Access to the bytes of a buffer: reading, writing, hashing, probing, gathering and prefetching."""
