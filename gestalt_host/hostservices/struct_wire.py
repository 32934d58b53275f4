"""Writing ``google.protobuf.Struct`` in its wire form.

Filling a Struct through Python's message objects costs a few microseconds a field, and every run's ``workflow`` struct
has some thirty; written as bytes it costs far less, and structs that arrived are spliced in as they are.
Joining two serialised structs overlays the first with the second: of a map's entries with one key the last one counts.
"""

from __future__ import annotations

from functools import lru_cache

# Struct: 1 = fields (map entry: 1 = key, 2 = Value). Value: 3 = string_value, 5 = struct_value, 6 = list_value.
# ListValue: 1 = values. All of them are length-delimited: tag byte = number * 8 + 2.
_ENTRY, _KEY, _VALUE, _TEXT, _STRUCT, _LIST, _ITEM = b"\x0a", b"\x0a", b"\x12", b"\x1a", b"\x2a", b"\x32", b"\x0a"


def text_value(text: str) -> bytes:
    """Encode a ``Value`` that is a text."""
    return _delimited(_TEXT, text.encode())


def struct_value(struct: bytes) -> bytes:
    """Encode a ``Value`` that is an object, given as a serialised Struct."""
    return _delimited(_STRUCT, struct)


def list_value(values: list[bytes]) -> bytes:
    """Encode a ``Value`` that is a list of serialised Values."""
    return _delimited(_LIST, b"".join([_delimited(_ITEM, value) for value in values]))


def field(name: str, value: bytes) -> bytes:
    """Encode a member of a Struct: its name and a serialised Value."""
    entry = _key(name) + _delimited(_VALUE, value)
    return _delimited(_ENTRY, entry)


def texts(**members: str) -> bytes:
    """Encode members that are texts; empty ones are left out."""
    parts = []
    for name, text in members.items():
        if text:
            raw, key = text.encode(), _key(name)
            size, entry = len(raw), len(key) + len(raw) + 4
            if entry < 128:
                # All three lengths fit in a byte: this writes what ``field`` would, in a third of the time.
                parts.append(b"\x0a%c%b\x12%c\x1a%c%b" % (entry, key, size + 2, size, raw))
            else:
                parts.append(field(name, _delimited(_TEXT, raw)))
    return b"".join(parts)


@lru_cache(maxsize=256)
def _key(name: str) -> bytes:
    return _delimited(_KEY, name.encode())


def _delimited(tag: bytes, content: bytes) -> bytes:
    size = len(content)
    if size < 128:
        return tag + _SMALL[size] + content
    return tag + _varint(size) + content


_SMALL = [bytes((size,)) for size in range(128)]


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)
