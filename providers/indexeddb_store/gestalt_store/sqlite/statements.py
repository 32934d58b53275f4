"""Writes on the writer's connection, inside the transaction of a group commit.

Each function checks everything before it changes anything, so one that raises a ``StoreError`` leaves no trace.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gestalt_store.engines.conditions import ALREADY_EXISTS, DONE, OK, nothing_written, refused_by_conditions
from gestalt_store.engines.interface import Conditional, Outcome, Walk, Write
from gestalt_store.errors import AlreadyExists, ObjectStoreNotFound, UniqueConflict
from gestalt_store.sqlite import reads
from gestalt_store.sqlite.tables import SqliteStore
from gestalt_store.values import wire
from gestalt_store.values.schema import IndexKeys

SAVE, UNDO, KEEP = "SAVEPOINT entries", "ROLLBACK TO entries", "RELEASE entries"
"""Around writes that a required one may undo."""


def write(connection: sqlite3.Connection, item: Write, *, checked: bool = False, fresh: bool = False) -> None:
    """Put or add a record; index rows that stay the same are not touched.

    Args:
        checked: The caller has made sure that the key is free where it must be, and of uniqueness: a transaction's
            overlay, whose last write of a key may be an add that followed a deletion.
        fresh: The caller knows that there is no record with this key.
    Raises:
        AlreadyExists, UniqueConflict, ObjectStoreNotFound
    """
    store: SqliteStore = item.store
    if store.upkeep is not None:
        store = kept_up(store)
        item = Write(store, item.primary_key, item.record, index_keys_of(store, item.record), item.add)
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
    before: IndexKeys = keys
    if row is None:
        before = (None,) * len(keys)
    elif row[1] != item.record:
        before = index_keys_of(store, row[1])
    if store.has_unique and not checked:
        for index, key, old in zip(store.indexes, keys, before, strict=True):
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
    for index, key, old in zip(store.indexes, keys, before, strict=True):
        if key == old:
            continue
        if old is not None:
            execute(index.remove, (old.order, primary_key))
        if key is not None:
            if index.suspects is not None and execute(index.conflict, (*key, primary_key)).fetchone() is not None:
                index.suspects.add(key.order)
            execute(index.insert, (key.order, primary_key, key.ties, record_id))


def kept_up(store: SqliteStore) -> SqliteStore:
    """The store whose indexes a write keeps up: not the one it was prepared for, once a migration has begun."""
    while store.upkeep is not None:
        store = store.upkeep
    return store


def index_keys_of(store: SqliteStore, record: bytes) -> IndexKeys:
    """The keys that a stored record has in the store's indexes."""
    return store.schema.index_keys(wire.Record.FromString(record).fields)


def delete(connection: sqlite3.Connection, store: SqliteStore, primary_key: bytes) -> bool:
    """Delete a record and its index rows; whether there was one."""
    store = kept_up(store)
    if store.dropped:
        raise ObjectStoreNotFound(store.name)
    execute = connection.execute
    if not store.indexes:
        row = execute(store.find_id, (primary_key,)).fetchone()
        if row is None:
            return False
    else:
        row = execute(store.find, (primary_key,)).fetchone()
        if row is None:
            return False
        for index, key in zip(store.indexes, index_keys_of(store, row[1]), strict=True):
            if key is not None:
                execute(index.remove, (key.order, primary_key))
    execute(store.remove, (row[0],))
    return True


def clear(connection: sqlite3.Connection, store: SqliteStore) -> None:
    """Delete every record."""
    store = kept_up(store)
    if store.dropped:
        raise ObjectStoreNotFound(store.name)
    for index in store.indexes:
        connection.execute(index.remove_all)
    connection.execute(store.remove_all)


def delete_walk(connection: sqlite3.Connection, walk: Walk) -> int:
    """Delete every record of the walk; returns how many."""
    store: SqliteStore = walk.store
    if kept_up(store).dropped:
        raise ObjectStoreNotFound(store.name)
    if walk.index is None and walk.span.unbounded:
        number = reads.count(connection, walk)
        clear(connection, store)
        return number
    after, number = None, 0
    while True:
        # By pages: the rows of a walk must not change under it, and a list of all keys may not fit into memory.
        entries = reads.page(connection, Walk(store, walk.span, walk.index, keys_only=True), after, 1000)
        for entry in entries:
            delete(connection, store, entry.primary_key)
        number += len(entries)
        if len(entries) < 1000:
            return number


def apply(connection: sqlite3.Connection, entries: Sequence[Conditional], return_current: bool) -> list[Outcome]:
    """Execute conditional entries in order; a required one that fails undoes them all."""
    for entry in entries:
        if kept_up(entry.store).dropped:
            raise ObjectStoreNotFound(entry.store.name)
    careful = len(entries) > 1 and any(entry.required for entry in entries)
    if careful:
        connection.execute(SAVE)
    outcomes: list[Outcome] = []
    for position, entry in enumerate(entries):
        outcome = _conditional(connection, entry, return_current)
        if outcome.code != OK and entry.required:
            if careful:
                connection.execute(UNDO)
                connection.execute(KEEP)
            return nothing_written(len(entries), position, outcome)
        outcomes.append(outcome)
    if careful:
        connection.execute(KEEP)
    return outcomes


def _conditional(connection: sqlite3.Connection, entry: Conditional, return_current: bool) -> Outcome:
    if entry.conditions:
        refused = refused_by_conditions(
            entry, lambda c: reads.get(connection, c.store, c.primary_key), return_current=return_current
        )
        if refused is not None:
            return refused
    try:
        if entry.write is not None:
            write(connection, entry.write)
        elif entry.delete:
            delete(connection, entry.store, entry.primary_key)
    except (AlreadyExists, UniqueConflict) as error:
        current = None
        if return_current and isinstance(error, AlreadyExists):
            current = reads.get(connection, entry.store, entry.primary_key)
        return Outcome(ALREADY_EXISTS, str(error), current)
    return DONE
