"""``python -m floodmark.cli``."""

from floodmark.cli import main

main()
