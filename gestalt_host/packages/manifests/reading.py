"""Finding and reading the manifest of a package, in source or packaged form (packaging.md 1, 2, 4)."""

from __future__ import annotations

import math
import os
from pathlib import Path

from gestalt_host.config.connections import AUTH_TYPES
from gestalt_host.config.declared.connections import read_auth_mapping, read_credential_fields, read_params
from gestalt_host.config.declared.pagination import read_pagination
from gestalt_host.config.document import Node, parse_yaml
from gestalt_host.config.errors import ConfigurationUnreadable, Faults
from gestalt_host.config.files import read_text
from gestalt_host.config.json_tree import parse_json
from gestalt_host.config.model import AllowedOperation
from gestalt_host.config.reader import Block
from gestalt_host.config.sources import ACCEPTED_ADDRESS, is_package_address
from gestalt_host.packages.errors import PackageInvalid, raise_faults
from gestalt_host.packages.kinds import KINDS, canonical_kind
from gestalt_host.packages.manifests.model import Artifact, Entrypoint, Manifest, ManifestConnection
from gestalt_host.packages.manifests.rest import check_allowed, read_surface
from gestalt_host.packages.manifests.shapes import MANIFEST, read_fields
from gestalt_host.packages.releases.versions import is_version

FILE_NAMES = ("manifest.json", "manifest.yaml", "manifest.yml")
_CONNECTION_MODES = ("none", "platform", "user")


def find_manifest(directory: Path) -> Path:
    """Find the directory's manifest file, by the first name that exists.

    Raises:
        PackageInvalid: there is none.
    """
    for name in FILE_NAMES:
        path = directory / name
        if os.path.lexists(path):
            return path
    raise PackageInvalid(f"{directory}: no manifest; looked for {', '.join(FILE_NAMES)}")


def read_manifest(path: Path, shown: str = "") -> Manifest:
    """Read a manifest file strictly.

    Args:
        shown: What messages call the file, where its path would tell nobody anything.

    Raises:
        PackageInvalid: listing every fault with its line and dotted path.
    """
    faults = Faults()
    node = read_document(path, faults, shown)
    manifest = _read(node, path, faults) if node is not None else None
    raise_faults("manifest", faults)
    assert manifest is not None
    return manifest


def read_document(path: Path, faults: Faults, shown: str = "") -> Node | None:
    """Read a YAML or JSON file of a package, by its suffix. ``shown``: as messages call it, by default its path.

    Raises:
        PackageInvalid: it cannot be read.
    """
    where = shown or str(path)
    try:
        text = read_text(path)
    except ConfigurationUnreadable as error:
        raise PackageInvalid(f"{where}: {str(error)[:1].lower()}{str(error)[1:]}") from None
    return parse_json(text, where, faults) if path.suffix == ".json" else parse_yaml(text, where, faults)


def _read(tree: Node, path: Path, faults: Faults) -> Manifest:
    block = Block(tree, "", faults, tree.place)
    document = read_fields(block, MANIFEST)
    _check_values(tree, faults)
    kind = _kind(block)
    source = block.raw_text("source")
    if not source:
        block.fault("source", "is required")
    elif not is_package_address(source):
        block.fault("source", f"{source!r} is not a package address; accepted is {ACCEPTED_ADDRESS}")
    version = block.raw_text("version")
    if not version:
        block.fault("version", "is required")
    elif not is_version(version):
        block.fault("version", f"{version!r} is not a semantic version such as 1.2.3 or 1.2.3-alpha.4")
    icon = _package_path(block, "iconFile")
    command, workdir = _release(block)
    artifacts = _artifacts(block)
    entrypoint = _entrypoint(block, artifacts)
    spec = block.block("spec")
    if kind == "plugin" and not spec.present:
        block.fault("spec", "is required for a plugin; {} is accepted")
    schema = _package_path(spec, "configSchemaPath")
    assets = _package_path(spec, "assetRoot")
    if kind == "ui":
        _check_ui(block, spec)
    connections = _connections(spec)
    allowed, pagination = _allowed_operations(spec), read_pagination(spec)
    surface = read_surface(spec, connections)
    if surface is not None:
        check_allowed(spec, surface, allowed, pagination)
    return Manifest(
        path=path,
        kind=kind,
        source=source,
        version=version,
        display_name=block.text("displayName"),
        description=block.text("description"),
        icon_file=path.parent / icon if icon else None,
        artifacts=artifacts,
        entrypoint=entrypoint,
        release_command=command,
        release_workdir=workdir,
        config_schema=path.parent / schema if schema else None,
        connections=connections,
        default_connection=spec.text("defaultConnection"),
        allowed_operations=allowed,
        surfaces=spec.opaque("surfaces"),
        rest=surface,
        pagination=pagination,
        asset_root=assets,
        document={**document, "kind": kind},
        tree=tree,
    )


def _check_values(tree: Node, faults: Faults) -> None:
    """Refuse what neither a lock file nor the arguments of a process can hold."""
    for path, node in tree.scalars():
        if isinstance(node.value, str) and "\0" in node.value:
            faults.add(node.place, path, "has a NUL character")
        elif isinstance(node.value, float) and not math.isfinite(node.value):
            faults.add(node.place, path, f"{node.text} is not a number that JSON has")


def _kind(block: Block) -> str:
    text = block.text("kind", required=True)
    kind = canonical_kind(text)
    if text and not kind:
        block.fault("kind", f"{text!r} is not a kind; accepted are {', '.join(KINDS)}")
    return kind


def _check_ui(block: Block, spec: Block) -> None:
    if block.has("entrypoint"):
        block.fault("entrypoint", "a ui has none: nothing is started")
    if not spec.text("assetRoot"):
        spec.fault("assetRoot", "is required for a ui")
    for route in spec.blocks("routes"):
        route.text("path", required=True)
        if not route.texts("allowedRoles"):
            route.fault("allowedRoles", "is required: the roles that may see the route")


def _release(block: Block) -> tuple[tuple[str, ...], str]:
    build = block.block("release").block("build")
    command = build.raw_texts("command")
    if build.present and not any(part.strip() for part in command[:1]):
        build.fault("command", "is required")
    return command, _package_path(build, "workdir")


def _artifacts(block: Block) -> tuple[Artifact, ...]:
    artifacts: list[Artifact] = []
    for item in block.blocks("artifacts"):
        artifact = Artifact(
            item.text("os", required=True),
            item.text("arch", required=True),
            _package_path(item, "path", required=True),
            item.text("libc"),
            item.text("sha256").lower(),
        )
        for other in artifacts:
            if artifact.path and other.path == artifact.path:
                item.fault("path", f"{artifact.path!r} is a duplicate")
            if (other.os, other.arch, other.libc) == (artifact.os, artifact.arch, artifact.libc):
                variant = f"/{artifact.libc}" if artifact.libc else ""
                item.fault("", f"a second artifact for {artifact.platform}{variant}")
        artifacts.append(artifact)
    return tuple(artifacts)


def _entrypoint(block: Block, artifacts: tuple[Artifact, ...]) -> Entrypoint | None:
    entry = block.block("entrypoint")
    if not entry.present:
        return None
    path = _package_path(entry, "artifactPath", required=True)
    if path and all(artifact.path != path for artifact in artifacts):
        entry.fault("artifactPath", f"{path!r} is not the path of an artifact")
    return Entrypoint(path, entry.raw_texts("args"))


def _connections(spec: Block) -> dict[str, ManifestConnection]:
    connections = {}
    for name, item in spec.entries("connections"):
        mode = item.one_of("mode", _CONNECTION_MODES)
        exposure = item.one_of("exposure", ("user", "internal"), "user")
        auth_type = item.block("auth").one_of("type", AUTH_TYPES)
        if not mode:
            mode = "none" if auth_type in ("", "none") else "user"
        fields = read_credential_fields(item.block("auth"), mode)
        params, mapping = read_params(item), read_auth_mapping(item.block("auth"), fields)
        connections[name] = ManifestConnection(
            name, mode, item.text("displayName"), exposure, auth_type, params, mapping, fields
        )
    return connections


def _allowed_operations(spec: Block) -> dict[str, AllowedOperation] | None:
    if spec.node("allowedOperations") is None:
        return None
    operations = {}
    for name, item in spec.entries("allowedOperations"):
        roles = item.texts("allowedRoles") if item.has("allowedRoles") else None
        operations[name] = AllowedOperation(
            operation=name,
            alias=item.text("alias"),
            description=item.text("description"),
            allowed_roles=roles,
            tags=item.texts("tags"),
            paginate=item.boolean("paginate"),
            pagination=read_pagination(item),
        )
    return operations


def _package_path(block: Block, key: str, *, required: bool = False) -> str:
    text = block.text(key, required=required)
    if text and not is_package_path(block.raw_text(key)):
        block.fault(key, f"{text!r} is not a path inside the package; accepted are relative ones such as bin/run")
        return ""
    return text


def is_package_path(text: str) -> bool:
    """Tell whether the text is a path inside a package: relative, normalised, forward slashes, printable."""
    parts = text.split("/")
    plain = "\\" not in text and text.isprintable() and text == text.strip()
    return plain and not any(part in ("", ".", "..") for part in parts)
