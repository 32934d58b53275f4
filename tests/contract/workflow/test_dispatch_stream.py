"""Dispatch on one stream: what waits travels together; breaks and restarts invoke nothing twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2

from gestalt_sdk.gen.extension.v1 import workflow_dispatch_pb2, workflow_dispatch_pb2_grpc
from gestalt_sdk.gen.v1 import workflow_pb2, workflow_pb2_grpc
from gestalt_sdk.transport.channels import SERVER_OPTIONS
from gestalt_sdk.transport.streamed import answer_calls
from tests.support.rigs.workflow import CANCELED, FAILED, RUNNING, SUCCEEDED, Rig, ScriptedHost, struct, target
from tests.support.waiting import eventually

pytestmark = pytest.mark.ours("workflow")


class StreamHost(ScriptedHost, workflow_dispatch_pb2_grpc.WorkflowDispatchServicer):
    """A scripted host that serves the stream too and keeps what came how."""

    def __init__(self, rig: Rig) -> None:
        super().__init__()
        self._socket = rig.host_socket = rig.directory / "stream.sock"
        self.unary = 0
        self.messages: list[int] = []
        """Calls in each message."""
        self.refusals: dict[str, tuple[grpc.StatusCode, str]] = {}

    async def InvokeOperation(self, request: Any, context: Any) -> workflow_pb2.InvokeWorkflowOperationResponse:
        if context is not None:
            self.unary += 1
        return await super().InvokeOperation(request, context)

    async def Dispatch(self, requests: Any, context: Any) -> None:
        async def noted() -> AsyncIterator[workflow_dispatch_pb2.DispatchCalls]:
            async for message in requests:
                self.messages.append(len(message.calls))
                yield message

        async def invoke(request: Any) -> workflow_pb2.InvokeWorkflowOperationResponse:
            refusal = self.refusals.get(request.target.plugin.operation)
            if refusal is not None:
                raise PermissionError(refusal)
            return await self.InvokeOperation(request, None)

        def status(error: Exception) -> status_pb2.Status:
            code, text = error.args[0]
            return status_pb2.Status(code=code.value[0], message=text)

        await answer_calls(noted(), context, workflow_dispatch_pb2.DispatchResults, invoke, status)

    @asynccontextmanager
    async def serving(self, *, stream: bool = True) -> AsyncIterator[None]:
        """Until the block ends; then the sockets close at once, as when a host is killed."""
        self._socket.unlink(missing_ok=True)
        server = grpc.aio.server(options=SERVER_OPTIONS)
        workflow_pb2_grpc.add_WorkflowHostServicer_to_server(self, server)
        if stream:
            workflow_dispatch_pb2_grpc.add_WorkflowDispatchServicer_to_server(self, server)
        server.add_insecure_port(f"unix:{self._socket}")
        await server.start()
        try:
            yield
        finally:
            await server.stop(0)

    async def quiet(self) -> None:
        """Wait until nothing is being invoked."""

        async def probe() -> bool | None:
            return None if self.active.total() else True

        await eventually(probe)


async def test_calls_that_wait_share_a_message(rig: Rig) -> None:
    host = StreamHost(rig)
    async with host.serving():
        workflow = await rig.provider(start=False, workerCount=16)
        runs = [await workflow.start_run() for _ in range(32)]
        await workflow.process.start()
        for run in runs:
            assert (await workflow.run_in(run.id)).status == SUCCEEDED
    assert host.unary == 0
    assert sum(host.messages) == len(set(host.run_ids())) == 32
    assert max(host.messages) == 16


async def test_a_refusal_is_the_status_message_of_its_run_alone(rig: Rig) -> None:
    host = StreamHost(rig)
    host.refusals["no"] = (grpc.StatusCode.PERMISSION_DENIED, "not you")
    async with host.serving():
        workflow = await rig.provider()
        refused, other = await workflow.start_run("no"), await workflow.start_run("yes")
        assert (await workflow.run_in(other.id)).status == SUCCEEDED
        run = await workflow.run_in(refused.id)
    assert (run.status, run.status_message) == (FAILED, "rpc error: code = PermissionDenied desc = not you")


async def test_cancelling_a_run_cancels_its_call_and_no_other(rig: Rig) -> None:
    host = StreamHost(rig)
    gates = [host.hold("long"), host.hold("other")]
    async with host.serving():
        workflow = await rig.provider()
        run, other = await workflow.start_run("long"), await workflow.start_run("other")
        await host.invoked(2)
        assert (await workflow.cancel_run(run.id, "enough")).status == CANCELED

        async def canceled() -> bool | None:
            return True if not host.active["long"] else None

        await eventually(canceled)
        assert host.active["other"] == 1
        for gate in gates:
            gate.set()
        assert (await workflow.run_in(other.id)).status == SUCCEEDED
        assert (await workflow.get_run(run.id)).status == CANCELED


async def test_a_stream_that_breaks_fails_what_it_carried_once_and_is_opened_again(rig: Rig) -> None:
    host = StreamHost(rig)
    gate = host.hold("long")
    async with host.serving():
        workflow = await rig.provider()
        lost = [await workflow.start_run("long") for _ in range(3)]
        await host.invoked(3)
    for run in lost:
        ended = await workflow.run_in(run.id)
        assert ended.status == FAILED
        assert ended.status_message.startswith("rpc error: code = Unavailable desc = ")
    await host.quiet()
    waiting = await workflow.start_run("long")  # claimed while no host is there
    await workflow.run_in(waiting.id, RUNNING)
    gate.set()
    async with host.serving():
        assert (await workflow.run_in(waiting.id)).status == SUCCEEDED
        assert (await workflow.run_in((await workflow.start_run("next")).id)).status == SUCCEEDED
    assert host.unary == 0
    assert sorted(host.run_ids()) == sorted(set(host.run_ids()))
    assert len(host.run_ids()) == 5


async def test_a_run_that_waits_for_its_host_can_be_canceled_and_is_never_invoked(rig: Rig) -> None:
    host = StreamHost(rig)
    workflow = await rig.provider()
    run = await workflow.start_run()
    await workflow.run_in(run.id, RUNNING)
    assert (await workflow.cancel_run(run.id)).status == CANCELED
    async with host.serving():
        other = await workflow.start_run()
        assert (await workflow.run_in(other.id)).status == SUCCEEDED
    assert host.run_ids() == [other.id]


async def test_a_host_without_the_stream_gets_unary_calls(rig: Rig) -> None:
    host = StreamHost(rig)
    async with host.serving(stream=False):
        workflow = await rig.provider()
        for _ in range(3):
            assert (await workflow.run_in((await workflow.start_run()).id)).status == SUCCEEDED
    assert host.unary == 3
    assert host.messages == []


async def test_a_host_that_lost_the_stream_gets_unary_calls_from_then_on(rig: Rig) -> None:
    host = StreamHost(rig)
    async with host.serving():
        workflow = await rig.provider()
        assert (await workflow.run_in((await workflow.start_run()).id)).status == SUCCEEDED
    async with host.serving(stream=False):
        assert (await workflow.run_in((await workflow.start_run()).id)).status == SUCCEEDED
    assert (sum(host.messages), host.unary) == (1, 1)
    assert len(set(host.run_ids())) == 2


async def test_a_big_request_is_a_call_of_its_own(rig: Rig) -> None:
    host = StreamHost(rig)
    async with host.serving():
        workflow = await rig.provider()
        big = target("run", input=struct(text="x" * 300_000))
        request = workflow_pb2.StartWorkflowProviderRunRequest(target=big)
        run = await workflow.rpc.StartRun(request, timeout=20)
        assert (await workflow.run_in(run.id)).status == SUCCEEDED
        assert (await workflow.run_in((await workflow.start_run()).id)).status == SUCCEEDED
    assert (sum(host.messages), host.unary) == (1, 1)
