"""Escape untrusted text before it is printed."""


def shown(text: str) -> str:
    """Return text with unprintable characters replaced by Python escape sequences."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)
