"""The SQLite engine: group commit, its failures, and the plans of its statements."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gestalt_store.engines.interface import Position, Walk
from gestalt_store.errors import (
    AlreadyExists,
    DatabaseUnusable,
    StorageCorrupt,
    StorageUnavailable,
    TransactionAborted,
    UniqueConflict,
)
from gestalt_store.sqlite import reads
from gestalt_store.sqlite.check import check
from gestalt_store.sqlite.database import SqliteDatabase
from gestalt_store.values.keys import encode
from gestalt_store.values.ranges import EVERYTHING, Span
from gestalt_store.work.operations import write_of

from tests.support.rigs.store_engine import LIMITS, make, put, record
from tests.support.waiting import one_turn


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = await SqliteDatabase.open(tmp_path / "s.db", "", LIMITS)
    yield opened
    await opened.close()


async def test_writes_that_come_together_share_commits_and_one_refusal_fails_alone(database: SqliteDatabase) -> None:
    store = await make(database, ("u", True))
    await put(database, store, id="taken", u=-1)
    before = database.core.writer.commits
    results = await asyncio.gather(
        *(put(database, store, id=f"k{number}", u=number) for number in range(100)),
        put(database, store, add=True, id="taken"),
        put(database, store, id="other", u=-1),
        return_exceptions=True,
    )
    assert results[:100] == [None] * 100
    assert isinstance(results[100], AlreadyExists)
    assert isinstance(results[101], UniqueConflict)
    assert database.core.writer.commits - before <= 3
    assert await database.count(Walk(store, EVERYTHING)) == 101


async def test_when_the_disk_is_full_only_what_does_not_fit_fails_and_space_brings_recovery(
    database: SqliteDatabase,
) -> None:
    store = await make(database, ("n", False))
    connection = database._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 20}")
    results = await asyncio.gather(
        *(put(database, store, id=f"small {number}", n=number) for number in range(10)),
        put(database, store, id="large", n=1, v=b"x" * 1_000_000),
        return_exceptions=True,
    )
    assert results[:10] == [None] * 10
    assert isinstance(results[10], StorageUnavailable)
    assert "disk is full" in str(results[10])
    connection.execute("PRAGMA max_page_count = 1000000")
    await put(database, store, id="large", n=1, v=b"x" * 1_000_000)
    assert await database.count(Walk(store, EVERYTHING)) == 11
    assert check(database.core.path) == []


async def test_a_transaction_whose_commit_fails_leaves_nothing_and_the_lock_is_free(database: SqliteDatabase) -> None:
    store = await make(database)
    connection = database._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 20}")
    transaction = await database.begin(["s"], readonly=False, relaxed=False)
    for number in range(100):
        await transaction.write(write_of(store, record(id=f"k{number}", v=b"x" * 10_000)))
    with pytest.raises(StorageUnavailable, match="disk is full"):
        await transaction.commit()
    assert await database.count(Walk(store, EVERYTHING)) == 0
    await put(database, store, id="a")
    assert await database.keys(Walk(store, EVERYTHING)) == [encode("a").whole]


async def test_a_transaction_that_read_from_one_that_could_not_be_committed_fails_too(database: SqliteDatabase) -> None:
    store = await make(database, ("u", True))
    connection = database._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 20}")
    first = await database.begin(["s"], readonly=False, relaxed=False)
    await first.write(write_of(store, record(id="a", u=1, v=b"x" * 1_000_000)))
    committing = asyncio.ensure_future(first.commit())
    await one_turn()
    second = await database.begin(["s"], readonly=False, relaxed=False)
    assert await second.count(Walk(store, EVERYTHING)) == 1, "it need not wait for the first one's disk write"
    with pytest.raises(UniqueConflict):
        await second.write(write_of(store, record(id="b", u=1)))
    await second.write(write_of(store, record(id="b", u=2)))
    committing_second = asyncio.ensure_future(second.commit())
    await one_turn()
    with pytest.raises(StorageUnavailable, match="disk is full"):
        await committing
    with pytest.raises(TransactionAborted, match="had read from"):
        await committing_second
    third = await database.begin(["s"], readonly=False, relaxed=False)
    await third.write(write_of(store, record(id="c", u=2)))
    await third.commit()
    assert await database.keys(Walk(store, EVERYTHING)) == [encode("c").whole]
    assert not store.unconfirmed.rows
    assert not store.unconfirmed.commits
    assert not store.unconfirmed.unique


async def test_on_a_slow_disk_transactions_that_follow_each_other_on_one_store_share_its_writes(
    database: SqliteDatabase,
) -> None:
    store = await make(database, ("n", False), ("u", True))
    for _ in range(10):
        database.core.writer.pace.took(1.0)

    async def append(number: int) -> None:
        transaction = await database.begin(["s"], readonly=False, relaxed=False)
        count = await transaction.count(Walk(store, EVERYTHING))
        listed = await transaction.records(Walk(store, EVERYTHING, store.index("n")))
        assert len(listed) == count
        await transaction.write(write_of(store, record(id=f"k{count:03d}", n=-count, u=count), add=True))
        if count % 5 == 4:
            await transaction.delete(store, encode("k000").whole)
            await transaction.write(write_of(store, record(id="k000", n=0, u=0), add=True))
        await transaction.commit()

    before = database.core.writer.commits
    await asyncio.gather(*(append(number) for number in range(60)))
    assert database.core.writer.commits - before < 40
    assert len(await database.keys(Walk(store, EVERYTHING))) == 60
    assert not store.unconfirmed.rows
    assert not store.unconfirmed.commits
    assert not store.unconfirmed.unique
    assert check(database.core.path) == []


async def test_a_job_that_fails_after_it_has_written_is_undone_alone(database: SqliteDatabase) -> None:
    store = await make(database)

    def broken(connection: Any) -> None:
        connection.execute(store.insert, (encode("half").whole, b""))
        raise RuntimeError("a bug")

    jobs = [database.core.writer.submit(broken, (store,)).future]
    results = await asyncio.gather(
        put(database, store, id="a"), *jobs, put(database, store, id="b"), return_exceptions=True
    )
    assert [type(result) for result in results] == [type(None), RuntimeError, type(None)]
    assert await database.keys(Walk(store, EVERYTHING)) == [encode("a").whole, encode("b").whole]


async def test_a_read_only_database_is_told_and_reads_go_on(database: SqliteDatabase) -> None:
    store = await make(database)
    await put(database, store, id="a")
    database._connection.execute("PRAGMA query_only = 1")
    with pytest.raises(StorageUnavailable, match="read-only"):
        await put(database, store, id="b")
    assert await database.get(store, encode("a").whole) == record(id="a")
    database._connection.execute("PRAGMA query_only = 0")
    await put(database, store, id="b")


async def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    database = await SqliteDatabase.open(path, "", LIMITS)
    store = await make(database)
    for number in range(500):
        await put(database, store, id=f"k{number}", v=b"x" * 500)
    await database.close()
    data = bytearray(path.read_bytes())
    data[81_920:200_000] = b"\xa5" * 118_080
    path.write_bytes(data)
    assert check(path)
    database = await SqliteDatabase.open(path, "", LIMITS)
    with pytest.raises(StorageCorrupt, match="damaged"):
        await database.records(Walk(database.store("s"), EVERYTHING))
    await database.close()


async def test_one_process_opens_a_file_once(database: SqliteDatabase) -> None:
    with pytest.raises(DatabaseUnusable, match="in use by process"):
        await SqliteDatabase.open(database.core.path, "", LIMITS)


async def test_a_file_of_another_database_is_refused(tmp_path: Path) -> None:
    database = await SqliteDatabase.open(tmp_path / "s.a.db", "a", LIMITS)
    await database.close()
    with pytest.raises(DatabaseUnusable, match="holds database 'a', not 'b'"):
        await SqliteDatabase.open(tmp_path / "s.a.db", "b", LIMITS)


async def test_a_put_touches_only_the_index_rows_that_changed(database: SqliteDatabase) -> None:
    store = await make(database, ("a", False), ("b", False), ("c", True))
    await put(database, store, id="k", a=1, b=1, c=1)
    changes: list[tuple[dict[str, Any], int]] = [
        ({"a": 1, "b": 1, "c": 1}, 1),
        ({"a": 1, "b": 2, "c": 1}, 3),
        ({"a": 1}, 3),
    ]
    for values, rows in changes:
        before = database._connection.total_changes
        await put(database, store, id="k", **values)
        assert database._connection.total_changes - before == rows


async def test_relaxed_commits_do_not_wait_for_the_disk_and_are_kept(database: SqliteDatabase) -> None:
    store = await make(database)
    transaction = await database.begin(["s"], readonly=False, relaxed=True)
    await transaction.write(write_of(store, record(id="a")))
    await transaction.commit()
    assert database._connection.execute("PRAGMA synchronous").fetchone()[0] == 1
    await put(database, store, id="b")
    assert database._connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert await database.count(Walk(store, EVERYTHING)) == 2


async def test_a_canceled_write_does_not_harm_its_group(database: SqliteDatabase) -> None:
    store = await make(database)
    tasks = [asyncio.ensure_future(put(database, store, id=f"k{number}")) for number in range(20)]
    await one_turn()
    tasks[3].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(result is None for result in results) == 19
    await put(database, store, id="after")
    assert store.unconfirmed.unfinished == 0


async def test_a_heavy_deletion_and_light_writes_side_by_side(database: SqliteDatabase) -> None:
    store = await make(database, ("n", False))
    await asyncio.gather(*(put(database, store, id=f"k{number:05d}", n=number) for number in range(3000)))
    walk = Walk(store, Span(encode(1000).order, encode(2000).order), store.index("n"))
    deleted, *_ = await asyncio.gather(
        database.delete_walk(walk), *(put(database, store, id=f"m{number}", n=-number) for number in range(200))
    )
    assert deleted == 1000
    assert await database.count(Walk(store, EVERYTHING)) == 2200
    assert check(database.core.path) == []


async def test_closing_ends_what_is_open_and_refuses_what_comes_later(tmp_path: Path) -> None:
    database = await SqliteDatabase.open(tmp_path / "s.db", "", LIMITS)
    store = await make(database)
    transaction = await database.begin(["s"], readonly=False, relaxed=False)
    snapshot = await database.snapshot()
    writes = [asyncio.ensure_future(put(database, store, id="queued")) for _ in range(1)]
    await one_turn()
    await database.close()
    with pytest.raises(TransactionAborted):
        await transaction.commit()
    with pytest.raises(TransactionAborted):
        await snapshot.page(Walk(store, EVERYTHING), None, 1)
    await asyncio.gather(*writes, return_exceptions=True)
    with pytest.raises(StorageUnavailable, match="closing"):
        await put(database, store, id="late")


async def test_every_walk_is_a_bounded_search_in_order_and_key_walks_read_no_values(database: SqliteDatabase) -> None:
    store = await make(database, ("n", False))
    index = store.index("n")
    await put(database, store, id="a", n=1)
    plans: list[tuple[bool, str, list[str]]] = []
    exact = Span(encode(1).order, encode(1).order + b"\0", b"\x01")

    class Explaining:
        """Stands for a connection and notes the plan of each statement."""

        def execute(self, statement: str, arguments: tuple[Any, ...]) -> Any:
            rows = database.core.readers.main.execute(f"EXPLAIN QUERY PLAN {statement}", arguments).fetchall()
            plans.append((keys_only, statement, [row[3] for row in rows]))
            return database.core.readers.main.execute(statement, arguments)

    connection: Any = Explaining()
    after = Position(encode(0).order, encode("a").whole)
    for keys_only in (False, True):
        for reverse in (False, True):
            for span in (EVERYTHING, Span(encode(0).order, encode(9).order), exact):
                for source in (index,) if span is exact else (None, index):
                    walk = Walk(store, span, source, reverse, keys_only=keys_only)
                    for position in (None, after):
                        reads.page(connection, walk, position, 10)
                        if source is not None:
                            reads.page(connection, Walk(store, span, source, reverse, True, keys_only), position, 10)
                    (reads.primary_keys if keys_only else reads.values)(connection, walk)
                    reads.count(connection, walk)
    for without_values, statement, steps in plans:
        assert all(step.startswith("SEARCH") for step in steps), (statement, steps)
        if without_values:
            assert not any("SEARCH r " in step for step in steps), (statement, steps)
            assert all("COVERING INDEX" in step or "PRIMARY KEY" in step for step in steps), (statement, steps)
