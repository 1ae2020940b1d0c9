"""Text of others made safe to show: a file's name or an octet of a payload must not steer the terminal it is printed on."""


def shown(text: str) -> str:
    """Return text with everything that is not printable written out, as Python writes it in a string."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)
