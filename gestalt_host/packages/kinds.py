"""Kinds of providers: as manifests write them, and as the configuration, the lock file and messages name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

KINDS = (
    "plugin",
    "authentication",
    "authorization",
    "external_credentials",
    "indexeddb",
    "cache",
    "s3",
    "workflow",
    "agent",
    "secrets",
    "ui",
    "runtime",
)
"""The kinds that a manifest or release may have (packaging.md 1.1)."""
_ALIASES = {
    "auth": "authentication",
    "externalcredentials": "external_credentials",
    "external-credentials": "external_credentials",
}


def canonical_kind(text: str) -> str:
    """Return the kind that is meant, in whatever case and with blanks around it; blank when there is none such."""
    word = text.strip().lower()
    word = _ALIASES.get(word, word)
    return word if word in KINDS else ""


@dataclass(frozen=True, slots=True)
class EntryKind:
    """What belongs to the entries of one section of the configuration.

    Attributes:
        section: Key below ``providers`` in the lock file.
        manifest: Kind that the entry's manifest must have.
        word: How messages name such an entry: ``provider "tasks"``, ``indexeddb "main"``.
        directory: Where prepared packages lie, relative to the artifacts directory (packaging.md 11).
    """

    section: str
    manifest: str
    word: str
    directory: PurePosixPath


def _kind(section: str, manifest: str, word: str, directory: str = "") -> EntryKind:
    return EntryKind(section, manifest, word, PurePosixPath(directory or f".gestaltd/{word}"))


ENTRY_KINDS: Mapping[str, EntryKind] = {
    "plugins": _kind("plugin", "plugin", "provider", ".gestaltd/providers"),
    "authentication": _kind("authentication", "authentication", "authentication", ".gestaltd/auth"),
    "authorization": _kind("authorization", "authorization", "authorization"),
    "externalCredentials": _kind(
        "externalCredentials", "external_credentials", "external_credentials", ".gestaltd/external-credentials"
    ),
    "indexeddb": _kind("indexeddb", "indexeddb", "indexeddb", "indexeddb"),
    "cache": _kind("cache", "cache", "cache"),
    "s3": _kind("s3", "s3", "s3", "s3"),
    "workflow": _kind("workflow", "workflow", "workflow"),
    "agent": _kind("agent", "agent", "agent"),
    "runtime": _kind("runtime", "runtime", "runtime"),
    "secrets": _kind("secrets", "secrets", "secrets"),
    "telemetry": _kind("telemetry", "plugin", "telemetry"),
    "audit": _kind("audit", "plugin", "audit"),
    "ui": _kind("ui", "ui", "ui"),
}
"""By key of the configuration: ``plugins``, or a key below ``providers`` (``runtime``: of ``runtime.providers``)."""
