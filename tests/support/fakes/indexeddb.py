"""A small IndexedDB service in memory, for tests of the client: text primary keys, field indexes, no isolation.

Trusted only where the client tests pass against the real store too. ``hang`` and ``commit_error`` inject failures.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.gen.v1 import datastore_pb2_grpc as pb_grpc
from gestalt_sdk.indexeddb import from_key, from_typed, to_key
from gestalt_sdk.transport.channels import SERVER_OPTIONS

EMPTY = {"add", "put", "delete", "clear"}


class Refused(Exception):
    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code


class MemoryStore(pb_grpc.IndexedDBServicer):
    """One database. ``calls`` counts RPCs and frames by name; ``hang`` makes transactions stop answering."""

    def __init__(self) -> None:
        self.stores: dict[str, dict[str, pb.Record]] = {}
        self.indexes: dict[str, dict[str, pb.IndexSchema]] = {}
        self.calls: dict[str, int] = {}
        self.hang = False
        self.commit_error: tuple[int, str] | None = None
        self.frames: list[str] = []

    def _note(self, name: str) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1

    async def CreateObjectStore(self, request: Any, context: Any) -> Empty:
        self._note("CreateObjectStore")
        self.stores.setdefault(request.name, {})
        self.indexes[request.name] = {index.name: index for index in request.schema.indexes}
        return Empty()

    async def DeleteObjectStore(self, request: Any, context: Any) -> Empty:
        self.stores.pop(request.name, None)
        return Empty()

    def _records(self, name: str) -> dict[str, pb.Record]:
        if name not in self.stores:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"object store not found: {name}")
        return self.stores[name]

    def _index_key(self, record: pb.Record, index: pb.IndexSchema) -> list[Any] | None:
        if any(path not in record.fields for path in index.key_path):
            return None
        return [from_typed(record.fields[path]) for path in index.key_path]

    def _select(self, request: Any) -> list[tuple[list[Any], str, pb.Record]]:
        """(key parts, primary key, record) in key order."""
        records = self._records(request.store)
        index = getattr(request, "index", "")
        rows = []
        if index:
            if index not in self.indexes[request.store]:
                raise Refused(grpc.StatusCode.NOT_FOUND, f"index not found: {index}")
            schema = self.indexes[request.store][index]
            values = [from_typed(value) for value in request.values]
            for id, record in records.items():
                key = self._index_key(record, schema)
                if key is not None and key[: len(values)] == values:
                    rows.append((key, id, record))
        else:
            rows = [([id], id, record) for id, record in records.items()]
        rows = [row for row in rows if self._within(row[0], request)]
        return sorted(rows, key=lambda row: (row[0], row[1]))

    @staticmethod
    def _within(key: list[Any], request: Any) -> bool:
        if not request.HasField("range"):
            return True
        bounds = request.range
        if bounds.HasField("lower"):
            lower = [from_typed(bounds.lower)]
            if key < lower or (bounds.lower_open and key == lower):
                return False
        if bounds.HasField("upper"):
            upper = [from_typed(bounds.upper)]
            if key > upper or (bounds.upper_open and key == upper):
                return False
        return True

    def _write(self, store: str, record: pb.Record, *, add: bool) -> None:
        records = self._records(store)
        id = record.fields["id"].string_value
        if not id.strip():
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "record id must be a non-empty string")
        if add and id in records:
            raise Refused(grpc.StatusCode.ALREADY_EXISTS, "already exists")
        for index in self.indexes[store].values():
            key = self._index_key(record, index)
            if index.unique and key is not None:
                for other, existing in records.items():
                    if other != id and self._index_key(existing, index) == key:
                        raise Refused(grpc.StatusCode.ALREADY_EXISTS, "unique index conflict")
        records[id] = pb.Record.FromString(record.SerializeToString())

    def execute(self, kind: str, request: Any) -> Any:
        """One operation by the name of its TransactionOperation member; its result message."""
        name = kind.removeprefix("index_")
        if name in ("add", "put"):
            self._write(request.store, request.record, add=name == "add")
            return Empty()
        if name == "clear":
            self._records(request.store).clear()
            return Empty()
        if kind in ("get", "get_key"):
            record = self._records(request.store).get(request.id)
            if record is None:
                raise Refused(grpc.StatusCode.NOT_FOUND, "not found")
            return pb.KeyResponse(key=request.id) if kind == "get_key" else pb.RecordResponse(record=record)
        if kind == "delete":
            self._records(request.store).pop(request.id, None)
            return Empty()
        rows = self._select(request)
        if name in ("get", "get_key"):
            if not rows:
                raise Refused(grpc.StatusCode.NOT_FOUND, "record not found")
            return pb.KeyResponse(key=rows[0][1]) if name == "get_key" else pb.RecordResponse(record=rows[0][2])
        if name == "get_all":
            return pb.RecordsResponse(records=[row[2] for row in rows])
        if name == "get_all_keys":
            return pb.KeysResponse(keys=[row[1] for row in rows])
        if name == "count":
            return pb.CountResponse(count=len(rows))
        for row in rows:
            del self.stores[request.store][row[1]]
        return pb.DeleteResponse(deleted=len(rows))

    async def Transaction(
        self, requests: AsyncIterator[pb.TransactionClientMessage], context: Any
    ) -> AsyncIterator[pb.TransactionServerMessage]:
        self._note("Transaction")
        before: Any = None
        begin: Any = None
        failed = False
        committed = False
        try:
            async for message in requests:
                kind = message.WhichOneof("msg")
                self.frames.append(kind)
                if failed:
                    continue
                if self.hang and kind != "begin":
                    await asyncio.Event().wait()
                if kind == "begin":
                    begin = message.begin
                    for name in begin.stores:
                        if name not in self.stores:
                            await context.abort(grpc.StatusCode.NOT_FOUND, f"object store not found: {name}")
                    before = copy.deepcopy(self.stores)
                    yield pb.TransactionServerMessage(begin={})
                elif kind == "operation":
                    response = self._operate(begin, message.operation)
                    yield pb.TransactionServerMessage(operation=response)
                    if response.error.code:
                        failed = True
                        yield pb.TransactionServerMessage(abort={})
                elif kind == "commit":
                    answer = pb.TransactionServerMessage(commit={})
                    if self.commit_error:
                        answer.commit.error.code, answer.commit.error.message = self.commit_error
                    else:
                        committed = True
                    yield answer
                    return
                else:
                    yield pb.TransactionServerMessage(abort={})
                    return
        finally:
            if not committed and before is not None:
                self.stores = before

    def _operate(self, begin: Any, operation: pb.TransactionOperation) -> pb.TransactionOperationResponse:
        response = pb.TransactionOperationResponse(request_id=operation.request_id)
        kind = operation.WhichOneof("operation")
        name = kind.removeprefix("index_")
        request = getattr(operation, kind)
        try:
            if begin.mode != pb.TRANSACTION_READWRITE and name in (*EMPTY, "delete_range"):
                raise Refused(grpc.StatusCode.FAILED_PRECONDITION, "transaction is readonly")
            if request.store not in begin.stores:
                raise Refused(
                    grpc.StatusCode.INVALID_ARGUMENT, f"invalid transaction: object store not in scope: {request.store}"
                )
            result = self.execute(kind, request)
        except Refused as error:
            response.error.code, response.error.message = error.code.value[0], str(error)
            return response
        member = {
            Empty: "empty",
            pb.RecordResponse: "record",
            pb.RecordsResponse: "records",
            pb.KeyResponse: "key",
            pb.KeysResponse: "keys",
            pb.CountResponse: "count",
            pb.DeleteResponse: "delete",
        }[type(result)]
        getattr(response, member).CopyFrom(result)
        getattr(response, member).SetInParent()
        return response

    async def OpenCursor(
        self, requests: AsyncIterator[pb.CursorClientMessage], context: Any
    ) -> AsyncIterator[pb.CursorResponse]:
        self._note("OpenCursor")
        stream = aiter(requests)
        opening = (await anext(stream)).open
        try:
            rows = self._select(opening)
        except Refused as error:
            await context.abort(error.code, str(error))
        if opening.direction in (pb.CURSOR_PREV, pb.CURSOR_PREV_UNIQUE):
            rows.reverse()
        if opening.direction in (pb.CURSOR_NEXT_UNIQUE, pb.CURSOR_PREV_UNIQUE) and opening.index:
            rows = [row for at, row in enumerate(rows) if at == 0 or rows[at - 1][0] != row[0]]
        reverse = opening.direction in (pb.CURSOR_PREV, pb.CURSOR_PREV_UNIQUE)
        position = -1

        def entry(at: int) -> pb.CursorEntry:
            key, id, record = rows[at]
            return pb.CursorEntry(
                key=[to_key(part) for part in key], primary_key=id, record=None if opening.keys_only else record
            )

        yield pb.CursorResponse(done=False)
        async for message in stream:
            command = message.command.WhichOneof("command")
            self.frames.append(command)
            if command == "close":
                return
            ahead: list[pb.CursorEntry] = []
            if command == "next":
                position += 1
                while len(ahead) < opening.prefetch and position + 1 < len(rows):
                    position += 1
                    ahead.append(entry(position))
            elif command == "advance":
                if message.command.advance <= 0:
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "advance count must be positive")
                position += message.command.advance + 1
            elif command == "continue_to_key":
                target = [from_key(part) for part in message.command.continue_to_key.key]
                position += 1
                while position < len(rows) and (rows[position][0] > target if reverse else rows[position][0] < target):
                    position += 1
            elif not 0 <= position < len(rows):
                await context.abort(grpc.StatusCode.NOT_FOUND, "cursor is exhausted")
            elif command == "delete":
                self.stores[opening.store].pop(rows[position][1], None)
                yield pb.CursorResponse(done=False)
                continue
            else:
                record = pb.Record.FromString(message.command.update.SerializeToString())
                record.fields["id"].string_value = rows[position][1]
                self.stores[opening.store][rows[position][1]] = record
                rows[position] = (rows[position][0], rows[position][1], record)
            if position >= len(rows):
                position = len(rows)
                yield pb.CursorResponse(done=True)
            else:
                first = position - len(ahead)
                yield pb.CursorResponse(entry=entry(first), entries=ahead)


def _add_unary(rpc: str, kind: str) -> None:
    async def method(self: MemoryStore, request: Any, context: Any) -> Any:
        self._note(rpc)
        if self.hang:
            await asyncio.Event().wait()
        try:
            return self.execute(kind, request)
        except Refused as error:
            await context.abort(error.code, str(error))

    setattr(MemoryStore, rpc, method)


for _rpc, _kind in {
    "Get": "get", "GetKey": "get_key", "Add": "add", "Put": "put", "Delete": "delete", "Clear": "clear",
    "GetAll": "get_all", "GetAllKeys": "get_all_keys", "Count": "count", "DeleteRange": "delete_range",
    "IndexGet": "index_get", "IndexGetKey": "index_get_key", "IndexGetAll": "index_get_all",
    "IndexGetAllKeys": "index_get_all_keys", "IndexCount": "index_count", "IndexDelete": "index_delete",
}.items():  # fmt: skip
    _add_unary(_rpc, _kind)


async def serve_memory_store(store: MemoryStore, path: Path) -> grpc.aio.Server:
    """The store listening on a unix socket at ``path``; the caller stops the server."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    pb_grpc.add_IndexedDBServicer_to_server(store, server)
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    return server
