"""Databases to measure with: what the product itself wrote once, copied under other ids as often as wanted.

A database with a given content is written once and kept; each measurement works on a copy of its files. Copies of runs
are moved to ids such as event runs have, which lie anywhere in the order of keys, and a millisecond apart in time.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path
from typing import Any, TypeVar

import httpx
import orjson
import uvloop

from benchmarks.disk import fsync_s
from benchmarks.load import post_all
from benchmarks.workflow.system import WITHIN_S, System
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.indexeddb import IndexedDB, Record, Write
from tests.support.rigs.gestaltd import Gestaltd

RUNS, SCHEDULES, TRIGGERS = "wf_runs", "wf_schedules", "wf_triggers"
SAMPLES = "benchmark_samples"
"""An object store of ours in the same database: one record of each kind, as the provider wrote it."""
EVENT_TYPE = "benchmark.happened"
YEARLY = "0 3 1 1 *"
TARGET = {"plugin": {"name": "bench", "operation": "noop"}}
SUCCEEDED = 3
BATCH = 1_000
IN_FLIGHT = 3
CALM_WITHIN_S = 30.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Samples:
    """What the provider wrote of an event run that has ended, of one that waits, of a schedule and of a trigger."""

    done: Record
    pending: Record
    schedule: Record
    trigger: Record

    @property
    def trigger_id(self) -> str:
        return str(self.trigger["id"])


class Databases:
    """Makes systems whose store holds so many finished runs and schedules; ``root`` keeps the originals."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._numbers = count()

    @asynccontextmanager
    async def _opened(self, folder: Path) -> AsyncIterator[IndexedDB]:
        async with System(folder).store() as (_, _, db):
            yield db

    def samples(self) -> Samples:
        base = self._base()

        async def read() -> Samples:
            async with self._opened(base) as db:
                found = await db.get_many(SAMPLES, ["done", "pending", "schedule", "trigger"])
                return Samples(**{name: {**r, "id": r.pop("own_id")} for name, r in found.items()})

        return uvloop.run(read())

    @contextmanager
    def made(self, history: int = 0, schedules: int = 0) -> Iterator[System]:
        """A system on a database of its own: the trigger, so many finished runs, so many schedules due next year."""
        original = self._original(history, schedules)
        folder = self._root / f"m{os.getpid()}-{next(self._numbers)}"
        _copy(original, folder)
        try:
            yield System(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _original(self, history: int, schedules: int) -> Path:
        if not history and not schedules:
            return self._base()
        folder = self._root / f"original-{history}-{schedules}"
        if not folder.exists():
            samples, part = self.samples(), folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            _copy(self._original(history, 0) if schedules else self._base(), part)
            begin = time.perf_counter()

            async def fill() -> None:
                async with self._opened(part) as db:
                    if schedules:
                        await put_all(db, SCHEDULES, schedules_like(samples.schedule, "standing", schedules))
                    else:
                        await put_all(db, RUNS, runs_like(samples.done, "history", history))

            uvloop.run(fill())
            written, seconds = schedules or history, time.perf_counter() - begin
            what = "schedules" if schedules else "finished runs"
            size_mb = sum(path.stat().st_size for path in part.glob("state*")) / 1e6
            print(f"# wrote {written:,} {what} in {seconds:.0f} s; the database has {size_mb:,.0f} MB", flush=True)
            part.rename(folder)
        return folder

    def _base(self) -> Path:
        folder = self._root / "original"
        if not folder.exists():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            _write_base(System(part))
            part.rename(folder)
        return folder


def _copy(original: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    usual_s = fsync_s(folder)
    for path in original.glob("state*"):
        if path.is_file() and ".lock" not in path.name:
            shutil.copy2(path, folder / path.name)
    os.sync()
    # A disk may be busy with gigabytes long after it has said that it has them; what is measured must not wait for it.
    deadline = time.monotonic() + CALM_WITHIN_S
    while fsync_s(folder) > 1.5 * usual_s and time.monotonic() < deadline:
        time.sleep(0.5)


def _write_base(system: System) -> None:
    """Have the product write one object of each kind: through gestaltd, so that references are real and signed."""
    host = system.gestaltd()
    host.start()
    try:
        trigger = _created(host, "/workflow/event-triggers", {"match": {"type": EVENT_TYPE}, "target": TARGET})
        schedule = _created(host, "/workflow/schedules", {"cron": YEARLY, "timezone": "UTC", "target": TARGET})
        publish_over_http(host, ["first"])
        wait_ended(host, event_run_id(trigger, "first"))
    finally:
        host.stop()

    async def keep() -> None:
        async with system.store() as (_, scope, db), system.host() as (_, socket):
            async with system.provider(scope, socket) as workflow:
                event = pb.WorkflowEvent(id="second", source="bench", type=EVENT_TYPE)
                await workflow.rpc.PublishEvent(pb.PublishWorkflowProviderEventRequest(event=event))
            kept = {
                "done": await db.store(RUNS).get(event_run_id(trigger, "first")),
                "pending": await db.store(RUNS).get(event_run_id(trigger, "second")),
                "schedule": await db.store(SCHEDULES).get(schedule),
                "trigger": await db.store(TRIGGERS).get(trigger),
            }
            await db.create_object_store(SAMPLES)
            await put_all(db, SAMPLES, ({**r, "own_id": r["id"], "id": name} for name, r in kept.items()))
            await db.store(RUNS).delete(event_run_id(trigger, "second"))
            await db.store(SCHEDULES).delete(schedule)

    uvloop.run(keep())


def _created(host: Gestaltd, path: str, body: Any) -> str:
    answer = host.post(path, body)
    if answer.status_code not in (200, 201):
        raise SystemExit(f"POST {path}: {answer.status_code} {answer.text}")
    made: str = answer.json()["id"]
    return made


# Records


def copied_id(prefix: str, number: int) -> str:
    """Id of a copied run."""
    return "event:" + hashlib.sha256(f"{prefix}\0{number}".encode()).hexdigest()[:32]


def runs_like(record: Record, prefix: str, number_of: int) -> Iterator[Record]:
    """Copies of a run, a millisecond apart, the last one at the time of the original."""
    for number in range(number_of):
        moved = _earlier(record, timedelta(milliseconds=number_of - 1 - number))
        yield {**moved, "id": copied_id(prefix, number)}


def _earlier(record: Record, shift: timedelta) -> Record:
    moved = {name: value - shift if isinstance(value, datetime) else value for name, value in record.items()}
    created_us = record["created_us"]
    assert isinstance(created_us, int)
    return {**moved, "created_us": created_us - shift // timedelta(microseconds=1)}


def schedules_like(record: Record, prefix: str, number_of: int, **fields: Any) -> Iterator[Record]:
    """Copies of a schedule."""
    for number in range(number_of):
        yield {**record, **fields, "id": f"{prefix}-{number:07}"}


def due_schedules(record: Record, prefix: str, moments: Iterable[datetime], **fields: Any) -> Iterator[Record]:
    """Copies of a schedule that has a slot to fire at each of the moments.

    The slot is the minute before: as if the schedule had a jitter that lets it fire then.
    """
    for number, moment in enumerate(moments):
        slot = moment.replace(second=0, microsecond=0)
        yield {**record, **fields, "id": f"{prefix}-{number:07}", "next_run_at": slot, "due_at": moment}


async def put_all(db: IndexedDB, store: str, records: Iterable[Record]) -> None:
    """Write the records in batches, a few of them under way at once."""
    rest = iter(records)

    async def write() -> None:
        while batch := [Write(store, "put", record) for record in islice(rest, BATCH)]:
            outcomes = await db.apply(batch)
            if not all(outcome.ok for outcome in outcomes):
                raise SystemExit(f"a record could not be written to {store}")

    await asyncio.gather(*(write() for _ in range(IN_FLIGHT)))


async def read_all(db: IndexedDB, store: str, ids: list[str]) -> list[Record]:
    """The records with these ids, some hundred at a time."""
    found: list[Record] = []
    for first in range(0, len(ids), 500):
        found += (await db.get_many(store, ids[first : first + 500])).values()
    if len(found) != len(ids):
        raise SystemExit(f"{len(found)} records found in {store}, {len(ids)} expected")
    return found


async def rate(db: IndexedDB, ids: list[str]) -> float:
    """Runs a second, from the first recorded start to the last recorded end; all must have succeeded."""
    runs = await read_all(db, RUNS, ids)
    if failed := [run for run in runs if run["status"] != SUCCEEDED]:
        message = failed[0].get("status_message")
        raise SystemExit(f"{len(failed)} runs did not succeed; {failed[0]['id']} has {failed[0]['status']}: {message}")
    begin, end = min(moment(run, "started_at") for run in runs), max(moment(run, "completed_at") for run in runs)
    return len(runs) / (end - begin).total_seconds()


def moment(record: Record, name: str) -> datetime:
    value = record[name]
    assert isinstance(value, datetime)
    return value


# Over HTTP


def event_run_id(trigger: str, event: str) -> str:
    """Id of the run, which follows from trigger, source and event (semantics.md 3)."""
    return "event:" + hashlib.sha256("\0".join([trigger, "bench", event]).encode()).hexdigest()[:32]


def event_body(event: str) -> bytes:
    return orjson.dumps({"type": EVENT_TYPE, "source": "bench", "id": event})


def publish_over_http(host: Gestaltd, events: list[str], clients: int = 1) -> None:
    bodies = [event_body(event) for event in events]
    statuses = uvloop.run(post_all(host.port, "/api/v1/workflow/events", bodies, clients=clients))
    if refused := [status for status in statuses if status >= 300]:
        raise SystemExit(f"{len(refused)} of {len(events)} publishes were refused, the first with {refused[0]}")


def wait_ended(host: Gestaltd, run: str) -> None:
    """Wait until the run has ended; it need not exist yet."""
    deadline = time.monotonic() + WITHIN_S
    while not httpx.get(f"{host.url}/api/v1/workflow/runs/{run}", timeout=30).json().get("completedAt"):
        if time.monotonic() > deadline:
            raise SystemExit(f"{run} did not end within {WITHIN_S:.0f} s")
        time.sleep(0.25)


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def with_database(system: System, action: Callable[[IndexedDB], Awaitable[T]]) -> T:
    """What ``action`` makes of the system's database while nothing else runs."""

    async def act() -> T:
        async with system.store() as (_, _, db):
            return await action(db)

    result: T = uvloop.run(act())
    return result
