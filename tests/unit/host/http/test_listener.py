"""The transport: methods HTTP does not have, header limits, oversized bodies, and an orderly end. Raw sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable
from typing import Any

import httpx
import pytest

from gestalt_host.http import listener as listening
from gestalt_host.http.app import create_app
from gestalt_host.http.listener import HEADER_LIMIT_BYTES, Listener, ListenFailed
from tests.support.fakes.host import FakeHost
from tests.support.waiting import eventually


async def exchange(port: int, *parts: bytes) -> bytes:
    """Everything that comes back for these bytes, until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


@pytest.mark.parametrize("path", [b"/health", b"/api/v1/workflow/schedules"])
async def test_a_method_that_http_does_not_define(path: bytes, listener: Listener) -> None:
    answer = await exchange(listener.port, b"FOO " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405 ")
    assert b"x-frame-options: DENY" in head
    assert b"\r\ncontent-type" not in head.lower()
    assert body == b""


@pytest.mark.parametrize(("reason", "status"), [(None, b"200"), ("loading", b"503")])
async def test_head_asks_for_health_without_a_body(
    reason: str | None, status: bytes, host: FakeHost, listener: Listener
) -> None:
    host.not_ready = reason
    ready = await exchange(listener.port, b"HEAD /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert ready.startswith(b"HTTP/1.1 " + status)
    assert ready.endswith(b"\r\n\r\n")
    health = await exchange(listener.port, b"HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert health.startswith(b"HTTP/1.1 200 ")
    assert b"content-length: 16" in health
    assert health.endswith(b"\r\n\r\n")
    other = await exchange(listener.port, b"HEAD /api/v1/auth/info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert other.startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize(
    "request_bytes",
    [b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"hello\r\n\r\n", b"GET /\x00 HTTP/1.1\r\n\r\n", b"GET\r\n\r\n"],
)
async def test_what_is_no_http_gets_400(request_bytes: bytes, listener: Listener) -> None:
    assert (await exchange(listener.port, request_bytes)).startswith(b"HTTP/1.1 400 ")


async def test_headers_over_the_limit_are_refused(listener: Listener) -> None:
    line = b"x-filler: " + b"y" * 8000 + b"\r\n"
    request = b"GET /health HTTP/1.1\r\nHost: x\r\n" + line * (HEADER_LIMIT_BYTES // len(line) + 2) + b"\r\n"
    assert (await exchange(listener.port, request)).startswith(b"HTTP/1.1 431 ")


async def test_a_client_that_does_not_finish_its_headers_is_dropped(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "HEADER_TIMEOUT_S", 0.05)
    async with Listener(create_app(host.services()), "127.0.0.1", 0) as slow:
        assert await exchange(slow.port) == b""
        assert await exchange(slow.port, b"GET /health HTTP/1.1\r\nHost:") == b""


async def test_a_body_far_over_the_limit_is_answered_and_not_read_to_its_end(listener: Listener) -> None:
    head = b"POST /api/v1/workflow/schedules HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    chunk = b" " * 65536
    try:
        writer.write(head)
        for _ in range(20):  # past the limit by a few chunks
            writer.write(chunk)
            await writer.drain()
        answer = await asyncio.wait_for(reader.readuntil(b"}\n"), 10)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.endswith(b'{"error":"invalid JSON body"}\n')

        async def flood() -> None:
            for _ in range(10_000):
                writer.write(chunk)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await flood()
    finally:
        writer.close()


async def test_a_keep_alive_connection_serves_several_requests(listener: Listener) -> None:
    url = f"http://127.0.0.1:{listener.port}"
    async with httpx.AsyncClient(base_url=url) as client:
        for _ in range(3):
            answer = await client.post("/api/v1/workflow/events", json={"type": "nobody.listens"})
            assert answer.status_code == 202
            assert "date" in answer.headers
            assert "server" not in answer.headers
        # A body that the handler ignores does not spoil the next request.
        assert (await client.post("/api/v1/workflow/schedules/x/pause", content=b"g" * 200_000)).status_code == 404
        assert (await client.get("/health")).status_code == 200


async def test_requests_in_flight_finish_before_the_end(host: FakeHost) -> None:
    reached, release = held_list(host)
    listener = Listener(create_app(host.services()), "127.0.0.1", 0, grace_s=10)
    async with httpx.AsyncClient() as client, asyncio.TaskGroup() as tasks:
        async with listener:
            url = f"http://127.0.0.1:{listener.port}/api/v1/workflow/schedules"
            request = tasks.create_task(client.get(url))
            await reached.wait()
            tasks.create_task(release_once_closed(listener.port, release))
        assert (await request).status_code == 200
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", listener.port)


async def test_requests_that_outlast_the_grace_are_cut_off(host: FakeHost) -> None:
    reached, _ = held_list(host)
    async with httpx.AsyncClient() as client, asyncio.TaskGroup() as tasks:
        async with Listener(create_app(host.services()), "127.0.0.1", 0, grace_s=0.05) as listener:
            url = f"http://127.0.0.1:{listener.port}/api/v1/workflow/schedules"
            request = tasks.create_task(refused(client.get(url)))
            await reached.wait()
        assert await request


async def test_an_address_in_use_is_named(listener: Listener, host: FakeHost) -> None:
    with pytest.raises(ListenFailed, match=rf"cannot listen on 127.0.0.1:{listener.port}: Address already in use"):
        async with Listener(create_app(host.services()), "127.0.0.1", listener.port):
            pass
    with pytest.raises(ListenFailed, match=r"cannot listen on nowhere\.invalid:1"):
        async with Listener(create_app(host.services()), "nowhere.invalid", 1):
            pass


async def test_a_blank_host_means_every_interface(host: FakeHost) -> None:
    async with Listener(create_app(host.services()), "", 0) as listener:
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{listener.port}/health")).status_code == 200


def held_list(host: FakeHost) -> tuple[asyncio.Event, asyncio.Event]:
    """Make listing schedules wait; events for having been reached, and for going on."""
    reached, release = asyncio.Event(), asyncio.Event()

    async def held(*_: Any, **__: Any) -> list[Any]:
        reached.set()
        await release.wait()
        return []

    host.manager.schedules.list = held  # type: ignore[method-assign]
    return reached, release


async def release_once_closed(port: int, release: asyncio.Event) -> None:
    """Let the held request go on when nobody accepts connections any more."""

    async def closed() -> bool | None:
        with socket.socket() as probe:
            probe.setblocking(False)
            try:
                await asyncio.get_running_loop().sock_connect(probe, ("127.0.0.1", port))
            except ConnectionRefusedError:
                return True
        return None

    await eventually(closed)
    release.set()


async def refused(request: Awaitable[httpx.Response]) -> bool:
    """Whether the request ends without a good answer."""
    try:
        return (await request).status_code >= 500
    except httpx.HTTPError:
        return True
