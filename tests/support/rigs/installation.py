"""An installation from releases: published archives, a configuration that names them, and commands run on it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from gestalt_host.daemon import commands
from gestalt_host.daemon.commands import load_config
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.locking import commands as lock_commands
from gestalt_host.daemon.locking.faults import LockUse, require_installed
from gestalt_host.daemon.options import Options
from gestalt_host.packages.archives.pack import pack
from gestalt_host.packages.digests import sha256_of
from gestalt_host.packages.platforms import host_platform
from gestalt_host.packages.releases.metadata import ReleaseArtifact, ReleaseMetadata, render_metadata
from tests.support.rigs.web import Web

PROGRAM = "#!/bin/sh\nexit 0\n"
CATALOGUE = "name: tasks\noperations:\n  - {id: list}\n  - {id: sub.add}\n"


def publish(
    folder: Path, kind: str, name: str, *, version: str = "1.0.0", program: str = PROGRAM, **files: str
) -> Path:
    """Make a release in the folder; return its metadata file.

    Args:
        files: More files of the package; ``__`` in a name is a dot.
    """
    package = folder / "package"
    package.mkdir(parents=True)
    (package / "run").write_text(program)
    (package / "run").chmod(0o755)
    system, arch = host_platform().split("/")
    spec = {"configSchemaPath": "schema.json"} if "schema__json" in files else {}
    manifest = {
        "kind": kind,
        "source": f"example.org/owner/repo/{name}",
        "version": version,
        "artifacts": [{"os": system, "arch": arch, "path": "run", "sha256": sha256_of(package / "run")}],
        "entrypoint": {"artifactPath": "run"},
        "spec": spec,
    }
    (package / "manifest.json").write_text(json.dumps(manifest))
    if kind == "plugin":
        files = {"catalog__yaml": CATALOGUE, **files}
    for file, text in files.items():
        (package / file.replace("__", ".")).write_text(text)
    pack(package, folder / "archive.tar.gz")
    artifact = ReleaseArtifact("archive.tar.gz", sha256_of(folder / "archive.tar.gz"))
    metadata = ReleaseMetadata(str(manifest["source"]), kind, version, "executable", {host_platform(): artifact})
    (folder / "provider-release.yaml").write_bytes(render_metadata(metadata))
    return folder / "provider-release.yaml"


CONFIG = """\
apiVersion: gestaltd.config/v5
server: {encryptionKey: "a key for tests only"}
providers:
  indexeddb:
    main: {source: ../releases/main/provider-release.yaml}
plugins:
  tasks: {source: ../releases/tasks/provider-release.yaml}
"""


class Installation:
    """A store ``main`` and a plugin ``tasks``, both from releases beside the configuration's directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir()
        self.config = self.work / "gestalt.yaml"
        self.config.write_text(CONFIG)
        self.lockfile = self.work / "gestalt.lock.json"
        self.store = self.work / "indexeddb" / "main"
        self.plugin = self.work / ".gestaltd" / "providers" / "tasks"
        self.environ: dict[str, str] = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
        }
        publish(folder / "releases" / "main", "indexeddb", "indexeddb/main")
        publish(folder / "releases" / "tasks", "plugin", "plugins/tasks")

    def republish(self, name: str, kind: str = "indexeddb", package: str = "", **how: str) -> None:
        """Put another release in the place of one."""
        folder = self.folder / "releases" / name
        if folder.exists():
            folder.rename(folder.with_name(f"{name}-{len(list(folder.parent.iterdir()))}"))
        publish(folder, kind, package or f"{kind}/{name}", **how)

    def serve(self, web: Web) -> None:
        """Publish the releases on a server, by their names."""
        for path in (self.folder / "releases").rglob("*"):
            if path.name in ("provider-release.yaml", "archive.tar.gz"):
                web.put(f"/{path.relative_to(self.folder / 'releases').as_posix()}", path.read_bytes())

    def options(self, *flags: str, **values: str) -> Options:
        named = {"config": [str(self.config)], **{key.replace("_", "-"): [value] for key, value in values.items()}}
        return Options(named, flags=set(flags))

    def lock(self, *flags: str, **values: str) -> None:
        lock_commands.lock(self.options(*flags, **values), self.environ)

    def sync(self, *flags: str, **values: str) -> None:
        lock_commands.sync(self.options("locked", *flags, **values), self.environ)

    def require_installed(self) -> None:
        """Do what `serve --locked` does before it starts anything."""
        options = self.options("locked")
        config = load_config(options, [self.config], self.environ, static=False)
        require_installed(config, LockUse.of(config, options))

    def validate(self) -> None:
        commands.validate(self.options(), self.environ)

    def ready(self) -> Installation:
        """Lock and sync."""
        self.lock()
        self.sync()
        return self

    def locked(self) -> dict[str, dict[str, dict[str, object]]]:
        """Return ``providers`` of the lock file."""
        providers: dict[str, dict[str, dict[str, object]]] = json.loads(self.lockfile.read_text())["providers"]
        return providers

    def change_lock(self, section: str, name: str, **members: object) -> None:
        document = json.loads(self.lockfile.read_text())
        document["providers"][section][name] |= members
        self.lockfile.write_text(json.dumps(document))


def refusal(run: object, *arguments: object, **options: object) -> str:
    """Return the text of the error that the command ends with."""
    with pytest.raises(CommandFailed) as caught:
        run(*arguments, **options)  # type: ignore[operator]
    return str(caught.value)


def tree_of(*folders: Path) -> Mapping[str, object]:
    """Return everything below the folders: content, mode and time of change of each file."""
    found: dict[str, object] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            status = path.lstat()
            content = sha256_of(path) if path.is_file() else ""
            found[str(path)] = (content, status.st_mode, status.st_mtime_ns)
    return found


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)
