"""Executes the calls of ``gestalt.extension.v1.IndexedDBBatch``: Apply, GetMany, GetPage."""

from __future__ import annotations

from gestalt_store.databases import View
from gestalt_store.engines.interface import Condition, ConditionalWrite, Position, Store, Walk, WriteResult
from gestalt_store.errors import Invalid, Undecodable
from gestalt_store.values.ranges import index_span, primary_span
from gestalt_store.values.values import from_typed
from gestalt_store.values.wire import Message
from gestalt_store.work.entries import entry_bytes
from gestalt_store.work.operations import write_of

RELAXED = 2
"""TRANSACTION_DURABILITY_RELAXED"""
DEFAULT_PAGE = 1000
LARGEST_PAGE = 10_000
PAGE_BYTES = 3 * 1024 * 1024
ENTRY_LIMIT = 10_000


async def apply(view: View, request: Message) -> list[WriteResult]:
    """Execute an ``ApplyRequest``; return one result for each of its entries."""
    if not request.entries:
        return []
    if len(request.entries) > ENTRY_LIMIT:
        raise Invalid(f"{len(request.entries)} entries; at most {ENTRY_LIMIT} are accepted in one call")
    writes = []
    for number, entry in enumerate(request.entries):
        try:
            writes.append(_conditional(view, entry))
        except Invalid as error:
            raise type(error)(f"entry {number}: {error}") from None
    return await view.database.apply(
        writes, return_current=request.return_current, relaxed=request.durability_hint == RELAXED
    )


def _conditional(view: View, entry: Message) -> ConditionalWrite[Store]:
    store = view.store(entry.store)
    kind = entry.WhichOneof("operation")
    if kind == "put" or kind == "add":
        write = write_of(store, entry.put if kind == "put" else entry.add, add=kind == "add")
        item = ConditionalWrite(store, write.primary_key, write, required=entry.required)
    elif kind == "delete":
        item = ConditionalWrite(store, store.schema.parse_id(entry.delete), delete=True, required=entry.required)
    elif kind == "check":
        item = ConditionalWrite(store, store.schema.parse_id(entry.check), required=entry.required)
    else:
        raise Invalid("an operation is required: put, add, delete or check")
    for condition in entry.conditions:
        item.conditions.append(_condition(view, item, condition))
    return item


def _condition(view: View, item: ConditionalWrite[Store], condition: Message) -> Condition[Store]:
    if condition.store or condition.id:
        if not (condition.store and condition.id):
            raise Invalid("a condition on another record needs both store and id")
        store = view.store(condition.store)
        key = store.schema.parse_id(condition.id)
    else:
        store, key = item.store, item.primary_key
    kind = condition.WhichOneof("test")
    if kind == "absent":
        return Condition(store, key, absent=condition.absent)
    if kind == "equals":
        try:
            value = from_typed(condition.equals.value)
        except Undecodable as error:
            raise Undecodable(f'condition on field "{condition.equals.field}": {error}') from None
        return Condition(store, key, field=condition.equals.field, value=value)
    raise Invalid("a condition needs a test: absent or equals")


async def get_many(view: View, request: Message) -> list[bytes]:
    """Return the records of a ``GetManyRequest`` that are there, in the order of its ids."""
    store = view.store(request.store)
    parse = store.schema.parse_id
    return await view.database.get_many(store, [parse(text) for text in request.ids])


async def get_page(view: View, request: Message) -> tuple[list[bytes], bytes]:
    """Return the encoded entries of a ``GetPageRequest``, and the token of the next page, blank after the last."""
    store = view.store(request.store)
    index = store.index(request.index) if request.index else None
    if index is None and request.values:
        raise Invalid("values are the beginning of an index key: name the index")
    if not 0 <= request.limit <= LARGEST_PAGE:
        raise Invalid(f"limit is {request.limit}; 1 to {LARGEST_PAGE} are accepted, 0 means {DEFAULT_PAGE}")
    limit = request.limit or DEFAULT_PAGE
    span = primary_span(request) if index is None else index_span(index.schema, request)
    walk = Walk(
        store,
        span,
        index,
        reverse=request.direction in (2, 3),
        unique=index is not None and request.direction in (1, 3),
        keys_only=request.keys_only,
    )
    after = _read_token(request.page_token, index is not None) if request.page_token else None
    rows, more = await view.database.page(walk, after, limit, PAGE_BYTES)
    token = _write_token(rows[-1].position) if more else b""
    return [entry_bytes(row) for row in rows], token


def _write_token(position: Position) -> bytes:
    return len(position.key).to_bytes(4, "big") + position.key + position.primary_key


def _read_token(token: bytes, in_index: bool) -> Position:
    size = int.from_bytes(token[:4], "big")
    key, primary_key = token[4 : 4 + size], token[4 + size :]
    if len(token) < 5 or len(key) != size or not primary_key or bool(in_index) < bool(size):
        raise Invalid("page_token is not one that this call returned")
    return Position(key, primary_key)
