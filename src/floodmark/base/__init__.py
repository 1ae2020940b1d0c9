"""What every program needs and no capture does: memory, threads, files written whole, text made safe to print."""
