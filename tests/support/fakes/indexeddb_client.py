"""The SDK's IndexedDB client on a store in memory, without a socket: for engines in the test's own process.

``RecordDatabase`` is what is stored, shared by any number of clients; records are as the client has them. A message of
``IndexedDBClient`` goes through its ``carry``: ``MemoryClient`` counts it and can fail it; the simulation's has it
delayed, lost, or be the last that its sender does. That it answers as the real store does is tested in
``tests/simulation/test_store.py``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from functools import partial
from typing import Any, TypeVar

from gestalt_sdk.indexeddb import (
    Condition,
    CursorEntry,
    KeyRange,
    NotFound,
    ObjectStoreSchema,
    Page,
    Record,
    StoreUnavailable,
    Write,
    WriteResult,
)
from gestalt_sdk.indexeddb.values import to_record
from tests.support.fakes.database import Batch, IndexRule, MemoryDatabase, Row, Table
from tests.support.waiting import one_turn

T = TypeVar("T")


def place_of(path: Sequence[str], record: Record) -> tuple[Any, Any] | None:
    """Return the record's place in an index over ``path``."""
    if any(part not in record for part in path):
        return None
    key = tuple(record[part] for part in path)
    return key, key


class RecordDatabase(MemoryDatabase[Record]):
    """Object stores by the schemas of the SDK, and ``apply`` as the extension has it."""

    def __init__(self, committed: Callable[[list[Any]], None] | None = None) -> None:
        super().__init__(committed)
        self._schemas: dict[str, ObjectStoreSchema] = {}

    @property
    def stores(self) -> Stores:
        """Return the records by store and id, for a test to change behind everybody's back."""
        return Stores(self)

    def create_store(self, name: str, schema: ObjectStoreSchema) -> None:
        self._schemas[name] = schema
        self.create(name, self.rules_of(name))

    def rules_of(self, name: str) -> list[IndexRule[Record]]:
        return [IndexRule(partial(place_of, index.key_path), index.unique) for index in self._schemas[name].indexes]

    def table(self, name: str) -> Table[Record]:
        if name not in self.tables:
            raise NotFound(f"object store not found: {name}")
        return self.tables[name]

    def find(self, store: str, id: str) -> Record | None:
        record = self.table(store).records.get(id)
        return None if record is None else dict(record)

    def indexed(self, store: str, index: str, values: Sequence[Any]) -> list[Row]:
        """Return the rows of the index whose first parts are these values, in order."""
        table = self.table(store)
        names = [schema.name for schema in self._schemas[store].indexes]
        rows = table.rows(names.index(index))
        if not values:
            return rows
        wanted = tuple(values)
        first = bisect_left(rows, (wanted,))
        last = first
        while last < len(rows) and rows[last].sort[: len(wanted)] == wanted:
            last += 1
        return rows[first:last]

    def apply(self, writes: Sequence[Write]) -> list[WriteResult]:
        batch = self.batch()
        results: list[WriteResult] = []
        for place, write in enumerate(writes):
            result = self._execute(write, batch)
            results.append(result)
            if write.required and not result.ok:
                batch.undo()
                nothing = WriteResult("aborted", f"nothing was written: required entry {place} failed")
                return [result if other == place else nothing for other in range(len(writes))]
        batch.commit()
        return results

    def _execute(self, write: Write, batch: Batch[Record]) -> WriteResult:
        table = self.table(write.store)
        id = write.id or str((write.record or {}).get("id"))
        current = table.records.get(id)
        for condition in write.conditions:
            if not self._holds(condition, write.store, id):
                own = not condition.store or (condition.store, condition.id) == (write.store, id)
                return WriteResult("aborted", "condition", dict(current) if own and current is not None else None)
        if write.op == "check":
            return WriteResult("ok")
        if write.op == "add" and current is not None:
            return WriteResult("already_exists", "already exists", dict(current))
        if write.record is not None:
            to_record(write.record)  # raises for what no store could keep
        if write.record is not None and table.conflicts(id, write.record):
            return WriteResult("already_exists", "unique index conflict")
        batch.set(write.store, id, None if write.op == "delete" else dict(write.record or {}))
        return WriteResult("ok")

    def _holds(self, condition: Condition, store: str, id: str) -> bool:
        record = self.table(condition.store or store).records.get(condition.id or id)
        if condition.absent is not None:
            return (record is None) == condition.absent
        return record is not None and record.get(condition.field) == condition.value


class Stores(MutableMapping[str, dict[str, Record]]):
    """The records of every store, to look at or to change; indexes are built again before they are read."""

    def __init__(self, database: RecordDatabase) -> None:
        self._database = database

    def __getitem__(self, name: str) -> dict[str, Record]:
        table = self._database.tables[name]
        table.touched()
        return table.records

    def __setitem__(self, name: str, records: dict[str, Record]) -> None:
        table = self._database.tables[name] = Table(self._database.rules_of(name))
        table.records = records
        table.touched()

    def __delitem__(self, name: str) -> None:
        del self._database.tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._database.tables)

    def __len__(self) -> int:
        return len(self._database.tables)


class IndexedDBClient:
    """What one process holds of the database: the calls of ``gestalt_sdk.indexeddb.IndexedDB`` that our engine makes.

    Attributes:
        messages: Calls by name.
    """

    def __init__(self, database: RecordDatabase, *, batched: bool = True) -> None:
        self.database = database
        self.batched = batched
        self.messages: Counter[str] = Counter()
        self.places: dict[bytes, tuple[Any, str]] = {}
        """Where the pages that were handed out ended, by their token."""

    @property
    def count(self) -> int:
        return self.messages.total()

    async def carry(self, call: str, execute: Callable[[], T]) -> T:
        """Carry one message to the store, have it executed there, and bring the answer back."""
        raise NotImplementedError

    async def close(self) -> None:
        return None

    async def reachable(self, within_s: float) -> bool:
        return True

    async def create_object_store(self, name: str, schema: ObjectStoreSchema) -> None:
        await self.carry("create", lambda: self.database.create_store(name, schema))

    def store(self, name: str) -> StoreHandle:
        return StoreHandle(self, name)

    async def get_many(self, store: str, ids: Iterable[str]) -> dict[str, Record]:
        wanted = list(ids)

        def found() -> dict[str, Record]:
            records = self.database.table(store).records
            return {id: dict(records[id]) for id in wanted if id in records}

        return await self.carry("get_many", found)

    async def apply(self, writes: Sequence[Write], *, return_current: bool = False) -> list[WriteResult]:
        sent = list(writes)
        return await self.carry("apply", lambda: self.database.apply(sent))


class MemoryClient(IndexedDBClient):
    """Has every message answered at once.

    Attributes:
        before: Called with each message's name before it is executed; may raise, and may change what is stored.
        after: The same once an ``apply`` was executed: what it raises is an answer that was lost.
    """

    def __init__(self, database: RecordDatabase) -> None:
        super().__init__(database)
        self.before: Callable[[str], None] | None = None
        self.after: Callable[[str], None] | None = None

    async def carry(self, call: str, execute: Callable[[], T]) -> T:
        await one_turn()
        self.messages[call] += 1
        if self.before is not None:
            self.before(call)
        answer = execute()
        if call == "apply" and self.after is not None:
            self.after(call)
        return answer


class StoreHandle:
    def __init__(self, client: IndexedDBClient, name: str) -> None:
        self._client = client
        self._name = name

    async def find(self, id: str) -> Record | None:
        return await self._client.carry("get", lambda: self._client.database.find(self._name, id))

    async def get(self, id: str) -> Record:
        found = await self.find(id)
        if found is None:
            raise NotFound("not found")
        return found

    async def page(
        self, *, range: KeyRange | None = None, limit: int = 0, token: bytes = b"", direction: str = "next"
    ) -> Page:
        def read() -> Page:
            ids = self._client.database.table(self._name).ids
            rows = [Row((id,), id, (id,)) for id in ids if _has(range, (id,))]
            return _page(self._client, rows, limit, token, direction, self._entry)

        return await self._client.carry("page", read)

    def _entry(self, row: Row) -> CursorEntry:
        return CursorEntry(row.id, row.id, self._client.database.find(self._name, row.id))

    def index(self, name: str) -> IndexHandle:
        return IndexHandle(self._client, self._name, name)


class IndexHandle:
    def __init__(self, client: IndexedDBClient, store: str, name: str) -> None:
        self._client = client
        self._store = store
        self._name = name

    async def get_all(self, *values: Any) -> list[Record]:
        def found() -> list[Record]:
            records = self._client.database.table(self._store).records
            return [dict(records[row.id]) for row in self._rows(values, None)]

        return await self._client.carry("index_get_all", found)

    async def get_key(self, *values: Any, range: KeyRange | None = None) -> str:
        def first() -> str:
            rows = self._rows(values, range)
            if not rows:
                raise NotFound("key not found")
            return str(rows[0].id)

        return await self._client.carry("index_get_key", first)

    async def page(
        self,
        *values: Any,
        range: KeyRange | None = None,
        limit: int = 0,
        token: bytes = b"",
        direction: str = "next",
        keys_only: bool = False,
    ) -> Page:
        def entry(row: Row) -> CursorEntry:
            record = None if keys_only else self._client.database.find(self._store, row.id)
            return CursorEntry(list(row.key), row.id, record)

        def read() -> Page:
            return _page(self._client, self._rows(values, range), limit, token, direction, entry)

        return await self._client.carry("page", read)

    async def count(self, *values: Any, range: KeyRange | None = None) -> int:
        return await self._client.carry("index_count", lambda: len(self._rows(values, range)))

    def _rows(self, values: Sequence[Any], range: KeyRange | None) -> list[Row]:
        rows = self._client.database.indexed(self._store, self._name, values)
        return rows if range is None else [row for row in rows if _has(range, row.key)]


def _page(
    client: IndexedDBClient,
    rows: list[Row],
    limit: int,
    token: bytes,
    direction: str,
    entry: Callable[[Row], CursorEntry],
) -> Page:
    """Return one page; the token is the place behind which the next one begins, whatever has been written since."""
    if direction == "prev":
        rows = rows[::-1]
    if token:
        last = client.places[token]
        rows = [row for row in rows if (row[:2] > last if direction == "next" else row[:2] < last)]
    part = rows[: limit or 1000]
    entries = [entry(row) for row in part]
    if len(part) == len(rows):
        return Page(entries)
    mark = str(len(client.places) + 1).encode()
    client.places[mark] = part[-1][:2]
    return Page(entries, mark)


def _has(range: KeyRange | None, key: tuple[Any, ...]) -> bool:
    """Whether the whole index key lies in the range; a scalar bound counts as a key of one part."""
    if range is None:
        return True
    lower, upper = (
        bound if bound is None else tuple(bound) if isinstance(bound, list) else (bound,)
        for bound in (range.lower, range.upper)
    )
    above = lower is None or (key > lower if range.lower_open else key >= lower)
    below = upper is None or (key < upper if range.upper_open else key <= upper)
    return above and below


def unavailable(name: str) -> None:
    raise StoreUnavailable(f"{name}: no answer")
