"""Run one transaction: a bidirectional stream on which every operation's frame is sent at once.

An operation returns a future, so several may be under way; the store answers them in order. A failed operation
aborts the transaction: it raises the store's error, every later one ``TransactionFailed``. The begin and commit
frames travel with the operations, so a transaction whose operations are awaited together costs one round trip.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.gen.v1 import datastore_pb2_grpc
from gestalt_sdk.indexeddb.convert import (
    DURABILITIES,
    code_name,
    error_of_call,
    error_of_operation,
    index_request,
    range_request,
)
from gestalt_sdk.indexeddb.errors import IndexedDBError, StoreRefused, StoreUnavailable, TransactionFailed
from gestalt_sdk.indexeddb.schema import Durability, FieldValue, KeyRange, Mode, Record
from gestalt_sdk.indexeddb.values import from_record, to_record
from gestalt_sdk.transport.channels import Patience

T = TypeVar("T")
END_GRACE_S = 2.0


class Transaction:
    """Run operations together: ``async with`` commits at the end of the block and aborts when it raises.

    A ``get`` of a record that is absent aborts the transaction too; probe with ``find``.
    """

    def __init__(
        self,
        stub: datastore_pb2_grpc.IndexedDBStub,
        stores: Sequence[str],
        mode: Mode,
        durability: Durability,
        patience: Patience,
    ) -> None:
        self._stub = stub
        self._patience = patience
        self._timeout_s = patience.timeout_s
        begin = pb.BeginTransactionRequest(
            stores=stores,
            mode=pb.TRANSACTION_READWRITE if mode == "readwrite" else pb.TRANSACTION_READONLY,
            durability_hint=DURABILITIES[durability],
        )
        self._outbox: deque[pb.TransactionClientMessage] = deque([pb.TransactionClientMessage(begin=begin)])
        self._wake = asyncio.Event()
        self._half_closed = False
        self._answers: deque[tuple[int, asyncio.Future[Any], Callable[[Any], Any]]] = deque()
        self._next_id = 1
        self._failure: IndexedDBError | None = None
        self._begun = False
        self._finished = False
        self._call: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._progress_at = 0.0

    def store(self, name: str) -> TransactionStore:
        """Return the object store of that name; it must be one of the transaction's."""
        return TransactionStore(self, name)

    async def __aenter__(self) -> Self:
        self._call = self._stub.Transaction(self._frames(), wait_for_ready=self._patience.for_ready)
        self._reader = asyncio.create_task(self._read_answers(), name="transaction answers")
        self._progress_at = asyncio.get_running_loop().time()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._finished:
            return
        if error is None:
            await self.commit()
        elif isinstance(error, Exception):
            await self.abort(type(error).__name__)
        else:
            await self._end(cancel=True)

    async def commit(self) -> None:
        """Commit what was asked for; return when the store has acknowledged it.

        Raises:
            IndexedDBError: of the first operation that failed, else ``TransactionFailed`` when the commit did.
            StoreUnavailable: no answer. The commit may or may not have happened.
        """
        self._require_open()
        self._finished = True
        committed = self._expect(-1, lambda message: None)
        self._send(pb.TransactionClientMessage(commit=pb.TransactionCommitRequest()))
        self._half_close()
        try:
            await committed
        except TransactionFailed:
            # An operation that nobody waited for tells more than the commit that it prevented.
            if self._failure is not None:
                raise self._failure from None
            raise
        finally:
            await self._end()

    async def abort(self, reason: str = "") -> None:
        """Roll back. Does not raise when the store has gone: that rolls back as well."""
        if self._finished:
            return
        self._finished = True
        if self._failure is None:
            self._send(pb.TransactionClientMessage(abort=pb.TransactionAbortRequest(reason=reason)))
        await self._end()

    def send(self, operation: pb.TransactionOperation) -> asyncio.Future[pb.TransactionOperationResponse]:
        """Send a raw operation, whose ``request_id`` is filled in; the future gives the raw answer."""
        return self.request(operation, _as_is)

    def request(
        self, operation: pb.TransactionOperation, convert: Callable[[pb.TransactionOperationResponse], T]
    ) -> asyncio.Future[T]:
        """Send an operation whose answer goes through ``convert``."""
        self._require_open()
        number = self._next_id
        self._next_id = number + 1
        operation.request_id = number
        answer: asyncio.Future[T] = self._expect(number, convert)
        self._send(pb.TransactionClientMessage(operation=operation))
        return answer

    def _require_open(self) -> None:
        if self._call is None:
            raise TransactionFailed("FAILED_PRECONDITION", "transaction has not begun: use it with `async with`")
        if self._finished:
            raise TransactionFailed("FAILED_PRECONDITION", "transaction is already finished")

    def _expect(self, number: int, convert: Callable[[Any], Any]) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if self._failure is not None:
            _set_error(answer, _aborted_by(self._failure))
            return answer
        if not self._answers:
            self._progress_at = loop.time()
            if self._watchdog is None:
                self._watchdog = loop.call_later(self._timeout_s, self._check_progress)
        self._answers.append((number, answer, convert))
        return answer

    def _send(self, message: pb.TransactionClientMessage) -> None:
        self._outbox.append(message)
        self._wake.set()

    def _half_close(self) -> None:
        self._half_closed = True
        self._wake.set()

    async def _frames(self) -> AsyncIterator[pb.TransactionClientMessage]:
        outbox, wake = self._outbox, self._wake
        while True:
            while outbox:
                yield outbox.popleft()
            if self._half_closed:
                return
            wake.clear()
            await wake.wait()

    async def _read_answers(self) -> None:
        call = self._call
        try:
            async for message in call:
                self._take(message)
        except grpc.aio.AioRpcError as error:
            failure = error_of_call(error)
            if isinstance(failure, StoreRefused):
                failure = TransactionFailed(failure.code, str(failure))
            self._fail(failure)
        except asyncio.CancelledError:
            # Also raised when the call, not this task, was cancelled.
            self._fail(StoreUnavailable("the transaction was cancelled before the store answered"))
            if not call.cancelled():
                raise
        except Exception as error:
            self._fail(TransactionFailed("INTERNAL", f"answer not understood: {error}"))
            call.cancel()
        else:
            self._fail(StoreUnavailable("the store ended the transaction without an answer"))

    def _take(self, message: pb.TransactionServerMessage) -> None:
        self._progress_at = asyncio.get_running_loop().time()
        kind = message.WhichOneof("msg")
        if kind == "operation":
            self._take_answer(message.operation)
        elif kind == "begin" and not self._begun:
            self._begun = True
        elif kind == "commit" and self._answers and self._answers[0][0] == -1:
            _, answer, _ = self._answers.popleft()
            if message.commit.HasField("error") and message.commit.error.code:
                status = message.commit.error
                _set_error(answer, TransactionFailed(code_name(status.code), status.message))
            elif not answer.done():
                answer.set_result(None)
        elif kind == "abort":
            # Follows a failed operation unasked; without one the store gave up by itself.
            text = message.abort.error.message or "the store aborted the transaction"
            self._fail(TransactionFailed("ABORTED", text))
        else:
            raise ValueError(f"unexpected {kind or 'empty'} frame")

    def _take_answer(self, response: pb.TransactionOperationResponse) -> None:
        if self._failure is not None:
            return
        if not self._answers or self._answers[0][0] != response.request_id:
            raise ValueError(f"answer to request {response.request_id} is out of order")
        _, answer, convert = self._answers.popleft()
        if response.HasField("error") and response.error.code:
            failure = error_of_operation(response.error.code, response.error.message)
            _set_error(answer, failure)
            self._fail(failure, reported=True)
        elif not answer.done():
            try:
                answer.set_result(convert(response))
            except Exception as error:
                _set_error(answer, error)

    def _fail(self, failure: IndexedDBError, *, reported: bool = False) -> None:
        """End the transaction: the first failure counts, and what is still waiting fails because of it.

        Args:
            failure: What went wrong.
            reported: An operation's own future has it already. Otherwise the oldest one that waits gets it.
        """
        if self._failure is not None or (self._finished and not self._answers):
            return
        self._failure = failure
        while self._answers:
            _set_error(self._answers.popleft()[1], _aborted_by(failure) if reported else failure)
            reported = True

    def _check_progress(self) -> None:
        self._watchdog = None
        if not self._answers:
            return
        loop = asyncio.get_running_loop()
        left = self._progress_at + self._timeout_s - loop.time()
        if left > 0:
            self._watchdog = loop.call_later(left, self._check_progress)
            return
        self._fail(StoreUnavailable(f"the store did not answer within {self._timeout_s:g} s"))
        self._call.cancel()

    async def _end(self, *, cancel: bool = False) -> None:
        """Close the stream and let its reader finish; a store that does not end the stream is cut off."""
        self._finished = True
        self._half_close()
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        reader = self._reader
        if reader is None:
            return
        if cancel or isinstance(self._failure, StoreUnavailable):
            self._call.cancel()
        try:
            await asyncio.wait([reader], timeout=END_GRACE_S)
        finally:
            if not reader.done():
                self._call.cancel()
        if not reader.done():
            await asyncio.wait([reader], timeout=END_GRACE_S)


class TransactionStore:
    """Read and write one object store inside a transaction.

    Each operation returns an awaitable at once, and aborts the transaction when it fails; see ``ObjectStore`` for what
    it does.
    """

    def __init__(self, transaction: Transaction, name: str) -> None:
        self._transaction = transaction
        self.name = name

    def index(self, name: str) -> TransactionIndex:
        """Return the index of that name."""
        return TransactionIndex(self._transaction, self.name, name)

    def get(self, id: str) -> asyncio.Future[Record]:
        """Return the record. Raises ``NotFound``, and aborts the transaction, when absent."""
        request = pb.ObjectStoreRequest(store=self.name, id=id)
        return self._transaction.request(pb.TransactionOperation(get=request), _record)

    def find(self, id: str) -> asyncio.Future[Record | None]:
        """Return the record with this text primary key, None when absent; never aborts the transaction."""
        request = range_request(self.name, KeyRange.only(id))
        return self._transaction.request(pb.TransactionOperation(get_all=request), _first)

    def get_key(self, id: str) -> asyncio.Future[str]:
        """Return the store's form of the primary key. Raises ``NotFound``, and aborts, when absent."""
        request = pb.ObjectStoreRequest(store=self.name, id=id)
        return self._transaction.request(pb.TransactionOperation(get_key=request), _key)

    def add(self, record: Record) -> asyncio.Future[None]:
        """Insert a record. Raises ``AlreadyExists``, and aborts, when a key is taken."""
        request = pb.RecordRequest(store=self.name, record=to_record(record))
        return self._transaction.request(pb.TransactionOperation(add=request), _nothing)

    def put(self, record: Record) -> asyncio.Future[None]:
        """Insert or replace a record. Raises ``AlreadyExists``, and aborts, when a unique index key is taken."""
        request = pb.RecordRequest(store=self.name, record=to_record(record))
        return self._transaction.request(pb.TransactionOperation(put=request), _nothing)

    def delete(self, id: str) -> asyncio.Future[None]:
        """Delete the record; an absent one is accepted."""
        request = pb.ObjectStoreRequest(store=self.name, id=id)
        return self._transaction.request(pb.TransactionOperation(delete=request), _nothing)

    def clear(self) -> asyncio.Future[None]:
        """Delete all records."""
        request = pb.ObjectStoreNameRequest(store=self.name)
        return self._transaction.request(pb.TransactionOperation(clear=request), _nothing)

    def get_all(self, range: KeyRange | None = None) -> asyncio.Future[list[Record]]:
        """Return records by ascending primary key."""
        request = range_request(self.name, range)
        return self._transaction.request(pb.TransactionOperation(get_all=request), _records)

    def get_all_keys(self, range: KeyRange | None = None) -> asyncio.Future[list[str]]:
        """Return primary keys, ascending."""
        request = range_request(self.name, range)
        return self._transaction.request(pb.TransactionOperation(get_all_keys=request), _keys)

    def count(self, range: KeyRange | None = None) -> asyncio.Future[int]:
        """Count the records in the range."""
        request = range_request(self.name, range)
        return self._transaction.request(pb.TransactionOperation(count=request), _count)

    def delete_range(self, range: KeyRange) -> asyncio.Future[int]:
        """Delete the records in the range; return how many there were."""
        request = range_request(self.name, range)
        return self._transaction.request(pb.TransactionOperation(delete_range=request), _deleted)


class TransactionIndex:
    """Read one index inside a transaction; ``values`` match the first parts of the index key."""

    def __init__(self, transaction: Transaction, store: str, name: str) -> None:
        self._transaction = transaction
        self._store = store
        self.name = name

    def _query(self, values: Sequence[FieldValue], range: KeyRange | None) -> pb.IndexQueryRequest:
        return index_request(self._store, self.name, values, range)

    def get(self, *values: FieldValue, range: KeyRange | None = None) -> asyncio.Future[Record]:
        """Return the first match. Raises ``NotFound``, and aborts the transaction, when there is none."""
        operation = pb.TransactionOperation(index_get=self._query(values, range))
        return self._transaction.request(operation, _record)

    def find(self, *values: FieldValue, range: KeyRange | None = None) -> asyncio.Future[Record | None]:
        """Return the first match, None when there is none. Reads every match: meant for selective values."""
        operation = pb.TransactionOperation(index_get_all=self._query(values, range))
        return self._transaction.request(operation, _first)

    def get_key(self, *values: FieldValue, range: KeyRange | None = None) -> asyncio.Future[str]:
        """Return the primary key of the first match. Raises ``NotFound``, and aborts, when there is none."""
        operation = pb.TransactionOperation(index_get_key=self._query(values, range))
        return self._transaction.request(operation, _key)

    def get_all(self, *values: FieldValue, range: KeyRange | None = None) -> asyncio.Future[list[Record]]:
        """Return the matches in index order."""
        operation = pb.TransactionOperation(index_get_all=self._query(values, range))
        return self._transaction.request(operation, _records)

    def get_all_keys(self, *values: FieldValue, range: KeyRange | None = None) -> asyncio.Future[list[str]]:
        """Return the primary keys of the matches, in index order."""
        operation = pb.TransactionOperation(index_get_all_keys=self._query(values, range))
        return self._transaction.request(operation, _keys)

    def count(self, *values: FieldValue, range: KeyRange | None = None) -> asyncio.Future[int]:
        """Count the matches."""
        operation = pb.TransactionOperation(index_count=self._query(values, range))
        return self._transaction.request(operation, _count)

    def delete(self, *values: FieldValue, range: KeyRange | None = None) -> asyncio.Future[int]:
        """Delete the matches; return how many there were."""
        operation = pb.TransactionOperation(index_delete=self._query(values, range))
        return self._transaction.request(operation, _deleted)


def _set_error(answer: asyncio.Future[Any], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
        # Pipelined operations need not all be awaited; the failure reaches the caller at the commit.
        answer.exception()


def _aborted_by(failure: IndexedDBError) -> IndexedDBError:
    if isinstance(failure, StoreUnavailable):
        return failure
    code = failure.code if isinstance(failure, TransactionFailed) else "ABORTED"
    return TransactionFailed(code, f"transaction is already finished: {failure}")


def _as_is(response: pb.TransactionOperationResponse) -> pb.TransactionOperationResponse:
    return response


def _nothing(response: pb.TransactionOperationResponse) -> None:
    return None


def _record(response: pb.TransactionOperationResponse) -> Record:
    return from_record(response.record.record)


def _records(response: pb.TransactionOperationResponse) -> list[Record]:
    return [from_record(record) for record in response.records.records]


def _first(response: pb.TransactionOperationResponse) -> Record | None:
    records = response.records.records
    return from_record(records[0]) if records else None


def _key(response: pb.TransactionOperationResponse) -> str:
    return response.key.key


def _keys(response: pb.TransactionOperationResponse) -> list[str]:
    return list(response.keys.keys)


def _count(response: pb.TransactionOperationResponse) -> int:
    return response.count.count


def _deleted(response: pb.TransactionOperationResponse) -> int:
    return response.delete.deleted
