"""Providers written with the public Python SDK under our host, beside our own ones: what a stranger has, works."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gestalt_host.verification import families
from gestalt_host.verification.run import rules_for
from gestalt_host.verification.sources import KIND_WORDS
from gestalt_host.verification.suites import plugin
from tests.support.commands import ROOT
from tests.support.nightly import at_night
from tests.support.rigs.gestaltd import Gestaltd
from tests.support.rigs.peers import LATER, PEERS, TESTED, environment, host_of, provider_source
from tests.support.waiting import until

PLUGIN, WORKFLOW, STORE = "notes", "flows", "main"
KINDS = {PLUGIN: "plugin", WORKFLOW: "workflow", STORE: "indexeddb"}
OURS = {"workflow": "{builtin: indexeddb}", "indexeddb": "{builtin: indexeddb_store}"}
SETTINGS = {"theirs": "{speed: 60}", "ours": "{pollInterval: 1s}"}
"""Of the workflow provider: a minute takes a second on the clock of theirs."""
MIXED = [("ours", "theirs"), ("theirs", "ours")]
"""Whose workflow provider works with whose store."""
CONFIGS = {"workflow": '{"speed": 60}', "indexeddb": '{"dsn": "sqlite://{dir}/state.db"}'}
BREAKS = {
    "plugin": {"contract.md 2.5/slow", "contract.md 4.5/mistyped-parameters"},
    "workflow": {"contract.md 2.5/slow"},
    "indexeddb": set[str](),
}
"""The rules for every kind, and for plugins, that they break; why is in docs/providers/peers.md."""
SLOW = {"contract.md 2.5/slow"}
SOME = ["contract.md 1.2"]
"""All rules take minutes, and are tried at night."""
pytestmark = pytest.mark.timeout(900)  # the SDK is installed first, where it is in no cache


@pytest.fixture(scope="module")
def sdk() -> Path:
    return environment(*TESTED)


@contextmanager
def serving(folder: Path, sdk: Path, *, workflow: str = "theirs", store: str = "theirs") -> Iterator[Gestaltd]:
    """Serve the plugin with a workflow provider and a store, each ``ours`` or ``theirs``."""
    for kind in ("plugin", "workflow", "indexeddb"):
        provider_source(kind, folder / kind, sdk)
    sources = {
        kind: OURS[kind] if whose == "ours" else f"{{path: {kind}/manifest.yaml}}"
        for kind, whose in (("workflow", workflow), ("indexeddb", store))
    }
    config = f"""
providers:
  indexeddb:
    {STORE}: {{source: {sources["indexeddb"]}, config: {{dsn: "sqlite://{folder}/state.db"}}}}
  workflow:
    {WORKFLOW}:
      source: {sources["workflow"]}
      indexeddb: {{provider: {STORE}}}
      config: {SETTINGS[workflow]}
plugins:
  {PLUGIN}:
    source: {{path: plugin/manifest.yaml}}
    indexeddb: {{provider: {STORE}, objectStores: [notes, heard]}}
    config: {{greeting: moin}}
workflows:
  eventTriggers:
    configured:
      match: {{type: by.configuration}}
      target: {{plugin: {{name: {PLUGIN}, operation: greet, input: {{name: Ada}}}}}}
"""
    with host_of(folder, config) as host:
        yield host


@pytest.fixture(scope="module")
def host(sdk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gestaltd]:
    """Everything but the host is theirs."""
    with serving(tmp_path_factory.mktemp("peers"), sdk) as served:
        served.start()
        yield served


def called(host: Gestaltd, operation: str, **params: Any) -> Any:
    """Call an operation that must succeed; return its result."""
    answer = host.post(f"/{PLUGIN}/{operation}", params)
    assert answer.is_success, answer.text
    return answer.json()


# The plugin -----------------------------------------------------------------------------------------------------------


def test_operations_are_listed_with_their_types(host: Gestaltd) -> None:
    found = {item["id"]: item for item in host.get(f"/integrations/{PLUGIN}/operations")}
    assert sorted(found) == sorted(
        ["announce", "fail", "fill", "greet", "hear", "heard", "notes.find", "notes.write", "refuse"]
    )
    greet = found["greet"]
    assert (greet["title"], greet["description"], greet["readOnly"]) == ("Greet", "Greets somebody", True)
    assert greet["inputSchema"]["properties"] == {
        "name": {"type": "string", "description": "Who is greeted"},
        "times": {"type": "integer", "default": 1},
        "polite": {"type": "boolean", "default": False},
    }
    assert greet["inputSchema"]["required"] == ["name"]
    assert found["refuse"]["allowedRoles"] == ["admin"]


def test_parameters_arrive_as_their_types(host: Gestaltd) -> None:
    answer = called(host, "greet", name="Zoë", times=2, polite=True)
    assert answer["text"] == "moin moin, dear Zoë"
    assert answer["configured"] == PLUGIN
    assert answer["subject"].startswith("user:")
    assert called(host, "greet", name="Ada")["text"] == "moin, Ada"


def test_parameters_of_a_query_arrive_as_their_types(host: Gestaltd) -> None:
    answer = httpx.get(f"{host.url}/api/v1/{PLUGIN}/fill", params={"bytes": "3", "text": "12"}, timeout=30)
    assert (answer.status_code, answer.json()["text"], answer.json()["sent"]) == (200, "xxx", 2)


@pytest.mark.parametrize(
    ("operation", "params", "status", "text"),
    [
        ("refuse", {"status": 409, "message": "already so"}, 409, "already so"),
        ("fail", {}, 500, "internal error"),
        ("greet", {}, 400, "name"),
        ("greet", {"name": "Ada", "times": "often"}, 400, "often"),
    ],
)
def test_errors_reach_the_caller_with_their_status(
    host: Gestaltd, operation: str, params: Mapping[str, Any], status: int, text: str
) -> None:
    answer = host.post(f"/{PLUGIN}/{operation}", params)
    assert answer.status_code == status, answer.text
    assert text in answer.text
    assert "secret" not in answer.text


def test_large_parameters_and_results_arrive(host: Gestaltd) -> None:
    assert len(called(host, "fill", bytes=20 << 20)["text"]) == 20 << 20
    assert called(host, "fill", bytes=1, text="x" * 1_000_000)["sent"] == 1_000_000


def test_state_is_kept_in_transactions_and_found_with_cursors(host: Gestaltd) -> None:
    first = called(host, "notes.write", id="one", text="a", tags=["blue", "green"])["number"]
    assert called(host, "notes.write", id="two", text="b", tags=["blue"])["number"] == first + 1
    called(host, "notes.write", id="three", text="c", tags=["red"])
    found = httpx.get(f"{host.url}/api/v1/{PLUGIN}/notes.find", params={"tag": "blue"}, timeout=30).json()
    assert [(note["id"], note["text"], note["tags"]) for note in found] == [
        ("one", "a", ["blue", "green"]),
        ("two", "b", ["blue"]),
    ]


# Schedules, events, kills ---------------------------------------------------------------------------------------------


def target(tag: str) -> dict[str, Any]:
    return {"plugin": {"name": PLUGIN, "operation": "hear", "input": {"tag": tag}}}


def created(host: Gestaltd, path: str, body: Mapping[str, Any]) -> Any:
    answer = host.post(f"/workflow/{path}", body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def heard(host: Gestaltd, tag: str, subject: str = "") -> list[Any]:
    """Return what the plugin's operation was told by runs, of those with this tag, and by an event of this subject."""
    found = [item for item in called(host, "heard") if item["tag"] == tag]
    return [item for item in found if not subject or item["trigger"]["event"]["subject"] == subject]


def announce_and_hear(host: Gestaltd, subject: str) -> None:
    """Publish an event, as soon as that can be done again, and wait until the trigger's run has told the plugin."""
    said = {"id": subject, "text": "b"}
    until(lambda: host.post(f"/{PLUGIN}/announce", said).is_success, within_s=30, what=lambda: host.log[-4000:])
    until(lambda: heard(host, "event", subject), within_s=30, what=lambda: host.log[-4000:])


def ended(host: Gestaltd, tag: str) -> list[Any]:
    """Return the runs with this tag that have ended."""
    runs = host.get("/workflow/runs", plugin=PLUGIN)
    return [run for run in runs if run["target"]["plugin"].get("input") == {"tag": tag} and "completedAt" in run]


def process_ids(host: Gestaltd) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {name: set() for name in KINDS}
    for child in host.children():
        found[child.name].add(child.pid)
    return found


def kill_all(host: Gestaltd, name: str) -> None:
    """Kill every process of a provider, and wait until each has another in its place and all is ready."""
    before = process_ids(host)[name]
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(
        lambda: len(process_ids(host)[name] - before) == len(before) and host._is_ready(),
        within_s=60,
        what=lambda: f"{name} started again:\n{host.log[-4000:]}",
    )


@pytest.mark.parametrize(
    ("workflow", "store"),
    [("theirs", "theirs"), *(pytest.param(*mixed, marks=pytest.mark.nightly) for mixed in MIXED)],
)
def test_what_is_scheduled_and_published_happens_across_kills_and_restarts(
    sdk: Path, tmp_path: Path, workflow: str, store: str
) -> None:
    with serving(tmp_path, sdk, workflow=workflow, store=store) as host:
        host.start()
        trigger = created(host, "event-triggers", {"match": {"type": "note.written"}, "target": target("event")})
        schedule = created(host, "schedules", {"cron": "* * * * *", "target": target("slot")})
        announced = called(host, "announce", id="one", text="a")
        (told,) = until(lambda: heard(host, "event"), within_s=30)
        assert told["trigger"]["event"]["id"] == announced["id"]
        assert told["trigger"]["event"]["data"] == {"text": "a"}
        (run,) = until(lambda: ended(host, "event"), within_s=30)
        assert (run["status"], run["trigger"]["triggerId"]) == ("succeeded", trigger["id"])
        assert told["id"] == f"workflow:{WORKFLOW}:{run['id']}", "the idempotency key names the run"

        for name in KINDS:
            kill_all(host, name)
            announce_and_hear(host, f"after the kill of {name}")
        host.stop()

        host.start()
        assert [item["id"] for item in host.get("/workflow/schedules")] == [schedule["id"]]
        announce_and_hear(host, "after the restart")
        if workflow == "theirs":
            until(lambda: ended(host, "slot"), within_s=30)
            assert heard(host, "slot")[0]["trigger"]["scheduleId"] == schedule["id"]
        assert {run["status"] for run in ended(host, "event")} == {"succeeded"}


def test_schedules_are_changed_and_their_faults_are_told(host: Gestaltd) -> None:
    answer = host.post("/workflow/schedules", {"cron": "61 * * * *", "target": target("never")})
    assert answer.status_code == 400
    assert "61 * * * *" in answer.text
    made = created(host, "schedules", {"cron": "0 3 * * *", "target": target("never")})
    path = f"{host.url}/api/v1/workflow/schedules/{made['id']}"
    changed = httpx.put(path, json={"cron": "0 4 * * *", "timezone": "Asia/Tokyo", "target": target("never")})
    assert (changed.json()["cron"], changed.json()["createdAt"]) == ("0 4 * * *", made["createdAt"])
    assert changed.json()["nextRunAt"].endswith("T19:00:00Z")
    assert httpx.post(f"{path}/pause").json()["paused"] is True
    assert httpx.post(f"{path}/resume").json()["paused"] is False
    stale = httpx.put(path, json={"cron": "0 5 * * *", "target": target("never")}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert "workflow.revisions" in stale.text
    assert httpx.delete(path).json() == {"status": "deleted"}
    assert httpx.get(path).status_code == 404


def test_the_configured_trigger_fires_and_what_the_host_tells_is_the_case(host: Gestaltd) -> None:
    published = host.post("/workflow/events", {"type": "by.configuration", "source": "test"})
    assert published.status_code == 202, published.text
    until(lambda: [run for run in host.get("/workflow/runs", owner="config") if "completedAt" in run], within_s=30)
    assert "keeps no history of slots" in host.log
    assert httpx.get(f"{host.url}/ready").json() == {"status": "ok"}


def test_they_are_launched_to_be_checked(host: Gestaltd, tmp_path: Path) -> None:
    told = command("validate", "--runtime", "--config", host.configs[0], cwd=tmp_path)
    assert '"level":"error"' not in told
    assert "Traceback" not in told


@pytest.mark.parametrize("kind", BREAKS)
def test_they_keep_the_rules_of_their_kind_but_for_those_that_are_documented(
    sdk: Path, tmp_path: Path, kind: str
) -> None:
    source = provider_source(kind, tmp_path / kind, sdk)
    report = tmp_path / "report.json"
    every = [rule.id for rule in rules_for(KIND_WORDS[kind]) if rule in (*families.RULES, *plugin.RULES)]
    rules = at_night(every, otherwise=[*SOME, *sorted(BREAKS[kind] - SLOW)])
    words = [word for rule in rules for word in ("--rule", rule)]
    command(
        *("provider", "verify", source, "--config", CONFIGS.get(kind, "{}"), "--format", "json", "--output", report),
        *words,
        cwd=tmp_path,
        status=1 if at_night(BREAKS[kind], otherwise=BREAKS[kind] - SLOW) else 0,
    )
    failed = {rule["rule"]: rule for rule in json.loads(report.read_text())["rules"] if rule["outcome"] == "failed"}
    assert set(failed) == at_night(BREAKS[kind], otherwise=BREAKS[kind] - SLOW), failed


def test_the_rules_that_they_break_are_documented() -> None:
    page = (ROOT / "docs" / "providers" / "peers.md").read_text()
    assert set(re.findall(r"^\| `([\w-]+\.md [^`]+)`", page, re.M)) == set().union(*BREAKS.values())


def test_they_stop_when_they_are_told_to(sdk: Path, tmp_path: Path) -> None:
    with serving(tmp_path, sdk) as host:
        host.start()
        assert called(host, "greet", name="Ada")
        host.signal(signal.SIGTERM)
        assert host.wait() == 0
        assert "SIGKILL" not in host.log
        assert "Traceback" not in host.log
        assert '"level":"error"' not in host.log


def command(*words: str | Path, cwd: Path, status: int = 0) -> str:
    """Run a command of `gestaltd` that has to end with this status; return what it wrote on stderr."""
    program = [sys.executable, "-m", "gestalt_host.daemon", *map(str, words)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(program, cwd=cwd, env=environ, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
    return done.stderr


@pytest.mark.nightly
def test_releases_of_them_are_locked_installed_and_served(sdk: Path, tmp_path: Path) -> None:
    with serving(tmp_path, sdk, workflow="ours") as host:
        (config,) = host.configs
        for kind in ("plugin", "indexeddb"):
            project = tmp_path / kind / "pyproject.toml"
            needs = f"dependencies = ['{TESTED[0]}']\n"
            project.write_text(project.read_text().replace("requires-python", f"{needs}requires-python"))
            command(
                "provider", "release", "--version", "1.2.3", "--output", tmp_path / "out" / kind, cwd=project.parent
            )
            release = f"{tmp_path}/out/{kind}/provider-release.yaml"
            config.write_text(config.read_text().replace(f"{kind}/manifest.yaml", release))
            shutil.rmtree(project.parent)
        for words in (["lock"], ["sync", "--locked"]):
            command(*words, "--config", config, cwd=tmp_path)
        host.program = (*host.program, "--locked")
        host.start()
        created(host, "event-triggers", {"match": {"type": "note.written"}, "target": target("event")})
        announce_and_hear(host, "from a release")


# What they cannot -----------------------------------------------------------------------------------------------------


@pytest.mark.nightly
def test_the_adapter_of_the_sdk_lacks_execution_references_and_that_is_told(sdk: Path, tmp_path: Path) -> None:
    provider_source("workflow", tmp_path / "workflow", sdk)
    provider_source("plugin", tmp_path / "plugin", sdk)
    project = tmp_path / "workflow" / "pyproject.toml"
    project.write_text(project.read_text().replace("workflows:adapter", "workflows:plain"))
    config = f"""
providers:
  indexeddb:
    {STORE}: {{source: {OURS["indexeddb"]}, config: {{dsn: "sqlite://{tmp_path}/state.db"}}}}
  workflow:
    {WORKFLOW}: {{source: {{path: workflow/manifest.yaml}}, indexeddb: {{provider: {STORE}}}}}
plugins:
  {PLUGIN}: {{source: {{path: plugin/manifest.yaml}}, indexeddb: {{provider: {STORE}}}}}
"""
    with host_of(tmp_path, config) as host:
        host.start()
        answer = host.post("/workflow/schedules", {"cron": "0 3 * * *", "target": target("never")})
        assert answer.status_code == 412
        assert f'workflow provider "{WORKFLOW}" does not support execution references' in answer.json()["error"]
        assert host.post("/workflow/events", {"type": "any", "source": "test"}).status_code == 202


@pytest.mark.nightly
def test_a_configuration_that_the_plugin_refuses_is_told(sdk: Path, tmp_path: Path) -> None:
    provider_source("plugin", tmp_path / "plugin", sdk)
    config = f"""
providers:
  indexeddb:
    {STORE}: {{source: {OURS["indexeddb"]}, config: {{dsn: "sqlite://{tmp_path}/state.db"}}}}
plugins:
  {PLUGIN}: {{source: {{path: plugin/manifest.yaml}}, config: {{refuses: true}}}}
"""
    with host_of(tmp_path, config) as host:
        host.start()
        answer = host.post(f"/{PLUGIN}/greet", {"name": "Ada"})
        assert answer.status_code == 503
        assert "it refused to start with its configuration" in answer.text
        assert "refused by its configuration" in host.log


@pytest.mark.parametrize(
    "kind", ["workflow", *(pytest.param(kind, marks=pytest.mark.nightly) for kind in ("plugin", "indexeddb"))]
)
def test_a_release_of_the_sdk_that_speaks_another_protocol_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    provider_source(kind, tmp_path / kind, environment(*LATER, dependencies=False))
    entry = f"{{source: {{path: {kind}/manifest.yaml}}}}"
    config = f"plugins: {{one: {entry}}}" if kind == "plugin" else f"providers: {{{kind}: {{one: {entry}}}}}"
    path = tmp_path / "gestalt.yaml"
    path.write_text(f"apiVersion: gestaltd.config/v5\nserver: {{encryptionKey: k}}\n{config}\n")
    told = command("validate", "--config", path, cwd=tmp_path, status=1)
    assert "its SDK speaks version 5 of the protocol, this host speaks 3" in told
    assert "gestalt-sdk up to 0.0.1a19" in told


def test_their_sources_know_nothing_of_ours() -> None:
    for path in PEERS.rglob("*.py"):
        assert "gestalt_sdk" not in path.read_text()
        assert "gestalt_host" not in path.read_text()
