"""The service IndexedDB: calls, cursors and transactions, over the operations in records.py."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from gestalt_sdk import GestaltError
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.gen.v1 import datastore_pb2_grpc
from gestalt_sdk.transport import ServerContext, reporting_faults, status_of
from shelf_store.cursors import Cursor
from shelf_store.database import Database, Session, begin
from shelf_store.errors import FAULTS, Invalid, NotPossible, TryAgain
from shelf_store.records import WRITES, Records

Answer = TypeVar("Answer")
Frame = TypeVar("Frame", pb.CursorClientMessage, pb.TransactionClientMessage)
SERVICE = "gestalt.provider.v1.IndexedDB"
IDLE_WRITER_S = 30
IDLE_READER_S = 120
RESULTS = {
    pb.RecordResponse: "record",
    pb.RecordsResponse: "records",
    pb.KeyResponse: "key",
    pb.KeysResponse: "keys",
    pb.CountResponse: "count",
    pb.DeleteResponse: "delete",
    Empty: "empty",
}


class IndexedDBService(datastore_pb2_grpc.IndexedDBServicer):
    """Serves one database, which the provider sets when it has been configured."""

    def __init__(self) -> None:
        self.database: Database | None = None

    def _opened(self) -> Database:
        if self.database is None:
            raise NotPossible("indexeddb: provider is not configured")
        return self.database

    async def OpenCursor(self, requests: object, context: ServerContext) -> None:
        async with reporting_faults(context, FAULTS):
            first = await _next(context, pb.CursorClientMessage, IDLE_READER_S)
            if first is None:
                return
            if first.WhichOneof("msg") != "open":
                raise Invalid("first message must be OpenCursorRequest")
            database = self._opened()
            async with database.snapshot() as session:
                cursor = await session.run(lambda records: Cursor(records, first.open))
                await context.write(pb.CursorResponse(done=False))
                while (frame := await _next(context, pb.CursorClientMessage, IDLE_READER_S)) is not None:
                    if frame.WhichOneof("msg") != "command":
                        raise Invalid("expected CursorCommand after open")
                    if frame.command.WhichOneof("command") == "close":
                        return
                    await context.write(await self._step(database, session, cursor, frame.command))

    async def _step(
        self, database: Database, session: Session, cursor: Cursor, command: pb.CursorCommand
    ) -> pb.CursorResponse:
        kind = command.WhichOneof("command")
        if kind == "delete":
            key = cursor.current()
            await _write(database, lambda records: records.delete_key(cursor.request.store, key))
            return pb.CursorResponse(done=False)
        if kind == "update":
            write = cursor.replacement(command.update)
            await _write(database, lambda records: records.put(write))
            return cursor.replaced(write.record)
        return await session.run(lambda records: cursor.move(command))

    async def Transaction(self, requests: object, context: ServerContext) -> None:
        async with reporting_faults(context, FAULTS):
            first = await _next(context, pb.TransactionClientMessage, IDLE_READER_S)
            if first is None:
                return
            if first.WhichOneof("msg") != "begin":
                raise Invalid("first message must be BeginTransactionRequest")
            if not first.begin.stores:
                raise Invalid("invalid transaction: no object stores")
            writes = first.begin.mode == pb.TRANSACTION_READWRITE
            async with _begun(self._opened(), first.begin, writes=writes) as session:
                await context.write(pb.TransactionServerMessage(begin=pb.TransactionBeginResponse()))
                failed = await _operate(context, session, first.begin, writes=writes)
            while failed and await _next(context, pb.TransactionClientMessage, IDLE_WRITER_S) is not None:
                pass  # what was sent ahead is of no interest any more


async def _operate(
    context: ServerContext, session: Session, scope: pb.BeginTransactionRequest, *, writes: bool
) -> bool:
    """Carry out the frames of a transaction; return whether one failed, after which everything is rolled back."""
    while (
        frame := await _next(context, pb.TransactionClientMessage, IDLE_WRITER_S if writes else IDLE_READER_S)
    ) is not None:
        kind = frame.WhichOneof("msg")
        if kind == "commit":
            await context.write(pb.TransactionServerMessage(commit=await _committed(session)))
            return False
        if kind == "abort":
            await session.run(_roll_back)
            await context.write(pb.TransactionServerMessage(abort=pb.TransactionAbortResponse()))
            return False
        if kind != "operation":
            raise Invalid("expected transaction operation, commit, or abort")
        answer = pb.TransactionOperationResponse(request_id=frame.operation.request_id)
        try:
            result = await session.run(lambda records: _operated(records, frame.operation, scope, writes=writes))
            getattr(answer, RESULTS[type(result)]).CopyFrom(result)
        except GestaltError as error:
            answer.error.CopyFrom(_status(error))
        await context.write(pb.TransactionServerMessage(operation=answer))
        if answer.HasField("error"):
            await context.write(pb.TransactionServerMessage(abort=pb.TransactionAbortResponse()))
            return True
    return False


def _operated(
    records: Records, operation: pb.TransactionOperation, scope: pb.BeginTransactionRequest, *, writes: bool
) -> Message:
    name = operation.WhichOneof("operation")
    if name is None:
        raise Invalid("unknown transaction operation")
    if name in WRITES and not writes:
        raise NotPossible("transaction is readonly")
    request = getattr(operation, name)
    if request.store not in scope.stores:
        raise Invalid(f"invalid transaction: object store not in scope: {request.store}")
    answer: Message = getattr(records, name)(request)
    return answer


@asynccontextmanager
async def _begun(database: Database, scope: pb.BeginTransactionRequest, *, writes: bool) -> AsyncIterator[Session]:
    """Give the session of a transaction; what is not committed at the end is rolled back."""

    def start(records: Records) -> None:
        if writes:
            begin(records, writes=True)
        for name in scope.stores:
            records.find_store(name)

    async with database.writer() if writes else database.snapshot() as session:
        try:
            await session.run(start)
            yield session
        finally:
            await session.run(_roll_back)


def _roll_back(records: Records) -> None:
    if records.connection.in_transaction:
        records.connection.rollback()


async def _committed(session: Session) -> pb.TransactionCommitResponse:
    try:
        await session.run(lambda records: records.connection.commit())
    except GestaltError as error:
        return pb.TransactionCommitResponse(error=_status(error))
    return pb.TransactionCommitResponse()


def _status(error: GestaltError) -> Status:
    status = status_of(error, FAULTS)
    assert status is not None, "every error of this package has a row"
    del status.details[:]
    return status


async def _write(database: Database, work: Callable[[Records], Answer]) -> Answer:
    async with database.writer() as session:
        return await session.alone(work, writes=True)


async def _next(context: ServerContext, form: type[Frame], idle_s: float) -> Frame | None:
    """Return the client's next frame, None when it has closed its side. Raises ``TryAgain`` after too long."""
    try:
        async with asyncio.timeout(idle_s):
            frame = await context.read()
    except TimeoutError:
        raise TryAgain(f"the client sent nothing for {idle_s} s") from None
    return frame if isinstance(frame, form) else None


def _unary(operation: str) -> object:
    async def call(self: IndexedDBService, request: Message, context: ServerContext) -> Message:
        def carry_out(records: Records) -> Message:
            answer: Message = getattr(records, operation)(request)
            return answer

        async with reporting_faults(context, FAULTS):
            database = self._opened()
            if operation in WRITES or operation.endswith("_object_store"):
                return await _write(database, carry_out)
            return await database.reader.alone(carry_out)

    return call


# The other calls are the operations of the same names.
for method in pb.DESCRIPTOR.services_by_name["IndexedDB"].methods:
    if not method.client_streaming:
        setattr(IndexedDBService, method.name, _unary(re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower()))
