"""Making a lock: what every source is resolved to, read from the archives that are published (packaging.md 10.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gestalt_host.config.model import ProviderEntry
from gestalt_host.errors import quoted
from gestalt_host.packages.archives.extract import extract
from gestalt_host.packages.catalogue import PluginCatalogue
from gestalt_host.packages.errors import PackageInvalid, listed
from gestalt_host.packages.fitting import read_fitting, require_config
from gestalt_host.packages.generated_catalogues import catalogue_of
from gestalt_host.packages.installed.install import check_unpacked
from gestalt_host.packages.installed.record import Expected
from gestalt_host.packages.languages import source_command
from gestalt_host.packages.languages.packaged import lacks_artifact
from gestalt_host.packages.lock.currency import input_digest, is_release, key_of, label
from gestalt_host.packages.lock.fingerprints import catalogue_fingerprint
from gestalt_host.packages.lock.model import Key, Lock, LockedCatalogue, LockEntry
from gestalt_host.packages.lock.offered import locked_catalogue, packaged_catalogue
from gestalt_host.packages.manifests.document import manifest_document
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.platforms import host_platform
from gestalt_host.packages.releases.resolve import SourceContext, archive_for, fetch_archive, resolve
from gestalt_host.packages.scratch import scratch_directory

AT_ONCE = 4
"""As many entries are resolved, downloaded and looked into at the same time."""


class Locker:
    """Locks entries, each in a scratch directory of its own."""

    def __init__(
        self,
        context: SourceContext,
        environ: Mapping[str, str],
        *,
        platforms: Iterable[str] = (),
        compared_with: Lock | None = None,
    ) -> None:
        """
        Args:
            environ: For what runs to build a local source or to write its catalogue.
            platforms: Whose archives are verified besides that of this machine.
            compared_with: A lock that the new one is compared with: nothing of a local source is run, and what only
                running tells is taken from there. None: sources are built and run.
        """
        self._context = context
        self._environ = environ
        self._platforms = tuple(dict.fromkeys((host_platform(), *platforms)))
        self._compared_with = compared_with
        self._places = asyncio.Semaphore(AT_ONCE)

    async def outcomes(self, entries: Iterable[ProviderEntry]) -> dict[Key, LockEntry | Exception]:
        """Return each entry's lock, or why there is none."""
        entries = list(entries)
        with scratch_directory("lock") as scratch:
            works = [self._one(entry, scratch / str(index)) for index, entry in enumerate(entries)]
            results = await asyncio.gather(*works)
        return {key_of(entry): result for entry, result in zip(entries, results, strict=True)}

    async def _one(self, entry: ProviderEntry, scratch: Path) -> LockEntry | Exception:
        async with self._places:
            try:
                return await (self._release(entry, scratch) if is_release(entry) else self._local(entry, scratch))
            except PackageInvalid as error:
                return PackageInvalid(f"{label(entry)}: {error}", error.reason)
            except OSError as error:
                where = f"{error.filename}: " if error.filename else ""
                return PackageInvalid(f"{label(entry)}: {where}{(error.strerror or str(error)).lower()}")

    async def _release(self, entry: ProviderEntry, scratch: Path) -> LockEntry:
        resolved = await resolve(entry, self._context)
        metadata = resolved.metadata
        files: dict[str, Path] = {}
        for platform in self._platforms:
            archive = archive_for(resolved.archives, platform, metadata.runtime)
            files[platform] = await fetch_archive(archive, resolved.source, entry, self._context, fresh=True)
        archive = archive_for(resolved.archives, host_platform(), metadata.runtime)
        expected = Expected(metadata.package, metadata.version, metadata.kind, archive.sha256, runtime=metadata.runtime)
        manifest = await asyncio.to_thread(_looked_into, files[host_platform()], scratch, expected)
        require_config(manifest, entry)
        catalogue = None
        if entry.kind == "plugins":
            catalogue = locked_catalogue(entry, manifest, _released_catalogue(manifest))
        return LockEntry(
            input_digest=await asyncio.to_thread(input_digest, entry, self._context.config_dir),
            kind=metadata.kind,
            runtime=metadata.runtime,
            package=metadata.package,
            source=resolved.source,
            version=metadata.version,
            archives=resolved.archives,
            manifest=manifest_document(manifest),
            catalogue=catalogue,
        )

    async def _local(self, entry: ProviderEntry, scratch: Path) -> LockEntry:
        manifest = await asyncio.to_thread(read_fitting, entry)
        if self._compared_with is None and (manifest.release_command or lacks_artifact(manifest)):
            await source_command(manifest, entry.name, scratch, self._environ)
        return LockEntry(
            input_digest=await asyncio.to_thread(input_digest, entry, self._context.config_dir),
            kind=manifest.kind,
            runtime="ui" if manifest.kind == "ui" else "executable",
            manifest=await asyncio.to_thread(manifest_document, manifest),
            catalogue=await self._local_catalogue(entry, manifest, scratch) if entry.kind == "plugins" else None,
        )

    async def _local_catalogue(self, entry: ProviderEntry, manifest: Manifest, scratch: Path) -> LockedCatalogue | None:
        catalogue = packaged_catalogue(manifest)
        if catalogue is None and not manifest.is_manifest_backed:
            if self._compared_with is not None:
                before = self._compared_with.entries.get(key_of(entry))
                known = before.catalogue if before is not None else None
                return (
                    None
                    if known is None
                    else replace(known, fingerprint=catalogue_fingerprint(entry.allowed_operations))
                )
            command = await source_command(manifest, entry.name, scratch, self._environ)
            catalogue = await catalogue_of(manifest, command, entry.name, scratch, self._environ)
        return locked_catalogue(entry, manifest, catalogue)


async def make_lock(entries: Sequence[ProviderEntry], locker: Locker) -> Lock:
    """Return the lock of all entries.

    Raises:
        PackageInvalid: naming each entry that cannot be locked, and each operation that is invoked and not there.
    """
    outcomes = await locker.outcomes(entries)
    failures = [str(item) for item in outcomes.values() if isinstance(item, Exception)]
    lock = Lock({key: item for key, item in outcomes.items() if isinstance(item, LockEntry)})
    failures += invoke_faults(entries, lock)
    if failures:
        raise PackageInvalid(listed(failures))
    return lock


def invoke_faults(entries: Iterable[ProviderEntry], lock: Lock) -> list[str]:
    """Return what is wrong with the operations that plugins may invoke on others, as far as the lock knows those."""
    faults = []
    for entry in entries:
        for index, invoke in enumerate(entry.invokes):
            target = lock.entries.get(("plugin", invoke.plugin))
            known = target.catalogue if target is not None else None
            if not invoke.operation or known is None or not known.is_available or known.is_session_only:
                continue
            if invoke.operation not in known.operations:
                there = ", ".join(known.operations) or "none"
                faults.append(
                    f"{entry.path}.invokes[{index}].operation: plugin {quoted(invoke.plugin)} has no operation "
                    f"{quoted(invoke.operation)}; accepted are {there}"
                )
    return faults


def _looked_into(archive: Path, scratch: Path, expected: Expected) -> Manifest:
    """Unpack an archive without installing it; return its manifest after all checks of an installation."""
    scratch.mkdir()
    extract(archive, scratch)
    return check_unpacked(archive, scratch, expected, host_platform())


def _released_catalogue(manifest: Manifest) -> PluginCatalogue | None:
    catalogue = packaged_catalogue(manifest)
    if catalogue is None and not manifest.is_manifest_backed:
        raise PackageInvalid("the package has no catalog.yaml, which an executable plugin requires")
    return catalogue
