"""Proof that database files are sound: their structure, every record under its own key, every index row.

A store may be serving them meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from google.protobuf.message import DecodeError

from gestalt_store.errors import DatabaseUnusable, StorageCorrupt, StoreError
from gestalt_store.sqlite import tables
from gestalt_store.sqlite.failures import translated
from gestalt_store.sqlite.files import database_path
from gestalt_store.sqlite.formats import APPLICATION_ID, FORMAT, database_name
from gestalt_store.sqlite.tables import SqliteStore
from gestalt_store.values import wire
from gestalt_store.values.keys import Encoded
from gestalt_store.values.rendering import key_name

_PROBLEM_LIMIT = 100


def databases_of(base: Path) -> dict[str, Path]:
    """Return the file of every database of the DSN that exists, by name; the unnamed one is blank."""
    found: dict[str, Path] = {}
    for path in sorted({base, *base.parent.glob(f"{base.stem}.*{base.suffix}")}):
        if not path.is_file():
            continue
        try:
            with reading(path) as connection:
                db = database_name(connection)
        except StoreError:
            continue
        if database_path(base, db) == path:
            found[db] = path
    return found


def check(path: Path) -> list[str]:
    """Return what is wrong with a database file, its structure, keys and index rows; empty when nothing is."""
    problems: list[str] = []
    try:
        _check(path, problems)
    except StorageCorrupt as error:
        problems.append(str(error))
    return problems


def _check(path: Path, problems: list[str]) -> None:
    with reading(path) as connection:
        connection.execute("BEGIN")
        for (text,) in connection.execute("PRAGMA integrity_check(20)").fetchall():
            if text != "ok":
                problems.append(str(text))
        for store in tables.load_stores(connection).values():
            for problem in _check_store(connection, store):
                problems.append(f"object store {store.name!r}: {problem}")
                if len(problems) >= _PROBLEM_LIMIT:
                    problems.append("and more")
                    return


def _check_store(connection: sqlite3.Connection, store: SqliteStore) -> Iterator[str]:
    rows_of = [0] * len(store.indexes)
    for number, key, value in connection.execute(store.every):
        try:
            fields = wire.Record.FromString(value).fields
            if store.schema.primary_key(fields) != key:
                yield f"record {key_name(key)} is stored under a key that is not its own"
            index_keys = store.schema.index_keys(fields)
        except (DecodeError, StoreError) as error:
            yield f"record {key_name(key)} cannot be read: {error}"
            continue
        for position, (index, expected) in enumerate(zip(store.indexes, index_keys, strict=True)):
            if expected is None:
                continue
            rows_of[position] += 1
            row = connection.execute(index.row, (expected.order, key)).fetchone()
            if row is None or Encoded(expected.order, row[0]) != expected or row[1] != number:
                yield f"index {index.schema.name!r} has no right row for record {key_name(key)}"
    for index, expected_rows in zip(store.indexes, rows_of, strict=True):
        rows = connection.execute(index.count_rows).fetchone()[0]
        if rows != expected_rows:
            yield f"index {index.schema.name!r} has {rows} rows for {expected_rows} records"
        if index.schema.unique:
            duplicates = connection.execute(index.count_duplicates).fetchone()[0]
            if duplicates:
                yield f"unique index {index.schema.name!r} has {duplicates} keys more than once"


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database file for reading, beside a store that may be serving it.

    Raises:
        DatabaseUnusable: missing, of another program or of a newer format; StorageCorrupt, StorageUnavailable
    """
    if not path.is_file():
        raise DatabaseUnusable(f"{path} does not exist")
    with translated(path):
        # Not mode=ro: a reader of a database in WAL mode may have to recover its log.
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=10)
        try:
            if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                raise DatabaseUnusable(f"{path} is not a database of the store")
            number = connection.execute("PRAGMA user_version").fetchone()[0]
            if number > FORMAT:
                raise DatabaseUnusable(f"{path} has format {number}, this version reads up to {FORMAT}")
            yield connection
        finally:
            connection.close()
