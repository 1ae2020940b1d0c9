"""What ties a bundle to a key, a time, a machine and a case."""
