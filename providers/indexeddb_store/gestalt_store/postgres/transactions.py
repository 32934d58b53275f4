"""Interactive transactions: read-only ones on a snapshot, read-write ones as serialisable transactions of the server.

A read-write transaction holds its stores, first among the transactions of this process (``locks``), then among those of
all processes (``tables.lock_command``), both from its first operation on. So two of them meet in a store only one after
the other, and the server finds no conflict to abort them for. Writes are collected and sent before the next read that
could see them, or with the commit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import psycopg

from gestalt_store.engines.idle import Expirable, InUse
from gestalt_store.engines.interface import Entry, Position, Walk, Write
from gestalt_store.engines.locks import Claim
from gestalt_store.errors import (
    ObjectStoreNotFound,
    StorageUnavailable,
    TransactionAborted,
    TransactionFinished,
    TransactionReadonly,
)
from gestalt_store.postgres import reads
from gestalt_store.postgres.core import PgCore
from gestalt_store.postgres.failures import lost, retryable, store_gone, translate
from gestalt_store.postgres.overlay import Changes, Wanted
from gestalt_store.postgres.pool import COMMIT, Command, Connection, Row
from gestalt_store.postgres.snapshots import PgSnapshot
from gestalt_store.postgres.tables import PgStore, opening

T = TypeVar("T")

SEND_AT_BYTES = 8 * 1024 * 1024
"""Collected writes are sent when their records reach this size."""
MOVES = 5
"""How often an operation looks again what its stores are; the indexes of one change some three times at most."""
_DELETED_AT_ONCE = 1000
_DELETED_BYTES = 4 * 1024 * 1024


class ReadOnlyTransaction:
    """Reads of one snapshot; writes are refused."""

    def __init__(self, core: PgCore, snapshot: PgSnapshot, schema_claim: Claim) -> None:
        self._core = core
        self._snapshot = snapshot
        self._schema_claim = schema_claim
        snapshot.on_expiry = self._expired
        self.on_expiry: Callable[[str], None] | None = None

    async def get(self, store: PgStore, primary_key: bytes) -> bytes | None:
        return await reads.get(self._snapshot.runner(store.name), store, primary_key)

    async def records(self, walk: Walk) -> list[bytes]:
        return await reads.records(self._snapshot.runner(walk.store.name), walk)

    async def keys(self, walk: Walk) -> list[bytes]:
        return await reads.keys(self._snapshot.runner(walk.store.name), walk)

    async def first(self, walk: Walk) -> Entry | None:
        return await reads.first(self._snapshot.runner(walk.store.name), walk)

    async def count(self, walk: Walk) -> int:
        return await reads.count(self._snapshot.runner(walk.store.name), walk)

    async def write(self, write: Write) -> None:
        raise TransactionReadonly

    async def delete(self, store: PgStore, primary_key: bytes) -> None:
        raise TransactionReadonly

    async def clear(self, store: PgStore) -> None:
        raise TransactionReadonly

    async def delete_walk(self, walk: Walk) -> int:
        raise TransactionReadonly

    async def commit(self) -> None:
        self._snapshot.check()
        self.abort()

    def abort(self) -> None:
        self._snapshot.close()
        self._core.locks.release(self._schema_claim)

    def _expired(self, reason: str) -> None:
        self._core.locks.release(self._schema_claim)
        if self.on_expiry is not None:
            self.on_expiry(reason)


class ReadWriteTransaction(Expirable):
    """Takes its place among the writers of its stores when it begins, and a connection with its first read."""

    def __init__(self, core: PgCore, stores: dict[str, PgStore], schema_claim: Claim | None, *, relaxed: bool) -> None:
        super().__init__(core.limits.transaction_idle_s)
        self._core = core
        self._stores = stores
        self._schema_claim = schema_claim
        names = ", ".join(repr(name) for name in sorted(stores))
        self._claim = core.locks.claim(stores, exclusive=True, owner=f"a transaction on {names}")
        self._relaxed = relaxed
        self._connection: Connection | None = None
        self._changes = Changes()
        self._finished = False
        self.conflicted = False
        """Whether the server undid it because of another transaction; it can be run again then."""
        core.watch.add(self)

    async def get(self, store: PgStore, primary_key: bytes) -> bytes | None:
        async def body() -> bytes | None:
            changes = self._changes.of(store)
            if not changes.known(primary_key):
                wanted = Wanted(self._changes)
                wanted.record(store, primary_key)
                await self._learn(wanted)
            return changes.current(primary_key)

        return await self._do(body)

    async def records(self, walk: Walk) -> list[bytes]:
        return await self._read(walk, reads.records)

    async def keys(self, walk: Walk) -> list[bytes]:
        return await self._read(walk, reads.keys)

    async def first(self, walk: Walk) -> Entry | None:
        return await self._read(walk, reads.first)

    async def count(self, walk: Walk) -> int:
        return await self._read(walk, reads.count)

    async def write(self, write: Write) -> None:
        async def body() -> None:
            wanted = Wanted(self._changes)
            wanted.write(write, alone=False)
            await self._learn(wanted)
            self._changes.of(write.store).put(write)

        await self._do(body)
        if self._changes.size > SEND_AT_BYTES:
            await self._do(self._send_all)

    async def delete(self, store: PgStore, primary_key: bytes) -> None:
        with self._using():
            self._changes.of(store).delete(primary_key)

    async def clear(self, store: PgStore) -> None:
        await self._do(lambda: self._clear(store))

    async def delete_walk(self, walk: Walk) -> int:
        return await self._do(lambda: self._delete_walk(walk))

    async def commit(self) -> None:
        """Make the writes durable.

        Raises:
            TransactionAborted: it was ended before, or conflicts; nothing is written then.
            StorageUnavailable: the server failed or cannot be reached.
        """
        self._check()
        self._core.watch.remove(self)

        async def body() -> None:
            wanted = Wanted(self._changes)
            self._changes.bases(wanted)
            await self._learn(wanted)
            await self._run([*self._changes.commands(), COMMIT], committing=True)

        try:
            if self._connection is not None or self._changes.pending:
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
        """Run an operation, again as long as it is the first and finds that the stores are not what they were.

        The body notes no write before its first statement, so it can be run again.
        """
        with self._using():
            for _ in range(MOVES):
                try:
                    return await body()
                except _StoreMoved:
                    await self._core.follow(self._stores.values())
                    self._changes.follow()
            raise TransactionAborted("the indexes of its object stores are being changed; nothing was done, try again")

    async def _read(self, walk: Walk, read: Callable[[reads.Run, Walk], Awaitable[T]]) -> T:
        async def body() -> T:
            await self._send_pending(walk.store)
            return await read(self._run, self._current(walk))

        return await self._do(body)

    def _current(self, walk: Walk) -> Walk:
        """The walk in the store as it is now: its schema may have changed before this read or wrote anything."""
        store = self._changes.kept(walk.store)
        if store.number == walk.store.number:
            return walk
        if walk.index is None:
            return replace(walk, store=store)
        for index in store.indexes:
            if index.schema == walk.index.schema:
                return replace(walk, store=store, index=index)
        if self._schema_claim is None:
            raise ObjectStoreNotFound(store.name)  # as it was: the caller looks it up again
        raise TransactionAborted(
            f"index {walk.index.schema.name!r} of object store {store.name!r} was changed since this began; try again"
        )

    async def _delete_walk(self, former: Walk) -> int:
        await self._send_pending(former.store)
        walk = self._current(former)
        changes = self._changes.of(former.store)
        store = changes.store
        if walk.index is None and walk.span.unbounded:
            number = await reads.count(self._run, walk)
            await self._clear(former.store)
            return number
        number, after, more = 0, None, True
        whole = replace(walk, reverse=False, unique=False, keys_only=not store.indexes)
        while more:
            entries, more = await reads.limited_page(self._run, whole, after, _DELETED_AT_ONCE, _DELETED_BYTES)
            for entry in entries:
                changes.base[entry.primary_key] = entry.record or b""
                changes.delete(entry.primary_key)
            number += len(entries)
            if entries:
                last = entries[-1]
                after = Position(b"" if last.key is None else last.key.order, last.primary_key)
                await self._send_all()
        return number

    async def _clear(self, store: PgStore) -> None:
        changes = self._changes.of(store)
        changes.emptied()
        removing = [*(index.remove_all for index in changes.store.indexes), changes.store.remove_all]
        await self._run([Command(statement) for statement in removing])

    async def _learn(self, wanted: Wanted) -> None:
        commands = wanted.commands()
        if commands:
            wanted.learn(await self._run(commands))

    async def _send_pending(self, store: PgStore) -> None:
        """Have the database know what was written to the store, so that its own reads see it."""
        if self._changes.of(store).rows:
            await self._send_all()

    async def _send_all(self) -> None:
        wanted = Wanted(self._changes)
        self._changes.bases(wanted)
        await self._learn(wanted)
        commands = self._changes.commands()
        if commands:
            await self._run(commands)
        self._changes.sent()

    async def _run(self, commands: Sequence[Command], *, committing: bool = False) -> list[list[Row]]:
        """Run statements inside the transaction, which begins with the first of them."""
        where = self._core.pool.where
        while True:
            first = self._connection is None
            connection = self._connection or await self._begin()
            reused, suspect = connection.reused, connection.suspect
            begin = self._opening() if first else []
            try:
                if committing and suspect:
                    # Should it be dead, nobody shall have to wonder whether the commit was done.
                    await connection.run(begin)
                    begin, first = [], False
                return (await connection.run([*begin, *commands]))[len(begin) :]
            except psycopg.Error as error:
                if lost(error):
                    if first and reused and (not committing or suspect) and self._connection is connection:
                        # It died while it was idle: nothing has happened in this transaction.
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
                raise translate(error, where) from error

    def _opening(self) -> list[Command]:
        return opening([self._changes.kept(store) for store in self._stores.values()], relaxed=self._relaxed)

    async def _begin(self) -> Connection:
        await self._core.locks.granted(self._claim, self._core.limits.lock_wait_s)
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
        self._core.locks.release(self._claim)
        if self._schema_claim is not None:
            self._core.locks.release(self._schema_claim)

    def _check(self) -> None:
        if self.expired:
            raise TransactionAborted(self.reason)
        if self._finished:
            raise TransactionFinished

    def _using(self) -> InUse:
        self._check()
        return self.in_use()


class _StoreMoved(Exception):
    """The first statement has found a store deleted, or its writes have to keep up other indexes now."""
