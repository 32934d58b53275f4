"""The gRPC edge: IndexedDB, IndexedDBBatch and IndexedDBSchemas on a server, and the status of every error.

Requests and answers are bytes to grpc. They are read with the classes of ``wire``, which leaves records as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeAlias

import grpc
import structlog
from google.protobuf.message import DecodeError

from gestalt_sdk.errors import GestaltError
from gestalt_sdk.transport.channels import ServerContext
from gestalt_sdk.transport.faults import end_call, end_call_with, status_of
from gestalt_store.databases import SocketAccess, View
from gestalt_store.edge import batch
from gestalt_store.edge.cursor_stream import cursor_stream
from gestalt_store.edge.streams import COPIES, LAST_WRITES_S, Frames, Handler, PipelinedFrames
from gestalt_store.edge.transaction_stream import transaction_stream
from gestalt_store.engines.scope_use import SERVED, ScopeUse, StreamUse
from gestalt_store.errors import FAULTS, AnswerTooLarge, IndexNotFound, ObjectStoreNotFound, Undecodable
from gestalt_store.values import wire
from gestalt_store.values.schema import IndexSchema, StoreSchema
from gestalt_store.values.values import read_record
from gestalt_store.values.wire import Message, MessageClass
from gestalt_store.work.entries import migration_message
from gestalt_store.work.operations import OPERATIONS, Result

INDEXEDDB_SERVICE = "gestalt.provider.v1.IndexedDB"
BATCH_SERVICE = "gestalt.extension.v1.IndexedDBBatch"
SCHEMAS_SERVICE = "gestalt.extension.v1.IndexedDBSchemas"
ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
LARGE_BYTES = 256 * 1024
"""Requests and answers from this size on count as memory of their scope."""

_CALLS = {
    "Get": "get",
    "GetKey": "get_key",
    "Add": "add",
    "Put": "put",
    "Delete": "delete",
    "Clear": "clear",
    "GetAll": "get_all",
    "GetAllKeys": "get_all_keys",
    "Count": "count",
    "DeleteRange": "delete_range",
    "IndexGet": "index_get",
    "IndexGetKey": "index_get_key",
    "IndexGetAll": "index_get_all",
    "IndexGetAllKeys": "index_get_all_keys",
    "IndexCount": "index_count",
    "IndexDelete": "index_delete",
}
_ANSWERS: dict[str, Callable[[Result], bytes]] = {
    "empty": lambda _: b"",
    "record": lambda record: wire.RecordResponse(record=record).SerializeToString(),
    "records": lambda records: wire.RecordsResponse(records=records).SerializeToString(),
    "key": lambda key: wire.KeyResponse(key=key).SerializeToString(),
    "keys": lambda keys: wire.KeysResponse(keys=keys).SerializeToString(),
    "count": lambda count: wire.CountResponse(count=count).SerializeToString(),
    "delete": lambda deleted: wire.DeleteResponse(deleted=deleted).SerializeToString(),
}

log = structlog.get_logger()

Answer: TypeAlias = Callable[[View, Message], Awaitable[bytes]]
"""Executes a request and returns the encoded answer."""


def add_services(server: grpc.aio.Server, access: SocketAccess) -> list[str]:
    """Serve a database on a server; return the names of the services."""
    requests = wire.request_classes("IndexedDB")
    calls: dict[str, Answer] = {name: _operation(member) for name, member in _CALLS.items()}
    calls["CreateObjectStore"] = _create_store
    calls["DeleteObjectStore"] = _delete_store
    streams: dict[str, tuple[Handler, type[Frames]]] = {
        "OpenCursor": (cursor_stream, Frames),
        "Transaction": (transaction_stream, PipelinedFrames),
    }
    handlers = {name: _unary(access, answer, requests[name]) for name, answer in calls.items()}
    handlers |= {name: _stream(access, *parts, requests[name]) for name, parts in streams.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(INDEXEDDB_SERVICE, handlers),))
    requests = wire.request_classes("IndexedDBBatch", wire.BATCH_PACKAGE)
    calls = {"Apply": _apply, "GetMany": _get_many, "GetPage": _get_page}
    handlers = {name: _unary(access, answer, requests[name]) for name, answer in calls.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(BATCH_SERVICE, handlers),))
    requests = wire.request_classes("IndexedDBSchemas", wire.BATCH_PACKAGE)
    calls = {"ChangeIndexes": _change_indexes, "GetMigration": _get_migration}
    handlers = {name: _unary(access, answer, requests[name]) for name, answer in calls.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SCHEMAS_SERVICE, handlers),))
    return [INDEXEDDB_SERVICE, BATCH_SERVICE, SCHEMAS_SERVICE]


async def end_with(context: ServerContext, error: Exception) -> NoReturn:
    """End the call with the status of an error; an unexpected one is logged, and sent without details."""
    if isinstance(error, DecodeError):
        await end_call(context, grpc.StatusCode.INTERNAL, "the request cannot be decoded")
    if isinstance(error, GestaltError):
        status = status_of(error, FAULTS)
        if status is not None:
            # grpc keeps the error in a reference cycle; records in the frames that it went through would stay with it.
            error.__traceback__ = error.__cause__ = error.__context__ = None
            await end_call_with(context, status)
    log.error("call failed", event_name="rpc.failed", exc_info=error)
    await end_call(context, grpc.StatusCode.INTERNAL, "internal error")


def _unary(access: SocketAccess, answer: Answer, request_class: MessageClass) -> grpc.RpcMethodHandler:
    decode = request_class.FromString

    async def answered(data: bytes, context: ServerContext) -> bytes:
        view = await access.view()
        SERVED.set(access.use)
        if len(data) >= LARGE_BYTES:
            await _hold(access.use, len(data), view, context)
        request = decode(data)
        version = view.database.version
        try:
            result = await answer(view, request)
        except (ObjectStoreNotFound, IndexNotFound):
            # Another process on the same database may have created it, or deleted and created it again.
            if not await view.changed(version):
                raise
            result = await answer(view, request)
        if len(result) > ANSWER_LIMIT_BYTES:
            raise AnswerTooLarge(
                "the answer exceeds 64 MiB, the most that one message carries; "
                "read it by pages: a cursor, or IndexedDBBatch/GetPage"
            )
        if len(result) >= LARGE_BYTES:
            await _hold(access.use, len(result), view, context)
        return result

    async def call(data: bytes, context: ServerContext) -> bytes:
        try:
            return await answered(data, context)
        except Exception as error:
            del data
            await end_with(context, error)

    return grpc.unary_unary_rpc_method_handler(call)


def _stream(
    access: SocketAccess, stream: Handler, frames_class: type[Frames], request_class: MessageClass
) -> grpc.RpcMethodHandler:
    decode = request_class.FromString

    async def call(_: object, context: ServerContext) -> None:
        use: StreamUse | None = None
        try:
            view = await access.view()
            SERVED.set(access.use)
            use = access.use.open_stream()
            await frames_class(context, decode, use, view.limits.transaction_idle_s).run(stream, view)
        except Exception as error:
            try:
                async with asyncio.timeout(LAST_WRITES_S):
                    await end_with(context, error)
            except TimeoutError:
                # The client takes nothing, not even a status. A handler that is canceled has its call reset.
                raise asyncio.CancelledError from None
        finally:
            if use is not None:
                use.close()

    return grpc.stream_stream_rpc_method_handler(call)


async def _hold(use: ScopeUse, size: int, view: View, context: ServerContext) -> None:
    """Count a large request or answer until its call has ended; wait for others that end first."""
    await use.take_in_turn(COPIES * size, view.limits.lock_wait_s)
    context.add_done_callback(lambda _: use.give_back(COPIES * size))


def _operation(member: str) -> Answer:
    encode = _ANSWERS[OPERATIONS[member].result]

    async def answer(view: View, request: Message) -> bytes:
        return encode(await view.operations[member].run(view.database, view.store, request))

    return answer


async def _create_store(view: View, request: Message) -> bytes:
    await view.create_store(request.name, StoreSchema.of(request.schema))
    return b""


async def _delete_store(view: View, request: Message) -> bytes:
    await view.delete_store(request.name)
    return b""


async def _change_indexes(view: View, request: Message) -> bytes:
    add = [IndexSchema.of(index) for index in request.add]
    migration = await view.change_indexes(request.store, add, list(request.remove))
    return migration_message(view.store(request.store), migration)


async def _get_migration(view: View, request: Message) -> bytes:
    migration = await view.migration(request.store)
    return migration_message(view.store(request.store), migration)


async def _apply(view: View, request: Message) -> bytes:
    answer = wire.ApplyResponse()
    outcomes = answer.outcomes
    for result in await batch.apply(view, request):
        outcomes.add(code=result.code, message=result.message, current=_readable(result.current))
    return answer.SerializeToString()


def _readable(record: bytes | None) -> bytes:
    """Return the record, blank for none and for a damaged one, with which no client could read the other outcomes."""
    if record is None:
        return b""
    try:
        read_record(record)
    except Undecodable:
        return b""
    return record


async def _get_many(view: View, request: Message) -> bytes:
    return wire.GetManyResponse(records=await batch.get_many(view, request)).SerializeToString()


async def _get_page(view: View, request: Message) -> bytes:
    entries, token = await batch.get_page(view, request)
    return wire.GetPageResponse(entries=entries, next_page_token=token).SerializeToString()
