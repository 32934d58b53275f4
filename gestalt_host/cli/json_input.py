"""JSON that people write: files, and values on the command line."""

from __future__ import annotations

import codecs
import json
import re

import orjson

from gestalt_host.cli.json_lists import JsonValue

_LONG = re.compile(rb"\d{16}")
"""An integer with fewer digits than 16 always is a double."""
_MOST_DIGITS = 309
"""The largest double has as many digits."""


class InexactInteger(ValueError):
    """An integer would arrive as another one, since numbers travel as IEEE doubles; the text names it."""


def parsed(content: bytes | str) -> JsonValue:
    """Return the value of a document, which may begin with a byte order mark.

    Raises:
        ValueError: it is no JSON.
    """
    text = content.encode() if isinstance(content, str) else content
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("it is UTF-16, as some shells write into files; accepted is UTF-8")
    return orjson.loads(text.removeprefix(codecs.BOM_UTF8))


def exact(content: bytes | str, name: str = "") -> JsonValue:
    """Return the value of a document whose numbers survive being sent.

    Args:
        name: What the value is called in an error; empty for a document, whose members are.

    Raises:
        InexactInteger: the nearest double of an integer in it is another integer.
        ValueError: it is no JSON.
    """
    text = content.encode() if isinstance(content, str) else content.removeprefix(codecs.BOM_UTF8)
    if _LONG.search(text):
        # orjson makes doubles of integers beyond 64 bits, and refuses those beyond every double as no JSON.
        try:
            document = json.loads(text, parse_int=_integer)
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        except ValueError:
            document = None  # orjson says what is wrong with it
        _check(document, name)
    return parsed(text)


class _Huge(str):
    """The digits of an integer beyond every double."""


def _integer(digits: str) -> int | _Huge:
    return int(digits) if len(digits) <= _MOST_DIGITS + 1 else _Huge(digits)


def _check(document: JsonValue, name: str) -> None:
    """Raise ``InexactInteger`` for the first such integer; the document may be nested as deeply as memory allows."""
    left = [(name, document)]
    while left:
        place, value = left.pop()
        if isinstance(value, dict):
            left += [(f"{place}.{key}" if place else key, member) for key, member in reversed(value.items())]
        elif isinstance(value, list):
            left += [(f"{place}[{index}]", item) for index, item in reversed(list(enumerate(value)))]
        elif isinstance(value, _Huge) or (isinstance(value, int) and not _is_double(value)):
            digits = str(value)
            shown = digits if len(digits) <= 40 else f"{digits[:20]}… ({len(digits)} digits)"
            raise InexactInteger(
                f"{f'{place}: ' if place else ''}the integer {shown} would arrive changed, since numbers travel as "
                "doubles (exact up to 9007199254740992); send it as text"
            )


def _is_double(value: int) -> bool:
    try:
        return int(float(value)) == value
    except OverflowError:
        return False
