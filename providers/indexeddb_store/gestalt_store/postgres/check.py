"""Proof that the databases on a server are sound: every record under its own key, every index row for a record.

Backups are the server's own business (``pg_dump``); see ``BACKUP_HINT``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
from google.protobuf.message import DecodeError

from gestalt_store.engines.interface import Entry, Position, Walk
from gestalt_store.engines.limits import Limits
from gestalt_store.errors import StoreError
from gestalt_store.postgres import reads
from gestalt_store.postgres.catalogue import Found, found_stores
from gestalt_store.postgres.failures import translate
from gestalt_store.postgres.formats import FORMAT, quoted, schema_name
from gestalt_store.postgres.pool import Command, Pool
from gestalt_store.postgres.snapshots import BEGIN
from gestalt_store.postgres.tables import PgIndex, PgStore
from gestalt_store.values import wire
from gestalt_store.values.ranges import EVERYTHING
from gestalt_store.values.schema import IndexKeys

BACKUP_HINT = "PostgreSQL is backed up with its own programs: pg_dump --schema=NAME, one schema for each database"
_PAGE = 1000
_PAGE_BYTES = 4 * 1024 * 1024
_PROBLEM_LIMIT = 100


async def check_server(conninfo: str) -> dict[str, list[str]]:
    """What is wrong with each database that the DSN's server holds, by its name; an empty list where nothing is.

    Raises:
        StoreError: the server cannot be read.
    """
    limits = Limits()
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
                (await run([Command(f"SELECT name, value FROM {schema}.facts", prepare=False)]))[0]
            )
            if int(facts[b"format"]) != FORMAT:
                problems.append(f"it has format {int(facts[b'format'])}, this version checks format {FORMAT}")
                continue
            for row in (await run([Command(found_stores(schema), prepare=False)]))[0]:
                store = Found.of(schema, row).store
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
    """Name and quoted schema of each database of ours."""
    candidates = (
        await run(
            [
                Command(
                    "SELECT n.nspname FROM pg_namespace n WHERE 3 = (SELECT count(*) FROM pg_class c WHERE "
                    "c.relnamespace = n.oid AND c.relkind = 'r' AND c.relname IN ('facts', 'stores', 'dropped')) "
                    "ORDER BY 1",
                    prepare=False,
                )
            ]
        )
    )[0]
    found = []
    for (name,) in candidates:
        rows = (await run([Command(f"SELECT value FROM {quoted(name)}.facts WHERE name = 'db'", prepare=False)]))[0]
        if rows and schema_name(rows[0][0].decode()) == name:
            found.append((rows[0][0].decode(), quoted(name)))
    return found


async def _check_store(run: reads.Run, store: PgStore) -> AsyncIterator[str]:
    expected = [0] * len(store.indexes)
    after: Position | None = None
    more = True
    while more:
        entries, more = await reads.limited_page(run, Walk(store, EVERYTHING), after, _PAGE, _PAGE_BYTES)
        if entries:
            after = Position(b"", entries[-1].primary_key)
        read: list[tuple[Entry, IndexKeys]] = []
        for entry in entries:
            try:
                fields = wire.Record.FromString(entry.record or b"").fields
                if store.schema.primary_key(fields) != entry.primary_key:
                    yield f"record {entry.primary_key!r} is stored under a key that is not its own"
                read.append((entry, store.schema.index_keys(fields)))
            except (DecodeError, StoreError) as error:
                yield f"record {entry.primary_key!r} cannot be read: {error}"
        for index in store.indexes:
            rows = [
                index.row(key, entry.primary_key) for entry, keys in read if (key := keys[index.position]) is not None
            ]
            expected[index.position] += len(rows)
            for row in await _missing(run, index, rows):
                yield f"index {index.schema.name!r} has no right row for record {row[1] + row[5]!r}"
    for index in store.indexes:
        (count,), (doubled,) = (
            rows[0]
            for rows in await run(
                [
                    Command(f"SELECT count(*) FROM {index.table}", prepare=False),
                    Command(
                        f"SELECT count(*) FROM (SELECT 1 FROM {index.table} GROUP BY key, key_rest, ties "
                        "HAVING count(*) > 1) AS twice",
                        prepare=False,
                    ),
                ]
            )
        )
        if count != expected[index.position]:
            yield f"index {index.schema.name!r} has {count} rows for {expected[index.position]} records"
        if index.schema.unique and doubled:
            yield f"unique index {index.schema.name!r} has {doubled} keys more than once"


async def _missing(run: reads.Run, index: PgIndex, rows: list[tuple[bytes, ...]]) -> list[tuple[bytes, ...]]:
    if not rows:
        return []
    sql = (
        f"SELECT {', '.join(f'i.{column}' for column in _COLUMNS)} FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) "
        f"AS wanted (key, pk, more) JOIN {index.table} AS i USING (key, pk, more)"
    )
    keys = [list(column) for column in zip(*(row[:3] for row in rows), strict=True)]
    present = set((await run([Command(sql, keys, prepare=False)]))[0])
    return [row for row in rows if row not in present]


_COLUMNS = ("key", "pk", "more", "ties", "key_rest", "pk_rest", "pk_more")
