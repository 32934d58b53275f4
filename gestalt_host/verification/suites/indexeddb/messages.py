"""Short words for the messages of the IndexedDB service: Python values on one side, typed values on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import EllipsisType

from google.protobuf.struct_pb2 import Value

from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.transport.values import to_value

UNSET = ...
"""In place of a bound that is not sent."""


@dataclass(frozen=True, slots=True)
class Time:
    """A time value: seconds and nanoseconds since the epoch."""

    seconds: int
    nanos: int = 0


@dataclass(frozen=True, slots=True)
class Json:
    """A value that is sent as json_value, whatever it is."""

    value: object


def value(native: object) -> pb.TypedValue:
    """Return the typed value of a native one; lists and dicts are json, a typed value is itself."""
    if isinstance(native, pb.TypedValue):
        return native
    made = pb.TypedValue()
    if native is None:
        made.null_value = 0  # type: ignore[assignment]
    elif isinstance(native, bool):
        made.bool_value = native
    elif isinstance(native, int):
        made.int_value = native
    elif isinstance(native, float):
        made.float_value = native
    elif isinstance(native, str):
        made.string_value = native
    elif isinstance(native, bytes):
        made.bytes_value = native
    elif isinstance(native, Time):
        made.time_value.seconds, made.time_value.nanos = native.seconds, native.nanos
        made.time_value.SetInParent()
    else:
        made.json_value.CopyFrom(to_value(native.value if isinstance(native, Json) else native))
    return made


def record(**fields: object) -> pb.Record:
    """Return a record of these fields."""
    made = pb.Record()
    for name, native in fields.items():
        made.fields[name].CopyFrom(value(native))
    return made


def native(typed: pb.TypedValue) -> object:
    """Return the native value of a typed one; a time is a ``Time``."""
    kind = typed.WhichOneof("kind")
    if kind == "time_value":
        return Time(typed.time_value.seconds, typed.time_value.nanos)
    if kind == "json_value":
        return _plain(typed.json_value)
    return None if kind in (None, "null_value") else getattr(typed, kind)


def _plain(item: Value) -> object:
    kind = item.WhichOneof("kind")
    if kind == "struct_value":
        return {name: _plain(part) for name, part in item.struct_value.fields.items()}
    if kind == "list_value":
        return [_plain(part) for part in item.list_value.values]
    return None if kind in (None, "null_value") else getattr(item, kind)


def fields(made: pb.Record) -> dict[str, object]:
    """Return the native values of a record by the names of its fields."""
    return {name: native(typed) for name, typed in made.fields.items()}


def bounds(
    lower: object | EllipsisType = UNSET,
    upper: object | EllipsisType = UNSET,
    *,
    lower_open: bool = False,
    upper_open: bool = False,
) -> pb.KeyRange:
    """Return a range of keys; a bound that is not given is not sent."""
    made = pb.KeyRange(lower_open=lower_open, upper_open=upper_open)
    if lower is not UNSET:
        made.lower.CopyFrom(value(lower))
    if upper is not UNSET:
        made.upper.CopyFrom(value(upper))
    return made


def index(name: str, *key_path: str, unique: bool = False) -> pb.IndexSchema:
    """Return the schema of an index."""
    return pb.IndexSchema(name=name, key_path=key_path, unique=unique)


def key_column(type: int, name: str = "k") -> pb.ColumnDef:
    """Return a column that is the primary key; the types are those of ``ColumnDef.type``."""
    return pb.ColumnDef(name=name, type=type, primary_key=True)


def scalar(native: object) -> pb.KeyValue:
    """Return a key value of one part."""
    return pb.KeyValue(scalar=value(native))


def key_of(entry: pb.CursorEntry) -> list[object]:
    """Return the native parts of the key of an entry."""
    return [_part(part) for part in entry.key]


def _part(part: pb.KeyValue) -> object:
    if part.WhichOneof("kind") == "array":
        return [_part(element) for element in part.array.elements]
    return native(part.scalar)


Row = Mapping[str, object]
"""Fields of a record, as native values."""
