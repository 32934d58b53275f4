"""The object stores of a schema: what this process knows of them, and how they are created, deleted and swept up.

Any process may change them, so what is known here may be old. That is never silent: reads of a store that is deleted or
has another schema fail (``layout``), writes that would keep up other indexes than they must find no lock (``tables``),
and then, or when a name is not known, the stores are looked up again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import psycopg
import structlog

from gestalt_store.engines.index_changes import RUNNING, conflicts_from_bytes
from gestalt_store.engines.interface import Migration
from gestalt_store.errors import SchemaMismatch
from gestalt_store.postgres.failures import translate
from gestalt_store.postgres.pool import COMMIT, Command, Pool, Row
from gestalt_store.postgres.tables import PgIndex, PgStore, kept_up
from gestalt_store.values.schema import StoreSchema

SWEEP_LOCK_MS = 50
SWEEP_EVERY_S = 30.0
_BEGIN = Command("BEGIN", prepare=False)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Building:
    """A store's row in ``migrations``.

    Attributes:
        target: The schema that the store shall have.
        slots: Of the indexes that are being built; None before the first step.
        position: Primary key up to which records have been indexed, blank at first.
        last: Highest primary key when it began; what writes do with later records they index themselves.
    """

    report: Migration
    target: StoreSchema
    slots: list[int] | None
    position: bytes
    last: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """What the database says of a store."""

    store: PgStore
    next_slot: int
    migration: Building | None

    @classmethod
    def of(cls, schema_name: str, row: Row) -> Found:
        """Read a row of ``found_stores``."""
        number, name, raw_schema, data, slots, next_slot, guard = row[:7]
        schema = StoreSchema.from_bytes(raw_schema)
        store = PgStore(
            schema_name, number, name.decode(), schema, data=data, slots=slots_from_text(slots), guard=guard
        )
        migration = None
        state, target, built, position, last, scanned, total, problem, conflicts = row[7:]
        if state is not None:
            # Records that came meanwhile may be among those looked at.
            report = Migration(state, min(scanned, total), total, problem.decode(), conflicts_from_bytes(conflicts))
            migration = Building(report, StoreSchema.from_bytes(target), slots_from_text(built), position, last)
        return cls(store, len(schema.indexes) if next_slot is None else next_slot, migration)

    def union(self) -> PgStore | None:
        """The store with the indexes that are being built, None when there are none."""
        migration = self.migration
        if migration is None or migration.report.state != RUNNING or migration.slots is None:
            return None
        return self.store.built(migration.target, migration.slots)


def found_stores(schema: str) -> str:
    """The query whose rows ``Found`` reads."""
    return (
        "SELECT s.id, s.name, s.schema, s.data, s.slots, s.next_slot, s.guard, m.state, m.schema, m.slots, m.position, "
        f"m.last, m.scanned, m.total, m.problem, m.conflicts FROM {schema}.stores AS s "
        f"LEFT JOIN {schema}.migrations AS m ON m.store = coalesce(s.data, s.id)"
    )


def slots_from_text(text: str | None) -> list[int] | None:
    return None if text is None else [int(slot) for slot in text.split()]


def slots_to_text(slots: Iterable[int]) -> str:
    return " ".join(map(str, slots))


class Catalogue:
    """The stores of one schema by name."""

    def __init__(self, pool: Pool, schema_name: str) -> None:
        """``schema_name`` is quoted already."""
        self._pool = pool
        self._schema = schema_name
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
        """Look at the database; ``version`` counts the times that a store came, went, or got another schema."""
        self._looks += 1
        look = self._looks
        while True:
            before = self._own_changes
            rows = (await self._pool.run([Command(found_stores(self._schema))]))[0]
            if before == self._own_changes:
                break  # otherwise these rows may be older than what this process has done itself
        if look < self._latest_look:
            return  # one that began later has been taken in already
        self._latest_look = look
        current: dict[str, PgStore] = {}
        reports: dict[int, Migration] = {}
        for row in rows:
            found = Found.of(self._schema, row)
            current[found.store.name] = self._known(found)
            if found.migration is not None:
                reports[found.store.data] = found.migration.report
        self.reports = reports
        if current != self.stores:
            self.version += 1
            self.stores = current
        self.on_look()

    def _known(self, found: Found) -> PgStore:
        """The object that stands for the store in this process, which learns what its writes must keep up now."""
        store, union = found.store, found.union()
        known = self.stores.get(store.name)
        if known is None or known.data != store.data:
            store.upkeep = union
            return store
        latest = kept_up(known)
        if store.guard <= latest.guard:
            return known
        if store.number == known.number:
            latest.upkeep = union or store
            return known
        latest.upkeep, store.upkeep = store, union
        return store

    async def create(self, name: str, schema: StoreSchema) -> None:
        """Create the store, or find that it is there with this schema.

        Raises:
            SchemaMismatch: it is there with another one.
        """
        connection = await self._pool.take()
        try:
            await connection.run([_BEGIN, self._alone()])
            # READ COMMITTED: what is seen from here on is what the lock protects.
            found = (await connection.run([self._find(name)]))[0]
            if found:
                store = Found.of(self._schema, found[0]).store
                if not store.schema.matches(schema):
                    raise SchemaMismatch(name)
            else:
                insert = f"INSERT INTO {self._schema}.stores (name, schema) VALUES ($1, $2) RETURNING id"
                rows = await connection.run([Command(insert, [name.encode(), schema.to_bytes()], prepare=False)])
                store = PgStore(self._schema, rows[0][0][0], name, schema)
                await connection.run([*(Command(sql, prepare=False) for sql in store.create), COMMIT])
                self._own_changes += 1
                self.stores = {**self.stores, name: store}
        except psycopg.Error as error:
            raise translate(error, self._pool.where) from error
        finally:
            self._pool.give_back(connection)
        if found:
            await self.refresh()

    async def delete(self, name: str) -> None:
        """Delete the store; a missing one is fine. It waits for writers, not for readers, who keep their snapshot."""
        connection = await self._pool.take()
        try:
            await connection.run([_BEGIN, self._alone()])
            found = (await connection.run([self._find(name)]))[0]
            if found:
                there = Found.of(self._schema, found[0])
                store, union = there.store, there.union()
                # Alone: the library forgets what it has prepared after it, and within a batch it does so too late.
                await connection.run([Command(f"DROP TABLE {store.lock_table}", prepare=False)])
                await connection.run(
                    [
                        Command(f"DELETE FROM {self._schema}.stores WHERE id = $1", [store.number], prepare=False),
                        Command(f"DELETE FROM {self._schema}.migrations WHERE store = $1", [store.data], prepare=False),
                        discarding(self._schema, [store.table_name, *index_tables((union or store).indexes)]),
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
        """Remove the data of deleted stores in the background, as soon as no snapshot looks at it."""
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = asyncio.create_task(self._sweep(), name="sweep deleted stores")

    async def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper

    async def _sweep(self) -> None:
        while True:
            try:
                if not await self._sweep_once():
                    return
            except Exception as error:
                log.warning("deleted stores stay for now", event_name="store.sweep_failed", reason=str(error))
            await asyncio.sleep(SWEEP_EVERY_S)

    async def _sweep_once(self) -> bool:
        """Drop the tables that nobody uses; whether some are left."""
        rows = (await self._pool.run([Command(f"SELECT name FROM {self._schema}.dropped", prepare=False)]))[0]
        left = False
        for (name,) in rows:
            connection = await self._pool.take()
            try:
                await connection.run(
                    [
                        _BEGIN,
                        Command(f"SET LOCAL lock_timeout = {SWEEP_LOCK_MS}", prepare=False),
                    ]
                )
                await connection.run([Command(f"DROP TABLE IF EXISTS {self._schema}.{name}", prepare=False)])
                await connection.run(
                    [
                        Command(f"DELETE FROM {self._schema}.dropped WHERE name = $1", [name], prepare=False),
                        COMMIT,
                    ]
                )
            except psycopg.Error:
                left = True
            finally:
                self._pool.give_back(connection)
        return left

    def _alone(self) -> Command:
        return alone(self._schema)

    def _find(self, name: str) -> Command:
        return Command(f"{found_stores(self._schema)} WHERE s.name = $1", [name.encode()], prepare=False)


def alone(schema: str) -> Command:
    """Keep every process from changing the stores, for the rest of the transaction."""
    return Command(f"LOCK TABLE {schema}.stores IN SHARE ROW EXCLUSIVE MODE", prepare=False)


def discarding(schema: str, tables: list[str]) -> Command:
    """Leave tables to the sweeper, to whom some of them may have been left before."""
    statement = f"INSERT INTO {schema}.dropped SELECT * FROM unnest($1::text[]) ON CONFLICT DO NOTHING"
    return Command(statement, [tables], prepare=False)


def index_tables(indexes: Iterable[PgIndex]) -> list[str]:
    """The tables that indexes may have."""
    return [name for index in indexes for name in (index.table_name, index.doubles_name)]
