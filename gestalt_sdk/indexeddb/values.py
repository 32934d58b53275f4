"""Convert typed record values: Python's own <-> ``TypedValue``, ``Record``, ``KeyValue`` (contract.md 5.1).

An int stays an int and a float a float, at the top level of a record; inside JSON lists and maps every number is a
double, and a whole one comes back as int. Times keep their nanoseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any, SupportsIndex

from google.protobuf.timestamp_pb2 import Timestamp

from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.indexeddb.schema import FieldValue, KeyRange, Record
from gestalt_sdk.transport.values import EPOCH, from_struct, from_value, to_value

_NAIVE_EPOCH = EPOCH.replace(tzinfo=None)


class Nanos(datetime):
    """Be a ``datetime`` that has nanoseconds: ``nanosecond``, 0 to 999, is the part below its microsecond.

    Compares with any ``datetime`` to the nanosecond. Arithmetic gives a value whose ``nanosecond`` is 0.
    """

    __slots__ = ("nanosecond",)
    nanosecond: int

    def __new__(
        cls,
        year: Any,
        month: Any = None,
        day: Any = None,
        hour: int = 0,
        minute: int = 0,
        second: int = 0,
        microsecond: int = 0,
        tzinfo: tzinfo | None = None,
        *,
        fold: int = 0,
        nanosecond: int = 0,
    ) -> Nanos:
        """Make a moment as ``datetime`` does. Raises ``ValueError`` for a nanosecond that is not 0 to 999."""
        if not 0 <= nanosecond <= 999:
            raise ValueError(f"nanosecond is {nanosecond}; accepted is 0 to 999")
        self = super().__new__(cls, year, month, day, hour, minute, second, microsecond, tzinfo, fold=fold)
        self.nanosecond = nanosecond
        return self

    @classmethod
    def at(cls, moment: datetime, nanosecond: int) -> Nanos:
        """Return the moment with this many nanoseconds below its microsecond."""
        date, time = moment.date(), moment.timetz()
        return cls(
            date.year,
            date.month,
            date.day,
            time.hour,
            time.minute,
            time.second,
            time.microsecond,
            moment.tzinfo,
            fold=moment.fold,
            nanosecond=nanosecond,
        )

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return (Nanos.at, (datetime.combine(self.date(), self.timetz()), self.nanosecond))

    def __repr__(self) -> str:
        return f"Nanos({self.isoformat()!r}, nanosecond={self.nanosecond})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, datetime):
            return NotImplemented
        return super().__eq__(other) and _nanosecond(other) == self.nanosecond

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = datetime.__hash__

    def __lt__(self, other: Any) -> bool:
        if isinstance(other, datetime) and super().__eq__(other):
            return self.nanosecond < _nanosecond(other)
        return super().__lt__(other)

    def __gt__(self, other: Any) -> bool:
        if isinstance(other, datetime) and super().__eq__(other):
            return self.nanosecond > _nanosecond(other)
        return super().__gt__(other)

    def __le__(self, other: Any) -> bool:
        return self == other or self < other

    def __ge__(self, other: Any) -> bool:
        return self == other or self > other


def _nanosecond(moment: object) -> int:
    return moment.nanosecond if isinstance(moment, Nanos) else 0


def to_typed(value: FieldValue) -> pb.TypedValue:
    """Return the value as a message.

    Raises:
        TypeError: records do not have that type.
        ValueError: an int beyond 64 bits with sign.
    """
    result = pb.TypedValue()
    write_typed(result, value, "value")
    return result


def write_typed(target: pb.TypedValue, value: FieldValue, name: str) -> None:
    """Write what ``to_typed`` returns into an existing message; ``name`` is the field that errors speak of."""
    if isinstance(value, str):
        target.string_value = value
    elif value is None:
        target.null_value = 0  # type: ignore[assignment]
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"{name} is {value}; accepted are integers of 64 bits with sign")
        target.int_value = value
    elif isinstance(value, float):
        target.float_value = value
    elif isinstance(value, datetime):
        write_time(target.time_value, value)
        target.time_value.SetInParent()
    elif isinstance(value, (bytes, bytearray, memoryview)):
        target.bytes_value = bytes(value)
    elif isinstance(value, (Mapping, list, tuple)):
        try:
            target.json_value.CopyFrom(to_value(value))
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}: {error}") from None
    else:
        raise TypeError(
            f"{name} is a {type(value).__name__}; accepted are None, bool, int, float, str, bytes, datetime, "
            "and JSON lists and dicts"
        )


def from_typed(message: pb.TypedValue) -> FieldValue:
    """Return the value as Python's own; None when it is null or unset."""
    kind = message.WhichOneof("kind")
    if kind == "string_value":
        return message.string_value
    if kind == "int_value":
        return message.int_value
    if kind == "time_value":
        return read_time(message.time_value)
    if kind == "json_value":
        return _from_json(message)
    if kind == "bool_value":
        return message.bool_value
    if kind == "float_value":
        return message.float_value
    if kind == "bytes_value":
        return message.bytes_value
    return None


def _from_json(message: pb.TypedValue) -> FieldValue:
    value = message.json_value
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return from_struct(value.struct_value)
    if kind == "number_value":
        return value.number_value
    return from_value(value)


def write_time(target: Timestamp, moment: datetime) -> None:
    """Write the moment into the message, to the nanosecond; a naive one is UTC."""
    delta = moment - EPOCH if moment.tzinfo is not None else moment - _NAIVE_EPOCH
    target.seconds = delta.days * 86_400 + delta.seconds
    target.nanos = delta.microseconds * 1000 + _nanosecond(moment)


def read_time(stamp: Timestamp) -> datetime:
    """Return an aware UTC ``datetime``, ``Nanos`` when microseconds do not hold it."""
    microsecond, nanosecond = divmod(stamp.nanos, 1000)
    moment = EPOCH + timedelta(seconds=stamp.seconds, microseconds=microsecond)
    return Nanos.at(moment, nanosecond) if nanosecond else moment


def to_record(fields: Mapping[str, FieldValue]) -> pb.Record:
    """Return the record as a message.

    Raises:
        TypeError, ValueError: a field cannot be kept; the text names it.
    """
    record = pb.Record()
    values = record.fields
    for name, value in fields.items():
        write_typed(values[name], value, name)
    return record


def from_record(record: pb.Record) -> Record:
    """Return the record by field name."""
    return {name: from_typed(value) for name, value in record.fields.items()}


def to_key(value: FieldValue) -> pb.KeyValue:
    """Return the key as a message: a list or tuple is an array key, anything else a scalar one."""
    if isinstance(value, (list, tuple)):
        return pb.KeyValue(array=pb.KeyValueArray(elements=[to_key(part) for part in value]))
    return pb.KeyValue(scalar=to_typed(value))


def from_key(message: pb.KeyValue) -> FieldValue:
    """Return the key: a list for an array key."""
    if message.WhichOneof("kind") == "array":
        return [from_key(part) for part in message.array.elements]
    return from_typed(message.scalar)


def to_range(key_range: KeyRange | None) -> pb.KeyRange | None:
    """Return the range as a message; a bound that is a list is one of several key parts, of JSON types."""
    if key_range is None:
        return None
    message = pb.KeyRange(lower_open=key_range.lower_open, upper_open=key_range.upper_open)
    if key_range.lower is not None:
        write_typed(message.lower, key_range.lower, "lower bound")
    if key_range.upper is not None:
        write_typed(message.upper, key_range.upper, "upper bound")
    return message
