"""Preparing all configured entries at once: their manifests, launch commands and catalogues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from gestalt_host.config.model import HostConfig, ProviderEntry
from gestalt_host.daemon.concurrency import all_of
from gestalt_host.packages import Launchable, prepare

log = structlog.get_logger()


@dataclass(slots=True)
class Launchables:
    """The entries that can be launched, by name, and what is wrong with the plugins that cannot."""

    stores: dict[str, Launchable] = field(default_factory=dict)
    workflows: dict[str, Launchable] = field(default_factory=dict)
    plugins: dict[str, Launchable] = field(default_factory=dict)
    failed_plugins: dict[str, tuple[ProviderEntry, Exception]] = field(default_factory=dict)


async def prepare_entries(config: HostConfig, environ: Mapping[str, str], artifacts_dir: Path) -> Launchables:
    """Prepare the IndexedDB entries that somebody uses, all workflow providers and all plugins.

    Raises:
        PackageInvalid: a store or workflow provider cannot be launchable. Plugins that cannot are only noted.
    """
    result = Launchables()
    used = used_stores(config)
    for name in config.providers["indexeddb"].keys() - used:
        log.info("indexeddb entry is not used", event_name="store.unused", provider=name)

    async def one(entry: ProviderEntry, into: dict[str, Launchable]) -> None:
        try:
            into[entry.name] = await prepare(entry, artifacts_dir, environ)
        except Exception as error:  # also what nobody has thought of: a package is anybody's
            if entry.kind != "plugins":
                raise
            result.failed_plugins[entry.name] = (entry, error)

    await all_of(
        [
            *(one(config.providers["indexeddb"][name], result.stores) for name in sorted(used)),
            *(one(entry, result.workflows) for entry in config.providers["workflow"].values()),
            *(one(entry, result.plugins) for entry in config.plugins.values()),
        ]
    )
    return result


def used_stores(config: HostConfig) -> set[str]:
    """Return the names of the IndexedDB entries that the host itself, a workflow provider or a plugin is bound to."""
    entries = (*config.providers["workflow"].values(), *config.plugins.values())
    bound = {entry.indexeddb.provider for entry in entries if entry.indexeddb is not None}
    return bound | ({config.indexeddb} if config.indexeddb else set())
