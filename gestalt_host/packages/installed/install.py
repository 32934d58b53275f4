"""Installing a release archive: unpacked aside, checked whole, recorded, and then put in place at once."""

from __future__ import annotations

import os
from pathlib import Path

from gestalt_host.packages.archives.extract import extract
from gestalt_host.packages.catalogue import FILE_NAME as CATALOGUE
from gestalt_host.packages.digests import sha256_of
from gestalt_host.packages.errors import PackageInvalid, failing_because
from gestalt_host.packages.installed.record import FILE_NAME as RECORD
from gestalt_host.packages.installed.record import Expected, record_of, write_record
from gestalt_host.packages.installed.swap import installing_into, put_in_place
from gestalt_host.packages.installed.zipapps import unpack_zipapp
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.manifests.packaged import check_packaged, started_artifact
from gestalt_host.packages.manifests.reading import find_manifest, read_manifest
from gestalt_host.packages.platforms import host_platform

_REASON = "its package cannot be installed"


def install(archive: Path, directory: Path, expected: Expected, platform: str) -> Manifest:
    """Install an archive in a directory, in place of what is there; return its manifest.

    The directory gets mode 0700 and a record of what was installed. When it fails, or is interrupted, what was
    installed before stays as it is.

    Args:
        expected: What the release says of itself.
        platform: What the executable is to run on, such as ``linux/amd64``.

    Raises:
        PackageInvalid: the archive is not what is expected, or not fit to be installed; the text names it and why.
    """
    with failing_because(_REASON), installing_into(directory) as new:
        digest = extract(archive, new)
        if expected.archive_sha256 and digest != expected.archive_sha256.lower():
            raise PackageInvalid(f"{archive.name}: its sha256 is {digest}, expected was {expected.archive_sha256}")
        manifest = _checked(archive, new, expected, platform)
        _unpack_libraries(archive, manifest, platform)
        write_record(new, record_of(new, manifest, digest))
        put_in_place(new, directory)
    return read_manifest(find_manifest(directory))


def check_unpacked(archive: Path, directory: Path, expected: Expected, platform: str) -> Manifest:
    """Return the manifest of an archive that has been unpacked in the directory, after all checks of an installation.

    Raises:
        PackageInvalid: the same as ``install``.
    """
    with failing_because(_REASON):
        return _checked(archive, directory, expected, platform)


def _checked(archive: Path, directory: Path, expected: Expected, platform: str) -> Manifest:
    try:
        path = find_manifest(directory)
    except PackageInvalid as error:
        raise PackageInvalid(str(error).replace(str(directory), archive.name, 1)) from None
    shown = f"{archive.name}: {path.name}"
    manifest = read_manifest(path, shown)
    check_packaged(manifest, platform)
    for word, had, wanted in (
        ("source", manifest.source, expected.package),
        ("version", manifest.version, expected.version),
        ("kind", manifest.kind, expected.kind),
        ("runtime", manifest.runtime, expected.runtime or manifest.runtime),
    ):
        if had != wanted:
            raise PackageInvalid(f"{shown}: {word} is {had}, that of the release {wanted}")
    if os.path.lexists(directory / RECORD):
        raise PackageInvalid(f"{archive.name}: {RECORD} is written by the host; a package cannot have one")
    _check_executable(archive, manifest, platform)
    if manifest.config_schema is not None and not manifest.config_schema.is_file():
        name = manifest.config_schema.relative_to(directory)
        raise PackageInvalid(f"{shown}: spec.configSchemaPath: {name} is not in the archive")
    if manifest.kind == "ui" and not (directory / manifest.asset_root).is_dir():
        raise PackageInvalid(f"{shown}: spec.assetRoot: {manifest.asset_root} is not a directory in the archive")
    return manifest


def _check_executable(archive: Path, manifest: Manifest, platform: str) -> None:
    artifact = started_artifact(manifest, platform)
    if artifact is None:
        return
    path = manifest.root / artifact.path
    if not path.is_file():
        raise PackageInvalid(f"{archive.name}: {artifact.path}, the executable for {platform}, is not in the archive")
    digest = sha256_of(path)
    if digest != artifact.sha256:
        raise PackageInvalid(
            f"{archive.name}: {artifact.path}: its sha256 is {digest}, that of the manifest {artifact.sha256}"
        )
    if manifest.kind == "plugin" and not manifest.is_manifest_backed and not (manifest.root / CATALOGUE).is_file():
        raise PackageInvalid(f"{archive.name}: the archive of a plugin with an executable needs {CATALOGUE}")


def _unpack_libraries(archive: Path, manifest: Manifest, platform: str) -> None:
    artifact = started_artifact(manifest, platform)
    if artifact is None or platform != host_platform():
        return
    try:
        unpack_zipapp(manifest.root / artifact.path, manifest.root)
    except PackageInvalid as error:
        # The directory has this name for the moment only.
        raise PackageInvalid(str(error).replace(f"{manifest.root}/", f"{archive.name}: "), error.reason) from None
