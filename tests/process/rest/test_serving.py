"""Plugins without a process in a real host: served, listed, run as configured; failed ones among them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gestalt_host.supervisor.about import read_abouts
from gestalt_host.supervisor.directories import base_directories, directories_in
from tests.support.commands import ROOT
from tests.support.rigs.gestaltd import Gestaltd
from tests.support.rigs.upstream import serving_plugins, upstream
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)

MANIFEST = """\
kind: plugin
source: example.org/tests/plugins/items
version: 1.0.0
displayName: Items
spec:
  connections:
    token: {mode: platform, auth: {type: bearer}}
    backstage: {mode: platform, exposure: internal, auth: {type: bearer}}
  defaultConnection: plugin
  surfaces:
    rest:
      baseUrl: http://127.0.0.1:%(port)d/echo
      operations:
        - name: create
          description: A new item
          method: POST
          path: /items/{shelf}
          connection: token
          parameters:
            - {name: shelf, type: string, in: path, required: true, description: Where it goes}
            - {name: count, type: int, in: body}
        - {name: hidden, method: POST, path: /hidden, connection: backstage}
        - name: chosen
          method: POST
          path: /chosen
          connectionSelector: {parameter: as, values: {robot: token, nobody: plugin}}
          parameters: [{name: as, type: string, in: query}]
"""
BASELESS = """\
kind: plugin
source: example.org/tests/plugins/baseless
version: 1.0.0
spec: {surfaces: {rest: {operations: [{name: look, method: GET, path: /}]}}}
"""
PLUGINS = f"""\
plugins:
  items:
    source: {{path: ./items/manifest.yaml}}
    connections: &connections
      token: {{mode: platform, auth: {{type: bearer, token: robot-token}}}}
      backstage: {{mode: platform, auth: {{type: bearer, token: backstage-token}}}}
  narrow:
    source: {{path: ./items/manifest.yaml}}
    connections: *connections
    allowedOperations: {{create: {{alias: add}}}}
  baseless: {{source: {{path: ./baseless/manifest.yaml}}}}
  kept:
    source: {{path: {ROOT}/tests/support/plugins/rig/manifest.yaml}}
    egress: {{allowedHosts: [example.org]}}
workflows:
  schedules:
    nightly:
      cron: "0 3 1 1 *"
      target: {{plugin: {{name: narrow, operation: add, input: {{shelf: a, count: 1}}}}}}
  eventTriggers:
    alias:
      match: {{type: go}}
      target: {{plugin: {{name: narrow, operation: add, input: {{shelf: "a/b", count: 2}}}}}}
    internal:
      match: {{type: go}}
      target: {{plugin: {{name: items, operation: hidden}}}}
    chosen:
      match: {{type: go}}
      target: {{plugin: {{name: items, operation: chosen, input: {{as: robot}}}}}}
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gestaltd]:
    folder = tmp_path_factory.mktemp("rest")
    with upstream() as port:
        manifests = {"items": MANIFEST % {"port": port}, "baseless": BASELESS}
        with serving_plugins(folder, PLUGINS, manifests, workflow=True) as served:
            yield served


def gestalt(host: Gestaltd, *words: str) -> str:
    program = Path(sys.executable).with_name("gestalt")
    done = subprocess.run([program, "--url", host.url, *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_is_no_process(host: Gestaltd) -> None:
    names = {child.name for child in host.children() if child.is_provider}
    assert names == {"main", "local"}


def test_no_part_of_a_store_is_opened_for_it(host: Gestaltd) -> None:
    abouts = [about for about in read_abouts(directories_in(base_directories())) if about.host.pid == host.pid]
    users = {user for about in abouts for socket in about.sockets for user in socket.used_by}
    assert "workflow/local" in users
    assert not users & {"plugin/items", "plugin/narrow"}


def test_an_operation_is_called(host: Gestaltd) -> None:
    answer = host.post("/items/create", {"shelf": "a", "count": 3})
    assert answer.status_code == 200, answer.text
    sent = answer.json()
    assert (sent["method"], sent["path"], sent["json"]) == ("POST", "/echo/items/a", {"count": 3})
    assert sent["headers"]["authorization"] == "Bearer robot-token"


@pytest.mark.parametrize(
    ("operation", "params", "status", "said"),
    [
        ("create", {"count": 3}, 400, "shelf"),
        ("create", {"shelf": "a", "count": "many"}, 400, "count"),
        ("create", {"shelf": "a", "_connection": "backstage"}, 400, 'uses connection "token"'),
        ("hidden", {}, 403, "items.hidden uses an internal connection"),
        ("chosen", {"as": "else"}, 400, '"else" is none of "nobody", "robot"'),
        ("nope", {}, 404, "nope"),
    ],
)
def test_a_call_that_is_refused(
    host: Gestaltd, operation: str, params: dict[str, object], status: int, said: str
) -> None:
    answer = host.post(f"/items/{operation}", params)
    assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text


def test_runs_of_the_configuration(host: Gestaltd) -> None:
    """An operation by its alias, one on an internal connection, and one whose connection its input chooses."""
    assert host.post("/workflow/events", {"type": "go", "source": "test"}).status_code == 202

    def ended() -> dict[str, dict[str, Any]] | None:
        listed = [run["id"] for run in host.get("/workflow/runs", owner="config") if "completedAt" in run]
        runs = [host.get(f"/workflow/runs/{run}", owner="config") for run in listed]
        found = {run["target"]["plugin"]["operation"]: run for run in runs}
        return found if found.keys() == {"add", "hidden", "chosen"} else None

    runs = until(ended, within_s=60, what=lambda: f"all runs have ended:\n{host.log[-3000:]}")
    assert runs is not None
    sent = {name: json.loads(run["resultBody"]) for name, run in runs.items()}
    assert {name: body["headers"]["authorization"] for name, body in sent.items()} == {
        "add": "Bearer robot-token",
        "hidden": "Bearer backstage-token",
        "chosen": "Bearer robot-token",
    }
    assert (sent["add"]["path"], sent["add"]["json"]) == ("/echo/items/a%2Fb", {"count": 2})


@pytest.mark.parametrize(
    ("given", "said"),
    [({"count": 1}, "shelf"), ({"shelf": "a", "count": "many"}, "count"), ({"shelf": None}, "shelf")],
)
def test_a_schedule_with_an_input_that_cannot_be_sent_is_refused(
    host: Gestaltd, given: dict[str, object], said: str
) -> None:
    body = {"cron": "0 3 1 1 *", "target": {"plugin": {"name": "narrow", "operation": "add", "input": given}}}
    answer = host.post("/workflow/schedules", body)
    assert (answer.status_code, f"input of narrow.add: {said} " in answer.json()["error"]) == (400, True), answer.text


def test_what_cannot_be_served_is_a_failed_plugin(host: Gestaltd) -> None:
    integrations = {item["name"]: item for item in host.get("/integrations")}
    reasons = {name: item["statusReason"] for name, item in integrations.items() if "statusReason" in item}
    assert reasons == {
        "baseless": "it could not be started: it has no base URL",
        "kept": "it could not be started: it is a process, which cannot be kept to a list of hosts",
    }
    assert host.post("/baseless/look", {}).status_code == 503
    assert "gestalt.yaml:" in host.log
    assert "plugins.kept.egress.allowedHosts: cannot be held" in host.log


def test_the_command_line_lists_and_describes_them(host: Gestaltd) -> None:
    listed = gestalt(host, "plugin", "list")
    assert all(name in listed for name in ("items", "narrow", "baseless", "kept"))
    described = gestalt(host, "plugin", "describe", "items", "create")
    assert all(words in described for words in ("POST", "A new item", "shelf", "path", "yes")), described
