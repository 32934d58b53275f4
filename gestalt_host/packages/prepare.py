"""From a configured source to something that can be started: manifest, command and, for plugins, catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gestalt_host.config.model import ProviderEntry, SourceMode
from gestalt_host.packages.bundled import bundled
from gestalt_host.packages.catalogue import PluginCatalogue
from gestalt_host.packages.errors import PackageInvalid, failing_because
from gestalt_host.packages.generated_catalogues import catalogue_of
from gestalt_host.packages.kinds import ENTRY_KINDS
from gestalt_host.packages.languages import LaunchCommand, source_command
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.manifests.reading import find_manifest, read_manifest


@dataclass(frozen=True, slots=True)
class Launchable:
    """A provider that can be launched; ``catalogue`` is set for plugins only."""

    entry: ProviderEntry
    manifest: Manifest
    command: LaunchCommand
    catalogue: PluginCatalogue | None = None


async def prepare(entry: ProviderEntry, artifacts_dir: Path, environ: Mapping[str, str]) -> Launchable:
    """Find and check what the entry's source names.

    Raises:
        PackageInvalid: naming the entry and what is wrong.
    """
    try:
        with failing_because("its source is missing"):
            path = manifest_path(entry)
        with failing_because("its manifest is broken"):
            manifest = _manifest_of_kind(path, entry)
        with failing_because("its configuration does not fit its schema"):
            _check_config(manifest, entry)
        with failing_because("its package has no program that can be run here"):
            command = await source_command(manifest, entry.name, artifacts_dir, environ)
        if entry.kind != "plugins":
            return Launchable(entry, manifest, command)
        cache_dir = artifacts_dir / ".gestaltd" / "catalogues"
        with failing_because("its catalogue is broken, or its code that writes it"):
            catalogue = await catalogue_of(manifest, command, entry.name, cache_dir, environ)
        return Launchable(entry, manifest, command, catalogue)
    except PackageInvalid as error:
        raise PackageInvalid(f'prepare {wanted_word(entry)} "{entry.name}": {error}', error.reason) from error


def _manifest_of_kind(path: Path, entry: ProviderEntry) -> Manifest:
    manifest, wanted = read_manifest(path), wanted_word(entry)
    if manifest.kind != wanted:
        text = f"{manifest.path}: kind is {manifest.kind}, but {entry.path} needs {wanted}"
        raise PackageInvalid(text, f"its package is for {manifest.kind}, not for {wanted}")
    if manifest.surfaces:
        text = f"spec.surfaces ({', '.join(sorted(manifest.surfaces))}) is not supported by this version"
        raise PackageInvalid(f"{manifest.path}: {text}", f"its {text}")
    return manifest


def _check_config(manifest: Manifest, entry: ProviderEntry) -> None:
    if manifest.config_schema is None:
        return
    # Few packages have a schema, and the library takes a while to import.
    from gestalt_host.packages.config_schema import check_config

    try:
        check_config(manifest, entry.config)
    except PackageInvalid as error:
        raise PackageInvalid(
            f'provider config validation for {wanted_word(entry)} "{entry.name}": {error}', error.reason
        ) from error


def wanted_word(entry: ProviderEntry) -> str:
    """Return the entry's kind as messages name it."""
    return ENTRY_KINDS[entry.kind].manifest


def manifest_path(entry: ProviderEntry) -> Path:
    """Return the manifest file that the entry's source names.

    Raises:
        PackageInvalid: the source is remote, unknown, missing or a directory without a manifest.
    """
    source = entry.source
    if source.mode is SourceMode.BUILTIN:
        return find_manifest(bundled(source.builtin))
    if source.mode is not SourceMode.MANIFEST or source.path is None:
        raise PackageInvalid(f"a source by {source.mode.value} is not supported by this version")
    if source.path.is_dir():
        raise PackageInvalid(f"{source.path} is a directory; name its manifest file")
    if not source.path.exists():
        raise PackageInvalid(f"{source.path}: no such file or directory")
    return source.path
