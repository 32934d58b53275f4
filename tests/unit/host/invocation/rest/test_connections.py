"""Connections are used again, and closed when nobody needs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpcore
import pytest

from gestalt_host.invocation.rest.connections import MOST_IDLE, Connections, UsedConnectionEnded
from gestalt_host.invocation.rest.dialling import CheckedDialling, Resolver
from gestalt_host.invocation.rest.egress import EgressRules
from tests.support.waiting import eventually

HERE = CheckedDialling(EgressRules(("127.0.0.1",)), Resolver())


class Service:
    """Counts its connections, and answers each request until ``answers`` is cleared."""

    def __init__(self) -> None:
        self.opened = self.closed = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        try:
            while await reader.readline():
                await reader.readuntil(b"\r\n\r\n")
                if not self.answers.is_set():
                    break
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionResetError):
            pass
        self.closed += 1
        writer.close()

    async def all_are_closed(self) -> bool | None:
        return True if self.closed == self.opened else None


@asynccontextmanager
async def serving() -> AsyncIterator[Service]:
    service = Service()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield service
    finally:
        server.close()


async def asked(connections: Connections, url: str, *, read: bool = True) -> None:
    exchange = await connections.exchange(httpcore.Request("GET", url, headers={"Host": "test"}))
    if read:
        await exchange.response.aread()
    await exchange.close()


async def test_a_connection_is_used_again_once_its_answer_has_been_read() -> None:
    async with serving() as service:
        connections = Connections(HERE, None)
        for _ in range(3):
            await asked(connections, service.url)
        assert service.opened == 1
        await asked(connections, service.url, read=False)
        await asked(connections, service.url)
        assert service.opened == 2
        await connections.close()
        await eventually(service.all_are_closed)


async def test_what_nobody_uses_any_more_is_closed() -> None:
    async with serving() as service:
        connections = Connections(HERE, None, idle_s=0.05)
        await asyncio.gather(*(asked(connections, service.url) for _ in range(5)))
        await eventually(service.all_are_closed)
        await asked(connections, service.url)
        await eventually(service.all_are_closed)
        await connections.close()


async def test_no_more_are_kept_than_the_limit() -> None:
    async with serving() as service:
        connections = Connections(HERE, None, idle_s=60)
        requests = [httpcore.Request("GET", service.url, headers={"Host": "test"}) for _ in range(MOST_IDLE + 3)]
        for exchange in await asyncio.gather(*map(connections.exchange, requests)):
            await exchange.response.aread()
            await exchange.close()
        assert service.opened == MOST_IDLE + 3

        async def three_are_closed() -> bool | None:
            return True if service.opened - service.closed == MOST_IDLE else None

        await eventually(three_are_closed)
        await connections.close()
        await eventually(service.all_are_closed)


async def test_a_new_connection_is_told_from_one_that_was_used() -> None:
    async with serving() as service:
        connections = Connections(HERE, None)
        await asked(connections, service.url)
        service.answers.clear()
        with pytest.raises(UsedConnectionEnded):
            await asked(connections, service.url)
        with pytest.raises(httpcore.RemoteProtocolError):
            await asked(connections, service.url)
        await connections.close()
        await eventually(service.all_are_closed)


async def test_closing_ends_an_exchange_that_is_on_its_way() -> None:
    async with serving() as service:
        connections = Connections(HERE, None)
        exchange = await connections.exchange(httpcore.Request("GET", service.url, headers={"Host": "test"}))
        await connections.close()
        await exchange.close()
        await eventually(service.all_are_closed)
