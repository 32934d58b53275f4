"""Which of its plugin's connections an operation uses, and who may use it (config.md 15)."""

from __future__ import annotations

import re

from gestalt_host.access.credentials.connections import PLUGIN_CONNECTION, Connection, internal_name
from gestalt_host.access.subjects import Principal
from gestalt_host.errors import (
    AuthorizationDenied,
    InvalidArgument,
    InvalidInvocation,
    quoted,
)
from gestalt_host.invocation.model import ConfiguredPlugin, Payload
from gestalt_host.invocation.payloads import members_of
from gestalt_host.invocation.rest.values import Unwritable, text_of

_CONNECTION_NAME = re.compile(r"[A-Za-z0-9._-]+")
_SHOWN_CHARS = 100
_NO_PARAMS: Payload = {}
_INSTANCE_NAME = re.compile(r"[A-Za-z0-9._ -]+")


def check_selectors(connection: str, instance: str) -> None:
    """Refuse names that no connection or instance can have.

    Raises:
        InvalidArgument: naming which of the two.
    """
    if connection and not _CONNECTION_NAME.fullmatch(connection):
        raise InvalidArgument("connection name contains invalid characters")
    if instance and not _INSTANCE_NAME.fullmatch(instance):
        raise InvalidArgument("instance name contains invalid characters")


def bound_connection(plugin: ConfiguredPlugin, operation: str, params: Payload) -> str:
    """Return the internal name of the connection that the operation is bound to; blank where callers may choose.

    It is the one that a parameter chooses (config.md 15.3), or else the operation's own.

    Raises:
        InvalidInvocation: the parameter has a value that chooses none.
    """
    selector = plugin.selectors.get(operation)
    if selector is not None:
        value = _text_of(params, selector.parameter) or selector.default
        if value in selector.values:
            return selector.values[value]
        if value:
            choices = ", ".join(map(quoted, sorted(selector.values)))
            raise InvalidInvocation(
                f"parameter {quoted(selector.parameter)} of operation {quoted(operation)} chooses a connection; "
                f"{quoted(value[:_SHOWN_CHARS])} is none of {choices}"
            )
    return plugin.operation_connections.get(operation, "")


def _text_of(params: Payload, name: str) -> str:
    """Return the parameter as it would be written in a request, trimmed; blank where it is missing or null."""
    value = members_of(params).get(name)
    try:
        return "" if value is None else text_of(value).strip()
    except Unwritable as error:
        raise InvalidInvocation(f"parameter {quoted(name)} {error}") from None


def connection_for(
    plugin: ConfiguredPlugin, operation: str, requested: str = "", params: Payload = _NO_PARAMS
) -> Connection:
    """Return the connection that an invocation uses.

    A name that the plugin does not declare needs the credential that the plugin's own connections need, and has none.

    Raises:
        InvalidInvocation: another connection than the one that the operation is bound to; ``params`` choose none.
    """
    bound = bound_connection(plugin, operation, params)
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
    if name == PLUGIN_CONNECTION:
        return Connection(name)
    declared = {item.mode for item in plugin.connections.values()}
    return Connection(name, next((mode for mode in ("user", "platform") if mode in declared), "none"))


def require_usable(
    plugin: ConfiguredPlugin, operation: str, connection: Connection, who: Principal, *, named: bool
) -> None:
    """Refuse a connection marked internal to everybody but runs of the configuration."""
    if connection.internal and not who.internal_connections:
        if named:
            raise AuthorizationDenied(f"{plugin.name} connection {quoted(connection.name)} is internal")
        raise AuthorizationDenied(f"{plugin.name}.{operation} uses an internal connection")
