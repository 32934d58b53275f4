"""Provider manifests: finding, reading and checking them (packaging.md 1, 2, 4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gestalt_host.config.document import Node, parse_json, parse_yaml
from gestalt_host.config.errors import ConfigurationUnreadable, Faults
from gestalt_host.config.files import read_text
from gestalt_host.config.model import AllowedOperation
from gestalt_host.config.reader import Block
from gestalt_host.packages.errors import PackageInvalid, raise_faults
from gestalt_host.packages.kinds import KINDS, canonical_kind

FILE_NAMES = ("manifest.json", "manifest.yaml", "manifest.yml")
_ADDRESS = re.compile(r"[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*){3,}")
_NUMBER = r"(?:0|[1-9][0-9]*)"
_VERSION = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}"
    r"(?:-(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
_CONNECTION_MODES = ("none", "platform", "user")


@dataclass(frozen=True, slots=True)
class Artifact:
    """An executable in a package; ``path`` is relative to the package, ``sha256`` blank in source form."""

    os: str
    arch: str
    path: str
    libc: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Entrypoint:
    artifact_path: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ManifestConnection:
    """A connection that the package declares. ``mode`` is effective: without one, that of its auth type."""

    name: str
    mode: str = "none"
    display_name: str = ""
    exposure: str = "user"
    auth_type: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a manifest.

    Attributes:
        path: The manifest file; ``root`` is its directory.
        icon_file: Accepted and not used yet: icons come from the catalogue.
        surfaces: Names of the declarative surfaces (``rest``, ``openapi``, ``graphql``, ``mcp``) with their content.
    """

    path: Path
    kind: str
    source: str
    version: str
    display_name: str = ""
    description: str = ""
    icon_file: Path | None = None
    artifacts: tuple[Artifact, ...] = ()
    entrypoint: Entrypoint | None = None
    release_command: tuple[str, ...] = ()
    release_workdir: str = ""
    config_schema: Path | None = None
    connections: Mapping[str, ManifestConnection] = field(default_factory=dict)
    default_connection: str = ""
    allowed_operations: Mapping[str, AllowedOperation] | None = None
    surfaces: Mapping[str, Any] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.path.parent


def find_manifest(directory: Path) -> Path:
    """Find the directory's manifest file, by the first name that exists.

    Raises:
        PackageInvalid: there is none.
    """
    for name in FILE_NAMES:
        path = directory / name
        if path.exists():
            return path
    raise PackageInvalid(f"{directory}: no manifest; looked for {', '.join(FILE_NAMES)}")


def read_manifest(path: Path) -> Manifest:
    """Read a manifest file strictly.

    Raises:
        PackageInvalid: listing every fault with its line and dotted path.
    """
    faults = Faults()
    node = read_document(path, faults)
    manifest = _read(Block(node, "", faults, node.place), path) if node is not None else None
    raise_faults("manifest", faults)
    assert manifest is not None
    return manifest


def read_document(path: Path, faults: Faults) -> Node | None:
    """Read a YAML or JSON file of a package, by its suffix.

    Raises:
        PackageInvalid: it cannot be read.
    """
    try:
        text = read_text(path)
    except ConfigurationUnreadable as error:
        raise PackageInvalid(f"{path}: {str(error)[:1].lower()}{str(error)[1:]}") from None
    return parse_json(text, str(path), faults) if path.suffix == ".json" else parse_yaml(text, str(path), faults)


def _read(block: Block, path: Path) -> Manifest:
    with block:
        kind_text = block.text("kind", required=True)
        kind = canonical_kind(kind_text)
        if kind_text and not kind:
            block.fault("kind", f"{kind_text!r} is not a kind; accepted are {', '.join(KINDS)}")
        source = block.text("source", required=True)
        if source and (not _ADDRESS.fullmatch(source) or "." not in source.split("/")[0]):
            block.fault(
                "source", f"{source!r} is not a package address; accepted is host/owner/repo/path in lower case"
            )
        version = block.text("version", required=True)
        if version and not _VERSION.fullmatch(version):
            block.fault("version", f"{version!r} is not a semantic version such as 1.2.3 or 1.2.3-alpha.4")
        display_name, description = block.text("displayName"), block.text("description")
        icon = _package_path(block, "iconFile")
        command, workdir = _release(block)
        artifacts = _artifacts(block)
        entrypoint = _entrypoint(block, artifacts)
        spec = block.block("spec")
        if kind == "plugin" and not spec.present:
            block.fault("spec", "is required for a plugin; {} is accepted")
        with spec:
            schema = _package_path(spec, "configSchemaPath")
            connections = _connections(spec)
            default_connection = spec.text("defaultConnection")
            operations = _allowed_operations(spec)
            surfaces = spec.opaque("surfaces")
            _known_only(spec, kind)
    return Manifest(
        path=path,
        kind=kind,
        source=source,
        version=version,
        display_name=display_name,
        description=description,
        icon_file=path.parent / icon if icon else None,
        artifacts=artifacts,
        entrypoint=entrypoint,
        release_command=command,
        release_workdir=workdir,
        config_schema=path.parent / schema if schema else None,
        connections=connections,
        default_connection=default_connection,
        allowed_operations=operations,
        surfaces=surfaces,
    )


def _release(block: Block) -> tuple[tuple[str, ...], str]:
    with block.block("release") as release:
        with release.block("build") as build:
            command = build.texts("command")
            if build.present and not command:
                build.fault("command", "is required")
            return command, _package_path(build, "workdir")


def _artifacts(block: Block) -> tuple[Artifact, ...]:
    artifacts: list[Artifact] = []
    for item in block.blocks("artifacts"):
        with item:
            artifact = Artifact(
                item.text("os", required=True),
                item.text("arch", required=True),
                _package_path(item, "path", required=True),
                item.text("libc"),
                item.text("sha256"),
            )
        for other in artifacts:
            if other.path == artifact.path:
                item.fault("path", f"{artifact.path!r} is a duplicate")
            if (other.os, other.arch, other.libc) == (artifact.os, artifact.arch, artifact.libc):
                item.fault("", f"a second artifact for {artifact.os}/{artifact.arch}")
        artifacts.append(artifact)
    return tuple(artifacts)


def _entrypoint(block: Block, artifacts: tuple[Artifact, ...]) -> Entrypoint | None:
    entry = block.block("entrypoint")
    if not entry.present:
        block.has("entrypoint")
        return None
    with entry:
        path, args = _package_path(entry, "artifactPath", required=True), entry.texts("args")
        if path and all(artifact.path != path for artifact in artifacts):
            entry.fault("artifactPath", f"{path!r} is not the path of an artifact")
    return Entrypoint(path, args)


def _connections(spec: Block) -> dict[str, ManifestConnection]:
    connections = {}
    for name, item in spec.entries("connections"):
        with item:
            mode = item.one_of("mode", _CONNECTION_MODES)
            exposure = item.one_of("exposure", ("user", "internal"), "user")
            display_name = item.text("displayName")
            auth_type = str(item.opaque("auth").get("type") or "")
            for key in ("params", "discovery", "postConnect", "credentialRefresh"):
                item.anything(key)
        if not mode:
            mode = "none" if auth_type in ("", "none") else "user"
        connections[name] = ManifestConnection(name, mode, display_name, exposure, auth_type)
    return connections


def _allowed_operations(spec: Block) -> dict[str, AllowedOperation] | None:
    if spec.node("allowedOperations") is None:
        return None
    operations = {}
    for name, item in spec.entries("allowedOperations"):
        with item:
            roles = item.texts("allowedRoles") if item.has("allowedRoles") else None
            operations[name] = AllowedOperation(
                name, item.text("alias"), item.text("description"), roles, item.texts("tags")
            )
            item.boolean("paginate")
            item.anything("pagination")
    return operations


def _known_only(spec: Block, kind: str) -> None:
    """Accept the keys of other subsystems: they are no fault, and are left to those who need them."""
    for key in (
        *("headers", "managedParameters", "responseMapping", "pagination", "mcp", "auth", "securitySchemes", "http"),
        *("ui", "requires", "assetRoot", "routes"),
    ):
        spec.anything(key)
    if kind == "ui" and not spec.text("assetRoot"):
        spec.fault("assetRoot", "is required for a ui")


def _package_path(block: Block, key: str, *, required: bool = False) -> str:
    text = block.text(key, required=required)
    if text:
        normalised = "/".join(part for part in text.split("/") if part not in ("", "."))
        if text != normalised or "\\" in text or ".." in text.split("/"):
            block.fault(key, f"{text!r} is not a path inside the package; accepted are relative ones such as bin/run")
            return ""
    return text
