"""Clients that open connections and do not finish what they began: they hold up nobody. Raw sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from gestalt_host.http import call as calls
from gestalt_host.http import listener as listening
from gestalt_host.http.app import create_app
from gestalt_host.http.connections import Capacity, Connections
from gestalt_host.http.listener import ClientConnection, Listener
from gestalt_host.invocation.model import Invocation, OperationResult
from tests.support.fakes.host import FakeHost
from tests.support.waiting import eventually

GET = b"GET /api/v1/workflow/schedules HTTP/1.1\r\nHost: x\r\n\r\n"
HALF = b'POST /api/v1/workflow/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"type"'

_EVENT = b'{"type": "t", "source": "s", "data": {"text": "%s"}}' % (b"x" * 900_000)
ECHO = b"POST /api/v1/workflow/events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(_EVENT) + _EVENT
"""Its answer has as many bytes; 24 are more than the buffers of a connection hold."""


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def says(self, text: bytes) -> None:
        self.writer.write(text)
        await self.writer.drain()

    async def answer(self) -> bytes:
        """Everything until the server closes."""
        async with asyncio.timeout(20):
            return await self.reader.read()

    async def status(self) -> bytes:
        async with asyncio.timeout(20):
            return (await self.reader.readuntil(b"\r\n")).split()[1]


@asynccontextmanager
async def clients(port: int, number: int, text: bytes = b"") -> AsyncIterator[list[Client]]:
    """So many connections, one after the other, each having said ``text``."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(number):
            client = Client(*await asyncio.open_connection("127.0.0.1", port))
            stack.callback(client.writer.close)
            await client.says(text)
            made.append(client)
        yield made


def connections_of(listener: Listener) -> list[ClientConnection]:
    """The connections that the listener has open."""
    return [item for item in listener.connections._open if isinstance(item, ClientConnection)]


async def one_connection(listener: Listener) -> ClientConnection | None:
    return next(iter(connections_of(listener)), None)


async def holds(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""

    async def probe() -> bool | None:
        return condition() or None

    await eventually(probe)


@asynccontextmanager
async def listening_for(host: FakeHost, most: int) -> AsyncIterator[Listener]:
    async with Listener(create_app(host.services()), "127.0.0.1", 0, capacity=Capacity(most, 4, 16)) as listener:
        yield listener


async def test_half_sent_bodies_are_answered_and_their_connections_closed(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "BODY_TIMEOUT_S", 0.2)
    async with clients(listener.port, 40, HALF) as waiting:
        for client in waiting:
            head, _, body = (await client.answer()).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 408 ")
            assert b"connection: close" in head
            assert (
                body
                == b'{"error":"of 1000 bytes of the request\'s body 7 came and no more; the connection is closed"}\n'
            )


async def test_a_body_that_comes_slowly_is_told_so_at_the_end_of_its_time(host: FakeHost) -> None:
    async with Listener(create_app(host.services(), handler_timeout_s=0.2), "127.0.0.1", 0) as listener:
        chunks = b"POST /api/v1/workflow/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
        async with clients(listener.port, 1, chunks) as (client,):
            head, _, body = (await client.answer()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"in chunks, 1 came and no more" in body


async def test_the_rest_of_a_body_that_nobody_reads_is_not_awaited_for_ever(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "BODY_REST_TIMEOUT_S", 0.1)
    ignored = HALF.replace(b"workflow/events", b"workflow/schedules/x/pause")
    async with clients(listener.port, 1, ignored) as (client,):
        assert (await client.answer()).startswith(b"HTTP/1.1 404 ")


async def test_what_is_no_request_keeps_no_connection(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    listener._config.timeout_keep_alive = 0
    async with clients(listener.port, 1, GET + b"\r\n") as (client,):
        assert (await client.answer()).startswith(b"HTTP/1.1 200 ")


async def test_at_the_limit_the_one_that_waits_longest_gives_way(
    host: FakeHost, capfd: pytest.CaptureFixture[str]
) -> None:
    async with listening_for(host, 8) as listener:
        async with clients(listener.port, 4, GET) as idle, clients(listener.port, 4, HALF) as unfinished:
            for client in idle:
                assert await client.status() == b"200"
            assert listener.connections.lack == ""
            async with clients(listener.port, 6, GET) as others:
                for client in others:
                    assert await client.status() == b"200"
                for client in idle:
                    assert b"HTTP/1.1 503" not in await client.answer()  # Idle ones are closed without a word.
                for client in unfinished[:2]:
                    answer = await client.answer()
                    assert answer.startswith(b"HTTP/1.1 503 ")
                    assert b'{"error":"the server has no room for more than 8 connections; try again"}' in answer
                assert listener.connections.lack == "connections are at their limit of 8 (server.public.maxConnections)"
                assert listener.connections.turned_away == 6

        async def room() -> bool | None:
            return True if listener.connections.lack == "" else None

        await eventually(room)
    assert capfd.readouterr().out.count("connections are at their limit") == 1


async def test_requests_in_work_are_kept_and_who_comes_then_is_told(host: FakeHost) -> None:
    release = asyncio.Event()
    asked = 0

    async def held(*_: object, **__: object) -> list[object]:
        nonlocal asked
        asked += 1
        await release.wait()
        return []

    host.manager.schedules.list = held  # type: ignore[assignment,method-assign]

    async def all_asked() -> bool | None:
        return True if asked == 3 else None

    async with listening_for(host, 3) as listener, clients(listener.port, 3, GET) as busy:
        await eventually(all_asked)
        async with clients(listener.port, 1, GET) as (late,):
            answer = await late.answer()
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"connection: close" in answer
        release.set()
        for client in busy:
            assert await client.status() == b"200"


async def test_of_requests_sent_ahead_few_are_taken_up_and_all_are_answered(listener: Listener) -> None:
    several = 5_000
    async with clients(listener.port, 1) as [client]:
        sending = asyncio.create_task(client.says(GET * several))
        connection = await eventually(lambda: one_connection(listener))
        most = 0
        for _ in range(several):
            async with asyncio.timeout(20):
                head = await client.reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200 ")
                await client.reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))
            most = max(most, len(connection.pipeline))
        await sending
        assert most <= listening.PIECE_BYTES / len(GET) + 1


async def test_bodies_of_requests_sent_ahead_arrive_whole(listener: Listener) -> None:
    last = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with clients(listener.port, 1) as [client]:
        sending = asyncio.create_task(client.says((GET + ECHO) * 5 + last))
        answer = await client.answer()
        await sending
    assert answer.count(b"HTTP/1.1 200 ") == 6
    assert answer.count(b"HTTP/1.1 202 ") == 5
    assert answer.count(b"x" * 900_000) == 5


async def test_a_client_that_takes_no_answers_is_not_waited_for_for_ever(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "TAKE_TIMEOUT_S", 0.2)
    with capture_logs() as logs:
        async with clients(listener.port, 1) as [client]:
            sending = asyncio.create_task(client.says(ECHO * 24))
            with pytest.raises(ConnectionError):
                async with asyncio.timeout(20):
                    await sending
            await holds(lambda: not connections_of(listener))
    assert [entry["event_name"] for entry in logs] == ["http.broken_off"]


async def test_a_client_that_takes_no_answers_gives_way(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "STALLED_AFTER_S", 0.0)
    async with listening_for(host, 2) as listener, clients(listener.port, 2) as stalled:
        sending = [asyncio.create_task(client.says(ECHO * 24)) for client in stalled]
        await holds(lambda: [item.flow.write_paused for item in connections_of(listener)] == [True, True])
        async with clients(listener.port, 1, GET) as [other]:
            assert await other.status() == b"200"
        for task in sending:
            task.cancel()


async def test_a_flood_never_takes_more_than_its_share(host: FakeHost) -> None:
    async with listening_for(host, 8) as listener, clients(listener.port, 100, b"GET / HT"):
        places = listener.connections
        assert len(places._open) <= 8
        assert len(places._closing) <= 4


@pytest.mark.parametrize(
    ("wanted", "files", "expected"),
    [(4096, 1024, (307, 128)), (100, 1024, (100, 128)), (4096, 65_536, (4096, 2048)), (4096, 256, (76, 32))],
)
def test_connections_take_no_more_than_half_of_the_descriptors(
    wanted: int, files: int, expected: tuple[int, int]
) -> None:
    capacity = Capacity.of(wanted, files)
    assert (capacity.most, capacity.backlog) == expected
    assert capacity.most + capacity.closing + capacity.backlog <= files // 2


@dataclass(eq=False)
class FakeConnection:
    waits_for_client: bool = True
    told: list[str] = field(default_factory=list)

    def give_way(self, text: str) -> None:
        self.told.append(text)

    def abort(self) -> None:
        self.told.append("aborted")


def test_who_was_served_last_gives_way_last() -> None:
    connections = Connections(Capacity(2, 1, 1))
    first, second, third, fourth = (FakeConnection() for _ in range(4))
    connections.enter(first)
    connections.enter(second)
    connections.served(first)
    connections.enter(third)
    assert (len(first.told), len(second.told)) == (0, 1)
    connections.enter(fourth)
    assert len(first.told) == 1
    assert second.told[1:] == ["aborted"]  # One that was told to go has its place until the next one is.


async def test_a_client_that_goes_away_cancels_its_call_of_a_plugin(
    listener: Listener, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def never(_: Invocation) -> OperationResult:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    name = next(iter(host.plugins)).name
    monkeypatch.setattr(host.runner(name), "invoke", never)
    begin = f"/api/v1/{name}/noop HTTP/1.1\r\nHost: x\r\n"
    for text in (f"GET {begin}\r\n", f"POST {begin}Content-Length: 2\r\n\r\n{{}}"):
        begun.clear()
        ended.clear()
        with capture_logs() as logs:
            async with clients(listener.port, 1, text.encode()), asyncio.timeout(20):
                await begun.wait()
            async with asyncio.timeout(20):
                await ended.wait()
            await holds(lambda: "http.client_gone" in [line["event_name"] for line in logs])
