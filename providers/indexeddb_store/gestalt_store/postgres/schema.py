"""Every statement on the tables that a database's schema has for itself: ``stores``, ``migrations`` and ``dropped``.

``formats`` creates these tables and says what is in them; ``tables`` has the statements on the tables of a store.
"""

from __future__ import annotations

from collections.abc import Sequence

from gestalt_store.postgres.pool import Statement

BEGIN = Statement("BEGIN", prepare=False)
"""Isolation is READ COMMITTED (``pool``): each statement sees what was committed when it began."""


class Schema:
    """The statements for one schema. They are rare, and not prepared but for ``rows``."""

    def __init__(self, name: str) -> None:
        """``name`` is quoted already."""
        self.name = name
        self._rows = (
            "SELECT s.id, s.name, s.schema, s.data, s.slots, s.next_slot, s.guard, m.state, m.schema, m.slots, "
            f"m.position, m.last, m.scanned, m.total, m.problem, m.conflicts FROM {name}.stores AS s "
            f"LEFT JOIN {name}.migrations AS m ON m.store = coalesce(s.data, s.id)"
        )
        self.rows = Statement(self._rows)
        """Read every store with its migration, as ``catalogue.StoreRow`` takes it in."""
        self.lock_stores = Statement(f"LOCK TABLE {name}.stores IN SHARE ROW EXCLUSIVE MODE", prepare=False)
        """Keep every other process from changing the stores, for the rest of the transaction."""
        self.write_nothing = Statement(f"UPDATE {name}.facts SET value = value WHERE name = 'db'", prepare=False)
        """Make the server write, and change nothing."""
        self.dropped = Statement(f"SELECT name FROM {name}.dropped", prepare=False)
        """List the tables that are to be removed."""

    # Stores.

    def row_of(self, name: str) -> Statement:
        """Read one store by name, as ``rows`` does."""
        return Statement(f"{self._rows} WHERE s.name = $1", [name.encode()], prepare=False)

    def row_of_data(self, data: int) -> Statement:
        """Read one store by ``PgStore.data``, as ``rows`` does."""
        return Statement(f"{self._rows} WHERE coalesce(s.data, s.id) = $1", [data], prepare=False)

    def add_store(self, name: str, schema: bytes) -> Statement:
        """Add a store and return its number."""
        sql = f"INSERT INTO {self.name}.stores (name, schema) VALUES ($1, $2) RETURNING id"
        return Statement(sql, [name.encode(), schema], prepare=False)

    def remove_store(self, number: int) -> Statement:
        return Statement(f"DELETE FROM {self.name}.stores WHERE id = $1", [number], prepare=False)

    def set_guard(self, number: int, guard: int) -> Statement:
        return Statement(f"UPDATE {self.name}.stores SET guard = $1 WHERE id = $2", [guard, number], prepare=False)

    def add_indexes(self, number: int, guard: int, next_index_number: int) -> Statement:
        """Note that indexes are being built, which use up the index numbers below the next one."""
        sql = f"UPDATE {self.name}.stores SET guard = $1, next_slot = $2 WHERE id = $3"
        return Statement(sql, [guard, next_index_number, number], prepare=False)

    def replace_store(self, number: int, schema: bytes, data: int, index_numbers: str, guard: int) -> Statement:
        """Give a store another schema and with that another number."""
        sql = (
            f"UPDATE {self.name}.stores SET id = DEFAULT, schema = $1, data = $2, slots = $3, guard = $4 WHERE id = $5"
        )
        return Statement(sql, [schema, data, index_numbers, guard, number], prepare=False)

    # Migrations, by ``PgStore.data``.

    def begin_migration(self, data: int, target: bytes, total: int) -> Statement:
        """Note a migration that runs; the report of an earlier one is overwritten."""
        sql = (
            f"INSERT INTO {self.name}.migrations "
            "(store, schema, state, slots, position, last, scanned, total, problem, conflicts) "
            "VALUES ($1, $2, 'running', NULL, $4, $4, 0, $3, $4, $4) ON CONFLICT (store) DO UPDATE SET "
            "(schema, state, slots, position, last, scanned, total, problem, conflicts) = (excluded.schema, "
            "excluded.state, NULL, excluded.position, excluded.last, 0, excluded.total, excluded.problem, "
            "excluded.conflicts)"
        )
        return Statement(sql, [data, target, total, b""], prepare=False)

    def start_building(self, data: int, index_numbers: str, last: bytes) -> Statement:
        """Note which indexes are built, and the last record that has to be indexed."""
        sql = f"UPDATE {self.name}.migrations SET slots = $1, last = $2 WHERE store = $3"
        return Statement(sql, [index_numbers, last, data], prepare=False)

    def advance(self, data: int, position: bytes, number: int) -> Statement:
        """Note that ``number`` more records have been indexed, up to ``position``."""
        sql = f"UPDATE {self.name}.migrations SET position = $1, scanned = scanned + $2::bigint WHERE store = $3"
        return Statement(sql, [position, number, data])

    def end_migration(self, data: int, state: str, problem: str, conflicts: bytes) -> Statement:
        sql = (
            f"UPDATE {self.name}.migrations SET state = $1, slots = NULL, problem = $2, conflicts = $3 WHERE store = $4"
        )
        return Statement(sql, [state, problem.encode(), conflicts, data], prepare=False)

    def remove_migration(self, data: int) -> Statement:
        return Statement(f"DELETE FROM {self.name}.migrations WHERE store = $1", [data], prepare=False)

    # Tables that are to be removed when nobody uses them any more.

    def discard(self, tables: Sequence[str]) -> Statement:
        """Leave tables to be removed; some of them may have been left before."""
        sql = f"INSERT INTO {self.name}.dropped SELECT * FROM unnest($1::text[]) ON CONFLICT DO NOTHING"
        return Statement(sql, [tables], prepare=False)

    def drop_table(self, table: str) -> Statement:
        return Statement(f"DROP TABLE IF EXISTS {self.name}.{table}", prepare=False)

    def forget_dropped(self, table: str) -> Statement:
        return Statement(f"DELETE FROM {self.name}.dropped WHERE name = $1", [table], prepare=False)
