"""Targets of the configuration as workflow targets, their permissions, and the check of their credentials."""

from __future__ import annotations

from collections.abc import Iterable

from gestalt_host.config import model as config
from gestalt_host.errors import HostError, quoted
from gestalt_host.invocation.connections import internal_name
from gestalt_host.invocation.plugins import PluginRegistry
from gestalt_host.workflows.model import (
    AgentMessage,
    AgentTarget,
    OutputBinding,
    OutputDelivery,
    Permission,
    PluginTarget,
    Target,
    ToolRef,
)
from gestalt_host.workflows.references import merge_permissions, target_permissions

_SOURCES = {
    "agentOutput": "agent_output",
    "signalPayload": "signal_payload",
    "signalMetadata": "signal_metadata",
    "literal": "literal",
}


class UserCredentialNeeded(HostError):
    """A configured target needs a user's own credential, which the configuration does not have (config.md 17.4)."""


def target_from(target: config.PluginTargetConfig | config.AgentTargetConfig) -> Target:
    if isinstance(target, config.PluginTargetConfig):
        return _plugin(target)
    delivery = target.output_delivery
    return AgentTarget(
        provider=target.provider,
        model=target.model,
        prompt=target.prompt,
        messages=tuple(AgentMessage(item.role, item.text, metadata=dict(item.metadata)) for item in target.messages),
        tool_refs=tuple(
            ToolRef(
                plugin=item.plugin,
                operation=item.operation,
                connection=internal_name(item.connection),
                instance=item.instance,
                title=item.title,
                description=item.description,
                system=item.system,
            )
            for item in target.tools
        ),
        response_schema=dict(target.response_schema),
        metadata=dict(target.metadata),
        model_options=dict(target.model_options),
        timeout_seconds=max(target.timeout_s, 0),
        output_delivery=None if delivery is None else _delivery(delivery),
    )


def _plugin(target: config.PluginTargetConfig) -> PluginTarget:
    return PluginTarget(
        plugin=target.name,
        operation=target.operation,
        connection=internal_name(target.connection),
        instance=target.instance,
        credential_mode=target.credential_mode,
        input=dict(target.input),
    )


def _delivery(delivery: config.OutputDeliveryConfig) -> OutputDelivery:
    bindings = (
        OutputBinding(item.input_field, _SOURCES.get(item.value_kind, ""), item.value)
        for item in delivery.input_bindings
    )
    return OutputDelivery(_plugin(delivery.target), tuple(bindings), delivery.credential_mode)


def permissions_from(target: Target, extra: Iterable[config.PermissionConfig]) -> tuple[Permission, ...]:
    """The target's own operations, then the explicit ones; nothing at all means unrestricted.

    An agent target's list always names the agent provider: without it the run could not open a session.
    """
    explicit = [Permission(item.plugin, item.operations) for item in extra]
    own = target_permissions(target)
    if explicit and isinstance(target, AgentTarget):
        own = merge_permissions((*own, Permission(target.provider)))
    return merge_permissions((*own, *explicit))


def check_credentials(plugins: PluginRegistry, label: str, target: Target) -> None:
    """Refuse a target, tool or delivery that would use a user's own credential.

    A plugin that failed to start is not judged: its runs fail, visibly.

    Raises:
        UserCredentialNeeded: naming the configured object and the plugin.
    """
    if isinstance(target, PluginTarget):
        _check(plugins, label, target.plugin, target.operation, target.connection, target.credential_mode)
        return
    for ref in target.tool_refs:
        if ref.plugin:
            _check(plugins, label, ref.plugin, ref.operation, ref.connection, "")
    if target.output_delivery is not None:
        delivery = target.output_delivery
        _check(
            plugins,
            label,
            delivery.target.plugin,
            delivery.target.operation,
            delivery.target.connection,
            delivery.credential_mode,
        )


def _check(plugins: PluginRegistry, label: str, name: str, operation: str, connection: str, mode: str) -> None:
    plugin = plugins.find(name)
    if plugin is None or mode == "none":
        return
    wanted = connection or plugin.operation_connections.get(operation, "") or plugin.default_connection
    found = plugin.connections.get(wanted)
    if connection and found is None and wanted != "_plugin":
        raise UserCredentialNeeded(
            f"{label}: workflow target plugin {quoted(name)} connection {quoted(connection)} is not configured"
        )
    if mode == "user" or (found is not None and found.mode == "user"):
        raise UserCredentialNeeded(
            f"{label}: config-managed workflows do not support user-credentialed plugin {quoted(name)}"
        )
