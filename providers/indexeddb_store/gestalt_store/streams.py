"""Frames of a bidirectional stream: read, written, and cut short when what they serve has been left idle too long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from gestalt_sdk.channels import ServerContext
from gestalt_store.errors import TransactionAborted


class Frames:
    """One stream. ``expire`` may be called while the handler waits for the client."""

    def __init__(self, context: ServerContext, decode: Callable[[bytes], Any]) -> None:
        self._context = context
        self._decode = decode
        self._task: asyncio.Task[Any] | None = None
        self._reason: str | None = None

    async def run(self, handler: Callable[[Any, Frames, Any], Awaitable[None]], view: Any) -> None:
        """Run the handler; ``TransactionAborted`` when ``expire`` ended it."""
        self._task = asyncio.current_task()
        try:
            await handler(view, self, self._context)
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

    async def read(self) -> Any | None:
        """The client's next frame, None when it has sent its last."""
        data = await self._context.read()
        if data is grpc.aio.EOF:
            return None
        return self._decode(data)

    async def write(self, message: Any) -> None:
        await self._context.write(message.SerializeToString())

    async def drain(self) -> None:
        """Read and discard until the client closes."""
        while await self._context.read() is not grpc.aio.EOF:
            pass
