"""The host as the provider calls it: one run, one InvokeOperation, no deadline (contract.md 4.2, semantics.md 18.4).

Invocations share one stream (extension WorkflowDispatch) with a host that serves it, and are calls of their own with
any other.
"""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from gestalt_sdk.gen.extension.v1 import workflow_pb2 as ext
from gestalt_sdk.gen.extension.v1 import workflow_pb2_grpc as ext_grpc
from gestalt_sdk.gen.v1 import workflow_pb2_grpc
from gestalt_sdk.transport.channels import open_channel
from gestalt_sdk.transport.environment import WORKFLOW_HOST_SOCKET, Address, service_address
from gestalt_sdk.transport.streamed import STREAMED_BYTES, CallFailed, StreamedCalls, StreamUnserved
from gestalt_workflow.model.objects import InvocationFailed, InvocationResult, Outcome, Reference, Run, Signal
from gestalt_workflow.wire.messages import invocation_to_proto


class WorkflowHost:
    def __init__(self, address: Address | None = None) -> None:
        """Without an address the one that the host gave this provider.

        Raises:
            EnvironmentUnusable: there is none.
        """
        self._channel = open_channel(address or service_address(WORKFLOW_HOST_SOCKET))
        self._stub = workflow_pb2_grpc.WorkflowHostStub(self._channel)
        dispatch = ext_grpc.WorkflowDispatchStub(self._channel).Dispatch
        self._stream = StreamedCalls(lambda: dispatch(wait_for_ready=True), ext.DispatchCalls, patient=True)

    async def invoke(self, run: Run, signals: Sequence[Signal], reference: Reference | None) -> Outcome:
        """Have the host run the target. Waits for the answer however long it takes; cancel to give up.

        A host that cannot be reached at this moment is waited for: the run is claimed, but nothing has begun.
        """
        request = invocation_to_proto(run, signals, reference)
        if self._stream.served and request.ByteSize() <= STREAMED_BYTES:
            try:
                response = await self._stream.call(request)
                return InvocationResult(response.status, response.body)
            except CallFailed as error:
                return InvocationFailed(_status_text(error.code, str(error)), error.code)
            except StreamUnserved:
                pass
        try:
            response = await self._stub.InvokeOperation(request, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            return InvocationFailed(_status_text(error.code().name, error.details() or ""), error.code().name)
        return InvocationResult(response.status, response.body)

    async def close(self) -> None:
        await self._stream.close()
        await self._channel.close()


def _status_text(code: str, text: str) -> str:
    """As the status message of a run has always shown it: ``rpc error: code = NotFound desc = ...``."""
    name = "Canceled" if code == "CANCELLED" else code.title().replace("_", "")
    return f"rpc error: code = {name} desc = {text}"
