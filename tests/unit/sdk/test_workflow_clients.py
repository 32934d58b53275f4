"""Workflow clients against a host that records what it is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from gestalt_sdk.errors import ServiceRefused, ServiceUnavailable
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.gen.v1 import workflow_pb2_grpc
from gestalt_sdk.transport.channels import open_channel
from gestalt_sdk.transport.environment import Address
from gestalt_sdk.workflow.clients import WorkflowHostClient, WorkflowManagerClient
from gestalt_sdk.workflow.invoker import InvocationResult
from gestalt_sdk.workflow.targets import target_to_proto
from gestalt_sdk.workflow.types import Event, EventMatch, ManualTrigger, PluginTarget, Signal

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
PLUGIN = PluginTarget("roadmap", "sync", "c", "i", "user", {"mode": "full"})
EVENT = Event(
    "t", source="s", subject="x", data={"n": 1}, id="e", time=NOON, spec_version="1.0",
    data_content_type="application/json", extensions={"traceid": "1", "level": 2},
)  # fmt: skip


class Host(workflow_pb2_grpc.WorkflowManagerHostServicer, workflow_pb2_grpc.WorkflowHostServicer):
    """Answers with what it was sent."""

    def __init__(self) -> None:
        self.requests: list[Any] = []

    def __getattribute__(self, name: str) -> Any:
        if not name[0].isupper():
            return super().__getattribute__(name)

        async def answer(request: Any, context: Any) -> Any:
            self.requests.append(request)
            return await self.reply(name, request, context)

        return answer

    async def reply(self, name: str, request: Any, context: Any) -> Any:
        if name == "InvokeOperation":
            if request.run_id == "denied":
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, "workflow invoke operation: denied")
            return pb.InvokeWorkflowOperationResponse(status=404, body="{}")
        if name == "PublishEvent":
            request.event.id = request.event.id or "made"
            return request.event
        if name.startswith("Delete"):
            return Empty()
        if "Schedule" in name:
            schedule = pb.BoundWorkflowSchedule(
                id="s1", cron="* * * * *", timezone="UTC", paused=name == "PauseSchedule"
            )
            schedule.next_run_at.FromDatetime(NOON)
            return pb.ManagedWorkflowSchedule(provider_name="local", schedule=schedule)
        if "EventTrigger" in name:
            trigger = pb.BoundWorkflowEventTrigger(id="t1", match=pb.WorkflowEventMatch(type="t"))
            return pb.ManagedWorkflowEventTrigger(provider_name="local", trigger=trigger)
        run = pb.BoundWorkflowRun(id="r1", status=pb.WORKFLOW_RUN_STATUS_PENDING)
        if name == "StartRun":
            return pb.ManagedWorkflowRun(provider_name="local", run=run)
        return pb.ManagedWorkflowRunSignal(
            provider_name="local", run=run, signal=request.signal, started_run=True, workflow_key="k"
        )


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[tuple[Host, grpc.aio.Channel]]:
    host = Host()
    server = grpc.aio.server()
    workflow_pb2_grpc.add_WorkflowManagerHostServicer_to_server(host, server)
    workflow_pb2_grpc.add_WorkflowHostServicer_to_server(host, server)
    server.add_insecure_port(f"unix:{tmp_path / 'h'}")
    await server.start()
    async with open_channel(Address(f"unix:{tmp_path / 'h'}")) as channel:
        yield host, channel
    await server.stop(0)


async def test_the_manager_sends_token_and_key(host: tuple[Host, grpc.aio.Channel]) -> None:
    service, channel = host
    manager = WorkflowManagerClient(channel, "tok", idempotency_key="call-key")
    schedule = await manager.create_schedule("* * * * *", PLUGIN, timezone="Europe/Berlin")
    assert (schedule.id, schedule.provider, schedule.next_run_at, schedule.target) == ("s1", "local", NOON, None)
    created = service.requests[-1]
    assert (created.invocation_token, created.idempotency_key, created.timezone) == ("tok", "call-key", "Europe/Berlin")
    assert created.target == target_to_proto(PLUGIN)
    assert (await manager.pause_schedule("s1")).paused and not (await manager.resume_schedule("s1")).paused
    await manager.update_schedule("s1", "0 * * * *", PLUGIN, provider="other")
    assert service.requests[-1].provider_name == "other"
    assert (await manager.get_schedule("s1")).cron == "* * * * *"
    await manager.delete_schedule("s1")

    match = EventMatch("t", source="s")
    trigger = await manager.create_event_trigger(match, PLUGIN, idempotency_key="own")
    assert trigger.match == EventMatch("t") and service.requests[-1].idempotency_key == "own"
    await manager.update_event_trigger("t1", match, PLUGIN, paused=True)
    for method in (manager.get_event_trigger, manager.pause_event_trigger, manager.resume_event_trigger):
        assert (await method("t1")).id == "t1"
    await manager.delete_event_trigger("t1")

    assert (await manager.start_run(PLUGIN)).status == "pending"
    assert service.requests[-1].idempotency_key == ""
    signal = Signal("go", {"a": 1})
    assert (await manager.signal_run("r1", signal)).signal.payload == {"a": 1}
    result = await manager.signal_or_start_run("k", PLUGIN, signal)
    assert (result.started_run, result.workflow_key, result.run.id) == (True, "k", "r1")
    assert {request.invocation_token for request in service.requests} == {"tok"}


async def test_events_whole_and_by_their_parts(host: tuple[Host, grpc.aio.Channel]) -> None:
    manager = WorkflowManagerClient(host[1], "tok")
    assert await manager.publish_event(EVENT) == EVENT
    event = await manager.publish_event("t", source="s", data={"n": 1})
    assert (event.id, event.type, event.source, event.data) == ("made", "t", "s", {"n": 1})
    with pytest.raises(ValueError, match="given whole"):
        await manager.publish_event(EVENT, source="other")


async def test_an_invocation_gives_the_result_or_the_hosts_refusal(host: tuple[Host, grpc.aio.Channel]) -> None:
    client = WorkflowHostClient(host[1])
    result = await client.invoke(
        PLUGIN, run_id="r", execution_ref="ref", trigger=ManualTrigger(), signals=[Signal("go")], timeout_s=None
    )
    assert result == InvocationResult(404, "{}") and not result.ok
    with pytest.raises(ServiceRefused, match="denied") as refused:
        await client.invoke(PLUGIN, run_id="denied", execution_ref="ref", timeout_s=5)
    assert refused.value.code == "PERMISSION_DENIED"


async def test_no_host_is_unavailable(tmp_path: Path) -> None:
    async with WorkflowHostClient.connect(Address(f"unix:{tmp_path / 'none'}")) as client:
        with pytest.raises(ServiceUnavailable):
            await client.invoke(PLUGIN, run_id="r", execution_ref="ref", timeout_s=5)
