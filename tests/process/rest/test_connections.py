"""Credentials, selectors, base URLs, egress and aliases of the recorded plugins, and what becomes of their runs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.rigs.gestaltd import Gestaltd
from tests.support.rigs.rest import recorded_plugins
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)
BASIC = f"Basic {base64.b64encode(b'robot:p:w').decode()}"
ROBOT, SOUTH = "Bearer robot-token", "Bearer south-token"
OPEN = "Static {tenant}"
"""What the manifest of ``keys`` sends where no connection puts its credential in the place of it."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gestaltd]:
    with recorded_plugins(tmp_path_factory.mktemp("recorded")) as served:
        yield served


def call(host: Gestaltd, path: str, params: dict[str, Any] | None = None, **query: str) -> httpx.Response:
    return httpx.post(f"{host.url}/api/v1/{path}", params=query, json=params or {}, timeout=60)


@pytest.mark.parametrize(
    ("path", "headers", "where"),
    [
        ("moved/look", {}, ("other", "/moved//echo/look")),
        ("bearer/look", {"authorization": ROBOT}, ("main", "/base//echo/look")),
        ("apikey/look", {"x-api-key": "k-1", "x-org": "7"}, ("main", "/base//echo/look")),
        ("basic/look", {"authorization": BASIC}, ("main", "/base//echo/look")),
        ("rawkey/look", {"authorization": "Bearer raw-token"}, ("main", "/base//echo/look")),
        ("fenced-in/look", {}, ("main", "/base//echo/look")),
        (
            "mapped/look",
            {"authorization": BASIC, "x-api-key": "k-1", "x-org": "7", "x-other": "other"},
            ("main", "/echo/look"),
        ),
    ],
)
def test_the_credential_of_the_connection_is_sent(
    host: Gestaltd, path: str, headers: dict[str, str], where: tuple[str, str]
) -> None:
    seen = call(host, path).json()
    assert (seen["headers"], (seen["host"], seen["path"])) == (headers, where)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("person/look", 412, "no external credential stored for integration"),
        ("mapped-person/look", 412, "no external credential stored for integration"),
        ("fenced/look", 502, "127.0.0.1 is not among egress.allowedHosts of the plugin"),
        ("dead/look", 502, "failed to reach upstream service: GET http://127.0.0.1:1/echo/look: "),
        ("dead/no-slash", 502, 'operation failed: GET echo: path "echo" would become part of the host'),
        ("keys/hidden", 403, "authorization denied: keys.hidden uses an internal connection"),
        ("keys/chosen-default", 400, "missing required path parameter: as"),
        ("narrow/items.create", 404, 'operation "items.create" not found on integration "narrow"'),
        ("narrow/plain-post", 404, 'operation "plain-post" not found on integration "narrow"'),
        ("narrow/send", 404, 'operation "send" not found on integration "narrow"'),
        ("small/look", 404, 'integration "small" not found'),
    ],
)
def test_what_cannot_be_called_says_why(host: Gestaltd, path: str, status: int, words: str) -> None:
    answer = call(host, path)
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


@pytest.mark.parametrize(
    ("operation", "params", "connection", "credential", "path"),
    [
        ("free", {}, "", OPEN, "/echo/%7Bregion%7D/free"),
        ("free", {}, "token", ROBOT, "/echo/%7Bregion%7D/free"),
        ("free", {}, "south", SOUTH, "/echo/south/free"),
        ("pinned", {}, "", ROBOT, "/echo/%7Bregion%7D/pinned"),
        ("pinned", {}, "token", ROBOT, "/echo/%7Bregion%7D/pinned"),
        ("regional", {}, "", SOUTH, "/echo/south/regional"),
        ("chosen", {}, "", OPEN, "/echo/%7Bregion%7D/chosen"),
        ("chosen", {"as": "nobody"}, "", OPEN, "/echo/%7Bregion%7D/chosen"),
        ("chosen", {"as": "robot"}, "", ROBOT, "/echo/%7Bregion%7D/chosen"),
        ("chosen", {"as": " robot "}, "token", ROBOT, "/echo/%7Bregion%7D/chosen"),
        ("chosen-default", {"as": "nobody"}, "", OPEN, "/echo/%7Bregion%7D/chosen/nobody"),
        ("chosen-default", {"as": "7"}, "", SOUTH, "/echo/south/chosen/7"),
        ("chosen-default", {"as": 7}, "", SOUTH, "/echo/south/chosen/7"),
        ("chosen-internal", {}, "", ROBOT, "/echo/%7Bregion%7D/chosen"),
    ],
)
def test_an_operation_uses_the_connection_that_it_is_bound_to_or_asked_for(
    host: Gestaltd, operation: str, params: dict[str, Any], connection: str, credential: str, path: str
) -> None:
    asked = {"_connection": connection} if connection else {}
    seen = call(host, f"keys/{operation}", params, **asked).json()
    assert (seen["headers"]["authorization"], seen["path"]) == (credential, path)
    tenant = "<acme> of south" if credential == SOUTH else "<{tenant}> of {region}"
    assert seen["headers"]["x-tenant"] == tenant


@pytest.mark.parametrize(
    ("operation", "params", "connection", "status", "words"),
    [
        ("pinned", {}, "open", 400, 'uses connection "token"'),
        ("chosen", {"as": "robot"}, "south", 400, 'uses connection "token"'),
        ("chosen", {"as": "who"}, "", 400, '"who" is none of "nobody", "robot"'),
        ("chosen-default", {"as": "x" * 5000}, "", 400, 'is none of "7", "nobody", "robot"'),
        ("chosen-internal", {"as": "nobody"}, "", 400, 'parameter "as" is not public'),
        ("free", {}, "backstage", 403, 'connection "backstage" is internal'),
        ("free", {}, "nope", 412, 'deployment/admin configuration is required for integration "keys"'),
    ],
)
def test_another_connection_than_that_is_refused(
    host: Gestaltd, operation: str, params: dict[str, Any], connection: str, status: int, words: str
) -> None:
    answer = call(host, f"keys/{operation}", params, **({"_connection": connection} if connection else {}))
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text
    assert len(answer.text) < 1000


def test_an_alias_is_what_callers_and_the_configuration_use(host: Gestaltd) -> None:
    assert call(host, "narrow/add", {"title": "x"}).json()["json"] == {"title": "x"}
    assert call(host, "narrow/plain-get").json()["method"] == "POST"
    assert call(host, "narrow/items.get", {"id": "1"}).json()["path"] == "/base/echo/items/1"
    assert [item["name"] for item in host.get("/integrations") if item["name"] == "narrow"] == ["narrow"]


def ended(host: Gestaltd, event_type: str, count: int, owner: str) -> dict[str, dict[str, Any]]:
    """Return the runs that events of the type have started, ended, by plugin and operation."""

    def runs() -> dict[str, dict[str, Any]] | None:
        found = [run for run in host.get("/workflow/runs", owner=owner) if "completedAt" in run]
        mine = [run for run in found if run["trigger"].get("event", {}).get("type") == event_type]
        named = {f"{run['target']['plugin']['name']}.{run['target']['plugin']['operation']}": run for run in mine}
        return named if len(named) == count else None

    found = until(runs, within_s=60, what=lambda: f"{count} runs:\n{host.log[-3000:]}")
    assert found is not None
    return {name: host.get(f"/workflow/runs/{run['id']}", owner=owner) for name, run in found.items()}


def test_triggers_of_the_configuration_run_with_the_deployments_credentials(host: Gestaltd) -> None:
    assert host.post("/workflow/events", {"type": "item.sold", "source": "till"}).status_code == 202
    runs = ended(host, "item.sold", 2, "config")
    assert {run["status"] for run in runs.values()} == {"succeeded"}
    assert json.loads(runs["narrow.add"]["resultBody"])["json"] == {"title": "sold", "lines": [1, {"a": "b"}]}
    assert json.loads(runs["keys.pinned"]["resultBody"])["headers"]["authorization"] == ROBOT


FAILING = {
    "keys.hidden": "keys.hidden uses an internal connection",
    "fenced.look": "is not among egress.allowedHosts of the plugin",
    "dead.look": "failed to reach upstream service: GET http://127.0.0.1:1/echo/look: ",
    "dead.no-slash": 'operation failed: GET echo: path "echo" would become part of the host',
}


CODES = {"keys.hidden": "PermissionDenied", "dead.look": "Unknown"}


def test_a_users_runs_fail_with_the_words_that_a_caller_gets(host: Gestaltd) -> None:
    for name in FAILING:
        plugin, _, operation = name.partition(".")
        target = {"plugin": {"name": plugin, "operation": operation}}
        made = host.post("/workflow/event-triggers", {"match": {"type": "go.wrong"}, "target": target})
        assert made.status_code == 201, made.text
    assert host.post("/workflow/events", {"type": "go.wrong", "source": "test"}).status_code == 202
    runs = ended(host, "go.wrong", len(FAILING), "all")
    for name, words in FAILING.items():
        assert runs[name]["status"] == "failed", runs[name]
        assert words in runs[name]["statusMessage"]
        assert f"rpc error: code = {CODES.get(name, 'FailedPrecondition')} desc = " in runs[name]["statusMessage"]
        assert "resultBody" not in runs[name]


@pytest.mark.parametrize(
    ("target", "status", "words"),
    [
        ({"name": "person", "operation": "look"}, 412, "no external credential stored"),
        ({"name": "shop", "operation": "items.get"}, 400, "input of shop.items.get: id is missing"),
        ({"name": "shop", "operation": "items.get", "input": {"id": "1", "hidden": "x"}}, 400, "hidden is not public"),
        (
            {"name": "shop", "operation": "items.create", "input": {"title": 7}},
            400,
            "input of shop.items.create: title",
        ),
        ({"name": "keys", "operation": "chosen", "input": {"as": "who"}}, 400, '"who" is none of "nobody", "robot"'),
        ({"name": "keys", "operation": "pinned", "connection": "open"}, 400, 'uses connection "token"'),
        (
            {"name": "keys", "operation": "free", "connection": "backstage"},
            403,
            'authorization denied: integration "keys" connection "backstage" is internal',
        ),
        (
            {"name": "keys", "operation": "free", "connection": "nope"},
            412,
            "deployment/admin configuration is required",
        ),
        ({"name": "narrow", "operation": "items.create"}, 404, 'operation "items.create" not found'),
    ],
)
def test_a_target_that_cannot_run_is_refused_when_it_is_written(
    host: Gestaltd, target: dict[str, Any], status: int, words: str
) -> None:
    for path, body in (
        ("/workflow/schedules", {"cron": "0 3 1 1 *"}),
        ("/workflow/event-triggers", {"match": {"type": "never"}}),
    ):
        answer = host.post(path, {**body, "target": {"plugin": target}})
        assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


def test_no_credential_is_in_the_log(host: Gestaltd) -> None:
    for path in ("bearer/look", "apikey/look", "basic/look", "rawkey/look", "keys/regional", "mapped/look"):
        call(host, path)
    for secret in ("robot-token", "k-1", "p:w", BASIC, "raw-token", "south-token"):
        assert secret not in host.log
    assert "Traceback" not in host.log
