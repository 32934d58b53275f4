"""Object stores in the tables of SQLite: what each operation does within a transaction that somebody else has begun."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from google.protobuf.empty_pb2 import Empty

from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.indexeddb import to_typed
from shelf_store.errors import AlreadyExists, Invalid, NotFound, NotPossible, TooLarge
from shelf_store.keys import AFTER, END, Key, Value, encode, encode_parts, parse_key, text_of, value_of

TABLES = """
CREATE TABLE IF NOT EXISTS stores (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name BLOB NOT NULL UNIQUE, schema BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS records (
  store INTEGER, key BLOB, text TEXT NOT NULL, record BLOB NOT NULL, PRIMARY KEY (store, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
  store INTEGER, number INTEGER, key BLOB, primary_key BLOB, exact BLOB NOT NULL,
  PRIMARY KEY (store, number, key, primary_key)) WITHOUT ROWID;
"""
WRITES = frozenset({"add", "put", "delete", "clear", "delete_range", "index_delete"})
MOST_ANSWER_BYTES = 64 * 1024 * 1024


RangeQuery: TypeAlias = pb.ObjectStoreRangeRequest | pb.IndexQueryRequest
Query: TypeAlias = RangeQuery | pb.OpenCursorRequest


class Row(NamedTuple):
    """A record as a query meets it: ``sort`` is its key in the index, or once more the primary one."""

    sort: bytes
    primary: bytes
    text: str
    record: bytes


class Store:
    """One object store: its number and schema."""

    def __init__(self, id: int, schema: pb.ObjectStoreSchema) -> None:
        self.id = id
        self.schema = schema
        columns = [column for column in schema.columns if column.primary_key]
        self.key_field = columns[-1].name if columns else "id"
        self._key_type = next((column.type for column in schema.columns if column.name == self.key_field), 0)

    def key_of(self, record: pb.Record) -> Value:
        """Return the primary key of a record. Raises ``Invalid`` when it has none."""
        if self.key_field not in record.fields:
            raise Invalid(f'record id: field "{self.key_field}" not found')
        value = value_of(record.fields[self.key_field])
        if not self.schema.columns and (not isinstance(value, str) or not value.strip()):
            raise Invalid("record id must be a non-empty string")
        return value

    def key(self, id: str) -> bytes:
        return b"".join(encode(parse_key(id, self._key_type)))

    def index(self, name: str) -> int:
        for number, index in enumerate(self.schema.indexes):
            if index.name == name:
                return number
        raise NotFound(f"index not found: {name}")

    def entries(self, record: pb.Record) -> Iterator[tuple[int, Key]]:
        """Give the record's key in each index that has it."""
        for number in range(len(self.schema.indexes)):
            parts = self.parts(record, number)
            if parts is not None:
                order, exact = encode_parts(parts)
                yield number, Key(order + END, exact)

    def parts(self, record: pb.Record, number: int) -> list[Value] | None:
        """Return the parts of the record's key in an index; None: the index leaves it out."""
        parts = []
        for path in self.schema.indexes[number].key_path:
            name, *steps = path.split(".")
            if name not in record.fields:
                return None
            value = value_of(record.fields[name])
            for step in steps:
                if not isinstance(value, dict) or step not in value:
                    return None
                value = value[step]
            parts.append(value)
        # A list in the only field of an index is the whole key.
        return parts[0] if len(parts) == 1 and isinstance(parts[0], list) else parts


class Selection:
    """The rows of an object store, or of one of its indexes, that a request asks for."""

    def __init__(self, store: Store, number: int | None, request: Query) -> None:
        self.store = store
        self.number = number
        if number is None:
            self.order: tuple[str, ...] = ("key",)
            self._from = "SELECT key, key, text, record FROM records WHERE store = ?"
            self._given: list[object] = [store.id]
        else:
            self.order = ("entries.key", "entries.primary_key")
            self._from = (
                "SELECT entries.key, primary_key, text, record FROM entries JOIN records "
                "ON records.store = entries.store AND records.key = primary_key "
                "WHERE entries.store = ? AND number = ?"
            )
            self._given = [store.id, number]
            if not isinstance(request, pb.ObjectStoreRangeRequest):
                self._match(request.values, len(store.schema.indexes[number].key_path))
        self._within(request.range)

    def sql(self, conditions: str = "", order: str = "", *given: object) -> tuple[str, list[object]]:
        """Return the query, with further conditions and another order than the ascending one."""
        order = order or f"ORDER BY {', '.join(self.order)}"
        return f"{self._from} {conditions} {order}", [*self._given, *given]

    def bound(self, value: Value) -> bytes:
        """Return the bytes that a bound, or the target of a cursor, is compared by."""
        if self.number is None:
            return encode(value).order
        return encode_parts(value if isinstance(value, list) else [value]).order + END

    def _and(self, condition: str, *given: object) -> None:
        self._from += f" AND {condition}"
        self._given += given

    def _match(self, values: Iterable[pb.TypedValue], parts: int) -> None:
        given = [_decoded("index values", value) for value in values]
        prefix = encode_parts(given)
        if len(given) > parts:
            self._and("0")
        elif given and len(given) == parts:
            self._and("entries.key = ? AND exact = ?", prefix.order + END, prefix.exact)
        elif given:
            self._and("entries.key >= ? AND entries.key < ?", prefix.order, prefix.order + AFTER)

    def _within(self, bounds: pb.KeyRange) -> None:
        column = self.order[0]
        lower, upper = (_decoded("key range", bound) for bound in (bounds.lower, bounds.upper))
        if lower is not None:
            order = self.bound(lower)
            self._and(f"{column} >= ?", order + AFTER if bounds.lower_open else order)
        if upper is not None:
            order = self.bound(upper)
            self._and(f"{column} < ?", order if bounds.upper_open else order + AFTER)


def _decoded(what: str, value: pb.TypedValue) -> Value:
    try:
        return value_of(value)
    except ValueError as error:
        raise Invalid(f"unmarshal {what}: {error}") from None


class Records:
    """The operations, named as the members of ``TransactionOperation``: from a request to its answer."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._run = connection.execute

    def find_store(self, name: str) -> Store:
        found = self._run("SELECT id, schema FROM stores WHERE name = ?", (name.encode(),)).fetchone()
        if found is None:
            raise NotFound(f"object store not found: {name}")
        return Store(found[0], pb.ObjectStoreSchema.FromString(found[1]))

    def select(self, request: Query) -> Selection:
        store = self.find_store(request.store)
        if isinstance(request, pb.ObjectStoreRangeRequest) or (
            isinstance(request, pb.OpenCursorRequest) and not request.index
        ):
            return Selection(store, None, request)
        return Selection(store, store.index(request.index), request)

    def create_object_store(self, request: pb.CreateObjectStoreRequest) -> Empty:
        try:
            there = self.find_store(request.name).schema
        except NotFound:
            schema = request.schema.SerializeToString()
            self._run("INSERT INTO stores (name, schema) VALUES (?, ?)", (request.name.encode(), schema))
            return Empty()
        if _by_name(there) != _by_name(request.schema):
            raise NotPossible(f"the schema does not match that of the object store {request.name}")
        return Empty()

    def delete_object_store(self, request: pb.DeleteObjectStoreRequest) -> Empty:
        try:
            store = self.find_store(request.name)
        except NotFound:
            return Empty()
        self._clear(store)
        self._run("DELETE FROM stores WHERE id = ?", (store.id,))
        return Empty()

    def get(self, request: pb.ObjectStoreRequest) -> pb.RecordResponse:
        return pb.RecordResponse(record=pb.Record.FromString(self._one(request).record))

    def get_key(self, request: pb.ObjectStoreRequest) -> pb.KeyResponse:
        return pb.KeyResponse(key=self._one(request).text)

    def add(self, request: pb.RecordRequest) -> Empty:
        return self._write(request, replace=False)

    def put(self, request: pb.RecordRequest) -> Empty:
        return self._write(request, replace=True)

    def delete(self, request: pb.ObjectStoreRequest) -> Empty:
        store = self.find_store(request.store)
        return self._delete(store, store.key(request.id))

    def delete_key(self, name: str, key: bytes) -> Empty:
        """Delete the record of an object store whose primary key has these bytes."""
        return self._delete(self.find_store(name), key)

    def clear(self, request: pb.ObjectStoreNameRequest) -> Empty:
        self._clear(self.find_store(request.store))
        return Empty()

    def get_all(self, request: RangeQuery) -> pb.RecordsResponse:
        records, size = [], 0
        for row in self._rows(self.select(request)):
            size += len(row.record)
            if size > MOST_ANSWER_BYTES:
                raise TooLarge("the answer is larger than 64 MiB; read it with a cursor")
            records.append(pb.Record.FromString(row.record))
        return pb.RecordsResponse(records=records)

    def get_all_keys(self, request: RangeQuery) -> pb.KeysResponse:
        return pb.KeysResponse(keys=[row.text for row in self._rows(self.select(request))])

    def count(self, request: RangeQuery) -> pb.CountResponse:
        query, given = self.select(request).sql()
        return pb.CountResponse(count=self._run(f"SELECT count(*) FROM ({query})", given).fetchone()[0])

    def delete_range(self, request: RangeQuery) -> pb.DeleteResponse:
        selection = self.select(request)
        rows = list(self._rows(selection))
        for row in rows:
            self._remove(selection.store, row)
        return pb.DeleteResponse(deleted=len(rows))

    def index_get(self, request: pb.IndexQueryRequest) -> pb.RecordResponse:
        return pb.RecordResponse(record=pb.Record.FromString(self._first(request, "record").record))

    def index_get_key(self, request: pb.IndexQueryRequest) -> pb.KeyResponse:
        return pb.KeyResponse(key=self._first(request, "key").text)

    # What is asked of an index says so in its request.
    index_get_all, index_get_all_keys, index_count, index_delete = get_all, get_all_keys, count, delete_range

    def _rows(self, selection: Selection) -> Iterator[Row]:
        return map(Row._make, self._run(*selection.sql()))

    def _first(self, request: pb.IndexQueryRequest, what: str) -> Row:
        row = next(self._rows(self.select(request)), None)
        if row is None:
            raise NotFound(f"{what} not found")
        return row

    def _one(self, request: pb.ObjectStoreRequest) -> Row:
        store = self.find_store(request.store)
        row = self._row(store, store.key(request.id))
        if row is None:
            raise NotFound("not found")
        return row

    def _row(self, store: Store, key: bytes) -> Row | None:
        query = "SELECT key, key, text, record FROM records WHERE store = ? AND key = ?"
        found = self._run(query, (store.id, key)).fetchone()
        return found and Row._make(found)

    def _write(self, request: pb.RecordRequest, *, replace: bool) -> Empty:
        store, record = self.find_store(request.store), request.record
        try:
            for field in record.fields.values():
                value = value_of(field)
                if field.WhichOneof("kind") in (None, "json_value") and not isinstance(value, (dict, list)):
                    field.CopyFrom(to_typed(value))
            primary = store.key_of(record)
        except ValueError as error:
            raise Invalid(f"unmarshal record: {error}") from None
        key = b"".join(encode(primary))
        old = self._row(store, key)
        if old is not None and not replace:
            raise AlreadyExists("already exists")
        entries = list(store.entries(record))
        others = "store = ? AND number = ? AND key = ? AND exact = ? AND primary_key <> ?"
        taken = f"SELECT 1 FROM entries WHERE {others} LIMIT 1"
        for number, (order, exact) in entries:
            is_unique = store.schema.indexes[number].unique
            if is_unique and self._run(taken, (store.id, number, order, exact, key)).fetchone():
                raise AlreadyExists("unique index conflict")
        if old is not None:
            self._remove(store, old)
        row = (store.id, key, text_of(primary), record.SerializeToString())
        self._run("INSERT INTO records VALUES (?, ?, ?, ?)", row)
        for number, (order, exact) in entries:
            self._run("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", (store.id, number, order, key, exact))
        return Empty()

    def _delete(self, store: Store, key: bytes) -> Empty:
        row = self._row(store, key)
        if row is not None:
            self._remove(store, row)
        return Empty()

    def _remove(self, store: Store, row: Row) -> None:
        where = "store = ? AND number = ? AND key = ? AND primary_key = ?"
        for number, (order, _) in store.entries(pb.Record.FromString(row.record)):
            self._run(f"DELETE FROM entries WHERE {where}", (store.id, number, order, row.primary))
        self._run("DELETE FROM records WHERE store = ? AND key = ?", (store.id, row.primary))

    def _clear(self, store: Store) -> None:
        for table in ("entries", "records"):
            self._run(f"DELETE FROM {table} WHERE store = ?", (store.id,))


def _by_name(schema: pb.ObjectStoreSchema) -> list[list[bytes]]:
    return [
        sorted(item.SerializeToString(deterministic=True) for item in items)
        for items in (schema.indexes, schema.columns)
    ]
