"""The store in memory as an engine of our store's own edge: what is served is the whole IndexedDB service.

``serving_memory_store`` serves it on a unix socket. The contract suite runs on it (``tests/contract/indexeddb``), so a
test that uses it may trust it. It lacks what only the engines on disk can do: scopes and changes of indexes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias, cast

import grpc
from gestalt_store.databases import Configured, Databases, SocketAccess
from gestalt_store.edge.service import add_services
from gestalt_store.engines.conditions import ALREADY_EXISTS, DONE, OK, nothing_written, refused_by_conditions
from gestalt_store.engines.idle import Expirable, IdleWatch
from gestalt_store.engines.interface import (
    ConditionalWrite,
    Migration,
    Position,
    ServedDatabase,
    Walk,
    WalkRow,
    Write,
    WriteResult,
)
from gestalt_store.engines.limits import LIST_LIMIT_BYTES, RECORD_OVERHEAD, StoreLimits, too_large
from gestalt_store.engines.locks import SCHEMA, LockRequest, LockTable
from gestalt_store.errors import (
    AlreadyExists,
    IndexNotFound,
    ObjectStoreNotFound,
    SchemaMismatch,
    TransactionAborted,
    TransactionFinished,
    TransactionReadonly,
    UniqueConflict,
)
from gestalt_store.values import wire
from gestalt_store.values.schema import IndexSchema, StoreSchema

from gestalt_sdk.transport.channels import SERVER_OPTIONS
from tests.support.fakes.database import IndexRule, MemoryDatabase, Table

Tables: TypeAlias = dict[str, Table[bytes]]
LIMITS = StoreLimits(lock_wait_s=3, transaction_idle_s=20, snapshot_idle_s=20)


class EngineIndex:
    def __init__(self, number: int, schema: IndexSchema) -> None:
        self.number = number
        self.schema = schema

    def rule(self) -> IndexRule[bytes]:
        def place(record: bytes) -> tuple[Any, Any] | None:
            key = self.schema.key_of(wire.Record.FromString(record).fields)
            return None if key is None else (key.order, key)

        return IndexRule(place, self.schema.unique)


class EngineStore:
    def __init__(self, name: str, schema: StoreSchema) -> None:
        self.name = name
        self.schema = schema
        self.indexes = [EngineIndex(number, index) for number, index in enumerate(schema.indexes)]
        self.dropped = False

    def index(self, name: str) -> EngineIndex:
        found = next((index for index in self.indexes if index.schema.name == name), None)
        if found is None:
            raise IndexNotFound(name)
        return found

    def check(self) -> None:
        if self.dropped:
            raise ObjectStoreNotFound(self.name)


EngineWalk: TypeAlias = Walk[EngineStore, EngineIndex]
EngineWrite: TypeAlias = Write[EngineStore]


def rows_of(tables: Tables, walk: EngineWalk) -> list[WalkRow]:
    """Every row of the walk, in its order."""
    table, span = tables[walk.store.name], walk.span
    if span.empty:
        return []
    if walk.index is None:
        ids = table.ids[bisect_left(table.ids, span.lower) : bisect_left(table.ids, span.upper)]
        found = [WalkRow(id, None if walk.keys_only else table.records[id]) for id in ids]
    else:
        rows = table.rows(walk.index.number)
        rows = rows[bisect_left(rows, (span.lower,)) : bisect_left(rows, (span.upper,))]
        found = [
            WalkRow(row.id, None if walk.keys_only else table.records[row.id], row.key)
            for row in rows
            if span.ties is None or row.key.ties == span.ties
        ]
    if walk.reverse:
        found.reverse()
    if walk.unique and walk.index is not None:
        orders = [row.position.key for row in found]
        found = [row for at, row in enumerate(found) if at == 0 or orders[at - 1] != orders[at]]
    return found


def rows_behind(tables: Tables, walk: EngineWalk, after: Position | None) -> list[WalkRow]:
    rows = rows_of(tables, walk)
    if after is None:
        return rows
    if walk.unique and walk.index is not None:
        return [row for row in rows if (row.position.key < after.key if walk.reverse else row.position.key > after.key)]
    return [row for row in rows if (row.position < after if walk.reverse else row.position > after)]


def fitting(items: list[bytes], what: str) -> list[bytes]:
    if sum(len(item) + RECORD_OVERHEAD for item in items) > LIST_LIMIT_BYTES:
        raise too_large(what)
    return items


def cut(rows: list[WalkRow], limit_bytes: int) -> list[WalkRow]:
    """The rows up to the one that reaches the limit."""
    size = taken = 0
    while taken < len(rows) and (size < limit_bytes or not taken):
        size += rows[taken].size
        taken += 1
    return rows[:taken]


class Reading:
    """Reads of some state of the tables."""

    def tables(self) -> Tables:
        raise NotImplementedError

    async def ready(self) -> None:
        """Wait until it may be read."""

    async def get(self, store: EngineStore, primary_key: bytes) -> bytes | None:
        await self.ready()
        return self.tables()[store.name].records.get(primary_key)

    async def records(self, walk: EngineWalk) -> list[bytes]:
        await self.ready()
        return fitting([row.record or b"" for row in rows_of(self.tables(), walk)], "records")

    async def keys(self, walk: EngineWalk) -> list[bytes]:
        await self.ready()
        return fitting([row.primary_key for row in rows_of(self.tables(), walk)], "keys")

    async def first(self, walk: EngineWalk) -> WalkRow | None:
        await self.ready()
        return next(iter(rows_of(self.tables(), walk)), None)

    async def count(self, walk: EngineWalk) -> int:
        await self.ready()
        return len(rows_of(self.tables(), walk))


class EngineSnapshot(Expirable):
    held_bytes = 0

    def __init__(self, tables: Tables, watch: IdleWatch, idle_s: float) -> None:
        super().__init__(idle_s)
        self._tables = tables
        self._watch = watch
        self.closed = False
        watch.add(self)

    def tables(self) -> Tables:
        if self.expired or self.closed:
            raise TransactionAborted(self.reason)
        self.in_use().__exit__()
        return self._tables

    async def page(
        self, walk: EngineWalk, after: Position | None, limit: int, skip: int = 0, *, limit_bytes: int | None = None
    ) -> list[WalkRow]:
        rows = rows_behind(self.tables(), walk, after)[skip : skip + limit]
        return rows if limit_bytes is None else cut(rows, limit_bytes)

    def close(self) -> None:
        self.closed = True
        self._watch.remove(self)

    def expire(self) -> None:
        self._tables = {}


class ReadTransaction(Reading):
    """Reads one snapshot; schema changes wait for its end."""

    held_bytes = 0

    def __init__(self, database: EngineDatabase, snapshot: EngineSnapshot, schema_lock: LockRequest) -> None:
        self._database = database
        self._snapshot = snapshot
        self._schema_lock = schema_lock
        self.on_expiry: Callable[[str], None] | None = None
        snapshot.on_expiry = self._expired

    def tables(self) -> Tables:
        return self._snapshot.tables()

    async def write(self, write: EngineWrite) -> None:
        raise TransactionReadonly

    async def delete(self, store: EngineStore, primary_key: bytes) -> None:
        raise TransactionReadonly

    async def clear(self, store: EngineStore) -> None:
        raise TransactionReadonly

    async def delete_walk(self, walk: EngineWalk) -> int:
        raise TransactionReadonly

    async def commit(self) -> None:
        self._snapshot.tables()
        self.abort()

    def abort(self) -> None:
        self._snapshot.close()
        self._database.locks.release(self._schema_lock)

    def _expired(self, reason: str) -> None:
        self._database.locks.release(self._schema_lock)
        if self.on_expiry is not None:
            self.on_expiry(reason)


class WriteTransaction(Expirable, Reading):
    """Has its stores to itself from its first operation on, and writes to copies that its commit puts in place."""

    held_bytes = 0

    def __init__(self, database: EngineDatabase, names: Sequence[str], schema_lock: LockRequest) -> None:
        super().__init__(database.limits.transaction_idle_s)
        self._database = database
        self._names = tuple(dict.fromkeys(names))
        self._schema_lock = schema_lock
        holder = f"a transaction on {', '.join(map(repr, sorted(self._names)))}"
        self._lock = database.locks.request(self._names, exclusive=True, holder=holder)
        self._own: MemoryDatabase[bytes] | None = None
        self._finished = False
        database.watch.add(self)

    async def ready(self) -> None:
        self._check()
        with self.in_use():
            await self._database.locks.granted(self._lock, self._database.limits.lock_wait_s)
            if self._own is None:
                self._own = MemoryDatabase()
                self._own.tables = {name: self._database.data.tables[name].copy() for name in self._names}

    def tables(self) -> Tables:
        assert self._own is not None
        return self._own.tables

    async def write(self, write: EngineWrite) -> None:
        await self.ready()
        put(self.tables()[write.store.name], write)

    async def delete(self, store: EngineStore, primary_key: bytes) -> None:
        await self.ready()
        self.tables()[store.name].set(primary_key, None)

    async def clear(self, store: EngineStore) -> None:
        await self.ready()
        empty = self.tables()[store.name]
        self.tables()[store.name] = Table(empty.rules)

    async def delete_walk(self, walk: EngineWalk) -> int:
        await self.ready()
        rows = rows_of(self.tables(), walk)
        for row in rows:
            self.tables()[walk.store.name].set(row.primary_key, None)
        return len(rows)

    async def commit(self) -> None:
        self._check()
        self._finished = True
        self._database.watch.remove(self)
        if self._own is not None:
            self._database.data.tables.update(self._own.tables)
        self._release()

    def abort(self) -> None:
        if not self._finished:
            self._finished = True
            self._database.watch.remove(self)
            self._release()

    def expire(self) -> None:
        self._finished = True
        self._release()

    def _release(self) -> None:
        self._database.locks.release(self._lock)
        self._database.locks.release(self._schema_lock)

    def _check(self) -> None:
        if self.expired:
            raise TransactionAborted(self.reason)
        if self._finished:
            raise TransactionFinished


def put(table: Table[bytes], write: EngineWrite) -> None:
    if write.add and write.primary_key in table.records:
        raise AlreadyExists
    if table.conflicts(write.primary_key, write.record):
        raise UniqueConflict
    table.set(write.primary_key, write.record)


class EngineDatabase(Reading):
    """``gestalt_store.engines.interface.Database`` over ``MemoryDatabase``."""

    version = 0

    def __init__(self, limits: StoreLimits = LIMITS) -> None:
        self.limits = limits
        self.data: MemoryDatabase[bytes] = MemoryDatabase()
        self.stores: dict[str, EngineStore] = {}
        self.locks = LockTable()
        self.watch = IdleWatch(limits.idle_check_s)

    def tables(self) -> Tables:
        return self.data.tables

    def store(self, name: str) -> EngineStore:
        if name not in self.stores:
            raise ObjectStoreNotFound(name)
        return self.stores[name]

    async def refresh(self) -> None:
        """Nobody else can have changed the stores."""

    async def create_store(self, name: str, schema: StoreSchema) -> None:
        if self._matches(name, schema):
            return
        async with self.locks.held(
            (SCHEMA,), exclusive=True, holder=f"the creation of object store {name!r}", within_s=self.limits.lock_wait_s
        ):
            if not self._matches(name, schema):
                self.stores[name] = store = EngineStore(name, schema)
                self.data.create(name, [index.rule() for index in store.indexes])

    def _matches(self, name: str, schema: StoreSchema) -> bool:
        if name not in self.stores:
            return False
        if not self.stores[name].schema.matches(schema):
            raise SchemaMismatch(name)
        return True

    async def delete_store(self, name: str) -> None:
        async with self.locks.held(
            (SCHEMA,), exclusive=True, holder=f"the deletion of object store {name!r}", within_s=self.limits.lock_wait_s
        ):
            store = self.stores.pop(name, None)
            if store is not None:
                store.dropped = True
                del self.data.tables[name]

    async def begin(self, names: Sequence[str], *, readonly: bool, relaxed: bool) -> ReadTransaction | WriteTransaction:
        schema = self.locks.request((SCHEMA,), exclusive=False, holder="an open transaction")
        await self.locks.granted(schema, self.limits.lock_wait_s)
        try:
            for name in names:
                self.store(name)
            if readonly:
                return ReadTransaction(self, await self.snapshot(), schema)
            return WriteTransaction(self, names, schema)
        except BaseException:
            self.locks.release(schema)
            raise

    async def snapshot(self) -> EngineSnapshot:
        return EngineSnapshot(self.data.snapshot(), self.watch, self.limits.snapshot_idle_s)

    async def page(
        self, walk: EngineWalk, after: Position | None, limit: int, limit_bytes: int
    ) -> tuple[list[WalkRow], bool]:
        rows = rows_behind(self.tables(), walk, after)
        found = cut(rows[:limit], limit_bytes)
        return found, len(found) < len(rows)

    async def get_many(self, store: EngineStore, primary_keys: Sequence[bytes]) -> list[bytes]:
        records = self.tables()[store.name].records
        return fitting([records[key] for key in primary_keys if key in records], "records")

    async def write(self, write: EngineWrite) -> None:
        async with self._alone(write.store):
            put(self.data.writable(write.store.name), write)

    async def delete(self, store: EngineStore, primary_key: bytes) -> None:
        async with self._alone(store):
            self.data.writable(store.name).set(primary_key, None)

    async def clear(self, store: EngineStore) -> None:
        async with self._alone(store):
            self.data.tables[store.name] = Table(self.data.tables[store.name].rules)

    async def delete_walk(self, walk: EngineWalk) -> int:
        async with self._alone(walk.store):
            rows = rows_of(self.tables(), walk)
            for row in rows:
                self.data.writable(walk.store.name).set(row.primary_key, None)
            return len(rows)

    async def apply(
        self, writes: Sequence[ConditionalWrite[EngineStore]], *, return_current: bool, relaxed: bool
    ) -> list[WriteResult]:
        async with self._alone(*(item.store for item in writes)):
            batch = self.data.batch()
            results: list[WriteResult] = []
            for position, item in enumerate(writes):
                result = self._conditional(item, batch.set, return_current=return_current)
                if result.code != OK and item.required:
                    batch.undo()
                    return nothing_written(len(writes), position, result)
                results.append(result)
            batch.commit()
            return results

    def _conditional(
        self,
        item: ConditionalWrite[EngineStore],
        set_record: Callable[[str, bytes, bytes | None], None],
        *,
        return_current: bool,
    ) -> WriteResult:
        tables = self.tables()
        refused = refused_by_conditions(
            item, lambda test: tables[test.store.name].records.get(test.primary_key), return_current=return_current
        )
        if refused is not None:
            return refused
        table, write = tables[item.store.name], item.write
        current = table.records.get(item.primary_key)
        if write is not None:
            if write.add and current is not None:
                return WriteResult(ALREADY_EXISTS, str(AlreadyExists()), current if return_current else None)
            if table.conflicts(item.primary_key, write.record):
                return WriteResult(ALREADY_EXISTS, str(UniqueConflict()), None)
            set_record(item.store.name, item.primary_key, write.record)
        elif item.delete:
            set_record(item.store.name, item.primary_key, None)
        return DONE

    @asynccontextmanager
    async def _alone(self, *stores: EngineStore) -> AsyncIterator[None]:
        """Wait for the transactions on these stores; one that was deleted is refused."""
        names = {store.name: None for store in stores}
        async with self.locks.held(names, exclusive=True, holder="a write", within_s=self.limits.lock_wait_s):
            for store in stores:
                store.check()
            yield

    async def change_indexes(self, name: str, add: Sequence[IndexSchema], remove: Sequence[str]) -> Migration:
        raise NotImplementedError("the store in memory changes no indexes")

    async def migration(self, name: str) -> Migration:
        raise NotImplementedError("the store in memory changes no indexes")

    async def check(self) -> None:
        """Memory can be used."""

    lost = ""

    async def close(self) -> None:
        self.watch.close()


def register_memory_store(server: grpc.aio.Server, database: EngineDatabase | None = None) -> EngineDatabase:
    """Add the services of a store in memory to a server."""
    served = database or EngineDatabase()
    configured = Configured()
    config = SimpleNamespace(db="", limits=served.limits)
    only = SimpleNamespace(config=config, watch=served.watch, opened=lambda _: cast(ServedDatabase, served))
    configured.databases = cast(Databases, only)
    add_services(server, SocketAccess(configured, None))
    return served


@asynccontextmanager
async def serving_memory_store(
    path: Path, *, database: EngineDatabase | None = None, interceptors: Sequence[grpc.aio.ServerInterceptor] = ()
) -> AsyncIterator[EngineDatabase]:
    """Serve a store in memory on the unix socket ``path``."""
    server = grpc.aio.server(options=SERVER_OPTIONS, interceptors=interceptors)
    served = register_memory_store(server, database)
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        yield served
    finally:
        await server.stop(0)
        await served.close()
