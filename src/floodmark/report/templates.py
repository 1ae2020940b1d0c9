"""Render pages from templates: every value in them is escaped, and a page loads nothing.

Scripts and styles are allowed only by their hashes (Content-Security-Policy).
"""

import base64
import hashlib
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from floodmark.base.escaping import shown
from floodmark.report.text import amount, duration, moment

_ASSETS = "report/assets"


def template(name: str) -> Template:
    """Return a template of the package, with the filters that pages use."""
    environment = Environment(
        loader=PackageLoader("floodmark", _ASSETS), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(amount=amount, shown=shown, moment=moment, duration=duration, percent=_percent, begun=_begun)
    return environment.get_template(name)


def asset(name: str) -> str:
    """Return a style or a script of the package."""
    return (files("floodmark") / _ASSETS / name).read_text(encoding="utf-8")


def policy(scripts: tuple[str, ...], style: str) -> str:
    """Return a Content-Security-Policy that allows these scripts and this style, and nothing else."""
    *running, styling = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in (*scripts, style)]
    return "; ".join((
        "default-src 'none'", f"script-src {' '.join(running) or chr(39) + 'none' + chr(39)}", f"style-src {styling}", "img-src data:",
        "base-uri 'none'", "form-action 'none'",
    ))  # fmt: skip


def _percent(share: float | None) -> str:
    return "\u2013" if share is None else f"{share:.1%}"


def _begun(text: str) -> str:
    """Return a text with a capital first letter; the rest is unchanged."""
    return text[:1].upper() + text[1:]
