"""A load generator that costs little, as it shares the machine: keep-alive HTTP/1.1 connections written by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self


class Connection:
    """One keep-alive connection; one request at a time."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body. The server must answer with a Content-Length."""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        self._writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(answer[0].split()[1])
        length = next((int(line.split(":")[1]) for line in answer if line.lower().startswith("content-length:")), 0)
        return status, await self._reader.readexactly(length)


async def post_all(port: int, path: str, bodies: Sequence[bytes], *, clients: int) -> list[int]:
    """Post every body over so many connections; statuses in the order of completion."""
    queue = iter(bodies)
    statuses: list[int] = []

    async def client() -> None:
        async with Connection("127.0.0.1", port) as connection:
            for body in queue:
                status, _ = await connection.request("POST", path, body)
                statuses.append(status)

    await asyncio.gather(*(client() for _ in range(clients)))
    return statuses
