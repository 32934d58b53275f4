"""Signals in one engine: what the contract suite cannot provoke from outside."""

from __future__ import annotations

import asyncio

import pytest
from gestalt_workflow.model.objects import RunStatus
from gestalt_workflow.objects.runs import StartRequest
from gestalt_workflow.objects.signals import SignalOrStartRequest

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.rigs.driving import all_runs, signal
from tests.support.rigs.engine import World, client_of, plugin_target
from tests.support.waiting import eventually, one_turn


async def test_two_processes_give_a_run_one_row_of_sequences(world: World) -> None:
    """Traps 12 and 13: no duplicate, no gap, whoever enqueues."""
    first, second = await world.engine(start=False), await world.engine(start=False)
    run = await first.runs.start(StartRequest(plugin_target(), workflow_key="k"))
    deliveries = await asyncio.gather(
        *((first if number % 2 else second).signals.signal(run.id, signal(f"s{number}")) for number in range(20))
    )
    assert sorted(delivery.signal.sequence for delivery in deliveries) == list(range(1, 21))


async def test_a_key_is_started_once_by_any_number_of_callers(world: World) -> None:
    first, second = await world.engine(start=False), await world.engine(start=False)
    request = SignalOrStartRequest("k", plugin_target(), signal("s"))
    deliveries = await asyncio.gather(
        *((first if number % 2 else second).signals.signal_or_start(request) for number in range(16))
    )
    assert len({delivery.run.id for delivery in deliveries}) == 1
    assert sum(delivery.started_run for delivery in deliveries) == 1
    assert sorted(delivery.signal.sequence for delivery in deliveries) == list(range(1, 17))


async def test_a_signal_that_meets_the_end_of_its_run_is_delivered_or_starts_another(world: World) -> None:
    """Traps 6 and q: enqueue and completion are one order, so none is stored on a run that has ended."""
    engine = await world.engine()
    delivered: set[str] = set()
    for number in range(40):
        await engine.signals.signal_or_start(SignalOrStartRequest("k", plugin_target(), signal(f"s{number}")))
        await one_turn()

    async def all_delivered() -> bool | None:
        for _, signals, _ in world.host.calls:
            delivered.update(pb.WorkflowSignal.FromString(s.data).name for s in signals)
        return True if len(delivered) == 40 else None

    await eventually(all_delivered)

    async def none_left() -> bool | None:
        return True if all(r.status is RunStatus.SUCCEEDED for r in await all_runs(engine)) else None

    await eventually(none_left)


@pytest.mark.trap(4)
async def test_signals_of_other_runs_cost_nothing(world: World) -> None:
    """Trap 4: reading a run's signals is independent of how many there are."""
    engine = await world.engine(start=False)
    run = await engine.runs.start(StartRequest(plugin_target(), workflow_key="k"))
    await engine.signals.signal(run.id, signal("mine"))
    before = client_of(engine).count
    await engine.signals.signal(run.id, signal("mine too"))
    alone = client_of(engine).count - before
    for number in range(30):
        await engine.signals.signal_or_start(SignalOrStartRequest(f"k{number}", plugin_target(), signal("s")))
    before = client_of(engine).count
    await engine.signals.signal(run.id, signal("mine three"))
    assert client_of(engine).count - before == alone <= 3


@pytest.mark.trap(5)
async def test_a_busy_key_does_not_keep_others_waiting(world: World) -> None:
    """Trap 5: a keyed run that comes back queues behind what waited before."""
    engine = await world.engine(start=False, worker_count=1)
    busy = (await engine.signals.signal_or_start(SignalOrStartRequest("busy", plugin_target("busy"), signal("0")))).run
    for number in range(1, 60):
        await engine.signals.signal(busy.id, signal(str(number)))
    world.clock.advance(seconds=1)
    other = await engine.runs.start(StartRequest(plugin_target("other"), workflow_key="other"))
    engine.start()
    await world.finished(engine, other.id)
    await world.finished(engine, busy.id)
    assert world.host.runs() == [busy.id, other.id, busy.id, busy.id]
