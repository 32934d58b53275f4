"""The layout of a database file, its format number, and the steps from older formats to this one.

Format 1: ``stores`` (one row for each object store, its schema as wire bytes), ``indexes`` (one for each index,
numbered by its position in the schema); for store N a table ``records_N`` (id, key, value), for index K a table
``index_K`` (key, pk, ties, record). ``facts`` says which database the file holds.

Format 2: ``migrations`` (one row for each object store whose indexes were changed: the schema that it shall have, how
far the work is, how it ended). Rows of ``indexes`` with a negated store number are indexes of a running migration, at
their position in the new schema; those of store 0 are no longer used, and are removed in the background.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from gestalt_store.errors import DatabaseUnusable

FORMAT = 2
APPLICATION_ID = 0x47535431  # "GST1"

_CREATE = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE stores (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, schema BLOB NOT NULL);
CREATE TABLE indexes (id INTEGER PRIMARY KEY AUTOINCREMENT, store INTEGER NOT NULL, position INTEGER NOT NULL,
                      UNIQUE (store, position));
"""
_MIGRATIONS = (
    "CREATE TABLE migrations (store INTEGER PRIMARY KEY, schema BLOB NOT NULL, state TEXT NOT NULL, "
    "position INTEGER NOT NULL, last INTEGER NOT NULL, scanned INTEGER NOT NULL, total INTEGER NOT NULL, "
    "problem TEXT NOT NULL, conflicts BLOB NOT NULL)"
)
_NAME_DATABASE = "INSERT INTO facts VALUES ('db', ?)"
_DATABASE_NAME = "SELECT value FROM facts WHERE name = 'db'"


def _to_2(connection: sqlite3.Connection) -> None:
    connection.execute(_MIGRATIONS)


STEPS: dict[int, Callable[[sqlite3.Connection], None]] = {1: _to_2}
"""The step from each older format to the next one, executed in one transaction with the new number."""


def ensure_format(connection: sqlite3.Connection, path: Path, db: str) -> None:
    """Create the layout in an empty file, migrate an older one, refuse any other file.

    Raises:
        DatabaseUnusable: another program's file, a newer format, or another database's file.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    number = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application == 0 and number == 0 and tables == 0:
        connection.execute("BEGIN IMMEDIATE")
        for statement in _CREATE.split(";"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(_MIGRATIONS)
        connection.execute(_NAME_DATABASE, (db,))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")
        return
    if application != APPLICATION_ID:
        raise DatabaseUnusable(f"{path} is a database of another program; give the store a file of its own")
    if number > FORMAT:
        raise DatabaseUnusable(
            f"{path} has format {number}, this version reads up to {FORMAT}: a newer version wrote it; "
            "use that one, or restore a backup made before the upgrade"
        )
    while number < FORMAT:
        step = STEPS.get(number)
        if step is None:
            raise DatabaseUnusable(f"{path} has format {number}, which no released version wrote")
        connection.execute("BEGIN IMMEDIATE")
        try:
            step(connection)
            number += 1
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    owner = database_name(connection)
    if owner != db:
        raise DatabaseUnusable(f"{path} holds database {owner!r}, not {db!r}; choose another dsn")


def database_name(connection: sqlite3.Connection) -> str:
    """Return which database the file holds; blank for the unnamed one."""
    row = connection.execute(_DATABASE_NAME).fetchone()
    return str(row[0]) if row else ""
