"""Frames of a bidirectional stream: read, written, and cut short when what they serve has been left idle too long."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import grpc

from gestalt_sdk.transport.channels import ServerContext
from gestalt_store.databases import View
from gestalt_store.engines.idle import Expirable
from gestalt_store.engines.scope_use import Held, StreamUse
from gestalt_store.errors import LimitReached, StoreError, TransactionAborted
from gestalt_store.values.wire import Message

Handler: TypeAlias = "Callable[[View, Frames], Awaitable[None]]"
"""Serves one stream."""


class Frames(Expirable):
    """One stream. ``fail`` ends the handler from outside; so does the idle limit, while it waits for the client."""

    def __init__(
        self, context: ServerContext, decode: Callable[[bytes], Message], use: StreamUse, idle_limit_s: float
    ) -> None:
        """``idle_limit_s`` holds until the handler knows what the client opens, and sets it anew."""
        super().__init__(idle_limit_s)
        self.use = use
        self._context = context
        self._decode = decode
        self._task: asyncio.Task[object] | None = None
        self._failed: StoreError | None = None
        self._received = Held(use)
        self._sending = Held(use)

    async def run(self, handler: Handler, view: View) -> None:
        """Run the handler.

        Raises:
            StoreError: the handler's own, or the one that ``fail`` was given.
        """
        self._task = asyncio.current_task()
        view.watch.add(self)
        try:
            with self.in_use():
                await handler(view, self)
        except asyncio.CancelledError:
            if self._failed is None or self._task is None:
                raise
            self._task.uncancel()
            raise self._failed from None
        finally:
            view.watch.remove(self)
            self._task = None

    def expire(self) -> None:
        self.end_idle(self.reason)

    def end_idle(self, reason: str) -> None:
        """End the handler with ABORTED and this text."""
        self.fail(TransactionAborted(reason))

    def fail(self, error: StoreError) -> None:
        """End the handler with this error."""
        if self._task is not None and self._failed is None:
            self._failed = error
            self._task.cancel()

    async def read(self) -> Message | None:
        """Return the client's next frame, None when it has sent its last."""
        with self.waiting():
            data = await self._context.read()
        if data is grpc.aio.EOF:
            return None
        self._received.set(len(data))
        return self._decode(data)

    async def write(self, message: Message) -> None:
        """Send a frame."""
        data = message.SerializeToString()
        del message  # it may be large, and the client may be slow
        await self._send(data)

    async def drain(self) -> None:
        """Read and discard until the client closes."""
        with self.waiting():
            while await self._context.read() is not grpc.aio.EOF:
                pass

    def waiting(self) -> _Waiting:
        """Apply the idle limit for the time of a ``with``: the client has its turn."""
        return _Waiting(self)

    async def _send(self, data: bytes) -> None:
        self._sending.set(COPIES * len(data))
        with self.waiting():
            await self._context.write(data)
        self._sending.set(0)


class _Waiting:
    """The reverse of ``InUse``."""

    __slots__ = ("_item",)

    def __init__(self, item: Expirable) -> None:
        self._item = item

    def __enter__(self) -> None:
        self._item.busy -= 1
        self._item.last_used = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._item.busy += 1


COPIES = 2
"""How often a frame is in memory while it is sent: here, and in what grpc passes on."""
READ_AHEAD = 256
"""Most frames that are read before the handler asks for them."""
READ_AHEAD_BYTES = 4 * 1024 * 1024
"""Frames that wait for the handler; with more, none is read until it has taken some."""
UNSENT_BYTES = 4 * 1024 * 1024
"""Answers that may wait for the client to take them; with more, the handler waits too."""
LAST_WRITES_S = 1.0
"""Time in which answers before a failure must reach the client."""


class PipelinedFrames(Frames):
    """Frames that are read before they are asked for, and written while the handler goes on.

    A client that sends frames without waiting for answers thus has its transaction's locks held for the time of the
    work, not for the time of round trips.
    """

    def __init__(
        self, context: ServerContext, decode: Callable[[bytes], Message], use: StreamUse, idle_limit_s: float
    ) -> None:
        super().__init__(context, decode, use, idle_limit_s)
        self._inbox: deque[bytes | None] = deque()
        self._outbox: deque[bytes] = deque()
        self._in_hand = 0
        self._unread = 0
        self._unsent = 0
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._written = asyncio.Event()
        self._queued = asyncio.Event()
        self._failure: Exception | None = None

    async def run(self, handler: Handler, view: View) -> None:
        async def serve(view: View, frames: Frames) -> None:
            await handler(view, frames)
            with self.waiting():
                await self._flush()

        pumps = [asyncio.create_task(self._pump_in()), asyncio.create_task(self._pump_out())]
        try:
            try:
                await super().run(serve, view)
            except Exception:
                # What was answered before the failure still reaches a client that reads.
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(self._flush(), LAST_WRITES_S)
                raise
        finally:
            for pump in pumps:
                pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*pumps, return_exceptions=True)

    async def read(self) -> Message | None:
        data = await self._next()
        return None if data is None else self._decode(data)

    async def _send(self, data: bytes) -> None:
        self._sending.set(COPIES * (self._unsent + len(data)))
        self._outbox.append(data)
        self._unsent += len(data)
        self._queued.set()
        if self._unsent > UNSENT_BYTES:
            with self.waiting():
                await self._flush()

    async def drain(self) -> None:
        while await self._next() is not None:
            pass

    async def _next(self) -> bytes | None:
        if not self._inbox:
            with self.waiting():
                while not self._inbox:
                    self._arrived.clear()
                    await self._arrived.wait()
        data = self._inbox.popleft()
        self._taken.set()
        if data is None:
            self._inbox.append(None)  # so that a further read finds the end as well
        else:
            # The frame before has been dealt with; this one is held until the next is asked for.
            self._received.set(self._unread)
            self._in_hand = len(data)
            self._unread -= len(data)
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
            if not ended:
                self._unread += len(data)
                try:
                    self._received.set(self._in_hand + self._unread)
                except LimitReached as error:
                    self.fail(error)
                    return
            self._inbox.append(None if ended else data)
            self._arrived.set()
            while len(self._inbox) > READ_AHEAD or self._unread > READ_AHEAD_BYTES:
                self._taken.clear()
                await self._taken.wait()

    async def _pump_out(self) -> None:
        try:
            while True:
                while self._outbox:
                    await self._context.write(self._outbox[0])
                    self._unsent -= len(self._outbox.popleft())
                    self._sending.set(COPIES * self._unsent)
                self._written.set()
                self._queued.clear()
                await self._queued.wait()
        except Exception as error:
            self._failure = error
            self._written.set()
