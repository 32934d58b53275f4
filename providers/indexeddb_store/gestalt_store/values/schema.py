"""Store schemas: a record's primary key and index keys, and when two schemas are the same (contract.md 5.3)."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from gestalt_store.errors import IndexNotFound, Invalid, Undecodable
from gestalt_store.values import wire
from gestalt_store.values.keys import (
    INTEGER_TIES,
    LIST,
    Encoded,
    PlainValue,
    encode,
    encode_parts,
    integer_order,
    text_order,
)
from gestalt_store.values.rendering import STRING, parse
from gestalt_store.values.values import MISSING, from_typed, look_up, typed_value
from gestalt_store.values.wire import Fields, Message

IndexKeys = tuple[Encoded | None, ...]
"""One entry for each index of the store, None where the record is not in it."""


@dataclass(frozen=True, slots=True)
class IndexSchema:
    """Which records an index has, and under which key."""

    name: str
    key_path: tuple[str, ...]
    unique: bool
    paths: tuple[tuple[str, ...], ...]
    """``key_path`` with every entry split at its dots."""

    @classmethod
    def of(cls, message: Message) -> IndexSchema:
        """Read a wire ``IndexSchema``."""
        paths = tuple(tuple(entry.split(".")) for entry in message.key_path)
        return cls(message.name, tuple(message.key_path), message.unique, paths)

    def key_of(self, fields: Fields) -> Encoded | None:
        """Return the record's key in this index, None when a part is missing: it is not in the index then."""
        order = ties = b""
        for path in self.paths:
            # Most parts are texts or integers at the top of the record: these are read straight from the message.
            value = fields.get(path[0])
            if value is None:
                return None
            kind = value.WhichOneof("kind") if len(path) == 1 else None
            if kind == "string_value":
                order += text_order(value.string_value)
            elif kind == "int_value":
                order += integer_order(value.int_value)
                ties += INTEGER_TIES
            else:
                return self._key_of_any(fields)
        return Encoded(order, ties)

    def _key_of_any(self, fields: Fields) -> Encoded | None:
        if len(self.paths) == 1:
            value = look_up(fields, self.paths[0])
            if value is MISSING:
                return None
            if isinstance(value, list):
                key = encode_parts(value)
                return Encoded(key.order, LIST + key.ties)
            return encode(value)
        parts: list[PlainValue] = []
        for path in self.paths:
            value = look_up(fields, path)
            if value is MISSING:
                return None
            parts.append(value)
        return encode_parts(parts)


@dataclass(frozen=True, slots=True)
class Column:
    """A column as CreateObjectStore received it; only that of the primary key has a meaning."""

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
    def of(cls, message: Message) -> StoreSchema:
        """Read a wire ``ObjectStoreSchema``."""
        indexes = tuple(IndexSchema.of(index) for index in message.indexes)
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
        """Return the schema as it is stored: the wire message; ``from_bytes`` reads it."""
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
        return message.SerializeToString(deterministic=True)

    @classmethod
    def from_bytes(cls, data: bytes) -> StoreSchema:
        """Read what ``to_bytes`` returned."""
        return cls.of(wire.ObjectStoreSchema.FromString(data))

    def matches(self, other: StoreSchema) -> bool:
        """Return whether both have the same indexes and columns, in any order; the order inside a key path counts."""
        return _unordered(self.indexes) == _unordered(other.indexes) and _unordered(self.columns) == _unordered(
            other.columns
        )

    def with_indexes(self, indexes: tuple[IndexSchema, ...]) -> StoreSchema:
        """Return the schema with other indexes."""
        return StoreSchema(indexes, self.columns, self.key_field, self.key_type)

    def index_position(self, name: str) -> int:
        """Return where the named index is in ``indexes``.

        Raises:
            IndexNotFound
        """
        for position, index in enumerate(self.indexes):
            if index.name == name:
                return position
        raise IndexNotFound(name)

    def primary_key(self, fields: Fields) -> bytes:
        """Return the encoded primary key of a decoded record.

        Raises:
            Invalid: there is none, or it is blank where it must not be.
        """
        value = fields.get(self.key_field)
        if self.key_type is None:
            if value is None:
                raise Invalid(f'record id: field "{self.key_field}" not found')
            text = value.string_value
            if not text or text.isspace():
                raise Invalid("record id must be a non-empty string")
            return text_order(text)
        if value is None:
            raise Invalid(f'record id: record missing primary key "{self.key_field}"')
        return encode(from_typed(value)).whole

    def parse_id(self, text: str, what: str = "lookup key") -> bytes:
        """Return the encoded primary key that a request's ``id`` stands for.

        Raises:
            Invalid: the text is none of the key column's type.
        """
        if not self.key_type:
            return encode(text).order
        try:
            return encode(parse(text, self.key_type)).whole
        except Invalid as error:
            raise Invalid(f"{what}: {error}") from None

    def index_keys(self, fields: Fields) -> IndexKeys:
        """Return the decoded record's key in each index."""
        return tuple([index.key_of(fields) for index in self.indexes])

    def index_keys_of(self, record: bytes) -> IndexKeys:
        """Return the key that a stored record has in each index.

        Raises:
            Undecodable: the record was damaged since it was stored.
        """
        try:
            return self.index_keys(wire.Record.FromString(record).fields)
        except DecodeError:
            raise Undecodable("record cannot be decoded") from None

    def set_key(self, fields: Fields, key: PlainValue) -> None:
        """Set the primary key of a decoded record."""
        fields[self.key_field].CopyFrom(typed_value(key))


def changed_indexes(schema: StoreSchema, add: tuple[IndexSchema, ...], remove: frozenset[str]) -> StoreSchema:
    """Return the schema with indexes added and removed; one that is both is replaced.

    Raises:
        Invalid: nothing to change, an index twice, without key path, or in the way of an existing one.
    """
    if not add and not remove:
        raise Invalid("nothing to change: name indexes to add or to remove")
    kept = {index.name: index for index in schema.indexes if index.name not in remove}
    new: dict[str, IndexSchema] = {}
    for index in add:
        if not index.key_path or not all(index.key_path):
            raise Invalid(f'index "{index.name}" to be added needs a key path of one or more fields')
        if index.name in new:
            raise Invalid(f'index "{index.name}" is to be added twice')
        if kept.get(index.name, index) != index:
            raise Invalid(f'index "{index.name}" exists with another definition; remove it in the same request')
        new[index.name] = index
    return schema.with_indexes((*(index for index in kept.values() if index.name not in new), *new.values()))


def missing_indexes(schema: StoreSchema, target: StoreSchema) -> list[IndexSchema]:
    """Return the indexes of the target that the schema lacks, in the target's order."""
    return [index for index in target.indexes if index not in schema.indexes]


def _unordered(items: tuple[IndexSchema, ...] | tuple[Column, ...]) -> list[IndexSchema | Column]:
    return sorted(items, key=lambda item: (item.name, repr(item)))
