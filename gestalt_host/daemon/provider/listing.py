"""`gestaltd provider list`: every configured provider, where it comes from and what its lock is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gestalt_host.config.model import HostConfig, ProviderEntry, SourceMode
from gestalt_host.daemon.console import show
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.locking.commands import load_for_sources
from gestalt_host.daemon.locking.faults import LockUse
from gestalt_host.daemon.options import Options
from gestalt_host.packages.kinds import canonical_kind
from gestalt_host.packages.lock.currency import Currency, key_of, standing
from gestalt_host.packages.lock.file import LockUnreadable, read_lock
from gestalt_host.packages.lock.model import Lock
from gestalt_sdk.common.printable import printable

HELP = """\
List the configured providers, where each comes from, and whether the lock file has it as it is configured. Works
without a network and looks at no archive. Which of them run, and how they are, a running host says:
`gestalt provider list`.

Usage:
  gestaltd provider list [--kind KIND] [--config PATH]... [--lockfile PATH]

STATUS is locked, unlocked (not in the lock file), drifted (locked from another source or state of it), unverified (a
package whose lock fits; whether a newer version exists was not asked), or builtin.

Options:
  --kind KIND      Only providers of this kind, such as plugin or indexeddb.
  --config PATH    Configuration file, as for serve.
  --lockfile PATH  Lock file; without it gestalt.lock.json beside the first configuration file.
  -h, --help       This text.
"""
_HEADINGS = ("KIND", "NAME", "SOURCE", "PACKAGE", "VERSION", "LOCKED", "STATUS")
_SOURCES = {
    SourceMode.BUILTIN: "builtin",
    SourceMode.MANIFEST: "local",
    SourceMode.LOCAL_RELEASE: "local",
    SourceMode.URL: "metadata",
    SourceMode.GITHUB_RELEASE: "metadata",
    SourceMode.PACKAGE: "package",
}
_WORDS = {"plugins": "plugin", "externalCredentials": "external_credentials"}


def run(options: Options, environ: Mapping[str, str]) -> None:
    """Print the table.

    Raises:
        CommandFailed: the configuration or the lock file cannot be read.
    """
    config = load_for_sources(options, environ, tokens=False)
    use = LockUse.of(config, options)
    try:
        lock = read_lock(use.path) if use.path.exists() else Lock()
    except LockUnreadable as error:
        raise CommandFailed(f"{error}; run {use.lock}") from error
    kind = options.last("kind").strip()
    sections = (config.plugins, *config.providers.values())
    entries = [entry for section in sections for _, entry in sorted(section.items())]
    rows = [_row(entry, lock, config) for entry in entries if _is_wanted(entry, kind)]
    show(table([_HEADINGS, *rows]))


def _is_wanted(entry: ProviderEntry, kind: str) -> bool:
    return not kind or _word(entry) in (kind.lower(), canonical_kind(kind))


def _word(entry: ProviderEntry) -> str:
    return _WORDS.get(entry.kind, entry.kind)


def _row(entry: ProviderEntry, lock: Lock, config: HostConfig) -> tuple[str, ...]:
    source, locked = entry.source, lock.entries.get(key_of(entry))
    package = source.package or (locked.package if locked is not None else "")
    version = locked.version if locked is not None else ""
    row = (_word(entry), entry.name, _SOURCES[source.mode], package, source.version, version)
    return (*row, _status(entry, lock, config))


def _status(entry: ProviderEntry, lock: Lock, config: HostConfig) -> str:
    if entry.source.mode is SourceMode.BUILTIN:
        return "builtin"
    match standing(entry, lock, config.directory).currency:
        case Currency.MISSING:
            return "unlocked"
        case Currency.STALE:
            return "drifted"
    return "unverified" if entry.source.mode is SourceMode.PACKAGE else "locked"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows, headings first, as lines with columns of equal width."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in shown)
