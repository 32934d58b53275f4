"""The PostgreSQL engine in the test's own process: long keys, plans, groups, conflicts, clearing up."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, TypeVar

import psycopg
import pytest
from gestalt_store.engines.interface import ConditionalWrite, Position, Walk, WalkRow
from gestalt_store.errors import (
    AlreadyExists,
    AnswerTooLarge,
    ObjectStoreNotFound,
    StoreError,
    TransactionAborted,
    UniqueConflict,
)
from gestalt_store.postgres import reads, writer
from gestalt_store.postgres.check import check_server
from gestalt_store.postgres.database import PostgresDatabase
from gestalt_store.postgres.pool import PgConnection, Statement
from gestalt_store.postgres.server import PgServer
from gestalt_store.postgres.tables import LONGEST, PgStore, PgWalk
from gestalt_store.values import wire
from gestalt_store.values.keys import decode, encode, encode_parts
from gestalt_store.values.ranges import EVERYTHING, Span, values_span
from gestalt_store.work.operations import write_of

from tests.support.rigs.postgres import PostgresServer
from tests.support.rigs.postgres_store import LIMITS
from tests.support.rigs.store_engine import make, put, record
from tests.support.waiting import eventually

T = TypeVar("T")


def keys_of(rows: list[WalkRow]) -> list[Any]:
    return [decode(row.primary_key) for row in rows]


async def test_keys_longer_than_a_btree_takes_are_kept_in_order(database: PostgresDatabase) -> None:
    """Everything that a walk can be, over keys around and beyond the limit, against a sorted list."""
    store = await make(database, ("a", False), ("u", True))
    chance = random.Random(7)
    stems = ["x" * size for size in (1, LONGEST - 3, LONGEST - 2, LONGEST - 1, LONGEST, 3000, 9000)]
    noise = ["".join(chance.choice("pqrs") for _ in range(4000)) for _ in range(2)]
    ids = [stem + tail for stem in stems + noise for tail in ("", "a", "b", "\x00", "ü")]
    chance.shuffle(ids)
    rows: dict[str, dict[str, Any]] = {}
    for number, key in enumerate(ids):
        rows[key] = {"id": key, "a": chance.choice(stems[3:] + noise), "u": key[::-1], "n": number}
    await asyncio.gather(*(put(database, store, add=False, **row) for row in rows.values()))
    with pytest.raises(AlreadyExists):
        await put(database, store, add=True, id=ids[0])
    with pytest.raises(UniqueConflict):
        await put(database, store, id="other", u=ids[1][::-1])
    for key in ids:
        assert await database.get(store, encode(key).order) == record(**rows[key])
    assert await database.get(store, encode(stems[-1] + "?").order) is None

    def in_store(row: dict[str, Any]) -> tuple[bytes, bytes]:
        return b"", encode(row["id"]).order

    def in_index(row: dict[str, Any]) -> tuple[bytes, bytes]:
        return encode_parts([row["a"]]).order, encode(row["id"]).order

    index = store.index("a")
    for over, position in ((None, in_store), (index, in_index)):
        whole = sorted(rows.values(), key=position)
        bounds = [encode(row["id"] if over is None else row["a"]).order for row in chance.sample(whole, 6)]
        spans = [EVERYTHING, *(Span(*sorted(pair)) for pair in itertools.combinations(bounds, 2))]
        for span, reverse, keys_only in itertools.product(spans, (False, True), (False, True)):
            walk = Walk(store, span, over, reverse=reverse, keys_only=keys_only)
            expected = [row for row in whole if span.lower <= position(row)[0 if over else 1] < span.upper]
            if reverse:
                expected.reverse()
            ids_expected = [row["id"] for row in expected]
            assert [decode(key) for key in await database.keys(walk)] == ids_expected
            assert await database.count(walk) == len(expected)
            if not keys_only:
                assert await database.records(walk) == [record(**row) for row in expected]
            after: Position | None = None
            paged: list[Any] = []
            more = True
            while more:
                entries, more = await database.page(walk, after, 4, 1 << 20)
                paged += keys_of(entries)
                if entries:
                    last = entries[-1]
                    after = Position(b"" if last.key is None else last.key.order, last.primary_key)
            assert paged == ids_expected
            snapshot = await database.snapshot()
            assert keys_of(await snapshot.page(walk, None, 5, 3)) == ids_expected[3:8]
            if over is not None:
                groups = [next(group) for _, group in itertools.groupby(expected, key=lambda row: row["a"])]
                unique = replace(walk, unique=True)
                assert keys_of(await snapshot.page(unique, None, 100)) == [row["id"] for row in groups]
                assert keys_of(await snapshot.page(unique, None, 2, 1)) == [row["id"] for row in groups[1:3]]
            snapshot.close()
    for key in ids[::2]:
        await database.delete(store, encode(key).order)
    assert {decode(key) for key in await database.keys(Walk(store, EVERYTHING))} == set(ids[1::2])
    assert await database.delete_walk(Walk(store, EVERYTHING, index)) == len(ids[1::2])
    assert await database.count(Walk(store, EVERYTHING, store.index("u"))) == 0


async def test_groups_of_equal_keys_are_found_one_search_each(database: PostgresDatabase) -> None:
    store = await make(database, ("a", False))
    await asyncio.gather(*(put(database, store, id=f"k{n:03}", a=float(n % 7) if n % 2 else n % 7) for n in range(200)))
    index = store.index("a")
    for reverse in (False, True):
        walk = Walk(store, EVERYTHING, index, reverse=reverse, unique=True)
        entries, more = await database.page(walk, None, 100, 1 << 20)
        assert len(entries) == 7
        assert not more
        numbers = [int(wire.Record.FromString(entry.record or b"").fields["id"].string_value[1:]) for entry in entries]
        tops = {n % 7: n for n in (range(200) if reverse else reversed(range(200)))}
        assert numbers == [tops[group] for group in sorted(tops, reverse=reverse)]
        last = entries[2]
        assert last.key is not None
        rest, _ = await database.page(walk, Position(last.key.order, last.primary_key), 100, 1 << 20)
        assert keys_of(rest) == keys_of(entries[3:])
    assert await database.count(Walk(store, values_span(index.schema, [3]), index)) == 14
    assert await database.count(Walk(store, values_span(index.schema, [3.0]), index)) == 15


async def test_every_walk_is_a_bounded_scan_of_a_btree(database: PostgresDatabase) -> None:
    store = await make(database, ("a", False))
    await asyncio.gather(*(put(database, store, id=f"k{n:04}", a=n % 50) for n in range(2000)))
    index = store.index("a")
    span = Span(encode("k0500").order, encode("k0700").order)
    here, there = Position(b"", encode("k0600").order), Position(encode(7).order, encode("k0600").order)
    statements = {"get": reads.get_statement(store, [encode("k0001").order])}
    for over, where, position in ((None, span, here), (index, values_span(index.schema, [7]), there)):
        for reverse, keys_only, after, listed in itertools.product((False, True), repeat=4):
            walk = Walk(store, where, over, reverse=reverse, keys_only=keys_only)
            at = position if after else None
            statements[f"{over and 'index'} {reverse=} {keys_only=} {after=} {listed=}"] = reads._walk_statement(
                walk, at, None if listed else 20, 0, 1 << 20 if listed else None, False
            )
            if over is not None:
                statements[f"groups {reverse=} {keys_only=} {after=} {listed=}"] = reads._group_statement(
                    walk, at, 20, 0, 1 << 20 if listed else None
                )
    for name, statement in statements.items():
        explain = Statement(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement.sql}", statement.parameters, False)
        (rows,) = await database.core.pool.run([explain])
        plan = "\n".join(line for (line,) in rows)
        assert "Index" in plan, name
        assert not any(word in plan for word in ("Seq Scan", "Sort", "Bitmap", "Hash", "Merge")), f"{name}\n{plan}"
        assert all(int(row.split("Removed by Filter: ")[1]) <= 1 for (row,) in rows if "Removed by" in row), plan


async def test_a_put_touches_only_the_index_rows_that_changed(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await make(database, ("a", False), ("b", False), ("c", True))
    await put(database, store, id="k", a=1, b=1, c=1)
    run = PgConnection.run
    written: list[str] = []

    async def noting(self: PgConnection, statements: Any) -> Any:
        written.extend(
            statement.sql for statement in statements if statement.sql.startswith(("INSERT", "DELETE", "UPDATE"))
        )
        return await run(self, statements)

    monkeypatch.setattr(PgConnection, "run", noting)
    a, b, c = store.indexes
    changes: list[tuple[dict[str, Any], list[str]]] = [
        ({"a": 1, "b": 1, "c": 1}, [store.upsert]),
        ({"a": 1, "b": 2, "c": 1}, [b.remove, b.insert, store.upsert]),
        ({"a": 1}, [b.remove, c.remove, store.upsert]),
        ({"a": 1.0}, [a.remove, a.insert, store.upsert]),
    ]
    for values, statements in changes:
        written.clear()
        await put(database, store, id="k", **values)
        assert written == statements


async def test_a_walk_over_keys_reads_no_values(database: PostgresDatabase) -> None:
    """Large values are stored apart, and that table is not looked at."""
    store = await make(database, ("a", False))
    noise = random.Random(3).randbytes(50_000)
    for number in range(20):
        await put(database, store, id=f"k{number}", a=number, data=noise)

    snapshot = await database.snapshot()
    run = snapshot.runner("s")

    async def blocks() -> int:
        """Fetched in this transaction from the table of large values."""
        query = (
            "SELECT pg_stat_get_xact_blocks_fetched(reltoastrelid)::bigint FROM pg_class "
            f"WHERE oid = '{store.table}'::regclass"
        )
        return int((await run([Statement(query, prepare=False)]))[0][0][0])

    before = await blocks()
    for over in (None, store.index("a")):
        walk = Walk(store, EVERYTHING, over, keys_only=True)
        assert len(await reads.keys(run, walk)) == await reads.count(run, walk) == 20
        assert len(await snapshot.page(walk, None, 10, 2)) == 10
        assert len((await reads.limited_page(run, walk, None, 10, 1 << 20))[0]) == 10
    assert await blocks() == before
    assert len(await snapshot.page(Walk(store, EVERYTHING), None, 10)) == 10
    assert await blocks() > before
    snapshot.close()


async def test_writes_that_arrive_together_share_a_commit_and_fail_alone(database: PostgresDatabase) -> None:
    store = await make(database, ("u", True))
    await put(database, store, id="taken", u="t")
    before = database.writer.commits

    async def outcome(work: Awaitable[T]) -> T | StoreError:
        try:
            return await work
        except StoreError as error:
            return error

    work = [put(database, store, id=f"k{n}", u=f"u{n}") for n in range(60)]
    work += [put(database, store, add=True, id="taken"), put(database, store, id="x", u="t")]
    work += [database.delete(store, encode("taken").order), put(database, store, id="y", u="t")]
    outcomes = await asyncio.gather(*(outcome(item) for item in work))
    assert [type(item) for item in outcomes if item is not None] == [AlreadyExists, UniqueConflict]
    assert database.writer.commits - before <= 2
    assert await database.count(Walk(store, EVERYTHING)) == 61


async def test_what_the_server_refuses_fails_alone(database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await make(database)
    run = PgConnection.run

    async def refusing(self: PgConnection, statements: Any) -> Any:
        if any(b"poison" in str(statement.parameters).encode() for statement in statements):
            raise psycopg.errors.DiskFull("could not extend file")
        return await run(self, statements)

    monkeypatch.setattr(PgConnection, "run", refusing)
    names = ["a", "poison", "b"]
    done = await asyncio.gather(*(put(database, store, id=name) for name in names), return_exceptions=True)
    assert [type(item).__name__ for item in done] == ["NoneType", "StorageUnavailable", "NoneType"]
    assert sorted(keys_of((await database.page(Walk(store, EVERYTHING), None, 9, 999))[0])) == ["a", "b"]


async def test_writes_that_the_server_undid_are_run_again_and_given_up_in_the_end(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await make(database)
    run = PgConnection.run
    failures = [2]
    monkeypatch.setattr(writer, "FIRST_PAUSE_S", 0.001)

    async def conflicting(self: PgConnection, statements: Any) -> Any:
        if statements[-1].sql == "COMMIT" and failures[0]:
            failures[0] -= 1
            raise psycopg.errors.SerializationFailure("could not serialize access")
        return await run(self, statements)

    monkeypatch.setattr(PgConnection, "run", conflicting)
    await put(database, store, id="a")
    failures[0] = 2
    await database.clear(store)
    failures[0] = 1
    transaction = await database.begin(["s"], readonly=False, relaxed=False)
    await transaction.write(write_of(store, record(id="b")))
    with pytest.raises(TransactionAborted):
        await transaction.commit()
    assert await database.count(Walk(store, EVERYTHING)) == 0
    failures[0] = 1000
    with pytest.raises(TransactionAborted):
        await put(database, store, id="c")
    assert failures[0] == 1000 - writer.ATTEMPTS


@pytest.mark.parametrize("relaxed", [False, True])
async def test_the_durability_hint_reaches_the_server(database: PostgresDatabase, relaxed: bool) -> None:
    store = await make(database)
    sent: list[str] = []
    transaction: Any = await database.begin(["s"], readonly=False, relaxed=relaxed)
    await transaction.write(write_of(store, record(id="a")))
    ((row,),) = await transaction._run([Statement("SHOW synchronous_commit")])
    ((level,),) = await transaction._run([Statement("SHOW transaction_isolation")])
    await transaction.commit()
    assert (row[0], level[0]) == ("off" if relaxed else "on", "serializable")
    run = PgConnection.run

    async def noting(self: PgConnection, statements: Any) -> Any:
        sent.extend(statement.sql for statement in statements)
        return await run(self, statements)

    PgConnection.run = noting  # type: ignore[method-assign]
    try:
        key = encode("b").order
        entry = ConditionalWrite(store, key, write_of(store, record(id="b")))
        assert (await database.apply([entry], return_current=False, relaxed=relaxed))[0].code == 0
    finally:
        PgConnection.run = run  # type: ignore[method-assign]
    assert ("SET LOCAL synchronous_commit = off" in sent) == relaxed


async def test_a_list_beyond_one_message_is_refused_without_being_read(database: PostgresDatabase) -> None:
    store = await make(database)
    for number in range(9):
        await put(database, store, id=f"k{number}", data=b"\x5a" * (8 << 20))
    with pytest.raises(AnswerTooLarge, match="GetPage"):
        await database.records(Walk(store, EVERYTHING))
    entries, more = await database.page(Walk(store, EVERYTHING), None, 100, 3 << 20)
    assert (len(entries), more) == (1, True)
    with pytest.raises(AnswerTooLarge):
        await database.get_many(store, [encode(f"k{number}").order for number in range(9)])


async def test_a_transaction_larger_than_its_buffer_is_whole(database: PostgresDatabase) -> None:
    store = await make(database, ("n", False))
    transaction = await database.begin(["s"], readonly=False, relaxed=False)
    for number in range(30):
        await transaction.write(write_of(store, record(id=f"k{number:02}", n=number % 3, data=b"x" * (1 << 20))))
    for number in range(0, 30, 3):
        await transaction.delete(store, encode(f"k{number:02}").order)
    assert await transaction.count(Walk(store, EVERYTHING)) == 20
    assert await database.count(Walk(store, EVERYTHING)) == 0
    await transaction.write(write_of(store, record(id="k01", n=9)))
    await transaction.commit()
    index = store.index("n")
    assert await database.count(Walk(store, values_span(index.schema, [1]), index)) == 9
    assert await database.count(Walk(store, values_span(index.schema, [9]), index)) == 1


async def test_who_gives_up_waiting_leaves_nothing_behind(postgres_server: PostgresServer, server: PgServer) -> None:
    name = postgres_server.new_schema()
    database = await server.open(name)
    store = await make(database)
    other_server = PgServer(postgres_server.dsn, LIMITS)
    other = await other_server.open(name)
    holder = await other.begin(["s"], readonly=False, relaxed=False)
    await holder.count(Walk(other.store("s"), EVERYTHING))
    for _ in range(3):
        transaction = await database.begin(["s"], readonly=False, relaxed=False)
        waiting = asyncio.ensure_future(transaction.count(Walk(store, EVERYTHING)))

        async def blocked() -> bool | None:
            return bool(postgres_server.execute("SELECT 1 FROM pg_locks WHERE NOT granted")) or None

        await eventually(blocked)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        transaction.abort()

        async def unblocked() -> bool | None:
            return not postgres_server.execute("SELECT 1 FROM pg_locks WHERE NOT granted") or None

        await eventually(unblocked)
    call = asyncio.ensure_future(put(database, store, id="canceled"))
    await eventually(blocked)
    call.cancel()
    holder.abort()
    await put(database, store, id="a")

    async def all_back() -> bool | None:
        return database.core.pool._out == 0 or None

    await eventually(all_back)
    await other.close()
    await other_server.close()
    await database.close()


async def test_what_is_prepared_survives_deleted_stores_and_failures(
    postgres_server: PostgresServer, server: PgServer
) -> None:
    """The library and the server keep agreeing on it, whatever ends badly on the same few connections."""
    database = await server.open(postgres_server.new_schema())
    for round_ in range(12):
        store = await make(database, ("u", True))
        await put(database, store, id="a", u=1)
        with pytest.raises(UniqueConflict):
            await put(database, store, id="b", u=1)
        transaction = await database.begin(["s"], readonly=False, relaxed=False)
        assert len(await transaction.records(Walk(store, EVERYTHING))) == 1
        transaction.abort()
        snapshot = await database.snapshot()
        await snapshot.page(Walk(store, EVERYTHING, store.index("u")), None, 2)
        snapshot.close()
        if round_ % 3 == 0:
            with pytest.raises(ObjectStoreNotFound):
                await database.count(Walk(PgStore('"no such schema"', 1, "s", store.schema), EVERYTHING))
        await database.delete_store("s")
        with pytest.raises(ObjectStoreNotFound):
            await database.get(store, encode("a").order)
        with pytest.raises(ObjectStoreNotFound):
            await put(database, store, id="a", u=1)
    assert all(not connection.unusable for connection in database.core.pool._idle)
    await database.close()


async def test_an_idle_snapshot_is_given_up(postgres_server: PostgresServer) -> None:
    from gestalt_store.engines.limits import StoreLimits

    server = PgServer(postgres_server.dsn, StoreLimits(transaction_idle_s=0.2, snapshot_idle_s=0.2))
    database = await server.open(postgres_server.new_schema())
    store = await make(database)
    told: list[str] = []
    snapshot = await database.snapshot()
    await snapshot.page(Walk(store, EVERYTHING), None, 1)
    snapshot.on_expiry = told.append
    readonly = await database.begin(["s"], readonly=True, relaxed=False)
    transaction = await database.begin(["s"], readonly=False, relaxed=False)
    await transaction.count(Walk(store, EVERYTHING))

    async def ended() -> bool | None:
        return True if told else None

    await eventually(ended)
    with pytest.raises(TransactionAborted, match="idle"):
        await snapshot.page(Walk(store, EVERYTHING), None, 1)

    async def free() -> bool | None:
        rows = postgres_server.execute("SELECT 1 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%%'")
        return None if rows else True

    await eventually(free)
    for expired in (readonly, transaction):
        with pytest.raises(TransactionAborted, match="idle"):
            await expired.commit()
    await database.delete_store("s")
    await database.close()
    await server.close()


async def test_the_tables_of_a_deleted_store_go_when_nobody_reads_them(
    postgres_server: PostgresServer, server: PgServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gestalt_store.postgres.catalogue.SWEEP_EVERY_S", 0.1)
    name = postgres_server.new_schema()
    database = await server.open(name)
    store = await make(database, ("a", False))
    for number in range(3):
        await put(database, store, id=f"k{number}", a=1)
    snapshot = await database.snapshot()
    walk: PgWalk = Walk(store, EVERYTHING)
    await snapshot.page(walk, None, 1)
    await database.delete_store("s")
    with pytest.raises(ObjectStoreNotFound):
        await database.count(walk)
    with pytest.raises(ObjectStoreNotFound):
        await put(database, store, id="late")
    assert len(await snapshot.page(walk, None, 9)) == 3

    async def swept() -> bool | None:
        sql = "SELECT 1 FROM pg_class WHERE relname ~ '^(records|index|lock)_' AND relnamespace = %s::regnamespace"
        return None if postgres_server.execute(sql, name) else True

    assert not await swept()
    snapshot.close()
    await eventually(swept)
    await database.close()


async def test_check_finds_what_does_not_agree(postgres_server: PostgresServer, server: PgServer) -> None:
    name = postgres_server.new_schema()
    database = await server.open(name)
    store = await make(database, ("a", False), ("u", True))
    for number in range(5):
        await put(database, store, id=f"k{number}" + "x" * (number * 600), a=1, u=number)
    await database.close()
    assert (await check_server(postgres_server.dsn))[name] == []
    first = f"(SELECT pk FROM {name}.index_1_0 ORDER BY pk LIMIT 1)"
    postgres_server.execute(f"DELETE FROM {name}.index_1_0 WHERE pk = {first}")
    last = f"(SELECT key FROM {name}.records_1 ORDER BY key DESC LIMIT 1)"
    postgres_server.execute(f"UPDATE {name}.records_1 SET value = '\\x00' WHERE key = {last}")
    problems = "\n".join((await check_server(postgres_server.dsn))[name])
    assert "index 'a' has no right row" in problems
    assert "cannot be read" in problems
