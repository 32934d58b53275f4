"""Invoking a plugin's operation: every check in its order, then the call (http-api.md 7.2, semantics.md 12.2)."""

from __future__ import annotations

from dataclasses import replace

from gestalt_host.access.credentials.connections import credential_for
from gestalt_host.access.policies.authorizer import Authorizer, PluginAccess
from gestalt_host.access.subjects import Principal
from gestalt_host.access.tokens.invocation_tokens import CallChain, Delegation, InvocationTokens
from gestalt_host.errors import (
    AuthorizationDenied,
    CallTooDeep,
    OperationAccessDenied,
    RecursiveCall,
    TokenScopeDenied,
)
from gestalt_host.invocation.connections import connection_for, require_usable
from gestalt_host.invocation.model import ConfiguredPlugin, Invocation, OperationResult, Payload
from gestalt_host.invocation.plugins import PluginRegistry, operation_of
from gestalt_host.invocation.sessions import as_seen_by
from gestalt_host.packages.catalogue import CatalogueOperation

MAX_DEPTH = 5
"""Nested invocations, plugin calling plugin."""


class Invoker:
    def __init__(self, plugins: PluginRegistry, authorizer: Authorizer, tokens: InvocationTokens) -> None:
        self.plugins = plugins
        self._authorizer = authorizer
        self._tokens = tokens

    async def invoke(
        self,
        who: Principal,
        plugin: str,
        operation: str,
        params: Payload,
        *,
        connection: str = "",
        instance: str = "",
        credential_mode: str = "",
        workflow: Payload | None = None,
        idempotency_key: str = "",
        public: bool = False,
        call: CallChain | None = None,
        request_id: str = "",
    ) -> OperationResult:
        """Check, resolve the credential, execute.

        Args:
            who: Whom the operation runs as.
            workflow: The ``workflow`` struct, for calls that come from a run.
            public: The caller is a person's or program's HTTP request: hidden operations do not exist for it, and
                denials do not say which part was denied.
            call: Of a plugin that invokes another one: the chain so far, with the request that began it.
            request_id: Of a client's request; told to the plugin, whose log has it.
        Raises:
            HostError: see http-api.md 7.4 and semantics.md 12.3 for the classes.
        """
        found = self.plugins.get(plugin)
        if not public and who.ceiling is not None and not who.ceiling.allows_plugin(plugin):
            raise TokenScopeDenied(plugin)
        access = self._authorizer.access(who, plugin)
        if access is None:
            raise OperationAccessDenied() if public else AuthorizationDenied(plugin)
        found = await as_seen_by(
            who, found, access, operation, connection=connection, instance=instance, credential_mode=credential_mode
        )
        self._require_operation(who, found, operation, access, public=public)
        used = connection_for(found, operation, connection, params)
        require_usable(found, operation, used, who, named=bool(connection))
        if who.ceiling is not None and not who.ceiling.allows(plugin, operation):
            raise TokenScopeDenied(f"{plugin}.{operation}" if who.ceiling.allows_plugin(plugin) else plugin)
        credential = credential_for(plugin, used, instance, credential_mode)
        call = _extend(call, plugin, credential.instance, operation, request_id)
        delegation = Delegation(
            principal=who, call=call, connection=credential.connection, instance=credential.instance
        )
        invocation = Invocation(
            operation=found.provider_operations.get(operation, operation),
            params=params,
            subject=who.actor,
            credential=credential,
            access=access,
            workflow=workflow,
            invocation_id=call.request_id,
            invocation_token=self._tokens.mint(plugin, delegation),
            idempotency_key=idempotency_key,
        )
        return await found.runner.invoke(invocation)

    def require_access(self, who: Principal, plugin: str) -> ConfiguredPlugin:
        """Return the plugin after the first two checks of a public request, for routes that read the body after them.

        Raises:
            PluginNotFound, OperationAccessDenied
        """
        found = self.plugins.get(plugin)
        if self._authorizer.access(who, plugin) is None:
            raise OperationAccessDenied
        return found

    async def seen_by(
        self, who: Principal, plugin: ConfiguredPlugin, operation: str, *, connection: str = "", instance: str = ""
    ) -> ConfiguredPlugin:
        """Return the plugin with that operation, where its session catalogue for this caller has it.

        Raises:
            HostError: as ``sessions.as_seen_by``.
        """
        access = self._authorizer.access(who, plugin.name)
        if access is None:
            return plugin
        return await as_seen_by(who, plugin, access, operation, connection=connection, instance=instance)

    async def operations(
        self, who: Principal, plugin: ConfiguredPlugin, *, connection: str = "", instance: str = ""
    ) -> dict[str, CatalogueOperation]:
        """Return the operations that the caller's role allows, by id; a permission ceiling hides none.

        Raises:
            HostError: as ``sessions.as_seen_by``.
        """
        access = self._authorizer.access(who, plugin.name)
        if access is None:
            return {}
        seen = await as_seen_by(who, plugin, access, connection=connection, instance=instance)
        return {
            name: operation
            for name, operation in seen.operations.items()
            if self._authorizer.allows_operation(access, operation.allowed_roles)
        }

    def _require_operation(
        self, who: Principal, plugin: ConfiguredPlugin, operation: str, access: PluginAccess, *, public: bool
    ) -> None:
        entry = operation_of(plugin, operation, visible_only=public)
        if not self._authorizer.allows_operation(access, entry.allowed_roles):
            raise OperationAccessDenied() if public else AuthorizationDenied(f"{plugin.name}.{operation}")


def _extend(call: CallChain | None, plugin: str, instance: str, operation: str, request_id: str) -> CallChain:
    link = f"{plugin}/{instance or 'default'}/{operation}"
    if call is None:
        return CallChain(request_id, chain=(link,))
    if call.depth >= MAX_DEPTH:
        raise CallTooDeep(MAX_DEPTH)
    if link in call.chain:
        raise RecursiveCall(plugin, operation)
    return replace(call, depth=call.depth + 1, chain=(*call.chain, link))
