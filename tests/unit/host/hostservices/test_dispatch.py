"""WorkflowDispatch as a provider dials it: many invocations in a message, each answered for itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode as Code

from gestalt_host.hostservices.workflow_host import workflow_host
from gestalt_host.supervisor.service_sockets import ServiceSockets
from gestalt_sdk.gen.extension.v1 import workflow_dispatch_pb2, workflow_dispatch_pb2_grpc
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.rigs import grpc_calls
from tests.support.rigs.host import Rig, request, stored
from tests.support.rigs.links import serving
from tests.support.waiting import eventually


class Stream:
    def __init__(self, call: Any) -> None:
        self.call = call
        self.results: dict[int, workflow_dispatch_pb2.DispatchResult] = {}

    async def send(self, *cancellations: int, **requests: pb.InvokeWorkflowOperationRequest) -> None:
        """Calls by number (``n1=request``) and cancellations, in one message."""
        calls = [
            workflow_dispatch_pb2.DispatchCall(call_id=int(name[1:]), request=made) for name, made in requests.items()
        ]
        await self.call.write(workflow_dispatch_pb2.DispatchCalls(calls=calls, cancellations=cancellations))

    async def answered(self, *numbers: int) -> list[workflow_dispatch_pb2.DispatchResult]:
        async with asyncio.timeout(10):
            while not set(numbers) <= self.results.keys():
                for result in (await self.call.read()).results:
                    assert result.call_id not in self.results
                    self.results[result.call_id] = result
        return [self.results[number] for number in numbers]


@pytest.fixture
async def stream(rig: Rig, tmp_path: Path) -> AsyncIterator[Stream]:
    service = workflow_host(rig.clients["local"], rig.executor)
    async with serving(service.register, tmp_path, "dispatch") as link:
        call = workflow_dispatch_pb2_grpc.WorkflowDispatchStub(link.channel).Dispatch()
        greeting = await asyncio.wait_for(call.read(), 10)
        assert not greeting.results
        yield Stream(call)
        call.cancel()


async def active(rig: Rig, count: int) -> None:
    async def probe() -> bool | None:
        return len(rig.plugin.requests) - rig.plugin.canceled == count or None

    await eventually(probe)


async def test_calls_of_one_message_are_answered_each_for_itself(rig: Rig, stream: Stream) -> None:
    reference = await stored(rig)
    unknown = request(reference, carried=False)
    unknown.execution_ref = "gone"
    await stream.send(n7=request(reference), n8=unknown, n9=pb.InvokeWorkflowOperationRequest(run_id="r"))
    good, denied, invalid = await stream.answered(7, 8, 9)
    assert (good.response.status, good.response.body) == (200, '{"ok":true}')
    assert denied.status.code == Code.PERMISSION_DENIED.value[0]
    assert (
        denied.status.message
        == 'workflow invoke operation: authorization denied: workflow execution ref "gone" was not found'
    )
    assert invalid.status.code == Code.INVALID_ARGUMENT.value[0]
    assert invalid.status.message == "workflow invoke operation: target.plugin.plugin_name is required"


async def test_a_slow_call_holds_up_no_other(rig: Rig, stream: Stream) -> None:
    reference, gates = await stored(rig), [asyncio.Event(), asyncio.Event()]
    waiting = iter(gates)

    async def started() -> None:
        await next(waiting).wait()

    rig.plugin.started = started
    await stream.send(n1=request(reference))
    await active(rig, 1)
    await stream.send(n2=request(reference))
    await active(rig, 2)
    gates[1].set()
    await stream.answered(2)
    assert 1 not in stream.results
    gates[0].set()
    await stream.answered(1)


async def test_a_cancellation_cancels_the_call_at_the_plugin_and_no_other(rig: Rig, stream: Stream) -> None:
    reference, gate = await stored(rig), asyncio.Event()
    rig.plugin.started = lambda: gate.wait()
    await stream.send(n1=request(reference), n2=request(reference))
    await active(rig, 2)
    await stream.send(1, 99)
    await active(rig, 1)
    gate.set()
    (other,) = await stream.answered(2)
    assert other.response.status == 200
    assert rig.plugin.canceled == 1
    assert 1 not in stream.results


async def test_the_end_of_the_stream_cancels_what_runs(rig: Rig, stream: Stream) -> None:
    reference, gate = await stored(rig), asyncio.Event()
    rig.plugin.started = lambda: gate.wait()
    await stream.send(n1=request(reference), n2=request(reference))
    await active(rig, 2)
    stream.call.cancel()
    await active(rig, 0)


async def test_a_number_in_use_ends_the_stream(rig: Rig, stream: Stream) -> None:
    reference, gate = await stored(rig), asyncio.Event()
    rig.plugin.started = lambda: gate.wait()
    await stream.send(n1=request(reference))
    await active(rig, 1)
    await stream.send(n1=request(reference))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stream.answered(1)
    assert raised.value.code() is Code.INVALID_ARGUMENT
    assert raised.value.details() == "call_id 1 is in use; each call on a stream needs a number of its own"
    await active(rig, 0)


async def test_health_and_reflection_name_the_service(rig: Rig, tmp_path: Path) -> None:
    servers = ServiceSockets([workflow_host(rig.clients["local"], rig.executor)], tmp_path)
    await servers.start()
    try:
        socket = Path(servers.paths["GESTALT_WORKFLOW_HOST_SOCKET"])
        name = "gestalt.extension.v1.WorkflowDispatch"
        assert name in await asyncio.to_thread(grpc_calls.services, socket)
        assert await asyncio.to_thread(grpc_calls.described, socket, name)
        assert await asyncio.to_thread(grpc_calls.serving, socket, name)
    finally:
        await servers.stop()
