"""Writes on the writer's connection, inside the transaction of a group commit.

Each function checks everything before it changes anything, so one that raises a ``StoreError`` leaves no trace.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gestalt_store.engines.conditions import ALREADY_EXISTS, DONE, OK, nothing_written, refused_by_conditions
from gestalt_store.engines.interface import ConditionalWrite, Walk, Write, WriteResult
from gestalt_store.errors import AlreadyExists, ObjectStoreNotFound, Undecodable, UniqueConflict
from gestalt_store.sqlite import reads
from gestalt_store.sqlite.tables import SqliteStore, SqliteWalk, SqliteWrite, maintained
from gestalt_store.values.schema import IndexKeys

SAVE, UNDO, KEEP = "SAVEPOINT entries", "ROLLBACK TO entries", "RELEASE entries"
"""Around writes that a required one may undo."""
DELETE_PAGE = 1000
"""Rows of a walk that are read before they are deleted."""


def write(connection: sqlite3.Connection, item: SqliteWrite, *, checked: bool = False, fresh: bool = False) -> None:
    """Put or add a record; index rows that stay the same are not touched.

    Args:
        checked: The caller has made sure that the key is free where it must be, and of uniqueness: a transaction's
            overlay, whose last write of a key may be an add that followed a deletion.
        fresh: The caller knows that there is no record with this key.
    Raises:
        AlreadyExists, UniqueConflict, ObjectStoreNotFound
    """
    store = item.store
    if store.written_as is not None:
        store = maintained(store)
        item = Write(store, item.primary_key, item.record, store.schema.index_keys_of(item.record), item.add)
    if store.dropped:
        raise ObjectStoreNotFound(store.name)
    execute = connection.execute
    primary_key = item.primary_key
    if not store.indexes:
        row = None if fresh else execute(store.find_id, (primary_key,)).fetchone()
        if row is None:
            execute(store.insert, (primary_key, item.record))
        elif item.add and not checked:
            raise AlreadyExists
        else:
            execute(store.update, (item.record, row[0]))
        return
    row = None if fresh else execute(store.find, (primary_key,)).fetchone()
    if row is not None and item.add and not checked:
        raise AlreadyExists
    keys = item.index_keys
    none: IndexKeys = (None,) * len(keys)
    before: IndexKeys | None = keys
    if row is None:
        before = none
    elif row[1] != item.record:
        before = _keys_of(store, row[1])
    if store.has_unique and not checked:
        for index, key, old in zip(store.indexes, keys, before or none, strict=True):
            if (
                key is not None
                and index.enforced
                and key != old
                and execute(index.conflict, (*key, primary_key)).fetchone() is not None
            ):
                raise UniqueConflict
    if row is None:
        record_id = execute(store.insert, (primary_key, item.record)).lastrowid
    else:
        record_id = row[0]
        execute(store.update, (item.record, record_id))
    if before is None:
        _forget(connection, store, primary_key)
    for index, key, old in zip(store.indexes, keys, before or none, strict=True):
        if key == old:
            continue
        if old is not None:
            execute(index.remove, (old.order, primary_key))
        if key is not None:
            if index.suspects is not None and execute(index.conflict, (*key, primary_key)).fetchone() is not None:
                index.suspects.add(key.order)
            execute(index.insert, (key.order, primary_key, key.ties, record_id))


def delete(connection: sqlite3.Connection, store: SqliteStore, primary_key: bytes) -> None:
    """Delete a record and its index rows; a missing one is fine.

    Raises:
        ObjectStoreNotFound
    """
    store = maintained(store)
    if store.dropped:
        raise ObjectStoreNotFound(store.name)
    execute = connection.execute
    if not store.indexes:
        row = execute(store.find_id, (primary_key,)).fetchone()
        if row is None:
            return
    else:
        row = execute(store.find, (primary_key,)).fetchone()
        if row is None:
            return
        keys = _keys_of(store, row[1])
        if keys is None:
            _forget(connection, store, primary_key)
        for index, key in zip(store.indexes, keys or (), strict=keys is not None):
            if key is not None:
                execute(index.remove, (key.order, primary_key))
    execute(store.remove, (row[0],))


def _keys_of(store: SqliteStore, record: bytes) -> IndexKeys | None:
    """Return the keys of a stored record, None when it is damaged: they cannot be told then."""
    try:
        return store.schema.index_keys_of(record)
    except Undecodable:
        return None


def _forget(connection: sqlite3.Connection, store: SqliteStore, primary_key: bytes) -> None:
    """Delete the record's rows from every index, whatever their keys are."""
    for index in store.indexes:
        connection.execute(index.remove_record, (primary_key,))


def clear(connection: sqlite3.Connection, store: SqliteStore) -> None:
    """Delete every record.

    Raises:
        ObjectStoreNotFound
    """
    store = maintained(store)
    if store.dropped:
        raise ObjectStoreNotFound(store.name)
    for index in store.indexes:
        connection.execute(index.remove_all)
    connection.execute(store.remove_all)


def delete_walk(connection: sqlite3.Connection, walk: SqliteWalk) -> int:
    """Delete every record of the walk; return how many.

    Raises:
        ObjectStoreNotFound
    """
    store = walk.store
    if maintained(store).dropped:
        raise ObjectStoreNotFound(store.name)
    if walk.index is None and walk.span.unbounded:
        number = reads.count(connection, walk)
        clear(connection, store)
        return number
    after, number = None, 0
    while True:
        # By pages: the rows of a walk must not change under it, and a list of all keys may not fit into memory.
        keys = Walk(store, walk.span, walk.index, keys_only=True)
        rows = reads.page(connection, keys, after, DELETE_PAGE)
        for row in rows:
            delete(connection, store, row.primary_key)
        number += len(rows)
        if len(rows) < DELETE_PAGE:
            return number


def apply(
    connection: sqlite3.Connection, writes: Sequence[ConditionalWrite[SqliteStore]], return_current: bool
) -> list[WriteResult]:
    """Execute conditional writes in order; a required one that fails undoes them all.

    Raises:
        ObjectStoreNotFound
    """
    for item in writes:
        if maintained(item.store).dropped:
            raise ObjectStoreNotFound(item.store.name)
    undoable = len(writes) > 1 and any(item.required for item in writes)
    if undoable:
        connection.execute(SAVE)
    results: list[WriteResult] = []
    for position, item in enumerate(writes):
        result = _conditional(connection, item, return_current)
        if result.code != OK and item.required:
            if undoable:
                connection.execute(UNDO)
                connection.execute(KEEP)
            return nothing_written(len(writes), position, result)
        results.append(result)
    if undoable:
        connection.execute(KEEP)
    return results


def _conditional(
    connection: sqlite3.Connection, item: ConditionalWrite[SqliteStore], return_current: bool
) -> WriteResult:
    if item.conditions:
        refused = refused_by_conditions(
            item, lambda c: reads.get(connection, c.store, c.primary_key), return_current=return_current
        )
        if refused is not None:
            return refused
    try:
        if item.write is not None:
            write(connection, item.write)
        elif item.delete:
            delete(connection, item.store, item.primary_key)
    except (AlreadyExists, UniqueConflict) as error:
        current = None
        if return_current and isinstance(error, AlreadyExists):
            current = reads.get(connection, item.store, item.primary_key)
        return WriteResult(ALREADY_EXISTS, str(error), current)
    return DONE
