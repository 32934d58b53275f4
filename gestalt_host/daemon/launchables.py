"""Preparing all configured entries at once: their manifests, launch commands and catalogues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from gestalt_host.config.model import HostConfig, ProviderEntry
from gestalt_host.daemon.concurrency import all_of
from gestalt_host.packages import Launchable, Workplace, prepare
from gestalt_host.packages.lock.currency import key_of
from gestalt_host.packages.lock.model import Key

log = structlog.get_logger()


@dataclass(slots=True)
class Launchables:
    """The entries that can be launched, by name, and what is wrong with the plugins that cannot."""

    stores: dict[str, Launchable] = field(default_factory=dict)
    workflows: dict[str, Launchable] = field(default_factory=dict)
    plugins: dict[str, Launchable] = field(default_factory=dict)
    failed_plugins: dict[str, tuple[ProviderEntry, Exception]] = field(default_factory=dict)


async def prepare_entries(
    config: HostConfig,
    environ: Mapping[str, str],
    workplace: Workplace,
    failures: Mapping[Key, Exception],
    under_way: set[str] | None = None,
) -> Launchables:
    """Prepare the IndexedDB entries that somebody uses, all workflow providers and all plugins.

    Args:
        failures: Why packages could not be installed, by entry.
        under_way: Has the dotted paths of the entries that are not prepared yet, for somebody who waits.
    Raises:
        PackageInvalid: a store or workflow provider cannot be launchable. Plugins that cannot are only noted.
    """
    result = Launchables()
    used = used_stores(config)
    for name in config.providers["indexeddb"].keys() - used:
        log.info("indexeddb entry is not used", event_name="store.unused", provider=name)
    into = {"indexeddb": result.stores, "workflow": result.workflows, "plugins": result.plugins}

    under_way = set() if under_way is None else under_way

    async def one(entry: ProviderEntry) -> None:
        under_way.add(entry.path)
        try:
            if key_of(entry) in failures:
                raise failures[key_of(entry)]
            into[entry.kind][entry.name] = await prepare(entry, workplace, environ)
        except Exception as error:  # also what nobody has thought of: a package is anybody's
            if entry.kind != "plugins":
                raise
            result.failed_plugins[entry.name] = (entry, error)
        finally:
            under_way.discard(entry.path)

    await all_of(one(entry) for entry in launched_entries(config))
    return result


def launched_entries(config: HostConfig) -> list[ProviderEntry]:
    """Return the entries that become processes: the stores that somebody uses, workflow providers and plugins."""
    stores = config.providers["indexeddb"]
    used = [stores[name] for name in sorted(used_stores(config)) if name in stores]
    return [*used, *config.providers["workflow"].values(), *config.plugins.values()]


def used_stores(config: HostConfig) -> set[str]:
    """Return the names of the IndexedDB entries that the host itself, a workflow provider or a plugin is bound to."""
    entries = (*config.providers["workflow"].values(), *config.plugins.values())
    bound = {entry.indexeddb.provider for entry in entries if entry.indexeddb is not None}
    return bound | ({config.indexeddb} if config.indexeddb else set())
