"""General utilities: memory, threads, atomic file writes, settings, text made safe to print."""
