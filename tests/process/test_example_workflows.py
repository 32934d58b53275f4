"""The workflow providers of examples/providers: their own tests, held to the rules, and working for a host."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gestalt_host.packages import read_manifest
from gestalt_host.packages.languages import source_command
from tests.support.commands import ROOT
from tests.support.nightly import NIGHTLY
from tests.support.rigs.gestaltd import Gestaltd
from tests.support.rigs.peers import host_of
from tests.support.rigs.toolchains import cached_environ, require
from tests.support.waiting import until

EXAMPLES = ROOT / "examples" / "providers"
OWN_TESTS = {
    "python": ((sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),),
    "go": (("go", "vet", "./..."), ("go", "test", "./...")),
}
VECTORS = sorted((ROOT / "gestalt_host/verification/suites/workflow/vectors").glob("*-vectors.jsonl"))
SOME = ("contract.md 1.2", "contract.md 2.4/sigterm", "contract.md 2.4/parent", "contract.md 3", "contract.md 2.5/dead")
"""Each rule is a process; all of them are tried at night."""
pytestmark = pytest.mark.timeout(900)  # without caches all that a provider depends on is built first
both = pytest.mark.parametrize("language", OWN_TESTS)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the examples in a folder of its own."""
    require("go")
    copy = tmp_path_factory.mktemp("examples") / "providers"
    shutil.copytree(EXAMPLES, copy, ignore=shutil.ignore_patterns("node_modules", "target", "__pycache__"))
    return copy


@pytest.fixture(scope="module")
def host(examples: Path) -> Iterator[Gestaltd]:
    """A host with a workflow provider in each language, each with a schedule of every minute and a trigger."""
    config = f"""
providers:
  indexeddb:
    main: {{source: {{builtin: indexeddb_store}}, config: {{dsn: "sqlite://{examples}/state.db"}}}}
  workflow:
    python:
      source: {{path: providers/workflow-python/manifest.yaml}}
      indexeddb: {{provider: main, db: wf_python}}
      default: true
    go:
      source: {{path: providers/workflow-go/manifest.yaml}}
      indexeddb: {{provider: main, db: wf_go}}
plugins:
  notes: {{source: {{path: providers/plugin-python/manifest.yaml}}}}
"""
    # Without caches this takes minutes, and the host is waited for no longer than one that has nothing to build.
    manifest = read_manifest(examples / "workflow-go" / "manifest.yaml")
    asyncio.run(source_command(manifest, "go", examples.parent / "built", cached_environ()))
    with host_of(examples.parent, config) as served:
        served.environment = {**served.environment, **_environ()}
        served.start()
        for language in OWN_TESTS:
            created(served, "schedules", language, {"cron": "* * * * *", "target": target(f"{language}-slot")})
            match = {"type": "notes.announced", "subject": language}
            created(served, "event-triggers", language, {"match": match, "target": target(f"{language}-event")})
        yield served


def _environ() -> dict[str, str]:
    return {name: value for name, value in cached_environ().items() if name.startswith(("GO", "XDG"))}


def target(id: str) -> dict[str, Any]:
    return {"plugin": {"name": "notes", "operation": "notes.put", "input": {"id": id, "text": "it ran"}}}


def created(host: Gestaltd, kind: str, language: str, body: dict[str, Any]) -> Any:
    answer = host.post(f"/workflow/{kind}", {"provider": language, **body})
    assert answer.status_code == 201, answer.text
    return answer.json()


def runs_of(host: Gestaltd, id: str) -> list[Any]:
    """Return the runs that have written this note, and have ended."""
    runs = host.get("/workflow/runs", plugin="notes")
    return [run for run in runs if run["target"]["plugin"]["input"]["id"] == id and "completedAt" in run]


@both
def test_an_events_trigger_runs_the_operation(language: str, host: Gestaltd) -> None:
    assert host.post("/notes/notes.put", {"id": language, "text": "news"}).is_success
    announced = host.post("/notes/notes.announce", {"id": language}).json()
    (run,) = until(lambda: runs_of(host, f"{language}-event"), within_s=60, what=lambda: host.log)
    assert (run["status"], run["provider"]) == ("succeeded", language)
    assert run["trigger"]["event"]["id"] == announced["eventId"]
    assert host.post("/notes/notes.get", {"id": f"{language}-event"}).json()["text"] == "it ran"


@both
def test_its_own_tests_pass(language: str, examples: Path) -> None:
    environ = {**cached_environ(), "PYTHONPATH": str(ROOT), "SLOT_VECTORS": os.pathsep.join(map(str, VECTORS))}
    for words in OWN_TESTS[language]:
        folder = examples / f"workflow-{language}"
        done = subprocess.run(words, cwd=folder, env=environ, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("language", [pytest.param("python", marks=pytest.mark.nightly), "go"])
def test_it_keeps_the_rules(language: str, examples: Path) -> None:
    rules = () if NIGHTLY else [word for rule in SOME for word in ("--rule", rule)]
    words = (str(examples / f"workflow-{language}"), "--format", "json", *rules)
    ended = subprocess.run(
        [sys.executable, "-m", "gestalt_host.daemon", "provider", "verify", *words],
        env={**cached_environ(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert ended.stdout, ended.stderr
    outcomes = json.loads(ended.stdout)["rules"]
    assert [rule for rule in outcomes if rule["outcome"] not in ("passed", "not offered")] == []
    assert ended.returncode == 0


@both
def test_a_schedule_fires(language: str, host: Gestaltd) -> None:
    """Comes last: its minute passes while the others run."""
    run = until(lambda: runs_of(host, f"{language}-slot"), within_s=90, what=lambda: host.log)[-1]
    assert (run["status"], run["provider"]) == ("succeeded", language)
    assert run["trigger"]["scheduledFor"].endswith(":00Z")
    assert host.post("/notes/notes.get", {"id": f"{language}-slot"}).json()["text"] == "it ran"
