"""Runs a second from stored pending runs: provider and store alone, and end to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from statistics import median

import uvloop

from benchmarks.echo import calls_per_second
from benchmarks.processes import CpuMeter, processes
from benchmarks.workflow import report
from benchmarks.workflow.databases import (
    RUNS,
    Databases,
    Samples,
    copied_id,
    put_all,
    rate,
    runs_like,
    wait_ended,
    with_database,
)
from benchmarks.workflow.sizes import Sizes
from benchmarks.workflow.system import WORKERS, System
from gestalt_sdk.indexeddb import IndexedDB

Measured = tuple[float, float, dict[str, float]]
"""Runs a second, the echo measured beside them, and the CPU of each process."""


def engine(databases: Databases, sizes: Sizes) -> None:
    """Provider and store alone, with a host that answers at once."""
    samples = databases.samples()
    what = f"provider and store alone, streamed dispatch, {sizes.runs:,} stored runs"

    def measure(history: int) -> Measured:
        with databases.made(history) as system:
            return uvloop.run(_engine_once(system, samples, sizes, stream=True))

    beside_history(what, "[2,000]", sizes, measure)
    with databases.made(sizes.history) as system:
        per_s, echo, spent = uvloop.run(_engine_once(system, samples, sizes, stream=False))
    report.rate(f"provider and store alone, unary dispatch, history {sizes.history:,}", per_s, echo)
    report.cpu(spent, sizes.runs)


async def _engine_once(system: System, samples: Samples, sizes: Sizes, *, stream: bool) -> Measured:
    # This host asks for no reference, so the runs name none.
    pending = {name: value for name, value in samples.pending.items() if name != "execution_ref"}
    echo = await _echo(sizes)
    async with system.alone(stream=stream) as alone:
        await put_all(alone.db, RUNS, runs_like(pending, "stored", sizes.runs))
        meter = alone.meter()
        await alone.workflow.process.start()
        await alone.host.until_invoked(sizes.runs)
        spent = meter.spent()
        await alone.workflow.process.end()
        return await rate(alone.db, _stored_ids(sizes)), echo, spent


def stored(databases: Databases, sizes: Sizes) -> None:
    """End to end: provider, store, gestaltd, plugin."""
    samples = databases.samples()

    def measure(history: int) -> Measured:
        with databases.made(history) as system:
            return _stored_once(system, samples, sizes)

    what = f"end to end, {sizes.runs:,} stored runs, {WORKERS} workers"
    beside_history(what, "[1,000]", sizes, measure)


def _stored_once(system: System, samples: Samples, sizes: Sizes) -> Measured:
    async def prepare(db: IndexedDB) -> None:
        await put_all(db, RUNS, runs_like(samples.pending, "stored", sizes.runs))

    async def measured(db: IndexedDB) -> float:
        return await rate(db, _stored_ids(sizes))

    with_database(system, prepare)
    echo = calls_per_second(sizes.echo_s)
    host = system.gestaltd()
    host.start()
    meter = CpuMeter(processes(host))
    try:
        for run in _stored_ids(sizes)[-2 * WORKERS :]:
            wait_ended(host, run)
        spent = meter.spent()
    finally:
        host.stop()
    return with_database(system, measured), echo, spent


def beside_history(what: str, goal: str, sizes: Sizes, measure: Callable[[int], Measured], runs: int = 0) -> None:
    """The same figure without and with history, taken in turn; what is printed is the median of each."""
    found: dict[int, list[Measured]] = {0: [], sizes.history: []}
    for _ in range(sizes.repeats):
        for history, taken in found.items():
            taken.append(measure(history))
    middle: dict[int, float] = {}
    for history, taken in found.items():
        middle[history] = median(per_s for per_s, _, _ in taken)
        each = ", ".join(f"{per_s:,.0f}" for per_s, _, _ in taken)
        echo = median(echo for _, echo, _ in taken)
        report.rate(f"{what}, history {history:,}", middle[history], echo, extra=f"; {each} {goal}")
        report.cpu(taken[-1][2], runs or sizes.runs)
    report.line(f"    share with that history: {middle[sizes.history] / middle[0]:.3f} [0.95]")


def _stored_ids(sizes: Sizes) -> list[str]:
    return [copied_id("stored", number) for number in range(sizes.runs)]


async def _echo(sizes: Sizes) -> float:
    return await asyncio.to_thread(calls_per_second, sizes.echo_s)
