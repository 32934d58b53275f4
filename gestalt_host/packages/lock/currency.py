"""Whether the lock's entries are of what the configuration names. Nothing is asked of a network, nothing is run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from gestalt_host.config.model import HostConfig, ProviderEntry, SourceMode
from gestalt_host.packages.digests import sha256_of_text
from gestalt_host.packages.downloads.urls import shown, without_password
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.kinds import ENTRY_KINDS
from gestalt_host.packages.lock.fingerprints import (
    digest_name,
    input_json,
    metadata_digest,
    package_location,
    relative_path,
    tree_digest,
)
from gestalt_host.packages.lock.model import Key, Lock, LockEntry
from gestalt_host.packages.manifests.document import manifest_document
from gestalt_host.packages.manifests.reading import read_manifest
from gestalt_host.packages.releases.documents import read_file
from gestalt_host.packages.releases.github import GitHubAsset
from gestalt_host.packages.releases.metadata import MOST_BYTES, metadata_json, read_metadata
from gestalt_host.packages.releases.versions import Constraint, Version


class Currency(Enum):
    """What an entry's lock is worth."""

    CURRENT = "current"
    MISSING = "missing"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Standing:
    """How an entry stands to the lock; ``reason`` says why it is stale, where more is known than that it is."""

    entry: ProviderEntry
    currency: Currency
    reason: str = ""


def lockable_entries(config: HostConfig) -> list[ProviderEntry]:
    """Return the entries that a lock holds: of every kind, whose source is no builtin."""
    sections = (*config.providers.values(), config.plugins)
    entries = [entry for section in sections for entry in section.values()]
    return [entry for entry in entries if entry.source.mode is not SourceMode.BUILTIN]


def is_release(entry: ProviderEntry) -> bool:
    """Tell whether the entry's package is installed from an archive, and not used where its sources lie."""
    return entry.source.mode not in (SourceMode.BUILTIN, SourceMode.MANIFEST)


def key_of(entry: ProviderEntry) -> Key:
    """Return where the entry stands in a lock."""
    return ENTRY_KINDS[entry.kind].section, entry.name


def label(entry: ProviderEntry, plugin: str = "") -> str:
    """Return the entry as messages name it: ``provider "tasks"``.

    Args:
        plugin: Another word for plugins.
    """
    word = plugin if plugin and entry.kind == "plugins" else ENTRY_KINDS[entry.kind].word
    return f'{word} "{entry.name}"'


def standing(entry: ProviderEntry, lock: Lock, directory: Path) -> Standing:
    """Return whether the lock has the entry as it is configured now.

    Args:
        directory: Of the configuration; paths of local sources are written from there.
    """
    locked = lock.entries.get(key_of(entry))
    if locked is None:
        return Standing(entry, Currency.MISSING)
    try:
        reason = next(_differences(entry, locked, directory), "")
    except PackageInvalid as error:
        reason = f"fingerprinting {label(entry)}: {error}"
    except OSError as error:
        reason = f"fingerprinting {label(entry)}: {error.filename}: {(error.strerror or str(error)).lower()}"
    return Standing(entry, Currency.STALE, reason) if reason else Standing(entry, Currency.CURRENT)


def input_digest(entry: ProviderEntry, directory: Path) -> str:
    """Return the digest of how the configuration names the entry's source, and of what lies there locally.

    Raises:
        PackageInvalid: a local source cannot be read; OSError likewise.
    """
    return sha256_of_text(_input(entry, directory))


def locked_source(entry: ProviderEntry, directory: Path) -> str | None:
    """Return the ``source`` that the entry's lock has to have; None where the configuration does not say it."""
    source = entry.source
    match source.mode:
        case SourceMode.URL:
            return without_password(source.url)
        case SourceMode.GITHUB_RELEASE:
            assert source.github is not None
            return str(GitHubAsset(*source.github))
        case SourceMode.LOCAL_RELEASE:
            assert source.path is not None
            return relative_path(source.path, directory)
        case SourceMode.MANIFEST:
            return ""
    return None


def _differences(entry: ProviderEntry, locked: LockEntry, directory: Path) -> Iterator[str]:
    """Yield what makes the lock another entry's, what is soonest found out first."""
    kind = ENTRY_KINDS[entry.kind].manifest
    if locked.kind != kind:
        yield f"the lock's kind is {locked.kind}, not {kind}"
    wanted = locked_source(entry, directory)
    if wanted is not None and locked.source != wanted:
        yield _other_source(shown(locked.source), shown(wanted))
    source = entry.source
    if source.mode is SourceMode.PACKAGE:
        if locked.package != source.package:
            yield f"the lock's package is {locked.package!r}, not {source.package!r}"
        if source.version and not Constraint.parse(source.version).allows(Version.parse(locked.version)):
            yield f"the locked version {locked.version} is not within {source.version!r}"
    if locked.input_digest != input_digest(entry, directory):
        yield "its source, or what it asks of signatures, was changed since it was locked"


def _other_source(locked: str, wanted: str) -> str:
    """Return how two sources differ, which are shown without what may be secret in them."""
    if locked == wanted:
        return f"the lock's source {locked!r} has another query, or a name and password"
    return f"the lock's source is {locked!r}, not {wanted!r}"


def _input(entry: ProviderEntry, directory: Path) -> str:
    source, name = entry.source, digest_name(entry)
    if source.mode is SourceMode.PACKAGE:
        return input_json(name, source=package_location(source), verify=entry.verify)
    if source.mode is SourceMode.MANIFEST:
        assert source.path is not None
        manifest = read_manifest(source.path)
        digest = tree_digest(manifest.path, manifest_document(manifest))
        return input_json(name, path=relative_path(source.path, directory), digest=digest)
    location = locked_source(entry, directory)
    assert location is not None
    if source.mode is not SourceMode.LOCAL_RELEASE:
        return input_json(name, source=location, verify=entry.verify)
    assert source.path is not None
    metadata = read_metadata(read_file(source.path, MOST_BYTES), str(source.path))
    digest = metadata_digest(metadata_json(metadata), source.path)
    return input_json(name, source=location, digest=digest, verify=entry.verify)
