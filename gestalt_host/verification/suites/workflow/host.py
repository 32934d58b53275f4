"""The host of a workflow provider under test: it answers as the rule says, and keeps what it was asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import grpc

from gestalt_host.verification.frames import RECEIVED, SENT, Frames
from gestalt_host.verification.suites.workflow.client import RUN_S
from gestalt_host.verification.waiting import until
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.gen.v1 import workflow_pb2_grpc
from gestalt_sdk.transport.channels import ServerContext
from gestalt_sdk.transport.faults import end_call

SERVICE = "gestalt.provider.v1.WorkflowHost"
_NAME = "WorkflowHost.InvokeOperation"


class ScriptedHost(workflow_pb2_grpc.WorkflowHostServicer):
    """Answers InvokeOperation by operation name, 200 ``ok`` unless told otherwise, and keeps every request.

    Attributes:
        requests: In the order in which they came.
        answers: Status and body for an operation.
        errors: The error for an operation.
        gates: For an operation: what its invocations wait for.
        during: Called with each request before anything else is done for it.
        active: How many invocations of an operation are under way.
        deadlines: Seconds that each call left itself; None: as long as it takes.
    """

    def __init__(self, frames: Frames | None = None) -> None:
        self.requests: list[pb.InvokeWorkflowOperationRequest] = []
        self.answers: dict[str, tuple[int, str]] = {}
        self.errors: dict[str, tuple[grpc.StatusCode, str]] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.during: Callable[[pb.InvokeWorkflowOperationRequest], Awaitable[None]] | None = None
        self.active: Counter[str] = Counter()
        self.deadlines: list[float | None] = []
        self._frames = frames or Frames()

    def register(self, server: grpc.aio.Server) -> Sequence[str]:
        """Serve on a server; return the name of the service."""
        workflow_pb2_grpc.add_WorkflowHostServicer_to_server(self, server)
        return [SERVICE]

    def hold(self, operation: str = "run") -> asyncio.Event:
        """Invocations of the operation wait until the event is set."""
        return self.gates.setdefault(operation, asyncio.Event())

    async def InvokeOperation(
        self, request: pb.InvokeWorkflowOperationRequest, context: ServerContext
    ) -> pb.InvokeWorkflowOperationResponse:
        operation = request.target.plugin.operation or request.target.agent.provider_name
        self._frames.note(RECEIVED, _NAME, request)
        self.requests.append(request)
        self.deadlines.append(None if context is None else context.time_remaining())
        self.active[operation] += 1
        try:
            if self.during is not None:
                await self.during(request)
            if operation in self.gates:
                await self.gates[operation].wait()
            if operation in self.errors:
                code, text = self.errors[operation]
                self._frames.note(SENT, _NAME, f"{code.name}: {text}")
                await end_call(context, code, text)
            status, body = self.answers.get(operation, (200, "ok"))
            answer = pb.InvokeWorkflowOperationResponse(status=status, body=body)
            self._frames.note(SENT, _NAME, answer)
            return answer
        finally:
            self.active[operation] -= 1

    def run_ids(self) -> list[str]:
        """Return the run of each invocation."""
        return [request.run_id for request in self.requests]

    def operations(self) -> list[str]:
        """Return the operation of each invocation."""
        return [request.target.plugin.operation for request in self.requests]

    def batches(self) -> list[list[str]]:
        """Return the names of the signals of each invocation."""
        return [[signal.name for signal in request.signals] for request in self.requests]

    async def invoked(self, count: int, *, within_s: float = RUN_S) -> list[pb.InvokeWorkflowOperationRequest]:
        """Wait until there have been that many invocations.

        Raises:
            Broken: there have not in time.
        """

        async def probe() -> bool | None:
            return True if len(self.requests) >= count else None

        await until(probe, f"{count} invocations", self.operations, within_s=within_s)
        return self.requests

    async def given_up(self, operation: str) -> None:
        """Wait until no invocation of the operation is under way.

        Raises:
            Broken: one is still.
        """

        async def probe() -> bool | None:
            return None if self.active[operation] else True

        expected = f'the invocations of "{operation}" to be cancelled'
        await until(probe, expected, lambda: f"{self.active[operation]} under way", within_s=RUN_S)
