"""Describe schemas, key ranges, and the writes, conditions and results of ``apply``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal, TypeAlias

from gestalt_sdk.indexeddb.errors import AlreadyExists, ConditionFailed

FieldValue: TypeAlias = Any
"""None, bool, int (64 bits, signed), float, str, bytes, ``datetime`` (``Nanos``), or a JSON list or dict."""

Record: TypeAlias = dict[str, FieldValue]
"""A record by field name. A field that is None is present and null; one that is left out is absent."""

Direction: TypeAlias = Literal["next", "nextunique", "prev", "prevunique"]
Mode: TypeAlias = Literal["readonly", "readwrite"]
Durability: TypeAlias = Literal["default", "strict", "relaxed"]


class ColumnType(IntEnum):
    """Number the types of columns as ``ColumnDef.type`` does."""

    STRING = 0
    INT = 1
    FLOAT = 2
    BOOL = 3
    TIME = 4
    BYTES = 5
    JSON = 6


@dataclass(frozen=True, slots=True)
class IndexSchema:
    """Describe an index over ``key_path``: one field, or several for a compound key; dots walk into maps."""

    name: str
    key_path: Sequence[str]
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """Declare a column.

    Only ``primary_key`` changes what a store does: it names the key field and its type.
    """

    name: str
    type: ColumnType = ColumnType.STRING
    primary_key: bool = False
    not_null: bool = False
    unique: bool = False


@dataclass(frozen=True, slots=True)
class ObjectStoreSchema:
    """List indexes and columns of a store; without columns the primary key is the text field ``id``."""

    indexes: Sequence[IndexSchema] = ()
    columns: Sequence[Column] = ()


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Bound keys from ``lower`` to ``upper``; None is no bound, an open end excludes the bound itself."""

    lower: FieldValue = None
    upper: FieldValue = None
    lower_open: bool = False
    upper_open: bool = False

    @classmethod
    def only(cls, value: FieldValue) -> KeyRange:
        """Return the range of exactly this key."""
        return cls(value, value)

    @classmethod
    def bound(
        cls, lower: FieldValue, upper: FieldValue, lower_open: bool = False, upper_open: bool = False
    ) -> KeyRange:
        """Return the range between two keys, which belong to it unless that end is open."""
        return cls(lower, upper, lower_open, upper_open)


@dataclass(frozen=True, slots=True)
class CursorEntry:
    """Hold what a cursor or a page gives for one record.

    Attributes:
        key: Primary key of a store cursor; list of the key parts, one for each key path, of an index cursor.
        primary_key: The store's text form of the primary key.
        record: None for keys only.
    """

    key: FieldValue
    primary_key: str
    record: Record | None


@dataclass(frozen=True, slots=True)
class Page:
    """Hold one page of entries; ``next_token`` is empty on the last one."""

    entries: list[CursorEntry]
    next_token: bytes = b""

    @property
    def records(self) -> list[Record]:
        """Return the records of the entries; none for keys only."""
        return [entry.record for entry in self.entries if entry.record is not None]


@dataclass(frozen=True, slots=True)
class Condition:
    """State what must hold for a write to be applied: exactly one of ``absent`` and ``field``.

    Attributes:
        absent: True: there is no such record. False: there is one.
        field: Name of the top-level field that must equal ``value``; None as value means null or absent.
        store, id: Another record than the write's own.
    """

    absent: bool | None = None
    field: str = ""
    value: FieldValue = None
    store: str = ""
    id: str = ""

    def __post_init__(self) -> None:
        if (self.absent is None) == (not self.field):
            raise ValueError("a condition is either absent=True/False or field=NAME with a value")
        if bool(self.store) != bool(self.id):
            raise ValueError("a condition on another record names both its store and its id")

    @classmethod
    def equals(cls, field: str, value: FieldValue, *, store: str = "", id: str = "") -> Condition:
        """Return the condition that a field of the record equals the value; None means null or absent."""
        return cls(field=field, value=value, store=store, id=id)


@dataclass(frozen=True, slots=True)
class Write:
    """Describe one write or check of ``IndexedDB.apply``.

    Attributes:
        op: ``put`` and ``add`` take ``record``, ``delete`` and ``check`` take ``id``.
        required: When this write fails nothing at all is written.
    """

    store: str
    op: Literal["put", "add", "delete", "check"]
    record: Record | None = None
    id: str = ""
    conditions: Sequence[Condition] = field(default=())
    required: bool = False

    def __post_init__(self) -> None:
        if self.op in ("put", "add"):
            if self.record is None:
                raise ValueError(f"{self.op} needs a record")
        elif self.op not in ("delete", "check"):
            raise ValueError(f"op is {self.op!r}; accepted are put, add, delete and check")


@dataclass(frozen=True, slots=True)
class WriteResult:
    """Tell what became of one write: ``ok``, ``already_exists``, or ``aborted`` (a condition, or a required write)."""

    code: Literal["ok", "already_exists", "aborted"]
    message: str = ""
    current: Record | None = None

    @property
    def ok(self) -> bool:
        """Tell whether the write was applied."""
        return self.code == "ok"

    def require(self) -> None:
        """Raise ``AlreadyExists`` or ``ConditionFailed`` unless the write was applied."""
        if self.code == "already_exists":
            raise AlreadyExists(self.message)
        if self.code == "aborted":
            raise ConditionFailed(self.message)
