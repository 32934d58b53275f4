"""Executables that a package brings along, built by its author."""

from __future__ import annotations

import os

from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.languages.model import LaunchCommand
from gestalt_host.packages.manifests.model import Artifact, Entrypoint, Manifest
from gestalt_host.packages.platforms import host_arch, host_os


def packaged_command(manifest: Manifest) -> LaunchCommand | None:
    """Return how the package's executable for this platform is started, None when its manifest names none.

    Raises:
        PackageInvalid: the file is missing or not executable.
    """
    found = _for_this_host(manifest)
    if found is None:
        return None
    artifact, entrypoint = found
    path = manifest.root / artifact.path
    if not os.access(path, os.X_OK) or not path.is_file():
        raise PackageInvalid(f"{manifest.path}: entrypoint {path} is not an executable file")
    return LaunchCommand((str(path.resolve()), *entrypoint.args))


def lacks_artifact(manifest: Manifest) -> bool:
    """Tell whether the manifest names an executable for this platform that is not there."""
    found = _for_this_host(manifest)
    return found is not None and not (manifest.root / found[0].path).exists()


def _for_this_host(manifest: Manifest) -> tuple[Artifact, Entrypoint] | None:
    entrypoint = manifest.entrypoint
    if entrypoint is None:
        return None
    for artifact in manifest.artifacts:
        if (artifact.os, artifact.arch) == (host_os(), host_arch()) and (
            artifact.path == entrypoint.artifact_path or len(manifest.artifacts) == 1
        ):
            return artifact, entrypoint
    return None
