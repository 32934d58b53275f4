"""Entries of walks, and reports of migrations, as wire messages."""

from __future__ import annotations

from typing import Any

from gestalt_store.engines.interface import Entry, Migration
from gestalt_store.values import wire
from gestalt_store.values.keys import TEXT, decode, decode_parts
from gestalt_store.values.rendering import render
from gestalt_store.values.values import key_value


def entry_bytes(entry: Entry) -> bytes:
    """The encoded CursorEntry: one KeyValue for the key of a store, one for each part of an index key.

    Put together from bytes, since lists and cursors make one for every row; texts, which most keys are, lie in an
    encoded key as they are sent.
    """
    primary_key = entry.primary_key
    if primary_key[0] == TEXT and primary_key.find(b"\x00") == len(primary_key) - 1:
        raw = primary_key[1:-1]
        key = b"\x0a" + _sized(_text_key(raw))
    else:
        value = decode(primary_key)
        raw = render(value).encode()
        key = b"\x0a" + _sized(key_value(value).SerializeToString())
    if entry.key is not None:
        key = b"".join([b"\x0a" + _sized(_part_key(part)) for part in decode_parts(entry.key)])
    if entry.record is None:
        return key + b"\x12" + _sized(raw)
    return key + b"\x12" + _sized(raw) + b"\x1a" + _sized(entry.record)


def _part_key(part: Any) -> bytes:
    if type(part) is str:
        return _text_key(part.encode())
    data: bytes = key_value(part).SerializeToString()
    return data


def _text_key(raw: bytes) -> bytes:
    """KeyValue.scalar.string_value."""
    return b"\x0a" + _sized(b"\x12" + _sized(raw))


def _sized(data: bytes) -> bytes:
    """Behind its length, as a nested message is encoded."""
    size = len(data)
    if size < 0x80:
        return _SIZES[size] + data
    out = bytearray()
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out) + data


_SIZES = [bytes((size,)) for size in range(0x80)]
_STATES = {"": 0, "running": 1, "done": 2, "failed": 3}


def migration_message(store: Any, migration: Migration) -> bytes:
    """The ``Migration`` of a store, encoded."""
    message = wire.Migration(
        state=_STATES[migration.state],
        records_read=migration.scanned,
        records=migration.total,
        schema=wire.ObjectStoreSchema.FromString(store.schema.to_bytes()),
        problem=migration.problem,
    )
    for conflict in migration.conflicts:
        message.conflicts.add(
            index=conflict.index_name,
            key=[key_value(part) for part in decode_parts(conflict.key)],
            primary_keys=[render(decode(key)) for key in conflict.primary_keys],
        )
    data: bytes = message.SerializeToString()
    return data
