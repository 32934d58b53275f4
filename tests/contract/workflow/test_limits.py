"""Limits of targets over real processes and a real store: never exceeded, nobody held up, what they cost."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from gestalt_sdk.gen.v1 import workflow_pb2
from tests.support.rigs.workflow import (
    DEADLINE_S,
    FAILED,
    PENDING,
    QUIET,
    RUNNING,
    SUCCEEDED,
    Rig,
    Workflow,
    quiet,
    target,
)
from tests.support.waiting import eventually, observed_for, taking


async def all_ended(workflow: Workflow, count: int) -> None:
    async def probe() -> bool | None:
        runs = await workflow.list_runs()
        return True if len(runs) == count and all(run.status > RUNNING for run in runs) else None

    await eventually(probe, within_s=60)


async def waits_for(workflow: Workflow, run_id: str, limit: str) -> None:
    async def probe() -> bool | None:
        run = await workflow.get_run(run_id)
        return True if run.status == PENDING and run.waits_for_limit == limit else None

    await eventually(probe)


class Watch:
    """The most invocations of an operation that were under way at once."""

    def __init__(self, rig: Rig, operation: str) -> None:
        self._rig, self._operation = rig, operation
        self.most = 0
        rig.host.during = self._look

    async def _look(self, request: Any) -> None:
        self.most = max(self.most, self._rig.host.active[self._operation])
        await taking(0.002)


@pytest.mark.parametrize("extensions", [True, False])
async def test_processes_on_one_database_never_exceed_a_limit_together(rig: Rig, extensions: bool) -> None:
    await rig.count_messages(without_extensions=not extensions)
    watch, gate = Watch(rig, "send"), rig.host.hold("send")
    config: dict[str, Any] = {"targetLimits": {"svc.send": 2}, "workerCount": 8}
    processes = [await rig.provider(**config) for _ in range(3)]
    runs = 90 if extensions else 30
    await asyncio.gather(*(processes[n % 3].start_run("send" if n % 3 else "other") for n in range(runs)))
    await eventually(lambda: _answer(rig.host.active["send"] == 2))  # it is reached
    gate.set()
    await all_ended(processes[0], runs)
    assert watch.most == 2
    assert len(rig.host.run_ids()) == len(set(rig.host.run_ids())) == runs


async def test_a_killed_process_frees_what_it_held(rig: Rig) -> None:
    config: dict[str, Any] = {"targetLimits": {"svc": 1}}
    first = await rig.provider(**config)
    gate = rig.host.hold("run")
    held = await first.start_run()
    await rig.host.invoked(1)
    second = await rig.provider(**config)
    waiting = await second.start_run("next")
    await waits_for(second, waiting.id, "svc")
    await first.process.kill()
    gate.set()
    await first.process.boot()  # the next life knows that the earlier one is dead, and settles its claims
    assert (await second.run_in(waiting.id)).status == SUCCEEDED
    assert (await second.get_run(held.id)).status == FAILED


async def test_a_place_that_another_process_freed_is_found_without_polling_often(rig: Rig) -> None:
    config: dict[str, Any] = {"targetLimits": {"svc": 1}, "pollInterval": "1h"}
    first = await rig.provider(**config)
    gate = rig.host.hold("run")
    held = await first.start_run()
    await rig.host.invoked(1)
    counting = await rig.count_messages()
    second = await rig.provider(**config)
    waiting = await second.start_run("next")
    await waits_for(second, waiting.id, "svc")
    await quiet(counting)
    before = counting.count
    await observed_for(5)
    assert counting.count - before <= 5 + 1
    gate.set()
    assert (await first.run_in(held.id)).status == SUCCEEDED
    assert (await second.run_in(waiting.id)).status == SUCCEEDED


async def test_ten_thousand_runs_of_a_limited_target_hold_nobody_up(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(start=False, targetLimits={"svc": 1}, workerCount=4, **QUIET)
    for number in range(100):
        await workflow.upsert_trigger(f"t{number}")
    await asyncio.gather(*(workflow.publish(f"e{number}") for number in range(100)))
    other = await workflow.rpc.StartRun(_start("other", "mail"))
    gate = rig.host.hold("run")
    await workflow.process.start()
    assert (await workflow.run_in(other.id, within_s=60)).status == SUCCEEDED
    assert rig.host.active["run"] == 1
    await quiet(counting)
    before, done = counting.count, len(rig.host.requests)
    late = await workflow.rpc.StartRun(_start("other", "mail"))
    assert (await workflow.run_in(late.id)).status == SUCCEEDED
    assert counting.count - before <= 4 + 30  # the rest are the reads of this test; nothing grows with what waits
    rig.host.gates.clear()
    gate.set()
    await rig.host.invoked(done + 100)


async def test_a_lone_run_within_a_limit_costs_what_another_does(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(targetLimits={"svc": 1, "svc.run": 1}, **QUIET)
    await workflow.put_reference("ref", signature=b"s", signature_key_id="k")
    costs: list[int] = []
    for _ in range(3):
        await quiet(counting)
        before = counting.count
        run = await workflow.start_run(execution_ref="ref")
        await quiet(counting)
        costs.append(counting.count - before)
        assert (await workflow.get_run(run.id)).status == SUCCEEDED
    assert max(costs[1:]) <= 4


@pytest.mark.parametrize("limit", [1, 4])
async def test_runs_behind_a_limit_cost_six_messages_each_at_most(rig: Rig, limit: int) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(workerCount=16, start=False, targetLimits={"svc": limit}, **QUIET)
    await workflow.put_reference("ref", signature=b"s", signature_key_id="k")
    runs = 160
    await asyncio.gather(*(workflow.start_run(execution_ref="ref") for _ in range(runs)))
    before = counting.count
    await workflow.process.start()
    await rig.host.invoked(runs)
    await quiet(counting)
    assert (counting.count - before) / runs <= 6


async def test_an_idle_second_with_limits_costs_one_message(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(targetLimits={"svc": 1}, maxConcurrentPerTarget=2)
    for _ in range(5):
        await workflow.start_run()
    await all_ended(workflow, 5)
    await quiet(counting)
    before = counting.count
    await observed_for(8)
    assert counting.count - before <= 8 + 1


async def _answer(found: bool) -> bool | None:
    return True if found else None


def _start(operation: str, plugin: str) -> Any:
    return workflow_pb2.StartWorkflowProviderRunRequest(target=target(operation, plugin))


async def test_what_is_too_large_for_a_run_is_refused_and_holds_nobody_up(rig: Rig) -> None:
    """A run that no message carries any more, once it is claimed, would end all claiming for good."""
    workflow = await rig.provider()
    large = target("large")
    large.plugin.input.update({"x": "x" * (16 * 1024 * 1024)})
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await workflow.rpc.StartRun(workflow_pb2.StartWorkflowProviderRunRequest(target=large), timeout=DEADLINE_S)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "target has 16777" in str(refused.value.details())
    assert "accepted are at most 16777216" in str(refused.value.details())
    event = workflow_pb2.WorkflowEvent(id="e", type="t", source="s")
    event.data.update({"x": "x" * (16 * 1024 * 1024)})
    with pytest.raises(grpc.aio.AioRpcError, match="event has 16777"):
        await workflow.rpc.PublishEvent(
            workflow_pb2.PublishWorkflowProviderEventRequest(event=event), timeout=DEADLINE_S
        )
    with pytest.raises(grpc.aio.AioRpcError, match=r"(target|reference) has 16777"):
        await workflow.put_reference("r", target=large)
    large.plugin.input.update({"x": "x" * (15 * 1024 * 1024)})
    run = await workflow.rpc.StartRun(workflow_pb2.StartWorkflowProviderRunRequest(target=large), timeout=DEADLINE_S)
    small = await workflow.start_run()
    for started in (run, small):
        assert (await workflow.run_in(started.id, within_s=60)).status == SUCCEEDED
