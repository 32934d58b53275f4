"""What is stored and does nothing: how long a start takes with it, how much memory, and what an idle second costs."""

from __future__ import annotations

import asyncio
import time

import uvloop

from benchmarks.processes import CpuMeter, processes
from benchmarks.workflow import report
from benchmarks.workflow.databases import RUNS, Databases, Samples, put_all, runs_like, wait_ended, with_database
from benchmarks.workflow.sizes import Sizes
from benchmarks.workflow.system import System
from gestalt_sdk.indexeddb import IndexedDB

SETTLE_S = 5.0


def startup(databases: Databases, sizes: Sizes) -> None:
    """From the launch of gestaltd until it is ready, and until a run that waited has ended; then memory."""
    samples = databases.samples()
    for history, schedules in ((0, 0), (sizes.history, sizes.standing)):
        with databases.made(history, schedules) as system:

            async def prepare(db: IndexedDB) -> None:
                await put_all(db, RUNS, runs_like(samples.pending, "waiting", 1))

            with_database(system, prepare)
            (waiting,) = runs_like(samples.pending, "waiting", 1)
            host = system.gestaltd()
            begin = time.perf_counter()
            host.start()
            try:
                ready_s = time.perf_counter() - begin
                wait_ended(host, str(waiting["id"]))
                ended_s = time.perf_counter() - begin
                report.line(
                    f"start of gestaltd, {schedules:,} schedules, {history:,} runs: ready after {ready_s:.2f} s, "
                    f"a stored run ended after {ended_s:.2f} s [5]"
                )
                time.sleep(SETTLE_S if sizes.idle_s > SETTLE_S else 0)
                report.memory(processes(host))
            finally:
                host.stop()
            first_s, invoked_s = uvloop.run(_provider_start(system, samples))
            report.line(
                f"start of provider and store alone: configured after {first_s:.2f} s, "
                f"a stored run invoked after {invoked_s:.2f} s"
            )


async def _provider_start(system: System, samples: Samples) -> tuple[float, float]:
    async with system.store() as (_, _, db):
        await put_all(db, RUNS, runs_like(samples.pending, "waiting again", 1))
    begin = time.perf_counter()
    async with system.alone() as alone:
        configured_s = time.perf_counter() - begin
        await alone.workflow.process.start()
        await alone.host.until_invoked(1)
        return configured_s, time.perf_counter() - begin


def idle(databases: Databases, sizes: Sizes) -> None:
    """Messages between provider and store, and CPU of every process, while nothing is due."""
    with databases.made(sizes.history, sizes.standing) as system:
        messages, spent = uvloop.run(_idle_alone(system, sizes))
        what = f"idle {sizes.idle_s:.0f} s, {sizes.standing:,} schedules, {sizes.history:,} runs"
        report.line(f"{what}, provider and store alone: {messages / sizes.idle_s:.2f} store messages a second [1]")
        report.idle_cpu(spent, sizes.idle_s)
        host = system.gestaltd()
        host.start()
        try:
            time.sleep(SETTLE_S)
            meter = CpuMeter(processes(host))
            time.sleep(sizes.idle_s)
            spent = meter.spent()
        finally:
            host.stop()
        report.line(f"{what}, under gestaltd, {len(spent)} processes [provider 1 %]")
        report.idle_cpu(spent, sizes.idle_s)


async def _idle_alone(system: System, sizes: Sizes) -> tuple[int, dict[str, float]]:
    async with system.alone(counted=True) as alone:
        assert alone.counting is not None
        await alone.workflow.process.start()
        await asyncio.sleep(SETTLE_S)
        meter, before = alone.meter(), alone.counting.count
        await asyncio.sleep(sizes.idle_s)
        return alone.counting.count - before, meter.spent()
