"""WorkflowHost: the service that one workflow provider dials to have its runs executed (contract.md 4.2).

``WorkflowDispatch``, on the same socket, is the same on one stream that carries many calls in a message.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import grpc
from google.rpc import status_pb2

from gestalt_host.access.subjects import Cause
from gestalt_host.errors import InvalidArgument
from gestalt_host.hostservices.faults import WORKFLOW_HOST_FAULTS, answering, status_for
from gestalt_host.hostservices.workflow_context import workflow_struct
from gestalt_host.supervisor.service_sockets import HostService
from gestalt_host.workflows.execution import RunExecutor
from gestalt_host.workflows.model import ExecutionReference, Signal
from gestalt_host.workflows.providers import convert
from gestalt_host.workflows.providers.client import WorkflowProviderClient
from gestalt_host.workflows.targets.equality import same_target
from gestalt_sdk.gen.extension.v1 import workflow_dispatch_pb2, workflow_dispatch_pb2_grpc
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.gen.v1 import workflow_pb2_grpc
from gestalt_sdk.transport.channels import ServerContext
from gestalt_sdk.transport.environment import WORKFLOW_HOST_SOCKET
from gestalt_sdk.transport.faults import end_call
from gestalt_sdk.transport.streamed import CallNumberTaken, answer_calls
from gestalt_sdk.workflow import convert as workflow_convert
from gestalt_sdk.workflow.targets import target_from_proto

SERVICE = "gestalt.provider.v1.WorkflowHost"
DISPATCH_SERVICE = "gestalt.extension.v1.WorkflowDispatch"
PREFIX = "workflow invoke operation: "


def workflow_host(client: WorkflowProviderClient, executor: RunExecutor) -> HostService:
    """Make the service for the provider behind ``client``; its socket identifies it."""

    def register(server: grpc.aio.Server) -> Sequence[str]:
        servicer = WorkflowHostServicer(client, executor)
        workflow_pb2_grpc.add_WorkflowHostServicer_to_server(servicer, server)
        workflow_dispatch_pb2_grpc.add_WorkflowDispatchServicer_to_server(
            WorkflowDispatchServicer(servicer.invoke), server
        )
        return [SERVICE, DISPATCH_SERVICE]

    return HostService(WORKFLOW_HOST_SOCKET, register)


class WorkflowHostServicer(workflow_pb2_grpc.WorkflowHostServicer):
    def __init__(self, client: WorkflowProviderClient, executor: RunExecutor) -> None:
        self._client = client
        self._executor = executor

    async def InvokeOperation(
        self, request: pb.InvokeWorkflowOperationRequest, context: ServerContext
    ) -> pb.InvokeWorkflowOperationResponse:
        async with answering(context, WORKFLOW_HOST_FAULTS, PREFIX):
            return await self.invoke(request)

    async def invoke(self, request: pb.InvokeWorkflowOperationRequest) -> pb.InvokeWorkflowOperationResponse:
        """Execute the run's target. Raises the errors of ``WORKFLOW_HOST_FAULTS``."""
        _check(request)
        result = await self._executor.execute(self._client, WireExecution(request))
        return pb.InvokeWorkflowOperationResponse(status=result.status, body=result.text())


class WorkflowDispatchServicer(workflow_dispatch_pb2_grpc.WorkflowDispatchServicer):
    def __init__(
        self, invoke: Callable[[pb.InvokeWorkflowOperationRequest], Awaitable[pb.InvokeWorkflowOperationResponse]]
    ) -> None:
        self._invoke = invoke

    async def Dispatch(
        self, requests: AsyncIterator[workflow_dispatch_pb2.DispatchCalls], context: ServerContext
    ) -> None:
        def status(error: Exception) -> status_pb2.Status:
            return status_for(error, WORKFLOW_HOST_FAULTS, PREFIX)

        try:
            await answer_calls(requests, context, workflow_dispatch_pb2.DispatchResults, self._invoke, status)
        except CallNumberTaken as error:
            await end_call(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))


def _check(request: pb.InvokeWorkflowOperationRequest) -> None:
    kind = request.target.WhichOneof("kind")
    if kind == "agent":
        if not request.target.agent.provider_name.strip():
            raise InvalidArgument("target.agent.provider_name is required")
    else:
        if not request.target.plugin.plugin_name.strip():
            raise InvalidArgument("target.plugin.plugin_name is required")
        if not request.target.plugin.operation.strip():
            raise InvalidArgument("target.plugin.operation is required")
    if not request.execution_ref.strip():
        raise InvalidArgument("execution_ref is required")


class WireExecution:
    """One request, as ``workflows.execution`` asks about it; decoded only where somebody looks."""

    def __init__(self, request: pb.InvokeWorkflowOperationRequest) -> None:
        self._request = request
        self.run_id = request.run_id.strip()
        self.execution_ref = request.execution_ref.strip()
        self._signals: list[Signal] | None = None

    def cause(self) -> Cause | None:
        return convert.cause_from_proto(self._request.cause) if self._request.HasField("cause") else None

    def trigger_kind(self) -> str:
        return self._request.trigger.WhichOneof("kind") or ""

    def carried(self) -> bytes:
        if not self._request.HasField("reference"):
            return b""
        return self._request.reference.SerializeToString(deterministic=True)

    def carried_reference(self) -> ExecutionReference:
        return convert.reference_from_proto(self._request.reference)

    def target_label(self) -> str:
        target = self._request.target
        if target.WhichOneof("kind") == "agent":
            return f"agent:{target.agent.provider_name}"
        return f"{target.plugin.plugin_name}.{target.plugin.operation}"

    def same_target(self, reference: ExecutionReference, *, carried: bool) -> bool:
        # Messages that are equal have equal targets; others are compared in their normalised forms.
        if carried and self._request.target == self._request.reference.target:
            return True
        return same_target(target_from_proto(self._request.target), reference.target)

    def params(self) -> bytes:
        # Serialised maps are joined: of two entries with one key the later one counts.
        return self._request.target.plugin.input.SerializeToString() + self._request.input.SerializeToString()

    def workflow(self, provider: str) -> bytes:
        return workflow_struct(self._request, provider, self.signals())

    def signals(self) -> list[Signal]:
        if self._signals is None:
            self._signals = [workflow_convert.signal_from_proto(item) for item in self._request.signals]
        return self._signals
