"""Operations that a plugin offers to one caller, besides those of its package's catalogue (contract.md 4.5)."""

from __future__ import annotations

from dataclasses import replace

from gestalt_host.access.credentials.connections import credential_for
from gestalt_host.access.policies.authorizer import PluginAccess
from gestalt_host.access.subjects import Principal
from gestalt_host.invocation.connections import connection_for
from gestalt_host.invocation.model import ConfiguredPlugin, Session


async def as_seen_by(
    who: Principal,
    plugin: ConfiguredPlugin,
    access: PluginAccess,
    operation: str = "",
    *,
    connection: str = "",
    instance: str = "",
    credential_mode: str = "",
) -> ConfiguredPlugin:
    """Return the plugin with the operations that it offers to this caller; an id of both catalogues is the package's.

    Args:
        operation: The one that is looked for: the plugin is asked only where its package's catalogue lacks it and the
            caller's permission ceiling has it. Blank: all of them.
        connection, instance, credential_mode: Which credential the plugin is asked with.

    What depends on an internal connection is not offered to those who may not use it.

    Raises:
        HostError: of the connection or credential; ``SessionCatalogueFailed``; that the plugin is not available.
    """
    if plugin.sessions is None or operation in plugin.operations:
        return plugin
    if operation and who.ceiling is not None and not who.ceiling.allows(plugin.name, operation):
        return plugin
    if operation:
        await plugin.sessions.started()  # until then nobody knows whether the operation exists
    if not plugin.sessions.offers_session_catalogue:
        return plugin
    used = connection_for(plugin, operation, connection)
    if used.internal and not who.internal_connections:
        return plugin
    credential = credential_for(plugin.name, used, instance, credential_mode)
    offered = await plugin.sessions.session_catalogue(Session(who.actor, credential, access))
    return replace(plugin, operations={**offered, **plugin.operations})
