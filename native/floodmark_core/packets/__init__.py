"""Frames decoded: link layers, tunnels, IP, fragments, checksums and duplicates."""
