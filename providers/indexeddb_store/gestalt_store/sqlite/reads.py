"""Reads of one connection: plain functions, called on the event loop for a few rows and on reader threads for many."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

from gestalt_store.engines.interface import Entry, Position, Walk
from gestalt_store.engines.limits import LIST_LIMIT_BYTES, RECORD_OVERHEAD, too_large
from gestalt_store.sqlite.tables import (
    AFTER,
    BEFORE,
    EXACT,
    INDEX_ORDER,
    INDEX_ORDER_REVERSE,
    STORE_ORDER,
    STORE_ORDER_REVERSE,
    SqliteStore,
)
from gestalt_store.values.keys import Encoded

EVERY = -1
"""As a limit: all rows."""
FEW = 128
FEW_BYTES = 256 * 1024
"""What is read on the event loop, where it takes less than the way to a reader thread and back."""


def get(connection: sqlite3.Connection, store: SqliteStore, primary_key: bytes) -> bytes | None:
    row = connection.execute(store.get, (primary_key,)).fetchone()
    return None if row is None else row[0]


def few(connection: sqlite3.Connection, walk: Walk, what: Literal["values", "primary_keys"]) -> list[bytes] | None:
    """What the function of that name would read; None when it is not few."""
    found: list[bytes] = []
    size = 0
    rows = _select(connection, walk, what, FEW + 1)
    for (value,) in rows:
        size += len(value)
        if len(found) == FEW or size > FEW_BYTES:
            rows.close()  # an open statement would keep the connection on this state
            return None
        found.append(value)
    return found


def values(connection: sqlite3.Connection, walk: Walk) -> list[bytes]:
    """The records of the walk.

    Raises:
        AnswerTooLarge: together they do not fit into one message.
    """
    found: list[bytes] = []
    size = 0
    rows = _select(connection, walk, "values", EVERY)
    for (value,) in rows:
        size += len(value) + RECORD_OVERHEAD
        if size > LIST_LIMIT_BYTES:
            rows.close()
            raise too_large("records")
        found.append(value)
    return found


def primary_keys(connection: sqlite3.Connection, walk: Walk) -> list[bytes]:
    """The whole primary keys of the walk, in its order."""
    found: list[bytes] = []
    size = 0
    rows = _select(connection, walk, "primary_keys", EVERY)
    for (key,) in rows:
        size += len(key)
        if size > LIST_LIMIT_BYTES:
            rows.close()
            raise too_large("keys")
        found.append(key)
    return found


def count(connection: sqlite3.Connection, walk: Walk) -> int:
    span = walk.span
    source = walk.store if walk.index is None else walk.index
    if span.empty:
        return 0
    if span.ties is not None:
        row = connection.execute(source.count + EXACT, (span.lower, span.upper, span.ties)).fetchone()
    else:
        row = connection.execute(source.count, (span.lower, span.upper)).fetchone()
    return int(row[0])


def page(
    connection: sqlite3.Connection,
    walk: Walk,
    after: Position | None,
    limit: int,
    skip: int = 0,
    *,
    limit_bytes: int | None = None,
) -> list[Entry]:
    """Up to ``limit`` entries behind ``after``, leaving out the first ``skip`` of them.

    Stops after the entry with which the records reach ``limit_bytes``.
    """
    if walk.unique and walk.index is not None:
        return _groups(connection, walk, after, limit, skip, limit_bytes)
    what = "key_rows" if walk.keys_only else "rows"
    rows = _select(connection, walk, what, limit, skip, after)
    if limit_bytes is not None:
        rows = _up_to(rows, limit_bytes)
    if walk.index is None:
        return [Entry(key, value) for key, value in rows]
    return [Entry(pk, value, Encoded(key, ties)) for pk, value, key, ties in rows]


def _groups(
    connection: sqlite3.Connection,
    walk: Walk,
    after: Position | None,
    limit: int,
    skip: int,
    limit_bytes: int | None,
) -> list[Entry]:
    """The first entry of each index key: one search for each, whatever the size of the groups."""
    found: list[Entry] = []
    span = walk.span
    one = Walk(walk.store, span, walk.index, walk.reverse, keys_only=walk.keys_only)
    skimming = Walk(walk.store, span, walk.index, walk.reverse, keys_only=True)
    key = None if after is None else after.key
    size = 0
    while len(found) < limit:
        rest = span
        if key is not None:
            if walk.reverse:
                rest = replace(span, upper=min(span.upper, key))
            else:
                rest = replace(span, lower=max(span.lower, key + b"\x00"))
        base = skimming if skip else one
        entries = page(connection, Walk(base.store, rest, base.index, base.reverse, False, base.keys_only), None, 1)
        if not entries:
            break
        entry = entries[0]
        assert entry.key is not None
        key = entry.key.order
        if skip:
            skip -= 1
        else:
            found.append(entry)
            size += len(entry.record or b"")
            if limit_bytes is not None and size >= limit_bytes:
                break
    return found


def _up_to(rows: Any, limit_bytes: int) -> Iterator[Any]:
    size = 0
    for row in rows:
        yield row
        size += len(row[1] or b"")
        if size >= limit_bytes:
            rows.close()
            return


def cut_short(entries: list[Entry], limit_bytes: int) -> bool:
    """Whether a page of ``page`` may have ended because of its bytes."""
    return sum(len(entry.record or b"") for entry in entries) >= limit_bytes


def _select(
    connection: sqlite3.Connection,
    walk: Walk,
    what: str,
    limit: int,
    skip: int = 0,
    after: Position | None = None,
) -> Any:
    span = walk.span
    lower, upper = span.lower, span.upper
    if walk.index is None:
        if after is not None:
            if walk.reverse:
                upper = min(upper, after.primary_key)
            else:
                lower = max(lower, after.primary_key + b"\x00")
        if lower >= upper:
            return ()
        statement = getattr(walk.store, what) + (STORE_ORDER_REVERSE if walk.reverse else STORE_ORDER)
        return connection.execute(statement, (lower, upper, limit, skip))
    if lower >= upper:
        return ()
    statement = getattr(walk.index, what)
    arguments: tuple[Any, ...] = (lower, upper)
    if span.ties is not None:
        statement += EXACT
        arguments += (span.ties,)
    if after is not None:
        # The row value decides; the plain bound beside it is what lets SQLite start its search there.
        statement += BEFORE if walk.reverse else AFTER
        arguments = (lower, min(upper, after.key + b"\x00")) if walk.reverse else (max(lower, after.key), upper)
        if span.ties is not None:
            arguments += (span.ties,)
        arguments += (after.key, after.primary_key)
    statement += INDEX_ORDER_REVERSE if walk.reverse else INDEX_ORDER
    return connection.execute(statement, (*arguments, limit, skip))
