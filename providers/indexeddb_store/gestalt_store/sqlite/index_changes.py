"""The steps of a migration as jobs of the writer: begin, one batch of records, switch, give up, remove what is left."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from gestalt_store.engines.index_changes import BATCH_BYTES, BATCH_ROWS, CONFLICT_LIMIT, conflicts_to_bytes
from gestalt_store.engines.interface import IndexConflict
from gestalt_store.errors import MigrationRunning, ObjectStoreNotFound
from gestalt_store.sqlite.tables import SqliteIndex, SqliteStore
from gestalt_store.values import wire
from gestalt_store.values.keys import Encoded
from gestalt_store.values.schema import StoreSchema

SWEEP_ROWS = 1000


@dataclass(slots=True)
class Build:
    """A migration under way.

    Attributes:
        store: As its clients see it.
        union: The same with the indexes that are being built, for writes to keep up.
        target: The store as it shall be.
        position: Row number up to which its records have been indexed.
        last: Highest row number when it began; later records were indexed when they were written.
    """

    store: SqliteStore
    union: SqliteStore
    target: SqliteStore
    position: int
    last: int

    @classmethod
    def begin(cls, connection: sqlite3.Connection, store: SqliteStore, schema: StoreSchema, total: int) -> Build:
        """Make the tables and have writes keep them up.

        Raises:
            ObjectStoreNotFound, MigrationRunning
        """
        if store.dropped:
            raise ObjectStoreNotFound(store.name)
        if store.upkeep is not None:
            raise MigrationRunning(store.name)
        numbers = []
        for position, index in enumerate(schema.indexes):
            if index in store.schema.indexes:
                continue
            row = connection.execute(
                "INSERT INTO indexes (store, position) VALUES (?, ?)", (-store.number, position)
            ).lastrowid
            assert row is not None
            numbers.append(row)
        last = connection.execute(f"SELECT coalesce(max(id), 0) FROM {store.table}").fetchone()[0]
        connection.execute(
            "INSERT OR REPLACE INTO migrations VALUES (?, ?, 'running', 0, ?, 0, ?, '', x'')",
            (store.number, schema.to_bytes(), last, total),
        )
        build = cls._made(store, schema, numbers, 0, last)
        for made in build.new:
            connection.execute(made.create)
        store.upkeep = build.union
        return build

    @classmethod
    def resumed(
        cls, connection: sqlite3.Connection, store: SqliteStore, schema: StoreSchema, position: int, last: int
    ) -> Build:
        """The migration as a file has it."""
        rows = connection.execute("SELECT id FROM indexes WHERE store = ? ORDER BY position", (-store.number,))
        return cls._made(store, schema, [row[0] for row in rows.fetchall()], position, last)

    @classmethod
    def _made(cls, store: SqliteStore, schema: StoreSchema, numbers: list[int], position: int, last: int) -> Build:
        added = [index for index in schema.indexes if index not in store.schema.indexes]
        known = {index.schema: index.number for index in store.indexes}
        both = {**known, **dict(zip(added, numbers, strict=True))}
        union_schema = store.schema.with_indexes((*store.schema.indexes, *added))
        union = SqliteStore(store.number, store.name, union_schema, both.values())
        target = SqliteStore(store.number, store.name, schema, [both[index] for index in schema.indexes])
        target.pending = store.pending
        union.has_unique = store.has_unique
        for index in union.indexes[len(store.indexes) :]:
            index.enforced = False
        return cls(store, union, target, position, last)

    @property
    def new(self) -> tuple[SqliteIndex, ...]:
        return self.union.indexes[len(self.store.indexes) :]

    def batch(self, connection: sqlite3.Connection) -> tuple[int, int]:
        """Index some of the records that were there before; row number reached, and how many."""
        if self.store.dropped:
            raise ObjectStoreNotFound(self.store.name)
        rows = connection.execute(
            f"SELECT id, key, value FROM {self.store.table} WHERE id > ? AND id <= ? ORDER BY id LIMIT {BATCH_ROWS}",
            (self.position, self.last),
        )
        entries: list[tuple[SqliteIndex, tuple[bytes, bytes, bytes, int]]] = []
        position, number, size = self.last, 0, 0
        for record_id, primary_key, value in rows:
            fields = wire.Record.FromString(value).fields
            for index in self.new:
                key = index.schema.key_of(fields)
                if key is not None:
                    entries.append((index, (key.order, primary_key, key.ties, record_id)))
            number += 1
            size += len(value)
            if number == BATCH_ROWS or size > BATCH_BYTES:
                position = record_id
                break
        rows.close()
        for index, entry in entries:
            connection.execute(index.fill, entry)
        connection.execute(
            "UPDATE migrations SET position = ?, scanned = scanned + ? WHERE store = ?",
            (position, number, self.store.number),
        )
        return position, number

    def watch(self) -> list[SqliteIndex]:
        """Have writes note the keys that they double from now on; the unique indexes that are being built."""
        unique = [index for index in self.new if index.schema.unique]
        for index in unique:
            index.suspects = set()
        return unique

    def doubled(self, connection: sqlite3.Connection) -> list[list[bytes]]:
        """For each unique index that is being built, keys (order bytes) that more than one record has; not all."""
        return [
            [
                row[0]
                for row in connection.execute(
                    f"SELECT key FROM {index.table} GROUP BY key HAVING count(*) > count(DISTINCT ties) LIMIT ?",
                    (CONFLICT_LIMIT,),
                )
            ]
            for index in self.new
            if index.schema.unique
        ]

    def switch(self, connection: sqlite3.Connection) -> tuple[IndexConflict, ...] | None:
        """Put the new schema in force.

        Returns:
            Nothing, the conflicts that forbid it, or None when keys must be looked for again.
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
        execute("DELETE FROM indexes WHERE store IN (?, ?)", (number, -number))
        for position, index in enumerate(self.target.indexes):
            execute("INSERT INTO indexes (id, store, position) VALUES (?, ?, ?)", (index.number, number, position))
        kept = {index.number for index in self.target.indexes}
        _discard(connection, [index for index in self.union.indexes if index.number not in kept])
        execute("UPDATE stores SET schema = ? WHERE id = ?", (self.target.schema.to_bytes(), number))
        execute("UPDATE migrations SET state = 'done' WHERE store = ?", (number,))
        store.upkeep = self.target
        return ()

    def take_back(self) -> None:
        """The switch could not be committed."""
        self.store.upkeep = self.union

    def abandon(self, connection: sqlite3.Connection, problem: str, conflicts: tuple[IndexConflict, ...]) -> None:
        """Leave the old schema in force and say why."""
        connection.execute("DELETE FROM indexes WHERE store = ?", (-self.store.number,))
        _discard(connection, list(self.new))
        connection.execute(
            "UPDATE migrations SET state = 'failed', problem = ?, conflicts = ? WHERE store = ?",
            (problem, conflicts_to_bytes(conflicts), self.store.number),
        )
        self.store.upkeep = None


def count(connection: sqlite3.Connection, store: SqliteStore) -> int:
    """The records of a store."""
    return int(connection.execute(f"SELECT count(*) FROM {store.table}").fetchone()[0])


def sweep(connection: sqlite3.Connection) -> bool:
    """Remove some rows of an index that is no longer used, or its table; whether there may be more."""
    row = connection.execute("SELECT id FROM indexes WHERE store = 0 LIMIT 1").fetchone()
    if row is None:
        return False
    table = f"index_{row[0]}"
    rows = connection.execute(
        f"DELETE FROM {table} WHERE (key, pk) IN (SELECT key, pk FROM {table} LIMIT {SWEEP_ROWS})"
    ).rowcount
    if rows < SWEEP_ROWS:
        connection.execute(f"DROP TABLE {table}")
        connection.execute("DELETE FROM indexes WHERE id = ?", (row[0],))
    return True


def _discard(connection: sqlite3.Connection, indexes: list[SqliteIndex]) -> None:
    for index in indexes:
        connection.execute("INSERT INTO indexes (id, store, position) VALUES (?, 0, ?)", (index.number, index.number))


def _conflicts(connection: sqlite3.Connection, index: SqliteIndex, key: bytes) -> list[IndexConflict]:
    rows = connection.execute(
        f"SELECT ties, min(pk), max(pk) FROM {index.table} WHERE key = ? GROUP BY ties HAVING count(*) > 1 LIMIT ?",
        (key, CONFLICT_LIMIT),
    ).fetchall()
    return [IndexConflict(index.schema.name, Encoded(key, ties), (lowest, highest)) for ties, lowest, highest in rows]
