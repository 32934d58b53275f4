"""Plugins that cannot be started: named with their reason wherever somebody looks, and nobody else's burden."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.commands import ROOT
from tests.support.rigs.gestaltd import Gestaltd, free_port
from tests.support.waiting import until

RIG = ROOT / "tests" / "support" / "plugins" / "rig" / "manifest.yaml"
SECRET = "s3cret-of-the-service"
MANIFEST = "kind: plugin\nsource: a.org/b/c/{name}\nversion: 0.0.1\nspec: {spec}\n"
WORKING = """
import os
from gestalt_sdk.plugin import Plugin, Request, operation

class OddPlugin(Plugin):
    async def configure(self, name, config):
        if config.get("exit"):
            os._exit(config["exit"])
        if "key" in config:
            raise ValueError(f"the key {config['key']} of {__file__} is not accepted")

    @operation("post")
    async def post(self, request: Request) -> dict:
        return {}
"""
REASONS = {
    "gone": "its source is missing",
    "garbled": "its manifest is broken",
    "misfit": "its package is for workflow, not for plugin",
    "wrongkey": "its configuration does not fit its schema",
    "bare": "its package has no program that can be run here",
    "crashing": "its catalogue is broken, or its code that writes it",
    "unfit": "its allowedOperations do not fit its catalogue",
    "refusing": "it refused to start with its configuration",
    "exiting": "its process ended before it could be called (exit status 3)",
    "deep": "its manifest is broken",
}
KNOWN = ("refusing", "exiting")
"""Those whose operations are known all the same."""
CONFIG = """
server:
  public: {{port: {port}}}
  encryptionKey: "a key for tests only"
providers:
  indexeddb:
    main:
      source: {{builtin: indexeddb_store}}
      config: {{dsn: "sqlite://{folder}/state.db"}}
  workflow:
    local:
      source: {{builtin: indexeddb}}
      indexeddb: {{provider: main, db: workflow}}
      config: {{pollInterval: 100ms}}
plugins:
  roadmap: {{source: {{path: {rig}}}}}
  gone: {{source: {{path: {folder}/gone/manifest.yaml}}}}
  garbled: {{source: {{path: {folder}/garbled/manifest.yaml}}}}
  misfit: {{source: {{path: {folder}/misfit/manifest.yaml}}}}
  wrongkey: {{source: {{path: {folder}/wrongkey/manifest.yaml}}, config: {{key: {secret}}}}}
  bare: {{source: {{path: {folder}/bare/manifest.yaml}}}}
  crashing: {{source: {{path: {folder}/crashing/manifest.yaml}}, config: {{key: {secret}}}}}
  unfit: {{source: {{path: {folder}/odd/manifest.yaml}}, allowedOperations: {{fly: {{}}}}}}
  refusing: {{source: {{path: {folder}/odd/manifest.yaml}}, config: {{key: {secret}}}}}
  exiting: {{source: {{path: {folder}/odd/manifest.yaml}}, config: {{exit: 3}}}}
  deep: {{source: {{path: {folder}/deep/manifest.json}}}}
workflows:
  eventTriggers:
{triggers}
"""
TRIGGER = "    t_{name}: {{match: {{type: go}}, target: {{plugin: {{name: {name}, operation: post}}}}}}\n"


def package(folder: Path, name: str, manifest: str = "", code: str = "", spec: str = "{}") -> None:
    root = folder / name
    root.mkdir()
    (root / "manifest.yaml").write_text(manifest or MANIFEST.format(name=name, spec=spec))
    if code:
        (root / "pyproject.toml").write_text(f'[tool.gestalt]\nprovider = "{name}_plugin:OddPlugin"\n')
        (root / f"{name}_plugin.py").write_text(code)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gestaltd]:
    """A host with one plugin that works and one for each way in which one can fail."""
    folder = tmp_path_factory.mktemp("failed")
    package(folder, "garbled", manifest="kind: plugin\n  source: [\n")
    package(folder, "misfit", manifest=MANIFEST.format(name="misfit", spec="{}").replace("plugin", "workflow", 1))
    package(folder, "wrongkey", code=WORKING, spec="{configSchemaPath: schema.json}")
    (folder / "wrongkey" / "schema.json").write_text(
        json.dumps({"type": "object", "properties": {"key": {"enum": ["a"]}}})
    )
    package(folder, "bare")
    package(folder, "crashing", code="import nothing_of_that_name\n")
    package(folder, "odd", code=WORKING)
    package(folder, "deep")
    (folder / "deep" / "manifest.json").write_text('{"kind": "plugin", "spec": ' + "[" * 5000 + "]" * 5000 + "}")
    port = free_port()
    triggers = "".join(TRIGGER.format(name=name) for name in REASONS)
    text = CONFIG.format(port=port, folder=folder, rig=RIG, secret=SECRET, triggers=triggers)
    (folder / "gestalt.yaml").write_text(text)
    made = Gestaltd([folder / "gestalt.yaml"], {}, port, folder)
    try:
        made.start()
        until(lambda: made.output, what=lambda: "the start line")
        yield made
    finally:
        made.stop()


def absence(name: str) -> str:
    return f"it could not be started: {REASONS[name]}"


def told(host: Gestaltd, text: str) -> None:
    """Nothing in it that is not for callers."""
    assert SECRET not in text
    assert str(host.folder) not in text
    assert "Traceback" not in text


def test_the_start_line_counts_and_names_them(host: Gestaltd) -> None:
    (line,) = [line for line in host.output.splitlines() if line.startswith("Gestalt API at ")]
    reasons = "; ".join(f"{name} failed: {REASONS[name]}" for name in sorted(REASONS))
    assert f"(1 of {len(REASONS) + 1} plugins; {reasons}; configured by {host.folder}" in line
    told(host, line.replace(str(host.folder / "gestalt.yaml"), ""))


def test_the_terminal_says_the_rest(host: Gestaltd) -> None:
    lines = host.output.splitlines()
    for named in ('"gone": ' + str(host.folder), '"garbled"', '"crashing"', "allowedOperations.fly", '"exiting"'):
        assert any(named in line for line in lines), host.output


def test_the_log_has_the_whole_reason_and_does_not_say_that_all_is_well(host: Gestaltd) -> None:
    lines = [json.loads(line) for line in host.log.splitlines()]
    failed = {line["plugin"]: line for line in lines if line.get("event_name") == "plugin.failed"}
    assert failed.keys() == REASONS.keys()
    assert str(host.folder / "gone" / "manifest.yaml") in failed["gone"]["error"]
    assert "nothing_of_that_name" in failed["crashing"]["error"]
    (summary,) = [line for line in lines if line.get("event_name") == "host.plugins_ready"]
    assert (summary["level"], summary["count"]) == ("warning", 1)
    assert summary["missing"] == {name: absence(name) for name in REASONS}
    assert "all providers ready" not in host.log


def test_the_list_shows_them_as_unavailable_with_the_reason(host: Gestaltd) -> None:
    listed = {item["name"]: item for item in host.get("/integrations")}
    assert listed.keys() == {"roadmap", *REASONS}
    assert listed["roadmap"]["status"] == "ready"
    assert "statusReason" not in listed["roadmap"]
    for name in REASONS:
        shown = listed[name]
        assert (shown["status"], shown["healthState"]) == ("unavailable", "unhealthy")
        assert shown["statusReason"] == absence(name)
        assert shown["actions"] == []
    told(host, json.dumps(listed))


def test_readiness_lists_them_and_is_ready(host: Gestaltd) -> None:
    answer = httpx.get(f"{host.url}/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert answer.json()["detail"] == [f"plugin {name}: {absence(name)}" for name in sorted(REASONS)]
    told(host, answer.text)


@pytest.mark.parametrize("name", REASONS)
def test_a_call_names_plugin_and_reason(host: Gestaltd, name: str) -> None:
    expected: dict[str, Any] = {"error": f'integration "{name}" is not available: {absence(name)}'}
    calls = [host.post(f"/{name}/post", {}), httpx.get(f"{host.url}/api/v1/{name}/post")]
    if name not in KNOWN:
        calls.append(httpx.get(f"{host.url}/api/v1/integrations/{name}/operations"))
        schedule = {"cron": "0 3 * * *", "target": {"plugin": {"name": name, "operation": "post"}}}
        calls.append(host.post("/workflow/schedules", schedule))
    for answer in calls:
        assert (answer.status_code, answer.json()) == (503, expected)


def test_what_works_is_not_touched(host: Gestaltd) -> None:
    assert host.post("/roadmap/noop", {}).status_code == 200
    known = host.get("/integrations/refusing/operations")
    assert [operation["id"] for operation in known] == ["post"]
    # Whether it has session catalogues, and so an operation that its package lacks, is known once it runs.
    unknown = host.post("/refusing/nothing", {})
    assert (unknown.status_code, absence("refusing") in unknown.json()["error"]) == (503, True)


def test_a_run_says_why(host: Gestaltd) -> None:
    assert host.post("/workflow/events", {"type": "go", "source": "test"}).status_code == 202

    def ended() -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = host.get("/workflow/runs", owner="config")
        return runs if len(runs) == len(REASONS) and all(run["status"] == "failed" for run in runs) else []

    for run in until(ended, within_s=30, what=lambda: json.dumps(host.get("/workflow/runs", owner="config"))):
        name = run["target"]["plugin"]["name"]
        assert f'integration "{name}" is not available: {absence(name)}' in run["statusMessage"]
        told(host, run["statusMessage"])


def test_the_command_line_lists_them_and_says_why_a_call_fails(host: Gestaltd) -> None:
    def gestalt(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {"GESTALT_URL": host.url, "HOME": str(host.folder), "COLUMNS": "200"}
        command = [sys.executable, "-m", "gestalt_host.cli", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    shown = gestalt("plugin", "list")
    assert shown.returncode == 0, shown.stderr
    for name in REASONS:
        (line,) = [line for line in shown.stdout.splitlines() if name in line.split()[:2]]
        assert f"unavailable: {absence(name)}" in line
    for name in ("crashing", "refusing"):
        done = gestalt("invoke", name, "post")
        assert done.returncode == 1
        assert f'integration "{name}" is not available: {absence(name)}' in done.stderr
