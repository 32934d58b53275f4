"""Frames of a bidirectional stream: read, written, and cut short when what they serve has been left idle too long."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import grpc

from gestalt_sdk.transport.channels import ServerContext
from gestalt_store.databases import View
from gestalt_store.errors import TransactionAborted
from gestalt_store.values.wire import Message

Handler: TypeAlias = "Callable[[View, Frames], Awaitable[None]]"
"""Serves one stream."""


class Frames:
    """One stream. ``expire`` may be called while the handler waits for the client."""

    def __init__(self, context: ServerContext, decode: Callable[[bytes], Message]) -> None:
        self._context = context
        self._decode = decode
        self._task: asyncio.Task[object] | None = None
        self._reason: str | None = None

    async def run(self, handler: Handler, view: View) -> None:
        """Run the handler.

        Raises:
            TransactionAborted: ``expire`` ended it.
        """
        self._task = asyncio.current_task()
        try:
            await handler(view, self)
        except asyncio.CancelledError:
            if self._reason is None or self._task is None:
                raise
            self._task.uncancel()
            raise TransactionAborted(self._reason) from None
        finally:
            self._task = None

    def expire(self, reason: str) -> None:
        """End the handler with ABORTED and this text."""
        if self._task is not None and self._reason is None:
            self._reason = reason
            self._task.cancel()

    async def read(self) -> Message | None:
        """Return the client's next frame, None when it has sent its last."""
        data = await self._context.read()
        if data is grpc.aio.EOF:
            return None
        return self._decode(data)

    async def write(self, message: Message) -> None:
        """Send a frame."""
        await self._context.write(message.SerializeToString())

    async def drain(self) -> None:
        """Read and discard until the client closes."""
        while await self._context.read() is not grpc.aio.EOF:
            pass


READ_AHEAD = 256
"""Most frames that are read before the handler asks for them."""
UNSENT_BYTES = 4 * 1024 * 1024
"""Answers that may wait for the client to take them; with more, the handler waits too."""
LAST_WRITES_S = 1.0
"""Time in which answers before a failure must reach the client."""


class PipelinedFrames(Frames):
    """Frames that are read before they are asked for, and written while the handler goes on.

    A client that sends frames without waiting for answers thus has its transaction's locks held for the time of the
    work, not for the time of round trips.
    """

    def __init__(self, context: ServerContext, decode: Callable[[bytes], Message]) -> None:
        super().__init__(context, decode)
        self._inbox: deque[bytes | None] = deque()
        self._outbox: deque[bytes] = deque()
        self._unsent = 0
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._written = asyncio.Event()
        self._queued = asyncio.Event()
        self._failure: Exception | None = None

    async def run(self, handler: Handler, view: View) -> None:
        pumps = [asyncio.create_task(self._pump_in()), asyncio.create_task(self._pump_out())]
        try:
            try:
                await super().run(handler, view)
            except Exception:
                # What was answered before the failure still reaches a client that reads.
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(self._flush(), LAST_WRITES_S)
                raise
            await self._flush()
        finally:
            for pump in pumps:
                pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*pumps, return_exceptions=True)

    async def read(self) -> Message | None:
        data = await self._next()
        return None if data is None else self._decode(data)

    async def write(self, message: Message) -> None:
        data = message.SerializeToString()
        self._outbox.append(data)
        self._unsent += len(data)
        self._queued.set()
        if self._unsent > UNSENT_BYTES:
            await self._flush()

    async def drain(self) -> None:
        while await self._next() is not None:
            pass

    async def _next(self) -> bytes | None:
        while not self._inbox:
            self._arrived.clear()
            await self._arrived.wait()
        data = self._inbox.popleft()
        self._taken.set()
        if data is None:
            self._inbox.append(None)  # so that a further read finds the end as well
        return data

    async def _flush(self) -> None:
        while self._outbox and self._failure is None:
            self._written.clear()
            await self._written.wait()
        if self._failure is not None:
            raise self._failure

    async def _pump_in(self) -> None:
        ended = False
        while not ended:
            data = await self._context.read()
            ended = data is grpc.aio.EOF
            self._inbox.append(None if ended else data)
            self._arrived.set()
            while len(self._inbox) > READ_AHEAD:
                self._taken.clear()
                await self._taken.wait()

    async def _pump_out(self) -> None:
        try:
            while True:
                while self._outbox:
                    await self._context.write(self._outbox[0])
                    self._unsent -= len(self._outbox.popleft())
                self._written.set()
                self._queued.clear()
                await self._queued.wait()
        except Exception as error:
            self._failure = error
            self._written.set()
