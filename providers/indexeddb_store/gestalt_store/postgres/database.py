"""One database in a schema of PostgreSQL: its catalogue of stores, and every operation on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gestalt_store.engines.interface import (
    Conditional,
    Entry,
    Migration,
    Outcome,
    Position,
    Walk,
    Write,
)
from gestalt_store.engines.limits import LIST_LIMIT_BYTES, RECORD_OVERHEAD, Limits, too_large
from gestalt_store.engines.locks import SCHEMA
from gestalt_store.errors import ObjectStoreNotFound, StorageUnavailable, TransactionAborted
from gestalt_store.postgres import reads
from gestalt_store.postgres.core import PgCore
from gestalt_store.postgres.formats import ensure_layout
from gestalt_store.postgres.migrations import Migrations
from gestalt_store.postgres.pool import Command, Pool
from gestalt_store.postgres.snapshots import PgSnapshot
from gestalt_store.postgres.tables import PgStore
from gestalt_store.postgres.transactions import ReadOnlyTransaction, ReadWriteTransaction
from gestalt_store.postgres.writer import ApplyWork, DeleteWork, PutWork, Writer
from gestalt_store.values.schema import IndexSchema, StoreSchema

ATTEMPTS = 4
GETS_AT_ONCE = 2
"""Round trips for point reads of one store that may be under way together; what arrives meanwhile shares the next."""
GET_LIMIT = 64

T = TypeVar("T")


class PostgresDatabase:
    """Opened by ``open``; one object for each schema in a process, beside those of other processes."""

    def __init__(self, core: PgCore) -> None:
        self.core = core
        self._pool = core.pool
        self._limits = core.limits
        self._locks = core.locks
        self._catalogue = core.catalogue
        self.writer = Writer(core)
        self._migrations = Migrations(core)
        self._gets: dict[PgStore, _Gets] = {}
        self._closed = False

    @classmethod
    async def open(cls, pool: Pool, db: str, limits: Limits) -> PostgresDatabase:
        """Open or create the schema.

        Raises:
            DatabaseUnusable: of another program, of a newer version, missing privileges, refused by the server.
            StorageUnavailable: the server cannot be reached.
        """
        database = cls(PgCore(pool, db, await ensure_layout(pool, db), limits))
        await database._catalogue.refresh()
        database._catalogue.sweep()
        database._migrations.begin_watching()
        return database

    async def close(self) -> None:
        """End open transactions and finish queued writes; the pool is its owner's to close."""
        if self._closed:
            return
        self._closed = True
        self.core.watch.close()
        await self._migrations.close()
        await self.writer.close()
        for gets in list(self._gets.values()):
            await gets.close()
        await self._catalogue.close()

    # Catalogue.

    def store(self, name: str) -> PgStore:
        return self.core.store(name)

    @property
    def version(self) -> int:
        return self._catalogue.version

    async def refresh(self) -> None:
        """Look for changes that other processes made to the stores."""
        await self._catalogue.refresh()

    async def change_indexes(self, name: str, add: Sequence[IndexSchema], remove: Sequence[str]) -> Migration:
        return await self._migrations.change(name, add, remove)

    async def migration(self, name: str) -> Migration:
        return await self._migrations.report(name)

    async def create_store(self, name: str, schema: StoreSchema) -> None:
        """Create the store, or find that it is there with this schema.

        Raises:
            SchemaMismatch: it is there with another one.
        """
        known = self._catalogue.stores.get(name)
        if known is not None:
            await self.refresh()
            known = self._catalogue.stores.get(name)
            if known is not None and known.schema.matches(schema):
                return
        async with _Alone(self.core, f"the creation of object store {name!r}"):
            await self._catalogue.create(name, schema)

    async def delete_store(self, name: str) -> None:
        """Delete the store with its records; a missing one is fine."""
        async with _Alone(self.core, f"the deletion of object store {name!r}"):
            await self._catalogue.delete(name)

    # Reads of what is committed.

    async def get(self, store: PgStore, primary_key: bytes) -> bytes | None:
        gets = self._gets.get(store)
        if gets is None:
            gets = self._gets[store] = _Gets(self._pool, store, lambda: self._gets.pop(store, None))
        return await gets.get(primary_key)

    async def records(self, walk: Walk) -> list[bytes]:
        return await reads.records(self.core.runner(walk.store), walk)

    async def keys(self, walk: Walk) -> list[bytes]:
        return await reads.keys(self.core.runner(walk.store), walk)

    async def first(self, walk: Walk) -> Entry | None:
        return await reads.first(self.core.runner(walk.store), walk)

    async def count(self, walk: Walk) -> int:
        return await reads.count(self.core.runner(walk.store), walk)

    async def get_many(self, store: PgStore, primary_keys: Sequence[bytes]) -> list[bytes]:
        """The records that are there, in the order of the keys, all from one snapshot."""
        if not primary_keys:
            return []
        (rows,) = await self._pool.run([reads.get_command(store, list(dict.fromkeys(primary_keys)))], store=store.name)
        found = reads.got(rows)
        records = [record for key in primary_keys if (record := found.get(key)) is not None]
        if sum(map(len, records)) + RECORD_OVERHEAD * len(records) > LIST_LIMIT_BYTES:
            raise too_large("records")
        return records

    async def page(self, walk: Walk, after: Position | None, limit: int, limit_bytes: int) -> tuple[list[Entry], bool]:
        """Up to ``limit`` entries behind ``after``, and whether there are more."""
        return await reads.limited_page(self.core.runner(walk.store), walk, after, limit, limit_bytes)

    async def check_readable(self) -> None:
        """Raise when the database cannot be read."""
        await self._pool.run([Command("SELECT 1")])

    async def snapshot(self) -> PgSnapshot:
        if self._closed:
            raise StorageUnavailable("the store is closing")
        return PgSnapshot(self._pool, self.core.watch, self._limits.snapshot_idle_s)

    # Writes of single calls.

    async def write(self, write: Write) -> None:
        await self.writer.submit([write.store], PutWork(write))

    async def delete(self, store: PgStore, primary_key: bytes) -> None:
        await self.writer.submit([store], DeleteWork(store, primary_key))

    async def clear(self, store: PgStore) -> None:
        await self._alone_on(store, lambda transaction: transaction.clear(store))

    async def delete_walk(self, walk: Walk) -> int:
        return await self._alone_on(walk.store, lambda transaction: transaction.delete_walk(walk))

    async def apply(self, entries: Sequence[Conditional], *, return_current: bool, relaxed: bool) -> list[Outcome]:
        """Execute conditional entries in one commit; see ``IndexedDBBatch.Apply``."""
        stores = {entry.store: None for entry in entries}
        stores |= {condition.store: None for entry in entries for condition in entry.conditions}
        outcomes: list[Outcome] = await self.writer.submit(
            list(stores), ApplyWork(entries, return_current), relaxed=relaxed
        )
        return outcomes

    async def _alone_on(self, store: PgStore, body: Callable[[ReadWriteTransaction], Awaitable[T]]) -> T:
        """Run a write of unknown size in a transaction of its own, again when the server undid it."""
        for attempt in range(1, ATTEMPTS + 1):
            transaction = ReadWriteTransaction(self.core, {store.name: store}, None, relaxed=False)
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
    ) -> ReadOnlyTransaction | ReadWriteTransaction:
        """Begin a transaction on the named stores; it waits for schema changes of this process that came first.

        Raises:
            ObjectStoreNotFound: one of them is missing.
        """
        claim = self._locks.claim((SCHEMA,), exclusive=False, owner="an open transaction")
        await self._locks.granted(claim, self._limits.lock_wait_s)
        try:
            if any(name not in self._catalogue.stores for name in names):
                await self.refresh()
            if not readonly:
                stores = {name: self.store(name) for name in names}
                return ReadWriteTransaction(self.core, stores, claim, relaxed=relaxed)
            version = self.version
            try:
                snapshot = await self._snapshot_of(names)
            except ObjectStoreNotFound:
                await self.refresh()
                if self.version == version:
                    raise
                snapshot = await self._snapshot_of(names)
            return ReadOnlyTransaction(self.core, snapshot, claim)
        except BaseException:
            self._locks.release(claim)
            raise

    async def _snapshot_of(self, names: Sequence[str]) -> PgSnapshot:
        """A snapshot that has begun and in which the stores stay readable, whoever deletes them."""
        stores = [self.store(name) for name in names]
        tables = ", ".join(store.read_tables for store in stores)
        snapshot = await self.snapshot()
        try:
            await snapshot.run(
                [
                    # Keeps the sweeper from their tables.
                    Command(f"LOCK TABLE {tables} IN ACCESS SHARE MODE", prepare=False),
                    *(Command(f"SELECT {store.present}", prepare=False) for store in stores),
                ],
                stores[0].name,
            )
        except BaseException:
            snapshot.close()
            raise
        return snapshot


class _Alone:
    """Holds off transactions of this process while stores are created or deleted."""

    def __init__(self, core: PgCore, owner: str) -> None:
        self._core = core
        self._claim = core.locks.claim((SCHEMA,), exclusive=True, owner=owner)

    async def __aenter__(self) -> None:
        await self._core.locks.granted(self._claim, self._core.limits.lock_wait_s)

    async def __aexit__(self, *_: object) -> None:
        self._core.locks.release(self._claim)


class _Gets:
    """Point reads of one store: those that arrive together travel together."""

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
                (rows,) = await self._pool.run([reads.get_command(self._store, list(batch))], store=self._store.name)
            except Exception as error:
                for futures in batch.values():
                    for future in futures:
                        if not future.done():
                            future.set_exception(error)
                continue
            found = reads.got(rows)
            for key, futures in batch.items():
                for future in futures:
                    if not future.done():
                        future.set_result(found.get(key))
