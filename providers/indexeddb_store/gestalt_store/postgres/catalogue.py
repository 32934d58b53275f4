"""The object stores of a schema: what this process knows of them, and how they are created, deleted and swept up.

Any process may change them, so what is known here may be outdated. It is found out in time: reads of a store that was
deleted or has another schema fail (``formats``), and writes that would maintain the wrong indexes find no lock table
(``tables``). Then, or when a name is not known, the stores are looked up again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import psycopg
import structlog

from gestalt_sdk.common.beats import Beat, Beats
from gestalt_sdk.common.loops import keep_running
from gestalt_store.engines.index_changes import RUNNING, conflicts_from_bytes
from gestalt_store.engines.interface import Migration
from gestalt_store.errors import SchemaMismatch
from gestalt_store.postgres.failures import translate
from gestalt_store.postgres.pool import COMMIT, Pool, Row, Statement
from gestalt_store.postgres.schema import BEGIN, Schema
from gestalt_store.postgres.tables import PgIndex, PgStore, maintained
from gestalt_store.values.schema import StoreSchema

SWEEP_LOCK_MS = 50
SWEEP_EVERY_S = 30.0
_SWEEP_TIMEOUT = Statement(f"SET LOCAL lock_timeout = {SWEEP_LOCK_MS}", prepare=False)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class MigrationRow:
    """A store's row in ``migrations``.

    Attributes:
        target: The schema that the store shall have.
        index_numbers: Those of the indexes that are being built; None before the first step.
        position: Primary key up to which records have been indexed, blank at first.
        last: Highest primary key when it began; later records are indexed when they are written.
    """

    report: Migration
    target: StoreSchema
    index_numbers: list[int] | None
    position: bytes
    last: bytes


@dataclass(frozen=True, slots=True)
class StoreRow:
    """A store's row in ``stores``, with its migration."""

    store: PgStore
    next_index_number: int
    migration: MigrationRow | None

    @classmethod
    def of(cls, schema_name: str, row: Row) -> StoreRow:
        """Take in a row of ``Schema.rows``."""
        number, name, raw_schema, data, index_numbers, next_number, guard = row[:7]
        schema = StoreSchema.from_bytes(raw_schema)
        numbers = numbers_from_text(index_numbers)
        store = PgStore(schema_name, number, name.decode(), schema, data=data, index_numbers=numbers, guard=guard)
        migration = None
        state, target, built, position, last, scanned, total, problem, conflicts = row[7:]
        if state is not None:
            # Records that were written meanwhile may be among those looked at.
            report = Migration(state, min(scanned, total), total, problem.decode(), conflicts_from_bytes(conflicts))
            migration = MigrationRow(report, StoreSchema.from_bytes(target), numbers_from_text(built), position, last)
        return cls(store, len(schema.indexes) if next_number is None else next_number, migration)

    def union(self) -> PgStore | None:
        """Return the store with the indexes that are being built, None when there are none."""
        migration = self.migration
        if migration is None or migration.report.state != RUNNING or migration.index_numbers is None:
            return None
        return self.store.built(migration.target, migration.index_numbers)


def numbers_from_text(text: str | None) -> list[int] | None:
    """Read what ``numbers_to_text`` returned; None stands for itself."""
    return None if text is None else [int(number) for number in text.split()]


def numbers_to_text(numbers: Iterable[int]) -> str:
    """Return the numbers of indexes as they are stored."""
    return " ".join(map(str, numbers))


class PgCatalogue:
    """What this process knows of the stores of one schema.

    Attributes:
        stores: Every store by name.
        version: Counts the times that a store was created or deleted or got another schema.
    """

    def __init__(self, pool: Pool, schema: Schema, beats: Beats) -> None:
        self._beats = beats
        self._pool = pool
        self._schema = schema
        self._sweeper: asyncio.Task[None] | None = None
        self._looks = self._latest_look = 0
        self._own_changes = 0
        self.stores: dict[str, PgStore] = {}
        self.version = 0
        self.reports: dict[int, Migration] = {}
        """How changes of indexes go or went, by ``PgStore.data``."""
        self.on_look: Callable[[], None] = lambda: None
        """Called when ``reports`` is new."""

    async def refresh(self) -> None:
        """Look the stores up in the database."""
        self._looks += 1
        look = self._looks
        while True:
            before = self._own_changes
            rows = (await self._pool.run([self._schema.rows]))[0]
            if before == self._own_changes:
                break  # otherwise these rows may be older than a change of this process
        if look < self._latest_look:
            return  # a look that began later has been taken in already
        self._latest_look = look
        current: dict[str, PgStore] = {}
        reports: dict[int, Migration] = {}
        for row in rows:
            found = StoreRow.of(self._schema.name, row)
            current[found.store.name] = self._known(found)
            if found.migration is not None:
                reports[found.store.data] = found.migration.report
        self.reports = reports
        if current != self.stores:
            self.version += 1
            self.stores = current
        self.on_look()

    def _known(self, found: StoreRow) -> PgStore:
        """Return this process's object for the store, told which indexes its writes have to maintain."""
        store, union = found.store, found.union()
        known = self.stores.get(store.name)
        if known is None or known.data != store.data:
            store.written_as = union
            return store
        latest = maintained(known)
        if store.guard <= latest.guard:
            return known
        if store.number == known.number:
            latest.written_as = union or store
            return known
        latest.written_as, store.written_as = store, union
        return store

    async def create(self, name: str, schema: StoreSchema) -> None:
        """Create the store, or find that it is there with this schema.

        Raises:
            SchemaMismatch: it is there with another one.
        """
        connection = await self._pool.take()
        try:
            await connection.run([BEGIN, self._schema.lock_stores])
            # READ COMMITTED: every statement from here on sees what the lock protects.
            found = (await connection.run([self._schema.row_of(name)]))[0]
            if found:
                store = StoreRow.of(self._schema.name, found[0]).store
                if not store.schema.matches(schema):
                    raise SchemaMismatch(name)
            else:
                rows = await connection.run([self._schema.add_store(name, schema.to_bytes())])
                store = PgStore(self._schema.name, rows[0][0][0], name, schema)
                await connection.run([*(Statement(sql, prepare=False) for sql in store.create), COMMIT])
                self._own_changes += 1
                self.stores = {**self.stores, name: store}
        except psycopg.Error as error:
            raise translate(error, self._pool.where) from error
        finally:
            self._pool.give_back(connection)
        if found:
            await self.refresh()

    async def delete(self, name: str) -> None:
        """Delete the store; a missing one is fine. It waits for writers, not for readers, which keep their snapshot."""
        connection = await self._pool.take()
        try:
            await connection.run([BEGIN, self._schema.lock_stores])
            found = (await connection.run([self._schema.row_of(name)]))[0]
            if found:
                there = StoreRow.of(self._schema.name, found[0])
                store, union = there.store, there.union()
                # In a round trip of its own: the library forgets its prepared statements after it.
                await connection.run([Statement(f"DROP TABLE {store.lock_table}", prepare=False)])
                await connection.run(
                    [
                        self._schema.remove_store(store.number),
                        self._schema.remove_migration(store.data),
                        self._schema.discard([store.table_name, *index_tables((union or store).indexes)]),
                        COMMIT,
                    ]
                )
            self._own_changes += 1
            self.stores = {known: other for known, other in self.stores.items() if known != name}
        except psycopg.Error as error:
            raise translate(error, self._pool.where) from error
        finally:
            self._pool.give_back(connection)
        if found:
            self.sweep()

    def sweep(self) -> None:
        """Remove the tables of deleted stores in the background, as soon as no snapshot uses them."""
        if self._sweeper is None or self._sweeper.done():
            name = "sweep of deleted stores"
            work = keep_running(name, self._sweep, self._beats, may_end=lambda: True)
            self._sweeper = asyncio.create_task(work, name=name)

    async def close(self) -> None:
        """Stop removing tables; the next start goes on with it."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper

    async def _sweep(self, beat: Beat) -> None:
        while True:
            beat.beat()
            try:
                if not await self._sweep_once():
                    return
            except Exception as error:
                log.warning("deleted stores stay for now", event_name="store.sweep_failed", reason=str(error))
            beat.rest()
            await asyncio.sleep(SWEEP_EVERY_S)

    async def _sweep_once(self) -> bool:
        """Drop the tables that nobody uses; return whether some are left."""
        rows = (await self._pool.run([self._schema.dropped]))[0]
        left = False
        for (name,) in rows:
            connection = await self._pool.take()
            try:
                await connection.run([BEGIN, _SWEEP_TIMEOUT])
                await connection.run([self._schema.drop_table(name)])
                await connection.run([self._schema.forget_dropped(name), COMMIT])
            except psycopg.Error:
                left = True
            finally:
                self._pool.give_back(connection)
        return left


def index_tables(indexes: Iterable[PgIndex]) -> list[str]:
    """Return the names of the tables that indexes may have."""
    return [name for index in indexes for name in (index.table_name, index.doubles_name)]
