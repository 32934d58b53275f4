"""Snapshots: a connection inside a read-only transaction of its own, given up when it is left idle for too long."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from gestalt_store.engines.idle import Expirable, IdleWatch
from gestalt_store.engines.interface import Position, WalkRow
from gestalt_store.engines.scope_use import SNAPSHOT_BYTES
from gestalt_store.errors import TransactionAborted
from gestalt_store.postgres import reads
from gestalt_store.postgres.failures import lost, translate
from gestalt_store.postgres.pool import COMMIT, PgConnection, Pool, Row, Statement
from gestalt_store.postgres.tables import PgWalk

BEGIN = Statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", prepare=False)


class PgSnapshot(Expirable):
    """A snapshot of what is committed when its first read runs; it begins with that read, in the same round trip."""

    def __init__(self, pool: Pool, watch: IdleWatch, idle_limit_s: float) -> None:
        super().__init__(idle_limit_s)
        self._pool = pool
        self._watch = watch
        self._connection: PgConnection | None = None
        self._begun = False
        self._closed = False
        watch.add(self)

    async def page(
        self, walk: PgWalk, after: Position | None, limit: int, skip: int = 0, *, limit_bytes: int | None = None
    ) -> list[WalkRow]:
        return await reads.page(self.runner(walk.store.name), walk, after, limit, skip, limit_bytes)

    def runner(self, store: str) -> reads.Run:
        """Return what runs statements on the snapshot; ``store`` is the object store that errors name."""

        async def run(statements: Sequence[Statement]) -> list[list[Row]]:
            return await self.run(statements, store)

        return run

    async def run(self, statements: Sequence[Statement], store: str | None = None) -> list[list[Row]]:
        """Run statements that read.

        Raises:
            TransactionAborted: the snapshot was given up; otherwise see ``translate``.
        """
        with self.in_use():
            if self._begun:
                return await self._send(statements, store)
            return (await self._begin([BEGIN, *statements], store))[1:]

    @property
    def held_bytes(self) -> int:
        return SNAPSHOT_BYTES + (0 if self._connection is None else self._connection.buffered)

    @property
    def open(self) -> bool:
        """Return whether it can still be read."""
        return not self._closed

    def expire(self) -> None:
        self.close()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._watch.remove(self)
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give_back(connection)

    def check(self) -> None:
        """Raise when there is no snapshot any more."""
        if self._closed:
            raise TransactionAborted(self.reason if self.expired else "the snapshot is closed")

    async def _begin(self, statements: Sequence[Statement], store: str | None) -> list[list[Row]]:
        while True:
            self.check()
            connection = await self._pool.take(held=True)
            reused = connection.reused
            if self._closed:
                self._pool.give_back(connection)
                self.check()
            self._connection = connection
            connection.ending = COMMIT
            try:
                result = await connection.run(statements)
            except psycopg.Error as error:
                # The snapshot has shown nothing yet, so a connection that died while it was idle is replaced.
                if reused and lost(error) and self._connection is connection:
                    self._connection = None
                    self._pool.give_back(connection)
                    self._pool.forget_idle()
                    continue
                raise translate(error, self._pool.where, store) from error
            self._begun = True
            return result

    async def _send(self, statements: Sequence[Statement], store: str | None) -> list[list[Row]]:
        self.check()
        assert self._connection is not None
        try:
            return await self._connection.run(statements)
        except psycopg.Error as error:
            if lost(error):
                raise TransactionAborted("the connection to the database was lost; begin again") from error
            raise translate(error, self._pool.where, store) from error
