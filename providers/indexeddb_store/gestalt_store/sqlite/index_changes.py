"""The steps of a migration as jobs of the writer: begin, index a batch, switch, abandon, remove unused indexes."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from gestalt_store.engines.index_changes import BATCH_BYTES, BATCH_ROWS, CONFLICT_LIMIT, conflicts_to_bytes
from gestalt_store.engines.interface import IndexConflict
from gestalt_store.errors import MigrationRunning, ObjectStoreNotFound
from gestalt_store.sqlite.tables import SqliteIndex, SqliteStore, add_index, index_table
from gestalt_store.values import wire
from gestalt_store.values.keys import Encoded
from gestalt_store.values.schema import StoreSchema, missing_indexes

SWEEP_ROWS = 1000
"""Rows of an unused index that are removed in one transaction."""

_BEGIN = "INSERT OR REPLACE INTO migrations VALUES (?, ?, 'running', 0, ?, 0, ?, '', x'')"
_ADVANCE = "UPDATE migrations SET position = ?, scanned = scanned + ? WHERE store = ?"
_DONE = "UPDATE migrations SET state = 'done' WHERE store = ?"
_FAILED = "UPDATE migrations SET state = 'failed', problem = ?, conflicts = ? WHERE store = ?"
_NEW_SCHEMA = "UPDATE stores SET schema = ? WHERE id = ?"
_BUILT_INDEXES = "SELECT id FROM indexes WHERE store = ? ORDER BY position"
_PUT_INDEX = "INSERT INTO indexes (id, store, position) VALUES (?, ?, ?)"
_REMOVE_INDEXES = "DELETE FROM indexes WHERE store IN (?, ?)"
_UNUSED_INDEX = "SELECT id FROM indexes WHERE store = 0 LIMIT 1"
_REMOVE_INDEX = "DELETE FROM indexes WHERE id = ?"


@dataclass(slots=True)
class SqliteIndexBuild:
    """A migration under way.

    Attributes:
        store: The store as its clients see it.
        union: The store with the indexes that are being built, which writes maintain.
        target: The store with the new schema.
        position: Row number up to which its records have been indexed.
        last: Highest row number when it began; later records were indexed when they were written.
    """

    store: SqliteStore
    union: SqliteStore
    target: SqliteStore
    position: int
    last: int

    @classmethod
    def begin(
        cls, connection: sqlite3.Connection, store: SqliteStore, schema: StoreSchema, total: int
    ) -> SqliteIndexBuild:
        """Create the tables of the new indexes and have writes maintain them.

        Raises:
            ObjectStoreNotFound, MigrationRunning
        """
        if store.dropped:
            raise ObjectStoreNotFound(store.name)
        if store.written_as is not None:
            raise MigrationRunning(store.name)
        numbers = [
            add_index(connection, -store.number, position)
            for position, index in enumerate(schema.indexes)
            if index not in store.schema.indexes
        ]
        last = connection.execute(store.highest_id).fetchone()[0]
        connection.execute(_BEGIN, (store.number, schema.to_bytes(), last, total))
        build = cls._of(store, schema, numbers, 0, last)
        for index in build.new:
            connection.execute(index.create)
        store.written_as = build.union
        return build

    @classmethod
    def resumed(
        cls, connection: sqlite3.Connection, store: SqliteStore, schema: StoreSchema, position: int, last: int
    ) -> SqliteIndexBuild:
        """Return the migration that a file says is under way."""
        rows = connection.execute(_BUILT_INDEXES, (-store.number,))
        return cls._of(store, schema, [row[0] for row in rows.fetchall()], position, last)

    @classmethod
    def _of(
        cls, store: SqliteStore, schema: StoreSchema, numbers: list[int], position: int, last: int
    ) -> SqliteIndexBuild:
        added = missing_indexes(store.schema, schema)
        known = {index.schema: index.number for index in store.indexes}
        both = {**known, **dict(zip(added, numbers, strict=True))}
        union_schema = store.schema.with_indexes((*store.schema.indexes, *added))
        union = SqliteStore(store.number, store.name, union_schema, both.values())
        target = SqliteStore(store.number, store.name, schema, [both[index] for index in schema.indexes])
        target.unconfirmed = store.unconfirmed
        union.has_unique = store.has_unique
        for index in union.indexes[len(store.indexes) :]:
            index.enforced = False
        return cls(store, union, target, position, last)

    @property
    def new(self) -> tuple[SqliteIndex, ...]:
        """Return the indexes that are being built."""
        return self.union.indexes[len(self.store.indexes) :]

    def batch(self, connection: sqlite3.Connection) -> tuple[int, int]:
        """Index some of the records that were there before; return the row number reached, and how many there were."""
        if self.store.dropped:
            raise ObjectStoreNotFound(self.store.name)
        rows = connection.execute(self.store.batch, (self.position, self.last, BATCH_ROWS))
        index_rows: list[tuple[SqliteIndex, tuple[bytes, bytes, bytes, int]]] = []
        position, number, size = self.last, 0, 0
        for record_id, primary_key, value in rows:
            fields = wire.Record.FromString(value).fields
            for index in self.new:
                key = index.schema.key_of(fields)
                if key is not None:
                    index_rows.append((index, (key.order, primary_key, key.ties, record_id)))
            number += 1
            size += len(value)
            if number == BATCH_ROWS or size > BATCH_BYTES:
                position = record_id
                break
        rows.close()
        for index, row in index_rows:
            connection.execute(index.fill, row)
        connection.execute(_ADVANCE, (position, number, self.store.number))
        return position, number

    def watch(self) -> list[SqliteIndex]:
        """Have writes note which keys they give to a second record; return the unique indexes being built."""
        unique = [index for index in self.new if index.schema.unique]
        for index in unique:
            index.suspects = set()
        return unique

    def duplicates(self, connection: sqlite3.Connection) -> list[list[bytes]]:
        """Return for each unique index being built some keys (order bytes) that more than one record has."""
        return [
            [row[0] for row in connection.execute(index.duplicates, (CONFLICT_LIMIT,))]
            for index in self.new
            if index.schema.unique
        ]

    def switch(self, connection: sqlite3.Connection) -> tuple[IndexConflict, ...] | None:
        """Put the new schema in force.

        Returns:
            An empty tuple, the conflicts that forbid it, or None when duplicates must be looked for again.
        """
        store, number = self.store, self.store.number
        if store.dropped:
            raise ObjectStoreNotFound(store.name)
        conflicts: list[IndexConflict] = []
        again = False
        for index in self.new:
            for key in index.suspects or ():
                conflicts += _conflicts(connection, index, key)
            again = again or len(index.suspects or ()) >= CONFLICT_LIMIT
        if conflicts:
            return tuple(conflicts[:CONFLICT_LIMIT])
        if again:
            return None
        execute = connection.execute
        execute(_REMOVE_INDEXES, (number, -number))
        for position, index in enumerate(self.target.indexes):
            execute(_PUT_INDEX, (index.number, number, position))
        kept = {index.number for index in self.target.indexes}
        _discard(connection, [index for index in self.union.indexes if index.number not in kept])
        execute(_NEW_SCHEMA, (self.target.schema.to_bytes(), number))
        execute(_DONE, (number,))
        store.written_as = self.target
        return ()

    def take_back(self) -> None:
        """Have writes maintain the indexes that are being built again: the switch could not be committed."""
        self.store.written_as = self.union

    def abandon(self, connection: sqlite3.Connection, problem: str, conflicts: tuple[IndexConflict, ...]) -> None:
        """Leave the old schema in force, and report why."""
        connection.execute(_REMOVE_INDEXES, (-self.store.number, -self.store.number))
        _discard(connection, list(self.new))
        connection.execute(_FAILED, (problem, conflicts_to_bytes(conflicts), self.store.number))
        self.store.written_as = None


def count(connection: sqlite3.Connection, store: SqliteStore) -> int:
    """Count the records of a store."""
    return int(connection.execute(store.count_rows).fetchone()[0])


def sweep(connection: sqlite3.Connection) -> bool:
    """Remove some rows of an index that is no longer used, or its table; return whether there may be more."""
    row = connection.execute(_UNUSED_INDEX).fetchone()
    if row is None:
        return False
    table = index_table(row[0])
    rows = connection.execute(
        f"DELETE FROM {table} WHERE (key, pk) IN (SELECT key, pk FROM {table} LIMIT {SWEEP_ROWS})"
    ).rowcount
    if rows < SWEEP_ROWS:
        connection.execute(f"DROP TABLE {table}")
        connection.execute(_REMOVE_INDEX, (row[0],))
    return True


def _discard(connection: sqlite3.Connection, indexes: list[SqliteIndex]) -> None:
    """Leave the tables of the indexes to ``sweep``."""
    for index in indexes:
        connection.execute(_PUT_INDEX, (index.number, 0, index.number))


def _conflicts(connection: sqlite3.Connection, index: SqliteIndex, key: bytes) -> list[IndexConflict]:
    rows = connection.execute(index.conflicts, (key, CONFLICT_LIMIT)).fetchall()
    return [IndexConflict(index.schema.name, Encoded(key, ties), (lowest, highest)) for ties, lowest, highest in rows]
