"""From a configured source to something that can be started: manifest, command and, for plugins, catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from gestalt_host.config.model import ProviderEntry
from gestalt_host.packages.catalogue import PluginCatalogue
from gestalt_host.packages.digests import sha256_of
from gestalt_host.packages.errors import PackageInvalid, PackageUnprovided, failing_because
from gestalt_host.packages.fitting import local_manifest, require_config, require_kind, wanted_word
from gestalt_host.packages.generated_catalogues import catalogue_of
from gestalt_host.packages.installed.readings import Readings
from gestalt_host.packages.installed.record import FILE_NAME as RECORD
from gestalt_host.packages.installed.record import Record, read_record
from gestalt_host.packages.installed.zipapps import zipapp_environment
from gestalt_host.packages.languages import LaunchCommand, source_command
from gestalt_host.packages.languages.packaged import packaged_command
from gestalt_host.packages.lock.currency import is_release
from gestalt_host.packages.lock.prepared import prepared_directory
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.manifests.reading import find_manifest, read_manifest
from gestalt_host.packages.platforms import host_platform

NOTHING_WRITTEN = {"PYTHONDONTWRITEBYTECODE": "1"}
"""For the processes of providers: without it Python would write beside their sources."""


@dataclass(frozen=True, slots=True)
class Launchable:
    """A provider that can serve.

    Attributes:
        command: How its process is started; None where the manifest says all, so that there is none.
        catalogue: Of a plugin with a process.
        archive_sha256: Of the archive that it was installed from; blank for what is launched from its source.
    """

    entry: ProviderEntry
    manifest: Manifest
    command: LaunchCommand | None
    catalogue: PluginCatalogue | None = None
    archive_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where packages are.

    Attributes:
        artifacts_dir: Packages from releases lie there, installed and verified.
        built_dir: What local sources are built to, and the catalogues that they write, is kept there.
        may_run: Whether sources may be built and run for that; otherwise it has to be there, and nothing is written
            when they are started.
        readings: What this start has read of packages from releases, and found as installed.
    """

    artifacts_dir: Path
    built_dir: Path
    may_run: bool = True
    readings: Readings = field(default_factory=Readings)


async def prepare(entry: ProviderEntry, workplace: Workplace, environ: Mapping[str, str]) -> Launchable:
    """Find and check what the entry's source names.

    Raises:
        PackageInvalid: naming the entry and what is wrong.
    """
    try:
        with failing_because("its source is missing"):
            installed = prepared_directory(entry, workplace.artifacts_dir) if is_release(entry) else None
            path = local_manifest(entry) if installed is None else find_manifest(installed)
        with failing_because("its manifest is broken"):
            manifest = _manifest_of_kind(path, entry)
        with failing_because("its configuration does not fit its schema"):
            require_config(manifest, entry)
        record = None if installed is None else await asyncio.to_thread(read_record, installed)
        archive_sha256 = "" if record is None else record.archive_sha256
        if manifest.is_declarative:
            return Launchable(entry, manifest, None, archive_sha256=archive_sha256)
        with failing_because("its package has no program that can be run here"):
            if installed is None or record is None:
                command = await source_command(
                    manifest, entry.name, workplace.built_dir, environ, build=workplace.may_run
                )
            else:
                command = await asyncio.to_thread(_installed_command, manifest, installed, record, workplace.readings)
        catalogue = None
        if entry.kind == "plugins":
            cache_dir = workplace.built_dir / ".gestaltd" / "catalogues"
            with failing_because("its catalogue is broken, or its code that writes it"):
                catalogue = await catalogue_of(
                    manifest, command, entry.name, cache_dir, environ, may_run=workplace.may_run
                )
        if not workplace.may_run:
            command = replace(command, env={**command.env, **NOTHING_WRITTEN})
        return Launchable(entry, manifest, command, catalogue, archive_sha256)
    except PackageInvalid as error:
        raise type(error)(f'prepare {wanted_word(entry)} "{entry.name}": {error}', error.reason) from error


def _manifest_of_kind(path: Path, entry: ProviderEntry) -> Manifest:
    manifest = read_manifest(path)
    require_kind(manifest, entry)
    if manifest.surfaces and not manifest.is_declarative:
        what = "with an entrypoint " if manifest.rest is not None and {*manifest.surfaces} == {"rest"} else ""
        text = f"spec.surfaces ({', '.join(sorted(manifest.surfaces))}) {what}is not supported by this version"
        raise PackageUnprovided(f"{manifest.path}: {text}", f"its {text}")
    return manifest


def _installed_command(manifest: Manifest, directory: Path, record: Record, readings: Readings) -> LaunchCommand:
    """Return how an installed package is started; its files are compared with its record before each start."""
    command = packaged_command(manifest)
    if command is None:
        raise PackageInvalid(f"{manifest.path}: no executable for {host_platform()} in the manifest")
    states = readings.take(directory)
    directory = directory.resolve()  # as the executable's path: a link that leads there may lead elsewhere later
    files = record.files
    paths = {name: directory / name for name in sorted(files)}
    return replace(
        command,
        env={**command.env, **zipapp_environment(directory)},
        pinned=(
            *((path, files[name].sha256) for name, path in paths.items()),
            (directory / RECORD, sha256_of(directory / RECORD)),
        ),
        compared={paths[name]: state for name, state in states.items() if name in paths},
        sealed=directory,
    )
