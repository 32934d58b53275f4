"""Writes of single calls, many to one commit.

Writes that arrive for the same stores while a commit is on its way form the next group: one transaction, one round
trip to read what they must know, one to write and commit, whatever their number. A write that fails by its own fault
is left out; when the server refuses the whole group, each of its writes is tried in a transaction of its own. A
group that the server undid because of another transaction is run again, a few times.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

import psycopg
import structlog

from gestalt_store.engines.interface import Conditional, Outcome, Write
from gestalt_store.errors import StorageUnavailable, StoreError, TransactionAborted
from gestalt_store.postgres.core import PgCore
from gestalt_store.postgres.failures import lost, retryable, store_gone, translate
from gestalt_store.postgres.overlay import Changes, Wanted
from gestalt_store.postgres.pool import COMMIT
from gestalt_store.postgres.tables import PgStore, opening

ATTEMPTS = 6
FIRST_PAUSE_S = 0.005
GROUP_LIMIT = 512
GROUP_BYTES = 16 * 1024 * 1024

log = structlog.get_logger()


class Work(Protocol):
    """What one call wants written."""

    @property
    def size(self) -> int: ...
    def want(self, wanted: Wanted) -> None: ...
    def execute(self, changes: Changes) -> Any: ...


class PutWork:
    def __init__(self, write: Write) -> None:
        self._write = write
        self.size = len(write.record)

    def want(self, wanted: Wanted) -> None:
        wanted.write(self._write, alone=True)

    def execute(self, changes: Changes) -> None:
        changes.of(self._write.store).put(self._write)


class DeleteWork:
    size = 0

    def __init__(self, store: PgStore, primary_key: bytes) -> None:
        self._store = store
        self._primary_key = primary_key

    def want(self, wanted: Wanted) -> None:
        wanted.delete(self._store, self._primary_key)

    def execute(self, changes: Changes) -> None:
        changes.of(self._store).delete(self._primary_key)


class ApplyWork:
    def __init__(self, entries: Sequence[Conditional], return_current: bool) -> None:
        self._entries = entries
        self._return_current = return_current
        self.size = sum(len(entry.write.record) for entry in entries if entry.write is not None)

    def want(self, wanted: Wanted) -> None:
        wanted.entries(self._entries)

    def execute(self, changes: Changes) -> list[Outcome]:
        return changes.apply(self._entries, return_current=self._return_current)


class _Job:
    __slots__ = ("error", "future", "relaxed", "result", "since", "work")

    def __init__(self, work: Work, relaxed: bool, future: asyncio.Future[Any]) -> None:
        self.work = work
        self.relaxed = relaxed
        self.future = future
        self.since = time.monotonic()
        self.result: Any = None
        self.error: Exception | None = None

    def settle(self) -> None:
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class _Lane:
    """The writes waiting for one set of stores."""

    __slots__ = ("queue", "stores")

    def __init__(self, stores: list[PgStore]) -> None:
        self.stores = stores
        self.queue: deque[_Job] = deque()


class Writer:
    """Groups the writes of one database. Its methods are for the event loop."""

    def __init__(self, core: PgCore) -> None:
        self._core = core
        self._lanes: dict[frozenset[PgStore], _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self.commits = 0
        """Groups committed so far."""

    async def submit(self, stores: Sequence[PgStore], work: Work, *, relaxed: bool = False) -> Any:
        """Write, together with others; returns what the work returns once it is durable.

        Raises:
            StoreError: the work's own; TransactionAborted, StorageUnavailable, ObjectStoreNotFound as they apply.
        """
        if self._closing:
            raise StorageUnavailable("the store is closing")
        key = frozenset(stores)
        job = _Job(work, relaxed, asyncio.get_running_loop().create_future())
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(list(key))
            lane.queue.append(job)
            task = asyncio.create_task(self._serve(key, lane), name="group of writes")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            lane.queue.append(job)
        return await job.future

    async def close(self) -> None:
        """Finish what is queued."""
        self._closing = True
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, key: frozenset[PgStore], lane: _Lane) -> None:
        """Write group after group until nothing is waiting."""
        try:
            while lane.queue:
                await self._next_group(lane)
        finally:
            del self._lanes[key]
            for job in lane.queue:
                job.error = StorageUnavailable("the store is closing")
                job.settle()

    async def _next_group(self, lane: _Lane) -> None:
        locks, limit = self._core.locks, self._core.limits.lock_wait_s
        started = time.monotonic()
        claim = locks.claim([store.name for store in lane.stores], exclusive=True, owner="a write")
        try:
            await locks.granted(claim, limit)
        except TransactionAborted as error:
            # Only those have waited long enough; later ones go on with a new claim.
            waited = [job for job in lane.queue if job.since <= started]
            lane.queue = deque(job for job in lane.queue if job.since > started)
            for job in waited:
                job.error = error
                job.settle()
            return
        jobs: list[_Job] = []
        try:
            jobs = _take(lane.queue)
            await self._write(lane.stores, jobs)
        except Exception as error:
            if not isinstance(error, StoreError):
                log.exception("write failed", event_name="store.write_failed")
            for job in jobs:
                job.error = error
        except BaseException:
            for job in jobs:
                job.error = StorageUnavailable("the store is closing; whether it was written is unknown")
            raise
        finally:
            locks.release(claim)
            for job in jobs:
                job.settle()

    async def _write(self, stores: list[PgStore], jobs: list[_Job]) -> None:
        """Write the jobs in one transaction, or where the server refuses that, in one each."""
        try:
            await self._persist(stores, jobs)
        except psycopg.Error as error:
            if len(jobs) == 1 or lost(error) or store_gone(error) or retryable(error):
                raise self._failure(error, stores) from error
            log.warning("group of writes failed", event_name="store.group_failed", sqlstate=error.sqlstate)
            for job in jobs:
                try:
                    await self._persist(stores, [job])
                except psycopg.Error as single:
                    job.error = self._failure(single, stores)
                except StoreError as single:
                    job.error = single

    def _failure(self, error: psycopg.Error, stores: list[PgStore]) -> StoreError:
        return translate(error, self._core.pool.where, stores[0].name)

    async def _persist(self, stores: list[PgStore], jobs: list[_Job]) -> None:
        """One transaction, again when the server has undone it because of another one, or the stores have changed."""
        pause = FIRST_PAUSE_S
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._attempt(stores, jobs)
                return
            except psycopg.Error as error:
                if attempt == ATTEMPTS:
                    raise
                if store_gone(error):
                    await self._core.follow(stores)
                    continue
                if not retryable(error):
                    raise
                log.info("writes run again", event_name="store.writes_retried", attempt=attempt)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause *= 2

    async def _attempt(self, stores: list[PgStore], jobs: list[_Job]) -> None:
        changes = Changes()
        wanted = Wanted(changes)
        for job in jobs:
            job.result = job.error = None
            job.work.want(wanted)
        begin = opening([changes.kept(store) for store in stores], relaxed=all(job.relaxed for job in jobs))
        looked_at = wanted.commands()
        pool = self._core.pool
        while True:
            connection = await pool.take()
            reused = connection.reused
            committing = False
            try:
                if looked_at or connection.suspect:
                    wanted.learn((await connection.run([*begin, *looked_at]))[len(begin) :])
                    begin = []
                self._execute(jobs, changes)
                commands = changes.commands()
                if commands:
                    committing = True
                    await connection.run([*begin, *commands, COMMIT])
                    self.commits += 1
                else:
                    connection.ending = COMMIT
                return
            except psycopg.Error as error:
                if not lost(error):
                    raise
                if committing:
                    raise StorageUnavailable(
                        f"{pool.where}: the connection was lost during the commit; whether it was written is unknown"
                    ) from error
                if not reused:
                    raise
                pool.forget_idle()  # it died while it was idle: nothing has happened yet
            finally:
                pool.give_back(connection)

    @staticmethod
    def _execute(jobs: list[_Job], changes: Changes) -> None:
        for job in jobs:
            try:
                job.result = job.work.execute(changes)
            except StoreError as error:
                job.error = error


def _take(queue: deque[_Job]) -> list[_Job]:
    """The next group, in order: what fits into one transaction, at least one."""
    jobs: list[_Job] = []
    size = 0
    while queue and len(jobs) < GROUP_LIMIT and size < GROUP_BYTES:
        job = queue.popleft()
        if job.future.cancelled():
            continue
        size += job.work.size
        jobs.append(job)
    return jobs
