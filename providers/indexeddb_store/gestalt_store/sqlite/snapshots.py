"""Reading connections: one for single reads on the event loop, a pool for snapshots and for scans on reader threads."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from gestalt_store.engines.idle import Expirable, IdleWatch
from gestalt_store.engines.interface import Position, WalkRow
from gestalt_store.errors import StorageUnavailable, TransactionAborted
from gestalt_store.sqlite import reads
from gestalt_store.sqlite.failures import translated
from gestalt_store.sqlite.tables import SqliteWalk

IDLE_CONNECTIONS = 16
CONNECTION_LIMIT = 512
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

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[sqlite3.Connection] = []
        self._out = 0
        self._threads = ThreadPoolExecutor(2, thread_name_prefix=f"reader of {path.name}")
        self.main = connect(path, cache_kib=8192)
        """For single statements on the event loop; never left inside a transaction."""

    def take(self) -> sqlite3.Connection:
        """Take a connection that sees what is committed now, and only that, until it is given back.

        Raises:
            StorageUnavailable: too many are out.
        """
        if self._out >= CONNECTION_LIMIT:
            raise StorageUnavailable(f"{CONNECTION_LIMIT} cursors and read-only transactions are open; close some")
        with translated(self._path):
            connection = self._idle.pop() if self._idle else connect(self._path, cache_kib=1024)
            connection.execute("BEGIN")
            connection.execute(FIRST_READ).fetchone()
        self._out += 1
        return connection

    def give_back(self, connection: sqlite3.Connection) -> None:
        """End the connection's snapshot and keep the connection for the next one."""
        self._out -= 1
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            connection.close()
            return
        if len(self._idle) < IDLE_CONNECTIONS:
            self._idle.append(connection)
        else:
            connection.close()

    async def in_thread(self, read: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
        """Run a read of many rows in a reader thread; when it is canceled, return only when the thread is done."""
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

    async def scan(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read of many rows on what is committed now."""
        connection = self.take()
        try:
            with translated(self._path):
                return await self.in_thread(read, connection)
        finally:
            self.give_back(connection)

    def close(self) -> None:
        """Wait for scans that run and close the connections that are not out."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for connection in (self.main, *self._idle):
            connection.close()
        self._idle.clear()


class SqliteSnapshot(Expirable):
    """A connection inside a read transaction."""

    def __init__(self, readers: Readers, watch: IdleWatch, path: Path, idle_limit_s: float) -> None:
        super().__init__(idle_limit_s)
        self._readers = readers
        self._watch = watch
        self._path = path
        self._connection: sqlite3.Connection | None = readers.take()
        watch.add(self)

    async def page(self, walk: SqliteWalk, after: Position | None, limit: int, skip: int = 0) -> list[WalkRow]:
        return await self.read(lambda c: reads.page(c, walk, after, limit, skip), light=limit + skip <= LOOP_ROWS)

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
    def open(self) -> bool:
        """Return whether it can still be read."""
        return self._connection is not None

    def expire(self) -> None:
        self.close()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._watch.remove(self)
            self._readers.give_back(connection)
