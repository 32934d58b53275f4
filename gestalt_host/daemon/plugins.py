"""Plugins as callers see them, made of entry, package and catalogue: with a process of their own, or without one."""

from __future__ import annotations

import structlog

from gestalt_host.config.errors import Problem
from gestalt_host.config.model import ProviderEntry
from gestalt_host.invocation.assembly import EntryUnfit, make_plugin
from gestalt_host.invocation.model import ConfiguredPlugin, OperationRunner
from gestalt_host.invocation.rest.catalogue import catalogue_of
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
            log.warning(
                "configuration key is not used",
                event_name="config.unused",
                path=f"{entry.path}.allowedOperations.{name}.paginate",
                place=str(row.place),
                reason="is for operations of surfaces.rest; the plugin is a process, which pages itself",
            )
    return make_plugin(entry, manifest, catalogue, runner)


def declarative_plugin(
    entry: ProviderEntry, manifest: Manifest, *, egress_deny: bool
) -> tuple[ConfiguredPlugin, RestRunner]:
    """Make a plugin without a process, and what sends its requests, which has to be closed.

    Raises:
        EntryUnfit: the entry does not fit the package, or asks for what only a process can have.
    """
    if entry.invokes:
        problem = Problem(entry.place, f"{entry.path}.invokes", "the plugin has no process that could invoke anything")
        raise EntryUnfit(problem, "it declares invokes and has no process")
    surface = surface_of(entry, manifest)
    runner = RestRunner(surface, rules_of(entry, surface, default_deny=egress_deny), entry.name)
    return make_plugin(entry, manifest, catalogue_of(manifest), runner, surface), runner
