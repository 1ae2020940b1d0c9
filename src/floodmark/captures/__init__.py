"""Read captures (files, folders, archives, pipes, compressed or not) block by block as one timeline."""
