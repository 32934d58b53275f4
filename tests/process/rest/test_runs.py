"""What a run of an operation without code keeps of the answer: its body where it is text, and words where it is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.rigs.gestaltd import Gestaltd
from tests.support.rigs.upstream import serving_plugins, upstream
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Target:
    """An operation that an event starts, and what the run ends with.

    Attributes:
        body: ``resultBody``; None: there is none.
        says: Words of ``statusMessage``.
    """

    page: str
    status: str
    body: str | None
    says: tuple[str, ...] = ()
    method: str = "GET"


TARGETS = {
    "text": Target("/text", "succeeded", "plain text, é and ☃\n"),
    "bad-json": Target("/bad-json", "succeeded", '{"a": '),
    "empty": Target("/empty", "succeeded", None),
    "moved": Target("/redirect/302/gone", "failed", '{"method": "GET", "status": 404}', ("404",)),
    "teapot": Target("/error/teapot", "failed", '{"teapot": true}', ("418",)),
    "words": Target("/error/text", "failed", "bad in words\n", ("400",)),
    "login": Target("/error/login", "failed", "who are you", ("401",)),
    "busy": Target("/count/busy/503", "failed", '{"hits": 1}', ("503",), method="POST"),
    "binary": Target("/binary", "failed", None, ("text",)),
    "latin": Target("/latin", "failed", None, ("text",)),
    "large": Target(f"/large/{5 << 20}", "failed", None, ("5242880", "4 MiB")),
    "cut": Target("/cut/length", "failed", None, ("failed to read upstream response: GET http://127.0.0.1:",)),
    "closed": Target("/cut/before", "failed", None, ("failed to reach upstream service: GET http://127.0.0.1:",)),
    "loop": Target("/redirect/302/loop", "failed", None, ("failed to reach upstream service: GET http://127.0.0.1:",)),
}
MANIFEST = """\
kind: plugin
source: example.org/tests/plugins/pages
version: 1.0.0
spec: {{surfaces: {{rest: {{baseUrl: "http://127.0.0.1:{port}", operations: {operations}}}}}}}
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """The run of each target, ended, by its name."""
    with upstream() as port:
        operations = [{"name": name, "method": item.method, "path": item.page} for name, item in TARGETS.items()]
        manifest = MANIFEST.format(port=port, operations=json.dumps(operations))
        triggers = {
            name: {"match": {"type": "go"}, "target": {"plugin": {"name": "pages", "operation": name}}}
            for name in TARGETS
        }
        plugins = "plugins: {pages: {source: {path: ./pages/manifest.yaml}}}\n"
        plugins += f"workflows: {{eventTriggers: {json.dumps(triggers)}}}\n"
        with serving_plugins(tmp_path_factory.mktemp("runs"), plugins, {"pages": manifest}, workflow=True) as host:
            yield ended_runs(host)


def ended_runs(host: Gestaltd) -> dict[str, dict[str, Any]]:
    answer = host.post("/workflow/events", {"type": "go", "source": "test"})
    assert answer.status_code == 202, answer.text

    def ended() -> dict[str, dict[str, Any]] | None:
        found = host.get("/workflow/runs", owner="config")
        done = {run["target"]["plugin"]["operation"]: run for run in found if "completedAt" in run}
        return done if done.keys() == TARGETS.keys() else None

    found = until(
        ended,
        within_s=120,
        what=lambda: f"all runs have ended:\n{host.get('/workflow/runs', owner='config')}\n{host.log[-3000:]}",
    )
    assert found is not None
    return {name: host.get(f"/workflow/runs/{run['id']}", owner="config") for name, run in found.items()}


@pytest.mark.parametrize("name", TARGETS)
def test_a_run_keeps_what_was_answered(runs: dict[str, dict[str, Any]], name: str) -> None:
    run, target = runs[name], TARGETS[name]
    assert run["status"] == target.status, run
    assert run.get("resultBody") == target.body
    message = run.get("statusMessage", "")
    assert all(words in message for words in target.says), message
    assert "Traceback" not in message
