"""Changes of a store's indexes while any number of processes serve it: how they begin, who builds, who takes over.

A migration begins as a row in the core. Every process that learns of it tries to be the one who builds, and tries
again as long as another is: so one builds at a time (``building``), and when it dies the next one goes on. Writers
learn from the name of the lock's table what to keep up (``tables``), readers from the store's number that the new
schema is in force (``layout``).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from functools import partial

import psycopg
import structlog

from gestalt_store.engines.index_changes import (
    DONE,
    LONGEST_RETRY_S,
    RETRY_S,
    RUNNING,
    SHARE,
    SWITCH_WAIT_S,
    unreadable_problem,
)
from gestalt_store.engines.interface import Migration, Walk
from gestalt_store.engines.locks import SCHEMA
from gestalt_store.errors import MigrationRunning, ObjectStoreNotFound, StoreError, TransactionAborted
from gestalt_store.postgres import reads
from gestalt_store.postgres.catalogue import Found, alone, found_stores
from gestalt_store.postgres.core import PgCore
from gestalt_store.postgres.failures import translate
from gestalt_store.postgres.index_changes import Build, Unreadable
from gestalt_store.postgres.pool import COMMIT, Command, Connection
from gestalt_store.postgres.tables import PgStore
from gestalt_store.values.ranges import EVERYTHING
from gestalt_store.values.schema import IndexSchema, StoreSchema, changed_indexes

TAKEOVER_S = 1.0
"""How often a process looks whether the one that builds is still there."""
WATCH_S = 15.0
"""How often a process looks for migrations that another one has begun."""
_BEGIN = Command("BEGIN", prepare=False)
_NONE = Migration("", 0, 0, "", ())
_DONE = Migration(DONE, 0, 0, "", ())

log = structlog.get_logger()


class Migrations:
    """The migrations of one database, as this process takes part in them."""

    def __init__(self, core: PgCore) -> None:
        self._core = core
        self._catalogue = core.catalogue
        self._schema = core.schema_name
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._building = asyncio.Lock()
        """Held by the migration that this process builds; others wait, or another process builds them."""
        self._watcher: asyncio.Task[None] | None = None

    def begin_watching(self) -> None:
        """Take part in what runs already, and in what begins later."""
        self._catalogue.on_look = self._looked
        self._looked()
        self._watcher = asyncio.create_task(self._watch(), name="watch for migrations")

    async def close(self) -> None:
        self._catalogue.on_look = lambda: None
        tasks = [*self._tasks.values(), *([self._watcher] if self._watcher is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def report(self, name: str) -> Migration:
        """How the last change of the store's indexes goes or went, whichever process builds."""
        await self._catalogue.refresh()
        return self._catalogue.reports.get(self._core.store(name).data, _NONE)

    async def change(self, name: str, add: Iterable[IndexSchema], remove: Iterable[str]) -> Migration:
        """Begin to change the store's indexes, or find that it is done or under way.

        Raises:
            ObjectStoreNotFound, Invalid, MigrationRunning
        """
        core = self._core
        added, removed = tuple(add), frozenset(remove)
        claim = core.locks.claim((SCHEMA,), exclusive=False, owner=f"a change of the indexes of {name!r}")
        await core.locks.granted(claim, core.limits.lock_wait_s)
        try:
            await self._catalogue.refresh()
            store = core.store(name)
            target = changed_indexes(store.schema, added, removed)
            running = self._catalogue.reports.get(store.data, _NONE).state == RUNNING
            if not running and store.schema.matches(target):
                return _DONE
            total = 0 if running else await reads.count(core.runner(store), Walk(store, EVERYTHING, keys_only=True))
            report = await self._begin(name, added, removed, total)
        finally:
            core.locks.release(claim)
        await self._catalogue.refresh()
        return report

    async def _begin(self, name: str, add: tuple[IndexSchema, ...], remove: frozenset[str], total: int) -> Migration:
        """Decide it among all processes."""
        pool = self._core.pool
        connection = await pool.take()
        try:
            query = Command(f"{found_stores(self._schema)} WHERE s.name = $1", [name.encode()], prepare=False)
            await connection.run([_BEGIN, alone(self._schema)])
            rows = (await connection.run([query]))[0]
            if not rows:
                raise ObjectStoreNotFound(name)
            found = Found.of(self._schema, rows[0])
            target = changed_indexes(found.store.schema, add, remove)
            migration = found.migration
            if migration is not None and migration.report.state == RUNNING:
                if migration.target.matches(target):
                    return migration.report
                raise MigrationRunning(name)
            if found.store.schema.matches(target):
                return _DONE
            await connection.run([self._row(found.store.data, target, total), COMMIT])
            return Migration(RUNNING, 0, total, "", ())
        except psycopg.Error as error:
            raise translate(error, pool.where, name) from error
        finally:
            pool.give_back(connection)

    def _row(self, data: int, target: StoreSchema, total: int) -> Command:
        values = [data, target.to_bytes(), RUNNING, total, b""]
        return Command(
            f"INSERT INTO {self._schema}.migrations "
            "(store, schema, state, slots, position, last, scanned, total, problem, conflicts) "
            "VALUES ($1, $2, $3, NULL, $5, $5, 0, $4, $5, $5) ON CONFLICT (store) DO UPDATE SET "
            "(schema, state, slots, position, last, scanned, total, problem, conflicts) = (excluded.schema, "
            "excluded.state, NULL, excluded.position, excluded.last, 0, excluded.total, excluded.problem, "
            "excluded.conflicts)",
            values,
            prepare=False,
        )

    def _looked(self) -> None:
        for store in self._catalogue.stores.values():
            if self._runs(store.data) and store.data not in self._tasks:
                task = asyncio.create_task(self._take_part(store.data, store.name), name=f"migration of {store.name!r}")
                self._tasks[store.data] = task
                task.add_done_callback(partial(self._over, store.data))

    def _over(self, data: int, _: object) -> None:
        del self._tasks[data]

    def _runs(self, data: int) -> bool:
        report = self._catalogue.reports.get(data)
        return report is not None and report.state == RUNNING

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            with contextlib.suppress(StoreError):
                await self._catalogue.refresh()

    async def _take_part(self, data: int, name: str) -> None:
        """Build, or stand by while another process does, until it has ended."""
        pause = RETRY_S
        while self._runs(data):
            try:
                async with self._building:
                    built = await self._build(data, name)
                await self._catalogue.refresh()
                pause = RETRY_S
                if not built:
                    await asyncio.sleep(TAKEOVER_S)
            except StoreError as error:
                log.warning("migration waits", event_name="store.migration_waits", store=name, error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_RETRY_S)
            except Exception:
                log.exception("migration stopped", event_name="store.migration_stopped", store=name)
                await asyncio.sleep(LONGEST_RETRY_S)

    async def _build(self, data: int, name: str) -> bool:
        """Build to the end; False when another process is at it."""
        pool = self._core.pool
        connection = await pool.take(held=True)
        build = Build(connection, self._schema, data)
        claimed = False
        try:
            claimed = await build.claim()
            if claimed:
                await self._run(build, connection, name)
            return claimed
        except psycopg.Error as error:
            raise translate(error, pool.where) from error
        finally:
            # The session's lock ends with it.
            connection.unusable = connection.unusable or claimed
            pool.give_back(connection)
            if claimed:
                self._catalogue.sweep()

    async def _run(self, build: Build, connection: Connection, name: str) -> None:
        """Step by step to the end."""
        pause = RETRY_S
        while (found := await build.look()) is not None:
            try:
                union = found.union()
                if union is None:
                    await build.prepare()
                    await self._catalogue.refresh()
                else:
                    await self._fill(build, found, union)
                    while not await self._finish(build, name):
                        pass
            except Unreadable as error:
                log.error("migration failed", event_name="store.migration_failed", store=name, exc_info=error.__cause__)
                await build.abandon(unreadable_problem(error.__cause__))
            except (psycopg.Error, TransactionAborted) as error:
                # A long transaction is in the way, or the store has been deleted.
                if not connection.alive or not connection.clean:
                    raise
                if isinstance(error, psycopg.Error):
                    translated = translate(error, self._core.pool.where, name)
                    if not isinstance(translated, (TransactionAborted, ObjectStoreNotFound)):
                        raise translated from error
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_RETRY_S)

    async def _fill(self, build: Build, found: Found, union: PgStore) -> None:
        """Index what was there before, in batches that leave the store's lock to others in between."""
        assert found.migration is not None
        position, last = found.migration.position, found.migration.last
        while position < last:
            start = time.monotonic()
            position = await build.batch(found, union, position)
            await asyncio.sleep((time.monotonic() - start) * SHARE)

    async def _finish(self, build: Build, name: str) -> bool:
        """The last step, while no transaction of this process is open; those of others it waits for at the server."""
        locks = self._core.locks
        claim = locks.claim((SCHEMA,), exclusive=True, owner=f"the migration of object store {name!r}")
        await locks.granted(claim, SWITCH_WAIT_S)
        try:
            over = await build.finish()
            await self._catalogue.refresh()
            return over
        finally:
            locks.release(claim)
