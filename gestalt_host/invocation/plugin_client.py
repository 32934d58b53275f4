"""The host's client of one plugin process: IntegrationProvider.Execute with its request context (contract.md 4.5)."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.struct_pb2 import Struct

from gestalt_host.errors import PluginUnavailable, ProviderRefused, quoted
from gestalt_host.invocation.model import Execution, OperationResult, Payload
from gestalt_host.supervisor.links import ProviderLink
from gestalt_sdk.errors import GestaltError
from gestalt_sdk.gen.v1 import plugin_pb2 as pb
from gestalt_sdk.gen.v1 import plugin_pb2_grpc
from gestalt_sdk.values import to_struct

READY_WAIT_S = 10.0
"""How long a call waits for a plugin that is being restarted."""


class PluginClient:
    """Executes operations. There is no deadline: an operation may take as long as its caller waits."""

    def __init__(self, link: ProviderLink, *, base_url: str = "") -> None:
        self._link = link
        self._execute = plugin_pb2_grpc.IntegrationProviderStub(link.channel).Execute
        base_url = base_url.rstrip("/")
        self._host = pb.HostContext(public_base_url=base_url) if base_url else None

    async def execute(self, execution: Execution) -> OperationResult:
        """Call the plugin; a cancelled caller cancels the call.

        Raises:
            PluginUnavailable: the process is not running, or went away during the call.
            ProviderRefused: it answered with a gRPC error.
        """
        request = pb.ExecuteRequest(
            operation=execution.operation,
            params=_struct(execution.params),
            token=execution.credential.token,
            connection_params=execution.credential.params,
            invocation_id=execution.invocation_id,
            context=self._context(execution),
            invocation_token=execution.invocation_token,
            idempotency_key=execution.idempotency_key,
        )
        try:
            await self._link.wait_ready(READY_WAIT_S)
        except (TimeoutError, GestaltError) as error:
            raise PluginUnavailable(f"integration {quoted(self._link.name)} is not available") from error
        try:
            result = await self._execute(request)
        except grpc.aio.AioRpcError as error:
            code: grpc.StatusCode = error.code()
            if code is grpc.StatusCode.UNAVAILABLE:
                raise PluginUnavailable(f"integration {quoted(self._link.name)} is not available") from error
            raise ProviderRefused(code.name, error.details() or f"integration answered {code.name}") from error
        return OperationResult(result.status, result.body)

    def _context(self, execution: Execution) -> pb.RequestContext:
        subject, credential, access = execution.subject, execution.credential, execution.access
        members: dict[str, Any] = {
            "subject": pb.SubjectContext(
                id=subject.subject_id,
                kind=subject.subject_kind,
                display_name=subject.display_name,
                auth_source=subject.auth_source,
            ),
            "credential": pb.CredentialContext(
                mode=credential.mode,
                subject_id=credential.subject_id,
                connection=credential.connection,
                instance=credential.instance,
            ),
            "host": self._host,
        }
        if access.policy:
            members["access"] = pb.AccessContext(policy=access.policy, role=access.role)
        if execution.workflow is not None:
            members["workflow"] = _struct(execution.workflow)
        return pb.RequestContext(**members)


def _struct(payload: Payload) -> Struct | None:
    if isinstance(payload, Struct):
        return payload if payload.fields else None
    return to_struct(payload) if payload else None
