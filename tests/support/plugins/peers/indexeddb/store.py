"""An IndexedDB provider on the public Python SDK, as small as one can be that keeps to the contract.

The SDK has no such kind, so lifecycle and service are written here; what serves them is the adapter of the SDK. Each
database is a SQLite file of its own, read and written under one lock. Primary keys are text.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gestalt
import grpc
from gestalt._gen.v1 import datastore_pb2 as pb
from gestalt._gen.v1 import datastore_pb2_grpc, runtime_pb2, runtime_pb2_grpc
from google.protobuf import empty_pb2, json_format

Code = grpc.StatusCode
PROTOCOL_VERSION = 3
WRITES = ("add", "put", "delete", "clear", "delete_range", "index_delete")
RESULTS = {
    pb.RecordResponse: "record",
    pb.RecordsResponse: "records",
    pb.KeyResponse: "key",
    pb.KeysResponse: "keys",
    pb.CountResponse: "count",
    pb.DeleteResponse: "delete",
    empty_pb2.Empty: "empty",
}


class Refused(Exception):
    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


def order_of(value: Any) -> tuple[Any, ...]:
    """Return what a value is ordered by: null < bool < number < time < text < bytes < map < array."""
    kind = value.WhichOneof("kind") if isinstance(value, pb.TypedValue) else "python"
    if kind == "time_value":
        return 3, value.time_value.ToNanoseconds()
    if kind == "bytes_value":
        return 5, value.bytes_value
    plain = value if kind == "python" else plain_of(value, kind)
    if isinstance(plain, bool):
        return 1, plain
    if isinstance(plain, int | float):
        return 2, plain
    if isinstance(plain, str):
        return 4, plain.encode()
    if isinstance(plain, dict):
        return 6, tuple((key.encode(), order_of(item)) for key, item in sorted(plain.items()))
    return (0,) if plain is None else (7, tuple(order_of(item) for item in plain))


def plain_of(value: Any, kind: str | None) -> Any:
    if kind in (None, "null_value"):
        return None
    return json_format.MessageToDict(value.json_value) if kind == "json_value" else getattr(value, kind)


def typed(plain: Any) -> Any:
    """Return a value from within JSON as one of its own."""
    if type(plain) in (dict, list):
        return pb.TypedValue(json_value=json_format.ParseDict(plain, pb.TypedValue().json_value))
    kinds = {bool: "bool_value", int: "float_value", float: "float_value", str: "string_value"}
    return pb.TypedValue(null_value=0) if plain is None else pb.TypedValue(**{kinds[type(plain)]: plain})


def index_key(record: Any, paths: list[str]) -> list[Any] | None:
    """Return the parts of the record's key in an index; None: the index leaves the record out."""
    parts = []
    for path in paths:
        name, _, rest = path.partition(".")
        if name not in record.fields:
            return None
        value = record.fields[name]
        if rest:
            inner = plain_of(value, value.WhichOneof("kind"))
            for step in rest.split("."):
                if not isinstance(inner, dict) or step not in inner:
                    return None
                inner = inner[step]
            value = typed(inner)
        parts.append(value)
    return parts


def within(bounds: Any, key: tuple[Any, ...], *, of_index: bool) -> bool:
    for name, is_open, sign in (("lower", bounds.lower_open, 1), ("upper", bounds.upper_open, -1)):
        bound = getattr(bounds, name)
        if not bounds.HasField(name) or order_of(bound) == (0,):
            continue
        order = order_of(bound)
        if of_index:
            order = order[1] if order[0] == 7 else (order,)
        compared = (key > order) - (key < order)
        if compared * sign < 0 or (compared == 0 and is_open):
            return False
    return True


class Row:
    """A record as a query meets it: under its primary key, or under its key in an index."""

    def __init__(self, id: str, record: Any, parts: list[Any] | None) -> None:
        self.id, self.record, self.parts = id, record, parts
        self.key = order_of(id) if parts is None else tuple(map(order_of, parts))
        self.place = (self.key, order_of(id))

    def entry(self, *, keys_only: bool) -> Any:
        parts = [pb.TypedValue(string_value=self.id)] if self.parts is None else self.parts
        entry = pb.CursorEntry(key=[pb.KeyValue(scalar=part) for part in parts], primary_key=self.id)
        if not keys_only:
            entry.record.CopyFrom(self.record)
        return pb.CursorResponse(entry=entry)


class Database:
    """One file. Every method is called under ``lock``, within a transaction of SQLite."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.Lock()
        self.file = sqlite3.connect(path, check_same_thread=False)
        self.file.execute("CREATE TABLE IF NOT EXISTS stores (name PRIMARY KEY, schema)")
        self.file.execute("CREATE TABLE IF NOT EXISTS records (store, id, record, PRIMARY KEY (store, id))")

    def schema(self, store: str) -> Any:
        found = self.file.execute("SELECT schema FROM stores WHERE name = ?", (store,)).fetchone()
        if found is None:
            raise Refused(Code.NOT_FOUND, f"object store not found: {store}")
        return pb.ObjectStoreSchema.FromString(found[0])

    def rows(self, request: Any) -> list[Row]:
        """Return the rows that a request asks for, in order; one for an index has ``index``."""
        schema, index = self.schema(request.store), getattr(request, "index", "")
        paths = next((list(item.key_path) for item in schema.indexes if item.name == index), None)
        if index and paths is None:
            raise Refused(Code.NOT_FOUND, f"index not found: {index}")
        values = tuple(order_of(value) for value in getattr(request, "values", ()))
        rows = []
        for id, data in self.file.execute("SELECT id, record FROM records WHERE store = ?", (request.store,)):
            record = pb.Record.FromString(data)
            parts = index_key(record, paths) if paths else None
            if paths and parts is None:
                continue
            row = Row(id, record, parts)
            is_wanted = not values or row.key[: len(values)] == values
            if is_wanted and within(request.range, row.key, of_index=bool(index)):
                rows.append(row)
        return sorted(rows, key=lambda row: row.place)

    def first(self, request: Any, what: str) -> Row:
        if not (rows := self.rows(request)):
            raise Refused(Code.NOT_FOUND, f"{what} not found")
        return rows[0]

    def record(self, store: str, id: str) -> Any:
        self.schema(store)
        where = "SELECT record FROM records WHERE store = ? AND id = ?"
        found = self.file.execute(where, (store, id)).fetchone()
        return None if found is None else pb.Record.FromString(found[0])

    def write(self, store: str, record: Any, *, replace: bool) -> empty_pb2.Empty:
        schema, id = self.schema(store), record.fields["id"].string_value
        if not id.strip():
            raise Refused(Code.INVALID_ARGUMENT, "record id must be a non-empty string")
        if not replace and self.record(store, id) is not None:
            raise Refused(Code.ALREADY_EXISTS, "already exists")
        for index in schema.indexes:
            parts = index_key(record, list(index.key_path)) if index.unique else None
            if parts is not None:
                same = self.rows(pb.IndexQueryRequest(store=store, index=index.name, values=parts))
                if any(row.id != id for row in same):
                    raise Refused(Code.ALREADY_EXISTS, "unique index conflict")
        row = (store, id, record.SerializeToString())
        self.file.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", row)
        return empty_pb2.Empty()

    def remove(self, store: str, rows: list[Row]) -> Any:
        for row in rows:
            self.file.execute("DELETE FROM records WHERE store = ? AND id = ?", (store, row.id))
        return pb.DeleteResponse(deleted=len(rows))

    # Operations, in a transaction or alone

    def create_object_store(self, request: Any) -> empty_pb2.Empty:
        schema = request.schema
        schema.indexes.sort(key=lambda index: index.name)
        try:
            if self.schema(request.name) != schema:
                raise Refused(Code.FAILED_PRECONDITION, f"the schema does not match that of {request.name}")
        except Refused as refused:
            if refused.code is not Code.NOT_FOUND:
                raise
            self.file.execute("INSERT INTO stores VALUES (?, ?)", (request.name, schema.SerializeToString()))
        return empty_pb2.Empty()

    def delete_object_store(self, request: Any) -> empty_pb2.Empty:
        self.file.execute("DELETE FROM records WHERE store = ?", (request.name,))
        self.file.execute("DELETE FROM stores WHERE name = ?", (request.name,))
        return empty_pb2.Empty()

    def get(self, request: Any) -> Any:
        if (record := self.record(request.store, request.id)) is None:
            raise Refused(Code.NOT_FOUND, "not found")
        return pb.RecordResponse(record=record)

    def get_key(self, request: Any) -> Any:
        self.get(request)
        return pb.KeyResponse(key=request.id)

    def add(self, request: Any) -> empty_pb2.Empty:
        return self.write(request.store, request.record, replace=False)

    def put(self, request: Any) -> empty_pb2.Empty:
        return self.write(request.store, request.record, replace=True)

    def delete(self, request: Any) -> empty_pb2.Empty:
        self.schema(request.store)
        self.file.execute("DELETE FROM records WHERE store = ? AND id = ?", (request.store, request.id))
        return empty_pb2.Empty()

    def clear(self, request: Any) -> empty_pb2.Empty:
        self.schema(request.store)
        self.file.execute("DELETE FROM records WHERE store = ?", (request.store,))
        return empty_pb2.Empty()

    def get_all(self, request: Any) -> Any:
        return pb.RecordsResponse(records=[row.record for row in self.rows(request)])

    def get_all_keys(self, request: Any) -> Any:
        return pb.KeysResponse(keys=[row.id for row in self.rows(request)])

    def count(self, request: Any) -> Any:
        return pb.CountResponse(count=len(self.rows(request)))

    def delete_range(self, request: Any) -> Any:
        return self.remove(request.store, self.rows(request))

    def index_get(self, request: Any) -> Any:
        return pb.RecordResponse(record=self.first(request, "record").record)

    def index_get_key(self, request: Any) -> Any:
        return pb.KeyResponse(key=self.first(request, "key").id)

    index_get_all, index_get_all_keys, index_count, index_delete = get_all, get_all_keys, count, delete_range


class PlainStore(gestalt.PluginProvider, datastore_pb2_grpc.IndexedDBServicer):
    def configure(self, name: str, config: dict[str, Any]) -> None:
        path = str(config["dsn"]).removeprefix("sqlite://")
        self.database = Database(Path(path + config.get("table_prefix", "")))

    def OpenCursor(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        asked = next(requests).open
        with self.database.lock:
            rows = answered(lambda: self.database.rows(asked), context)
        if asked.direction in (pb.CURSOR_PREV, pb.CURSOR_PREV_UNIQUE):
            rows.reverse()
        if asked.index and asked.direction in (pb.CURSOR_NEXT_UNIQUE, pb.CURSOR_PREV_UNIQUE):
            rows = [row for number, row in enumerate(rows) if number == 0 or rows[number - 1].key != row.key]
        yield pb.CursorResponse(done=False)
        at = -1
        for message in requests:
            command = message.command.WhichOneof("command")
            if command == "close":
                return
            if command in ("delete", "update"):
                yield self.changed(asked, rows[at] if 0 <= at < len(rows) else None, message.command, context)
                continue
            at += 1 + (message.command.advance if command == "advance" else 0)
            if command == "continue_to_key":
                at = self.continued(asked, rows, at, message.command.continue_to_key)
            at = min(at, len(rows))
            yield rows[at].entry(keys_only=asked.keys_only) if at < len(rows) else pb.CursorResponse(done=True)

    def continued(self, asked: Any, rows: list[Row], at: int, target: Any) -> int:
        parts = tuple(order_of(key.scalar) for key in target.key)
        wanted = parts if asked.index else parts[0]
        is_reverse = asked.direction in (pb.CURSOR_PREV, pb.CURSOR_PREV_UNIQUE)
        while at < len(rows) and (rows[at].key > wanted if is_reverse else rows[at].key < wanted):
            at += 1
        return at

    def changed(self, asked: Any, row: Row | None, command: Any, context: grpc.ServicerContext) -> Any:
        if row is None:
            return context.abort(Code.NOT_FOUND, "cursor is exhausted")
        if command.WhichOneof("command") == "delete":
            request = pb.ObjectStoreRequest(store=asked.store, id=row.id)
            self.alone("delete", request, context)
            return pb.CursorResponse(done=False)
        command.update.fields["id"].string_value = row.id
        self.alone("put", pb.RecordRequest(store=asked.store, record=command.update), context)
        row.record = command.update
        return row.entry(keys_only=asked.keys_only)

    def alone(self, operation: str, request: Any, context: grpc.ServicerContext) -> Any:
        with self.database.lock, self.database.file:
            return answered(lambda: getattr(self.database, operation)(request), context)

    def Transaction(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        begun = next(requests).begin
        if not begun.stores:
            context.abort(Code.INVALID_ARGUMENT, "invalid transaction: no object stores")
        with self.database.lock:
            for name in begun.stores:
                answered(partial(self.database.schema, name), context)
            try:
                yield from self.within(begun, requests)
            finally:
                self.database.file.rollback()

    def within(self, begun: Any, requests: Iterator[Any]) -> Iterator[Any]:
        yield pb.TransactionServerMessage(begin=pb.TransactionBeginResponse())
        for message in requests:
            kind = message.WhichOneof("msg")
            if kind == "commit":
                self.database.file.commit()
                yield pb.TransactionServerMessage(commit=pb.TransactionCommitResponse())
                return
            if kind == "abort":
                self.database.file.rollback()
                yield pb.TransactionServerMessage(abort=pb.TransactionAbortResponse())
                return
            answer = pb.TransactionOperationResponse(request_id=message.operation.request_id)
            try:
                result = self.operated(begun, message.operation)
                getattr(answer, RESULTS[type(result)]).CopyFrom(result)
                yield pb.TransactionServerMessage(operation=answer)
            except Refused as refused:
                answer.error.code, answer.error.message = refused.code.value[0], refused.text
                self.database.file.rollback()
                yield pb.TransactionServerMessage(operation=answer)
                yield pb.TransactionServerMessage(abort=pb.TransactionAbortResponse())
                return

    def operated(self, begun: Any, operation: Any) -> Any:
        name = operation.WhichOneof("operation")
        request = getattr(operation, name)
        if name in WRITES and begun.mode != pb.TRANSACTION_READWRITE:
            raise Refused(Code.FAILED_PRECONDITION, "transaction is readonly")
        if request.store not in begun.stores:
            raise Refused(Code.INVALID_ARGUMENT, "invalid transaction: object store not in scope")
        return getattr(self.database, name)(request)


def answered(call: Callable[[], Any], context: grpc.ServicerContext) -> Any:
    try:
        return call()
    except Refused as refused:
        return context.abort(refused.code, refused.text)


def unary(operation: str) -> Callable[..., Any]:
    return lambda self, request, context: self.alone(operation, request, context)


for method in pb.DESCRIPTOR.services_by_name["IndexedDB"].methods:
    if not method.client_streaming:
        snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in method.name)
        setattr(PlainStore, method.name, unary(snake.removeprefix("_")))


class Lifecycle(runtime_pb2_grpc.ProviderLifecycleServicer):
    def __init__(self, provider: PlainStore) -> None:
        self.provider = provider

    def GetProviderIdentity(self, request: Any, context: grpc.ServicerContext) -> Any:
        return runtime_pb2.ProviderIdentity(
            kind=runtime_pb2.PROVIDER_KIND_INDEXEDDB,
            name="plain",
            min_protocol_version=PROTOCOL_VERSION,
            max_protocol_version=PROTOCOL_VERSION,
        )

    def ConfigureProvider(self, request: Any, context: grpc.ServicerContext) -> Any:
        if request.protocol_version != PROTOCOL_VERSION:
            text = f"host requested protocol version {request.protocol_version}, provider requires {PROTOCOL_VERSION}"
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, text)
        self.provider.configure(request.name, json_format.MessageToDict(request.config))
        return runtime_pb2.ConfigureProviderResponse(protocol_version=PROTOCOL_VERSION)

    def HealthCheck(self, request: Any, context: grpc.ServicerContext) -> Any:
        return runtime_pb2.HealthCheckResponse(ready=True)


def register(server: grpc.Server, provider: Any) -> None:
    runtime_pb2_grpc.add_ProviderLifecycleServicer_to_server(Lifecycle(provider), server)
    datastore_pb2_grpc.add_IndexedDBServicer_to_server(provider, server)


adapter = gestalt.PluginProviderAdapter("indexeddb", PlainStore(), register)
