"""Serve IntegrationProvider for a plugin (contract.md 1.3, 4.5).

``PluginDispatch``, beside it, executes operations on one stream that carries many in a message.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import orjson
import structlog
from google.protobuf.empty_pb2 import Empty
from google.rpc import status_pb2

from gestalt_sdk.bases.lifecycle import require_version
from gestalt_sdk.common.requests import request_in_progress
from gestalt_sdk.gen.extension.v1 import plugin_dispatch_pb2, plugin_dispatch_pb2_grpc
from gestalt_sdk.gen.v1 import plugin_pb2 as pb
from gestalt_sdk.gen.v1 import plugin_pb2_grpc
from gestalt_sdk.plugin.operations import ParameterInvalid
from gestalt_sdk.plugin.request import Request
from gestalt_sdk.plugin.types import (
    HTTPSubjectRequest,
    OperationError,
    PostConnectCredential,
    Response,
    ServedPlugin,
    SubjectRejected,
)
from gestalt_sdk.transport.channels import ServerContext, request_id_of
from gestalt_sdk.transport.faults import end_call, refuse
from gestalt_sdk.transport.streamed import CallNumberTaken, answer_calls
from gestalt_sdk.transport.values import from_struct, from_timestamp
from gestalt_sdk.version import PROTOCOL_VERSION

SERVICE = "gestalt.provider.v1.IntegrationProvider"
DISPATCH_SERVICE = "gestalt.extension.v1.PluginDispatch"

log = structlog.get_logger()


def register(plugin: ServedPlugin, server: grpc.aio.Server) -> Sequence[str]:
    """Add the plugin's services to the server; return their names."""
    servicer = PluginServicer(plugin)
    plugin_pb2_grpc.add_IntegrationProviderServicer_to_server(servicer, server)
    plugin_dispatch_pb2_grpc.add_PluginDispatchServicer_to_server(
        DispatchServicer(servicer, plugin.ending_event), server
    )
    return [SERVICE, DISPATCH_SERVICE]


class DispatchServicer(plugin_dispatch_pb2_grpc.PluginDispatchServicer):
    """Execute operations that arrive many in a message."""

    def __init__(self, servicer: PluginServicer, ending: asyncio.Event) -> None:
        self._execute = servicer.execute
        self._ending = ending

    async def Dispatch(self, requests: AsyncIterator[plugin_dispatch_pb2.PluginCalls], context: ServerContext) -> None:
        """Answer the calls of one stream until the host ends it or the plugin does."""
        try:
            await answer_calls(
                requests, context, plugin_dispatch_pb2.PluginResults, self._execute, _status, self._ending
            )
        except CallNumberTaken as error:
            await end_call(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))


def _status(error: Exception) -> status_pb2.Status:
    log.error("call failed", event_name="rpc.failed", exc_info=error)
    return status_pb2.Status(code=grpc.StatusCode.INTERNAL.value[0], message="internal error")


class PluginServicer(plugin_pb2_grpc.IntegrationProviderServicer):
    """Answer the host's calls of a plugin."""

    def __init__(self, plugin: ServedPlugin) -> None:
        self._plugin = plugin
        self._operations = plugin.operations
        self._under_way = plugin.under_way
        self._configuring = asyncio.Lock()

    async def GetMetadata(self, request: Empty, context: ServerContext) -> pb.ProviderMetadata:
        """Return names, catalogue and which optional hooks the plugin offers."""
        plugin = self._plugin
        return pb.ProviderMetadata(
            name=plugin.name,
            display_name=plugin.display_name,
            description=plugin.description,
            static_catalog=plugin.catalogue().to_proto(),
            supports_session_catalog=plugin.offers("session_catalogue"),
            supports_post_connect=plugin.offers("post_connect"),
            min_protocol_version=PROTOCOL_VERSION,
            max_protocol_version=PROTOCOL_VERSION,
        )

    async def StartProvider(self, request: pb.StartProviderRequest, context: ServerContext) -> pb.StartProviderResponse:
        """Configure the plugin; one call at a time, UNKNOWN with the plugin's text when it refuses."""
        await require_version(request.protocol_version, context)
        async with self._configuring:
            try:
                await self._plugin.configure(request.name, from_struct(request.config))
            except Exception as error:
                await refuse(context, "configure provider", error)
            self._plugin.name = request.name
            self._plugin.configured_event.set()
        return pb.StartProviderResponse(protocol_version=PROTOCOL_VERSION)

    async def Execute(self, request: pb.ExecuteRequest, context: ServerContext) -> pb.OperationResult:
        """Execute one operation."""
        return await self.execute(request)

    async def execute(self, request: pb.ExecuteRequest) -> pb.OperationResult:
        """Execute one operation; every failure of it is a result."""
        with request_in_progress(request.invocation_id):
            return await self._call(request)

    async def _call(self, request: pb.ExecuteRequest) -> pb.OperationResult:
        bound = self._operations.get(request.operation)
        if bound is None and not self._plugin.offers("session_operation"):
            return _failed(404, f"unknown operation {request.operation!r}")
        task = asyncio.current_task()
        assert task is not None
        self._under_way[task] = request.operation
        try:
            call, params = Request(request, self._plugin.host_channels), from_struct(request.params)
            if bound is None:
                result = await self._plugin.session_operation(call, params)
            else:
                result = await bound.call(call, params)
            if isinstance(result, Response):
                body = result.body if isinstance(result.body, str) else _json(result.body)
                return pb.OperationResult(status=result.status, body=body)
            return pb.OperationResult(status=200, body=_json(result))
        except ParameterInvalid as error:
            return _failed(400, str(error))
        except OperationError as error:
            return _failed(error.status, str(error))
        except Exception:
            log.exception("operation failed", event_name="operation.failed", operation=request.operation)
            return _failed(500, "internal error")
        finally:
            self._under_way.pop(task, None)

    async def GetSessionCatalog(
        self, request: pb.GetSessionCatalogRequest, context: ServerContext
    ) -> pb.GetSessionCatalogResponse:
        """Return the operations that the caller's credential allows; UNIMPLEMENTED without the hook."""
        if not self._plugin.offers("session_catalogue"):
            await _unimplemented(context, "session catalogue")
        message = pb.ExecuteRequest(
            token=request.token,
            connection_params=request.connection_params,
            invocation_id=request.invocation_id,
            context=request.context,
        )
        async with _refusing(context, "session catalogue", request.invocation_id):
            catalogue = await self._plugin.session_catalogue(Request(message, self._plugin.host_channels))
        return pb.GetSessionCatalogResponse(catalog=catalogue.to_proto())

    async def PostConnect(self, request: pb.PostConnectRequest, context: ServerContext) -> pb.PostConnectResponse:
        """Return metadata for a new credential; UNIMPLEMENTED without the hook."""
        if not self._plugin.offers("post_connect"):
            await _unimplemented(context, "post-connect")
        async with _refusing(context, "post-connect"):
            metadata = await self._plugin.post_connect(_credential(request.token))
        return pb.PostConnectResponse(metadata=metadata)

    async def ResolveHTTPSubject(
        self, request: pb.ResolveHTTPSubjectRequest, context: ServerContext
    ) -> pb.ResolveHTTPSubjectResponse:
        """Return who sent an HTTP request, or its refusal; UNIMPLEMENTED without the hook."""
        if not self._plugin.offers("resolve_http_subject"):
            await _unimplemented(context, "HTTP subject resolution")
        call = Request(pb.ExecuteRequest(context=request.context), self._plugin.host_channels)
        try:
            async with _refusing(context, "HTTP subject resolution"):
                subject = await self._plugin.resolve_http_subject(_http(request.request), call)
        except SubjectRejected as error:
            return pb.ResolveHTTPSubjectResponse(reject_status=error.status, reject_message=str(error))
        return pb.ResolveHTTPSubjectResponse(
            subject=pb.SubjectContext(
                id=subject.id, kind=subject.kind, display_name=subject.display_name, auth_source=subject.auth_source
            )
        )


def _json(value: object) -> str:
    """Return the value as JSON text. orjson alone refuses integers that 64 bits do not hold; JSON has them."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:
        if "64-bit" not in str(error):
            raise
        return orjson.dumps(_with_long_integers_written(value)).decode()


def _with_long_integers_written(value: object) -> object:
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return orjson.Fragment(str(value))
    if isinstance(value, dict):
        return {key: _with_long_integers_written(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_long_integers_written(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        members = (item.name for item in dataclasses.fields(value) if not item.name.startswith("_"))
        return {name: _with_long_integers_written(getattr(value, name)) for name in members}
    return value


def _failed(status: int, text: str) -> pb.OperationResult:
    return pb.OperationResult(status=status, body=orjson.dumps({"error": text}).decode())


@asynccontextmanager
async def _refusing(context: ServerContext, hook: str, request_id: str = "") -> AsyncIterator[None]:
    """End the call when a hook fails; grpc would send a text of its own, however long.

    Lines of the log carry the request's id, of the message or, where that has no place for it, of the metadata.
    """
    with request_in_progress(request_id or request_id_of(context)):
        try:
            yield
        except SubjectRejected:
            raise  # an answer
        except Exception as error:
            await refuse(context, hook, error)


async def _unimplemented(context: ServerContext, what: str) -> None:
    await end_call(context, grpc.StatusCode.UNIMPLEMENTED, f"this plugin has no {what}")


def _credential(message: pb.PostConnectCredential) -> PostConnectCredential:
    return PostConnectCredential(
        id=message.id,
        subject_id=message.subject_id,
        plugin=message.integration,
        connection=message.connection,
        instance=message.instance,
        access_token=message.access_token,
        refresh_token=message.refresh_token,
        scopes=message.scopes,
        expires_at=from_timestamp(message.expires_at) if message.HasField("expires_at") else None,
        metadata_json=message.metadata_json,
    )


def _http(message: pb.HTTPSubjectRequest) -> HTTPSubjectRequest:
    def lists(fields: Any) -> dict[str, list[str]]:
        return {name: list(item.values) for name, item in fields.items()}

    return HTTPSubjectRequest(
        binding=message.binding,
        method=message.method,
        path=message.path,
        content_type=message.content_type,
        headers=lists(message.headers),
        query=lists(message.query),
        params=from_struct(message.params),
        raw_body=message.raw_body,
        security_scheme=message.security_scheme,
        verified_subject=message.verified_subject,
        verified_claims=dict(message.verified_claims),
    )
