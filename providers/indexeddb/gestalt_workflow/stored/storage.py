"""Talk to the IndexedDB service: reads, pages, and writes that travel together. No other module does.

Writes that ask for it share a commit: while one is under way, what arrives is queued and goes out as one batch with the
next. Each write carries the conditions under which it may be applied, so writes of different callers never decide
over each other. Errors of the store come out as ``StorageFailed`` with the step that met them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias, TypeVar

import structlog

from gestalt_sdk.common.backoff import Backoff
from gestalt_sdk.common.beats import Beat, Beats
from gestalt_sdk.common.loops import keep_running
from gestalt_sdk.indexeddb import (
    Condition,
    IndexedDB,
    IndexedDBError,
    KeyRange,
    NotFound,
    ObjectStoreSchema,
    Page,
    Record,
    StoreRefused,
    StoreUnavailable,
    TransactionFailed,
    Write,
    WriteResult,
)
from gestalt_workflow.model.clock import to_micros
from gestalt_workflow.model.errors import ContentRefused, StorageFailed, StorageUnavailable, Undecodable

IndexValue: TypeAlias = str | int | datetime
"""A value that an index of this provider holds."""

T = TypeVar("T")
M = TypeVar("M")

BATCH_WRITES = 1000
BATCH_BYTES = 2 * 1024 * 1024
PAGE = 1000
CONFLICT_ATTEMPTS = 8
PATIENCE_S = 2.0
CONTENT_CODES = ("INVALID_ARGUMENT", "OUT_OF_RANGE", "RESOURCE_EXHAUSTED")
"""Codes with which a store refuses what it was sent, however often; any other may pass."""

log = structlog.get_logger()

__all__ = [
    "Condition",
    "IndexValue",
    "KeyRange",
    "Page",
    "Record",
    "Storage",
    "Write",
    "WriteResult",
    "absent",
    "at_revision",
    "first_revision",
]


def at_revision(revision: int, *, store: str = "", id: str = "") -> Condition:
    """Return the condition that the record (the write's own, or another) is at that revision."""
    return Condition.equals("revision", revision, store=store, id=id)


def first_revision(now: datetime) -> int:
    """Return the revision of an object that is made now: microseconds since 1970.

    It is later than every revision of an object that had this id before and was deleted, so what somebody still knows
    of that one never meets its own revision again.
    """
    return to_micros(now)


def absent(*, store: str = "", id: str = "") -> Condition:
    """Return the condition that there is no such record; with blank ``store`` and ``id`` the write's own."""
    return Condition(absent=True, store=store, id=id)


@dataclass(slots=True)
class _QueuedWrites:
    writes: Sequence[Write]
    step: str
    answer: asyncio.Future[list[WriteResult]]
    size_bytes: int


@dataclass(slots=True)
class Counters:
    """What went by, for health and for tests."""

    commits: int = 0
    undecodable: int = 0
    poisoned: set[str] = field(default_factory=set)


class Storage:
    """One database; ``async with`` connects the writer to it."""

    def __init__(
        self, db: IndexedDB, unanswered: Callable[[], None] = lambda: None, beats: Beats | None = None
    ) -> None:
        """Take the client; nothing is connected before ``async with``.

        Args:
            unanswered: Called when the answer of a write was lost: nobody was told of what it may have written.
            beats: What the writer gives its beat to.
        """
        self._db = db
        self._unanswered = unanswered
        self._beats = beats or Beats()
        self._queue: list[_QueuedWrites] = []
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self.counters = Counters()

    async def __aenter__(self) -> Storage:
        writing = keep_running("storage writer", self._write_batches, self._beats)
        self._writer = asyncio.create_task(writing, name="storage writer")
        return self

    async def __aexit__(self, *details: object) -> None:
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        for queued in self._queue:
            if not queued.answer.done():
                queued.answer.set_exception(StorageUnavailable(f"{queued.step}: the provider is stopping"))
        self._queue.clear()
        await self._db.close()

    @property
    def batched(self) -> bool:
        """Whether pages and batches are one message; some stores need a stream for them."""
        return self._db.batched

    # Reads

    async def find(self, store: str, id: str, decode: Callable[[Record], T], step: str) -> T | None:
        """Return the object with that primary key, None when there is none.

        Raises:
            StorageFailed: also when the record cannot be decoded.
        """
        record = await self._read(step, lambda: self._db.store(store).find(id))
        return None if record is None else self._decode_one(record, decode, step)

    async def find_many(self, store: str, ids: Iterable[str], decode: Callable[[Record], T], step: str) -> dict[str, T]:
        """Return the objects found, by id, from one snapshot; broken records are left out."""
        wanted = list(ids)
        records = await self._read(step, lambda: self._db.get_many(store, wanted))
        return {str(record["id"]): value for record, value in self.decoded(store, records.values(), decode)}

    async def first_key(
        self, store: str, index: str, values: Sequence[IndexValue], step: str, *, range: KeyRange | None = None
    ) -> str | None:
        """Return the primary key of the first record under these index values; one message on any store."""
        with failing_as(step):
            try:
                return await self._db.store(store).index(index).get_key(*values, range=range)
            except NotFound:
                return None

    async def page(
        self,
        store: str,
        index: str,
        values: Sequence[IndexValue],
        step: str,
        *,
        limit: int = PAGE,
        range: KeyRange | None = None,
        token: bytes = b"",
        direction: Literal["next", "prev"] = "next",
        keys_only: bool = False,
    ) -> Page:
        """Return one page of an index, in its order."""
        found = self._db.store(store).index(index)
        return await self._read(
            step,
            lambda: found.page(
                *values, range=range, limit=limit, token=token, direction=direction, keys_only=keys_only
            ),
        )

    async def page_by_id(
        self, store: str, range: KeyRange, step: str, *, limit: int = PAGE, token: bytes = b""
    ) -> Page:
        """Return one page of a store by primary key, the greatest first."""
        found = self._db.store(store)
        return await self._read(step, lambda: found.page(range=range, limit=limit, token=token, direction="prev"))

    async def count(
        self, store: str, index: str, values: Sequence[IndexValue], step: str, *, range: KeyRange | None = None
    ) -> int:
        """Return how many records the index has there; the store counts keys and reads no record."""
        found = self._db.store(store).index(index)
        return await self._read(step, lambda: found.count(*values, range=range))

    async def _read(self, step: str, call: Callable[[], Awaitable[T]]) -> T:
        """Ask, and ask again for a moment when the store cannot be reached: it may just be starting anew."""
        loop = asyncio.get_running_loop()
        patience_ends = loop.time() + PATIENCE_S
        backoff = Backoff(first_s=0.02, limit_s=0.5)
        while True:
            try:
                with failing_as(step):
                    return await call()
            except StorageUnavailable:
                if loop.time() >= patience_ends:
                    raise
                await backoff.wait()

    def decoded(
        self, store: str, records: Iterable[Record], decode: Callable[[Record], T]
    ) -> Iterator[tuple[Record, T]]:
        """Yield records with their objects. A broken one is skipped, counted, and logged the first time it is met."""
        for record in records:
            try:
                yield record, decode(record)
            except Undecodable as error:
                self._skipped(store, str(record.get("id")), error)

    def shown(self, store: str, items: Iterable[T], show: Callable[[T], M]) -> Iterator[M]:
        """Yield what ``show`` makes of objects of that store; one with broken contents is skipped and logged."""
        for item in items:
            try:
                yield show(item)
            except Undecodable as error:
                self._skipped(store, error.record_id, error)

    def _skipped(self, store: str, id: str, error: Undecodable) -> None:
        self.counters.undecodable += 1
        name = f"{store}/{id}"
        if name not in self.counters.poisoned:
            self.counters.poisoned.add(name)
            log.error(
                "record skipped: it cannot be decoded",
                event_name="record.undecodable",
                store=store,
                record_id=id,
                error=str(error),
            )

    def _decode_one(self, record: Record, decode: Callable[[Record], T], step: str) -> T:
        try:
            return decode(record)
        except Undecodable as error:
            self.counters.undecodable += 1
            raise Undecodable(f"{step}: {error}") from error

    # Writes

    async def write(self, writes: Sequence[Write], step: str) -> list[WriteResult]:
        """Apply the writes, in one commit with whatever else waits; one result for each.

        Entries of one call are committed together, but each is applied or refused by its own conditions alone.
        Refused ones carry the record that stood in their way.

        Raises:
            StorageUnavailable: no answer; the writes may or may not have been applied.
            StorageFailed: refused as a whole, nothing was applied.
        """
        if any(write.required for write in writes):
            raise ValueError("a required write would decide over other callers; use write_alone")
        answer: asyncio.Future[list[WriteResult]] = asyncio.get_running_loop().create_future()
        self._queue.append(_QueuedWrites(writes, step, answer, sum(map(_size, writes))))
        self._wake.set()
        return await answer

    async def write_alone(self, writes: Sequence[Write], step: str) -> list[WriteResult]:
        """Apply the writes in a commit of their own; ``required`` ones make it all or nothing."""
        with failing_as(step):
            return await self._commit(writes)

    async def create_stores(self, schemas: Iterable[tuple[str, ObjectStoreSchema]], step: str) -> None:
        """Make the object stores; one that exists with the same indexes stays as it is."""
        with failing_as(step):
            for name, schema in schemas:
                await self._db.create_object_store(name, schema)

    async def find_record(self, store: str, id: str, step: str) -> Record | None:
        """Return a record as it is; None also when the store itself does not exist."""
        with failing_as(step):
            try:
                return await self._db.store(store).get(id)
            except NotFound:
                return None

    async def _write_batches(self, beat: Beat) -> None:
        while True:
            while self._queue:
                beat.beat()
                batch = self._take_batch()
                try:
                    await self._write_batch(batch)
                except asyncio.CancelledError:
                    for queued in batch:
                        if not queued.answer.done():
                            queued.answer.set_exception(StorageUnavailable(f"{queued.step}: the provider is stopping"))
                    raise
                except Exception as error:
                    for queued in batch:
                        if not queued.answer.done():
                            queued.answer.set_exception(StorageFailed(f"{queued.step}: {error}"))
                    log.exception("batch failed", event_name="storage.batch_failed")
                # Whoever was answered may have the next writes ready at once: they go with this batch, not behind it.
                await asyncio.sleep(0)
            beat.rest()
            await self._wake.wait()
            self._wake.clear()

    def _take_batch(self) -> list[_QueuedWrites]:
        writes = size = taken = 0
        for queued in self._queue:
            writes += len(queued.writes)
            size += queued.size_bytes
            if taken and (writes > BATCH_WRITES or size > BATCH_BYTES):
                break
            taken += 1
        batch, self._queue = self._queue[:taken], self._queue[taken:]
        return batch

    async def _write_batch(self, batch: list[_QueuedWrites]) -> None:
        try:
            results = await self._commit([write for queued in batch for write in queued.writes])
        except IndexedDBError as error:
            if len(batch) == 1 or isinstance(error, StoreUnavailable):
                for queued in batch:
                    _fail(queued, _failure(queued.step, error))
                return
            for queued in batch:  # one of them is at fault; the others must not suffer
                await self._write_batch([queued])
            return
        start = 0
        for queued in batch:
            end = start + len(queued.writes)
            if not queued.answer.done():
                queued.answer.set_result(results[start:end])
            start = end

    async def _commit(self, writes: Sequence[Write]) -> list[WriteResult]:
        """Apply the writes in one message. A transaction that the store aborted wrote nothing and is tried again."""
        await self._db.reachable(PATIENCE_S)
        backoff = Backoff(first_s=0.005, limit_s=0.5)
        for attempt in range(1, CONFLICT_ATTEMPTS + 1):
            try:
                self.counters.commits += 1
                return await self._db.apply(writes, return_current=True)
            except StoreUnavailable:
                self._unanswered()
                raise
            except TransactionFailed as error:
                if attempt == CONFLICT_ATTEMPTS or error.code not in ("ABORTED", "INTERNAL", "UNKNOWN"):
                    raise
                await backoff.wait()
        raise AssertionError("unreachable")


def _fail(queued: _QueuedWrites, error: Exception) -> None:
    if not queued.answer.done():
        queued.answer.set_exception(error)


def _size(write: Write) -> int:
    """Return roughly the bytes of the write on the wire."""
    record = write.record or {}
    return 200 + sum(len(value) for value in record.values() if isinstance(value, (bytes, str)))


@contextmanager
def failing_as(step: str) -> Iterator[None]:
    """Turn errors of the store into ``StorageFailed`` that begins with the step."""
    try:
        yield
    except IndexedDBError as error:
        raise _failure(step, error) from error


def _failure(step: str, error: IndexedDBError) -> StorageFailed:
    text = f"{step}: {error}"
    if isinstance(error, StoreUnavailable):
        return StorageUnavailable(text)
    if isinstance(error, (StoreRefused, TransactionFailed)) and error.code in CONTENT_CODES:
        return ContentRefused(text)
    return StorageFailed(text)
