"""The store in memory behind somebody who counts what goes by and can be told to be silent or to fail a commit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from tests.support.fakes.store_engine import EngineDatabase, serving_memory_store

Service = Callable[[Any], Awaitable[Any]]


class ScriptedStore(grpc.aio.ServerInterceptor):
    """One database, served as often as a test likes.

    Attributes:
        calls: RPCs by name.
        frames: Of transactions the kind of each message, of cursors each command, as they came.
        hang: Answer nothing more, but for the beginning of a transaction.
        commit_error: gRPC code and text that a commit gets; what it would have written is not.
    """

    def __init__(self, *, extensions: bool = False) -> None:
        """``extensions``: serve the ones of our store too."""
        self._extensions = extensions
        self._database = EngineDatabase()
        self.calls: Counter[str] = Counter()
        self.frames: list[str] = []
        self.hang = False
        self.commit_error: tuple[int, str] | None = None

    @asynccontextmanager
    async def serving(self, path: Path) -> AsyncIterator[None]:
        """Serve it on the unix socket ``path``."""
        async with serving_memory_store(path, database=self._database, interceptors=[self]):
            yield

    async def intercept_service(self, continuation: Service, details: grpc.HandlerCallDetails) -> Any:
        service, _, name = details.method.strip("/").partition("/")
        if "extension" in service and not self._extensions:
            return None
        self.calls[name] += 1
        handler = await continuation(details)
        if handler is None:
            return None
        if handler.request_streaming:

            async def stream(requests: Any, context: Any) -> None:
                await handler.stream_stream(requests, _Frames(self, name, context))

            return grpc.stream_stream_rpc_method_handler(stream)

        async def unary(request: bytes, context: Any) -> bytes:
            await self.silence()
            answer: bytes = await handler.unary_unary(request, context)
            return answer

        return grpc.unary_unary_rpc_method_handler(unary)

    async def silence(self) -> None:
        """Wait for ever when told to."""
        if self.hang:
            await asyncio.Event().wait()


class _Frames:
    """The context of one stream as the store's edge reads and writes it."""

    def __init__(self, store: ScriptedStore, name: str, context: Any) -> None:
        self._store = store
        self._name = name
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def read(self) -> Any:
        data = await self._context.read()
        if data is grpc.aio.EOF:
            return data
        if self._name == "OpenCursor":
            message = pb.CursorClientMessage.FromString(data)
            if message.HasField("command"):
                self._store.frames.append(str(message.command.WhichOneof("command")))
            return data
        kind = str(pb.TransactionClientMessage.FromString(data).WhichOneof("msg"))
        self._store.frames.append(kind)
        if kind != "begin":
            await self._store.silence()
        if kind == "commit" and self._store.commit_error is not None:
            answer = pb.TransactionServerMessage(commit={})
            answer.commit.error.code, answer.commit.error.message = self._store.commit_error
            await self._context.write(answer.SerializeToString())
            return grpc.aio.EOF
        return data
