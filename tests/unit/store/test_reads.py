"""Lists: where they are read makes no difference to what they say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gestalt_store.engines.interface import Walk
from gestalt_store.sqlite import reads
from gestalt_store.sqlite.database import SqliteDatabase
from gestalt_store.values.keys import encode
from gestalt_store.values.ranges import EVERYTHING

from tests.support.rigs.store_engine import LIMITS, make, put, record


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = await SqliteDatabase.open(tmp_path / "s.db", "", LIMITS)
    yield opened
    await opened.close()


@pytest.mark.parametrize(
    ("count", "size_bytes", "few"),
    [
        (0, 0, True),
        (reads.FEW, 10, True),
        (reads.FEW + 1, 10, False),
        (2, reads.FEW_BYTES // 2, False),
        (1, 4 * reads.FEW_BYTES, False),
    ],
)
async def test_a_list_is_the_same_on_the_event_loop_and_on_a_reader_thread(
    database: SqliteDatabase, count: int, size_bytes: int, few: bool
) -> None:
    store = await make(database, ("n", False))
    value = b"x" * size_bytes
    await asyncio.gather(*(put(database, store, id=f"k{number:03}", n=-number, v=value) for number in range(count)))
    records = [record(id=f"k{number:03}", n=-number, v=value) for number in range(count)]
    keys = [encode(f"k{number:03}").whole for number in range(count)]
    for walk, order in ((Walk(store, EVERYTHING), 1), (Walk(store, EVERYTHING, store.index("n")), -1)):
        assert (reads.few(database.core.readers.main, walk, "values") is not None) == few
        assert await database.records(walk) == records[::order]
        assert await database.keys(walk) == keys[::order]
        transaction = await database.begin(["s"], readonly=True, relaxed=False)
        assert await transaction.records(walk) == records[::order]
        assert await transaction.keys(walk) == keys[::order]
        transaction.abort()
