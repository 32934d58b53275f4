"""Releases and an index of them on disk, as publishers would put them on a server; executables are scripts that end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gestalt_host.packages.archives.pack import pack
from gestalt_host.packages.digests import sha256_of, sha256_of_text
from gestalt_host.packages.platforms import host_platform

_PROGRAM = "#!/bin/sh\nexit 0\n"


class Publisher:
    """Publishes packages below a directory, whose ``provider-index.yaml`` names them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._packages: dict[str, dict[str, Any]] = {}

    @property
    def index(self) -> Path:
        return self.root / "provider-index.yaml"

    @property
    def url(self) -> str:
        """URL of the index."""
        return self.index.as_uri()

    def publish(self, package: str, version: str, kind: str, *, name: str = "", yanked: bool = False) -> Path:
        """Publish one version; return the path of its release metadata."""
        folder = self.root / package.rpartition("/")[2] / version
        tree = folder / "tree"
        tree.mkdir(parents=True)
        runtime = "ui" if kind == "ui" else "executable"
        manifest: dict[str, Any] = {"kind": kind, "source": package, "version": version, "spec": {}}
        if kind == "ui":
            manifest["spec"] = {"assetRoot": "assets"}
            (tree / "assets").mkdir()
            (tree / "assets" / "index.html").write_text("<p>hello</p>")
        else:
            system, architecture = host_platform().split("/")
            artifact = {"os": system, "arch": architecture, "path": "run", "sha256": sha256_of_text(_PROGRAM)}
            manifest |= {"artifacts": [artifact], "entrypoint": {"artifactPath": "run"}}
            (tree / "run").write_text(_PROGRAM)
            (tree / "run").chmod(0o755)
        if kind == "plugin":
            (tree / "catalog.yaml").write_text(f"name: {package.rpartition('/')[2]}\noperations: [{{id: list}}]\n")
        (tree / "manifest.json").write_text(json.dumps(manifest))
        archive = folder / "archive.tar.gz"
        pack(tree, archive)
        platform = "generic" if kind == "ui" else host_platform()
        metadata = folder / "provider-release.yaml"
        metadata.write_text(
            json.dumps(
                {
                    "schema": "gestaltd-provider-release",
                    "schemaVersion": 1,
                    "package": package,
                    "kind": kind,
                    "version": version,
                    "runtime": runtime,
                    "artifacts": {platform: {"path": archive.name, "sha256": sha256_of(archive)}},
                }
            )
        )
        listed = self._packages.setdefault(package, {"displayName": name, "description": "", "versions": {}})
        listed["versions"][version] = {
            "metadata": metadata.relative_to(self.root).as_posix(),
            "kind": kind,
            "runtime": runtime,
            "yanked": yanked,
        }
        self._write()
        return metadata

    def _write(self) -> None:
        document = {"schema": "gestaltd-provider-index", "schemaVersion": 1, "packages": self._packages}
        self.index.write_text(json.dumps(document, indent=1))
