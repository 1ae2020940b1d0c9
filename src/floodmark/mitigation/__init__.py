"""Rules that would have stopped an attack, measured on the capture that it is in."""
