"""Changes of a store's indexes while it serves: when each step runs, how far it is, and what is reported.

A migration begins with a job of the writer that creates the new index tables and has writes maintain them
(``SqliteStore.written_as``). Then the records that were there before are indexed, in batches that leave the writer to
others in between. At last, when no transaction is open, one job puts the new schema in force. How far it is stands in
the file, so it goes on after a restart. The steps themselves are in ``index_changes``.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from gestalt_sdk.common.beats import Beat
from gestalt_sdk.common.loops import keep_running
from gestalt_store.engines.index_changes import (
    DONE,
    FAILED,
    LONGEST_RETRY_S,
    RETRY_S,
    RUNNING,
    SHARE,
    SWITCH_WAIT_S,
    conflicts_from_bytes,
    duplicates_problem,
    unreadable_problem,
)
from gestalt_store.engines.interface import IndexConflict, Migration
from gestalt_store.engines.locks import SCHEMA
from gestalt_store.errors import MigrationRunning, ObjectStoreNotFound, StorageUnavailable, TransactionAborted
from gestalt_store.sqlite import index_changes
from gestalt_store.sqlite.core import SqliteCore
from gestalt_store.sqlite.index_changes import SqliteIndexBuild
from gestalt_store.sqlite.tables import SqliteStore
from gestalt_store.sqlite.writer import HEAVY
from gestalt_store.values.schema import IndexSchema, StoreSchema, changed_indexes

_LOAD = "SELECT store, schema, state, position, last, scanned, total, problem, conflicts FROM migrations"

STEP_LIMIT_S = 600.0
"""Longer than any step takes: a count of a large store, a batch behind heavy writes."""

log = structlog.get_logger()


@dataclass(slots=True)
class StoredMigrations:
    """The migrations of a file that is opened: how each went, and those that go on."""

    reports: dict[str, Migration]
    builds: list[SqliteIndexBuild]


def load(connection: sqlite3.Connection, stores: dict[str, SqliteStore]) -> StoredMigrations:
    """Read the migrations of a file, and have writes maintain the indexes that are being built."""
    names = {store.number: name for name, store in stores.items()}
    found = StoredMigrations({}, [])
    rows = connection.execute(_LOAD).fetchall()
    for number, schema, state, position, last, scanned, total, problem, conflicts in rows:
        name = names[number]
        found.reports[name] = Migration(state, scanned, total, problem, conflicts_from_bytes(conflicts))
        if state == RUNNING:
            build = SqliteIndexBuild.resumed(connection, stores[name], StoreSchema.from_bytes(schema), position, last)
            stores[name].written_as = build.union
            found.builds.append(build)
    return found


class SqliteMigrations:
    """The migrations of one core. For the event loop."""

    def __init__(self, core: SqliteCore, found: StoredMigrations) -> None:
        self._core = core
        self._reports = found.reports
        self._running: dict[str, SqliteIndexBuild] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._sweeper: asyncio.Task[None] | None = None
        for build in found.builds:
            self._start(build)
        self._sweep_soon()

    def report(self, store: SqliteStore) -> Migration:
        """Report how the last change of the store's indexes goes or went."""
        return self._reports.get(store.name) or Migration("", 0, 0, "", ())

    async def change(self, name: str, add: Iterable[IndexSchema], remove: Iterable[str]) -> Migration:
        """Begin to change the store's indexes, or find that it is done or under way.

        Raises:
            ObjectStoreNotFound, Invalid, MigrationRunning
        """
        core = self._core
        holder = f"a change of the indexes of {name!r}"
        async with core.locks.held((SCHEMA,), exclusive=False, holder=holder, within_s=core.limits.lock_wait_s):
            store = core.store(name)
            target = changed_indexes(store.schema, tuple(add), frozenset(remove))
            running = self._running.get(name)
            if running is not None:
                if running.target.schema.matches(target):
                    return self._reports[name]
                raise MigrationRunning(name)
            if store.schema.matches(target):
                return Migration(DONE, 0, 0, "", ())
            total = await core.readers.scan(lambda c: index_changes.count(c, store))
            # Of two calls at once the writer lets the first one begin; ``begin`` refuses the other.
            job = core.writer.submit(lambda c: SqliteIndexBuild.begin(c, store, target, total), weight=HEAVY)
            job.undo = lambda: setattr(store, "upkeep", None)

            def begun() -> None:
                # Also when the caller has gone meanwhile: the file says that the migration runs.
                if job.result is not None and job.error is None:
                    self._reports[name] = Migration(RUNNING, 0, total, "", ())
                    self._start(job.result)

            job.on_end = begun
            await job.future
            return self._reports[name]

    async def forget(self, name: str) -> None:
        """Stop the store's migration and forget its report: the store is about to be deleted."""
        task = self._tasks.get(name)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._reports.pop(name, None)

    async def close(self) -> None:
        """Stop the migrations; the next start goes on with them."""
        tasks = [*self._tasks.values(), *([self._sweeper] if self._sweeper is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _start(self, build: SqliteIndexBuild) -> None:
        name = build.store.name
        work = keep_running(
            f"migration of {name}",
            lambda beat: self._run(build, beat),
            self._core.beats,
            silent_after_s=STEP_LIMIT_S,
            may_end=lambda: True,
        )
        task = asyncio.create_task(work, name=f"migration of {name!r}")
        self._running[name], self._tasks[name] = build, task
        task.add_done_callback(lambda _: self._over(name))

    def _over(self, name: str) -> None:
        del self._running[name], self._tasks[name]

    async def _run(self, build: SqliteIndexBuild, beat: Beat) -> None:
        name = build.store.name
        pause = RETRY_S
        while True:
            beat.beat()
            try:
                await self._fill(build, beat)
                while not await self._finish(build):
                    beat.beat()
                return
            except ObjectStoreNotFound:
                return
            except (StorageUnavailable, TransactionAborted) as error:
                # Tried again: the disk may get room, a long transaction may end.
                if not isinstance(error, TransactionAborted):
                    log.warning("migration waits", event_name="store.migration_waits", store=name, error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_RETRY_S)
            except Exception as error:
                log.exception("migration failed", event_name="store.migration_failed", store=name)
                await self._abandon(build, unreadable_problem(error))
                return

    async def _fill(self, build: SqliteIndexBuild, beat: Beat) -> None:
        report = self._reports[build.store.name]
        while build.position < build.last:
            beat.beat()
            start = time.monotonic()
            position, number = await self._core.writer.submit(build.batch, weight=HEAVY).future
            build.position = position
            report = report.read(number)
            self._reports[build.store.name] = report
            await asyncio.sleep((time.monotonic() - start) * SHARE)

    async def _finish(self, build: SqliteIndexBuild) -> bool:
        """Put the new schema in force, or fail for duplicate keys; return False when it must be tried again at once."""
        core, store = self._core, build.store
        unique = build.watch()
        if unique:
            for index, keys in zip(unique, await core.readers.scan(build.duplicates), strict=True):
                assert index.suspects is not None
                index.suspects.update(keys)
        holder = f"the migration of object store {store.name!r}"
        async with core.locks.held((SCHEMA,), exclusive=True, holder=holder, within_s=SWITCH_WAIT_S):
            job = core.writer.submit(build.switch, weight=HEAVY)
            job.undo = build.take_back

            def switched() -> None:
                # Also when this task has been canceled meanwhile: the file has the new schema.
                if job.error is None and job.result == ():
                    core.replace(store, build.target)
                    self._reports[store.name] = self._reports[store.name].ended(DONE)

            job.on_end = switched
            conflicts = await job.future
        if conflicts is None:
            return False
        if conflicts:
            await self._abandon(build, duplicates_problem(conflicts), conflicts)
        self._sweep_soon()
        return True

    async def _abandon(self, build: SqliteIndexBuild, problem: str, conflicts: tuple[IndexConflict, ...] = ()) -> None:
        job = self._core.writer.submit(lambda c: build.abandon(c, problem, conflicts), weight=HEAVY)
        job.undo = lambda: setattr(build.store, "upkeep", build.union)

        def ended() -> None:
            if job.error is None:
                self._reports[build.store.name] = self._reports[build.store.name].ended(FAILED, problem, conflicts)

        job.on_end = ended
        await job.future
        self._sweep_soon()

    def _sweep_soon(self) -> None:
        if self._sweeper is None or self._sweeper.done():
            name = "removal of indexes"
            work = keep_running(name, self._sweep, self._core.beats, silent_after_s=STEP_LIMIT_S, may_end=lambda: True)
            self._sweeper = asyncio.create_task(work, name=name)

    async def _sweep(self, beat: Beat) -> None:
        """Remove the tables of indexes that are no longer used, some rows at a time."""
        more = True
        while more:
            beat.beat()
            start = time.monotonic()
            with contextlib.suppress(StorageUnavailable):  # the next start, or the next migration, goes on
                more = await self._core.writer.submit(index_changes.sweep, weight=HEAVY).future
            await asyncio.sleep((time.monotonic() - start) * SHARE)
