"""The layout of a database in a schema of PostgreSQL, its format number, and the steps from older formats.

``tables`` describes the tables of an object store. Names are kept as bytes, because text of PostgreSQL cannot hold
a NUL. The function ``present`` makes reads of a store fail that was deleted or has another schema by now.

Format 1: ``facts`` (format, name of the database), ``stores`` (one row for each object store, its schema as wire
bytes), ``dropped`` (deleted stores whose tables are not gone yet).
Format 2: ``stores`` also says which tables are the store's once its indexes have been changed, and its ``id`` is new
with every schema. ``data`` is the number in the names of the tables, ``slots`` the number of each index, ``next_slot``
that of the next one, ``guard`` that of the lock table. ``migrations`` has one row for each store whose indexes were
changed: the schema that it shall have, how far that is, or how it ended. ``dropped`` lists tables. ``note_doubles`` is
the trigger of unique indexes that are being built: it notes keys that more than one record has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import psycopg

from gestalt_store.errors import DatabaseUnusable
from gestalt_store.postgres.failures import STORE_GONE, translate_opening
from gestalt_store.postgres.pool import PgConnection, Pool, Row, Statement

FORMAT = 2
UNNAMED = "gestalt_indexeddb"
"""Schema of the database without a name."""
_LONGEST_NAME = 63
_RESERVED = ("pg_", "information_schema")

_MIGRATIONS = (
    "store bigint PRIMARY KEY, schema bytea NOT NULL, state text NOT NULL, slots text, position bytea NOT NULL, "
    "last bytea NOT NULL, scanned bigint NOT NULL, total bigint NOT NULL, problem bytea NOT NULL, "
    "conflicts bytea NOT NULL"
)
_NOTE_DOUBLES = """BEGIN EXECUTE format('INSERT INTO %s (key, digest, key_rest, ties)
SELECT DISTINCT i.key, sha256(i.key_rest || i.ties), i.key_rest, i.ties FROM added AS n JOIN %s AS i ON i.key = n.key
WHERE i.key_rest = n.key_rest AND i.ties = n.ties AND (i.pk <> n.pk OR i.more <> n.more)
ON CONFLICT (key, digest) DO NOTHING', TG_ARGV[1], TG_ARGV[0]); RETURN NULL; END"""
_HAS_FACTS = (
    "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = $1 AND c.relname = 'facts' AND c.relkind = 'r'"
)
_COUNT_TABLES = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1"
_LOCK_SCHEMA = "SELECT pg_advisory_xact_lock(hashtextextended('gestalt indexeddb ' || $1, 0))"


def _to_format_2(schema: str) -> list[str]:
    return [
        f"ALTER TABLE {schema}.stores ADD COLUMN data bigint, ADD COLUMN slots text, "
        "ADD COLUMN next_slot integer, ADD COLUMN guard integer NOT NULL DEFAULT 0",
        f"CREATE TABLE {schema}.tables (name text PRIMARY KEY)",
        f"INSERT INTO {schema}.tables SELECT 'records_' || id FROM {schema}.dropped",
        f"INSERT INTO {schema}.tables SELECT 'index_' || id || '_' || position FROM {schema}.dropped, "
        "generate_series(0, indexes - 1) AS position",
        f"DROP TABLE {schema}.dropped",
        f"ALTER TABLE {schema}.tables RENAME TO dropped",
        *_migrating(schema),
    ]


def _migrating(schema: str) -> list[str]:
    body = _NOTE_DOUBLES.replace("'", "''")
    return [
        f"CREATE TABLE {schema}.migrations ({_MIGRATIONS})",
        f"CREATE FUNCTION {schema}.note_doubles() RETURNS trigger LANGUAGE plpgsql AS '{body}'",
    ]


STEPS: dict[int, Callable[[str], list[str]]] = {1: _to_format_2}
"""The statements that lead from each older format to the next one, given the quoted schema."""


def schema_name(db: str) -> str:
    """Return the schema of a database: its own name where PostgreSQL can have it, else one made from it.

    Raises:
        DatabaseUnusable: the name holds a NUL.
    """
    if "\x00" in db:
        raise DatabaseUnusable(f"database {db!r}: PostgreSQL accepts no NUL in the name of a schema")
    if not db:
        return UNNAMED
    name = f"_{db}" if db.startswith(_RESERVED) else db
    raw = name.encode()
    if len(raw) > _LONGEST_NAME:
        # Identifiers longer than that are cut off by the server without a word.
        name = raw[:40].decode(errors="ignore") + "_" + hashlib.sha256(raw).hexdigest()[:20]
    return name


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


async def ensure_layout(pool: Pool, db: str) -> str:
    """Create the schema and its layout, migrate an older one, refuse any other; return the quoted schema.

    Raises:
        DatabaseUnusable: another program's schema, a newer format, another database's schema, missing privileges.
        StorageUnavailable: the server cannot be reached.
    """
    name = schema_name(db)
    connection = await pool.take()
    try:
        found = await _facts(connection, name)
        if found is None or int(found[b"format"]) < FORMAT:
            await _change(connection, name, db, pool.where)
            found = await _facts(connection, name)
            assert found is not None
    except psycopg.Error as error:
        raise translate_opening(error, pool.where) from error
    finally:
        pool.give_back(connection)
    _check(found, name, db, pool.where)
    return quoted(name)


def _check(facts: dict[bytes, bytes], name: str, db: str, where: str) -> None:
    number = int(facts[b"format"])
    if number > FORMAT:
        raise DatabaseUnusable(
            f"schema {name!r} of {where} has format {number}, this version reads up to {FORMAT}: a newer version wrote "
            "it; use that one, or restore a backup made before the upgrade"
        )
    owner = facts[b"db"].decode()
    if owner != db:
        raise DatabaseUnusable(
            f"schema {name!r} of {where} holds database {owner!r}, not {db!r}; choose another schema"
        )


async def _facts(connection: PgConnection, name: str) -> dict[bytes, bytes] | None:
    """Return the rows of ``facts``; None when the schema has no layout yet."""
    there = await connection.run([Statement(_HAS_FACTS, [name], prepare=False)])
    if not there[0]:
        return None
    rows = await connection.run([Statement(f"SELECT name, value FROM {quoted(name)}.facts", prepare=False)])
    return {bytes(key): bytes(value) for key, value in rows[0]}


async def _change(connection: PgConnection, name: str, db: str, where: str) -> None:
    """Create the layout or bring it to the current format; one process at a time, all or nothing."""

    async def run(sql: str, *parameters: object) -> list[Row]:
        return (await connection.run([Statement(sql, parameters, prepare=False)]))[0]

    await run("BEGIN")
    await run(_LOCK_SCHEMA, name)
    facts = await _facts(connection, name)
    if facts is None:
        others = await run(_COUNT_TABLES, name)
        if others[0][0]:
            raise DatabaseUnusable(
                f"schema {name!r} of {where} holds tables of another program; give the store a schema of its own"
            )
        for statement in creation(quoted(name)):
            await run(statement)
        await run(f"INSERT INTO {quoted(name)}.facts VALUES ('db', $1)", db.encode())
    else:
        number = int(facts[b"format"])
        while number < FORMAT:
            step = STEPS.get(number)
            if step is None:
                raise DatabaseUnusable(
                    f"schema {name!r} of {where} has format {number}, which no released version wrote"
                )
            for statement in step(quoted(name)):
                await run(statement)
            number += 1
            await run(f"UPDATE {quoted(name)}.facts SET value = $1 WHERE name = 'format'", str(number).encode())
    await run("COMMIT")


def creation(schema: str) -> list[str]:
    """Return the statements that create an empty database in the quoted schema."""
    body = (
        f"BEGIN PERFORM 1 FROM {schema}.stores WHERE id = wanted; IF NOT FOUND THEN "
        f"RAISE EXCEPTION 'object store deleted' USING ERRCODE = '{STORE_GONE}'; END IF; RETURN true; END"
    ).replace("'", "''")
    return [
        f"CREATE SCHEMA IF NOT EXISTS {schema}",
        f"CREATE TABLE {schema}.facts (name bytea PRIMARY KEY, value bytea NOT NULL)",
        f"CREATE TABLE {schema}.stores (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
        "name bytea NOT NULL UNIQUE, schema bytea NOT NULL, data bigint, slots text, next_slot integer, "
        "guard integer NOT NULL DEFAULT 0)",
        f"CREATE TABLE {schema}.dropped (name text PRIMARY KEY)",
        f"CREATE FUNCTION {schema}.present(wanted bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS '{body}'",
        *_migrating(schema),
        f"INSERT INTO {schema}.facts VALUES ('format', '{FORMAT}')",
    ]
