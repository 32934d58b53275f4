"""Reading connections: one for single reads on the event loop, a pool for snapshots and for scans on reader threads."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from gestalt_store.engines.idle import Expirable, IdleWatch
from gestalt_store.engines.interface import Position, WalkRow
from gestalt_store.engines.scope_use import SERVED, SNAPSHOT_BYTES, ScopeUse, Turns
from gestalt_store.errors import TransactionAborted
from gestalt_store.sqlite import reads
from gestalt_store.sqlite.descriptors import Descriptors
from gestalt_store.sqlite.failures import translated
from gestalt_store.sqlite.tables import SqliteWalk

IDLE_CONNECTIONS = 16
SCANS_AT_ONCE = 2
LOOP_ROWS = 256
"""Most rows that are read on the event loop at once; more go to a reader thread."""
FIRST_READ = "SELECT count(*) FROM facts"
"""Small read with which a snapshot begins: BEGIN alone does not fix the state that it sees."""
T = TypeVar("T")


def connect(path: Path, *, cache_kib: int) -> sqlite3.Connection:
    """Open a connection for reading, usable from any thread, by one at a time."""
    connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False, cached_statements=512)
    connection.execute("PRAGMA query_only = 1")
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    return connection


class Readers:
    """The reading connections of one database, and the threads for scans. For the event loop."""

    def __init__(self, path: Path, descriptors: Descriptors) -> None:
        self._path = path
        self._descriptors = descriptors
        self._idle: list[sqlite3.Connection] = []
        self._scanning = 0
        self._turns = Turns()
        self._threads = ThreadPoolExecutor(SCANS_AT_ONCE, thread_name_prefix=f"reader of {path.name}")
        self.main = connect(path, cache_kib=8192)
        """For single statements on the event loop; never left inside a transaction."""

    def take(self, scope: ScopeUse) -> sqlite3.Connection:
        """Take a connection that sees what is committed now, and only that, until it is given back.

        Raises:
            LimitReached, StorageUnavailable: too many are out.
        """
        self._descriptors.take(scope)
        try:
            return self._begin()
        except BaseException:
            self._descriptors.give_back(scope)
            raise

    def give_back(self, connection: sqlite3.Connection, scope: ScopeUse) -> None:
        """End the connection's snapshot and keep the connection for the next one."""
        self._descriptors.give_back(scope)
        self._end(connection)

    async def in_thread(self, read: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
        """Run a read of many rows in a reader thread; when it is canceled, return only when the thread is done."""
        async with self._turn():
            return await self._run(read, connection)

    async def scan(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read of many rows on what is committed now."""
        async with self._turn():
            connection = self._begin()
            try:
                with translated(self._path):
                    return await self._run(read, connection)
            finally:
                self._end(connection)

    def close(self) -> None:
        """Wait for scans that run and close the connections that are not out."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for connection in (self.main, *self._idle):
            connection.close()
        self._descriptors.no_longer_idle(len(self._idle))
        self._idle.clear()

    def _begin(self) -> sqlite3.Connection:
        with translated(self._path):
            if self._idle:
                connection = self._idle.pop()
                self._descriptors.no_longer_idle()
            else:
                connection = connect(self._path, cache_kib=256)
            try:
                connection.execute("BEGIN")
                connection.execute(FIRST_READ).fetchone()
            except BaseException:
                connection.close()
                raise
        return connection

    def _end(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            connection.close()
            return
        if len(self._idle) < IDLE_CONNECTIONS and self._descriptors.keep_idle():
            self._idle.append(connection)
        else:
            connection.close()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for a thread; scopes take turns."""
        scope = SERVED.get()
        if self._scanning < SCANS_AT_ONCE:
            self._scanning += 1
        else:
            turn = self._turns.wait(scope)
            try:
                await turn
            except BaseException:
                self._turns.leave(scope, turn)
                if turn.done() and not turn.cancelled():
                    self._next_turn()
                raise
        try:
            yield
        finally:
            self._next_turn()

    def _next_turn(self) -> None:
        waiting = self._turns.next(lambda _: True)
        if waiting is None:
            self._scanning -= 1
        else:
            waiting[1].set_result(None)

    async def _run(self, read: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
        # Shielded: a canceled call must not give back a connection that its thread is still using.
        task = asyncio.get_running_loop().run_in_executor(self._threads, read, connection)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            connection.interrupt()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()
            raise


class SqliteSnapshot(Expirable):
    """A connection inside a read transaction."""

    def __init__(self, readers: Readers, watch: IdleWatch, path: Path, idle_limit_s: float) -> None:
        super().__init__(idle_limit_s)
        self._readers = readers
        self._watch = watch
        self._path = path
        self._scope = SERVED.get()
        self._connection: sqlite3.Connection | None = readers.take(self._scope)
        watch.add(self)

    async def page(
        self,
        walk: SqliteWalk,
        after: Position | None,
        limit: int,
        skip: int = 0,
        *,
        limit_bytes: int | None = None,
    ) -> list[WalkRow]:
        return await self.read(
            lambda c: reads.page(c, walk, after, limit, skip, limit_bytes=limit_bytes), light=limit + skip <= LOOP_ROWS
        )

    async def read(self, read: Callable[[sqlite3.Connection], T], *, light: bool) -> T:
        """Run a read on the snapshot: on the event loop when it is light, else on a reader thread.

        Raises:
            TransactionAborted: the snapshot was given up.
        """
        connection = self._connection
        if connection is None:
            raise self._gone()
        self.last_used = time.monotonic()
        with translated(self._path):
            if light:
                return read(connection)
            with self.in_use():
                return await self._readers.in_thread(read, connection)

    def _gone(self) -> TransactionAborted:
        return TransactionAborted(self.reason if self.expired else "the snapshot is closed")

    @property
    def held_bytes(self) -> int:
        return SNAPSHOT_BYTES

    @property
    def open(self) -> bool:
        """Return whether it can still be read."""
        return self._connection is not None

    def expire(self) -> None:
        self.close()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._watch.remove(self)
            self._readers.give_back(connection, self._scope)
