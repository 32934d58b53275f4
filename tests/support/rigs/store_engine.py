"""The store's engines in the test's own process: a schema, a record and a write in one line each."""

from __future__ import annotations

from typing import Any

from gestalt_store.engines.interface import Database, IndexT, StoreT
from gestalt_store.engines.limits import StoreLimits
from gestalt_store.values import wire
from gestalt_store.values.schema import StoreSchema
from gestalt_store.values.values import typed_value
from gestalt_store.work.operations import write_of

LIMITS = StoreLimits(lock_wait_s=5, transaction_idle_s=10, snapshot_idle_s=10)


def schema(*indexes: tuple[str, bool]) -> StoreSchema:
    message = wire.ObjectStoreSchema()
    for field, unique in indexes:
        message.indexes.add(name=field, key_path=[field], unique=unique)
    return StoreSchema.of(message)


def record(**values: Any) -> bytes:
    made = wire.Record()
    for name, value in values.items():
        made.fields[name].CopyFrom(typed_value(value))
    data: bytes = made.SerializeToString()
    return data


async def put(database: Database[StoreT, IndexT], store: StoreT, *, add: bool = False, **values: Any) -> None:
    await database.write(write_of(store, record(**values), add=add))


async def make(database: Database[StoreT, IndexT], *indexes: tuple[str, bool]) -> StoreT:
    await database.create_store("s", schema(*indexes))
    return database.store("s")
