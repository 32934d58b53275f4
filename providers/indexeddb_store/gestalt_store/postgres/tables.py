"""Stores and indexes as tables, with every statement that reads or writes them.

A b-tree of PostgreSQL refuses keys above some 2 700 bytes, so a key longer than ``LONGEST`` is kept in two pieces: its
beginning, by which it is found, and the rest, beside a digest of the rest that keeps such keys apart. As long as no
key in sight reaches ``LONGEST``, the beginnings alone decide every comparison and the plain statements are exact; the
careful ones, which also compare the rests and sort where beginnings are equal, are for the others (see ``reads``).

* ``records_N``: key, more (digest of the rest, blank without), rest, value (the record's bytes).
* ``index_N_P``: key, pk, more (digest of both rests), ties, key_rest, pk_rest, pk_more (the record's ``more``).
* ``lock_N``: always empty. Who writes to the store, in whatever process, holds its lock from before its snapshot to
  its end; a table of its own, so that neither readers nor the server's own maintenance stand in the way.
* ``doubles_N_S``: only while a unique index is built. Keys that more than one record had at some time.

While indexes are changed the lock's table gets another name (``lock_N_G``) whenever writes must keep up other indexes
than before. So no process can write with an old idea of them: it finds no lock, looks again, and goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gestalt_store.engines.interface import Write
from gestalt_store.postgres.pool import Command
from gestalt_store.values import wire
from gestalt_store.values.keys import Encoded
from gestalt_store.values.schema import IndexKeys, IndexSchema, StoreSchema

LONGEST = 1100
"""Bytes of a key that go into a b-tree; an index has two of them in one row."""

_QUEUE_LIKE = "autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.1"


class Piece(NamedTuple):
    """A key as its table keeps it."""

    head: bytes
    more: bytes
    rest: bytes


def cut(key: bytes) -> Piece:
    if len(key) <= LONGEST:
        return Piece(key, b"", b"")
    rest = key[LONGEST:]
    return Piece(key[:LONGEST], hashlib.sha256(rest).digest(), rest)


class PgIndex:
    """An index of an open store."""

    def __init__(self, schema_name: str, data: int, slot: int, position: int, schema: IndexSchema) -> None:
        """``slot`` is its number among all indexes that the store has ever had, ``position`` that in the schema."""
        self.schema = schema
        self.slot = slot
        self.position = position
        self.enforced = schema.unique
        """Writes are refused for its sake; not yet while a migration builds it."""
        self.table_name = f"index_{data}_{slot}"
        self.doubles_name = f"doubles_{data}_{slot}"
        table = self.table = f"{schema_name}.{self.table_name}"
        doubles = self.doubles = f"{schema_name}.{self.doubles_name}"
        self.create = [
            f"CREATE TABLE {table} (key bytea NOT NULL, pk bytea NOT NULL, more bytea NOT NULL, ties bytea NOT NULL, "
            f"key_rest bytea NOT NULL, pk_rest bytea NOT NULL, pk_more bytea NOT NULL) WITH ({_QUEUE_LIKE})",
            f"CREATE UNIQUE INDEX ON {table} (key, pk, more)",
        ]
        self.insert = (
            f"INSERT INTO {table} (key, pk, more, ties, key_rest, pk_rest, pk_more) SELECT * FROM "
            "unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[])"
        )
        self.fill = f"{self.insert} ON CONFLICT (key, pk, more) DO NOTHING"
        self.watch = [
            f"CREATE TABLE {doubles} (key bytea NOT NULL, digest bytea NOT NULL, key_rest bytea NOT NULL, "
            "ties bytea NOT NULL, PRIMARY KEY (key, digest))",
            f"CREATE TRIGGER doubles AFTER INSERT ON {table} REFERENCING NEW TABLE AS added FOR EACH STATEMENT "
            f"EXECUTE FUNCTION {schema_name}.note_doubles({_literal(table)}, {_literal(doubles)})",
        ]
        self.remove = (
            f"DELETE FROM {table} AS i USING unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS gone (key, pk, more) "
            "WHERE i.key = gone.key AND i.pk = gone.pk AND i.more = gone.more"
        )
        self.remove_all = f"DELETE FROM {table}"
        self.holders = (
            "SELECT i.key, i.key_rest, i.ties, i.pk, i.pk_rest FROM unnest($1::bytea[]) AS wanted (key) "
            f"JOIN {table} AS i ON i.key = wanted.key"
        )

    def row(self, key: Encoded, primary_key: bytes) -> tuple[bytes, ...]:
        """The table's row of one record, in the order of ``insert``."""
        own, pk = cut(key.order), cut(primary_key)
        more = b""
        if own.rest or pk.rest:
            more = hashlib.sha256(own.more + b"/" + pk.more).digest()
        return own.head, pk.head, more, key.ties, own.rest, pk.rest, pk.more


class PgStore:
    """An object store with one schema: its number never comes back, so reads of a former one can only fail."""

    def __init__(
        self,
        schema_name: str,
        number: int,
        name: str,
        schema: StoreSchema,
        *,
        data: int | None = None,
        slots: Sequence[int] | None = None,
        guard: int = 0,
    ) -> None:
        """``data``, ``slots`` and ``guard`` are those of the layout; without them as when the store was created."""
        self.schema_name = schema_name
        self.number = number
        self.name = name
        self.schema = schema
        self.data = data = number if data is None else data
        """The number in the names of its tables, which stays the same when its indexes are changed."""
        self.guard = guard
        """Grows whenever writes must keep up other indexes than before; the table that they lock is named after it."""
        self.upkeep: PgStore | None = None
        """What writes keep up instead of this: the store with indexes that are being built, or its successor."""
        self.indexes = tuple(
            PgIndex(schema_name, data, slot, position, index)
            for position, (slot, index) in enumerate(
                zip(range(len(schema.indexes)) if slots is None else slots, schema.indexes, strict=True)
            )
        )
        self.has_unique = any(index.unique for index in schema.indexes)
        self.table_name = f"records_{data}"
        table = self.table = f"{schema_name}.{self.table_name}"
        self.present = f"{schema_name}.present({number})"
        self.create = [
            f"CREATE TABLE {self.lock_table} ()",
            f"CREATE TABLE {table} (key bytea NOT NULL, more bytea NOT NULL, rest bytea NOT NULL, "
            f"value bytea NOT NULL) WITH (fillfactor = 90, {_QUEUE_LIKE})",
            f"CREATE UNIQUE INDEX ON {table} (key, more)",
            *(statement for index in self.indexes for statement in index.create),
        ]
        self.get = f"SELECT key, rest, value FROM {table} WHERE key = ANY ($1::bytea[]) AND {self.present}"
        self.upsert = (
            f"INSERT INTO {table} (key, more, rest, value) "
            "SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[]) "
            "ON CONFLICT (key, more) DO UPDATE SET value = excluded.value"
        )
        self.remove = (
            f"DELETE FROM {table} AS r USING unnest($1::bytea[], $2::bytea[]) AS gone (key, more) "
            "WHERE r.key = gone.key AND r.more = gone.more"
        )
        self.remove_all = f"DELETE FROM {table}"

    def index(self, name: str) -> PgIndex:
        """The named index; ``IndexNotFound`` when there is none."""
        return self.indexes[self.schema.index_position(name)]

    @property
    def read_tables(self) -> str:
        return ", ".join([self.table, *(index.table for index in self.indexes)])

    def lock_name(self, guard: int) -> str:
        return f"lock_{self.data}_{guard}" if guard else f"lock_{self.data}"

    @property
    def lock_table(self) -> str:
        return f"{self.schema_name}.{self.lock_name(self.guard)}"

    def built(self, target: StoreSchema, slots: Sequence[int]) -> PgStore:
        """The same with the indexes that it lacks for the target, in the given slots, for writes to keep up."""
        added = missing_indexes(self.schema, target)
        known = [index.slot for index in self.indexes]
        union = PgStore(
            self.schema_name,
            self.number,
            self.name,
            self.schema.with_indexes((*self.schema.indexes, *added)),
            data=self.data,
            slots=[*known, *slots],
            guard=self.guard,
        )
        for index in union.indexes[len(known) :]:
            index.enforced = False
        union.has_unique = self.has_unique
        return union


def missing_indexes(schema: StoreSchema, target: StoreSchema) -> list[IndexSchema]:
    """The indexes of the target that the other lacks, in the target's order."""
    return [index for index in target.indexes if index not in schema.indexes]


def kept_up(store: PgStore) -> PgStore:
    """The store whose indexes a write keeps up: not the one it was prepared for, once a migration has begun."""
    while store.upkeep is not None:
        store = store.upkeep
    return store


def prepared(store: PgStore, write: Write) -> Write:
    """The write for the store that it must keep up."""
    if write.store is store:
        return write
    return Write(store, write.primary_key, write.record, index_keys_of(store, write.record), write.add)


def index_keys_of(store: PgStore, record: bytes) -> IndexKeys:
    """The keys that a stored record has in the store's indexes."""
    return store.schema.index_keys(wire.Record.FromString(record).fields)


_BEGIN = Command("BEGIN ISOLATION LEVEL SERIALIZABLE", prepare=False)
_RELAXED = Command("SET LOCAL synchronous_commit = off", prepare=False)


def opening(stores: Iterable[PgStore], *, relaxed: bool) -> list[Command]:
    """Begin a transaction that writes to the stores; when it is relaxed, its commit does not wait for the disk."""
    return [_BEGIN, *([_RELAXED] if relaxed else []), lock_command(stores)]


def lock_command(stores: Iterable[PgStore]) -> Command:
    """Take the stores for writing. It takes no snapshot, so what follows in the transaction sees what came before.

    Always in the order of their numbers, in which nobody can wait for each other in a circle.
    """
    tables = ", ".join(store.lock_table for store in sorted(stores, key=lambda store: store.data))
    return Command(f"LOCK TABLE {tables} IN EXCLUSIVE MODE", prepare=False)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
