"""Convert between the protobuf well-known types and Python's own values.

JSON-like: dict, list, str, float/int, bool, None <-> ``Struct`` and ``Value``. Times: aware UTC ``datetime`` or
nanoseconds since the epoch <-> ``Timestamp``. Typed record values live in ``indexeddb``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from gestalt_sdk.common.numbers import INEXACT, is_exact
from gestalt_sdk.common.sizes import LEVELS, too_deep

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Integers beyond this are not exact as doubles, which is what a Struct carries.
_EXACT_INTEGER = 2.0**53


def to_struct(mapping: Mapping[str, Any]) -> Struct:
    """Return the mapping as a ``Struct``.

    Raises:
        TypeError: JSON has no such value; the text names its path.
        ValueError: an integer that no double holds, so that another one would arrive; likewise (decision 28).
    """
    struct = Struct()
    _fill_struct(struct, mapping, "")
    return struct


def to_value(value: Any) -> Value:
    """Return any JSON-like value as a ``Value``; see ``to_struct``."""
    result = Value()
    _fill_value(result, value, "")
    return result


def shallow_struct(name: str, mapping: Mapping[str, object] | None) -> Struct | None:
    """Return the mapping as a ``Struct`` that every host takes; None for an empty one.

    Raises:
        TypeError, ValueError: as ``to_struct``; ValueError also for more than ``LEVELS`` levels, naming the value.
    """
    if refusal := too_deep(name, mapping):
        raise ValueError(refusal)
    return to_struct(mapping) if mapping else None


def is_struct_too_deep(struct: Struct) -> bool:
    """Return whether a struct that has arrived has more than ``LEVELS`` levels of objects and lists."""
    level: list[Struct | ListValue] = [struct]
    for _ in range(LEVELS):
        values = chain.from_iterable(
            container.fields.values() if isinstance(container, Struct) else container.values for container in level
        )
        level = [
            value.struct_value if value.HasField("struct_value") else value.list_value
            for value in values
            if value.HasField("struct_value") or value.HasField("list_value")
        ]
        if not level:
            return False
    return True


def from_struct(struct: Struct) -> dict[str, Any]:
    """Return the struct as a dict, keys sorted; doubles with an integral value below 2**53 become ``int``."""
    fields = struct.fields
    return {key: from_value(fields[key]) for key in sorted(fields)}


def from_value(value: Value) -> Any:
    """Return the value as Python's own; an unset kind is None."""
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "number_value":
        number = value.number_value
        if -_EXACT_INTEGER <= number <= _EXACT_INTEGER and number.is_integer():
            return int(number)
        return number
    if kind == "bool_value":
        return value.bool_value
    if kind == "struct_value":
        return from_struct(value.struct_value)
    if kind == "list_value":
        return [from_value(item) for item in value.list_value.values]
    return None


def _fill_struct(struct: Struct, mapping: Mapping[str, Any], path: str) -> None:
    fields = struct.fields
    for key, value in mapping.items():
        if not isinstance(key, str):
            raise TypeError(f"{path or 'value'}: key {key!r} is not text")
        _fill_value(fields[key], value, f"{path}.{key}" if path else key)


def _fill_list(target: ListValue, items: Iterable[Any], path: str) -> None:
    for index, item in enumerate(items):
        _fill_value(target.values.add(), item, f"{path}[{index}]")


def _fill_value(target: Value, value: Any, path: str) -> None:
    if value is None:
        target.null_value = 0  # type: ignore[assignment]
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, float):
        target.number_value = value
    elif isinstance(value, int):
        if not is_exact(value):
            raise ValueError(f"{path or 'value'} {INEXACT}")
        target.number_value = float(value)
    elif isinstance(value, Mapping):
        target.struct_value.SetInParent()
        _fill_struct(target.struct_value, value, path)
    elif isinstance(value, (list, tuple)):
        target.list_value.SetInParent()
        _fill_list(target.list_value, value, path)
    else:
        raise TypeError(f"{path or 'value'}: {type(value).__name__} is not a JSON value")


def to_timestamp(moment: datetime) -> Timestamp:
    """Return the moment as a ``Timestamp``; a naive one is taken as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - EPOCH
    return Timestamp(seconds=delta.days * 86_400 + delta.seconds, nanos=delta.microseconds * 1000)


def from_timestamp(stamp: Timestamp) -> datetime:
    """Return the timestamp as an aware UTC ``datetime``, cut to microseconds."""
    return datetime.fromtimestamp(stamp.seconds, UTC).replace(microsecond=stamp.nanos // 1000)


def rfc3339(moment: datetime) -> str:
    """Return the moment as RFC 3339 in UTC with ``Z``; a fraction only when not zero, without trailing zeros."""
    moment = moment.astimezone(UTC)
    date = f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}"
    text = f"{date}T{moment.hour:02d}:{moment.minute:02d}:{moment.second:02d}"
    if moment.microsecond:
        text += f".{moment.microsecond:06d}".rstrip("0")
    return text + "Z"


def optional_struct(mapping: Mapping[str, Any]) -> Struct | None:
    """Return the struct, or None (field unset) for an empty mapping."""
    return to_struct(mapping) if mapping else None


def optional_timestamp(moment: datetime | None) -> Timestamp | None:
    """Return the timestamp, or None (field unset) for None."""
    return None if moment is None else to_timestamp(moment)


def optional_time(message: Any, name: str) -> datetime | None:
    """Return the named Timestamp field of the message, None when unset."""
    return from_timestamp(getattr(message, name)) if message.HasField(name) else None
