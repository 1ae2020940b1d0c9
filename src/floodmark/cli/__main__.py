"""``python -m floodmark.cli``."""

from floodmark.cli import main

if __name__ == "__main__":
    main()
