"""The writer of a database: writes of single calls, many to one commit.

Writes that arrive for the same stores while a commit is on its way form the next group: one transaction, one round
trip to read what judging them needs, one to write and commit, whatever their number. A write that fails by itself is
left out; when the server refuses the whole group, each of its writes is tried in a transaction of its own. A group
that the server undid because of another transaction is run again, a few times.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

import psycopg
import structlog

from gestalt_store.engines.interface import ConditionalWrite, WriteResult
from gestalt_store.errors import StorageUnavailable, StoreError, TransactionAborted
from gestalt_store.postgres.core import PgCore
from gestalt_store.postgres.failures import lost, retryable, store_gone
from gestalt_store.postgres.overlay import PgOverlay, Wanted
from gestalt_store.postgres.pool import COMMIT
from gestalt_store.postgres.statements import opening
from gestalt_store.postgres.tables import PgStore, PgWrite

ATTEMPTS = 6
FIRST_PAUSE_S = 0.005
GROUP_LIMIT = 512
GROUP_BYTES = 16 * 1024 * 1024

log = structlog.get_logger()


ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)


class Work(Protocol[ResultT_co]):
    """What one call wants written. It may be asked and executed again, when its group has to be run again."""

    @property
    def size(self) -> int:
        """Return the bytes of its records."""
        ...

    def want(self, wanted: Wanted) -> None:
        """Ask for what must be known before it can be executed."""

    def execute(self, overlay: PgOverlay) -> ResultT_co:
        """Note its writes; return its result.

        Raises:
            StoreError: it fails by itself, and has noted nothing.
        """
        ...


class PutWork:
    """A put or add."""

    def __init__(self, write: PgWrite) -> None:
        self._write = write
        self.size = len(write.record)

    def want(self, wanted: Wanted) -> None:
        wanted.write(self._write, alone=True)

    def execute(self, overlay: PgOverlay) -> None:
        overlay.of(self._write.store).put(self._write)


class DeleteWork:
    """The deletion of one record."""

    size = 0

    def __init__(self, store: PgStore, primary_key: bytes) -> None:
        self._store = store
        self._primary_key = primary_key

    def want(self, wanted: Wanted) -> None:
        wanted.delete(self._store, self._primary_key)

    def execute(self, overlay: PgOverlay) -> None:
        overlay.of(self._store).delete(self._primary_key)


class ApplyWork:
    """The conditional writes of one call."""

    def __init__(self, writes: Sequence[ConditionalWrite[PgStore]], return_current: bool) -> None:
        self._writes = writes
        self._return_current = return_current
        self.size = sum(len(item.write.record) for item in writes if item.write is not None)

    def want(self, wanted: Wanted) -> None:
        wanted.conditional_writes(self._writes)

    def execute(self, overlay: PgOverlay) -> list[WriteResult]:
        return overlay.apply(self._writes, return_current=self._return_current)


class _GroupedWrite(Generic[ResultT]):
    """The work of one call while it is queued and executed."""

    __slots__ = ("error", "future", "relaxed", "result", "since", "work")

    def __init__(self, work: Work[ResultT], relaxed: bool, future: asyncio.Future[ResultT]) -> None:
        self.work = work
        self.relaxed = relaxed
        self.future = future
        self.since = time.monotonic()
        self.result: ResultT | None = None
        self.error: Exception | None = None

    def resolve(self) -> None:
        """Tell the caller how it ended."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)  # type: ignore[arg-type]  # what ``execute`` returned
        else:
            self.future.set_exception(self.error)


class _WriteQueue:
    """The writes waiting for one set of stores."""

    __slots__ = ("queue", "stores")

    def __init__(self, stores: list[PgStore]) -> None:
        self.stores = stores
        self.queue: deque[_GroupedWrite[Any]] = deque()


class PgWriter:
    """Groups the writes of one database. Its methods are for the event loop."""

    def __init__(self, core: PgCore) -> None:
        self._core = core
        self._queues: dict[frozenset[PgStore], _WriteQueue] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self.commits = 0
        """Groups committed so far."""

    async def submit(self, stores: Sequence[PgStore], work: Work[ResultT], *, relaxed: bool = False) -> ResultT:
        """Write, together with others; return what the work returns once it is durable.

        Raises:
            StoreError: the work's own; TransactionAborted, StorageUnavailable, ObjectStoreNotFound as they apply.
        """
        if self._closing:
            raise StorageUnavailable("the store is closing")
        key = frozenset(stores)
        job = _GroupedWrite(work, relaxed, asyncio.get_running_loop().create_future())
        queued = self._queues.get(key)
        if queued is None:
            queued = self._queues[key] = _WriteQueue(list(key))
            queued.queue.append(job)
            task = asyncio.create_task(self._serve(key, queued), name="group of writes")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            queued.queue.append(job)
        return await job.future

    async def close(self) -> None:
        """Finish what is queued."""
        self._closing = True
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, key: frozenset[PgStore], queued: _WriteQueue) -> None:
        """Write group after group until the queue is empty."""
        try:
            while queued.queue:
                await self._next_group(queued)
        finally:
            del self._queues[key]
            for job in queued.queue:
                job.error = StorageUnavailable("the store is closing")
                job.resolve()

    async def _next_group(self, queued: _WriteQueue) -> None:
        locks, limit = self._core.locks, self._core.limits.lock_wait_s
        started = time.monotonic()
        lock = locks.request([store.name for store in queued.stores], exclusive=True, holder="a write")
        try:
            await locks.granted(lock, limit)
        except TransactionAborted as error:
            # Only those have waited long enough; later ones get a lock request of their own.
            waited = [job for job in queued.queue if job.since <= started]
            queued.queue = deque(job for job in queued.queue if job.since > started)
            for job in waited:
                job.error = error
                job.resolve()
            return
        jobs: list[_GroupedWrite[Any]] = []
        try:
            jobs = _take(queued.queue)
            await self._write(queued.stores, jobs)
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
            locks.release(lock)
            for job in jobs:
                job.resolve()

    async def _write(self, stores: list[PgStore], jobs: list[_GroupedWrite[Any]]) -> None:
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
        return self._core.translate(error, stores[0].name)

    async def _persist(self, stores: list[PgStore], jobs: list[_GroupedWrite[Any]]) -> None:
        """Write the jobs in one transaction, again when the server has undone it or the stores have changed."""
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

    async def _attempt(self, stores: list[PgStore], jobs: list[_GroupedWrite[Any]]) -> None:
        overlay = PgOverlay()
        wanted = Wanted(overlay)
        for job in jobs:
            job.result = job.error = None
            job.work.want(wanted)
        begin = opening([overlay.maintained(store) for store in stores], relaxed=all(job.relaxed for job in jobs))
        looked_at = wanted.statements()
        pool = self._core.pool
        while True:
            connection = await pool.take()
            reused = connection.reused
            committing = False
            try:
                if looked_at or connection.suspect:
                    wanted.learn((await connection.run([*begin, *looked_at]))[len(begin) :])
                    begin = []
                self._execute(jobs, overlay)
                statements = overlay.statements()
                if statements:
                    committing = True
                    await connection.run([*begin, *statements, COMMIT])
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
                pool.forget_idle()  # it died while it was idle, so nothing has happened yet
            finally:
                pool.give_back(connection)

    @staticmethod
    def _execute(jobs: list[_GroupedWrite[Any]], overlay: PgOverlay) -> None:
        for job in jobs:
            try:
                job.result = job.work.execute(overlay)
            except StoreError as error:
                job.error = error


def _take(queue: deque[_GroupedWrite[Any]]) -> list[_GroupedWrite[Any]]:
    """Take the next group from the queue, in order: what fits into one transaction, at least one."""
    jobs: list[_GroupedWrite[Any]] = []
    size = 0
    while queue and len(jobs) < GROUP_LIMIT and size < GROUP_BYTES:
        job = queue.popleft()
        if job.future.cancelled():
            continue
        size += job.work.size
        jobs.append(job)
    return jobs
