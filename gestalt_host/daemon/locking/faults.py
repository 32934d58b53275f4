"""Find what is wrong with a lock file or with what is installed by it, and name the command that mends it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gestalt_host.config.model import HostConfig, ProviderEntry
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.options import Options
from gestalt_host.packages.errors import PackageInvalid, listed
from gestalt_host.packages.installed.readings import Readings
from gestalt_host.packages.lock.currency import (
    Currency,
    Standing,
    is_release,
    key_of,
    label,
    lockable_entries,
    standing,
)
from gestalt_host.packages.lock.file import FILE_NAME, LockUnreadable, read_lock
from gestalt_host.packages.lock.model import Lock
from gestalt_host.packages.lock.prepared import prepared_faults

_AT_ONCE = 4
_SHOWN = 5
"""As many faults of one entry are named; the rest is counted."""


@dataclass(frozen=True, slots=True)
class LockUse:
    """A lock file as one command uses it.

    Attributes:
        path: Absolute.
        lock: The command that makes the lock file, with the options in use; ``sync`` likewise.
    """

    path: Path
    lock: str
    sync: str

    @classmethod
    def of(cls, config: HostConfig, options: Options | None = None) -> LockUse:
        """Return the file that ``--lockfile`` names, else the one beside the first configuration file."""
        options = options or Options()
        given = options.last("lockfile")
        words = [word for path in options.all("config") for word in ("--config", path)]
        words += ["--lockfile", given] if given else []
        artifacts = ["--artifacts-dir", options.last("artifacts-dir")] if options.last("artifacts-dir") else []
        return cls(
            Path(given).absolute() if given else config.directory / FILE_NAME,
            f"`{shlex.join(('gestaltd', 'lock', *words))}`",
            f"`{shlex.join(('gestaltd', 'sync', '--locked', *words, *artifacts))}`",
        )

    def read_or_empty(self) -> Lock:
        """Return the lock, an empty one where there is none that can be read: every entry then is to be locked."""
        try:
            return read_lock(self.path)
        except LockUnreadable:
            return Lock()


def require_installed(config: HostConfig, use: LockUse, readings: Readings | None = None) -> Lock:
    """Return the lock when every entry is locked as it is configured and installed as it is locked.

    Reads files and does nothing else.

    Args:
        readings: Gets what was read and is as installed.
    Raises:
        CommandFailed: naming every fault and the command that mends it.
    """
    entries = lockable_entries(config)
    if not entries:
        return Lock()
    try:
        lock = read_lock(use.path)
    except LockUnreadable as error:
        raise CommandFailed(
            f"source-backed providers require lock metadata; run {use.lock} then {use.sync}: {error}"
        ) from error
    standings = [standing(entry, lock, config.directory) for entry in entries]
    faults = lock_faults(standings, use)
    current = [item.entry for item in standings if item.currency is Currency.CURRENT]
    faults += artifact_faults(faults_by_entry(current, lock, config.artifacts_dir, readings), use)
    if faults:
        raise CommandFailed(listed(faults))
    return lock


def lock_faults(standings: Iterable[Standing], use: LockUse, plugin: str = "provider") -> list[str]:
    """Return what is wrong with the entries of a lock, each with the command that mends it.

    Args:
        plugin: How a plugin is called.
    """
    faults = []
    for item in standings:
        name = label(item.entry, plugin)
        if item.currency is Currency.MISSING:
            faults.append(f"lock entry for {name} is missing or stale; run {use.lock}")
        elif item.currency is Currency.STALE:
            faults.append(f"lock entry for {name} is stale; run {use.lock}: {item.reason}")
    return faults


def artifact_faults(found: Iterable[tuple[ProviderEntry, Sequence[str]]], use: LockUse) -> list[str]:
    """Return what is wrong with prepared directories, as ``faults_by_entry`` has found it, with what mends it."""
    return [
        f"prepared artifact for {label(entry)} is missing or stale; run {use.sync}: {shortened(faults)}"
        for entry, faults in found
        if faults
    ]


def faults_by_entry(
    entries: Sequence[ProviderEntry], lock: Lock, artifacts_dir: Path, readings: Readings | None = None
) -> list[tuple[ProviderEntry, list[str]]]:
    """Return what is wrong with each prepared directory; several are read at once.

    Args:
        readings: Gets what was read and is as installed.
    """

    def one(entry: ProviderEntry) -> list[str]:
        try:
            return prepared_faults(entry, lock.entries[key_of(entry)], artifacts_dir, readings)
        except PackageInvalid as error:
            return [str(error)]

    releases = [entry for entry in entries if is_release(entry)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(zip(releases, pool.map(one, releases), strict=True))


def shortened(faults: Sequence[str]) -> str:
    """Return the faults on one line, the first ones of many."""
    more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return "; ".join(faults[:_SHOWN]) + more
