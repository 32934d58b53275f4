"""A manifest as lock files hold it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

from gestalt_host.config.document import from_plain
from gestalt_host.config.errors import Faults, Place
from gestalt_host.config.reader import Block
from gestalt_host.packages.digests import sha256_of
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.manifests.shapes import MANIFEST, read_fields


def manifest_document(manifest: Manifest) -> dict[str, object]:
    """Return the manifest as an object: that of the package as it is installed, so without ``release``.

    An artifact that has no digest gets that of its file, where the file is there.

    Raises:
        OSError: an artifact cannot be read.
    """
    document = deepcopy({key: value for key, value in manifest.document.items() if key != "release"})
    artifacts = document.get("artifacts")
    for item in artifacts if isinstance(artifacts, list) else ():
        path = manifest.root / item["path"]
        if "sha256" not in item and path.is_file():
            item["sha256"] = sha256_of(path)
    return document


def normalised(document: Mapping[str, object]) -> dict[str, object]:
    """Return what ``manifest_document`` would write for a manifest that says this, for comparing two of them.

    Unknown keys are left out.
    """
    faults = Faults()
    block = Block(from_plain(dict(document), Place("")), "", faults, Place(""))
    return read_fields(block, MANIFEST)
