"""Show text that somebody else has written: nothing in it moves the cursor, sets a colour or turns the line around."""

from __future__ import annotations

from gestalt_sdk.common.texts import cut

QUOTED_BYTES = 512
"""How much of a value a text shows: names and ids that are accepted are shown whole."""

_NAMED = {
    "\\": "\\\\",
    '"': '\\"',
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\v": "\\v",
}


def printable(text: str) -> str:
    """Return the text with each character that is not printable as its escape in Python; tabs stay."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\t" else _escaped(ord(char)) for char in text)


def quoted(text: str) -> str:
    """Return the text in double quotes, as texts of errors show a value: escaped, and cut when it is long.

    Quotes, backslashes and what is not printable become escapes; printable Unicode stays. Of a value over
    ``QUOTED_BYTES`` the beginning is shown, and behind the quotes how many bytes it has.
    """
    size = len(text.encode(errors="surrogatepass"))
    shown = text if size <= QUOTED_BYTES else cut(text.encode(errors="replace").decode(), QUOTED_BYTES)
    rest = f" (cut, {size} bytes in all)" if size > QUOTED_BYTES else ""
    return f'"{"".join(map(_quoted, shown))}"{rest}'


def printable_json(text: str) -> str:
    """Return the JSON text with each character that is not printable as the escape that JSON has for it.

    JSON escapes control characters below U+0020 itself, but neither those of U+007F to U+009F nor, for example, the
    ones that turn the direction of text.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _json_escaped(char) for char in text)


def _quoted(char: str) -> str:
    if char in _NAMED:
        return _NAMED[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else _escaped_wide(code)


def _escaped_wide(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escaped(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return _escaped_wide(code)


def _json_escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
