"""Interactive transactions: read-only ones on a snapshot, read-write ones on locked stores with an overlay.

SQLite has one writer, so a read-write transaction does not hold it while its client thinks: it holds the locks of its
stores, notes its writes, and hands them to the writer in one job when it commits (decision 13).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from gestalt_store.engines.idle import Expirable, InUse
from gestalt_store.engines.interface import WalkRow
from gestalt_store.engines.limits import LIST_LIMIT_BYTES, RECORD_OVERHEAD, too_large
from gestalt_store.engines.locks import LockRequest
from gestalt_store.errors import TransactionAborted, TransactionFinished, TransactionReadonly
from gestalt_store.sqlite import reads
from gestalt_store.sqlite.core import SqliteCore
from gestalt_store.sqlite.failures import translated
from gestalt_store.sqlite.overlay import SqliteOverlay
from gestalt_store.sqlite.snapshots import SqliteSnapshot
from gestalt_store.sqlite.tables import SqliteStore, SqliteWalk, SqliteWrite
from gestalt_store.sqlite.unconfirmed import Commit
from gestalt_store.sqlite.writer import WriteJob

FIRST_ROWS = 64
"""Rows of a merged list that are tried on the event loop before a reader thread is asked for all."""


class SqliteReadTransaction:
    """Reads one snapshot; writes are refused."""

    def __init__(self, core: SqliteCore, snapshot: SqliteSnapshot, schema_lock: LockRequest) -> None:
        self._core = core
        self._snapshot = snapshot
        self._schema_lock = schema_lock
        snapshot.on_expiry = self._expired
        self.on_expiry: Callable[[str], None] | None = None

    @property
    def held_bytes(self) -> int:
        return self._snapshot.held_bytes

    async def get(self, store: SqliteStore, primary_key: bytes) -> bytes | None:
        return await self._snapshot.read(lambda c: reads.get(c, store, primary_key), light=True)

    async def records(self, walk: SqliteWalk) -> list[bytes]:
        found = await self._snapshot.read(lambda c: reads.few(c, walk, "values"), light=True)
        if found is not None:
            return found
        return await self._snapshot.read(lambda c: reads.values(c, walk), light=False)

    async def keys(self, walk: SqliteWalk) -> list[bytes]:
        found = await self._snapshot.read(lambda c: reads.few(c, walk, "primary_keys"), light=True)
        if found is not None:
            return found
        return await self._snapshot.read(lambda c: reads.primary_keys(c, walk), light=False)

    async def first(self, walk: SqliteWalk) -> WalkRow | None:
        rows = await self._snapshot.page(walk, None, 1)
        return rows[0] if rows else None

    async def count(self, walk: SqliteWalk) -> int:
        return await self._snapshot.read(lambda c: reads.count(c, walk), light=False)

    async def write(self, write: SqliteWrite) -> None:
        raise TransactionReadonly

    async def delete(self, store: SqliteStore, primary_key: bytes) -> None:
        raise TransactionReadonly

    async def clear(self, store: SqliteStore) -> None:
        raise TransactionReadonly

    async def delete_walk(self, walk: SqliteWalk) -> int:
        raise TransactionReadonly

    async def commit(self) -> None:
        if not self._snapshot.open:
            await self._snapshot.read(lambda c: None, light=True)  # raises, and says why it is closed
        self.abort()

    def abort(self) -> None:
        self._snapshot.close()
        self._core.locks.release(self._schema_lock)

    def _expired(self, reason: str) -> None:
        self._core.locks.release(self._schema_lock)
        if self.on_expiry is not None:
            self.on_expiry(reason)


class SqliteWriteTransaction(Expirable):
    """Requests the locks of its stores when it begins, so transactions get them in the order in which they began."""

    def __init__(
        self, core: SqliteCore, stores: dict[str, SqliteStore], schema_lock: LockRequest, *, relaxed: bool
    ) -> None:
        super().__init__(core.limits.transaction_idle_s)
        self._core = core
        self._stores = stores
        self._schema_lock = schema_lock
        self._lock_request = core.locks.request(stores, exclusive=True, holder=f"a transaction on {_names(stores)}")
        self._relaxed = relaxed
        self._overlay = SqliteOverlay()
        self._begun = False
        self._read_from: list[Commit] = []
        """The commits whose unconfirmed writes it may have read (``unconfirmed``): it fails if one of them does."""
        self._finished = False
        core.watch.add(self)

    @property
    def held_bytes(self) -> int:
        return self._overlay.size

    async def get(self, store: SqliteStore, primary_key: bytes) -> bytes | None:
        with self._using():
            await self._begin()
            with translated(self._core.path):
                return self._overlay.get(self._core.readers.main, store, primary_key)

    async def records(self, walk: SqliteWalk) -> list[bytes]:
        with self._using():
            await self._begin()
            if self._overlay.untouched(walk.store):
                return await self._core.records(walk)
            rows = await self._merged(walk)
            if sum(len(row.record or b"") + RECORD_OVERHEAD for row in rows) > LIST_LIMIT_BYTES:
                raise too_large("records")
            return [row.record or b"" for row in rows]

    async def keys(self, walk: SqliteWalk) -> list[bytes]:
        with self._using():
            await self._begin()
            if self._overlay.untouched(walk.store):
                return await self._core.keys(walk)
            return [row.primary_key for row in await self._merged(walk)]

    async def first(self, walk: SqliteWalk) -> WalkRow | None:
        with self._using():
            await self._begin()
            with translated(self._core.path):
                if self._overlay.untouched(walk.store):
                    rows = reads.page(self._core.readers.main, walk, None, 1)
                else:
                    rows = self._overlay.merged(walk)(self._core.readers.main, 1)
            return rows[0] if rows else None

    async def count(self, walk: SqliteWalk) -> int:
        with self._using():
            await self._begin()
            if self._overlay.untouched(walk.store):
                return await self._core.readers.scan(lambda c: reads.count(c, walk))
            return len(await self._merged(walk))

    async def write(self, write: SqliteWrite) -> None:
        with self._using():
            if not self._overlay.needs_committed(write):
                self._overlay.write(None, write)
                return
            await self._begin()
            with translated(self._core.path):
                self._overlay.write(self._core.readers.main, write)

    async def delete(self, store: SqliteStore, primary_key: bytes) -> None:
        with self._using():
            self._overlay.delete(store, primary_key)

    async def clear(self, store: SqliteStore) -> None:
        with self._using():
            self._overlay.clear(store)

    async def delete_walk(self, walk: SqliteWalk) -> int:
        with self._using():
            await self._begin()
            store = walk.store
            if self._overlay.untouched(store):
                keys = await self._core.readers.scan(lambda c: reads.primary_keys(c, walk))
            else:
                keys = [row.primary_key for row in await self._merged(walk)]
            for key in keys:
                self._overlay.delete(store, key)
            return len(keys)

    async def commit(self) -> None:
        """Make the writes durable.

        Raises:
            TransactionAborted: it was ended before; StorageUnavailable: the engine failed. Nothing is written then.
        """
        self._check()
        self._finished = True
        self._core.watch.remove(self)
        written = self._overlay.written
        try:
            if not written:
                return
            # A transaction that has read nothing has not waited for its locks yet.
            await self._core.locks.granted(self._lock_request, self._core.limits.lock_wait_s)
            job = self._submit()
        finally:
            # The next transaction on these stores sees the writes all the same: as unconfirmed ones, or when it has
            # waited for this commit (``_begin``).
            self._release()
        await job.future

    def abort(self) -> None:
        if not self._finished:
            self._finished = True
            self._core.watch.remove(self)
            self._release()

    def expire(self) -> None:
        self._finished = True
        self._release()

    def _release(self) -> None:
        self._core.locks.release(self._lock_request)
        self._core.locks.release(self._schema_lock)

    def _check(self) -> None:
        if self.expired:
            raise TransactionAborted(self.reason)
        if self._finished:
            raise TransactionFinished

    def _using(self) -> InUse:
        self._check()
        return self.in_use()

    async def _begin(self) -> None:
        """Wait for the locks of the stores, and for those writes to them that are not shown as unconfirmed."""
        if self._begun:
            return
        await self._core.locks.granted(self._lock_request, self._core.limits.lock_wait_s)
        await self._core.writer.finished(list(self._stores.values()))
        for store in self._stores.values():
            self._read_from += store.unconfirmed.commits
        self._begun = True

    def _submit(self) -> WriteJob[None]:
        overlay, read_from = self._overlay, self._read_from

        def body(connection: sqlite3.Connection) -> None:
            if any(commit.error is not None for commit in read_from):
                raise TransactionAborted("a transaction that this one had read from could not be committed; try again")
            overlay.apply(connection)

        cleared = overlay.cleared
        job = self._core.writer.submit(body, cleared, weight=overlay.weight, relaxed=self._relaxed)
        if job.error is None:
            job.on_end = overlay.publish(job)
        return job

    async def _merged(self, walk: SqliteWalk) -> list[WalkRow]:
        merged = self._overlay.merged(walk)
        if self._overlay.small(walk.store):
            with translated(self._core.path):
                # Whether there is one row more tells that a reader thread has to read them all.
                rows = merged(self._core.readers.main, FIRST_ROWS + 1)
                if len(rows) <= FIRST_ROWS:
                    return rows
        return await self._core.readers.scan(lambda connection: merged(connection, reads.EVERY))


def _names(stores: dict[str, SqliteStore]) -> str:
    return ", ".join(repr(name) for name in sorted(stores))
