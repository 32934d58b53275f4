"""Building a ``ConfiguredPlugin`` from what the configuration, the package's manifest and its catalogue say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gestalt_host.access.credentials.connections import PLUGIN_CONNECTION, Connection, internal_name
from gestalt_host.config.errors import Problem
from gestalt_host.config.model import AllowedOperation, ProviderEntry
from gestalt_host.errors import EntryFailed
from gestalt_host.invocation.model import ConfiguredPlugin, DeclaredInvoke, OperationRunner
from gestalt_host.packages.catalogue import CatalogueOperation, PluginCatalogue
from gestalt_host.packages.manifests.model import Manifest


class OperationsUnfit(EntryFailed):
    """``allowedOperations`` names an operation that the catalogue lacks, or gives one name to two.

    Attributes:
        problem: What is wrong and where it is written, in the configuration or in the plugin's manifest.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem), "its allowedOperations do not fit its catalogue")
        self.problem = problem


def make_plugin(
    entry: ProviderEntry, manifest: Manifest, catalogue: PluginCatalogue, runner: OperationRunner
) -> ConfiguredPlugin:
    """Make the plugin as callers see it.

    Raises:
        OperationsUnfit: ``allowedOperations`` does not fit the catalogue; the text has file, line and dotted path.
    """
    allowed = entry.allowed_operations if entry.allowed_operations is not None else manifest.allowed_operations
    operations, provider_operations = _operations(entry, catalogue.operations, allowed)
    connections, default = connections_of(entry, manifest)
    return ConfiguredPlugin(
        name=entry.name,
        runner=runner,
        operations=operations,
        display_name=entry.display_name or manifest.display_name or catalogue.display_name,
        description=entry.description or manifest.description or catalogue.description,
        catalogue=catalogue,
        provider_operations=provider_operations,
        connections=connections,
        default_connection=default,
        invokes=tuple(DeclaredInvoke(i.plugin, i.operation, i.surface, i.credential_mode) for i in entry.invokes),
    )


def connections_of(entry: ProviderEntry, manifest: Manifest) -> tuple[dict[str, Connection], str]:
    """Return a plugin's connections by internal name, and the default one's name (config.md 15.2, 15.3).

    The configuration's words win over the manifest's; one that the manifest calls internal stays so.
    """
    connections: dict[str, Connection] = {}
    for name, declared in manifest.connections.items():
        name = internal_name(name)
        internal = declared.exposure == "internal"
        connections[name] = Connection(name, declared.mode, internal=internal, display_name=declared.display_name)
    for name, item in entry.connections.items():
        name = internal_name(name)
        known = connections.get(name, Connection(name))
        connections[name] = Connection(
            name=name,
            mode=item.mode or known.mode,
            token=item.token,
            internal=item.exposure == "internal" or known.internal,
            display_name=item.display_name or known.display_name,
        )
    named = [name for name in connections if name != PLUGIN_CONNECTION]
    default = internal_name(manifest.default_connection)
    if not default and "default" in connections:
        default = "default"
    if not default and len(named) == 1:
        default = named[0]
    return connections, default or PLUGIN_CONNECTION


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
            tags=row.tags or operation.tags,
        )
        if alias != name:
            renamed[alias] = name
    return result, renamed
