"""Proof that the databases on a server are sound: every record under its own key, every index row for a record.

A server is backed up with its own programs; see ``BACKUP_HINT``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
from google.protobuf.message import DecodeError

from gestalt_store.engines.interface import Position, Walk, WalkRow
from gestalt_store.engines.limits import StoreLimits
from gestalt_store.errors import StoreError
from gestalt_store.postgres import reads
from gestalt_store.postgres.catalogue import StoreRow
from gestalt_store.postgres.failures import translate
from gestalt_store.postgres.formats import FORMAT, quoted, schema_name
from gestalt_store.postgres.pool import Pool, Statement
from gestalt_store.postgres.schema import Schema
from gestalt_store.postgres.snapshots import BEGIN
from gestalt_store.postgres.tables import PgIndex, PgStore
from gestalt_store.values import wire
from gestalt_store.values.ranges import EVERYTHING
from gestalt_store.values.rendering import key_name
from gestalt_store.values.schema import IndexKeys

BACKUP_HINT = "PostgreSQL is backed up with its own programs: pg_dump --schema=NAME, one schema for each database"
_PAGE = 1000
_PAGE_BYTES = 4 * 1024 * 1024
_PROBLEM_LIMIT = 100
_COLUMNS = ("key", "pk", "more", "ties", "key_rest", "pk_rest", "pk_more")
_SCHEMAS = (
    "SELECT n.nspname FROM pg_namespace n WHERE 3 = (SELECT count(*) FROM pg_class c WHERE "
    "c.relnamespace = n.oid AND c.relkind = 'r' AND c.relname IN ('facts', 'stores', 'dropped')) "
    "ORDER BY 1"
)


async def check_server(conninfo: str) -> dict[str, list[str]]:
    """Return what is wrong with each database on the server, by its name; an empty list where nothing is.

    Raises:
        StoreError: the server cannot be read.
    """
    limits = StoreLimits()
    pool = Pool(conninfo, limit=1, wait_s=5, lock_wait_s=limits.lock_wait_s, idle_limit_s=limits.snapshot_idle_s)
    try:
        return await _check(pool)
    finally:
        await pool.close()


async def _check(pool: Pool) -> dict[str, list[str]]:
    connection = await pool.take()
    found: dict[str, list[str]] = {}
    try:
        run = connection.run
        await run([BEGIN])
        for db, schema in await _databases(run):
            problems = found[db] = []
            facts: dict[bytes, bytes] = dict(
                (await run([Statement(f"SELECT name, value FROM {schema}.facts", prepare=False)]))[0]
            )
            if int(facts[b"format"]) != FORMAT:
                problems.append(f"it has format {int(facts[b'format'])}, this version checks format {FORMAT}")
                continue
            for row in (await run([Schema(schema).rows]))[0]:
                store = StoreRow.of(schema, row).store
                async for problem in _check_store(run, store):
                    problems.append(f"object store {store.name!r}: {problem}")
                    if len(problems) >= _PROBLEM_LIMIT:
                        problems.append("and more")
                        return found
        return found
    except psycopg.Error as error:
        raise translate(error, pool.where) from error
    finally:
        pool.give_back(connection)


async def _databases(run: reads.Run) -> list[tuple[str, str]]:
    """Return name and quoted schema of each database of the store."""
    candidates = (await run([Statement(_SCHEMAS, prepare=False)]))[0]
    found = []
    for (name,) in candidates:
        rows = (await run([Statement(f"SELECT value FROM {quoted(name)}.facts WHERE name = 'db'", prepare=False)]))[0]
        if rows and schema_name(rows[0][0].decode()) == name:
            found.append((rows[0][0].decode(), quoted(name)))
    return found


async def _check_store(run: reads.Run, store: PgStore) -> AsyncIterator[str]:
    expected = [0] * len(store.indexes)
    after: Position | None = None
    more = True
    while more:
        rows, more = await reads.limited_page(run, Walk(store, EVERYTHING), after, _PAGE, _PAGE_BYTES)
        if rows:
            after = rows[-1].position
        read: list[tuple[WalkRow, IndexKeys]] = []
        for row in rows:
            try:
                fields = wire.Record.FromString(row.record or b"").fields
                if store.schema.primary_key(fields) != row.primary_key:
                    yield f"record {key_name(row.primary_key)} is stored under a key that is not its own"
                read.append((row, store.schema.index_keys(fields)))
            except (DecodeError, StoreError) as error:
                yield f"record {key_name(row.primary_key)} cannot be read: {error}"
        for index in store.indexes:
            index_rows = [
                index.row(key, row.primary_key) for row, keys in read if (key := keys[index.position]) is not None
            ]
            expected[index.position] += len(index_rows)
            for missing in await _missing(run, index, index_rows):
                yield f"index {index.schema.name!r} has no right row for record {key_name(missing[1] + missing[5])}"
    for index in store.indexes:
        (count,), (duplicates,) = (
            rows[0]
            for rows in await run(
                [
                    Statement(f"SELECT count(*) FROM {index.table}", prepare=False),
                    Statement(
                        f"SELECT count(*) FROM (SELECT 1 FROM {index.table} GROUP BY key, key_rest, ties "
                        "HAVING count(*) > 1) AS twice",
                        prepare=False,
                    ),
                ]
            )
        )
        if count != expected[index.position]:
            yield f"index {index.schema.name!r} has {count} rows for {expected[index.position]} records"
        if index.schema.unique and duplicates:
            yield f"unique index {index.schema.name!r} has {duplicates} keys more than once"


async def _missing(run: reads.Run, index: PgIndex, rows: list[tuple[bytes, ...]]) -> list[tuple[bytes, ...]]:
    """Return those of the rows that the index does not have."""
    if not rows:
        return []
    sql = (
        f"SELECT {', '.join(f'i.{column}' for column in _COLUMNS)} FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) "
        f"AS wanted (key, pk, more) JOIN {index.table} AS i USING (key, pk, more)"
    )
    keys = [list(column) for column in zip(*(row[:3] for row in rows), strict=True)]
    present = set((await run([Statement(sql, keys, prepare=False)]))[0])
    return [row for row in rows if row not in present]
