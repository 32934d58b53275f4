"""Rows of walks as the wire's ``CursorEntry``, and reports of migrations as its ``Migration``."""

from __future__ import annotations

from gestalt_store.engines.interface import Migration, Store, WalkRow
from gestalt_store.values import wire
from gestalt_store.values.keys import TEXT, PlainValue, decode, decode_parts
from gestalt_store.values.rendering import render
from gestalt_store.values.values import key_value


def entry_bytes(row: WalkRow) -> bytes:
    """Return the encoded CursorEntry: one KeyValue for the key of a store, one for each part of an index key.

    Put together from bytes, since lists and cursors make one for every row. Most keys are texts, whose bytes in an
    encoded key are those that are sent.
    """
    primary_key = row.primary_key
    if primary_key[0] == TEXT and primary_key.find(b"\x00") == len(primary_key) - 1:
        raw = primary_key[1:-1]
        key = b"\x0a" + _sized(_text_key(raw))
    else:
        value = decode(primary_key)
        raw = render(value).encode()
        key = b"\x0a" + _sized(key_value(value).SerializeToString())
    if row.key is not None:
        key = b"".join([b"\x0a" + _sized(_part_key(part)) for part in decode_parts(row.key)])
    if row.record is None:
        return key + b"\x12" + _sized(raw)
    return key + b"\x12" + _sized(raw) + b"\x1a" + _sized(row.record)


def _part_key(part: PlainValue) -> bytes:
    if type(part) is str:
        return _text_key(part.encode())
    return key_value(part).SerializeToString()


def _text_key(raw: bytes) -> bytes:
    """Return a ``KeyValue`` whose scalar is a text."""
    return b"\x0a" + _sized(b"\x12" + _sized(raw))


def _sized(data: bytes) -> bytes:
    """Return the data behind its length, as a nested message is encoded."""
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


def migration_message(store: Store, migration: Migration) -> bytes:
    """Return the encoded ``Migration`` of a store."""
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
    return message.SerializeToString()
