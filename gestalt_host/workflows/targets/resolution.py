"""Resolving the target that a caller asks for to the one that is stored, and deciding whether a caller may use one.

A new target is checked in the order of semantics.md 6.3 (plugin) or 6.5 (agent); 6.4 says who sees a stored one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gestalt_host.access.credentials.connections import CREDENTIAL_MODES, credential_for, internal_name
from gestalt_host.access.policies.authorizer import Authorizer
from gestalt_host.access.subjects import Principal
from gestalt_host.errors import (
    AgentsNotAvailable,
    AuthorizationDenied,
    InvalidArgument,
    InvalidInvocation,
    OperationNotFound,
    PluginNotFound,
    ProviderRequired,
    ProviderUnknown,
    quoted,
)
from gestalt_host.invocation.connections import check_selectors, connection_for
from gestalt_host.invocation.model import ConfiguredPlugin, DeclaredInvoke
from gestalt_host.invocation.plugins import PluginRegistry, operation_of
from gestalt_host.invocation.sessions import as_seen_by
from gestalt_host.workflows.model import AgentTarget, OutputBinding, OutputDelivery, Permission, PluginTarget, Target
from gestalt_host.workflows.sizes import check_target
from gestalt_host.workflows.targets.inputs import check_plugin_input, check_target_input
from gestalt_host.workflows.targets.permissions import merge_permissions

AGENT_WORD, TURN_WORD = "agent", "turn"
"""Names that stand for an agent target's plugin and operation in error texts."""


class TargetResolver:
    def __init__(
        self, plugins: PluginRegistry, authorizer: Authorizer, agents: Sequence[str] | None, default_agent: str = ""
    ) -> None:
        """Take what a target may name; ``agents``: agent providers, None when the host has no agent support."""
        self._plugins = plugins
        self._authorizer = authorizer
        self._agents = None if agents is None else sorted(agents)
        self._default_agent = default_agent

    async def resolve(self, who: Principal, target: Target) -> Target:
        """Return the target to store, connection and instance pinned. The first failed check decides.

        Raises:
            HostError: see http-api.md 8.5.
        """
        check_target(target)
        if isinstance(target, PluginTarget):
            return (await self._plugin(who, target))[0]
        return self._agent(who, target)

    async def resolve_for_later(self, who: Principal, target: Target) -> Target:
        """Return the target to store in a schedule or trigger: ``resolve``, and its input fits the operation.

        A run that is started now tells itself what is wrong with its input; a schedule would only when it fires.
        """
        check_target(target)
        if isinstance(target, PluginTarget):
            resolved, plugin = await self._plugin(who, target)
            check_plugin_input(plugin, resolved)
            return resolved
        agent = self._agent(who, target)
        check_target_input(self._plugins, agent)
        return agent

    def declared_permissions(self, who: Principal, target: Target) -> tuple[Permission, ...]:
        """Return what an agent target's reference may call beyond the caller's ceiling.

        Those are its tool and delivery operations that the calling plugin declares in its ``invokes``.
        """
        if not isinstance(target, AgentTarget):
            return ()
        wanted = [(ref.plugin, ref.operation) for ref in target.tool_refs if ref.plugin and ref.operation]
        if target.output_delivery is not None:
            delivery = target.output_delivery.target
            wanted.append((delivery.plugin, delivery.operation))
        declared = (Permission(plugin, (name,)) for plugin, name in wanted if self._declared(who, plugin, name))
        return merge_permissions(declared)

    def allows(self, who: Principal, target: Target | None) -> bool:
        """Return whether the caller may use the target now; decides what a caller sees."""
        if isinstance(target, PluginTarget):
            return self._allows_operation(who, target.plugin, target.operation)
        if isinstance(target, AgentTarget):
            return self._allows_agent(who, target)
        return False

    # Plugin targets ---------------------------------------------------------------------------------------------------

    async def _plugin(self, who: Principal, target: PluginTarget) -> tuple[PluginTarget, ConfiguredPlugin]:
        """Return the target to store, and its plugin as the caller sees it."""
        name, operation = target.plugin, target.operation
        plugin = self._plugins.find(name)
        if plugin is None:
            raise PluginNotFound(name)
        if not operation:
            raise OperationNotFound(name, "")
        access = self._authorizer.access(who, name)
        if access is None:
            raise AuthorizationDenied
        mode = self._credential_mode(who, name, operation, target.credential_mode)
        connection, instance = internal_name(target.connection), target.instance
        check_selectors(connection, instance)
        plugin = await as_seen_by(
            who, plugin, access, operation, connection=connection, instance=instance, credential_mode=mode
        )
        entry = operation_of(plugin, operation)
        if who.ceiling is not None and not who.ceiling.allows(name, operation):
            raise AuthorizationDenied(f"{name}.{operation}")
        if not self._authorizer.allows_operation(access, entry.allowed_roles):
            raise AuthorizationDenied(f"{name}.{operation}")
        used = connection_for(plugin, operation, connection, target.input)
        is_usable = not used.internal or who.internal_connections
        if connection and not is_usable:
            raise AuthorizationDenied(f"integration {quoted(name)} connection {quoted(connection)} is internal")
        if not instance:
            credential = credential_for(name, used, "", mode)
            if credential.mode != "none" and is_usable:
                connection, instance = credential.connection, credential.instance
        elif not connection and used.mode != "none" and is_usable:
            connection = used.name
        return PluginTarget(name, operation, connection, instance, mode, dict(target.input)), plugin

    def _credential_mode(self, who: Principal, plugin: str, operation: str, mode: str) -> str:
        what = "workflow target credential_mode"
        if mode not in CREDENTIAL_MODES:
            raise InvalidInvocation(f"{what} {quoted(mode)} is not supported")
        if mode:
            self._require_declared(who, what, plugin, operation, mode)
        return mode

    def _require_declared(self, who: Principal, what: str, plugin: str, operation: str, mode: str) -> None:
        """Refuse a credential mode that the calling plugin does not declare for the operation; the text says why."""
        if not who.caller_plugin:
            raise AuthorizationDenied(f"{what} requires a caller plugin declaration")
        declared = self._declared(who, plugin, operation)
        if declared is not None and declared.credential_mode == mode:
            return
        name = f"{plugin}.{operation}"
        if declared is None:
            reason = f"it declares no invoke of {name}"
        else:
            present = quoted(declared.credential_mode) if declared.credential_mode else "no mode"
            reason = f"for {name} it declares {present}"
        caller = quoted(who.caller_plugin)
        raise AuthorizationDenied(
            f"{what} {quoted(mode)} requires that plugin {caller} declares it in its invokes; {reason}"
        )

    def _declared(self, who: Principal, plugin: str, operation: str) -> DeclaredInvoke | None:
        caller = self._plugins.find(who.caller_plugin) if who.caller_plugin else None
        return None if caller is None else caller.declared_invoke(plugin, operation)

    def _allows_operation(self, who: Principal, plugin: str, operation: str) -> bool:
        if not plugin or not operation or self._authorizer.access(who, plugin) is None:
            return False
        return who.ceiling is None or who.ceiling.allows(plugin, operation)

    def _allows_plugin(self, who: Principal, plugin: str) -> bool:
        if self._authorizer.access(who, plugin) is None:
            return False
        return who.ceiling is None or who.ceiling.allows_plugin(plugin)

    # Agent targets ----------------------------------------------------------------------------------------------------

    def _agent(self, who: Principal, target: AgentTarget) -> AgentTarget:
        provider = self._agent_provider(target.provider)
        if not self._allows_plugin(who, provider):
            raise AuthorizationDenied(provider)
        prompt = target.prompt.strip()
        if not prompt and not target.messages:
            raise InvalidArgument("workflow agent target prompt or messages is required")
        if target.timeout_seconds < 0:
            raise InvalidArgument("workflow agent target timeout_seconds must not be negative")
        self._check_tool_refs(target)
        delivery = target.output_delivery
        return replace(
            target,
            provider=provider,
            prompt=prompt,
            output_delivery=None if delivery is None else self._delivery(who, delivery),
            tool_refs=tuple(replace(ref, connection=internal_name(ref.connection)) for ref in target.tool_refs),
        )

    def _agent_provider(self, name: str) -> str:
        if self._agents is None:
            raise AgentsNotAvailable
        configured = ", ".join(self._agents) or "none"
        name = name or self._default_agent
        if not name:
            raise ProviderRequired(f"agent provider is required; configured: {configured}")
        if name not in self._agents:
            raise ProviderUnknown(f"agent provider {quoted(name)} is not configured; configured: {configured}")
        return name

    def _check_tool_refs(self, target: AgentTarget) -> None:
        delegates_system = any(ref.system for ref in target.tool_refs)
        for index, ref in enumerate(target.tool_refs):
            path = f"workflow agent tool_refs[{index}]"
            if ref.system:
                if ref.plugin:
                    raise InvalidInvocation(f"{path} must set exactly one of plugin or system")
                if ref.system != "workflow":
                    raise InvalidInvocation(f"{path}.system {quoted(ref.system)} is not supported")
                if not ref.operation:
                    raise OperationNotFound(AGENT_WORD, TURN_WORD)
                if ref.connection or ref.instance or ref.credential_mode:
                    raise InvalidInvocation(
                        f"{path} system refs cannot include connection, instance, or credential mode"
                    )
            elif delegates_system and (ref.plugin in ("", "*") or ref.operation in ("", "*")):
                raise InvalidInvocation(
                    f"{path} must be an exact plugin operation when workflow system tools are delegated"
                )

    def _delivery(self, who: Principal, delivery: OutputDelivery) -> OutputDelivery:
        target = delivery.target
        plugin, operation = target.plugin, target.operation
        if not plugin:
            raise PluginNotFound(AGENT_WORD)
        if not operation:
            raise OperationNotFound(AGENT_WORD, TURN_WORD)
        if target.credential_mode:
            raise InvalidInvocation("workflow agent output_delivery.target.credential_mode is not supported")
        what, mode = "workflow agent output_delivery.credential_mode", delivery.credential_mode
        if mode not in CREDENTIAL_MODES and who.caller_plugin:
            raise InvalidInvocation(f"{what} {quoted(mode)} is not supported")
        if mode:
            self._require_declared(who, what, plugin, operation, mode)
        elif (declared := self._declared(who, plugin, operation)) is not None:
            mode = declared.credential_mode
        for index, binding in enumerate(delivery.input_bindings):
            _check_binding(f"workflow agent output_delivery.input_bindings[{index}]", binding)
        stored = PluginTarget(
            plugin, operation, internal_name(target.connection), target.instance, "", dict(target.input)
        )
        return OutputDelivery(stored, delivery.input_bindings, mode)

    def _allows_agent(self, who: Principal, target: AgentTarget) -> bool:
        if not self._allows_plugin(who, target.provider):
            return False
        delegates_system = any(ref.system for ref in target.tool_refs)
        for ref in target.tool_refs:
            if ref.system:
                exact = ref.system == "workflow" and ref.operation
                if not exact or ref.plugin or ref.connection or ref.instance or ref.credential_mode:
                    return False
            elif delegates_system and (ref.plugin in ("", "*") or ref.operation in ("", "*")):
                return False
            elif ref.operation:
                if not self._allows_operation(who, ref.plugin, ref.operation):
                    return False
            elif ref.plugin != "*" and not self._allows_plugin(who, ref.plugin):
                return False
        delivery = target.output_delivery
        return delivery is None or self._allows_operation(who, delivery.target.plugin, delivery.target.operation)


def _check_binding(path: str, binding: OutputBinding) -> None:
    if not binding.input_field:
        raise InvalidInvocation(f"{path}.input_field is required")
    blank = binding.source != "literal" and not (isinstance(binding.value, str) and binding.value.strip())
    null = binding.source == "literal" and binding.value is None
    if not binding.source or blank or null:
        raise InvalidInvocation(f"{path}.value must set exactly one source")
