"""Changes of a store's indexes while any number of processes serve it: how they begin, and which process builds.

A migration begins as a row in the database. Every process that learns of it tries to build it, and stands by as long as
another one does. So one process builds at a time (``index_changes``), and when it dies another one goes on. Writers
learn from the name of the lock table that other indexes have to be maintained (``tables``), readers from the store's
number that the new schema is in force (``formats``).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from functools import partial

import psycopg
import structlog

from gestalt_sdk.common.beats import Beat
from gestalt_sdk.common.loops import keep_running
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
from gestalt_store.postgres.catalogue import StoreRow
from gestalt_store.postgres.core import PgCore
from gestalt_store.postgres.failures import translate
from gestalt_store.postgres.index_changes import PgIndexBuild, Unreadable
from gestalt_store.postgres.pool import COMMIT, PgConnection
from gestalt_store.postgres.schema import BEGIN
from gestalt_store.postgres.tables import PgStore
from gestalt_store.values.ranges import EVERYTHING
from gestalt_store.values.schema import IndexSchema, changed_indexes

TAKEOVER_S = 1.0
"""Time after which a process that stands by tries again to build."""
WATCH_S = 15.0
"""Time after which a process looks for migrations that another one has begun."""
_NONE = Migration("", 0, 0, "", ())
_DONE = Migration(DONE, 0, 0, "", ())

log = structlog.get_logger()


class PgMigrations:
    """The migrations of one database, as this process takes part in them."""

    def __init__(self, core: PgCore) -> None:
        self._core = core
        self._catalogue = core.catalogue
        self._schema = core.schema
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._building = asyncio.Lock()
        """Held by the migration that this process builds; it builds one at a time."""
        self._watcher: asyncio.Task[None] | None = None

    def begin_watching(self) -> None:
        """Take part in the migrations that run, and in those that begin later."""
        self._catalogue.on_look = self._looked
        self._looked()
        name = "watch for migrations"
        self._watcher = asyncio.create_task(keep_running(name, self._watch, self._core.beats), name=name)

    async def close(self) -> None:
        """Stop building; another process, or the next start, goes on."""
        self._catalogue.on_look = lambda: None
        tasks = [*self._tasks.values(), *([self._watcher] if self._watcher is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def report(self, name: str) -> Migration:
        """Report how the last change of the store's indexes goes or went, whichever process builds."""
        await self._catalogue.refresh()
        return self._catalogue.reports.get(self._core.store(name).data, _NONE)

    async def change(self, name: str, add: Iterable[IndexSchema], remove: Iterable[str]) -> Migration:
        """Begin to change the store's indexes, or find that it is done or under way.

        Raises:
            ObjectStoreNotFound, Invalid, MigrationRunning
        """
        core = self._core
        added, removed = tuple(add), frozenset(remove)
        holder = f"a change of the indexes of {name!r}"
        async with core.locks.held((SCHEMA,), exclusive=False, holder=holder, within_s=core.limits.lock_wait_s):
            await self._catalogue.refresh()
            store = core.store(name)
            target = changed_indexes(store.schema, added, removed)
            running = self._catalogue.reports.get(store.data, _NONE).state == RUNNING
            if not running and store.schema.matches(target):
                return _DONE
            total = 0 if running else await reads.count(core.runner(store), Walk(store, EVERYTHING, keys_only=True))
            report = await self._begin(name, added, removed, total)
        await self._catalogue.refresh()
        return report

    async def _begin(self, name: str, add: tuple[IndexSchema, ...], remove: frozenset[str], total: int) -> Migration:
        """Begin the migration, or find that one runs, in agreement with all other processes."""
        pool = self._core.pool
        connection = await pool.take()
        try:
            await connection.run([BEGIN, self._schema.lock_stores])
            rows = (await connection.run([self._schema.row_of(name)]))[0]
            if not rows:
                raise ObjectStoreNotFound(name)
            found = StoreRow.of(self._schema.name, rows[0])
            target = changed_indexes(found.store.schema, add, remove)
            migration = found.migration
            if migration is not None and migration.report.state == RUNNING:
                if migration.target.matches(target):
                    return migration.report
                raise MigrationRunning(name)
            if found.store.schema.matches(target):
                return _DONE
            await connection.run([self._schema.begin_migration(found.store.data, target.to_bytes(), total), COMMIT])
            return Migration(RUNNING, 0, total, "", ())
        except psycopg.Error as error:
            raise translate(error, pool.where, name) from error
        finally:
            pool.give_back(connection)

    def _looked(self) -> None:
        for store in self._catalogue.stores.values():
            if self._runs(store.data) and store.data not in self._tasks:
                name = f"migration of {store.name!r}"
                work = keep_running(
                    name, partial(self._take_part, store.data, store.name), self._core.beats, may_end=lambda: True
                )
                task = asyncio.create_task(work, name=name)
                self._tasks[store.data] = task
                task.add_done_callback(partial(self._over, store.data))

    def _over(self, data: int, _: object) -> None:
        del self._tasks[data]

    def _runs(self, data: int) -> bool:
        report = self._catalogue.reports.get(data)
        return report is not None and report.state == RUNNING

    async def _watch(self, beat: Beat) -> None:
        while True:
            beat.beat()
            await asyncio.sleep(WATCH_S)
            with contextlib.suppress(StoreError):
                await self._catalogue.refresh()

    async def _take_part(self, data: int, name: str, beat: Beat) -> None:
        """Build the migration, or stand by while another process does, until it has ended.

        It may wait for another one to be built, and then for the server, for hours: no beat is asked of it.
        """
        beat.rest()
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
        """Build to the end; return False when another process is building."""
        pool = self._core.pool
        connection = await pool.take(held=True)
        build = PgIndexBuild(connection, self._schema, data)
        claimed = False
        try:
            claimed = await build.claim()
            if claimed:
                await self._run(build, connection, name)
            return claimed
        except psycopg.Error as error:
            raise translate(error, pool.where) from error
        finally:
            # The advisory lock ends with the session.
            connection.unusable = connection.unusable or claimed
            pool.give_back(connection)
            if claimed:
                self._catalogue.sweep()

    async def _run(self, build: PgIndexBuild, connection: PgConnection, name: str) -> None:
        """Take the steps that remain, one after the other."""
        pause = RETRY_S
        while (found := await build.look()) is not None:
            try:
                union = found.union()
                if union is None:
                    await build.begin()
                    await self._catalogue.refresh()
                else:
                    await self._fill(build, found, union)
                    while not await self._finish(build, name):
                        pass
            except Unreadable as error:
                log.error("migration failed", event_name="store.migration_failed", store=name, exc_info=error.__cause__)
                await build.abandon(unreadable_problem(error.__cause__))
            except (psycopg.Error, TransactionAborted) as error:
                # Tried again: a long transaction was in the way, or the store has been deleted, which ``look`` finds.
                if not connection.alive or not connection.clean:
                    raise
                if isinstance(error, psycopg.Error):
                    translated = translate(error, self._core.pool.where, name)
                    if not isinstance(translated, (TransactionAborted, ObjectStoreNotFound)):
                        raise translated from error
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_RETRY_S)

    async def _fill(self, build: PgIndexBuild, found: StoreRow, union: PgStore) -> None:
        """Index the records that were there before, in batches that leave the store's lock to others in between."""
        assert found.migration is not None
        position, last = found.migration.position, found.migration.last
        while position < last:
            start = time.monotonic()
            position = await build.batch(found, union, position)
            await asyncio.sleep((time.monotonic() - start) * SHARE)

    async def _finish(self, build: PgIndexBuild, name: str) -> bool:
        """Run the last step while no transaction of this process is open; it waits for those of others."""
        locks = self._core.locks
        holder = f"the migration of object store {name!r}"
        async with locks.held((SCHEMA,), exclusive=True, holder=holder, within_s=SWITCH_WAIT_S):
            over = await build.finish()
            await self._catalogue.refresh()
            return over
