"""Targets of the configuration as they are stored, their permissions, and the check of their credentials."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gestalt_host.access.credentials.connections import internal_name
from gestalt_host.config import model as config
from gestalt_host.errors import HostError, quoted
from gestalt_host.invocation.connections import bound_connection
from gestalt_host.invocation.plugins import PluginRegistry
from gestalt_host.workflows.model import (
    AgentTarget,
    Permission,
    PluginTarget,
    Target,
)
from gestalt_host.workflows.targets.permissions import merge_permissions, target_permissions


class UserCredentialNeeded(HostError):
    """A configured target needs a user's own credential, which the configuration does not have."""


def internal_target(target: Target) -> Target:
    """Return the configured target with the internal names of its connections."""
    if isinstance(target, PluginTarget):
        return replace(target, connection=internal_name(target.connection))
    delivery = target.output_delivery
    if delivery is not None:
        delivered = replace(delivery.target, connection=internal_name(delivery.target.connection))
        delivery = replace(delivery, target=delivered)
    refs = tuple(replace(ref, connection=internal_name(ref.connection)) for ref in target.tool_refs)
    return replace(target, tool_refs=refs, output_delivery=delivery)


def permissions_from(target: Target, extra: Iterable[config.PermissionConfig]) -> tuple[Permission, ...]:
    """Return the target's own operations, then the explicit ones; nothing at all means unrestricted.

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
        _check(plugins, label, target, target.credential_mode)
        return
    for ref in target.tool_refs:
        if ref.plugin:
            tool = PluginTarget(ref.plugin, ref.operation, ref.connection)
            _check(plugins, label, tool, "")
    if target.output_delivery is not None:
        _check(plugins, label, target.output_delivery.target, target.output_delivery.credential_mode)


def _check(plugins: PluginRegistry, label: str, target: PluginTarget, mode: str) -> None:
    name, connection = target.plugin, target.connection
    plugin = plugins.find(name)
    if plugin is None or mode == "none":
        return
    wanted = connection or bound_connection(plugin, target.operation, target.input) or plugin.default_connection
    found = plugin.connections.get(wanted)
    if connection and found is None and wanted != "_plugin":
        raise UserCredentialNeeded(
            f"{label}: workflow target plugin {quoted(name)} connection {quoted(connection)} is not configured"
        )
    if mode == "user" or (found is not None and found.mode == "user"):
        raise UserCredentialNeeded(
            f"{label}: config-managed workflows do not support user-credentialed plugin {quoted(name)}"
        )
