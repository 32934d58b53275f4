"""Lists go out as they are made: in parts, broken off where they cannot be completed, and for nobody who is gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gestalt_host.errors import ProviderUnavailable
from gestalt_host.http.app import create_app
from gestalt_host.http.listener import Listener
from gestalt_host.workflows.model import Run
from tests.support.fakes.host import FakeHost
from tests.support.waiting import one_turn

PATH = "/api/v1/workflow/runs"
LONG = 40_000


def listing(host: FakeHost, monkeypatch: pytest.MonkeyPatch, runs: Any) -> None:
    once = [runs]  # So that only the answer holds it, and it ends with the answer.
    monkeypatch.setattr(host.manager.runs, "list", lambda *_, **__: once.pop())


async def many(count: int, then: Exception | None = None) -> AsyncIterator[Run]:
    for number in range(count):
        yield Run(f"r{number}", "succeeded", result_body="x" * LONG)
    if then is not None:
        raise then


@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
async def test_a_list_is_whole_whatever_its_length(
    count: int, host: FakeHost, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing(host, monkeypatch, many(count))
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{listener.port}{PATH}")
    assert answer.status_code == 200
    assert [item["id"] for item in answer.json()] == [f"r{number}" for number in range(count)]
    assert answer.text.endswith("]\n")
    assert answer.headers["content-type"] == "application/json"
    # Whoever reads the length, as of every other answer, finds it where the answer is a short one.
    assert ("content-length" in answer.headers) == (count * LONG < 65536)


async def test_a_failure_before_the_first_part_is_an_answer(
    host: FakeHost, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing(host, monkeypatch, many(0, ProviderUnavailable("away")))
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{listener.port}{PATH}")
    assert (answer.status_code, answer.json()) == (503, {"error": "away"})


@pytest.mark.parametrize("error", [ProviderUnavailable("away"), RuntimeError("a bug")])
async def test_a_failure_within_the_list_ends_the_connection(
    error: Exception,
    host: FakeHost,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    listing(host, monkeypatch, many(20, error))
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.TransportError):
            await client.get(f"http://127.0.0.1:{listener.port}{PATH}")
        assert (await client.get(f"http://127.0.0.1:{listener.port}/health")).status_code == 200
    printed = capsys.readouterr()
    assert "http.broken_off" in printed.out + printed.err
    assert "Traceback" not in printed.out + printed.err + caplog.text


async def test_what_a_client_does_not_take_is_not_made(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[Run]:
        nonlocal made
        try:
            while True:
                made += 1
                yield Run(f"r{made}", "succeeded", result_body="x" * LONG)
        finally:
            ended.set()

    listing(host, monkeypatch, endless())
    app = create_app(host.services(), handler_timeout_s=0.5)
    async with Listener(app, "127.0.0.1", 0, grace_s=0.1) as listener:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port, limit=1024)
        writer.write(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        # Nobody reads: what the sockets hold is made, and then the answer is given up.
        await asyncio.wait_for(ended.wait(), 20)
        assert made * LONG < 64 * 1024 * 1024
        writer.close()


async def test_a_client_that_went_ends_its_list(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[Run]:
        try:
            while True:
                yield Run("r", "succeeded", result_body="x" * LONG)
                await one_turn()
        finally:
            ended.set()

    listing(host, monkeypatch, endless())
    async with Listener(create_app(host.services()), "127.0.0.1", 0) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readexactly(200_000)
        writer.transport.abort()
        await asyncio.wait_for(ended.wait(), 20)


async def test_a_cut_result_says_so(api: httpx.AsyncClient, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    async def both() -> AsyncIterator[Run]:
        yield Run("cut", "succeeded", result_body="x", result_truncated=70_000)
        yield Run("whole", "succeeded", result_body="x")

    listing(host, monkeypatch, both())
    cut, whole = json.loads((await api.get(PATH)).text)
    assert cut["resultTruncated"] is True
    assert "resultTruncated" not in whole
