"""Fair turns (decision 24) at the provider's socket: what one user has waiting delays others by a turn at most."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gestalt_sdk.gen.v1 import workflow_pb2
from tests.support.nightly import at_night
from tests.support.rigs.workflow import (
    BOTH_ENGINES,
    PENDING,
    QUIET,
    SUCCEEDED,
    Rig,
    Workflow,
    actor,
    make_due,
    quiet,
    target,
)
from tests.support.waiting import eventually, observed_for

pytestmark = [pytest.mark.ours("workflow"), BOTH_ENGINES]

EVENTS = at_night(5_000, otherwise=200)
WORKERS = 4
ALICE, BOB, EVE = actor("user:alice"), actor("user:bob"), actor("user:eve")


async def pending(workflow: Workflow, subject_id: str) -> workflow_pb2.BoundWorkflowRun:
    async def probe() -> Any:
        runs = await workflow.list_runs()
        return next((run for run in runs if (run.created_by.subject_id, run.status) == (subject_id, PENDING)), None)

    found: workflow_pb2.BoundWorkflowRun = await eventually(probe, within_s=30)
    return found


async def start(workflow: Workflow, who: Any, operation: str = "run") -> workflow_pb2.BoundWorkflowRun:
    request = workflow_pb2.StartWorkflowProviderRunRequest(target=target(operation), created_by=who)
    run: workflow_pb2.BoundWorkflowRun = await workflow.rpc.StartRun(request)
    return run


async def flood(workflow: Workflow, events: int = EVENTS) -> None:
    """Make a trigger of Eve's have that many runs of the operation ``slow``."""
    await workflow.upsert_trigger("t", operation="slow", requested_by=EVE)
    for first in range(0, events, 100):
        await asyncio.gather(*(workflow.publish(f"e{number}") for number in range(first, min(first + 100, events))))


def turn_of(rig: Rig, run_id: str) -> int:
    """How many runs were invoked before this one."""
    return rig.host.run_ids().index(run_id)


@pytest.mark.timeout(at_night(300, otherwise=120))
async def test_a_trigger_with_many_events_delays_nobody_else_s_schedules_and_runs(rig: Rig) -> None:
    workflow = await rig.provider(start=False, workerCount=WORKERS)
    await flood(workflow)
    await workflow.upsert_schedule("s", requested_by=BOB)
    await make_due(rig, "s")
    gate = rig.host.hold("slow")
    await workflow.process.start()
    await rig.host.invoked(WORKERS)
    scheduled = (await pending(workflow, "user:bob")).id if "user:bob" not in creators(rig) else ""
    started = (await start(workflow, ALICE)).id
    before = len(rig.host.requests)
    gate.set()
    assert (await workflow.run_in(started, within_s=30)).status == SUCCEEDED
    assert turn_of(rig, started) <= before + WORKERS + 2
    if scheduled:
        assert (await workflow.run_in(scheduled, within_s=30)).status == SUCCEEDED
        assert turn_of(rig, scheduled) <= before + WORKERS + 2


def creators(rig: Rig) -> set[str]:
    return {request.created_by.subject_id for request in rig.host.requests}


@pytest.mark.timeout(120)
async def test_a_process_that_begins_again_gives_turns_too(rig: Rig) -> None:
    workflow = await rig.provider(workerCount=1)
    gate = rig.host.hold("slow")
    await flood(workflow, 100)
    await rig.host.invoked(1)
    waiting = await start(workflow, BOB)
    await workflow.process.kill()
    gate.set()
    before = len(rig.host.requests)
    await workflow.process.boot()
    assert (await workflow.run_in(waiting.id, within_s=30)).status == SUCCEEDED
    assert turn_of(rig, waiting.id) <= before + 2


@pytest.mark.parametrize("extensions", [True, False])
async def test_processes_on_one_database_give_turns_and_invoke_each_run_once(rig: Rig, extensions: bool) -> None:
    await rig.count_messages(without_extensions=not extensions)
    processes = [await rig.provider(workerCount=2) for _ in range(2)]
    gate = rig.host.hold("slow")
    await flood(processes[0], 60)
    await rig.host.invoked(2)
    runs = [await start(process, BOB) for process in processes]
    gate.set()
    for run in runs:
        assert (await processes[0].run_in(run.id, within_s=30)).status == SUCCEEDED
    assert sum(turn_of(rig, run.id) < 30 for run in runs) == 2
    await rig.host.invoked(62, within_s=60)
    assert len(set(rig.host.run_ids())) == len(rig.host.run_ids()) == 62


@pytest.mark.parametrize("extensions", [True, False])
async def test_sixteen_runs_in_flight_of_many_subjects_cost_six_messages_each_at_most(
    rig: Rig, extensions: bool
) -> None:
    counting = await rig.count_messages(without_extensions=not extensions)
    workflow = await rig.provider(workerCount=16, start=False, **QUIET)
    await workflow.put_reference("ref", signature=b"s", signature_key_id="k")
    runs = 160
    await asyncio.gather(
        *(workflow.start_run(execution_ref="ref", created_by=actor(f"user:{number % 40}")) for number in range(runs))
    )
    before = counting.count
    await workflow.process.start()
    await rig.host.invoked(runs)
    await quiet(counting)
    assert (counting.count - before) / runs <= 6


async def test_an_idle_second_costs_one_message_whoever_has_runs_waiting(rig: Rig) -> None:
    """Every worker is taken, and hundreds of subjects wait; also while they are more than one page."""
    counting = await rig.count_messages()
    workflow = await rig.provider(workerCount=2)
    rig.host.hold("run")
    for first in range(0, 700, 100):
        await asyncio.gather(
            *(workflow.start_run(created_by=actor(f"user:{number}")) for number in range(first, first + 100))
        )
    await rig.host.invoked(2)
    await quiet(counting)
    before = counting.count
    await observed_for(8)
    assert counting.count - before <= 8 + 1
