"""Requests that the recordings do not hold: callers, owners, limits, odd methods, failures of the application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gestalt_host.access.subjects import NOBODY, Principal
from gestalt_host.errors import NotAuthenticated
from gestalt_host.http.app import create_app
from gestalt_host.workflows.model import PluginTarget
from gestalt_sdk.common.numbers import INEXACT
from tests.support.fakes.host import FakeHost, FakeManager

SCHEDULES = "/api/v1/workflow/schedules"
TRIGGERS = "/api/v1/workflow/event-triggers"
RUNS = "/api/v1/workflow/runs"
PLUGIN = {"plugin": {"name": "roadmap", "operation": "noop"}}


# Callers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", SCHEDULES),
        ("GET", f"{SCHEDULES}/"),
        ("PATCH", SCHEDULES),
        ("GET", f"{SCHEDULES}/a/b/c"),
        ("DELETE", f"{RUNS}/x"),
        ("GET", "/api/v1/a/b"),
        ("POST", "/api/v1/workflow/events"),
        ("GET", "/api/v1/integrations"),
        ("GET", "/metrics"),
    ],
)
async def test_401_comes_before_everything_else_here(
    method: str, path: str, host: FakeHost, api: httpx.AsyncClient
) -> None:
    host.caller = NotAuthenticated("missing authorization")
    answer = await api.request(method, path)
    assert (answer.status_code, answer.json()) == (401, {"error": "missing authorization"})
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nope", 404),
        ("GET", "/api/v1/a/b/c", 404),
        ("DELETE", "/api/v1/integrations", 405),
        ("DELETE", "/api/v1/workflow/events", 405),
        ("PUT", "/api/v1/a/b", 405),
        ("GET", "/api/v1/auth/info", 200),
        ("POST", "/api/v1/auth/logout", 200),
        ("GET", "/health", 200),
        ("GET", "/ready", 200),
    ],
)
async def test_these_answer_anybody(
    method: str, path: str, status: int, host: FakeHost, api: httpx.AsyncClient
) -> None:
    host.caller = NotAuthenticated("missing authorization")
    assert (await api.request(method, path)).status_code == status


async def test_a_caller_without_a_subject_is_refused(host: FakeHost, api: httpx.AsyncClient) -> None:
    host.caller = Principal(NOBODY)
    answer = await api.get(SCHEDULES)
    assert (answer.status_code, answer.json()) == (401, {"error": "missing subject"})


# Owners (decision 20)


async def test_config_managed_triggers_are_shown_when_asked_for(host: FakeHost, api: httpx.AsyncClient) -> None:
    own = (await api.post(TRIGGERS, json={"match": {"type": "x"}, "target": PLUGIN})).json()["id"]

    async def ids(query: str) -> set[str]:
        return {item["id"] for item in (await api.get(f"{TRIGGERS}{query}")).json()}

    config = set(host.manager.triggers.stored) - {own}
    assert await ids("") == {own}
    assert await ids("?owner=") == {own}
    assert await ids("?owner=config") == config
    assert await ids("?owner=all") == config | {own}
    managed = sorted(config)[0]
    assert (await api.get(f"{TRIGGERS}/{managed}")).status_code == 404
    assert (await api.get(f"{TRIGGERS}/{managed}?owner=config")).json()["id"] == managed
    assert (await api.delete(f"{TRIGGERS}/{managed}?owner=config")).status_code == 404


@pytest.mark.parametrize("path", [SCHEDULES, f"{SCHEDULES}/x", TRIGGERS, f"{TRIGGERS}/x", RUNS, f"{RUNS}/x"])
async def test_another_owner_is_refused_by_name(path: str, api: httpx.AsyncClient) -> None:
    answer = await api.get(f"{path}?owner=me")
    assert (answer.status_code, answer.json()) == (400, {"error": 'owner must be "config" or "all", got "me"'})


@pytest.mark.parametrize("status", ["bogus", "Succeeded", "succeeded,failed", "\x00"])
async def test_a_status_that_no_run_can_have_is_refused(status: str, api: httpx.AsyncClient) -> None:
    answer = await api.get(RUNS, params={"status": status})
    shown = status.replace("\x00", "\\x00")
    text = f'status must be pending, running, succeeded, failed or canceled, not "{shown}"'
    assert (answer.status_code, answer.json()) == (400, {"error": text})
    for known in ("pending", "running", "succeeded", "failed", "canceled", " canceled ", ""):
        assert (await api.get(RUNS, params={"status": known})).status_code == 200


async def test_a_run_shows_who_published_its_event_when_that_is_not_the_owner(
    host: FakeHost, api: httpx.AsyncClient
) -> None:
    await api.post("/api/v1/workflow/events", json={"type": "roadmap.sync.completed", "id": "e"})
    runs = (await api.get(f"{RUNS}?owner=config&plugin=slack")).json()
    assert [run["createdBy"] for run in runs] == [
        {
            "subjectId": "system:config",
            "subjectKind": "system",
            "displayName": "Workflow Config",
            "authSource": "config",
        }
    ]
    caller = host.caller
    assert isinstance(caller, Principal)
    assert runs[0]["publishedBy"] == {"subjectId": caller.subject_id, "subjectKind": "user", "authSource": "env"}
    assert list(runs[0])[:6] == ["id", "provider", "status", "target", "trigger", "createdBy"]


# Targets


async def test_what_only_a_request_can_get_wrong_is_checked_in_its_order(api: httpx.AsyncClient) -> None:
    both: dict[str, Any] = {"plugin": {}, "agent": {}}
    mode = {"plugin": {"name": "nope", "credentialMode": " user "}}
    delivery = {"agent": {"outputDelivery": {"target": {"credentialMode": "none"}}}}
    for target, text in (
        (None, "workflow target must set exactly one of plugin or agent"),
        (both, "workflow target must set exactly one of plugin or agent"),
        (mode, "workflow target plugin.credentialMode is not supported on public requests"),
        (delivery, "workflow target agent.outputDelivery.target.credentialMode is not supported"),
    ):
        for path in (SCHEDULES, TRIGGERS):
            answer = await api.post(path, json={"target": target})
            assert (answer.status_code, answer.json()) == (400, {"error": text})
    answer = await api.post(TRIGGERS, json={"target": PLUGIN, "match": {"type": " "}})
    assert answer.json() == {"error": "workflow trigger match.type is required"}


async def test_nothing_reaches_the_manager_of_a_refused_body(host: FakeHost, api: httpx.AsyncClient) -> None:
    before = len(host.manager.state.seen)
    body = b'{"cron":"0 3 * * *","target":{"plugin":{"name":"roadmap","operation":"noop"}}}{"timeZone":"UTC"}'
    refused = "invalid JSON body: line 1, column 79: text behind the JSON value"
    assert (await api.post(SCHEDULES, content=body)).json() == {"error": refused}
    assert len(host.manager.state.seen) == before


@pytest.mark.parametrize(
    ("path", "body", "member"),
    [
        ("/slack/noop", '{"value":3544790567247868102}', "value"),
        (
            "/workflow/schedules",
            '{"target":{"plugin":{"name":"slack","operation":"noop","input":{"a":[9007199254740993]}}}}',
            "target.plugin.input.a[0]",
        ),
        (
            "/workflow/event-triggers",
            '{"target":{"plugin":{"name":"slack","operation":"noop","input":{"a":9007199254740993}}}}',
            "target.plugin.input.a",
        ),
        ("/workflow/events", '{"type":"t","data":{"id":9007199254740993}}', "data.id"),
        ("/workflow/events", '{"type":"t","extensions":{"id":9007199254740993}}', "extensions.id"),
    ],
)
async def test_an_integer_that_would_arrive_as_another_one_is_refused_where_it_enters(
    path: str, body: str, member: str, host: FakeHost, api: httpx.AsyncClient
) -> None:
    before = len(host.manager.state.seen)
    answer = await api.post(f"/api/v1{path}", content=body)
    text = f"invalid JSON body: {member} {INEXACT}"
    assert (answer.status_code, answer.json()) == (400, {"error": text})
    assert len(host.manager.state.seen) == before


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (SCHEDULES, b'{"cron":"0 3 * * *","target":{"plugin":{"name":"roadmap","operation":"noop"}}}'),
        ("/api/v1/workflow/events", b'{"type":"x"}'),
        ("/api/v1/roadmap/noop", b"{}"),
        (f"{SCHEDULES}/x/pause", b""),
    ],
)
async def test_a_body_over_the_limit_is_413_with_size_and_limit_on_every_route(
    path: str, body: bytes, api: httpx.AsyncClient
) -> None:
    assert (await api.post(path, content=body.ljust(1 << 20))).status_code in (200, 201, 202, 404)
    answer = await api.post(path, content=body.ljust((1 << 20) + 1))
    text = "request body of 1048577 bytes is over the limit of 1048576 bytes"
    assert (answer.status_code, answer.json()) == (413, {"error": text})


async def test_a_body_of_unknown_size_is_read_to_the_limit(api: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * (1 << 16)

    answer = await api.post(SCHEDULES, content=chunks())
    text = "request body of more than 1048576 bytes is over the limit of 1048576 bytes"
    assert (answer.status_code, answer.json()) == (413, {"error": text})


async def test_an_agent_target_keeps_every_member(host: FakeHost, api: httpx.AsyncClient) -> None:
    agent = {
        "provider": "claude",
        "model": "m",
        "prompt": "p",
        "messages": [
            {
                "role": "user",
                "text": " t ",
                "parts": [
                    {"type": "text", "text": "x"},
                    {"type": "json", "json": {"a": 1}},
                    {"type": "tool_call", "toolCall": {"id": "1", "toolId": "t", "arguments": {"q": [1, None]}}},
                    {
                        "type": "tool_result",
                        "toolResult": {"toolCallId": "1", "status": 200, "content": "c", "output": {"o": True}},
                    },
                    {"type": "image_ref", "imageRef": {"uri": "u", "mimeType": "image/png"}},
                ],
                "metadata": {"k": "v"},
            }
        ],
        "toolRefs": [
            {"system": "workflow", "operation": "schedules.list"},
            {"plugin": "slack", "operation": "noop", "connection": "plugin", "instance": "i", "title": "T"},
        ],
        "outputDelivery": {
            "target": {"name": "slack", "operation": "noop", "connection": "alerts", "input": {"z": 1}},
            "inputBindings": [
                {"inputField": "a", "value": {"agentOutput": "text"}},
                {"inputField": "b", "value": {"signalPayload": "x.y"}},
                {"inputField": "c", "value": {"signalMetadata": "m"}},
                {"inputField": "d", "value": {"literal": False}},
                {"inputField": "e", "value": {"literal": 0}},
                {"inputField": "f", "value": {"literal": ""}},
            ],
        },
        "responseSchema": {"type": "object"},
        "metadata": {"m": 1},
        "modelOptions": {"temperature": 0.5},
        "timeoutSeconds": 30,
    }
    host.manager = AgentManager(host.manager.state.resolver, host.manager.state.invoker)
    transport = httpx.ASGITransport(create_app(host.services()))
    async with httpx.AsyncClient(transport=transport, base_url="http://gestalt.test") as client:
        created = await client.post(SCHEDULES, json={"cron": "0 3 * * *", "target": {"agent": agent}})
        assert created.status_code == 201
        assert created.json()["target"] == {"agent": agent}
        back = await client.put(
            f"{SCHEDULES}/{created.json()['id']}", json={"cron": "1 * * * *", "target": created.json()["target"]}
        )
        assert back.json()["target"] == {"agent": agent}


class AgentManager(FakeManager):
    """Takes targets as they come."""

    def __init__(self, resolver: Any, invoker: Any) -> None:
        super().__init__(Verbatim(), invoker)  # type: ignore[arg-type]


class Verbatim:
    async def resolve_for_later(self, who: Principal, target: Any) -> Any:
        return target


# Paths and methods


async def test_path_parameters_are_decoded_once(host: FakeHost, api: httpx.AsyncClient) -> None:
    for path, shown in (
        ("event%3A4f", "event:4f"),
        ("event:4f", "event:4f"),
        ("%2541", "%41"),
        ("%62", "b"),
        ("%ff", "\ufffd"),
        ("a%09b", "a\\tb"),
        ("%zz", "%zz"),
        ("a+b", "a+b"),
    ):
        answer = await api.get(f"{RUNS}/{path}")
        assert (answer.status_code, answer.json()) == (404, {"error": f'workflow run "{shown}" not found'})


@pytest.mark.parametrize("path", ["/health", "/nope", SCHEDULES, "/api/v1/nope"])
async def test_a_method_that_http_does_not_define(path: str, api: httpx.AsyncClient) -> None:
    answer = await api.request("FOO", path)
    text = "the method of the request is none that HTTP defines"
    assert (answer.status_code, answer.json()) == (405, {"error": text})
    assert "allow" not in answer.headers


async def test_https_servers_ask_for_strict_transport(host: FakeHost) -> None:
    for base_url, expected in (
        ("https://gestalt.example", "max-age=63072000; includeSubDomains"),
        ("http://gestalt.example", None),
    ):
        transport = httpx.ASGITransport(create_app(host.services(base_url=base_url)))
        async with httpx.AsyncClient(transport=transport, base_url="http://gestalt.test") as client:
            assert (await client.get("/health")).headers.get("strict-transport-security") == expected


# The application itself


async def test_readiness_tells_the_reason(host: FakeHost, api: httpx.AsyncClient) -> None:
    host.not_ready = "workflow providers loading"
    answer = await api.get("/ready")
    assert (answer.status_code, answer.json()) == (503, {"status": "workflow providers loading"})
    assert (await api.get("/health")).status_code == 200


async def test_metrics_are_text_or_say_that_they_are_disabled(host: FakeHost, api: httpx.AsyncClient) -> None:
    answer = await api.get("/metrics")
    assert answer.status_code == 503
    assert answer.text == "Prometheus metrics are unavailable because telemetry metrics are disabled."
    transport = httpx.ASGITransport(create_app(host.services(metrics=True)))
    async with httpx.AsyncClient(transport=transport, base_url="http://gestalt.test") as client:
        await client.get(f"{RUNS}/some-id")
        text = (await client.post("/metrics")).text
    assert 'gestalt_http_requests_total{method="GET",route="workflow/runs/{id}",status="404"} 1.0' in text
    assert "some-id" not in text


async def test_a_handler_that_takes_too_long_is_cut_off(host: FakeHost) -> None:
    reached, cancelled = asyncio.Event(), asyncio.Event()

    async def stuck(*_: Any, **__: Any) -> Any:
        reached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    host.manager.schedules.list = stuck  # type: ignore[method-assign]
    transport = httpx.ASGITransport(create_app(host.services(), handler_timeout_s=0.05))
    async with httpx.AsyncClient(transport=transport, base_url="http://gestalt.test") as client:
        answer = await client.get(SCHEDULES)
    text = f'no answer within 0.05 s to GET "{SCHEDULES}"; it may still be running'
    assert (answer.status_code, answer.json()) == (504, {"error": text})
    assert "x-frame-options" in answer.headers
    assert reached.is_set()
    assert cancelled.is_set()


async def test_a_failing_authentication_is_an_internal_error(host: FakeHost, api: httpx.AsyncClient) -> None:
    host.caller = RuntimeError("token store is down")
    answer = await api.get("/api/v1/integrations")
    assert (answer.status_code, answer.json()) == (500, {"error": "internal error"})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]),
    path=st.lists(
        st.sampled_from(["workflow", "schedules", "events", "runs", "x", "", "%2F", "cancel", "roadmap", "noop"]),
        max_size=5,
    ),
    body=st.binary(max_size=40) | st.sampled_from([b"{}", b"null", b'{"type":"x"}', b'{"target":{"plugin":{}}}']),
)
async def test_no_request_fails_inside(method: str, path: list[str], body: bytes, api: httpx.AsyncClient) -> None:
    answer = await api.request(method, "/api/v1/" + "/".join(path), content=body)
    assert answer.status_code < 500, answer.text


async def test_texts_are_trimmed_before_the_manager_sees_them(host: FakeHost, api: httpx.AsyncClient) -> None:
    match = {"type": " x ", "source": " s ", "subject": " u "}
    target = {"plugin": {"name": " slack ", "operation": " noop ", "input": {"sleep": 60_000}}}
    made = (await api.post(TRIGGERS, json={"provider": " local ", "match": match, "target": target})).json()
    assert made["match"] == {"type": "x", "source": "s", "subject": "u"}
    assert (made["target"]["plugin"]["name"], made["target"]["plugin"]["operation"]) == ("slack", "noop")
    await api.post("/api/v1/workflow/events", json={"type": " x ", "source": " s ", "subject": " u "})
    (run,) = (await api.get(f"{RUNS}?plugin=%20slack%20&status=%20running%20")).json()
    answer = await api.post(f"{RUNS}/%20{run['id']}%20/cancel", json={"reason": " stop "})
    assert (answer.status_code, answer.json()["statusMessage"]) == (200, "stop")
    absent = await api.get(f"{SCHEDULES}/%20x%20")
    assert (absent.status_code, absent.json()) == (404, {"error": 'workflow schedule " x " not found'})


async def test_targets_written_by_the_configuration_show_their_credential_mode(
    host: FakeHost, api: httpx.AsyncClient
) -> None:
    trigger = host.manager.add_config_trigger("t", PluginTarget("slack", "noop"))
    held_by, stored = host.manager.triggers.stored[trigger.id]
    target = PluginTarget("slack", "noop", "_plugin", credential_mode="none")
    host.manager.triggers.stored[trigger.id] = (held_by, replace(stored, target=target))
    answer = await api.get(f"{TRIGGERS}/{trigger.id}?owner=config")
    assert answer.json()["target"] == {
        "plugin": {"name": "slack", "operation": "noop", "connection": "plugin", "credentialMode": "none"}
    }
    host.manager.triggers.stored[trigger.id] = (held_by, replace(stored, target=None))
    assert (await api.get(f"{TRIGGERS}/{trigger.id}?owner=config")).json()["target"] == {}
