"""The plugins that run on this host, by name; filled by the daemon's wiring."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gestalt_host.errors import OperationNotFound, PluginNotFound
from gestalt_host.invocation.model import ConfiguredPlugin
from gestalt_host.packages.catalogue import CatalogueOperation


class PluginRegistry:
    def __init__(self, plugins: Iterable[ConfiguredPlugin] = ()) -> None:
        self._plugins: dict[str, ConfiguredPlugin] = {}
        for plugin in plugins:
            self.add(plugin)

    def add(self, plugin: ConfiguredPlugin) -> None:
        self._plugins[plugin.name] = plugin

    def names(self) -> list[str]:
        return sorted(self._plugins)

    def __iter__(self) -> Iterator[ConfiguredPlugin]:
        return (self._plugins[name] for name in self.names())

    def find(self, name: str) -> ConfiguredPlugin | None:
        return self._plugins.get(name)

    def get(self, name: str) -> ConfiguredPlugin:
        plugin = self._plugins.get(name)
        if plugin is None:
            raise PluginNotFound(name)
        return plugin


def operation_of(plugin: ConfiguredPlugin, operation: str, *, visible_only: bool = False) -> CatalogueOperation:
    """Return the operation's entry in the catalogue.

    Raises:
        OperationNotFound: no such operation; with ``visible_only`` a hidden one is answered in the same way.
        PluginAway: the plugin's operations are not known.
    """
    plugin.require_known()
    found = plugin.operations.get(operation)
    if found is None or (visible_only and found.visible is False):
        raise OperationNotFound(plugin.name, operation)
    return found
