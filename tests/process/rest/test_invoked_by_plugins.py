"""A plugin with a process that invokes operations of plugins without code, through the host, from a call and a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.rigs.gestaltd import Gestaltd
from tests.support.rigs.upstream import serving_plugins, upstream
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)
CALLER = """\
kind: plugin
source: example.org/tests/plugins/caller
version: 1.0.0
spec: {}
"""
PROGRAM = """\
from typing import Any

from gestalt_sdk.errors import ServiceRefused
from gestalt_sdk.plugin import Plugin, Request, operation


class Caller(Plugin):
    @operation("ask")
    async def ask(
        self, request: Request, operation: str, params: dict[str, Any], plugin: str = "pages", connection: str = ""
    ) -> dict[str, Any]:
        try:
            answer = await request.invoke(plugin, operation, params, connection=connection)
        except ServiceRefused as refused:
            return {"code": refused.code, "error": str(refused)}
        return {"status": answer.status, "body": answer.body}


provider = Caller
"""
PAGES = """\
kind: plugin
source: example.org/tests/plugins/pages
version: 1.0.0
spec:
  connections:
    open: {{mode: none}}
    robot: {{mode: platform, auth: {{type: bearer}}}}
    backstage: {{mode: platform, exposure: internal, auth: {{type: bearer}}}}
    mine: {{mode: user, auth: {{type: bearer}}}}
  defaultConnection: open
  surfaces:
    rest:
      baseUrl: http://127.0.0.1:{port}
      operations:
        - name: echo
          method: POST
          path: /echo/{{id}}
          parameters:
            - {{name: id, type: string, in: path, required: true}}
            - {{name: n, type: int, in: body}}
            - {{name: hidden, type: string, in: body, internal: true}}
        - {{name: robot, method: GET, path: /echo/robot, connection: robot}}
        - {{name: rejected, method: GET, path: /status/401, connection: robot}}
        - {{name: unasked, method: GET, path: /status/401}}
        - {{name: backstage, method: GET, path: /echo/b, connection: backstage}}
        - {{name: person, method: GET, path: /echo/p, connection: mine}}
        - {{name: text, method: GET, path: /text}}
        - {{name: empty, method: GET, path: /status/204}}
        - {{name: spaced, method: GET, path: /spaced-json}}
        - {{name: binary, method: GET, path: /binary}}
        - {{name: teapot, method: GET, path: /error/teapot}}
        - {{name: cut, method: GET, path: /cut/length}}
        - {{name: closed, method: GET, path: /cut/before}}
        - {{name: away, method: GET, path: /redirect/302/other}}
        - {{name: undeclared, method: GET, path: /text}}
"""
DECLARED = [
    "echo",
    "robot",
    "rejected",
    "unasked",
    "backstage",
    "person",
    "text",
    "empty",
    "spaced",
    "binary",
    "teapot",
    "cut",
    "closed",
    "away",
]
PLUGINS = f"""\
plugins:
  pages:
    source: {{path: ./pages/manifest.yaml}}
    connections:
      robot: {{mode: platform, auth: {{type: bearer, token: robot-token}}}}
      backstage: {{mode: platform, auth: {{type: bearer, token: backstage-token}}}}
  renamed:
    source: {{path: ./pages/manifest.yaml}}
    allowedOperations: {{text: {{alias: words}}}}
  caller:
    source: {{path: ./caller/manifest.yaml}}
    invokes: {json.dumps([{"plugin": "pages", "operation": name} for name in DECLARED])[:-1]}
      , {{"plugin": "renamed", "operation": "words"}}, {{"plugin": "renamed", "operation": "text"}}]
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gestaltd]:
    folder = tmp_path_factory.mktemp("invoked")
    with upstream() as port:
        (folder / "caller").mkdir()
        (folder / "caller" / "manifest.yaml").write_text(CALLER)
        (folder / "caller" / "pyproject.toml").write_text('[tool.gestalt]\nprovider = "caller_plugin:provider"\n')
        (folder / "caller" / "caller_plugin.py").write_text(PROGRAM)
        with serving_plugins(folder, PLUGINS, {"pages": PAGES.format(port=port)}, workflow=True) as served:
            until(lambda: served.get("/integrations/caller/operations"), within_s=60, what=lambda: served.log[-3000:])
            yield served


def ask(host: Gestaltd, operation: str, params: dict[str, Any] | None = None, **more: str) -> dict[str, Any]:
    answer = host.post("/caller/ask", {"operation": operation, "params": params or {}, **more})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_a_plugin_gets_what_the_service_answered(host: Gestaltd) -> None:
    seen = json.loads(ask(host, "echo", {"id": "a/b", "n": 1000000})["body"])
    assert (seen["path"], seen["json"], seen["headers"].get("authorization")) == ("/echo/a%2Fb", {"n": 1000000}, None)
    assert json.loads(ask(host, "robot")["body"])["headers"]["authorization"] == "Bearer robot-token"
    named = json.loads(ask(host, "echo", {"id": "1"}, connection="robot")["body"])
    assert named["headers"]["authorization"] == "Bearer robot-token"
    assert ask(host, "text") == {"status": 200, "body": "plain text, é and ☃\n"}
    assert ask(host, "empty") == {"status": 204, "body": ""}
    assert ask(host, "spaced")["body"] == ' {"b": 1,\n "a": 1.0, "big": 12345678901234567890}\n'
    assert ask(host, "teapot") == {"status": 418, "body": '{"teapot": true}'}
    assert ask(host, "unasked")["status"] == 401
    assert ask(host, "words", plugin="renamed")["status"] == 200


@pytest.mark.parametrize(
    ("operation", "params", "more", "code", "words"),
    [
        ("echo", {}, {}, "INVALID_ARGUMENT", "missing required path parameter: id"),
        ("echo", {"id": "1", "n": "x"}, {}, "INVALID_ARGUMENT", "input of pages.echo: n is a text; accepted is an int"),
        ("echo", {"id": "1", "hidden": "x"}, {}, "INVALID_ARGUMENT", 'parameter "hidden" is not public'),
        ("robot", {}, {"connection": "open"}, "INVALID_ARGUMENT", 'uses connection "robot"'),
        ("echo", {"id": "1"}, {"connection": "nope"}, "FAILED_PRECONDITION", "no external credential"),
        ("backstage", {}, {}, "PERMISSION_DENIED", "pages.backstage uses an internal connection"),
        ("person", {}, {}, "FAILED_PRECONDITION", "no external credential"),
        ("rejected", {}, {}, "FAILED_PRECONDITION", 'stored credential for integration "pages" was rejected'),
        ("binary", {}, {}, "FAILED_PRECONDITION", "its 256 bytes (application/octet-stream) are no UTF-8 text"),
        ("cut", {}, {}, "UNKNOWN", "failed to read upstream response: GET http://127.0.0.1:"),
        ("closed", {}, {}, "UNKNOWN", "failed to reach upstream service: GET http://127.0.0.1:"),
        ("away", {}, {}, "FAILED_PRECONDITION", "127.0.0.2 is a private address"),
        ("text", {}, {"plugin": "renamed"}, "NOT_FOUND", 'operation "text" not found on integration "renamed"'),
        ("undeclared", {}, {}, "PERMISSION_DENIED", 'plugin "caller" may not invoke pages.undeclared'),
    ],
)
def test_a_plugin_is_told_why_there_is_no_answer(
    host: Gestaltd, operation: str, params: dict[str, Any], more: dict[str, str], code: str, words: str
) -> None:
    told = ask(host, operation, params, **more)
    assert (told.get("code"), words in told.get("error", "")) == (code, True), told
    assert "token" not in told["error"]


def test_a_run_of_the_plugin_invokes_them_too(host: Gestaltd) -> None:
    target = {"plugin": {"name": "caller", "operation": "ask", "input": {"operation": "robot", "params": {}}}}
    made = host.post("/workflow/event-triggers", {"match": {"type": "go"}, "target": target})
    assert made.status_code == 201, made.text
    assert host.post("/workflow/events", {"type": "go", "source": "test"}).status_code == 202

    def ended() -> dict[str, Any] | None:
        (run,) = host.get("/workflow/runs") or [{}]
        return run if "completedAt" in run else None

    run = until(ended, within_s=60, what=lambda: f"the run has ended:\n{host.log[-3000:]}")
    assert run is not None
    answer = json.loads(host.get(f"/workflow/runs/{run['id']}")["resultBody"])
    assert json.loads(answer["body"])["headers"]["authorization"] == "Bearer robot-token"
