"""Have the host run a run's target: one run, one InvokeOperation, no deadline (contract.md 4.2, semantics.md 18.4)."""

from __future__ import annotations

from collections.abc import Sequence

from gestalt_sdk.transport.streamed import CallFailed
from gestalt_sdk.workflow.clients import WorkflowHostClient
from gestalt_workflow.model.objects import InvocationFailed, InvocationResult, Outcome, Reference, Run, Signal
from gestalt_workflow.wire.messages import invocation_to_proto


class WorkflowHost:
    """The client through which runs are invoked; ``close`` ends its channel."""

    def __init__(self, client: WorkflowHostClient) -> None:
        self._client = client

    async def invoke(self, run: Run, signals: Sequence[Signal], reference: Reference | None) -> Outcome:
        """Have the host run the target. Waits for the answer however long it takes; cancel to give up.

        A host that cannot be reached at this moment is waited for: the run is claimed, but nothing has begun.
        """
        try:
            response = await self._client.invoke(invocation_to_proto(run, signals, reference))
        except CallFailed as error:
            return InvocationFailed(_status_text(error.code, str(error)), error.code)
        return InvocationResult(response.status, response.body)

    async def close(self) -> None:
        """Close the stream and the channel."""
        await self._client.close()


def _status_text(code: str, text: str) -> str:
    """Return the status message of a run whose call failed, such as ``rpc error: code = NotFound desc = ...``."""
    name = "Canceled" if code == "CANCELLED" else code.title().replace("_", "")
    return f"rpc error: code = {name} desc = {text}"
