"""Write the pages that come from the program itself: one for each vector, and their list.

python docs/build.py [--check]
"""

import sys
from pathlib import Path

from floodmark.catalogue import catalogue, index, page

HERE = Path(__file__).parent / "vectors"


def pages() -> dict[Path, str]:
    """Return the text of every page by its file."""
    return {HERE / "README.md": index(), **{HERE / f"{vector}.md": page(vector) for vector in catalogue()}}


def main() -> int:
    """Write the pages, or with --check say which are not as they would be written."""
    wanted = pages()
    if "--check" in sys.argv[1:]:
        stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
        stale += [path for path in HERE.glob("*.md") if path not in wanted]
        for path in stale:
            sys.stdout.write(f"{path}: run python docs/build.py\n")
        return 1 if stale else 0
    HERE.mkdir(exist_ok=True)
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
