"""Stores and indexes as tables, with every statement that reads or writes them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from gestalt_store.engines.interface import Write
from gestalt_store.values.keys import Encoded
from gestalt_store.values.schema import IndexSchema, StoreSchema


class SqliteIndex:
    """Table ``index_K``: one row for each record that is in the index, ordered by index key, then primary key."""

    def __init__(self, number: int, store_number: int, schema: IndexSchema) -> None:
        self.number = number
        self.schema = schema
        self.table = f"index_{number}"
        table, records = self.table, f"records_{store_number}"
        self.insert = f"INSERT INTO {table} (key, pk, ties, record) VALUES (?, ?, ?, ?)"
        self.remove = f"DELETE FROM {table} WHERE key = ? AND pk = ?"
        self.remove_all = f"DELETE FROM {table}"
        self.conflict = f"SELECT pk FROM {table} WHERE key = ? AND ties = ? AND pk <> ? LIMIT 1"
        self.holders = f"SELECT pk FROM {table} WHERE key = ? AND ties = ?"
        self.fill = f"INSERT OR REPLACE INTO {table} (key, pk, ties, record) VALUES (?, ?, ?, ?)"
        self.enforced = schema.unique
        """Writes are refused for its sake; not yet while a migration builds it."""
        self.suspects: set[bytes] | None = None
        """Only of a unique index that is being built: keys (order bytes) that a write has made double."""
        self._joined = f"{table} AS i CROSS JOIN {records} AS r ON r.id = i.record"

    @cached_property
    def create(self) -> str:
        return (
            f"CREATE TABLE {self.table} (key BLOB NOT NULL, pk BLOB NOT NULL, ties BLOB NOT NULL, "
            "record INTEGER NOT NULL, PRIMARY KEY (key, pk)) WITHOUT ROWID"
        )

    @cached_property
    def values(self) -> str:
        return f"SELECT r.value FROM {self._joined} WHERE i.key >= ? AND i.key < ?"

    @cached_property
    def primary_keys(self) -> str:
        return f"SELECT i.pk FROM {self.table} AS i WHERE i.key >= ? AND i.key < ?"

    @cached_property
    def count(self) -> str:
        return f"SELECT count(*) FROM {self.table} AS i WHERE i.key >= ? AND i.key < ?"

    @cached_property
    def rows(self) -> str:
        return f"SELECT i.pk, r.value, i.key, i.ties FROM {self._joined} WHERE i.key >= ? AND i.key < ?"

    @cached_property
    def key_rows(self) -> str:
        return f"SELECT i.pk, NULL, i.key, i.ties FROM {self.table} AS i WHERE i.key >= ? AND i.key < ?"


EXACT = " AND i.ties = ?"
AFTER = " AND (i.key, i.pk) > (?, ?)"
BEFORE = " AND (i.key, i.pk) < (?, ?)"
INDEX_ORDER = " ORDER BY i.key, i.pk LIMIT ? OFFSET ?"
INDEX_ORDER_REVERSE = " ORDER BY i.key DESC, i.pk DESC LIMIT ? OFFSET ?"


class Pending:
    """What committed transactions have written to a store and the disk has not confirmed yet.

    A transaction that gets the store's lock meanwhile reads through it, so that transactions on one store need not wait
    for each other's disk writes. For the event loop.
    """

    def __init__(self) -> None:
        self.rows: dict[bytes, Write | None] = {}
        """The last write of each primary key, None for a deletion."""
        self.unique: dict[tuple[int, Encoded], bytes] = {}
        """Primary key that holds a unique index key by a write in ``rows``, by index position."""
        self.jobs: dict[Any, None] = {}
        """The commits, in order."""
        self.unsettled = 0
        """Single writes handed to the writer whose commit has not ended: what they will have done is not known."""
        self._writer: dict[bytes, Any] = {}

    def add(self, job: Any, rows: Mapping[bytes, Write | None], unique: Mapping[tuple[int, Encoded], bytes]) -> None:
        self.jobs[job] = None
        for key in rows:
            before = self.rows.get(key)
            if before is not None:
                self._forget(before)
            self._writer[key] = job
        self.rows.update(rows)
        self.unique.update(unique)

    def discard(self, job: Any, rows: Mapping[bytes, Write | None]) -> None:
        """The commit has ended: rows that no later one has written again are what the file holds."""
        del self.jobs[job]
        for key in rows:
            if self._writer.get(key) is job:
                del self._writer[key]
                write = self.rows.pop(key)
                if write is not None:
                    self._forget(write)

    def _forget(self, write: Write) -> None:
        for position, key in enumerate(write.index_keys):
            if key is not None and self.unique.get((position, key)) == write.primary_key:
                del self.unique[position, key]


class SqliteStore:
    """Table ``records_N``: a row number that indexes point to, the whole primary key, the record's bytes."""

    def __init__(self, number: int, name: str, schema: StoreSchema, index_numbers: Iterable[int]) -> None:
        self.number = number
        self.name = name
        self.schema = schema
        self.indexes = tuple(
            SqliteIndex(index_number, number, index)
            for index_number, index in zip(index_numbers, schema.indexes, strict=True)
        )
        self.has_unique = any(index.unique for index in schema.indexes)
        self.upkeep: SqliteStore | None = None
        """What writes keep up instead of this: the store with indexes that are being built, or the one that has taken
        its place. Set by the writer, in the order of its jobs."""
        self.dropped = False
        """Set when the deletion is applied: writes prepared before it fail."""
        self.pending = Pending()
        table = self.table = f"records_{number}"
        self.get = f"SELECT value FROM {table} WHERE key = ?"
        self.find = f"SELECT id, value FROM {table} WHERE key = ?"
        self.find_id = f"SELECT id FROM {table} WHERE key = ?"
        self.insert = f"INSERT INTO {table} (key, value) VALUES (?, ?)"
        self.update = f"UPDATE {table} SET value = ? WHERE id = ?"
        self.remove = f"DELETE FROM {table} WHERE id = ?"
        self.remove_all = f"DELETE FROM {table}"
        self.values = f"SELECT value FROM {table} WHERE key >= ? AND key < ?"
        self.primary_keys = f"SELECT key FROM {table} WHERE key >= ? AND key < ?"
        self.count = f"SELECT count(*) FROM {table} WHERE key >= ? AND key < ?"
        self.rows = f"SELECT key, value FROM {table} WHERE key >= ? AND key < ?"
        self.key_rows = f"SELECT key, NULL FROM {table} WHERE key >= ? AND key < ?"

    @cached_property
    def create(self) -> str:
        return f"CREATE TABLE {self.table} (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL)"

    @property
    def unsettled(self) -> int:
        return self.pending.unsettled

    def index(self, name: str) -> SqliteIndex:
        """The named index; ``IndexNotFound`` when there is none."""
        return self.indexes[self.schema.index_position(name)]


STORE_ORDER = " ORDER BY key LIMIT ? OFFSET ?"
STORE_ORDER_REVERSE = " ORDER BY key DESC LIMIT ? OFFSET ?"


def load_stores(connection: sqlite3.Connection) -> dict[str, SqliteStore]:
    """Every store of the file by name."""
    numbers: dict[int, list[int]] = {}
    for number, store in connection.execute(
        "SELECT id, store FROM indexes WHERE store > 0 ORDER BY store, position"
    ).fetchall():
        numbers.setdefault(store, []).append(number)
    return {
        name: SqliteStore(number, name, StoreSchema.from_bytes(schema), numbers.get(number, ()))
        for number, name, schema in connection.execute("SELECT id, name, schema FROM stores").fetchall()
    }


def create_store(connection: sqlite3.Connection, name: str, schema: StoreSchema) -> SqliteStore:
    """Create the store's rows and tables, inside the caller's transaction."""
    cursor = connection.execute("INSERT INTO stores (name, schema) VALUES (?, ?)", (name, schema.to_bytes()))
    number = cursor.lastrowid
    assert number is not None
    index_numbers: list[int] = []
    for position in range(len(schema.indexes)):
        cursor = connection.execute("INSERT INTO indexes (store, position) VALUES (?, ?)", (number, position))
        assert cursor.lastrowid is not None
        index_numbers.append(cursor.lastrowid)
    store = SqliteStore(number, name, schema, index_numbers)
    connection.execute(store.create)
    for index in store.indexes:
        connection.execute(index.create)
    return store


def drop_store(connection: sqlite3.Connection, store: SqliteStore) -> None:
    """Remove the store's tables and rows, inside the caller's transaction."""
    for index in store.indexes:
        connection.execute(f"DROP TABLE {index.table}")
    connection.execute(f"DROP TABLE {store.table}")
    for (number,) in connection.execute("SELECT id FROM indexes WHERE store = ?", (-store.number,)).fetchall():
        connection.execute(f"DROP TABLE index_{number}")
    connection.execute("DELETE FROM migrations WHERE store = ?", (store.number,))
    connection.execute("DELETE FROM indexes WHERE store IN (?, ?)", (store.number, -store.number))
    connection.execute("DELETE FROM stores WHERE id = ?", (store.number,))
