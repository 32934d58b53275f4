"""The transport: methods HTTP does not have, header limits, oversized bodies, and an orderly end. Raw sockets."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import socket
from typing import Any

import httpx
import pytest

from gestalt_host.http import listener as listening
from gestalt_host.http.app import CUT_OFF, create_app
from gestalt_host.http.listener import HEADER_LIMIT_BYTES, URL_LIMIT_BYTES, Listener, ListenFailed
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
    assert b"\r\ncontent-type: application/json" in head.lower()
    assert json.loads(body) == {"error": "the method of the request is none that HTTP defines"}


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
    head, _, body = (await exchange(listener.port, request_bytes)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert re.search(rb"\r\nx-request-id: [0-9a-f]{16}\r\n", head)
    assert json.loads(body) == {"error": "the request is not HTTP/1.1 or HTTP/1.0"}


async def test_headers_over_the_limit_are_refused(listener: Listener) -> None:
    line = b"x-filler: " + b"y" * 8000 + b"\r\n"
    request = b"GET /health HTTP/1.1\r\nHost: x\r\n" + line * (HEADER_LIMIT_BYTES // len(line) + 2) + b"\r\n"
    head, _, body = (await exchange(listener.port, request)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert json.loads(body) == {"error": "the header of the request is over the limit of 1048576 bytes"}


async def test_a_url_over_the_limit_is_refused_by_its_size(listener: Listener) -> None:
    def request(path_bytes: int) -> bytes:
        path = b"/api/v1/workflow/runs/" + b"r" * (path_bytes - 22)
        return b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    assert (await exchange(listener.port, request(URL_LIMIT_BYTES))).startswith(b"HTTP/1.1 404 ")
    head, _, body = (await exchange(listener.port, request(URL_LIMIT_BYTES + 1))).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 414 ")
    assert json.loads(body) == {"error": "the URL of the request is over the limit of 65535 bytes"}


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
        assert answer.startswith(b"HTTP/1.1 413 ")
        text = b"request body of 1000000000 bytes is over the limit of 1048576 bytes"
        assert answer.endswith(b'{"error":"' + text + b'"}\n')

        async def flood() -> None:
            for _ in range(10_000):
                writer.write(chunk)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await flood()
    finally:
        writer.close()


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["/api/v1/workflow/schedules", "/api/v1/workflow/events", "/api/v1/roadmap/noop"])
async def test_a_client_that_reads_when_it_has_sent_everything_gets_the_answer(
    path: str, chunked: bool, listener: Listener
) -> None:
    def send() -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", listener.port, timeout=30)
        parts = (b" " * 65536 for _ in range(200))
        headers = {} if chunked else {"Content-Length": str(200 * 65536)}
        connection.request("POST", path, body=parts, headers=headers, encode_chunked=chunked)
        answer = connection.getresponse()
        with contextlib.closing(connection):
            return answer.status, json.loads(answer.read())["error"]

    size = "more than 1048576" if chunked else "13107200"
    text = f"request body of {size} bytes is over the limit of 1048576 bytes"
    assert await asyncio.to_thread(send) == (413, text)


async def test_a_client_that_waits_for_100_continue_need_not_send_a_body_that_is_too_large(listener: Listener) -> None:
    head = b"POST /api/v1/workflow/events HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: "
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(head + b"1048577\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nconnection: close\r\n" in answer
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(head + b"12\r\n\r\n")
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).startswith(b"HTTP/1.1 100 ")
    writer.write(b'{"type":"x"}')
    assert (await asyncio.wait_for(reader.readuntil(b"}\n"), 10)).startswith(b"HTTP/1.1 202 ")
    writer.close()


async def test_what_comes_of_a_body_after_the_answer_is_never_a_request(listener: Listener) -> None:
    head = b"POST /api/v1/nope HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(head)
    assert b"HTTP/1.1 404 " in await asyncio.wait_for(reader.readuntil(b"}\n"), 10)
    writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()


async def test_nothing_is_answered_to_a_request_whose_rest_is_no_http(
    host: FakeHost, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    reached, release = held_list(host)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"GET /api/v1/workflow/schedules HTTP/1.1\r\nHost: x\r\n\r\n")
    await reached.wait()
    writer.write(b"\x00\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.count(b"\r\n\r\n") == 1
    assert answer.startswith(b"HTTP/1.1 400 ")
    release.set()
    await eventually_idle(listener)
    assert "Exception" not in caplog.text
    writer.close()


async def test_a_client_that_lingers_is_not_waited_for_long(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "BODY_REST_TIMEOUT_S", 0.05)
    async with Listener(create_app(host.services()), "127.0.0.1", 0) as hurried:
        reader, writer = await asyncio.open_connection("127.0.0.1", hurried.port)
        writer.write(b"POST /api/v1/nope HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        assert b"HTTP/1.1 404 " in await asyncio.wait_for(reader.read(), 10)

        async def broken() -> bool | None:
            try:
                writer.write(b" ")
                await writer.drain()
            except ConnectionError:
                return True
            return None

        await eventually(broken)
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
            request = tasks.create_task(client.get(url))
            await reached.wait()
    answer = request.result()
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"error": CUT_OFF}


async def test_a_request_that_has_not_come_whole_is_not_waited_for_at_the_end(host: FakeHost) -> None:
    async with Listener(create_app(host.services()), "127.0.0.1", 0, grace_s=60) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"POST /api/v1/workflow/events HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")

        async def has_come() -> bool | None:
            return True if listener._state.tasks else None

        await eventually(has_come)
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"the server is stopping; the request was not complete and nothing of it was done" in answer


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


async def eventually_idle(listener: Listener) -> None:
    """Wait until no request is in progress."""

    async def idle() -> bool | None:
        return True if not listener._state.tasks else None

    await eventually(idle)


@pytest.mark.parametrize("split", [False, True])
async def test_an_upgrade_is_not_made_and_costs_no_body(split: bool, listener: Listener) -> None:
    """Some clients ask each server for HTTP/2 this way, with their first request."""
    body = b'{"type":"t","source":"s","data":{"text":"%s"}}' % (b"GET /health HTTP/1.1\\r\\n" * 500)
    head = (
        b"POST /api/v1/workflow/events HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAEA\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    last = b"GET /ready HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: close, upgrade\r\n\r\n"
    parts = (head, body, last) if split else (head + body + last,)
    answer = await exchange(listener.port, *parts)
    assert re.findall(rb"HTTP/1.1 ([0-9]+) ", answer) == [b"202", b"200"]
    assert answer.count(b"GET /health") == 500
