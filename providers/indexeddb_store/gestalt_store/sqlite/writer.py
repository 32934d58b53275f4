"""The one writer of a database: many writes, transactions and schema changes to one commit.

Jobs that arrive while a commit is being executed form the next group. A group of light jobs is executed on the
event loop, which costs less than handing the interpreter lock back and forth for each statement. Its commit, which
waits for the disk, runs in the writer's thread, unless the disk has lately been faster than the way there and back
(``Pace``); a group with a heavy job runs there as a whole, and so does the checkpoint of the log. Callers are answered
when their group is durable.

A job checks before it writes, so one that raises has left nothing behind and the group goes on. When the engine itself
fails (disk full, input/output error), the group is rolled back and its jobs are run again, each in a commit of its own:
only those fail that cannot be written.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import structlog

from gestalt_sdk.common.beats import Beats
from gestalt_store.engines.write_trouble import WriteTrouble
from gestalt_store.errors import StorageUnavailable, StoreError
from gestalt_store.sqlite.failures import translate
from gestalt_store.sqlite.files_in_use import FilesInUse
from gestalt_store.sqlite.tables import SqliteStore

LIGHT_WEIGHT = 1000
"""Rows that a group may write on the event loop, some 10 ms of it."""
HEAVY = LIGHT_WEIGHT + 1
LOCK_WAIT_MS = 5000
"""How long a group waits for another program that has locked the file; its jobs do not wait again one by one."""
GROUP_LIMIT = 1024
FAST_COMMIT_S = 0.0001
"""A commit that takes no longer costs less than handing it to the thread and back."""
GATHER_TURNS = 3
"""Turns of the event loop that a group waits for more jobs: calls that come in together are read in different turns.
They cost nothing when nothing else is to be done."""
HUNG_AFTER_S = 900.0
"""No group takes as long: a statement that removes everything from a large store, on a slow disk, takes minutes."""
CHECKPOINT_ROWS = 4000
"""Rows written, at most a page of the log or two each, after which the log is copied into the file."""

log = structlog.get_logger()

ResultT = TypeVar("ResultT")


class WriteJob(Generic[ResultT]):
    """One body in the queue. ``error`` says how it ended, once its group has been executed."""

    __slots__ = ("body", "error", "future", "on_end", "relaxed", "result", "stores", "undo", "weight")

    def __init__(
        self,
        body: Callable[[sqlite3.Connection], ResultT],
        stores: Sequence[SqliteStore],
        weight: int,
        relaxed: bool,
        future: asyncio.Future[ResultT],
    ) -> None:
        self.body = body
        self.stores = stores
        self.weight = weight
        self.relaxed = relaxed
        self.future = future
        self.result: ResultT | None = None
        self.error: Exception | None = None
        self.on_end: Callable[[], None] | None = None
        """Called on the event loop before the future is resolved."""
        self.undo: Callable[[], None] | None = None
        """Called by the writer, before any later job is executed, when what the body did could not be committed."""


class Pace:
    """Decides whether the next commit runs on the event loop.

    After a slow commit the next ones run in the thread, then one is tried on the event loop again. As long as each
    trial is slow, the number of commits between two trials doubles. So a slow disk blocks the event loop once in a
    thousand commits, and a fast disk that was slow once is used again soon. Only commits on the event loop are timed:
    those in the thread wait for the interpreter as well.
    """

    __slots__ = ("_in_thread", "_next_exile")

    FIRST, LONGEST = 8, 1024

    def __init__(self) -> None:
        self._in_thread = 0
        self._next_exile = self.FIRST

    def on_loop(self) -> bool:
        """Return whether the next commit may run on the event loop, which the caller does then."""
        if self._in_thread == 0:
            return True
        self._in_thread -= 1
        return False

    def took(self, seconds: float) -> None:
        """Take in how long a commit on the event loop took."""
        if seconds <= FAST_COMMIT_S:
            self._next_exile = max(self.FIRST, self._next_exile // 2)
        else:
            self._in_thread = self._next_exile
            self._next_exile = min(2 * self._next_exile, self.LONGEST)


class _LeftTraces(Exception):
    """Raised when a job failed after it had written, which only a rollback undoes; ``WriteJob.error`` says why."""


class SqliteWriter:
    """Owns the writing connection. Its methods are for the event loop."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        beats: Beats,
        files: FilesInUse | None = None,
        trouble: WriteTrouble | None = None,
    ) -> None:
        """Start the thread.

        Args:
            files: Looked at after each commit; nothing is durable that was written to files that are gone.
            trouble: Told when the storage refuses a write.
        """
        self._files = files
        self._trouble = trouble or WriteTrouble()
        self._beats = beats
        self._beat = beats.add(f"writer of {path.name}", hung_after_s=HUNG_AFTER_S)
        self._beat.rest()
        self._connection = connection
        connection.execute("PRAGMA busy_timeout = 0")
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._queue: deque[WriteJob[Any]] = deque()
        self._busy = False
        self._scheduled = False
        self._closing = False
        self._synchronous_off = False
        self.pace = Pace()
        self._checkpointed = connection.total_changes
        self._idle = asyncio.Event()
        self._idle.set()
        self._finished: asyncio.Future[None] | None = None
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=f"writer of {path.name}", daemon=True)
        self._thread.start()
        self.commits = 0
        """Groups committed so far."""

    def submit(
        self,
        body: Callable[[sqlite3.Connection], ResultT],
        stores: Sequence[SqliteStore] = (),
        *,
        weight: int = 3,
        relaxed: bool = False,
    ) -> WriteJob[ResultT]:
        """Queue a job; its future ends with the body's result or error once the group is durable.

        Args:
            body: Called with the connection inside the group's transaction, and again if the group had to be undone.
            stores: Stores whose ``Unconfirmed.unfinished`` counts the job until it has ended. Not those of which a
                transaction shows its writes as unconfirmed.
            weight: Rows it writes, about; ``HEAVY`` for a job of unknown size.
            relaxed: The commit need not wait for the disk.
        """
        job = WriteJob(body, stores, weight, relaxed, self._loop.create_future())
        if self._closing:
            job.error = StorageUnavailable("the store is closing")
            job.future.set_exception(job.error)
            return job
        for store in stores:
            store.unconfirmed.unfinished += 1
        self._queue.append(job)
        self._schedule()
        return job

    async def finished(self, stores: Sequence[SqliteStore]) -> None:
        """Wait until every write queued for the stores has ended, except those shown as unconfirmed."""
        while any(store.unconfirmed.unfinished for store in stores):
            if self._finished is None:
                self._finished = self._loop.create_future()
            await asyncio.shield(self._finished)

    async def close(self) -> None:
        """Finish what is queued, then end the thread."""
        self._closing = True
        await self._idle.wait()
        self._work.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        self._beats.remove(self._beat)

    def _schedule(self) -> None:
        if not self._busy and not self._scheduled:
            self._scheduled = True
            self._idle.clear()
            self._loop.call_soon(self._gather, GATHER_TURNS)

    def _gather(self, turns: int) -> None:
        """Begin the group after some turns of the event loop, so that calls which arrive together share a commit."""
        if turns == 0:
            self._start()
        else:
            self._loop.call_soon(self._gather, turns - 1)

    def _start(self) -> None:
        self._scheduled = False
        self._busy = True
        self._beat.beat()
        jobs, light = self._next_group()
        if not light:
            self._work.put(partial(self._in_thread, jobs))
            return
        try:
            changed = self._execute(jobs)
        except Exception as error:
            is_locked = _is_busy(error) and not self._connection.in_transaction
            # Another program has locked the file: the thread waits for it, other databases go on.
            self._work.put(partial(self._in_thread, jobs) if is_locked else partial(self._again, jobs, error))
            return
        try:
            if changed and not self.pace.on_loop():
                self._work.put(partial(self._commit, jobs))
                return
            start = time.perf_counter()
            self._connection.execute("COMMIT")
        except Exception as error:
            self._work.put(partial(self._again, jobs, error))
            return
        if changed:
            self.pace.took(time.perf_counter() - start)
        self._resolve(jobs)

    def _next_group(self) -> tuple[list[WriteJob[Any]], bool]:
        """Return the jobs of the next commit, and whether they are light enough for the event loop."""
        waiting = self._queue
        if waiting[0].weight > LIGHT_WEIGHT:
            return [waiting.popleft() for _ in range(min(len(waiting), GROUP_LIMIT))], False
        jobs: list[WriteJob[Any]] = []
        weight = 0
        while waiting and weight + waiting[0].weight <= LIGHT_WEIGHT:
            weight += waiting[0].weight
            jobs.append(waiting.popleft())
        return jobs, True

    def _execute(self, jobs: list[WriteJob[Any]]) -> bool:
        """Begin a transaction and execute every job in it; return whether anything was written."""
        connection = self._connection
        relaxed = all(job.relaxed for job in jobs)
        if relaxed != self._synchronous_off:
            connection.execute("PRAGMA synchronous = " + ("NORMAL" if relaxed else "FULL"))
            self._synchronous_off = relaxed
        before = connection.total_changes
        schema_change = False
        connection.execute("BEGIN IMMEDIATE")
        for job in jobs:
            job.error = None
            start = connection.total_changes
            try:
                job.result = job.body(connection)
                schema_change = schema_change or job.weight == HEAVY
            except sqlite3.Error:
                raise
            except Exception as error:
                job.error = error
                if not isinstance(error, StoreError):
                    log.exception("write failed", event_name="store.write_failed")
                if connection.total_changes != start:
                    raise _LeftTraces from error
        return schema_change or connection.total_changes != before

    def _commit(self, jobs: list[WriteJob[Any]]) -> None:
        try:
            self._connection.execute("COMMIT")
        except Exception as error:
            self._again(jobs, error)
            return
        self._loop.call_soon_threadsafe(self._resolve, jobs)

    def _in_thread(self, jobs: list[WriteJob[Any]]) -> None:
        try:
            with self._waiting_for_locks():
                self._execute(jobs)
        except Exception as error:
            self._again(jobs, error)
            return
        self._commit(jobs)

    def _again(self, jobs: list[WriteJob[Any]], cause: Exception) -> None:
        left = deque(jobs)
        try:
            self._each_alone(left, cause)
        except Exception as error:  # a bug: who waits must learn of it, and the next group must have its turn
            for job in left:
                job.error = StorageUnavailable(f"the write failed in an unforeseen way: {error!r}")
            raise
        finally:
            self._loop.call_soon_threadsafe(self._resolve, jobs)

    def _each_alone(self, left: deque[WriteJob[Any]], cause: Exception) -> None:
        """Undo the group and write its jobs in a commit each; what has ended leaves ``left``."""
        self._roll_back()
        for job in reversed(left):
            if job.undo is not None:
                job.undo()
        is_locked = _is_busy(cause)
        while left:
            job = left[0]
            try:
                with nullcontext() if is_locked else self._waiting_for_locks():
                    self._execute([job])
                self._connection.execute("COMMIT")
            except Exception as error:
                is_locked = _is_busy(error)
                if isinstance(error, sqlite3.Error):
                    job.error = translate(error, self._path)
                    if isinstance(job.error, StorageUnavailable):
                        self._trouble.failed(str(job.error))
                elif not isinstance(error, _LeftTraces):
                    job.error = StorageUnavailable(f"the write failed in an unforeseen way: {error!r}")
                self._roll_back()
                if job.undo is not None:
                    job.undo()
            left.popleft()
        log.error("commit failed", event_name="store.commit_failed", database=str(self._path), error=repr(cause))

    @contextmanager
    def _waiting_for_locks(self) -> Iterator[None]:
        """Have statements wait while another program has locked the file. In the thread, never on the event loop."""
        self._connection.execute(f"PRAGMA busy_timeout = {LOCK_WAIT_MS}")
        try:
            yield
        finally:
            self._connection.execute("PRAGMA busy_timeout = 0")

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            log.exception("rollback failed", event_name="store.rollback_failed", database=str(self._path))

    def _resolve(self, jobs: list[WriteJob[Any]]) -> None:
        self.commits += 1
        lost = self._files.problem() if self._files is not None else ""
        for job in jobs:
            if lost and job.error is None:
                job.error = StorageUnavailable(lost)
            for store in job.stores:
                store.unconfirmed.unfinished -= 1
            if job.on_end is not None:
                try:
                    job.on_end()
                except Exception as error:  # the others of the group, and the next group, must not wait for ever
                    job.error = StorageUnavailable(f"what follows the write failed in an unforeseen way: {error!r}")
            if job.future.done():
                continue
            if job.error is None:
                job.future.set_result(job.result)
            else:
                job.future.set_exception(job.error)
        if self._finished is not None:
            self._finished.set_result(None)
            self._finished = None
        if self._connection.total_changes - self._checkpointed >= CHECKPOINT_ROWS:
            self._work.put(self._checkpoint)
            return
        self._free()

    def _checkpoint(self) -> None:
        """Copy the log into the file as far as no reader needs it, so that it can begin anew. In the thread."""
        self._checkpointed = self._connection.total_changes
        try:
            self._beat.beat()
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:  # nothing is lost: the log still has it all
            log.warning(
                "checkpoint failed", event_name="store.checkpoint_failed", database=str(self._path), error=repr(error)
            )
        finally:
            self._loop.call_soon_threadsafe(self._free)

    def _free(self) -> None:
        """Get ready for the next group."""
        self._busy = False
        if self._queue:
            self._schedule()
        else:
            self._beat.rest()
            self._idle.set()

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception:  # each work has told those who wait for it
                with suppress(Exception):
                    log.exception("writer failed", event_name="store.writer_failed", database=str(self._path))


def _is_busy(error: Exception) -> bool:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)  # errors of the module itself have none
    return code & 0xFF == sqlite3.SQLITE_BUSY
