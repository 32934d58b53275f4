"""A client of the IndexedDB service as rules need it: every frame in reach, and failures that say what was expected."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2

from gestalt_host.verification.frames import RECEIVED, SENT, Frames
from gestalt_host.verification.outcomes import Broken, require, require_equal, shown
from gestalt_host.verification.suites.indexeddb.messages import Row, fields, record, scalar, value
from gestalt_sdk.gen.extension.v1 import batch_pb2, batch_pb2_grpc
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.gen.v1 import datastore_pb2_grpc
from gestalt_sdk.transport.channels import open_channel
from gestalt_sdk.transport.environment import Address

SERVICE = "gestalt.provider.v1.IndexedDB"
DEADLINE_S = 30.0
READONLY, READWRITE = pb.TRANSACTION_READONLY, pb.TRANSACTION_READWRITE

Code = grpc.StatusCode
Asked = TypeVar("Asked", bound=Message)
Answered = TypeVar("Answered", bound=Message)
_numbers = itertools.count(1)


class Refused(Broken):
    """A call, or a stream, ended with an error where none was expected."""

    def __init__(self, method: str, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{method} to succeed", f"{code.name}: {details}")
        self._code = code
        self._details = details

    def code(self) -> grpc.StatusCode:
        """Return the status, as errors of grpc do."""
        return self._code

    def details(self) -> str:
        """Return its text."""
        return self._details


def _refused(method: str, error: grpc.aio.AioRpcError) -> Refused:
    return Refused(method, error.code(), error.details() or "")


class Stream(Generic[Asked, Answered]):
    """One bidirectional call, frame by frame."""

    def __init__(self, method: str, call: grpc.aio.StreamStreamCall, frames: Frames, deadline_s: float) -> None:
        self.method = method
        self.call = call
        self._frames = frames
        self._deadline_s = deadline_s

    async def send(self, *frames: Asked) -> None:
        """Send frames; when the call has ended, the next answer says so."""
        for frame in frames:
            self._frames.note(SENT, self.method, frame)
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await self.call.write(frame)

    async def read(self) -> Answered | None:
        """Return the next answer, None when the stream has ended OK.

        Raises:
            Refused: it ended otherwise.
            Broken: nothing comes in time.
        """
        try:
            async with asyncio.timeout(self._deadline_s):
                answer: Answered = await self.call.read()
        except grpc.aio.AioRpcError as error:
            refused = _refused(self.method, error)
            self._frames.note(RECEIVED, self.method, refused.seen)
            raise refused from None
        except TimeoutError:
            raise Broken(f"{self.method} to answer within {self._deadline_s:g} s", "no answer came") from None
        if answer is grpc.aio.EOF:
            self._frames.note(RECEIVED, self.method, "the stream ended OK")
            return None
        self._frames.note(RECEIVED, self.method, answer)
        return answer

    async def receive(self) -> Answered:
        """Return the next answer.

        Raises:
            Broken: there is none.
        """
        answer = await self.read()
        if answer is None:
            raise Broken(f"{self.method} to answer", "the stream ended OK")
        return answer

    async def ask(self, frame: Asked) -> Answered:
        """Send a frame and return the answer to it."""
        await self.send(frame)
        return await self.receive()

    async def half_close(self) -> None:
        """Say that no further frame will be sent."""
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self.call.done_writing()

    async def ended(self) -> tuple[grpc.StatusCode, str]:
        """Return code and text of the call, which must be ending; answers that were not read yet are skipped."""
        try:
            while await self.read() is not None:
                pass
        except Refused as error:
            return error.code(), error.details()
        return await self.call.code(), await self.call.details() or ""

    async def require_refused(self, code: grpc.StatusCode, text: str = "") -> None:
        """Require that the stream ends with an error whose text has this in it.

        Raises:
            Broken: it does not.
        """
        _require_status(code, text, await self.ended(), self.method)

    async def require_end(self) -> None:
        """Require that the stream ends OK, and without another answer.

        Raises:
            Broken: it does not.
        """
        answer = await self.read()
        require(answer is None, f"{self.method} to end OK", f"another answer: {answer}")


class Cursor(Stream[pb.CursorClientMessage, pb.CursorResponse]):
    """An open cursor."""

    async def command(self, command: pb.CursorCommand) -> pb.CursorResponse:
        return await self.ask(pb.CursorClientMessage(command=command))

    async def next(self) -> pb.CursorResponse:
        return await self.command(pb.CursorCommand(next=True))

    async def advance(self, count: int) -> pb.CursorResponse:
        return await self.command(pb.CursorCommand(advance=count))

    async def to(self, *parts: object) -> pb.CursorResponse:
        """Continue to a key."""
        target = pb.CursorKeyTarget(key=[scalar(part) for part in parts])
        return await self.command(pb.CursorCommand(continue_to_key=target))

    async def update(self, **values: object) -> pb.CursorResponse:
        return await self.command(pb.CursorCommand(update=record(**values)))

    async def delete(self) -> pb.CursorResponse:
        return await self.command(pb.CursorCommand(delete=True))

    async def keys(self) -> list[str]:
        """Return the primary keys from here to the end."""
        return [entry.primary_key for entry in await self.entries()]

    async def entries(self) -> list[pb.CursorEntry]:
        """Return what follows up to the end."""
        found = []
        while (answer := await self.next()).WhichOneof("result") == "entry":
            found += [answer.entry, *answer.entries]
        require(answer.done, "done=true at the end of the cursor", f"{answer}")
        return found


class Transaction(Stream[pb.TransactionClientMessage, pb.TransactionServerMessage]):
    """A transaction that has begun."""

    _number = 0

    def operation(self, kind: str = "", request: Message | None = None) -> pb.TransactionClientMessage:
        """Return the frame of the next operation; ``kind`` is a member of TransactionOperation, blank for none."""
        self._number += 1
        made = pb.TransactionOperation(request_id=self._number)
        if request is not None:
            getattr(made, kind).CopyFrom(request)
            getattr(made, kind).SetInParent()
        return pb.TransactionClientMessage(operation=made)

    async def attempt(self, kind: str = "", request: Message | None = None) -> pb.TransactionOperationResponse:
        """Return the answer to an operation, which may have failed."""
        answer = await self.ask(self.operation(kind, request))
        if answer.WhichOneof("msg") != "operation" or answer.operation.request_id != self._number:
            raise Broken(f"an answer to operation {self._number}, {kind}", shown(str(answer)))
        return answer.operation

    async def do(self, kind: str, request: Message) -> pb.TransactionOperationResponse:
        """Return the answer to an operation.

        Raises:
            Broken: it failed.
        """
        answer = await self.attempt(kind, request)
        require(not answer.error.code, f"{kind} in a transaction to succeed", f"{answer.error}")
        return answer

    async def require_failed(
        self, code: grpc.StatusCode, text: str, kind: str = "", request: Message | None = None
    ) -> None:
        """Require that an operation fails with this code and text, and that the transaction is aborted with it.

        Raises:
            Broken: it does not, or is not.
        """
        error = (await self.attempt(kind, request)).error
        if error.code != code.value[0] or text not in error.message:
            raise Broken(f"{kind or 'an operation'} to fail with {code.name}: {text}", shown(f"{error}" or "success"))
        require(not error.details, "an error without details", error)
        await self.require_aborted()

    async def require_aborted(self) -> None:
        """Require the abort that nobody asked for, after which frames are discarded and the stream ends OK.

        Raises:
            Broken: it is missing, or something else comes.
        """
        answer = await self.receive()
        require_equal("abort", answer.WhichOneof("msg"), "the frame behind a failed operation")
        require(not answer.abort.HasField("error"), "an abort without an error", answer.abort)
        await self.send(pb.TransactionClientMessage(commit=pb.TransactionCommitRequest()))
        await self.half_close()
        await self.require_end()

    async def put(self, store: str, **values: object) -> None:
        await self.do("put", pb.RecordRequest(store=store, record=record(**values)))

    async def all(self, store: str) -> list[dict[str, object]]:
        answer = await self.do("get_all", pb.ObjectStoreRangeRequest(store=store))
        return [fields(item) for item in answer.records.records]

    async def keys(self, store: str) -> list[str]:
        return list((await self.do("get_all_keys", pb.ObjectStoreRangeRequest(store=store))).keys.keys)

    async def get(self, store: str, key: str) -> dict[str, object]:
        answer = await self.do("get", pb.ObjectStoreRequest(store=store, id=key))
        return fields(answer.record.record)

    async def commit(self) -> status_pb2.Status:
        """Commit; return the error, whose code is 0 when it succeeded."""
        answer = await self.ask(pb.TransactionClientMessage(commit=pb.TransactionCommitRequest()))
        require_equal("commit", answer.WhichOneof("msg"), "the answer to a commit")
        return answer.commit.error

    async def committed(self) -> None:
        """Commit.

        Raises:
            Broken: it failed.
        """
        error = await self.commit()
        require(not error.code, "the commit to succeed", f"{error}")
        await self.require_end()

    async def abort(self) -> None:
        frame = pb.TransactionClientMessage(abort=pb.TransactionAbortRequest(reason="verification"))
        require_equal("abort", (await self.ask(frame)).WhichOneof("msg"), "the answer to an abort")


class StoreClient:
    """The service on one socket, and a new store name for whoever asks."""

    def __init__(
        self,
        socket: Path,
        frames: Frames | None = None,
        *,
        deadline_s: float = DEADLINE_S,
        names: Iterable[str] = (),
        needs_range: bool = False,
    ) -> None:
        """
        Args:
            deadline_s: Of a call, and of each answer in a stream.
            names: Of the stores that a relay lets through, for ``new_store`` to take from.
            needs_range: Whether DeleteRange must have a range, as for every consumer (contract.md 5.5).
        """
        self.relayed = bool(names)
        self.needs_range = needs_range or self.relayed
        self._names = iter(names)
        self._frames = frames or Frames()
        self._deadline_s = deadline_s
        self.channel = open_channel(Address(f"unix:{socket}"))
        self.stub = datastore_pb2_grpc.IndexedDBStub(self.channel)
        self.batch = batch_pb2_grpc.IndexedDBBatchStub(self.channel)
        self._streams: list[Stream[Message, Message]] = []

    async def __aenter__(self) -> StoreClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Cancel the streams that are open, and close the channel."""
        for stream in self._streams:
            stream.call.cancel()
        await self.channel.close()

    def missing(self, name: str) -> str:
        """Return what is said of a store that does not exist, and that a relay does not let through."""
        return "datastore: not found" if self.relayed else f"object store not found: {name}"

    # Calls ------------------------------------------------------------------------------------------------------------

    async def ask(self, method: str, request: Message, kind: type[Answered]) -> Answered:
        """Return the answer of a call.

        Raises:
            Refused: it fails.
            Broken: it answers another message.
        """
        stub = self.stub if hasattr(self.stub, method) else self.batch
        self._frames.note(SENT, method, request)
        try:
            answer = await getattr(stub, method)(request, timeout=self._deadline_s)
        except grpc.aio.AioRpcError as error:
            refused = _refused(method, error)
            self._frames.note(RECEIVED, method, refused.seen)
            raise refused from None
        self._frames.note(RECEIVED, method, answer)
        if not isinstance(answer, kind):
            raise Broken(f"{method} to answer a {kind.DESCRIPTOR.name}", type(answer).__name__)
        return answer

    async def refused(self, method: str, request: Message) -> tuple[grpc.StatusCode, str]:
        """Return code and text of a call that must fail.

        Raises:
            Broken: it succeeds.
        """
        try:
            await self.ask(method, request, Message)
        except Refused as error:
            return error.code(), error.details()
        raise Broken(f"{method} to be refused", "it succeeded")

    async def refused_bytes(self, method: str, data: bytes) -> tuple[grpc.StatusCode, str]:
        """Return code and text of a call that is sent these bytes in place of a message, and must fail.

        Raises:
            Broken: it succeeds.
        """
        self._frames.note(SENT, method, data)
        try:
            await self.channel.unary_unary(f"/{SERVICE}/{method}")(data, timeout=self._deadline_s)
        except grpc.aio.AioRpcError as error:
            self._frames.note(RECEIVED, method, _refused(method, error).seen)
            return error.code(), error.details() or ""
        raise Broken(f"{method} to be refused", "it succeeded")

    async def require_refused(self, method: str, request: Message, code: grpc.StatusCode, text: str = "") -> None:
        """Require that a call fails with this code, and a text that has this in it.

        Raises:
            Broken: it does not.
        """
        _require_status(code, text, await self.refused(method, request), method)

    async def create(self, name: str, *indexes: pb.IndexSchema, columns: Sequence[pb.ColumnDef] | None = None) -> None:
        schema = pb.ObjectStoreSchema(indexes=indexes, columns=columns)
        await self.ask("CreateObjectStore", pb.CreateObjectStoreRequest(name=name, schema=schema), Message)

    async def new_store(self, *indexes: pb.IndexSchema, columns: Sequence[pb.ColumnDef] | None = None) -> str:
        """Make an object store; return its name."""
        name = next(self._names) if self.relayed else new_name()
        await self.create(name, *indexes, columns=columns)
        return name

    async def delete_store(self, name: str) -> None:
        await self.ask("DeleteObjectStore", pb.DeleteObjectStoreRequest(name=name), Message)

    async def put(self, store: str, **values: object) -> None:
        await self.ask("Put", pb.RecordRequest(store=store, record=record(**values)), Message)

    async def add(self, store: str, **values: object) -> None:
        await self.ask("Add", pb.RecordRequest(store=store, record=record(**values)), Message)

    async def get_record(self, store: str, key: str) -> pb.Record:
        return (await self.ask("Get", pb.ObjectStoreRequest(store=store, id=key), pb.RecordResponse)).record

    async def get(self, store: str, key: str) -> dict[str, object]:
        return fields(await self.get_record(store, key))

    async def delete(self, store: str, key: str) -> None:
        await self.ask("Delete", pb.ObjectStoreRequest(store=store, id=key), Message)

    async def clear(self, store: str) -> None:
        await self.ask("Clear", pb.ObjectStoreNameRequest(store=store), Message)

    async def keys(self, store: str, key_range: pb.KeyRange | None = None) -> list[str]:
        request = pb.ObjectStoreRangeRequest(store=store, range=key_range)
        return list((await self.ask("GetAllKeys", request, pb.KeysResponse)).keys)

    async def rows(self, store: str, key_range: pb.KeyRange | None = None) -> list[dict[str, object]]:
        request = pb.ObjectStoreRangeRequest(store=store, range=key_range)
        return [fields(found) for found in (await self.ask("GetAll", request, pb.RecordsResponse)).records]

    async def count(self, store: str, key_range: pb.KeyRange | None = None) -> int:
        return (
            await self.ask("Count", pb.ObjectStoreRangeRequest(store=store, range=key_range), pb.CountResponse)
        ).count

    async def delete_range(self, store: str, key_range: pb.KeyRange | None) -> int:
        request = pb.ObjectStoreRangeRequest(store=store, range=key_range)
        return (await self.ask("DeleteRange", request, pb.DeleteResponse)).deleted

    async def index_keys(
        self, store: str, name: str, *values: object, key_range: pb.KeyRange | None = None
    ) -> list[str]:
        return list(
            (await self.ask("IndexGetAllKeys", query(store, name, *values, key_range=key_range), pb.KeysResponse)).keys
        )

    # Streams ----------------------------------------------------------------------------------------------------------

    def opening_cursor(self) -> Cursor:
        """Return a call of OpenCursor on which nothing was sent yet."""
        cursor = Cursor("OpenCursor", self.stub.OpenCursor(), self._frames, self._deadline_s)
        self._streams.append(cursor)  # type: ignore[arg-type]
        return cursor

    async def cursor(self, store: str, opening: pb.OpenCursorRequest | None = None) -> Cursor:
        """Return an open cursor on a store; ``opening`` has the rest of the request.

        Raises:
            Broken: it is not acknowledged.
        """
        cursor = self.opening_cursor()
        request = pb.OpenCursorRequest()
        if opening is not None:
            request.CopyFrom(opening)
        request.store = store
        answer = await cursor.ask(pb.CursorClientMessage(open=request))
        if answer.WhichOneof("result") != "done" or answer.done:
            raise Broken("the acknowledgement of OpenCursor, done=false", shown(f"{answer}"))
        return cursor

    def opening_transaction(self) -> Transaction:
        """Return a call of Transaction on which nothing was sent yet."""
        transaction = Transaction("Transaction", self.stub.Transaction(), self._frames, self._deadline_s)
        self._streams.append(transaction)  # type: ignore[arg-type]
        return transaction

    async def transaction(self, *stores: str, mode: int = READWRITE, durability: int = 0) -> Transaction:
        """Return a transaction that has begun, read-write unless told otherwise.

        Raises:
            Broken: it does not begin.
        """
        transaction = self.opening_transaction()
        begin = pb.BeginTransactionRequest(stores=stores, mode=mode, durability_hint=durability)  # type: ignore[arg-type]
        answer = await transaction.ask(pb.TransactionClientMessage(begin=begin))
        require_equal("begin", answer.WhichOneof("msg"), "the answer to begin")
        return transaction

    # Extension indexeddb.batch ----------------------------------------------------------------------------------------

    async def apply(self, *entries: batch_pb2.ApplyEntry, current: bool = False) -> list[batch_pb2.ApplyOutcome]:
        request = batch_pb2.ApplyRequest(entries=entries, return_current=current)
        return list((await self.ask("Apply", request, batch_pb2.ApplyResponse)).outcomes)


def query(store: str, name: str, *values: object, key_range: pb.KeyRange | None = None) -> pb.IndexQueryRequest:
    """Return a request to an index."""
    return pb.IndexQueryRequest(store=store, index=name, values=[value(part) for part in values], range=key_range)


def new_name() -> str:
    """Return a name of an object store that nobody else has."""
    return f"s{os.getpid()}-{time.monotonic_ns()}-{next(_numbers)}"


def _require_status(code: grpc.StatusCode, text: str, seen: tuple[grpc.StatusCode, str], method: str) -> None:
    if seen[0] is not code or text not in seen[1]:
        raise Broken(f"{method} to be refused with {code.name}: {text}", f"{seen[0].name}: {seen[1]}")


async def fill(store: StoreClient, name: str, rows: Iterable[Row]) -> None:
    """Put records."""
    for row in rows:
        await store.put(name, **row)
