"""`gestaltd provider add`, `remove` and `upgrade`: packages in a configuration file, and its lock with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from gestalt_host.config.editing import Value, with_value, without
from gestalt_host.config.errors import Place
from gestalt_host.config.model import ProviderEntry, Repository, Source, SourceMode, section_path
from gestalt_host.config.sources import ACCEPTED_ADDRESS, is_package_address
from gestalt_host.daemon.console import show
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.locking.installing import source_context
from gestalt_host.daemon.options import Options
from gestalt_host.daemon.provider.changes import (
    ConfigFile,
    entries_named,
    kind_of,
    kind_word,
    lock_again,
    prepare_everything,
    run_work,
    stale_entries,
)
from gestalt_host.packages.downloads.urls import file_of, resolved, without_password
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.kinds import ENTRY_KINDS
from gestalt_host.packages.lock.currency import key_of
from gestalt_host.packages.lock.model import Lock
from gestalt_host.packages.releases.index import IndexedVersion
from gestalt_host.packages.releases.repositories import BUILTIN
from gestalt_host.packages.releases.resolve import SourceContext, find_package
from gestalt_host.packages.releases.versions import Constraint
from gestalt_sdk.common.printable import printable
from gestalt_sdk.serving.logs import tell

_OPTIONS = """\
  --config PATH    The one configuration file that is changed; without it as for serve.
  --lockfile PATH  Lock file; without it gestalt.lock.json beside the configuration file.
  -h, --help       This text.
"""
_TOGETHER = """\
Everything is checked, resolved and downloaded first; then the configuration file and the lock file are put in place
together, both readable by their owner alone. Comments and layout of the configuration file stay."""
HELP = {
    "add": f"""\
Put a package of a repository into the configuration and lock it.
{_TOGETHER}

Usage:
  gestaltd provider add PACKAGE [options]

Options:
  --name NAME      Name of the entry; without it the last part of the package's address.
  --kind KIND      Kind of the entry; without it that of the package.
  --version C      Versions that are accepted, such as 1.2.3 or ^1.2; without it the newest stable one, whichever it is.
  --repo NAME      Only this repository.
  --exact-source   Write the URL of the version's metadata instead of package, repository and version.
  --set path=/X    Where a UI is mounted; a UI needs it.
  --no-lock        Leave the lock file alone.
  --sync           Install what the lock names too, before anything is written.
  --dry-run        Only say which version it would be.
{_OPTIONS}""",
    "remove": f"""\
Take a provider out of the configuration and out of its lock.
{_TOGETHER}

Usage:
  gestaltd provider remove NAME [options]

Options:
  --kind KIND      Its kind, where several providers have the name.
  --no-lock        Leave the lock file alone.
{_OPTIONS}""",
    "upgrade": f"""\
Lock every provider anew: the newest versions that the configuration accepts. With --version, change which versions of
NAME are accepted and lock that one anew.
{_TOGETHER}

Usage:
  gestaltd provider upgrade [NAME] [options]

Options:
  --kind KIND      Its kind, where several providers have the name.
  --version C      Versions of NAME that are accepted from now on.
{_OPTIONS}""",
}


@dataclass(frozen=True, slots=True)
class _Choice:
    """Hold what `add` has found in the repositories."""

    repository: Repository
    version: IndexedVersion

    @property
    def metadata(self) -> str:
        """URL of the version's metadata."""
        return resolved(without_password(self.repository.url), self.version.metadata)


def add(options: Options, environ: Mapping[str, str]) -> None:
    """Put a package into the configuration and lock it.

    Raises:
        CommandFailed: nothing was changed.
    """
    (address,) = options.arguments
    if not is_package_address(address):
        raise CommandFailed(f"{address!r} is not a package address; accepted is {ACCEPTED_ADDRESS}")
    settings = _settings(options.all("set"))
    is_dry, is_locking = "dry-run" in options.flags, "no-lock" not in options.flags
    if not is_locking and "sync" in options.flags:
        raise CommandFailed("--no-lock and --sync exclude each other: what is installed is what the lock names")
    file = ConfigFile.read(options, environ, tokens=is_locking and not is_dry)

    async def work() -> None:
        async with source_context(file.config, environ) as context:
            choice = await _choose(address, options, context)
            kind = kind_of(options.last("kind") or choice.version.kind)
            if ENTRY_KINDS[kind].manifest != choice.version.kind:
                raise CommandFailed(f"{address} is of kind {choice.version.kind}, not {kind_word(kind)}")
            if is_dry:
                _tell(Package=address, Version=choice.version.version, Kind=kind_word(kind), Metadata=choice.metadata)
                return
            name = options.last("name") or default_name(address)
            if entries_named(file.config, name, kind):
                raise CommandFailed(f'provider "{name}" of kind "{kind_word(kind)}" already exists: {file.path}')
            entry = _entry(address, kind, settings, choice, options)

            def change(text: str) -> str:
                if "exact-source" not in options.flags and _is_of_user(choice.repository, file):
                    repository, url = choice.repository, without_password(choice.repository.url)
                    text = with_value(text, ("providerRepositories", repository.name, "url"), url)
                return with_value(text, (*section_path(kind).split("."), name), entry)

            text, config = file.changed(change, environ, tokens=is_locking)
            lock: Lock | None = None
            if is_locking:
                async with source_context(config, environ) as changed_context:
                    lock = await lock_again(file, config, environ, changed_context, ())
                    if "sync" in options.flags:
                        await prepare_everything(config, lock, environ, changed_context, file.use)
            file.write(text, lock, lock_first=True)
            for problem in config.unprovided:
                if problem.path.startswith(f"{section_path(kind)}.{name}"):
                    tell(f"warning: {problem}; serve refuses it")
            show(f"Added {kind_word(kind)} {printable(name)}")
            _tell(Package=address, Repository=choice.repository.name, Version=choice.version.version)
            _tell_files(file, lock)

    run_work(work)


def remove(options: Options, environ: Mapping[str, str]) -> None:
    """Take a provider out of the configuration and its lock.

    Raises:
        CommandFailed: nothing was changed.
    """
    is_locking = "no-lock" not in options.flags
    file = ConfigFile.read(options, environ, tokens=False)
    entry = _named(options, file, 'provider "{name}" not found')
    path = (*section_path(entry.kind).split("."), entry.name)

    async def work() -> None:
        text, config = file.changed(lambda old: without(old, path), environ, tokens=False)
        lock: Lock | None = None
        if is_locking:
            if stale_entries(file, config):
                _, config = file.changed(lambda old: without(old, path), environ, tokens=True)
            async with source_context(config, environ) as context:
                lock = await lock_again(file, config, environ, context, ())
        file.write(text, lock, lock_first=False)
        show(f"Removed {kind_word(entry.kind)} {printable(entry.name)}")
        _tell_files(file, lock)

    run_work(work)


def upgrade(options: Options, environ: Mapping[str, str]) -> None:
    """Lock everything anew, or one provider by another constraint.

    Raises:
        CommandFailed: nothing was changed.
    """
    version = options.last("version")
    if version and not options.arguments:
        raise CommandFailed("--version requires a provider name")
    file = ConfigFile.read(options, environ, tokens=True)
    missing = 'provider "{name}" not found or is not a package source'
    entry = _named(options, file, missing) if options.arguments else None
    if entry is not None and version and entry.source.mode is not SourceMode.PACKAGE:
        raise CommandFailed(missing.format(name=entry.name))
    Constraint.parse(version)

    async def work() -> None:
        text, config = file.text, file.config
        if entry is not None and version:
            path = (*section_path(entry.kind).split("."), entry.name, "source", "version")
            text, config = file.changed(lambda old: with_value(old, path, version), environ, tokens=True)
        anew = {key_of(entry)} if entry is not None and version else None
        async with source_context(config, environ) as context:
            lock = await lock_again(file, config, environ, context, anew)
        file.write(text, lock, lock_first=True)
        if entry is None or not version:
            show("Refreshed provider lock state")
            return
        show(f"Updated {kind_word(entry.kind)} {printable(entry.name)} version constraint to {version}")
        _tell_files(file, lock)

    run_work(work)


async def _choose(address: str, options: Options, context: SourceContext) -> _Choice:
    source = Source(
        SourceMode.PACKAGE, package=address, version=options.last("version"), repository=options.last("repo")
    )
    # For its messages only: which kind of entry it will be is known when the package has been found.
    asked = ProviderEntry("plugins", default_name(address), source, Place(""))
    constraint = Constraint.parse(source.version)
    repository, package = await find_package(asked, context)
    chosen = package.choose(constraint)
    if chosen is None:
        offered = ", ".join(f"{text}{' (yanked)' * one.yanked}" for text, one in package.versions.items())
        wanted = f"version {constraint.text!r}" if constraint.text else "no version"
        raise PackageInvalid(f"package {address} in repository {repository.name}: {wanted} accepts none of {offered}")
    return _Choice(repository, chosen)


def _entry(address: str, kind: str, settings: Mapping[str, str], choice: _Choice, options: Options) -> Value:
    if kind == "ui" and not settings.get("path"):
        raise CommandFailed("a UI needs --set path=/MOUNT")
    if kind != "ui" and settings:
        raise CommandFailed("--set is for the path of a UI alone; write other keys into the configuration file")
    # A configuration has no file URLs; what an index on this machine names is a path there.
    is_file = urlsplit(choice.metadata).scheme == "file"
    source: Value = {"path": str(file_of(choice.metadata))} if is_file else choice.metadata
    if "exact-source" not in options.flags:
        constraint = options.last("version").strip()
        source = {"package": address, "repo": choice.repository.name, **({"version": constraint} if constraint else {})}
    return {"source": source, **settings}


def _settings(words: list[str]) -> dict[str, str]:
    settings = {}
    for word in words:
        key, separator, value = word.partition("=")
        if key != "path" or not separator:
            raise CommandFailed(f"--set {word!r} is not accepted; accepted is path=/MOUNT, for a UI")
        settings[key] = value
    return settings


def _is_of_user(repository: Repository, file: ConfigFile) -> bool:
    return repository.name not in file.config.repositories and repository != BUILTIN


def default_name(address: str) -> str:
    """Return the name of an entry for the package of that address."""
    return re.sub(r"[^a-z0-9_-]+", "-", address.rpartition("/")[2]).strip("-") or "provider"


def _named(options: Options, file: ConfigFile, missing: str) -> ProviderEntry:
    """Return the entry that is named.

    Raises:
        CommandFailed: there is none, or one of several kinds.
    """
    name, word = options.arguments[0], options.last("kind")
    found = entries_named(file.config, name, kind_of(word) if word else "")
    if not found:
        raise CommandFailed(missing.format(name=name))
    if len(found) > 1:
        kinds = ", ".join(sorted(kind_word(entry.kind) for entry in found))
        raise CommandFailed(f'provider "{name}" is of several kinds: {kinds}; name one with --kind')
    return found[0]


def _tell(**values: object) -> None:
    show("\n".join(f"{name}: {printable(str(value))}" for name, value in values.items()))


def _tell_files(file: ConfigFile, lock: Lock | None) -> None:
    paths: dict[str, Path] = {"Config": file.path}
    if lock is not None:
        paths["Lockfile"] = file.use.path
    _tell(**paths)
