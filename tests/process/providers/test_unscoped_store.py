"""A store without scopes runs once for each binding; all of these are started at the same time (contract.md 1.5)."""

from __future__ import annotations

from pathlib import Path

from tests.support.commands import ROOT
from tests.support.rigs.peers import host_of

BINDINGS = 3
"""Of the host itself, the workflow provider and the plugin."""
STORE = f"""
import asyncio
import sys
from pathlib import Path

sys.path.insert(0, {str(ROOT / "providers" / "indexeddb_store")!r})

from gestalt_store.provider import StoreProvider

HERE = Path(__file__).parent


class Waiting(StoreProvider):
    capabilities = ()

    async def configure(self, name, config):
        (HERE / f"{{config['prefix']}}.begun").touch()
        while len(list(HERE.glob("*.begun"))) < {BINDINGS}:
            await asyncio.sleep(0.05)
        await super().configure(name, config)


provider = Waiting
"""
PLUGIN = """
from gestalt_sdk.plugin import Plugin, Request, operation


class Greeter(Plugin):
    @operation("greet")
    async def greet(self, request: Request) -> str:
        return "hello"


plugin = Greeter
"""


def package(folder: Path, kind: str, source: str, module: str, text: str) -> None:
    folder.mkdir()
    (folder / f"{module}.py").write_text(text)
    (folder / "manifest.yaml").write_text(f"kind: {kind}\nsource: {source}\nversion: 1.0.0\nspec: {{}}\n")
    (folder / "pyproject.toml").write_text(f'[tool.gestalt]\nprovider = "{module}"\n')


def test_the_processes_of_all_bindings_are_started_at_once(tmp_path: Path) -> None:
    package(tmp_path / "store", "indexeddb", "example.org/owner/indexeddb/relationaldb", "waiting", STORE)
    package(tmp_path / "plugin", "plugin", "example.org/owner/plugins/greeter", "greeter", PLUGIN)
    config = f"""
providers:
  indexeddb:
    main: {{source: {{path: store/manifest.yaml}}, config: {{dsn: "sqlite://{tmp_path}/state.db"}}}}
  workflow:
    flows: {{source: {{builtin: indexeddb}}, indexeddb: {{provider: main}}}}
plugins:
  greeter: {{source: {{path: plugin/manifest.yaml}}, indexeddb: {{provider: main}}}}
"""
    with host_of(tmp_path, config) as host:
        host.start()
        assert host.post("/greeter/greet", {}).json() == "hello"
        assert len([child for child in host.children() if child.name == "main"]) == BINDINGS
