"""Connections and credentials: which connection an operation uses, and what of it is sent along (config.md 15).

Connections without authentication and platform connections with a static token work. A user's own credentials need
a credential store, which this host does not have: a connection in mode ``user`` answers that none is stored.
"""

from __future__ import annotations

import re

from gestalt_host.access.subjects import Principal
from gestalt_host.errors import (
    AuthorizationDenied,
    CredentialMissing,
    InvalidArgument,
    InvalidInvocation,
    PlatformCredentialMissing,
    quoted,
)
from gestalt_host.invocation.model import PLUGIN_CONNECTION, Connection, Credential, Plugin

_CONNECTION_NAME = re.compile(r"[A-Za-z0-9._-]+")
_INSTANCE_NAME = re.compile(r"[A-Za-z0-9._ -]+")
CREDENTIAL_MODES = ("", "none", "user")


def internal_name(connection: str) -> str:
    """The connection's internal name: ``plugin`` is the public alias of ``_plugin``."""
    return PLUGIN_CONNECTION if connection == "plugin" else connection


def check_selectors(connection: str, instance: str) -> None:
    """Refuse names that no connection or instance can have.

    Raises:
        InvalidArgument: naming which of the two.
    """
    if connection and not _CONNECTION_NAME.fullmatch(connection):
        raise InvalidArgument("connection name contains invalid characters")
    if instance and not _INSTANCE_NAME.fullmatch(instance):
        raise InvalidArgument("instance name contains invalid characters")


def connection_for(plugin: Plugin, operation: str, requested: str = "") -> Connection:
    """The connection that an invocation uses. A name that the plugin does not declare needs no credential.

    Raises:
        InvalidInvocation: another connection than the one that the operation is bound to, or an unknown one of a
            plugin that has connections with credentials.
    """
    bound = plugin.operation_connections.get(operation, "")
    requested = internal_name(requested)
    if bound and requested and requested != bound:
        raise InvalidInvocation(
            f"operation {quoted(operation)} on integration {quoted(plugin.name)} uses connection {quoted(bound)}; "
            f"omit the connection override or use that connection instead of {quoted(requested)}"
        )
    name = requested or bound or plugin.default_connection
    found = plugin.connections.get(name)
    if found is not None:
        return found
    if name != PLUGIN_CONNECTION and any(item.mode != "none" for item in plugin.connections.values()):
        raise InvalidInvocation(f"connection {quoted(name)} is not configured on integration {quoted(plugin.name)}")
    return Connection(name)


def require_usable(plugin: Plugin, operation: str, connection: Connection, who: Principal, *, named: bool) -> None:
    """Refuse a connection marked internal to everybody but runs of the configuration."""
    if connection.internal and not who.internal_connections:
        if named:
            raise AuthorizationDenied(f"{plugin.name} connection {quoted(connection.name)} is internal")
        raise AuthorizationDenied(f"{plugin.name}.{operation} uses an internal connection")


def credential_for(
    plugin: Plugin, connection: Connection, who: Principal, instance: str = "", credential_mode: str = ""
) -> Credential:
    """The credential of an invocation; ``credential_mode`` overrides the connection's mode.

    Raises:
        InvalidInvocation: an unknown credential mode.
        CredentialMissing, PlatformCredentialMissing: none is stored, or the deployment has not set one.
    """
    if credential_mode not in CREDENTIAL_MODES:
        raise InvalidInvocation(f"credential mode {quoted(credential_mode)} is not supported; use none or user")
    mode = credential_mode or connection.mode
    if mode == "none":
        return Credential("none", "", connection.name, instance)
    if mode == "platform":
        if not connection.token:
            raise PlatformCredentialMissing(plugin.name)
        return Credential("platform", "", connection.name, instance, connection.token)
    raise CredentialMissing(plugin.name)
