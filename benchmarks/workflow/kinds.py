"""What one run of each kind costs, from its cause to its recorded end: CPU, and messages between provider and store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

import uvloop

from benchmarks.workflow import report
from benchmarks.workflow.databases import EVENT_TYPE, SCHEDULES, Databases, Samples, due_schedules, put_all, soon
from benchmarks.workflow.sizes import Sizes
from benchmarks.workflow.system import WORKERS, Alone, System
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.rigs.workflow import target
from tests.support.waiting import eventually

IN_FLIGHT = 16
READY_S = 4.0
QUIET_S = 0.2


def kinds(databases: Databases, sizes: Sizes) -> None:
    """Runs started by hand, by an event, by a schedule, by a signal with a workflow key."""
    samples = databases.samples()
    ways: dict[str, Callable[[Alone, Samples, int], Awaitable[None]]] = {
        "started by hand": _by_hand,
        "by an event": _by_events,
        "by a schedule": _by_schedules,
        "by a signal, each with a key of its own": _by_signals,
    }
    for way, cause in ways.items():
        with databases.made(sizes.history) as system:
            uvloop.run(_cost(system, samples, sizes, way, cause))


async def _cost(
    system: System, samples: Samples, sizes: Sizes, way: str, cause: Callable[[Alone, Samples, int], Awaitable[None]]
) -> None:
    runs = sizes.kind_runs
    async with system.alone(counted=True) as alone:
        counting = alone.counting
        assert counting is not None
        if cause is _by_schedules:
            moments = [soon(READY_S)] * runs
            await put_all(alone.db, SCHEDULES, due_schedules(samples.schedule, "due", moments))
        await alone.workflow.process.start()
        await _quiet(alone)
        before, meter = counting.messages.copy(), alone.meter()
        await cause(alone, samples, runs)
        await alone.host.until_invoked(runs)
        await _quiet(alone)
        spent, messages = meter.spent(), counting.messages - before
    each = ", ".join(f"{name} {number / runs:.3f}" for name, number in messages.most_common())
    report.line(
        f"run {way}, {IN_FLIGHT} in flight, {WORKERS} workers, history {sizes.history:,}: "
        f"{messages.total() / runs:.3f} store messages a run ({each})"
    )
    report.cpu(spent, runs)


async def _quiet(alone: Alone) -> None:
    """Wait until nothing goes by any more between provider and store; a round of an idle second may."""

    async def probe() -> bool | None:
        assert alone.counting is not None
        before = alone.counting.count
        await asyncio.sleep(QUIET_S)
        return True if alone.counting.count == before else None

    await eventually(probe, within_s=60)


async def _calls(call: Callable[[int], Awaitable[object]], number_of: int) -> None:
    numbers = count()

    async def client() -> None:
        while (number := next(numbers)) < number_of:
            await call(number)

    await asyncio.gather(*(client() for _ in range(IN_FLIGHT)))


async def _by_hand(alone: Alone, samples: Samples, runs: int) -> None:
    await _calls(lambda number: alone.workflow.start_run("noop", idempotency_key=f"k{number}"), runs)


async def _by_events(alone: Alone, samples: Samples, runs: int) -> None:
    await _calls(lambda number: alone.workflow.publish(f"e{number}", type=EVENT_TYPE, source="bench"), runs)


async def _by_schedules(alone: Alone, samples: Samples, runs: int) -> None:
    await alone.host.until_invoked(runs)


async def _by_signals(alone: Alone, samples: Samples, runs: int) -> None:
    async def signal(number: int) -> None:
        request = pb.SignalOrStartWorkflowProviderRunRequest(
            workflow_key=f"key{number}", target=target("noop"), signal=pb.WorkflowSignal(name="go")
        )
        await alone.workflow.rpc.SignalOrStartRun(request)

    await _calls(signal, runs)
