"""One database on SQLite, as the service sees it: opening its file, its object stores, and every operation on it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from pathlib import Path

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
from gestalt_store.errors import SchemaMismatch, StorageUnavailable
from gestalt_store.sqlite import migrations, reads, statements, tables
from gestalt_store.sqlite.core import SqliteCore
from gestalt_store.sqlite.descriptors import Descriptors
from gestalt_store.sqlite.failures import translate, translated
from gestalt_store.sqlite.files import FileLock, make_private
from gestalt_store.sqlite.formats import ensure_format
from gestalt_store.sqlite.migrations import SqliteMigrations, StoredMigrations
from gestalt_store.sqlite.snapshots import FIRST_READ, LOOP_ROWS, SqliteSnapshot
from gestalt_store.sqlite.tables import SqliteStore, SqliteWalk, SqliteWrite
from gestalt_store.sqlite.transactions import SqliteReadTransaction, SqliteWriteTransaction
from gestalt_store.sqlite.writer import HEAVY, ResultT
from gestalt_store.values.schema import IndexSchema, StoreSchema

MANY = 300
"""Most point reads of one call that are done on the event loop; more go to a reader thread."""


TRY_ROOM = ("INSERT OR REPLACE INTO facts VALUES ('room', zeroblob(262144))", "DELETE FROM facts WHERE name = 'room'")


class SqliteDatabase:
    """A database whose file this process holds; see ``engines.interface.Database``. Opened by ``open``."""

    def __init__(
        self, core: SqliteCore, lock: FileLock, connection: sqlite3.Connection, found: StoredMigrations
    ) -> None:
        self.core = core
        self._path = core.path
        self._limits = core.limits
        self._locks = core.locks
        self._readers = core.readers
        self._writer = core.writer
        self._lock = lock
        self._connection = connection
        self._closed = False
        self._migrations = SqliteMigrations(core, found)

    @classmethod
    async def open(
        cls,
        path: Path,
        db: str,
        limits: StoreLimits,
        beats: Beats | None = None,
        descriptors: Descriptors | None = None,
    ) -> SqliteDatabase:
        """Open or create the file; its loops give their beats to ``beats``, ``descriptors`` are those of all databases.

        Raises:
            DatabaseUnusable: in use by another process, of another program, of a newer version, not accessible.
            StorageCorrupt, StorageUnavailable: SQLite cannot read or write it.
        """
        loop = asyncio.get_running_loop()
        lock, connection, stores, found = await loop.run_in_executor(None, _open_file, path, db)
        try:
            with translated(path):
                core = SqliteCore(path, connection, stores, limits, beats or Beats(), descriptors or Descriptors())
                return cls(core, lock, connection, found)
        except BaseException:
            connection.close()
            lock.release()
            raise

    async def close(self) -> None:
        """End open transactions, finish queued writes, close the file."""
        if self._closed:
            return
        self._closed = True
        self.core.watch.close()
        await self._migrations.close()
        await self._writer.close()
        self._readers.close()
        with suppress(sqlite3.Error):  # else the next start recovers from the log
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        self._lock.release()

    # Object stores.

    def store(self, name: str) -> SqliteStore:
        return self.core.store(name)

    @property
    def version(self) -> int:
        return self.core.version

    async def change_indexes(self, name: str, add: Sequence[IndexSchema], remove: Sequence[str]) -> Migration:
        return await self._migrations.change(name, add, remove)

    async def migration(self, name: str) -> Migration:
        return self._migrations.report(self.store(name))

    async def refresh(self) -> None:
        """Do nothing: no other process can have changed the stores."""

    async def create_store(self, name: str, schema: StoreSchema) -> None:
        if self._matches(name, schema):
            return
        async with self._schema_locked(f"the creation of object store {name!r}"):
            if self._matches(name, schema):
                return
            store = await self._writer.submit(lambda c: tables.create_store(c, name, schema), weight=HEAVY).future
            self.core.stores[name] = store

    async def delete_store(self, name: str) -> None:
        async with self._schema_locked(f"the deletion of object store {name!r}"):
            await self._migrations.forget(name)
            store = self.core.stores.get(name)
            if store is None:
                return
            stores = [store] if store.written_as is None else [store, store.written_as]

            def drop(connection: sqlite3.Connection) -> None:
                tables.drop_store(connection, store)
                for item in stores:
                    item.dropped = True

            try:
                await self._writer.submit(drop, (store,), weight=HEAVY).future
            except BaseException:
                for item in stores:
                    item.dropped = False
                raise
            del self.core.stores[name]

    def _schema_locked(self, holder: str) -> AbstractAsyncContextManager[None]:
        return self._locks.held((SCHEMA,), exclusive=True, holder=holder, within_s=self._limits.lock_wait_s)

    def _matches(self, name: str, schema: StoreSchema) -> bool:
        existing = self.core.stores.get(name)
        if existing is None:
            return False
        if not existing.schema.matches(schema):
            raise SchemaMismatch(name)
        return True

    # Reads of what is committed.

    async def get(self, store: SqliteStore, primary_key: bytes) -> bytes | None:
        try:
            return reads.get(self._readers.main, store, primary_key)
        except sqlite3.Error as error:
            raise translate(error, self._path, store.name) from error

    async def records(self, walk: SqliteWalk) -> list[bytes]:
        return await self.core.records(walk)

    async def keys(self, walk: SqliteWalk) -> list[bytes]:
        return await self.core.keys(walk)

    async def first(self, walk: SqliteWalk) -> WalkRow | None:
        with translated(self._path, walk.store.name):
            rows = reads.page(self._readers.main, walk, None, 1)
        return rows[0] if rows else None

    async def count(self, walk: SqliteWalk) -> int:
        with translated(self._path, walk.store.name):
            return await self._readers.scan(lambda connection: reads.count(connection, walk))

    async def get_many(self, store: SqliteStore, primary_keys: Sequence[bytes]) -> list[bytes]:
        def read(connection: sqlite3.Connection) -> list[bytes]:
            found: list[bytes] = []
            size = 0
            for key in primary_keys:
                record = reads.get(connection, store, key)
                if record is not None:
                    size += len(record) + RECORD_OVERHEAD
                    if size > LIST_LIMIT_BYTES:
                        raise too_large("records")
                    found.append(record)
            return found

        with translated(self._path, store.name):
            if len(primary_keys) > MANY:
                return await self._readers.scan(read)
            main = self._readers.main
            main.execute("BEGIN")
            try:
                return read(main)
            finally:
                main.execute("COMMIT")

    async def page(
        self, walk: SqliteWalk, after: Position | None, limit: int, limit_bytes: int
    ) -> tuple[list[WalkRow], bool]:
        def read(connection: sqlite3.Connection) -> tuple[list[WalkRow], bool]:
            rows = reads.page(connection, walk, after, limit + 1, limit_bytes=limit_bytes)
            return rows[:limit], len(rows) > limit or reads.cut_short(rows, limit_bytes)

        with translated(self._path, walk.store.name):
            if limit <= LOOP_ROWS:
                return read(self._readers.main)
            return await self._readers.scan(read)

    async def check(self) -> None:
        lost = self.core.files.problem()
        if lost:
            raise StorageUnavailable(lost)
        with translated(self._path):
            self._readers.main.execute(FIRST_READ).fetchone()
        await self.core.trouble.require_over(self._try_room)

    @property
    def lost(self) -> str:
        return self.core.files.last_problem

    async def _try_room(self) -> None:
        """Write a row of some size, and remove it."""
        for statement in TRY_ROOM:
            await self._writer.submit(partial(_execute, statement), weight=HEAVY).future

    async def snapshot(self) -> SqliteSnapshot:
        if self._closed:
            raise StorageUnavailable("the store is closing")
        return SqliteSnapshot(self._readers, self.core.watch, self._path, self._limits.snapshot_idle_s)

    # Writes of single calls.

    async def write(self, write: SqliteWrite) -> None:
        await self._submit(lambda c: statements.write(c, write), (write.store,))

    async def delete(self, store: SqliteStore, primary_key: bytes) -> None:
        await self._submit(lambda c: statements.delete(c, store, primary_key), (store,))

    async def clear(self, store: SqliteStore) -> None:
        await self._submit(lambda c: statements.clear(c, store), (store,), weight=HEAVY)

    async def delete_walk(self, walk: SqliteWalk) -> int:
        return await self._submit(lambda c: statements.delete_walk(c, walk), (walk.store,), weight=HEAVY)

    async def apply(
        self, writes: Sequence[ConditionalWrite[SqliteStore]], *, return_current: bool, relaxed: bool
    ) -> list[WriteResult]:
        stores = tuple({item.store: None for item in writes})
        return await self._submit(
            lambda c: statements.apply(c, writes, return_current), stores, weight=3 * len(writes), relaxed=relaxed
        )

    async def _submit(
        self,
        body: Callable[[sqlite3.Connection], ResultT],
        stores: tuple[SqliteStore, ...],
        *,
        weight: int = 3,
        relaxed: bool = False,
    ) -> ResultT:
        """Execute a write when no transaction holds its stores; transactions that begin later wait for it."""
        if all(self._locks.free(store.name) for store in stores):
            return await self._writer.submit(body, stores, weight=weight, relaxed=relaxed).future
        names = [store.name for store in stores]
        lock = self._locks.request(names, exclusive=True, holder="a write")
        await self._locks.granted(lock, self._limits.lock_wait_s)
        try:
            job = self._writer.submit(body, stores, weight=weight, relaxed=relaxed)
        finally:
            # No lock is needed any more: the writer works in order, so what is submitted next is executed after this.
            self._locks.release(lock)
        return await job.future

    # Transactions.

    async def begin(
        self, names: Sequence[str], *, readonly: bool, relaxed: bool
    ) -> SqliteReadTransaction | SqliteWriteTransaction:
        # Waits for schema changes that came first.
        lock = self._locks.request((SCHEMA,), exclusive=False, holder="an open transaction")
        await self._locks.granted(lock, self._limits.lock_wait_s)
        try:
            stores = {name: self.store(name) for name in names}
            if readonly:
                return SqliteReadTransaction(self.core, await self.snapshot(), lock)
            return SqliteWriteTransaction(self.core, stores, lock, relaxed=relaxed)
        except BaseException:
            self._locks.release(lock)
            raise


def _execute(statement: str, connection: sqlite3.Connection) -> None:
    connection.execute(statement)


def _open_file(path: Path, db: str) -> tuple[FileLock, sqlite3.Connection, dict[str, SqliteStore], StoredMigrations]:
    make_private(path)
    lock = FileLock(path)
    try:
        with translated(path):
            connection = sqlite3.connect(
                path, timeout=5, isolation_level=None, check_same_thread=False, cached_statements=1024
            )
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                # The writer checkpoints earlier, in its thread; this is for rows of many pages.
                connection.execute("PRAGMA wal_autocheckpoint = 16000")
                connection.execute("PRAGMA journal_size_limit = 67108864")
                connection.execute("PRAGMA cache_size = -16384")
                ensure_format(connection, path, db)
                stores = tables.load_stores(connection)
                return lock, connection, stores, migrations.load(connection, stores)
            except BaseException:
                connection.close()
                raise
    except BaseException:
        lock.release()
        raise
