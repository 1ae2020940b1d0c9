"""Decode frames: link layers, tunnels, IP, fragments, checksums and duplicates."""
