"""The writer: where commits run, and that the log does not grow without end."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from gestalt_store.sqlite import writer as writer_module
from gestalt_store.sqlite.database import SqliteDatabase
from gestalt_store.sqlite.writer import CHECKPOINT_ROWS, FAST_COMMIT_S, Pace
from gestalt_store.values.keys import encode
from structlog.testing import capture_logs

from tests.support.rigs.store_engine import LIMITS, make, put, record
from tests.support.waiting import one_turn


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = await SqliteDatabase.open(tmp_path / "s.db", "", LIMITS)
    yield opened
    await opened.close()


def commits_in_thread(pace: Pace) -> int:
    """How many commits go to the thread before one is tried on the event loop."""
    count = 0
    while not pace.on_loop():
        count += 1
    return count


def test_commits_stay_on_the_event_loop_while_the_disk_is_fast() -> None:
    pace = Pace()
    for _ in range(100):
        assert pace.on_loop()
        pace.took(FAST_COMMIT_S / 2)


def test_a_slow_disk_holds_the_event_loop_up_ever_more_rarely() -> None:
    pace, away = Pace(), []
    for _ in range(10):
        pace.took(FAST_COMMIT_S * 10)
        away.append(commits_in_thread(pace))
    assert away == [8, 16, 32, 64, 128, 256, 512, 1024, 1024, 1024]


def test_a_disk_that_is_fast_again_is_trusted_again() -> None:
    pace = Pace()
    for _ in range(10):
        pace.took(FAST_COMMIT_S * 10)
        commits_in_thread(pace)
    for _ in range(10):
        assert pace.on_loop()
        pace.took(FAST_COMMIT_S / 2)
    pace.took(FAST_COMMIT_S * 10)
    assert commits_in_thread(pace) == Pace.FIRST


@pytest.mark.parametrize("disk", ["fast", "slow"])
async def test_the_commits_of_a_slow_disk_leave_the_event_loop(
    database: SqliteDatabase, disk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await make(database)
    places: set[str] = set()

    class Watched:
        """The connection; notes in which thread commits run."""

        def __init__(self, connection: sqlite3.Connection) -> None:
            self._connection = connection

        def execute(self, statement: str, *parameters: Any) -> Any:
            if statement == "COMMIT":
                places.add(threading.current_thread().name)
            return self._connection.execute(statement, *parameters)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

    class Fixed(Pace):
        """Whatever this machine's disk does."""

        def on_loop(self) -> bool:
            return disk == "fast"

    monkeypatch.setattr(database.core.writer, "_connection", Watched(database.core.writer._connection))
    monkeypatch.setattr(database.core.writer, "pace", Fixed())
    await asyncio.gather(*(put(database, store, id=f"k{number}") for number in range(20)))
    await put(database, store, id="last")
    main = threading.main_thread().name
    assert places == ({main} if disk == "fast" else {database.core.writer._thread.name})
    assert await database.get(store, encode("last").whole) == record(id="last")


async def test_the_log_begins_anew_under_a_load_that_never_pauses(database: SqliteDatabase) -> None:
    store = await make(database, ("n", False))
    log = Path(f"{database.core.path}-wal")
    sizes = []
    for turn in range(6):
        for first in range(0, CHECKPOINT_ROWS, 200):
            await asyncio.gather(
                *(
                    put(database, store, id=f"k{number}", n=number + turn, v=b"x" * 300)
                    for number in range(first, first + 200)
                )
            )
        sizes.append(log.stat().st_size)
    assert sizes[-1] < 2 * sizes[0]


async def test_a_file_that_another_program_has_locked_does_not_hold_up_the_event_loop(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    store = await make(database)
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with capture_logs() as lines:
        writing = asyncio.create_task(put(database, store, id="a"))
        for _ in range(50):
            await one_turn()
        other.execute("ROLLBACK")
        await writing
    other.close()
    # On the event loop it would have waited in vain: nobody unlocks meanwhile.
    assert not [line for line in lines if line["event_name"] == "store.commit_failed"]


async def test_the_writes_of_one_group_wait_for_another_program_s_lock_once(
    database: SqliteDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "LOCK_WAIT_MS", 50)
    store = await make(database)
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waits: list[None] = []
    waiting = database._writer._waiting_for_locks

    def noted() -> AbstractContextManager[None]:
        waits.append(None)
        return waiting()

    monkeypatch.setattr(database._writer, "_waiting_for_locks", noted)
    writes = (put(database, store, id=str(number)) for number in range(20))
    ended = await asyncio.gather(*writes, return_exceptions=True)
    assert all("another program has locked the database" in str(error) for error in ended)
    assert len(waits) < 20
    other.execute("ROLLBACK")
    other.close()
    await put(database, store, id="z")
