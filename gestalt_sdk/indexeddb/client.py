"""Call a store: object stores, indexes, cursors, transactions and batches over one channel."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Self

import grpc

from gestalt_sdk.gen.extension.v1 import batch_pb2, batch_pb2_grpc
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.gen.v1 import datastore_pb2_grpc
from gestalt_sdk.indexeddb.batch import Batch
from gestalt_sdk.indexeddb.convert import (
    DIRECTIONS,
    apply_request,
    error_of_call,
    index_request,
    page_from_proto,
    range_request,
    schema_to_proto,
    write_result_from_proto,
)
from gestalt_sdk.indexeddb.cursor import Cursor
from gestalt_sdk.indexeddb.errors import NotFound
from gestalt_sdk.indexeddb.migrations import Migration, Migrations
from gestalt_sdk.indexeddb.schema import (
    Direction,
    Durability,
    FieldValue,
    IndexSchema,
    KeyRange,
    Mode,
    ObjectStoreSchema,
    Page,
    Record,
    Write,
    WriteResult,
)
from gestalt_sdk.indexeddb.transaction import Transaction
from gestalt_sdk.indexeddb.values import from_record, to_range, to_record, to_typed
from gestalt_sdk.transport.channels import Patience, open_channel
from gestalt_sdk.transport.environment import INDEXEDDB_SOCKET, Address, service_address

DEFAULT_TIMEOUT_S = 30.0
_BETWEEN_CONNECTIONS = (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.CONNECTING)
# A store that says which thing is missing lets ``find`` tell an absent record from a mistake.
_MISTAKES = frozenset({"OBJECT_STORE_NOT_FOUND", "INDEX_NOT_FOUND"})


class IndexedDB:
    """Talk to one database of object stores.

    Every unary call has a deadline of ``timeout_s``; inside a transaction or cursor it is the longest wait for one
    answer. Within it a store that does not listen yet is waited for, one that has gone is not. All methods raise the
    errors of ``indexeddb.errors``.
    """

    def __init__(
        self, channel: grpc.aio.Channel, *, owns_channel: bool = False, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> None:
        self._channel = channel
        self._owns_channel = owns_channel
        self._patience = Patience(channel, timeout_s)
        self._stub = datastore_pb2_grpc.IndexedDBStub(channel)
        self._migrations = Migrations(channel, self._patience)
        batches = batch_pb2_grpc.IndexedDBBatchStub(channel)
        self._batch = Batch(batches, self.transaction, self._cursor, self._patience)

    @classmethod
    def connect(cls, address: Address | None = None, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> IndexedDB:
        """Return a client with a channel of its own; without an address to the store that the host gives this process.

        Raises:
            EnvironmentUnusable: no address, and GESTALT_INDEXEDDB_SOCKET is not set or cannot be read.
        """
        channel = open_channel(address or service_address(INDEXEDDB_SOCKET))
        return cls(channel, owns_channel=True, timeout_s=timeout_s)

    @classmethod
    def over(cls, channel: grpc.aio.Channel, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> IndexedDB:
        """Return a client over a channel that somebody else closes."""
        return cls(channel, timeout_s=timeout_s)

    async def close(self) -> None:
        """Close the channel if it is the client's own."""
        if self._owns_channel:
            await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.close()

    async def reachable(self, within_s: float) -> bool:
        """Wait up to ``within_s`` while the connection is lost and not yet made anew; False when it takes longer.

        A write sent then would fail at once, although nothing speaks against it a moment later. Ask before, since an
        error afterwards does not tell whether the write happened.
        """
        try:
            async with asyncio.timeout(within_s):
                while (state := self._channel.get_state(try_to_connect=True)) in _BETWEEN_CONNECTIONS:
                    await self._channel.wait_for_state_change(state)
        except TimeoutError:
            return False
        return True

    @property
    def batched(self) -> bool:
        """Return False once the store has turned out not to serve the batch extension."""
        return self._batch.served

    async def create_object_store(self, name: str, schema: ObjectStoreSchema = ObjectStoreSchema()) -> None:  # noqa: B008 - immutable
        """Create the store; one with the same schema is accepted.

        Raises:
            StoreRefused: there is one with another schema, which stays as it is.
        """
        request = pb.CreateObjectStoreRequest(name=name, schema=schema_to_proto(schema))
        await self._unary(self._stub.CreateObjectStore, request)

    async def delete_object_store(self, name: str) -> None:
        """Delete the store with its records and indexes; an absent one is accepted."""
        await self._unary(self._stub.DeleteObjectStore, pb.DeleteObjectStoreRequest(name=name))

    async def change_indexes(
        self, store: str, add: Iterable[IndexSchema] = (), remove: Iterable[str] = (), *, wait: bool = True
    ) -> Migration:
        """Change the indexes of a store that holds records; reads and writes go on meanwhile.

        New indexes count, and ``create_object_store`` compares with the new schema, once the migration is done. It goes
        on when the caller or the store ends; the same call again finds it.

        Args:
            wait: Until it is done; otherwise answer at once, and ``migration`` tells how it goes.

        Raises:
            MigrationsNotOffered: the store cannot do it.
            MigrationFailed: records have the same key in a new unique index; all is as before. Only with ``wait``.
        """
        if wait:
            return await self._migrations.change_and_wait(store, add, remove)
        return await self._migrations.change(store, add, remove)

    async def migration(self, store: str) -> Migration:
        """Return how the last change of the store's indexes goes or went. Raises ``MigrationsNotOffered``."""
        return await self._migrations.look(store)

    def store(self, name: str) -> ObjectStore:
        """Return the object store of that name; nothing is asked of the database yet."""
        return ObjectStore(self, name)

    def transaction(
        self, stores: Sequence[str], mode: Mode = "readonly", durability: Durability = "default"
    ) -> Transaction:
        """Return a transaction over these stores, to be used with ``async with``."""
        return Transaction(self._stub, stores, mode, durability, self._patience)

    async def apply(
        self, writes: Sequence[Write], *, return_current: bool = False, durability: Durability = "default"
    ) -> list[WriteResult]:
        """Apply the writes in order in one commit; return one result for each.

        Args:
            return_current: Give back the record that made a condition on the write's own record, or an add, fail.
        """
        request = apply_request(writes, return_current=return_current, durability=durability)
        response = await self._batch.apply(request)
        return [write_result_from_proto(outcome) for outcome in response.outcomes]

    async def get_many(self, store: str, ids: Iterable[str], *, key_field: str = "id") -> dict[str, Record]:
        """Return the records found, by primary key, in the order of ``ids``, all from one snapshot."""
        response = await self._batch.get_many(batch_pb2.GetManyRequest(store=store, ids=ids))
        records = (from_record(record) for record in response.records)
        return {str(record[key_field]): record for record in records}

    def _cursor(self, request: pb.OpenCursorRequest) -> Cursor:
        return Cursor(self._stub, request, self._patience)

    async def _unary(self, method: Any, request: Any) -> Any:
        try:
            waits = self._patience
            return await method(request, timeout=waits.timeout_s, wait_for_ready=waits.for_ready)
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error) from error


class ObjectStore:
    """Read and write one object store outside a transaction: every call is a transaction of its own."""

    def __init__(self, db: IndexedDB, name: str) -> None:
        self._db = db
        self._stub = db._stub
        self.name = name

    def index(self, name: str) -> Index:
        """Return the index of that name; nothing is asked of the database yet."""
        return Index(self._db, self.name, name)

    async def get(self, id: str) -> Record:
        """Return the record with this text primary key. Raises ``NotFound`` when absent."""
        response = await self._db._unary(self._stub.Get, pb.ObjectStoreRequest(store=self.name, id=id))
        return from_record(response.record)

    async def find(self, id: str) -> Record | None:
        """Return the record with this text primary key, None when absent."""
        try:
            return await self.get(id)
        except NotFound as error:
            if error.reason in _MISTAKES:
                raise
            return None

    async def get_key(self, id: str) -> str:
        """Return the store's form of the primary key. Raises ``NotFound`` when there is no such record."""
        response = await self._db._unary(self._stub.GetKey, pb.ObjectStoreRequest(store=self.name, id=id))
        return response.key

    async def add(self, record: Record) -> None:
        """Insert a record. Raises ``AlreadyExists`` when the primary key or a unique index key is taken."""
        await self._db._unary(self._stub.Add, pb.RecordRequest(store=self.name, record=to_record(record)))

    async def put(self, record: Record) -> None:
        """Insert or replace a record. Raises ``AlreadyExists`` when a unique index key belongs to another one."""
        await self._db._unary(self._stub.Put, pb.RecordRequest(store=self.name, record=to_record(record)))

    async def delete(self, id: str) -> None:
        """Delete the record with this text primary key; an absent one is accepted."""
        await self._db._unary(self._stub.Delete, pb.ObjectStoreRequest(store=self.name, id=id))

    async def clear(self) -> None:
        """Delete all records; schema and indexes stay."""
        await self._db._unary(self._stub.Clear, pb.ObjectStoreNameRequest(store=self.name))

    async def get_all(self, range: KeyRange | None = None) -> list[Record]:
        """Return records by ascending primary key, in one message: page through what may grow."""
        response = await self._db._unary(self._stub.GetAll, range_request(self.name, range))
        return [from_record(record) for record in response.records]

    async def get_all_keys(self, range: KeyRange | None = None) -> list[str]:
        """Return primary keys, ascending, in the store's text form."""
        response = await self._db._unary(self._stub.GetAllKeys, range_request(self.name, range))
        return list(response.keys)

    async def count(self, range: KeyRange | None = None) -> int:
        """Count the records in the range."""
        response = await self._db._unary(self._stub.Count, range_request(self.name, range))
        return response.count

    async def delete_range(self, range: KeyRange) -> int:
        """Delete the records in the range; return how many there were."""
        response = await self._db._unary(self._stub.DeleteRange, range_request(self.name, range))
        return response.deleted

    async def page(
        self,
        range: KeyRange | None = None,
        *,
        direction: Direction = "next",
        limit: int = 0,
        token: bytes = b"",
        keys_only: bool = False,
    ) -> Page:
        """Return up to ``limit`` entries (1 to 10 000; 0: 1 000) behind the page that gave ``token``."""
        request = batch_pb2.GetPageRequest(
            store=self.name,
            range=to_range(range),
            direction=DIRECTIONS[direction],
            limit=limit,
            page_token=token,
            keys_only=keys_only,
        )
        return page_from_proto(await self._db._batch.page(request), index=False)

    def cursor(
        self,
        range: KeyRange | None = None,
        direction: Direction = "next",
        keys_only: bool = False,
        prefetch: int = 0,
    ) -> Cursor:
        """Return a cursor, to be used with ``async with``; ``prefetch``: entries to send ahead, see ``Cursor``."""
        request = pb.OpenCursorRequest(
            store=self.name,
            range=to_range(range),
            direction=DIRECTIONS[direction],
            keys_only=keys_only,
            prefetch=prefetch,
        )
        return self._db._cursor(request)


class Index:
    """Read one index; ``values`` match the first parts of its key, ``range`` bounds the whole key."""

    def __init__(self, db: IndexedDB, store: str, name: str) -> None:
        self._db = db
        self._stub = db._stub
        self._store = store
        self.name = name

    def _query(self, values: Sequence[FieldValue], range: KeyRange | None) -> pb.IndexQueryRequest:
        return index_request(self._store, self.name, values, range)

    async def get(self, *values: FieldValue, range: KeyRange | None = None) -> Record:
        """Return the first match in index order. Raises ``NotFound`` when there is none."""
        response = await self._db._unary(self._stub.IndexGet, self._query(values, range))
        return from_record(response.record)

    async def find(self, *values: FieldValue, range: KeyRange | None = None) -> Record | None:
        """Return the first match in index order, None when there is none."""
        try:
            return await self.get(*values, range=range)
        except NotFound as error:
            if error.reason in _MISTAKES:
                raise
            return None

    async def get_key(self, *values: FieldValue, range: KeyRange | None = None) -> str:
        """Return the primary key of the first match. Raises ``NotFound`` when there is none."""
        response = await self._db._unary(self._stub.IndexGetKey, self._query(values, range))
        return response.key

    async def get_all(self, *values: FieldValue, range: KeyRange | None = None) -> list[Record]:
        """Return matches by ascending index key, ties by primary key, in one message: page through what may grow."""
        response = await self._db._unary(self._stub.IndexGetAll, self._query(values, range))
        return [from_record(record) for record in response.records]

    async def get_all_keys(self, *values: FieldValue, range: KeyRange | None = None) -> list[str]:
        """Return the primary keys of the matches, in index order."""
        response = await self._db._unary(self._stub.IndexGetAllKeys, self._query(values, range))
        return list(response.keys)

    async def count(self, *values: FieldValue, range: KeyRange | None = None) -> int:
        """Count the matches."""
        response = await self._db._unary(self._stub.IndexCount, self._query(values, range))
        return response.count

    async def delete(self, *values: FieldValue, range: KeyRange | None = None) -> int:
        """Delete the matches, without values and range all that the index has; return how many there were."""
        response = await self._db._unary(self._stub.IndexDelete, self._query(values, range))
        return response.deleted

    async def page(
        self,
        *values: FieldValue,
        range: KeyRange | None = None,
        direction: Direction = "next",
        limit: int = 0,
        token: bytes = b"",
        keys_only: bool = False,
    ) -> Page:
        """Return a page in index order, ties by primary key; see ``ObjectStore.page``."""
        request = batch_pb2.GetPageRequest(
            store=self._store,
            index=self.name,
            values=[to_typed(value) for value in values],
            range=to_range(range),
            direction=DIRECTIONS[direction],
            limit=limit,
            page_token=token,
            keys_only=keys_only,
        )
        return page_from_proto(await self._db._batch.page(request), index=True)

    def cursor(
        self,
        *values: FieldValue,
        range: KeyRange | None = None,
        direction: Direction = "next",
        keys_only: bool = False,
        prefetch: int = 0,
    ) -> Cursor:
        """Return a cursor in index order, to be used with ``async with``; see ``ObjectStore.cursor``."""
        request = pb.OpenCursorRequest(
            store=self._store,
            index=self.name,
            values=[to_typed(value) for value in values],
            range=to_range(range),
            direction=DIRECTIONS[direction],
            keys_only=keys_only,
            prefetch=prefetch,
        )
        return self._db._cursor(request)
