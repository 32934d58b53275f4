"""`gestaltd lock` and `sync`: what sources are resolved to, and installing exactly that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path

import structlog

from gestalt_host.config import find_config
from gestalt_host.config.model import HostConfig, ProviderEntry
from gestalt_host.daemon.commands import load_config
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.launchables import launched_entries
from gestalt_host.daemon.locking.faults import LockUse, artifact_faults, faults_by_entry, shortened
from gestalt_host.daemon.locking.installing import install_all, source_context
from gestalt_host.daemon.options import Options
from gestalt_host.daemon.until_stopped import run_or_stop
from gestalt_host.packages import Workplace, prepare
from gestalt_host.packages.errors import NotPrepared, PackageInvalid, PackageUnprovided, listed
from gestalt_host.packages.lock.currency import Currency, is_release, key_of, label, lockable_entries, standing
from gestalt_host.packages.lock.file import LockUnreadable, read_lock, write_lock
from gestalt_host.packages.lock.locking import Locker, make_lock
from gestalt_host.packages.lock.model import Lock
from gestalt_host.packages.lock.offered import require_fit
from gestalt_host.packages.lock.prepared import clean_prepared, prepared_directory
from gestalt_host.packages.manifests.reading import find_manifest, read_manifest
from gestalt_host.packages.platforms import ALL, is_platform
from gestalt_sdk.serving.event_loop import run_event_loop

log = structlog.get_logger()


def lock(options: Options, environ: Mapping[str, str]) -> None:
    """Resolve every source and write the lock file; with ``--check`` only compare it with what would be written.

    Raises:
        CommandFailed: naming every entry that cannot be locked, or that the file is not up to date.
    """
    platforms = _platforms(options.last("platform"))
    config = load_for_sources(options, environ)
    use, is_check = LockUse.of(config, options), "check" in options.flags
    before = _read_or_refuse(use, f"lockfile is missing or unreadable; run {use.lock}") if is_check else None
    made: list[Lock] = []

    async def work() -> None:
        async with source_context(config, environ) as context:
            locker = Locker(context, environ, platforms=platforms, compared_with=before)
            made.append(await make_lock(lockable_entries(config), locker))

    _run(work)
    if before is None:
        try:
            write_lock(use.path, made[0])
        except OSError as error:
            raise CommandFailed(f"writing {use.path}: {(error.strerror or str(error)).lower()}") from error
        log.info("wrote lockfile", event_name="lock.written", path=str(use.path))
    elif made[0] != before:
        raise CommandFailed(f"lockfile is out of date; run {use.lock}: {_difference(before, made[0])}")


def sync(options: Options, environ: Mapping[str, str]) -> None:
    """Install what the lock file names where it is not installed; with ``--check`` only say what is not.

    Raises:
        CommandFailed: naming every entry that is not as locked, or cannot be installed.
    """
    if "locked" not in options.flags:
        raise CommandFailed("gestaltd sync currently requires --locked: it installs what the lock file says")
    is_check = "check" in options.flags
    config = load_for_sources(options, environ, tokens=not is_check)
    use = LockUse.of(config, options)
    entries = lockable_entries(config)
    locked = (
        _read_or_refuse(use, f"source-backed providers require lock metadata; run {use.lock}") if entries else Lock()
    )
    standings = [standing(entry, locked, config.directory) for entry in entries]
    stale = [item for item in standings if item.currency is not Currency.CURRENT]
    if stale:
        reasons = [f"{label(item.entry)}: {item.reason or 'it is not in the lock'}" for item in stale]
        raise CommandFailed(f"lockfile is out of date; run {use.lock}: {shortened(reasons)}")
    found = faults_by_entry(entries, locked, config.artifacts_dir)
    amiss = {key_of(entry) for entry, its in found if its}
    faults = artifact_faults(found, use) if is_check else []

    async def work() -> None:
        if amiss and not is_check:
            async with source_context(config, environ) as context:
                failures = await install_all(
                    [entry for entry, _ in found if key_of(entry) in amiss], locked, context, config
                )
            faults.extend(map(str, failures.values()))
            amiss.intersection_update(failures)
        installed = [entry for entry, _ in found if key_of(entry) not in amiss]
        if not is_check:
            await asyncio.to_thread(_clean, installed, config.artifacts_dir)
        faults.extend(await asyncio.to_thread(_unfit, installed, config.artifacts_dir))
        faults.extend(await prepare_sources(config, environ, use, is_check=is_check))

    _run(work)
    if faults:
        raise CommandFailed(listed(faults))


def _clean(installed: Iterable[ProviderEntry], artifacts_dir: Path) -> None:
    for entry in installed:
        try:
            clean_prepared(entry, artifacts_dir)
        except OSError as error:
            log.warning(
                "what an interrupted installation has left cannot be removed",
                event_name="package.leftovers_kept",
                provider=entry.name,
                path=str(error.filename),
                error=error.strerror or str(error),
            )


def _unfit(entries: Iterable[ProviderEntry], artifacts_dir: Path) -> list[str]:
    """Return where the configuration asks something of an installed package that it cannot do."""
    faults = []
    for entry in entries:
        try:
            require_fit(read_manifest(find_manifest(prepared_directory(entry, artifacts_dir))), entry)
        except PackageInvalid as error:
            faults.append(f"{label(entry)}: {error}")
    return faults


def load_for_sources(options: Options, environ: Mapping[str, str], *, tokens: bool = True) -> HostConfig:
    """Load the configuration for commands that only need its sources: no variable and no secret but their tokens.

    Args:
        tokens: Whether the command downloads anything, so that they have to be there.
    Raises:
        CommandFailed: it cannot be read or is invalid.
    """
    return load_config(options, find_config(options.all("config"), environ), environ, static=True, tokens=tokens)


async def prepare_sources(config: HostConfig, environ: Mapping[str, str], use: LockUse, *, is_check: bool) -> list[str]:
    """Build the local sources that a start needs built, or find out which are not; return what is wrong."""
    workplace = Workplace(config.artifacts_dir, config.artifacts_dir, may_run=not is_check)
    faults = []
    for entry in launched_entries(config):
        if is_release(entry):
            continue
        try:
            await prepare(entry, workplace, environ)
        except NotPrepared as error:
            faults.append(f"prepared artifact for {label(entry)} is missing or stale; run {use.sync}: {error}")
        except PackageUnprovided:
            continue  # serve says so; what it is installed for is another version's business
        except PackageInvalid as error:
            faults.append(str(error))
    return faults


def _run(work: Callable[[], Coroutine[object, object, None]]) -> None:
    try:
        run_event_loop(run_or_stop(work()))
    except PackageInvalid as error:
        raise CommandFailed(str(error)) from error


def _read_or_refuse(use: LockUse, refusal: str) -> Lock:
    try:
        return read_lock(use.path)
    except LockUnreadable as error:
        raise CommandFailed(f"{refusal}: {error}") from error


def _difference(old: Lock, new: Lock) -> str:
    """Return which entries are not the same in two locks."""
    words = {True: "changed", False: "not in the lock file"}
    found = [
        f'{section} "{name}" {words[(section, name) in old.entries]}'
        for section, name in new.entries
        if old.entries.get((section, name)) != new.entries[section, name]
    ]
    found += [f'{section} "{name}" is not configured' for section, name in old.entries.keys() - new.entries.keys()]
    return shortened(found)


def _platforms(text: str) -> tuple[str, ...]:
    """Return the platforms that ``--platform`` names."""
    if not text:
        return ()
    platforms = ALL if text == "all" else tuple(part.strip() for part in text.split(","))
    for platform in platforms:
        if not is_platform(platform):
            raise CommandFailed(f'invalid platform "{platform}", expected os/arch')
    return platforms
