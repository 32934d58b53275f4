"""`/ready`, `/metrics` and the list of providers say the same of each provider, in every state that one can be in."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.process.engine.proof import chosen_seed
from tests.support.commands import ROOT
from tests.support.nightly import at_night
from tests.support.rigs.gestaltd import Gestaltd, free_port
from tests.support.rigs.postgres import PostgresServer
from tests.support.waiting import until

WITHIN_S = 30
"""The promise is 10 s; the rest is for a machine that does much else."""
RIG = ROOT / "tests" / "support" / "plugins" / "rig" / "manifest.yaml"
CONFIG = """
server:
  public: {{port: {port}}}
  encryptionKey: "a key for tests only"
  supervision: {{restartSilentAfter: never, slowStartAfter: {slow_start}}}
providers:
  indexeddb:
    main:
      default: true
      source: {{path: {folder}/moody_store/manifest.yaml}}
      config: {{dsn: "{dsn}"}}
      env: {{MARKS: "{folder}"}}
    spare: {{source: {{builtin: indexeddb_store}}, config: {{dsn: "sqlite://{folder}/spare.db"}}}}
  workflow:
    local:
      source: {{builtin: indexeddb}}
      indexeddb: {{provider: main, db: workflow}}
      config: {{pollInterval: 100ms}}
plugins:
  rig: {{source: {{path: {rig}}}}}
  odd: {{source: {{path: {folder}/odd/manifest.yaml}}, env: {{MARKS: "{folder}"}}}}
  gone: {{source: {{path: {folder}/gone/manifest.yaml}}}}
  geo: {{source: {{path: {folder}/geo/manifest.yaml}}}}
"""
ODD = """
import asyncio, os
from pathlib import Path
from gestalt_sdk.plugin import Plugin, Request, operation

MARKS = Path(os.environ["MARKS"]) if "MARKS" in os.environ else Path("/nonexistent")

class OddPlugin(Plugin):
    async def configure(self, name, config):
        if (MARKS / "crash").exists():
            os._exit(3)
        while (MARKS / "hang").exists():
            await asyncio.sleep(0.05)

    @operation("noop")
    async def noop(self, request: Request) -> dict:
        return {}
"""
STORE = """
import os, sys
from pathlib import Path
sys.path.insert(0, STORE_FOLDER)
from gestalt_store.provider import StoreProvider

class Moody(StoreProvider):
    display_name = "Moody \\x1b[2J\\u202e store"
    version = "9\\x9b"

    async def health(self):
        await super().health()
        if (Path(os.environ["MARKS"]) / "unwell").exists():
            raise RuntimeError("it is not well")

provider = Moody
"""
GEO = """
kind: plugin
source: a.org/b/c/geo
version: 0.0.1
spec:
  surfaces:
    rest:
      baseUrl: http://127.0.0.1:9/
      operations: [{name: look, method: GET, path: /look}]
"""
# What /ready says of a provider that is named there, and what the list calls that.
WORDS = (
    ("starting", r"it is still starting|it starts soon"),
    ("silent", r"it has not answered"),
    ("restarting", r"it has ended and (is|cannot be) (being )?started again"),
    ("failed", r"it could not be started"),
    ("stopped", r"it was stopped"),
    ("unhealthy", r"it is not well|no answer"),
)
NOUNS = {"plugin": "plugin", "workflow provider": "workflow", "store": "indexeddb"}
METRIC = re.compile(r'gestalt_provider_state\{kind="(\w+)",provider="([^"]+)",state="(\w+)"\} 1\.0')

Told = dict[str, str]
"""States by KIND/NAME."""


def new_host(folder: Path, dsn: str = "", slow_start: str = "2s") -> Gestaltd:
    """A host whose plugin ``odd`` and whose store do what files in its folder say; not started."""
    for name, kind, code in (("odd", "plugin", ODD), ("moody_store", "indexeddb", STORE)):
        package = folder / name
        package.mkdir(parents=True)
        (package / "manifest.yaml").write_text(f"kind: {kind}\nsource: a.org/b/c/{name}\nversion: 0.0.1\nspec: {{}}\n")
        target = f"{name}_code:OddPlugin" if kind == "plugin" else f"{name}_code:provider"
        key = "provider" if kind == "plugin" else kind
        (package / "pyproject.toml").write_text(f'[tool.gestalt]\n{key} = "{target}"\n')
        code = code.replace("STORE_FOLDER", repr(str(ROOT / "providers" / "indexeddb_store")))
        (package / f"{name}_code.py").write_text(code)
    (folder / "geo").mkdir()
    (folder / "geo" / "manifest.yaml").write_text(GEO)
    port = free_port()
    dsn = dsn or f"sqlite://{folder}/state.db"
    text = CONFIG.format(port=port, folder=folder, rig=RIG, dsn=dsn, slow_start=slow_start)
    (folder / "gestalt.yaml").write_text(text.lstrip())
    return Gestaltd([folder / "gestalt.yaml"], {}, port, folder)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Gestaltd]:
    made = new_host(tmp_path)
    try:
        made.start()
        yield made
    finally:
        for child in made.children() if made.process is not None else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGCONT)
        made.stop()


def listed(host: Gestaltd) -> Told:
    return {f"{item['kind']}/{item['name']}": item["state"] for item in host.get("/providers")}


def measured(host: Gestaltd) -> Told:
    text = httpx.get(f"{host.url}/metrics", timeout=30).text
    return {f"{kind.replace('integration', 'plugin')}/{name}": state for kind, name, state in METRIC.findall(text)}


def named(host: Gestaltd) -> Told:
    """Who is named in ``detail`` of ``/ready``, with the state that the words mean."""
    answer = httpx.get(f"{host.url}/ready", timeout=30).json()
    found: Told = {}
    for text in answer.get("detail", ()):
        noun, name, reason = re.fullmatch(r"(plugin|workflow provider|store) ([^:]+): (.*)", text).groups()  # type: ignore[union-attr]
        state = next((state for state, words in WORDS if re.match(words, reason)), f"? {reason}")
        found[f"{NOUNS[noun]}/{name}"] = state
    return found


def differing(host: Gestaltd) -> str:
    """Where the three differ, blank where they say the same."""
    from_list, from_metrics, from_ready = listed(host), measured(host), named(host)
    away = {path: state for path, state in from_list.items() if state not in ("ready", "unused")}
    return "" if from_list == from_metrics and away == from_ready else f"{from_list}\n{from_metrics}\n{from_ready}"


def says(host: Gestaltd, path: str, *states: str) -> None:
    """Wait until all three say that the provider is in one of the states, and the same of all others."""
    until(
        lambda: listed(host)[path] in states and not differing(host),
        within_s=WITHIN_S,
        what=lambda: f"{path} {states}:\n{differing(host)}\n{host.get('/providers')}",
    )


def pid_of(host: Gestaltd, name: str) -> int:
    return next(child.pid for child in host.children() if child.name == name)


def one(host: Gestaltd, path: str) -> Any:
    return host.get(f"/providers/{path}")


WELL = {
    "indexeddb/main": "ready",
    "indexeddb/spare": "unused",
    "plugin/geo": "ready",
    "plugin/gone": "failed",
    "plugin/odd": "ready",
    "plugin/rig": "ready",
    "workflow/local": "ready",
}


# --- faults, each undone again ----------------------------------------------------------------------------------------


@dataclass
class Faults:
    """What can be done to a provider of the host, and what it is called then."""

    host: Gestaltd

    def silent(self, path: str) -> None:
        pid = pid_of(self.host, path.partition("/")[2])
        os.kill(pid, signal.SIGSTOP)
        says(self.host, path, "silent")
        assert "it has not answered" in one(self.host, path)["reason"]
        os.kill(pid, signal.SIGCONT)
        says(self.host, path, "ready")
        report = one(self.host, path)
        assert (report["pid"], report["lastError"]["text"]) == (pid, "it did not answer")

    def killed(self, path: str) -> None:
        before = one(self.host, path)
        os.kill(before["pid"], signal.SIGKILL)

        def is_back() -> bool:
            report = one(self.host, path)
            return bool(report["restarts"] > before["restarts"] and report["state"] == "ready")

        until(is_back, within_s=WITHIN_S, what=lambda: str(one(self.host, path)))
        says(self.host, path, "ready")
        report = one(self.host, path)
        assert report["pid"] == pid_of(self.host, path.partition("/")[2]) != before["pid"]
        assert report["since"] > before["since"]
        assert report["lastError"]["at"] > before["since"]

    def crash_loop(self, path: str) -> None:
        before = one(self.host, path)
        (self.host.folder / "crash").touch()
        os.kill(pid_of(self.host, "odd"), signal.SIGKILL)
        until(
            lambda: one(self.host, path)["restarts"] >= before["restarts"] + 3,
            within_s=WITHIN_S,
            what=lambda: str(one(self.host, path)),
        )
        says(self.host, path, "restarting")
        assert "pid" not in one(self.host, path) or one(self.host, path)["state"] == "restarting"
        (self.host.folder / "crash").unlink()
        says(self.host, path, "ready")

    def unhealthy(self, path: str) -> None:
        (self.host.folder / "unwell").touch()
        says(self.host, path, "unhealthy")
        assert httpx.get(f"{self.host.url}/ready").json()["status"] == "datastore unavailable: main: it is not well"
        since = one(self.host, path)["since"]
        assert one(self.host, path)["reason"] == "it is not well"
        (self.host.folder / "unwell").unlink()
        says(self.host, path, "ready")
        assert one(self.host, path)["lastError"]["at"] >= since or one(self.host, path)["lastError"]["text"]


CASES = [
    ("silent", "plugin/odd"),
    ("silent", "workflow/local"),
    ("silent", "indexeddb/main"),
    ("killed", "plugin/rig"),
    ("killed", "workflow/local"),
    ("killed", "indexeddb/main"),
    ("crash_loop", "plugin/odd"),
    ("unhealthy", "indexeddb/main"),
]


def test_the_three_agree_in_every_state(host: Gestaltd) -> None:
    """In an order of chance: what was done before may not show in what is told now."""
    chance = random.Random(chosen_seed())
    says(host, "plugin/gone", "failed")
    assert listed(host) == WELL
    assert httpx.get(f"{host.url}/ready").status_code == 200
    for fault, path in chance.sample(CASES * at_night(4, otherwise=1), len(CASES) * at_night(4, otherwise=1)):
        getattr(Faults(host), fault)(path)
        until(lambda: listed(host) == WELL, within_s=WITHIN_S, what=lambda: differing(host))


def test_a_plugin_that_still_starts_is_starting_and_then_ready(tmp_path: Path) -> None:
    host = new_host(tmp_path)
    (tmp_path / "hang").touch()
    try:
        host.start()
        says(host, "plugin/odd", "starting")
        assert one(host, "plugin/odd")["reason"].startswith("it is still starting, for ")
        (tmp_path / "hang").unlink()
        says(host, "plugin/odd", "ready")
    finally:
        host.stop()


def test_ready_names_what_starts_before_there_is_an_api(tmp_path: Path) -> None:
    host = new_host(tmp_path, slow_start="60s")
    (tmp_path / "hang").touch()
    seen: set[str] = set()

    def states() -> bool:
        with contextlib.suppress(httpx.TransportError):
            seen.update(f"{path} {state}" for path, state in named(host).items())
        return seen >= {"indexeddb/main starting", "workflow/local starting", "plugin/odd starting"}

    try:
        host.launch()
        until(states, within_s=WITHIN_S, what=lambda: f"{seen}\n{host.log[-2000:]}")
    finally:
        host.stop()


# --- two hosts --------------------------------------------------------------------------------------------------------


def test_two_hosts_on_one_database_tell_of_their_own(tmp_path: Path, postgres_server: PostgresServer) -> None:
    dsn = postgres_server.dsn
    hosts = [new_host(tmp_path / name, dsn) for name in ("a", "b")]
    try:
        for host in hosts:
            host.start()
        a, b = hosts
        for host in hosts:
            says(host, "plugin/gone", "failed")
            assert listed(host) == WELL
        pids = [{item["pid"] for item in host.get("/providers") if "pid" in item} for host in hosts]
        assert not pids[0] & pids[1]
        Faults(a).killed("workflow/local")
        assert one(b, "workflow/local")["restarts"] == 0
        Faults(b).silent("indexeddb/main")
        until(lambda: listed(a) == listed(b) == WELL, within_s=WITHIN_S, what=lambda: differing(a) + differing(b))
        assert one(a, "workflow/local")["restarts"] == 1
        assert not differing(a) + differing(b)
    finally:
        for host in hosts:
            host.stop()


# --- the command line -------------------------------------------------------------------------------------------------


def gestalt(host: Gestaltd, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gestalt_host.cli", "provider", *arguments],
        env={**os.environ, "GESTALT_URL": host.url, "HOME": str(host.folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_command_line_shows_them_with_hostile_texts_made_harmless(host: Gestaltd) -> None:
    shown = gestalt(host, "list")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert all(path.partition("/")[2] in shown.stdout for path in WELL)
    assert "it could not be started: its source is missing" in shown.stdout
    report = json.loads(gestalt(host, "get", "main", "--format", "json").stdout)
    assert report == one(host, "indexeddb/main")
    assert (report["version"], report["source"]) == ("9\\x9b", "…/moody_store/manifest.yaml")
    text = gestalt(host, "get", "indexeddb/main").stdout + httpx.get(f"{host.url}/api/v1/providers").text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert str(host.folder) not in text
    wrong = gestalt(host, "get", "lokal")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "a similar one exists: 'local'" in wrong.stderr
