"""The file: connections to it, each with a thread of its own, and whose turn it is to write."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from gestalt_sdk import GestaltError
from shelf_store.errors import Damaged, TryAgain, Unavailable
from shelf_store.records import TABLES, Records

WAIT_S = 15
Answer = TypeVar("Answer")


class Session:
    """One connection. What it is told to do is done in that order, also when nobody waits for it any more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1)
        self._records: Records | None = None

    async def run(self, work: Callable[[Records], Answer]) -> Answer:
        """Return what the function returns; errors of SQLite become those of callers."""
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, self._work, work))

    async def alone(self, work: Callable[[Records], Answer], *, writes: bool = False) -> Answer:
        """Do the work in a transaction of its own; a write is on the disk when this returns."""

        def transaction(records: Records) -> Answer:
            begin(records, writes=writes)
            answer = work(records)
            records.connection.execute("COMMIT")
            return answer

        return await self.run(transaction)

    async def close(self) -> None:
        """Roll back what is not committed."""
        try:
            if self._records is not None:
                await self.run(lambda records: records.connection.close())
        finally:
            self._thread.shutdown(wait=False)

    def _work(self, work: Callable[[Records], Answer]) -> Answer:
        try:
            if self._records is None:
                self._records = Records(_connect(self._path))
            return work(self._records)
        except BaseException as error:
            if self._records is not None and self._records.connection.in_transaction:
                self._records.connection.rollback()
            if isinstance(error, sqlite3.Error):
                raise _told(error) from error
            raise


def begin(records: Records, *, writes: bool) -> None:
    """Begin a transaction. One that only reads sees what was committed when it read first, so it reads now."""
    records.connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
    records.connection.execute("SELECT count(*) FROM stores").fetchone()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
    # With a log of its own, readers do not wait for writers. FULL: a commit returns when it is on the disk.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.executescript(TABLES)
    return connection


def _told(error: sqlite3.Error) -> GestaltError:
    if isinstance(error, sqlite3.OperationalError):
        return TryAgain(str(error)) if "locked" in str(error) else Unavailable(str(error))
    return Damaged(str(error))


class Database:
    """A file that is open. One session writes; each walk and each transaction that only reads has one of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reader = Session(path)
        self._writer = Session(path)
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Raise ``GestaltError`` when the file cannot be used."""
        await self._writer.run(lambda records: None)

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[Session]:
        """Give the session that writes, to one after the other.

        Raises:
            TryAgain: others kept it too long.
        """
        try:
            async with asyncio.timeout(WAIT_S):
                await self._turn.acquire()
        except TimeoutError:
            raise TryAgain(f"waited {WAIT_S} s for another transaction") from None
        try:
            yield self._writer
        finally:
            self._turn.release()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Session]:
        """Give a session that sees what is committed now, until the end."""
        session = Session(self.path)
        try:
            await session.run(lambda records: begin(records, writes=False))
            yield session
        finally:
            await session.close()

    async def close(self) -> None:
        for session in (self._writer, self.reader):
            await session.close()
