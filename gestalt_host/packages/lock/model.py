"""What a lock file says: to what the source of each entry was resolved, unless it is a builtin (packaging.md 10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gestalt_host.packages.releases.resolve import Archive

Key = tuple[str, str]
"""Section of the lock file and name of the entry."""


@dataclass(frozen=True, slots=True)
class LockedCatalogue:
    """The operations that a plugin offers, as far as a check without its package needs them.

    Attributes:
        fingerprint: Of the keys of the entry that change what is offered.
        operations: Ids as they are offered, aliases applied, sorted.
        is_available: Whether there is a catalogue without running the plugin.
        is_session_only: Whether operations are known only while the plugin runs.
    """

    fingerprint: str = ""
    operations: tuple[str, ...] = ()
    is_available: bool = False
    is_session_only: bool = False


@dataclass(frozen=True, slots=True)
class LockEntry:
    """One entry's lock. An entry from a local manifest has no ``source``, ``version``, ``archives`` and package.

    Attributes:
        input_digest: Of how the configuration names the source (``fingerprints``).
        archives: By platform, or ``generic``.
        manifest: The package's manifest as ``manifest_document`` writes it.
    """

    input_digest: str
    kind: str
    runtime: str
    package: str = ""
    source: str = ""
    version: str = ""
    archives: Mapping[str, Archive] = field(default_factory=dict)
    manifest: Mapping[str, object] | None = None
    catalogue: LockedCatalogue | None = None


@dataclass(frozen=True, slots=True)
class Lock:
    """The content of a lock file; two that are equal lock the same, however they are written."""

    entries: Mapping[Key, LockEntry] = field(default_factory=dict)
