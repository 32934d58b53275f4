"""Plugins as callers see them, made of entry, package and catalogue: with a process of their own, or without one."""

from __future__ import annotations

import structlog

from gestalt_host.config.errors import Place, Problem
from gestalt_host.config.model import ProviderEntry
from gestalt_host.invocation.assembly import EntryUnfit, make_plugin
from gestalt_host.invocation.model import ConfiguredPlugin, OperationRunner
from gestalt_host.invocation.rest.catalogue import catalogue_of
from gestalt_host.invocation.rest.places import Places
from gestalt_host.invocation.rest.runner import RestRunner
from gestalt_host.invocation.rest.surface import require_no_list, rules_of, surface_of
from gestalt_host.packages import Manifest, PluginCatalogue

log = structlog.get_logger()


def process_plugin(
    entry: ProviderEntry, manifest: Manifest, catalogue: PluginCatalogue, runner: OperationRunner, *, egress_deny: bool
) -> ConfiguredPlugin:
    """Make a plugin that is a process.

    Raises:
        EntryUnfit: the entry does not fit the package, or asks for a limit that no process can be held to.
    """
    require_no_list(entry, default_deny=egress_deny)
    for name, row in (entry.allowed_operations or {}).items():
        if row.paginate or row.pagination is not None:
            reason = "is for operations of surfaces.rest; the plugin is a process, which pages itself"
            _tell_unused(f"{entry.path}.allowedOperations.{name}.paginate", row.place, reason)
    return make_plugin(entry, manifest, catalogue, runner)


def declarative_plugin(
    entry: ProviderEntry, manifest: Manifest, *, egress_deny: bool, large: Places | None = None
) -> tuple[ConfiguredPlugin, RestRunner]:
    """Make a plugin without a process, and what sends its requests, which has to be closed.

    Args:
        large: Places for operations with large answers, which it shares with other plugins.

    Raises:
        EntryUnfit: the entry does not fit the package, or asks for what only a process can have.
    """
    if entry.invokes:
        problem = Problem(entry.place, f"{entry.path}.invokes", "the plugin has no process that could invoke anything")
        raise EntryUnfit(problem, "it declares invokes and has no process")
    if entry.limits.memory_bytes is not None:
        problem = Problem(entry.place, f"{entry.path}.limits.memory", "the plugin has no process that could be limited")
        raise EntryUnfit(problem, "it has a limit of memory and no process")
    for key, value in (("env", entry.env), ("config", entry.config)):
        if value:
            _tell_unused(f"{entry.path}.{key}", entry.place, "the plugin has no process that it could be given to")
    surface = surface_of(entry, manifest)
    runner = RestRunner(surface, rules_of(entry, surface, default_deny=egress_deny), entry.name, large=large)
    return make_plugin(entry, manifest, catalogue_of(manifest), runner, surface), runner


def _tell_unused(path: str, place: Place | None, reason: str) -> None:
    text = "configuration key is not used"
    log.warning(text, event_name="config.unused", path=path, place=str(place), reason=reason)
