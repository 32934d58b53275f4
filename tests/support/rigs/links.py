"""Servers in this process that the host's clients talk to over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from gestalt_host.supervisor.links import CallsUnderWay
from gestalt_sdk.transport.channels import SERVER_OPTIONS, open_channel
from gestalt_sdk.transport.environment import Address


class Link:
    """A provider's process as the host sees it, without the process."""

    def __init__(self, name: str, channel: grpc.aio.Channel, capabilities: frozenset[str]) -> None:
        self.name = name
        self.channel = channel
        self.capabilities = capabilities
        self.calls = CallsUnderWay()
        self.ready = asyncio.Event()
        self.ready.set()
        self.down: Exception | None = None

    async def wait_ready(self, timeout_s: float) -> None:
        if self.down is not None:
            raise self.down
        async with asyncio.timeout(timeout_s):
            await self.ready.wait()


@asynccontextmanager
async def serving(
    register: Callable[[grpc.aio.Server], Any], directory: Path, name: str, capabilities: frozenset[str] = frozenset()
) -> AsyncIterator[Link]:
    """A server on a socket in the directory, and the link to it."""
    path = directory / f"{name}.sock"
    server = grpc.aio.server(options=SERVER_OPTIONS)
    register(server)
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    channel = open_channel(Address(f"unix:{path}"))
    try:
        yield Link(name, channel, capabilities)
    finally:
        await channel.close()
        await server.stop(0)
