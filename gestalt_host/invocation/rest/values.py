"""How a JSON value is written in a request: as text in path, query and header, and as the JSON of a body.

Numbers are IEEE doubles (decision 28) and are written as ECMAScript does, which is also what JSON texts of browsers and
of most servers have: no fraction where there is none, and an exponent from 1e21 and below 1e-6 only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from json.encoder import encode_basestring

from gestalt_host.packages.digests import escaped

_EXACT = 2**53
_MOST_DIGITS = 21
"""Digits before the point that are written without an exponent."""
_MOST_ZEROS = 6
"""Zeros behind the point that are written without an exponent, the first non-zero digit being the last of them."""


class Unrequestable(Exception):
    """What a manifest, the configuration or a connection gives makes no request; the text shows no secret."""


class Unwritable(ValueError):
    """No request can carry a value. The text is the end of a sentence that begins with the value's name."""


def text_of(value: object) -> str:
    """Return a value as path, query and headers carry it: a text as it is, anything else as compact JSON.

    Raises:
        Unwritable: it is or holds what JSON and UTF-8 cannot write.
    """
    return _utf8(value) if isinstance(value, str) else json_text(value)


def json_body(params: Mapping[str, object]) -> bytes:
    """Return an object as the bytes of a body: compact JSON in UTF-8, as ``json_text``.

    Raises:
        Unwritable: it holds what JSON and UTF-8 cannot write.
    """
    return json_text(params).encode()


def json_text(value: object) -> str:
    """Return compact JSON, keys sorted, with the escapes of ``digests.escaped``: equal values have equal texts.

    Raises:
        Unwritable: it is or holds what JSON and UTF-8 cannot write.
        TypeError: it is or holds no JSON value.
    """
    return _utf8(escaped(_written(value)))


def _written(value: object) -> str:
    # A writer of its own, because the library's has another form for numbers.
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_text(value)
    if isinstance(value, Mapping):
        members = [f"{encode_basestring(name)}:{_written(value[name])}" for name in sorted(value)]
        return f"{{{','.join(members)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_written, value))}]"
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def number_text(number: float) -> str:
    """Return the shortest text that reads as the same double, in ECMAScript's form; both zeros are ``0``.

    Raises:
        Unwritable: infinite, or not a number.
    """
    if isinstance(number, int) and -_EXACT <= number <= _EXACT:
        return str(number)
    try:
        double = float(number)
    except OverflowError:
        double = math.inf
    if not math.isfinite(double):
        raise Unwritable("is a number that JSON cannot write; accepted is a finite one")
    if double.is_integer() and abs(double) <= _EXACT:
        return str(int(double))
    sign, digits, exponent = Decimal(repr(double)).normalize().as_tuple()
    return ("-" if sign else "") + _decimal("".join(map(str, digits)), int(exponent) + len(digits))


def _decimal(digits: str, point: int) -> str:
    """Return 0.DIGITS times ten to the power of ``point``."""
    if len(digits) <= point <= _MOST_DIGITS:
        return digits.ljust(point, "0")
    if 0 < point <= _MOST_DIGITS:
        return f"{digits[:point]}.{digits[point:]}"
    if -_MOST_ZEROS < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"


def _utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unwritable("holds half of a surrogate pair, which no text in UTF-8 can") from None
    return text
