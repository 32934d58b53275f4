"""Serves the frames of ``Transaction`` (contract.md 5.7)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import structlog

from gestalt_sdk.transport.faults import fault_of
from gestalt_store.databases import View
from gestalt_store.edge.streams import Frames
from gestalt_store.engines.interface import ServedTransaction, Store
from gestalt_store.engines.scope_use import SNAPSHOT_BYTES, Held
from gestalt_store.errors import (
    FAULTS,
    IndexNotFound,
    Invalid,
    InvalidBound,
    StoreError,
    TransactionAborted,
    TransactionReadonly,
    Undecodable,
)
from gestalt_store.values import wire
from gestalt_store.values.wire import Message
from gestalt_store.work.operations import Operation, Resolve, Result

READWRITE = 1
RELAXED = 2
UNKNOWN = 2
INTERNAL = 13

log = structlog.get_logger()


async def transaction_stream(view: View, frames: Frames) -> None:
    """Serve one transaction until it commits, aborts or fails, or the client leaves."""
    frame = await frames.read()
    if frame is None:
        return
    if frame.WhichOneof("msg") != "begin":
        raise Invalid("first message must be BeginTransactionRequest")
    begin = frame.begin
    if not begin.stores:
        raise Invalid("invalid transaction: at least one object store is required")
    names = list(dict.fromkeys(begin.stores))
    readonly = begin.mode != READWRITE
    version = view.database.version
    held = Held(frames.use)
    if readonly:
        frames.idle_limit_s = view.limits.snapshot_idle_s
        held.set(SNAPSHOT_BYTES)
    transaction = await view.begin(names, readonly=readonly, relaxed=begin.durability_hint == RELAXED)
    transaction.on_expiry = frames.end_idle
    scope: dict[str, Store] = {}

    def resolve(name: str) -> Store:
        store = scope.get(name)
        if store is None:
            raise Invalid(f"invalid transaction: object store not in scope: {name}")
        return store

    try:
        scope.update((name, view.store(name)) for name in names)
        await frames.write(wire.TransactionServerMessage(begin={}))
        while (frame := await frames.read()) is not None:
            kind = frame.WhichOneof("msg")
            if kind == "operation":
                answer, failed = await _operate(
                    view.operations,
                    transaction,
                    resolve,
                    frame.operation,
                    readonly,
                    held,
                    lambda: view.changed(version),
                )
                await frames.write(answer)
                if failed:
                    transaction.abort()
                    await frames.write(wire.TransactionServerMessage(abort={}))
                    await frames.drain()
                    return
            elif kind == "commit":
                await frames.write(await _commit(transaction))
                return
            elif kind == "abort":
                transaction.abort()
                await frames.write(wire.TransactionServerMessage(abort={}))
                return
            else:
                raise Invalid("expected transaction operation, commit, or abort")
    finally:
        transaction.abort()


async def _operate(
    operations: Mapping[str, Operation],
    transaction: ServedTransaction,
    resolve: Resolve,
    request: Message,
    readonly: bool,
    held: Held,
    outdated: Callable[[], Awaitable[bool]],
) -> tuple[Message, bool]:
    """Run one operation; return its answer, and whether it failed.

    Args:
        held: The memory that the transaction takes.
        outdated: Tells whether the stores were changed since the transaction began.
    """
    message = wire.TransactionServerMessage()
    answer = message.operation
    answer.request_id = request.request_id
    try:
        kind = request.WhichOneof("operation")
        if kind is None:
            raise Invalid("unknown transaction operation")
        operation = operations[kind]
        if readonly and operation.writes:
            raise TransactionReadonly
        result = await operation.run(transaction, resolve, getattr(request, kind))
        held.set(transaction.held_bytes)
        _fill(answer, operation, result)
        return message, False
    except IndexNotFound as error:
        # Another process on the same database may have added it since this one looked the store up.
        newer = await outdated()
        text = f"{error}; the indexes of its object store were changed elsewhere since this began, try again"
        _fill_error(answer.error, TransactionAborted(text) if newer else error)
    except StoreError as error:
        _fill_error(answer.error, error)
    except Exception:
        log.exception("operation failed", event_name="transaction.operation_failed")
        answer.error.code, answer.error.message = INTERNAL, "internal error"
    return message, True


def _fill(answer: Message, operation: Operation, result: Result) -> None:
    member = operation.result
    if member == "empty":
        answer.empty.SetInParent()
    elif member == "record":
        answer.record.record = result
    elif member == "records":
        answer.records.SetInParent()
        answer.records.records.extend(result)
    elif member == "key":
        answer.key.key = result
    elif member == "keys":
        answer.keys.SetInParent()
        answer.keys.keys.extend(result)
    elif member == "count":
        answer.count.SetInParent()
        answer.count.count = result
    else:
        answer.delete.SetInParent()
        answer.delete.deleted = result


def _fill_error(status: Message, error: StoreError) -> None:
    fault = fault_of(error, FAULTS)
    status.code = INTERNAL if fault is None else fault.code.value[0]
    if isinstance(error, Undecodable) and not isinstance(error, InvalidBound):
        # Inside a transaction, peers know an undecodable value by this code.
        status.code = UNKNOWN
    status.message = str(error)


async def _commit(transaction: ServedTransaction) -> Message:
    message = wire.TransactionServerMessage(commit={})
    try:
        await transaction.commit()
    except StoreError as error:
        _fill_error(message.commit.error, error)
    except Exception:
        log.exception("commit failed", event_name="transaction.commit_failed")
        message.commit.error.code, message.commit.error.message = INTERNAL, "internal error"
    return message
