"""Which providers run here: the list, its filters, one of them, and what is left out where there is nothing to say."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from gestalt_host.errors import NotAuthenticated
from gestalt_host.http.app import create_app
from gestalt_host.supervisor.reports import KINDS, STATES, Fault, ProcessReport, ProviderReport
from tests.support.fakes.host import FakeHost

AT = datetime(2026, 5, 8, 9, 0, 0, 250000, UTC)
TIME = "2026-05-08T09:00:00.25Z"
READY = ProcessReport("ready", AT, pid=7, restarts=2, memory_bytes=4096)
AWAY = ProcessReport("restarting", AT, "it has ended", restarts=1, last_fault=Fault("it ended", AT), binding="b")
REPORTS = [
    ProviderReport("indexeddb", "main", "restarting", AT, restarts=3, processes=(READY, AWAY)),
    ProviderReport("indexeddb", "spare", "unused", AT, reason="nothing uses it"),
    ProviderReport(
        "plugin",
        "crm",
        "ready",
        AT,
        package="a.org/b/c/crm",
        version="1.2.3",
        display_name="CRM",
        source="https://a.org/provider-release.yaml",
        digest="ab" * 32,
        restarts=2,
        pid=7,
        last_fault=Fault("it did not answer", AT),
        capabilities=("plugin.session_catalogue",),
        notices=("runs wait",),
        processes=(READY,),
    ),
    ProviderReport("plugin", "geo", "ready", AT, runtime="declarative"),
    ProviderReport("workflow", "main", "ready", AT, processes=(READY,), pid=7),
]


@pytest.fixture
async def api(host: FakeHost) -> AsyncIterator[httpx.AsyncClient]:
    host.reports = REPORTS
    transport = httpx.ASGITransport(create_app(host.services()))
    async with httpx.AsyncClient(transport=transport, base_url="http://gestalt.test/api/v1") as client:
        yield client


@pytest.mark.parametrize("path", ["/providers", "/providers/plugin/crm"])
async def test_reports_are_made_beside_the_event_loop(host: FakeHost, path: str) -> None:
    threads: list[threading.Thread] = []

    def reports() -> list[ProviderReport]:
        threads.append(threading.current_thread())
        return REPORTS

    transport = httpx.ASGITransport(create_app(replace(host.services(), providers=reports)))
    async with httpx.AsyncClient(transport=transport, base_url="http://gestalt.test/api/v1") as client:
        assert (await client.get(path)).status_code == 200
    assert threading.current_thread() not in threads
    assert len(threads) == 1


async def test_a_provider_is_shown_with_all_that_is_known_and_nothing_empty(api: httpx.AsyncClient) -> None:
    answer = await api.get("/providers/plugin/crm")
    assert answer.status_code == 200
    assert list(answer.json().items()) == [
        ("kind", "plugin"),
        ("name", "crm"),
        ("displayName", "CRM"),
        ("package", "a.org/b/c/crm"),
        ("version", "1.2.3"),
        ("source", "https://a.org/provider-release.yaml"),
        ("digest", "ab" * 32),
        ("runtime", "executable"),
        ("state", "ready"),
        ("since", TIME),
        ("restarts", 2),
        ("pid", 7),
        ("memoryBytes", 4096),
        ("lastError", {"text": "it did not answer", "at": TIME}),
        ("capabilities", ["plugin.session_catalogue"]),
        ("notices", ["runs wait"]),
    ]
    bare = {"kind": "plugin", "name": "geo", "runtime": "declarative", "state": "ready", "since": TIME, "restarts": 0}
    assert (await api.get("/providers/plugin/geo")).json() == bare


async def test_several_processes_are_shown_one_by_one(api: httpx.AsyncClient) -> None:
    shown = (await api.get("/providers/indexeddb/main")).json()
    assert (shown["state"], shown["restarts"], shown["memoryBytes"], "pid" in shown) == ("restarting", 3, 4096, False)
    assert shown["processes"] == [
        {"state": "ready", "since": TIME, "restarts": 2, "pid": 7, "memoryBytes": 4096},
        {
            "binding": "b",
            "state": "restarting",
            "since": TIME,
            "reason": "it has ended",
            "restarts": 1,
            "lastError": {"text": "it ended", "at": TIME},
        },
    ]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["main", "spare", "crm", "geo", "main"]),
        ("?kind=&state=", ["main", "spare", "crm", "geo", "main"]),
        ("?kind=plugin", ["crm", "geo"]),
        ("?state=unused", ["spare"]),
        ("?kind=workflow&state=ready", ["main"]),
        ("?kind=workflow&state=failed", []),
        ("?kind=%20plugin%20&kind=x&other=1", ["crm", "geo"]),
    ],
)
async def test_filters_keep_what_they_name(api: httpx.AsyncClient, query: str, names: list[str]) -> None:
    answer = await api.get(f"/providers{query}")
    assert answer.status_code == 200
    assert [item["name"] for item in answer.json()] == names


@pytest.mark.parametrize(("key", "accepted"), [("kind", KINDS), ("state", STATES)])
async def test_a_filter_with_another_value_names_what_is_accepted(
    api: httpx.AsyncClient, key: str, accepted: tuple[str, ...]
) -> None:
    for value, shown in (("Plugin", "Plugin"), ("\x1b", "\\x1b")):
        answer = await api.get("/providers", params={key: value})
        assert answer.status_code == 400
        text = f'{key} must be {", ".join(accepted[:-1])} or {accepted[-1]}, not "{shown}"'
        assert answer.json() == {"error": text}
    for value in accepted:
        assert (await api.get("/providers", params={key: value})).status_code == 200


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("plugin/main", 'plugin provider "main" is not configured; configured: crm, geo'),
        ("workflow/crm", 'workflow provider "crm" is not configured; configured: main'),
        ("plugins/crm", 'no provider has the kind "plugins"; kinds are plugin, workflow and indexeddb'),
        ("plugin/a%2Fb", 'plugin provider "a/b" is not configured; configured: crm, geo'),
    ],
)
async def test_a_provider_that_is_not_there_is_named_with_those_that_are(
    api: httpx.AsyncClient, path: str, text: str
) -> None:
    answer = await api.get(f"/providers/{path}")
    assert (answer.status_code, answer.json()) == (404, {"error": text})


async def test_of_many_providers_some_are_named(host: FakeHost, api: httpx.AsyncClient) -> None:
    host.reports = [ProviderReport("plugin", f"p{number:03}", "ready", AT) for number in range(500)]
    text = (await api.get("/providers/plugin/x")).json()["error"]
    assert text.startswith('plugin provider "x" is not configured; configured: p000, p001, ')
    assert text.endswith("p019 and 480 more")
    text = (await api.get("/providers/workflow/x")).json()["error"]
    assert text == 'workflow provider "x" is not configured; configured: none'


@pytest.mark.parametrize("path", ["/providers", "/providers/plugin/crm", "/providers/plugin/x"])
async def test_only_callers_are_told(host: FakeHost, api: httpx.AsyncClient, path: str) -> None:
    host.caller = NotAuthenticated("missing authorization")
    answer = await api.get(path)
    assert (answer.status_code, answer.json()) == (401, {"error": "missing authorization"})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/providers", 405), ("GET", "/providers/plugin/crm/x", 404), ("DELETE", "/providers/plugin/crm", 405)],
)
async def test_nothing_else_is_there(api: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    assert (await api.request(method, path)).status_code == status


async def test_two_segments_are_an_operation_of_a_plugin(api: httpx.AsyncClient) -> None:
    answer = await api.get("/providers/plugin")
    assert (answer.status_code, answer.json()["error"]) == (404, 'integration "providers" not found')
