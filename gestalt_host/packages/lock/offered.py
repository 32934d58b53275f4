"""The operations that a plugin offers, as far as they can be known without running it."""

from __future__ import annotations

from gestalt_host.config.model import ProviderEntry
from gestalt_host.errors import quoted
from gestalt_host.packages.catalogue import FILE_NAME, PluginCatalogue, read_catalogue
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.fitting import require_config
from gestalt_host.packages.lock.fingerprints import catalogue_fingerprint
from gestalt_host.packages.lock.model import LockedCatalogue
from gestalt_host.packages.manifests.model import Manifest


def packaged_catalogue(manifest: Manifest) -> PluginCatalogue | None:
    """Return the catalogue that lies in the package, None where there is none.

    Raises:
        PackageInvalid: it cannot be used.
    """
    path = manifest.root / FILE_NAME
    return read_catalogue(path) if path.is_file() else None


def require_fit(manifest: Manifest, entry: ProviderEntry) -> None:
    """Refuse an entry whose ``config`` or ``allowedOperations`` its package cannot serve.

    Raises:
        PackageInvalid: naming what does not fit.
    """
    require_config(manifest, entry)
    if entry.kind == "plugins":
        locked_catalogue(entry, manifest, packaged_catalogue(manifest))


def locked_catalogue(entry: ProviderEntry, manifest: Manifest, catalogue: PluginCatalogue | None) -> LockedCatalogue:
    """Return what the lock says of the operations that the entry offers.

    Args:
        catalogue: The plugin's own, None where it has none or it is not known.

    Raises:
        PackageInvalid: the entry allows an operation that the plugin does not have.
    """
    known = set(catalogue.operations if catalogue is not None else ())
    if manifest.rest is not None:
        known |= set(manifest.rest.operations)
    surfaces = {name for name, content in manifest.surfaces.items() if content}
    return LockedCatalogue(
        fingerprint=catalogue_fingerprint(entry.allowed_operations),
        operations=tuple(sorted(_offered(entry, manifest, known, is_complete=surfaces <= {"rest"}))),
        is_available=catalogue is not None or manifest.is_manifest_backed,
        is_session_only=surfaces == {"mcp"} and catalogue is None,
    )


def _offered(entry: ProviderEntry, manifest: Manifest, known: set[str], *, is_complete: bool) -> set[str]:
    """Return the ids by which operations are offered: those that are allowed, under their aliases."""
    allowed = entry.allowed_operations if entry.allowed_operations is not None else manifest.allowed_operations
    if allowed is None:
        return known
    unknown = sorted(set(allowed) - known) if is_complete else []
    if unknown:
        there = ", ".join(sorted(known)) or "none"
        where = f"{entry.path}." if entry.allowed_operations is not None else f"{manifest.path}: spec."
        names = ", ".join(map(quoted, unknown))
        raise PackageInvalid(f"{where}allowedOperations: {names}: no such operation; there are {there}")
    return {item.alias or name for name, item in allowed.items()}
