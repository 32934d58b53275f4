"""Whatever a loop of the store meets, who waits learns of it and the loop goes on; one that stands still is named."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from gestalt_store.engines import idle
from gestalt_store.engines.idle import Expirable, IdleWatch
from gestalt_store.engines.index_changes import DONE
from gestalt_store.errors import StorageUnavailable
from gestalt_store.sqlite import index_changes, writer
from gestalt_store.sqlite.database import SqliteDatabase
from gestalt_store.sqlite.writer import HEAVY, Pace
from gestalt_store.values.keys import encode

from gestalt_sdk.common.beats import Beats
from tests.support.rigs.store_engine import LIMITS, make, put, record, schema
from tests.support.waiting import eventually


class BrokenLog:
    """A log that raises whatever it is told."""

    def __getattr__(self, name: str) -> Any:
        def fail(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        return fail


class FailingOnce:
    """The connection; the first commit after ``armed`` was set fails."""

    def __init__(self, connection: sqlite3.Connection, error: Exception) -> None:
        self._connection = connection
        self._error = error
        self.armed = False

    def execute(self, statement: str, *parameters: Any) -> Any:
        if self.armed and statement == "COMMIT":
            self.armed = False
            raise self._error
        return self._connection.execute(statement, *parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class Fixed(Pace):
    """Commits where the test wants them."""

    def __init__(self, on_loop: bool) -> None:
        super().__init__()
        self._on_loop = on_loop

    def on_loop(self) -> bool:
        return self._on_loop


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def silent(self, beats: Beats, seconds: int) -> set[str]:
        """Look every five seconds; return who is silent at the end."""
        found: set[str] = set()
        for _ in range(seconds // 5):
            self.now += 5
            found = {beat.name for beat in beats.look()}
        return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def beats(clock: Clock) -> Beats:
    return Beats(clock)


@pytest.fixture
async def database(tmp_path: Path, beats: Beats) -> AsyncIterator[SqliteDatabase]:
    opened = await SqliteDatabase.open(tmp_path / "s.db", "", LIMITS, beats)
    assert opened._migrations._sweeper is not None
    await opened._migrations._sweeper
    yield opened
    async with asyncio.timeout(30):
        await opened.close()


@pytest.mark.parametrize("log", ["good log", "broken log"])
@pytest.mark.parametrize("place", ["event loop", "thread"])
@pytest.mark.parametrize(
    "error", [RuntimeError("a bug"), sqlite3.OperationalError("disk I/O error")], ids=["bug", "disk"]
)
async def test_a_commit_that_fails_stops_no_later_one(
    database: SqliteDatabase, error: Exception, place: str, log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await make(database)
    connection = FailingOnce(database.core.writer._connection, error)
    monkeypatch.setattr(database.core.writer, "_connection", connection)
    monkeypatch.setattr(database.core.writer, "pace", Fixed(place == "event loop"))
    if log == "broken log":
        monkeypatch.setattr(writer, "log", BrokenLog())
    connection.armed = True
    async with asyncio.timeout(30):
        await put(database, store, id="one")
        await put(database, store, id="two")
    assert await database.get(store, encode("two").whole) == record(id="two")


@pytest.mark.parametrize("weight", [1, HEAVY], ids=["light", "heavy"])
async def test_a_bug_in_what_follows_a_write_is_told_to_who_waits_for_it(database: SqliteDatabase, weight: int) -> None:
    def fail() -> None:
        raise RuntimeError("a bug")

    job = database.core.writer.submit(lambda connection: None, weight=weight)
    job.on_end = fail
    async with asyncio.timeout(30):
        with pytest.raises(StorageUnavailable, match="a bug"):
            await job.future
        await make(database)


async def test_a_writer_that_hangs_is_named_and_one_without_work_is_not(
    database: SqliteDatabase, beats: Beats, clock: Clock
) -> None:
    assert clock.silent(beats, 3600) == set()
    inside, gate = threading.Event(), threading.Event()

    def hang(_: sqlite3.Connection) -> None:
        inside.set()
        gate.wait()

    job = database.core.writer.submit(hang, weight=HEAVY)
    try:

        async def begun() -> bool | None:
            return inside.is_set() or None

        await eventually(begun)
        assert clock.silent(beats, 120) == {"writer of s.db"}
    finally:
        gate.set()
    await job.future
    assert clock.silent(beats, 120) == set()


@pytest.mark.parametrize("log", ["good log", "broken log"])
async def test_an_idle_client_that_cannot_be_ended_keeps_no_other(
    log: str, beats: Beats, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    if log == "broken log":
        monkeypatch.setattr(idle, "log", BrokenLog())
    watch = IdleWatch(0.01, beats)

    class Item(Expirable):
        def __init__(self, fail: bool) -> None:
            super().__init__(0.05)
            self.fail = fail

        def expire(self) -> None:
            if self.fail:
                raise RuntimeError("a bug")

    reasons: list[str] = []
    items = [Item(fail=True) for _ in range(3)] + [Item(fail=False) for _ in range(3)]
    for item in items:
        item.on_expiry = reasons.append
        watch.add(item)

    async def ended() -> bool | None:
        return all(item.expired for item in items) or None

    await eventually(ended)
    assert len(reasons) == 3
    later = Item(fail=False)
    watch.add(later)
    monkeypatch.setattr(watch, "_look", lambda: None)
    watch.close()
    assert later.expired


async def test_an_idle_watch_that_does_not_come_round_is_named(beats: Beats, clock: Clock) -> None:
    watch = IdleWatch(3600, beats)
    assert clock.silent(beats, 7200) == set()
    watch.add(Expirable(1))
    assert clock.silent(beats, 7200) == {"idle watch"}


async def changed(database: SqliteDatabase) -> None:
    async def done() -> bool | None:
        return True if (await database.migration("s")).state == DONE else None

    await eventually(done, within_s=30)


async def test_a_migration_that_meets_a_bug_twice_reports_it_and_the_next_one_runs(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await make(database)
    await put(database, store, id="one", n=1)
    migrations, failed = database._migrations, []
    abandon, fill = migrations._abandon, migrations._fill

    async def failing_once(whole: Callable[..., Any], *arguments: Any) -> None:
        if whole not in failed:
            failed.append(whole)
            raise StorageUnavailable("no room") if whole == abandon else RuntimeError("a bug")
        await whole(*arguments)

    monkeypatch.setattr(migrations, "_fill", lambda *given: failing_once(fill, *given))
    monkeypatch.setattr(migrations, "_abandon", lambda *given: failing_once(abandon, *given))
    await database.change_indexes("s", schema(("n", False)).indexes, [])
    await changed(database)
    assert failed == [fill, abandon]


async def test_a_migration_that_hangs_is_named(
    database: SqliteDatabase, beats: Beats, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await make(database)
    await put(database, store, id="one", n=1)
    hung = asyncio.Event()

    async def hang(*_: object) -> None:
        hung.set()
        await asyncio.Future()

    monkeypatch.setattr(database._migrations, "_fill", hang)
    await database.change_indexes("s", schema(("n", False)).indexes, [])
    async with asyncio.timeout(30):
        await hung.wait()
    assert clock.silent(beats, 3600) == {"migration of s"}


async def test_the_removal_of_indexes_goes_on_after_a_bug(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, calls = index_changes.sweep, 0

    def failing_once(connection: sqlite3.Connection) -> bool:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("a bug")
        return sweep(connection)

    monkeypatch.setattr(index_changes, "sweep", failing_once)
    database._migrations._sweep_soon()

    async def again() -> bool | None:
        return True if calls > 1 else None

    await eventually(again, within_s=30)
