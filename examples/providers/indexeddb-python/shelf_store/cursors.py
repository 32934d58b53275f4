"""A walk over an object store or an index, as it was when the walk began."""

from __future__ import annotations

from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.indexeddb import from_key, to_key
from shelf_store.errors import Invalid, NotFound
from shelf_store.keys import AFTER, value_of
from shelf_store.records import Records, Row


class Cursor:
    """Stands on one row at a time; before the first one, and behind the last, on none."""

    def __init__(self, records: Records, request: pb.OpenCursorRequest) -> None:
        self.request = request
        self._records = records
        self._selection = records.select(request)
        self._reverse = request.direction in (pb.CURSOR_PREV, pb.CURSOR_PREV_UNIQUE)
        is_unique = request.direction in (pb.CURSOR_NEXT_UNIQUE, pb.CURSOR_PREV_UNIQUE)
        self._each_key_once = is_unique and bool(request.index)
        self._at: Row | None = None
        self._has_ended = False

    def move(self, command: pb.CursorCommand) -> pb.CursorResponse:
        """Carry out ``next``, ``continue_to_key`` or ``advance``."""
        kind, steps, target = command.WhichOneof("command"), 1, None
        if kind == "advance":
            if command.advance <= 0:
                raise Invalid("advance count must be positive")
            steps += command.advance
        elif kind == "continue_to_key":
            target = self._target(command.continue_to_key)
        elif kind != "next":
            raise Invalid("unknown cursor command")
        for _ in range(steps):
            if self._has_ended:
                break
            self._at = self._following(target)
            self._has_ended = self._at is None
        return pb.CursorResponse(done=True) if self._at is None else self._entry(self._at.record)

    def current(self) -> bytes:
        """Return the primary key of the record that it stands on. Raises ``NotFound`` when it stands on none."""
        if self._at is None:
            raise NotFound("cursor is exhausted")
        return self._at.primary

    def replacement(self, record: pb.Record) -> pb.RecordRequest:
        """Return the write that puts the record in place of the one that it stands on, under its primary key."""
        self.current()
        assert self._at is not None
        field = self._selection.store.key_field
        record.fields[field].CopyFrom(pb.Record.FromString(self._at.record).fields[field])
        return pb.RecordRequest(store=self.request.store, record=record)

    def replaced(self, record: pb.Record) -> pb.CursorResponse:
        """Return the answer to an update: the entry with the new record, and the key under which it was met."""
        return self._entry(record.SerializeToString())

    def _target(self, target: pb.CursorKeyTarget) -> bytes:
        if not target.key:
            raise Invalid("continue key is required")
        if any(key.WhichOneof("kind") is None for key in target.key):
            raise Invalid("a part of the continue key has no value")
        try:
            parts = [value_of(key.scalar) if key.HasField("scalar") else from_key(key) for key in target.key]
        except ValueError as error:
            raise Invalid(f"continue key: {error}") from None
        return self._selection.bound(parts if self.request.index or len(parts) > 1 else parts[0])

    def _following(self, target: bytes | None) -> Row | None:
        columns = self._selection.order[:1] if self._each_key_once else self._selection.order
        conditions, given = "", list[bytes]()
        if self._at is not None:
            marks = ", ".join("?" * len(columns))
            conditions += f" AND ({', '.join(columns)}) {'<' if self._reverse else '>'} ({marks})"
            given += (self._at.sort, self._at.primary)[: len(columns)]
        if target is not None:
            conditions += f" AND {columns[0]} {'<' if self._reverse else '>='} ?"
            given.append(target + AFTER if self._reverse else target)
        direction = " DESC" if self._reverse else ""
        order = ", ".join(f"{column}{direction}" for column in self._selection.order)
        query = self._selection.sql(conditions, f"ORDER BY {order} LIMIT 1", *given)
        found = self._records.connection.execute(*query).fetchone()
        return found and Row._make(found)

    def _entry(self, data: bytes) -> pb.CursorResponse:
        assert self._at is not None
        store, number, met = self._selection.store, self._selection.number, pb.Record.FromString(self._at.record)
        parts = [store.key_of(met)] if number is None else store.parts(met, number) or []
        entry = pb.CursorEntry(key=map(to_key, parts), primary_key=self._at.text)
        if not self.request.keys_only:
            entry.record.ParseFromString(data)
        return pb.CursorResponse(entry=entry)
