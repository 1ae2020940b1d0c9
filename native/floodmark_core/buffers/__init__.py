"""Access to the bytes of a buffer: reading, writing, hashing, gathering and prefetching."""
