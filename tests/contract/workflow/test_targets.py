"""What a target says reaches the host as it was stored, on every way into the queue (semantics.md 22)."""

from __future__ import annotations

import grpc
import pytest

from gestalt_host.verification.suites.workflow.references import WHOLE_AGENT, WHOLE_PLUGIN
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.rigs.workflow import FAILED, Rig, Workflow, make_due, target


@pytest.mark.trap(1)
@pytest.mark.ours("workflow")
async def test_every_way_into_the_queue_keeps_the_execution_reference(rig: Rig) -> None:
    workflow = await rig.provider(start=False)
    await workflow.upsert_schedule("s", execution_ref="by-schedule")
    await make_due(rig, "s")
    await workflow.upsert_trigger("t", execution_ref="by-event")
    await workflow.publish("e")
    await workflow.start_run(execution_ref="by-start")
    request = pb.SignalOrStartWorkflowProviderRunRequest(
        workflow_key="k", target=target(), signal=pb.WorkflowSignal(name="go"), execution_ref="by-signal"
    )
    await workflow.rpc.SignalOrStartRun(request)
    await workflow.process.start()
    await rig.host.invoked(4)
    sent = {request.execution_ref for request in rig.host.requests}
    assert sent == {"by-schedule", "by-event", "by-start", "by-signal"}
    assert {run.execution_ref for run in await workflow.list_runs()} == sent


@pytest.mark.trap(2)
@pytest.mark.ours("workflow")
@pytest.mark.parametrize("wanted", [WHOLE_PLUGIN, WHOLE_AGENT], ids=["plugin", "agent"])
async def test_no_field_of_a_target_is_lost_on_any_way(rig: Rig, wanted: pb.BoundWorkflowTarget) -> None:
    workflow = await rig.provider(start=False)
    await workflow.upsert_schedule("s", target=wanted)
    await workflow.upsert_trigger("t", target=wanted)
    await workflow.put_reference("ref", target=wanted)
    await make_due(rig, "s")
    await workflow.publish("e")
    start = pb.StartWorkflowProviderRunRequest(target=wanted)
    await workflow.rpc.StartRun(start)
    signalled = pb.SignalOrStartWorkflowProviderRunRequest(
        workflow_key="k", target=wanted, signal=pb.WorkflowSignal(name="go")
    )
    await workflow.rpc.SignalOrStartRun(signalled)
    assert (await workflow.get_schedule("s")).target == wanted
    assert (await workflow.get_reference("ref")).target == wanted
    trigger = await workflow.rpc.GetEventTrigger(pb.GetWorkflowProviderEventTriggerRequest(trigger_id="t"))
    assert trigger.target == wanted
    await workflow.process.start()
    await rig.host.invoked(4)
    assert all(request.target == wanted for request in rig.host.requests)
    assert all(run.target == wanted for run in await workflow.list_runs())


@pytest.mark.trap(17)
async def test_a_failed_agent_run_is_not_tried_again(rig: Rig, workflow: Workflow) -> None:
    rig.host.errors["helper"] = (grpc.StatusCode.UNAVAILABLE, "the agent provider went away")
    request = pb.StartWorkflowProviderRunRequest(target=WHOLE_AGENT)
    run = await workflow.run_in((await workflow.rpc.StartRun(request)).id)
    assert run.status == FAILED
    other = await workflow.run_in((await workflow.start_run("other")).id)
    assert rig.host.run_ids() == [run.id, other.id]


@pytest.mark.trap(28)
async def test_an_invocation_has_no_deadline(rig: Rig, workflow: Workflow) -> None:
    await workflow.run_in((await workflow.start_run()).id)
    request = pb.StartWorkflowProviderRunRequest(target=WHOLE_AGENT)
    await workflow.run_in((await workflow.rpc.StartRun(request)).id)
    assert rig.host.deadlines == [None, None]
