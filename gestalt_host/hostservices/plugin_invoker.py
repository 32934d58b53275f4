"""PluginInvoker: operations of other plugins for the requests that one plugin serves (contract.md 4.4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import grpc

from gestalt_host.access.tokens.invocation_tokens import Delegation, InvocationGrant, InvocationTokens
from gestalt_host.errors import AuthorizationDenied, InvalidArgument, quoted
from gestalt_host.hostservices.faults import INVOKER_FAULTS, answering
from gestalt_host.invocation import model
from gestalt_host.invocation.invoker import Invoker
from gestalt_host.supervisor.service_sockets import HostService
from gestalt_sdk.common.sizes import nested_too_deeply
from gestalt_sdk.gen.v1 import plugin_pb2 as pb
from gestalt_sdk.gen.v1 import plugin_pb2_grpc
from gestalt_sdk.transport.channels import ServerContext
from gestalt_sdk.transport.environment import PLUGIN_INVOKER_SOCKET
from gestalt_sdk.transport.values import is_struct_too_deep

SERVICE = "gestalt.provider.v1.PluginInvoker"


class InvokeNotDeclared(AuthorizationDenied):
    """The plugin neither declares the operation in its ``invokes`` nor holds a grant for it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.args = (text,)


def plugin_invoker(
    plugin: str, invokes: Iterable[model.DeclaredInvoke], invoker: Invoker, tokens: InvocationTokens
) -> HostService:
    """Make the service for one plugin; only plugins that declare ``invokes`` are given it."""
    servicer = PluginInvokerServicer(plugin, invokes, invoker, tokens)

    def register(server: grpc.aio.Server) -> Sequence[str]:
        plugin_pb2_grpc.add_PluginInvokerServicer_to_server(servicer, server)
        return [SERVICE]

    return HostService(PLUGIN_INVOKER_SOCKET, register)


class PluginInvokerServicer(plugin_pb2_grpc.PluginInvokerServicer):
    def __init__(
        self, plugin: str, invokes: Iterable[model.DeclaredInvoke], invoker: Invoker, tokens: InvocationTokens
    ) -> None:
        self._plugin = plugin
        self._invokes = tuple(invokes)
        self._invoker = invoker
        self._tokens = tokens

    async def ExchangeInvocationToken(
        self, request: pb.ExchangeInvocationTokenRequest, context: ServerContext
    ) -> pb.ExchangeInvocationTokenResponse:
        async with answering(context, INVOKER_FAULTS):
            grants = [_grant(item) for item in request.grants]
            if not all(self._declares(grant) for grant in grants):
                raise InvokeNotDeclared("requested invocation grants exceed the plugin's declared invokes")
            token = self._tokens.exchange(request.parent_invocation_token, self._plugin, grants, request.ttl_seconds)
        return pb.ExchangeInvocationTokenResponse(invocation_token=token)

    async def Invoke(self, request: pb.PluginInvokeRequest, context: ServerContext) -> pb.OperationResult:
        async with answering(context, INVOKER_FAULTS):
            plugin, operation = _required(request.plugin, "plugin"), _required(request.operation, "operation")
            delegation = self._tokens.resolve(request.invocation_token, self._plugin)
            declared = self._declared(plugin, operation)
            if declared is None or not _granted(delegation, plugin, operation=operation):
                raise InvokeNotDeclared(f"plugin {quoted(self._plugin)} may not invoke {plugin}.{operation}")
            if is_struct_too_deep(request.params):
                raise InvalidArgument(nested_too_deeply("params"))
            connection, instance = request.connection.strip(), request.instance.strip()
            if not connection and not instance:
                instance = delegation.instance
            result = await self._invoker.invoke(
                delegation.principal,
                plugin,
                operation,
                request.params.SerializeToString(),
                connection=connection or self._inherited(delegation, plugin),
                instance=instance,
                credential_mode=declared.credential_mode,
                idempotency_key=request.idempotency_key,
                call=delegation.call,
            )
            body = result.text()
        return pb.OperationResult(status=result.status, body=body)

    async def InvokeGraphQL(self, request: pb.PluginInvokeGraphQLRequest, context: ServerContext) -> pb.OperationResult:
        async with answering(context, INVOKER_FAULTS):
            plugin = _required(request.plugin, "plugin")
            _required(request.document, "document")
            delegation = self._tokens.resolve(request.invocation_token, self._plugin)
            declared = any(item.plugin == plugin and item.surface == "graphql" for item in self._invokes)
            if not declared or not _granted(delegation, plugin, surface="graphql"):
                raise InvokeNotDeclared(f'plugin {quoted(self._plugin)} may not invoke {plugin} surface "graphql"')
            # No plugin of this host has a declarative surface, so none of them has this one.
            raise InvalidArgument(f"integration {quoted(plugin)} has no graphql surface")
        raise AssertionError("unreachable")

    def _inherited(self, delegation: Delegation, plugin: str) -> str:
        """Return the connection of the request being served, where the called plugin has one of that name."""
        called = self._invoker.plugins.find(plugin)
        return delegation.connection if called is not None and delegation.connection in called.connections else ""

    def _declared(self, plugin: str, operation: str) -> model.DeclaredInvoke | None:
        for item in self._invokes:
            if item.plugin == plugin and item.operation == operation and not item.surface:
                return item
        return None

    def _declares(self, grant: InvocationGrant) -> bool:
        if grant.all_operations:
            return False
        surfaces = {item.surface for item in self._invokes if item.plugin == grant.plugin and item.surface}
        return all(self._declared(grant.plugin, name) for name in grant.operations) and set(grant.surfaces) <= surfaces


def _required(text: str, field: str) -> str:
    if not text.strip():
        raise InvalidArgument(f"{field} is required")
    return text.strip()


def _grant(message: pb.PluginInvocationGrant) -> InvocationGrant:
    plugin = message.plugin.strip()
    if not plugin:
        raise InvalidArgument("invocation grant plugin is required")
    operations = tuple(name for name in map(str.strip, message.operations) if name)
    surfaces = tuple(name for name in map(str.strip, message.surfaces) if name)
    if not operations and not surfaces and not message.all_operations:
        raise InvalidArgument(
            f"invocation grant for plugin {quoted(plugin)} must set all_operations, operations, or surfaces"
        )
    return InvocationGrant(plugin, operations, surfaces, message.all_operations)


def _granted(delegation: Delegation, plugin: str, *, operation: str = "", surface: str = "") -> bool:
    if delegation.grants is None:
        return True
    wanted = InvocationGrant(plugin, (operation,) if operation else (), (surface,) if surface else ())
    return any(grant.covers(wanted) for grant in delegation.grants)
