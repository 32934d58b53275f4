"""Whether a package fits the entry that names it."""

from __future__ import annotations

from pathlib import Path

from gestalt_host.config.model import ProviderEntry, SourceMode
from gestalt_host.packages.bundled import bundled
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.kinds import ENTRY_KINDS
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.manifests.reading import find_manifest, read_manifest


def wanted_word(entry: ProviderEntry) -> str:
    """Return the kind that the entry's manifest must have."""
    return ENTRY_KINDS[entry.kind].manifest


def local_manifest(entry: ProviderEntry) -> Path:
    """Return the manifest file that a builtin source, or one by path, names.

    Raises:
        PackageInvalid: it is unknown, missing or a directory.
    """
    source = entry.source
    if source.mode is SourceMode.BUILTIN:
        return find_manifest(bundled(source.builtin))
    assert source.path is not None
    if source.path.is_dir():
        raise PackageInvalid(f"{source.path} is a directory; name its manifest file")
    if not source.path.exists():
        raise PackageInvalid(f"{source.path}: no such file or directory")
    return source.path


def read_fitting(entry: ProviderEntry) -> Manifest:
    """Return the manifest of an entry whose source lies here, once it is known to fit the entry.

    Raises:
        PackageInvalid: it cannot be read, is of another kind, or has a schema that refuses the entry's ``config``.
    """
    manifest = read_manifest(local_manifest(entry))
    require_kind(manifest, entry)
    require_config(manifest, entry)
    return manifest


def require_kind(manifest: Manifest, entry: ProviderEntry) -> None:
    """Refuse a package of another kind than the entry's.

    Raises:
        PackageInvalid: naming both kinds.
    """
    wanted = wanted_word(entry)
    if manifest.kind != wanted:
        text = f"{manifest.path}: kind is {manifest.kind}, but {entry.path} needs {wanted}"
        raise PackageInvalid(text, f"its package is for {manifest.kind}, not for {wanted}")


def require_config(manifest: Manifest, entry: ProviderEntry) -> None:
    """Refuse a ``config`` that does not fit the schema in the package.

    Raises:
        PackageInvalid: one line for each fault.
    """
    if manifest.config_schema is None:
        return
    # Few packages have a schema, and the library takes a while to import.
    from gestalt_host.packages.config_schema import check_config

    try:
        check_config(manifest, entry.config)
    except PackageInvalid as error:
        raise PackageInvalid(
            f'provider config validation for {wanted_word(entry)} "{entry.name}": {error}', error.reason
        ) from error
