"""A request has one name: in its answer, in lines of the log and in the call of a plugin."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest

from gestalt_host.errors import NotAuthenticated
from gestalt_host.http.app import create_app
from gestalt_sdk.common.requests import current_request_id
from tests.support.fakes.host import FakeHost

SCHEDULES = "/api/v1/workflow/schedules"
MADE = re.compile("[0-9a-f]{16}")


@pytest.mark.parametrize("given", ["a", "0af7651916cd43dd-8448eb211c80319c", "me@host:1/2", "x" * 128])
async def test_the_answer_has_the_id_that_the_client_gave(given: str, api: httpx.AsyncClient) -> None:
    for path in (SCHEDULES, "/api/v1/nope", "/health", "/nope", "/metrics"):
        assert (await api.get(path, headers={"X-Request-Id": given})).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "a\tb", "\x1b[2J", "é", "x" * 129, '"'])
async def test_one_that_cannot_be_taken_is_replaced(given: str, api: httpx.AsyncClient) -> None:
    answer = await api.get("/health", headers=[(b"X-Request-Id", given.encode())])
    assert MADE.fullmatch(answer.headers["x-request-id"])


async def test_one_is_made_for_each_request_and_every_answer_has_it(host: FakeHost, api: httpx.AsyncClient) -> None:
    found = [
        (await api.request(method, path, content=body)).headers["x-request-id"]
        for method, path, body in (
            ("GET", SCHEDULES, b""),
            ("POST", SCHEDULES, b"{"),
            ("POST", SCHEDULES, b" " * ((1 << 20) + 1)),
            ("FOO", "/health", b""),
            ("PATCH", SCHEDULES, b""),
        )
    ]
    host.caller = NotAuthenticated("missing authorization")
    found.append((await api.get(SCHEDULES)).headers["x-request-id"])
    host.caller = RuntimeError("token store is down")
    found.append((await api.get(SCHEDULES)).headers["x-request-id"])
    assert len(set(found)) == 7
    assert all(map(MADE.fullmatch, found))


async def test_what_runs_for_the_request_knows_the_id_until_the_answer(host: FakeHost) -> None:
    seen: list[str] = []
    over, told = asyncio.Event(), asyncio.Event()

    async def later() -> None:
        await over.wait()
        seen.append(current_request_id())
        told.set()

    async def listing(*_: Any, **__: Any) -> list[Any]:
        seen.append(current_request_id())
        host.later = asyncio.create_task(later())  # type: ignore[attr-defined]
        return []

    host.manager.schedules.list = listing  # type: ignore[method-assign]
    transport = httpx.ASGITransport(create_app(host.services()))
    async with httpx.AsyncClient(transport=transport, base_url="http://gestalt.test") as client:
        await client.get(SCHEDULES, headers={"X-Request-Id": "mine"})
    over.set()
    await told.wait()
    assert seen == ["mine", ""]
    assert current_request_id() == ""
