"""The steps of a migration, each one transaction: begin, index a batch of records, finish, abandon.

They run on one connection, whose session holds the advisory lock of the migration, so that one process builds at a
time. Isolation is READ COMMITTED: what a step reads it has locked before. A process that takes over reads from the row
in ``migrations`` how far the last one came.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import psycopg
from google.protobuf.message import DecodeError

from gestalt_store.engines.index_changes import (
    BATCH_BYTES,
    BATCH_ROWS,
    CONFLICT_LIMIT,
    DONE,
    FAILED,
    RUNNING,
    SWITCH_WAIT_S,
    conflicts_to_bytes,
    duplicates_problem,
)
from gestalt_store.engines.interface import IndexConflict, Position, Walk, WalkRow
from gestalt_store.errors import StoreError
from gestalt_store.postgres import reads
from gestalt_store.postgres.catalogue import StoreRow, index_tables, numbers_to_text
from gestalt_store.postgres.pool import COMMIT, ROLLBACK, PgConnection, Statement
from gestalt_store.postgres.schema import BEGIN, Schema
from gestalt_store.postgres.statements import lock_statement
from gestalt_store.postgres.tables import PgIndex, PgStore, PgWalk
from gestalt_store.values import wire
from gestalt_store.values.keys import Encoded
from gestalt_store.values.ranges import EVERYTHING, LOWEST, Span
from gestalt_store.values.schema import missing_indexes

DUPLICATES_AT_ONCE = 500
"""Noted keys that the last step looks at."""
_CLAIM = "SELECT pg_try_advisory_lock(hashtextextended('gestalt indexeddb migration ' || $1 || '/' || $2, 0))"


class Unreadable(Exception):
    """Raised for a record that cannot be indexed; the cause says why."""


class PgIndexBuild:
    """The migration of one store; this process builds it from ``claim`` to the end of the connection."""

    def __init__(self, connection: PgConnection, schema: Schema, data: int) -> None:
        """``data`` is the store's (``PgStore.data``)."""
        self._connection = connection
        self._schema = schema
        self._data = data

    async def claim(self) -> bool:
        """Take the migration until the connection ends; return False when another session has it."""
        statement = Statement(_CLAIM, [self._schema.name, str(self._data)], prepare=False)
        return bool((await self._connection.run([statement]))[0][0][0])

    async def look(self) -> StoreRow | None:
        """Return the store and its migration; None when that has ended or the store is gone."""
        (rows,) = await self._connection.run([self._schema.row_of_data(self._data)])
        found = StoreRow.of(self._schema.name, rows[0]) if rows else None
        if found is None or found.migration is None or found.migration.report.state != RUNNING:
            return None
        return found

    async def begin(self) -> None:
        """Create the tables of the new indexes and have writes maintain them.

        When this has ended, every process indexes what it writes, so only the records that exist by now remain to be
        indexed.
        """
        async with self._transaction():
            await self._connection.run([self._schema.lock_stores])
            found = await self.look()
            if found is None or found.migration is None:
                return
            store, target = found.store, found.migration.target
            first = found.next_index_number
            numbers = list(range(first, first + len(missing_indexes(store.schema, target))))
            for index in _new(store, store.built(target, numbers)):
                statements = [*index.create, *(index.watch if index.schema.unique else [])]
                await self._connection.run([Statement(sql, prepare=False) for sql in statements])
            await self._stop_writers(store)
            walk: PgWalk = Walk(store, EVERYTHING, reverse=True, keys_only=True)
            # Where no index is new there is nothing to read.
            highest = await reads.first(self._connection.run, walk) if numbers else None
            last = b"" if highest is None else highest.primary_key
            await self._connection.run(
                [
                    self._schema.start_building(self._data, numbers_to_text(numbers), last),
                    self._schema.add_indexes(store.number, store.guard + 1, first + len(numbers)),
                ]
            )
            await self._rename_lock(store)

    async def batch(self, found: StoreRow, union: PgStore, position: bytes) -> bytes:
        """Index some of the records behind a primary key; return the one reached, ``last`` when none remain.

        Raises:
            Unreadable
        """
        assert found.migration is not None
        last = found.migration.last
        run = self._connection.run
        async with self._transaction(wait_s=None):
            await run([lock_statement([union])])
            walk: PgWalk = Walk(found.store, Span(LOWEST, last + b"\x00"))
            after = Position(b"", position) if position else None
            rows, more = await reads.limited_page(run, walk, after, BATCH_ROWS, BATCH_BYTES)
            fills = [
                Statement(index.fill, [list(column) for column in zip(*index_rows, strict=True)])
                for index, index_rows in _index_rows(_new(found.store, union), rows).items()
                if index_rows
            ]
            reached = rows[-1].primary_key if more else last
            await run([*fills, self._schema.advance(self._data, reached, len(rows))])
        return reached

    async def finish(self) -> bool:
        """Put the new schema in force, or fail for duplicate keys; return False when it must be tried again at once."""
        async with self._transaction():
            await self._connection.run([self._schema.lock_stores])
            found = await self.look()
            if found is None or found.migration is None:
                return True
            store, union = found.store, found.union()
            assert union is not None
            await self._stop_writers(store)
            new = _new(store, union)
            conflicts: list[IndexConflict] = []
            again = False
            for index in new:
                if index.schema.unique:
                    found_here, more = await self._duplicates(index)
                    conflicts += found_here
                    again = again or more
            if conflicts:
                listed = tuple(conflicts[:CONFLICT_LIMIT])
                await self._fail(found, duplicates_problem(listed), listed)
            elif not again:
                await self._switch(found, union, new)
            return bool(conflicts) or not again

    async def abandon(self, problem: str) -> None:
        """Leave the old schema in force, and report why."""
        async with self._transaction():
            await self._connection.run([self._schema.lock_stores])
            found = await self.look()
            if found is not None and found.migration is not None:
                await self._stop_writers(found.store)
                await self._fail(found, problem, ())

    async def _switch(self, found: StoreRow, union: PgStore, new: list[PgIndex]) -> None:
        assert found.migration is not None
        store, target = found.store, found.migration.target
        by_schema = {index.schema: index.number for index in union.indexes}
        numbers = [by_schema[index] for index in target.indexes]
        unused = [index for index in union.indexes if index.number not in numbers]
        for index in new:
            if index.schema.unique:
                await self._connection.run([Statement(index.unwatch, prepare=False)])
        discarded = [*index_tables(unused), *(index.doubles_name for index in new)]
        await self._connection.run(
            [
                self._schema.replace_store(
                    store.number, target.to_bytes(), self._data, numbers_to_text(numbers), store.guard + 1
                ),
                *([self._schema.discard(discarded)] if discarded else []),
                self._schema.end_migration(self._data, DONE, "", b""),
            ]
        )
        await self._rename_lock(store)

    async def _fail(self, found: StoreRow, problem: str, conflicts: tuple[IndexConflict, ...]) -> None:
        store, union = found.store, found.union()
        await self._connection.run(
            [
                self._schema.set_guard(store.number, store.guard + 1),
                *([] if union is None else [self._schema.discard(index_tables(_new(store, union)))]),
                self._schema.end_migration(self._data, FAILED, problem, conflicts_to_bytes(conflicts)),
            ]
        )
        await self._rename_lock(store)

    async def _duplicates(self, index: PgIndex) -> tuple[list[IndexConflict], bool]:
        """Look at keys noted as duplicate; return those that more than one record has, and whether more are noted.

        Without a conflict, the keys looked at are forgotten.
        """
        (rows,) = await self._connection.run([Statement(index.read_doubles, [DUPLICATES_AT_ONCE], prepare=False)])
        conflicts = [
            IndexConflict(index.schema.name, Encoded(key + rest, ties), (low + low_rest, high + high_rest))
            for key, _, rest, ties, low, low_rest, high, high_rest, duplicate in rows
            if duplicate
        ]
        if not conflicts and rows:
            noted = [[row[0] for row in rows], [row[1] for row in rows]]
            await self._connection.run([Statement(index.forget_doubles, noted, prepare=False)])
        return conflicts, len(rows) == DUPLICATES_AT_ONCE

    async def _stop_writers(self, store: PgStore) -> None:
        """Wait for transactions that write to the store, and keep others out."""
        await self._connection.run(
            [Statement(f"LOCK TABLE {store.lock_table} IN ACCESS EXCLUSIVE MODE", prepare=False)]
        )

    async def _rename_lock(self, store: PgStore) -> None:
        """Rename the lock table, so that writers look up again which indexes they have to maintain.

        In a round trip of its own: the library forgets its prepared statements after it.
        """
        renaming = f"ALTER TABLE {store.lock_table} RENAME TO {store.lock_name(store.guard + 1)}"
        await self._connection.run([Statement(renaming, prepare=False)])

    @contextlib.asynccontextmanager
    async def _transaction(self, wait_s: float | None = SWITCH_WAIT_S) -> AsyncIterator[None]:
        """Run the body in a transaction.

        Args:
            wait_s: Bounds each wait for a lock, behind which new writers wait as well; None for the usual bound.
        """
        bound = [] if wait_s is None else [Statement(f"SET LOCAL lock_timeout = {int(wait_s * 1000)}", prepare=False)]
        await self._connection.run([BEGIN, *bound])
        try:
            yield
        except BaseException:
            if self._connection.alive and self._connection.cleanable:
                with contextlib.suppress(psycopg.Error):
                    await self._connection.run([ROLLBACK])
            raise
        await self._connection.run([COMMIT])


def _new(store: PgStore, union: PgStore) -> list[PgIndex]:
    """Return the indexes that are being built."""
    return list(union.indexes[len(store.indexes) :])


def _index_rows(indexes: list[PgIndex], records: list[WalkRow]) -> dict[PgIndex, list[tuple[bytes, ...]]]:
    """Return the rows that the records have in the indexes.

    Raises:
        Unreadable
    """
    rows: dict[PgIndex, list[tuple[bytes, ...]]] = {index: [] for index in indexes}
    for record in records:
        try:
            fields = wire.Record.FromString(record.record or b"").fields
            keys = [index.schema.key_of(fields) for index in indexes]
        except (DecodeError, StoreError, ValueError) as error:
            raise Unreadable from error
        for index, key in zip(indexes, keys, strict=True):
            if key is not None:
                rows[index].append(index.row(key, record.primary_key))
    return rows
