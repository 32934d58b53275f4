"""Read and write many records in one call: IndexedDBBatch, and the same on stores that do not serve it.

All three work on raw messages; ``client.IndexedDB`` converts. The fallbacks take the text field ``id`` for the primary
key, which is what a store without columns has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from gestalt_sdk.gen.extension.v1 import batch_pb2, batch_pb2_grpc
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.indexeddb.convert import ABORTED, ALREADY_EXISTS, OK, error_of_call, not_served
from gestalt_sdk.indexeddb.cursor import Cursor
from gestalt_sdk.indexeddb.errors import AlreadyExists, StoreRefused
from gestalt_sdk.indexeddb.schema import Durability, Mode
from gestalt_sdk.indexeddb.transaction import Transaction
from gestalt_sdk.indexeddb.values import from_key
from gestalt_sdk.transport.channels import Patience

DEFAULT_PAGE, MAX_PAGE = 1000, 10_000
_DURABILITY: dict[int, Durability] = {1: "strict", 2: "relaxed"}

Key = tuple[str, str]


class Batch:
    """Call ``apply``, ``get_many`` and ``page``; remember when the store does not serve the extension."""

    def __init__(
        self,
        stub: batch_pb2_grpc.IndexedDBBatchStub,
        begin: Callable[[list[str], Mode, Durability], Transaction],
        open_cursor: Callable[[pb.OpenCursorRequest], Cursor],
        patience: Patience,
    ) -> None:
        self._stub = stub
        self._begin = begin
        self._open_cursor = open_cursor
        self._patience = patience
        self.served = True
        """False once the store has answered UNIMPLEMENTED."""

    async def apply(self, request: batch_pb2.ApplyRequest) -> batch_pb2.ApplyResponse:
        """Apply the writes in one commit, in a transaction of our own where the store has no batches."""
        if self.served:
            response = await self._try(self._stub.Apply, request)
            if response is not None:
                return response
        return await self._apply_in_transaction(request)

    async def get_many(self, request: batch_pb2.GetManyRequest) -> batch_pb2.GetManyResponse:
        """Read the records that exist, in the order of the ids, from one snapshot."""
        if self.served:
            response = await self._try(self._stub.GetMany, request)
            if response is not None:
                return response
        if not request.ids:
            return batch_pb2.GetManyResponse()
        async with self._begin([request.store], "readonly", "default") as transaction:
            answers = [transaction.send(_read(request.store, id)) for id in request.ids]
            found = [record for answer in answers for record in (await answer).records.records]
        return batch_pb2.GetManyResponse(records=found)

    async def page(self, request: batch_pb2.GetPageRequest) -> batch_pb2.GetPageResponse:
        """Read one page of a store or an index, with a cursor where the store has no pages."""
        if self.served:
            response = await self._try(self._stub.GetPage, request)
            if response is not None:
                return response
        return await self._page_by_cursor(request)

    async def _try(self, method: Any, request: Any) -> Any:
        """Return the answer, or None when the store does not serve the extension."""
        try:
            return await method(request, timeout=self._patience.timeout_s, wait_for_ready=self._patience.for_ready)
        except grpc.aio.AioRpcError as error:
            if not_served(error):
                self.served = False
                return None
            raise error_of_call(error) from error

    async def _apply_in_transaction(self, request: batch_pb2.ApplyRequest) -> batch_pb2.ApplyResponse:
        """Apply the writes in a transaction, without the ones that a unique index refuses.

        An index refuses while it is written to, which aborts the whole transaction; the next attempt leaves that write
        out.
        """
        conflicts: dict[int, str] = {}
        while True:
            attempt = _Attempt(request, conflicts)
            if not attempt.stores:
                return batch_pb2.ApplyResponse()
            durability = _DURABILITY.get(request.durability_hint, "default")
            transaction = self._begin(attempt.stores, "readwrite", durability)
            async with transaction:
                answers = [(key, transaction.send(_read(*key))) for key in attempt.keys]
                for key, answer in answers:
                    records = (await answer).records.records
                    attempt.current[key] = records[0] if records else None
                outcomes, writes = attempt.evaluate()
                if not writes:
                    await transaction.abort("nothing to write")
                    return batch_pb2.ApplyResponse(outcomes=outcomes)
                written = [(position, transaction.send(operation)) for position, operation in writes]
                try:
                    await transaction.commit()
                    return batch_pb2.ApplyResponse(outcomes=outcomes)
                except AlreadyExists as error:
                    refused = [
                        position for position, answer in written if isinstance(answer.exception(), AlreadyExists)
                    ]
                    if not refused:
                        raise
                    conflicts[refused[0]] = str(error)

    async def _page_by_cursor(self, request: batch_pb2.GetPageRequest) -> batch_pb2.GetPageResponse:
        limit = request.limit or DEFAULT_PAGE
        if not 1 <= limit <= MAX_PAGE:
            raise StoreRefused("INVALID_ARGUMENT", f"limit is {limit}; accepted is 1 to {MAX_PAGE}")
        opening = pb.OpenCursorRequest(
            store=request.store,
            direction=request.direction,
            keys_only=request.keys_only,
            index=request.index,
            values=request.values,
        )
        if request.HasField("range"):
            opening.range.CopyFrom(request.range)
        entries: list[pb.CursorEntry] = []
        more = False
        if not request.page_token:
            # One more than the page tells whether there is a next one.
            opening.prefetch = limit
        async with self._open_cursor(opening) as cursor:
            entry = await _resume(cursor, request) if request.page_token else await cursor.next_raw()
            while entry is not None:
                if len(entries) == limit:
                    more = True
                    break
                entries.append(entry)
                entry = await cursor.next_raw()
        response = batch_pb2.GetPageResponse(entries=entries)
        if more:
            last = pb.CursorEntry(key=entries[-1].key, primary_key=entries[-1].primary_key)
            response.next_page_token = last.SerializeToString()
        return response


async def _resume(cursor: Cursor, request: batch_pb2.GetPageRequest) -> pb.CursorEntry | None:
    """Return the first entry behind the one that the token names, also when that one has gone meanwhile."""
    try:
        last = pb.CursorEntry.FromString(request.page_token)
    except Exception as error:
        raise StoreRefused("INVALID_ARGUMENT", "page_token is not one that this client gave") from error
    if not last.key:
        raise StoreRefused("INVALID_ARGUMENT", "page_token is not one that this client gave")
    entry = await cursor.seek_raw(pb.CursorKeyTarget(key=last.key))
    last_key = [_comparable(from_key(part)) for part in last.key]
    reverse = request.direction in (pb.CURSOR_PREV, pb.CURSOR_PREV_UNIQUE)
    by_primary_key = bool(request.index) and request.direction in (pb.CURSOR_NEXT, pb.CURSOR_PREV)
    while entry is not None and [_comparable(from_key(part)) for part in entry.key] == last_key:
        passed = entry.primary_key < last.primary_key if reverse else entry.primary_key > last.primary_key
        if by_primary_key and passed:
            break
        entry = await cursor.next_raw()
    return entry


def _comparable(key: Any) -> Any:
    """Equal exactly where the store takes two keys for equal: Python alone says that True is 1."""
    if isinstance(key, list):
        return [_comparable(part) for part in key]
    return (isinstance(key, bool), key)


def _read(store: str, id: str) -> pb.TransactionOperation:
    request = pb.ObjectStoreRangeRequest(store=store)
    request.range.lower.string_value = id
    request.range.upper.string_value = id
    return pb.TransactionOperation(get_all=request)


class _Attempt:
    """One evaluation of an ApplyRequest against the records that its transaction has read."""

    def __init__(self, request: batch_pb2.ApplyRequest, conflicts: dict[int, str]) -> None:
        self._request = request
        self._conflicts = conflicts
        self.current: dict[Key, pb.Record | None] = {}
        self._own: list[Key] = [_own_key(entry) for entry in request.entries]
        keys: dict[Key, None] = {}
        for entry, own in zip(request.entries, self._own, strict=True):
            if entry.conditions or entry.WhichOneof("operation") == "add":
                keys[own] = None
            for condition in entry.conditions:
                if condition.store:
                    keys[(condition.store, condition.id)] = None
        self.keys = list(keys)
        self.stores = sorted({entry.store for entry in request.entries} | {store for store, _ in keys})

    def evaluate(self) -> tuple[list[batch_pb2.ApplyOutcome], list[tuple[int, pb.TransactionOperation]]]:
        """Outcomes of all entries, and the writes of those that hold with their positions."""
        outcomes: list[batch_pb2.ApplyOutcome] = []
        writes: list[tuple[int, pb.TransactionOperation]] = []
        for position, entry in enumerate(self._request.entries):
            outcome = self._outcome(position, entry)
            outcomes.append(outcome)
            if outcome.code == OK:
                operation = self._take(position, entry)
                if operation is not None:
                    writes.append((position, operation))
            elif entry.required:
                text = f"required entry {position} failed: {outcome.message}"
                others = [batch_pb2.ApplyOutcome(code=ABORTED, message=text) for _ in self._request.entries]
                others[position] = outcome
                return others, []
        return outcomes, writes

    def _outcome(self, position: int, entry: batch_pb2.ApplyEntry) -> batch_pb2.ApplyOutcome:
        own = self._own[position]
        shown = self.current.get(own) if self._request.return_current else None
        for condition in entry.conditions:
            key = (condition.store, condition.id) if condition.store else own
            if not _holds(condition, self.current[key]):
                text = f"condition on {key[1]!r} in {key[0]!r} does not hold"
                outcome = batch_pb2.ApplyOutcome(code=ABORTED, message=text)
                break
        else:
            if entry.WhichOneof("operation") == "add" and self.current[own] is not None:
                outcome = batch_pb2.ApplyOutcome(code=ALREADY_EXISTS, message="already exists")
            elif position in self._conflicts:
                return batch_pb2.ApplyOutcome(code=ALREADY_EXISTS, message=self._conflicts[position])
            else:
                return batch_pb2.ApplyOutcome(code=OK)
        if shown is not None:
            outcome.current.CopyFrom(shown)
        return outcome

    def _take(self, position: int, entry: batch_pb2.ApplyEntry) -> pb.TransactionOperation | None:
        own, kind = self._own[position], entry.WhichOneof("operation")
        if kind == "put" or kind == "add":
            record = entry.put if kind == "put" else entry.add
            self.current[own] = record
            return pb.TransactionOperation(put=pb.RecordRequest(store=entry.store, record=record))
        if kind == "delete":
            self.current[own] = None
            return pb.TransactionOperation(delete=pb.ObjectStoreRequest(store=entry.store, id=entry.delete))
        return None


def _own_key(entry: batch_pb2.ApplyEntry) -> Key:
    kind = entry.WhichOneof("operation")
    if kind == "put" or kind == "add":
        id = (entry.put if kind == "put" else entry.add).fields["id"].string_value
        if not id.strip():
            raise StoreRefused("INVALID_ARGUMENT", "record id must be a non-empty string")
        return entry.store, id
    if kind is None:
        raise StoreRefused("INVALID_ARGUMENT", "an entry has one of put, add, delete and check")
    return entry.store, entry.delete if kind == "delete" else entry.check


def _holds(condition: batch_pb2.ApplyCondition, record: pb.Record | None) -> bool:
    test = condition.WhichOneof("test")
    if test == "absent":
        return (record is None) == condition.absent
    if test is None:
        raise StoreRefused("INVALID_ARGUMENT", "a condition has one of absent and equals")
    if record is None:
        return False
    expected = condition.equals.value
    if condition.equals.field not in record.fields:
        return _is_null(expected)
    actual = record.fields[condition.equals.field]
    if _is_null(actual) or _is_null(expected):
        return _is_null(actual) and _is_null(expected)
    return actual == expected


def _is_null(value: pb.TypedValue) -> bool:
    kind = value.WhichOneof("kind")
    if kind == "json_value":
        return value.json_value.WhichOneof("kind") in (None, "null_value")
    return kind in (None, "null_value")
