"""Convert typed values and records of the wire to plain values and back (contract.md 5.1).

A record is kept as the bytes that arrived, once it is checked: times must be valid and JSON must decode. Two forms are
rewritten to the plain value that the contract answers: JSON that holds no map or list, and a value without kind.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import Enum
from typing import Final

from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Value

from gestalt_store.errors import Undecodable
from gestalt_store.values import wire
from gestalt_store.values.keys import MAX_DEPTH, Moment, PlainValue
from gestalt_store.values.wire import Fields, Message

_MIN_SECONDS = -62_135_596_800  # 0001-01-01T00:00:00Z
_MAX_SECONDS = 253_402_300_799  # 9999-12-31T23:59:59Z
_STRUCT_TAG, _LIST_TAG = 0x2A, 0x32
_DOUBLE = struct.Struct("<d")


class Missing(Enum):
    """The type of ``MISSING``."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING
"""Stands for a value that is not there, which null would be."""


def read_record(data: bytes) -> tuple[Message, bytes]:
    """Check a record; return it decoded, and its bytes in the form in which they are kept.

    Raises:
        Undecodable: damaged bytes, an invalid time, JSON nested too deep.
    """
    try:
        record = wire.Record.FromString(data)
    except DecodeError:
        raise Undecodable("record cannot be decoded") from None
    fields: Fields = record.fields
    rewrite: list[tuple[str, PlainValue]] | None = None
    for name, value in fields.items():
        kind = value.WhichOneof("kind")
        if kind == "string_value" or kind == "int_value":
            continue
        if kind == "time_value":
            problem = time_problem(value.time_value)
            if problem:
                raise Undecodable(f'unmarshal record field "{name}": {problem}')
        elif kind == "json_value":
            try:
                plain = _check_json(value.json_value)
            except Undecodable as error:
                raise Undecodable(f'unmarshal record field "{name}": {error}') from None
            if plain is not MISSING:
                rewrite = [*(rewrite or ()), (name, plain)]
        elif kind is None:
            rewrite = [*(rewrite or ()), (name, None)]
    if rewrite:
        for name, plain in rewrite:
            fields[name].CopyFrom(typed_value(plain))
        data = record.SerializeToString(deterministic=True)
    return record, data


def time_problem(stamp: Message) -> str:
    """Say why the ``Timestamp`` is invalid; blank for a valid one."""
    if not _MIN_SECONDS <= stamp.seconds <= _MAX_SECONDS:
        where = "after 9999-12-31" if stamp.seconds > 0 else "before 0001-01-01"
        return f"unmarshal timestamp: timestamp (seconds:{stamp.seconds}) {where}"
    if not 0 <= stamp.nanos <= 999_999_999:
        return f"unmarshal timestamp: timestamp (nanos:{stamp.nanos}) has out-of-range nanos"
    return ""


def from_typed(value: Message) -> PlainValue:
    """Return the value of a TypedValue.

    Raises:
        Undecodable: an invalid time or damaged JSON.
    """
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "int_value":
        return value.int_value
    if kind == "float_value":
        return value.float_value
    if kind == "bool_value":
        return value.bool_value
    if kind == "time_value":
        problem = time_problem(value.time_value)
        if problem:
            raise Undecodable(problem)
        return Moment(value.time_value.seconds, value.time_value.nanos)
    if kind == "bytes_value":
        return value.bytes_value
    if kind == "json_value":
        return read_json(value.json_value)
    return None


def index_values(values: Sequence[Message], what: str = "unmarshal index values") -> list[PlainValue]:
    """Return the ``values`` of an index query; ``what`` begins the text of an error.

    Raises:
        Undecodable
    """
    result: list[PlainValue] = []
    for number, value in enumerate(values):
        try:
            result.append(from_typed(value))
        except Undecodable as error:
            raise Undecodable(f"{what}: unmarshal value {number}: {error}") from None
    return result


def from_key_value(key: Message) -> PlainValue:
    """Return the value of a cursor's KeyValue.

    Raises:
        Undecodable: it has no kind.
    """
    kind = key.WhichOneof("kind")
    if kind == "scalar":
        return from_typed(key.scalar)
    if kind == "array":
        return [from_key_value(element) for element in key.array.elements]
    raise Undecodable("a key value needs a scalar or an array")


def look_up(fields: Fields, path: Sequence[str]) -> PlainValue | Missing:
    """Return the value of a record at a key path split at its dots, which lead into maps, or ``MISSING``."""
    value = fields.get(path[0])
    if value is None:
        return MISSING
    if len(path) == 1:
        return from_typed(value)
    if value.WhichOneof("kind") != "json_value":
        return MISSING
    found = read_json(value.json_value)
    for name in path[1:]:
        if not isinstance(found, dict) or name not in found:
            return MISSING
        found = found[name]
    return found


def typed_value(value: PlainValue) -> Message:
    """Return the TypedValue of a value; lists and maps become JSON."""
    result = wire.TypedValue()
    if isinstance(value, str):
        result.string_value = value
    elif value is None:
        result.null_value = 0
    elif isinstance(value, bool):
        result.bool_value = value
    elif isinstance(value, int):
        result.int_value = value
    elif isinstance(value, float):
        result.float_value = value
    elif isinstance(value, Moment):
        result.time_value.seconds = value.seconds
        result.time_value.nanos = value.nanos
        result.time_value.SetInParent()
    elif isinstance(value, bytes):
        result.bytes_value = value
    else:
        result.json_value = write_json(value)
    return result


def key_value(value: PlainValue) -> Message:
    """Return the KeyValue of one key part: a list is an array of parts."""
    result = wire.KeyValue()
    if isinstance(value, str):
        result.scalar.string_value = value
    elif isinstance(value, list):
        result.array.SetInParent()
        result.array.elements.extend(key_value(item) for item in value)
    else:
        result.scalar.CopyFrom(typed_value(value))
    return result


def _check_json(data: bytes) -> PlainValue | Missing:
    """Return ``MISSING`` for a map or a list that decodes, else the plain value that the JSON holds."""
    tag = data[0] if data else 0
    if tag in (_STRUCT_TAG, _LIST_TAG):
        try:
            Value.FromString(data)
        except DecodeError:
            read_json(data)
        return MISSING
    return read_json(data)


def read_json(data: bytes) -> PlainValue:
    """Return the value of an encoded ``google.protobuf.Value``; numbers are floats, an unset kind is None.

    Raises:
        Undecodable: damaged, or nested deeper than ``MAX_DEPTH``.
    """
    try:
        return _from_value(Value.FromString(data))
    except DecodeError:
        # The library refuses more than 100 nested messages, which JSON reaches at some 33 levels; ours goes deeper.
        try:
            return _value(memoryview(data), 0)
        except (IndexError, UnicodeDecodeError, struct.error):
            raise Undecodable("json value cannot be decoded") from None


def write_json(value: PlainValue) -> bytes:
    """Return the encoded ``google.protobuf.Value`` of a JSON-like value."""
    out = bytearray()
    if value is None:
        out += b"\x08\x00"
    elif isinstance(value, bool):
        out += b"\x20\x01" if value else b"\x20\x00"
    elif isinstance(value, (int, float)):
        out += b"\x11" + _DOUBLE.pack(value)
    elif isinstance(value, str):
        _field(out, 0x1A, value.encode())
    elif isinstance(value, dict):
        body = bytearray()
        for name, item in value.items():
            entry = bytearray()
            _field(entry, 0x0A, name.encode())
            _field(entry, 0x12, write_json(item))
            _field(body, 0x0A, entry)
        _field(out, _STRUCT_TAG, body)
    elif isinstance(value, list):
        body = bytearray()
        for item in value:
            _field(body, 0x0A, write_json(item))
        _field(out, _LIST_TAG, body)
    else:
        raise TypeError(f"{type(value).__name__} is not a JSON value")
    return bytes(out)


def _field(out: bytearray, tag: int, body: bytes | bytearray) -> None:
    out.append(tag)
    size = len(body)
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    out += body


def _from_value(value: Value) -> PlainValue:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "number_value":
        return value.number_value
    if kind == "bool_value":
        return value.bool_value
    if kind == "struct_value":
        return {name: _from_value(item) for name, item in value.struct_value.fields.items()}
    if kind == "list_value":
        return [_from_value(item) for item in value.list_value.values]
    return None


def _items(data: memoryview) -> list[tuple[int, float, memoryview]]:
    """Return tag, number and body of each field of an encoded message; a field has one of the two."""
    found: list[tuple[int, float, memoryview]] = []
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        number: float = 0
        body = data[:0]
        if kind == 0:
            number, at = _varint(data, at)
        elif kind == 1:
            number, at = _DOUBLE.unpack_from(data, at)[0], at + 8
        elif kind == 5:
            at += 4
        elif kind == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise IndexError
            body, at = data[at : at + size], at + size
        else:
            raise IndexError
        found.append((tag, number, body))
    return found


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
        if shift > 63:
            raise IndexError


def _value(data: memoryview, depth: int) -> PlainValue:
    if depth > MAX_DEPTH:
        raise Undecodable(f"json value is nested deeper than {MAX_DEPTH} levels")
    result: PlainValue = None
    for tag, number, body in _items(data):
        if tag == 0x08:
            result = None
        elif tag == 0x11:
            result = number
        elif tag == 0x1A:
            result = bytes(body).decode()
        elif tag == 0x20:
            result = bool(number)
        elif tag == _STRUCT_TAG:
            members: dict[str, PlainValue] = {}
            for entry_tag, _, entry in _items(body):
                if entry_tag == 0x0A:
                    parts = {part: content for part, _, content in _items(entry)}
                    members[bytes(parts.get(0x0A, b"")).decode()] = _value(parts.get(0x12, data[:0]), depth + 1)
            result = members
        elif tag == _LIST_TAG:
            result = [_value(item, depth + 1) for item_tag, _, item in _items(body) if item_tag == 0x0A]
    return result
