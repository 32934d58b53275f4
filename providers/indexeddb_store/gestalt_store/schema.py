"""Store schemas: a record's primary key and index keys, and when two schemas are the same (contract.md 5.3, 5.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gestalt_store import wire
from gestalt_store.errors import IndexNotFound, Invalid
from gestalt_store.keys import LIST, Encoded, encode, encode_parts
from gestalt_store.rendering import STRING, parse
from gestalt_store.values import MISSING, from_typed, look_up, typed_value

IndexKeys = tuple[Encoded | None, ...]
"""One entry for each index of the store, None where the record is not in it."""


@dataclass(frozen=True, slots=True)
class IndexSchema:
    name: str
    key_path: tuple[str, ...]
    unique: bool
    paths: tuple[tuple[str, ...], ...]
    """``key_path`` with every entry split at its dots."""

    def key_of(self, fields: Any) -> Encoded | None:
        """The record's key in this index, None when a part is missing."""
        if len(self.paths) == 1:
            value = look_up(fields, self.paths[0])
            if value is MISSING:
                return None
            if isinstance(value, list):
                key = encode_parts(value)
                return Encoded(key.order, LIST + key.ties)
            return encode(value)
        parts = []
        for path in self.paths:
            value = look_up(fields, path)
            if value is MISSING:
                return None
            parts.append(value)
        return encode_parts(parts)


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: int
    primary_key: bool
    not_null: bool
    unique: bool


@dataclass(frozen=True, slots=True)
class StoreSchema:
    """The schema as CreateObjectStore received it, with what follows from it."""

    indexes: tuple[IndexSchema, ...]
    columns: tuple[Column, ...]
    key_field: str
    key_type: int | None
    """Type of the key column, None for a store without columns: its key must be text that is not blank."""

    @classmethod
    def of(cls, message: Any) -> StoreSchema:
        """Read a wire ``ObjectStoreSchema``."""
        indexes = tuple(
            IndexSchema(
                index.name,
                tuple(index.key_path),
                index.unique,
                tuple(tuple(entry.split(".")) for entry in index.key_path),
            )
            for index in message.indexes
        )
        columns = tuple(
            Column(column.name, column.type, column.primary_key, column.not_null, column.unique)
            for column in message.columns
        )
        key_field, key_type = "id", None
        if columns:
            key_type = next((column.type for column in columns if column.name == "id"), STRING)
            for column in columns:
                if column.primary_key:
                    key_field, key_type = column.name, column.type
        return cls(indexes, columns, key_field, key_type)

    def to_bytes(self) -> bytes:
        """The wire message, for keeping; ``from_bytes`` reads it."""
        message = wire.ObjectStoreSchema()
        for index in self.indexes:
            message.indexes.add(name=index.name, key_path=index.key_path, unique=index.unique)
        for column in self.columns:
            message.columns.add(
                name=column.name,
                type=column.type,
                primary_key=column.primary_key,
                not_null=column.not_null,
                unique=column.unique,
            )
        data: bytes = message.SerializeToString(deterministic=True)
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> StoreSchema:
        return cls.of(wire.ObjectStoreSchema.FromString(data))

    def matches(self, other: StoreSchema) -> bool:
        """Same indexes and columns by name, whatever their order; the order inside a key path counts."""
        return _unordered(self.indexes) == _unordered(other.indexes) and _unordered(self.columns) == _unordered(
            other.columns
        )

    def index_position(self, name: str) -> int:
        """Where the named index is in ``indexes``."""
        for position, index in enumerate(self.indexes):
            if index.name == name:
                return position
        raise IndexNotFound(name)

    def primary_key(self, fields: Any) -> bytes:
        """The encoded primary key of a decoded record.

        Raises:
            Invalid: there is none, or it is blank where it must not be.
        """
        value = fields.get(self.key_field)
        if self.key_type is None:
            if value is None:
                raise Invalid(f'record id: field "{self.key_field}" not found')
            text = from_typed(value)
            if not isinstance(text, str) or not text.strip():
                raise Invalid("record id must be a non-empty string")
            return encode(text).order
        if value is None:
            raise Invalid(f'record id: record missing primary key "{self.key_field}"')
        return encode(from_typed(value)).whole

    def parse_id(self, text: str, what: str = "lookup key") -> bytes:
        """The encoded primary key that a request's ``id`` stands for.

        Raises:
            Invalid: the text is none of the key column's type.
        """
        if not self.key_type:
            return encode(text).order
        try:
            return encode(parse(text, self.key_type)).whole
        except Invalid as error:
            raise Invalid(f"{what}: {error}") from None

    def index_keys(self, fields: Any) -> IndexKeys:
        """The decoded record's key in each index."""
        return tuple([index.key_of(fields) for index in self.indexes])

    def with_key(self, record: Any, key: Any) -> Any:
        """The decoded record with its primary key set to the given value."""
        record.fields[self.key_field].CopyFrom(typed_value(key))
        return record


def _unordered(items: tuple[Any, ...]) -> list[Any]:
    return sorted(items, key=lambda item: (item.name, repr(item)))
