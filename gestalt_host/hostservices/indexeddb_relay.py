"""IndexedDB in front of a store that has no scopes, for a binding that may use only some object stores.

Frames pass as the bytes that they arrived in; only the store's name is read. Another store than the allowed ones is
NOT_FOUND on every call (contract.md 5.5, 5.8).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from gestalt_sdk.channels import ServerContext
from gestalt_sdk.gen.v1 import datastore_pb2 as pb

SERVICE = "gestalt.provider.v1.IndexedDB"
NOT_FOUND = "datastore: not found"
DEADLINE_S = 30.0

UnaryHandler = Callable[[bytes, ServerContext], Awaitable[bytes]]
StreamHandler = Callable[[AsyncIterator[bytes], ServerContext], AsyncIterator[bytes]]


def indexeddb_relay(
    channel: grpc.aio.Channel, object_stores: Iterable[str]
) -> Callable[[grpc.aio.Server], Sequence[str]]:
    """The ``register`` of a relay to the channel that lets only the named stores through."""
    relay = _Relay(channel, frozenset(object_stores))

    def register(server: grpc.aio.Server) -> Sequence[str]:
        handlers = {}
        for method in pb.DESCRIPTOR.services_by_name["IndexedDB"].methods:
            request_class = GetMessageClass(method.input_type)
            path = f"/{SERVICE}/{method.name}"
            if method.client_streaming:
                handlers[method.name] = grpc.stream_stream_rpc_method_handler(relay.stream(path, request_class))
            else:
                handlers[method.name] = grpc.unary_unary_rpc_method_handler(relay.unary(path, request_class))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        return [SERVICE]

    return register


class _Relay:
    def __init__(self, channel: grpc.aio.Channel, allowed: frozenset[str]) -> None:
        self._channel = channel
        self._allowed = allowed

    def unary(self, path: str, request_class: type[Message]) -> UnaryHandler:
        call = self._channel.unary_unary(path)

        async def handle(request: bytes, context: ServerContext) -> bytes:
            await self._check(request, request_class, context)
            remaining = context.time_remaining()
            try:
                answer: bytes = await call(request, timeout=min(remaining or DEADLINE_S, DEADLINE_S))
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "")
            return answer

        return handle

    def stream(self, path: str, request_class: type[Message]) -> StreamHandler:
        open_stream = self._channel.stream_stream(path)

        async def handle(frames: AsyncIterator[bytes], context: ServerContext) -> AsyncIterator[bytes]:
            first = await anext(frames, None)
            if first is None:
                return
            await self._check(first, request_class, context)

            async def outgoing() -> AsyncIterator[bytes]:
                yield first
                async for frame in frames:
                    yield frame

            call = open_stream(outgoing())
            try:
                async for frame in call:
                    yield frame
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "")
            except asyncio.CancelledError:
                call.cancel()
                raise
            finally:
                if not call.done():
                    call.cancel()

        return handle

    async def _check(self, data: bytes, request_class: type[Message], context: ServerContext) -> None:
        try:
            message = request_class.FromString(data)
        except DecodeError:
            await context.abort(grpc.StatusCode.INTERNAL, "the request cannot be decoded")
        if not self._allowed.issuperset(_stores(message)):
            await context.abort(grpc.StatusCode.NOT_FOUND, NOT_FOUND)


def _stores(message: Any) -> list[str]:
    """Names of the stores that a request, or the first frame of a stream, is about."""
    if isinstance(message, pb.CursorClientMessage):
        return [message.open.store]
    if isinstance(message, pb.TransactionClientMessage):
        return list(message.begin.stores)
    if isinstance(message, (pb.CreateObjectStoreRequest, pb.DeleteObjectStoreRequest)):
        return [message.name]
    return [message.store]
