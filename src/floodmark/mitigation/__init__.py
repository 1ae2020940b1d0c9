"""Rules that would have stopped an attack, measured on its capture."""
