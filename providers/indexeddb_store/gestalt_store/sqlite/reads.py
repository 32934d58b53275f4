"""Reads of one connection: plain functions, called on the event loop for a few rows and on reader threads for many."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, TypeAlias

from gestalt_store.engines.interface import Position, Walk, WalkRow
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
    SqliteWalk,
)
from gestalt_store.values.keys import Encoded

Columns: TypeAlias = Literal["values", "primary_keys", "rows", "key_rows"]
"""Which statement of a store or index is executed, by its name there."""

EVERY = -1
"""As a limit: all rows."""
FEW = 128
FEW_BYTES = 256 * 1024
"""What is read on the event loop, where it takes less than the way to a reader thread and back."""


def get(connection: sqlite3.Connection, store: SqliteStore, primary_key: bytes) -> bytes | None:
    """Return the record, None when there is none."""
    row = connection.execute(store.get, (primary_key,)).fetchone()
    return None if row is None else row[0]


def few(
    connection: sqlite3.Connection, walk: SqliteWalk, what: Literal["values", "primary_keys"]
) -> list[bytes] | None:
    """Return what the function of the name ``what`` does, or None when that is more than few rows."""
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


def values(connection: sqlite3.Connection, walk: SqliteWalk) -> list[bytes]:
    """Return the records of the walk.

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


def primary_keys(connection: sqlite3.Connection, walk: SqliteWalk) -> list[bytes]:
    """Return the whole primary keys of the walk, in its order.

    Raises:
        AnswerTooLarge: together they do not fit into one message.
    """
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


def count(connection: sqlite3.Connection, walk: SqliteWalk) -> int:
    """Count the rows of the walk."""
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
    walk: SqliteWalk,
    after: Position | None,
    limit: int,
    skip: int = 0,
    *,
    limit_bytes: int | None = None,
) -> list[WalkRow]:
    """Return up to ``limit`` rows behind ``after``, leaving out the first ``skip`` of them.

    Stops after the row with which the records reach ``limit_bytes``.
    """
    if walk.unique and walk.index is not None:
        return _groups(connection, walk, after, limit, skip, limit_bytes)
    what: Columns = "key_rows" if walk.keys_only else "rows"
    selected = _select(connection, walk, what, limit, skip, after)
    rows = selected if limit_bytes is None else _up_to(selected, limit_bytes)
    if walk.index is None:
        return [WalkRow(key, value) for key, value in rows]
    return [WalkRow(pk, value, Encoded(key, ties)) for pk, value, key, ties in rows]


def _groups(
    connection: sqlite3.Connection,
    walk: SqliteWalk,
    after: Position | None,
    limit: int,
    skip: int,
    limit_bytes: int | None,
) -> list[WalkRow]:
    """Return the first row of each index key: one search for each, whatever the number of rows with that key."""
    found: list[WalkRow] = []
    span = walk.span
    key = None if after is None else after.key
    size = 0
    while len(found) < limit:
        rest = span
        if key is not None:
            if walk.reverse:
                rest = replace(span, upper=min(span.upper, key))
            else:
                rest = replace(span, lower=max(span.lower, key + b"\x00"))
        one = Walk(walk.store, rest, walk.index, walk.reverse, keys_only=walk.keys_only or skip > 0)
        rows = page(connection, one, None, 1)
        if not rows:
            break
        row = rows[0]
        assert row.key is not None
        key = row.key.order
        if skip:
            skip -= 1
        else:
            found.append(row)
            size += len(row.record or b"")
            if limit_bytes is not None and size >= limit_bytes:
                break
    return found


def _up_to(rows: sqlite3.Cursor, limit_bytes: int) -> Iterator[tuple[bytes, ...]]:
    """Yield rows until their records reach the limit."""
    size = 0
    for row in rows:
        yield row
        size += len(row[1] or b"")
        if size >= limit_bytes:
            rows.close()
            return


def cut_short(rows: list[WalkRow], limit_bytes: int) -> bool:
    """Return whether ``page`` may have ended because of its bytes."""
    return sum(len(row.record or b"") for row in rows) >= limit_bytes


def _select(
    connection: sqlite3.Connection,
    walk: SqliteWalk,
    what: Columns,
    limit: int,
    skip: int = 0,
    after: Position | None = None,
) -> sqlite3.Cursor:
    """Execute the statement of a walk; its rows are read by the caller."""
    span = walk.span
    lower, upper = span.lower, span.upper
    if walk.index is None:
        if after is not None:
            if walk.reverse:
                upper = min(upper, after.primary_key)
            else:
                lower = max(lower, after.primary_key + b"\x00")
        statement = getattr(walk.store, what) + (STORE_ORDER_REVERSE if walk.reverse else STORE_ORDER)
        return connection.execute(statement, (lower, upper, limit, skip))
    statement = getattr(walk.index, what)
    arguments: tuple[bytes, ...] = (lower, upper)
    if span.ties is not None:
        statement += EXACT
        arguments += (span.ties,)
    if after is not None:
        # The comparison of rows decides; the bound beside it lets SQLite start its search there.
        statement += BEFORE if walk.reverse else AFTER
        arguments = (lower, min(upper, after.key + b"\x00")) if walk.reverse else (max(lower, after.key), upper)
        if span.ties is not None:
            arguments += (span.ties,)
        arguments += (after.key, after.primary_key)
    statement += INDEX_ORDER_REVERSE if walk.reverse else INDEX_ORDER
    return connection.execute(statement, (*arguments, limit, skip))
