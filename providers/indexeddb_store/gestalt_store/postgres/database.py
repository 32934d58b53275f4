"""One database in a schema of PostgreSQL, as the service sees it: its object stores, and every operation on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from gestalt_sdk.common.beats import Beats
from gestalt_store.engines.interface import (
    ConditionalWrite,
    Migration,
    Position,
    WalkRow,
    WriteResult,
)
from gestalt_store.engines.limits import LIST_LIMIT_BYTES, RECORD_OVERHEAD, StoreLimits, too_large
from gestalt_store.engines.locks import SCHEMA
from gestalt_store.errors import ObjectStoreNotFound, StorageUnavailable, TransactionAborted
from gestalt_store.postgres import reads
from gestalt_store.postgres.core import PgCore
from gestalt_store.postgres.formats import ensure_layout
from gestalt_store.postgres.migrations import PgMigrations
from gestalt_store.postgres.pool import Pool, Statement
from gestalt_store.postgres.schema import Schema
from gestalt_store.postgres.snapshots import PgSnapshot
from gestalt_store.postgres.tables import PgStore, PgWalk, PgWrite
from gestalt_store.postgres.transactions import PgReadTransaction, PgWriteTransaction
from gestalt_store.postgres.writer import ApplyWork, DeleteWork, PgWriter, PutWork
from gestalt_store.values.schema import IndexSchema, StoreSchema

ATTEMPTS = 4
"""How often a write of unknown size is tried when the server undoes it because of another transaction."""
GETS_AT_ONCE = 2
"""Round trips for point reads of one store that run at once; reads that arrive meanwhile share the next one."""
GET_LIMIT = 64
"""Most keys that share a round trip."""

T = TypeVar("T")


class PostgresDatabase:
    """A database that other processes may use as well; see ``engines.interface.Database``. Opened by ``open``."""

    def __init__(self, core: PgCore) -> None:
        self.core = core
        self._pool = core.pool
        self._limits = core.limits
        self._locks = core.locks
        self._catalogue = core.catalogue
        self.writer = PgWriter(core)
        self._migrations = PgMigrations(core)
        self._gets: dict[PgStore, _Gets] = {}
        self._closed = False

    @classmethod
    async def open(cls, pool: Pool, db: str, limits: StoreLimits, beats: Beats) -> PostgresDatabase:
        """Open or create the schema; its loops give their beats to ``beats``.

        Raises:
            DatabaseUnusable: of another program, of a newer version, missing privileges, refused by the server.
            StorageUnavailable: the server cannot be reached.
        """
        database = cls(PgCore(pool, db, Schema(await ensure_layout(pool, db)), limits, beats))
        await database._catalogue.refresh()
        database._catalogue.sweep()
        database._migrations.begin_watching()
        return database

    async def close(self) -> None:
        """End open transactions and finish queued writes; the pool stays open."""
        if self._closed:
            return
        self._closed = True
        self.core.watch.close()
        await self._migrations.close()
        await self.writer.close()
        for gets in list(self._gets.values()):
            await gets.close()
        await self._catalogue.close()

    # Object stores.

    def store(self, name: str) -> PgStore:
        return self.core.store(name)

    @property
    def version(self) -> int:
        return self._catalogue.version

    async def refresh(self) -> None:
        await self._catalogue.refresh()

    async def change_indexes(self, name: str, add: Sequence[IndexSchema], remove: Sequence[str]) -> Migration:
        return await self._migrations.change(name, add, remove)

    async def migration(self, name: str) -> Migration:
        return await self._migrations.report(name)

    async def create_store(self, name: str, schema: StoreSchema) -> None:
        known = self._catalogue.stores.get(name)
        if known is not None:
            await self.refresh()
            known = self._catalogue.stores.get(name)
            if known is not None and known.schema.matches(schema):
                return
        async with self._schema_locked(f"the creation of object store {name!r}"):
            await self._catalogue.create(name, schema)

    async def delete_store(self, name: str) -> None:
        async with self._schema_locked(f"the deletion of object store {name!r}"):
            await self._catalogue.delete(name)

    def _schema_locked(self, holder: str) -> AbstractAsyncContextManager[None]:
        return self._locks.held((SCHEMA,), exclusive=True, holder=holder, within_s=self._limits.lock_wait_s)

    # Reads of what is committed.

    async def get(self, store: PgStore, primary_key: bytes) -> bytes | None:
        gets = self._gets.get(store)
        if gets is None:
            gets = self._gets[store] = _Gets(self._pool, store, lambda: self._gets.pop(store, None))
        return await gets.get(primary_key)

    async def records(self, walk: PgWalk) -> list[bytes]:
        return await reads.records(self.core.runner(walk.store), walk)

    async def keys(self, walk: PgWalk) -> list[bytes]:
        return await reads.keys(self.core.runner(walk.store), walk)

    async def first(self, walk: PgWalk) -> WalkRow | None:
        return await reads.first(self.core.runner(walk.store), walk)

    async def count(self, walk: PgWalk) -> int:
        return await reads.count(self.core.runner(walk.store), walk)

    async def get_many(self, store: PgStore, primary_keys: Sequence[bytes]) -> list[bytes]:
        if not primary_keys:
            return []
        (rows,) = await self._pool.run(
            [reads.get_statement(store, list(dict.fromkeys(primary_keys)))], store=store.name
        )
        found = reads.got(rows)
        records = [record for key in primary_keys if (record := found.get(key)) is not None]
        if sum(map(len, records)) + RECORD_OVERHEAD * len(records) > LIST_LIMIT_BYTES:
            raise too_large("records")
        return records

    async def page(
        self, walk: PgWalk, after: Position | None, limit: int, limit_bytes: int
    ) -> tuple[list[WalkRow], bool]:
        return await reads.limited_page(self.core.runner(walk.store), walk, after, limit, limit_bytes)

    async def check(self) -> None:
        await self._pool.run([Statement("SELECT 1")])
        await self.core.trouble.require_over(self._write_nothing)

    lost = ""
    """The server would know."""

    async def _write_nothing(self) -> None:
        await self._pool.run([self.core.schema.write_nothing])

    async def snapshot(self) -> PgSnapshot:
        if self._closed:
            raise StorageUnavailable("the store is closing")
        return PgSnapshot(self._pool, self.core.watch, self._limits.snapshot_idle_s)

    # Writes of single calls.

    async def write(self, write: PgWrite) -> None:
        await self.writer.submit([write.store], PutWork(write))

    async def delete(self, store: PgStore, primary_key: bytes) -> None:
        await self.writer.submit([store], DeleteWork(store, primary_key))

    async def clear(self, store: PgStore) -> None:
        await self._alone_on(store, lambda transaction: transaction.clear(store))

    async def delete_walk(self, walk: PgWalk) -> int:
        return await self._alone_on(walk.store, lambda transaction: transaction.delete_walk(walk))

    async def apply(
        self, writes: Sequence[ConditionalWrite[PgStore]], *, return_current: bool, relaxed: bool
    ) -> list[WriteResult]:
        stores = {item.store: None for item in writes}
        stores |= {condition.store: None for item in writes for condition in item.conditions}
        return await self.writer.submit(list(stores), ApplyWork(writes, return_current), relaxed=relaxed)

    async def _alone_on(self, store: PgStore, body: Callable[[PgWriteTransaction], Awaitable[T]]) -> T:
        """Run a write of unknown size in a transaction of its own; again when the server undid it."""
        for attempt in range(1, ATTEMPTS + 1):
            transaction = PgWriteTransaction(self.core, {store.name: store}, None, relaxed=False)
            try:
                result = await body(transaction)
                await transaction.commit()
                return result
            except TransactionAborted:
                if attempt == ATTEMPTS or not transaction.conflicted:
                    raise
            finally:
                transaction.abort()
        raise AssertionError("the last attempt returns or raises")

    # Transactions.

    async def begin(
        self, names: Sequence[str], *, readonly: bool, relaxed: bool
    ) -> PgReadTransaction | PgWriteTransaction:
        # Waits for schema changes of this process that came first.
        lock = self._locks.request((SCHEMA,), exclusive=False, holder="an open transaction")
        await self._locks.granted(lock, self._limits.lock_wait_s)
        try:
            if any(name not in self._catalogue.stores for name in names):
                await self.refresh()
            if not readonly:
                stores = {name: self.store(name) for name in names}
                return PgWriteTransaction(self.core, stores, lock, relaxed=relaxed)
            version = self.version
            try:
                snapshot = await self._snapshot_of(names)
            except ObjectStoreNotFound:
                await self.refresh()
                if self.version == version:
                    raise
                snapshot = await self._snapshot_of(names)
            return PgReadTransaction(self.core, snapshot, lock)
        except BaseException:
            self._locks.release(lock)
            raise

    async def _snapshot_of(self, names: Sequence[str]) -> PgSnapshot:
        """Begin a snapshot in which the stores stay readable, even if they are deleted meanwhile."""
        stores = [self.store(name) for name in names]
        tables = ", ".join(store.read_tables for store in stores)
        snapshot = await self.snapshot()
        try:
            await snapshot.run(
                [
                    # Keeps their tables from being removed.
                    Statement(f"LOCK TABLE {tables} IN ACCESS SHARE MODE", prepare=False),
                    *(Statement(f"SELECT {store.present}", prepare=False) for store in stores),
                ],
                stores[0].name,
            )
        except BaseException:
            snapshot.close()
            raise
        return snapshot


class _Gets:
    """Point reads of one store; those that arrive together share a round trip."""

    def __init__(self, pool: Pool, store: PgStore, forget: Callable[[], object]) -> None:
        """``forget`` is called when nothing is left to do."""
        self._pool = pool
        self._store = store
        self._forget = forget
        self._waiting: dict[bytes, list[asyncio.Future[bytes | None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, primary_key: bytes) -> bytes | None:
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(primary_key, []).append(future)
        if len(self._tasks) < GETS_AT_ONCE:
            task = asyncio.create_task(self._serve(), name="point reads")
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        return await future

    async def close(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks and not self._waiting:
            self._forget()

    async def _serve(self) -> None:
        while self._waiting:
            batch = self._waiting
            if len(batch) > GET_LIMIT:
                batch = {key: self._waiting.pop(key) for key in list(batch)[:GET_LIMIT]}
            else:
                self._waiting = {}
            try:
                (rows,) = await self._pool.run([reads.get_statement(self._store, list(batch))], store=self._store.name)
                found = reads.got(rows)
            except Exception as error:
                for futures in batch.values():
                    for future in futures:
                        if not future.done():
                            future.set_exception(error)
                continue
            for key, futures in batch.items():
                for future in futures:
                    if not future.done():
                        future.set_result(found.get(key))
