"""`gestaltd store`: the bundled store's own commands on its databases, run as a process as the supervisor would."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gestalt_host.config import find_config
from gestalt_host.config.model import HostConfig, ProviderEntry
from gestalt_host.daemon import help_texts
from gestalt_host.daemon.commands import load_config
from gestalt_host.daemon.errors import CommandFailed, UsageWrong
from gestalt_host.daemon.locking.faults import LockUse, artifact_faults, faults_by_entry, lock_faults
from gestalt_host.daemon.options import Options, parse_options
from gestalt_host.packages.bundled import bundled
from gestalt_host.packages.errors import listed
from gestalt_host.packages.fitting import local_manifest
from gestalt_host.packages.installed.zipapps import zipapp_environment
from gestalt_host.packages.languages import LaunchCommand, program_command, python_program, python_target
from gestalt_host.packages.languages.packaged import packaged_command
from gestalt_host.packages.lock.currency import Currency, is_release, standing
from gestalt_host.packages.lock.prepared import prepared_directory
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.manifests.reading import find_manifest, read_manifest

NOT_DONE = 2
"""Exit status of a command that could not be carried out; 1 is for problems that ``check`` has found."""
_STORE = "indexeddb_store"
_FORMER_SOURCE = "github.com/gestalt-workflows/providers/indexeddb/sqlite"
"""Source of packages of this store from before it was named after what it serves; their databases are the same."""
_OF_CONFIG = ("config", "lockfile", "artifacts-dir")
_OPTIONS: Mapping[str, Sequence[str]] = {"backup": (*_OF_CONFIG, "db"), "restore": _OF_CONFIG, "check": _OF_CONFIG}
_FROM_STDIN = "-"


def run_store_command(words: Sequence[str], environ: Mapping[str, str]) -> int | None:
    """Run ``backup``, ``restore`` or ``check``, whose output goes to this process's own; return its exit status.

    Returns:
        None when the help text was asked for.
    Raises:
        HostError: nothing was run.
    """
    command = words[0] if words else "help"
    if command.lstrip("-") in ("h", "help"):
        return None
    if command not in _OPTIONS:
        raise UsageWrong(f'unknown store command "{command}"; there are {", ".join(_OPTIONS)}')
    has_file = command != "check"
    options = parse_options(words[1:], _OPTIONS[command], help_texts.STORE, most=2 if has_file else 1)
    if options.help:
        return None
    arguments = options.arguments
    if has_file and (not arguments or "://" in arguments[-1]):
        raise UsageWrong(f"store {command}: FILE is missing; usage: {help_texts.STORE_USAGE[command]}")
    files, named = (arguments[-1:], arguments[:-1]) if has_file else ([], arguments)
    manifest, dsn = _store(options, named[0] if named else "", environ)
    only = [word for db in options.all("db") for word in ("--db", db)]
    program = _program(manifest, environ)
    done = subprocess.run(
        [*program.args, command, *only, "--", _FROM_STDIN, *files],
        env={**environ, **program.env},
        # Not among the arguments, which every user of the machine can read: it may hold a password.
        input=os.fsencode(f"{dsn}\n"),
        check=False,
    )
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def _own() -> Manifest:
    return read_manifest(find_manifest(bundled(_STORE)))


def _program(manifest: Manifest, environ: Mapping[str, str]) -> LaunchCommand:
    """Return what runs the package as a program: its Python source, or the zipapp that was released from it."""
    packaged = None if python_target(manifest) else packaged_command(manifest)
    if packaged is None:
        return program_command(manifest, environ)
    # shiv starts this instead of what serves.
    start = {"SHIV_ENTRY_POINT": f"{python_program(_own())}.__main__:main"}
    return replace(packaged, env={**packaged.env, **zipapp_environment(manifest.root), **start})


def _store(options: Options, named: str, environ: Mapping[str, str]) -> tuple[Manifest, str]:
    """Return the store's package and the DSN, which is given or that of a configured entry."""
    own = _own()
    if "://" in named:
        if any(map(options.all, _OF_CONFIG)):
            raise UsageWrong("a DSN and --config exclude each other; give the DSN, or the name of a configured store")
        return own, named
    config = load_config(options, find_config(options.all("config"), environ), environ, static=False)
    entry = _entry(config, named)
    manifest = _manifest(entry, config, options)
    if manifest.source not in (own.source, _FORMER_SOURCE):
        raise CommandFailed(f"{entry.path} is {manifest.source}; `gestaltd store` works on databases of {own.source}")
    dsn = entry.config.get("dsn")
    if not isinstance(dsn, str) or not dsn.strip() or "\n" in dsn:
        raise CommandFailed(f"{entry.place}: {entry.path}.config.dsn: the DSN of the store is required")
    return manifest, dsn


def _manifest(entry: ProviderEntry, config: HostConfig, options: Options) -> Manifest:
    """Return the entry's package; one from a release has to lie there as it is locked, perhaps for an older source."""
    if not is_release(entry):
        return read_manifest(local_manifest(entry))
    use = LockUse.of(config, options)
    lock = use.read_or_empty()
    found = standing(entry, lock, config.directory)
    if found.currency is Currency.MISSING:
        raise CommandFailed(listed(lock_faults([found], use)))
    if faults := artifact_faults(faults_by_entry([entry], lock, config.artifacts_dir), use):
        raise CommandFailed(listed(faults))
    return read_manifest(find_manifest(prepared_directory(entry, config.artifacts_dir)))


def _entry(config: HostConfig, name: str) -> ProviderEntry:
    entries = config.providers["indexeddb"]
    chosen = name or config.indexeddb
    if chosen not in entries:
        if not name:
            raise CommandFailed(f"{os.fspath(config.files[0])}: providers.indexeddb: no store is configured")
        known = ", ".join(sorted(entries)) or "none"
        raise CommandFailed(
            f'no store is named "{name}"; providers.indexeddb has {known}, and a DSN is sqlite://PATH or postgresql://…'
        )
    return entries[chosen]
