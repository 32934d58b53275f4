"""The sixteen operations on records, as unary calls and inside transactions alike.

What each answers, and the texts of its errors: contract.md 5.3.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from gestalt_store.engines.interface import ServedOperations, ServedWalk, Store, StoreT, Walk, Write
from gestalt_store.errors import Invalid, RecordNotFound, Undecodable
from gestalt_store.values.keys import TEXT, decode
from gestalt_store.values.ranges import index_span, primary_span
from gestalt_store.values.rendering import render
from gestalt_store.values.values import read_record
from gestalt_store.values.wire import Message

Resolve: TypeAlias = Callable[[str], Store]
"""Finds a store by name, or raises."""
Result: TypeAlias = bytes | list[bytes] | str | list[str] | int | None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        run: Executes a request on a database or inside a transaction.
        result: Member of ``TransactionOperationResponse`` that carries what ``run`` returns: ``record`` bytes,
            ``records`` bytes, ``key`` text, ``keys`` texts, ``count`` or ``delete`` numbers, ``empty`` None.
        writes: Whether a read-only transaction refuses it.
    """

    run: Callable[[ServedOperations, Resolve, Message], Awaitable[Result]]
    result: str
    writes: bool = False


def key_text(primary_key: bytes) -> str:
    """Return the text of an encoded primary key in answers."""
    if primary_key[0] == TEXT and primary_key.find(b"\x00") == len(primary_key) - 1:
        return primary_key[1:-1].decode()
    return render(decode(primary_key))


def write_of(store: StoreT, data: bytes, *, add: bool = False) -> Write[StoreT]:
    """Check a record and return the write that puts or adds it, with its keys.

    Raises:
        Invalid: it cannot be decoded or has no usable primary key.
    """
    try:
        record, data = read_record(data)
    except Undecodable as error:
        raise Undecodable(f"unmarshal record: {error}") from None
    schema = store.schema
    fields = record.fields
    return Write(store, schema.primary_key(fields), data, schema.index_keys(fields), add)


async def _get(operations: ServedOperations, resolve: Resolve, request: Message) -> bytes:
    store = resolve(request.store)
    record = await operations.get(store, store.schema.parse_id(request.id))
    if record is None:
        raise RecordNotFound
    return record


async def _get_key(operations: ServedOperations, resolve: Resolve, request: Message) -> str:
    store = resolve(request.store)
    key = store.schema.parse_id(request.id)
    if await operations.get(store, key) is None:
        raise RecordNotFound
    return key_text(key)


async def _add(operations: ServedOperations, resolve: Resolve, request: Message) -> None:
    await operations.write(write_of(resolve(request.store), request.record, add=True))


async def _put(operations: ServedOperations, resolve: Resolve, request: Message) -> None:
    await operations.write(write_of(resolve(request.store), request.record))


async def _delete(operations: ServedOperations, resolve: Resolve, request: Message) -> None:
    store = resolve(request.store)
    await operations.delete(store, store.schema.parse_id(request.id, "marshal primary key"))


async def _clear(operations: ServedOperations, resolve: Resolve, request: Message) -> None:
    await operations.clear(resolve(request.store))


def _store_walk(resolve: Resolve, request: Message, *, keys_only: bool = False) -> ServedWalk:
    store = resolve(request.store)
    return Walk(store, primary_span(request), keys_only=keys_only)


def _index_walk(resolve: Resolve, request: Message, *, keys_only: bool = False) -> ServedWalk:
    store = resolve(request.store)
    index = store.index(request.index)
    return Walk(store, index_span(index.schema, request), index, keys_only=keys_only)


async def _get_all(operations: ServedOperations, resolve: Resolve, request: Message) -> list[bytes]:
    return await operations.records(_store_walk(resolve, request))


async def _get_all_keys(operations: ServedOperations, resolve: Resolve, request: Message) -> list[str]:
    return [key_text(key) for key in await operations.keys(_store_walk(resolve, request, keys_only=True))]


async def _count(operations: ServedOperations, resolve: Resolve, request: Message) -> int:
    return await operations.count(_store_walk(resolve, request, keys_only=True))


async def _delete_range(operations: ServedOperations, resolve: Resolve, request: Message) -> int:
    return await operations.delete_walk(_store_walk(resolve, request, keys_only=True))


async def _delete_given_range(operations: ServedOperations, resolve: Resolve, request: Message) -> int:
    resolve(request.store)  # a store that is not there is told first
    if not request.HasField("range"):
        raise Invalid("key range is required for DeleteRange")
    return await _delete_range(operations, resolve, request)


async def _index_get(operations: ServedOperations, resolve: Resolve, request: Message) -> bytes:
    row = await operations.first(_index_walk(resolve, request))
    if row is None or row.record is None:
        raise RecordNotFound("record not found")
    return row.record


async def _index_get_key(operations: ServedOperations, resolve: Resolve, request: Message) -> str:
    row = await operations.first(_index_walk(resolve, request, keys_only=True))
    if row is None:
        raise RecordNotFound("key not found")
    return key_text(row.primary_key)


async def _index_get_all(operations: ServedOperations, resolve: Resolve, request: Message) -> list[bytes]:
    return await operations.records(_index_walk(resolve, request))


async def _index_get_all_keys(operations: ServedOperations, resolve: Resolve, request: Message) -> list[str]:
    return [key_text(key) for key in await operations.keys(_index_walk(resolve, request, keys_only=True))]


async def _index_count(operations: ServedOperations, resolve: Resolve, request: Message) -> int:
    return await operations.count(_index_walk(resolve, request, keys_only=True))


async def _index_delete(operations: ServedOperations, resolve: Resolve, request: Message) -> int:
    return await operations.delete_walk(_index_walk(resolve, request, keys_only=True))


OPERATIONS: dict[str, Operation] = {
    "get": Operation(_get, "record"),
    "get_key": Operation(_get_key, "key"),
    "add": Operation(_add, "empty", writes=True),
    "put": Operation(_put, "empty", writes=True),
    "delete": Operation(_delete, "empty", writes=True),
    "clear": Operation(_clear, "empty", writes=True),
    "get_all": Operation(_get_all, "records"),
    "get_all_keys": Operation(_get_all_keys, "keys"),
    "count": Operation(_count, "count"),
    "delete_range": Operation(_delete_range, "delete", writes=True),
    "index_get": Operation(_index_get, "record"),
    "index_get_key": Operation(_index_get_key, "key"),
    "index_get_all": Operation(_index_get_all, "records"),
    "index_get_all_keys": Operation(_index_get_all_keys, "keys"),
    "index_count": Operation(_index_count, "count"),
    "index_delete": Operation(_index_delete, "delete", writes=True),
}
"""By member name of ``TransactionOperation``."""
CONSUMER_OPERATIONS = OPERATIONS | {"delete_range": Operation(_delete_given_range, "delete", writes=True)}
"""The same on the socket of a scope, where a forgotten range must not delete every record (contract.md 5.5)."""
