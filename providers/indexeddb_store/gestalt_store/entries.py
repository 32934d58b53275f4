"""Entries of walks, and reports of migrations, as wire messages."""

from __future__ import annotations

from typing import Any

from gestalt_store import wire
from gestalt_store.engine import Entry, Migration
from gestalt_store.keys import decode, decode_parts
from gestalt_store.rendering import render
from gestalt_store.values import key_value


def entry_message(entry: Entry) -> Any:
    """The CursorEntry: one KeyValue for the key of a store, one for each part of an index key."""
    value = decode(entry.primary_key)
    message = wire.CursorEntry(primary_key=render(value))
    if entry.key is None:
        message.key.append(key_value(value))
    else:
        message.key.extend([key_value(part) for part in decode_parts(entry.key)])
    if entry.record is not None:
        message.record = entry.record
    return message


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
