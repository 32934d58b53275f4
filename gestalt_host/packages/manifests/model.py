"""What a manifest says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gestalt_host.config.declared.connections import AuthMapping, ConnectionParam, CredentialField
from gestalt_host.config.declared.pagination import Pagination
from gestalt_host.config.document import Node
from gestalt_host.config.model import AllowedOperation
from gestalt_host.packages.manifests.rest_model import RestSurface


@dataclass(frozen=True, slots=True)
class Artifact:
    """An executable in a package; ``path`` is relative to the package, ``sha256`` blank in source form."""

    os: str
    arch: str
    path: str
    libc: str = ""
    sha256: str = ""

    @property
    def platform(self) -> str:
        return f"{self.os}/{self.arch}"


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
    params: Mapping[str, ConnectionParam] = field(default_factory=dict)
    auth_mapping: AuthMapping | None = None
    credential_fields: tuple[CredentialField, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a manifest.

    Attributes:
        path: The manifest file; ``root`` is its directory.
        icon_file: Accepted and not used yet: icons come from the catalogue.
        surfaces: Names of the declarative surfaces (``rest``, ``openapi``, ``graphql``, ``mcp``) with their content.
        rest: The one of them that this host carries out itself, read.
        pagination: Of the operations that are to be fetched to their last page and do not say how.
        document: The manifest as an object in its one spelling: known keys in their order, empty values left out.
        tree: The same as it is written, which knows the lines.
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
    rest: RestSurface | None = None
    pagination: Pagination | None = None
    asset_root: str = ""
    document: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)
    tree: Node | None = field(default=None, compare=False, repr=False)

    @property
    def root(self) -> Path:
        return self.path.parent

    @property
    def is_manifest_backed(self) -> bool:
        """Whether its operations are in the manifest or in a document that it names, not in a catalogue."""
        return self.rest is not None or any(self.surfaces.get(name) for name in ("openapi", "graphql", "mcp"))

    @property
    def is_declarative(self) -> bool:
        """Whether it is a plugin without a process: all that this host needs to carry out is in ``rest``."""
        surfaces = {name for name, content in self.surfaces.items() if content}
        return self.kind == "plugin" and self.runtime == "declarative" and surfaces == {"rest"}

    @property
    def runtime(self) -> str:
        """What release metadata calls it: ``ui``, ``declarative`` or ``executable`` (packaging.md 7)."""
        if self.kind == "ui":
            return "ui"
        return "declarative" if self.is_manifest_backed and self.entrypoint is None else "executable"
