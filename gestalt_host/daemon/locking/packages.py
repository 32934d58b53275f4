"""Packages from releases as `gestaltd validate` knows them: installed as locked, or by what the lock says of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from gestalt_host.config.errors import Problem
from gestalt_host.config.model import HostConfig, ProviderEntry
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.locking.faults import LockUse, faults_by_entry, lock_faults, shortened
from gestalt_host.packages import CatalogueOperation, Manifest, PluginCatalogue, read_manifest
from gestalt_host.packages.errors import PackageInvalid, listed
from gestalt_host.packages.lock.currency import is_release, key_of, label, lockable_entries, standing
from gestalt_host.packages.lock.file import LockUnreadable, read_lock
from gestalt_host.packages.lock.fingerprints import catalogue_fingerprint
from gestalt_host.packages.lock.model import Lock, LockEntry
from gestalt_host.packages.lock.prepared import locked_archive
from gestalt_host.packages.platforms import host_platform

_WORD = "plugin"


class LockedPackages:
    """The entries whose sources are releases.

    Attributes:
        plugins: Those that are not installed, with what the lock knows of them: no inputs of operations.
        warnings: What could not be checked because a package is not installed.
    """

    def __init__(self, config: HostConfig, use: LockUse, scratch: Path, platform: str = "") -> None:
        """
        Args:
            platform: Another one than this machine's, for which packages have to be there.
        """
        self._config = config
        self._use = use
        self._scratch = scratch
        self._platform = platform or host_platform()
        self.plugins: list[tuple[ProviderEntry, Manifest, PluginCatalogue | None]] = []
        """Those whose package is not here, as the lock knows them; without a catalogue where they have no process."""
        self.warnings: list[Problem] = []

    def sort(self, *, is_runtime: bool) -> HostConfig:
        """Check the entries against the lock; return the configuration without those that are not installed.

        Args:
            is_runtime: Every package has to be installed.
        Raises:
            CommandFailed: naming every entry that the lock does not have as it is configured.
        """
        config = self._config
        releases = [entry for entry in lockable_entries(config) if is_release(entry)]
        if not releases:
            return config
        try:
            lock = read_lock(self._use.path)
        except LockUnreadable as error:
            raise CommandFailed(f"lockfile is missing or unreadable; run {self._use.lock}: {error}") from error
        standings = [standing(entry, lock, config.directory) for entry in releases]
        faults = lock_faults(standings, self._use, _WORD)
        if not faults:
            faults = [fault for entry in releases for fault in self._faults(entry, lock.entries[key_of(entry)])]
        if faults:
            raise CommandFailed(listed(faults))
        missing = [(entry, found) for entry, found in faults_by_entry(releases, lock, config.artifacts_dir) if found]
        if is_runtime and missing:
            raise CommandFailed(
                listed(
                    [
                        f"prepared artifact for {label(entry, _WORD)} is missing or stale; run {self._use.sync}: "
                        f"{shortened(found)}"
                        for entry, found in missing
                    ]
                )
            )
        for entry, _ in missing:
            self._from_lock(entry, lock)
        return _without(config, {key_of(entry) for entry, _ in missing})

    def _faults(self, entry: ProviderEntry, locked: LockEntry) -> list[str]:
        faults = []
        try:
            locked_archive(locked, self._platform)
        except PackageInvalid as error:
            command = f"{self._use.lock[:-1]} --platform {self._platform}`"
            faults.append(f"{label(entry, _WORD)}: {error}; run {command}")
        fingerprint = catalogue_fingerprint(entry.allowed_operations)
        if locked.catalogue is not None and entry.kind == "plugins" and locked.catalogue.fingerprint != fingerprint:
            reason = "its allowedOperations were changed"
            faults.append(f"lock entry for {label(entry, _WORD)} is stale; run {self._use.lock}: {reason}")
        return faults

    def _from_lock(self, entry: ProviderEntry, lock: Lock) -> None:
        locked = lock.entries[key_of(entry)]
        spec = (locked.manifest or {}).get("spec")
        if isinstance(spec, dict) and spec.get("configSchemaPath"):
            reason = f"not checked against the schema of its package, which is not installed; run {self._use.sync}"
            self.warnings.append(Problem(entry.place, f"{entry.path}.config", reason))
        if entry.kind != "plugins" or locked.manifest is None or locked.catalogue is None:
            return
        if not locked.catalogue.is_available or locked.catalogue.is_session_only:
            return
        folder = self._scratch / "locked" / entry.name
        folder.mkdir(parents=True)
        path = folder / "manifest.json"
        path.write_text(json.dumps(dict(locked.manifest)), encoding="utf-8")
        manifest = read_manifest(path)
        if manifest.is_declarative:
            self.plugins.append((entry, manifest, None))
            return
        # The lock has the operations as they are offered; neither list of allowed ones applies once more.
        manifest = replace(manifest, allowed_operations=None)
        operations = {name: CatalogueOperation(name) for name in locked.catalogue.operations}
        catalogue = PluginCatalogue(entry.name, operations=operations)
        self.plugins.append((replace(entry, allowed_operations=None), manifest, catalogue))


def _without(config: HostConfig, left_out: set[tuple[str, str]]) -> HostConfig:
    """Return the configuration without some entries."""

    def kept(entries: dict[str, ProviderEntry]) -> dict[str, ProviderEntry]:
        return {name: entry for name, entry in entries.items() if key_of(entry) not in left_out}

    providers = {kind: kept(dict(entries)) for kind, entries in config.providers.items()}
    return replace(config, providers=providers, plugins=kept(dict(config.plugins)))
