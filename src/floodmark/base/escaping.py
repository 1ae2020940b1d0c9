"""Escape untrusted text before it is printed."""


def shown(text: str) -> str:
    """Return text with everything that is not printable written out, as Python writes it in a string."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)
