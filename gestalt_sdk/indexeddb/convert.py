"""Convert requests, schemas, batches and failed calls between generated types and the client's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import grpc

from gestalt_sdk.gen.extension.v1 import batch_pb2
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.indexeddb.errors import (
    AlreadyExists,
    IndexedDBError,
    NotFound,
    StoreRefused,
    StoreUnavailable,
    TransactionFailed,
)
from gestalt_sdk.indexeddb.schema import (
    Column,
    ColumnType,
    Condition,
    CursorEntry,
    Direction,
    Durability,
    FieldValue,
    IndexSchema,
    KeyRange,
    ObjectStoreSchema,
    Page,
    Write,
    WriteResult,
)
from gestalt_sdk.indexeddb.values import from_key, from_record, to_range, to_record, to_typed, write_typed
from gestalt_sdk.transport.environment import RELAY_REFUSAL
from gestalt_sdk.transport.faults import reason_of

OK, NOT_FOUND, ALREADY_EXISTS, ABORTED = 0, 5, 6, 10
NOT_CONFIGURED = "STORE_NOT_CONFIGURED"
"""Reason of a store whose process serves before its host has configured it: nothing is wrong with the call."""

DIRECTIONS: dict[Direction, pb.CursorDirection] = {
    "next": pb.CURSOR_NEXT,
    "nextunique": pb.CURSOR_NEXT_UNIQUE,
    "prev": pb.CURSOR_PREV,
    "prevunique": pb.CURSOR_PREV_UNIQUE,
}
DURABILITIES: dict[Durability, pb.TransactionDurabilityHint] = {
    "default": pb.TRANSACTION_DURABILITY_DEFAULT,
    "strict": pb.TRANSACTION_DURABILITY_STRICT,
    "relaxed": pb.TRANSACTION_DURABILITY_RELAXED,
}
_CODE_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


def code_name(number: int) -> str:
    """Return the name of a gRPC code, ``code 99`` for a number that is none."""
    return _CODE_NAMES.get(number, f"code {number}")


_STATUS_LOST = "Internal error from Core"
"""What grpc.aio says of a stream whose peer ended it during a write: the peer's own status is lost then."""

_NO_CONNECTION = "failed to connect to all addresses"
"""What gRPC says where nothing listens: this, each address, and at last why."""


def error_of_call(error: grpc.aio.AioRpcError) -> IndexedDBError:
    """Return the domain error of a failed call."""
    code, text = error.code(), error.details() or error.code().name.lower().replace("_", " ")
    if code is grpc.StatusCode.NOT_FOUND:
        return NotFound(text, reason_of(error))
    if code is grpc.StatusCode.ALREADY_EXISTS:
        return AlreadyExists(text)
    if code is grpc.StatusCode.UNAVAILABLE and text.startswith(_NO_CONNECTION):
        return StoreUnavailable(f"the store cannot be reached: {text.rpartition(': ')[2]}")
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
        return StoreUnavailable(f"the store did not answer: {text}")
    if code is grpc.StatusCode.INTERNAL and text == _STATUS_LOST:
        return StoreUnavailable("the store ended the stream while it was written to")
    if reason_of(error) == NOT_CONFIGURED:
        return StoreUnavailable(f"the store has only just started: {text}")
    return StoreRefused(code.name, text)


def error_of_operation(code: int, text: str) -> IndexedDBError:
    """Return the domain error of a failed operation inside a transaction."""
    if code == NOT_FOUND:
        return NotFound(text)
    if code == ALREADY_EXISTS:
        return AlreadyExists(text)
    return TransactionFailed(code_name(code), text)


def not_served(error: grpc.aio.AioRpcError) -> bool:
    """Tell whether the call failed because the store does not serve that extension."""
    code = error.code()
    return code is grpc.StatusCode.UNIMPLEMENTED or (
        code is grpc.StatusCode.PERMISSION_DENIED and RELAY_REFUSAL in (error.details() or "")
    )


def index_to_proto(index: IndexSchema) -> pb.IndexSchema:
    """Return the index as a message."""
    return pb.IndexSchema(name=index.name, key_path=index.key_path, unique=index.unique)


def schema_from_proto(message: pb.ObjectStoreSchema) -> ObjectStoreSchema:
    """Return the schema that the message describes."""
    return ObjectStoreSchema(
        tuple(IndexSchema(index.name, tuple(index.key_path), index.unique) for index in message.indexes),
        tuple(
            Column(column.name, ColumnType(column.type), column.primary_key, column.not_null, column.unique)
            for column in message.columns
        ),
    )


def schema_to_proto(schema: ObjectStoreSchema) -> pb.ObjectStoreSchema:
    """Return the schema as a message."""
    return pb.ObjectStoreSchema(
        indexes=[index_to_proto(index) for index in schema.indexes],
        columns=[
            pb.ColumnDef(
                name=column.name,
                type=int(column.type),
                primary_key=column.primary_key,
                not_null=column.not_null,
                unique=column.unique,
            )
            for column in schema.columns
        ],
    )


def range_request(store: str, key_range: KeyRange | None) -> pb.ObjectStoreRangeRequest:
    """Return a request for the records of a store in the range; None: all."""
    return pb.ObjectStoreRangeRequest(store=store, range=to_range(key_range))


def index_request(
    store: str, index: str, values: Iterable[FieldValue], key_range: KeyRange | None
) -> pb.IndexQueryRequest:
    """Return a request for the records of an index that match the values and the range."""
    return pb.IndexQueryRequest(
        store=store, index=index, values=[to_typed(value) for value in values], range=to_range(key_range)
    )


def entry_from_proto(entry: pb.CursorEntry, *, index: bool) -> CursorEntry:
    """Return the entry; its key is the list of parts for an ``index``, else the primary key."""
    parts = [from_key(part) for part in entry.key]
    key: FieldValue = parts if index else (parts or [None])[0]
    record = from_record(entry.record) if entry.HasField("record") else None
    return CursorEntry(key, entry.primary_key, record)


def page_from_proto(response: batch_pb2.GetPageResponse, *, index: bool) -> Page:
    """Return the page; see ``entry_from_proto``."""
    return Page([entry_from_proto(entry, index=index) for entry in response.entries], response.next_page_token)


def apply_request(writes: Sequence[Write], *, return_current: bool, durability: Durability) -> batch_pb2.ApplyRequest:
    """Return the writes with their conditions as one request."""
    request = batch_pb2.ApplyRequest(return_current=return_current, durability_hint=DURABILITIES[durability])
    for write in writes:
        message = request.entries.add(store=write.store, required=write.required)
        if write.op == "put":
            message.put.CopyFrom(to_record(write.record or {}))
        elif write.op == "add":
            message.add.CopyFrom(to_record(write.record or {}))
        elif write.op == "delete":
            message.delete = write.id
        else:
            message.check = write.id
        for condition in write.conditions:
            _write_condition(message.conditions.add(store=condition.store, id=condition.id), condition)
    return request


def _write_condition(message: batch_pb2.ApplyCondition, condition: Condition) -> None:
    if condition.absent is not None:
        message.absent = condition.absent
    else:
        message.equals.field = condition.field
        write_typed(message.equals.value, condition.value, condition.field)


def write_result_from_proto(outcome: batch_pb2.ApplyOutcome) -> WriteResult:
    """Return what became of one write."""
    current = from_record(outcome.current) if outcome.HasField("current") else None
    if outcome.code == OK:
        return WriteResult("ok", current=current)
    code = outcome.code
    return WriteResult("already_exists" if code == ALREADY_EXISTS else "aborted", outcome.message, current)
