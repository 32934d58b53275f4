"""Connections to one PostgreSQL server: how they are set up, shared, cleaned and given up.

Statements go to the server as they are, with ``$1`` for parameters, several of them in one round trip.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

import psycopg
import structlog
from psycopg import AsyncConnection, AsyncCursor, AsyncRawCursor
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.types.array import ListBinaryDumper

from gestalt_store.errors import DatabaseUnusable, StorageUnavailable
from gestalt_store.postgres.failures import lost, translate, translate_opening, unprepared

Row: TypeAlias = tuple[Any, ...]
"""A row of any statement; who sends the statement knows the types."""

OLDEST_SERVER = 130000
RESERVED = 4
"""Connections that cursors and transactions, which keep theirs for long, leave to single calls."""
KEEP_IDLE_S = 60.0
CLEANING_LIMIT_S = 10.0
SUSPECT_S = 1.0
_PREPARED = 2000

_SESSION = """
SET search_path = pg_catalog;
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED;
SET default_transaction_deferrable = off;
SET bytea_output = 'hex';
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_sort = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SET enable_memoize = off;
SET jit = off;
SET statement_timeout = 0;
SET tcp_keepalives_idle = 20;
SET tcp_keepalives_interval = 10;
SET tcp_keepalives_count = 3;
SET lock_timeout = {lock_ms};
SET idle_in_transaction_session_timeout = {idle_ms};
"""
# Every statement here walks along a b-tree, so the planner is kept from choosing anything else. It would otherwise scan
# whole tables where its estimates are wrong: for new tables without statistics, and for parameters it does not know.
# The keepalives are the server's own, so that it releases the locks of a host that has vanished within a minute.

log = structlog.get_logger()


class Statement(NamedTuple):
    """One statement. One that is executed often is prepared once for each connection."""

    sql: str
    parameters: Sequence[object] = ()
    prepare: bool = True


ROLLBACK = Statement("ROLLBACK", prepare=False)
COMMIT = Statement("COMMIT", prepare=False)
"""Also ends a transaction that only read: after a rollback the library would prepare every statement anew."""


class PgConnection:
    """One connection; used by one task at a time."""

    __slots__ = ("ending", "held", "idle_since", "raw", "reused", "suspect", "unusable")

    def __init__(self, raw: AsyncConnection[Row]) -> None:
        self.raw = raw
        self.reused = False
        """Whether it has been idle since it last answered."""
        self.suspect = False
        """Whether it had been idle for longer than ``SUSPECT_S``, so that it may be dead."""
        self.unusable = False
        """Whether the library and the server disagree about what is prepared."""
        self.held = False
        self.ending = ROLLBACK
        """What ends a transaction that is open when the connection is given back."""
        self.idle_since = 0.0

    async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Send the statements in one round trip; return the rows of each, or ``[(number of rows changed,)]``.

        Raises:
            psycopg.Error: of the first statement that failed; those behind it are not executed.
        """
        cursors = [self.raw.cursor(binary=True) for _ in statements]
        try:
            if len(statements) == 1:
                await _execute(cursors[0], statements[0])
            else:
                async with self.raw.pipeline():
                    for cursor, statement in zip(cursors, statements, strict=True):
                        await _execute(cursor, statement)
        except psycopg.Error as error:
            self.unusable = self.unusable or unprepared(error)
            raise
        self.reused = self.suspect = False
        return [[(cursor.rowcount,)] if cursor.description is None else await cursor.fetchall() for cursor in cursors]

    @property
    def alive(self) -> bool:
        """Return whether it can be used, as far as this side knows."""
        return not self.unusable and not self.raw.closed and not self.raw.broken

    @property
    def quiet(self) -> bool:
        """Return whether the server has sent nothing unasked, as it does when it ends a connection."""
        look = select.poll()
        look.register(self.raw.pgconn.socket, select.POLLIN)
        return not look.poll(0)

    @property
    def clean(self) -> bool:
        """Return whether the next caller can have it as it is."""
        connection = self.raw.pgconn
        return (
            connection.transaction_status == TransactionStatus.IDLE and connection.pipeline_status == PipelineStatus.OFF
        )

    @property
    def cleanable(self) -> bool:
        """Return whether a rollback makes it clean."""
        connection = self.raw.pgconn
        return (
            connection.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)
            and connection.pipeline_status == PipelineStatus.OFF
        )


async def _execute(cursor: AsyncCursor[Row], statement: Statement) -> None:
    await cursor.execute(statement.sql, statement.parameters, prepare=statement.prepare)


class Pool:
    """At most ``limit`` connections, opened when they are needed and closed when they have been idle for a while.

    A caller that asks while all are in use waits its turn, for a limited time.
    """

    def __init__(self, conninfo: str, *, limit: int, wait_s: float, lock_wait_s: float, idle_limit_s: float) -> None:
        """``conninfo`` may hold a password: it is kept here and shown nowhere."""
        given = conninfo_to_dict(conninfo)
        usual: dict[str, str | int] = {
            "connect_timeout": 10,
            "tcp_user_timeout": 30_000,
            "application_name": "gestalt indexeddb",
        }
        self._conninfo = make_conninfo(conninfo, **{key: value for key, value in usual.items() if key not in given})
        self._session = _SESSION.format(lock_ms=int(lock_wait_s * 1000), idle_ms=int(idle_limit_s * 1000) + 30_000)
        self._limit = limit
        self._held_limit = max(1, limit - RESERVED)
        self._wait_s = wait_s
        self._idle: list[PgConnection] = []
        self._out = 0
        self._held = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._waiting_to_hold: deque[asyncio.Future[None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self.where = describe(conninfo)

    async def take(self, *, held: bool = False) -> PgConnection:
        """Take a connection, outside any transaction; give it back in any case.

        Args:
            held: It is kept while a client thinks; ``RESERVED`` connections are never taken for that.
        Raises:
            StorageUnavailable: the server cannot be reached, or all connections stay in use.
            DatabaseUnusable: the server refuses the connection.
        """
        if self._closed:
            raise StorageUnavailable("the store is closing")
        await self._place(held)
        try:
            connection = self._sound() or await self._connect()
        except BaseException:
            self._leave(held)
            raise
        connection.held = held
        connection.ending = ROLLBACK
        connection.suspect = connection.reused and time.monotonic() - connection.idle_since > SUSPECT_S
        return connection

    def _sound(self) -> PgConnection | None:
        """Return an idle connection that the server has not ended, None when there is none."""
        while self._idle:
            connection = self._idle.pop()
            if connection.quiet:
                return connection
            self._in_background(_close(connection))
        return None

    def give_back(self, connection: PgConnection) -> None:
        """Take a connection back in whatever state; an open transaction is ended as its ``ending`` says."""
        if not self._closed and connection.alive and connection.clean:
            self._keep(connection)
        else:
            self._in_background(self._clean(connection))

    async def run(self, statements: Sequence[Statement], *, store: str | None = None) -> list[list[Row]]:
        """Run statements that read on any connection, again if it is an idle one that turns out to be dead.

        Raises:
            StoreError: see ``translate``.
        """
        while True:
            connection = await self.take()
            reused = connection.reused
            try:
                return await connection.run(statements)
            except psycopg.Error as error:
                if reused and lost(error):
                    self.forget_idle()
                    continue
                if unprepared(error):
                    continue
                raise translate(error, self.where, store) from error
            finally:
                self.give_back(connection)

    def forget_idle(self) -> None:
        """Close the idle connections: one was found dead, so the others are likely to be."""
        idle, self._idle = self._idle, []
        for connection in idle:
            self._in_background(_close(connection))

    async def close(self) -> None:
        """Close every connection; those still out are closed when they come back."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self.forget_idle()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _place(self, held: bool) -> None:
        queue = self._waiting_to_hold if held else self._waiting
        if not queue and self._free(held):
            self._enter(held)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            async with asyncio.timeout(self._wait_s):
                await turn
        except TimeoutError:
            self._give_up(turn, queue, held)
            raise StorageUnavailable(
                f"all {self._held_limit if held else self._limit} connections to {self.where} stay in use; "
                "close cursors and transactions, or raise limits.connections"
            ) from None
        except BaseException:
            self._give_up(turn, queue, held)
            raise

    def _give_up(self, turn: asyncio.Future[None], queue: deque[asyncio.Future[None]], held: bool) -> None:
        if turn.done() and not turn.cancelled():
            self._leave(held)
        else:
            with suppress(ValueError):
                queue.remove(turn)

    def _free(self, held: bool) -> bool:
        return self._out < self._limit and (not held or self._held < self._held_limit)

    def _enter(self, held: bool) -> None:
        self._out += 1
        self._held += held

    def _leave(self, held: bool) -> None:
        self._out -= 1
        self._held -= held
        for queue, holding in ((self._waiting, False), (self._waiting_to_hold, True)):
            while queue and self._free(holding):
                turn = queue.popleft()
                if not turn.done():
                    self._enter(holding)
                    turn.set_result(None)

    def _keep(self, connection: PgConnection) -> None:
        connection.reused = True
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(KEEP_IDLE_S / 2, self._trim)
        self._leave(connection.held)

    def _trim(self) -> None:
        self._timer = None
        before = time.monotonic() - KEEP_IDLE_S
        old = [connection for connection in self._idle if connection.idle_since < before]
        self._idle = [connection for connection in self._idle if connection.idle_since >= before]
        for connection in old:
            self._in_background(_close(connection))
        if self._idle:
            self._timer = asyncio.get_running_loop().call_later(KEEP_IDLE_S / 2, self._trim)

    async def _clean(self, connection: PgConnection) -> None:
        """End what is open, or close the connection; only then is its place free."""
        try:
            if not self._closed and connection.alive and connection.cleanable:
                async with asyncio.timeout(CLEANING_LIMIT_S):
                    await connection.run([connection.ending])
        except (psycopg.Error, TimeoutError):
            pass
        except Exception:  # whatever it was: the place must become free, or there are ever fewer
            connection.unusable = True
        if not self._closed and connection.alive and connection.clean:
            self._keep(connection)
            return
        await _close(connection)
        self._leave(connection.held)

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name="clean a connection")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> PgConnection:
        try:
            raw: AsyncConnection[Row] = await AsyncConnection.connect(
                self._conninfo, autocommit=True, cursor_factory=AsyncRawCursor
            )
            try:
                if raw.info.server_version < OLDEST_SERVER:
                    raise DatabaseUnusable(
                        f"{self.where} is version {raw.info.server_version // 10000}; "
                        f"{OLDEST_SERVER // 10000} or newer is needed"
                    )
                raw.prepared_max = _PREPARED
                # Otherwise the library sends arrays as text, and escapes every key and record.
                raw.adapters.register_dumper(list, ListBinaryDumper)
                await raw.cursor().execute(self._session)
            except BaseException:
                await raw.close()
                raise
        except psycopg.Error as error:
            raise translate_opening(error, self.where) from None
        return PgConnection(raw)


async def _close(connection: PgConnection) -> None:
    with suppress(Exception):
        await connection.raw.close()


def describe(conninfo: str) -> str:
    """Name the database of a DSN in texts: never the user, the password or other options."""
    given = conninfo_to_dict(conninfo)
    host = str(given.get("host") or given.get("hostaddr") or "localhost")
    port = f":{given['port']}" if given.get("port") and not host.startswith("/") else ""
    name = given.get("dbname")
    return f"PostgreSQL database {str(name)!r} on {host}{port}" if name else f"PostgreSQL on {host}{port}"
