"""Write the pages that come from the program itself: vectors, rules, JSON, columns, settings.

python docs/build.py [--check]
"""

import json
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from floodmark.report.rules import rules_page
from floodmark.result.table import ABOUT, SCHEMA
from floodmark.settings import Settings, settings_text
from floodmark.vocabulary.catalogue import index, page
from floodmark.vocabulary.vectors import RECORDS

HERE = Path(__file__).parent
MADE = "% Written by docs/build.py from the program; edit that instead.\n\n"
KINDS = {"dictionary<values=string, indices=int8, ordered=0>": "text", "dictionary<values=string, indices=int16, ordered=0>": "text",
         "string": "text", "bool": "true or false"}  # fmt: skip


def pages() -> dict[Path, str]:
    """Return the text of every page by its file."""
    vectors = "\n".join(["", "```{toctree}", ":hidden:", "", *RECORDS, "```", ""])
    return {
        HERE / "vectors" / "README.md": index() + vectors,
        **{HERE / "vectors" / f"{vector}.md": page(vector) for vector in RECORDS},
        HERE / "reference" / "json.md": document(),
        HERE / "reference" / "columns.md": columns(),
        HERE / "reference" / "rules.md": MADE + rules_page(),
        HERE / "reference" / "settings.md": f"{MADE}# Settings\n\n```toml\n{settings_text(Settings())}```\n",
    }


def document() -> str:
    """Return the fields of the JSON document, out of its schema."""
    schema = json.loads((files("floodmark") / "schema" / "result.schema.json").read_text(encoding="utf-8"))
    lines = [
        f"{MADE}# JSON\n\n`floodmark classify --format json` writes one document; with `--each`, one document per line. ",
        "The schema is included as\n`floodmark/schema/result.schema.json`. `schema_version` increases when a field is removed ",
        "or changed.\n\n| field | type | meaning |\n|---|---|---|\n",
    ]
    return "".join([*lines, *(f"| `{name}` | {kind} | {about} |\n" for name, kind, about in fields(schema["oneOf"][0], ""))])


def fields(schema: dict[str, Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    """Yield (name, type, meaning) of the fields of an object, those of objects in it behind their own."""
    for name, value in schema.get("properties", {}).items():
        inner = value.get("items", value)
        yield f"{prefix}{name}", kind_of(value), value.get("description", "")
        yield from fields(inner, f"{prefix}{name}{'[]' if 'items' in value else ''}.")


def kind_of(schema: dict[str, Any]) -> str:
    """Return the type that a schema asks for, in words."""
    if "oneOf" in schema:
        return " or ".join(kind_of(each) for each in schema["oneOf"])
    if "enum" in schema:
        return "one of " + ", ".join(json.dumps(value) for value in schema["enum"])
    kind = schema.get("type", json.dumps(schema.get("const", "any")))
    if kind == "array":
        return f"list of {kind_of(schema['items'])}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def columns() -> str:
    """Return the columns of the flow table."""
    lines = [
        MADE,
        "# Flow columns\n\nOne row per flow, in order of first packets.\n\n| column | type | meaning |\n|---|---|---|\n",
    ]
    for field in SCHEMA:
        kind = KINDS.get(str(field.type), str(field.type))
        lines.append(f"| `{field.name}` | {kind}{', may be null' if field.nullable else ''} | {ABOUT[field.name]} |\n")
    return "".join(lines)


def main() -> int:
    """Write the pages, or with --check say which are not as they would be written."""
    wanted = pages()
    if "--check" in sys.argv[1:]:
        stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
        stale += [path for path in (HERE / "vectors").glob("*.md") if path not in wanted]
        for path in stale:
            sys.stdout.write(f"{path}: run python docs/build.py\n")
        return 1 if stale else 0
    for path, text in wanted.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
