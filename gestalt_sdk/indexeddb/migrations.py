"""Change the indexes of an object store that holds records: begin, look, wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import grpc

from gestalt_sdk.gen.extension.v1 import schemas_pb2, schemas_pb2_grpc
from gestalt_sdk.indexeddb.convert import error_of_call, index_to_proto, not_served, schema_from_proto
from gestalt_sdk.indexeddb.errors import MigrationFailed, MigrationsNotOffered
from gestalt_sdk.indexeddb.schema import FieldValue, IndexSchema, ObjectStoreSchema
from gestalt_sdk.indexeddb.values import from_key
from gestalt_sdk.transport.channels import Patience

FIRST_LOOK_S, LONGEST_LOOK_S = 0.02, 2.0

MigrationState: TypeAlias = Literal["none", "running", "done", "failed"]
_STATES: dict[int, MigrationState] = {
    schemas_pb2.MIGRATION_STATE_UNSPECIFIED: "none",
    schemas_pb2.MIGRATION_STATE_RUNNING: "running",
    schemas_pb2.MIGRATION_STATE_DONE: "done",
    schemas_pb2.MIGRATION_STATE_FAILED: "failed",
}


@dataclass(frozen=True, slots=True)
class IndexConflict:
    """List records that have one key in an index that shall be unique."""

    index: str
    key: tuple[FieldValue, ...]
    primary_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Migration:
    """Tell how the last change of a store's indexes goes or went.

    Attributes:
        records_read: Records that have been looked at, of ``records`` when it began.
        schema: In force now: the old one until the state is ``done``.
    """

    state: MigrationState
    records_read: int
    records: int
    schema: ObjectStoreSchema
    problem: str
    conflicts: tuple[IndexConflict, ...]


class Migrations:
    """Call IndexedDBSchemas."""

    def __init__(self, channel: grpc.aio.Channel, patience: Patience) -> None:
        self._stub = schemas_pb2_grpc.IndexedDBSchemasStub(channel)
        self._patience = patience

    async def change(self, store: str, add: Iterable[IndexSchema], remove: Iterable[str]) -> Migration:
        """Begin a change of indexes, or find the same one that is under way."""
        request = schemas_pb2.ChangeIndexesRequest(store=store, add=map(index_to_proto, add), remove=remove)
        return await self._ask(self._stub.ChangeIndexes, request)

    async def look(self, store: str) -> Migration:
        """Return how the last change goes or went."""
        return await self._ask(self._stub.GetMigration, schemas_pb2.GetMigrationRequest(store=store))

    async def change_and_wait(self, store: str, add: Iterable[IndexSchema], remove: Iterable[str]) -> Migration:
        """Begin a change and look, at growing intervals, until it is done. Raises ``MigrationFailed``."""
        migration = await self.change(store, add, remove)
        pause = FIRST_LOOK_S
        while migration.state == "running":
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_LOOK_S)
            migration = await self.look(store)
        if migration.state != "done":
            raise MigrationFailed(f"the indexes of object store {store!r} stay as they were: {migration.problem}")
        return migration

    async def _ask(self, method: Any, request: Any) -> Migration:
        try:
            waits = self._patience
            return _from_proto(await method(request, timeout=waits.timeout_s, wait_for_ready=waits.for_ready))
        except grpc.aio.AioRpcError as error:
            if not_served(error):
                raise MigrationsNotOffered(error.details() or "") from error
            raise error_of_call(error) from error


def _from_proto(message: schemas_pb2.Migration) -> Migration:
    return Migration(
        _STATES.get(message.state, "none"),
        message.records_read,
        message.records,
        schema_from_proto(message.schema),
        message.problem,
        tuple(
            IndexConflict(conflict.index, tuple(from_key(part) for part in conflict.key), tuple(conflict.primary_keys))
            for conflict in message.conflicts
        ),
    )
