"""Stores and indexes as tables, with every statement that reads or writes them.

A b-tree of PostgreSQL refuses keys above some 2 700 bytes, so a key longer than ``LONGEST`` is kept in two pieces: its
beginning, by which it is found, and the rest, beside a digest of the rest that keeps such keys apart. As long as no
key in sight reaches ``LONGEST``, the beginnings alone decide every comparison and the plain statements are exact; the
careful ones, which also compare the rests and sort where beginnings are equal, are for the others (see ``reads``).

* ``records_N``: key, more (digest of the rest, blank without), rest, value (the record's bytes).
* ``index_N_P``: key, pk, more (digest of both rests), ties, key_rest, pk_rest, pk_more (the record's ``more``).
* ``lock_N``: always empty. Who writes to the store, in whatever process, holds its lock from before its snapshot to
  its end; a table of its own, so that neither readers nor the server's own maintenance stand in the way.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from gestalt_store.keys import Encoded
from gestalt_store.postgres.pool import Command
from gestalt_store.schema import IndexSchema, StoreSchema

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

    def __init__(self, schema_name: str, store_number: int, position: int, schema: IndexSchema) -> None:
        self.schema = schema
        self.position = position
        table = self.table = f"{schema_name}.index_{store_number}_{position}"
        self.create = [
            f"CREATE TABLE {table} (key bytea NOT NULL, pk bytea NOT NULL, more bytea NOT NULL, ties bytea NOT NULL, "
            f"key_rest bytea NOT NULL, pk_rest bytea NOT NULL, pk_more bytea NOT NULL) WITH ({_QUEUE_LIKE})",
            f"CREATE UNIQUE INDEX ON {table} (key, pk, more)",
        ]
        self.insert = (
            f"INSERT INTO {table} (key, pk, more, ties, key_rest, pk_rest, pk_more) SELECT * FROM "
            "unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[])"
        )
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
    """An object store: its number never comes back, so statements on a deleted one can only fail."""

    def __init__(self, schema_name: str, number: int, name: str, schema: StoreSchema) -> None:
        self.number = number
        self.name = name
        self.schema = schema
        self.indexes = tuple(
            PgIndex(schema_name, number, position, index) for position, index in enumerate(schema.indexes)
        )
        self.has_unique = any(index.unique for index in schema.indexes)
        table = self.table = f"{schema_name}.records_{number}"
        self.lock_table = f"{schema_name}.lock_{number}"
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
        self.remove_span = f"DELETE FROM {table} WHERE key >= $1 AND key < $2"
        self.remove_all = f"DELETE FROM {table}"

    def index(self, name: str) -> PgIndex:
        """The named index; ``IndexNotFound`` when there is none."""
        return self.indexes[self.schema.index_position(name)]

    @property
    def read_tables(self) -> str:
        return ", ".join([self.table, *(index.table for index in self.indexes)])


def lock_command(stores: list[PgStore]) -> Command:
    """Take the stores for writing. It takes no snapshot, so what follows in the transaction sees what came before.

    Always in the order of their numbers, in which nobody can wait for each other in a circle.
    """
    tables = ", ".join(store.lock_table for store in sorted(stores, key=lambda store: store.number))
    return Command(f"LOCK TABLE {tables} IN EXCLUSIVE MODE", prepare=False)


def drop_statement(schema_name: str, number: int, indexes: int) -> str:
    """What removes the data of a deleted store."""
    tables = [f"{schema_name}.records_{number}"]
    tables += [f"{schema_name}.index_{number}_{position}" for position in range(indexes)]
    return f"DROP TABLE IF EXISTS {', '.join(tables)}"
