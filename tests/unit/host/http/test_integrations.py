"""Plugins over HTTP: the list, the operations, and invoking one (http-api.md 6, 7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Literal

import httpx
import pytest
from structlog.testing import capture_logs

from gestalt_host import errors
from gestalt_host.access.credentials.connections import Connection
from gestalt_host.config.model import Policy
from gestalt_host.http.app import create_app
from gestalt_host.invocation.model import ConfiguredPlugin, OperationResult, Session
from gestalt_host.packages.catalogue import CatalogueOperation, CatalogueParameter, PluginCatalogue
from tests.support.fakes.host import USER, FakeHost, FakeRunner, fake_host
from tests.support.rigs.host import limited

LEDGER = ConfiguredPlugin(
    name="ledger",
    runner=FakeRunner("ledger"),
    display_name="Ledger",
    catalogue=PluginCatalogue("ledger", icon_svg="<svg/>"),
    operations={
        "query": CatalogueOperation(
            "query",
            "GET",
            "/entries",
            input_schema={
                "type": "object",
                "properties": {
                    "since": {"type": ["null", "string"], "description": "From when"},
                    "limit": {"type": "integer", "default": 10},
                    "tags": {"items": {"type": "string"}},
                },
                "required": ["since"],
            },
            tags=("read",),
            read_only=True,
            visible=True,
        ),
        "close.day": CatalogueOperation(
            "close.day",
            "DELETE",
            title="Close",
            description="Closes a day",
            parameters=(
                CatalogueParameter("day", required=True, description="Which"),
                CatalogueParameter("trace", internal=True),
            ),
            allowed_roles=("admin",),
        ),
        "put": CatalogueOperation("put", "PUT", annotations={"openWorldHint": False}),
        "hidden": CatalogueOperation("hidden", "POST", visible=False),
        "relay": CatalogueOperation("relay", "POST", transport="mcp"),
        "inner": CatalogueOperation("inner", "POST"),
    },
    operation_connections={"inner": "backstage"},
    connections={
        "_plugin": Connection("_plugin"),
        "backstage": Connection("backstage", internal=True),
        "own": Connection("own", "user", display_name="Own account"),
        "shared": Connection("shared", "platform", token="secret-token"),
    },
)
QUIET = ConfiguredPlugin(
    name="quiet", runner=FakeRunner("quiet"), operations={"x": CatalogueOperation("x", visible=False)}
)


@pytest.fixture
async def host() -> AsyncIterator[FakeHost]:
    found = fake_host(LEDGER, QUIET)
    LEDGER.runner.seen.clear()  # type: ignore[attr-defined]
    LEDGER.runner.result = None  # type: ignore[attr-defined]
    yield found
    await found.manager.close()


@pytest.fixture
async def api(host: FakeHost) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(host.services()))
    async with httpx.AsyncClient(transport=transport, base_url="http://gestalt.test/api/v1") as client:
        yield client


async def test_plugins_that_have_something_to_use_are_listed_by_name(api: httpx.AsyncClient) -> None:
    found = (await api.get("/integrations")).json()
    assert [item["name"] for item in found] == ["ledger", "roadmap", "search", "slack"]
    assert found[1] == {
        "name": "roadmap",
        "displayName": "Rig plugin",
        "description": "A measuring plugin",
        "connections": [
            {
                "displayName": name,
                "name": name,
                "mode": "none",
                "authTypes": [],
                "credentialFields": [],
                "status": "ready",
                "credentialState": "not_required",
                "healthState": "not_applicable",
                "actions": [],
                "credentialMode": "none",
                "ownerKind": "none",
                "instances": [],
            }
            for name in ("alerts", "default")
        ],
        "status": "ready",
        "credentialState": "not_required",
        "healthState": "not_applicable",
        "actions": [],
    }


async def test_plugins_without_operations_are_listed_when_they_failed_or_offer_some_to_a_session() -> None:
    empty = ConfiguredPlugin("empty", FakeRunner("empty"), {})
    failed = replace(empty, name="failed", absence=lambda: "it could not be started: its process ended")
    host = fake_host(empty, failed, replace(empty, name="personal", sessions=FakeSessions()))
    transport = httpx.ASGITransport(create_app(host.services()))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1/api/v1") as api:
        listed = {item["name"]: item for item in (await api.get("/integrations")).json()}
    assert "empty" not in listed
    assert listed["personal"]["status"] == "ready"
    assert listed["failed"]["statusReason"] == "it could not be started: its process ended"
    await host.manager.close()


async def test_connections_with_credentials_show_what_they_lack_and_never_what_they_hold(
    api: httpx.AsyncClient,
) -> None:
    answer = await api.get("/integrations")
    assert "secret-token" not in answer.text
    ledger = answer.json()[0]
    assert ledger["iconSvg"] == "<svg/>"
    assert (ledger["status"], ledger["actions"]) == ("needs_user_connection", ["connect"])
    own = ledger["connections"][0]
    assert (own["authTypes"], own["actions"], own["healthState"]) == (["manual"], ["connect"], "not_applicable")
    assert own["credentialFields"] == [{"name": "credential", "label": "Credential"}]
    states = {
        item["name"]: (item["status"], item["credentialState"], item["ownerKind"]) for item in ledger["connections"]
    }
    assert states == {
        "own": ("needs_user_connection", "missing", "current_user"),
        "shared": ("ready", "configured", "platform"),
    }


async def test_operations_are_listed_with_what_can_be_derived(api: httpx.AsyncClient) -> None:
    answer = await api.get("/integrations/ledger/operations?_connection=anything&other=1")
    assert [item["id"] for item in answer.json()] == ["close.day", "put", "query"]
    close, put, query = answer.json()
    assert close == {
        "id": "close.day",
        "method": "DELETE",
        "path": "",
        "title": "Close",
        "description": "Closes a day",
        "inputSchema": {
            "type": "object",
            "properties": {"day": {"type": "string", "description": "Which"}},
            "required": ["day"],
        },
        "annotations": {"destructiveHint": True, "openWorldHint": True},
        "allowedRoles": ["admin"],
        "parameters": [{"name": "day", "type": "string", "description": "Which", "required": True}],
        "transport": "plugin",
    }
    assert put == {
        "id": "put",
        "method": "PUT",
        "path": "",
        "annotations": {"openWorldHint": False},
        "transport": "plugin",
    }
    assert query["parameters"] == [
        {"name": "limit", "type": "integer", "default": 10},
        {"name": "since", "type": "string", "description": "From when", "required": True},
        {"name": "tags", "type": "array"},
    ]
    assert (query["readOnly"], query["visible"], query["tags"]) == (True, True, ["read"])
    assert query["annotations"] == {"readOnlyHint": True, "openWorldHint": True}


@pytest.mark.parametrize(
    ("default", "members", "shown"),
    [
        ("allow", {}, ["everyone", "open"]),
        ("allow", {USER.subject_id: "editor"}, ["editors", "everyone", "open"]),
        ("deny", {USER.subject_id: "editor"}, ["editors", "everyone"]),
        ("deny", {USER.subject_id: "admin"}, ["admins", "editors", "everyone"]),
    ],
)
async def test_of_the_operations_those_are_listed_that_the_role_may_call(
    default: Literal["allow", "deny"], members: dict[str, str], shown: list[str]
) -> None:
    rows = (
        CatalogueOperation("open"),
        CatalogueOperation("everyone", allowed_roles=("viewer", "editor", "admin")),
        CatalogueOperation("editors", allowed_roles=("editor", "admin")),
        CatalogueOperation("admins", allowed_roles=("admin",)),
    )
    plugin = ConfiguredPlugin("guarded", FakeRunner("guarded"), operations={row.id: row for row in rows})
    host = fake_host(plugin, policies={"guarded": Policy("guarded", default, members)})
    host.caller = limited(USER, guarded=["everyone"])
    transport = httpx.ASGITransport(create_app(host.services()))
    async with httpx.AsyncClient(transport=transport, base_url="http://gestalt.test/api/v1") as api:
        listed = [item["id"] for item in (await api.get("/integrations/guarded/operations")).json()]
    await host.manager.close()
    assert listed == shown


class FakeSessions:
    """Offers ``mine`` and the read-only ``look``, or fails."""

    offers_session_catalogue = True

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.asked: list[str] = []

    async def started(self) -> None:
        pass

    async def session_catalogue(self, session: Session) -> dict[str, CatalogueOperation]:
        self.asked.append(session.credential.connection)
        if self.failure is not None:
            raise self.failure
        rows = (CatalogueOperation("mine", "POST"), CatalogueOperation("look", "GET", read_only=True))
        return {row.id: row for row in rows}


async def test_operations_of_a_session_are_listed_and_run_and_what_fails_is_said() -> None:
    sessions = FakeSessions()
    connections = {name: Connection(name, mode) for name, mode in (("default", "none"), ("own", "user"))}
    plugin = ConfiguredPlugin(
        "personal",
        FakeRunner("personal"),
        {"open": CatalogueOperation("open", "POST")},
        connections=connections,
        default_connection="default",
        sessions=sessions,
    )
    host = fake_host(plugin)
    transport = httpx.ASGITransport(create_app(host.services()))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1/api/v1") as api:
        listed = await api.get("/integrations/personal/operations?_connection=default")
        assert [item["id"] for item in listed.json()] == ["look", "mine", "open"]
        assert (await api.post("/personal/mine", json={})).status_code == 200
        assert sessions.asked == ["default", "default"]
        browser = {"sec-fetch-mode": "no-cors", "sec-fetch-site": "none"}
        assert (await api.get("/personal/look", headers=browser)).status_code == 200
        assert (await api.get("/personal/mine", headers=browser)).status_code == 403
        for path in ("/integrations/personal/operations", "/personal/mine"):
            answer = await api.get(f"{path}?_connection=own")
            assert (answer.status_code, answer.json()["code"]) == (412, "not_connected")
        sessions.failure = errors.SessionCatalogueFailed("personal", "it answered UNKNOWN")
        for path in ("/integrations/personal/operations", "/personal/mine"):
            answer = await api.get(path)
            text = 'session catalogue of integration "personal" cannot be used: it answered UNKNOWN'
            assert (answer.status_code, answer.json()) == (502, {"error": text})
        assert (await api.post("/personal/open", json={})).status_code == 200
    await host.manager.close()


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/integrations/nope/operations", 404, 'integration "nope" not found'),
        ("GET", "/integrations/ledger/operations?_connection=a/b", 400, "connection name contains invalid characters"),
        ("GET", "/integrations/ledger/operations?_instance=a/b", 400, "instance name contains invalid characters"),
        ("GET", "/nope/x", 404, 'integration "nope" not found'),
        ("POST", "/nope/x", 404, 'integration "nope" not found'),
        ("GET", "/ledger/nope", 404, 'operation "nope" not found on integration "ledger"'),
        ("GET", "/ledger/hidden", 404, 'operation "hidden" not found on integration "ledger"'),
        ("GET", "/ledger/query?_connection=a%20b", 400, "connection name contains invalid characters"),
        ("GET", "/ledger/close.day?trace=1", 400, 'invalid invocation: parameter "trace" is not public'),
        ("GET", "/ledger/inner", 403, "authorization denied: ledger.inner uses an internal connection"),
        ("DELETE", "/integrations/nope", 404, 'integration "nope" not found'),
        ("DELETE", "/integrations/slack", 404, 'no connection found for integration "slack"'),
        ("DELETE", "/integrations/slack?x=1", 400, 'unsupported query parameter "x"'),
    ],
)
async def test_refused_with_the_contracts_text(
    method: str, path: str, status: int, text: str, api: httpx.AsyncClient
) -> None:
    answer = await api.request(method, path)
    assert (answer.status_code, answer.json()) == (status, {"error": text})


@pytest.mark.parametrize(
    ("query", "body", "status", "text"),
    [
        ("", b"", 400, "invalid JSON body: it is empty; a JSON object is accepted"),
        ("", b"[]", 400, "invalid JSON body: must be an object, not a list"),
        ("", b'{"_instance":"a/b"}', 400, "instance name contains invalid characters"),
        (
            "?_instance=a",
            b'{"_instance":"b"}',
            400,
            'conflicting instance parameter "_instance" in query string and JSON body',
        ),
        (
            "?_connection=a",
            b'{"_connection":"b"}',
            400,
            'conflicting connection parameter "_connection" in query string and JSON body',
        ),
    ],
)
async def test_bodies_that_are_refused(query: str, body: bytes, status: int, text: str, api: httpx.AsyncClient) -> None:
    answer = await api.post(f"/slack/noop{query}", content=body)
    assert (answer.status_code, answer.json()) == (status, {"error": text})


async def test_get_takes_its_parameters_from_the_query(host: FakeHost, api: httpx.AsyncClient) -> None:
    answer = await api.get("/slack/sync?a=1&a=2&b=&_connection=alerts&_instance=i%201")
    assert answer.status_code == 200
    (execution,) = host.runner("slack").seen
    assert execution.params == {"a": "1", "b": ""}
    assert (execution.credential.connection, execution.credential.instance) == ("alerts", "i 1")


@pytest.mark.parametrize(
    ("query", "body", "params", "connection"),
    [
        ("", b"null", {}, "default"),
        ("", b'{"x":1} trailing', {"x": 1}, "default"),
        ("?x=2", b'{"x":1,"X":2}', {"x": 1, "X": 2}, "default"),
        ("", b'{"_connection":"alerts","_instance":5}', {}, "alerts"),
        ("?_connection=alerts", b'{"_connection":""}', {}, "alerts"),
        ("?_connection=alerts", b'{"_connection":"alerts"}', {}, "alerts"),
        ("", b'{"_connection":"plugin"}', {}, "_plugin"),
        ("?_connection=_plugin", b"{}", {}, "_plugin"),
        ("?_connection=undeclared", b"{}", {}, "undeclared"),
    ],
)
async def test_post_takes_its_parameters_from_the_body(
    query: str,
    body: bytes,
    params: dict[str, object],
    connection: str,
    host: FakeHost,
    api: httpx.AsyncClient,
) -> None:
    answer = await api.post(f"/slack/sync{query}", content=body)
    assert answer.status_code == 200
    (execution,) = host.runner("slack").seen
    assert execution.params == params
    assert execution.credential.connection == connection


@pytest.mark.parametrize(
    ("result", "status", "content_type", "body"),
    [
        (OperationResult(200, '{"a": 1}'), 200, "application/json", b'{"a": 1}'),
        (OperationResult(0, "x", ""), 200, "application/json", b"x"),
        (OperationResult(404, "gone", "text/plain; charset=utf-8"), 404, "text/plain; charset=utf-8", b"gone"),
        (OperationResult(500, '{"error":"internal error"}'), 500, "application/json", b'{"error":"internal error"}'),
        (OperationResult(204, "ignored"), 204, "application/json", b""),
        (OperationResult(42, "x"), 502, "application/json", b'{"error":"operation failed"}\n'),
        (OperationResult(700, "x"), 502, "application/json", b'{"error":"operation failed"}\n'),
        (OperationResult(200, "caf\N{REPLACEMENT CHARACTER}", "text/plain", b"caf\xe9"), 200, "text/plain", b"caf\xe9"),
        (OperationResult(200, "x", "a\r\nset-cookie: b"), 200, "application/json", b"x"),
    ],
)
async def test_the_operations_result_is_the_answer(
    result: OperationResult, status: int, content_type: str, body: bytes, host: FakeHost, api: httpx.AsyncClient
) -> None:
    host.runner("slack").result = result
    answer = await api.post("/slack/noop", content=b"{}")
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (status, content_type, body)


@pytest.mark.parametrize(("status", "logged"), [(499, 0), (500, 1), (503, 1)])
async def test_an_operation_that_answers_with_a_fault_is_in_the_log(
    status: int, logged: int, host: FakeHost, api: httpx.AsyncClient
) -> None:
    host.runner("slack").result = OperationResult(status, "a secret")
    with capture_logs() as lines:
        assert (await api.post("/slack/noop", content=b"{}")).status_code == status
    found = [line for line in lines if line.get("event_name") == "http.operation_failed"]
    assert [line["error"] for line in found] == [f"the operation answered with status {status}"] * logged
    assert "secret" not in str(lines)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (errors.PluginUnavailable("socket gone"), 502, "integration unavailable"),
        (errors.ProviderRefused("UNAVAILABLE", "socket gone"), 502, "integration unavailable"),
        (errors.ProviderRefused("DEADLINE_EXCEEDED", "30s"), 502, "operation timed out"),
        (errors.ProviderRefused("INVALID_ARGUMENT", "a secret"), 502, "operation failed"),
        (RuntimeError("a secret"), 500, "internal error"),
        (errors.TokenScopeDenied("slack.noop"), 403, "token scope denied: slack.noop"),
    ],
)
async def test_a_failed_invocation(
    error: Exception, status: int, text: str, host: FakeHost, api: httpx.AsyncClient
) -> None:
    host.runner("slack").result = error
    answer = await api.post("/slack/noop", content=b"{}")
    assert (answer.status_code, answer.json()) == (status, {"error": text})


async def test_a_user_connection_without_credential_is_a_typed_error(api: httpx.AsyncClient) -> None:
    answer = await api.get("/ledger/query?_connection=own")
    assert answer.status_code == 412
    assert answer.json() == {
        "error": 'no external credential stored for integration "ledger"; connect via OAuth first',
        "code": "not_connected",
        "integration": "ledger",
    }


@pytest.mark.parametrize("path", ["/auth/connect-manual", "/auth/start-oauth"])
async def test_connecting_is_told_to_be_missing(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.post(path, json={"integration": "ledger", "credential": "x"})
    assert answer.status_code == 503
    assert "stores no credentials of users" in answer.json()["error"]
