"""Digests that tell whether a lock entry still is of what the configuration names (packaging.md 10.2).

Nothing of a package is run to take one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gestalt_host.config.model import AllowedOperation, ProviderEntry, Source
from gestalt_host.packages.catalogue import FILE_NAME as CATALOGUE
from gestalt_host.packages.digests import escaped_json, sha256_of, sha256_of_text
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.manifests.document import manifest_document
from gestalt_host.packages.manifests.reading import find_manifest, read_manifest
from gestalt_host.packages.platforms import host_arch, host_os

_DISTRIBUTION = "dist"


def input_json(name: str, *, source: str = "", path: str = "", digest: str = "", verify: str = "") -> str:
    """Return the text that an entry's input digest is taken of."""
    members = {"name": name, "source": source, "path": path, "digest": digest, "verify": verify}
    return escaped_json({key: value for key, value in members.items() if value or key == "name"})


def digest_name(entry: ProviderEntry) -> str:
    """Return the entry's name as its input digest has it."""
    return f"ui:{entry.name}" if entry.kind == "ui" else entry.name


def package_location(source: Source) -> str:
    """Return what a package source asks for: repository, address and constraint."""
    return "\0".join(("package", source.repository, source.package, source.version))


def relative_path(path: Path, directory: Path) -> str:
    """Return the path from the configuration's directory, with ``/``."""
    return Path(os.path.relpath(path, directory.resolve())).as_posix()


def metadata_digest(metadata: str, file: Path) -> str:
    """Return the digest of local release metadata, with that of the source tree that it was built in.

    Args:
        metadata: In the spelling that digests are taken of.
    """
    tree = file.parent.parent
    if file.parent.name == _DISTRIBUTION:
        try:
            manifest = find_manifest(tree)
        except PackageInvalid:
            return sha256_of_text(metadata)
        digest = tree_digest(manifest, manifest_document(read_manifest(manifest)))
        metadata = f'{{"sourceDigest":{json.dumps(digest)},"metadata":{metadata}}}'
    return sha256_of_text(metadata)


def tree_digest(manifest: Path, document: Mapping[str, Any]) -> str:
    """Return the digest of a source tree: of its manifest and of the files that it names, so not of source code.

    Args:
        document: The manifest's content as lock files have it.
    Raises:
        PackageInvalid: a file that it names is missing or cannot be read.
    """
    return sha256_of_text("\n".join(tree_lines(manifest, document)))


def tree_lines(manifest: Path, document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the tree's digest is taken of, in its order."""
    root = manifest.parent
    yield _digest(manifest)
    for artifact in document.get("artifacts", ()):
        # Those of other platforms may be built elsewhere.
        if (root / artifact["path"]).is_file() or (artifact["os"], artifact["arch"]) == (host_os(), host_arch()):
            yield _digest(root / artifact["path"])
    spec = document.get("spec", {})
    for name in dict.fromkeys((*_documents(spec), document.get("iconFile", ""))):
        # A missing icon is none; of a missing schema the check of the configuration tells.
        if name and (root / name).is_file():
            yield _digest(root / name)
    if (root / CATALOGUE).is_file():
        yield _digest(root / CATALOGUE)
    if spec.get("assetRoot"):
        assets = root / spec["assetRoot"]
        for file in _files(assets):
            yield f"{file.relative_to(assets).as_posix()}={_digest(file)}"


def catalogue_fingerprint(allowed: Mapping[str, AllowedOperation] | None) -> str:
    """Return the digest of what an entry says about the operations that it offers."""
    operations = {name: _allowed(item) for name, item in sorted((allowed or {}).items())}
    return sha256_of_text(escaped_json({"allowedOperations": operations} if operations else {}))


def _allowed(item: AllowedOperation) -> dict[str, object]:
    members = {
        "alias": item.alias,
        "description": item.description,
        "allowedRoles": list(item.allowed_roles or ()),
        "tags": list(item.tags),
    }
    return {key: value for key, value in members.items() if value}


def _documents(spec: Mapping[str, Any]) -> Iterator[str]:
    yield spec.get("configSchemaPath", "")
    surfaces = spec.get("surfaces", {})
    for surface, key in (("openapi", "document"), ("graphql", "url"), ("mcp", "url")):
        location = surfaces.get(surface, {}).get(key, "")
        yield "" if "://" in location else location


def _files(directory: Path) -> Iterator[Path]:
    """Yield the files below a directory, folder by folder, with names in the order of their bytes."""
    try:
        children = sorted(directory.iterdir(), key=lambda child: os.fsencode(child.name))
    except OSError as error:
        raise PackageInvalid(f"{directory}: {(error.strerror or str(error)).lower()}") from error
    for child in children:
        if child.is_dir() and not child.is_symlink():
            yield from _files(child)
        elif child.is_file():
            yield child


def _digest(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise PackageInvalid(f"{path}: {(error.strerror or str(error)).lower()}") from error
