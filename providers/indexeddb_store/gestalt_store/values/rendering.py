"""Key values as the text that answers carry, and that text read back by a key column's type.

The texts are those of Go's ``%v`` (contract.md 5.2): peers written against other stores compare and send them.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from gestalt_store.errors import Invalid
from gestalt_store.values.keys import Moment, PlainValue, decode

STRING, INT, FLOAT, BOOL, TIME, BYTES, JSON = range(7)
"""Column types on the wire."""

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_HEX_FLOAT = re.compile(r"[+-]?0[xX]([0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+", re.ASCII)
_NAMED_FLOAT = re.compile(r"[+-]?(inf|infinity)|nan", re.ASCII | re.IGNORECASE)
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(T| )(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d| \+0000 UTC)?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1)


def render(value: PlainValue) -> str:
    """Return the text of a key value."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, Moment):
        return _time_text(value)
    if isinstance(value, bytes):
        return f"[{' '.join(map(str, value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(render, value))}]"
    entries = sorted(value.items(), key=lambda item: item[0].encode())
    return f"map[{' '.join(f'{name}:{render(item)}' for name, item in entries)}]"


def key_name(primary_key: bytes) -> str:
    """Return an encoded primary key for people: quoted, as requests name it; its bytes in hex when it is damaged."""
    try:
        return repr(render(decode(primary_key)))
    except (ValueError, IndexError, struct.error):
        return f"0x{primary_key.hex()}"


def parse(text: str, column_type: int) -> PlainValue:
    """Return the key value that a request's ``id`` stands for.

    Raises:
        Invalid: the text is none of the column's type.
    """
    if column_type == INT:
        if not _INTEGER.fullmatch(text):
            raise Invalid(f"parsing {_quoted(text)} as an integer: invalid syntax")
        number = int(text)
        if not -(1 << 63) <= number < 1 << 63:
            raise Invalid(f"parsing {_quoted(text)} as an integer: value out of range")
        return number
    if column_type == FLOAT:
        return _parse_float(text)
    if column_type == BOOL:
        word = text.lower()
        if word not in ("true", "false", "1", "0"):
            raise Invalid(f"expected bool-compatible value, got {_quoted(text)}; accepted are true, false, 1 and 0")
        return word in ("true", "1")
    if column_type == TIME:
        return _parse_time(text)
    if column_type == BYTES:
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return text.encode()
    return text


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _float_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if math.copysign(1.0, value) < 0 else "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    point = len(digits) + int(exponent)  # digits before the decimal point
    text = "".join(map(str, digits))
    minus = "-" if sign else ""
    if point - 1 < -4 or point - 1 >= 6:
        fraction = f".{text[1:]}" if len(text) > 1 else ""
        power = point - 1
        return f"{minus}{text[0]}{fraction}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if point <= 0:
        return f"{minus}0.{'0' * -point}{text}"
    if len(text) <= point:
        return f"{minus}{text}{'0' * (point - len(text))}"
    return f"{minus}{text[:point]}.{text[point:]}"


def _parse_float(text: str) -> float:
    if _FLOAT.fullmatch(text):
        number = float(text)
    elif _HEX_FLOAT.fullmatch(text):
        try:
            number = float.fromhex(text)
        except OverflowError:
            number = math.inf
    elif _NAMED_FLOAT.fullmatch(text):
        return float(text)
    else:
        raise Invalid(f"parsing {_quoted(text)} as a float: invalid syntax")
    if math.isinf(number):
        raise Invalid(f"parsing {_quoted(text)} as a float: value out of range")
    return number


def _time_text(moment: Moment) -> str:
    when = _EPOCH + timedelta(seconds=moment.seconds)
    text = f"{when.year:04d}-{when.month:02d}-{when.day:02d} {when.hour:02d}:{when.minute:02d}:{when.second:02d}"
    if moment.nanos:
        text += f".{moment.nanos:09d}".rstrip("0")
    return text + " +0000 UTC"


def _parse_time(text: str) -> Moment:
    problem = Invalid(f"invalid time value {_quoted(text)}; accepted are RFC 3339 and 2026-05-01 12:00:00[.n] in UTC")
    match = _TIME.fullmatch(text)
    if match is None:
        raise problem
    year, month, day, separator, hour, minute, second, fraction, zone = match.groups()
    if (separator == "T") != (zone is not None and zone[0] != " "):
        raise problem
    try:
        when = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except ValueError:
        raise problem from None
    seconds = int((when.replace(tzinfo=None) - _EPOCH) / timedelta(seconds=1))
    if zone is not None and zone[0] in "+-":
        hours, minutes = int(zone[1:3]), int(zone[4:6])
        if hours > 24 or minutes > 59:
            raise problem
        offset = hours * 3600 + minutes * 60
        seconds -= offset if zone[0] == "+" else -offset
    return Moment(seconds, int(((fraction or "") + "000000000")[:9]))
