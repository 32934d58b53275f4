"""The steps of a migration, each one transaction: prepare, index a batch of records, finish, give up.

They run on one connection, whose session holds the advisory lock of the migration, so of all processes one builds.
Isolation is READ COMMITTED: what a step reads it has locked before. Whoever takes over reads from the row in
``migrations`` how far the last one came.
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
    doubled_problem,
)
from gestalt_store.engines.interface import Entry, IndexConflict, Position, Walk
from gestalt_store.errors import StoreError
from gestalt_store.postgres import reads
from gestalt_store.postgres.catalogue import Found, alone, discarding, found_stores, index_tables, slots_to_text
from gestalt_store.postgres.pool import COMMIT, ROLLBACK, Command, Connection
from gestalt_store.postgres.tables import PgIndex, PgStore, lock_command, missing_indexes
from gestalt_store.values import wire
from gestalt_store.values.keys import Encoded
from gestalt_store.values.ranges import EVERYTHING, LOWEST, Span

DOUBLES_AT_ONCE = 500
_BEGIN = Command("BEGIN", prepare=False)
_KEY = "hashtextextended('gestalt indexeddb migration ' || $1 || '/' || $2, 0)"


class Unreadable(Exception):
    """A record cannot be indexed; the cause says why."""


class Build:
    """The migration of one store, in the hands of this process while ``connection`` lasts."""

    def __init__(self, connection: Connection, schema_name: str, data: int) -> None:
        """``schema_name`` is quoted; ``data`` is the store's (``PgStore.data``)."""
        self._connection = connection
        self._schema = schema_name
        self._data = data

    async def claim(self) -> bool:
        """Become the one who builds, unless another session is; this one is to the end of the connection."""
        command = Command(f"SELECT pg_try_advisory_lock({_KEY})", [self._schema, str(self._data)], prepare=False)
        return bool((await self._connection.run([command]))[0][0][0])

    async def look(self) -> Found | None:
        """The store and its migration; None once it has ended or the store is gone."""
        query = f"{found_stores(self._schema)} WHERE coalesce(s.data, s.id) = $1"
        (rows,) = await self._connection.run([Command(query, [self._data], prepare=False)])
        found = Found.of(self._schema, rows[0]) if rows else None
        if found is None or found.migration is None or found.migration.report.state != RUNNING:
            return None
        return found

    async def prepare(self) -> None:
        """Make the tables of the new indexes and have writes keep them up.

        From the end of this on every writer, in whatever process, indexes what it writes, so only the records that
        there are now remain to be indexed.
        """
        async with self._transaction():
            await self._connection.run([alone(self._schema)])
            found = await self.look()
            if found is None or found.migration is None:
                return
            store, target = found.store, found.migration.target
            slots = list(range(found.next_slot, found.next_slot + len(missing_indexes(store.schema, target))))
            for index in _new(store, store.built(target, slots)):
                statements = [*index.create, *(index.watch if index.schema.unique else [])]
                await self._connection.run([Command(sql, prepare=False) for sql in statements])
            await self._stop_writers(store)
            walk = Walk(store, EVERYTHING, reverse=True, keys_only=True)
            # Where no index is new there is nothing to read.
            highest = await reads.first(self._connection.run, walk) if slots else None
            last = b"" if highest is None else highest.primary_key
            await self._connection.run(
                [
                    Command(
                        f"UPDATE {self._schema}.migrations SET slots = $1, last = $2 WHERE store = $3",
                        [slots_to_text(slots), last, self._data],
                        prepare=False,
                    ),
                    Command(
                        f"UPDATE {self._schema}.stores SET guard = $1, next_slot = $2 WHERE id = $3",
                        [store.guard + 1, found.next_slot + len(slots), store.number],
                        prepare=False,
                    ),
                ]
            )
            await self._rename_lock(store)

    async def batch(self, found: Found, union: PgStore, position: bytes) -> bytes:
        """Index some of the records behind a primary key; the one reached, ``last`` when none remain.

        Raises:
            Unreadable
        """
        assert found.migration is not None
        last = found.migration.last
        run = self._connection.run
        async with self._transaction(wait_s=None):
            await run([lock_command([union])])
            walk = Walk(found.store, Span(LOWEST, last + b"\x00"))
            after = Position(b"", position) if position else None
            entries, more = await reads.limited_page(run, walk, after, BATCH_ROWS, BATCH_BYTES)
            fills = [
                Command(index.fill, [list(column) for column in zip(*rows, strict=True)])
                for index, rows in _index_rows(_new(found.store, union), entries).items()
                if rows
            ]
            reached = entries[-1].primary_key if more else last
            update = (
                f"UPDATE {self._schema}.migrations SET position = $1, scanned = scanned + $2::bigint WHERE store = $3"
            )
            await run([*fills, Command(update, [reached, len(entries), self._data])])
        return reached

    async def finish(self) -> bool:
        """Put the new schema in force, or fail for doubled keys; False when it must be tried again at once."""
        async with self._transaction():
            await self._connection.run([alone(self._schema)])
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
                    doubled, more = await self._doubled(index)
                    conflicts += doubled
                    again = again or more
            if conflicts:
                listed = tuple(conflicts[:CONFLICT_LIMIT])
                await self._give_up(found, doubled_problem(listed), listed)
            elif not again:
                await self._switch(found, union, new)
            return bool(conflicts) or not again

    async def abandon(self, problem: str) -> None:
        """Leave the old schema in force and say why."""
        async with self._transaction():
            await self._connection.run([alone(self._schema)])
            found = await self.look()
            if found is not None and found.migration is not None:
                await self._stop_writers(found.store)
                await self._give_up(found, problem, ())

    async def _switch(self, found: Found, union: PgStore, new: list[PgIndex]) -> None:
        assert found.migration is not None
        store, target = found.store, found.migration.target
        by_schema = {index.schema: index.slot for index in union.indexes}
        slots = [by_schema[index] for index in target.indexes]
        unused = [index for index in union.indexes if index.slot not in slots]
        for index in new:
            if index.schema.unique:
                await self._connection.run([Command(f"DROP TRIGGER doubles ON {index.table}", prepare=False)])
        discarded = [*index_tables(unused), *(index.doubles_name for index in new)]
        await self._connection.run(
            [
                Command(
                    f"UPDATE {self._schema}.stores SET id = DEFAULT, schema = $1, data = $2, slots = $3, guard = $4 "
                    "WHERE id = $5",
                    [target.to_bytes(), self._data, slots_to_text(slots), store.guard + 1, store.number],
                    prepare=False,
                ),
                *([discarding(self._schema, discarded)] if discarded else []),
                self._ending(DONE, "", ()),
            ]
        )
        await self._rename_lock(store)

    async def _give_up(self, found: Found, problem: str, conflicts: tuple[IndexConflict, ...]) -> None:
        store, union = found.store, found.union()
        await self._connection.run(
            [
                Command(
                    f"UPDATE {self._schema}.stores SET guard = $1 WHERE id = $2",
                    [store.guard + 1, store.number],
                    prepare=False,
                ),
                *([] if union is None else [discarding(self._schema, index_tables(_new(store, union)))]),
                self._ending(FAILED, problem, conflicts),
            ]
        )
        await self._rename_lock(store)

    def _ending(self, state: str, problem: str, conflicts: tuple[IndexConflict, ...]) -> Command:
        return Command(
            f"UPDATE {self._schema}.migrations SET state = $1, slots = NULL, problem = $2, conflicts = $3 "
            "WHERE store = $4",
            [state, problem.encode(), conflicts_to_bytes(conflicts), self._data],
            prepare=False,
        )

    async def _doubled(self, index: PgIndex) -> tuple[list[IndexConflict], bool]:
        """Keys that more than one record has; without any, those noted are struck off, and there may be more."""
        end = (
            f"(SELECT i.pk, i.pk_rest, i.more FROM {index.table} AS i WHERE i.key = d.key AND i.key_rest = d.key_rest "
            "AND i.ties = d.ties ORDER BY i.pk {0}, i.more {0} LIMIT 1)"
        )
        noted = f"SELECT key, digest, key_rest, ties FROM {index.doubles} ORDER BY key, digest LIMIT {DOUBLES_AT_ONCE}"
        query = (
            "SELECT d.key, d.digest, d.key_rest, d.ties, a.pk, a.pk_rest, b.pk, b.pk_rest, "
            f"(a.pk, a.more) IS DISTINCT FROM (b.pk, b.more) FROM ({noted}) AS d "
            f"LEFT JOIN LATERAL {end.format('ASC')} AS a ON true LEFT JOIN LATERAL {end.format('DESC')} AS b ON true"
        )
        (rows,) = await self._connection.run([Command(query, prepare=False)])
        conflicts = [
            IndexConflict(index.schema.name, Encoded(key + rest, ties), (low + low_rest, high + high_rest))
            for key, _, rest, ties, low, low_rest, high, high_rest, doubled in rows
            if doubled
        ]
        if not conflicts and rows:
            strike = (
                f"DELETE FROM {index.doubles} AS d USING unnest($1::bytea[], $2::bytea[]) AS gone (key, digest) "
                "WHERE d.key = gone.key AND d.digest = gone.digest"
            )
            parameters = [[row[0] for row in rows], [row[1] for row in rows]]
            await self._connection.run([Command(strike, parameters, prepare=False)])
        return conflicts, len(rows) == DOUBLES_AT_ONCE

    async def _stop_writers(self, store: PgStore) -> None:
        await self._connection.run([Command(f"LOCK TABLE {store.lock_table} IN ACCESS EXCLUSIVE MODE", prepare=False)])

    async def _rename_lock(self, store: PgStore) -> None:
        """Make writers look again what they must keep up. Alone, as the library forgets what it has prepared."""
        renaming = f"ALTER TABLE {store.lock_table} RENAME TO {store.lock_name(store.guard + 1)}"
        await self._connection.run([Command(renaming, prepare=False)])

    @contextlib.asynccontextmanager
    async def _transaction(self, wait_s: float | None = SWITCH_WAIT_S) -> AsyncIterator[None]:
        """``wait_s`` bounds each wait for a lock, in which new writers wait as well; None for the usual bound."""
        bound = [] if wait_s is None else [Command(f"SET LOCAL lock_timeout = {int(wait_s * 1000)}", prepare=False)]
        await self._connection.run([_BEGIN, *bound])
        try:
            yield
        except BaseException:
            if self._connection.alive and self._connection.cleanable:
                with contextlib.suppress(psycopg.Error):
                    await self._connection.run([ROLLBACK])
            raise
        await self._connection.run([COMMIT])


def _new(store: PgStore, union: PgStore) -> list[PgIndex]:
    """The indexes that are being built."""
    return list(union.indexes[len(store.indexes) :])


def _index_rows(indexes: list[PgIndex], entries: list[Entry]) -> dict[PgIndex, list[tuple[bytes, ...]]]:
    """The rows that the records have in the indexes."""
    rows: dict[PgIndex, list[tuple[bytes, ...]]] = {index: [] for index in indexes}
    for entry in entries:
        try:
            fields = wire.Record.FromString(entry.record or b"").fields
            keys = [index.schema.key_of(fields) for index in indexes]
        except (DecodeError, StoreError, ValueError) as error:
            raise Unreadable from error
        for index, key in zip(indexes, keys, strict=True):
            if key is not None:
                rows[index].append(index.row(key, entry.primary_key))
    return rows
