"""Captures as people have them - files, folders, archives, pipes, compressed or not - read block by block as one timeline."""
