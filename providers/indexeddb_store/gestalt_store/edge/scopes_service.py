"""The gRPC edge of IndexedDBScopes, which only the provider's own socket serves."""

from __future__ import annotations

import grpc

from gestalt_sdk.gen.extension.v1 import scopes_pb2, scopes_pb2_grpc
from gestalt_sdk.transport.channels import ServerContext
from gestalt_store.edge.scopes import Scopes
from gestalt_store.edge.service import end_with

SCOPES_SERVICE = "gestalt.extension.v1.IndexedDBScopes"


def add_scopes_service(server: grpc.aio.Server, scopes: Scopes) -> list[str]:
    """Serve the scopes on a server; return the names of the services."""
    scopes_pb2_grpc.add_IndexedDBScopesServicer_to_server(ScopesServicer(scopes), server)
    return [SCOPES_SERVICE]


class ScopesServicer(scopes_pb2_grpc.IndexedDBScopesServicer):
    """Converts the calls of ``IndexedDBScopes``."""

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes

    async def OpenScope(
        self, request: scopes_pb2.OpenScopeRequest, context: ServerContext
    ) -> scopes_pb2.OpenScopeResponse:
        try:
            await self._scopes.open(request.db, list(request.object_stores), request.socket_path)
        except Exception as error:
            await end_with(context, error)
        return scopes_pb2.OpenScopeResponse()

    async def CloseScope(
        self, request: scopes_pb2.CloseScopeRequest, context: ServerContext
    ) -> scopes_pb2.CloseScopeResponse:
        await self._scopes.close(request.socket_path)
        return scopes_pb2.CloseScopeResponse()
