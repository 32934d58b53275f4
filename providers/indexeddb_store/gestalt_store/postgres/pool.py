"""Connections to one PostgreSQL server: how they are set up, shared, cleaned and given up.

Statements go to the server as they are, with ``$1`` for parameters, several of them in one round trip.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

import psycopg
import structlog
from psycopg import AsyncConnection, AsyncCursor, AsyncRawCursor
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.types.array import ListBinaryDumper

from gestalt_store.engines.scope_use import SERVED, ScopeUse, Shares, Turns
from gestalt_store.errors import DatabaseUnusable, LimitReached, StorageUnavailable, StoreError
from gestalt_store.postgres.failures import lost, translate, translate_opening, unprepared

Row: TypeAlias = tuple[Any, ...]
"""A row of any statement; who sends the statement knows the types."""

OLDEST_SERVER = 130000
RESERVED = 4
"""Connections that cursors and transactions, which keep theirs for long, leave to single calls."""
KEEP_IDLE_S = 60.0
CLEANING_LIMIT_S = 10.0
SUSPECT_S = 1.0
LARGE_ROW_BYTES = 4 * 1024 * 1024
"""A connection that has received a larger row is closed after use, and its buffer with it."""
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

    __slots__ = ("buffered", "ending", "holder", "idle_since", "raw", "reused", "suspect", "unusable")

    def __init__(self, raw: AsyncConnection[Row]) -> None:
        self.raw = raw
        self.reused = False
        """Whether it has been idle since it last answered."""
        self.suspect = False
        """Whether it had been idle for longer than ``SUSPECT_S``, so that it may be dead."""
        self.unusable = False
        """Whether the library and the server disagree about what is prepared."""
        self.buffered = 0
        """Bytes of the largest row that it has received: the library keeps a buffer of that size."""
        self.holder: ScopeUse | None = None
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
        results: list[list[Row]] = []
        for cursor in cursors:
            if cursor.description is None:
                results.append([(cursor.rowcount,)])
                continue
            rows = await cursor.fetchall()
            # A page ends with its largest row, if one is large.
            largest = max((len(value) for value in rows[-1] if isinstance(value, bytes)), default=0) if rows else 0
            if largest > self.buffered:
                self.buffered = largest
            results.append(rows)
        return results

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
            self.buffered <= LARGE_ROW_BYTES
            and connection.transaction_status == TransactionStatus.IDLE
            and connection.pipeline_status == PipelineStatus.OFF
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
        self._shares = Shares(max(1, limit - RESERVED))
        """Of the connections that are kept while clients think."""
        self._wait_s = wait_s
        self._idle: list[PgConnection] = []
        self._out = 0
        self._waiting = Turns()
        self._waiting_to_hold = Turns()
        self._hold_next = False
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
            LimitReached: the scope keeps as many as are left for others.
            DatabaseUnusable: the server refuses the connection.
        """
        if self._closed:
            raise StorageUnavailable("the store is closing")
        holder = SERVED.get() if held else None
        await self._place(holder)
        try:
            connection = self._sound() or await self._connect()
        except BaseException:
            self._leave(holder)
            raise
        connection.holder = holder
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

    async def _place(self, holder: ScopeUse | None) -> None:
        """Wait for a connection; ``holder`` is the scope that keeps it while a client thinks, if one does."""
        if self._free(holder):
            self._enter(holder)
            return
        scope = SERVED.get()
        waiting = self._waiting if holder is None else self._waiting_to_hold
        turn = waiting.wait(scope)
        try:
            async with asyncio.timeout(self._wait_s):
                await turn
        except BaseException as error:
            waiting.leave(scope, turn)
            if turn.done() and not turn.cancelled():
                self._leave(holder)
            if isinstance(error, TimeoutError):
                raise self._none_free(holder) from None
            raise

    def _none_free(self, holder: ScopeUse | None) -> StoreError:
        shares = self._shares
        if holder is not None and shares.out < shares.number:
            return LimitReached(
                f"limits.connections is {self._limit}: of the {shares.number} connections to {self.where} that cursors "
                f"and transactions may keep in all, this scope keeps {shares.held(holder)}, and no scope may keep more "
                "than are left for others; close some, or raise it"
            )
        return StorageUnavailable(
            f"all {self._limit if holder is None else shares.number} connections to {self.where} stay in use; "
            "close cursors and transactions, or raise limits.connections"
        )

    def _free(self, holder: ScopeUse | None) -> bool:
        return self._out < self._limit and (holder is None or self._shares.may_take(holder))

    def _enter(self, holder: ScopeUse | None) -> None:
        self._out += 1
        if holder is not None:
            self._shares.take(holder)

    def _leave(self, holder: ScopeUse | None) -> None:
        self._out -= 1
        if holder is not None:
            self._shares.give_back(holder)
        while self._out < self._limit and (self._serve_next() or self._serve_next()):
            pass

    def _serve_next(self) -> bool:
        """Let the next one in, by turns one that keeps its connection and one that does not; return whether any is."""
        self._hold_next = not self._hold_next
        queue, may = (
            (self._waiting_to_hold, self._shares.may_take) if self._hold_next else (self._waiting, lambda _: True)
        )
        waiting = queue.next(may)
        if waiting is None:
            return False
        scope, turn = waiting
        self._enter(scope if self._hold_next else None)
        turn.set_result(None)
        return True

    def _keep(self, connection: PgConnection) -> None:
        connection.reused = True
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(KEEP_IDLE_S / 2, self._trim)
        self._leave(connection.holder)

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
        self._leave(connection.holder)

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
