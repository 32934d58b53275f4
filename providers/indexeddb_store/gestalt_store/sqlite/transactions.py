"""Interactive transactions: read-only ones on a snapshot, read-write ones on locked stores with an overlay.

SQLite has one writer, so a read-write transaction never holds it between two frames: it holds the locks of its stores,
notes its writes, and hands them to the writer in one job when it commits (decision 13).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from gestalt_store.engines.idle import Expirable, InUse
from gestalt_store.engines.interface import Entry, Walk, Write
from gestalt_store.engines.limits import LIST_LIMIT_BYTES, RECORD_OVERHEAD, too_large
from gestalt_store.engines.locks import Claim
from gestalt_store.errors import TransactionAborted, TransactionFinished, TransactionReadonly
from gestalt_store.sqlite import reads
from gestalt_store.sqlite.core import SqliteCore
from gestalt_store.sqlite.failures import translated
from gestalt_store.sqlite.overlay import Overlay
from gestalt_store.sqlite.snapshots import SqliteSnapshot
from gestalt_store.sqlite.tables import SqliteStore
from gestalt_store.sqlite.writer import Job

FIRST_ROWS = 64
"""Rows of a merged list that are tried on the event loop before a reader thread is asked for all."""


class ReadOnlyTransaction:
    """Reads of one snapshot; writes are refused."""

    def __init__(self, core: SqliteCore, snapshot: SqliteSnapshot, schema_claim: Claim) -> None:
        self._core = core
        self._snapshot = snapshot
        self._schema_claim = schema_claim
        snapshot.on_expiry = self._expired
        self.on_expiry: Callable[[str], None] | None = None

    async def get(self, store: SqliteStore, primary_key: bytes) -> bytes | None:
        return await self._snapshot.read(lambda c: reads.get(c, store, primary_key), light=True)

    async def records(self, walk: Walk) -> list[bytes]:
        found = await self._snapshot.read(lambda c: reads.few(c, walk, "values"), light=True)
        if found is not None:
            return found
        return await self._snapshot.read(lambda c: reads.values(c, walk), light=False)

    async def keys(self, walk: Walk) -> list[bytes]:
        found = await self._snapshot.read(lambda c: reads.few(c, walk, "primary_keys"), light=True)
        if found is not None:
            return found
        return await self._snapshot.read(lambda c: reads.primary_keys(c, walk), light=False)

    async def first(self, walk: Walk) -> Entry | None:
        entries = await self._snapshot.page(walk, None, 1)
        return entries[0] if entries else None

    async def count(self, walk: Walk) -> int:
        return await self._snapshot.read(lambda c: reads.count(c, walk), light=False)

    async def write(self, write: Write) -> None:
        raise TransactionReadonly

    async def delete(self, store: SqliteStore, primary_key: bytes) -> None:
        raise TransactionReadonly

    async def clear(self, store: SqliteStore) -> None:
        raise TransactionReadonly

    async def delete_walk(self, walk: Walk) -> int:
        raise TransactionReadonly

    async def commit(self) -> None:
        if not self._snapshot.open:
            await self._snapshot.read(lambda c: None, light=True)  # says why
        self.abort()

    def abort(self) -> None:
        self._snapshot.close()
        self._core.locks.release(self._schema_claim)

    def _expired(self, reason: str) -> None:
        self._core.locks.release(self._schema_claim)
        if self.on_expiry is not None:
            self.on_expiry(reason)


class ReadWriteTransaction(Expirable):
    """Holds the locks of its stores from its first operation on, in the order in which transactions began."""

    def __init__(self, core: SqliteCore, stores: dict[str, SqliteStore], schema_claim: Claim, *, relaxed: bool) -> None:
        super().__init__(core.limits.transaction_idle_s)
        self._core = core
        self._stores = stores
        self._schema_claim = schema_claim
        self._claim = core.locks.claim(stores, exclusive=True, owner=f"a transaction on {_names(stores)}")
        self._relaxed = relaxed
        self._overlay = Overlay()
        self._settled = False
        self._read_from: list[Job] = []
        """Commits on their way whose writes this transaction may have read: it fails if one of them does."""
        self._finished = False
        core.watch.add(self)

    async def get(self, store: SqliteStore, primary_key: bytes) -> bytes | None:
        with self._using():
            await self._base()
            with translated(self._core.path):
                return self._overlay.get(self._core.readers.main, store, primary_key)

    async def records(self, walk: Walk) -> list[bytes]:
        with self._using():
            await self._base()
            if self._overlay.untouched(walk.store):
                return await self._core.records(walk)
            entries = await self._merged(walk)
            if sum(len(entry.record or b"") + RECORD_OVERHEAD for entry in entries) > LIST_LIMIT_BYTES:
                raise too_large("records")
            return [entry.record or b"" for entry in entries]

    async def keys(self, walk: Walk) -> list[bytes]:
        with self._using():
            await self._base()
            if self._overlay.untouched(walk.store):
                return await self._core.keys(walk)
            return [entry.primary_key for entry in await self._merged(walk)]

    async def first(self, walk: Walk) -> Entry | None:
        with self._using():
            await self._base()
            with translated(self._core.path):
                if self._overlay.untouched(walk.store):
                    entries = reads.page(self._core.readers.main, walk, None, 1)
                else:
                    entries = self._overlay.merged(walk)(self._core.readers.main, 1)
            return entries[0] if entries else None

    async def count(self, walk: Walk) -> int:
        with self._using():
            await self._base()
            if self._overlay.untouched(walk.store):
                return await self._core.readers.scan(lambda c: reads.count(c, walk))
            return len(await self._merged(walk))

    async def write(self, write: Write) -> None:
        with self._using():
            if not self._overlay.needs_base(write):
                self._overlay.write(None, write)
                return
            await self._base()
            with translated(self._core.path):
                self._overlay.write(self._core.readers.main, write)

    async def delete(self, store: SqliteStore, primary_key: bytes) -> None:
        with self._using():
            self._overlay.delete(store, primary_key)

    async def clear(self, store: SqliteStore) -> None:
        with self._using():
            self._overlay.clear(store)

    async def delete_walk(self, walk: Walk) -> int:
        with self._using():
            await self._base()
            store: SqliteStore = walk.store
            if self._overlay.untouched(store):
                keys = await self._core.readers.scan(lambda c: reads.primary_keys(c, walk))
            else:
                keys = [entry.primary_key for entry in await self._merged(walk)]
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
            # A transaction that only wrote may come here without having waited for its locks.
            await self._core.locks.granted(self._claim, self._core.limits.lock_wait_s)
            job = self._submit()
        finally:
            # Whoever is next waits for this commit before it reads (``_base``).
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
        self._core.locks.release(self._claim)
        self._core.locks.release(self._schema_claim)

    def _check(self) -> None:
        if self.expired:
            raise TransactionAborted(self.reason)
        if self._finished:
            raise TransactionFinished

    def _using(self) -> InUse:
        self._check()
        return self.in_use()

    async def _base(self) -> None:
        """Wait until the stores are ours and everything written to them before is committed."""
        if self._settled:
            return
        await self._core.locks.granted(self._claim, self._core.limits.lock_wait_s)
        await self._core.writer.settled(list(self._stores.values()))
        for store in self._stores.values():
            self._read_from += store.pending.jobs
        self._settled = True

    def _submit(self) -> Job:
        overlay, read_from = self._overlay, self._read_from

        def body(connection: sqlite3.Connection) -> None:
            if any(job.error is not None for job in read_from):
                raise TransactionAborted("a transaction that this one had read from could not be committed; try again")
            overlay.apply(connection)

        opaque = overlay.opaque
        job = self._core.writer.submit(body, opaque, weight=overlay.weight, relaxed=self._relaxed)
        if job.error is None:
            job.on_end = overlay.publish(job)
        return job

    async def _merged(self, walk: Walk) -> list[Entry]:
        merged = self._overlay.merged(walk)
        if self._overlay.small(walk.store):
            with translated(self._core.path):
                # One row more than is wanted from the file tells whether a reader thread has to do it.
                entries = merged(self._core.readers.main, FIRST_ROWS + 1)
                if len(entries) <= FIRST_ROWS:
                    return entries
        return await self._core.readers.scan(lambda connection: merged(connection, reads.EVERY))


def _names(stores: dict[str, SqliteStore]) -> str:
    return ", ".join(repr(name) for name in sorted(stores))
