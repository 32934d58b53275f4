"""The store's statements through sqlite3 alone, in this process: what the engine itself gives to each workload.

Rates are operations a second, counted as the store's are. Writes share commits as those of so many clients do.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

KEY_RANGE = 5000
PAGE_ROWS = 256


class PlainSqlite:
    """A file like the store's: records with a row number, two indexes that point to it."""

    def __init__(self, path: Path, value: bytes, rows: int, seconds: float) -> None:
        """``value`` is the record that every row has."""
        self.value = value
        self.rows = rows
        self.seconds = seconds
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        execute = self._connection.execute
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        for table in ("large", "small", "put", "added", "apply"):
            execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL)")
            for index in ("a", "b"):
                execute(
                    f"CREATE TABLE {table}_{index} (key BLOB NOT NULL, pk BLOB NOT NULL, ties BLOB NOT NULL, "
                    "record INTEGER NOT NULL, PRIMARY KEY (key, pk)) WITHOUT ROWID"
                )
        execute("BEGIN")
        for table, count in (("large", rows), ("small", 1000)):
            for number in range(count):
                self._insert(table, _key(number), number)
        execute("COMMIT")

    def close(self) -> None:
        self._connection.close()

    def get(self, _: int) -> float:
        def one(number: int) -> None:
            self._connection.execute("SELECT value FROM small WHERE key = ?", (_key(number % 1000),)).fetchone()

        return self._rate(one)

    def put(self, clients: int) -> float:
        """One upsert for each client to a commit."""
        return self._upserts("put", clients, KEY_RANGE)

    def apply(self, clients: int) -> float:
        """Sixteen upserts for each client to a commit; upserts a second."""
        return self._upserts("apply", 16 * clients, 50_000)

    def transaction(self, clients: int) -> float:
        """Five inserts for each client to a commit; transactions a second."""

        def group(number: int) -> None:
            self._connection.execute("BEGIN IMMEDIATE")
            for step in range(5 * clients):
                key = _key((clients * 10_000_000 + number) * 1000 + step)
                if self._connection.execute("SELECT id, value FROM added WHERE key = ?", (key,)).fetchone() is None:
                    self._insert("added", key, step)
            self._connection.execute("COMMIT")

        return self._rate(group) * clients

    def page(self, _: int) -> float:
        """A hundred neighbours in an index with their records."""
        sql = (
            "SELECT i.pk, r.value, i.key, i.ties FROM large_b AS i CROSS JOIN large AS r ON r.id = i.record "
            "WHERE i.key >= ? AND i.key < ? ORDER BY i.key, i.pk"
        )
        bounds = (_key(300), _key(400))

        def one(_: int) -> None:
            self._connection.execute(sql, bounds).fetchall()

        return self._rate(one)

    def get_all(self, _: int) -> float:
        """A thousand records; records a second."""

        def one(_: int) -> None:
            self._connection.execute("SELECT value FROM small WHERE key >= ? AND key < ?", (b"", b"\xff")).fetchall()

        return self._rate(one) * 1000

    def cursor(self, _: int) -> float:
        """All rows in pages; rows a second."""
        after = b""

        def one(_: int) -> None:
            nonlocal after
            sql = f"SELECT key, value FROM large WHERE key > ? ORDER BY key LIMIT {PAGE_ROWS}"
            rows = self._connection.execute(sql, (after,)).fetchall()
            after = rows[-1][0] if len(rows) == PAGE_ROWS else b""

        return self._rate(one) * min(PAGE_ROWS, self.rows)

    def _upserts(self, table: str, group_size: int, keys: int) -> float:
        def group(number: int) -> None:
            execute = self._connection.execute
            execute("BEGIN IMMEDIATE")
            for step in range(group_size):
                place = (number * group_size + step) % keys
                row = execute(f"SELECT id, value FROM {table} WHERE key = ?", (_key(place),)).fetchone()
                if row is None:
                    self._insert(table, _key(place), place)
                else:
                    execute(f"UPDATE {table} SET value = ? WHERE id = ?", (b"%08d" % number + self.value[8:], row[0]))
            execute("COMMIT")

        return self._rate(group) * group_size

    def _insert(self, table: str, key: bytes, number: int) -> None:
        execute = self._connection.execute
        row = execute(f"INSERT INTO {table} (key, value) VALUES (?, ?)", (key, self.value)).lastrowid
        group = b"group-%d/" % (number % 100)
        for index, index_key in (("a", group + _key(number)), ("b", _key(number))):
            execute(f"INSERT INTO {table}_{index} VALUES (?, ?, ?, ?)", (index_key, key, b"", row))

    def _rate(self, call: Callable[[int], None]) -> float:
        number = 0
        start = time.perf_counter()
        while (elapsed := time.perf_counter() - start) < self.seconds:
            number += 1
            call(number)
        return number / elapsed


def _key(number: int) -> bytes:
    return b"key-%012d" % number
