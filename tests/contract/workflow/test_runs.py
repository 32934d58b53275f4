"""Runs through the contract: start, result, idempotency, workflow keys, cancel (semantics.md 18, 19.1, 19.5)."""

from __future__ import annotations

import grpc
import pytest

from tests.support.rigs.workflow import (
    CANCELED,
    FAILED,
    PENDING,
    RUNNING,
    SUCCEEDED,
    Rig,
    Workflow,
    actor,
    struct,
    target,
)
from tests.support.waiting import eventually


async def test_a_run_carries_what_it_was_started_with_to_the_host_and_back(rig: Rig, workflow: Workflow) -> None:
    run = await workflow.start_run(created_by=actor("user:alice"), execution_ref="workflow_run:1")
    assert run.status == PENDING
    assert run.trigger.HasField("manual")
    done = await workflow.run_in(run.id)
    assert (done.status, done.result_body, done.status_message) == (SUCCEEDED, "ok", "")
    (request,) = rig.host.requests
    assert request.run_id == run.id
    assert request.execution_ref == "workflow_run:1"
    assert request.target == target(input=struct())
    assert request.created_by == actor("user:alice")
    assert request.trigger.HasField("manual")
    assert not request.HasField("input")
    assert not request.HasField("metadata")
    assert not request.HasField("published_by")


async def test_a_failing_status_keeps_the_body_and_an_error_its_text(rig: Rig, workflow: Workflow) -> None:
    rig.host.answers["bad"] = (500, "oops")
    rig.host.errors["denied"] = (grpc.StatusCode.PERMISSION_DENIED, "no access")
    bad = await workflow.run_in((await workflow.start_run("bad")).id)
    assert (bad.status, bad.result_body) == (FAILED, "oops")
    assert bad.status_message == "workflow operation returned status 500"
    denied = await workflow.run_in((await workflow.start_run("denied")).id)
    assert (denied.status, denied.result_body) == (FAILED, "")
    assert denied.status_message == "rpc error: code = PermissionDenied desc = no access"


@pytest.mark.parametrize("status", [0, 200, 302, 399])
async def test_a_status_below_400_is_success(rig: Rig, workflow: Workflow, status: int) -> None:
    rig.host.answers["run"] = (status, "body")
    run = await workflow.run_in((await workflow.start_run()).id)
    assert (run.status, run.result_body, run.status_message) == (SUCCEEDED, "body", "")


@pytest.mark.parametrize("status", [400, 404, 500, 599])
async def test_a_status_from_400_on_is_a_failure_that_keeps_its_body(rig: Rig, workflow: Workflow, status: int) -> None:
    rig.host.answers["run"] = (status, "body")
    run = await workflow.run_in((await workflow.start_run()).id)
    assert (run.status, run.result_body) == (FAILED, "body")
    assert run.status_message == f"workflow operation returned status {status}"


@pytest.mark.trap("f")
async def test_idempotency_is_scoped_by_owner_and_subject(workflow: Workflow) -> None:
    alice, bob = actor("user:alice"), actor("user:bob")
    first = await workflow.start_run(idempotency_key="k", created_by=alice)
    again = await workflow.start_run("other", idempotency_key="k", created_by=alice, execution_ref="x")
    assert again.id == first.id
    assert again.target.plugin.operation == "run"
    assert again.execution_ref == ""
    assert (await workflow.start_run(idempotency_key="k", created_by=bob)).id != first.id


@pytest.mark.trap("n")
async def test_a_keyed_run_needs_no_signal_and_frees_its_key(rig: Rig, workflow: Workflow) -> None:
    gate = rig.host.hold("run")
    run = await workflow.start_run(workflow_key="k")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await workflow.start_run(workflow_key="k")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.value.details() == 'workflow key "k" already has an active run'
    gate.set()
    assert (await workflow.run_in(run.id)).status == SUCCEEDED
    assert (await workflow.start_run(workflow_key="k")).id != run.id


async def test_cancel_pending_running_and_finished(rig: Rig, workflow: Workflow) -> None:
    rig.host.hold("hang")
    running = await workflow.start_run("hang")
    await workflow.run_in(running.id, RUNNING)
    canceled = await workflow.cancel_run(running.id, "enough")
    assert (canceled.status, canceled.status_message) == (CANCELED, "enough")

    async def call_cancelled() -> bool | None:
        return None if rig.host.active["hang"] else True

    await eventually(call_cancelled)
    assert (await workflow.get_run(running.id)).status == CANCELED
    done = await workflow.run_in((await workflow.start_run()).id)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await workflow.cancel_run(done.id)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "can be canceled" in (refused.value.details() or "")


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


async def test_cancel_before_start_keeps_the_run_from_being_invoked(rig: Rig) -> None:
    workflow = await rig.provider(start=False)
    run = await workflow.start_run()
    assert (await workflow.cancel_run(run.id, "  ")).status_message == "canceled"
    await workflow.process.start()
    other = await workflow.run_in((await workflow.start_run("other")).id)
    assert rig.host.run_ids() == [other.id]


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
