"""One database: its file, its catalogue of stores, and every operation on it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gestalt_store.engines.interface import (
    LIST_LIMIT_BYTES,
    Conditional,
    Entry,
    Migration,
    Outcome,
    Position,
    Walk,
    Write,
)
from gestalt_store.engines.locks import SCHEMA, LockTable
from gestalt_store.errors import ObjectStoreNotFound, SchemaMismatch, StorageUnavailable
from gestalt_store.sqlite import migrations, reads, tables
from gestalt_store.sqlite import statements as writes
from gestalt_store.sqlite.failures import translate, translated
from gestalt_store.sqlite.files import FileLock, make_private
from gestalt_store.sqlite.formats import ensure_format
from gestalt_store.sqlite.migrations import Found, Migrations
from gestalt_store.sqlite.snapshots import LOOP_ROWS, IdleWatch, Readers, SqliteSnapshot
from gestalt_store.sqlite.tables import SqliteStore
from gestalt_store.sqlite.transactions import ReadOnlyTransaction, ReadWriteTransaction
from gestalt_store.sqlite.writer import HEAVY, Writer
from gestalt_store.values.schema import IndexSchema, StoreSchema

MANY = 300
"""Point reads of one call beyond which a reader thread does them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long clients may keep others waiting, in seconds, and how much of a server they may take."""

    lock_wait_s: float = 15.0
    transaction_idle_s: float = 30.0
    snapshot_idle_s: float = 120.0
    connections: int = 48
    """Only for PostgreSQL: most connections of this process, over all its databases."""


class SqliteDatabase:
    """Opened by ``open``; one object for each file in a process."""

    def __init__(
        self,
        path: Path,
        db: str,
        lock: FileLock,
        connection: sqlite3.Connection,
        stores: dict[str, SqliteStore],
        found: Found,
        limits: Limits,
    ) -> None:
        self.path = path
        self.db = db
        self.limits = limits
        self.locks = LockTable()
        self.readers = Readers(path)
        self.writer = Writer(connection, path)
        self.watch = IdleWatch(max(0.05, min(limits.transaction_idle_s, limits.snapshot_idle_s) / 4))
        self._lock = lock
        self._connection = connection
        self._stores = stores
        self._closed = False
        self.version = 0
        self._migrations = Migrations(self, found, path)

    @classmethod
    async def open(cls, path: Path, db: str, limits: Limits) -> SqliteDatabase:
        """Open or create the file.

        Raises:
            DatabaseUnusable: in use by another process, of another program, of a newer version, not accessible.
            StorageCorrupt, StorageUnavailable: SQLite cannot read or write it.
        """
        loop = asyncio.get_running_loop()
        lock, connection, stores, found = await loop.run_in_executor(None, _open_file, path, db)
        try:
            with translated(path):
                return cls(path, db, lock, connection, stores, found, limits)
        except BaseException:
            connection.close()
            lock.release()
            raise

    async def close(self) -> None:
        """End open transactions, finish queued writes, close the file."""
        if self._closed:
            return
        self._closed = True
        self.watch.close()
        await self._migrations.close()
        await self.writer.close()
        self.readers.close()
        with contextlib.suppress(sqlite3.Error):  # the next start recovers from the log
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        self._lock.release()

    # Catalogue.

    def store(self, name: str) -> SqliteStore:
        found = self._stores.get(name)
        if found is None:
            raise ObjectStoreNotFound(name)
        return found

    def replaced(self, store: SqliteStore, successor: SqliteStore) -> None:
        """A migration has ended: whoever looks the store up from now on gets its successor."""
        self._stores[store.name] = successor
        self.version += 1

    async def change_indexes(self, name: str, add: Sequence[IndexSchema], remove: Sequence[str]) -> Migration:
        return await self._migrations.change(name, add, remove)

    async def migration(self, name: str) -> Migration:
        return self._migrations.report(self.store(name))

    async def refresh(self) -> None:
        """Nothing: no other process can have changed the stores."""

    async def create_store(self, name: str, schema: StoreSchema) -> None:
        """Create the store, or find that it is there with this schema.

        Raises:
            SchemaMismatch: it is there with another one.
        """
        if self._matches(name, schema):
            return
        claim = self.locks.claim((SCHEMA,), exclusive=True, owner=f"the creation of object store {name!r}")
        await self.locks.granted(claim, self.limits.lock_wait_s)
        try:
            if self._matches(name, schema):
                return
            store = await self.writer.submit(lambda c: tables.create_store(c, name, schema), weight=HEAVY).future
            self._stores[name] = store
        finally:
            self.locks.release(claim)

    async def delete_store(self, name: str) -> None:
        """Delete the store with its records; a missing one is fine."""
        claim = self.locks.claim((SCHEMA,), exclusive=True, owner=f"the deletion of object store {name!r}")
        await self.locks.granted(claim, self.limits.lock_wait_s)
        try:
            await self._migrations.forget(name)
            store = self._stores.get(name)
            if store is None:
                return
            stores = [store] if store.upkeep is None else [store, store.upkeep]

            def drop(connection: sqlite3.Connection) -> None:
                tables.drop_store(connection, store)
                for item in stores:
                    item.dropped = True

            try:
                await self.writer.submit(drop, (store,), weight=HEAVY).future
            except BaseException:
                for item in stores:
                    item.dropped = False
                raise
            del self._stores[name]
        finally:
            self.locks.release(claim)

    def _matches(self, name: str, schema: StoreSchema) -> bool:
        existing = self._stores.get(name)
        if existing is None:
            return False
        if not existing.schema.matches(schema):
            raise SchemaMismatch(name)
        return True

    # Reads of what is committed.

    async def get(self, store: SqliteStore, primary_key: bytes) -> bytes | None:
        try:
            return reads.get(self.readers.main, store, primary_key)
        except sqlite3.Error as error:
            raise translate(error, self.path, store.name) from error

    async def records(self, walk: Walk) -> list[bytes]:
        return await self.read_records(walk)

    async def keys(self, walk: Walk) -> list[bytes]:
        return await self.read_keys(walk)

    async def read_records(self, walk: Walk) -> list[bytes]:
        with translated(self.path, walk.store.name):
            found = reads.few(self.readers.main, walk, "values")
            return await self.readers.scan(lambda c: reads.values(c, walk)) if found is None else found

    async def read_keys(self, walk: Walk) -> list[bytes]:
        with translated(self.path, walk.store.name):
            found = reads.few(self.readers.main, walk, "primary_keys")
            return await self.readers.scan(lambda c: reads.primary_keys(c, walk)) if found is None else found

    async def first(self, walk: Walk) -> Entry | None:
        with translated(self.path, walk.store.name):
            entries = reads.page(self.readers.main, walk, None, 1)
        return entries[0] if entries else None

    async def count(self, walk: Walk) -> int:
        with translated(self.path, walk.store.name):
            return await self.readers.scan(lambda connection: reads.count(connection, walk))

    async def get_many(self, store: SqliteStore, primary_keys: Sequence[bytes]) -> list[bytes]:
        """The records that are there, in the order of the keys, all from one snapshot."""

        def read(connection: sqlite3.Connection) -> list[bytes]:
            found: list[bytes] = []
            size = 0
            for key in primary_keys:
                record = reads.get(connection, store, key)
                if record is not None:
                    size += len(record) + 6
                    if size > LIST_LIMIT_BYTES:
                        raise reads.too_large("records")
                    found.append(record)
            return found

        with translated(self.path, store.name):
            if len(primary_keys) > MANY:
                return await self.readers.scan(read)
            main = self.readers.main
            main.execute("BEGIN")
            try:
                return read(main)
            finally:
                main.execute("COMMIT")

    async def page(self, walk: Walk, after: Position | None, limit: int, limit_bytes: int) -> tuple[list[Entry], bool]:
        """Up to ``limit`` entries behind ``after``, and whether there are more."""

        def read(connection: sqlite3.Connection) -> tuple[list[Entry], bool]:
            entries = reads.page(connection, walk, after, limit + 1, limit_bytes=limit_bytes)
            return entries[:limit], len(entries) > limit or reads.cut_short(entries, limit_bytes)

        with translated(self.path, walk.store.name):
            if limit <= LOOP_ROWS:
                return read(self.readers.main)
            return await self.readers.scan(read)

    async def check_readable(self) -> None:
        """Raise when the file cannot be read."""
        with translated(self.path):
            self.readers.main.execute("SELECT count(*) FROM facts").fetchone()

    async def snapshot(self) -> SqliteSnapshot:
        if self._closed:
            raise StorageUnavailable("the store is closing")
        return SqliteSnapshot(self.readers, self.watch, self.path, self.limits.snapshot_idle_s)

    # Writes of single calls.

    async def write(self, write: Write) -> None:
        await self._submit(lambda c: writes.write(c, write), (write.store,))

    async def delete(self, store: SqliteStore, primary_key: bytes) -> None:
        await self._submit(lambda c: writes.delete(c, store, primary_key), (store,))

    async def clear(self, store: SqliteStore) -> None:
        await self._submit(lambda c: writes.clear(c, store), (store,), weight=HEAVY)

    async def delete_walk(self, walk: Walk) -> int:
        number: int = await self._submit(lambda c: writes.delete_walk(c, walk), (walk.store,), weight=HEAVY)
        return number

    async def apply(self, entries: Sequence[Conditional], *, return_current: bool, relaxed: bool) -> list[Outcome]:
        """Execute conditional entries in one commit; see ``IndexedDBBatch.Apply``."""
        stores = tuple({entry.store: None for entry in entries})
        outcomes: list[Outcome] = await self._submit(
            lambda c: writes.apply(c, entries, return_current), stores, weight=3 * len(entries), relaxed=relaxed
        )
        return outcomes

    async def _submit(
        self,
        body: Callable[[sqlite3.Connection], Any],
        stores: tuple[SqliteStore, ...],
        *,
        weight: int = 3,
        relaxed: bool = False,
    ) -> Any:
        """Run a write once no transaction holds its stores; its turn comes before that of transactions begun later."""
        if all(self.locks.free(store.name) for store in stores):
            return await self.writer.submit(body, stores, weight=weight, relaxed=relaxed).future
        names = [store.name for store in stores]
        claim = self.locks.claim(names, exclusive=True, owner="a write")
        await self.locks.granted(claim, self.limits.lock_wait_s)
        try:
            job = self.writer.submit(body, stores, weight=weight, relaxed=relaxed)
        finally:
            # The writer works in order: whoever is next comes after this write without the lock.
            self.locks.release(claim)
        return await job.future

    # Transactions.

    async def begin(
        self, names: Sequence[str], *, readonly: bool, relaxed: bool
    ) -> ReadOnlyTransaction | ReadWriteTransaction:
        """Begin a transaction on the named stores; it waits for schema changes that came first.

        Raises:
            ObjectStoreNotFound: one of them is missing.
        """
        claim = self.locks.claim((SCHEMA,), exclusive=False, owner="an open transaction")
        await self.locks.granted(claim, self.limits.lock_wait_s)
        try:
            stores = {name: self.store(name) for name in names}
            if readonly:
                return ReadOnlyTransaction(self, await self.snapshot(), claim)
            return ReadWriteTransaction(self, stores, claim, relaxed=relaxed)
        except BaseException:
            self.locks.release(claim)
            raise


def _open_file(path: Path, db: str) -> tuple[FileLock, sqlite3.Connection, dict[str, SqliteStore], Found]:
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
                # The writer does it earlier, beside the event loop; this is for rows of many pages.
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
