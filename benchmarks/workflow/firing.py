"""How late schedules fire: many that are due one after the other, and many that are due at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import orjson
import uvloop

from benchmarks.echo import calls_per_second
from benchmarks.workflow import report
from benchmarks.workflow.databases import (
    RUNS,
    SCHEDULES,
    Databases,
    Samples,
    due_schedules,
    moment,
    put_all,
    read_all,
    schedules_like,
    soon,
    wait_ended,
    with_database,
)
from benchmarks.workflow.sizes import Sizes
from benchmarks.workflow.system import System
from gestalt_sdk.indexeddb import IndexedDB
from gestalt_sdk.transport.values import rfc3339

READY_S = 8.0
"""Between writing schedules and the first of them being due: time to start what is measured."""
AHEAD_S = 60.0
"""So long after what is measured others are still due, as the scheduler reads that far ahead."""
HOUR_US = 3_600_000_000
SEED = 7


def lateness(databases: Databases, sizes: Sizes) -> None:
    """So many schedules, of which some are due every second at moments that their jitter spreads."""
    samples = databases.samples()
    for schedules in sizes.schedules:
        with databases.made(sizes.history) as system:
            uvloop.run(_lateness_once(system, samples, schedules, sizes))


async def _lateness_once(system: System, samples: Samples, schedules: int, sizes: Sizes) -> None:
    due = min(schedules, int(sizes.due_per_s * (sizes.window_s + AHEAD_S)))
    measured = min(schedules, int(sizes.due_per_s * sizes.window_s))
    random = Random(SEED)
    offsets = sorted(random.uniform(0, due / sizes.due_per_s) for _ in range(due))
    async with system.alone() as alone:
        await put_all(alone.db, SCHEDULES, schedules_like(samples.schedule, "later", schedules - due))
        first = soon(READY_S)
        moments = [first + timedelta(seconds=offset) for offset in offsets]
        await put_all(alone.db, SCHEDULES, due_schedules(samples.schedule, "due", moments, jitter_us=HOUR_US))
        await alone.workflow.process.start()
        _in_time(first)
        await asyncio.sleep((first - datetime.now(UTC)).total_seconds())
        meter = alone.meter()
        await alone.host.until_invoked(measured)
        spent = meter.spent()
        ids = [f"due-{number:07}" for number in range(measured)]
        called = [alone.host.schedules[id] - at.timestamp() for id, at in zip(ids, moments, strict=False)]
        runs = {str(run["id"]): run for run in await read_all(alone.db, RUNS, [alone.host.run_ids[id] for id in ids])}
    created = [
        (moment(runs[alone.host.run_ids[id]], "created_at") - at).total_seconds()
        for id, at in zip(ids, moments, strict=False)
    ]
    what = f"lateness, {schedules:,} schedules, {sizes.due_per_s} due a second, history {sizes.history:,}"
    report.spread(f"{what}: due → run created [5 / 50 / 100]", created)
    report.spread("    due → host called", called)
    report.cpu(spent, measured)


def minute(databases: Databases, sizes: Sizes) -> None:
    """Schedules that are all due at the same instant: when the first and the last of their runs are invoked."""
    samples = databases.samples()
    what = f"{sizes.same_minute:,} schedules due at the same minute"
    with databases.made(sizes.history) as system:
        echo = calls_per_second(sizes.echo_s)
        first_s, last_s = uvloop.run(_minute_alone(system, samples, sizes))
        report.line(f"{what}, provider and store alone, echo {echo:,.0f} calls/s: {_first_and_last(first_s, last_s)}")
    with databases.made(sizes.history) as system:
        echo = calls_per_second(sizes.echo_s)
        first_s, last_s = _minute_end_to_end(system, samples, sizes)
        report.line(f"{what}, end to end, echo {echo:,.0f} calls/s: {_first_and_last(first_s, last_s)}")


def _first_and_last(first_s: float, last_s: float) -> str:
    return f"first invoked after {1e3 * first_s:.0f} ms [100], last after {last_s:.2f} s [12]"


async def _minute_alone(system: System, samples: Samples, sizes: Sizes) -> tuple[float, float]:
    async with system.alone() as alone:
        due = soon(READY_S)
        await put_all(alone.db, SCHEDULES, due_schedules(samples.schedule, "due", [due] * sizes.same_minute))
        await alone.workflow.process.start()
        _in_time(due)
        await alone.host.until_invoked(sizes.same_minute)
        called = [at - due.timestamp() for at in alone.host.schedules.values()]
    return min(called), max(called)


def _minute_end_to_end(system: System, samples: Samples, sizes: Sizes) -> tuple[float, float]:
    due = soon(2 * READY_S)

    async def prepare(db: IndexedDB) -> None:
        await put_all(db, SCHEDULES, due_schedules(samples.schedule, "due", [due] * sizes.same_minute))

    with_database(system, prepare)
    slot = rfc3339(due.replace(second=0, microsecond=0))
    ids = [f"schedule:due-{number:07}:{slot}" for number in range(sizes.same_minute)]
    host = system.gestaltd()
    host.start()
    try:
        _in_time(due)
        time.sleep((due - datetime.now(UTC)).total_seconds() + 1)
        for run in ids[-64:]:
            wait_ended(host, run)
    finally:
        host.stop()

    async def called(db: IndexedDB) -> Sequence[float]:
        runs = await read_all(db, RUNS, ids)
        times = [datetime.fromisoformat(orjson.loads(str(run["result_body"]))["at"]) for run in runs]
        return [(at - due).total_seconds() for at in times]

    after = with_database(system, called)
    return min(after), max(after)


def _in_time(due: datetime) -> None:
    if datetime.now(UTC) >= due:
        raise SystemExit(f"starting took longer than {READY_S:.0f} s: nothing was measured")
