"""One change of one configuration file: judged and locked as it would be, before anything is written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path

from gestalt_host.config import ConfigurationInvalid, HostConfig, find_config, load
from gestalt_host.config.editing import EditImpossible
from gestalt_host.config.model import ProviderEntry
from gestalt_host.daemon.commands import load_config
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.locking.commands import prepare_sources
from gestalt_host.daemon.locking.faults import LockUse, faults_by_entry
from gestalt_host.daemon.locking.installing import install_all
from gestalt_host.daemon.options import Options
from gestalt_host.daemon.provider.writing import Replacement, content_of, replace_together
from gestalt_host.daemon.until_stopped import run_or_stop
from gestalt_host.packages.errors import PackageInvalid, listed
from gestalt_host.packages.kinds import ENTRY_KINDS, canonical_kind
from gestalt_host.packages.lock.currency import Currency, key_of, lockable_entries, standing
from gestalt_host.packages.lock.file import lock_text
from gestalt_host.packages.lock.locking import Locker, invoke_faults
from gestalt_host.packages.lock.model import Key, Lock, LockEntry
from gestalt_host.packages.releases.resolve import SourceContext
from gestalt_sdk.serving.event_loop import run_event_loop


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The configuration file that a command changes, with what was in it and in its lock file."""

    path: Path
    text: str
    config: HostConfig
    use: LockUse
    lock_before: bytes | None

    @classmethod
    def read(cls, options: Options, environ: Mapping[str, str], *, tokens: bool) -> ConfigFile:
        """Return the one file that is named, or found as `serve` finds it.

        Args:
            tokens: As for ``load``.
        Raises:
            CommandFailed: several are named, or it is invalid.
        """
        paths = find_config(options.all("config"), environ)
        if len(paths) > 1:
            raise CommandFailed(
                "mutating provider commands accept only one --config; name the file that is to be changed"
            )
        content = content_of(paths[0]) if paths[0].is_file() else b""
        config = load_config(options, paths, environ, static=True, tokens=tokens)
        use = LockUse.of(config, options)
        return cls(paths[0], (content or b"").decode(), config, use, content_of(use.path))

    def changed(
        self, change: Callable[[str], str], environ: Mapping[str, str], *, tokens: bool
    ) -> tuple[str, HostConfig]:
        """Return the file's text with a change, and the configuration that it makes.

        Raises:
            CommandFailed: the change cannot be made, or the configuration would not be valid.
        """
        try:
            text = change(self.text)
            return text, load([self.path], environ, static=True, tokens=tokens, texts={self.path: text})
        except EditImpossible as error:
            raise CommandFailed(f"{self.path}: {error}") from error
        except ConfigurationInvalid as error:
            raise CommandFailed(f"nothing was changed, since the configuration would not be valid: {error}") from error

    def write(self, text: str, lock: Lock | None, *, lock_first: bool) -> None:
        """Put the file and its lock in place together.

        Args:
            lock: None leaves the lock file alone.
        Raises:
            CommandFailed: nothing was changed.
        """
        files = [] if text == self.text else [Replacement(self.path, self.text.encode(), text.encode())]
        if lock is not None:
            locked = Replacement(self.use.path, self.lock_before, lock_text(lock).encode())
            files = [locked, *files] if lock_first else [*files, locked]
        replace_together(files)


def stale_entries(file: ConfigFile, config: HostConfig) -> list[ProviderEntry]:
    """Return the entries that the lock file does not have as they are configured."""
    before = file.use.read_or_empty()
    standings = [standing(entry, before, config.directory) for entry in lockable_entries(config)]
    return [item.entry for item in standings if item.currency is not Currency.CURRENT]


async def lock_again(
    file: ConfigFile,
    config: HostConfig,
    environ: Mapping[str, str],
    context: SourceContext,
    anew: Collection[Key] | None,
) -> Lock:
    """Return the lock of a configuration; entries whose lock fits are kept as they are locked.

    Args:
        anew: Entries that are resolved all the same; None: all.
    Raises:
        CommandFailed: naming every entry that cannot be locked.
    """
    before, entries = file.use.read_or_empty(), lockable_entries(config)
    stale = {key_of(entry) for entry in await asyncio.to_thread(stale_entries, file, config)}
    left = {key_of(entry) for entry in entries} if anew is None else {*stale, *anew}
    kept = {key: before.entries[key] for key in map(key_of, entries) if key not in left}
    outcomes = await Locker(context, environ).outcomes([entry for entry in entries if key_of(entry) not in kept])
    failures = [str(outcome) for outcome in outcomes.values() if isinstance(outcome, Exception)]
    lock = Lock({**kept, **{key: item for key, item in outcomes.items() if isinstance(item, LockEntry)}})
    failures = failures or invoke_faults(entries, lock)
    if failures:
        raise CommandFailed(f"nothing was changed: {listed(failures)}")
    return lock


async def prepare_everything(
    config: HostConfig, lock: Lock, environ: Mapping[str, str], context: SourceContext, use: LockUse
) -> None:
    """Install what the lock names where it is not installed, as `sync` does.

    Raises:
        CommandFailed: naming every entry that cannot be.
    """
    found = await asyncio.to_thread(faults_by_entry, lockable_entries(config), lock, config.artifacts_dir)
    failures = await install_all([entry for entry, faults in found if faults], lock, context, config)
    faults = [*map(str, failures.values()), *await prepare_sources(config, environ, use, is_check=False)]
    if faults:
        raise CommandFailed(f"nothing was changed: {listed(faults)}")


def run_work(work: Callable[[], Coroutine[object, object, None]]) -> None:
    """Run what a command awaits; a signal ends it.

    Raises:
        CommandFailed: it failed.
    """
    try:
        run_event_loop(run_or_stop(work()))
    except PackageInvalid as error:
        raise CommandFailed(str(error)) from error


def kind_word(kind: str) -> str:
    """Return how a kind of entries is named on the command line: ``plugin``, ``external_credentials``."""
    return "plugin" if kind == "plugins" else ENTRY_KINDS[kind].word


def kind_of(word: str) -> str:
    """Return the kind of entries that ``--kind`` names, in whatever case and by its other names too.

    Raises:
        CommandFailed: there is none such.
    """
    kinds = {kind_word(kind): kind for kind in ENTRY_KINDS}
    plain = word.strip().lower()
    found = kinds.get(plain) or kinds.get(canonical_kind(word))
    if found is None:
        raise CommandFailed(f'unknown kind "{word}"; accepted are {", ".join(sorted(kinds))}')
    return found


def entries_named(config: HostConfig, name: str, kind: str) -> list[ProviderEntry]:
    """Return the entries of a name, of one kind where that is not blank."""
    return [entry for entry in config.entries if entry.name == name and kind in ("", entry.kind)]
