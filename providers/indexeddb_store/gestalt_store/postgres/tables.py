"""Stores and indexes as tables, with every statement that reads or writes them.

A b-tree of PostgreSQL refuses keys above some 2 700 bytes, so a key longer than ``LONGEST`` is kept in two pieces: its
beginning, by which it is found, and the rest, beside a digest of the rest that keeps such keys apart. As long as no
key that is involved reaches ``LONGEST``, the beginnings alone decide every comparison and the plain statements are
exact. Otherwise the careful statements of ``reads`` are needed, which compare the rests as well.

* ``records_N``: key, more (digest of the rest, blank without), rest, value (the record's bytes).
* ``index_N_P``: key, pk, more (digest of both rests), ties, key_rest, pk_rest, pk_more (the record's ``more``).
* ``lock_N``: always empty. A transaction that writes to the store, in whatever process, locks it before its snapshot is
  taken and until it ends. It is a table of its own, so that readers and the server's own maintenance never wait for it.
* ``doubles_N_P``: only while a unique index is built. Keys that more than one record had at some time.

N is the store's ``data``, P the number of the index among all that the store has ever had.

While indexes are changed, the lock table is renamed (``lock_N_G``) whenever the set of indexes that writes have to
maintain changes. A process that does not know of that finds no lock table: it looks the store up again, and goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from gestalt_store.engines.interface import Walk, Write
from gestalt_store.values.keys import Encoded
from gestalt_store.values.schema import IndexSchema, StoreSchema, missing_indexes

LONGEST = 1100
"""Bytes of a key that go into a b-tree; an index has two of them in one row."""

_QUEUE_LIKE = "autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.1"


class Piece(NamedTuple):
    """A key as its table keeps it."""

    head: bytes
    more: bytes
    rest: bytes


def cut(key: bytes) -> Piece:
    """Return the pieces of a key."""
    if len(key) <= LONGEST:
        return Piece(key, b"", b"")
    rest = key[LONGEST:]
    return Piece(key[:LONGEST], hashlib.sha256(rest).digest(), rest)


class PgIndex:
    """An index of an open store."""

    def __init__(self, schema_name: str, data: int, number: int, position: int, schema: IndexSchema) -> None:
        """``number`` counts all indexes that the store has ever had, ``position`` those of its schema."""
        self.schema = schema
        self.number = number
        self.position = position
        self.enforced = schema.unique
        """Whether a write that gives a second record the same key is refused; not yet while a migration builds it."""
        self.table_name = f"index_{data}_{number}"
        self.doubles_name = f"doubles_{data}_{number}"
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
        self.remove_records = (
            f"DELETE FROM {table} AS i USING unnest($1::bytea[], $2::bytea[]) AS gone (pk, pk_rest) "
            "WHERE i.pk = gone.pk AND i.pk_rest = gone.pk_rest"
        )
        """Walks the whole index: only for records from which their index keys cannot be told."""
        self.remove_all = f"DELETE FROM {table}"
        self.unwatch = f"DROP TRIGGER doubles ON {table}"
        end = (
            f"(SELECT i.pk, i.pk_rest, i.more FROM {table} AS i WHERE i.key = d.key AND i.key_rest = d.key_rest "
            "AND i.ties = d.ties ORDER BY i.pk {0}, i.more {0} LIMIT 1)"
        )
        noted = f"SELECT key, digest, key_rest, ties FROM {doubles} ORDER BY key, digest LIMIT $1::bigint"
        self.read_doubles = (
            "SELECT d.key, d.digest, d.key_rest, d.ties, a.pk, a.pk_rest, b.pk, b.pk_rest, "
            f"(a.pk, a.more) IS DISTINCT FROM (b.pk, b.more) FROM ({noted}) AS d "
            f"LEFT JOIN LATERAL {end.format('ASC')} AS a ON true LEFT JOIN LATERAL {end.format('DESC')} AS b ON true"
        )
        self.forget_doubles = (
            f"DELETE FROM {doubles} AS d USING unnest($1::bytea[], $2::bytea[]) AS gone (key, digest) "
            "WHERE d.key = gone.key AND d.digest = gone.digest"
        )
        self.holders = (
            "SELECT i.key, i.key_rest, i.ties, i.pk, i.pk_rest FROM unnest($1::bytea[]) AS wanted (key) "
            f"JOIN {table} AS i ON i.key = wanted.key"
        )

    def row(self, key: Encoded, primary_key: bytes) -> tuple[bytes, ...]:
        """Return the table's row of one record, in the order of ``insert``."""
        own, pk = cut(key.order), cut(primary_key)
        more = b""
        if own.rest or pk.rest:
            more = hashlib.sha256(own.more + b"/" + pk.more).digest()
        return own.head, pk.head, more, key.ties, own.rest, pk.rest, pk.more


class PgStore:
    """An object store with one schema. Its number changes with the schema and never comes back: old reads fail."""

    def __init__(
        self,
        schema_name: str,
        number: int,
        name: str,
        schema: StoreSchema,
        *,
        data: int | None = None,
        index_numbers: Sequence[int] | None = None,
        guard: int = 0,
    ) -> None:
        """``data``, ``index_numbers`` and ``guard`` are those of its row; without them, those of a new store."""
        self.schema_name = schema_name
        self.number = number
        self.name = name
        self.schema = schema
        self.data = data = number if data is None else data
        """The number in the names of its tables, which stays the same when its indexes are changed."""
        self.guard = guard
        """Grows whenever the indexes that writes have to maintain change; the lock table is named after it."""
        self.written_as: PgStore | None = None
        """What writes maintain in place of this: the store with the indexes that are being built, or its successor."""
        self.indexes = tuple(
            PgIndex(schema_name, data, index_number, position, index)
            for position, (index_number, index) in enumerate(
                zip(range(len(schema.indexes)) if index_numbers is None else index_numbers, schema.indexes, strict=True)
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
        """Return the named index.

        Raises:
            IndexNotFound
        """
        return self.indexes[self.schema.index_position(name)]

    @property
    def read_tables(self) -> str:
        """Return the tables that reads of the store need, as SQL lists them."""
        return ", ".join([self.table, *(index.table for index in self.indexes)])

    def lock_name(self, guard: int) -> str:
        """Return the name of the lock table at a guard."""
        return f"lock_{self.data}_{guard}" if guard else f"lock_{self.data}"

    @property
    def lock_table(self) -> str:
        """Return the lock table with its schema."""
        return f"{self.schema_name}.{self.lock_name(self.guard)}"

    def built(self, target: StoreSchema, index_numbers: Sequence[int]) -> PgStore:
        """Return the store with the indexes that it lacks for the target, which writes have to maintain.

        Args:
            index_numbers: Those of the indexes that it lacks.
        """
        added = missing_indexes(self.schema, target)
        known = [index.number for index in self.indexes]
        union = PgStore(
            self.schema_name,
            self.number,
            self.name,
            self.schema.with_indexes((*self.schema.indexes, *added)),
            data=self.data,
            index_numbers=[*known, *index_numbers],
            guard=self.guard,
        )
        for index in union.indexes[len(known) :]:
            index.enforced = False
        union.has_unique = self.has_unique
        return union


PgWalk: TypeAlias = Walk[PgStore, PgIndex]
PgWrite: TypeAlias = Write[PgStore]


def maintained(store: PgStore) -> PgStore:
    """Return the store whose indexes a write has to maintain: another one once a migration of the store has begun."""
    while store.written_as is not None:
        store = store.written_as
    return store


def write_for(store: PgStore, write: PgWrite) -> PgWrite:
    """Return the write with its keys in the indexes of ``store``, which it has to maintain."""
    if write.store is store:
        return write
    return Write(store, write.primary_key, write.record, store.schema.index_keys_of(write.record), write.add)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
