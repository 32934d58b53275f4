"""Prepared directories: where a locked package is installed, whether it lies there as locked, and installing it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gestalt_host.config.model import ProviderEntry
from gestalt_host.packages.installed.install import install
from gestalt_host.packages.installed.readings import Readings
from gestalt_host.packages.installed.record import Expected, faults_of
from gestalt_host.packages.installed.swap import remove_leftovers
from gestalt_host.packages.kinds import ENTRY_KINDS
from gestalt_host.packages.lock.model import LockEntry
from gestalt_host.packages.platforms import host_platform
from gestalt_host.packages.releases.resolve import Archive, SourceContext, archive_for, fetch_archive


def prepared_directory(entry: ProviderEntry, artifacts_dir: Path) -> Path:
    """Return where the entry's package is installed (packaging.md 11)."""
    return artifacts_dir / ENTRY_KINDS[entry.kind].directory / entry.name


def prepared_faults(
    entry: ProviderEntry, locked: LockEntry, artifacts_dir: Path, readings: Readings | None = None
) -> list[str]:
    """Return every reason why what lies in the prepared directory is not what the lock names; reads each file.

    Args:
        readings: Gets what was read and is as installed.
    """
    wanted = expected(locked, locked_archive(locked).sha256)
    return faults_of(prepared_directory(entry, artifacts_dir), wanted, readings)


def locked_archive(locked: LockEntry, platform: str = "") -> Archive:
    """Return the archive of a platform, of this machine's when none is given.

    Raises:
        PackageInvalid: the lock has none that may be used there.
    """
    return archive_for(locked.archives, platform or host_platform(), locked.runtime)


def expected(locked: LockEntry, sha256: str) -> Expected:
    """Return what an installation of the entry has to be.

    Args:
        sha256: Of the archive; blank where the lock does not say it.
    """
    return Expected(locked.package, locked.version, locked.kind, sha256, locked.manifest, locked.runtime)


async def install_locked(entry: ProviderEntry, locked: LockEntry, context: SourceContext, artifacts_dir: Path) -> None:
    """Install the locked archive, in place of whatever lies there.

    Raises:
        PackageInvalid: it cannot be had, or is not what the lock says.
    """
    archive = locked_archive(locked)
    file = await fetch_archive(archive, locked.source, entry, context)
    directory = prepared_directory(entry, artifacts_dir)
    await asyncio.to_thread(install, file, directory, expected(locked, archive.sha256), host_platform())


def clean_prepared(entry: ProviderEntry, artifacts_dir: Path) -> None:
    """Remove what interrupted installations of an installed package have left beside it.

    Raises:
        OSError: it cannot be removed.
    """
    remove_leftovers(prepared_directory(entry, artifacts_dir))
