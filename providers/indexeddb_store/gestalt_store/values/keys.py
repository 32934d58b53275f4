"""Keys as bytes whose byte order is the order of the keys (contract.md 5.2, decision 13).

A key is encoded in two parts. ``order`` decides comparison: two values that compare equal, such as 1 and 1.0, have the
same order bytes. ``ties`` tells such values apart, so that they remain two keys. Both together give the value back.

Order bytes of one value, a tag first, so that types follow each other as
null < bool < number < time < text < bytes < map < array:

* number: the nearest double, its bits arranged to sort, then what the integer differs from it, so the comparison of
  64-bit integers and doubles is exact; NaN comes last.
* time: seconds and nanoseconds since the epoch.
* text, bytes: the bytes, 00 as 00 FF, and 00 at the end.
* map: its entries ordered by key, each key and value in turn, 00 at the end. array: its elements, 00 at the end.

Every encoding is self-delimiting and starts below 0x80, so the keys that begin with some parts are exactly those
between the parts' bytes and those bytes followed by 0x80 (``AFTER``).
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple, TypeAlias

AFTER = b"\x80"
"""Appended to the encoding of a key or of its first parts: above everything that begins so."""

_NULL, _FALSE, _TRUE, _NUMBER, _TIME, _TEXT, _BYTES, _MAP, _ARRAY = range(0x02, 0x0B)
TEXT = _TEXT
"""First byte of an encoded text."""
_END = 0x00
_INT, _FLOAT, _NEGATIVE_ZERO = b"\x01", b"\x02", b"\x03"
LIST = b"\x10"
"""First tie byte of a single-field index key that is a list: no lookup by value finds it."""

INTEGER_TIES = _INT
"""Ties of an integer."""

_DOUBLE = struct.Struct(">d")
_BITS = struct.Struct(">Q")
_RESIDUAL = struct.Struct(">H")
_WHOLE_NUMBER = struct.Struct(">BQH")
_EXACT_NUMBER = struct.Struct(">BdH")
_EXACT = 1 << 53
_MOMENT = struct.Struct(">QI")
_SIGN = 1 << 63
_ALL = (1 << 64) - 1
_RESIDUAL_ZERO = 0x8000
_NAN = b"\xff\xf8\x00\x00\x00\x00\x00\x00"

MAX_DEPTH = 300
"""Deepest nesting of lists and maps that the store decodes."""


class Moment(NamedTuple):
    """A time as the contract has it: seconds since the epoch and nanoseconds, which are never negative."""

    seconds: int
    nanos: int


PlainValue: TypeAlias = "bool | int | float | Moment | str | bytes | list[PlainValue] | dict[str, PlainValue] | None"
"""A value of a record or key as Python has it."""


class Encoded(NamedTuple):
    """One encoded key or index key."""

    order: bytes
    ties: bytes

    @property
    def whole(self) -> bytes:
        """Return both parts in one: ordered like ``order``, and different for different keys."""
        return self.order + self.ties


def encode(value: PlainValue) -> Encoded:
    """Encode a value.

    Raises:
        OverflowError: an integer outside 64 bits.
    """
    if type(value) is str:
        return Encoded(_text(value.encode()), b"")
    order, ties = bytearray(), bytearray()
    _encode(value, order, ties)
    return Encoded(bytes(order), bytes(ties))


def encode_parts(values: list[PlainValue]) -> Encoded:
    """Encode the parts of an index key, one after the other; the array itself has no tag and no end."""
    order, ties = bytearray(), bytearray()
    for value in values:
        _encode(value, order, ties)
    return Encoded(bytes(order), bytes(ties))


def decode(whole: bytes) -> PlainValue:
    """Return the value whose ``Encoded.whole`` was given."""
    if whole[0] == _TEXT and b"\x00" not in whole[1:-1]:
        return whole[1:-1].decode()
    reader = _Reader(whole)
    skim = _Reader(whole)
    skim.skip()
    reader.ties = skim.at
    return reader.value()


def decode_parts(key: Encoded) -> list[PlainValue]:
    """Return the parts of an index key."""
    ties = key.ties
    if ties[:1] == LIST:
        ties = ties[1:]
    reader = _Reader(key.order + ties)
    reader.ties = len(key.order)
    parts: list[PlainValue] = []
    while reader.at < len(key.order):
        parts.append(reader.value())
    return parts


def text_order(value: str) -> bytes:
    """Return the order bytes of a text; it has no ties."""
    return _text(value.encode())


def integer_order(value: int) -> bytes:
    """Return the order bytes of an integer of 64 bits; its ties are ``INTEGER_TIES``."""
    if 0 <= value < _EXACT:
        # Faster than below: a positive double with its sign bit set is the negative one, and under 2**53 it is exact.
        return _EXACT_NUMBER.pack(_NUMBER, -float(value), _RESIDUAL_ZERO)
    nearest = float(value)
    bits = _BITS.unpack(_DOUBLE.pack(nearest))[0]
    return _WHOLE_NUMBER.pack(
        _NUMBER, bits ^ _ALL if bits & _SIGN else bits | _SIGN, value - int(nearest) + _RESIDUAL_ZERO
    )


def _text(raw: bytes) -> bytes:
    if 0 in raw:
        raw = raw.replace(b"\x00", b"\x00\xff")
    return b"\x07" + raw + b"\x00"


def _encode(value: PlainValue, order: bytearray, ties: bytearray) -> None:
    if isinstance(value, str):
        order += _text(value.encode())
    elif value is None:
        order.append(_NULL)
    elif value is True:
        order.append(_TRUE)
    elif value is False:
        order.append(_FALSE)
    elif isinstance(value, int):
        _integer(value, order, ties)
    elif isinstance(value, float):
        _double(value, order, ties)
    elif isinstance(value, Moment):
        order.append(_TIME)
        order += _MOMENT.pack(value.seconds + _SIGN, value.nanos)
    elif isinstance(value, bytes):
        order.append(_BYTES)
        order += value.replace(b"\x00", b"\x00\xff")
        order.append(_END)
    elif isinstance(value, dict):
        order.append(_MAP)
        for name, item in sorted(value.items(), key=_by_name):
            order += _text(name.encode())
            _encode(item, order, ties)
        order.append(_END)
    elif isinstance(value, list):
        order.append(_ARRAY)
        for item in value:
            _encode(item, order, ties)
        order.append(_END)
    else:
        raise TypeError(f"{type(value).__name__} cannot be a key")


def _by_name(item: tuple[str, PlainValue]) -> bytes:
    return item[0].encode()


def _sortable(number: float) -> bytes:
    bits = _BITS.unpack(_DOUBLE.pack(number))[0]
    return _BITS.pack(bits ^ _ALL if bits & _SIGN else bits | _SIGN)


def _integer(value: int, order: bytearray, ties: bytearray) -> None:
    if not -_SIGN <= value < _SIGN:
        raise OverflowError(f"{value} is outside 64 bits")
    order += integer_order(value)
    ties += _INT


def _double(value: float, order: bytearray, ties: bytearray) -> None:
    order.append(_NUMBER)
    if math.isnan(value):
        order += _NAN
        ties += _FLOAT
    elif value == 0:
        order += _sortable(0.0)
        ties += _NEGATIVE_ZERO if math.copysign(1.0, value) < 0 else _FLOAT
    else:
        order += _sortable(value)
        ties += _FLOAT
    order += _RESIDUAL.pack(_RESIDUAL_ZERO)


class _Reader:
    """Reads values from ``at`` on and the tie bytes of their numbers from ``ties`` on."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.ties = 0

    def skip(self) -> None:
        tag = self.data[self.at]
        self.at += 1
        if tag in (_TEXT, _BYTES):
            self._raw()
        elif tag == _NUMBER:
            self.at += 10
        elif tag == _TIME:
            self.at += 12
        elif tag in (_MAP, _ARRAY):
            while self.data[self.at] != _END:
                self.skip()
            self.at += 1

    def value(self) -> PlainValue:
        tag = self.data[self.at]
        self.at += 1
        if tag == _TEXT:
            return self._raw().decode()
        if tag == _NULL:
            return None
        if tag in (_TRUE, _FALSE):
            return tag == _TRUE
        if tag == _NUMBER:
            return self._number()
        if tag == _TIME:
            seconds, nanos = _MOMENT.unpack_from(self.data, self.at)
            self.at += 12
            return Moment(seconds - _SIGN, nanos)
        if tag == _BYTES:
            return self._raw()
        if tag == _MAP:
            result: dict[str, PlainValue] = {}
            while self.data[self.at] != _END:
                self.at += 1
                name = self._raw().decode()
                result[name] = self.value()
            self.at += 1
            return result
        if tag == _ARRAY:
            items: list[PlainValue] = []
            while self.data[self.at] != _END:
                items.append(self.value())
            self.at += 1
            return items
        raise ValueError(f"key damaged: tag {tag} at {self.at - 1}")

    def _raw(self) -> bytes:
        start = self.at
        data = self.data
        end = data.index(_END, start)
        while end + 1 < len(data) and data[end + 1] == 0xFF:
            end = data.index(_END, end + 2)
        self.at = end + 1
        return data[start:end].replace(b"\x00\xff", b"\x00")

    def _number(self) -> int | float:
        bits = _BITS.unpack_from(self.data, self.at)[0]
        residual = _RESIDUAL.unpack_from(self.data, self.at + 8)[0] - _RESIDUAL_ZERO
        self.at += 10
        kind = self.data[self.ties : self.ties + 1]
        self.ties += 1
        number: float = _DOUBLE.unpack(_BITS.pack(bits ^ _SIGN if bits & _SIGN else bits ^ _ALL))[0]
        if kind == _INT:
            return int(number) + residual
        return -0.0 if kind == _NEGATIVE_ZERO else number
