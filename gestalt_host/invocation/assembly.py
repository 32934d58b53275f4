"""Building a ``ConfiguredPlugin`` from what the configuration, the package's manifest and its catalogue say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gestalt_host.access.credentials.connections import PLUGIN_CONNECTION, Connection, internal_name
from gestalt_host.config.declared.connections import AuthMapping, ConnectionParam
from gestalt_host.config.errors import Problem
from gestalt_host.config.model import AllowedOperation, ProviderEntry
from gestalt_host.errors import EntryFailed
from gestalt_host.invocation.model import ConfiguredPlugin, DeclaredInvoke, OperationRunner
from gestalt_host.packages.catalogue import CatalogueOperation, PluginCatalogue
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.manifests.rest_model import RestSurface


class EntryUnfit(EntryFailed):
    """A plugin's entry asks for what its package does not have, or what this host cannot do for it.

    Attributes:
        problem: What is wrong and where it is written, in the configuration or in the plugin's manifest.
    """

    def __init__(self, problem: Problem, reason: str) -> None:
        super().__init__(str(problem), reason)
        self.problem = problem


class OperationsUnfit(EntryUnfit):
    """``allowedOperations`` names an operation that the catalogue lacks, or gives one name to two."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem, "its allowedOperations do not fit its catalogue")


def make_plugin(
    entry: ProviderEntry,
    manifest: Manifest,
    catalogue: PluginCatalogue,
    runner: OperationRunner,
    surface: RestSurface | None = None,
) -> ConfiguredPlugin:
    """Make the plugin as callers see it.

    Args:
        surface: Of a plugin whose operations are HTTP requests, as ``rest.surface.surface_of`` returns it.
    Raises:
        OperationsUnfit: ``allowedOperations`` does not fit the catalogue; the text has file, line and dotted path.
    """
    allowed = entry.allowed_operations if entry.allowed_operations is not None else manifest.allowed_operations
    operations, provider_operations = _operations(entry, catalogue.operations, allowed)
    connections, default = connections_of(entry, manifest)
    offered = {} if surface is None else {id: surface.operations[provider_operations.get(id, id)] for id in operations}
    if surface is not None and surface.connection:
        default = surface.connection
    return ConfiguredPlugin(
        name=entry.name,
        runner=runner,
        operations=operations,
        display_name=entry.display_name or manifest.display_name or catalogue.display_name,
        description=entry.description or manifest.description or catalogue.description,
        catalogue=catalogue,
        provider_operations=provider_operations,
        operation_connections={name: item.connection for name, item in offered.items() if item.connection},
        selectors={name: item.selector for name, item in offered.items() if item.selector is not None},
        connections=connections,
        default_connection=default,
        invokes=tuple(DeclaredInvoke(i.plugin, i.operation, i.surface, i.credential_mode) for i in entry.invokes),
    )


def connections_of(entry: ProviderEntry, manifest: Manifest) -> tuple[dict[str, Connection], str]:
    """Return a plugin's connections by internal name, and the default one's name (config.md 15.2, 15.3).

    The configuration's words win over the manifest's; one that the manifest calls internal stays so. A type of
    authentication of the configuration's own comes without the manifest's mapping.
    """
    connections: dict[str, Connection] = {}
    for name, declared in manifest.connections.items():
        name = internal_name(name)
        internal = declared.exposure == "internal"
        connections[name] = Connection(
            name,
            declared.mode,
            internal=internal,
            display_name=declared.display_name,
            declared_params=declared.params,
            auth_mapping=declared.auth_mapping,
            auth_type=declared.auth_type,
            credential_fields=declared.credential_fields,
        )
    for name, item in entry.connections.items():
        name = internal_name(name)
        known = connections.get(name, Connection(name))
        mode = item.mode or known.mode
        is_same_type = item.auth_type in ("", known.auth_type)
        connections[name] = Connection(
            name=name,
            mode=mode,
            token=item.token,
            internal=item.exposure == "internal" or known.internal,
            display_name=item.display_name or known.display_name,
            declared_params=_merged(known.declared_params, item.params),
            auth_mapping=item.auth_mapping or (_inherited(known.auth_mapping, mode) if is_same_type else None),
            auth_type=item.auth_type or known.auth_type,
            credential_fields=item.credential_fields or (known.credential_fields if is_same_type else ()),
        )
    named = [name for name in connections if name != PLUGIN_CONNECTION]
    default = internal_name(manifest.default_connection)
    if not default and "default" in connections:
        default = "default"
    if not default and len(named) == 1:
        default = named[0]
    return connections, default or PLUGIN_CONNECTION


def _merged(
    declared: Mapping[str, ConnectionParam], configured: Mapping[str, ConnectionParam]
) -> dict[str, ConnectionParam]:
    merged = dict(declared)
    for name, item in configured.items():
        known = declared.get(name, item)
        merged[name] = ConnectionParam(
            name, item.description or known.description, item.default or known.default, item.required or known.required
        )
    return merged


def _inherited(mapping: AuthMapping | None, mode: str) -> AuthMapping | None:
    """Return a manifest's mapping for a connection of the configuration: a platform's has no fields that it names."""
    if mapping is None or (mode == "platform" and any(value.field for value in mapping.values)):
        return None
    return mapping


def _operations(
    entry: ProviderEntry, operations: Mapping[str, CatalogueOperation], allowed: Mapping[str, AllowedOperation] | None
) -> tuple[dict[str, CatalogueOperation], dict[str, str]]:
    """Return the operations by the name that callers use, and those names to the plugin's own where they differ."""
    if allowed is None:
        return dict(operations), {}
    result: dict[str, CatalogueOperation] = {}
    renamed: dict[str, str] = {}
    for name, row in allowed.items():
        place, path = row.place or entry.place, f"{entry.path}.allowedOperations.{name}"
        operation = operations.get(name)
        if operation is None:
            raise OperationsUnfit(Problem(place, path, f"unknown operation; known: {', '.join(operations)}"))
        alias = row.alias or name
        if alias in result:
            raise OperationsUnfit(Problem(place, f"{path}.alias", f"{alias!r} is taken"))
        result[alias] = replace(
            operation,
            id=alias,
            description=row.description or operation.description,
            allowed_roles=operation.allowed_roles if row.allowed_roles is None else row.allowed_roles,
            tags=tuple(dict.fromkeys((*operation.tags, *row.tags))),
        )
        if alias != name:
            renamed[alias] = name
    return result, renamed
