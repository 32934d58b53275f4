"""How the writes of ``Apply`` are judged: their conditions, and what a required write that fails does to the others.

An engine supplies how a record is read and how a write is executed; the rules here are the same for both.
"""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.message import DecodeError

from gestalt_store.engines.interface import Condition, ConditionalWrite, StoreT, WriteResult
from gestalt_store.errors import Undecodable
from gestalt_store.values import wire
from gestalt_store.values.keys import encode
from gestalt_store.values.values import from_typed

OK, ALREADY_EXISTS, ABORTED = 0, 6, 10
"""gRPC codes of a result."""

DONE = WriteResult(OK, "", None)


def refused_by_conditions(
    write: ConditionalWrite[StoreT], record_of: Callable[[Condition[StoreT]], bytes | None], *, return_current: bool
) -> WriteResult | None:
    """Return the result of a write one of whose conditions does not hold, None when all of them hold.

    Args:
        record_of: Reads the record that a condition tests, None when there is none.
        return_current: Show that record in the result when it is the one that would have been written.
    """
    for condition in write.conditions:
        current = record_of(condition)
        problem = _problem(condition, current)
        if problem:
            own = condition.store is write.store and condition.primary_key == write.primary_key
            return WriteResult(ABORTED, problem, current if own and return_current else None)
    return None


def nothing_written(number: int, position: int, failed: WriteResult) -> list[WriteResult]:
    """Return the results of ``number`` writes of which the required one at ``position`` failed."""
    results = [WriteResult(ABORTED, f"nothing was written: required entry {position} failed", None)] * number
    results[position] = failed
    return results


def _problem(condition: Condition[StoreT], current: bytes | None) -> str:
    """Say what is wrong with the record, blank when the condition holds."""
    if condition.absent is not None:
        if condition.absent == (current is None):
            return ""
        return "the record exists" if condition.absent else "there is no such record"
    if current is None:
        return "there is no such record"
    try:
        value = wire.Record.FromString(current).fields.get(condition.field)
        found = None if value is None else from_typed(value)
    except (DecodeError, Undecodable):
        return "the record cannot be decoded"
    if found == condition.value and type(found) is type(condition.value):
        return ""
    if encode(found) == encode(condition.value):
        return ""
    return f'field "{condition.field}" has another value'
