"""What is verified: from a path on the command line to how its process is started."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gestalt_host.config.errors import Place
from gestalt_host.config.model import ProviderEntry, Source, SourceMode
from gestalt_host.config.sources import RELEASE_FILE
from gestalt_host.packages import LaunchCommand, PackageInvalid, Workplace, find_manifest, prepare, read_manifest
from gestalt_host.packages.archives.extract import extract
from gestalt_host.packages.catalogue import PluginCatalogue
from gestalt_host.packages.installed.install import install
from gestalt_host.packages.installed.record import Expected
from gestalt_host.packages.lock.prepared import prepared_directory
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.platforms import GENERIC, host_platform
from gestalt_host.packages.releases.documents import read_file
from gestalt_host.packages.releases.metadata import MOST_BYTES, read_metadata
from gestalt_host.verification.rules import KINDS
from gestalt_host.verification.subject import NAME, kind_word
from gestalt_sdk.bases.provider import ProviderKind

MANIFESTS = (".yaml", ".yml", ".json")
ARCHIVES = (".tar.gz", ".tgz")
KIND_WORDS: Mapping[str, ProviderKind] = {kind_word(kind): kind for kind in KINDS}
"""The kinds that can be verified, by the words that manifests have for them."""


@dataclass(frozen=True, slots=True)
class Found:
    """What lies at a path.

    Attributes:
        command: How its process is started.
        catalogue: The operations of a plugin; None for a program alone, which has to write them itself.
    """

    kind: ProviderKind
    command: LaunchCommand
    catalogue: PluginCatalogue | None = None


async def found_source(
    path: Path, word: str, config: Mapping[str, object], workplace: Path, environ: Mapping[str, str]
) -> Found:
    """Return what lies at the path, ready to be started.

    It may be a manifest, a ``provider-release.yaml``, an archive, a directory with one of the first two, or a program.
    What has to be installed or built for it is put into the workplace.

    Args:
        word: The kind that was asked for; blank: that of the manifest. A program needs it.
    Raises:
        PackageInvalid: it cannot be started, is of another kind, or of one that is not verified.
    """
    path = _file_of(path)
    if path.name == RELEASE_FILE:
        return await _released(path, word, config, workplace, environ)
    if path.name.endswith(ARCHIVES):
        return await _archived(path, Expected("", "", "", ""), word, config, workplace, environ)
    if path.suffix in MANIFESTS:
        manifest = read_manifest(path)
        kind = _kind(manifest.kind, word, path)
        return await _prepared(kind, _entry(kind, SourceMode.MANIFEST, path, config), workplace, environ)
    if not os.access(path, os.X_OK):
        accepted = f"a manifest, {RELEASE_FILE}, an archive ({', '.join(ARCHIVES)}), a directory or a program"
        raise PackageInvalid(f"{path} is no executable file; accepted is {accepted}")
    if not word:
        raise PackageInvalid(f"{path} is a program, which does not say its kind; --kind is {', '.join(KIND_WORDS)}")
    return Found(KIND_WORDS[word], LaunchCommand((str(path.absolute()),)))


def _file_of(path: Path) -> Path:
    if not path.exists():
        raise PackageInvalid(f"{path}: no such file or directory")
    if not path.is_dir():
        return path
    return release if (release := path / RELEASE_FILE).is_file() else find_manifest(path)


async def _released(
    path: Path, word: str, config: Mapping[str, object], workplace: Path, environ: Mapping[str, str]
) -> Found:
    metadata = read_metadata(read_file(path, MOST_BYTES), str(path))
    artifact = metadata.artifacts.get(host_platform()) or metadata.artifacts.get(GENERIC)
    if artifact is None:
        offered = ", ".join(sorted(metadata.artifacts))
        raise PackageInvalid(f"{path}: no archive for {host_platform()}; there are {offered}")
    expected = Expected(metadata.package, metadata.version, metadata.kind, artifact.sha256, None, metadata.runtime)
    archive = path.parent / artifact.path
    if not archive.is_file():
        raise PackageInvalid(f"{path}: {artifact.path} does not lie beside it")
    return await _archived(archive, expected, word, config, workplace, environ)


async def _archived(
    archive: Path,
    expected: Expected,
    word: str,
    config: Mapping[str, object],
    workplace: Path,
    environ: Mapping[str, str],
) -> Found:
    if not expected.package:
        expected = await asyncio.to_thread(_said_by, archive, workplace / "unpacked")
    kind = _kind(expected.kind, word, archive)
    entry = _entry(kind, SourceMode.LOCAL_RELEASE, archive, config)
    directory = prepared_directory(entry, workplace)
    directory.parent.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(install, archive, directory, expected, host_platform())
    return await _prepared(kind, entry, workplace, environ)


def _said_by(archive: Path, directory: Path) -> Expected:
    """Return what an archive without release metadata says of itself."""
    directory.mkdir()
    extract(archive, directory)
    manifest: Manifest = read_manifest(find_manifest(directory))
    return Expected(manifest.source, manifest.version, manifest.kind, "")


def _kind(found: str, word: str, path: Path) -> ProviderKind:
    if word and found != word:
        raise PackageInvalid(f"{path}: kind is {found}, not {word}")
    if found not in KIND_WORDS:
        raise PackageInvalid(
            f"{path}: providers of kind {found} are not verified; those that are: {', '.join(KIND_WORDS)}"
        )
    return KIND_WORDS[found]


def _entry(kind: ProviderKind, mode: SourceMode, path: Path, config: Mapping[str, object]) -> ProviderEntry:
    key = "plugins" if kind is ProviderKind.INTEGRATION else kind.value
    return ProviderEntry(key, NAME, Source(mode, path=path.absolute()), Place(str(path)), config=config)


async def _prepared(kind: ProviderKind, entry: ProviderEntry, workplace: Path, environ: Mapping[str, str]) -> Found:
    launchable = await prepare(entry, Workplace(workplace, workplace), environ)
    if launchable.command is None:
        raise PackageInvalid(f"{entry.source}: a declarative plugin has no process that could be verified")
    return Found(kind, launchable.command, launchable.catalogue)
