"""Stores and indexes as tables, with every statement that reads or writes them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from functools import cached_property
from typing import TypeAlias

from gestalt_store.engines.interface import Walk, Write
from gestalt_store.sqlite.unconfirmed import Unconfirmed
from gestalt_store.values.schema import IndexSchema, StoreSchema


class SqliteIndex:
    """Table ``index_K``: one row for each record that is in the index, ordered by index key, then primary key."""

    def __init__(self, number: int, store_number: int, schema: IndexSchema) -> None:
        self.number = number
        self.schema = schema
        self.table = index_table(number)
        table, records = self.table, f"records_{store_number}"
        self.insert = f"INSERT INTO {table} (key, pk, ties, record) VALUES (?, ?, ?, ?)"
        self.remove = f"DELETE FROM {table} WHERE key = ? AND pk = ?"
        self.remove_record = f"DELETE FROM {table} WHERE pk = ?"
        """Walks the whole index: only for a record from which its index keys cannot be told."""
        self.remove_all = f"DELETE FROM {table}"
        self.conflict = f"SELECT pk FROM {table} WHERE key = ? AND ties = ? AND pk <> ? LIMIT 1"
        self.holders = f"SELECT pk FROM {table} WHERE key = ? AND ties = ?"
        self.fill = f"INSERT OR REPLACE INTO {table} (key, pk, ties, record) VALUES (?, ?, ?, ?)"
        self.enforced = schema.unique
        """Whether a write that gives a second record the same key is refused; not yet while a migration builds it."""
        self.suspects: set[bytes] | None = None
        """Only of a unique index that is being built: keys (order bytes) that a write has given to a second record."""
        self._joined = f"{table} AS i CROSS JOIN {records} AS r ON r.id = i.record"

    @cached_property
    def create(self) -> str:
        return (
            f"CREATE TABLE {self.table} (key BLOB NOT NULL, pk BLOB NOT NULL, ties BLOB NOT NULL, "
            "record INTEGER NOT NULL, PRIMARY KEY (key, pk)) WITHOUT ROWID"
        )

    @cached_property
    def drop(self) -> str:
        return f"DROP TABLE {self.table}"

    @cached_property
    def duplicates(self) -> str:
        return f"SELECT key FROM {self.table} GROUP BY key HAVING count(*) > count(DISTINCT ties) LIMIT ?"

    @cached_property
    def conflicts(self) -> str:
        return (
            f"SELECT ties, min(pk), max(pk) FROM {self.table} WHERE key = ? GROUP BY ties HAVING count(*) > 1 LIMIT ?"
        )

    @cached_property
    def row(self) -> str:
        return f"SELECT ties, record FROM {self.table} WHERE key = ? AND pk = ?"

    @cached_property
    def count_rows(self) -> str:
        return f"SELECT count(*) FROM {self.table}"

    @cached_property
    def count_duplicates(self) -> str:
        return f"SELECT count(*) FROM (SELECT 1 FROM {self.table} GROUP BY key, ties HAVING count(*) > 1)"

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
        self.written_as: SqliteStore | None = None
        """What writes maintain in place of this: the store with the indexes that are being built, or its successor.
        Set by the writer, in the order of its jobs."""
        self.dropped = False
        """Set when the deletion is executed, so that writes which began before it fail."""
        self.unconfirmed: Unconfirmed[SqliteStore] = Unconfirmed()
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

    @cached_property
    def drop(self) -> str:
        return f"DROP TABLE {self.table}"

    @cached_property
    def every(self) -> str:
        return f"SELECT id, key, value FROM {self.table}"

    @cached_property
    def batch(self) -> str:
        return f"SELECT id, key, value FROM {self.table} WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"

    @cached_property
    def highest_id(self) -> str:
        return f"SELECT coalesce(max(id), 0) FROM {self.table}"

    @cached_property
    def count_rows(self) -> str:
        return f"SELECT count(*) FROM {self.table}"

    def index(self, name: str) -> SqliteIndex:
        """Return the named index.

        Raises:
            IndexNotFound
        """
        return self.indexes[self.schema.index_position(name)]


SqliteWalk: TypeAlias = Walk[SqliteStore, SqliteIndex]
SqliteWrite: TypeAlias = Write[SqliteStore]


def maintained(store: SqliteStore) -> SqliteStore:
    """Return the store whose indexes a write has to maintain: another one once a migration of the store has begun."""
    while store.written_as is not None:
        store = store.written_as
    return store


STORE_ORDER = " ORDER BY key LIMIT ? OFFSET ?"
STORE_ORDER_REVERSE = " ORDER BY key DESC LIMIT ? OFFSET ?"


_LOAD_INDEXES = "SELECT id, store FROM indexes WHERE store > 0 ORDER BY store, position"
_LOAD_STORES = "SELECT id, name, schema FROM stores"
_ADD_STORE = "INSERT INTO stores (name, schema) VALUES (?, ?)"
_ADD_INDEX = "INSERT INTO indexes (store, position) VALUES (?, ?)"
_INDEXES_OF = "SELECT id FROM indexes WHERE store = ?"
_REMOVE_MIGRATION = "DELETE FROM migrations WHERE store = ?"
_REMOVE_INDEXES = "DELETE FROM indexes WHERE store IN (?, ?)"
_REMOVE_STORE = "DELETE FROM stores WHERE id = ?"


def index_table(number: int) -> str:
    """Return the name of the table of an index."""
    return f"index_{number}"


def load_stores(connection: sqlite3.Connection) -> dict[str, SqliteStore]:
    """Return every store of the file by name."""
    numbers: dict[int, list[int]] = {}
    for number, store in connection.execute(_LOAD_INDEXES).fetchall():
        numbers.setdefault(store, []).append(number)
    return {
        name: SqliteStore(number, name, StoreSchema.from_bytes(schema), numbers.get(number, ()))
        for number, name, schema in connection.execute(_LOAD_STORES).fetchall()
    }


def add_index(connection: sqlite3.Connection, store_number: int, position: int) -> int:
    """Number a new index of the store, inside the caller's transaction; its table is not created."""
    number = connection.execute(_ADD_INDEX, (store_number, position)).lastrowid
    assert number is not None
    return number


def create_store(connection: sqlite3.Connection, name: str, schema: StoreSchema) -> SqliteStore:
    """Create the store's rows and tables, inside the caller's transaction."""
    number = connection.execute(_ADD_STORE, (name, schema.to_bytes())).lastrowid
    assert number is not None
    index_numbers = [add_index(connection, number, position) for position in range(len(schema.indexes))]
    store = SqliteStore(number, name, schema, index_numbers)
    connection.execute(store.create)
    for index in store.indexes:
        connection.execute(index.create)
    return store


def drop_store(connection: sqlite3.Connection, store: SqliteStore) -> None:
    """Remove the store's tables and rows, inside the caller's transaction."""
    for index in store.indexes:
        connection.execute(index.drop)
    connection.execute(store.drop)
    for (number,) in connection.execute(_INDEXES_OF, (-store.number,)).fetchall():
        connection.execute(f"DROP TABLE {index_table(number)}")
    connection.execute(_REMOVE_MIGRATION, (store.number,))
    connection.execute(_REMOVE_INDEXES, (store.number, -store.number))
    connection.execute(_REMOVE_STORE, (store.number,))
