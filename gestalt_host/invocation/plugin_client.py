"""The host's client of one plugin process: IntegrationProvider.Execute with its request context (contract.md 4.5).

Operations share one stream (extension PluginDispatch) with a plugin that serves it, and are calls of their own with any
other.
"""

from __future__ import annotations

import grpc
import structlog

from gestalt_host.errors import (
    HostError,
    PluginAway,
    PluginUnavailable,
    ProviderRefused,
    SessionCatalogueFailed,
    quoted,
)
from gestalt_host.invocation.catalogue_convert import CatalogueUnfit, operations_from_proto
from gestalt_host.invocation.model import Invocation, OperationResult, Payload, Session
from gestalt_host.packages.catalogue import CatalogueOperation
from gestalt_host.supervisor.errors import ProviderDown
from gestalt_host.supervisor.lifecycle import SESSION_CATALOGUE
from gestalt_host.supervisor.links import ProviderLink
from gestalt_sdk.common.printable import printable
from gestalt_sdk.common.requests import current_request_id
from gestalt_sdk.errors import GestaltError
from gestalt_sdk.gen.extension.v1 import plugin_dispatch_pb2, plugin_dispatch_pb2_grpc
from gestalt_sdk.gen.v1 import plugin_pb2 as pb
from gestalt_sdk.gen.v1 import plugin_pb2_grpc
from gestalt_sdk.transport.streamed import STREAMED_BYTES, CallFailed, StreamedCalls, StreamUnserved
from gestalt_sdk.transport.values import to_struct

SESSION_CATALOGUE_TIMEOUT_S = 30.0
READY_WAIT_S = 10.0
"""How long a call waits for a plugin that is being restarted."""

log = structlog.get_logger()


class PluginClient:
    """Calls operations, and asks which there are for a caller.

    An operation has no deadline: it may take as long as its caller waits.
    """

    def __init__(self, link: ProviderLink, *, base_url: str = "") -> None:
        self._link = link
        stub = plugin_pb2_grpc.IntegrationProviderStub(link.channel)
        self._execute = stub.Execute
        self._get_session_catalogue = stub.GetSessionCatalog
        self._stream = StreamedCalls(
            plugin_dispatch_pb2_grpc.PluginDispatchStub(link.channel).Dispatch,
            plugin_dispatch_pb2.PluginCalls,
            patient=False,
        )
        link.calls.on_give_up(self._stream.give_up)
        self._base_url = base_url.rstrip("/")

    async def invoke(self, invocation: Invocation) -> OperationResult:
        """Call the plugin; a cancelled caller cancels the call.

        Raises:
            PluginUnavailable: the process went away during the call.
            PluginAway: it could not be started, does not answer any more, or is started again after it ended.
            ProviderRefused: it answered with a gRPC error.
        """
        request = pb.ExecuteRequest(
            operation=invocation.operation,
            token=invocation.credential.token,
            connection_params=invocation.credential.params,
            invocation_id=invocation.invocation_id,
            invocation_token=invocation.invocation_token,
            idempotency_key=invocation.idempotency_key,
        )
        # Parsing into the message is several times faster than copying messages into it.
        if invocation.params:
            request.params.MergeFromString(_encoded(invocation.params))
        self._fill_context(request.context, invocation)
        if invocation.workflow is not None:
            request.context.workflow.MergeFromString(_encoded(invocation.workflow))
        try:
            await self._link.wait_ready(READY_WAIT_S)
            result = await self._send(request)
        except ProviderDown as error:
            raise PluginAway(self._link.name, str(error)) from error
        except CallFailed as error:
            raise self._failed(error.code, str(error)) from error
        except grpc.aio.AioRpcError as error:
            raise self._failed(error.code().name, error.details() or "") from error
        except (TimeoutError, GestaltError) as error:
            raise PluginUnavailable(f"integration {quoted(self._link.name)} is not available") from error
        return OperationResult(result.status, result.body)

    @property
    def offers_session_catalogue(self) -> bool:
        return SESSION_CATALOGUE in self._link.capabilities

    async def started(self) -> None:
        """Wait for a plugin that is being started. Raises ``PluginUnavailable``, ``PluginAway``."""
        try:
            await self._link.wait_ready(READY_WAIT_S)
        except ProviderDown as error:
            raise PluginAway(self._link.name, str(error)) from error
        except (TimeoutError, GestaltError) as error:
            raise PluginUnavailable(f"integration {quoted(self._link.name)} is not available") from error

    async def session_catalogue(self, session: Session) -> dict[str, CatalogueOperation]:
        """Ask for the operations that the plugin offers to the session's subject.

        Raises:
            PluginUnavailable, PluginAway: as for ``invoke``.
            SessionCatalogueFailed: it refused, took too long, or answered what cannot be used.
        """
        request = pb.GetSessionCatalogRequest(
            token=session.credential.token,
            connection_params=session.credential.params,
            invocation_id=current_request_id(),
        )
        self._fill_context(request.context, session)
        name = self._link.name
        await self.started()
        try:
            asked = self._get_session_catalogue(request, timeout=SESSION_CATALOGUE_TIMEOUT_S)
            answer: pb.GetSessionCatalogResponse = await self._link.calls.answer(asked)
            return operations_from_proto(answer.catalog)
        except ProviderDown as error:
            raise PluginAway(name, str(error)) from error
        except CatalogueUnfit as error:
            raise SessionCatalogueFailed(name, str(error)) from error
        except grpc.aio.AioRpcError as error:
            code, text = error.code(), error.details() or ""
            if code is grpc.StatusCode.UNAVAILABLE:
                raise self._failed(code.name, text) from error
            # What the plugin's process said is for whoever runs it; callers are told of the kind of failure.
            log.warning(
                "session catalogue refused",
                event_name="session_catalogue.failed",
                plugin=name,
                code=code.name,
                error=printable(text),
            )
            late = f"no answer within {SESSION_CATALOGUE_TIMEOUT_S:g} s"
            reason = late if code is grpc.StatusCode.DEADLINE_EXCEEDED else f"it answered {code.name}"
            raise SessionCatalogueFailed(name, reason) from error
        except (TimeoutError, GestaltError) as error:
            raise PluginUnavailable(f"integration {quoted(name)} is not available") from error

    async def _send(self, request: pb.ExecuteRequest) -> pb.OperationResult:
        result: pb.OperationResult
        if self._stream.served and request.ByteSize() <= STREAMED_BYTES:
            try:
                result = await self._stream.call(request)
                return result
            except StreamUnserved:
                pass
        result = await self._link.calls.answer(self._execute(request))
        return result

    def _failed(self, code: str, text: str) -> HostError:
        if code == grpc.StatusCode.UNAVAILABLE.name:
            return PluginUnavailable(f"integration {quoted(self._link.name)} is not available")
        return ProviderRefused(code, text or f"integration answered {code}")

    def _fill_context(self, context: pb.RequestContext, call: Invocation | Session) -> None:
        actor, used, access = call.subject, call.credential, call.access
        subject = context.subject
        subject.id, subject.kind = actor.subject_id, actor.subject_kind
        subject.display_name, subject.auth_source = actor.display_name, actor.auth_source
        credential = context.credential
        credential.mode, credential.subject_id = used.mode, used.subject_id
        if used.mode != "none":
            credential.connection, credential.instance = used.connection, used.instance
        if access.policy:
            context.access.policy, context.access.role = access.policy, access.role
        if self._base_url:
            context.host.public_base_url = self._base_url


def _encoded(payload: Payload) -> bytes:
    return payload if isinstance(payload, bytes) else to_struct(payload).SerializeToString()
