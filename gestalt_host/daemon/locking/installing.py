"""Bringing about what a start needs: packages locked and installed as they are configured."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import structlog

from gestalt_host.config.model import HostConfig, ProviderEntry
from gestalt_host.daemon.locking.faults import LockUse, faults_by_entry
from gestalt_host.packages import Workplace
from gestalt_host.packages.downloads.cache import ArchiveCache
from gestalt_host.packages.downloads.fetcher import Fetcher
from gestalt_host.packages.downloads.progress import progress_on
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.installed.readings import Readings
from gestalt_host.packages.lock.currency import Currency, is_release, key_of, label, lockable_entries, standing
from gestalt_host.packages.lock.file import write_lock
from gestalt_host.packages.lock.locking import Locker
from gestalt_host.packages.lock.model import Key, Lock, LockEntry
from gestalt_host.packages.lock.prepared import install_locked
from gestalt_host.packages.releases.repositories import UserRepositories, all_repositories
from gestalt_host.packages.releases.resolve import SourceContext

AT_ONCE = 4
"""As many packages are installed at the same time."""
Failures = dict[Key, Exception]

log = structlog.get_logger()


class Installation(Protocol):
    """How a start gets at its packages."""

    async def ready(self, entries: Sequence[ProviderEntry], under_way: set[str]) -> tuple[Workplace, Failures]:
        """Return where the packages of these entries are, and why some are not.

        Args:
            under_way: Gets the dotted paths of the entries that take a while, for somebody who waits.
        """


class LockedInstallation:
    """Everything is there and has been verified; nothing is asked for, run or written."""

    def __init__(self, config: HostConfig, readings: Readings) -> None:
        """
        Args:
            readings: What the verification has read.
        """
        self._workplace = Workplace(config.artifacts_dir, config.artifacts_dir, may_run=False, readings=readings)

    async def ready(self, entries: Sequence[ProviderEntry], under_way: set[str]) -> tuple[Workplace, Failures]:
        return self._workplace, {}


class OwnInstallation:
    """Use what is locked and installed as it is; lock and install the rest now."""

    def __init__(self, config: HostConfig, use: LockUse, environ: Mapping[str, str]) -> None:
        self._config = config
        self._use = use
        self._environ = environ

    async def ready(self, entries: Sequence[ProviderEntry], under_way: set[str]) -> tuple[Workplace, Failures]:
        config = self._config
        readings = Readings()
        workplace = Workplace(config.artifacts_dir, config.artifacts_dir, readings=readings)
        releases = [entry for entry in entries if is_release(entry)]
        if not releases:
            return workplace, {}
        lock = self._use.read_or_empty()
        standings = await asyncio.to_thread(lambda: [standing(entry, lock, config.directory) for entry in releases])
        current = [item.entry for item in standings if item.currency is Currency.CURRENT]
        stale = [item.entry for item in standings if item.currency is not Currency.CURRENT]
        found = await asyncio.to_thread(faults_by_entry, current, lock, config.artifacts_dir, readings)
        unfit = [entry for entry, faults in found if faults]
        if not stale and not unfit:
            return workplace, {}
        under_way.update(entry.path for entry in (*stale, *unfit))
        async with source_context(config, self._environ, patient=True) as context:
            failures, locked = await self._lock(stale, context)
            lock = Lock({**lock.entries, **locked})
            if locked:
                self._write(lock)
            unfit += [entry for entry in stale if key_of(entry) in locked]
            failures |= await install_all(unfit, lock, context, config)
        return workplace, failures

    async def _lock(
        self, entries: Sequence[ProviderEntry], context: SourceContext
    ) -> tuple[Failures, dict[Key, LockEntry]]:
        outcomes = await Locker(context, self._environ).outcomes(entries)
        failures = {key: item for key, item in outcomes.items() if isinstance(item, Exception)}
        return failures, {key: item for key, item in outcomes.items() if isinstance(item, LockEntry)}

    def _write(self, lock: Lock) -> None:
        """Write the lock for the next start, without entries that the configuration has no more."""
        kept = {key_of(entry) for entry in lockable_entries(self._config)}
        try:
            write_lock(self._use.path, Lock({key: entry for key, entry in lock.entries.items() if key in kept}))
        except OSError as error:
            log.warning(
                "the lock file cannot be written, so sources are resolved anew at the next start",
                event_name="lock.not_written",
                path=str(self._use.path),
                error=error.strerror or str(error),
            )
        else:
            log.info("wrote lockfile", event_name="lock.written", path=str(self._use.path))


@asynccontextmanager
async def source_context(
    config: HostConfig, environ: Mapping[str, str], *, patient: bool = False
) -> AsyncIterator[SourceContext]:
    """Give what resolving and downloading need; its connections are closed at the end.

    Args:
        patient: For a host: wait also for a network that is not up yet, and tell of downloads in the log.
    """
    progress = progress_on(sys.stderr, is_log=patient)
    fetcher = Fetcher(ArchiveCache.of_user(environ), progress=progress, patient=patient)
    async with fetcher:
        yield SourceContext(
            config.directory,
            fetcher,
            all_repositories(config.repositories, UserRepositories.of_user(environ).read()),
            config.provider_keys,
        )


async def install_all(
    entries: Iterable[ProviderEntry], lock: Lock, context: SourceContext, config: HostConfig
) -> Failures:
    """Install the locked packages of the entries, some at a time; return why some could not be."""
    failures: Failures = {}
    places = asyncio.Semaphore(AT_ONCE)

    async def one(entry: ProviderEntry) -> None:
        async with places:
            try:
                await install_locked(entry, lock.entries[key_of(entry)], context, config.artifacts_dir)
            except PackageInvalid as error:
                failures[key_of(entry)] = PackageInvalid(f"{label(entry)}: {error}", error.reason)
            except OSError as error:
                where = f"{error.filename}: " if error.filename else ""
                text = f"{label(entry)}: {where}{(error.strerror or str(error)).lower()}"
                failures[key_of(entry)] = PackageInvalid(text, "its package cannot be installed")
            else:
                log.info("package is installed", event_name="package.installed", provider=entry.name, kind=entry.kind)

    await asyncio.gather(*map(one, entries))
    return failures
