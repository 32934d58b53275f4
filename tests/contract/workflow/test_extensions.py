"""Extension fields and capabilities (decisions 2, 3, 5, 8 and 18), and what the process says of itself."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf import empty_pb2

from gestalt_sdk.gen.v1 import runtime_pb2, workflow_pb2
from tests.support.rigs.workflow import SUCCEEDED, Rig, Workflow, actor, target

pytestmark = pytest.mark.ours("workflow")


async def test_identity_names_capabilities_and_unknown_configuration(rig: Rig) -> None:
    workflow = await rig.provider(colour="blue")
    identity = workflow.process.identity
    assert identity is not None
    assert identity.kind == runtime_pb2.PROVIDER_KIND_WORKFLOW
    assert {"workflow.retarget", "workflow.retire", "workflow.reference", "workflow.published_by"} <= set(
        identity.capabilities
    )
    assert any("colour" in warning for warning in identity.warnings)


async def test_a_refused_configuration_leaves_the_earlier_one_in_force(workflow: Workflow) -> None:
    request = runtime_pb2.ConfigureProviderRequest(name="other", protocol_version=3)
    request.config.update({"workerCount": "many"})
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await workflow.process.lifecycle.ConfigureProvider(request)
    assert "workerCount is 'many'" in (refused.value.details() or "")
    assert (await workflow.run_in((await workflow.start_run()).id)).status == SUCCEEDED


async def test_a_signed_reference_travels_and_a_revoked_one_stops_at_once(rig: Rig, workflow: Workflow) -> None:
    await workflow.put_reference("ref", signature=b"mac", signature_key_id="k1")
    await workflow.run_in((await workflow.start_run(execution_ref="ref")).id)
    sent = rig.host.requests[-1].reference
    assert (sent.id, sent.signature, sent.signature_key_id) == ("ref", b"mac", "k1")
    assert sent == await workflow.get_reference("ref")
    revoked = workflow_pb2.WorkflowExecutionReference()
    revoked.CopyFrom(sent)
    revoked.revoked_at.GetCurrentTime()
    request = workflow_pb2.PutWorkflowExecutionReferenceRequest(reference=revoked)
    await workflow.rpc.PutExecutionReference(request)
    await workflow.run_in((await workflow.start_run(execution_ref="ref")).id)
    assert not rig.host.requests[-1].HasField("reference")
    assert rig.host.requests[-1].execution_ref == "ref"


async def test_an_unsigned_reference_is_left_for_the_host_to_fetch(rig: Rig, workflow: Workflow) -> None:
    await workflow.put_reference("ref")

    async def fetch(request: workflow_pb2.InvokeWorkflowOperationRequest) -> None:
        assert (await workflow.get_reference(request.execution_ref)).id == "ref"

    rig.host.during = fetch
    done = await workflow.run_in((await workflow.start_run(execution_ref="ref")).id)
    assert done.status == SUCCEEDED
    assert not rig.host.requests[0].HasField("reference")


async def test_the_publisher_is_named_when_it_is_not_the_owner(rig: Rig, workflow: Workflow) -> None:
    await workflow.upsert_trigger("t", requested_by=actor("user:alice"), execution_ref="ref")
    await workflow.publish("e1", published_by=actor("user:bob"))
    await workflow.publish("e2", published_by=actor("user:alice"))
    await rig.host.invoked(2)
    by_event = {request.trigger.event.event.id: request for request in rig.host.requests}
    assert by_event["e1"].published_by == actor("user:bob")
    assert by_event["e1"].created_by == actor("user:alice")
    assert not by_event["e2"].HasField("published_by")
    runs = {run.trigger.event.event.id: run for run in await workflow.list_runs()}
    assert runs["e1"].published_by == actor("user:bob")
    assert not runs["e2"].HasField("published_by")
    assert {run.execution_ref for run in runs.values()} == {"ref"}


async def test_retarget_moves_an_id_to_another_owner_and_only_then(workflow: Workflow) -> None:
    await workflow.upsert_schedule("s")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await workflow.upsert_schedule("s", target=target(plugin="other"))
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert (await workflow.upsert_schedule("s", target=target(plugin="other"), retarget=True)).id == "s"
    await workflow.upsert_trigger("t")
    moved = await workflow.upsert_trigger("t", target=target(plugin="other"), retarget=True)
    assert moved.target.plugin.plugin_name == "other"


async def test_retired_references_stay_usable(rig: Rig, workflow: Workflow) -> None:
    await workflow.put_reference("old", signature=b"mac")
    await workflow.upsert_schedule("s", execution_ref="old")
    await workflow.upsert_schedule("s", execution_ref="new", retire_execution_ref="old")
    retired = await workflow.get_reference("old")
    assert retired.HasField("retired_at")
    assert not retired.HasField("revoked_at")
    await workflow.run_in((await workflow.start_run(execution_ref="old")).id)
    assert rig.host.requests[-1].reference.HasField("retired_at")
    request = workflow_pb2.DeleteWorkflowProviderScheduleRequest(schedule_id="s", retire_execution_ref="new")
    await workflow.rpc.DeleteSchedule(request)


async def test_errors_carry_a_reason_for_programs(workflow: Workflow) -> None:
    from gestalt_sdk.transport.faults import reason_of

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await workflow.get_run("nope")
    assert reason_of(refused.value) == "NOT_FOUND"


async def test_without_a_store_calls_say_unavailable_and_health_says_why(rig: Rig, workflow: Workflow) -> None:
    await rig.store.kill()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await workflow.get_run("any")
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert (refused.value.details() or "").startswith("get run: ")
    health = await workflow.process.lifecycle.HealthCheck(empty_pb2.Empty())
    assert not health.ready
    assert health.message.startswith("health: ")
    await rig.store.boot(start=False)
    assert (await workflow.run_in((await workflow.start_run()).id)).status == SUCCEEDED
