"""IndexedDB in front of a store that has no scopes, for a binding that may use only some object stores.

Frames pass as the bytes that they arrived in; only the store's name is read, and whether a DeleteRange has its range.
Another store than the allowed ones is NOT_FOUND on every call (contract.md 5.5, 5.8).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

import grpc
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.transport.channels import ServerContext
from gestalt_sdk.transport.faults import end_call

SERVICE = "gestalt.provider.v1.IndexedDB"
NOT_FOUND = "datastore: not found"
RANGE_REQUIRED = "key range is required for DeleteRange"
DEADLINE_S = 30.0

Stores = Callable[[bytes], list[str]]
"""Names of the stores that a request, or the first frame of a stream, is about."""
UnaryHandler = Callable[[bytes, ServerContext], Awaitable[bytes]]
StreamHandler = Callable[[AsyncIterator[bytes], ServerContext], AsyncIterator[bytes]]


def indexeddb_relay(
    channel: grpc.aio.Channel, object_stores: Iterable[str]
) -> Callable[[grpc.aio.Server], Sequence[str]]:
    """Make the ``register`` of a relay to the channel that lets only the named object stores through."""
    relay = _Relay(channel, frozenset(object_stores))

    def register(server: grpc.aio.Server) -> Sequence[str]:
        handlers = {}
        for method in pb.DESCRIPTOR.services_by_name["IndexedDB"].methods:
            path = f"/{SERVICE}/{method.name}"
            if method.client_streaming:
                stores = _FIRST_FRAMES[method.name]
                handlers[method.name] = grpc.stream_stream_rpc_method_handler(relay.stream(path, stores))
            else:
                handlers[method.name] = grpc.unary_unary_rpc_method_handler(relay.unary(path))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        return [SERVICE]

    return register


class _Relay:
    def __init__(self, channel: grpc.aio.Channel, allowed: frozenset[str]) -> None:
        self._channel = channel
        self._allowed = allowed

    def unary(self, path: str) -> UnaryHandler:
        call = self._channel.unary_unary(path)

        async def handle(request: bytes, context: ServerContext) -> bytes:
            await self._check(request, _store_of_call, context)
            if path.endswith("/DeleteRange") and not _has_range(request):
                # A store takes it for every record (contract.md 5.5).
                await end_call(context, grpc.StatusCode.INVALID_ARGUMENT, RANGE_REQUIRED)
            remaining = context.time_remaining()
            try:
                answer: bytes = await call(request, timeout=min(remaining or DEADLINE_S, DEADLINE_S))
            except grpc.aio.AioRpcError as error:
                await end_call(context, error.code(), error.details() or "")
            return answer

        return handle

    def stream(self, path: str, stores: Stores) -> StreamHandler:
        open_stream = self._channel.stream_stream(path)
        is_transaction = path.endswith("/Transaction")

        async def handle(frames: AsyncIterator[bytes], context: ServerContext) -> AsyncIterator[bytes]:
            first = await anext(frames, None)
            if first is None:
                return
            await self._check(first, stores, context)
            begin = pb.TransactionClientMessage.FromString(first).begin if is_transaction else None
            refused: list[bytes] = []

            async def outgoing() -> AsyncIterator[bytes]:
                yield first
                async for frame in frames:
                    if begin is not None and (refusal := _refusal(begin, frame)):
                        refused.extend(refusal)
                        return  # the store answers what came before, and drops the transaction
                    yield frame

            call = open_stream(outgoing())
            try:
                async for frame in call:
                    yield frame
            except grpc.aio.AioRpcError as error:
                if not refused:
                    await end_call(context, error.code(), error.details() or "")
            except asyncio.CancelledError:
                call.cancel()
                raise
            finally:
                if not call.done():
                    call.cancel()
            for frame in refused:
                yield frame
            if refused:
                async for _ in frames:  # until the client has read that it failed
                    pass

        return handle

    async def _check(self, data: bytes, stores: Stores, context: ServerContext) -> None:
        try:
            names = stores(data)
        except DecodeError:
            await end_call(context, grpc.StatusCode.INTERNAL, "the request cannot be decoded")
        except _WrongFrame as error:
            # Refused here: a store that took a later frame as the first would serve stores that were not checked.
            await end_call(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if not self._allowed.issuperset(names):
            await end_call(context, grpc.StatusCode.NOT_FOUND, NOT_FOUND)


class _WrongFrame(Exception):
    """A stream does not begin as it must."""


def _store_of_call(data: bytes) -> list[str]:
    # Field 1 of every unary request names the object store; the rest of the message is not decoded.
    return [pb.ObjectStoreNameRequest.FromString(data).store]


def _has_range(data: bytes) -> bool:
    try:
        return pb.ObjectStoreRangeRequest.FromString(data).HasField("range")
    except DecodeError:
        return True  # the store refuses it


def _refusal(begin: pb.BeginTransactionRequest, data: bytes) -> list[bytes]:
    """Return the frames that refuse a deletion without range as a store refuses an operation, none for other frames.

    What the store refuses itself passes: a frame that cannot be decoded, a write that the transaction may not make.
    """
    try:
        operation = pb.TransactionClientMessage.FromString(data).operation
    except DecodeError:
        return []
    if operation.WhichOneof("operation") != "delete_range" or operation.delete_range.HasField("range"):
        return []
    if begin.mode != pb.TRANSACTION_READWRITE or operation.delete_range.store not in begin.stores:
        return []
    error = status_pb2.Status(code=grpc.StatusCode.INVALID_ARGUMENT.value[0], message=RANGE_REQUIRED)
    answer = pb.TransactionOperationResponse(request_id=operation.request_id, error=error)
    return [
        pb.TransactionServerMessage(operation=answer).SerializeToString(),
        pb.TransactionServerMessage(abort=pb.TransactionAbortResponse()).SerializeToString(),
    ]


def _stores_of_cursor(data: bytes) -> list[str]:
    message = pb.CursorClientMessage.FromString(data)
    if message.WhichOneof("msg") != "open":
        raise _WrongFrame("first message must be OpenCursorRequest")
    return [message.open.store]


def _stores_of_transaction(data: bytes) -> list[str]:
    message = pb.TransactionClientMessage.FromString(data)
    if message.WhichOneof("msg") != "begin":
        raise _WrongFrame("first message must be BeginTransactionRequest")
    return list(message.begin.stores)


_FIRST_FRAMES: dict[str, Stores] = {"OpenCursor": _stores_of_cursor, "Transaction": _stores_of_transaction}
