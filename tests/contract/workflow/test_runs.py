"""Runs through the contract: start, result, idempotency, workflow keys, cancel (semantics.md 18, 19.1, 19.5)."""

from __future__ import annotations

import grpc
import pytest

from tests.support.rigs.workflow import (
    Rig,
    Workflow,
)


@pytest.mark.ours("workflow")
async def test_the_refusal_to_cancel_says_how_the_run_has_ended(rig: Rig, workflow: Workflow) -> None:
    rig.host.answers["bad"] = (500, "oops")
    rig.host.hold("hang")
    runs = [(await workflow.start_run(operation)).id for operation in ("run", "bad", "hang")]
    await workflow.run_in(runs[0])
    await workflow.run_in(runs[1])
    await workflow.cancel_run(runs[2])
    for run_id, ended in zip(runs, ("has succeeded", "has failed", "has been canceled"), strict=True):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await workflow.cancel_run(run_id)
        text = f'workflow run "{run_id}" {ended}; only pending and running runs can be canceled'
        assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, text)


@pytest.mark.trap(18)
async def test_priorities_are_kept_when_one_worker_has_the_choice(rig: Rig) -> None:
    workflow = await rig.provider(start=False, workerCount=1)
    await workflow.upsert_trigger("e", operation="event")
    plain = await workflow.start_run("plain")
    keyed = await workflow.start_run("keyed", workflow_key="k")
    await workflow.publish("e1")
    await workflow.process.start()
    requests = await rig.host.invoked(3)
    assert [request.target.plugin.operation for request in requests] == ["event", "keyed", "plain"]
    await workflow.run_in(plain.id)
    await workflow.run_in(keyed.id)


async def test_runs_are_listed_by_creation(workflow: Workflow) -> None:
    started = [(await workflow.start_run()).id for _ in range(5)]
    assert [run.id for run in await workflow.list_runs()] == started
