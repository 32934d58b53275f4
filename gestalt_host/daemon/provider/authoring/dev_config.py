"""The configuration that `gestaltd provider dev` runs a provider in: a whole host on this machine, made of defaults."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gestalt_host.config import HostConfig, load
from gestalt_host.config.errors import ConfigurationInvalid, ConfigurationUnreadable
from gestalt_host.config.model import ProviderEntry
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.provider.authoring.dev_folder import kept_key
from gestalt_host.daemon.provider.packages import default_name
from gestalt_host.packages import NOTHING_WRITTEN, Manifest
from gestalt_host.verification.subject import placed

FILE_NAME = "gestalt.yaml"
STORE, WORKFLOWS, EXAMPLE = "state", "local", "roadmap"
"""Names of the entries beside the provider's own."""
SHUTDOWN = "5s"
SECTIONS = {"plugin": "plugins", "workflow": "workflow", "indexeddb": "indexeddb"}
"""The kinds of manifests that can be run so, with the kinds of their entries."""


@dataclass(frozen=True, slots=True)
class Developed:
    """A provider that is developed.

    Attributes:
        kind: As its manifest says.
        name: Of its entry.
        folder: Where the state of the host is kept.
        port: Of the HTTP API.
        config: Its configuration, which is nowhere written down: it may hold secrets.
        others: Configuration files that are put below what is made here.
        has_process: False for a plugin whose operations are requests in its manifest.
    """

    manifest: Path
    kind: str
    name: str
    folder: Path
    port: int
    config: Mapping[str, object]
    others: Sequence[Path] = ()
    has_process: bool = True

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        folder: Path,
        port: int,
        config: Mapping[str, object],
        others: Sequence[Path] = (),
        *,
        name: str = "",
    ) -> Developed:
        """Take what is developed; without a name it has the one that `gestaltd provider add` would give it.

        Raises:
            CommandFailed: providers of this kind cannot be run so.
        """
        if manifest.kind not in SECTIONS:
            accepted = ", ".join(SECTIONS)
            raise CommandFailed(
                f"{manifest.path}: a provider of kind {manifest.kind} cannot be run so; accepted are {accepted}"
            )
        name = name or default_name(manifest.source)
        path, has_process = manifest.path.absolute(), not manifest.is_declarative
        return cls(path, manifest.kind, name, folder, port, config, others, has_process)

    @property
    def file(self) -> Path:
        """The configuration file that is written for it."""
        return self.folder / FILE_NAME

    def load(self, environ: Mapping[str, str]) -> HostConfig:
        """Write the configuration of the host, and read it with what it is put on.

        Raises:
            CommandFailed: it cannot be written, or another file does not go with it.
        """
        try:
            _write(self.file, self.text())
            config = load([*self.others, self.file], environ)
        except OSError as error:
            raise CommandFailed(f"{self.file}: {(error.strerror or str(error)).lower()}") from error
        except (ConfigurationInvalid, ConfigurationUnreadable) as error:
            raise CommandFailed(f"loading config: {error}") from error
        entry = self.entry(config)
        if self.kind == "plugin":
            return replace(config, plugins={**config.plugins, self.name: entry})
        section = {**config.providers[self.kind], self.name: entry}
        return replace(config, providers={**config.providers, self.kind: section})

    def entry(self, config: HostConfig) -> ProviderEntry:
        """Return the provider's entry with its own configuration."""
        entries = config.plugins if self.kind == "plugin" else config.providers[self.kind]
        entry = entries[self.name]
        # Python would take an old .pyc for a file that was saved twice within a second.
        env = {**NOTHING_WRITTEN, **entry.env} if self.has_process else entry.env
        own = {key: placed(value, str(self.folder)) for key, value in self.config.items()}
        return replace(entry, config={**entry.config, **own}, env=env)

    def text(self) -> str:
        """Return the configuration of the host, without that of the provider."""
        source: dict[str, object] = {"source": {"path": str(self.manifest)}}
        store = self.name if self.kind == "indexeddb" else STORE
        dsn = f"sqlite://{self.folder / 'state.db'}"
        document: dict[str, object] = {
            "apiVersion": "gestaltd.config/v5",
            "server": {
                "public": {"host": "127.0.0.1", "port": self.port},
                "encryptionKey": kept_key(self.folder),
                "artifactsDir": str(self.folder),
                "supervision": {"shutdownTimeout": SHUTDOWN},
                "providers": {"indexeddb": store},
            },
            "providers": {
                "indexeddb": {
                    store: source
                    if self.kind == "indexeddb"
                    else {"source": {"builtin": "indexeddb_store"}, "config": {"dsn": dsn}}
                },
                "workflow": {self.name: {**source, "indexeddb": {"provider": store, "db": "workflow"}}}
                if self.kind == "workflow"
                else {
                    WORKFLOWS: {
                        "source": {"builtin": "indexeddb"},
                        "indexeddb": {"provider": store, "db": "workflow"},
                        "config": {"pollInterval": "1s"},
                    }
                },
            },
            "plugins": {self.name: source} if self.kind == "plugin" else {EXAMPLE: {"source": {"builtin": EXAMPLE}}},
        }
        # JSON is YAML; a dollar sign would begin a variable.
        text = json.dumps(document, indent=2, ensure_ascii=False).replace("$", "\\u0024")
        return f"# Written by gestaltd provider dev at every start.\n{text}\n"


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
    temporary.replace(path)
