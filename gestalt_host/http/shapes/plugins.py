"""Plugins and their operations in JSON (http-api.md 6.1, 6.3). On the wire a plugin is called an integration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gestalt_host.access.credentials.connections import PLUGIN_CONNECTION, Connection
from gestalt_host.config.declared.connections import ConnectionParam, CredentialField
from gestalt_host.http.shapes.rendering import free_form, put_text
from gestalt_host.http.shapes.targets import public_connection
from gestalt_host.invocation.model import ConfiguredPlugin
from gestalt_host.packages.catalogue import CatalogueOperation, CatalogueParameter, PluginCatalogue
from gestalt_host.packages.inputs import schema_of

Json = dict[str, Any]

_MCP_ONLY = frozenset({"mcp", "mcp-passthrough"})

_JSON_TYPES = frozenset({"string", "integer", "number", "boolean", "array", "object"})

_SIGNED_IN = frozenset({"oauth2", "mcp_oauth"})
_OWNER_KINDS = {"none": "none", "user": "current_user", "platform": "platform"}
_CREDENTIAL_MODES = {"none": "none", "user": "subject", "platform": "platform"}


def is_listed(plugin: ConfiguredPlugin) -> bool:
    """Return whether the plugin has something a person can use, perhaps of a session, or cannot be called now."""
    if (
        not plugin.is_known
        or plugin.absence()
        or (plugin.sessions is not None and plugin.sessions.offers_session_catalogue)
    ):
        return True
    offered = any(True for _ in _offered(plugin, plugin.operations))
    return offered or bool(_public_connections(plugin))


def plugin_shape(plugin: ConfiguredPlugin) -> Json:
    shape: Json = {"name": plugin.name}
    put_text(shape, "displayName", plugin.display_name)
    put_text(shape, "description", plugin.description)
    put_text(shape, "iconSvg", _icon(plugin))
    connections = [_connection_shape(item) for item in _public_connections(plugin)]
    shape["connections"] = connections
    state = next((item for item in connections if item["status"] != "ready"), connections[0] if connections else None)
    if state is None:
        shape |= {"status": "ready", "credentialState": "not_required", "healthState": "not_applicable"}
    else:
        shape |= {key: state[key] for key in ("status", "credentialState", "healthState")}
    if absence := plugin.absence():
        shape |= {"status": "unavailable", "healthState": "unhealthy", "statusReason": absence}
    shape["actions"] = [] if state is None else list(state["actions"])
    return shape


def operation_shapes(plugin: ConfiguredPlugin, operations: Mapping[str, CatalogueOperation]) -> list[Json]:
    """Return those of the plugin's ``operations`` that are offered over HTTP, sorted by id."""
    offered = sorted(_offered(plugin, operations), key=lambda row: row[0])
    return [_operation_shape(name, operation) for name, operation in offered]


def internal_parameters(plugin: ConfiguredPlugin, operation: str) -> frozenset[str]:
    """Return the names of parameters that public requests may not set; none for an unknown operation."""
    found = plugin.operations.get(operation)
    return frozenset(item.name for item in found.parameters if item.internal) if found is not None else frozenset()


def _offered(
    plugin: ConfiguredPlugin, operations: Mapping[str, CatalogueOperation]
) -> Iterator[tuple[str, CatalogueOperation]]:
    """Yield the visible HTTP operations that are not bound to an internal connection, by the id that callers use."""
    for name, operation in operations.items():
        bound = plugin.connections.get(plugin.operation_connections.get(name, ""))
        if operation.visible is not False and operation.transport not in _MCP_ONLY and not (bound and bound.internal):
            yield name, operation


def _operation_shape(name: str, operation: CatalogueOperation) -> Json:
    public = [item for item in operation.parameters if not item.internal]
    parameters = [_parameter_shape(item) for item in public]
    schema = _without(operation.input_schema, {item.name for item in operation.parameters if item.internal})
    if schema is None and parameters:
        schema = dict(schema_of(public))
    if not parameters and schema is not None:
        parameters = _parameters_of(schema)
    shape: Json = {"id": name, "method": operation.method, "path": operation.path}
    put_text(shape, "title", operation.title)
    put_text(shape, "description", operation.description)
    if schema is not None:
        shape["inputSchema"] = free_form(schema)
    if operation.output_schema:
        shape["outputSchema"] = free_form(dict(operation.output_schema))
    shape["annotations"] = dict(operation.annotations or {}) or _derived_annotations(operation.method)
    _put_list(shape, "allowedRoles", operation.allowed_roles)
    _put_list(shape, "requiredScopes", operation.required_scopes)
    _put_list(shape, "tags", operation.tags)
    _put_list(shape, "parameters", parameters)
    if operation.read_only:
        shape["readOnly"] = True
    if operation.visible is not None:
        shape["visible"] = operation.visible
    put_text(shape, "transport", operation.transport or "plugin")
    put_text(shape, "query", operation.query)
    return shape


def _icon(plugin: ConfiguredPlugin) -> str:
    return plugin.catalogue.icon_svg if isinstance(plugin.catalogue, PluginCatalogue) else ""


def _public_connections(plugin: ConfiguredPlugin) -> list[Connection]:
    """Return the declared connections; the implicit one only when it has a credential."""
    found = (
        item
        for item in plugin.connections.values()
        if not item.internal and (item.name != PLUGIN_CONNECTION or item.mode != "none")
    )
    return sorted(found, key=lambda item: public_connection(item.name))


def _connection_shape(connection: Connection) -> Json:
    mode, name = connection.mode, public_connection(connection.name)
    if mode == "none":
        status, credential, health = "ready", "not_required", "not_applicable"
    elif mode == "platform" and connection.is_configured:
        status, credential, health = "ready", "configured", "not_checked"
    elif mode == "platform":
        status, credential, health = "needs_admin_configuration", "missing", "not_checked"
    else:
        status, credential, health = "needs_user_connection", "missing", "not_applicable"
    params = {item.name: _connection_param_shape(item) for item in connection.declared_params.values()}
    return {
        "displayName": connection.display_name or name,
        "name": name,
        "mode": mode,
        "authTypes": _auth_types(connection),
        **({"connectionParams": params} if params else {}),
        "credentialFields": _credential_fields(connection),
        "status": status,
        "credentialState": credential,
        "healthState": health,
        "actions": ["connect"] if mode == "user" else [],
        "credentialMode": _CREDENTIAL_MODES.get(mode, "none"),
        "ownerKind": _OWNER_KINDS.get(mode, "unknown"),
        "instances": [],
    }


def _auth_types(connection: Connection) -> list[str]:
    """Return how a person connects: by signing in, or by filling in what the service has given him."""
    if connection.mode != "user":
        return []
    return ["oauth" if connection.auth_type in _SIGNED_IN else "manual"]


def _credential_fields(connection: Connection) -> list[Json]:
    if _auth_types(connection) != ["manual"]:
        return []
    shapes = []
    for item in connection.credential_fields or (CredentialField("credential", "Credential"),):
        shape: Json = {"name": item.name}
        put_text(shape, "label", item.label)
        put_text(shape, "description", item.description)
        shapes.append(shape)
    return shapes


def _connection_param_shape(param: ConnectionParam) -> Json:
    shape: Json = {"required": True} if param.required else {}
    put_text(shape, "description", param.description)
    put_text(shape, "default", param.default)
    return shape


def _parameter_shape(parameter: CatalogueParameter) -> Json:
    shape: Json = {"name": parameter.name}
    put_text(shape, "wireName", parameter.wire_name)
    shape["type"] = parameter.type
    put_text(shape, "location", parameter.location)
    put_text(shape, "description", parameter.description)
    if parameter.required:
        shape["required"] = True
    if parameter.default is not None:
        shape["default"] = free_form(parameter.default)
    return shape


def _parameters_of(schema: Mapping[str, Any]) -> list[Json]:
    """Return one parameter for each property of an object schema, sorted by name."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return []
    required = schema.get("required")
    names = set(required) if isinstance(required, list) else set()
    found: list[Json] = []
    for name in sorted(properties):
        declared = properties[name] if isinstance(properties[name], Mapping) else {}
        shape: Json = {"name": name, "type": _reduced_type(declared)}
        if isinstance(description := declared.get("description"), str) and description:
            shape["description"] = description
        if name in names:
            shape["required"] = True
        if declared.get("default") is not None:
            shape["default"] = free_form(declared["default"])
        found.append(shape)
    return found


def _reduced_type(declared: Mapping[str, Any]) -> str:
    """Return one of the six JSON types a parameter can have; of a union the first that is not null."""
    kind = declared.get("type")
    options = kind if isinstance(kind, list) else [kind]
    for option in options:
        if option in _JSON_TYPES:
            return str(option)
    if "properties" in declared:
        return "object"
    return "array" if "items" in declared else "string"


def _without(schema: Mapping[str, Any] | None, names: set[str]) -> Json | None:
    """Return the schema without these properties."""
    if not schema:
        return None
    found = dict(schema)
    if names and isinstance(properties := found.get("properties"), Mapping):
        found["properties"] = {key: value for key, value in properties.items() if key not in names}
        if isinstance(required := found.get("required"), list):
            found["required"] = [name for name in required if name not in names]
    return found


def _derived_annotations(method: str) -> Json:
    hints: Json = {}
    if method in ("GET", "HEAD"):
        hints["readOnlyHint"] = True
    elif method == "PUT":
        hints["idempotentHint"] = True
    elif method == "DELETE":
        hints["destructiveHint"] = True
    hints["openWorldHint"] = True
    return hints


def _put_list(shape: Json, key: str, items: Sequence[Any]) -> None:
    if items:
        shape[key] = list(items)
