"""Entries of walks as wire messages."""

from __future__ import annotations

from typing import Any

from gestalt_store import wire
from gestalt_store.engine import Entry
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
