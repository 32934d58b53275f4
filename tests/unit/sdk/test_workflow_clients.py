"""Workflow clients against a host that records what it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.rpc import status_pb2

from gestalt_sdk.bases.provider import ProviderKind
from gestalt_sdk.client_faults import CLIENT_FAULTS
from gestalt_sdk.errors import ServiceRefused, ServiceUnavailable
from gestalt_sdk.gen.extension.v1 import workflow_dispatch_pb2, workflow_dispatch_pb2_grpc
from gestalt_sdk.gen.v1 import plugin_pb2, plugin_pb2_grpc, workflow_pb2_grpc
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.transport.channels import open_channel
from gestalt_sdk.transport.environment import WORKFLOW_HOST_SOCKET, Address, EnvironmentUnusable
from gestalt_sdk.transport.faults import fault_of
from gestalt_sdk.transport.streamed import STREAMED_BYTES, CallFailed, answer_calls
from gestalt_sdk.workflow import (
    Event,
    EventMatch,
    PluginTarget,
    Signal,
    WorkflowHostClient,
    WorkflowManagerClient,
    WorkflowProvider,
    WorkflowProviderServicer,
)
from gestalt_sdk.workflow.invoker import PluginInvokerClient
from gestalt_sdk.workflow.targets import target_to_proto
from tests.support.waiting import taking

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
        if name == "GetSchedule" and request.schedule_id == "denied":
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "denied")
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
    assert (await manager.pause_schedule("s1")).paused
    assert not (await manager.resume_schedule("s1")).paused
    await manager.update_schedule("s1", "0 * * * *", PLUGIN, provider="other")
    assert service.requests[-1].provider_name == "other"
    assert (await manager.get_schedule("s1")).cron == "* * * * *"
    await manager.delete_schedule("s1")

    with pytest.raises(ServiceRefused, match="denied") as refused:
        await manager.get_schedule("denied")
    assert refused.value.code == "PERMISSION_DENIED"

    match = EventMatch("t", source="s")
    trigger = await manager.create_event_trigger(match, PLUGIN, idempotency_key="own")
    assert trigger.match == EventMatch("t")
    assert service.requests[-1].idempotency_key == "own"
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


async def test_what_is_nested_too_deeply_is_refused_in_words_before_it_is_sent(
    host: tuple[Host, grpc.aio.Channel],
) -> None:
    manager, invoker = WorkflowManagerClient(host[1], "tok"), PluginInvokerClient(host[1], "tok")
    deep: dict[str, Any] = {}
    for _ in range(60):
        deep = {"a": deep}
    for refused, name in (
        (manager.publish_event("t", data=deep), "data"),
        (manager.start_run(PluginTarget("p", "o", input=deep)), "input"),
        (manager.create_schedule("* * * * *", PluginTarget("p", "o", input=deep)), "input"),
        (invoker.invoke("p", "o", deep), "params"),
    ):
        with pytest.raises(ValueError, match=f"^{name} is nested too deeply: at most 24 levels"):
            await refused


async def test_events_whole_and_by_their_parts(host: tuple[Host, grpc.aio.Channel]) -> None:
    manager = WorkflowManagerClient(host[1], "tok")
    assert await manager.publish_event(EVENT) == EVENT
    event = await manager.publish_event("t", source="s", data={"n": 1})
    assert (event.id, event.type, event.source, event.data) == ("made", "t", "s", {"n": 1})
    with pytest.raises(ValueError, match="given whole"):
        await manager.publish_event(EVENT, source="other")


class StreamingHost(Host, workflow_dispatch_pb2_grpc.WorkflowDispatchServicer):
    """Serves the stream of the extension too."""

    async def reply(self, name: str, request: Any, context: Any) -> Any:
        if name != "Dispatch":
            return await super().reply(name, request, context)

        async def handle(call: pb.InvokeWorkflowOperationRequest) -> pb.InvokeWorkflowOperationResponse:
            if call.run_id == "denied":
                raise PermissionError("denied on the stream")
            return pb.InvokeWorkflowOperationResponse(status=201, body=call.run_id)

        def status(error: Exception) -> status_pb2.Status:
            return status_pb2.Status(code=grpc.StatusCode.PERMISSION_DENIED.value[0], message=str(error))

        await answer_calls(request, context, workflow_dispatch_pb2.DispatchResults, handle, status)
        return None


def invocation(run_id: str, *, padding: int = 0) -> pb.InvokeWorkflowOperationRequest:
    return pb.InvokeWorkflowOperationRequest(run_id=run_id, execution_ref="r" * padding)


@asynccontextmanager
async def host_client(host: Host, socket: Path) -> AsyncIterator[WorkflowHostClient]:
    server = grpc.aio.server()
    workflow_pb2_grpc.add_WorkflowHostServicer_to_server(host, server)
    if isinstance(host, StreamingHost):
        workflow_dispatch_pb2_grpc.add_WorkflowDispatchServicer_to_server(host, server)
    server.add_insecure_port(f"unix:{socket}")
    async with open_channel(Address(f"unix:{socket}")) as channel:
        client = WorkflowHostClient(channel)
        starting = asyncio.create_task(server.start())
        yield client
        await starting
        await client.close()
    await server.stop(0)


async def test_a_host_without_the_stream_is_called_for_each_run(tmp_path: Path) -> None:
    host = Host()
    async with host_client(host, tmp_path / "h") as client:
        answer = await client.invoke(invocation("r1"))
        assert (answer.status, answer.body) == (404, "{}")
        with pytest.raises(CallFailed, match="denied") as refused:
            await client.invoke(invocation("denied"))
    assert refused.value.code == "PERMISSION_DENIED"
    assert [request.run_id for request in host.requests] == ["r1", "denied"]


async def test_a_host_with_the_stream_gets_big_requests_beside_it(tmp_path: Path) -> None:
    host = StreamingHost()
    async with host_client(host, tmp_path / "h") as client:
        answers = await asyncio.gather(*(client.invoke(invocation(f"r{number}")) for number in range(3)))
        assert [(answer.status, answer.body) for answer in answers] == [(201, "r0"), (201, "r1"), (201, "r2")]
        with pytest.raises(CallFailed, match="denied on the stream") as refused:
            await client.invoke(invocation("denied"))
        assert refused.value.code == "PERMISSION_DENIED"
        big = await client.invoke(invocation("big", padding=STREAMED_BYTES))
    assert big.status == 404
    assert [type(request).__name__ for request in host.requests].count("InvokeWorkflowOperationRequest") == 1


async def test_a_closed_client_calls_one_by_one(tmp_path: Path) -> None:
    host = StreamingHost()
    async with host_client(host, tmp_path / "h") as client:
        assert (await client.invoke(invocation("before"))).status == 201
        await client.close()
        assert (await client.invoke(invocation("after"))).status == 404


class Starter(WorkflowProviderServicer):
    async def StartRun(self, request: pb.StartWorkflowProviderRunRequest, context: Any) -> pb.BoundWorkflowRun:
        return pb.BoundWorkflowRun(id="r1", workflow_key=request.workflow_key)


class Minimal(WorkflowProvider):
    def servicer(self) -> Starter:
        return Starter()


async def test_a_workflow_provider_is_its_servicer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provider, server = Minimal(), grpc.aio.server()
    assert provider.kind is ProviderKind.WORKFLOW
    assert provider.register(server) == ["gestalt.provider.v1.WorkflowProvider"]
    server.add_insecure_port(f"unix:{tmp_path / 'p'}")
    await server.start()
    async with open_channel(Address(f"unix:{tmp_path / 'p'}")) as channel:
        stub = workflow_pb2_grpc.WorkflowProviderStub(channel)
        run = await stub.StartRun(pb.StartWorkflowProviderRunRequest(workflow_key="k"), timeout=5)
    await server.stop(0)
    assert (run.id, run.workflow_key) == ("r1", "k")

    monkeypatch.delenv(WORKFLOW_HOST_SOCKET, raising=False)
    with pytest.raises(EnvironmentUnusable, match=WORKFLOW_HOST_SOCKET):
        provider.workflow_host()
    monkeypatch.setenv(WORKFLOW_HOST_SOCKET, str(tmp_path / "h"))
    server = grpc.aio.server()
    workflow_pb2_grpc.add_WorkflowHostServicer_to_server(Host(), server)
    server.add_insecure_port(f"unix:{tmp_path / 'h'}")
    await server.start()
    client = provider.workflow_host()
    assert (await client.invoke(invocation("r1"))).status == 404
    await client.close()
    await provider.host_channels.close()
    await server.stop(0)


def test_a_workflow_provider_must_have_a_servicer() -> None:
    with pytest.raises(NotImplementedError):
        WorkflowProvider().servicer()


async def test_no_host_is_unavailable_after_the_deadline(tmp_path: Path) -> None:
    async with open_channel(Address(f"unix:{tmp_path / 'none'}")) as channel:
        with pytest.raises(ServiceUnavailable) as raised:
            await PluginInvokerClient(channel, "tok").invoke("roadmap", "sync", timeout_s=0.3)
        fault = fault_of(raised.value, CLIENT_FAULTS)
        assert fault is not None
        assert fault.code is grpc.StatusCode.UNAVAILABLE


class LateHost(Host, plugin_pb2_grpc.PluginInvokerServicer):
    async def reply(self, name: str, request: Any, context: Any) -> Any:
        if name == "Invoke":
            return plugin_pb2.OperationResult(status=200, body=request.operation)
        if name == "InvokeOperation":
            return pb.InvokeWorkflowOperationResponse(status=200, body=request.run_id)
        return pb.ManagedWorkflowSchedule(schedule=pb.BoundWorkflowSchedule(id=request.schedule_id))


async def test_a_host_that_does_not_listen_yet_is_waited_for(tmp_path: Path) -> None:
    server = grpc.aio.server()
    host = LateHost()
    workflow_pb2_grpc.add_WorkflowManagerHostServicer_to_server(host, server)
    workflow_pb2_grpc.add_WorkflowHostServicer_to_server(host, server)
    plugin_pb2_grpc.add_PluginInvokerServicer_to_server(host, server)
    async with open_channel(Address(f"unix:{tmp_path / 'late'}")) as channel:
        workflow_host = WorkflowHostClient(channel)
        calls = asyncio.gather(
            WorkflowManagerClient(channel, "tok").get_schedule("s1"),
            PluginInvokerClient(channel, "tok").invoke("roadmap", "sync"),
            workflow_host.invoke(invocation("r1")),
        )
        await taking(1)
        assert not calls.done()
        server.add_insecure_port(f"unix:{tmp_path / 'late'}")
        await server.start()
        schedule, invoked, ran = await calls
        assert (schedule.id, invoked.body, ran.body) == ("s1", "sync", "r1")
        await workflow_host.close()
    await server.stop(0)
