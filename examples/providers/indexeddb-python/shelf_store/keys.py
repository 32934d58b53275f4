"""Keys: as bytes that sort as the keys do, as the text of answers, and from the text of requests.

Keys sort as null < bool < number < time < text < bytes < map < array. Numbers compare by value, so 1 and 1.0 sort as
one, but they are two keys: ``Key.order`` is the same for both, ``Key.exact`` is not.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import NamedTuple, TypeAlias, cast

from google.protobuf import struct_pb2

from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.indexeddb import Nanos, from_typed
from shelf_store.errors import Invalid

Value: TypeAlias = "bool | int | float | datetime | str | bytes | list[Value] | dict[str, Value] | None"
"""Numbers within lists and dicts are floats."""
END = b"\x00"
AFTER = b"\xff"
"""Sorts behind whatever can follow a key."""
_NULL, _BOOL, _NUMBER, _TIME, _TEXT, _BYTES, _MAP, _ARRAY = (bytes([tag]) for tag in range(1, 9))
_INT, _FLOAT, _NEGATIVE_ZERO = (bytes([tag]) for tag in range(1, 4))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)"
    r"(?:T(\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)| (\d\d:\d\d:\d\d)(\.\d+)?(?: \+0000 UTC)?)",
    re.ASCII,
)


class Key(NamedTuple):
    """A key as bytes. ``order`` sorts as the key does; ``exact`` tells apart keys that sort as one."""

    order: bytes
    exact: bytes


def value_of(typed: pb.TypedValue) -> Value:
    """Return the value. Raises ``ValueError`` for a time that is none."""
    if typed.WhichOneof("kind") == "json_value":
        return _of_json(typed.json_value)
    if typed.WhichOneof("kind") == "time_value" and not 0 <= typed.time_value.nanos < 10**9:
        raise ValueError(f"timestamp has {typed.time_value.nanos} nanoseconds; accepted is 0 to 999999999")
    try:
        return cast(Value, from_typed(typed))
    except OverflowError:
        raise ValueError("timestamp is outside of the years 1 to 9999") from None


def _of_json(value: struct_pb2.Value) -> Value:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return {name: _of_json(item) for name, item in value.struct_value.fields.items()}
    if kind == "list_value":
        return [_of_json(item) for item in value.list_value.values]
    return None if kind is None or kind == "null_value" else cast(Value, getattr(value, kind))


def encode(value: Value) -> Key:
    """Return the key that is one value."""
    types = bytearray()
    return Key(_order(value, types), bytes(types))


def encode_parts(parts: Sequence[Value]) -> Key:
    """Return the parts of an index key, one after the other; ``order`` with ``END`` behind it is that of the key."""
    types = bytearray()
    return Key(b"".join(_order(part, types) for part in parts), bytes(types))


def _order(value: Value, types: bytearray) -> bytes:
    if value is None:
        return _NULL
    if isinstance(value, bool):
        return _BOOL + bytes([value])
    if isinstance(value, (int, float)):
        is_negative_zero = value == 0 and math.copysign(1, value) < 0
        types += _INT if isinstance(value, int) else _NEGATIVE_ZERO if is_negative_zero else _FLOAT
        return _NUMBER + _number(value)
    if isinstance(value, datetime):
        seconds, nanos = _seconds(value)
        return _TIME + struct.pack(">QI", seconds + 2**63, nanos)
    if isinstance(value, str):
        return _TEXT + _escaped(value.encode())
    if isinstance(value, bytes):
        return _BYTES + _escaped(value)
    if isinstance(value, dict):
        items = sorted((name.encode(), item) for name, item in value.items())
        return _MAP + b"".join(_TEXT + _escaped(name) + _order(item, types) for name, item in items) + END
    return _ARRAY + b"".join(_order(item, types) for item in value) + END


def _escaped(raw: bytes) -> bytes:
    return raw.replace(b"\x00", b"\x00\xff") + END


def _number(value: int | float) -> bytes:
    """Return the largest double that is not above the number, and what is missing to it: exact for 64 bits."""
    floor, rest = float(value), 0
    if isinstance(value, int):
        if floor > value:
            floor = math.nextafter(floor, -math.inf)
        rest = value - int(floor)
    if math.isnan(floor):
        floor = math.nan  # all of them are one, behind every other number
    bits = int.from_bytes(struct.pack(">d", abs(floor) if floor == 0 or math.isnan(floor) else floor))
    return struct.pack(">QH", bits ^ (2**64 - 1) if bits >> 63 else bits | 2**63, rest)


def _seconds(moment: datetime) -> tuple[int, int]:
    since = moment - _EPOCH
    below = moment.nanosecond if isinstance(moment, Nanos) else 0
    return since.days * 86_400 + since.seconds, since.microseconds * 1000 + below


def text_of(value: Value) -> str:
    """Return the key as answers carry it: as `%v` of Go writes it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _text_of_float(value)
    if isinstance(value, datetime):
        nanos = _seconds(value)[1]
        fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
        return f"{value.year:04d}-{value:%m-%d %H:%M:%S}{fraction} +0000 UTC"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{name}:{text_of(item)}' for name, item in sorted(value.items()))}]"
    if isinstance(value, (bytes, list)):
        return f"[{' '.join(map(text_of, value))}]"
    return str(value)


def _text_of_float(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    number = Decimal(repr(value)).normalize()
    power = number.adjusted()
    return f"{number:f}" if value == 0 or -4 <= power < 6 else f"{number.scaleb(-power):f}e{power:+03d}"


def parse_key(text: str, column_type: int) -> Value:
    """Return the key that the ``id`` of a request stands for.

    Args:
        column_type: ``ColumnDef.type`` of the primary key.
    Raises:
        Invalid: it stands for none of that type.
    """
    try:
        if column_type == 1 and re.fullmatch(r"[+-]?\d+", text, re.ASCII) and -(2**63) <= int(text) < 2**63:
            return int(text)
        if column_type == 2 and text.strip() == text and "_" not in text:
            return float(text)
        if column_type == 3 and text.lower() in ("true", "false", "1", "0"):
            return text.lower() in ("true", "1")
        if column_type == 4:
            return _parse_time(text)
    except (ValueError, OverflowError):
        pass
    else:
        if column_type == 5:
            try:
                return base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                return text.encode()
        if column_type not in (1, 2, 3):
            return text
    accepted = {1: "an integer of 64 bits", 2: "a number", 3: "true, false, 1 or 0", 4: "a time as RFC 3339 has it"}
    raise Invalid(f'record id is "{text}"; accepted is {accepted[column_type]}')


def _parse_time(text: str) -> datetime:
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError(text)
    day, clock, fraction, offset, plain_clock, plain_fraction = found.groups()
    moment = datetime.fromisoformat(f"{day} {clock or plain_clock}").replace(tzinfo=UTC)
    if offset and offset != "Z":
        hours, minutes = map(int, offset[1:].split(":"))
        away = timezone(timedelta(hours=hours, minutes=minutes) * (-1 if offset[0] == "-" else 1))
        moment = moment.replace(tzinfo=away).astimezone(UTC)
    nanos = int(f"{(fraction or plain_fraction or '.')[1:10]:0<9}")
    moment = moment.replace(microsecond=nanos // 1000)
    return Nanos.at(moment, nanos % 1000) if nanos % 1000 else moment
