"""Show text that somebody else has written: nothing in it moves the cursor, sets a colour or turns the line around."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return the text with each character that is not printable as its escape in Python; tabs stay."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\t" else _escaped(ord(char)) for char in text)


def printable_json(text: str) -> str:
    """Return the JSON text with each character that is not printable as the escape that JSON has for it.

    JSON escapes control characters below U+0020 itself, but neither those of U+007F to U+009F nor, for example, the
    ones that turn the direction of text.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _json_escaped(char) for char in text)


def _escaped(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
