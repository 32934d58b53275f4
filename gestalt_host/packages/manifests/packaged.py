"""What a packaged manifest has to fulfil beyond a source manifest: it names what is started, with its digest."""

from __future__ import annotations

import re

from gestalt_host.config.errors import Faults, Place
from gestalt_host.config.reader import Block
from gestalt_host.packages.errors import raise_faults
from gestalt_host.packages.manifests.model import Artifact, Manifest

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def check_packaged(manifest: Manifest, platform: str) -> None:
    """Accept the manifest of a package that can be started on the platform, such as ``linux/amd64``.

    Raises:
        PackageInvalid: listing every fault with its line and dotted path.
    """
    faults = Faults()
    place = Place(str(manifest.path))
    block = Block(manifest.tree, "", faults, place)
    if block.has("release"):
        block.fault("release", "belongs to source manifests; a packaged one has none")
    for item, artifact in zip(block.blocks("artifacts"), manifest.artifacts, strict=True):
        if not _SHA256.fullmatch(artifact.sha256):
            wanted = "the SHA-256 of the file, 64 hexadecimal digits"
            given = f"{artifact.sha256!r} is not one; accepted is" if artifact.sha256 else "is required:"
            item.fault("sha256", f"{given} {wanted}")
    if manifest.entrypoint is None:
        if manifest.kind != "ui" and not (manifest.kind == "plugin" and manifest.is_manifest_backed):
            block.fault("entrypoint", f"is required for a packaged {manifest.kind}")
    elif manifest.kind != "ui" and started_artifact(manifest, platform) is None:
        there = ", ".join(sorted({artifact.platform for artifact in manifest.artifacts})) or "none"
        block.block("entrypoint").fault(
            "artifactPath",
            f"{manifest.entrypoint.artifact_path!r} is not the path of an artifact for {platform}; "
            f"artifacts are there for {there}",
        )
    raise_faults("manifest", faults)


def started_artifact(manifest: Manifest, platform: str) -> Artifact | None:
    """Return the artifact of the platform that the entrypoint names; None when it names none, or another one's."""
    if manifest.entrypoint is None:
        return None
    path = manifest.entrypoint.artifact_path
    return next((item for item in manifest.artifacts if item.path == path and item.platform == platform), None)
