"""An IndexedDB client over dictionaries, for engine tests: same calls, counted, and able to fail on request.

It keeps to what the store's own tests establish for the real one: sparse indexes, conditions, outcomes of ``apply``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

from gestalt_sdk.indexeddb import (
    Condition,
    CursorEntry,
    Entry,
    KeyRange,
    NotFound,
    ObjectStoreSchema,
    Outcome,
    Page,
    Record,
    StoreUnavailable,
)
from gestalt_sdk.indexeddb.values import to_record
from tests.support.waiting import one_turn


class MemoryDatabase:
    """The data, shared by any number of clients."""

    def __init__(self) -> None:
        self.stores: dict[str, dict[str, Record]] = {}
        self.schemas: dict[str, ObjectStoreSchema] = {}

    def rows(self, store: str) -> dict[str, Record]:
        if store not in self.stores:
            raise NotFound(f"object store not found: {store}")
        return self.stores[store]

    def indexed(self, store: str, index: str) -> list[tuple[list[Any], str, Record]]:
        """Entries of the index in its order."""
        path = next(i.key_path for i in self.schemas[store].indexes if i.name == index)
        rows = [
            ([record[part] for part in path], id, record)
            for id, record in self.rows(store).items()
            if all(part in record for part in path)
        ]
        return sorted(rows, key=lambda row: (row[0], row[1]))


class MemoryClient:
    """Stands in for ``IndexedDB``. ``messages`` counts calls by name; ``before`` may raise or delay."""

    def __init__(self, database: MemoryDatabase) -> None:
        self.database = database
        self.messages: Counter[str] = Counter()
        self.before: Callable[[str], None] | None = None
        self.after: Callable[[str], None] | None = None
        self.batched = True
        self._places: list[tuple[Any, str]] = []
        """Where the pages that were handed out ended, by their tokens."""

    @property
    def count(self) -> int:
        return self.messages.total()

    async def _message(self, name: str) -> None:
        await one_turn()
        self.messages[name] += 1
        if self.before is not None:
            self.before(name)

    def _answered(self, name: str) -> None:
        if self.after is not None:
            self.after(name)

    async def close(self) -> None:
        return None

    async def reachable(self, within_s: float) -> bool:
        return True

    async def create_object_store(self, name: str, schema: ObjectStoreSchema) -> None:
        await self._message("create_object_store")
        self.database.schemas[name] = schema
        self.database.stores.setdefault(name, {})

    def store(self, name: str) -> MemoryStore:
        return MemoryStore(self, name)

    def page(
        self,
        rows: Sequence[tuple[Any, str, Record]],
        limit: int,
        token: bytes,
        direction: str,
        *,
        keys_only: bool = False,
    ) -> Page:
        """One page of these rows; the next one begins behind its last row, whatever has been removed since."""
        back = direction == "prev"
        if token:
            last = self._places[int(token)]
            rows = [row for row in rows if ((row[0], row[1]) < last if back else (row[0], row[1]) > last)]
        part = (rows[::-1] if back else rows)[: limit or 1000]
        entries = [CursorEntry(key, id, None if keys_only else deepcopy(record)) for key, id, record in part]
        if len(part) == len(rows):
            return Page(entries)
        self._places.append((part[-1][0], part[-1][1]))
        return Page(entries, str(len(self._places) - 1).encode())

    async def get_many(self, store: str, ids: Iterable[str]) -> dict[str, Record]:
        await self._message("get_many")
        rows = self.database.rows(store)
        return {id: deepcopy(rows[id]) for id in ids if id in rows}

    async def apply(self, entries: Sequence[Entry], *, return_current: bool = False) -> list[Outcome]:
        await self._message("apply")
        before = {name: dict(rows) for name, rows in self.database.stores.items()}
        outcomes = [self._apply(entry) for entry in entries]
        failed = [place for place, entry in enumerate(entries) if entry.required and not outcomes[place].ok]
        if failed:
            self.database.stores = before
            outcomes = [o if place in failed else Outcome("aborted", "required") for place, o in enumerate(outcomes)]
        self._answered("apply")
        return outcomes

    def _apply(self, entry: Entry) -> Outcome:
        rows = self.database.rows(entry.store)
        id = entry.id or str((entry.record or {}).get("id"))
        current = rows.get(id)
        for condition in entry.conditions:
            if not self._holds(condition, entry.store, id):
                own = not condition.store or (condition.store, condition.id) == (entry.store, id)
                return Outcome("aborted", "condition", deepcopy(current) if own else None)
        if entry.op == "add" and current is not None:
            return Outcome("already_exists", "already exists", deepcopy(current))
        if entry.op in ("put", "add"):
            assert entry.record is not None
            to_record(entry.record)  # raises for what no store could keep
            if self._conflicts(entry.store, id, entry.record):
                return Outcome("already_exists", "unique index conflict")
            rows[id] = deepcopy(entry.record)
        elif entry.op == "delete":
            rows.pop(id, None)
        return Outcome("ok")

    def _holds(self, condition: Condition, store: str, id: str) -> bool:
        record = self.database.rows(condition.store or store).get(condition.id or id)
        if condition.absent is not None:
            return (record is None) == condition.absent
        return record is not None and record.get(condition.field) == condition.value

    def _conflicts(self, store: str, id: str, record: Record) -> bool:
        for index in self.database.schemas[store].indexes:
            if index.unique and all(part in record for part in index.key_path):
                key = [record[part] for part in index.key_path]
                if any(k == key and other != id for k, other, _ in self.database.indexed(store, index.name)):
                    return True
        return False


class MemoryStore:
    def __init__(self, client: MemoryClient, name: str) -> None:
        self._client = client
        self._name = name

    async def find(self, id: str) -> Record | None:
        await self._client._message("get")
        return deepcopy(self._client.database.rows(self._name).get(id))

    async def get(self, id: str) -> Record:
        found = await self.find(id)
        if found is None:
            raise NotFound("not found")
        return found

    async def page(
        self, *, range: KeyRange | None = None, limit: int = 0, token: bytes = b"", direction: str = "next"
    ) -> Page:
        await self._client._message("page")
        rows = sorted(self._client.database.rows(self._name).items())
        found = [(id, id, record) for id, record in rows if _within(range, id)]
        return self._client.page(found, limit, token, direction)

    def index(self, name: str) -> MemoryIndex:
        return MemoryIndex(self._client, self._name, name)


class MemoryIndex:
    def __init__(self, client: MemoryClient, store: str, name: str) -> None:
        self._client = client
        self._store = store
        self._name = name

    async def get_all(self, *values: Any) -> list[Record]:
        await self._client._message("index_get_all")
        return [deepcopy(record) for _, _, record in self._rows(values, None)]

    async def get_key(self, *values: Any, range: KeyRange | None = None) -> str:
        await self._client._message("index_get_key")
        rows = self._rows(values, range)
        if not rows:
            raise NotFound("key not found")
        return rows[0][1]

    async def count(self, *values: Any, range: KeyRange | None = None) -> int:
        await self._client._message("index_count")
        return len(self._rows(values, range))

    async def page(
        self,
        *values: Any,
        range: KeyRange | None = None,
        limit: int = 0,
        token: bytes = b"",
        direction: str = "next",
        keys_only: bool = False,
    ) -> Page:
        await self._client._message("page")
        return self._client.page(self._rows(values, range), limit, token, direction, keys_only=keys_only)

    def _rows(self, values: Sequence[Any], range: KeyRange | None) -> list[tuple[list[Any], str, Record]]:
        rows = self._client.database.indexed(self._store, self._name)
        rows = [row for row in rows if row[0][: len(values)] == list(values)]
        if range is None:
            return rows
        return [row for row in rows if _inside(range, row[0])]


def _inside(range: KeyRange, key: list[Any]) -> bool:
    """Whether the whole index key lies in the range; a scalar bound counts as a key of one part."""
    lower, upper = (
        bound if bound is None or isinstance(bound, list) else [bound] for bound in (range.lower, range.upper)
    )
    above = lower is None or (key > lower if range.lower_open else key >= lower)
    below = upper is None or (key < upper if range.upper_open else key <= upper)
    return above and below


def _within(range: KeyRange | None, key: Any) -> bool:
    """Whether the scalar key lies in the range."""
    if range is None:
        return True
    above = range.lower is None or (key > range.lower if range.lower_open else key >= range.lower)
    below = range.upper is None or (key < range.upper if range.upper_open else key <= range.upper)
    return above and below


def unavailable(name: str) -> None:
    raise StoreUnavailable(f"{name}: no answer")
