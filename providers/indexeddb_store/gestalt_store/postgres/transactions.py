"""Interactive transactions: read-only ones on a snapshot, read-write ones as serialisable transactions of the server.

A read-write transaction locks its stores with its first operation: among the transactions of this process (``locks``),
then among those of all processes (``statements.lock_statement``). Two of them that share a store therefore run one
after the other, and the server finds no conflict to abort them for. Writes are collected; they are sent before the next
read that could see them, or with the commit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import psycopg

from gestalt_store.engines.idle import Expirable, InUse
from gestalt_store.engines.interface import WalkRow
from gestalt_store.engines.locks import LockRequest
from gestalt_store.errors import (
    ObjectStoreNotFound,
    StorageUnavailable,
    TransactionAborted,
    TransactionFinished,
    TransactionReadonly,
)
from gestalt_store.postgres import reads
from gestalt_store.postgres.core import PgCore
from gestalt_store.postgres.failures import lost, retryable, store_gone
from gestalt_store.postgres.overlay import PgOverlay, Wanted
from gestalt_store.postgres.pool import COMMIT, PgConnection, Row, Statement
from gestalt_store.postgres.snapshots import PgSnapshot
from gestalt_store.postgres.statements import opening
from gestalt_store.postgres.tables import PgStore, PgWalk, PgWrite

T = TypeVar("T")

SEND_AT_BYTES = 8 * 1024 * 1024
"""Collected writes are sent when their records reach this size."""
MOVES = 5
"""Most times that an operation looks its stores up again; one change of indexes makes it necessary some three times."""
_DELETED_AT_ONCE = 1000
_DELETED_BYTES = 4 * 1024 * 1024


class PgReadTransaction:
    """Reads one snapshot; writes are refused."""

    def __init__(self, core: PgCore, snapshot: PgSnapshot, schema_lock: LockRequest) -> None:
        self._core = core
        self._snapshot = snapshot
        self._schema_lock = schema_lock
        snapshot.on_expiry = self._expired
        self.on_expiry: Callable[[str], None] | None = None

    @property
    def held_bytes(self) -> int:
        return self._snapshot.held_bytes

    async def get(self, store: PgStore, primary_key: bytes) -> bytes | None:
        return await reads.get(self._snapshot.runner(store.name), store, primary_key)

    async def records(self, walk: PgWalk) -> list[bytes]:
        return await reads.records(self._snapshot.runner(walk.store.name), walk)

    async def keys(self, walk: PgWalk) -> list[bytes]:
        return await reads.keys(self._snapshot.runner(walk.store.name), walk)

    async def first(self, walk: PgWalk) -> WalkRow | None:
        return await reads.first(self._snapshot.runner(walk.store.name), walk)

    async def count(self, walk: PgWalk) -> int:
        return await reads.count(self._snapshot.runner(walk.store.name), walk)

    async def write(self, write: PgWrite) -> None:
        raise TransactionReadonly

    async def delete(self, store: PgStore, primary_key: bytes) -> None:
        raise TransactionReadonly

    async def clear(self, store: PgStore) -> None:
        raise TransactionReadonly

    async def delete_walk(self, walk: PgWalk) -> int:
        raise TransactionReadonly

    async def commit(self) -> None:
        self._snapshot.check()
        self.abort()

    def abort(self) -> None:
        self._snapshot.close()
        self._core.locks.release(self._schema_lock)

    def _expired(self, reason: str) -> None:
        self._core.locks.release(self._schema_lock)
        if self.on_expiry is not None:
            self.on_expiry(reason)


class PgWriteTransaction(Expirable):
    """Requests the locks of its stores when it begins, and takes a connection for its first statement."""

    def __init__(
        self, core: PgCore, stores: dict[str, PgStore], schema_lock: LockRequest | None, *, relaxed: bool
    ) -> None:
        super().__init__(core.limits.transaction_idle_s)
        self._core = core
        self._stores = stores
        self._schema_lock = schema_lock
        names = ", ".join(repr(name) for name in sorted(stores))
        self._lock_request = core.locks.request(stores, exclusive=True, holder=f"a transaction on {names}")
        self._relaxed = relaxed
        self._connection: PgConnection | None = None
        self._overlay = PgOverlay()
        self._finished = False
        self.conflicted = False
        """Whether the server undid it because of another transaction, so that it can be run again."""
        core.watch.add(self)

    @property
    def held_bytes(self) -> int:
        return self._overlay.held + (0 if self._connection is None else self._connection.buffered)

    async def get(self, store: PgStore, primary_key: bytes) -> bytes | None:
        async def body() -> bytes | None:
            overlay = self._overlay.of(store)
            if not overlay.known(primary_key):
                wanted = Wanted(self._overlay)
                wanted.record(store, primary_key)
                await self._learn(wanted)
            return overlay.current(primary_key)

        return await self._do(body)

    async def records(self, walk: PgWalk) -> list[bytes]:
        return await self._read(walk, reads.records)

    async def keys(self, walk: PgWalk) -> list[bytes]:
        return await self._read(walk, reads.keys)

    async def first(self, walk: PgWalk) -> WalkRow | None:
        return await self._read(walk, reads.first)

    async def count(self, walk: PgWalk) -> int:
        return await self._read(walk, reads.count)

    async def write(self, write: PgWrite) -> None:
        async def body() -> None:
            wanted = Wanted(self._overlay)
            wanted.write(write, alone=False)
            await self._learn(wanted)
            self._overlay.of(write.store).put(write)

        await self._do(body)
        if self._overlay.size > SEND_AT_BYTES:
            await self._do(self._send_all)

    async def delete(self, store: PgStore, primary_key: bytes) -> None:
        with self._using():
            self._overlay.of(store).delete(primary_key)

    async def clear(self, store: PgStore) -> None:
        await self._do(lambda: self._clear(store))

    async def delete_walk(self, walk: PgWalk) -> int:
        return await self._do(lambda: self._delete_walk(walk))

    async def commit(self) -> None:
        self._check()
        self._core.watch.remove(self)

        async def body() -> None:
            wanted = Wanted(self._overlay)
            self._overlay.want_bases(wanted)
            await self._learn(wanted)
            await self._run([*self._overlay.statements(), COMMIT], committing=True)

        try:
            if self._connection is not None or self._overlay.unsent:
                await self._do(body)
        finally:
            self._finished = True
            self._release()

    def abort(self) -> None:
        if not self._finished:
            self._finished = True
            self._core.watch.remove(self)
            self._release()

    def expire(self) -> None:
        self._finished = True
        self._release()

    async def _do(self, body: Callable[[], Awaitable[T]]) -> T:
        """Run an operation; again if it is the first and the stores have changed since they were looked up.

        It can be run again, since no body notes a write before its first statement.
        """
        with self._using():
            for _ in range(MOVES):
                try:
                    return await body()
                except _StoreMoved:
                    await self._core.follow(self._stores.values())
                    self._overlay.follow()
            raise TransactionAborted("the indexes of its object stores are being changed; nothing was done, try again")

    async def _read(self, walk: PgWalk, read: Callable[[reads.Run, PgWalk], Awaitable[T]]) -> T:
        async def body() -> T:
            await self._send_pending(walk.store)
            return await read(self._run, self._current(walk))

        return await self._do(body)

    def _current(self, walk: PgWalk) -> PgWalk:
        """Return the walk in the store as it is now: its schema may have changed since the transaction began."""
        store = self._overlay.maintained(walk.store)
        if store.number == walk.store.number:
            return walk
        if walk.index is None:
            return replace(walk, store=store)
        for index in store.indexes:
            if index.schema == walk.index.schema:
                return replace(walk, store=store, index=index)
        if self._schema_lock is None:
            raise ObjectStoreNotFound(store.name)  # a single call: the caller looks the store up again
        raise TransactionAborted(
            f"index {walk.index.schema.name!r} of object store {store.name!r} was changed since this began; try again"
        )

    async def _delete_walk(self, former: PgWalk) -> int:
        await self._send_pending(former.store)
        walk = self._current(former)
        overlay = self._overlay.of(former.store)
        store = overlay.store
        if walk.index is None and walk.span.unbounded:
            number = await reads.count(self._run, walk)
            await self._clear(former.store)
            return number
        number, after, more = 0, None, True
        whole = replace(walk, reverse=False, unique=False, keys_only=not store.indexes)
        while more:
            rows, more = await reads.limited_page(self._run, whole, after, _DELETED_AT_ONCE, _DELETED_BYTES)
            for row in rows:
                overlay.base[row.primary_key] = row.record or b""
                overlay.delete(row.primary_key)
            number += len(rows)
            if rows:
                after = rows[-1].position
                await self._send_all()
        return number

    async def _clear(self, store: PgStore) -> None:
        overlay = self._overlay.of(store)
        overlay.emptied()
        removing = [*(index.remove_all for index in overlay.store.indexes), overlay.store.remove_all]
        await self._run([Statement(statement) for statement in removing])

    async def _learn(self, wanted: Wanted) -> None:
        statements = wanted.statements()
        if statements:
            wanted.learn(await self._run(statements))

    async def _send_pending(self, store: PgStore) -> None:
        """Send what was written, if the store is among it, so that reads of the database see it."""
        if self._overlay.of(store).rows:
            await self._send_all()

    async def _send_all(self) -> None:
        wanted = Wanted(self._overlay)
        self._overlay.want_bases(wanted)
        await self._learn(wanted)
        statements = self._overlay.statements()
        if statements:
            await self._run(statements)
        self._overlay.sent()

    async def _run(self, statements: Sequence[Statement], *, committing: bool = False) -> list[list[Row]]:
        """Run statements inside the transaction, which begins with the first of them."""
        where = self._core.pool.where
        while True:
            first = self._connection is None
            connection = self._connection or await self._begin()
            reused, suspect = connection.reused, connection.suspect
            begin = self._opening() if first else []
            try:
                if committing and suspect:
                    # If it is dead, this fails and not the commit, of which nobody could tell whether it was done.
                    await connection.run(begin)
                    begin, first = [], False
                return (await connection.run([*begin, *statements]))[len(begin) :]
            except psycopg.Error as error:
                if lost(error):
                    if first and reused and (not committing or suspect) and self._connection is connection:
                        # It died while it was idle, so nothing has happened in this transaction.
                        self._connection = None
                        self._core.pool.give_back(connection)
                        self._core.pool.forget_idle()
                        continue
                    if committing:
                        raise StorageUnavailable(
                            f"{where}: the connection was lost during the commit; whether it was written is unknown"
                        ) from error
                    raise StorageUnavailable(f"{where}: the connection was lost; nothing was written") from error
                if first and store_gone(error):
                    self._connection = None
                    self._core.pool.give_back(connection)
                    raise _StoreMoved from error
                if store_gone(error):
                    raise ObjectStoreNotFound(next(iter(self._stores))) from error
                self.conflicted = retryable(error)
                raise self._core.translate(error) from error

    def _opening(self) -> list[Statement]:
        return opening([self._overlay.maintained(store) for store in self._stores.values()], relaxed=self._relaxed)

    async def _begin(self) -> PgConnection:
        await self._core.locks.granted(self._lock_request, self._core.limits.lock_wait_s)
        connection = await self._core.pool.take(held=True)
        if self._finished:  # ended while it waited
            self._core.pool.give_back(connection)
            self._check()
        self._connection = connection
        return connection

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._core.pool.give_back(connection)
        self._core.locks.release(self._lock_request)
        if self._schema_lock is not None:
            self._core.locks.release(self._schema_lock)

    def _check(self) -> None:
        if self.expired:
            raise TransactionAborted(self.reason)
        if self._finished:
            raise TransactionFinished

    def _using(self) -> InUse:
        self._check()
        return self.in_use()


class _StoreMoved(Exception):
    """Raised when the first statement finds a store deleted, or finds that other indexes have to be maintained."""
