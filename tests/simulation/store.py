"""The object store of the simulation: data with IndexedDB's rules, a history of every commit, and the way there.

``Database`` is what is stored. ``StoreClient`` stands in for ``gestalt_sdk.indexeddb.IndexedDB`` in one process: each
call is a message that takes its time there and back, may be lost in either direction, may arrive after its sender has
given up, and may be the last that its sender does.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

from gestalt_sdk.indexeddb import (
    Condition,
    CursorEntry,
    KeyRange,
    NotFound,
    ObjectStoreSchema,
    Page,
    Record,
    StoreUnavailable,
    TransactionFailed,
    Write,
    WriteResult,
)
from tests.simulation.loop import NOWHERE

T = TypeVar("T")
IndexKey = tuple[tuple[Any, ...], str]


@dataclass(frozen=True, slots=True)
class Change:
    """One record before and after a commit; None where it was absent."""

    store: str
    id: str
    before: Record | None
    after: Record | None


class Database:
    """Object stores with sparse compound indexes, and ``apply`` as the extension has it.

    ``committed`` is told of every commit that changed something, while it is still the latest.
    """

    def __init__(self, committed: Callable[[list[Change]], None]) -> None:
        self.rows: dict[str, dict[str, Record]] = {}
        self._schemas: dict[str, ObjectStoreSchema] = {}
        self._indexes: dict[tuple[str, str], list[IndexKey]] = {}
        self._committed = committed

    def create(self, name: str, schema: ObjectStoreSchema) -> None:
        if name not in self.rows:
            self.rows[name] = {}
            self._schemas[name] = schema
            self._indexes.update({(name, index.name): [] for index in schema.indexes})

    def store(self, name: str) -> dict[str, Record]:
        if name not in self.rows:
            raise NotFound(f"object store not found: {name}")
        return self.rows[name]

    def find(self, store: str, id: str) -> Record | None:
        record = self.store(store).get(id)
        return None if record is None else dict(record)

    def indexed(self, store: str, index: str, values: Sequence[Any]) -> list[IndexKey]:
        """Entries of the index whose first parts are these values, in order."""
        self.store(store)
        entries = self._indexes[store, index]
        if not values:
            return entries
        wanted = tuple(values)
        first = bisect_left(entries, (wanted, ""))
        last = first
        while last < len(entries) and entries[last][0][: len(wanted)] == wanted:
            last += 1
        return entries[first:last]

    def apply(self, entries: Sequence[Write]) -> list[WriteResult]:
        changes: list[Change] = []
        outcomes: list[WriteResult] = []
        for place, entry in enumerate(entries):
            outcome = self._apply(entry, changes)
            outcomes.append(outcome)
            if entry.required and not outcome.ok:
                for change in reversed(changes):
                    self._set(change.store, change.id, change.before)
                nothing = WriteResult("aborted", f"nothing was written: required entry {place} failed")
                return [outcome if other == place else nothing for other in range(len(entries))]
        if changes:
            self._committed(changes)
        return outcomes

    def _apply(self, entry: Write, changes: list[Change]) -> WriteResult:
        rows = self.store(entry.store)
        id = entry.id or str((entry.record or {}).get("id"))
        current = rows.get(id)
        for condition in entry.conditions:
            if not self._holds(condition, entry.store, id):
                own = not condition.store or (condition.store, condition.id) == (entry.store, id)
                return WriteResult("aborted", "condition", dict(current) if own and current is not None else None)
        if entry.op == "check":
            return WriteResult("ok")
        if entry.op == "add" and current is not None:
            return WriteResult("already_exists", "already exists", dict(current))
        if entry.record is not None and self._conflicts(entry.store, id, entry.record):
            return WriteResult("already_exists", "unique index conflict")
        after = None if entry.op == "delete" else dict(entry.record or {})
        if current is not None or after is not None:
            changes.append(Change(entry.store, id, current, after))
            self._set(entry.store, id, after)
        return WriteResult("ok")

    def _holds(self, condition: Condition, store: str, id: str) -> bool:
        record = self.store(condition.store or store).get(condition.id or id)
        if condition.absent is not None:
            return (record is None) == condition.absent
        return record is not None and record.get(condition.field) == condition.value

    def _conflicts(self, store: str, id: str, record: Record) -> bool:
        for index in self._schemas[store].indexes:
            if index.unique and all(part in record for part in index.key_path):
                key = tuple(record[part] for part in index.key_path)
                if any(other != id for _, other in self.indexed(store, index.name, key)):
                    return True
        return False

    def _set(self, store: str, id: str, after: Record | None) -> None:
        rows = self.rows[store]
        for record, change in ((rows.get(id), self._remove), (after, insort)):
            if record is None:
                continue
            for index in self._schemas[store].indexes:
                if all(part in record for part in index.key_path):
                    key = (tuple(record[part] for part in index.key_path), id)
                    change(self._indexes[store, index.name], key)
        if after is None:
            rows.pop(id, None)
        else:
            rows[id] = after

    @staticmethod
    def _remove(entries: list[IndexKey], key: IndexKey) -> None:
        del entries[bisect_left(entries, key)]


@dataclass(frozen=True, slots=True)
class Fate:
    """What is to become of one message; seconds.

    Attributes:
        there, back: How long request and answer take.
        applied: Whether the request reaches the store; ``late``: but only after its sender got an error.
        error: What the sender gets instead of an answer.
    """

    there: float
    back: float
    applied: bool = True
    late: float = 0.0
    error: Exception | None = None


class Network(Protocol):
    """Decides over messages; ``world.World`` implements it."""

    def fate(self, call: str) -> Fate: ...

    def sending(self, call: str) -> bool:
        """False when the sender dies with the message still unsent."""

    def applied(self, call: str) -> None:
        """The message was executed; its sender may die now."""

    def answered(self, call: str) -> bool:
        """False when the sender dies with the answer in its hands."""


class StoreClient:
    """What one process holds of the database."""

    def __init__(self, database: Database, network: Network, *, batched: bool = True) -> None:
        self._database = database
        self._network = network
        self.batched = batched
        self.messages: Counter[str] = Counter()
        self.places: dict[bytes, IndexKey] = {}
        """Where the pages that were handed out ended, by their token."""

    async def close(self) -> None:
        return None

    async def reachable(self, within_s: float) -> bool:
        return True

    async def create_object_store(self, name: str, schema: ObjectStoreSchema) -> None:
        await self.request("create", lambda: self._database.create(name, schema))

    def store(self, name: str) -> StoreHandle:
        return StoreHandle(self, self._database, name)

    async def get_many(self, store: str, ids: Iterable[str]) -> dict[str, Record]:
        wanted = list(ids)

        def found() -> dict[str, Record]:
            rows = self._database.store(store)
            return {id: dict(rows[id]) for id in wanted if id in rows}

        return await self.request("get_many", found)

    async def apply(self, entries: Sequence[Write], *, return_current: bool = False) -> list[WriteResult]:
        sent = list(entries)
        return await self.request("apply", lambda: self._database.apply(sent))

    async def request(self, call: str, execute: Callable[[], T]) -> T:
        """One message: its fate decides when it is executed, and when and what its sender hears of it."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        if not self._network.sending(call):
            return await answer  # the process is dead: nothing of it runs any more
        self.messages[call] += 1
        fate = self._network.fate(call)
        owner = self._network

        def arrive() -> None:
            try:
                result = execute()
            except Exception as error:
                loop.call_later(fate.back, settle, fate.error or error, context=NOWHERE)
                return
            owner.applied(call)
            if not fate.late:
                loop.call_later(fate.back, settle, fate.error or result, context=NOWHERE)

        def settle(outcome: T | Exception | None) -> None:
            if answer.done():
                return
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(cast(T, outcome))

        if not fate.applied or fate.late:
            loop.call_later(fate.there + fate.back, settle, fate.error, context=NOWHERE)
        if fate.applied:
            loop.call_later(fate.there + (fate.back + fate.late if fate.late else 0.0), arrive, context=NOWHERE)
        result = await answer
        if not self._network.answered(call):
            return await loop.create_future()
        return result


class StoreHandle:
    def __init__(self, client: StoreClient, database: Database, name: str) -> None:
        self._client = client
        self._database = database
        self._name = name

    async def find(self, id: str) -> Record | None:
        return await self._client.request("get", lambda: self._database.find(self._name, id))

    async def get(self, id: str) -> Record:
        found = await self.find(id)
        if found is None:
            raise NotFound("not found")
        return found

    async def page(
        self, *, range: KeyRange | None = None, limit: int = 0, token: bytes = b"", direction: str = "next"
    ) -> Page:
        def read() -> Page:
            keys = [((id,), id) for id in sorted(self._database.store(self._name)) if _has(range, (id,))]
            return _page(self._client, keys, limit, token, direction, self._entry)

        return await self._client.request("page", read)

    def _entry(self, key: IndexKey) -> CursorEntry:
        return CursorEntry(key[1], key[1], self._database.find(self._name, key[1]))

    def index(self, name: str) -> IndexHandle:
        return IndexHandle(self._client, self._database, self._name, name)


class IndexHandle:
    def __init__(self, client: StoreClient, database: Database, store: str, name: str) -> None:
        self._client = client
        self._database = database
        self._store = store
        self._name = name

    async def get_all(self, *values: Any) -> list[Record]:
        return await self._client.request("index_get_all", lambda: list(self._records(self._keys(values))))

    async def get_key(self, *values: Any, range: KeyRange | None = None) -> str:
        def first() -> str:
            keys = [key for key in self._keys(values) if _has(range, key[0])]
            if not keys:
                raise NotFound("key not found")
            return keys[0][1]

        return await self._client.request("index_get_key", first)

    async def page(
        self,
        *values: Any,
        range: KeyRange | None = None,
        limit: int = 0,
        token: bytes = b"",
        direction: str = "next",
        keys_only: bool = False,
    ) -> Page:
        def entry(key: IndexKey) -> CursorEntry:
            return CursorEntry(list(key[0]), key[1], None if keys_only else self._database.find(self._store, key[1]))

        def read() -> Page:
            keys = [key for key in self._keys(values) if _has(range, key[0])]
            return _page(self._client, keys, limit, token, direction, entry)

        return await self._client.request("page", read)

    async def count(self, *values: Any, range: KeyRange | None = None) -> int:
        return await self._client.request("count", lambda: sum(_has(range, key) for key, _ in self._keys(values)))

    def _keys(self, values: Sequence[Any]) -> list[IndexKey]:
        return self._database.indexed(self._store, self._name, values)

    def _records(self, keys: Iterable[IndexKey]) -> Iterator[Record]:
        for _, id in keys:
            record = self._database.find(self._store, id)
            assert record is not None
            yield record


def _page(
    client: StoreClient,
    keys: list[IndexKey],
    limit: int,
    token: bytes,
    direction: str,
    entry: Callable[[IndexKey], CursorEntry],
) -> Page:
    """One page; the token is the place behind which the next one begins, whatever has been written since."""
    if direction == "prev":
        keys = keys[::-1]
    if token:
        last = client.places[token]
        keys = [key for key in keys if (key > last if direction == "next" else key < last)]
    part = keys[: limit or 1000]
    entries = [entry(key) for key in part]
    if len(part) == len(keys):
        return Page(entries)
    mark = str(len(client.places) + 1).encode()
    client.places[mark] = part[-1]
    return Page(entries, mark)


def _has(range: KeyRange | None, key: tuple[Any, ...]) -> bool:
    return range is None or _inside(range, key)


def _inside(range: KeyRange, key: tuple[Any, ...]) -> bool:
    """Whether the whole index key lies in the range; a scalar bound counts as a key of one part."""
    lower, upper = (
        bound if bound is None else tuple(bound) if isinstance(bound, list) else (bound,)
        for bound in (range.lower, range.upper)
    )
    above = lower is None or (key > lower if range.lower_open else key >= lower)
    below = upper is None or (key < upper if range.upper_open else key <= upper)
    return above and below


def no_answer(call: str) -> StoreUnavailable:
    return StoreUnavailable(f"{call}: no answer")


def aborted(call: str) -> TransactionFailed:
    return TransactionFailed("ABORTED", f"{call}: could not serialise")
