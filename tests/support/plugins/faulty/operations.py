"""The operations of the minimal plugin, with the fault that the variable FAULT names."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format

from gestalt_sdk.gen.extension.v1 import plugin_dispatch_pb2, plugin_dispatch_pb2_grpc
from gestalt_sdk.gen.v1 import plugin_pb2, plugin_pb2_grpc

FAULT = os.environ.get("FAULT", "")
OTHER_NAME = "things.other" if FAULT == "names_other_operations" else "things.list"
TYPE = "float" if FAULT == "has_types_of_its_language" else "integer"
CATALOGUE = f"""
name: things
operations:
  - id: things.put
    method: POST
    parameters:
      - {{name: id, type: string, required: true}}
      - {{name: size, type: {TYPE}}}
  - {{id: things.list, method: GET, readOnly: true}}
"""


def write_catalogue(path: str) -> int:
    """Write the catalogue, and return the exit status."""
    Path(path).write_text("operations: 5\n" if FAULT == "writes_nonsense" else CATALOGUE)
    return 0


def executed(request: plugin_pb2.ExecuteRequest) -> tuple[int, str]:
    """Return status and body of an operation."""
    params = json_format.MessageToDict(request.params)
    if request.operation == "things.list":
        return (999 if FAULT == "has_statuses_of_its_own" else 200), "[]"
    if request.operation != "things.put":
        return (200 if FAULT == "knows_every_operation" else 404), '{"error": "unknown operation"}'
    if "id" not in params and FAULT != "takes_anything":
        return 500 if FAULT == "stumbles_over_what_is_missing" else 400, '{"error": "id is required"}'
    if not isinstance(params.get("size", 0), float | int) and FAULT != "takes_any_type":
        return 400, '{"error": "size is no number"}'
    return 200, "{}"


class Calls:
    """How many there are now."""

    running = 0


class Plugin(plugin_pb2_grpc.IntegrationProviderServicer):
    """What ``faulty.py`` serves; the first two methods are its own."""

    async def Execute(self, request: plugin_pb2.ExecuteRequest, context: Any) -> plugin_pb2.OperationResult:
        if FAULT == "minds_tokens" and request.invocation_token:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "token is invalid")
        if FAULT == "minds_large_parameters" and request.ByteSize() > 100_000:
            os._exit(12)
        Calls.running += 1
        if FAULT == "executes_one_at_a_time" and Calls.running > 1:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "it is busy")
        try:
            if FAULT in ("executes_one_at_a_time", "dies_of_operations_given_up"):
                await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            if FAULT == "dies_of_operations_given_up":
                os._exit(13)
            raise
        finally:
            Calls.running -= 1
        status, body = executed(request)
        return plugin_pb2.OperationResult(status=status, body=body)

    async def GetSessionCatalog(self, request: Any, context: Any) -> plugin_pb2.GetSessionCatalogResponse:
        name = "no id" if FAULT == "offers_sessions_nonsense" else "things.mine"
        catalogue = plugin_pb2.Catalog(operations=[plugin_pb2.CatalogOperation(id=name)])
        return plugin_pb2.GetSessionCatalogResponse(catalog=catalogue)

    async def PostConnect(self, request: Any, context: Any) -> plugin_pb2.PostConnectResponse:
        if FAULT == "announces_what_it_lacks":
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "PostConnect")
        return plugin_pb2.PostConnectResponse(metadata={"account": "one"})

    async def ResolveHTTPSubject(self, request: Any, context: Any) -> plugin_pb2.ResolveHTTPSubjectResponse:
        status = 200 if FAULT == "rejects_with_success" else 401
        return plugin_pb2.ResolveHTTPSubjectResponse(reject_status=status, reject_message="who are you")


def metadata() -> plugin_pb2.ProviderMetadata:
    """Return what the plugin says of itself."""
    catalogue = plugin_pb2.Catalog(
        operations=[plugin_pb2.CatalogOperation(id="things.put"), plugin_pb2.CatalogOperation(id=OTHER_NAME)]
    )
    return plugin_pb2.ProviderMetadata(
        min_protocol_version=3,
        max_protocol_version=3,
        static_catalog=catalogue,
        supports_session_catalog=True,
        supports_post_connect=True,
    )


class Dispatch(plugin_dispatch_pb2_grpc.PluginDispatchServicer):
    """Calls on a stream, answered one after the other."""

    async def Dispatch(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        yield plugin_dispatch_pb2.PluginResults()
        async for calls in requests:
            results = [self._result(call) for call in calls.calls]
            yield plugin_dispatch_pb2.PluginResults(results=results * (2 if FAULT == "answers_twice" else 1))

    def _result(self, call: Any) -> plugin_dispatch_pb2.PluginResult:
        status, body = executed(call.request)
        result = plugin_pb2.OperationResult(status=status, body=body)
        return plugin_dispatch_pb2.PluginResult(call_id=call.call_id, response=result)


class BytesDispatch(grpc.GenericRpcHandler):
    """A stream that takes what is no message for the end."""

    def service(self, details: Any) -> Any:
        if not details.method.endswith("PluginDispatch/Dispatch"):
            return None

        async def handle(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            yield b""
            async for _ in requests:
                return

        return grpc.stream_stream_rpc_method_handler(handle)


def add_plugin(plugin: Plugin, server: grpc.aio.Server) -> None:
    """Serve it."""
    plugin_pb2_grpc.add_IntegrationProviderServicer_to_server(plugin, server)
    if FAULT == "takes_noise_for_the_end":
        server.add_generic_rpc_handlers((BytesDispatch(),))
    else:
        plugin_dispatch_pb2_grpc.add_PluginDispatchServicer_to_server(Dispatch(), server)
